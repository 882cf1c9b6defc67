"""Rows, one after the other: a scalar loop over the outer axes, vectors along the last inner one.

    for row i:
      stage j:  top = max(x[i, j])
      stage j:  total = sum(exp(x[i, j] - top))             the exponentials wait in working memory
           and  o[i-1, j] = exp(x[i-1, j] - top') / total'  of the row before

The last stage of a row is done beside an earlier one of the next row: so one loop computes what needs
no memory while it stores what needs no computing, and asks for the row after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from ..ir import kernel as k
from ..ir.data import data
from ..ir.layout import totals
from ..ir.loop import BEGIN, END, ZERO, Alloc, Imm, Operand
from ..ir.types import i64
from .lower import Add, Join, Lowering, Mode, Sums, named
from .lower_blocks import nest, walk
from .lower_totals import RowTotals
from .schedule import WAITING_BYTES, RowCache
from .values import PREFETCH_BYTES, ROW, Level, View
from .views import start, walks

# The longest row that is asked for while the row before it is computed: both have to stay in the cache.
PREFETCH_ROW = 65_536
# Operations for each element that is moved, from which on a row has time to ask for memory.
BUSY = 5
# Rows that are added to totals for each column at a time: each has a stream of its own from memory.
TOGETHER = 4
# Columns that are added up at a time.
STRIP = 4096


@data
class _Row:
    """What belongs to one row."""

    number: Operand
    at: dict[str, Operand]
    level: Level
    values: dict[str, Operand]  # its reductions
    windows: dict[RowCache, str]
    views: dict[View, str]


class RowLowering(Mode):
    """Lowers one kernel whose schedule says "rows"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        self.caches = [cache for kept in base.kept_rows.values() for _, cache in kept]
        self.stream: Operand | None = None  # whether stages store around the cache
        self.waiting: dict[RowCache, str] = {}  # working memory
        self.kept: dict[RowCache, str] = {}  # what waits in shared memory
        self.last = len(base.kernel.stages) - 1
        self.busy = self.columns = False
        self.first: Operand = ZERO  # row of a block
        self.beside: int | None = None  # the stage beside which the last one is done

    def partner(self) -> int | None:
        """The stage beside which the last one of the row before is done: one that stores little, and
        computes much. None if there is little to compute, or the stages do not walk the same axis."""
        stages = self.kernel.stages
        axes = stages[-1].axes
        if (
            not self.busy
            or len(axes) != 1
            or not isinstance(axes[0].extent, str)
            or not self.stores(self.last)
        ):
            return None
        like = [n for n, stage in enumerate(stages[:-1]) if stage.axes == axes]

        def gain(number: int) -> tuple[int, int]:
            return -self.stores(number), self.x.cost(number, self.x.cached)

        return max(like, key=gain, default=None)

    def run(self) -> None:
        b, x = self.b, self.x
        every = totals(self.kernel)
        x.hoist_all()
        self.busy, self.columns = self.is_busy(), self.only_columns()
        self.beside = self.partner()
        self.stream = self.streams()
        if self.stream is not None:
            self.alloc()
        self.totals = RowTotals(x, [r for r in every if not r.keep])
        self.plan_prefetches()
        rows = x.points(self.kernel.outer)
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            lo, hi = x.share(block.var, x.slot("block"), rows)
            for reduce in every:
                if reduce.keep:
                    x.clear(reduce, block)
            self.first = lo
            self.totals.begin()
            if self.beside is None:
                self.one_by_one(lo, hi)
            else:
                self.overlapped(lo, hi, self.beside)
            self.totals.end(block)

    # -- rows of a block

    def one_by_one(self, lo: Operand, hi: Operand) -> None:
        stages = range(self.last + 1)
        if self.columns:
            (axis,) = self.kernel.stages[0].axes
            lo = self.several(lo, hi, ZERO, self.x.extent(axis.extent))
        with self.b.loop(lo, hi, 1, "serial") as turn:
            row = self.place(turn.var, stages)
            for number in stages:
                self.stage(number, row)

    def only_columns(self) -> bool:
        """Whether all that is done is to add to totals for each column, in one walk along a row."""
        stage, *others = self.kernel.stages
        if others or len(stage.axes) != 1 or self.stores(0):
            return False
        keeps = {s.keep for s in stage.body if isinstance(s, k.Reduce)}
        return keeps == {(stage.axes[0].name,)}

    def several(self, lo: Operand, hi: Operand, left: Operand, right: Operand) -> Operand:
        """Several rows at a time, in their order: totals are read and written once for all of them, in strips
        of columns whose totals the first cache holds. Returns the first row of the rest."""
        b, x = self.b, self.x
        end = x.whole(lo, hi, TOGETHER)
        if isinstance(right, Imm):
            self.strip(lo, end, left, right)
            return end
        with b.loop(left, right, STRIP, "serial") as strip:
            self.strip(lo, end, strip.var, x.minimum(strip.var + STRIP, right))
        return end

    def strip(self, lo: Operand, end: Operand, left: Operand, right: Operand) -> None:
        """Columns from left to right, of rows from lo to end."""
        b, x = self.b, self.x
        (stage,) = self.kernel.stages
        (axis,) = stage.axes
        reduces = [s for s in stage.body if isinstance(s, k.Reduce)]
        with b.loop(lo, end, TOGETHER, "serial") as turn:
            numbers = [turn.var + n for n in range(TOGETHER)]
            rows = [self.place(n, range(1)) for n in numbers]
            for row in rows:
                with self.inside(row, 0):
                    x.hoist(stage, row.level)

            def chunk(u: int) -> None:
                with x.adding({r.names: [x.kept_vector(r)] for r in reduces}) as sums:
                    for row in rows:
                        self.beside_others(0, row, u)
                for reduce in reduces:
                    x.store(reduce, *sums[reduce.names][0])

            x.vectors(axis.name, left, right, chunk)

    def overlapped(self, lo: Operand, hi: Operand, beside: int) -> None:
        """Row by row, the last stage of each but the first beside a stage of the next one; the last stage of
        the last row."""
        x, wanted = self.x, self.wanted()
        types = {name: dtype for reduce in x.reduces.values() for name, dtype in reduce.results}

        def late(number: Operand, values: Sequence[Operand]) -> _Row:
            row = self.place(number - 1, range(self.last, self.last + 1))
            row.values.update(zip(wanted, values, strict=True))
            return row

        with self.b.loop(lo, hi, 1, "serial", tuple(Imm(0, types[name]) for name in wanted)) as turn:
            row = self.place(turn.var, range(self.last))
            for number in range(self.last):
                before = partial(late, turn.var, turn.carried) if number == beside else None
                self.stage(number, row, before)
            turn.yields = tuple(row.values[name] for name in wanted)
        self.stage(self.last, late(hi, turn.results))

    def wanted(self) -> list[str]:
        """The reductions of a row that its last stage reads."""
        x, found, seen = self.x, dict[str, None](), set[k.Expr]()

        def visit(expr: k.Expr) -> None:
            if expr in seen:
                return
            seen.add(expr)
            for e in k.walk(expr):
                if isinstance(e, k.Ref) and e.name in x.lets:
                    visit(x.lets[e.name].expr)
                elif isinstance(e, k.Ref) and e.name in x.reduces:
                    found[e.name] = None

        for stmt in self.kernel.stages[-1].body:
            for operand in k.operands(stmt):
                visit(operand)
        return list(found)

    # -- one row

    def place(self, number: Operand, stages: range) -> _Row:
        """The outer axes of a row number; names for where its values wait, and for what `stages` walk
        along: so an address is one sum, and few registers hold all of them."""
        x = self.x
        turn = number & 1  # two rows wait at a time
        at = x.point(number, self.kernel.outer)
        row = _Row(number, at, Level(x.outer | {ROW}), {}, dict(self.kept), {})
        with self.inside(row):
            if self.stream is not None:
                for cache, wait in self.waiting.items():
                    array = x.arrays[cache.store.array]
                    mine = turn * (WAITING_BYTES // array.dtype.size)
                    first = start(x, array, cache.store.index)
                    row.windows[cache] = x.b.window(array.dtype, wait, mine, self.stream, array.name, first)
            for place in dict.fromkeys(place for n in stages for place in walks(x, n)):
                name, index, ahead = place
                array = x.arrays[name]
                row.views[place] = x.b.window(array.dtype, name, start(x, array, index) + ahead)
        return row

    @contextmanager
    def inside(self, row: _Row, number: int = -1) -> Iterator[None]:
        """Code of one row, for stage `number`."""
        x = self.x
        outside, x.number = x.number, number
        with x.scope(known=row.level):
            x.at.update(row.at)
            x.rows, x.windows, x.views = row.values, row.windows, row.views
            yield
        x.number = outside

    def add(self, row: _Row, reduce: k.Reduce, join: Join) -> None:
        """A term of a row to its lane of a total."""
        self.totals.add(reduce, row.number - self.first, 1, join)

    def stage(
        self, number: int, row: _Row, before: Callable[[], _Row] | None = None, add: Add | None = None
    ) -> None:
        """One stage of one row; beside it, the last one of the row `before`, unless this is the first. Terms
        of totals go to their lanes, unless `add` takes them."""
        x, stage = self.x, self.kernel.stages[number]
        with self.inside(row, number):
            x.hoist(stage, row.level)
            if not stage.axes:
                x.scalar_stage(stage, add or partial(self.add, row))
                return
        with x.adding(x.accumulators(self.reduced(number))) as sums:
            if before is None:
                self.alone(number, row)
            else:
                first = self.b.op("eq", row.number, self.first)
                with x.loop(0, self.b.select(first, 1, 0), 1, "once"):
                    self.alone(number, row)
                with x.loop(0, self.b.select(first, 0, 1), 1, "once"):
                    self.both(number, row, before())
        self.reduce(number, row, sums, add)

    def reduced(self, number: int) -> list[k.Reduce]:
        """What a stage adds up in registers."""
        return [s for s in self.kernel.stages[number].body if isinstance(s, k.Reduce) and not s.keep]

    def reduce(self, number: int, row: _Row, sums: Sums, add: Add | None) -> None:
        """The reductions of a stage, of their lanes."""
        x = self.x
        for reduce in self.reduced(number):
            with self.b.at(reduce.loc):
                total = x.halve(reduce.op, sums[reduce.names])
                if reduce.of_row:
                    row.values.update(named(reduce, total))
                else:
                    (add or partial(self.add, row))(reduce, partial(x.merged, reduce, total))

    def streamed(self, *numbers: int) -> Operand | None:
        """Whether these stages store around the cache."""
        return self.stream if any(map(self.stores, numbers)) else None

    def alone(self, number: int, row: _Row) -> None:
        """A stage of a row."""
        stage = self.kernel.stages[number]
        with self.inside(row, number):
            nest(self.x, stage, stage.axes, self.reduced(number), self.streamed(number))

    def both(self, number: int, row: _Row, late: _Row) -> None:
        """A stage of a row, and the last one of another, in one loop. What does not vary with the rows is
        computed once."""
        x, own = self.x, self.reduced(self.last)
        (axis,) = self.kernel.stages[self.last].axes
        with self.inside(late, self.last):
            x.hoist(self.kernel.stages[self.last], late.level)

        def chunk(u: int) -> None:
            self.beside_others(number, row, u)
            self.beside_others(self.last, late, u)

        sums = x.accumulators(own)
        with x.adding(x.sums | sums):
            numbers = number, self.last
            dear = x.dear(axis.name, numbers)
            walk(x, axis, [*self.reduced(number), *own], chunk, self.streamed(*numbers), dear)
        self.reduce(self.last, late, sums, None)

    def beside_others(self, number: int, row: _Row, u: int) -> None:
        """One vector of one stage of a row, in a loop that other rows share."""
        with self.inside(row, number), self.x.scope():
            self.x.body(self.kernel.stages[number], u)

    # -- stores around the cache

    def streams(self) -> Operand | None:
        """Whether stages store around the cache: if there is room for what waits in an output otherwise.
        None if none ever does, or something waits where its elements are no neighbours."""
        b, x = self.b, self.x
        flag = x.streams_rows() if all(map(self.in_a_row, self.caches)) else None
        if flag is None:
            return None
        for cache in self.caches:
            (axis,) = self.kernel.stages[cache.last].axes
            most = Imm(WAITING_BYTES // x.arrays[cache.store.array].dtype.size, i64)
            flag = b.select(x.extent(axis.extent) > most, 0, flag)
        return flag

    def in_a_row(self, cache: RowCache) -> bool:
        """Whether the elements that a stage fills of an output are neighbours."""
        axes, index = self.kernel.stages[cache.last].axes, cache.store.index
        varies = [n for n, ix in enumerate(index) if ix.axis == axes[0].name]
        return len(axes) == 1 and varies == [len(index) - 1] and self.x.arrays[cache.store.array].unit

    def alloc(self) -> None:
        for n, cache in enumerate(self.caches):
            dtype = self.x.arrays[cache.store.array].dtype
            self.waiting[cache] = f"wait.{n}"
            self.b.emit(Alloc(f"wait.{n}", dtype, 2 * WAITING_BYTES // dtype.size))

    # -- asking for memory

    def is_busy(self) -> bool:
        """Whether rows are walked more than once, with enough to compute beside what memory does. The
        hardware guesses better where there is less, and warps wait for each other's memory."""
        wide = [n for n, stage in enumerate(self.kernel.stages) if stage.axes]
        moved = len(self.loads()) + sum(map(self.stores, wide))
        busy = sum(self.x.cost(n, self.x.cached) for n in wide) >= BUSY * moved
        return busy and len(wide) > 1 and not self.x.schedule.threads

    def loads(self) -> list[k.Load]:
        """What walks along memory, another part of it for each row."""
        x, found = self.x, dict[tuple[str, tuple[k.Index, ...]], k.Load]()
        row = self.kernel.outer[-1].name if self.kernel.outer else ""
        for e in (e for stage in self.kernel.stages for e in k.expressions(stage)):
            if not isinstance(e, k.Load) or e.guards or e.array not in x.arrays or not x.arrays[e.array].unit:
                continue
            axes = [ix.axis for ix in e.index]
            if row in axes and axes[-1] not in x.outer and x.outer.issuperset(axes[:-1]):
                found[e.array, e.index] = e
        return list(found.values())

    def plan_prefetches(self) -> None:
        """Later stages read a row from the cache: while they compute, memory would idle. So they ask for
        what the next row needs, each array in the stage that has most to compute for what it moves. Several
        rows at a time are asked for as many ahead."""
        x, stages = self.x, self.kernel.stages
        if not self.busy and not self.columns:
            return
        wide = [n for n, stage in enumerate(stages) if stage.axes]
        moved = {n: self.stores(n) for n in wide}
        cost = {n: self.x.cost(n, self.x.cached) for n in wide}
        if self.beside is not None:  # the last stage has no loop of its own
            moved[self.beside] += moved.pop(self.last)
            cost[self.beside] += cost.pop(self.last)
        for load in self.loads():
            like = [n for n in cost if stages[n].axes[-1].name == load.index[-1].axis]
            if not like:
                continue
            number = max(like, key=lambda n: cost[n] / (moved[n] + 1))
            moved[number] += 1
            dim = [ix.axis for ix in load.index].index(self.kernel.outer[-1].name)
            away = self.ahead(x.arrays[load.array], dim, TOGETHER if self.columns else 1)
            x.prefetches.setdefault(number, []).append((load, away))

    def stores(self, number: int) -> int:
        return sum(isinstance(s, k.Store) for s in self.kernel.stages[number].body)

    def ahead(self, array: k.Array, dim: int, rows: int) -> Operand:
        """How many elements ahead memory is asked for: so many rows, none if they are long."""
        b, size = self.b, array.dtype.size
        away = rows * self.x.stride(array, dim)
        least, most = Imm(PREFETCH_BYTES // size, i64), Imm(rows * PREFETCH_ROW // size, i64)
        near = b.select(away < least, least, away)
        return b.select(away <= most, near, 0)
