"""Runs of a row, each in order, merged for a part of the result: which elements stand there is found by bits
of a key, for as many runs at once as a vector has lanes.

    for %bit in 0 .. 32 serial                  %v: the greatest key that at most %rank elements are less than
      for %q in 0 .. %runs vector                 of each run
        for %t in 0 .. %steps serial                how many those are, which are less than %v + 2**%bit
    for %q in 0 .. %runs serial                 those elements of the run, padded with the greatest key
    ...                                         merged
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.loop import ZERO, Imm, Operand
from ..ir.types import b1, f64, i64
from .lower_sorted import PAIR, Keys, padded
from .schedule import MERGED, SORTED_PAIR

if TYPE_CHECKING:
    from .lower_sort import SortLowering

# Of each run: between which places a part begins or ends, and one that is tried.
LOWS, HIGHS, TRIED = "merge.lows", "merge.highs", "merge.tried"
PLACES = "merge.places"  # where the part begins; behind those of all runs, where it ends
STARTS = "merge.starts"  # where its keys are
# A guess is less than the whole way; what lies beside it is this far away.
NEARLY, DEVIATIONS = 1 - 2**-20, 2.0


class RunMerge(Keys):
    """`count` runs of `length` elements, but for the last one."""

    def __init__(self, sort: SortLowering, length: Operand, count: Operand) -> None:
        super().__init__(sort)
        b, self.length, self.count = self.b, length, count
        self.going: Operand = Imm(False, b1)  # whether the part before was the last one that was done
        for name in (LOWS, HIGHS, TRIED, STARTS):
            b.alloc(name, i64, MERGED + 1)
        b.alloc(PLACES, i64, 2 * MERGED)
        self.levels = self.network.rounds(1, count)
        self.room = padded(b, length + count * SORTED_PAIR)

    def sort(self, base: Operand, begin: Operand, count: Operand) -> None:
        """So many elements of the result; one part after the other."""
        b = self.b
        names = b.window(self.key, "sort.keys0", base), b.window(self.key, "sort.keys1", base)
        again = b.select(self.going, self.count, 0)
        with b.loop(0, again, 1, "serial") as run:
            b.store(PLACES, run.var, b.load(PLACES, i64, run.var + self.count))
        with b.loop(b.select(self.going, 1, 0), 2, 1, "serial") as side:
            self.split(begin + side.var * count, side.var * self.count)
        with b.loop(0, self.count, 1, "serial", (ZERO,)) as run:
            (at,) = run.carried
            lo, hi = (b.load(PLACES, i64, place) for place in (run.var, run.var + self.count))
            b.store(STARTS, run.var, at)
            end = at + (((hi - lo) & PAIR) + SORTED_PAIR)
            self.fill(names[0], end + PAIR, end)
            first = run.var * self.length
            self.read(names[0], at, first + lo, first + hi)
            run.yields = (end,)
        b.store(STARTS, self.count, run.results[0])
        found = self.merge.all(names, lambda run: b.load(STARTS, i64, run), self.count, self.levels)
        self.write(found, begin, count)

    def split(self, rank: Operand, into: Operand) -> None:
        """How many elements of each run stand before the one of this rank: of equal ones, the first runs'."""
        b, x, key = self.b, self.x, self.key
        zeros = Imm(0, i64, x.schedule.width)

        def whole(at: Operand, mask: Operand | None) -> None:
            rest = self.s.extent - self.first(at)
            less = rest < self.length
            b.store(LOWS, at, zeros, mask=mask)
            b.store(HIGHS, at, b.select(less, rest, b.widen(self.length, rest.lanes)), mask=mask)

        x.each(self.count, whole)
        inits = (Imm(0, key), self.s.most, ZERO, self.s.extent, self.length)
        with b.loop(0, 3 * key.bits, 1, "serial", inits) as turn:
            low, high, before, below, widest = turn.carried
            count = b.select(low < high, self.count, 0)
            limit = self.between(low, high, rank, before, below, turn.var)
            total = self.less(limit, self.network.rounds(1, widest + 1), count)
            apart, open_ = self.narrow(total <= rank, count), count > 0
            up = open_ & (total <= rank)
            down = open_ & (rank < total)
            turn.yields = (
                b.select(up, limit, low),
                b.select(down, limit - 1, high),
                b.select(up, total, before),
                b.select(down, total, below),
                b.select(open_, apart, widest),
            )
        with b.loop(0, self.count, 1, "serial", (rank - turn.results[2],)) as run:
            (rest,) = run.carried
            low, high = (b.load(name, i64, run.var) for name in (LOWS, HIGHS))
            taken = x.minimum(high - low, rest)
            b.store(PLACES, into + run.var, low + taken)
            run.yields = (rest - taken,)

    def between(
        self, low: Operand, high: Operand, rank: Operand, before: Operand, below: Operand, turn: Operand
    ) -> Operand:
        """A key above `low`, at most `high`: where the rank would be if all keys between were as frequent,
        some standard deviations before that, then behind; every third time, half the way."""
        b, x = self.b, self.x
        span = high - low
        elements = x.cast(below - before, f64)
        away = b.op("sqrt", elements) * Imm(DEVIATIONS, f64)
        kind = turn % 3
        away = b.select(b.op("eq", kind, ZERO), b.op("neg", away), away)
        part = (x.cast(rank - before, f64) + away) // elements
        for op, bound in (("lt", Imm(NEARLY, f64)), ("gt", Imm(0.0, f64))):
            part = b.select(b.op(op, part, bound), part, bound)
        guess = x.cast(x.cast(span, f64) * part, self.key)
        step = b.select(b.op("eq", kind, Imm(2, i64)), span >> Imm(1, self.key), guess)
        return low + (step + 1)

    def first(self, at: Operand) -> Operand:
        """Where the runs from `at` on begin."""
        b, lanes = self.b, self.x.schedule.width
        runs = b.widen(at, lanes) + b.op("iota", dtype=i64, lanes=lanes)
        return runs * b.widen(self.length, lanes)

    def less(self, limit: Operand, steps: Operand, count: Operand) -> Operand:
        """How many elements have a lesser key than `limit`: by that many halvings of what is between."""
        b, x, over, lanes = self.b, self.x, self.s.statement.over, self.x.schedule.width
        one = Imm(1, i64, lanes)

        def more(so_far: Operand) -> Operand:
            at, outside = x.at["runs"], x.mask
            ends = tuple(b.load(name, i64, at, lanes, None, outside) for name in (LOWS, HIGHS))
            with b.loop(0, steps, 1, "serial", ends) as step, x.scope(over):
                low, high = step.carried
                middle, x.mask = (low + high) >> one, low < high
                x.at[over] = self.first(at) + middle
                key = self.s.key_of(b.widen(x.value(self.s.statement.expr), lanes))
                less = key < b.widen(limit, lanes)
                up, down = x.mask & less, x.mask & (less ^ True)
                step.yields = b.select(up, middle + one, low), b.select(down, middle, high)
            b.store(TRIED, at, step.results[0], mask=outside)
            return so_far + step.results[0]

        total = x.total("runs", count, Imm(0, i64, lanes), more)
        return x.halve("sum", [(total,)])[0]

    def narrow(self, some: Operand, count: Operand) -> Operand:
        """What was tried is the new beginning, or else the end; how far apart these are, at most."""
        b, x, lanes = self.b, self.x, self.x.schedule.width

        def wider(so_far: Operand) -> Operand:
            at, mask = x.at["runs"], x.mask
            low, high, tried = (b.load(name, i64, at, lanes, None, mask) for name in (LOWS, HIGHS, TRIED))
            chosen = b.widen(some, lanes)
            low, high = b.select(chosen, tried, low), b.select(chosen, high, tried)
            b.store(LOWS, at, low, mask=mask)
            b.store(HIGHS, at, high, mask=mask)
            apart = high - low
            return b.select(so_far < apart, apart, so_far)

        widest = x.total("runs", count, Imm(0, i64, lanes), wider)
        return x.halve("max", [(widest,)])[0]
