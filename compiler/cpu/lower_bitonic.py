"""Keys of one row in order, by a bitonic network of vectors: padded with the greatest key to whole pairs.

    for %v in 0 .. %n step 32 serial            32 keys, in two vectors
    for %t ... serial                           sorted runs of %p = 32, 64, ... become one of 2 %p:
      for %i ... step 16 serial                   element i of a pair of runs with the last but i,
      for ... serial                              then those that are %p/2, %p/4, ..., 32 apart,
        for %i ... step 16 serial
      for %v in 0 .. %n step 32 serial            16, 8, 4, 2, 1 apart

The lesser one always goes to the front: so what is beyond the end would stay there, and is left out. Of the
greater ones each vector is the wrong way round until the last step, which takes it as well.
(Batcher, Sorting networks and their applications, 1968; Knuth, The Art of Computer Programming 3, 5.3.4.)
"""

from __future__ import annotations

from ..ir.loop import Imm, Operand, Store, Value
from ..ir.types import DType, i32, i64
from .lower import Lowering
from .values import HERE

LANES, BOTH = 16, 32
MOST = 4096  # elements of a row
ROW = "sort.row"
ONE, STEP = Imm(1, i64), Imm(LANES, i64)


class Bitonic:
    def __init__(self, x: Lowering, key: DType) -> None:
        self.b, self.key = x.b, key

    def memory(self) -> None:
        b = self.b
        b.alloc(ROW, self.key, MOST)
        lane = b.op("iota", dtype=i32, lanes=LANES)
        zero = Imm(0, i32, LANES)
        # which lanes have the greater one of two whose numbers differ in that bit
        self.greater = {
            bit: b.op("ne", b.op("and", lane, Imm(bit, i32, LANES)), zero) for bit in (1, 2, 4, 8)
        }

    def padded(self, count: Operand) -> Value:
        """A whole number of pairs of vectors; what is beyond `count` there has the greatest key."""
        b = self.b
        end = b.op("and", b.op("add", count, Imm(BOTH - 1, i64)), Imm(-BOTH, i64))
        last = b.op("select", b.op("lt", HERE, end), b.op("sub", end, Imm(BOTH, i64)), HERE)
        with b.loop(last, end, LANES, "serial") as turn:
            b.emit(Store(ROW, turn.var, Imm((1 << self.key.bits) - 1, self.key, LANES)))
        return end

    def sort(self, end: Operand) -> None:
        """The first `end` keys, which are padded."""
        b = self.b
        with b.loop(HERE, end, BOTH, "serial") as turn:
            pair = self.run(self.load(turn.var)), self.reversed(self.run(self.load(self.next(turn.var))))
            self.finished(turn.var, *pair)
        rounds = Imm((MOST // BOTH).bit_length() - 1, i64)
        with b.loop(HERE, rounds, 1, "serial") as number:
            p = b.op("shl", Imm(BOTH, i64), number.var)
            some = b.op("lt", p, end)
            last = b.op("select", some, end, HERE)  # all is one run
            self.mirrored(p, last)
            with b.loop(HERE, b.op("select", some, number.var, HERE), 1, "serial") as turn:
                self.apart(b.op("shr", p, b.op("add", turn.var, ONE)), last)
            with b.loop(HERE, last, BOTH, "serial") as turn:
                self.finished(turn.var, self.load(turn.var), self.load(self.next(turn.var)))

    def next(self, at: Operand) -> Value:
        return self.b.op("add", at, STEP)

    def load(self, at: Operand) -> Value:
        return self.b.load(ROW, self.key, at, LANES)

    def in_order(self, x: Operand, y: Operand) -> tuple[Value, Value]:
        less = self.b.op("lt", x, y)
        return self.b.op("select", less, x, y), self.b.op("select", less, y, x)

    def reversed(self, v: Value) -> Value:
        return self.b.op("shuffle", v, Imm(LANES - 1, i32), dtype=self.key)

    def exchanged(self, v: Value, bits: int, bit: int) -> Value:
        """Each lane with the one whose number differs in these bits, the highest of which is `bit`."""
        low, high = self.in_order(v, self.b.op("shuffle", v, Imm(bits, i32), dtype=self.key))
        return self.b.op("select", self.greater[bit], high, low)

    def halves(self, v: Value, step: int) -> Value:
        while step:
            v = self.exchanged(v, step, step)
            step //= 2
        return v

    def run(self, v: Value) -> Value:
        """One vector, sorted."""
        for length in (1, 2, 4, 8):
            v = self.halves(self.exchanged(v, 2 * length - 1, length), length // 2)
        return v

    def finished(self, at: Operand, x: Value, y: Value) -> None:
        for place, v in zip((at, self.next(at)), self.in_order(x, y), strict=True):
            self.b.emit(Store(ROW, place, self.halves(v, LANES // 2)))

    def pairs(self, p: Operand, end: Operand) -> Value:
        """How many elements of the first ones of 2 p have one that is p behind them and before `end`."""
        b = self.b
        twice = b.op("add", p, p)
        over = b.op("sub", b.op("and", end, b.op("sub", twice, ONE)), p)
        more = b.op("select", b.op("lt", over, HERE), HERE, over)
        return b.op("add", b.op("shr", b.op("and", end, b.op("sub", HERE, twice)), ONE), more)

    def split(self, number: Operand, p: Operand) -> tuple[Value, Value]:
        """Where its 2 p elements begin, and where it is of these."""
        b = self.b
        at = b.op("and", number, b.op("sub", p, ONE))
        return b.op("shl", b.op("sub", number, at), ONE), at

    def mirrored(self, p: Operand, end: Operand) -> None:
        b = self.b
        with b.loop(HERE, self.pairs(p, end), LANES, "serial") as turn:
            begin, at = self.split(turn.var, p)
            middle = b.op("add", begin, p)
            left, right = b.op("sub", middle, self.next(at)), b.op("add", middle, at)
            low, high = self.in_order(self.load(left), self.reversed(self.load(right)))
            b.emit(Store(ROW, left, low))
            b.emit(Store(ROW, right, high))

    def apart(self, p: Operand, end: Operand) -> None:
        b = self.b
        with b.loop(HERE, self.pairs(p, end), LANES, "serial") as turn:
            begin, at = self.split(turn.var, p)
            left = b.op("add", begin, at)
            right = b.op("add", left, p)
            low, high = self.in_order(self.load(left), self.load(right))
            b.emit(Store(ROW, left, low))
            b.emit(Store(ROW, right, high))
