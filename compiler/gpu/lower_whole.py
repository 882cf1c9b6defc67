"""Maps whose elements need not be in one lane or another: a thread moves 16 bytes at once, where all arrays
begin at multiples of that. Whether they do is found out at each launch.

%1: i64 = aligned x to 16;  %2: i64 = aligned o to 16;  ...             or where rows begin, by their strides
for %i in %lo .. (all of them ? %main : %lo) step 256 vector
  %a: f32x128 = load x[%i] aligned                                      lane l of a warp: 4 l, ... 4 l + 3
for %i in (all of them ? %main : %lo) .. %main step 256 vector
  %a: f32x32 = load x[%i]
for %i in %main .. %hi step 32 vector                                   masked
"""

from __future__ import annotations

from ..cpu.lower import Lowering
from ..cpu.lower_flat import FlatLowering
from ..cpu.lower_long import LongLowering
from ..ir.loop import BOUNDARY, ONE, Operand
from .schedule import along


def at_once(x: Lowering) -> Operand | None:
    """Whether all rows that vectors walk along begin where that can be done. None if it never is."""
    if x.schedule.wide == 1:
        return None
    names = list(along(x.kernel))
    return x.rows_begin(x.all_begin(ONE, names, BOUNDARY), names, BOUNDARY)


class WarpFlatLowering(FlatLowering):
    """Lowers one kernel whose schedule says "flat"."""

    def stream(self) -> Operand | None:
        return at_once(self.x)


class WarpLongLowering(LongLowering):
    """Lowers one kernel whose schedule says "long"."""

    def streams(self) -> Operand | None:
        return at_once(self.x)
