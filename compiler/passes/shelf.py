"""General plans as text, for processes to come: what `template.py` makes without running the passes. The key
is the text of all that the passes look at.

JSON: numbers and sequences of them as they are, a record as {its name: [its fields]}, a kernel as its
canonical text, which decides its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from ..ir.artifact import Code, Hole
from ..ir.size import Noted
from ..ir.types import DTYPES, DType
from ..ops import REGISTRY
from .template import RECORDS, General, Number, Outline

# Ops whose records no user has made: of these every process has the same.
OWN = frozenset(map(id, REGISTRY.values()))


def name(outlined: Outline, beside: Sequence[object]) -> str | None:
    """The key for what the passes make of a graph, and of what they are told `beside` it. None where there is
    something in it that its text does not tell."""
    from json import dumps  # who has met all graphs needs none of it

    if not all(id(node.op) in OWN for node in outlined.order):
        return None
    try:
        return dumps((outlined.key, *beside), default=_named)
    except TypeError:
        return None


def _named(value: object) -> dict[str, str]:
    if isinstance(value, DType):
        return {"DType": value.name}
    raise TypeError(f"{type(value).__name__} has no text here")


_NAMES = {record: record.__name__ for record in (*RECORDS, Number, Hole, Noted)}


def write(general: General, before: str, most: int) -> str:
    """A plan, and those that were there `before`, the latest first, `most` in all; each three lines: kernels,
    what they are bound to, and what only other sizes need."""
    from json import dumps

    codes: dict[str, tuple[int, Code]] = {}

    def named(value: Any) -> dict[str, Any]:
        if isinstance(value, Code):
            return {"Code": codes.setdefault(value.key, (len(codes), value))[0]}
        if isinstance(value, bytes):
            return {"bytes": value.hex()}
        if isinstance(value, frozenset):
            return {"frozenset": sorted(value)}
        if type(value) in _NAMES:
            return {_NAMES[type(value)]: [getattr(value, field) for field in value.__match_args__]}
        return _named(value)

    *fields, others = [getattr(general, field) for field in general.__match_args__]
    lines = [dumps(part, default=named, separators=(",", ":")) for part in (fields, others())]
    texts = [(code.key, code.name, code.finish) for _, code in codes.values()]
    return "\n".join([dumps(texts), *lines, *before.splitlines()[: 3 * most - 3]])


def read(text: str, code: Callable[[str, str, bool], Code]) -> Iterator[General]:
    """The plans of a text, one by one. `code`: that of a key, of which the name and whether it has a `finish`
    are told. ValueError."""
    from json import loads

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

    lines = text.splitlines()
    for texts, made, others in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        try:
            codes = [code(*told) for told in loads(texts)]
            sizes, symbols, varying, taken, spared, picks, numbers, plan = loads(made, object_hook=record)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"no general plan: {error}") from None
        rest = partial(loads, others, object_hook=record)
        yield General(tuple(sizes), symbols, varying, taken, spared, tuple(picks), numbers, plan, rest)


def _maker(record: type) -> Callable[[list[Any]], Any]:
    if record is Noted:  # numbers and sequences of any kind
        return lambda fields: record(*fields)
    return lambda fields: record(*[_tuples(field) for field in fields])


def _tuples(value: Any) -> Any:
    return tuple([_tuples(v) for v in value]) if isinstance(value, list) else value
