"""Kernels to loops, by the schedule's mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..ir.data import replace
from ..ir.kernel import Kernel
from ..ir.layout import parted, slots
from ..ir.loop import Func
from .lower import Lowering, Mode
from .lower_columns import ColumnLowering
from .lower_finish import FinishLowering
from .lower_flat import FlatLowering
from .lower_groups import GroupLowering
from .lower_long import LongLowering
from .lower_product import ProductLowering
from .lower_rows import RowLowering
from .lower_scan import ScanLowering
from .lower_scatter import ScatterLowering
from .lower_short import ShortLowering
from .lower_sort import SortLowering
from .lower_tiles import TileLowering
from .lower_vector import VectorLowering
from .schedule import Schedule

Modes = Mapping[str, Callable[[Lowering], Mode]]
MODES: Modes = {
    "flat": FlatLowering,
    "rows": RowLowering,
    "long": LongLowering,
    "columns": ColumnLowering,
    "groups": GroupLowering,
    "short": ShortLowering,
    "tiles": TileLowering,
    "product": ProductLowering,
    "vector": VectorLowering,
    "scatter": ScatterLowering,
    "scan": ScanLowering,
    "sort": SortLowering,
}


def lower(
    kernel: Kernel,
    schedule: Schedule,
    modes: Modes = MODES,
    finish: Callable[[Lowering], Mode] = FinishLowering,
) -> list[Func]:
    """The function over blocks, and the one that finishes, if the kernel has totals."""
    blocks = Lowering(kernel, schedule)
    modes[schedule.mode](blocks).run()
    found = [Func(kernel.name, slots(kernel), blocks.b.done(), schedule.team)]
    if parted(kernel) or kernel.final:
        after = Lowering(kernel, replace(schedule, team=1))
        finish(after).run()
        found.append(Func(f"{kernel.name}.finish", slots(kernel), after.b.done()))
    return found
