"""How the threads of a team share a block: the vectors of a loop go round them, so each has lanes of its own
of a reduction, and before these are halved all threads get the others', through shared memory.

for %j in %lo .. %hi step 2 * 32 vector          thread t: elements %j + 32 t ...
store lanes[32 t], %acc;  barrier;  load lanes[0], lanes[32]
"""

from __future__ import annotations

from ..ir.data import replace
from ..ir.loop import THREAD, ZERO, Barrier, Builder, Imm, Operand, Store
from ..ir.types import i64
from ..ops.folds import Acc
from .schedule import Schedule


class Team:
    """Of one there is nothing to share. `width`: elements that one vector of each thread has together."""

    def __init__(self, b: Builder, schedule: Schedule) -> None:
        self.b, self.size, self.lanes = b, schedule.team, schedule.width
        self.width = self.size * self.lanes
        self.known: set[str] = set()
        if self.size > 1:
            self.away = THREAD * self.lanes
            self.first = b.op("eq", THREAD, ZERO)

    def mine(self, base: Operand) -> Operand:
        """The first element of this thread's vector, of those that begin at `base`."""
        return base if self.size == 1 else base + self.away

    def once(self, stmt: Store) -> Store:
        """A scalar is stored by one thread."""
        if self.size == 1 or stmt.value.lanes > 1:
            return stmt
        mask = self.first if stmt.mask is None else self.first & stmt.mask
        return replace(stmt, mask=mask)

    def exchanged(self, vectors: list[Acc]) -> list[Acc]:
        """The vectors of all threads, each of which has one. Nobody stores before all have read the last."""
        if self.size == 1:
            return vectors
        ((*states,),) = vectors
        b, kinds = self.b, [v.dtype for v in states]
        names = [f"lanes.{n}.{kind}" for n, kind in enumerate(kinds)]
        for name, kind in zip(names, kinds, strict=True):
            if name not in self.known:
                self.known.add(name)
                b.alloc(name, kind, self.width, shared=True)
        b.emit(Barrier())
        for name, state in zip(names, states, strict=True):
            b.store(name, self.away, state)
        b.emit(Barrier())
        every = list(zip(names, kinds, strict=True))
        places = [Imm(n * self.lanes, i64) for n in range(self.size)]
        return [tuple(b.load(name, kind, at, self.lanes) for name, kind in every) for at in places]
