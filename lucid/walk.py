"""The walk that finds what a function depends on, before it is traced.

Everything plain that the function can reach is walked: globals that its code names, closure cells, defaults,
the object it is bound to, attributes, containers, and the functions it calls, in turn. What is found becomes
facts (guards.py), and so does what is *not* there where code could tell: where it asks by `getattr` or
`hasattr`, catches an AttributeError, or goes through a whole namespace.

Left out are the code of the standard library, of installed packages and of lucid: not the objects that are
theirs, nor the data in their modules. NumPy arrays that the function hands to tensors are inputs; the content
of other arrays, and of what has one inside (a Series, a tensor of another library), is a fact. What no fact
can be made of (a clock, a file, the state of the process) is watched for during the trace: watching.py.
"""

from __future__ import annotations

import builtins
import enum
import functools
import gc
import os
import sys
import weakref
from _thread import _local as _Local
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from types import (
    BuiltinFunctionType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from . import ambient
from .bound import bound
from .chance import is_generator, is_spent
from .codes import clocks, is_name, reads_files, text_of
from .contents import content, reader
from .errors import is_user_file
from .guards import MISSING, PLAIN, ClassScope, Guards, held_by
from .hooks import hooks_of
from .tensor import Tensor
from .watching import PURE, QUIET, home, own_name, watched

# Names by which code reads attributes that its text does not name.
_DYNAMIC = {
    "getattr", "hasattr", "setattr", "vars", "dir", "eval", "exec", "globals", "locals",
    "attrgetter", "methodcaller", "getmembers", "getattr_static", "asdict", "astuple", "__dict__",
    "__getattribute__",
}  # fmt: skip
# Those by which it reads all globals of a function, and modules by their names.
_NAMESPACES = {"globals", "eval", "exec", "__globals__", "f_globals"}
_IMPORTS = {"modules", "import_module", "__import__"}
_CONSTRUCTORS = ("__init__", "__new__", "__post_init__", "__init_subclass__", "__class_getitem__")
# What Python calls for an operator, a function of builtins or a statement.
_IMPLICIT = {
    "__call__", "__getitem__", "__len__", "__iter__", "__contains__", "__bool__", "__float__", "__int__",
    "__index__", "__getattr__", "__enter__",
}  # fmt: skip
# Modules of C classes that stand for other objects (views, getters, wrappers), and tell which.
_TRANSPARENT = {"builtins", "collections", "functools", "operator"}
_NUMBERS = {bool, int, float, complex, bytes, type(None)}
_ORIGINAL = dict(vars(builtins))


def watch(function: object, objects: Sequence[object] = (), called: Sequence[str] = ()) -> Guards:
    """Guards for all that a function (a method, a module) and `objects`, which it is given under the names
    `called`, depend on."""
    roots = [*zip(objects, called, strict=True), (function, own_name(function, "__qualname__"))]
    if isinstance(function, MethodType):
        roots.insert(0, (function.__self__, "self"))
    names = frozenset().union(*(_named_by(root) for root, _ in roots))
    contents: dict[int, Any] = {}
    while True:  # code found on the way names more attributes; then walk again
        walk = _Walk(names, contents)
        for root, where in roots:
            walk.visit(root, where)
        walk.finish()
        if walk.names <= names:
            return walk.guards
        names = frozenset(walk.names) | names


def _named_by(root: object) -> frozenset[str]:
    """The names that the first walk begins with: with luck, all."""
    f = root.__func__ if isinstance(root, MethodType) else root
    if not isinstance(f, FunctionType) or not is_user_file(f.__code__.co_filename):
        return frozenset()
    text = text_of(f.__code__)
    return text.names | text.texts if text.names & _DYNAMIC else text.names


# --- which code belongs to the user --------------------------------------------------------------


def _is_user_module(module: ModuleType) -> bool:
    filename = getattr(module, "__file__", None)
    if not isinstance(filename, str):  # __main__, a namespace package, one made by hand; or a part of Python
        spec = getattr(module, "__spec__", None)
        return spec is None or spec.origin not in ("built-in", "frozen")
    return is_user_file(filename)


def _is_user_class(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    return module is not None and _is_user_module(module)


def _is_lucid(cls: type) -> bool:
    return cls.__module__ == "lucid" or cls.__module__.startswith("lucid.")


# --- the walk ------------------------------------------------------------------------------------


class _Walk:
    """One pass over what is reachable, given the attribute names that code is known to mention."""

    def __init__(self, names: frozenset[str], contents: dict[int, Any]) -> None:
        self.known = names
        self.contents = contents  # of arrays, by id: of all walks
        self.dynamic = bool(names & _DYNAMIC)
        # Whether code may go on where an attribute is not there.
        self.tolerant = "AttributeError" in names
        self.names: set[str] = set(names)
        self.attributes: set[str] = set()  # that code reads
        self.texts: set[str] = set()  # strings that may be names
        self.guards = Guards()
        self.seen: dict[int, object] = {}
        self.settings: set[tuple[int, Any]] = set()  # what has been read of whom, beside what it holds
        self.classes: set[tuple[type, tuple[str, ...]]] = set()
        self.read: dict[type, frozenset[str]] = {}  # attributes of each class of a library's that are read
        self.queue: deque[tuple[object, str]] = deque()
        # What may lack some: a dict, what else has them, and where that is; classes.
        self.lacking: list[tuple[dict[str, Any], type, str]] = []
        self.lacking_classes: list[type] = []

    def visit(self, value: object, where: str) -> None:
        kind = type(value)
        if kind in _NUMBERS:
            return
        if kind is str:
            if is_name(value):
                self.texts.add(value)  # type: ignore[arg-type]
            return
        if kind is BuiltinFunctionType:
            owner = value.__self__  # type: ignore[attr-defined]
            if owner is None or isinstance(owner, ModuleType | type):
                if owner is builtins:
                    self.names.add(value.__name__)  # type: ignore[attr-defined]  # getattr under another name is still getattr
                self._library(value, where)
                return
            value = owner  # a method, of an object that it reads
        if isinstance(value, PLAIN) or (
            kind is tuple and all(type(v) in _NUMBERS for v in value)  # type: ignore[attr-defined]
        ):
            return
        if id(value) not in self.seen:
            self.seen[id(value)] = value
            self.queue.append((value, where))
        elif isinstance(value, Tensor):
            self.guards.twice.add(id(value))

    def finish(self) -> None:
        self._drain()
        if self.known & _IMPORTS:
            for name in sorted(self.texts):
                found = sys.modules.get(name, MISSING)
                self.guards.items.append((sys.modules, name, found, f"sys.modules[{name!r}]"))
                self.visit(None if found is MISSING else found, name)
            self._drain()
        if self.dynamic:
            self.names |= self.texts
        self._absent()

    def _drain(self) -> None:
        while self.queue:
            value, where = self.queue.popleft()
            self._enter(value, where)

    def _absent(self) -> None:
        """Attributes that are read, if that is where they are not, and may come."""
        for scope, cls, where in self.lacking:
            for name in self.attributes:
                if name not in scope and not hasattr(cls, name):
                    self.guards.items.append((scope, name, MISSING, f"{where}.{name}"))
        for cls in self.lacking_classes:
            users = [base for base in cls.__mro__ if _is_user_class(base)]
            for name in self.attributes:
                if not any(name in vars(base) for base in cls.__mro__):
                    for base in users:
                        self.guards.slots.append((ClassScope(base), name, MISSING, f"{base.__name__}.{name}"))

    def _library(self, value: object, where: str) -> None:
        """What there is to an object that is not the user's, apart from what it holds."""
        if watched(value):
            self.guards.varying.add(where)
        for owner, read in ambient.facts(value, self.known):
            if (id(owner), read) not in self.settings:
                self.settings.add((id(owner), read))
                found = read(owner)
                self.guards.contents.append((owner, read, found, where))
                if read is ambient.answer:
                    self.visit(found, f"{where}()")

    def _enter(self, value: Any, where: str) -> None:
        if isinstance(value, Tensor):
            self.guards.tensors.add(id(value))
            for hook in hooks_of(value):
                self.visit(hook, f"a hook of {where}")
            return
        exact = _EXACT.get(type(value))
        if exact is not None:
            exact(self, value, where)
            return
        for kind, enter in _ENTER:
            if isinstance(value, kind):
                enter(self, value, where)
                return
        self.instance(value, where)

    def function(self, f: FunctionType, where: str) -> None:
        self.visit(vars(f).get("__wrapped__"), where)
        if f is os.getenv:
            self.visit(os.environ, "os.environ")
        if not is_user_file(f.__code__.co_filename):
            self._library(f, where)
            return
        text = text_of(f.__code__)
        self.names |= text.names
        self.attributes |= text.attributes
        self.texts |= text.texts
        if text.tolerant:
            self.names.add("AttributeError")
        if clocks(f.__code__) or reads_files(text.names):
            self.guards.varying.add(where)
        scope = f.__globals__
        self.guards.scopes.append(scope)
        for name in sorted(text.globals):
            value = scope.get(name, MISSING)
            self.guards.items.append((scope, name, value, f"global {name}"))
            self.visit(self._builtin(scope, name) if value is MISSING else value, name)
        for name in sorted(text.imports):
            if name in sys.modules:
                self.visit(sys.modules[name], name)
            else:
                self.guards.varying.add(name)
        if text.names & _IMPORTS:
            self.visit(sys.modules.get(f.__module__), f.__module__)
        if text.names & _NAMESPACES:
            self.namespace(scope, "globals")
        inside: dict[str, Any] = {}
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            value = inside[name] = held_by(cell)
            self.guards.cells.append((cell, value, f"nonlocal {name}"))
            self.visit(value, name)
        for name, attribute in sorted(text.asked):
            found = inside.get(name, scope.get(name, sys.modules.get(name)))
            if type(found) is ModuleType and attribute not in vars(found) and home(found) != "lucid":
                self.guards.items.append((vars(found), attribute, MISSING, f"{name}.{attribute}"))
        for attribute in ("__defaults__", "__kwdefaults__", "__code__"):
            value = getattr(f, attribute)
            self.guards.slots.append((f, attribute, value, f"{where}.{attribute}"))
            if attribute != "__code__":
                self.visit(value, f"the defaults of {where}")
        self.attributes_of(vars(f), where)

    def _builtin(self, scope: dict[str, Any], name: str) -> Any:
        """What a global is that is not there. Only Python's own functions are no facts."""
        below = scope.get("__builtins__", builtins)
        below = below if isinstance(below, dict) else vars(below)
        value = below.get(name, MISSING)
        if value is MISSING or _ORIGINAL.get(name, MISSING) is not value:
            self.guards.items.append((below, name, value, f"builtin {name}"))
        return None if value is MISSING else value

    def method(self, m: MethodType, where: str) -> None:
        self._library(m, where)
        self.names.add(own_name(m))  # what it is called by does not matter
        self.visit(m.__func__, where)
        self.visit(m.__self__, f"{where}.__self__")

    def partial(self, p: functools.partial[Any], where: str) -> None:
        for part in (p.func, p.args, p.keywords):
            self.visit(part, where)

    def wrapped(self, p: Any, where: str) -> None:
        """classmethod, staticmethod, property: the functions inside."""
        for name in ("__func__", "fget", "fset", "func"):
            self.visit(getattr(p, name, None), where)

    def module(self, m: ModuleType, where: str) -> None:
        if self.dynamic:
            self._library(m, where)
        if m is os and self.known & {"environ", "getenv"}:
            self.visit(os.environ, f"{where}.environ")
        scope, of_user = vars(m), _is_user_module(m)
        if of_user:
            self.guards.scopes.append(scope)
        if of_user and self.dynamic:
            self.namespace(scope, where)
            return
        if home(m) == "lucid":
            for name in self.known & ambient.OF_LUCID & set(scope):
                self._library(scope[name], f"{where}.{name}")
            return
        for name in self.known & _parts(m):  # imported when they are read, as np.random is
            self.guards.varying.add(f"{where}.{name}")
        for name in self.known:
            if name not in scope or name.startswith("__") or (m is sys and name == "modules"):
                continue
            found = scope[name]
            if of_user or _is_data(found):
                self.guards.items.append((scope, name, found, f"{where}.{name}"))
            elif callable(found) and not isinstance(found, MethodType):
                self._library(found, f"{where}.{name}")
                continue
            self.visit(found, f"{where}.{name}")
        if of_user and (self.tolerant or "__getattr__" in scope):
            self.visit(scope.get("__getattr__"), f"{where}.__getattr__")
            self.lacking.append((scope, type(None), where))

    def namespace(self, scope: dict[str, Any], where: str) -> None:
        """All that a module has."""
        if id(scope) in self.seen:
            return
        self.seen[id(scope)] = scope
        scope.setdefault("__warningregistry__", {})  # else the first warning would be a change
        self.guards.dicts.append((scope, list(scope), list(scope.values()), f"{where}."))
        for name, value in scope.items():
            if not name.startswith("__"):
                self.visit(value, name)

    def mapping(self, d: Any, where: str) -> None:
        self.guards.dicts.append((d, list(d), list(d.values()), where))
        for key, value in d.items():
            self.visit(key, where)
            self.visit(value, f"{where}[{key!r}]" if isinstance(key, PLAIN) else where)
        self._subclass(d, where)

    def sequence(self, items: Any, where: str) -> None:
        if not isinstance(items, tuple):
            self.guards.lists.append((items, list(items), where))
        for k, value in enumerate(items):
            self.visit(value, f"{where}[{k}]")
        self._subclass(items, where)

    def _subclass(self, container: object, where: str) -> None:
        """The attributes of a container of a class of the user's."""
        if _is_user_class(type(container)):
            self.instance(container, where)

    def variable(self, v: ContextVar[Any], where: str) -> None:
        found = v.get(MISSING)
        self.guards.variables.append((v, found, where))
        self.visit(found, where)

    def unordered(self, items: Any, where: str) -> None:
        # The order of an unchanged set does not change.
        self.sequence(items, where)

    def numpy_array(self, a: np.ndarray[Any, Any], where: str) -> None:
        if id(a) not in self.contents:
            self.contents[id(a)] = content(a)
        self.guards.arrays.append((a, self.contents[id(a)], where))
        for owner, read in ambient.facts(a, self.known):
            self.guards.contents.append((owner, read, read(owner), where))
        if a.dtype.hasobject:
            for value in a.ravel().tolist():
                self.visit(value, where)

    def cls(self, cls: type, where: str) -> None:
        """A class that code names, and so may make objects of."""
        self._library(cls, where)
        if issubclass(cls, BaseException) and issubclass(AttributeError, cls):
            self.names.add("AttributeError")
        if issubclass(cls, enum.Enum) and _is_user_class(cls):  # found by value, by name or in order
            self.mapping(cls.__members__, where)
        self.members(cls, _CONSTRUCTORS)
        if type(cls) is not type:
            self.members(type(cls))

    def members(self, cls: type, more: tuple[str, ...] = ()) -> None:
        """Methods and class attributes that code mentions, or that Python or lucid calls; of the
        classes that the user wrote."""
        if (cls, more) in self.classes:
            return
        self.classes.add((cls, more))
        lucid = [base for base in cls.__mro__ if _is_lucid(base)]
        for base in cls.__mro__:
            if not _is_user_class(base):
                continue
            self.guards.scopes.append(base)
            if self.dynamic:
                scope = vars(base)
                self.guards.dicts.append((scope, list(scope), list(scope.values()), f"{base.__name__}."))
            for name, value in vars(base).items():
                # `__new__` is kept as a staticmethod
                called = isinstance(value, FunctionType | staticmethod | classmethod) and (
                    name in more
                    or (name.startswith("__") and name not in _CONSTRUCTORS)
                    or any(hasattr(b, name) for b in lucid)
                )
                if name == "__match_args__" and name in self.known:
                    self.names |= set(value)
                if called or name in self.known or (self.dynamic and not name.startswith("__")):
                    if not self.dynamic:
                        self.guards.slots.append((ClassScope(base), name, value, f"{base.__name__}.{name}"))
                    self.visit(value, f"{base.__name__}.{name}")
            self._overrides(cls, base)
        if not self.dynamic and (self.tolerant or hasattr(cls, "__getattr__")):
            self.lacking_classes.append(cls)

    def _overrides(self, cls: type, base: type) -> None:
        """What `base` inherits from another class of the user's, and may get for itself later."""
        above = cls.__mro__[cls.__mro__.index(base) + 1 :]
        for name in self.known:
            if name not in vars(base) and any(name in vars(b) for b in above if _is_user_class(b)):
                self.guards.slots.append((ClassScope(base), name, MISSING, f"{base.__name__}.{name}"))

    def instance(self, value: object, where: str) -> None:
        cls = type(value)
        of_user = _is_user_class(cls)
        self._held(value, cls, where)
        if is_generator(value) or is_spent(value):
            self.guards.generators.append((value, where))
            return
        self._library(value, where)
        if hasattr(cls, "__compiled__"):
            bound(value)  # it is there before its `__dict__` becomes a fact
        scope = getattr(value, "__dict__", None)
        if isinstance(value, _Local):  # each thread has another dict
            for name in self.known | set(scope or ()):
                self._slot(value, name, where)
        elif isinstance(scope, dict):
            self.guards.scopes.append(scope)
            self.visit(scope.get("__wrapped__"), where)
            if getattr(cls, "_opaque", False):
                return
            # Containers of the standard library go through attributes of their own, too: ChainMap, UserDict.
            # So do objects of libraries that keep arrays: sparse matrices, fitted models, modules.
            if any(map(_is_lucid, cls.__mro__)) or (
                not of_user
                and (isinstance(value, Mapping | Sequence | AbstractSet) or _keeps_arrays(value, scope))
            ):
                self.mapping_of(scope, where)
            else:
                self.attributes_of(scope, where, self.known if of_user else self._read_by(cls))
                self._shadows(scope, cls, where)
        if isinstance(value, enum.Enum):
            self._slot(value, "_value_", where)
        if of_user:
            self.guards.slots.append((value, "__class__", cls, f"the class of {where}"))
            self.members(cls)
            for name in _slots(cls):
                if name in self.known or self.dynamic:
                    self._slot(value, name, where)
        elif scope is None and cls.__module__ in _TRANSPARENT:
            for part in gc.get_referents(value):
                if not isinstance(part, type | ModuleType):
                    self.visit(part, where)
                    self.names |= set(filter(is_name, part if isinstance(part, tuple) else (part,)))

    def _slot(self, value: object, name: str, where: str) -> None:
        found = getattr(value, name, MISSING)
        self.guards.slots.append((value, name, found, f"{where}.{name}"))
        self.visit(found, f"{where}.{name}")

    def _held(self, value: object, cls: type, where: str) -> None:
        """What an object of a library holds that no attribute leads to."""
        base = next(b for b in cls.__mro__ if b is object or not _is_user_class(b))
        if base is not object and not _is_lucid(base) and (read := reader(value)) is not None:
            self.guards.contents.append((value, read, read(value), where))
            if isinstance(value, weakref.ref):
                self.visit(value(), where)

    def _read_by(self, cls: type) -> frozenset[str]:
        """Attributes that code mentions, or the methods of a library's that it calls by them."""
        if home(cls) in PURE or home(cls) in QUIET:
            return self.known
        if cls in self.read:
            return self.read[cls]
        found, names = set(self.known), [*self.known, *_IMPLICIT]
        for name in names:
            member = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
            if isinstance(member, property | functools.cached_property | classmethod | staticmethod):
                member = getattr(member, "fget", None) or getattr(member, "func", None) or member
                member = getattr(member, "__func__", member)
            if isinstance(member, FunctionType):
                more = set(member.__code__.co_names) - found
                found |= more
                names += more
        self.read[cls] = frozenset(found)
        return self.read[cls]

    def mapping_of(self, scope: dict[str, Any], where: str) -> None:
        """All attributes: for objects whose own code, in lucid, goes through them."""
        self.guards.dicts.append((scope, list(scope), list(scope.values()), f"{where}."))
        for name, found in scope.items():
            self.visit(found, f"{where}.{name}")

    def attributes_of(self, scope: dict[str, Any], where: str, names: frozenset[str] | None = None) -> None:
        """Those attributes that code mentions; all, if it may read any."""
        if self.dynamic:
            self.mapping_of(scope, where)
            return
        for name in self.known if names is None else names:
            if name in scope:
                self.guards.items.append((scope, name, scope[name], f"{where}.{name}"))
                self.visit(scope[name], f"{where}.{name}")

    def _shadows(self, scope: dict[str, Any], cls: type, where: str) -> None:
        """An attribute that the object may get for itself later: one of its class, or one that is nowhere."""
        if self.dynamic:
            return
        if _is_user_class(cls):
            for name in self.known:
                if name not in scope and hasattr(cls, name):
                    self.guards.items.append((scope, name, MISSING, f"{where}.{name}"))
        if self.tolerant or hasattr(cls, "__getattr__"):
            self.lacking.append((scope, cls, where))


def _parts(package: ModuleType) -> frozenset[str]:
    """Modules of a package that imports them when they are asked for, and has not yet."""
    scope = vars(package)
    if "__getattr__" not in scope or "__path__" not in scope:
        return frozenset()
    return _modules(tuple(package.__path__)) - set(scope)


@functools.lru_cache(maxsize=256)
def _modules(path: tuple[str, ...]) -> frozenset[str]:
    import pkgutil

    return frozenset(info.name for info in pkgutil.iter_modules(path))


def _is_data(value: object) -> bool:
    """Whether something in a module of a library is no part of it that stays: a number, the user's."""
    if isinstance(value, FunctionType):
        return is_user_file(value.__code__.co_filename)
    if isinstance(value, type):
        return _is_user_class(value)
    return not isinstance(value, ModuleType) and (not callable(value) or _is_user_class(type(value)))


def _keeps_arrays(value: object, scope: dict[str, Any]) -> bool:
    """Whether an object that is no array itself has some among its attributes, or in dicts there."""
    if reader(value) is not None:
        return False
    nested = (v for d in scope.values() if isinstance(d, dict) for v in d.values())
    return any(isinstance(v, np.ndarray) or reader(v) is not None for v in (*scope.values(), *nested))


def _slots(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        names = vars(base).get("__slots__", ())
        yield from (names,) if isinstance(names, str) else names


_ENTER: tuple[tuple[type | tuple[type, ...], Callable[[_Walk, Any, str], None]], ...] = (
    (FunctionType, _Walk.function),
    (MethodType, _Walk.method),
    (functools.partial, _Walk.partial),
    ((classmethod, staticmethod, property, functools.cached_property), _Walk.wrapped),
    (ModuleType, _Walk.module),
    ((dict, MappingProxyType), _Walk.mapping),
    ((list, tuple, deque, bytearray, array), _Walk.sequence),
    (ContextVar, _Walk.variable),
    ((set, frozenset), _Walk.unordered),
    (np.ndarray, _Walk.numpy_array),
    (type, _Walk.cls),
)
_EXACT = {
    kind: enter for kinds, enter in _ENTER for kind in (kinds if isinstance(kinds, tuple) else (kinds,))
}
