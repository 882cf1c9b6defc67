"""Scans by warps: a lane for each row, or column, whatever lies along memory; its total stays in a register.

for block of 32 rows (parallel):
  for %j in 0 .. %n serial (%total)
    store o[%row, %j], %total + ...
"""

from __future__ import annotations

from ..cpu.lower_scan import ScanLowering
from ..ir.loop import BEGIN, END, Imm
from ..ops.folds import fold


class WarpScanLowering(ScanLowering):
    """Lowers one kernel whose schedule says "scan"; where there is one row, one lane does it all."""

    def run(self) -> None:
        b, x, over = self.b, self.x, self.statement.over
        if not x.kernel.outer:
            super().run()
            return
        *batch, rows = x.kernel.outer
        width, count = x.schedule.width, x.extent(rows.extent)
        x.hoist(self.stage, x.levels[0])
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope(*x.outer) as level:
            strips = x.pieces(count, width)
            first = block.var % strips * width
            x.at.update(x.point(block.var // strips, batch))
            x.at[rows.name], x.vector = first, rows.name
            x.mask = x.first_lanes(count - first)
            x.hoist(self.stage, level)
            nothing = fold(self.statement.op).states[0].neutral(self.array.dtype)
            start = Imm(nothing, self.array.dtype, width)
            with b.loop(0, self.extent, 1, "serial", (start,)) as turn, x.scope(over):
                x.at[over] = turn.var
                value = b.widen(x.value(self.statement.expr), width)
                total = self.step(turn.carried[0], value)
                index, stride, _ = x.address(self.array, self.statement.index)
                b.store(self.array.name, index, total, stride=stride, mask=x.mask, loc=self.statement.loc)
                turn.yields = (total,)
