"""Flat sums by a team of warps: each has a part of a turn's elements on their way from memory, and they add
them up one warp after the other, as the order of a block asks.

for block (parallel):
  for turn of 8 warps x 16 vectors:
    terms = the vectors of this warp, computed; what is stored of them is stored
    for warp in 0 .. 8:  once, in that warp:  lanes = lanes + term + term ...;  barrier
  once, in the last warp:  part.r[block] = lanes, halved
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from ..cpu.lower import Lowering
from ..cpu.lower_flat import FlatLowering
from ..cpu.team import Team
from ..ir import kernel as k
from ..ir.data import replace
from ..ir.layout import totals
from ..ir.loop import BEGIN, END, THREAD, ZERO, Barrier, Body, Imm, Operand
from ..ir.types import i64
from ..ops.folds import Acc
from .target import WARP

# Vectors of a warp in a turn under masks, of which a block has a few: less code.
REST = 4


class TeamFlatLowering(FlatLowering):
    """Lowers one kernel whose schedule says "flat", with a team."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        self.size = base.schedule.team
        base.team = Team(base.b, replace(base.schedule, team=1))  # vectors of a warp lie side by side
        self.reduces = totals(base.kernel)

    def run(self) -> None:
        b, x = self.b, self.x
        (axis,) = x.kernel.outer
        x.hoist_all()
        for reduce in self.reduces:
            for name, dtype in reduce.results:
                b.alloc(f"lanes.{name}", dtype, x.count(reduce) * WARP, shared=True)
        step = x.schedule.step
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            lo, hi = x.share(block.var, x.schedule.block, x.extent(axis.extent))
            with self.only(ZERO):
                for reduce in self.reduces:
                    for n in range(x.count(reduce)):
                        self.put(reduce, n, x.start(reduce, WARP))
            main = x.whole(lo, hi, step * self.size)
            for begin, end, each, masked in ((lo, main, step, False), (main, hi, REST * WARP, True)):
                with b.loop(begin, end, each * self.size, "serial") as turn:
                    first = turn.var + THREAD * each
                    self.add(self.vectors(axis, first, each // WARP, hi if masked else None))
            with self.only(Imm(self.size - 1, i64)):
                for reduce in self.reduces:
                    with b.at(reduce.loc):
                        x.store_parts(reduce, block.var, x.halve(reduce.op, self.lanes(reduce)))

    def only(self, thread: Operand) -> AbstractContextManager[Body]:
        """What one warp alone does."""
        b = self.b
        return b.loop(0, b.select(b.op("eq", THREAD, thread), 1, 0), 1, "once")

    def lanes(self, reduce: k.Reduce) -> list[Acc]:
        """The accumulators, as vectors."""
        names, x = self.names(reduce), self.x
        return [x.saved(names, reduce, n * WARP, WARP) for n in range(x.count(reduce))]

    def names(self, reduce: k.Reduce) -> list[str]:
        return [f"lanes.{name}" for name in reduce.names]

    def put(self, reduce: k.Reduce, n: int, acc: Acc) -> None:
        self.x.save(self.names(reduce), n * WARP, acc, reduce.loc)

    def vectors(
        self, axis: k.Axis, first: Operand, count: int, end: Operand | None
    ) -> list[list[tuple[k.Reduce, Acc, Operand | None]]]:
        """The terms of this warp, of so many vectors, under a mask of those before `end`."""
        x, found = self.x, list[list[tuple[k.Reduce, Acc, Operand | None]]]()
        with x.stores_last():
            for u in range(count):
                with x.scope(axis.name):
                    base = first + u * WARP
                    x.vector, x.at[axis.name], x.terms = axis.name, base, []
                    x.mask = None if end is None else x.first_lanes(end - base)
                    for number, stage in enumerate(x.kernel.stages):
                        x.number = number
                        x.body(stage, u)
                    found.append(x.terms)
        x.terms = None
        return found

    def add(self, terms: list[list[tuple[k.Reduce, Acc, Operand | None]]]) -> None:
        """The terms to the lanes, warp after warp."""
        b, x = self.b, self.x
        with b.loop(0, self.size, 1, "serial") as turn:
            with self.only(turn.var):
                now = {reduce.names: self.lanes(reduce) for reduce in self.reduces}
                for u, every in enumerate(terms):
                    for reduce, args, mask in every:
                        group = now[reduce.names]
                        old = group[u % len(group)]
                        with b.at(reduce.loc):
                            group[u % len(group)] = x.wide(x.step(reduce, old, args), old, mask)
                for reduce in self.reduces:
                    for n, acc in enumerate(now[reduce.names]):
                        self.put(reduce, n, acc)
            b.emit(Barrier())
