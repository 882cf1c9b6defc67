"""Rows of a few registers: a vector's worth of rows at a time.

    for group of 16 rows:
      stage j:  p = sum(X[i, j] * w[j])      16 dot products, folded together into one vector
      stage:    c = clip(p - y[i]) ...       the 16 rows at once
      stage j:  g[j] += c * X[i, j]          row after row, g in registers

Row values live in vectors with a lane for each row; a stage with inner axes takes them lane by lane.
The rows that are left over are done one by one. A total over rows has ROW_LANES lanes: row r of a
block goes to lane r mod ROW_LANES; a total with kept axes is summed row after row.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import kernel as k
from .layout import part_name, totals
from .loop import BEGIN, END, Body, Imm, Operand, Store
from .lower import ROW, Lowering, identity
from .schedule import ROW_LANES
from .types import i32, i64


@dataclass(frozen=True, slots=True)
class _Kept:
    """Registers of a total with kept axes: `count` vectors for `size` elements."""

    reduce: k.Reduce
    size: int
    count: int


class GroupLowering:
    """Lowers one kernel whose schedule says "groups"."""

    def __init__(self, base: Lowering) -> None:
        self.x = base
        self.b = base.b
        self.width = base.schedule.width
        (self.outer,) = base.kernel.outer
        self.scalar = [r for r in totals(base.kernel) if not r.keep]
        self.kept = [self.registers(r) for r in totals(base.kernel) if r.keep]
        self.turns = ROW_LANES // self.width  # vectors of a scalar total's lanes

    def registers(self, reduce: k.Reduce) -> _Kept:
        (axis,) = self.x.kept_axes(reduce)
        assert isinstance(axis.extent, int)
        return _Kept(reduce, axis.extent, -(-axis.extent // self.width))

    # -- accumulators, as one flat list: lanes of scalar totals, then registers of kept ones

    def inits(self) -> tuple[Operand, ...]:
        counts = [(r, self.turns) for r in self.scalar] + [(t.reduce, t.count) for t in self.kept]
        return tuple(Imm(identity(r.op, r.dtype), r.dtype, self.width) for r, n in counts for _ in range(n))

    def split(self, values: tuple[Operand, ...]) -> tuple[list[list[Operand]], list[list[Operand]]]:
        rest, lanes, kept = list(values), [], []
        for _ in self.scalar:
            lanes.append([rest.pop(0) for _ in range(self.turns)])
        for total in self.kept:
            kept.append([rest.pop(0) for _ in range(total.count)])
        return lanes, kept

    # -- loops

    def run(self) -> None:
        b, x = self.b, self.x
        for stage in x.kernel.stages:
            x.hoist(stage, x.levels[0])
        with b.loop(BEGIN, END, 1, "parallel") as block:
            lo = b.op("mul", block.var, x.slot("block"))
            end = b.op("add", lo, x.slot("block"))
            hi = x.minimum(end, x.extent(self.outer.extent))
            span = b.op("sub", hi, lo)
            whole = b.op("add", lo, b.op("and", span, Imm(-ROW_LANES, i64)))
            with b.loop(lo, whole, ROW_LANES, "serial", self.inits()) as group:
                lanes, kept = self.split(group.carried)
                for turn in range(self.turns):
                    self.rows(group, turn, lanes, kept)
                group.yields = tuple(v for vs in (*lanes, *kept) for v in vs)
            with b.loop(whole, hi, 1, "serial", group.results) as row:
                lanes, kept = self.split(row.carried)
                self.one_row(row, b.op("sub", row.var, whole), lanes, kept)
                row.yields = tuple(v for vs in (*lanes, *kept) for v in vs)
            lanes, kept = self.split(row.results)
            for reduce, vectors in zip(self.scalar, lanes, strict=True):
                total = x.halve(reduce.op, vectors)
                b.emit(Store(part_name(reduce.name), block.var, total))
            for registers, vectors in zip(self.kept, kept, strict=True):
                self.store_kept(registers, vectors, block)

    def store_kept(self, total: _Kept, vectors: list[Operand], block: Body) -> None:
        b = self.b
        base = b.op("mul", block.var, Imm(total.size, i64))
        for u, vector in enumerate(vectors):
            left = total.size - u * self.width
            mask = None
            if left < self.width:
                mask = self.x.first_lanes(Imm(left, i64))
            at = b.op("add", base, Imm(u * self.width, i64))
            b.emit(Store(part_name(total.reduce.name), at, vector, None, mask))

    # -- a vector of rows

    def rows(self, group: Body, turn: int, lanes: list[list[Operand]], kept: list[list[Operand]]) -> None:
        b, x = self.b, self.x
        base = b.op("add", group.var, Imm(turn * self.width, i64)) if turn else group.var
        level = x.open(x.outer | {ROW}, rows=True)
        for number, stage in enumerate(x.kernel.stages):
            x.number = number
            x.vector, x.at[self.outer.name] = self.outer.name, base
            x.hoist(stage, level)
            if not stage.axes:
                flat = [v[turn] for v in lanes]
                self.row_stage(stage, flat)
                for vectors, value in zip(lanes, flat, strict=True):
                    vectors[turn] = value
                continue
            reduces = [s for s in stage.body if isinstance(s, k.Reduce) and not s.keep]
            found: list[list[Operand]] = [[] for _ in reduces]
            for r in range(self.width):
                x.lane = r
                x.at[self.outer.name] = b.op("add", base, Imm(r, i64)) if r else base
                ends = self.inner_stage(stage, reduces, kept)
                for into, value in zip(found, ends, strict=True):
                    into.append(value)
            x.lane = None
            for reduce, vectors in zip(reduces, found, strict=True):
                folded = self.fold(reduce.op, vectors)
                if reduce.scope == "row":
                    x.rows[reduce.name] = folded
                else:
                    at = self.scalar.index(reduce)
                    lanes[at][turn] = x.combine(reduce.op, lanes[at][turn], folded)
        x.vector = None
        x.levels.pop()
        x.at.clear()

    def row_stage(self, stage: k.Stage, running: list[Operand]) -> None:
        """A stage without inner axes, on all rows of the vector (or on the one row)."""
        x = self.x
        for stmt in stage.body:
            if isinstance(stmt, k.Reduce) and stmt.scope == "row":  # a sum of one term
                start = Imm(identity(stmt.op, stmt.dtype), stmt.dtype)
                args = tuple(x.cast(x.value(a), stmt.dtype) for a in stmt.args)
                x.rows[stmt.name] = x.combine(stmt.op, start, *args)
        stores: list[tuple[k.Store, Operand]] = []
        for stmt in stage.body:
            self.b.loc = stmt.loc
            if isinstance(stmt, k.Store):
                stores.append((stmt, x.value(stmt.expr)))
            elif isinstance(stmt, k.Reduce) and stmt.scope == "all":
                at = self.scalar.index(stmt)
                args = tuple(x.cast(x.value(a), stmt.dtype) for a in stmt.args)
                running[at] = x.combine(stmt.op, running[at], *args)
        for target, value in stores:
            self.b.loc = target.loc
            x.store(target, value)
        self.b.loc = None

    def inner_stage(
        self, stage: k.Stage, reduces: list[k.Reduce], kept: list[list[Operand]]
    ) -> list[Operand]:
        """One stage of one row: the lanes of its reductions, folded to one vector each."""
        x = self.x
        (axis,) = stage.axes
        assert isinstance(axis.extent, int)
        outside = x.vector
        x.registers = {t.reduce.name: vectors for t, vectors in zip(self.kept, kept, strict=True)}

        def chunk(u: int, carried: list[Operand]) -> list[Operand]:
            return x.body(stage, u, reduces, carried)

        lane = x.lane
        x.vector = None
        ends = x.unrolled(axis.name, 0, axis.extent, x.accumulators(reduces), chunk)
        x.vector, x.lane = outside, lane
        groups = x.split(reduces, ends)
        return [
            self.b.widen(x.halve_vectors(reduce.op, group), self.width)
            for reduce, group in zip(reduces, groups, strict=True)
        ]

    def fold(self, op: str, vectors: list[Operand]) -> Operand:
        """Vectors of lanes, one for each row, to one vector of rows: each row's lanes are halved
        as `Lowering.halve` would, two rows to an instruction."""
        size = self.width
        while len(vectors) > 1:
            size //= 2
            n = Imm(size, i32)
            paired = []
            for a, c in zip(vectors[::2], vectors[1::2], strict=True):
                low = self.b.op("pack_lo", a, c, n, dtype=a.dtype, lanes=self.width)
                high = self.b.op("pack_hi", a, c, n, dtype=a.dtype, lanes=self.width)
                paired.append(self.x.combine(op, low, high))
            vectors = paired
        return vectors[0]

    # -- the rows left over

    def one_row(
        self, row: Body, lane: Operand, lanes: list[list[Operand]], kept: list[list[Operand]]
    ) -> None:
        """`lane`: the row's number within its group."""
        x = self.x
        x.at[self.outer.name] = row.var
        level = x.open(x.outer | {ROW})
        for number, stage in enumerate(x.kernel.stages):
            x.number = number
            x.hoist(stage, level)
            if not stage.axes:
                self.lone_stage(stage, lane, lanes)
                continue
            reduces = [s for s in stage.body if isinstance(s, k.Reduce) and not s.keep]
            ends = self.inner_stage(stage, reduces, kept)
            for reduce, value in zip(reduces, ends, strict=True):
                term = x.halve(reduce.op, [value])
                if reduce.scope == "row":
                    x.rows[reduce.name] = term
                else:
                    self.insert(reduce, (term,), lane, lanes)
        x.levels.pop()
        x.at.clear()

    def lone_stage(self, stage: k.Stage, lane: Operand, lanes: list[list[Operand]]) -> None:
        x = self.x
        self.row_stage(k.Stage((), tuple(s for s in stage.body if not _is_total(s))), [])
        for stmt in stage.body:
            if isinstance(stmt, k.Reduce) and stmt.scope == "all":
                args = tuple(x.cast(x.value(a), stmt.dtype) for a in stmt.args)
                self.insert(stmt, args, lane, lanes)

    def insert(
        self,
        reduce: k.Reduce,
        args: tuple[Operand, ...],
        lane: Operand,
        lanes: list[list[Operand]],
    ) -> None:
        """Combine one row's term into its lane of a total."""
        b = self.b
        vectors = lanes[self.scalar.index(reduce)]
        wide = tuple(b.widen(a, self.width) for a in args)
        for turn, vector in enumerate(vectors):
            number = b.op("cast", b.op("sub", lane, Imm(turn * self.width, i64)), dtype=i32)
            iota = b.op("iota", dtype=i32, lanes=self.width)
            here = b.op("eq", iota, b.widen(number, self.width))
            new = self.x.combine(reduce.op, vector, *wide)
            vectors[turn] = b.op("select", here, new, vector)


def _is_total(stmt: k.Stmt) -> bool:
    return isinstance(stmt, k.Reduce) and stmt.scope == "all"
