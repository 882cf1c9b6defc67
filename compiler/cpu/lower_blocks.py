"""Walks along rows: a long one goes block by block, in the order in which a flat kernel goes.

for %blk in 0 .. %n step BLOCK                        block b is added to lane b mod L of working memory,
  for %j in %blk .. %hi step 64 vector                whose lanes are halved in the end
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.layout import part_name
from ..ir.loop import Imm, Operand, Store
from ..ir.types import i64
from ..order import BLOCK, lanes
from .lower import Chunk, Lowering
from .schedule import Schedule


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
        return walk(x, axes[0], inits, reduces, lambda u, carried: x.body(stage, u, reduces, carried), stream)
    extent = x.extent(axes[0].extent)
    with x.b.loop(Imm(0, i64), extent, 1, "serial", inits) as body:
        x.open(x.levels[-1].axes | {axes[0].name})
        x.at[axes[0].name] = body.var
        x.hoist(stage, x.levels[-1])
        body.yields = nest(x, stage, axes[1:], body.carried, reduces, stream)
        x.levels.pop()
    del x.at[axes[0].name]
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
        return x.vectors(axis.name, Imm(0, i64), extent, inits, chunk, stream)
    places = [(b.fresh(r.dtype, 1, "blocks").name, r) for r in reduces]
    for (name, r), group in zip(places, x.split(reduces, inits), strict=True):
        b.alloc(name, r.dtype, lanes(r.dtype))
        for u, vector in enumerate(group):
            b.emit(Store(name, Imm(u * width, i64), vector))
    with b.loop(Imm(0, i64), extent, BLOCK, "serial") as block:
        hi = x.minimum(b.op("add", block.var, Imm(BLOCK, i64)), extent)
        ends = x.vectors(axis.name, block.var, hi, x.accumulators(reduces), chunk, stream)
        number = b.op("div", block.var, Imm(BLOCK, i64))
        for (name, r), group in zip(places, x.split(reduces, ends), strict=True):
            at = b.op("and", number, Imm(lanes(r.dtype) - 1, i64))
            old = b.load(name, r.dtype, at)
            b.emit(Store(name, at, x.combine(r.op, old, x.halve(r.op, group))))
    return tuple(
        b.load(name, r.dtype, Imm(u * width, i64), width) for name, r in places for u in range(x.count(r))
    )


def fold(x: Lowering, reduce: k.Reduce, lo: Operand, hi: Operand) -> Operand:
    """The results of blocks from lo to hi, by the rule of a block."""
    plain = k.Reduce(reduce.name, reduce.op, (), reduce.dtype, "all")
    step = x.schedule
    x.schedule = Schedule(step.mode, step.width, max(step.width, lanes(reduce.dtype)))

    def chunk(u: int, carried: list[Operand]) -> list[Operand]:
        value = x.b.load(part_name(reduce.name), reduce.dtype, x.at["blk"], step.width, None, x.mask)
        new = x.combine(reduce.op, carried[u], value)
        carried[u] = new if x.mask is None else x.b.op("select", x.mask, new, carried[u])
        return carried

    ends = x.vectors("blk", lo, hi, x.accumulators([plain]), chunk)
    x.schedule = step
    return x.halve(reduce.op, list(ends))
