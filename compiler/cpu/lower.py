"""What all modes of lowering share: values at the outermost level that knows them, vector loops with masked
tails, reductions in their normative order.

A value is computed at the outermost level that knows its axes: before the loops, once a row, or
per vector. Within a stage all loads come before all stores, so an output may overwrite an input
that is read at the same subscripts.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from ..ir import kernel as k
from ..ir.data import data, field
from ..ir.folds import fold
from ..ir.graph import Loc
from ..ir.layout import part_name, stride_name
from ..ir.loop import (
    Aligned,
    Body,
    Builder,
    Imm,
    Operand,
    Prefetch,
    Store,
    Value,
)
from ..ir.types import DType, i32, i64
from ..ops import REGISTRY
from ..order import lanes
from .schedule import Numbers, RowCache, Schedule, row_caches

Chunk = Callable[[int, list[Operand]], list[Operand]]
_Each = Callable[[Operand, Operand | None], None]

# How far ahead memory is asked for, at least.
PREFETCH_BYTES = 4096
UNROLLED = k.SMALL**2  # elements; a total that keeps two small axes
LINE = 64  # bytes of a line of the cache, on all machines but a few, where asking twice costs little

ROW = "row"  # pseudo-axis: depends on a row reduction

# An array, where it is read or written, and how many elements ahead of that.
View = tuple[str, tuple[k.Index, ...], Operand]
HERE = Imm(0, i64)


@data(frozen=False)
class Level:
    """Values known at one level of the loops, and the axes that are fixed there."""

    axes: frozenset[str]
    values: dict[k.Expr, Operand] = field(default_factory=dict)


class Lowering:
    """State of lowering one kernel; the functions of all modes share it."""

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
        self.registers: dict[str, list[Operand]] = {}  # totals with kept axes that are not in memory
        self.lets: dict[str, k.Let] = {}
        self.reduces = {s.name: s for stage in kernel.stages for s in stage.body if isinstance(s, k.Reduce)}
        self.dependence: dict[k.Expr, frozenset[str]] = {}
        self.number = -1  # of the current stage
        self.streaming = False  # whether stores go around the cache
        self.windows: dict[RowCache, str] = {}  # where the values wait, in mode "rows"
        self.views: dict[View, str] = {}  # windows on rows of arrays, in mode "rows"
        self.prefetches: dict[int, list[tuple[k.Load, Operand]]] = {}  # by stage: what, how far ahead
        self.kept_rows: dict[int, list[tuple[k.Expr, RowCache]]] = {}  # by the stage that computes
        self.cached: dict[tuple[int, k.Expr], RowCache] = {}  # by the stage that reads
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
            for number in (cache.first, cache.last):
                for stmt in self.kernel.stages[number].body:
                    for e in (e for o in k.operands(stmt) for e in k.walk(o)):
                        if isinstance(e, k.Call) and equal(e) == cache.value:
                            if number == cache.last:
                                self.cached[number, e] = cache
                            elif number not in self.kept_rows:
                                self.kept_rows[number] = [(e, cache)]
                            elif all(c is not cache for _, c in self.kept_rows[number]):
                                self.kept_rows[number].append((e, cache))

    def keep_rows(self) -> list[tuple[RowCache, Operand]]:
        """What a later stage will read again."""
        return [(c, self.value(e)) for e, c in self.kept_rows.get(self.number, ())]

    def keep_row(self, cache: RowCache, value: Operand) -> None:
        window = self.windows.get(cache)
        if window is None:
            self.store(cache.store, value)
        else:
            wide = self.b.widen(value, self.schedule.width)
            self.b.emit(Store(window, self.at[self.vector or ""], wide, None, self.mask))

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

    def minimum(self, a: Operand, c: Operand) -> Value:
        return self.b.op("select", self.b.op("lt", a, c), a, c)

    def times(self, a: Operand, c: Operand) -> Operand:
        """a * c for extents; literals are multiplied here."""
        if isinstance(a, Imm) and isinstance(c, Imm):
            return Imm(int(a.value) * int(c.value), i64)
        if isinstance(a, Imm) and a.value == 1:
            return c
        return self.b.op("mul", a, c)

    def plus(self, a: Operand, c: Operand) -> Operand:
        """a + c for indices; literals are added here."""
        if isinstance(a, Imm) and isinstance(c, Imm):
            return Imm(int(a.value) + int(c.value), i64)
        if isinstance(a, Imm) and a.value == 0:
            return c
        return self.b.op("add", a, c)

    def first_lanes(self, count: Operand) -> Value:
        """A mask of the first `count` lanes: none if it is negative, all if it is more than there are."""
        b, width = self.b, self.schedule.width
        narrow = self.cast(count, i32)
        iota = b.op("iota", dtype=i32, lanes=width)
        return b.op("lt", iota, b.widen(narrow, width))

    def start(self, reduce: k.Reduce, lanes: int = 1) -> Imm:
        """Where an accumulator starts."""
        return Imm(fold(reduce.op).identity(reduce.dtype), reduce.dtype, lanes)

    def nothing(self, reduce: k.Reduce, lanes: int = 1) -> Imm:
        """What changes no accumulator."""
        return Imm(fold(reduce.op).neutral(reduce.dtype), reduce.dtype, lanes)

    def combine(self, op: str, acc: Operand, *args: Operand) -> Operand:
        b, of = self.b, fold(op)
        nothing = Imm(of.neutral(acc.dtype), acc.dtype, acc.lanes)
        if args[0] == nothing and len(args) == 1:
            return acc
        if len(args) == 2 and acc.dtype.is_float and acc != nothing:
            return b.op("fma", *args, acc)
        term = b.op("mul", *args) if len(args) == 2 else args[0]
        if acc == nothing:
            return b.widen(term, max(term.lanes, acc.lanes))
        result: Operand = REGISTRY[of.merge].lower(b, (acc, term), acc.dtype)
        return result

    def halve_vectors(self, op: str, vectors: list[Operand]) -> Operand:
        """The first part of `halve`: down to one vector."""
        while len(vectors) > 1:
            half = len(vectors) // 2
            vectors = [self.combine(op, vectors[n], vectors[n + half]) for n in range(half)]
        return vectors[0]

    def halve(self, op: str, vectors: list[Operand]) -> Operand:
        """All lanes of all vectors to one value: lane l with lane l + half, again and again."""
        v = self.halve_vectors(op, vectors)
        while v.lanes > 1:
            low = self.b.op("lo", v, dtype=v.dtype, lanes=v.lanes // 2)
            high = self.b.op("hi", v, dtype=v.dtype, lanes=v.lanes // 2)
            v = self.combine(op, low, high)
        return v

    def transposed(self, vectors: list[Operand]) -> tuple[Operand, ...]:
        """As many vectors as they have lanes, with the numbers of vectors and lanes exchanged: in a loop, for
        all its turns are alike, and LLVM takes long over many shuffles. Of fewer vectors, lanes become theirs
        in turn."""
        rounds = self.schedule.width.bit_length() - 1  # each exchanges one bit of the numbers
        if len(vectors) < self.schedule.width:
            for _ in range(rounds):
                vectors = list(self.exchanged(vectors))
            return tuple(vectors)
        with self.b.loop(Imm(0, i64), Imm(rounds, i64), 1, "serial", tuple(vectors)) as turn:
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
                return self.value(self.lets[expr.name].expr)
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
        cache = self.cached.get((self.number, expr))
        if cache is not None:
            return self.kept_row(cache, expr.dtype)
        args = tuple(self.value(a) for a in expr.args)
        width = max(a.lanes for a in args)
        args = tuple(b.widen(a, width) for a in args)
        result: Operand = REGISTRY[expr.op].lower(b, args, expr.dtype)
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
                visit(self.lets[expr.name].expr)
            for part in k.parts(expr):
                visit(part)

        for stmt in stage.body:
            if isinstance(stmt, k.Let):
                self.lets[stmt.name] = stmt
        for stmt in stage.body:
            for expr in k.operands(stmt):
                visit(expr)
        return known

    def splats(self, stage: k.Stage) -> bool:
        return bool(stage.axes) or self.schedule.mode == "flat"

    def within(self, expr: k.Within) -> Operand:
        b = self.b
        index = self.lane_index(expr.axis)
        above = b.op("ge", index, self.slot(expr.lo))
        return b.op("and", above, b.op("lt", index, self.slot(expr.hi)))

    def lane_index(self, axis: str) -> Operand:
        base = self.at[axis]
        if axis != self.vector:
            return base
        iota = self.b.op("iota", dtype=i64, lanes=self.schedule.width)
        return self.b.op("add", self.b.widen(base, self.schedule.width), iota)

    def stride(self, array: k.Array, dim: int) -> Operand:
        if array.unit and dim == len(array.dims) - 1:
            return Imm(1, i64)
        return self.slot(stride_name(array.name, dim))

    def address(self, array: k.Array, index: tuple[k.Index, ...]) -> tuple[Operand, Operand | None, bool]:
        """First element; stride along the vector (None: 1); whether it varies along the vector."""
        b = self.b
        total: Operand = Imm(0, i64)
        step: Operand | None = None
        varies = False
        for dim, ix in enumerate(index):
            here = self.at[ix.axis]
            if ix.shift is not None:
                here = b.op("sub", here, self.slot(ix.shift))
            stride = self.stride(array, dim)
            if ix.axis == self.vector:
                step = self.plus(step, stride) if varies and step else stride
                varies = True
            part = here if isinstance(stride, Imm) else self.times(here, stride)
            total = self.plus(total, part)
        return total, None if step == Imm(1, i64) else step, varies

    def element(
        self, array: k.Array, index: tuple[k.Index, ...], ahead: Operand = HERE
    ) -> tuple[str, Operand, Operand | None, bool]:
        """As `address`, `ahead` of it, behind the name of the array or of a window on it."""
        window = self.views.get((array.name, index, ahead))
        if window is not None:
            axis = index[-1].axis
            return window, self.at[axis], None, axis == self.vector
        first, stride, varies = self.address(array, index)
        return array.name, self.plus(ahead, first), stride, varies

    def both(self, a: Operand | None, c: Operand | None) -> Operand | None:
        if a is None or c is None:
            return a if c is None else c
        return self.b.op("and", a, c)

    def load(self, expr: k.Load) -> Operand:
        if expr.array in self.parts:
            return self.load_part(expr.array, expr.dtype, [ix.axis for ix in expr.index])
        array = self.arrays[expr.array]
        guard: Operand | None = None
        for g in expr.guards:
            guard = self.both(guard, self.within(g))
        name, index, stride, varies = self.element(array, expr.index)
        if not varies and guard is not None and guard.lanes > 1:
            varies, stride = True, Imm(0, i64)  # one element, read under a mask of lanes
        width = self.schedule.width if varies else 1
        mask = guard if guard is None else self.b.widen(guard, width)
        if width > 1:
            mask = self.both(mask, self.mask)
        if width > 1 and stride is None and mask is None and self.ahead(expr):
            away = Imm(PREFETCH_BYTES // array.dtype.size, i64)
            self.b.emit(Prefetch(name, self.b.op("add", index, away)))
        return self.b.load(name, array.dtype, index, width, stride, mask)

    def pick(self, expr: k.Pick) -> Operand:
        """An element whose subscripts are values. Lanes along the vector alone are a stride apart; else each
        has a place of its own."""
        b, array = self.b, self.arrays[expr.array]
        axes = (*self.kernel.outer, *(a for s in (*self.kernel.stages, *self.kernel.final) for a in s.axes))
        extents = {a.name: a.extent for a in axes}
        apart = [self.vector in self.depends(ix) and not isinstance(ix, k.At) for ix in expr.index]
        place: Operand = Imm(0, i64)
        step: Operand | None = None
        inside: Operand | None = None
        for dim, ix in enumerate(expr.index):
            stride = self.stride(array, dim)
            if isinstance(ix, k.At) and ix.axis == self.vector and not any(apart):
                at, step = self.at[ix.axis], stride if step is None else self.plus(step, stride)
            else:
                at = self.value(ix)
            if not isinstance(ix, k.At) or extents[ix.axis] != array.dims[dim]:
                value, end = self.value(ix), self.extent(array.dims[dim])
                for test in (b.op("ge", value, b.imm(0, value)), b.op("lt", value, end)):
                    inside = self.both(inside, test)
            place = self.plus(place, at if stride == Imm(1, i64) else b.op("mul", at, stride))
        width = place.lanes if step is None else self.schedule.width
        mask = self.both(inside, self.mask if width > 1 else None)
        mask = mask if mask is None else b.widen(mask, width)
        return b.load(expr.array, array.dtype, place, width, None if step == Imm(1, i64) else step, mask)

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
        index: Operand = Imm(0, i64)
        step: Operand = Imm(0, i64)
        for n, (axis, here) in enumerate(zip(axes, at, strict=True)):
            one = Imm(int(here == self.vector), i64)
            index = self.at[here] if not n else self.b.op(
                "add", self.times(index, self.extent(axis.extent)), self.at[here]
            )  # fmt: skip
            step = one if step == HERE else self.plus(one, self.times(step, self.extent(axis.extent)))
        return self.b.op("add", base, index), None if step == Imm(1, i64) else step, step != HERE

    def load_part(self, name: str, dtype: DType, at: Sequence[str]) -> Value:
        index, stride, varies = self.part_index(name, at)
        width, mask = (self.schedule.width, self.mask) if varies else (1, None)
        return self.b.load(part_name(name), dtype, index, width, stride if varies else None, mask)

    # -- loops

    def points(self, axes: Sequence[k.Axis]) -> Operand:
        """How many there are."""
        count: Operand = Imm(1, i64)
        for axis in axes:
            count = self.times(count, self.extent(axis.extent))
        return count

    def point(self, number: Operand, axes: Sequence[k.Axis]) -> dict[str, Operand]:
        """Where the axes are at the point of this number."""
        found: dict[str, Operand] = {}
        for axis in reversed(axes):
            extent = self.extent(axis.extent)
            found[axis.name] = number if axis is axes[0] else self.b.op("rem", number, extent)
            number = self.b.op("div", number, extent) if axis is not axes[0] else number
        return found

    def open(self, axes: frozenset[str]) -> Level:
        self.levels.append(Level(axes))
        return self.levels[-1]

    def vectors(
        self,
        axis: str,
        lo: Operand,
        hi: Operand,
        inits: tuple[Operand, ...],
        chunk: Chunk,
        stream: Operand | None = None,
    ) -> tuple[Operand, ...]:
        """Whole vectors from lo to hi, then the rest under a mask. `chunk(u, carried)` writes the
        code of one vector, u counting those of a turn, and returns the accumulators. Where `stream`
        is not 0, whole vectors are stored around the cache."""
        b, width, step = self.b, self.schedule.width, self.schedule.step
        if isinstance(lo, Imm) and isinstance(hi, Imm) and hi.value - lo.value <= UNROLLED:
            return self.unrolled(axis, int(lo.value), int(hi.value), inits, chunk)
        span = b.op("sub", hi, lo)
        main = b.op("add", lo, b.op("and", span, Imm(-step, i64)))
        fixed = frozenset().union(*(level.axes for level in self.levels))
        outside = self.vector, self.mask
        parts = [(lo, main, False, False), (main, hi, True, False)]
        if stream is not None:
            turn = b.op("select", b.op("ne", stream, Imm(0, i64)), main, lo)
            parts[:1] = [(lo, turn, False, True), (turn, main, False, False)]
        for begin, end, masked, self.streaming in parts:
            turn_step = width if masked and not inits else step  # less code where no lanes are told apart
            with b.loop(begin, end, turn_step, "vector", inits) as body:
                carried: list[Operand] = list(body.carried)
                self.vector = axis
                for u in range(turn_step // width):
                    self.open(fixed | {axis})
                    base = b.op("add", body.var, Imm(u * width, i64)) if u else body.var
                    self.at[axis] = base
                    self.mask = None
                    if masked:
                        self.mask = self.first_lanes(b.op("sub", hi, base))
                    carried = chunk(u, carried)
                    self.levels.pop()
                body.yields = tuple(carried)
            inits = body.results
            self.vector, self.mask = outside
        del self.at[axis]
        return inits

    def unrolled(
        self, axis: str, lo: int, hi: int, inits: tuple[Operand, ...], chunk: Chunk
    ) -> tuple[Operand, ...]:
        """As `vectors`, for a known number of elements: no loop, and a mask only where one is due."""
        width = self.schedule.width
        outside = self.vector, self.mask
        fixed = frozenset().union(*(level.axes for level in self.levels))
        carried = list(inits)
        self.vector = axis
        for u, base in enumerate(range(lo, hi, width)):
            self.open(fixed | {axis})
            self.at[axis] = Imm(base, i64)
            self.mask = None
            if base + width > hi:
                self.mask = self.first_lanes(Imm(hi - base, i64))
            carried = chunk(u, carried)
            self.levels.pop()
        self.vector, self.mask = outside
        self.at.pop(axis, None)
        return tuple(carried)

    def accumulators(self, reduces: list[k.Reduce]) -> tuple[Operand, ...]:
        return tuple(self.start(r, self.schedule.width) for r in reduces for _ in range(self.count(r)))

    def count(self, reduce: k.Reduce) -> int:
        """Vectors that hold the lanes of one accumulator."""
        return max(1, lanes(reduce.dtype) // self.schedule.width)

    def split(self, reduces: list[k.Reduce], values: tuple[Operand, ...]) -> list[list[Operand]]:
        groups, at = [], 0
        for r in reduces:
            groups.append(list(values[at : at + self.count(r)]))
            at += self.count(r)
        return groups

    def body(self, stage: k.Stage, u: int, reduces: list[k.Reduce], carried: list[Operand]) -> list[Operand]:
        """One vector of one stage: values first, then stores."""
        b = self.b
        self.prefetch(u)
        groups = self.split(reduces, tuple(carried))
        stores: list[tuple[k.Store | k.Reduce, Operand, Loc | None]] = []
        for stmt in stage.body:
            b.loc = stmt.loc
            if isinstance(stmt, k.Let):  # in order: a chain of lets is no recursion, and has its own lines
                self.value(stmt.expr)
                continue
            if isinstance(stmt, k.Store):
                stores.append((stmt, self.value(stmt.expr), stmt.loc))
                continue
            if not isinstance(stmt, k.Reduce):
                raise TypeError(f"{stmt!r} has a mode of its own")
            args = tuple(self.cast(self.value(a), stmt.dtype) for a in stmt.args)
            if stmt.name in self.registers:
                vectors = self.registers[stmt.name]
                vectors[u] = b.widen(self.combine(stmt.op, vectors[u], *args), self.schedule.width)
                continue
            if stmt.keep:
                stores.append((stmt, self.combine(stmt.op, self.kept_vector(stmt), *args), stmt.loc))
                continue
            group = groups[reduces.index(stmt)]
            turn = u % len(group)
            new = b.widen(self.combine(stmt.op, group[turn], *args), self.schedule.width)
            if self.mask is not None:
                new = b.op("select", self.mask, new, group[turn])
            group[turn] = new
        waiting = self.keep_rows()
        for target, value, loc in stores:
            b.loc = loc
            self.store(target, value)
        b.loc = None
        for cache, value in waiting:
            self.keep_row(cache, value)
        return [v for group in groups for v in group]

    def kept_vector(self, reduce: k.Reduce) -> Operand:
        """The running total of a block for the elements of the current vector."""
        return self.load_part(reduce.name, reduce.dtype, reduce.keep)

    def prefetch(self, u: int) -> None:
        """What this stage asks for, beside vector `u` of a turn: each line of the cache once."""
        if self.mask is not None:
            return
        for load, away in self.prefetches.get(self.number, ()):
            array = self.arrays[load.array]
            if u * self.schedule.width * array.dtype.size % LINE == 0:
                name, index, _, _ = self.element(array, load.index, away)
                self.b.emit(Prefetch(name, index, far=True))

    def cast(self, value: Operand, dtype: DType) -> Operand:
        if value.dtype == dtype:
            return value
        if isinstance(value, Imm):
            return Imm(value.value, dtype, value.lanes)
        return self.b.op("cast", value, dtype=dtype)

    def store(self, target: k.Store | k.Reduce, value: Operand) -> None:
        b = self.b
        if isinstance(target, k.Reduce):
            index, stride, varies = self.part_index(target.name, target.keep)
            if varies:
                value = b.widen(value, self.schedule.width)
            b.emit(Store(part_name(target.name), index, value, stride, self.mask, False, b.loc))
            return
        array = self.arrays[target.array]
        name, index, stride, varies = self.element(array, target.index)
        if varies:
            value = b.widen(value, self.schedule.width)
        mask = self.mask if varies else None
        stream = self.streaming and varies and stride is None and mask is None
        b.emit(Store(name, index, value, stride, mask, stream, b.loc))

    # -- stores around the cache

    def aligned(self, names: list[str]) -> Operand:
        flag: Operand = self.slot("stream")
        for name in names:
            result = self.b.fresh(i64)
            self.b.emit(Aligned(result, name))
            flag = self.b.op("and", flag, result)
        return flag

    def streams_rows(self) -> Operand | None:
        """The same for stages of rows: every row must begin where streaming stores can. None if no stage
        stores whole vectors."""
        b = self.b
        wide = [s for stage in self.kernel.stages if stage.axes for s in stage.body if isinstance(s, k.Store)]
        stores = [s for s in wide if self.arrays[s.array].unit]
        if not stores or any(ix.shift for s in stores for ix in s.index):
            return None
        flag = self.aligned([s.array for s in stores])
        for array in (self.arrays[s.array] for s in stores):
            for dim in range(len(array.dims) - 1):
                size = self.times(self.stride(array, dim), Imm(array.dtype.size, i64))
                wrong = b.op("ne", b.op("and", size, Imm(63, i64)), Imm(0, i64))
                flag = b.op("select", wrong, Imm(0, i64), flag)
        return flag

    def cost(self, number: int, kept: Container[tuple[int, k.Expr]]) -> int:
        """Operations for each element of a stage, where what is `kept` from an earlier one is one."""
        stage = self.kernel.stages[number]
        inner = {a.name for a in stage.axes}
        found = {e for e in k.expressions(stage) if isinstance(e, k.Call) and self.depends(e) & inner}
        return sum(1 if (number, e) in kept else REGISTRY[e.op].flops for e in found)

    # -- totals with kept axes

    def kept_axes(self, reduce: k.Reduce) -> tuple[k.Axis, ...]:
        table = {a.name: a for s in self.kernel.stages for a in s.axes}
        return tuple(table[name] for name in reduce.keep)

    def kept_size(self, reduce: k.Reduce) -> Operand:
        size: Operand = Imm(1, i64)
        for axis in self.kept_axes(reduce):
            extent = self.extent(axis.extent)
            size = self.times(size, extent)
        return size

    def each(self, count: Operand, code: _Each) -> None:
        """A masked vector loop over 0..count that calls code(index, mask)."""
        width = self.schedule.width

        def chunk(u: int, carried: list[Operand]) -> list[Operand]:
            code(self.at["each"], self.mask)
            return carried

        step = self.schedule
        self.schedule = Schedule(step.mode, width, width)
        self.vectors("each", Imm(0, i64), count, (), chunk)
        self.schedule = step

    def clear(self, reduce: k.Reduce, block: Body) -> None:
        b = self.b
        size = self.kept_size(reduce)
        base = b.op("mul", block.var, size)
        self.parts[reduce.name] = (self.kept_axes(reduce), base)
        fill = self.start(reduce, self.schedule.width)

        def code(index: Operand, mask: Operand | None) -> None:
            at = b.op("add", base, index)
            b.emit(Store(part_name(reduce.name), at, fill, None, mask))

        self.each(size, code)

    # -- stages of a row

    def scalar_stage(self, stage: k.Stage, now: dict[str, Operand]) -> None:
        b = self.b
        stores: list[tuple[k.Store, Operand]] = []
        for stmt in stage.body:
            b.loc = stmt.loc
            if isinstance(stmt, k.Store):
                stores.append((stmt, self.value(stmt.expr)))
            elif isinstance(stmt, k.Reduce):
                args = tuple(self.cast(self.value(a), stmt.dtype) for a in stmt.args)
                if stmt.of_row:  # no inner axes: a sum of one term
                    self.rows[stmt.name] = self.combine(stmt.op, self.start(stmt), *args)
                else:
                    now[stmt.name] = self.combine(stmt.op, now[stmt.name], *args)
        for target, value in stores:
            b.loc = target.loc
            self.store(target, value)
        b.loc = None
