"""Guards: what else a compiled function depends on, beyond its arguments.

Before a function is traced, everything plain that it can reach is walked: globals that its code
names, closure cells, defaults, the object it is bound to, attributes, containers, and the
functions it calls, in turn. Each fact found there (this cell holds that object; this list has
those items) becomes a guard. A call whose guards still hold may use the trace; else the function
is traced again.

Facts are compared by identity, then, for numbers, strings and tuples of them, by value. Left out
are the standard library, installed packages and lucid itself: their code, not the objects that are
theirs. NumPy arrays that the function hands to tensors are inputs; the content of other arrays, and of
what has one inside (a Series, a tensor of another library), is a fact. What gives something else each
time that it is read (an iterator, a file, a clock) cannot be one: see chance.py.
"""

from __future__ import annotations

import dis
import functools
import gc
import math
import os
import sys
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from functools import partial
from operator import is_
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data, field

from .bound import bound
from .chance import is_generator, is_spent, reads_files, varies
from .contents import COPIED, Reader, content, equal, reader
from .errors import TraceError, here, is_user_file, warn_user
from .number import Traced, plain
from .tensor import Tensor

_MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()
# Names by which code reads attributes that its text does not name.
_DYNAMIC = {
    "getattr", "hasattr", "setattr", "vars", "dir", "eval", "exec", "globals", "locals",
    "attrgetter", "__dict__", "__getattribute__",
}  # fmt: skip
_CONSTRUCTORS = ("__init__", "__new__", "__post_init__", "__init_subclass__", "__class_getitem__")
_NUMBERS = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype)


@data(eq=False)
class Open:
    """In place of a number, or of a tuple of numbers, that each call takes as it is then: only the type is a
    fact."""

    kinds: type | tuple[type, ...]

    def holds(self, value: object) -> bool:
        return _kinds(value) == self.kinds


def _kinds(value: object) -> type | tuple[type, ...] | None:
    """The type of a number, or the types of the numbers in a tuple; None for all else."""
    if type(value) is tuple and value and all(type(v) in (int, float) for v in value):
        return tuple(map(type, value))
    return type(value) if type(value) in (int, float) else None


@data(eq=False)
class Place:
    """Where a number is found: a key of a dict, an index of a list, a cell, a slot of an object."""

    owner: Any
    key: Any
    where: str

    def get(self) -> Any:
        if type(self.owner) is CellType:
            return self.owner.cell_contents
        return self.owner[self.key] if type(self.owner) in (dict, list) else getattr(self.owner, self.key)

    def set(self, value: Any) -> None:
        if type(self.owner) is CellType:
            self.owner.cell_contents = value
        elif type(self.owner) in (dict, list):
            self.owner[self.key] = value
        else:
            setattr(self.owner, self.key, value)

    @property
    def id(self) -> tuple[int, Any]:
        return id(self.owner), self.key


def same(a: object, b: object) -> bool:
    """Whether two facts are the same for any computation; `b` may be open."""
    if a is b:
        return True
    if type(b) is Open:
        return b.holds(a)
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (a != a and b != b)
    return isinstance(a, _NUMBERS) and bool(a == b or (a != a and b != b))


