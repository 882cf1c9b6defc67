"""Walks along rows: a long one goes block by block, in the order in which a flat kernel goes.

for %blk in 0 .. %n step BLOCK                        block b is added to lane b mod L of working memory,
  for %j in %blk .. %hi step 64 vector                whose lanes are halved in the end
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.data import replace
from ..ir.loop import ZERO, Imm, Operand, Value
from ..ir.types import i64
from ..ops.folds import Acc
from ..order import BLOCK, lanes
from .lower import Chunk, Lowering
from .lower_cases import by_cases


def nest(
    x: Lowering,
    stage: k.Stage,
    axes: tuple[k.Axis, ...],
    inits: tuple[Operand, ...],
    reduces: list[k.Reduce],
    stream: Operand | None = None,
) -> tuple[Operand, ...]:
    """The loops over the inner axes of a stage; the lanes of its reductions."""
    if len(axes) == 1:
        if by_cases(x, stage, axes[0].name, ZERO, x.extent(axes[0].extent), stream):
            return inits
        return walk(x, axes[0], inits, reduces, lambda u, carried: x.body(stage, u, reduces, carried), stream)
    extent = x.extent(axes[0].extent)
    with x.b.loop(0, extent, 1, "serial", inits) as body, x.scope(axes[0].name) as level:
        x.at[axes[0].name] = body.var
        x.hoist(stage, level)
        body.yields = nest(x, stage, axes[1:], body.carried, reduces, stream)
    return body.results


def walk(
    x: Lowering,
    axis: k.Axis,
    inits: tuple[Operand, ...],
    reduces: list[k.Reduce],
    chunk: Chunk,
    stream: Operand | None = None,
) -> tuple[Operand, ...]:
    """Along all of an axis; the lanes of the reductions, or of their blocks."""
    b, extent, width = x.b, x.extent(axis.extent), x.schedule.width
    if not axis.long or not reduces:
        return x.vectors(axis.name, ZERO, extent, inits, chunk, stream)
    places = [tuple(b.fresh(dtype, 1, "blocks") for dtype in r.dtypes) for r in reduces]
    for r, place, group in zip(reduces, places, x.split(reduces, inits), strict=True):
        for state in place:
            b.alloc(state.name, state.dtype, lanes(*r.dtypes))
        with b.at(r.loc):
            for u, acc in enumerate(group):
                put(x, place, Imm(u * width, i64), acc)
    with b.loop(0, extent, BLOCK, "serial") as block:
        hi = x.minimum(block.var + BLOCK, extent)
        ends = x.vectors(axis.name, block.var, hi, x.accumulators(reduces), chunk, stream)
        number = block.var // BLOCK
        for r, place, group in zip(reduces, places, x.split(reduces, ends), strict=True):
            with b.at(r.loc):
                at = number & (lanes(*r.dtypes) - 1)
                put(x, place, at, x.merge(r.op, get(x, place, at), x.halve(r.op, group)))
    return tuple(
        v
        for r, place in zip(reduces, places, strict=True)
        for u in range(x.count(r))
        for v in get(x, place, Imm(u * width, i64), width)
    )


def block_of(
    x: Lowering,
    stages: tuple[k.Stage, ...],
    axis: str,
    lo: Operand,
    hi: Operand,
    reduces: list[k.Reduce],
    number: Operand,
    stream: Operand | None,
) -> None:
    """The first stages from lo to hi of an axis, and what block `number` has of their reductions."""

    def chunk(u: int, carried: list[Operand]) -> list[Operand]:
        for x.number, stage in enumerate(stages):
            carried = x.body(stage, u, reduces, carried)
        return carried

    x.number = 0
    if len(stages) == 1 and by_cases(x, stages[0], axis, lo, hi, stream):
        return
    ends = x.vectors(axis, lo, hi, x.accumulators(reduces), chunk, stream)
    for reduce, group in zip(reduces, x.split(reduces, ends), strict=True):
        with x.b.at(reduce.loc):
            x.store_parts(reduce, number, x.halve(reduce.op, group))


def put(x: Lowering, place: tuple[Value, ...], at: Operand, acc: Acc) -> None:
    """An accumulator into working memory: `place` names that of each state."""
    for state, value in zip(place, acc, strict=True):
        x.b.store(state.name, at, value, loc=x.b.loc)


def get(x: Lowering, place: tuple[Value, ...], at: Operand, lanes: int = 1) -> Acc:
    return tuple(x.b.load(state.name, state.dtype, at, lanes) for state in place)


def fold(x: Lowering, reduce: k.Reduce, lo: Operand, hi: Operand) -> Acc:
    """The results of blocks from lo to hi, by the rule of a block."""
    b, step = x.b, x.schedule
    x.schedule = replace(step, step=max(step.width, lanes(*reduce.dtypes)))

    def chunk(u: int, carried: list[Operand]) -> list[Operand]:
        (group,) = x.split([reduce], tuple(carried))
        value = x.load_parts(reduce, x.at["blk"], step.width, x.mask)
        group[u] = x.wide(x.merge(reduce.op, group[u], value), group[u], x.mask)
        return [v for acc in group for v in acc]

    with b.at(reduce.loc):
        ends = x.vectors("blk", lo, hi, x.accumulators([reduce]), chunk)
        x.schedule = step
        (group,) = x.split([reduce], ends)
        return x.halve(reduce.op, group)
