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

from . import words
from .load import native

OWN = 3  # slots
HEAD, ENTRY = 2, 3  # words
ROOM = 4096  # entries: a launch has some dozens a thread, which take an eighth of what is left at a time

_TEXT = f"""
declare i64 @pthread_self()
declare i32 @clock_gettime(i32, ptr)
define internal i64 @now(ptr %time) nounwind {{
  %e = call i32 @clock_gettime(i32 CLOCK, ptr %time)
  %seconds = load i64, ptr %time
  %rest = ldi %time, 1
  %most = mul i64 %seconds, 1000000000
  %all = add i64 %most, %rest
  ret i64 %all
}}
define void @watched(ptr %slots, i64 %begin, i64 %end) nounwind {{
entry:
  %time = alloca [2 x i64], align 16
  %own = at %slots, {OWN}
  %fn = load ptr, ptr %slots
  %log = ldp %slots, 2
  %before = call i64 @now(ptr %time)
  call void %fn(ptr %own, i64 %begin, i64 %end)
  %after = call i64 @now(ptr %time)
  %n = atomicrmw add ptr %log, i64 1 monotonic
  %room = ldi %log, 1
  %some = icmp ult i64 %n, %room
  br i1 %some, label %put, label %done
put:
  %self = call i64 @pthread_self()
  %word = mul i64 %n, {ENTRY}
  %first = add i64 %word, {HEAD}
  %at = at %log, %first
  store i64 %self, ptr %at
  sti %before, %at, 1
  sti %after, %at, 2
  br label %done
done:
  ret void
}}
define void @finished(ptr %slots, i64 %begin, i64 %end) nounwind {{
  %own = at %slots, {OWN}
  %fn = ldp %slots, 1
  call void %fn(ptr %own, i64 %begin, i64 %end)
  ret void
}}
"""


def available() -> bool:
    """Whether threads have POSIX names; elsewhere the caller does all."""
    return os.name == "posix"


@functools.cache
def _functions() -> dict[str, int]:
    import time

    text = words.expand(_TEXT.replace("CLOCK", str(time.CLOCK_MONOTONIC)))
    return native(text, ("watched", "finished"))


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
