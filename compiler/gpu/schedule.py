"""How a kernel is laid out on a GPU: a vector is a warp, whose 32 lanes are threads. The modes are those of
CPUs; what is tuning is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ..cpu.schedule import Product, Schedule
from ..cpu.schedule import schedule as cpu_schedule
from ..ir.data import replace
from ..ir.kernel import Kernel
from .target import WARP

# Rows of a product's register tile: with 4 chains, 32 sums of a column are in registers.
ROWS = 8
# Rows and columns of a block that is transposed.
TILE = (WARP, 2 * WARP)


def schedule(kernel: Kernel) -> Schedule:
    """ValueError for a kernel that no mode can do."""
    plan = cpu_schedule(kernel, 4 * WARP)
    tile = {"product": (ROWS, 1), "tiles": TILE}.get(plan.mode, (1, 1))
    return replace(plan, width=WARP, step=max(plan.step, WARP), tile=tile, threads=True)


def product_grid(plan: Schedule, shape: Product, extents: Mapping[str, int]) -> tuple[int, int]:
    """In how many parts the rows of a product are split, and the number of its blocks."""
    down = -(-prod(extents[x] for x in shape.rows) // plan.tile[0])
    across = -(-extents[shape.column] // WARP)
    return down, prod(extents[x] for x in shape.batch) * down * across
