"""Quicksort: a part of a row that is too long for the network of vectors is divided by one of its keys. The
lesser keys of a vector go to its front, and from there behind those that were before; so do the others, into
the other buffer.

    for %t in 0 .. %turns serial                parts that wait, the shortest first
      for %b in 0 .. %short once                  one that the network sorts: its values are stored
      for %b in 0 .. %long once                   one that becomes two:
        for %i in 0 .. %n step 16 serial
          %v = load x[%i]
          %less = lt %v, %pivot
          store x[%left], (compress %v, %less)
          store y[%i - %left], (compress %v, not %less)

Of a part all keys are known to lie between two bounds. Where these are equal it is in order. The key that
divides is the median of a vector of them; but where that has left more than seven eighths together, the next
one is the middle between the bounds. So however keys come, no part is divided more often than keys have bits
by middles, once more by a median before each, and log(n / short) / log(8 / 7) times by others.
(Bramas, A novel hybrid quicksort algorithm vectorized using AVX-512 on Intel Skylake, 2017.)
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.loop import ONE, ZERO, Imm, Operand
from ..ir.types import b1, i64
from .lower import Lowering
from .lower_bitonic import Bitonic
from .schedule import PARTED

STACK, BOUNDS = "sort.stack", "sort.bounds"
WAITING = 64  # parts, at most: each is at most half of the one that waits below
FROM, TO, SIZE, PLACE, KIND = range(5)  # of a part: where it is, where the others go, keys, place in the row
# of its kind: whether it is in the second buffer; whether it is most of one that a median divided
SECOND, MOST = 1, 2
# Turns, for each short part of the row: all that there are in a usual row; if some are left, twice as many,
# and so on.
TURNS, ROUNDS = 3, 8

Write = Callable[[str, Operand, Operand], None]


class Quick:
    """From one buffer to the other, and back, by the vectors of `network`, which sorts in `row`. `alone`: 1
    if that is where all keys are."""

    def __init__(self, x: Lowering, network: Bitonic, row: str, alone: Operand, most: Operand) -> None:
        b, self.x, self.b, self.network, self.key, self.most = x.b, x, x.b, network, network.key, most
        self.row, self.alone = row, alone
        b.alloc(STACK, i64, (KIND + 1) * WAITING)
        b.alloc(BOUNDS, self.key, 2 * WAITING)

    def all(self, names: tuple[str, str], count: Operand, write: Write) -> None:
        """So many keys in the first buffer. `write` takes a buffer with the next ones in order, their place,
        how many they are."""
        b = self.b
        self.push(ZERO, (ZERO, ZERO, count, ZERO, ZERO), (Imm(0, self.key), self.most))
        short = PARTED // self.key.size
        many = count >> (short.bit_length() - 1)
        self.short = b.select(b.op("ne", self.alone, ZERO), count, short)
        turns = many * TURNS + 1
        with b.loop(0, ROUNDS, 1, "serial", (ONE,)) as again:
            left = b.select(again.carried[0] > 0, turns << again.var, 0)
            with b.loop(0, left, 1, "serial", again.carried) as turn:
                turn.yields = (self.turn(names, turn.carried[0], write),)
            again.yields = turn.results

    def push(self, at: Operand, part: tuple[Operand, ...], bounds: tuple[Operand, Operand]) -> None:
        b = self.b
        for name, values in ((STACK, part), (BOUNDS, bounds)):
            for number, value in enumerate(values):
                b.store(name, at + number * WAITING, value)

    def turn(self, names: tuple[str, str], waiting: Operand, write: Write) -> Operand:
        """The last of so many parts that wait; how many do then."""
        b = self.b
        some = waiting > 0
        top = b.select(some, waiting - 1, 0)
        at = [top + number * WAITING for number in range(KIND + 1)]
        found = [b.load(STACK, i64, place) for place in at]
        low, high = (b.load(BOUNDS, self.key, place) for place in at[:2])
        size, short, equal = found[SIZE], self.short, b.op("eq", low, high)
        second = found[KIND] & SECOND
        here = self.buffer(names, second, found[FROM])
        easy = (size <= short) | equal
        with b.loop(0, b.select(some & easy, 1, 0), 1, "once", (waiting,)) as branch:
            taken = self.x.minimum(size, short)
            self.in_order(here, taken, equal)
            write(self.row, found[PLACE], taken)
            for number, change in ((FROM, taken), (PLACE, taken), (SIZE, 0 - taken)):
                b.store(STACK, at[number], found[number] + change)
            branch.yields = (b.select(b.op("eq", taken, size), top, waiting),)
        hard = b.select(some & (easy ^ True), 1, 0)
        with b.loop(0, hard, 1, "once", branch.results) as branch:
            there = self.buffer(names, 1 - second, found[TO])
            halving = found[KIND] > 1
            pivot = self.between(here, size, low, high, halving)
            less = self.divide(here, there, size, pivot)
            more = size - less
            first = less < more
            # the longer one below
            lower, upper = b.select(first, 1, 0), b.select(first, 0, 1)
            longest = size - (size >> 3)
            uneven = longest < b.select(first, more, less)
            uneven = uneven & (halving ^ True)
            most = b.select(uneven, MOST, 0)
            end = found[TO] + more
            self.push(
                top + lower, (found[FROM], end, less, found[PLACE], second | most),
                (low, pivot - 1),
            )  # fmt: skip
            other = (1 - second) | most
            behind = (found[place] + less for place in (FROM, PLACE))
            self.push(top + upper, (found[TO], next(behind), more, next(behind), other), (pivot, high))
            branch.yields = (waiting + 1,)
        return branch.results[0]

    def buffer(self, names: tuple[str, str], second: Operand, at: Operand) -> str:
        return self.b.window(self.key, names[1], at, second, names[0], at)

    def in_order(self, source: str, count: Operand, equal: Operand) -> None:
        """A copy of so many keys, sorted where they are not equal."""
        b, n = self.b, self.network
        end = (count + (2 * n.lanes - 1)) & (-2 * n.lanes)
        begin = b.select(b.op("ne", self.alone, ZERO), count & -n.lanes, 0)
        with b.loop(begin, end, n.lanes, "serial") as turn:
            inside = self.x.first_lanes(count - turn.var)
            keys = b.load(source, self.key, turn.var, n.lanes)
            b.store(self.row, turn.var, b.select(inside, keys, b.widen(self.most, n.lanes)))
        n.sort(self.row, b.select(equal, 0, end), n.rounds(2 * n.lanes, end))

    def between(self, source: str, size: Operand, low: Operand, high: Operand, halving: Operand) -> Operand:
        """A key above `low`, at most `high`."""
        b, n = self.b, self.network
        step = size >> (n.lanes.bit_length() - 1)
        found: Operand = n.run(b.load(source, self.key, step >> 1, n.lanes, step))
        half = "hi"
        while found.lanes > 1:
            found, half = b.op(half, found, dtype=self.key, lanes=found.lanes // 2), "lo"
        one = Imm(1, self.key)
        found = b.select(b.op("eq", found, low), low + one, found)
        middle = low + (((high - low) >> one) + one)
        return b.select(halving, middle, found)

    def divide(self, source: str, target: str, size: Operand, pivot: Operand) -> Operand:
        """Those that are less than `pivot` to the front, the others to `target`; how many are less."""
        b, lanes = self.b, self.network.lanes
        whole = size & -lanes
        less: Operand = ZERO
        by = b.widen(pivot, lanes)
        for lo, hi in ((ZERO, whole), (whole, size)):
            with b.loop(lo, hi, lanes, "serial", (less, Imm(True, b1, lanes))) as turn:
                left: Operand = turn.carried[0]
                inside: Operand = turn.carried[1]
                keys = b.load(source, self.key, turn.var, lanes)
                masks: tuple[Operand | None, Operand | None] = (None, None)
                first: Operand = keys < by
                every = first | inside  # all: were it a literal, LLVM would compare once more
                if lo is not ZERO:
                    rest = size - turn.var
                    inside = self.x.first_lanes(rest)
                    first = first & inside
                some = b.op("count", first, dtype=i64, lanes=1)
                if lo is not ZERO:  # nothing is stored behind what there is
                    masks = self.x.first_lanes(some), self.x.first_lanes(rest - some)
                others = first ^ inside
                b.store(source, left, self.pressed(keys, first), mask=masks[0])
                b.store(target, turn.var - left, self.pressed(keys, others), mask=masks[1])
                turn.yields = (left + some, every)
            less = turn.results[0]
        return less

    def pressed(self, keys: Operand, mask: Operand) -> Operand:
        return self.b.op("compress", keys, mask, dtype=self.key)
