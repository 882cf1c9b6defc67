"""Flat kernels: vectors along the one outer axis, block after block.

for %blk in %begin .. %end parallel
  for %i in %lo .. %main step 64 vector (4 accumulators of 16 lanes)      whole vectors
  for %i in %main .. %hi step 64 vector                                   at most once, masked
  store part.r[%blk]                                                      lanes combined by halving
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.layout import totals
from ..ir.loop import BEGIN, END, Imm, Operand
from ..ir.types import i64
from .lower import Lowering
from .lower_cases import by_cases


class FlatLowering:
    """Lowers one kernel whose schedule says "flat"."""

    def __init__(self, base: Lowering) -> None:
        self.x = base
        self.b = base.b

    def run(self) -> None:
        b, x = self.b, self.x
        (axis,) = x.kernel.outer
        stages, reduces = x.kernel.stages, totals(x.kernel)
        for stage in stages:
            x.hoist(stage, x.levels[0])
        stream = self.stream()
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            size = Imm(x.schedule.block, i64)
            lo = b.op("mul", block.var, size)
            hi = x.minimum(b.op("add", lo, size), x.extent(axis.extent))

            def chunk(u: int, carried: list[Operand]) -> list[Operand]:
                for x.number, stage in enumerate(stages):
                    carried = x.body(stage, u, reduces, carried)
                return carried

            x.number = 0
            if len(stages) == 1 and by_cases(x, stages[0], axis.name, lo, hi, stream):
                return

            ends = x.vectors(axis.name, lo, hi, x.accumulators(reduces), chunk, stream)
            for reduce, group in zip(reduces, x.split(reduces, ends), strict=True):
                with b.at(reduce.loc):
                    x.store_parts(reduce, block.var, x.halve(reduce.op, group))

    def stream(self) -> Operand | None:
        """Whether the outputs of the stages are stored around the cache. None if none is."""
        stores = (s for stage in self.x.kernel.stages for s in stage.body if isinstance(s, k.Store))
        return self.x.aligned([s.array for s in stores])
