"""Threads of a team, side by side: each runs to its next barrier, then the next thread does. Between two
barriers only a race could tell their order, and each race is reported.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from ..ir.loop import Barrier
from ..text.loop import MAX_LANES

Array = np.ndarray[Any, Any]
Thread = Generator[Barrier, None, None]
_NOBODY, _SEVERAL = -1, -2
ALL = MAX_LANES - 1  # a number is read by all lanes


class Race(Exception):
    """Two threads, one element, one of them writes, and no barrier between them."""


class Watch:
    """Who has touched which elements since the last barrier, of arrays that all threads of a team see: of
    slots a thread, of shared memory a lane."""

    def __init__(self, slots: Sequence[Array], shared: Sequence[Array]) -> None:
        self.touched = {id(a): np.full((2, len(a)), _NOBODY, np.int32) for a in (*slots, *shared)}
        self.shared = {id(a) for a in shared}
        self.thread = 0

    def note(self, array: Array, places: Array, lanes: Array, write: bool) -> str:
        """An access by lanes of this thread, `ALL` for one of all lanes; in words, a race that it is part of,
        or ""."""
        seen = self.touched.get(id(array))
        if seen is None:
            return ""
        own: Array = np.full(len(places), self.thread * MAX_LANES)
        if id(array) in self.shared:
            own = own + lanes
        writers, readers = seen[0, places], seen[1, places]
        for who, did in ((writers, "written"), (readers, "read"))[: 1 + write]:
            other = (who != _NOBODY) & (who != own)
            if other.any():
                n = int(np.flatnonzero(other)[0])
                by = f"lane {who[n] % MAX_LANES} of thread {who[n] // MAX_LANES}"
                by = "several threads" if who[n] == _SEVERAL else by
                does = "writes" if write else "reads"
                what = f"thread {self.thread} {does} element {places[n]}"
                return f"{what}, {did} by {by} since the last barrier"
        if write:
            seen[0, places] = own
        else:
            alone = (readers == _NOBODY) | (readers == own)
            seen[1, places] = np.where(alone, own, _SEVERAL)
        return ""

    def meet(self) -> None:
        for seen in self.touched.values():
            seen.fill(_NOBODY)


def run_team(threads: Sequence[Thread], watch: Watch) -> None:
    """All threads, from barrier to barrier. Race, named by `watch`; RuntimeError where some come to a barrier
    that others do not."""
    while True:
        at: list[Barrier | None] = []
        for watch.thread, thread in enumerate(threads):
            at.append(next(thread, None))
        if any(place is not at[0] for place in at):
            ended = [n for n, place in enumerate(at) if place is None]
            where = f"threads {ended} have ended" if ended else "another one than thread 0"
            raise RuntimeError(f"a barrier that not all threads of the team come to: {where}")
        if at[0] is None:
            return
        watch.meet()
