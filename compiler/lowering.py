"""Kernels to loops, by the schedule's mode."""

from __future__ import annotations

from .kernel import Kernel
from .loop import Func
from .lower import Lowering
from .lower_groups import GroupLowering
from .lower_product import ProductLowering
from .lower_rows import RowLowering
from .lower_tiles import TileLowering
from .schedule import Schedule, product


def lower(kernel: Kernel, schedule: Schedule) -> list[Func]:
    """The function over blocks, and the one that finishes, if the kernel has totals."""
    base = Lowering(kernel, schedule)
    if schedule.mode == "flat":
        return base.run(base.flat)
    if schedule.mode == "rows":
        return base.run(RowLowering(base).run)
    if schedule.mode == "groups":
        return base.run(GroupLowering(base).run)
    if schedule.mode == "tiles":
        return base.run(TileLowering(base).run)
    shape = product(kernel)
    assert shape is not None
    return base.run(ProductLowering(base, shape).run)
