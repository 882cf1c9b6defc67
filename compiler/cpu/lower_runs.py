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

from ..ir.loop import ONE, ZERO, Imm, Operand, Store
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
        self.room = padded(b, b.op("add", length, b.op("mul", count, Imm(SORTED_PAIR, i64))))

    def sort(self, base: Operand, begin: Operand, count: Operand) -> None:
        """So many elements of the result; one part after the other."""
        b = self.b
        names = self.window("sort.keys0", base), self.window("sort.keys1", base)
        again = b.op("select", self.going, self.count, ZERO)
        with b.loop(ZERO, again, 1, "serial") as run:
            b.emit(Store(PLACES, run.var, b.load(PLACES, i64, b.op("add", run.var, self.count))))
        with b.loop(b.op("select", self.going, ONE, ZERO), Imm(2, i64), 1, "serial") as side:
            self.split(b.op("add", begin, b.op("mul", side.var, count)), b.op("mul", side.var, self.count))
        with b.loop(ZERO, self.count, 1, "serial", (ZERO,)) as run:
            (at,) = run.carried
            lo, hi = (b.load(PLACES, i64, place) for place in (run.var, b.op("add", run.var, self.count)))
            b.emit(Store(STARTS, run.var, at))
            end = b.op("add", at, b.op("add", b.op("and", b.op("sub", hi, lo), PAIR), Imm(SORTED_PAIR, i64)))
            self.fill(names[0], b.op("add", end, PAIR), end)
            first = b.op("mul", run.var, self.length)
            self.read(names[0], at, b.op("add", first, lo), b.op("add", first, hi))
            run.yields = (end,)
        b.emit(Store(STARTS, self.count, run.results[0]))
        found = self.merge.all(names, lambda run: b.load(STARTS, i64, run), self.count, self.levels)
        self.write(found, begin, count)

    def split(self, rank: Operand, into: Operand) -> None:
        """How many elements of each run stand before the one of this rank: of equal ones, the first runs'."""
        b, x, key = self.b, self.x, self.key
        zeros = Imm(0, i64, x.schedule.width)

        def whole(at: Operand, mask: Operand | None) -> None:
            rest = b.op("sub", self.s.extent, self.first(at))
            less = b.op("lt", rest, self.length)
            b.emit(Store(LOWS, at, zeros, None, mask))
            b.emit(Store(HIGHS, at, b.op("select", less, rest, b.widen(self.length, rest.lanes)), None, mask))

        x.each(self.count, whole)
        inits = (Imm(0, key), self.s.most, ZERO, self.s.extent, self.length)
        with b.loop(ZERO, Imm(3 * key.bits, i64), 1, "serial", inits) as turn:
            low, high, before, below, widest = turn.carried
            count = b.op("select", b.op("lt", low, high), self.count, ZERO)
            limit = self.between(low, high, rank, before, below, turn.var)
            total = self.less(limit, self.network.rounds(1, b.op("add", widest, ONE)), count)
            apart, open_ = self.narrow(b.op("le", total, rank), count), b.op("lt", ZERO, count)
            up = b.op("and", open_, b.op("le", total, rank))
            down = b.op("and", open_, b.op("lt", rank, total))
            turn.yields = (
                b.op("select", up, limit, low),
                b.op("select", down, b.op("sub", limit, Imm(1, key)), high),
                b.op("select", up, total, before),
                b.op("select", down, total, below),
                b.op("select", open_, apart, widest),
            )
        with b.loop(ZERO, self.count, 1, "serial", (b.op("sub", rank, turn.results[2]),)) as run:
            (rest,) = run.carried
            low, high = (b.load(name, i64, run.var) for name in (LOWS, HIGHS))
            taken = x.minimum(b.op("sub", high, low), rest)
            b.emit(Store(PLACES, b.op("add", into, run.var), b.op("add", low, taken)))
            run.yields = (b.op("sub", rest, taken),)

    def between(
        self, low: Operand, high: Operand, rank: Operand, before: Operand, below: Operand, turn: Operand
    ) -> Operand:
        """A key above `low`, at most `high`: where the rank would be if all keys between were as frequent,
        some standard deviations before that, then behind; every third time, half the way."""
        b, x = self.b, self.x
        span = b.op("sub", high, low)
        elements = x.cast(b.op("sub", below, before), f64)
        away = b.op("mul", b.op("sqrt", elements), Imm(DEVIATIONS, f64))
        kind = b.op("rem", turn, Imm(3, i64))
        away = b.op("select", b.op("eq", kind, ZERO), b.op("neg", away), away)
        part = b.op("div", b.op("add", x.cast(b.op("sub", rank, before), f64), away), elements)
        for op, bound in (("lt", Imm(NEARLY, f64)), ("gt", Imm(0.0, f64))):
            part = b.op("select", b.op(op, part, bound), part, bound)
        guess = x.cast(b.op("mul", x.cast(span, f64), part), self.key)
        step = b.op("select", b.op("eq", kind, Imm(2, i64)), b.op("shr", span, Imm(1, self.key)), guess)
        return b.op("add", low, b.op("add", step, Imm(1, self.key)))

    def first(self, at: Operand) -> Operand:
        """Where the runs from `at` on begin."""
        b, lanes = self.b, self.x.schedule.width
        runs = b.op("add", b.widen(at, lanes), b.op("iota", dtype=i64, lanes=lanes))
        return b.op("mul", runs, b.widen(self.length, lanes))

    def less(self, limit: Operand, steps: Operand, count: Operand) -> Operand:
        """How many elements have a lesser key than `limit`: by that many halvings of what is between."""
        b, x, over, lanes = self.b, self.x, self.s.statement.over, self.x.schedule.width
        one = Imm(1, i64, lanes)

        def chunk(u: int, carried: list[Operand]) -> list[Operand]:
            at, outside = x.at["runs"], x.mask
            ends = tuple(b.load(name, i64, at, lanes, None, outside) for name in (LOWS, HIGHS))
            with b.loop(ZERO, steps, 1, "serial", ends) as step, x.scope(over):
                low, high = step.carried
                middle, x.mask = b.op("shr", b.op("add", low, high), one), b.op("lt", low, high)
                x.at[over] = b.op("add", self.first(at), middle)
                key = self.s.key_of(b.widen(x.value(self.s.statement.expr), lanes))
                less = b.op("lt", key, b.widen(limit, lanes))
                up, down = (
                    b.op("and", x.mask, less),
                    b.op("and", x.mask, b.op("xor", less, Imm(True, b1, lanes))),
                )
                step.yields = (
                    b.op("select", up, b.op("add", middle, one), low), b.op("select", down, middle, high)
                )  # fmt: skip
            b.emit(Store(TRIED, at, step.results[0], None, outside))
            return [b.op("add", carried[0], step.results[0])]

        (total,) = x.vectors("runs", ZERO, count, (Imm(0, i64, lanes),), chunk)
        return x.halve("sum", [(total,)])[0]

    def narrow(self, some: Operand, count: Operand) -> Operand:
        """What was tried is the new beginning, or else the end; how far apart these are, at most."""
        b, x, lanes = self.b, self.x, self.x.schedule.width

        def chunk(u: int, carried: list[Operand]) -> list[Operand]:
            at, mask = x.at["runs"], x.mask
            low, high, tried = (b.load(name, i64, at, lanes, None, mask) for name in (LOWS, HIGHS, TRIED))
            chosen = b.widen(some, lanes)
            low, high = b.op("select", chosen, tried, low), b.op("select", chosen, high, tried)
            b.emit(Store(LOWS, at, low, None, mask))
            b.emit(Store(HIGHS, at, high, None, mask))
            apart = b.op("sub", high, low)
            return [b.op("select", b.op("lt", carried[0], apart), apart, carried[0])]

        (widest,) = x.vectors("runs", ZERO, count, (Imm(0, i64, lanes),), chunk)
        return x.halve("max", [(widest,)])[0]
