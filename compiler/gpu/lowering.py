"""Kernels to loops for warps: the lowering of CPUs, but for products, scans, tiles that are transposed
through shared memory, and the results of many blocks.
"""

from __future__ import annotations

from ..cpu.lower import Lowering
from ..cpu.lower_flat import FlatLowering
from ..cpu.lower_tiles import TileLowering
from ..cpu.lowering import MODES
from ..cpu.lowering import lower as lower_by
from ..cpu.schedule import Schedule
from ..ir.data import replace
from ..ir.kernel import Kernel, Load
from ..ir.loop import Func, Imm, Operand
from ..ir.types import i64
from .ahead import loads_first
from .lower_flat import TeamFlatLowering
from .lower_groups import WarpGroupLowering
from .lower_lanes import LaneLowering, WarpFinishLowering, few, groups
from .lower_product import WarpProductLowering
from .lower_rows import WarpRowLowering
from .lower_scan import WarpScanLowering
from .lower_team_product import TeamProductLowering
from .lower_whole import WarpFlatLowering, WarpLongLowering


class WarpTileLowering(TileLowering):
    """Lowers one kernel whose schedule says "tiles"."""

    def run(self) -> None:
        for dtype in dict.fromkeys(load.dtype for load in self.wait):
            self.b.alloc(f"cross.{dtype}", dtype, self.width * (self.width + 1))
        super().run()

    def crossed(self, load: Load, vectors: list[Operand]) -> list[Operand]:
        """Through working memory with rows of an odd length: neither way do two lanes meet in one bank."""
        b, width = self.b, self.width
        name, pitch = f"cross.{load.dtype}", width + 1
        for c, vector in enumerate(vectors):
            b.store(name, c, vector, stride=Imm(pitch, i64))
        return [b.load(name, load.dtype, r * pitch, width) for r in range(width)]


def product_lowering(base: Lowering) -> WarpProductLowering:
    return (TeamProductLowering if base.schedule.team > 1 else WarpProductLowering)(base)


def flat_lowering(base: Lowering) -> FlatLowering:
    return (TeamFlatLowering if base.schedule.team > 1 else WarpFlatLowering)(base)


_MODES = {
    **MODES,
    "flat": flat_lowering,
    "rows": WarpRowLowering,
    "long": WarpLongLowering,
    "groups": WarpGroupLowering,
    "product": product_lowering,
    "vector": WarpProductLowering,
    "tiles": WarpTileLowering,
    "scan": WarpScanLowering,
}


def lower(kernel: Kernel, schedule: Schedule) -> list[Func]:
    """The function over blocks, that of a team perhaps as one for short rows, too; if there are totals, what
    adds up the results by lanes, what finishes."""
    found = lower_by(kernel, schedule, _MODES, WarpFinishLowering)
    if schedule.mode == "rows" and schedule.team > 1:
        alone = Lowering(kernel, replace(schedule, team=1))
        WarpRowLowering(alone).run()
        found.insert(1, Func(f"{kernel.name}.short", found[0].slots, alone.b.done()))
    if groups(kernel):
        between = Lowering(kernel, replace(schedule, team=1))
        LaneLowering(between).run()
        place = len(found) - 1
        body = between.b.done()
        found.insert(place, Func(f"{kernel.name}.lanes", found[0].slots, body, beyond=few(kernel)))
    return [*map(loads_first, found)]