@data(frozen=False)
class Guards:
    """Facts, by the kind of place that holds them."""

    cells: list[tuple[CellType, Any, str]] = field(default_factory=list)
    items: list[tuple[dict[Any, Any], Any, Any, str]] = field(default_factory=list)
    dicts: list[tuple[dict[Any, Any], list[Any], list[Any], str]] = field(default_factory=list)
    lists: list[tuple[Any, list[Any], str]] = field(default_factory=list)
    slots: list[tuple[object, str, Any, str]] = field(default_factory=list)
    arrays: list[tuple[np.ndarray[Any, Any], Any, str]] = field(default_factory=list)
    contents: list[tuple[object, Reader, Any, str]] = field(default_factory=list)
    variables: list[tuple[ContextVar[Any], Any, str]] = field(default_factory=list)
    tensors: set[int] = field(default_factory=set)  # ids of all tensors in those places
    generators: list[tuple[Any, str]] = field(default_factory=list)  # of random numbers; no facts
    varying: set[str] = field(default_factory=set)  # clocks, files, ... that code names; no facts

    def codes(self) -> list[CodeType]:
        """The code of every function of the user's that was found."""
        return [value for _, name, value, _ in self.slots if name == "__code__"]

    def changed(self) -> str | None:
        """The first fact that does not hold any more, in words; None if all hold."""
        for d, key, value, where in self.items:
            now = d.get(key, _MISSING)
            if now is not value and not same(now, value):
                return f"{where} changed from {_short(value)} to {_short(now)}"
        for cell, value, where in self.cells:
            now = _content(cell)
            if now is not value and not same(now, value):
                return f"{where} changed from {_short(value)} to {_short(now)}"
        for d, keys, values, where in self.dicts:
            if len(d) != len(keys) or not all(map(is_, d.values(), values)) or list(d) != keys:
                if list(d) != keys:
                    return f"{where} has other keys"
                for key, value, now in zip(keys, values, d.values(), strict=True):
                    if not same(now, value):
                        return f"{where}.{key} changed from {_short(value)} to {_short(now)}"
        for items, values, where in self.lists:
            if len(items) != len(values):
                return f"{where} has {len(items)} items, had {len(values)}"
            if not all(map(is_, items, values)) and not all(map(same, items, values)):
                return f"an item of {where} changed"
        for owner, name, value, where in self.slots:
            now = getattr(owner, name, _MISSING)
            if now is not value and not same(now, value):
                return f"{where} changed from {_short(value)} to {_short(now)}"
        for variable, value, where in self.variables:
            now = variable.get(_MISSING)
            if now is not value and not same(now, value):
                return f"{where} changed from {_short(value)} to {_short(now)}"
        for held, value, where in self.arrays:
            if not equal(content(held), value):
                return f"the content of {where} changed"
        for owner, read, value, where in self.contents:
            if not equal(read(owner), value):
                return f"the content of {where} changed"
        return None

    def tells_types(self) -> bool:
        """Whether code may look at the exact type of a number, which is not that of what stands for one."""
        return any("type" in _code_names(code)[0] for code in self.codes())

    def moved(self) -> list[tuple[Place, Any, Any]]:
        """Places of numbers that have another value now, of the same type; the old and the new one."""
        found = {}
        for place, value, _ in self._places():
            kinds = _kinds(value)
            if kinds is not None:
                try:
                    now = place.get()
                except (LookupError, ValueError, AttributeError):
                    continue
                if _kinds(now) == kinds and not same(now, value):
                    found[place.id] = place, value, now
        return list(found.values())

    def open(self, ids: set[tuple[int, Any]]) -> list[Place]:
        """The numbers in these places are no facts from here on."""
        if not ids:
            return []
        found = {}
        for place, value, replace in self._places():
            kinds = _kinds(value)
            if kinds is not None and place.id in ids:
                replace(Open(kinds))
                found[place.id] = place
        return list(found.values())

    def _places(self) -> Iterator[tuple[Place, Any, Callable[[Any], None]]]:
        """Each place that holds a value, the value, and what puts another fact there."""
        for k, (cell, value, where) in enumerate(self.cells):
            yield Place(cell, None, where), value, partial(_put, self.cells, k, (cell,), (where,))
        for k, (d, key, value, where) in enumerate(self.items):
            if type(d) is dict:
                yield Place(d, key, where), value, partial(_put, self.items, k, (d, key), (where,))
        for d, keys, values, where in self.dicts:
            if type(d) is dict:
                for k, key in enumerate(keys):
                    yield Place(d, key, f"{where}.{key}"), values[k], partial(values.__setitem__, k)
        for items, values, where in self.lists:
            if type(items) is list:
                for k, value in enumerate(values):
                    yield Place(items, k, f"{where}[{k}]"), value, partial(values.__setitem__, k)
        for k, (owner, name, value, where) in enumerate(self.slots):
            if type(owner) is not _Class and not name.startswith("__"):
                yield Place(owner, name, where), value, partial(_put, self.slots, k, (owner, name), (where,))

    def left(self) -> tuple[list[tuple[Place, Any]], str | None]:
        """What has changed since: places that hold another plain value now, and the first change of any
        other kind, in words."""
        rest = self.changed()
        if rest is None:  # as nearly always
            return [], None
        found: list[tuple[Place, Any]] = []
        undo: list[Callable[[], None]] = []
        for place, value, replace in list(self._places()):
            try:
                now = place.get()
            except (LookupError, ValueError, AttributeError):
                continue
            if not same(now, value) and isinstance(now, _NUMBERS):
                found.append((place, now))
                undo.append(partial(replace, value))
                replace(now)
        rest = self.changed()
        for step in undo:
            step()
        return found, rest

    def undo(self) -> bool:
        """Put back the plain values that have changed since; False if that is not all that has."""
        changes, rest = self.left()
        if rest is not None:
            return False
        old = {place.id: (place, value) for place, value, _ in self._places()}
        for place, _ in changes:
            if old[place.id][1] is _MISSING:
                return False
            place.set(old[place.id][1])
        return True

    def settle(self) -> None:
        """Numbers of a trace that was left behind anywhere become plain ones."""
        for scope in {id(d): d for d, *_ in (*self.items, *self.dicts)}.values():
            for key, value in list(scope.items()):
                if type(value) is Traced:
                    scope[key] = plain(value)
        for cell, *_ in self.cells:
            if type(found := _content(cell)) is Traced:
                cell.cell_contents = plain(found)
        for items, *_ in self.lists:
            for k, value in enumerate(items if type(items) is list else ()):
                if type(value) is Traced:
                    items[k] = plain(value)

    def check_captured(self, captured: list[np.ndarray[Any, Any]], name: str) -> None:
        """TraceError if an array that tensors were made of is not what it was before the trace: the change
        would not be part of a call. A warning for large ones that tensors were not made of."""
        for held, value, where in self.arrays:
            if any(np.may_share_memory(held, array) for array in captured):
                if not equal(content(held), value):
                    raise TraceError(
                        here(
                            f"{name} changes the array {where} while it is traced, which no later call would "
                            "do; change it outside, or keep it as a Tensor"
                        )
                    )
            elif held.nbytes > COPIED:
                warn_user(
                    f"{name} reads numbers of {where}, an array of {held.nbytes >> 20} MiB: each call "
                    "compares its content; pass the numbers as arguments, or make a tensor of the array"
                )

    def release(self, ids: set[int]) -> None:
        """Arrays with these ids are inputs: their content is no fact."""
        self.arrays = [entry for entry in self.arrays if id(entry[0]) not in ids]


