"""After the blocks: the results of a lane, added up by the last warp that has one of them; then what
finishes, by the last warp of these. Where there are `few` blocks, the last warp of all does it alone.

NAME.lanes:  for group (parallel), for lane group, group + G, ..., for columns that a total keeps, by vectors:
               part[lane] += part[lane + L] += part[lane + 2 L] ...          some are read at once
NAME.finish: for columns, by vectors:  part[0] = part[0] ... part[L - 1], halved;  the stages of `finally`
             total = part[0 ... 31], part[32 ... 63], ... by vectors, halved

The order is that of `order.py`: block b goes to lane b mod L. Groups are as many as the fewest lanes of a
total."""

from __future__ import annotations

from ..cpu.lower import Lowering, Mode
from ..cpu.lower_finish import FinishLowering
from ..ir import kernel as k
from ..ir.layout import columns, long_rows, totals
from ..ir.loop import BEGIN, ZERO, Imm, Operand
from ..ir.types import i64
from ..ops.folds import Acc
from ..order import lanes

# Results of blocks that are read at once; of a lane, if one warp has them all.
AT_ONCE = 16
FEW = 4


def groups(kernel: k.Kernel) -> int:
    """Of lanes, whose results are added up before what finishes; 0 where the blocks do not lie one after the
    other."""
    every = totals(kernel)
    if not every or long_rows(kernel) or columns(kernel):
        return 0
    return min(lanes(*reduce.dtypes) for reduce in every)


def few(kernel: k.Kernel) -> int:
    """As many blocks as one warp adds up: it takes longer for each column that a total keeps."""
    return groups(kernel) * (1 if any(reduce.keep for reduce in totals(kernel)) else FEW)


class LaneLowering(Mode):
    """Lowers it for one kernel."""

    def run(self) -> None:
        b, x, count = self.b, self.x, groups(self.x.kernel)
        with b.loop(BEGIN, count, 1, "parallel") as group:
            for reduce in totals(x.kernel):
                for first in range(0, lanes(*reduce.dtypes), count):
                    with b.at(reduce.loc):
                        self.lane(reduce, group.var + first)

    def lane(self, reduce: k.Reduce, lane: Operand) -> None:
        """All that there is of one lane."""
        b, x, zero = self.b, self.x, ZERO
        start = lane + lanes(*reduce.dtypes)
        some = start < x.slot("blocks")
        if not reduce.keep:
            with b.loop(zero, b.select(some, 1, zero), 1, "once"):
                x.store_parts(reduce, lane, self.added(reduce, lane, start, zero, None))
            return
        size, width = x.kept_size(reduce), x.schedule.width
        with b.loop(zero, b.select(some, size, zero), width, "serial") as strip:
            mask = x.first_lanes(size - strip.var)
            acc = self.added(reduce, lane, start, strip.var, mask)
            x.store_parts(reduce, lane * size + strip.var, acc, mask)

    def added(
        self, reduce: k.Reduce, lane: Operand, start: Operand, at: Operand, mask: Operand | None
    ) -> Acc:
        """Blocks `lane`, `start`, ... in their order: of each the elements from `at` on under the mask, or
        the one that there is. Where the last turn has no more, it reads the first one again, and leaves it
        out."""
        b, x = self.b, self.x
        size, step = x.kept_size(reduce), lanes(*reduce.dtypes)
        width = 1 if mask is None else x.schedule.width

        def load(block: Operand) -> Acc:
            return x.load_parts(reduce, (block * size) + at, width, mask)

        acc, turn = load(lane), AT_ONCE * step
        span = (x.slot("blocks") + (step - 1)) - start
        whole = start + (span & -turn)
        for end, masked in ((whole, False), (x.slot("blocks"), True)):
            with b.loop(start, end, turn, "serial", acc) as body:
                blocks = [body.var + n * step for n in range(AT_ONCE)]
                there = [block < x.slot("blocks") for block in blocks if masked]
                if masked:
                    blocks = [b.select(t, at, lane) for t, at in zip(there, blocks, strict=True)]
                now: Acc = body.carried
                for n, value in enumerate([load(block) for block in blocks]):
                    new = x.merge(reduce.op, now, value)
                    now = chosen(x, there[n], new, now) if masked else new
                body.yields = now
            acc, start = body.results, whole
        return acc


def chosen(x: Lowering, test: Operand, new: Acc, old: Acc) -> Acc:
    test = x.b.widen(test, old[0].lanes)
    return tuple(x.b.select(test, v, w) for v, w in zip(new, old, strict=True))


class WarpFinishLowering(FinishLowering):
    """What is left to do after that."""

    def left(self, reduce: k.Reduce, blocks: Operand) -> Operand:
        if not groups(self.x.kernel):
            return blocks
        lane_by_lane = blocks > few(self.x.kernel)
        most = self.x.minimum(blocks, lanes(*reduce.dtypes))
        return self.b.select(lane_by_lane, most, blocks)

    def fold(self, reduce: k.Reduce, blocks: Operand) -> Acc:
        """All of them are read at once."""
        if not groups(self.x.kernel):
            return super().fold(reduce, blocks)
        x, width, most = self.x, self.x.schedule.width, max(few(self.x.kernel), lanes(*reduce.dtypes))
        lanes_now = [x.start(reduce, width) for _ in range(x.count(reduce))]
        with self.b.at(reduce.loc):
            masks = [x.first_lanes(blocks - at) for at in range(0, most, width)]
            values = [x.load_parts(reduce, Imm(n * width, i64), width, mask) for n, mask in enumerate(masks)]
            for n, (value, mask) in enumerate(zip(values, masks, strict=True)):
                old = lanes_now[n % len(lanes_now)]
                lanes_now[n % len(lanes_now)] = x.wide(x.merge(reduce.op, old, value), old, mask)
            return x.halve(reduce.op, lanes_now)

    def fold_rows(self, reduce: k.Reduce, blocks: Operand) -> None:
        """In registers, for a vector of columns."""
        if not groups(self.x.kernel):
            super().fold_rows(reduce, blocks)
            return
        b, x, count = self.b, self.x, lanes(*reduce.dtypes)
        size, width, zero = x.kept_size(reduce), x.schedule.width, ZERO
        apart = max(1, count // AT_ONCE)
        with b.loop(zero, size, width, "serial") as strip:
            mask = x.first_lanes(size - strip.var)

            def joined(first: Operand, step: int, few: int) -> Acc:
                """So many lanes, so far apart."""
                lane, at = first, (first * size) + strip.var
                there, values = list[Operand](), list[Acc]()
                for _ in range(few):
                    there.append(lane < blocks)
                    only = mask & b.widen(there[-1], width)
                    values.append(x.load_parts(reduce, at, width, only))
                    lane, at = lane + step, at + (step * size)
                while len(values) > 1:
                    half = len(values) // 2
                    values = [
                        chosen(x, there[n + half], x.merge(reduce.op, values[n], values[n + half]), values[n])
                        for n in range(half)
                    ]
                return chosen(x, there[0], values[0], x.start(reduce, width))

            with b.loop(zero, apart, 1, "serial") as first:  # what comes together first
                at = (first.var * size) + strip.var
                only = mask & b.widen(first.var < blocks, width)
                x.store_parts(reduce, at, joined(first.var, apart, count // apart), only)
            x.store_parts(reduce, strip.var, joined(zero, 1, apart), mask)
