"""Long rows, of which each thread takes blocks: what is known of a row comes after them (`lower_finish.py`).

for %blk in %begin .. %end parallel            block %blk mod P of row %blk div P
  for %j in %lo .. %hi step 64 vector
  store part.r[%blk]
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.loop import BEGIN, END, Imm, Operand
from ..ir.types import i64
from ..order import BLOCK
from .lower_cases import by_cases
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
            row = self.place(b.op("div", block.var, x.slot("block")), range(1))
            lo = b.op("mul", b.op("rem", block.var, x.slot("block")), Imm(BLOCK, i64))
            hi = x.minimum(b.op("add", lo, Imm(BLOCK, i64)), x.extent(axis.extent))
            with self.inside(row, 0):
                x.hoist(stage, row.level)
                stream = self.stream if self.stores(0) else None
                ends: tuple[Operand, ...] = ()
                if not by_cases(x, stage, axis.name, lo, hi, stream):
                    ends = x.vectors(
                        axis.name, lo, hi, x.accumulators(reduces),
                        lambda u, carried: x.body(stage, u, reduces, carried), stream,
                    )  # fmt: skip
                for reduce, group in zip(reduces, x.split(reduces, ends), strict=True):
                    with b.at(reduce.loc):
                        x.store_parts(reduce, block.var, x.halve(reduce.op, group))
