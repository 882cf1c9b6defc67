"""A run of keys in order, by a bitonic network of vectors: padded with the greatest key to whole pairs.

    for %v in 0 .. %n step 32 serial            32 keys, in two vectors
    for %t ... serial                           sorted runs of %p = 32, 64, ... become one of 2 %p:
      for %i ... step 16 serial                   element i of a pair of runs with the last but i,
      for ... serial                              then those that are %p/2, %p/4, ..., 32 apart,
        for %i ... step 16 serial
      for %v in 0 .. %n step 32 serial            16, 8, 4, 2, 1 apart

The lesser one always goes to the front: so what is beyond the end would stay there, and is left out. Of the
greater ones each vector is the wrong way round until the last step, which takes it as well.
(Batcher, Sorting networks and their applications, 1968; Knuth, The Art of Computer Programming 3, 5.3.4.)

Lanes of two vectors that are 8 apart meet where the halves of both are dealt out in turn, a lane of one and a
lane of the other; those that are 4, 2, 1 apart if that is done again and again; and once more brings all back
to their places. (Stone, Parallel processing with the perfect shuffle, 1971.)
"""

from __future__ import annotations

from ..ir.loop import Imm, Operand
from ..ir.types import DType, f64, i32, i64
from .lower import Lowering
from .lower_network import in_order, network
from .schedule import SORTED_PAIR


class Bitonic:
    """`lanes` of a vector, at most half a pair. `row`: where the keys are."""

    def __init__(self, x: Lowering, key: DType) -> None:
        b, lanes = x.b, x.schedule.width if key.size >= 4 else SORTED_PAIR // 2
        self.x, self.b, self.key, self.lanes, self.row = x, b, key, lanes, ""
        self.step, self.both = Imm(lanes, i64), Imm(2 * lanes, i64)
        lane, zero = b.op("iota", dtype=i32, lanes=lanes), Imm(0, i32, lanes)
        # which lanes have the greater one of two whose numbers differ in that bit
        self.greater = {bit: b.op("ne", lane & Imm(bit, i32, lanes), zero) for bit in self.bits()}

    def bits(self) -> list[int]:
        """1, 2, 4, ...: of the numbers of lanes."""
        return [1 << n for n in range(self.lanes.bit_length() - 1)]

    def rounds(self, begin: int, end: Operand) -> Operand:
        """How often runs of `begin` keys, a power of two, must be doubled to have `end`: the number of binary
        digits of how many runs are behind the first one."""
        b = self.b
        last = (end - 1) >> (begin.bit_length() - 1)
        exponent = b.op("bitcast", b.op("cast", last, dtype=f64), dtype=i64) >> 52
        return b.select(last > 0, exponent - 1022, 0)

    def sort(self, row: str, end: Operand, rounds: Operand) -> None:
        """The first `end` keys there, whole pairs; as many rounds as these need, or more: padding counts,
        as columns leave keys in all vectors of a square."""
        b, self.row = self.b, row
        square = end & -(self.lanes**2)
        with b.loop(0, square, self.lanes**2, "serial") as turn:
            self.columns(turn.var)
        with b.loop(square, end, self.lanes, "serial") as turn:
            b.store(row, turn.var, self.run(self.load(turn.var)))
        with b.loop(0, end, 2 * self.lanes, "serial") as turn:
            self.finished(turn.var, self.load(turn.var), self.reversed(self.load(self.next(turn.var))))
        with b.loop(0, rounds, 1, "serial") as number:
            p = self.both << number.var
            some = p < end
            last = b.select(some, end, 0)  # all is one run
            self.compared(p, last, True)
            with b.loop(0, b.select(some, number.var, 0), 1, "serial") as turn:
                self.compared(p >> (turn.var + 1), last, False)
            with b.loop(0, last, 2 * self.lanes, "serial") as turn:
                self.finished(turn.var, self.load(turn.var), self.load(self.next(turn.var)))

    def next(self, at: Operand) -> Operand:
        return at + self.step

    def load(self, at: Operand) -> Operand:
        return self.b.load(self.row, self.key, at, self.lanes)

    def in_order(self, x: Operand, y: Operand) -> tuple[Operand, Operand]:
        return in_order(self.b, x, y)

    def reversed(self, v: Operand) -> Operand:
        return self.b.op("shuffle", v, Imm(self.lanes - 1, i32), dtype=self.key)

    def exchanged(self, v: Operand, bits: int, bit: int) -> Operand:
        """Each lane with the one whose number differs in these bits, the highest of which is `bit`."""
        low, high = self.in_order(v, self.b.op("shuffle", v, Imm(bits, i32), dtype=self.key))
        return self.b.select(self.greater[bit], high, low)

    def run(self, v: Operand) -> Operand:
        """One vector, sorted."""
        for length in self.bits():
            v = self.exchanged(v, 2 * length - 1, length)
            for step in reversed(self.bits()):
                v = self.exchanged(v, step, step) if step < length else v
        return v

    def columns(self, at: Operand) -> None:
        """As many vectors as they have lanes: what stands one below the other is put in order, and becomes a
        vector."""
        places = [at + n * self.lanes for n in range(self.lanes)]
        vectors: list[Operand] = [self.load(place) for place in places]
        for left, right in network(self.lanes):
            vectors[left], vectors[right] = self.in_order(vectors[left], vectors[right])
        for place, v in zip(places, self.x.transposed(vectors), strict=True):
            self.b.store(self.row, place, v)

    def dealt(self, x: Operand, y: Operand) -> tuple[Operand, Operand]:
        """The first halves of both, a lane of x and a lane of y in turn; the second halves."""
        b, two = self.b, Imm(2, i32)
        found = []
        for away in (0, self.lanes):
            even = b.op("spread", x, x, two, Imm(away, i32), dtype=self.key)
            found.append(b.op("spread", even, y, two, Imm(away - 1, i32), dtype=self.key))
        return found[0], found[1]

    def halves(self, x: Operand, y: Operand) -> tuple[Operand, Operand]:
        """Two vectors, each sorted, of which each rises and then falls, or falls and then rises."""
        for _ in self.bits():
            x, y = self.in_order(*self.dealt(x, y))
        return self.dealt(x, y)

    def finished(self, at: Operand, x: Operand, y: Operand) -> None:
        found = self.halves(*self.in_order(x, y))
        for place, v in zip((at, self.next(at)), found, strict=True):
            self.b.store(self.row, place, v)

    def pairs(self, p: Operand, end: Operand) -> Operand:
        """How many elements of the first ones of 2 p have one that is p behind them and before `end`."""
        b = self.b
        twice = p + p
        over = (end & (twice - 1)) - p
        more = b.select(over < 0, 0, over)
        return ((end & (0 - twice)) >> 1) + more

    def compared(self, p: Operand, end: Operand, mirrored: bool) -> None:
        """Those of each 2 p elements that are p apart; `mirrored`: the first one with the last, and so on."""
        b = self.b
        with b.loop(0, self.pairs(p, end), self.lanes, "serial") as turn:
            at = turn.var & (p - 1)
            begin = (turn.var - at) << 1
            left, right = begin + at, begin + p + at
            if mirrored:
                left = begin + p - self.next(at)
            greater = self.load(right)
            low, high = self.in_order(self.load(left), self.reversed(greater) if mirrored else greater)
            b.store(self.row, left, low)
            b.store(self.row, right, high)
