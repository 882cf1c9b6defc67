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

from ..ir.loop import ONE, ZERO, Imm, Operand, Store
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
        segment = b.op("mul", kept, Imm(4, i64))
        for least in (Imm(SEGMENT, i64), b.op("shr", many, Imm(6, i64))):
            segment = b.op("select", b.op("lt", segment, least), least, segment)
        room = b.op("add", kept, b.op("mul", segment, Imm(2, i64)))
        segment = b.op("select", b.op("le", room, many), segment, b.op("add", many, ONE))
        with b.loop(ZERO, many, segment, "serial", (ZERO, self.limit(many, kept))) as part:
            end = x.minimum(b.op("add", part.var, segment), many)
            waiting = self.gather(part.var, end, *part.carried)
            forced = b.op("or", b.op("eq", part.var, ZERO), b.op("eq", end, many))
            full = b.op("gt", waiting, b.op("add", kept, segment))
            now = b.op("or", forced, full)
            self.sort(b.op("select", now, waiting, ZERO))
            waiting = b.op("select", now, x.minimum(waiting, kept), waiting)
            last = b.load("sort.keys0", self.key, b.op("add", self.s.base, b.op("sub", waiting, ONE)))
            zero = Imm(0, self.key)
            least = b.op("select", b.op("eq", last, zero), zero, b.op("sub", last, Imm(1, self.key)))
            enough = b.op("and", now, b.op("eq", waiting, kept))
            part.yields = (waiting, b.op("select", enough, least, part.carried[1]))
        with b.loop(ZERO, b.op("select", b.op("lt", ZERO, many), kept, ZERO), 1, "serial") as turn:
            place = b.op("add", self.s.base, turn.var)
            key = b.load("sort.keys0", self.key, place)
            self.s.place(turn.var, b.load("sort.at0", i64, place), key)

    def limit(self, many: Operand, kept: Operand) -> Operand:
        """A key that is no less than those of as many elements as are kept."""
        b, n = self.b, self.lanes
        inits = tuple(b.widen(self.s.most, n) for _ in range(0, GROUPS, n))
        with b.loop(ZERO, self.x.minimum(many, Imm(SAMPLED, i64)), GROUPS, "serial", inits) as turn:
            found = self.block(turn.var, self.x.minimum(b.op("add", turn.var, Imm(GROUPS, i64)), many))
            turn.yields = tuple(
                self.network.in_order(v, least)[0] for v, (least,) in zip(turn.carried, found, strict=True)
            )
        for number, least in enumerate(turn.results):
            b.emit(Store(LEAST, Imm(number * n, i64), least))
        few = b.op("and", b.op("lt", ZERO, many), b.op("le", kept, Imm(GROUPS // 2, i64)))
        count = b.op("select", few, Imm(GROUPS, i64), ZERO)
        rounds = (GROUPS // (2 * self.network.lanes)).bit_length() - 1
        self.network.sort(LEAST, count, Imm(rounds, i64))
        last = b.op("select", few, b.op("sub", kept, ONE), ZERO)
        return b.op("select", few, b.load(LEAST, self.key, last), self.s.most)

    def block(self, lo: Operand, hi: Operand) -> list[Acc]:
        """The keys of the elements from lo to hi, and behind these the greatest one."""
        b, x, lanes, over = self.b, self.x, self.lanes, self.s.statement.over
        for n in range(0, GROUPS, lanes):
            b.emit(Store(BLOCK, Imm(n, i64), b.widen(self.s.most, lanes)))

        def store(key: Operand) -> None:
            b.emit(Store(BLOCK, b.op("sub", x.at[over], lo), key, None, x.mask))

        self.s.vector_of_keys(lanes, lo, hi, store)
        return [(b.load(BLOCK, self.key, Imm(n, i64), lanes),) for n in range(0, GROUPS, lanes)]

    def gather(self, lo: Operand, hi: Operand, waiting: Operand, limit: Operand) -> Operand:
        """What of the elements from lo to hi has no greater key than `limit`, behind those that wait."""
        b, x, lanes = self.b, self.x, self.lanes
        with b.loop(lo, hi, GROUPS, "serial", (waiting,)) as turn:
            end = x.minimum(b.op("add", turn.var, Imm(GROUPS, i64)), hi)
            (least,) = x.halve("min", self.block(turn.var, end))
            some = b.op("select", b.op("le", least, limit), b.op("sub", end, turn.var), ZERO)
            with b.loop(ZERO, some, lanes, "serial", turn.carried) as part:
                found = b.op("le", b.load(BLOCK, self.key, part.var, lanes), b.widen(limit, lanes))
                rest = x.minimum(b.op("sub", some, part.var), Imm(lanes, i64))
                rest = b.op("select", b.op("any", found, dtype=b1, lanes=1), rest, ZERO)
                with b.loop(ZERO, rest, 1, "serial", part.carried) as one:
                    (at,) = one.carried
                    index = b.op("add", part.var, one.var)
                    key, to = b.load(BLOCK, self.key, index), b.op("add", self.s.base, at)
                    b.emit(Store("sort.keys0", to, key))
                    b.emit(Store("sort.at0", to, b.op("add", turn.var, index)))
                    more = b.op("select", b.op("le", key, limit), ONE, ZERO)
                    one.yields = (b.op("add", at, more),)
                part.yields = one.results
            turn.yields = part.results
        return turn.results[0]

    def sort(self, count: Operand) -> None:
        """So many that wait."""
        b = self.b
        few = b.op("le", count, Imm(FEW, i64))
        some = b.op("select", few, count, ZERO)

        def place(rank: Operand, index: Operand, key: Operand) -> None:
            to = b.op("add", self.s.base, rank)
            b.emit(Store("sort.keys1", to, key))
            b.emit(Store("sort.at1", to, b.load("sort.at0", i64, b.op("add", self.s.base, index))))

        self.s.ranks(some, place)
        self.s.back(some)
        self.s.passes(b.op("select", few, ZERO, count), True)
