"""Where a kernel touches its arrays, as far as its text tells: what may be written over what hangs on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from ..cpu.schedule import Numbers, row_caches
from ..ir import kernel as k
from ..ir.data import data

Place = tuple[int, tuple[k.Index, ...], bool]
"""The stage, the subscripts, and whether these may be others: guarded, or values."""


@data
class Touches:
    """By array: where it is read; where, but for loads of which the value waits in a row of an output; where
    it is written; and the first stage from which on a row of this output may hold such a value."""

    loads: Mapping[str, Set[Place]]
    again: Mapping[str, Set[Place]]
    stores: Mapping[str, Place]
    begins: Mapping[str, int]


def touches(kernel: k.Kernel) -> Touches:
    numbers = Numbers(kernel)
    caches = row_caches(kernel, numbers)
    kept = {(cache.last, cache.value) for cache in caches}
    loads: dict[str, set[Place]] = {}
    again: dict[str, set[Place]] = {} if caches else loads
    stores: dict[str, Place] = {}
    begins: dict[str, int] = {}

    def evaluated(expr: k.Expr, stage: int) -> Iterator[k.Expr]:
        if isinstance(expr, k.Call) and (stage, numbers(expr)) in kept:
            return
        yield expr
        for part in k.parts(expr):
            yield from evaluated(part, stage)

    for number, stage in enumerate(kernel.stages + kernel.final):
        for stmt in stage.body:
            if isinstance(stmt, k.Store | k.Scan | k.Sort):
                merges = isinstance(stmt, k.Sort) and stmt.merges  # of which a part reads of all runs
                stores[stmt.array] = number, stmt.index, merges
            elif isinstance(stmt, k.Scatter):
                stores[stmt.array] = number, (), True
            for operand in k.operands(stmt):
                _add(loads, number, k.walk(operand))
                if caches:
                    _add(again, number, evaluated(operand, number))
    for cache in caches:
        name = cache.store.array
        begins[name] = min(cache.first, begins.get(name, cache.first))
    return Touches(loads, again, stores, begins)


def _add(found: dict[str, set[Place]], number: int, exprs: Iterable[k.Expr]) -> None:
    for e in exprs:
        if isinstance(e, k.Load):
            found.setdefault(e.array, set()).add((number, e.index, bool(e.guards)))
        elif isinstance(e, k.Pick):
            found.setdefault(e.array, set()).add((number, (), True))  # anywhere
