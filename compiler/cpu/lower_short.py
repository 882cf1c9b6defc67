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
from ..ir.data import data
from ..ir.loop import BEGIN, END, ONE, ZERO, Imm, Operand
from ..ir.types import i32, i64
from .cases import at_column
from .lower import Lowering, Mode
from .values import Level


@data
class _Short:
    """A stage of such maps: the axis of its few elements, how many they are, and rows that it reads as they
    are. `columns`: the stage in each column, and what is known of that alone."""

    stage: k.Stage
    axis: str
    size: int
    stores: tuple[k.Store, ...]
    rows: tuple[k.Load, ...]
    columns: tuple[tuple[k.Stage, Level], ...]


class ShortLowering(Mode):
    """Lowers one kernel whose schedule says "short"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        self.width = base.schedule.width
        *self.before, self.outer = base.kernel.outer

    def part(self, stage: k.Stage) -> _Short:
        (axis,) = stage.axes
        size = axis.extent
        assert isinstance(size, int)
        stores = tuple(s for s in stage.body if isinstance(s, k.Store))
        loads = [e for e in dict.fromkeys(k.expressions(stage)) if isinstance(e, k.Load)]
        rows = tuple(e for e in loads if self.is_row(e, axis.name, size))
        columns = tuple(self.column(stage, axis.name, j) for j in range(size))
        return _Short(stage, axis.name, size, stores, rows, columns)

    def is_row(self, load: k.Load, axis: str, size: int) -> bool:
        array = self.x.arrays[load.array]
        own = tuple(k.Index(a.name) for a in self.x.kernel.outer)
        same = load.index == (*own, k.Index(axis))
        return same and not load.guards and array.unit and array.dims[-1] == size

    def run(self) -> None:
        b, x = self.b, self.x
        parts = [self.part(stage) for stage in x.kernel.stages]
        dense: Operand = ONE
        for part in parts:
            for name in dict.fromkeys((*(s.array for s in part.stores), *(e.array for e in part.rows))):
                stride = x.stride(x.arrays[name], len(self.before))
                dense = b.select(b.op("eq", stride, Imm(part.size, i64)), dense, 0)
        # Where there are axes before the rows, these need not begin where streaming stores can.
        names = [s.array for part in parts for s in part.stores]
        ways = self.ways(None if self.before else x.aligned(names))
        count, size = x.extent(self.outer.extent), Imm(x.schedule.block, i64)
        with b.loop(BEGIN, END, 1, "parallel") as block:
            share: Operand = block.var
            if self.before:
                shares = x.pieces(count, x.schedule.block)
                x.at.update(x.point(share // shares, self.before))
                share = share % shares
            lo, hi = x.share(share, size, count)
            end = x.whole(lo, hi, self.width)
            whole = b.select(b.op("ne", dense, ZERO), end, lo)
            with b.loop(lo, whole, self.width, "vector") as turn:
                for part in parts:
                    self.dense(part, turn.var, ways)
            with b.loop(whole, hi, self.width, "vector") as turn:
                x.mask = x.first_lanes(hi - turn.var)
                for part in parts:
                    self.apart(part, turn.var)
                x.mask = None

    def ways(self, stream: Operand | None) -> list[tuple[Operand | None, bool]]:
        """How often (once or never) vectors are stored around the cache, and through it. One loop computes
        for both: which one it is does not change on the way."""
        if stream is None:
            return [(None, False)]
        around = self.b.select(self.b.op("ne", stream, ZERO), 1, 0)
        return [(around, True), (1 - around, False)]

    def column(self, stage: k.Stage, axis: str, j: int) -> tuple[k.Stage, Level]:
        x, here = self.x, at_column(stage, axis, j)
        x.hoist(here, x.levels[0])
        with x.scope(axis) as level:
            x.at[axis] = Imm(j, i64)
            x.hoist(here, level)
        return here, level

    def values(self, part: _Short, base: Operand, known: dict[k.Expr, list[Operand]]) -> list[list[Operand]]:
        """Of each store, its columns, for the rows from `base` on; `known` of what is read."""
        x, shared = self.x, Level(self.x.outer)
        found: list[list[Operand]] = [[] for _ in part.stores]
        for j, (stage, level) in enumerate(part.columns):
            with x.scope(known=level), x.scope(known=shared), x.scope() as here:
                here.values |= {load: vectors[j] for load, vectors in known.items()}
                x.vector, x.at[self.outer.name], x.at[part.axis] = self.outer.name, base, Imm(j, i64)
                rest = iter(found)
                for stmt in stage.body:
                    self.b.loc = stmt.loc
                    for expr in k.operands(stmt):
                        value = x.value(expr)
                        if isinstance(stmt, k.Store):
                            next(rest).append(self.b.widen(value, self.width))
        self.b.loc = None
        return found

    def dense(self, part: _Short, base: Operand, ways: list[tuple[Operand | None, bool]]) -> None:
        """Rows that lie side by side, a vector's worth of them."""
        b, first = self.b, base * part.size
        known: dict[k.Expr, list[Operand]] = {}
        for load in part.rows:
            places = self.places(load.array, first, part.size)
            vectors = [b.load(load.array, load.dtype, at, self.width) for at in places]
            known[load] = [self.turned("collect", vectors, j) for j in range(part.size)]
        stores = [
            (stmt, at, self.turned("spread", found, q))
            for stmt, found in zip(part.stores, self.values(part, base, known), strict=True)
            for q, at in enumerate(self.places(stmt.array, first, part.size))
        ]
        for times, streaming in ways:
            with b.loop(0, times, 1, "serial") if times is not None else nullcontext():
                for stmt, at, vector in stores:
                    b.store(stmt.array, at, vector, stream=streaming, loc=stmt.loc)

    def places(self, name: str, first: Operand, size: int) -> list[Operand]:
        """Where the vectors of an array are whose rows lie side by side."""
        first = first + self.begins(name) if self.before else first
        return [q * self.width + first for q in range(size)]

    def begins(self, name: str) -> Operand:
        """Where the rows of an array begin that stand at the axes before them."""
        x = self.x
        found: Operand = ZERO
        for n, axis in enumerate(self.before):
            found = x.at[axis.name] * x.stride(x.arrays[name], n) + found
        return found

    def turned(self, op: str, vectors: Sequence[Operand], number: int) -> Operand:
        """Column `number` of what lies in these vectors row by row (`collect`); vector `number` of what lies
        in them column by column (`spread`)."""
        found, size = vectors[0], len(vectors)
        for n, vector in enumerate(vectors):
            away = number - n * self.width if op == "collect" else number * self.width - n
            found = self.b.op(
                op, found, vector, Imm(size, i32), Imm(away, i32), dtype=vector.dtype, lanes=self.width
            )
        return found

    def apart(self, part: _Short, base: Operand) -> None:
        """Rows anywhere, under a mask of those that there are."""
        b, x = self.b, self.x
        for stmt, found in zip(part.stores, self.values(part, base, {}), strict=True):
            array = x.arrays[stmt.array]
            stride = x.stride(array, len(self.before))
            first: Operand = base * stride
            if self.before:
                first = first + self.begins(stmt.array)
            for j, vector in enumerate(found):
                at = j + first
                b.store(stmt.array, at, vector, stride=stride, mask=x.mask, loc=stmt.loc)
