"""Guards: what else a compiled function depends on, beyond its arguments.

Facts, by the kind of place that holds them (this cell holds that object; this list has those items), found
by a walk before a function is traced (walk.py). A call whose guards still hold may use the trace; else the
function is traced again. Facts are compared by identity, then, for numbers, strings and tuples of them, by
value.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from operator import is_
from types import CellType, CodeType, FunctionType, MappingProxyType
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data, field

from .codes import text_of
from .contents import COPIED, Reader, content, equal
from .errors import TraceError, here, warn_user
from .tape import Traced, plain
from .tensor import Tensor

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype)


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
    """Where a number is found: a key of a dict, an index of a list, a cell, a slot of an object, an attribute
    of a class, the defaults of a function."""

    owner: Any
    key: Any
    where: str

    def get(self) -> Any:
        if type(self.owner) is CellType:
            return self.owner.cell_contents
        if isinstance(self.owner, type):
            return vars(self.owner)[self.key]  # not what it inherits
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
    return isinstance(a, PLAIN) and bool(a == b or (a != a and b != b))


@data(frozen=False)
class Guards:
    """Facts, by the kind of place that holds them."""

    cells: list[tuple[CellType, Any, str]] = field(default_factory=list)
    items: list[tuple[dict[Any, Any], Any, Any, str]] = field(default_factory=list)
    dicts: list[tuple[Mapping[Any, Any], list[Any], list[Any], str]] = field(default_factory=list)
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

    def holds(self, thing: object) -> bool:
        """Whether the attributes of an object are facts."""
        return any(d is vars(thing) for d, *_ in self.dicts)

    def changed(self) -> str | None:
        """The first fact that does not hold any more, in words; None if all hold."""
        for d, key, value, where in self.items:
            now = d.get(key, MISSING)
            if now is not value and not same(now, value):
                return f"{where} changed from {_short(value)} to {_short(now)}"
        for cell, value, where in self.cells:
            now = held_by(cell)
            if now is not value and not same(now, value):
                return f"{where} changed from {_short(value)} to {_short(now)}"
        for scope, keys, values, where in self.dicts:
            if len(scope) != len(keys) or not all(map(is_, scope.values(), values)) or list(scope) != keys:
                if list(scope) != keys:
                    return f"{where} has other keys"
                for key, value, now in zip(keys, values, scope.values(), strict=True):
                    if not same(now, value):
                        return f"{where}.{key} changed from {_short(value)} to {_short(now)}"
        for items, values, where in self.lists:
            if len(items) != len(values):
                return f"{where} has {len(items)} items, had {len(values)}"
            if not all(map(is_, items, values)) and not all(map(same, items, values)):
                return f"an item of {where} changed"
        for owner, name, value, where in self.slots:
            now = getattr(owner, name, MISSING)
            if now is not value and not same(now, value):
                return f"{where} changed from {_short(value)} to {_short(now)}"
        for variable, value, where in self.variables:
            now = variable.get(MISSING)
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
        return any("type" in text_of(code).globals for code in self.codes())

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
        for scope, keys, values, where in self.dicts:
            if type(scope) is dict:
                for k, key in enumerate(keys):
                    yield Place(scope, key, f"{where}.{key}"), values[k], partial(values.__setitem__, k)
        for items, values, where in self.lists:
            if type(items) is list:
                for k, value in enumerate(values):
                    yield Place(items, k, f"{where}[{k}]"), value, partial(values.__setitem__, k)
        for k, (owner, name, value, where) in enumerate(self.slots):
            if not name.startswith("__") or (name == "__defaults__" and type(owner) is FunctionType):
                home = class_of(owner) or owner
                yield Place(home, name, where), value, partial(_put, self.slots, k, (owner, name), (where,))

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
            if not same(now, value) and isinstance(now, PLAIN):
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
            if old[place.id][1] is MISSING:
                return False
            place.set(old[place.id][1])
        return True

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


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        return "a tensor" if value is not MISSING else "nothing"
    text = repr(value) if isinstance(value, (*PLAIN, type(MISSING))) else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:57]}..."


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
