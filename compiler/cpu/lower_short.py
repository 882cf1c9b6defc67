"""Maps over rows of a few elements: a vector's worth of rows at a time, column by column.

    for %i in %lo .. %whole step 16 vector
      %a: f32x16 = ...                           column 0 of 16 rows
      %b: f32x16 = ...                           column 1
      store o[2 * %i], ...                       their elements in turn: where rows lie side by side
      store o[2 * %i + 16], ...

What is read of rows that lie side by side comes into columns the same way. Rows that do not, and the last
ones, are read and written column by column, each element at its own address.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from ..ir import kernel as k
from ..ir.loop import BEGIN, END, Imm, Operand, Store
from ..ir.types import i32, i64
from .cases import at_column
from .lower import Lowering
from .values import HERE, Level

ONE = Imm(1, i64)


class ShortLowering:
    """Lowers one kernel whose schedule says "short"."""

    def __init__(self, base: Lowering) -> None:
        self.x = base
        self.b = base.b
        self.width = base.schedule.width
        (self.outer,) = base.kernel.outer
        (self.stage,) = base.kernel.stages
        (axis,) = self.stage.axes
        assert isinstance(axis.extent, int)
        self.axis, self.size = axis.name, axis.extent
        self.stores = [s for s in self.stage.body if isinstance(s, k.Store)]
        loads = [e for e in dict.fromkeys(k.expressions(self.stage)) if isinstance(e, k.Load)]
        self.rows = [e for e in loads if self.is_row(e)]

    def is_row(self, load: k.Load) -> bool:
        array = self.x.arrays[load.array]
        own = (k.Index(self.outer.name), k.Index(self.axis))
        return load.index == own and not load.guards and array.unit and array.dims[-1] == self.size

    def run(self) -> None:
        b, x = self.b, self.x
        self.columns = [self.column(j) for j in range(self.size)]
        names = [s.array for s in self.stores]
        dense: Operand = ONE
        for name in dict.fromkeys((*names, *(e.array for e in self.rows))):
            side_by_side = b.op("eq", x.stride(x.arrays[name], 0), Imm(self.size, i64))
            dense = b.op("select", side_by_side, dense, HERE)
        ways = self.ways(x.aligned(names))
        with b.loop(BEGIN, END, 1, "parallel") as block:
            size = Imm(x.schedule.block, i64)
            lo = b.op("mul", block.var, size)
            hi = x.minimum(b.op("add", lo, size), x.extent(self.outer.extent))
            end = b.op("add", lo, b.op("and", b.op("sub", hi, lo), Imm(-self.width, i64)))
            whole = b.op("select", b.op("ne", dense, HERE), end, lo)
            with b.loop(lo, whole, self.width, "vector") as turn:
                self.dense(turn.var, ways)
            with b.loop(whole, hi, self.width, "vector") as turn:
                x.mask = x.first_lanes(b.op("sub", hi, turn.var))
                self.apart(turn.var)
                x.mask = None

    def ways(self, stream: Operand | None) -> list[tuple[Operand | None, bool]]:
        """How often (once or never) vectors are stored around the cache, and through it. One loop computes
        for both: which one it is does not change on the way."""
        if stream is None:
            return [(None, False)]
        around = self.b.op("select", self.b.op("ne", stream, HERE), ONE, HERE)
        return [(around, True), (self.b.op("sub", ONE, around), False)]

    def column(self, j: int) -> tuple[k.Stage, Level]:
        """The stage in one column, and what is known of that alone."""
        x, outside, stage = self.x, self.x.levels, at_column(self.stage, self.axis, j)
        level = Level(frozenset({self.axis}))
        x.hoist(stage, outside[0])
        x.levels = [*outside, level]
        x.at[self.axis] = Imm(j, i64)
        x.hoist(stage, level)
        x.levels = outside
        return stage, level

    def values(self, base: Operand, known: dict[k.Expr, list[Operand]]) -> list[list[Operand]]:
        """Of each store, its columns, for the rows from `base` on; `known` of what is read."""
        x, outside = self.x, self.x.levels
        x.vector, x.at[self.outer.name] = self.outer.name, base
        shared = Level(x.outer)
        found: list[list[Operand]] = [[] for _ in self.stores]
        for j, (stage, level) in enumerate(self.columns):
            x.at[self.axis] = Imm(j, i64)
            here = {load: vectors[j] for load, vectors in known.items()}
            x.levels = [*outside, level, shared, Level(x.outer | {self.axis}, here)]
            rest = iter(found)
            for stmt in stage.body:
                self.b.loc = stmt.loc
                for expr in k.operands(stmt):
                    value = x.value(expr)
                    if isinstance(stmt, k.Store):
                        next(rest).append(self.b.widen(value, self.width))
        x.levels, x.vector, self.b.loc = outside, None, None
        return found

    def dense(self, base: Operand, ways: list[tuple[Operand | None, bool]]) -> None:
        """Rows that lie side by side, a vector's worth of them."""
        b, first = self.b, self.b.op("mul", base, Imm(self.size, i64))
        places = [self.x.plus(Imm(q * self.width, i64), first) for q in range(self.size)]
        known: dict[k.Expr, list[Operand]] = {}
        for load in self.rows:
            vectors = [b.load(load.array, load.dtype, at, self.width) for at in places]
            known[load] = [self.turned("collect", vectors, j) for j in range(self.size)]
        stores = [
            (stmt, at, self.turned("spread", found, q))
            for stmt, found in zip(self.stores, self.values(base, known), strict=True)
            for q, at in enumerate(places)
        ]
        for times, streaming in ways:
            with b.loop(HERE, times, 1, "serial") if times is not None else nullcontext():
                for stmt, at, vector in stores:
                    b.emit(Store(stmt.array, at, vector, None, None, streaming, stmt.loc))

    def turned(self, op: str, vectors: Sequence[Operand], number: int) -> Operand:
        """Column `number` of what lies in these vectors row by row (`collect`); vector `number` of what lies
        in them column by column (`spread`)."""
        found = vectors[0]
        for n, vector in enumerate(vectors):
            away = number - n * self.width if op == "collect" else number * self.width - n
            found = self.b.op(
                op, found, vector, Imm(self.size, i32), Imm(away, i32), dtype=vector.dtype, lanes=self.width
            )
        return found

    def apart(self, base: Operand) -> None:
        """Rows anywhere, under a mask of those that there are."""
        b, x = self.b, self.x
        for stmt, found in zip(self.stores, self.values(base, {}), strict=True):
            array = x.arrays[stmt.array]
            stride = x.stride(array, 0)
            first = b.op("mul", base, stride)
            for j, vector in enumerate(found):
                at = x.plus(Imm(j, i64), first)
                b.emit(Store(stmt.array, at, vector, stride, x.mask, False, stmt.loc))
