"""How a kernel is laid out on a GPU: a vector is a warp, whose 32 lanes are threads. The modes are those of
CPUs; what is tuning is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ..cpu.schedule import Product, Schedule, product, tiles
from ..cpu.schedule import schedule as cpu_schedule
from ..ir.data import replace
from ..ir.kernel import Kernel, expressions
from ..ir.layout import totals
from ..order import BLOCK
from .target import SHARED, WARP

# Rows and vectors of columns of a product's register tile: with 4 chains, a lane has 32 sums in registers.
ROWS, COLUMNS = 4, 2
# Rows and columns of a block that is transposed.
TILE = (WARP, 2 * WARP)
# Elements that a warp does where nothing asks for more: there are many warps.
MAP_BLOCK = 1024


def schedule(kernel: Kernel) -> Schedule:
    """ValueError for a kernel that no mode can do."""
    plan = cpu_schedule(kernel, 4 * WARP)
    if plan.mode == "tiles" and tile_bytes(kernel) > SHARED:
        plan = replace(plan, mode="rows")
    tile = {"product": (ROWS, COLUMNS), "tiles": TILE}.get(plan.mode, (1, 1))
    if plan.mode == "product" and few_columns(kernel):
        tile = (ROWS, 1)
    step = max(plan.step, WARP * at_once(kernel, plan.mode))
    block = BLOCK if totals(kernel) else MAP_BLOCK
    return replace(plan, width=WARP, step=step, tile=tile, threads=True, block=block)


def tile_bytes(kernel: Kernel) -> int:
    """Shared memory of a warp that transposes tiles: one for each array, and one of each dtype on its way."""
    shape = tiles(kernel)
    assert shape is not None
    sizes = [load.dtype.size for load in shape.loads]
    own = {load.dtype: load.dtype.size for load in shape.loads}
    return WARP * (WARP * sum(sizes) + (WARP + 1) * sum(own.values()))


def at_once(kernel: Kernel, mode: str) -> int:
    """Vectors of each array in a turn of a loop, whose loads are under way at once: many of short kernels,
    and of those whose blocks the order makes large, so that few warps must keep memory busy. But rows may be
    no longer than a turn, and what is left of one is done under masks."""
    length = sum(len(expressions(stage)) for stage in kernel.stages)
    if length >= 64:
        return 1
    if mode in ("flat", "long"):
        return 16 if totals(kernel) else 8 if length < 32 else 4
    return 4


def few_columns(kernel: Kernel) -> bool:
    """Whether the columns of a product are known to fit in a vector."""
    shape = product(kernel)
    assert shape is not None
    return any(
        a.name == shape.column and isinstance(a.extent, int) and a.extent <= WARP for a in kernel.outer
    )


def product_grid(plan: Schedule, shape: Product, extents: Mapping[str, int]) -> tuple[int, int]:
    """In how many parts the rows of a product are split, and the number of its blocks."""
    down = -(-prod(extents[x] for x in shape.rows) // plan.tile[0])
    across = -(-extents[shape.column] // (WARP * plan.tile[1]))
    return down, prod(extents[x] for x in shape.batch) * down * across
