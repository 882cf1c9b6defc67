"""How a kernel is laid out on a GPU: a vector is a warp, whose 32 lanes are threads. The modes are those of
CPUs; what is tuning is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ..cpu.schedule import Numbers, Product, Schedule, product, row_caches, tiles
from ..cpu.schedule import schedule as cpu_schedule
from ..ir import kernel as k
from ..ir.data import replace
from ..ir.layout import totals
from ..ir.loop import BOUNDARY
from ..order import BLOCK, lanes
from .target import SHARED, WARP

# Rows and vectors of columns of a product's register tile: with 4 chains, a lane has 32 sums in registers.
ROWS, COLUMNS = 4, 2
# Rows of a product's tile that a team of warps does, one below the other; it has a vector of columns.
PRODUCT_TILE = 64
PRODUCT_TEAM = 8
PRODUCT_WARPS_DOWN = 4
# Rows and columns of a block that is transposed.
TILE = (WARP, 2 * WARP)
# Elements that a warp does where nothing asks for more: there are many warps.
MAP_BLOCK = 1024
# Warps of a row that is reduced, if its order has so many lanes.
TEAM = 2
# Warps of a block that is summed, so that few blocks keep memory busy: each has `MOST` vectors of an array on
# their way at once.
FLAT_TEAM = 8
MOST = 16
# Rows of so many elements are one warp's after all: what several warps do together takes longer than the row.
SHORT = 256
# Bytes of shared memory for each element of a row that is kept there: of the longest that is no `long` one.
KEPT = (SHARED - 1024) // BLOCK
# Elements of a thread, at most: bytes are moved by eight.
MOST_WIDE = 8


def schedule(kernel: k.Kernel) -> Schedule:
    """ValueError for a kernel that no mode can do."""
    plan = cpu_schedule(kernel, 4 * WARP)
    if plan.mode == "tiles" and tile_bytes(kernel) > SHARED:
        plan = replace(plan, mode="rows")
    if plan.mode == "groups" and len(kernel.outer) > 1:  # warps have tiles for rows of one axis alone
        plan = replace(plan, mode="rows")
    tile = {"product": (ROWS, COLUMNS), "tiles": TILE}.get(plan.mode, (1, 1))
    number = 1
    if plan.mode == "product":
        number = product_team(kernel)
        if few_columns(kernel):
            tile = (ROWS, 1)
        elif number > 1:
            tile = (PRODUCT_TILE, PRODUCT_TILE // WARP)
    several = at_once(kernel, plan.mode)
    beside = wide(kernel) if plan.mode in ("flat", "rows", "long") and several > 1 else 1
    step = max(plan.step, WARP * max(several, beside))
    block = BLOCK if totals(kernel) else MAP_BLOCK
    number, rest = (team(kernel), plan.step) if plan.mode == "rows" else (number, 0)
    if plan.mode == "flat" and totals(kernel) and step == WARP * MOST:
        number = FLAT_TEAM
    return replace(
        plan, width=WARP, step=step, tile=tile, threads=True, block=block, team=number, rest=rest, wide=beside
    )


def team(kernel: k.Kernel) -> int:
    """Warps that share each row that is walked more than once: so many as lanes of its reductions allow."""
    if kept_axis(kernel) is None or sum(bool(stage.axes) for stage in kernel.stages) < 2:
        return 1
    every = [s for stage in kernel.stages for s in stage.body if isinstance(s, k.Reduce) and not s.keep]
    return min(TEAM, *(lanes(*s.dtypes) // WARP for s in every))


def kept_axis(kernel: k.Kernel) -> k.Axis | None:
    """The one axis that rows run along, where they are reduced and none is longer than a block."""
    inner = {axes for stage in kernel.stages if (axes := stage.axes)}
    every = [s for stage in kernel.stages for s in stage.body if isinstance(s, k.Reduce)]
    if len(inner) != 1 or not any(s.of_row for s in every):
        return None
    (axes,) = inner
    if len(axes) != 1 or axes[0].long or not isinstance(axes[0].extent, str):
        return None
    if any(k.positional(e) for stage in kernel.stages for e in k.expressions(stage)):
        return None
    return axes[0]


def tile_bytes(kernel: k.Kernel) -> int:
    """Shared memory of a warp that transposes tiles: one for each array, and one of each dtype on its way."""
    shape = tiles(kernel)
    assert shape is not None
    sizes = [load.dtype.size for load in shape.loads]
    own = {load.dtype: load.dtype.size for load in shape.loads}
    return WARP * (WARP * sum(sizes) + (WARP + 1) * sum(own.values()))


def at_once(kernel: k.Kernel, mode: str) -> int:
    """Vectors of each array in a turn of a loop, whose loads are under way at once: many of short kernels,
    and of those whose blocks the order makes large, so that few warps must keep memory busy. But rows may be
    no longer than a turn, and what is left of one is done under masks."""
    length = sum(len(k.expressions(stage)) for stage in kernel.stages)
    if length >= 64:
        return 1
    if mode in ("flat", "long"):
        return MOST if totals(kernel) else 8 if length < 32 else 4
    return 4


def along(kernel: k.Kernel) -> dict[str, int]:
    """The arrays that vectors walk along, one element after the other, and bytes of an element. Empty if a
    vector reads or writes otherwise, or if it matters in which lane an element is."""
    found: dict[str, int] = {}
    if kernel.final or row_caches(kernel):
        return {}
    table, numbers = k.arrays(kernel), Numbers(kernel)
    rows = any(stage.axes for stage in kernel.stages)
    for stage in kernel.stages:
        axes = stage.axes if rows else kernel.outer
        vector = axes[-1].name if axes else ""
        for e in (*k.expressions(stage), *stage.body):
            if isinstance(e, k.Reduce | k.Scatter | k.Scan | k.Sort | k.Within):
                return {}
            if isinstance(e, k.Load | k.Store):
                at = [ix.axis for ix in e.index]
                shifted = any(ix.shift for ix in e.index)
            elif isinstance(e, k.Pick):
                varies = [ix for ix in e.index if vector in numbers.axes[numbers(ix)]]
                if not any(isinstance(ix, k.At) for ix in varies):
                    continue  # of places that are values
                at = [vector if ix in varies else "" for ix in e.index]
                shifted = False
            else:
                continue
            if vector not in at:
                continue
            guarded = isinstance(e, k.Load) and e.guards
            if guarded or shifted or at.index(vector) != len(at) - 1 or not table[e.array].unit:
                return {}
            found[e.array] = table[e.array].dtype.size
    return found


def wide(kernel: k.Kernel) -> int:
    """How many elements a thread moves at once: of the longest, 16 bytes."""
    sizes = along(kernel).values()
    return max(1, min(MOST_WIDE, BOUNDARY // max(sizes))) if sizes else 1


def product_team(kernel: k.Kernel) -> int:
    """Warps that share a tile of a product, if its sums are float32 and not all columns fit in a vector."""
    shape = product(kernel)
    assert shape is not None
    return 1 if few_columns(kernel) or shape.reduce.dtypes[0].size > 4 else PRODUCT_TEAM


def few_columns(kernel: k.Kernel) -> bool:
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
