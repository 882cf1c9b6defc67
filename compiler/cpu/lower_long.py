"""Long rows, of which each thread takes blocks: what is known of a row comes after them (`lower_finish.py`).

for %blk in %begin .. %end parallel            block %blk mod P of row %blk div P
  for %j in %lo .. %hi step 64 vector
  store part.r[%blk]
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.loop import BEGIN, END
from ..order import BLOCK
from .lower_blocks import block_of
from .lower_rows import RowLowering


class LongLowering(RowLowering):
    """Lowers one kernel whose schedule says "long"."""

    def run(self) -> None:
        b, x = self.b, self.x
        stage = self.kernel.stages[0]
        (axis,) = stage.axes
        x.walked = x.outer | {axis.name}
        x.hoist(stage, x.levels[0])
        self.stream = self.streams()
        reduces = [s for s in stage.body if isinstance(s, k.Reduce)]
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            row = self.place(block.var // x.slot("block"), range(1))
            number = block.var % x.slot("block")
            lo, hi = x.share(number, BLOCK, x.extent(axis.extent))
            with self.inside(row, 0):
                x.hoist(stage, row.level)
                stream = self.stream if self.stores(0) else None
                block_of(x, (stage,), axis.name, lo, hi, reduces, block.var, stream)
