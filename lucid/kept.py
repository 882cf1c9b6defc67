"""What was made, to be found again: plans by the structure of graphs, pieces by what they are made of."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from lucid.runtime.locks import Lock

T = TypeVar("T")

# Results of one kind that are kept, and their nodes together. Of more the first in line goes, or waits once
# more if it was asked for meanwhile: about the least recently used, and to find one its key is hashed once.
RESULTS, NODES = 1024, 1 << 17


class Kept(Generic[T]):
    """What was made, by key."""

    def __init__(self) -> None:
        self._made: dict[object, list[Any]] = {}  # each with its nodes, and whether it was asked for
        self._nodes = 0
        self._lock = Lock()

    def get(self, key: object) -> T | None:
        entry = self._made.get(key)
        if entry is None:
            return None
        entry[2] = True
        found: T = entry[0]
        return found

    def keep(self, key: object, made: T, nodes: int = 0) -> T:
        """`made`, or what another thread has made meanwhile. `nodes`: how many it has that take memory."""
        with self._lock():
            entry = self._made.setdefault(key, [made, nodes, False])
            found: T = entry[0]
            self._nodes += nodes if found is made else 0
            while len(self._made) > RESULTS or (self._nodes > NODES and len(self._made) > 1):
                oldest = next(iter(self._made))
                waiting = self._made.pop(oldest)
                if waiting[2] or waiting is entry:
                    waiting[2] = False
                    self._made[oldest] = waiting
                else:
                    self._nodes -= waiting[1]
            return found

    def __len__(self) -> int:
        return len(self._made)
