"""What a driver, or a simulator, is asked to do for a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..ir.artifact import Address, Code, Plan
from ..ir.data import data
from ..ir.layout import Slot
from ..ir.loop import Alloc, Func, Value
from .schedule import SHORT
from .target import MORE_PARAMETERS, SHARED, WARP

# Warps of a block of threads, if shared memory allows it.
WARPS = 4
# The names of entries for short rows end so.
LITTLE = "$short"
# Bytes of shared memory that each array of a warp begins at a multiple of.
ALIGNED = 16


@data
class Entry:
    """A kernel of a module: its name there, how many warps a block of threads has, its bytes of shared memory
    that the module asks for itself, its parameters in their order. A block of threads does `each` blocks of
    the plan: one a warp, or one by all of a team. `ends`: something is left to do after all of them, which
    the last one does. `asked`: arrays in shared memory that the launch asks for, in their order: the slot
    that says how many elements they have, and the bytes of one."""

    name: str
    warps: int
    shared: int
    slots: tuple[Slot, ...]
    each: int
    ends: bool = False
    asked: tuple[tuple[str, int], ...] = ()

    @property
    def threads(self) -> int:
        return WARP * self.warps


def aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def room(alloc: Alloc) -> int:
    """Bytes of working memory, of one warp or shared; 0 where the launch asks for it."""
    return aligned(alloc.count * alloc.dtype.size) if isinstance(alloc.count, int) else 0


def is_after(func: Func) -> bool:
    """Whether it is for what the blocks have left."""
    return func.name.endswith((".lanes", ".finish"))


def defined(funcs: Sequence[Func]) -> tuple[Entry, ...]:
    """The entries that functions of one kernel become: the last warp that has done a block goes on with those
    that come after the blocks."""
    after = [func for func in funcs if is_after(func)]
    return tuple(entry(func, after) for func in funcs if not is_after(func))


def entry(func: Func, after: Sequence[Func] = ()) -> Entry:
    """ValueError where a kernel needs more than there is."""
    allocs = [s for s in func.body if isinstance(s, Alloc)]
    own = sum(room(s) for s in allocs if not s.shared)
    shared = sum(room(s) for s in allocs if s.shared)
    rest = sum(room(s) for last in after for s in last.body if isinstance(s, Alloc))  # of one warp
    size = shared + func.team * own + rest
    fixed = shared + rest
    if size > SHARED:
        of = "a warp" if func.team == 1 else f"a team of {func.team} warps"
        raise ValueError(f"kernel {func.name}: {size} bytes of shared memory for {of}; there are {SHARED}")
    if 8 * len(func.slots) > MORE_PARAMETERS:
        most = MORE_PARAMETERS // 8
        raise ValueError(f"kernel {func.name}: {len(func.slots)} parameters; there may be {most}")
    asked = tuple((s.count.name, s.dtype.size) for s in allocs if isinstance(s.count, Value))
    name = func.name.replace(".", "$")
    if func.team > 1 or (asked and not name.endswith(LITTLE)):
        return Entry(name, func.team, size, func.slots, 1, bool(after), asked)
    warps = 1 if func.name.endswith(".finish") else WARPS
    while fixed + warps * own > SHARED:
        warps //= 2
    return Entry(name, warps, fixed + warps * own, func.slots, warps, bool(after), asked)


@data
class Launch:
    """`grid` blocks of `entry.threads` threads, each with `shared` bytes of shared memory beside those of the
    module. Values as in the plan, one for each of the entry's slots: an Address, an int of 64 bits, or the
    bytes of a scalar."""

    code: Code
    entry: Entry
    grid: int
    values: tuple[Address | int | bytes, ...]
    shared: int = 0


def launches(plan: Plan, entries: Mapping[str, Sequence[Entry]]) -> tuple[Launch, ...]:
    """One after the other; `entries` of each code, by its key. None for no blocks, if nothing comes after."""
    found: list[Launch] = []
    for launch in plan.launches:
        entry = fitting(entries[launch.code.key], launch.slots)
        if grid := grid_of(entry, launch.blocks):
            shared = at_launch(entry, launch.slots)
            found.append(Launch(launch.code, entry, grid, launch.slots, shared))
    return tuple(found)


def grid_of(entry: Entry, blocks: int) -> int:
    return max(-(-blocks // entry.each), int(entry.ends))


def fitting(entries: Sequence[Entry], values: Sequence[Address | int | bytes]) -> Entry:
    """Of a kernel that has one for short rows, that or the one for others."""
    if len(entries) == 1:
        return entries[0]
    team, warp = entries
    length = _counts(team, values)[team.asked[0][0]]
    return warp if length <= SHORT else team


def _counts(entry: Entry, values: Sequence[Address | int | bytes]) -> dict[str, int]:
    return {s.name: v for s, v in zip(entry.slots, values, strict=True) if isinstance(v, int)}


def at_launch(entry: Entry, values: Sequence[Address | int | bytes]) -> int:
    """Bytes of shared memory that a launch with these values asks for. ValueError for more than there is."""
    counts = _counts(entry, values)
    size = entry.each * sum(aligned(counts[name] * each) for name, each in entry.asked)
    if (most := entry.shared + size) > SHARED:
        raise ValueError(f"kernel {entry.name}: {most} bytes of shared memory; there are {SHARED}")
    return size
