"""What a driver, or a simulator, is asked to do for a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.artifact import Address, Code, Plan
from ..ir.data import data
from ..ir.layout import Slot
from ..ir.loop import Alloc, For, Func, Imm
from .target import PARAMETERS, SHARED, WARP

# Warps of a block of threads, if shared memory allows it.
WARPS = 4
# The fewest lanes of a reduction: with no more blocks there is nothing to add up lane by lane.
FEWEST = 32
# Bytes of shared memory that each array of a warp begins at a multiple of.
ALIGNED = 16


@data
class Entry:
    """A kernel of a module: its name there, how many warps a block of threads has, its bytes of shared memory
    (the module asks for them itself), its parameters in their order. A warp does one block of the plan; what
    comes after the blocks has a number of warps of its own in all, `team`."""

    name: str
    warps: int
    shared: int
    slots: tuple[Slot, ...]
    team: int | None = None

    @property
    def threads(self) -> int:
        return WARP * self.warps


def room(alloc: Alloc) -> int:
    """Bytes of working memory."""
    return -(-alloc.count * alloc.dtype.size // ALIGNED) * ALIGNED


def entry(func: Func) -> Entry:
    """ValueError where a kernel needs more than there is."""
    size = sum(room(s) for s in func.body if isinstance(s, Alloc))
    if size > SHARED:
        raise ValueError(f"kernel {func.name}: {size} bytes of shared memory for a warp; there are {SHARED}")
    if 8 * len(func.slots) > PARAMETERS:
        raise ValueError(f"kernel {func.name}: {len(func.slots)} parameters; there may be {PARAMETERS // 8}")
    own = team(func)
    warps = WARPS if own is None else min(WARPS, own)
    while warps * size > SHARED:
        warps //= 2
    return Entry(func.name.replace(".", "$"), warps, warps * size, func.slots, own)


def team(func: Func) -> int | None:
    """The warps of what has a number of its own: a parallel loop's turns, one where there is no loop."""
    loops = [s for s in func.body if isinstance(s, For) and s.kind == "parallel"]
    if not loops:
        return 1 if func.name.endswith(".finish") else None
    (loop,) = loops
    return int(loop.hi.value) if isinstance(loop.hi, Imm) else None


@data
class Launch:
    """`grid` blocks of `entry.threads` threads. Values as in the plan, one for each of the entry's slots: an
    Address, an int of 64 bits, or the bytes of a scalar."""

    code: Code
    entry: Entry
    grid: int
    values: tuple[Address | int | bytes, ...]


def launches(plan: Plan, entries: Mapping[str, Sequence[Entry]]) -> tuple[Launch, ...]:
    """One after the other; `entries` of each code, by its key. None for no blocks, or where no lane has the
    results of two."""
    found: list[Launch] = []
    for launch in plan.launches:
        for entry in entries[launch.code.key]:
            warps = launch.blocks if entry.team is None else entry.team
            if entry.name.endswith("$lanes") and launch.blocks <= FEWEST:
                continue
            if warps:
                found.append(Launch(launch.code, entry, -(-warps // entry.warps), launch.slots))
    return tuple(found)
