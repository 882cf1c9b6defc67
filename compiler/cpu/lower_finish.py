"""After the blocks: their results combined by the same rule, then `finally`.

NAME.finish:  for row of long ones: what is known of it
              r = part.r[0] ... part.r[blocks - 1]      block b goes to lane b mod L, lanes are halved
              the stages of `finally`
"""

from __future__ import annotations

from functools import partial

from ..ir import kernel as k
from ..ir.layout import columns, long_rows, totals
from ..ir.loop import ONE, ZERO, Operand
from ..ops.folds import Acc
from ..order import lanes
from .lower import Join, Mode, among, named
from .lower_blocks import fold, nest
from .lower_columns import row_blocks
from .lower_rows import RowLowering


class FinishLowering(Mode):
    """Lowers what is left to do when all blocks of a kernel are done, in any mode."""

    def run(self) -> None:
        blocks: Operand = self.x.slot("blocks")
        if long_rows(self.x.kernel):
            blocks = self.long_rows()
        shared = columns(self.x.kernel)
        if shared:
            blocks = row_blocks(self.x)
        for reduce in totals(self.x.kernel):
            if reduce.keep:
                with self.b.at(reduce.loc):
                    self.fold_rows(reduce, self.left(reduce, blocks))
                self.x.parts |= dict.fromkeys(reduce.names, (self.x.kept_axes(reduce), ZERO))
            else:
                self.x.rows |= named(reduce, self.fold(reduce, self.left(reduce, blocks)))
        self.x.reduces = {}
        for stage in self.x.kernel.final:
            self.x.hoist(stage, self.x.levels[0])
        if shared:  # one block of rows has done that
            done = self.b.op("eq", blocks, ONE)
            with self.b.loop(0, self.b.select(done, 0, 1), 1, "serial"):
                self.finally_()
        else:
            self.finally_()

    def left(self, reduce: k.Reduce, blocks: Operand) -> Operand:
        """How many results there are for a total: those of all blocks."""
        return blocks

    def fold(self, reduce: k.Reduce, blocks: Operand) -> Acc:
        """Block results of a total for all."""
        return fold(self.x, reduce, ZERO, blocks)

    def finally_(self) -> None:
        for stage in self.x.kernel.final:
            if stage.axes:
                nest(self.x, stage, stage.axes, [])
            else:
                self.x.scalar_stage(stage)

    def long_rows(self) -> Operand:
        """What is known of long rows, row after row, and how many there are: each is a block of totals."""
        b, x, rows = self.b, self.x, RowLowering(self.x)
        count = x.points(x.kernel.outer)
        with b.loop(0, count, 1, "serial") as turn, x.scope():
            row, parts = rows.place(turn.var, range(0)), x.slot("block")
            lo = turn.var * parts
            every = totals(x.kernel)
            now = {name: v for r in every for name, v in named(r, x.start(r)).items()}

            def add(reduce: k.Reduce, join: Join) -> None:
                now.update(named(reduce, join(among(reduce, now))))

            for reduce in (s for s in x.kernel.stages[0].body if isinstance(s, k.Reduce)):
                total = fold(x, reduce, lo, lo + parts)
                if reduce.of_row:
                    row.values.update(named(reduce, total))
                else:
                    add(reduce, partial(x.merged, reduce, total))
            for number in range(1, len(x.kernel.stages)):
                rows.stage(number, row, add=add)
            for reduce in every:
                x.store_parts(
                    reduce, turn.var, among(reduce, now)
                )  # where blocks of this row stood, or before
        return count

    def fold_rows(self, reduce: k.Reduce, blocks: Operand) -> None:
        """Block results of a total with kept axes, in place, by the same rule: block b goes to
        lane b mod L, then lanes are halved; the result is the first row."""
        b = self.b
        x, size, width = self.x, self.x.kept_size(reduce), self.x.schedule.width
        count = lanes(*reduce.dtypes)
        empty = b.op("eq", blocks, ZERO)
        fill = x.start(reduce, width)
        x.each(
            b.select(empty, size, 0),
            lambda index, mask: x.store_parts(reduce, index, fill, mask),
        )

        def add(into: Operand, source: Operand) -> None:
            to, at = into * size, source * size

            def code(index: Operand, mask: Operand | None) -> None:
                here = to + index
                old = x.load_parts(reduce, here, width, mask)
                new = x.load_parts(reduce, at + index, width, mask)
                x.store_parts(reduce, here, x.merge(reduce.op, old, new), mask)

            x.each(size, code)

        with b.loop(count, blocks, 1, "serial") as later:
            add(later.var & (count - 1), later.var)
        half = count // 2
        while half:
            beyond = blocks - half
            with b.loop(0, x.minimum(beyond, half), 1, "serial") as lane:
                add(lane.var, lane.var + half)
            half //= 2
