"""Between the blocks and what finishes them, where there are many: the results of a lane, added by a warp of
its own. `finish`, one warp, then has as many blocks as there are lanes.

NAME.lanes:  for lane (parallel), for columns that a total keeps, by vectors:
               part[lane] += part[lane + L] += part[lane + 2 L] ...          some are read at once
             of other totals: the same, for a vector of lanes

The order is that of `order.py`: block b goes to lane b mod L.
"""

from __future__ import annotations

from collections.abc import Callable

from ..cpu.lower import Lowering
from ..cpu.lower_finish import FinishLowering
from ..ir import kernel as k
from ..ir.layout import columns, long_rows, totals
from ..ir.loop import BEGIN, Imm, Operand
from ..ir.types import i64
from ..ops.folds import Acc
from ..order import lanes
from .target import WARP

# Warps where totals have columns: what is left of them beside the lanes goes along the columns.
TEAM = 512
# Results of blocks that are read at once.
AT_ONCE = 16


def laned(kernel: k.Kernel) -> bool:
    """Whether there are totals whose blocks lie one after the other."""
    return bool(totals(kernel)) and not long_rows(kernel) and not columns(kernel)


class LaneLowering:
    """Lowers it for one kernel."""

    def __init__(self, base: Lowering) -> None:
        self.x = base
        self.b = base.b

    def run(self) -> None:
        every = totals(self.x.kernel)
        few = max(lanes(*reduce.dtypes) for reduce in every) // WARP
        team = TEAM if any(reduce.keep for reduce in every) else few
        with self.b.loop(BEGIN, Imm(team, i64), 1, "parallel") as warp:
            for reduce in every:
                with self.b.at(reduce.loc):
                    if reduce.keep:
                        self.kept(reduce, warp.var)
                    else:
                        self.single(reduce, warp.var)

    def kept(self, reduce: k.Reduce, warp: Operand) -> None:
        """Of one lane, some columns. Lanes of the vector beyond them read the last one, without a branch."""
        b, x, count = self.b, self.x, lanes(*reduce.dtypes)
        width, size = x.schedule.width, x.kept_size(reduce)
        lane = b.op("and", warp, Imm(count - 1, i64))
        start = b.op("add", lane, Imm(count, i64))
        first = b.op("mul", b.op("div", warp, Imm(count, i64)), Imm(width, i64))
        first = b.op("select", b.op("lt", start, x.slot("blocks")), first, size)
        iota = b.op("iota", dtype=i64, lanes=width)
        last = b.widen(x.plus(size, Imm(-1, i64)), width)
        with b.loop(first, size, TEAM // count * width, "serial") as strip:
            columns = x.minimum(b.op("add", b.widen(strip.var, width), iota), last)

            def load(block: Operand) -> Acc:
                row = b.widen(b.op("mul", block, size), width)
                return x.load_parts(reduce, b.op("add", row, columns), width)

            at = b.op("add", b.op("mul", lane, size), strip.var)
            mask = x.first_lanes(b.op("sub", size, strip.var))
            acc = x.load_parts(reduce, at, width, mask)
            acc, rest = self.whole(reduce, start, x.slot("blocks"), acc, load)
            with b.loop(rest, x.slot("blocks"), count, "serial", acc) as one:
                one.yields = x.merge(reduce.op, one.carried, load(one.var))
            x.store_parts(reduce, at, one.results, mask)

    def single(self, reduce: k.Reduce, warp: Operand) -> None:
        """Of as many lanes as a vector has."""
        b, x, count = self.b, self.x, lanes(*reduce.dtypes)
        width, blocks = x.schedule.width, x.slot("blocks")
        first, end = b.op("mul", warp, Imm(width, i64)), x.minimum(blocks, Imm(count, i64))
        with b.loop(first, x.minimum(end, b.op("add", first, Imm(width, i64))), width, "serial") as own:
            mask = x.first_lanes(b.op("sub", end, own.var))
            acc = x.load_parts(reduce, own.var, width, mask)
            start = b.op("add", own.var, Imm(count, i64))
            full = b.op("sub", blocks, Imm(width - 1, i64))  # a vector that begins before is whole
            acc, rest = self.whole(reduce, start, full, acc, lambda at: x.load_parts(reduce, at, width))
            with b.loop(rest, blocks, count, "serial", acc) as one:
                there = x.first_lanes(b.op("sub", blocks, one.var))
                value = x.load_parts(reduce, one.var, width, there)
                one.yields = x.wide(x.merge(reduce.op, one.carried, value), one.carried, there)
            x.store_parts(reduce, own.var, one.results, mask)

    def whole(
        self, reduce: k.Reduce, start: Operand, end: Operand, acc: Acc, load: Callable[[Operand], Acc]
    ) -> tuple[Acc, Operand]:
        """Blocks `start`, `start` + L, ... before `end`, so many at once; and the first one that is left."""
        b, x, count = self.b, self.x, lanes(*reduce.dtypes)
        turn = AT_ONCE * count
        far = b.op("sub", b.op("add", end, Imm(count - 1, i64)), start)
        last = b.op("add", start, b.op("and", far, Imm(-turn, i64)))
        last = b.op("select", b.op("lt", last, start), start, last)
        with b.loop(start, last, turn, "serial", acc) as body:
            values = [load(b.op("add", body.var, Imm(n * count, i64))) for n in range(AT_ONCE)]
            now: Acc = body.carried
            for value in values:
                now = x.merge(reduce.op, now, value)
            body.yields = now
        return body.results, last


class WarpFinishLowering(FinishLowering):
    """What is left to do after that."""

    def left(self, reduce: k.Reduce, blocks: Operand) -> Operand:
        if not laned(self.x.kernel):
            return blocks
        return self.x.minimum(blocks, Imm(lanes(*reduce.dtypes), i64))
