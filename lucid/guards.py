"""Guards: what else a compiled function depends on, beyond its arguments.

Facts, by the kind of place that holds them (this cell holds that object; this list has those items), found
by a walk before a function is traced (walk.py). A call whose guards still hold may use the trace; else the
function is traced again. Facts are compared by identity, then, for numbers, strings and tuples of them, by
value.
"""

from __future__ import annotations

import gc
import math
import os
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from operator import is_
from types import CellType, CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data, field
from lucid.compiler.ir.types import TensorType

from .arguments import inside
from .codes import text_of
from .contents import COPIED, Reader, content, equal
from .errors import TraceError, here, warn_user
from .story import Change
from .tape import Traced, plain
from .tensor import Tensor

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype)


# What a call may take as it is then: a number, by its type; a tensor, by its own, and if it requires grad.
Kind = type | tuple[TensorType, bool]


@data(eq=False)
class Open:
    """In place of a number or a tensor, or of a tuple of either, that each call takes as it is then: only
    what kind it is is a fact."""

    kinds: list[Kind]
    several: bool

    def holds(self, value: object) -> bool:
        return (type(value) is tuple) == self.several and _kinds(value) == self.kinds


def _kinds(value: object) -> list[Kind] | None:
    """What kind of number or tensor it is, or those in a tuple are; None for all else."""
    if type(value) is not tuple:
        kind = _kind(value)
        return None if kind is None else [kind]
    kinds = [kind for v in value if (kind := _kind(v)) is not None]
    numbers = [kind in (int, float) for kind in kinds]
    return kinds if len(kinds) == len(value) > 0 and (all(numbers) or not any(numbers)) else None


def _kind(value: object) -> Kind | None:
    if type(value) is Tensor:
        return (value._node.type, value._requires_grad) if value._trace is None else None
    return type(value) if type(value) in (int, float) else None


def tensors_in(content: object) -> tuple[Tensor, ...]:
    """The tensors that a place holds: one, or a tuple of them, or none."""
    found = content if type(content) is tuple else (content,)
    return tuple(value for value in found if type(value) is Tensor)


INDEXED = (list, deque)  # whose items are places
_VARIABLE = r"\benviron\._data\[b?(.*)\]$"
_METHODS = ("__getitem__", "__setitem__", "__iter__", "__len__", "keys", "values", "items", "pop")


def _as_dict(owner: object) -> bool:
    """Whether it keeps items as dict does, so that they are places: one, or of a class that adds to it."""
    kind = type(owner)
    return kind is dict or (
        issubclass(kind, dict)
        and all(getattr(kind, name) in (getattr(dict, name), getattr(OrderedDict, name)) for name in _METHODS)
    )


def _has_items(owner: object) -> bool:
    return type(owner) in INDEXED or _as_dict(owner)


@data(eq=False)
class Place:
    """Where a number or a tensor is found: a key of a dict, an index of a list, a cell, a slot of an object,
    an attribute of a class, the defaults of a function."""

    owner: Any
    key: Any
    where: str
    within: bool = False  # of an object that a trace has made

    def get(self) -> Any:
        if type(self.owner) is CellType:
            return self.owner.cell_contents
        if isinstance(self.owner, type):
            return vars(self.owner)[self.key]  # not what it inherits
        return self.owner[self.key] if _has_items(self.owner) else getattr(self.owner, self.key)

    def set(self, value: Any) -> None:
        if type(self.owner) is CellType:
            self.owner.cell_contents = value
        elif _has_items(self.owner):
            self.owner[self.key] = value
        else:
            setattr(self.owner, self.key, value)

    def put(self, value: Any) -> None:
        """`value` is there again, or nothing, where that is MISSING."""
        if value is not MISSING:
            self.set(value)
        elif type(self.owner) is CellType:
            del self.owner.cell_contents
        elif _as_dict(self.owner):
            self.owner.pop(self.key, None)
        elif type(self.owner) not in INDEXED:  # what was added to a list stays
            delattr(self.owner, self.key)

    @property
    def id(self) -> tuple[int, Any]:
        return id(self.owner), self.key


@data(eq=False)
class Item:
    """One of the tensors of a tuple that a place holds."""

    place: Place
    index: int

    def get(self) -> Any:
        return self.place.get()[self.index]


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
    if isinstance(a, complex) and isinstance(b, complex):
        return same(float(a.real), float(b.real)) and same(float(a.imag), float(b.imag))
    return isinstance(a, PLAIN) and bool(a == b or (a != a and b != b))


