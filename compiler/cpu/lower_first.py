"""The first ones of a long row: what may be among them is told by a limit, which sinks.

%limit = ...                                the least keys of 128 groups: the k-th of these
for %j in 0 .. %n step %segment serial
  for %v in %j .. serial                    what has no greater key waits: a vector that has none of these
                                            costs a comparison
  ...                                       first, where many wait and last they are sorted; k stay,
                                            and the last of these is the limit
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.loop import ZERO, Imm, Operand
from ..ir.types import b1, i64
from ..ops.folds import Acc
from .lower_bitonic import Bitonic

if TYPE_CHECKING:
    from .lower_sort import SortLowering

GROUPS = 128  # and elements that are looked at at once
SAMPLED = 4096  # elements that are in groups
SEGMENT = 4096  # elements, at least
FEW = 64  # elements that wait: each is compared with all others
BLOCK, LEAST = "sort.block", "sort.least"


class FirstOfMany:
    """The elements of a row that are kept, written in their order."""

    def __init__(self, sort: SortLowering) -> None:
        self.s, self.x, self.b, self.key, self.lanes = sort, sort.x, sort.b, sort.key, sort.lanes()
        self.b.alloc(BLOCK, self.key, GROUPS)
        self.b.alloc(LEAST, self.key, GROUPS)
        self.network = Bitonic(self.x, self.key)

    def select(self, many: Operand) -> None:
        """Of so many elements."""
        b, x, kept = self.b, self.x, self.s.kept()
        segment = kept * 4
        for least in (Imm(SEGMENT, i64), many >> 6):
            segment = b.select(segment < least, least, segment)
        room = kept + segment * 2
        segment = b.select(room <= many, segment, many + 1)
        with b.loop(0, many, segment, "serial", (ZERO, self.limit(many, kept))) as part:
            end = x.minimum(part.var + segment, many)
            waiting = self.gather(part.var, end, *part.carried)
            forced = b.op("eq", part.var, ZERO) | b.op("eq", end, many)
            full = waiting > kept + segment
            now = forced | full
            self.sort(b.select(now, waiting, 0))
            waiting = b.select(now, x.minimum(waiting, kept), waiting)
            last = b.load("sort.keys0", self.key, self.s.base + (waiting - 1))
            zero = Imm(0, self.key)
            least = b.select(b.op("eq", last, zero), zero, last - 1)
            enough = now & b.op("eq", waiting, kept)
            part.yields = (waiting, b.select(enough, least, part.carried[1]))
        with b.loop(0, b.select(many > 0, kept, 0), 1, "serial") as turn:
            place = self.s.base + turn.var
            key = b.load("sort.keys0", self.key, place)
            self.s.place(turn.var, b.load("sort.at0", i64, place), key)

    def limit(self, many: Operand, kept: Operand) -> Operand:
        """A key that is no less than those of as many elements as are kept."""
        b, n = self.b, self.lanes
        inits = tuple(b.widen(self.s.most, n) for _ in range(0, GROUPS, n))
        with b.loop(0, self.x.minimum(many, SAMPLED), GROUPS, "serial", inits) as turn:
            found = self.block(turn.var, self.x.minimum(turn.var + GROUPS, many))
            turn.yields = tuple(
                self.network.in_order(v, least)[0] for v, (least,) in zip(turn.carried, found, strict=True)
            )
        for number, least in enumerate(turn.results):
            b.store(LEAST, number * n, least)
        few = (many > 0) & (kept <= GROUPS // 2)
        count = b.select(few, GROUPS, 0)
        rounds = (GROUPS // (2 * self.network.lanes)).bit_length() - 1
        self.network.sort(LEAST, count, Imm(rounds, i64))
        last = b.select(few, kept - 1, 0)
        return b.select(few, b.load(LEAST, self.key, last), self.s.most)

    def block(self, lo: Operand, hi: Operand) -> list[Acc]:
        """The keys of the elements from lo to hi, and behind these the greatest one."""
        b, x, lanes, over = self.b, self.x, self.lanes, self.s.statement.over
        for n in range(0, GROUPS, lanes):
            b.store(BLOCK, n, b.widen(self.s.most, lanes))

        def store(key: Operand) -> None:
            b.store(BLOCK, x.at[over] - lo, key, mask=x.mask)

        self.s.vector_of_keys(lanes, lo, hi, store)
        return [(b.load(BLOCK, self.key, n, lanes),) for n in range(0, GROUPS, lanes)]

    def gather(self, lo: Operand, hi: Operand, waiting: Operand, limit: Operand) -> Operand:
        """What of the elements from lo to hi has no greater key than `limit`, behind those that wait."""
        b, x, lanes = self.b, self.x, self.lanes
        with b.loop(lo, hi, GROUPS, "serial", (waiting,)) as turn:
            end = x.minimum(turn.var + GROUPS, hi)
            (least,) = x.halve("min", self.block(turn.var, end))
            some = b.select(least <= limit, end - turn.var, 0)
            with b.loop(0, some, lanes, "serial", turn.carried) as part:
                found = b.load(BLOCK, self.key, part.var, lanes) <= b.widen(limit, lanes)
                rest = x.minimum(some - part.var, lanes)
                rest = b.select(b.op("any", found, dtype=b1, lanes=1), rest, 0)
                with b.loop(0, rest, 1, "serial", part.carried) as one:
                    (at,) = one.carried
                    index = part.var + one.var
                    key, to = b.load(BLOCK, self.key, index), self.s.base + at
                    b.store("sort.keys0", to, key)
                    b.store("sort.at0", to, turn.var + index)
                    more = b.select(key <= limit, 1, 0)
                    one.yields = (at + more,)
                part.yields = one.results
            turn.yields = part.results
        return turn.results[0]

    def sort(self, count: Operand) -> None:
        """So many that wait."""
        b = self.b
        few = count <= FEW
        some = b.select(few, count, 0)

        def place(rank: Operand, index: Operand, key: Operand) -> None:
            to = self.s.base + rank
            b.store("sort.keys1", to, key)
            b.store("sort.at1", to, b.load("sort.at0", i64, self.s.base + index))

        self.s.ranks(some, place)
        self.s.back(some)
        self.s.passes(b.select(few, 0, count), True)
