"""Short rows, sorted several at a time by a network: which elements are compared does not depend on them.

    once:  pairs (0, 1), (2, 3), ..., (0, 2), ...      of Batcher's odd-even merge, for n elements
    for %r in %lo .. %hi step 8 vector                  rows
      for %j in 0 .. %n serial                          key * 2**32 + %j, which no two elements have
      for %c in 0 .. %pairs serial                      the lesser one first
      for %j in 0 .. %n serial                          places

(Knuth, The Art of Computer Programming 3, algorithm M of section 5.2.2.)
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import kernel as k
from ..ir.loop import ONE, ZERO, Imm, Operand, Store
from ..ir.types import DType, i32, i64, u32, u64
from .lower import Lowering

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


class Network:
    """The rows of one sort. `key_of`: an unsigned number of `key.size` bytes, at most 4, of a value."""

    def __init__(
        self, x: Lowering, statement: k.Sort, stage: k.Stage, key: DType, key_of: Callable[[Operand], Operand]
    ) -> None:
        self.x, self.b = x, x.b
        self.statement, self.stage, self.key_of = statement, stage, key_of
        self.array = x.arrays[statement.array]
        self.extent = x.extent(stage.axes[0].extent)
        (self.outer,) = (axis.name for axis in x.kernel.outer)
        self.both = u64 if key.size == 4 else u32  # a key, and where the element is
        self.bits = 4 * self.both.size

    def memory(self, most: int) -> None:
        """For rows of at most so many elements."""
        self.b.alloc(ELEMENTS, self.both, most * self.x.schedule.width)
        for name in (LEFT, RIGHT):
            self.b.alloc(name, i32, pairs(most))

    def prepare(self, n: Operand) -> Operand:
        """Which are compared, of n elements; how many pairs there are."""
        b, x = self.b, self.x
        with b.loop(ZERO, Imm(7, i64), 1, "serial", (ZERO,)) as outer:
            p = b.op("shl", ONE, outer.var)
            rounds = b.op("select", b.op("lt", p, n), b.op("add", outer.var, ONE), ZERO)
            with b.loop(ZERO, rounds, 1, "serial", outer.carried) as inner:
                step = b.op("shr", p, inner.var)
                twice = b.op("add", step, step)
                first = b.op("and", step, b.op("sub", p, ONE))
                with b.loop(first, b.op("sub", n, step), twice, "serial", inner.carried) as run:
                    beyond = b.op("and", b.op("add", run.var, step), b.op("sub", b.op("add", p, p), ONE))
                    within = b.op("or", b.op("eq", step, p), b.op("ne", beyond, ZERO))
                    end = x.minimum(b.op("add", run.var, step), b.op("sub", n, step))
                    end = b.op("select", within, end, run.var)
                    with b.loop(run.var, end, 1, "serial", run.carried) as one:
                        (count,) = one.carried
                        b.emit(Store(LEFT, count, x.cast(one.var, i32)))
                        b.emit(Store(RIGHT, count, x.cast(b.op("add", one.var, step), i32)))
                        one.yields = (b.op("add", count, ONE),)
                    run.yields = one.results
                inner.yields = run.results
            outer.yields = inner.results
        return outer.results[0]

    def rows(self, lo: Operand, hi: Operand, count: Operand, kept: Operand) -> None:
        """The places of the first `kept` elements of each row, by so many pairs."""
        b, x, lanes, over = self.b, self.x, self.x.schedule.width, self.statement.over
        with b.loop(lo, hi, lanes, "vector") as group, x.scope(self.outer) as level:
            x.vector, x.at[self.outer] = self.outer, group.var
            x.mask = x.first_lanes(b.op("sub", hi, group.var))
            x.hoist(self.stage, level)
            with b.loop(ZERO, self.extent, 1, "serial") as turn, x.scope(over):
                x.at[over] = turn.var
                key = x.cast(self.key_of(b.widen(x.value(self.statement.expr), lanes)), self.both)
                where = b.widen(x.cast(turn.var, self.both), lanes)
                both = b.op("or", b.op("shl", key, Imm(self.bits, self.both)), where)
                b.emit(Store(ELEMENTS, b.op("mul", turn.var, Imm(lanes, i64)), both))
            with b.loop(ZERO, count, 1, "serial") as turn:
                left, right = (
                    b.op("mul", x.cast(b.load(name, i32, turn.var), i64), Imm(lanes, i64))
                    for name in (LEFT, RIGHT)
                )
                first, second = (b.load(ELEMENTS, self.both, at, lanes) for at in (left, right))
                less = b.op("lt", first, second)
                b.emit(Store(ELEMENTS, left, b.op("select", less, first, second)))
                b.emit(Store(ELEMENTS, right, b.op("select", less, second, first)))
            with b.loop(ZERO, kept, 1, "serial") as turn:
                x.at[over] = turn.var
                both = b.load(ELEMENTS, self.both, b.op("mul", turn.var, Imm(lanes, i64)), lanes)
                place = x.cast(b.op("and", both, Imm((1 << self.bits) - 1, self.both)), i64)
                at, stride, _ = x.address(self.array, self.statement.index)
                b.emit(Store(self.array.name, at, place, stride, x.mask, False, self.statement.loc))