@data(frozen=False)
class Guards:
    """Facts, by the kind of place that holds them."""

    cells: list[tuple[CellType, Any, str]] = field(default_factory=list)
    items: list[tuple[dict[Any, Any], Any, Any, str]] = field(default_factory=list)
    # Those of attributes have a dot behind where they are.
    dicts: list[tuple[Mapping[Any, Any], list[Any], list[Any], str]] = field(default_factory=list)
    lists: list[tuple[Any, list[Any], str]] = field(default_factory=list)
    slots: list[tuple[object, str, Any, str]] = field(default_factory=list)
    arrays: list[tuple[np.ndarray[Any, Any], Any, str]] = field(default_factory=list)
    contents: list[tuple[object, Reader, Any, str]] = field(default_factory=list)
    variables: list[tuple[ContextVar[Any], Any, str]] = field(default_factory=list)
    tensors: set[int] = field(default_factory=set)  # ids of all tensors in those places
    twice: set[int] = field(default_factory=set)  # of those that were found in two of them
    generators: list[tuple[Any, str]] = field(default_factory=list)  # of random numbers; no facts
    scopes: list[Any] = field(default_factory=list)  # dicts of attributes and globals, classes; no facts
    varying: set[str] = field(default_factory=set)  # clocks, files, ... that code names; no facts

    def codes(self) -> list[CodeType]:
        """The code of every function of the user's that was found."""
        return [value for _, name, value, _ in self.slots if name == "__code__"]

    def holds(self, thing: object) -> bool:
        """Whether the attributes of an object are facts."""
        return any(d is vars(thing) for d, *_ in self.dicts)

    def changed(self) -> Change | None:
        """The first fact that does not hold any more, in words; None if all hold."""
        for d, key, value, where in self.items:
            now = d.get(key, MISSING)
            if now is not value and not same(now, value):
                return _change(where, value, now)
        for cell, value, where in self.cells:
            now = held_by(cell)
            if now is not value and not same(now, value):
                return _change(where, value, now)
        for scope, keys, values, where in self.dicts:
            if len(scope) != len(keys) or not all(map(is_, scope.values(), values)) or list(scope) != keys:
                if list(scope) != keys:
                    named, old, new = where.rstrip("."), keys, list(scope)
                    if named.endswith("environ._data"):
                        named = named.removesuffix("._data")
                        old, new = ([os.fsdecode(key) for key in group] for group in (old, new))
                    return Change(f"{named} has other keys{_keys(old, new)}")
                for key, value, now in zip(keys, values, scope.values(), strict=True):
                    if not same(now, value):
                        return _change(_inside(where, key), value, now)
        for items, values, where in self.lists:
            if len(items) != len(values):
                text = f"{where} has {len(items)} items, had {len(values)}"
                return Change(text, where, f"{len(values)} items", f"{len(items)} items")
            if not all(map(is_, items, values)):
                for k, (value, now) in enumerate(zip(values, items, strict=True)):
                    if not same(now, value):
                        return _change(f"{where}[{k}]", value, now)
        for owner, name, value, where in self.slots:
            now = getattr(owner, name, MISSING)
            if now is not value and not same(now, value):
                return _change(where, value, now)
        for variable, value, where in self.variables:
            now = variable.get(MISSING)
            if now is not value and not same(now, value):
                return _change(where, value, now)
        for held, value, where in self.arrays:
            if not equal(content(held), value):
                return Change(f"the content of {where} changed")
        for owner, read, value, where in self.contents:
            if not equal(read(owner), value):
                return Change(f"the content of {where} changed")
        return None

    def name_of(self, thing: object) -> str | None:
        """Where something was found, in words."""
        return next((place.where for place, value, _ in self._places() if value is thing), None)

    def names(self, wanted: Container[int]) -> dict[int, str]:
        """The same of things whose ids are `wanted`. Each trace asks, so no places are made of it."""
        found: dict[int, str] = {}
        for owner, name, value, where in self.slots:
            if id(value) in wanted and _settable(owner, name):
                found[id(value)] = where
        for _, values, where in self.lists:
            found |= {id(v): f"{where}[{k}]" for k, v in enumerate(values) if id(v) in wanted}
        for _, keys, values, where in self.dicts:
            found |= {id(v): _inside(where, k) for k, v in zip(keys, values, strict=True) if id(v) in wanted}
        found |= {id(value): where for _, _, value, where in self.items if id(value) in wanted}
        return found | {id(value): where for _, value, where in self.cells if id(value) in wanted}

    def tells_types(self) -> bool:
        """Whether code may look at the exact type of a number, which is not that of what stands for one."""
        return any("type" in text_of(code).globals for code in self.codes())

    def moved(self) -> list[tuple[Place, Any, Any]]:
        """Places of numbers and tensors that hold another one now, of the same kind; the old and the new."""
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

    def open(self, ids: set[tuple[int, Any]], arguments: list[Any]) -> list[Place]:
        """The numbers and tensors in these places are no facts from here on. Tensors that are also elsewhere,
        or among the `arguments`, stay facts: who is who decides what a change of one is seen by."""
        if not ids:
            return []
        found = {}
        known = self.twice | set(map(id, arguments))
        for place, value, replace in self._places():
            kinds = _kinds(value)
            if kinds is None or place.id not in ids:
                continue
            held = {id(t) for t in tensors_in(value)}
            if held.isdisjoint(known) and len(held) in (0, len(kinds)):
                replace(Open(kinds, type(value) is tuple))
                found[place.id] = place
                self.tensors -= held
        return list(found.values())

    def _places(self) -> Iterator[tuple[Place, Any, Callable[[Any], None]]]:
        """Each place that holds a value, the value, and what puts another fact there."""
        for k, (cell, value, where) in enumerate(self.cells):
            yield Place(cell, None, where), value, partial(_put, self.cells, k, (cell,), (where,))
        for k, (d, key, value, where) in enumerate(self.items):
            if _as_dict(d):
                yield Place(d, key, where), value, partial(_put, self.items, k, (d, key), (where,))
        for scope, keys, values, where in self.dicts:
            if _as_dict(scope):
                for k, key in enumerate(keys):
                    yield Place(scope, key, _inside(where, key)), values[k], partial(values.__setitem__, k)
        for items, values, where in self.lists:
            if type(items) in INDEXED:
                for k, value in enumerate(values):
                    yield Place(items, k, f"{where}[{k}]"), value, partial(values.__setitem__, k)
        for k, (owner, name, value, where) in enumerate(self.slots):
            if _settable(owner, name):
                home = class_of(owner) or owner
                yield Place(home, name, where), value, partial(_put, self.slots, k, (owner, name), (where,))

    def take_back(self) -> tuple[list[tuple[Place, Any]], str | None]:
        """Puts the plain values back that have changed since: places that held another one, and what that is.
        With the first change of any other kind, in words: then nothing is put back."""
        if self.changed() is None:  # as nearly always
            return [], None
        found: list[tuple[Place, Any]] = []
        for place, value, _ in list(self._places()):
            try:
                now = place.get()
            except (LookupError, ValueError, AttributeError):
                continue
            if isinstance(now, PLAIN) and not same(now, value):
                found.append((place, now))
                place.put(value)
        rest = self.changed()
        for place, now in found if rest is not None else ():
            place.set(now)
        return found, rest

    def settle(self) -> None:
        """Numbers of a trace that was left behind anywhere become plain ones."""
        scopes = {id(d): d for d, *_ in (*self.items, *self.dicts) if isinstance(d, dict)}
        for scope in scopes.values():
            for key, value in list(scope.items()):
                if type(value) is Traced:
                    scope[key] = plain(value)
        for cell, *_ in self.cells:
            if type(found := held_by(cell)) is Traced:
                cell.cell_contents = plain(found)
        for items, *_ in self.lists:
            for k, value in enumerate(items if type(items) is list else ()):
                if type(value) is Traced:
                    items[k] = plain(value)

    def within_reach(self) -> list[tuple[Any, dict[Any, Any]]]:
        """Attributes, variables and items that a function may set, of all that was found: who has them, and
        what is there now."""
        owners = [d for d, *_ in (*self.items, *self.dicts) if _as_dict(d)] + self.scopes
        owners += [items for items, *_ in self.lists if type(items) in INDEXED]
        return [(owner, _held(owner)) for owner in {id(owner): owner for owner in owners}.values()]

    def reclaim(self, before: list[tuple[Any, dict[Any, Any]]]) -> tuple[list[tuple[Place, Any]], str | None]:
        """Places where a trace has left tensors, and what holds them; what was there is there again. And
        where it has left an object that it has made, in words: each call must make its own."""
        known = {id(owner) for owner, _ in before}  # their items are places
        found = []
        for owner, old in before:
            for key, now in () if _as_before(owner, old) else _held(owner).items():
                was = old.get(key, MISSING)
                if now is not was and id(now) not in known:
                    found += _left(Place(owner, key, str(key)), now, was)
        for place, now, was in self._apart(known):
            if type(was) is not Open and id(now) not in known:
                found += _left(place, now, was)
        for place, _, was in found:
            place.put(was)
        made = next((place.where for place, *_ in found if place.within), None)
        return [(place, now) for place, now, _ in found], made and f"{made} is in an object that is made anew"

    def _apart(self, known: set[int]) -> Iterator[tuple[Place, Any, Any]]:
        """Cells and slots that hold another thing than they did, and both; not of owners that are `known`."""
        for cell, was, where in self.cells:
            if (now := held_by(cell)) is not was:
                yield Place(cell, None, where), now, was
        for owner, name, was, where in self.slots:
            if (now := getattr(owner, name, MISSING)) is not was and _settable(owner, name):
                home = class_of(owner) or owner
                if id(home) not in known:
                    yield Place(home, name, where), now, was

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


