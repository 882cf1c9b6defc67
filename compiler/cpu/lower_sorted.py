"""Values in order: keys in working memory, in runs that a network of vectors sorts while the first cache has
them, and which are merged; or, where lanes can be compressed, divided until few are left (`lower_quick.py`).

    for %k in 0 .. %n vector                    keys, padded with the greatest one
    for %v in 0 .. %n step 4096 serial          runs of them
    ...                                         merged
    for %k in 0 .. %n vector                    values
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.loop import ONE, ZERO, Builder, Imm, Operand
from ..ir.types import i64
from .lower_bitonic import Bitonic
from .lower_merge import Merge
from .lower_quick import Quick
from .schedule import SORTED_PAIR, divides, held_keys

if TYPE_CHECKING:
    from .lower_sort import SortLowering

ROW = "sort.row"  # of a few keys
PAIR = Imm(-SORTED_PAIR, i64)


def padded(b: Builder, count: Operand) -> Operand:
    """Keys in the working memory of a block: whole pairs of vectors, and one behind them."""
    return (count + (3 * SORTED_PAIR - 1)) & PAIR


class Keys:
    """Those of the values of a row, and how they are sorted."""

    def __init__(self, sort: SortLowering) -> None:
        self.s, self.x, self.b, self.key = sort, sort.x, sort.b, sort.key
        self.network = Bitonic(self.x, self.key)
        self.merge = Merge(self.x, self.network)

    def fill(self, row: str, lo: Operand, hi: Operand) -> None:
        """The greatest key, there."""
        b, lanes = self.b, self.network.lanes
        with b.loop(lo, hi, lanes, "serial") as turn:
            b.store(row, turn.var, b.widen(self.s.most, lanes))

    def read(self, row: str, at: Operand, lo: Operand, hi: Operand) -> None:
        """The keys of the elements from lo to hi, from `at` on."""
        b, x, over = self.b, self.x, self.s.statement.over
        away = at - lo

        def store(key: Operand) -> None:
            place = x.at[over] + away
            b.store(row, place, key, mask=x.mask, loc=self.s.statement.loc)

        self.s.vector_of_keys(self.s.lanes(), lo, hi, store)

    def write(self, row: str, begin: Operand, count: Operand) -> None:
        """The first values of sorted keys, from `begin` on."""
        b, x, over, statement = self.b, self.x, self.s.statement.over, self.s.statement

        def store(at: Operand, mask: Operand | None) -> None:
            value = self.s.value_of(b.load(row, self.key, at, x.schedule.width, None, mask))
            with x.scope():
                x.at[over], x.vector = begin + at, over
                place, stride, _ = x.address(self.s.array, statement.index)
            b.store(self.s.array.name, place, value, stride=stride, mask=mask, loc=statement.loc)

        x.each(count, store)


class ValueRows(Keys):
    """Rows of at most `most` elements, with so much `room` each in the working memory of the plan. `alone`: 1
    if these need none of it."""

    def __init__(self, sort: SortLowering, most: Operand) -> None:
        super().__init__(sort)
        b, schedule, size = self.b, self.x.schedule, self.key.size
        self.held = held_keys(schedule, size)
        limit = Imm(self.held, i64)
        b.alloc(ROW, self.key, self.held)
        self.alone = b.select(most <= limit, 1, 0)
        rounds = self.network.rounds(2 * self.network.lanes, self.x.minimum(most, limit))
        self.rounds = rounds, self.network.rounds(self.held, most)
        few = b.op("eq", self.alone, ONE)
        divided = divides(schedule, size)
        self.quick = Quick(self.x, self.network, ROW, self.alone, sort.most) if divided else None
        self.room = b.select(few, SORTED_PAIR, padded(b, most))

    def sort(self, base: Operand, begin: Operand, count: Operand) -> None:
        """So many elements of the row, in working memory from `base` on."""
        b, x, limit = self.b, self.x, Imm(self.held, i64)
        shift = Imm(self.held.bit_length() - 1, i64)
        pair = 2 * self.network.lanes
        end = (count + (pair - 1)) & -pair
        other = b.window(self.key, "sort.keys1", base)
        row = b.window(self.key, ROW, 0, self.alone, "sort.keys0", base)
        if self.quick is not None:
            self.read(row, ZERO, begin, begin + count)
            self.quick.all((row, other), count, lambda row, at, count: self.write(row, begin + at, count))
            return
        self.fill(row, b.select(end > 0, end - pair, 0), end)
        self.read(row, ZERO, begin, begin + count)
        with b.loop(0, end, self.held, "serial") as run:
            self.network.sort(
                b.window(self.key, row, run.var), x.minimum(end - run.var, limit), self.rounds[0]
            )

        def bound(run: Operand) -> Operand:
            return x.minimum(run << shift, end)

        runs = (end + (self.held - 1)) >> shift
        self.write(self.merge.all((row, other), bound, runs, self.rounds[1]), begin, count)