def _put(facts: list[Any], k: int, before: tuple[Any, ...], after: tuple[Any, ...], value: Any) -> None:
    facts[k] = (*before, value, *after)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return _MISSING


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        return "a tensor" if value is not _MISSING else "nothing"
    text = repr(value) if isinstance(value, (*_NUMBERS, type(_MISSING))) else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:57]}..."


def watch(*roots: object) -> Guards:
    """Guards for all that `roots` (functions, modules, objects) depend on."""
    names: frozenset[str] = frozenset()
    contents: dict[int, Any] = {}
    while True:  # code found on the way names more attributes; then walk again
        walk = _Walk(names, contents)
        for root in roots:
            walk.visit(root, getattr(root, "__qualname__", type(root).__name__))
        walk.finish()
        if walk.names <= names:
            return walk.guards
        names = frozenset(walk.names) | names


# --- which code belongs to the user --------------------------------------------------------------


def _is_user_module(module: ModuleType) -> bool:
    filename = getattr(module, "__file__", None)
    if filename is None:  # __main__, a namespace package, one made by hand; or a part of Python
        spec = getattr(module, "__spec__", None)
        return spec is None or spec.origin not in ("built-in", "frozen")
    return is_user_file(filename)


def _is_user_class(cls: type) -> bool:
    module = sys.modules.get(cls.__module__)
    return module is not None and _is_user_module(module)


def _is_lucid(cls: type) -> bool:
    return cls.__module__ == "lucid" or cls.__module__.startswith("lucid.")


