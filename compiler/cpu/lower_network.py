"""Short rows, sorted several at a time by a network: which elements are compared does not depend on them.
Vectors run along the last outer axis. Of values, keys alone are compared, which may be equal.

    once:  pairs (0, 1), (2, 3), ..., (0, 2), ...      of Batcher's odd-even merge, for n elements
    for %r in %lo .. %hi step 8 vector                  rows; those along memory are turned in registers
      for %j in 0 .. %n serial                          key * 2**32 + %j, which no two elements have
      for %c in 0 .. %pairs serial                      the lesser one first
      for %j in 0 .. %n serial                          places, or values

(Knuth, The Art of Computer Programming 3, algorithm M of section 5.2.2.)
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import kernel as k
from ..ir.loop import ONE, ZERO, Builder, Imm, Operand
from ..ir.types import DType, i32, i64, u32, u64
from .lower import Lowering

# Elements of rows that are not turned: of a square of as many vectors most would be left out.
ONE_BY_ONE = 4
ELEMENTS, LEFT, RIGHT = "sort.rows", "sort.left", "sort.right"


def pairs(n: int) -> int:
    """How many there are for n elements."""
    return len(network(n))


def network(n: int) -> list[tuple[int, int]]:
    """Which of n elements are compared, one pair after the other."""
    found, p = list[tuple[int, int]](), 1
    while p < n:
        step = p
        while step:
            for j in range(step % p, n - step, 2 * step):
                if step == p or (j + step) % (2 * p):
                    found += [(i, i + step) for i in range(j, min(j + step, n - step))]
            step //= 2
        p *= 2
    return found


def in_order(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """The lesser one of two keys, and the greater. Of 8 bytes this is what is left of both: a minimum and a
    maximum are two instructions each there."""
    less = x < y
    low = b.select(less, x, y)
    if x.dtype.size == 8:
        return low, x ^ y ^ low
    return low, b.select(less, y, x)


class Network:
    """The rows of one sort. `key_of`: an unsigned number of `key.size` bytes, of a value; at most 4 where
    places are asked for. `value_of`: back."""

    def __init__(
        self,
        x: Lowering,
        statement: k.Sort,
        stage: k.Stage,
        key: DType,
        key_of: Callable[[Operand], Operand],
        value_of: Callable[[Operand], Operand],
    ) -> None:
        self.x, self.b = x, x.b
        self.statement, self.stage, self.key_of, self.value_of = statement, stage, key_of, value_of
        self.array = x.arrays[statement.array]
        self.extent = x.extent(stage.axes[0].extent)
        # a key, and where the element is
        self.both = key if statement.values else u64 if key.size == 4 else u32
        self.bits = 4 * self.both.size
        # Whether rows lie along memory: they are turned in registers then, not gathered element by element.
        loads = [e for e in k.walk(statement.expr) if isinstance(e, k.Load) and e.index]
        ends = [(x.arrays[e.array], e.index) for e in loads] + [(self.array, statement.index)]
        self.along = all(array.unit and index[-1].axis == statement.over for array, index in ends)

    def memory(self, most: int) -> None:
        """For rows of at most so many elements."""
        self.b.alloc(ELEMENTS, self.both, most * self.x.schedule.width)
        for name in (LEFT, RIGHT):
            self.b.alloc(name, i32, pairs(most))

    def prepare(self, n: Operand) -> Operand:
        """Which are compared, of n elements; how many pairs there are."""
        b, x = self.b, self.x
        with b.loop(0, 7, 1, "serial", (ZERO,)) as outer:
            p = ONE << outer.var
            rounds = b.select(p < n, outer.var + 1, 0)
            with b.loop(0, rounds, 1, "serial", outer.carried) as inner:
                step = p >> inner.var
                twice = step + step
                first = step & (p - 1)
                with b.loop(first, n - step, twice, "serial", inner.carried) as run:
                    beyond = (run.var + step) & (p + p - 1)
                    within = b.op("eq", step, p) | b.op("ne", beyond, ZERO)
                    end = x.minimum(run.var + step, n - step)
                    end = b.select(within, end, run.var)
                    with b.loop(run.var, end, 1, "serial", run.carried) as one:
                        (count,) = one.carried
                        b.store(LEFT, count, x.cast(one.var, i32))
                        b.store(RIGHT, count, x.cast(one.var + step, i32))
                        one.yields = (count + 1,)
                    run.yields = one.results
                inner.yields = run.results
            outer.yields = inner.results
        return outer.results[0]

    def rows(self, lo: Operand, hi: Operand, count: Operand, kept: Operand) -> None:
        """The first `kept` elements of each row, or their places, by so many pairs."""
        b, x, (*others, last) = self.b, self.x, self.x.kernel.outer
        if not others:
            self.line(lo, hi, count, kept)
            return
        size = x.extent(last.extent)
        some = b.select(size > 0, size, 1)
        end = x.pieces(hi, some)
        with b.loop(lo // some, end, 1, "serial") as turn, x.scope(*(a.name for a in others)):
            x.at.update(x.point(turn.var, others))
            begin = turn.var * size
            first, behind = lo - begin, hi - begin
            first = b.select(first < 0, 0, first)
            self.line(first, x.minimum(behind, size), count, kept)

    def line(self, lo: Operand, hi: Operand, count: Operand, kept: Operand) -> None:
        """Those from lo to hi along the last outer axis."""
        b, x, lanes = self.b, self.x, self.x.schedule.width
        last = x.kernel.outer[-1].name
        with b.loop(lo, hi, lanes, "vector") as group:
            across, along = self.ways(self.extent)
            if self.along:  # beside the other, not inside: what depends on the row is one number here
                self.read_along(group.var, hi, along)
            with x.scope(last) as level:
                x.vector, x.at[last] = last, group.var
                x.mask = x.first_lanes(hi - group.var)
                x.hoist(self.stage, level)
                self.read_across(across)
                with b.loop(0, count, 1, "serial") as turn:
                    left, right = (x.cast(b.load(name, i32, turn.var), i64) * lanes for name in (LEFT, RIGHT))
                    low, high = in_order(b, *(b.load(ELEMENTS, self.both, at, lanes) for at in (left, right)))
                    b.store(ELEMENTS, left, low)
                    b.store(ELEMENTS, right, high)
                across, along = self.ways(kept)
                self.write_across(across)
            if self.along:
                self.write_along(group.var, hi, along)

    def ways(self, count: Operand) -> tuple[Operand, Operand]:
        """How many elements of each row are moved one by one, and how many turned."""
        if not self.along:
            return count, ZERO
        few = self.extent <= ONE_BY_ONE
        return self.b.select(few, count, 0), self.b.select(few, 0, count)

    def read_across(self, count: Operand) -> None:
        b, x, lanes, over = self.b, self.x, self.x.schedule.width, self.statement.over
        with b.loop(0, count, 1, "serial") as turn, x.scope(over):
            x.at[over] = turn.var
            key = x.cast(self.key_of(b.widen(x.value(self.statement.expr), lanes)), self.both)
            b.store(ELEMENTS, turn.var * lanes, self.placed(key, turn.var))

    def write_across(self, count: Operand) -> None:
        b, x, lanes, over = self.b, self.x, self.x.schedule.width, self.statement.over
        with b.loop(0, count, 1, "serial") as turn:
            x.at[over] = turn.var
            value = self.found(b.load(ELEMENTS, self.both, turn.var * lanes, lanes))
            at, stride, _ = x.address(self.array, self.statement.index)
            b.store(self.array.name, at, value, stride=stride, mask=x.mask, loc=self.statement.loc)

    def read_along(self, first: Operand, hi: Operand, count: Operand) -> None:
        """A vector of each row, turned to vectors of elements of all; where there is no row, the last one."""
        b, x, lanes, over = self.b, self.x, self.x.schedule.width, self.statement.over
        last = x.kernel.outer[-1].name
        with b.loop(0, count, lanes, "serial") as turn:
            vectors: list[Operand] = []
            for r in range(lanes):
                with x.scope(last, over):
                    x.at[last], x.at[over] = x.minimum(first + r, hi - 1), turn.var
                    x.vector, x.mask = over, x.first_lanes(count - turn.var)
                    key = x.cast(self.key_of(b.widen(x.value(self.statement.expr), lanes)), self.both)
                    vectors.append(self.placed(key, x.lane_index(over)))
            for c, vector in enumerate(x.transposed(vectors)):
                b.store(ELEMENTS, (turn.var + c) * lanes, vector)

    def write_along(self, first: Operand, hi: Operand, count: Operand) -> None:
        b, x, lanes, over = self.b, self.x, self.x.schedule.width, self.statement.over
        last = x.kernel.outer[-1].name
        with b.loop(0, count, lanes, "serial") as turn:
            places = [(turn.var + c) * lanes for c in range(lanes)]
            vectors = x.transposed([b.load(ELEMENTS, self.both, place, lanes) for place in places])
            for r, vector in enumerate(vectors):
                with x.scope(last, over):
                    x.at[last], x.at[over], x.vector = first + r, turn.var, over
                    at, stride, _ = x.address(self.array, self.statement.index)
                    mask = x.first_lanes(b.select(first + r < hi, count - turn.var, 0))
                    value = self.found(vector)
                    b.store(self.array.name, at, value, stride=stride, mask=mask, loc=self.statement.loc)

    def placed(self, key: Operand, place: Operand) -> Operand:
        """A key, and behind it where the element is, unless only values are asked for."""
        if self.statement.values:
            return key
        where = self.b.widen(self.x.cast(place, self.both), key.lanes)
        return (key << Imm(self.bits, self.both)) | where

    def found(self, both: Operand) -> Operand:
        if self.statement.values:
            return self.value_of(both)
        return self.x.cast(both & Imm((1 << self.bits) - 1, self.both), i64)
