"""Walks along rows: a long one goes block by block, in the order in which a flat kernel goes.

for %blk in 0 .. %n step BLOCK                        block b is added to lane b mod L of working memory,
  for %j in %blk .. %hi step 64 vector                whose lanes are halved in the end
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.data import replace
from ..ir.loop import ZERO, Operand
from ..ops.folds import Acc
from ..order import BLOCK, lanes
from .lower import Chunk, Lowering
from .lower_cases import by_cases


def nest(
    x: Lowering,
    stage: k.Stage,
    axes: tuple[k.Axis, ...],
    reduces: list[k.Reduce],
    stream: Operand | None = None,
) -> None:
    """The loops over the inner axes of a stage, which add up its reductions."""
    extent = x.extent(axes[0].extent)
    if len(axes) == 1:
        if not by_cases(x, stage, axes[0].name, ZERO, extent, stream):
            dear = x.dear(axes[0].name, [x.number])
            walk(x, axes[0], reduces, lambda u: x.body(stage, u), stream, dear)
        return
    with x.loop(0, extent, 1, "serial") as body, x.scope(axes[0].name) as level:
        x.at[axes[0].name] = body.var
        x.hoist(stage, level)
        nest(x, stage, axes[1:], reduces, stream)


def walk(
    x: Lowering, axis: k.Axis, reduces: list[k.Reduce], chunk: Chunk, stream: Operand | None, dear: bool
) -> None:
    """Along all of an axis, whose reductions add up lanes, or those of their blocks."""
    b, extent, width = x.b, x.extent(axis.extent), x.schedule.width
    if not axis.long or not reduces:
        x.vectors(axis.name, ZERO, extent, chunk, stream, dear)
        return
    places = [[b.fresh(dtype, 1, "blocks").name for dtype in r.dtypes] for r in reduces]
    for r, place in zip(reduces, places, strict=True):
        for name, dtype in zip(place, r.dtypes, strict=True):
            b.alloc(name, dtype, lanes(*r.dtypes))
        for u, acc in enumerate(x.sums[r.names]):
            x.save(place, u * width, acc, r.loc)
    with b.loop(0, extent, BLOCK, "serial") as block:
        hi = x.minimum(block.var + BLOCK, extent)
        with x.adding(x.accumulators(reduces)) as sums:
            x.vectors(axis.name, block.var, hi, chunk, stream, dear)
        number = block.var // BLOCK
        for r, place in zip(reduces, places, strict=True):
            with b.at(r.loc):
                at = number & (lanes(*r.dtypes) - 1)
                total = x.merge(r.op, x.saved(place, r, at), x.halve(r.op, sums[r.names]))
                x.save(place, at, total, r.loc)
    for r, place in zip(reduces, places, strict=True):
        x.sums[r.names][:] = [x.saved(place, r, u * width, width) for u in range(x.count(r))]


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

    def chunk(u: int) -> None:
        for x.number, stage in enumerate(stages):
            x.body(stage, u)

    x.number = 0
    if len(stages) == 1 and by_cases(x, stages[0], axis, lo, hi, stream):
        return
    with x.adding(x.accumulators(reduces)) as sums:
        x.vectors(axis, lo, hi, chunk, stream, x.dear(axis, range(len(stages))))
    for reduce in reduces:
        with x.b.at(reduce.loc):
            x.store_parts(reduce, number, x.halve(reduce.op, sums[reduce.names]))


def fold(x: Lowering, reduce: k.Reduce, lo: Operand, hi: Operand) -> Acc:
    """The results of blocks from lo to hi, by the rule of a block."""
    b, step = x.b, x.schedule
    x.schedule = replace(step, step=max(step.width, lanes(*reduce.dtypes)))

    def chunk(u: int) -> None:
        group = x.sums[reduce.names]
        value = x.load_parts(reduce, x.at["blk"], step.width, x.mask)
        group[u] = x.wide(x.merge(reduce.op, group[u], value), group[u], x.mask)

    with b.at(reduce.loc):
        with x.adding(x.accumulators([reduce])) as sums:
            x.vectors("blk", lo, hi, chunk)
        x.schedule = step
        return x.halve(reduce.op, sums[reduce.names])