def held_by(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return MISSING


def _settable(owner: object, name: str) -> bool:
    """Whether a slot is one that a function may leave something in."""
    return not name.startswith("__") or (name == "__defaults__" and type(owner) is FunctionType)


def _as_before(owner: Any, old: dict[Any, Any]) -> bool:
    """Whether an owner of places holds what it held, in the same places. As fast as can be: a module has
    hundreds."""
    if type(owner) in INDEXED:
        return len(owner) == len(old) and all(map(is_, owner, old.values()))
    now = vars(owner) if isinstance(owner, type) else owner
    return len(now) == len(old) and all(map(is_, now.values(), old.values())) and all(map(is_, now, old))


def _held(owner: Any) -> dict[Any, Any]:
    if isinstance(owner, type):
        return dict(vars(owner))
    return dict(enumerate(owner)) if type(owner) in INDEXED else dict(owner)


def _left(place: Place, now: Any, was: Any) -> list[tuple[Place, Any, Any]]:
    """The place, if it holds a tensor, or containers of some (that may hold each other); and what new objects
    there keep tensors of a trace in."""
    found, places, seen = [], [(place, now, was)], set[int]()
    for k, (where, value, before) in enumerate(places):  # grows
        parts, holds = [value], False
        for v in parts:  # grows
            if issubclass(type(v), Tensor):  # what it says its class is may not be asked
                holds |= k == 0 or v._trace is not None
            elif id(v) not in seen:
                seen.add(id(v))
                inner = inside(v)
                parts += inner or ()
                places += () if inner is not None else _kept_by(v, where.where)
        if holds:
            found.append((where, value, before))
    return found


def _kept_by(thing: Any, where: str) -> Iterator[tuple[Place, Any, Any]]:
    """Items and attributes of an object as places that were not there."""
    if _as_dict(thing):
        yield from ((Place(thing, k, f"{where}[{k!r}]", True), v, MISSING) for k, v in thing.items())
    scope = None if isinstance(thing, ModuleType | type | FunctionType) else getattr(thing, "__dict__", None)
    if type(scope) is dict:
        yield from ((Place(scope, k, f"{where}.{k}", True), v, MISSING) for k, v in scope.items())


def _change(where: str, value: object, now: object) -> Change:
    if (found := re.search(_VARIABLE, where)) is not None:  # of the environment, which holds bytes
        where = f"{where[: found.start()]}environ[{found[1]}]"
        value, now = (os.fsdecode(v) if isinstance(v, bytes) else v for v in (value, now))
    old, new = short(value), short(now)
    return Change.of(where, old, new if new != old else "another one")


def _keys(old: list[Any], new: list[Any]) -> str:
    """Which keys came and went, in words."""
    came, went = [k for k in new if k not in old], [k for k in old if k not in new]
    both = ((came, "came"), (went, "went"))
    parts = [f"{', '.join(map(repr, keys[:4]))} {did}" for keys, did in both if keys]
    return f": {', '.join(parts)}" if parts else ": in another order"


def _inside(where: str, key: object) -> str:
    """The item of a dict, in words; of one of attributes, the attribute."""
    return f"{where}{key}" if where.endswith(".") else f"{where}[{key!r}]"


def short(value: object) -> str:
    """What a place holds, in words."""
    if type(value) is Open:
        told = ", ".join(k.__name__ if isinstance(k, type) else _told(*k) for k in value.kinds)
        return f"a tuple of {told}" if value.several else f"a {told}"
    if isinstance(value, Tensor):
        return f"a {_told(value._node.type, value._requires_grad)}"
    plain = isinstance(value, (*PLAIN, type(MISSING)))
    plain |= type(value) is tuple and all(isinstance(v, PLAIN) for v in value)
    text = repr(value) if plain else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:57]}..."


def _told(kind: TensorType, differentiable: bool) -> str:
    return f"tensor of {kind}{', differentiable' if differentiable else ''}"


class ClassScope:
    """Reads a class's own attributes as they stand in it, functions unbound."""

    __slots__ = ("_class", "_scope")

    def __init__(self, cls: type) -> None:
        object.__setattr__(self, "_class", cls)
        object.__setattr__(self, "_scope", vars(cls))

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, "_scope").get(name, MISSING)


def class_of(owner: object) -> type | None:
    """The class, where the owner of a slot is one."""
    return object.__getattribute__(owner, "_class") if type(owner) is ClassScope else None


def class_dict(owner: object) -> dict[str, Any] | None:
    """The dict of the class, where the owner of a slot is one."""
    if type(owner) is not ClassScope:
        return None
    return behind(object.__getattribute__(owner, "_scope"))


def behind(proxy: MappingProxyType[Any, Any]) -> dict[Any, Any] | None:
    """The dict that a proxy shows, if it is one."""
    found = gc.get_referents(proxy)
    return found[0] if len(found) == 1 and type(found[0]) is dict else None
