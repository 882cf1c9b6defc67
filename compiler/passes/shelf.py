"""General plans as bytes, for processes to come: what `template.py` makes without running the passes. The key
is made of all that the passes look at.

Numbers, bytes and sequences are as `marshal` writes them (in its second version, which writes equal values
equally): JSON takes a sixth of a first call to import. A record is {its name: (its fields)}, a kernel the
number of its canonical text, which decides its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from marshal import dumps, loads
from typing import Any

from ..ir.artifact import Code, Hole
from ..ir.size import Noted
from ..ir.types import DTYPES, DType
from ..ops import REGISTRY
from .template import RECORDS, General, Number, Outline

# Ops whose records no user has made: of these every process has the same.
OWN = frozenset(map(id, REGISTRY.values()))
_VERSION = 2
_NAMES: dict[type, str] = {record: record.__name__ for record in (*RECORDS, Number, Hole, Noted)}


def name(outlined: Outline, beside: Sequence[object]) -> str | None:
    """The key for what the passes make of a graph, and of what they are told `beside` it. None where there is
    something in it that is no plain value."""
    if not all(id(node.op) in OWN for node in outlined.order):
        return None
    key: Any = outlined.key, *beside
    try:
        return dumps(key, _VERSION).decode("latin-1")
    except ValueError:
        return None


def write(general: General, before: bytes, most: int) -> bytes:
    """A plan, and those that were there `before`, the latest first, `most` in all; each of three parts:
    kernels, what they are bound to, and what only other sizes need."""
    codes: dict[str, tuple[int, Code]] = {}

    def plain(value: Any) -> Any:
        kind = type(value)
        if kind is tuple or kind is list:
            return kind([plain(v) for v in value])
        if kind is Code:
            return {"Code": codes.setdefault(value.key, (len(codes), value))[0]}
        if kind is DType:
            return {"DType": value.name}
        if kind in _NAMES:
            return {_NAMES[kind]: tuple([plain(getattr(value, field)) for field in value.__match_args__])}
        return value

    *fields, others = [getattr(general, field) for field in general.__match_args__]
    parts = [dumps(plain(part), _VERSION) for part in (fields, others())]
    texts = [(code.key, code.name, code.finish) for _, code in codes.values()]
    return dumps(((texts, *parts), *_kept(before))[:most], _VERSION)


def read(content: bytes, code: Callable[[str, str, bool], Code]) -> Iterator[General]:
    """The plans of what `write` gave, one by one. `code`: that of a key, of which the name and whether it has
    a `finish` are told. ValueError."""
    try:
        for texts, made, others in _kept(content):
            yield _general([code(*told) for told in texts], made, others)
    except (KeyError, IndexError, TypeError, EOFError) as error:
        raise ValueError(f"no general plan: {error}") from None


def _kept(content: bytes) -> tuple[Any, ...]:
    """The parts of each plan; none where the content is damaged."""
    try:
        found = loads(content)
    except (ValueError, TypeError, EOFError):
        return ()
    return found if type(found) is tuple else ()


def _general(codes: list[Code], made: bytes, others: bytes) -> General:
    makers: dict[str, Callable[[Any], Any]] = {
        "Code": codes.__getitem__,
        "DType": DTYPES.__getitem__,
        **{named: _maker(record) for record, named in _NAMES.items()},
    }

    def found(value: Any) -> Any:
        kind = type(value)
        if kind is tuple or kind is list:
            return kind([found(v) for v in value])
        if kind is dict:
            ((named, content),) = value.items()
            return makers[named](found(content))
        return value

    sizes, symbols, varying, taken, spared, picks, numbers, plan = found(loads(made))
    return General(sizes, symbols, varying, taken, spared, picks, numbers, plan, lambda: found(loads(others)))


def _maker(record: type) -> Callable[[Sequence[Any]], Any]:
    return lambda fields: record(*fields)
