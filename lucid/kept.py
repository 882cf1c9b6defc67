"""What was made, to be found again: plans by the structure of graphs, pieces by what they are made of."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import Generic, TypeVar

from lucid.runtime.locks import Lock

T = TypeVar("T")

# Results of one kind that are kept, and their nodes together; the least recently used go first.
RESULTS, NODES = 1024, 1 << 17


class Kept(Generic[T]):
    """What was made, by key."""

    def __init__(self) -> None:
        self._made: OrderedDict[object, tuple[T, int]] = OrderedDict()
        self._nodes = 0
        self._lock = Lock()

    def get(self, key: object) -> T | None:
        found = self._made.get(key)
        if found is None:
            return None
        with contextlib.suppress(KeyError):  # another thread has just dropped it
            self._made.move_to_end(key)
        return found[0]

    def keep(self, key: object, made: T, nodes: int = 0) -> T:
        """`made`, or what another thread has made meanwhile. `nodes`: how many it has that take memory."""
        with self._lock():
            found, _ = self._made.setdefault(key, (made, nodes))
            self._nodes += nodes if found is made else 0
            while len(self._made) > RESULTS or (self._nodes > NODES and len(self._made) > 1):
                self._nodes -= self._made.popitem(last=False)[1][1]
            return found

    def __len__(self) -> int:
        return len(self._made)
