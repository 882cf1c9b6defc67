"""Races: two threads, the same bytes, at least one writes, and nothing orders the two.

For each granule (the smallest access that a kernel makes) a `Shadow` keeps the last read, the last write
and the last atomic: who, when, and whether several threads did. Time is a clock of each thread: a barrier
sets those of its block to one later than all of them, `.sync` of a warp those of its threads. So an access
came before another
- in another block: if it was handed on, as `between.py` tells;
- in another warp of the block: if it is older than the last barrier;
- in the same warp: if it is older than now (its thread and this one have synchronised since).

A cell is one number: 32 bits thread + 1, 2 bits how far the readers are spread, 30 bits clock. 0 is nobody.
"""

from __future__ import annotations

import numpy as np

from lucid.compiler.ir.data import data

from .between import Between
from .ptx import Array

# Spread: one thread; several of a warp; of a block; of the grid. A thread's number is block << 10 | thread
# of the block.
WARP, BLOCK, GRID = (np.int64(n << 30) for n in (1, 2, 3))
_CLOCK = np.int64((1 << 30) - 1)
_SPREAD = np.int64(3 << 30)
# "constant" are reads through the cache that is not kept coherent (.nc): nothing orders those and a write.
_AGAINST = {
    "read": ("write", "atomic"),
    "write": ("write", "read", "atomic", "constant"),
    "atomic": ("write", "read", "constant"),
    "constant": ("write", "atomic"),
}


@data(eq=False)
class Who:
    """The threads of a step: their numbers, their clocks, and those of their blocks' last barriers."""

    thread: Array
    clock: Array
    barrier: Array
    between: Between | None = None


@data(eq=False)
class Race:
    """Thread number `lane` of a step against `other`; `several` others where that is not 0."""

    lane: int
    other: int
    several: bool
    before: str


class Shadow:
    def __init__(self, bytes: int, granule: int) -> None:
        self.granule = granule
        count = -(-bytes // granule)
        self._cells = {kind: np.zeros(0, np.int64) for kind in _AGAINST}
        self._count = count

    def _of(self, kind: str) -> Array:
        if not self._cells[kind].size:
            self._cells[kind] = np.zeros(self._count, np.int64)
        return self._cells[kind]

    def access(self, kind: str, at: Array, size: int, who: Who) -> Race | None:
        """Notes the access of `size` bytes at `at` by each thread; the first race, if there is one."""
        first = at // self.granule
        for n in range(max(1, size // self.granule)):
            race = self._granule(kind, first + n, who)
            if race is not None:
                return race
        return None

    def _granule(self, kind: str, cell: Array, who: Who) -> Race | None:
        for other in _AGAINST[kind]:
            if self._cells[other].size:
                race = _conflict(self._cells[other][cell], who, other, "constant" in (kind, other))
                if race is not None:
                    return race
        cells = self._of(kind)
        new = (who.thread + 1) << 32 | who.clock
        if kind != "write":
            new = _merged(cells[cell], new, who)
        cells[cell] = new
        back = cells[cell]
        twice = np.flatnonzero(back != new)
        if twice.size:  # several threads of this step, of which one has won
            mine, winner = who.thread[twice], (back[twice] >> 32) - 1
            if kind == "write":
                differs = np.flatnonzero(mine != winner)
                if differs.size:
                    n = differs[0]
                    return Race(int(twice[n]), int(winner[n]), False, "write")
            np.maximum.at(
                cells, cell[twice], back[twice] & ~_SPREAD | _spread(mine, winner) | new[twice] & _SPREAD
            )
        return None


def _spread(a: Array, b: Array) -> Array:
    far = np.where(a >> 10 != b >> 10, GRID, BLOCK)
    return np.where(a == b, np.int64(0), np.where(a >> 5 == b >> 5, WARP, far))


def _conflict(old: Array, who: Who, before: str, never: bool) -> Race | None:
    if not old.any():
        return None
    thread, spread, clock = (old >> 32) - 1, old & _SPREAD, old & _CLOCK
    others = (thread != who.thread) | (spread != 0)
    same_warp = (thread >> 5 == who.thread >> 5) & (spread <= WARP)
    same_block = (thread >> 10 == who.thread >> 10) & (spread <= BLOCK)
    ordered = np.where(same_warp, clock < who.clock, same_block & (clock < who.barrier))
    bad, seen = np.flatnonzero((old != 0) & (never | others & ~ordered)), set[tuple[int, ...]]()
    for n in bad.tolist():
        if not never and who.between is not None:
            warps = int(who.thread[n]) >> 5, int(thread[n]) >> 5
            access = *warps, int(spread[n] >> 30), int(clock[n]), int(who.barrier[n])
            if access in seen or who.between.before(*access):
                seen.add(access)
                continue
        return Race(n, int(thread[n]), bool(spread[n]), before)
    return None


def _merged(old: Array, new: Array, who: Who) -> Array:
    """What stands in a cell after one more reader: a reader that came before all others are ordered by is
    enough.
    """
    if not old.any():
        return new
    thread, spread, clock = (old >> 32) - 1, old & _SPREAD, old & _CLOCK
    same_warp = (thread >> 5 == who.thread >> 5) & (spread <= WARP)
    same_block = (thread >> 10 == who.thread >> 10) & (spread <= BLOCK)
    forgotten = (old == 0) | np.where(same_warp, clock < who.clock, same_block & (clock < who.barrier))
    wider = np.maximum(spread, _spread(who.thread, thread))
    return np.where(forgotten, new, new | wider)
