"""General plans as text, for processes to come: what `template.py` makes without running the passes. The key
is made of all that the passes look at.

JSON: numbers and sequences of them as they are, a record as {its name: [its fields]}, a kernel as its
canonical text, which decides its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from marshal import dumps as plain
from types import SimpleNamespace
from typing import Any

from ..ir.artifact import Code, Hole
from ..ir.size import Noted
from ..ir.types import DTYPES, DType
from ..ops import REGISTRY
from .template import RECORDS, General, Number, Outline

# Ops whose records no user has made: of these every process has the same.
OWN = frozenset(map(id, REGISTRY.values()))
_NAMES: dict[type, str] = {record: record.__name__ for record in (*RECORDS, Number, Hole, Noted)}


def name(outlined: Outline, beside: Sequence[object]) -> str | None:
    """The key for what the passes make of a graph, and of what they are told `beside` it. None where there is
    something in it that is no plain value."""
    if not all(id(node.op) in OWN for node in outlined.order):
        return None
    key: Any = outlined.key, *beside
    try:
        return plain(key, 2).decode("latin-1")  # this version writes equal values equally; nobody reads it
    except ValueError:
        return None


def write(general: General, before: bytes, most: int) -> bytes:
    """A plan, and those that were there `before`, the latest first, `most` in all; each three lines: kernels,
    what they are bound to, and what only other sizes need."""
    from json import dumps  # who has met all graphs needs none of it

    codes: dict[str, tuple[int, Code]] = {}

    def named(value: Any) -> dict[str, Any]:
        kind = type(value)
        if kind is Code:
            return {"Code": codes.setdefault(value.key, (len(codes), value))[0]}
        if kind is DType:
            return {"DType": value.name}
        if kind is bytes:
            return {"bytes": value.hex()}
        if kind is frozenset:
            return {"frozenset": sorted(value)}
        return {_NAMES[kind]: [getattr(value, field) for field in value.__match_args__]}

    *fields, others = [getattr(general, field) for field in general.__match_args__]
    lines = [dumps(part, default=named, separators=(",", ":")) for part in (fields, others())]
    texts = [(code.key, code.name, code.finish) for _, code in codes.values()]
    return b"\n".join([*map(str.encode, (dumps(texts), *lines)), *before.splitlines()[: 3 * most - 3]])


def read(content: bytes, code: Callable[[str, str, bool], Code]) -> Iterator[General]:
    """The plans of what `write` gave, one by one. `code`: that of a key, of which the name and whether it has
    a `finish` are told. ValueError."""
    codes: list[Code] = []
    makers: dict[str, Callable[[Any], Any]] = {
        "Code": lambda number: codes[number],
        "DType": DTYPES.__getitem__,
        "bytes": bytes.fromhex,
        "frozenset": frozenset,
        **{named: _maker(record) for record, named in _NAMES.items()},
    }

    def record(found: dict[str, Any]) -> Any:
        ((named, value),) = found.items()
        return makers[named](value)

    def loaded(line: bytes) -> Any:
        try:
            value, end = scan(line.decode("ascii"), 0)
        except (LookupError, TypeError, AttributeError, StopIteration, RecursionError, SystemError) as error:
            raise ValueError(f"no general plan: {error}") from None
        if end != len(line):
            raise ValueError("no general plan: more than one value")
        return value

    scan = _scanner(record)
    lines = content.splitlines()
    for texts, made, others in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        try:
            codes = [code(*told) for told in loaded(texts)]
            sizes, symbols, varying, taken, spared, picks, numbers, plan = loaded(made)
        except TypeError as error:
            raise ValueError(f"no general plan: {error}") from None
        rest = partial(loaded, others)
        yield General(tuple(sizes), symbols, varying, taken, spared, tuple(picks), numbers, plan, rest)


def _maker(record: type) -> Callable[[list[Any]], Any]:
    if record is Noted:  # numbers and sequences of any kind
        return lambda fields: record(*fields)
    return lambda fields: record(*[_tuples(field) for field in fields])


def _tuples(value: Any) -> Any:
    return tuple([_tuples(v) for v in value]) if isinstance(value, list) else value


def _scanner(record: Callable[[dict[str, Any]], Any]) -> Callable[[str, int], tuple[Any, int]]:
    """JSON's, without the regular expressions around it: 1.4 of some 10 ms of a first call. In damaged text
    it may raise SystemError, as the class of its errors is in what is not imported."""
    numbers = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
    asked = SimpleNamespace(strict=True, object_hook=record, object_pairs_hook=None, parse_int=int)
    asked.parse_float, asked.parse_constant = float, numbers.__getitem__
    scan: Callable[[str, int], tuple[Any, int]]
    try:
        scan = import_module("_json").make_scanner(asked)
    except (ImportError, AttributeError):  # another interpreter than CPython
        scan = import_module("json").JSONDecoder(object_hook=record).scan_once
    return scan
