"""Order between blocks of a grid: what a thread did before it wrote to some place, behind a fence, comes
before what another one does once it has read that from there, and a fence more.

Only atomics hand on in this way. A warp *releases* when one of its threads changes a place after a fence: all
that the warp did before it synchronised last, and its block before the last barrier. It *acquires*, with a
fence after an atomic, all that was released at that place until then, and all that those who released had
acquired. Of each warp the last release is kept, of an access the last clock; so an order that only an earlier
release tells is not seen, and reported as a race."""

from __future__ import annotations

import numpy as np

from .ptx import Array

_WARPS = 32  # of a block, in the number of a warp


class Between:
    def __init__(self, blocks: int) -> None:
        count = blocks * _WARPS
        self.until = np.zeros(count, np.int64)  # accesses of a warp before that clock are released,
        self.place = np.zeros(count, np.int64)  # at that place
        self.when = np.zeros(count, np.int64)
        self.last = np.zeros(count, np.int64)  # the clock of the latest access
        self.fenced: dict[int, tuple[int, int]] = {}  # clock and barrier of a thread at its fence
        self.read: dict[int, dict[int, int]] = {}  # of a thread: what its next fence acquires
        self.known: dict[int, dict[int, int]] = {}  # of a warp: places, and until when it has acquired them
        self.handed: dict[int, dict[int, int]] = {}  # of a place: what those who released there knew
        self.places: dict[int, int] = {}
        self.now = 0

    def fence(self, threads: Array, clocks: Array, barriers: Array) -> None:
        for thread, clock, barrier in zip(threads.tolist(), clocks.tolist(), barriers.tolist(), strict=True):
            self.fenced[thread] = clock, barrier
            if thread in self.read:
                _join(self.known.setdefault(thread >> 5, {}), self.read.pop(thread))

    def atomic(self, threads: Array, addresses: Array) -> None:
        """In the order in which they change memory."""
        for thread, address in zip(threads.tolist(), addresses.tolist(), strict=True):
            place = self.places.setdefault(address, len(self.places) + 1)
            handed, warp = self.handed.setdefault(place, {}), thread >> 5
            self.now += 1
            if thread in self.fenced:
                clock, barrier = self.fenced[thread]
                block = np.arange(_WARPS) + warp // _WARPS * _WARPS
                for warps, end in ((block[self.until[block] < barrier], barrier), (warp, clock)):
                    self.until[warps], self.place[warps], self.when[warps] = end, place, self.now
                _join(handed, self.known.get(warp, {}))
                handed[place] = self.now
            _join(self.read.setdefault(thread, {}), handed)

    def note(self, threads: Array, clocks: Array) -> None:
        self.last[threads >> 5] = clocks

    def before(self, warp: int, other: int, spread: int, clock: int, barrier: int) -> bool:
        """Whether what `other` did, at that clock, comes before what `warp` does now. Spread as in
        `races.py`: 2 if it was warps of its block, 3 if it was any."""
        if spread < 2:
            return self._acquired(warp, np.array([other]), np.array([clock]))
        base = other // _WARPS * _WARPS
        others = np.arange(base, base + _WARPS) if spread == 2 else np.arange(len(self.last))
        here = (others // _WARPS == warp // _WARPS) & (self.last[others] < barrier)
        others = others[(self.last[others] > 0) & (others != warp) & ~here]
        return self._acquired(warp, others, self.last[others])

    def _acquired(self, warp: int, others: Array, clocks: Array) -> bool:
        known = np.zeros(len(self.places) + 1, np.int64)
        for place, when in self.known.get(warp, {}).items():
            known[place] = when
        at = self.place[others]
        return bool(((clocks < self.until[others]) & (at > 0) & (self.when[others] <= known[at])).all())


def _join(into: dict[int, int], other: dict[int, int]) -> None:
    for place, when in other.items():
        into[place] = max(into.get(place, 0), when)