@functools.lru_cache(maxsize=4096)
def _code_names(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The globals that code reads, and all names in it; nested functions included."""
    reads = {
        str(i.argval)
        for i in dis.get_instructions(code)
        if i.opname in ("LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME")
    }
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            inner = _code_names(const)
            reads |= inner[0]
            names |= inner[1]
    return frozenset(reads), frozenset(names)


# --- the walk ------------------------------------------------------------------------------------


class _Walk:
    """One pass over what is reachable, given the attribute names that code is known to mention."""

    def __init__(self, names: frozenset[str], contents: dict[int, Any]) -> None:
        self.known = names
        self.contents = contents  # of arrays, by id: of all walks
        self.dynamic = bool(names & _DYNAMIC)
        self.names: set[str] = set(names)
        self.guards = Guards()
        self.seen: dict[int, object] = {}
        self.classes: set[tuple[type, tuple[str, ...]]] = set()
        self.queue: deque[tuple[object, str]] = deque()

    def visit(self, value: object, where: str) -> None:
        if isinstance(value, BuiltinFunctionType) and is_generator(value.__self__):
            value = value.__self__
        if isinstance(value, (*_NUMBERS, BuiltinFunctionType)):
            if varies(value):
                self.guards.varying.add(where)
            return
        if isinstance(value, tuple) and all(isinstance(v, _NUMBERS) for v in value):
            return
        if id(value) not in self.seen:
            self.seen[id(value)] = value
            self.queue.append((value, where))

    def finish(self) -> None:
        while self.queue:
            value, where = self.queue.popleft()
            self._enter(value, where)

    def _enter(self, value: Any, where: str) -> None:
        if isinstance(value, Tensor):
            self.guards.tensors.add(id(value))
            return
        for kind, enter in _ENTER:
            if isinstance(value, kind):
                enter(self, value, where)
                return
        self.instance(value, where)

    def function(self, f: FunctionType, where: str) -> None:
        self.visit(vars(f).get("__wrapped__"), where)
        if varies(f):
            self.guards.varying.add(where)
        if f is os.getenv:
            self.visit(os.environ, where)
        if not is_user_file(f.__code__.co_filename):
            return
        reads, names = _code_names(f.__code__)
        self.names |= names
        if reads_files(names):
            self.guards.varying.add(where)
        scope = f.__globals__
        for name in sorted(reads):
            value = scope.get(name, _MISSING)
            self.guards.items.append((scope, name, value, f"global {name}"))
            self.visit(sys.modules.get(name) if value is _MISSING else value, name)
        for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
            value = _content(cell)
            self.guards.cells.append((cell, value, name))
            self.visit(value, name)
        for attribute in ("__defaults__", "__kwdefaults__", "__code__"):
            value = getattr(f, attribute)
            self.guards.slots.append((f, attribute, value, f"{where}.{attribute}"))
            if attribute != "__code__":
                self.visit(value, f"the defaults of {where}")
        self.attributes(vars(f), where)

    def method(self, m: MethodType, where: str) -> None:
        self.visit(m.__func__, where)
        self.visit(m.__self__, f"{where}.__self__")

    def partial(self, p: functools.partial[Any], where: str) -> None:
        for part in (p.func, p.args, p.keywords):
            self.visit(part, where)

    def wrapped(self, p: Any, where: str) -> None:
        """classmethod, staticmethod, property: the functions inside."""
        for name in ("__func__", "fget", "fset"):
            self.visit(getattr(p, name, None), where)

    def module(self, m: ModuleType, where: str) -> None:
        if varies(m):
            self.guards.varying.add(where)
        if m is os and self.known & {"environ", "getenv"}:
            self.visit(os.environ, f"{where}.environ")
        if _is_user_module(m):
            scope = vars(m)
            for name in scope if self.dynamic else self.known:
                if name in scope and not name.startswith("__"):
                    self.guards.items.append((scope, name, scope[name], f"{where}.{name}"))
                    self.visit(scope[name], f"{where}.{name}")

    def mapping(self, d: dict[Any, Any], where: str) -> None:
        self.guards.dicts.append((d, list(d), list(d.values()), where))
        for key, value in d.items():
            self.visit(key, where)
            self.visit(value, f"{where}[{key!r}]" if isinstance(key, _NUMBERS) else where)
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
        found = v.get(_MISSING)
        self.guards.variables.append((v, found, where))
        self.visit(found, where)

    def unordered(self, items: Any, where: str) -> None:
        # The order of an unchanged set does not change.
        self.sequence(items, where)

    def numpy_array(self, a: np.ndarray[Any, Any], where: str) -> None:
        if id(a) not in self.contents:
            self.contents[id(a)] = content(a)
        self.guards.arrays.append((a, self.contents[id(a)], where))
        if a.dtype.hasobject:
            for value in a.ravel().tolist():
                self.visit(value, where)

    def cls(self, cls: type, where: str) -> None:
        """A class that code names, and so may make objects of."""
        if varies(cls):
            self.guards.varying.add(where)
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
            for name, value in vars(base).items():
                called = isinstance(value, FunctionType) and (
                    name in more
                    or (name.startswith("__") and name not in _CONSTRUCTORS)
                    or any(hasattr(b, name) for b in lucid)
                )
                if called or name in self.known or (self.dynamic and not name.startswith("__")):
                    self.guards.slots.append((_Class(base), name, value, f"{base.__name__}.{name}"))
                    self.visit(value, f"{base.__name__}.{name}")
            self._overrides(cls, base)

    def _overrides(self, cls: type, base: type) -> None:
        """What `base` inherits from another class of the user's, and may get for itself later."""
        above = cls.__mro__[cls.__mro__.index(base) + 1 :]
        for name in self.known:
            if name not in vars(base) and any(name in vars(b) for b in above if _is_user_class(b)):
                self.guards.slots.append((_Class(base), name, _MISSING, f"{base.__name__}.{name}"))

    def instance(self, value: object, where: str) -> None:
        if is_generator(value) or is_spent(value):
            self.guards.generators.append((value, where))
            return
        if varies(value):
            self.guards.varying.add(where)
        cls = type(value)
        if hasattr(cls, "__compiled__"):
            bound(value)  # it is there before its `__dict__` becomes a fact
        scope = getattr(value, "__dict__", None)
        if isinstance(scope, dict):
            self.visit(scope.get("__wrapped__"), where)
            if getattr(cls, "_opaque", False):
                return
            # Containers of the standard library go through attributes of their own, too: ChainMap, UserDict.
            # So do objects of libraries that keep arrays: sparse matrices, fitted models, modules.
            if any(map(_is_lucid, cls.__mro__)) or (
                not _is_user_class(cls)
                and (isinstance(value, Mapping | Sequence | AbstractSet) or _keeps_arrays(value, scope))
            ):
                self.mapping_of(scope, where)
            else:
                self.attributes(scope, where)
                self._shadows(scope, cls, where)
        if _is_user_class(cls):
            self.members(cls)
            for name in _slots(cls):
                if name in self.known or self.dynamic:
                    found = getattr(value, name, _MISSING)
                    self.guards.slots.append((value, name, found, f"{where}.{name}"))
                    self.visit(found, f"{where}.{name}")
        base = next(b for b in cls.__mro__ if b is object or not _is_user_class(b))
        if base is not object and not _is_lucid(base) and (read := reader(value)) is not None:
            self.guards.contents.append((value, read, read(value), where))
            if isinstance(value, weakref.ref):
                self.visit(value(), where)

    def mapping_of(self, scope: dict[str, Any], where: str) -> None:
        """All attributes: for objects whose own code, in lucid, goes through them."""
        self.guards.dicts.append((scope, list(scope), list(scope.values()), where))
        for name, found in scope.items():
            self.visit(found, f"{where}.{name}")

    def attributes(self, scope: dict[str, Any], where: str) -> None:
        """Those attributes that code mentions; all, if it may read any."""
        if self.dynamic:
            self.mapping_of(scope, where)
            return
        for name in self.known:
            if name in scope:
                self.guards.items.append((scope, name, scope[name], f"{where}.{name}"))
                self.visit(scope[name], f"{where}.{name}")

    def _shadows(self, scope: dict[str, Any], cls: type, where: str) -> None:
        """A class attribute that the object may get for itself later."""
        if self.dynamic or not _is_user_class(cls):
            return
        for name in self.known:
            if name not in scope and hasattr(cls, name):
                self.guards.items.append((scope, name, _MISSING, f"{where}.{name}"))


def _keeps_arrays(value: object, scope: dict[str, Any]) -> bool:
    """Whether an object that is no array itself has some among its attributes, or in dicts there."""
    if reader(value) is not None:
        return False
    nested = (v for d in scope.values() if isinstance(d, dict) for v in d.values())
    return any(isinstance(v, np.ndarray) or reader(v) is not None for v in (*scope.values(), *nested))


class _Class:
    """Reads a class's own attributes as they stand in it, functions unbound."""

    __slots__ = ("_scope",)

    def __init__(self, cls: type) -> None:
        object.__setattr__(self, "_scope", vars(cls))

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "_scope").get(name, _MISSING)


def class_dict(owner: object) -> dict[str, Any] | None:
    """The dict of the class, where the owner of a slot is one."""
    if type(owner) is not _Class:
        return None
    found = gc.get_referents(object.__getattribute__(owner, "_scope"))
    return found[0] if len(found) == 1 and type(found[0]) is dict else None


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
