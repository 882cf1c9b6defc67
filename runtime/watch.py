"""Who runs which part of a launch, and for how long: for those who profile, in place of the kernel.

A watched launch calls `watched(slots, begin, end)`, whose slots are those of the launch behind three of its
own: the kernel, what finishes it, and a log, to which each call adds a thread and its nanoseconds. So the
runtime shares its blocks as always, and ordinary calls know nothing of this.

    log: entries so far, room, then of each entry: pthread_self(), begin, end
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from .language import compiled
from .load import native

OWN = 3  # slots
HEAD, ENTRY = 2, 3  # words
ROOM = 4096  # entries: a launch has some dozens a thread, which take an eighth of what is left at a time

_TEXT = """
def pthread_self() -> i64: ...
def clock_gettime(clock: i32, time: ptr) -> i32: ...

def now(time: many[i64]) -> i64:
    clock_gettime(CLOCK, time)
    return time[0] * 1000000000 + time[1]

def watched(slots: many[ptr], begin, end):
    time = room(i64, 2)
    run = slots[0]
    log: many[i64] = slots[2]
    before = now(time)
    run(slots + OWN, begin, end)
    after = now(time)
    n = add_to(log, 1, "monotonic")
    if n < log[1]:
        entry = log + (n * ENTRY + HEAD)
        entry[0] = pthread_self()
        entry[1] = before
        entry[2] = after

def finished(slots: many[ptr], begin, end):
    finish = slots[1]
    finish(slots + OWN, begin, end)
"""


def available() -> bool:
    """Whether threads have POSIX names; elsewhere the caller does all."""
    return os.name == "posix"


@functools.cache
def _functions() -> dict[str, int]:
    import time

    numbers = {"CLOCK": time.CLOCK_MONOTONIC, "OWN": OWN, "HEAD": HEAD, "ENTRY": ENTRY}
    names = ("watched", "finished")
    return native(compiled(_TEXT, names, {}, numbers), names)


class Log:
    """What the threads note."""

    def __init__(self) -> None:
        self._words = np.zeros(HEAD + ENTRY * ROOM, np.int64)

    @property
    def address(self) -> int:
        return int(self._words.ctypes.data)

    def begin(self) -> None:
        self._words[:HEAD] = 0, ROOM

    def parts(self) -> list[tuple[int, float, float]] | None:
        """Which thread ran since then, from when on and for how many seconds; None if there was no room for
        all."""
        count = int(self._words[0])
        if count > ROOM:
            return None
        entries = self._words[HEAD : HEAD + ENTRY * count].reshape(-1, ENTRY).tolist()
        return [(thread, 1e-9 * begin, 1e-9 * (end - begin)) for thread, begin, end in entries]


def busy(parts: Sequence[tuple[int, float, float]]) -> tuple[float, ...]:
    """Seconds that each thread ran, the longest first."""
    found: defaultdict[int, float] = defaultdict(float)
    for thread, _, seconds in parts:
        found[thread] += seconds
    return tuple(sorted(found.values(), reverse=True))


def watched(words: Sequence[int], log: Log) -> list[int]:
    """The record of a group of one launch (`runner.py`), which notes who runs it in `log`."""
    launches, units, work, run, finish, blocks, weight, slots, patches, *rest = words
    assert launches == 1
    here = _functions()
    places = rest[slots:]
    places[::3] = [slot + OWN for slot in places[::3]]  # of each patch
    head = [1, units, work, here["watched"], here["finished"] if finish else 0, blocks, weight]
    return [*head, slots + OWN, patches, run, finish, log.address, *rest[:slots], *places]
