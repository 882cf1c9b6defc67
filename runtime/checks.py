"""What a native call relies on, beyond the arrays: facts about arguments and objects.

Each function here gives a fact as it is now (or should be); a call that finds it changed goes to
Python. Objects are compared by identity.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from types import CellType, FunctionType
from typing import Any

from lucid.compiler.ir.data import data

from . import call_layout as layout
from .address import direct, word


@data
class Argument:
    """Positional argument number `number`."""

    number: int


@data
class Bits:
    """A word that is no object."""

    word: int


@data(eq=False)
class Objects:
    """A table of objects, or Bits."""

    objects: tuple[object, ...]


class Missing:
    """Stands for no value."""


MISSING = Missing()


@data(eq=False)
class Check:
    """`place` is an object or an Argument; `key` and `want` are Bits, Objects, an object or MISSING,
    as the kind has it."""

    kind: int
    place: object
    key: object
    want: object


def same(place: object, thing: object) -> Check:
    """The place holds this very object."""
    return Check(layout.IS, place, MISSING, thing)


def of_type(place: object, kind: type) -> Check:
    """The place holds an object of exactly this type."""
    return Check(layout.OF_TYPE, place, MISSING, kind)


def slot(place: object, offset: int, thing: object) -> Check:
    """The slot, `offset` bytes into the object, holds this very object, or those `Bits`, or
    nothing if that is MISSING."""
    return Check(layout.SLOT, place, Bits(offset), thing)


def cell(place: CellType, thing: object) -> Check:
    """The cell holds this very object; nothing if that is MISSING."""
    return slot(place, 8 * layout.CELL, thing)


def function_slot(function: FunctionType, name: str) -> Check | None:
    """`__code__`, `__defaults__` or `__kwdefaults__` of the function is what it is now; None if that is
    not found in memory. (Reading these attributes costs 200 instructions each: Python audits it.)"""
    offset, value = _function_offset(name), getattr(function, name)
    if offset is None or word(function, offset // 8) != (0 if value is None else id(value)):
        return None
    return slot(function, offset, MISSING if value is None else value)


@functools.cache
def _function_offset(name: str) -> int | None:
    """Bytes from a function to what it has under this name."""

    def probe(a: object = id, *, b: object = id) -> object:
        return a or b

    if not direct() or name not in ("__code__", "__defaults__", "__kwdefaults__"):
        return None
    words = range(FunctionType.__basicsize__ // 8)
    return next((8 * k for k in words if word(probe, k) == id(getattr(probe, name))), None)


def distinct(arguments: Sequence[int], ids: Sequence[int]) -> Check:
    """These arguments are objects of their own, and none has one of these ids.

    The words: a mask, the arguments, room for as many, and a table that is at most half full, in which the
    ids stand. Native code looks the arguments up in it, and has each stand there until it is done."""
    mask = (1 << (2 * (len(arguments) + len(ids)) - 1).bit_length()) - 1
    table = [0] * (mask + 1)
    for address in ids:
        place = (address >> 4) & mask
        while table[place]:
            place = (place + 1) & mask
        table[place] = address
    words = (mask, *arguments, *[0] * len(arguments), *table)
    return Check(layout.DISTINCT, None, Bits(len(arguments)), Objects(tuple(map(Bits, words))))


def item(mapping: dict[Any, Any], key: object, thing: object) -> Check:
    """The dict has this very object under `key`; nothing if that is MISSING."""
    return Check(layout.ITEM, mapping, key, thing)


def pairs(mapping: dict[Any, Any]) -> Check:
    """The dict has the items that it has now, in this order."""
    flat = tuple(x for pair in mapping.items() for x in pair)
    return Check(layout.PAIRS, mapping, Bits(len(mapping)), Objects(flat))


def items(values: list[Any]) -> Check:
    """The list has the items that it has now."""
    return Check(layout.ITEMS, values, Bits(len(values)), Objects(tuple(values)))


def attribute(thing: object, name: str, value: object) -> Check:
    """The object has this very value as an attribute."""
    return Check(layout.ATTRIBUTE, thing, name, value)


def call(question: Callable[[], object]) -> Check:
    """The function returns None. It is Python code: slow."""
    return Check(layout.CALL, question, MISSING, None)


def context(variable: ContextVar[Any], values: tuple[object, ...]) -> Check:
    """The variable, always a tuple, has these very items."""
    return Check(layout.CONTEXT, variable, Bits(len(values)), Objects(values))


def variable(thing: ContextVar[Any]) -> Check:
    """The context variable has the value that it has now, or none."""
    try:
        return Check(layout.VARIABLE, thing, MISSING, thing.get())
    except LookupError:
        return Check(layout.VARIABLE, thing, MISSING, MISSING)
