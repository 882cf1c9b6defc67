"""Flat kernels: vectors along the one outer axis, block after block.

for %blk in %begin .. %end parallel
  for %i in %lo .. %main step 64 vector (4 accumulators of 16 lanes)      whole vectors
  for %i in %main .. %hi step 64 vector                                   at most once, masked
  store part.r[%blk]                                                      lanes combined by halving
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.layout import totals
from ..ir.loop import BEGIN, END, Operand
from .lower import Mode
from .lower_blocks import block_of


class FlatLowering(Mode):
    """Lowers one kernel whose schedule says "flat"."""

    def run(self) -> None:
        b, x = self.b, self.x
        (axis,) = x.kernel.outer
        x.hoist_all()
        stream = self.stream()
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            lo, hi = x.share(block.var, x.schedule.block, x.extent(axis.extent))
            block_of(x, x.kernel.stages, axis.name, lo, hi, totals(x.kernel), block.var, stream)

    def stream(self) -> Operand | None:
        """Whether the outputs of the stages are stored around the cache. None if none is."""
        stores = (s for stage in self.x.kernel.stages for s in stage.body if isinstance(s, k.Store))
        return self.x.aligned([s.array for s in stores])
