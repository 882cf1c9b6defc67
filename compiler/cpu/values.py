"""Values of expressions while a kernel is lowered: computed at the outermost level that knows their axes,
before the loops, once a row, or per vector.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ir import kernel as k
from ..ir.data import data, field
from ..ir.layout import part_name, stride_name
from ..ir.loop import ONE, ZERO, Builder, Imm, Operand, Prefetch, Store, Value, operand
from ..ir.types import DType, i32, i64
from ..ops import REGISTRY
from ..ops.folds import Acc, fold
from .schedule import Numbers, RowCache, Schedule, row_caches

# How far ahead memory is asked for, at least.
PREFETCH_BYTES = 4096
LINE = 64  # bytes of a line of the cache, on all machines but a few, where asking twice costs little

ROW = "row"  # pseudo-axis: depends on a row reduction

# An array, where it is read or written, and how many elements ahead of that.
View = tuple[str, tuple[k.Index, ...], Operand]


@data(frozen=False)
class Level:
    """Values known at one level of the loops, and the axes that are fixed there."""

    axes: frozenset[str]
    values: dict[k.Expr, Operand] = field(default_factory=dict)


class Values:
    """State of lowering one kernel, and what expressions come to in it."""

    def __init__(self, kernel: k.Kernel, schedule: Schedule) -> None:
        self.kernel = kernel
        self.schedule = schedule
        self.b = Builder()
        self.arrays = k.arrays(kernel)
        self.scalars = k.scalars(kernel)
        self.outer = self.walked = frozenset(a.name for a in kernel.outer)  # what blocks are parts of
        self.levels: list[Level] = [Level(frozenset())]
        self.at: dict[str, Operand] = {}  # current value of each open axis; the base of a vector
        self.vector: str | None = None
        self.mask: Operand | None = None
        self.rows: dict[str, Operand] = {}  # row reductions and totals, once known
        self.parts: dict[str, tuple[tuple[k.Axis, ...], Operand]] = {}  # totals with kept axes
        self.lets: dict[str, k.Let] = {}
        every = [s for stage in kernel.stages for s in stage.body if isinstance(s, k.Reduce)]
        self.reduces = {name: s for s in every for name in s.names}
        self.ascending = {s.names for stage in kernel.stages for s in k.ascending(kernel, stage)}
        self.dependence: dict[k.Expr, frozenset[str]] = {}
        self.number = -1  # of the current stage
        self.waiting: list[Store] | None = None  # what is to be stored at the end of a turn
        self.streaming = False  # whether stores go around the cache
        self.at_once = False  # whether threads move what is side by side at once
        self.windows: dict[RowCache, str] = {}  # where the values wait, in mode "rows"
        self.views: dict[View, str] = {}  # windows on rows of arrays, in mode "rows"
        self.prefetches: dict[int, list[tuple[k.Load, Operand]]] = {}  # by stage: what, how far ahead
        self.kept_rows: dict[int, list[tuple[k.Expr, RowCache]]] = {}  # by the stage that computes
        self.cached: dict[tuple[int, k.Expr], RowCache] = {}  # by the stage that reads
        self.kept: dict[k.Load, tuple[str, int]] = {}  # where rows are kept, from which stage on
        self.find_row_caches()
        names = {o.name for o in kernel.outputs if o.dims}
        stores = [s for stage in kernel.stages for s in stage.body if isinstance(s, k.Store)]
        self.outputs_stream = any(s.array in names for s in stores)
        self.first_reads: dict[str, int] = {}  # the stage that brings an array into the cache
        for number, stage in enumerate(kernel.stages):
            for e in k.expressions(stage):
                if isinstance(e, k.Load):
                    self.first_reads.setdefault(e.array, number)

    def find_row_caches(self) -> None:
        equal = Numbers(self.kernel)
        for cache in row_caches(self.kernel, equal):
            first, last = (
                [e for e in k.expressions(stage) if isinstance(e, k.Call) and equal(e) == cache.value]
                for stage in (self.kernel.stages[cache.first], self.kernel.stages[cache.last])
            )
            self.kept_rows.setdefault(cache.first, []).append((first[0], cache))
            self.cached |= {(cache.last, e): cache for e in last}

    def keep_rows(self) -> list[tuple[RowCache, Operand]]:
        """What a later stage will read again."""
        return [(c, self.value(e)) for e, c in self.kept_rows.get(self.number, ())]

    def kept_row(self, cache: RowCache, dtype: DType) -> Operand:
        window = self.windows.get(cache)
        if window is None:
            return self.load(k.Load(cache.store.array, cache.store.index, dtype))
        index = self.at[self.vector or ""]
        return self.b.load(window, dtype, index, self.schedule.width, None, self.mask)

    # -- small helpers

    def slot(self, name: str, dtype: DType = i64) -> Value:
        return Value(name, dtype)

    def extent(self, extent: k.Extent) -> Operand:
        return Imm(extent, i64) if isinstance(extent, int) else self.slot(extent)

    def minimum(self, a: Operand, c: Operand | int) -> Operand:
        return self.b.select(a < c, a, c)

    def first_lanes(self, count: Operand | int) -> Operand:
        """A mask of the first `count` lanes: none if it is negative, all if it is more than there are."""
        b, width = self.b, self.schedule.width
        narrow = self.cast(operand(count), i32)
        iota = b.op("iota", dtype=i32, lanes=width)
        return iota < b.widen(narrow, width)

    def start(self, reduce: k.Reduce, lanes: int = 1) -> Acc:
        """Where an accumulator starts."""
        states = zip(fold(reduce.op).states, reduce.dtypes, strict=True)
        return tuple(Imm(s.identity(dtype), dtype, lanes) for s, dtype in states)

    def nothing(self, op: str, like: Acc) -> Acc:
        """What changes no accumulator."""
        return tuple(self.b.imm(s.neutral(v.dtype), v) for s, v in zip(fold(op).states, like, strict=True))

    def step(self, reduce: k.Reduce, acc: Acc, args: Acc) -> Acc:
        """The accumulator with the values of one more element."""
        of = fold(reduce.op)
        short = of.step if not of.ascending or reduce.names in self.ascending else None
        if short is not None and acc != self.nothing(reduce.op, acc):
            return short(self.b, acc, args)
        return self.merge(reduce.op, acc, of.lift(self.b, args))

    def merge(self, op: str, acc: Acc, other: Acc) -> Acc:
        nothing = self.nothing(op, acc)
        if other == nothing:
            return acc
        if acc == nothing:
            return tuple(self.b.widen(o, max(o.lanes, v.lanes)) for o, v in zip(other, acc, strict=True))
        return fold(op).merge(self.b, acc, other)

    def args(self, reduce: k.Reduce) -> Acc:
        """The values of its arguments here."""
        taken = fold(reduce.op).taken(reduce.dtypes)
        return tuple(self.cast(self.value(a), d) for a, d in zip(reduce.args, taken, strict=True))

    def halve_vectors(self, op: str, vectors: list[Acc]) -> Acc:
        """The first part of `halved`: down to one vector."""
        while len(vectors) > 1:
            half = len(vectors) // 2
            vectors = [self.merge(op, vectors[n], vectors[n + half]) for n in range(half)]
        return vectors[0]

    def halved(self, op: str, vectors: list[Acc]) -> Acc:
        """All lanes of all vectors to one: lane l with lane l + half, again and again."""
        acc = self.halve_vectors(op, vectors)
        while acc[0].lanes > 1:
            low, high = (
                tuple(self.b.op(part, v, dtype=v.dtype, lanes=v.lanes // 2) for v in acc)
                for part in ("lo", "hi")
            )
            acc = self.merge(op, low, high)
        return acc

    def folded(self, op: str, vectors: list[Acc], size: int, count: int) -> list[Acc]:
        """Vectors that hold accumulators of `size` lanes each, side by side, as so many vectors: the lanes of
        all accumulators are halved, those of two vectors by one instruction."""
        while len(vectors) > count:
            size //= 2
            vectors = [
                self.merge(op, *(self.packed(part, a, c, size) for part in ("pack_lo", "pack_hi")))
                for a, c in zip(vectors[::2], vectors[1::2], strict=True)
            ]
        return vectors

    def packed(self, op: str, a: Acc, c: Acc, n: int) -> Acc:
        pairs = zip(a, c, strict=True)
        return tuple([self.b.op(op, v, w, Imm(n, i32), dtype=v.dtype, lanes=v.lanes) for v, w in pairs])

    def transposed(self, vectors: list[Operand]) -> tuple[Operand, ...]:
        """As many vectors as they have lanes, with the numbers of vectors and lanes exchanged: in a loop, for
        all its turns are alike, and LLVM takes long over many shuffles."""
        rounds = len(vectors).bit_length() - 1  # each exchanges one bit of the numbers
        with self.b.loop(0, rounds, 1, "serial", tuple(vectors)) as turn:
            turn.yields = self.exchanged(turn.carried)
        return turn.results

    def exchanged(self, vectors: Sequence[Operand], n: int = 1) -> tuple[Operand, ...]:
        """One round of a transpose: the lowest bits of the numbers of vectors and of lanes, n of which count
        as one, change places."""
        pairs = [*zip(vectors[::2], vectors[1::2], strict=True)]
        return tuple(
            self.b.op(op, a, c, Imm(n, i32), dtype=a.dtype, lanes=a.lanes)
            for op in ("pack_lo", "pack_hi")
            for a, c in pairs
        )

    # -- which axes an expression depends on

    def depends(self, expr: k.Expr) -> frozenset[str]:
        known = self.dependence.get(expr)
        if known is not None:
            return known
        found: frozenset[str] = frozenset()
        if isinstance(expr, k.Ref):
            if expr.name in self.lets:
                found = self.depends(self.lets[expr.name].expr)
            elif expr.name in self.reduces and self.reduces[expr.name].of_row:
                found = self.outer | {ROW}
        elif isinstance(expr, k.At | k.Within):
            found = frozenset({expr.axis})
        elif isinstance(expr, k.Load):
            found = frozenset(i.axis for i in expr.index) | {g.axis for g in expr.guards}
        elif isinstance(expr, k.Call | k.Pick):
            found = frozenset().union(*(self.depends(a) for a in k.parts(expr)))
        elif not isinstance(expr, k.Const | k.Size):
            raise TypeError(f"{expr!r} is not an expression")
        self.dependence[expr] = found
        return found

    # -- expressions

    def value(self, expr: k.Expr) -> Operand:
        """`expr` at the current point; scalar if it does not vary along the vector."""
        if isinstance(expr, k.Const):
            return Imm(expr.value, expr.dtype)
        needs = self.depends(expr)
        for level in self.levels:
            if needs <= level.axes or level is self.levels[-1]:
                if expr not in level.values:
                    level.values[expr] = self.compute(expr)
                return level.values[expr]
        raise AssertionError

    def compute(self, expr: k.Expr) -> Operand:
        b = self.b
        if isinstance(expr, k.Ref):
            if expr.name in self.lets:
                let = self.lets[expr.name]
                with b.at(let.loc):
                    return self.value(let.expr)
            if expr.name in self.rows:
                return self.rows[expr.name]
            return self.slot(expr.name, self.scalars[expr.name].dtype)
        if isinstance(expr, k.Pick):
            return self.pick(expr)
        if isinstance(expr, k.At):
            return self.lane_index(expr.axis)
        if isinstance(expr, k.Size):
            return self.slot(expr.symbol)
        if isinstance(expr, k.Within):
            return self.within(expr)
        if isinstance(expr, k.Load):
            return self.load(expr)
        assert isinstance(expr, k.Call)
        if k.counts(expr):
            (at,) = expr.args
            assert isinstance(at, k.At)
            return self.lane_index(at.axis, expr.dtype)
        cache = self.cached.get((self.number, expr))
        if cache is not None:
            return self.kept_row(cache, expr.dtype)
        outside, b.loc = b.loc, expr.loc or b.loc
        args = tuple(self.value(a) for a in expr.args)
        width = max(a.lanes for a in args)
        args = tuple(b.widen(a, width) for a in args)
        result: Operand = REGISTRY[expr.op].lower(b, args, expr.dtype)
        b.loc = outside
        return result

    def hoist(self, stage: k.Stage, level: Level) -> list[k.Expr]:
        """Compute now what the stage needs and what this level already knows, vectors of it too.
        Returns the largest expressions that are known."""
        wide = self.schedule.width
        known: list[k.Expr] = []
        seen: set[k.Expr] = set()

        def visit(expr: k.Expr) -> None:
            if isinstance(expr, k.Const) or expr in seen:
                return
            seen.add(expr)
            if self.depends(expr) <= level.axes:
                value = self.value(expr)
                known.append(expr)
                if self.splats(stage):
                    self.b.widen(value, wide)
                return
            if isinstance(expr, k.Ref) and expr.name in self.lets:
                let = self.lets[expr.name]
                with self.b.at(let.loc):
                    visit(let.expr)
            for part in k.parts(expr):
                visit(part)

        for stmt in stage.body:
            if isinstance(stmt, k.Let):
                self.lets[stmt.name] = stmt
        outside = self.b.loc
        for stmt in stage.body:
            self.b.loc = stmt.loc
            for expr in k.operands(stmt):
                visit(expr)
        self.b.loc = outside
        return known

    def splats(self, stage: k.Stage) -> bool:
        return bool(stage.axes) or self.schedule.mode == "flat"

    def within(self, expr: k.Within) -> Operand:
        index = self.lane_index(expr.axis)
        above = index >= self.slot(expr.lo)
        return above & (index < self.slot(expr.hi))

    def lane_index(self, axis: str, dtype: DType = i64) -> Operand:
        base = self.cast(self.at[axis], dtype)
        if axis != self.vector:
            return base
        iota = self.b.op("iota", dtype=dtype, lanes=self.schedule.width)
        return self.b.widen(base, self.schedule.width) + iota

    def stride(self, array: k.Array, dim: int) -> Operand:
        if dim == len(array.dims) - 1 and (array.unit or array.step):
            return Imm(array.step or 1, i64)
        return self.slot(stride_name(array.name, dim))

    def address(self, array: k.Array, index: tuple[k.Index, ...]) -> tuple[Operand, Operand | None, bool]:
        """First element; stride along the vector (None: 1); whether it varies along the vector."""
        total: Operand = ZERO
        step: Operand | None = None
        varies = False
        for dim, ix in enumerate(index):
            here = self.at[ix.axis]
            if ix.shift is not None:
                here = here - self.slot(ix.shift)
            stride = self.stride(array, dim)
            if ix.axis == self.vector:
                step = step + stride if varies and step else stride
                varies = True
            total = total + here * stride
        return total, None if step == ONE else step, varies

    def element(
        self, array: k.Array, index: tuple[k.Index, ...], ahead: Operand = ZERO
    ) -> tuple[str, Operand, Operand | None, bool]:
        """As `address`, `ahead` of it, behind the name of the array or of a window on it."""
        window = self.views.get((array.name, index, ahead))
        if window is not None:
            axis, step = index[-1].axis, Imm(array.step or 1, i64)
            apart = step if array.step else None
            return window, step * self.at[axis], apart, axis == self.vector
        first, stride, varies = self.address(array, index)
        return array.name, ahead + first, stride, varies

    def both(self, a: Operand | None, c: Operand | None) -> Operand | None:
        if a is None or c is None:
            return a if c is None else c
        return a & c

    def load(self, expr: k.Load) -> Operand:
        if expr.array in self.parts:
            return self.load_part(expr.array, expr.dtype, [ix.axis for ix in expr.index])
        array = self.arrays[expr.array]
        kept, since = self.kept.get(expr, ("", self.number))
        if since < self.number:
            at, width = self.at[self.vector or ""], self.schedule.width
            return self.b.load(kept, array.dtype, at, width, None, self.mask)
        guard: Operand | None = None
        for g in expr.guards:
            guard = self.both(guard, self.within(g))
        name, index, stride, varies = self.element(array, expr.index)
        varies = varies or index.lanes > 1  # each lane has a place of its own
        if not varies and guard is not None and guard.lanes > 1:
            varies, stride = True, ZERO  # one element, read under a mask of lanes
        width = self.schedule.width if varies else 1
        mask = guard if guard is None else self.b.widen(guard, width)
        if width > 1:
            mask = self.both(mask, self.mask)
        if width > 1 and expr.guards and name == array.name:
            index = self.b.select(self.meets(expr.guards), index, 0)
        if width > 1 and stride is None and mask is None and self.ahead(expr):
            away = Imm(PREFETCH_BYTES // array.dtype.size, i64)
            self.b.emit(Prefetch(name, index + away))
        aligned = self.at_once and width > 1 and stride is None and mask is None
        value = self.b.load(name, array.dtype, index, width, stride, mask, aligned)
        if kept:
            self.put(Store(kept, self.at[self.vector or ""], value, None, self.mask))
        return value

    def put(self, stmt: Store) -> None:
        """At the end of a turn, or at once."""
        self.b.emit(stmt)

    def meets(self, guards: tuple[k.Within, ...]) -> Operand:
        """Whether a vector may have an element inside. Where it has none, it looks at the first one: for a
        masked load of what is not mapped, a processor takes hundreds of cycles."""
        found: Operand | None = None
        for g in guards:
            first = last = self.at[g.axis]
            if g.axis == self.vector:
                last = first + (self.schedule.width - 1)
            found = self.both(found, last >= self.slot(g.lo))
            found = self.both(found, first < self.slot(g.hi))
        assert found is not None
        return found

    def pick(self, expr: k.Pick) -> Operand:
        """An element whose subscripts are values. Lanes along the vector alone are a stride apart; else each
        has a place of its own."""
        b, array = self.b, self.arrays[expr.array]
        axes = (*self.kernel.outer, *(a for s in (*self.kernel.stages, *self.kernel.final) for a in s.axes))
        extents = {a.name: a.extent for a in axes}
        apart = [self.vector in self.depends(ix) and not isinstance(ix, k.At) for ix in expr.index]
        place: Operand = ZERO
        step: Operand | None = None
        inside: Operand | None = None
        for dim, ix in enumerate(expr.index):
            stride = self.stride(array, dim)
            if isinstance(ix, k.At) and ix.axis == self.vector and not any(apart):
                at, step = self.at[ix.axis], stride if step is None else step + stride
            else:
                at = self.value(ix)
            if not isinstance(ix, k.At) or extents[ix.axis] != array.dims[dim]:
                value, end = self.value(ix), self.extent(array.dims[dim])
                for test in (value >= 0, value < end):
                    inside = self.both(inside, test)
            place = place + at * stride
        width = place.lanes if step is None else self.schedule.width
        mask = self.both(inside, self.mask if width > 1 else None)
        mask = mask if mask is None else b.widen(mask, width)
        step = None if step == ONE else step
        aligned = self.at_once and width > 1 and place.lanes == 1 and step is None
        return b.load(expr.array, array.dtype, place, width, step, mask, aligned)

    def ahead(self, expr: k.Load) -> bool:
        """Whether a load streams from memory in a kernel that only reads: there, asking ahead of the
        hardware gains a quarter (26 to 33 GB/s measured); beside stores it gains nothing."""
        if self.prefetches or self.outputs_stream or not self.walked & {ix.axis for ix in expr.index}:
            return False
        return self.first_reads.get(expr.array, self.number) == self.number

    def part_index(self, name: str, at: Sequence[str]) -> tuple[Operand, Operand | None, bool]:
        """As `address`, of an element of a block's row of kept values, row-major over the axes of the total;
        `at` names the axes here that are its subscripts."""
        axes, base = self.parts[name]
        index: Operand = ZERO
        step: Operand = ZERO
        for n, (axis, here) in enumerate(zip(axes, at, strict=True)):
            one = Imm(int(here == self.vector), i64)
            index = index * self.extent(axis.extent) + self.at[here] if n else self.at[here]
            step = one if step == ZERO else one + step * self.extent(axis.extent)
        return base + index, None if step == ONE else step, step != ZERO

    def load_part(self, name: str, dtype: DType, at: Sequence[str]) -> Value:
        index, stride, varies = self.part_index(name, at)
        width, mask = (self.schedule.width, self.mask) if varies else (1, None)
        return self.b.load(part_name(name), dtype, index, width, stride if varies else None, mask)

    def cast(self, value: Operand, dtype: DType) -> Operand:
        if value.dtype == dtype:
            return value
        if isinstance(value, Imm):
            return Imm(value.value, dtype, value.lanes)
        return self.b.op("cast", value, dtype=dtype)
