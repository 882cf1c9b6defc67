"""Totals for each of many columns, of which each thread takes a share, for some rows.

for %blk in %begin .. %end parallel          share %blk mod S of the columns, for rows of block %blk div S
  for %i in %lo .. %hi                       what is added up waits in part.r, in the first cache
    for %j in %left .. %right vector
  if these are all rows: `finally`, for these columns

What is added to one column, and in which order, is as in "rows".
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.loop import BEGIN, END, ONE, Operand
from .lower import Lowering
from .lower_rows import RowLowering
from .schedule import COLUMNS


def row_blocks(x: Lowering) -> Operand:
    """In how many blocks the rows are."""
    return x.pieces(x.points(x.kernel.outer), x.slot("block"))


class ColumnLowering(RowLowering):
    """Lowers one kernel whose schedule says "columns"."""

    def run(self) -> None:
        b, x = self.b, self.x
        stage = self.kernel.stages[0]
        (axis,) = stage.axes
        reduces = [s for s in stage.body if isinstance(s, k.Reduce)]
        for each in (stage, *self.kernel.final):
            x.hoist(each, x.levels[0])
        self.columns = self.only_columns()
        self.stream = x.streams_rows()
        self.plan_prefetches()
        rows, extent = x.points(self.kernel.outer), x.extent(axis.extent)
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            shares = x.pieces(extent, COLUMNS)
            number = block.var // shares
            left, right = x.share(block.var % shares, COLUMNS, extent)
            lo, hi = x.share(number, x.slot("block"), rows)
            for reduce in reduces:
                self.begin(reduce, number * extent, left, right)
            if self.columns:
                lo = self.several(lo, hi, left, right)
            with b.loop(lo, hi, 1, "serial") as turn:
                row = self.place(turn.var, range(1))
                with self.inside(row, 0):
                    x.hoist(stage, row.level)
                    self.walk(stage, left, right, self.stream if self.stores(0) else None)
            if self.kernel.final:
                once = b.select(b.op("eq", row_blocks(x), ONE), 1, 0)
                with b.loop(0, once, 1, "serial"):
                    x.reduces = {}
                    for each in self.kernel.final:
                        self.walk(each, left, right)

    def walk(self, stage: k.Stage, left: Operand, right: Operand, stream: Operand | None = None) -> None:
        (axis,) = stage.axes
        self.x.vectors(axis.name, left, right, lambda u: self.x.body(stage, u), stream)

    def begin(self, reduce: k.Reduce, base: Operand, left: Operand, right: Operand) -> None:
        """Nothing is in these columns yet."""
        x = self.x
        x.parts |= dict.fromkeys(reduce.names, (x.kept_axes(reduce), base))
        first = base + left

        def code(index: Operand, mask: Operand | None) -> None:
            x.store_parts(reduce, first + index, x.start(reduce, x.schedule.width), mask)

        x.each(right - left, code)
