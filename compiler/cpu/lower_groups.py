"""Rows of a few registers: a vector's worth of rows at a time.

    for group of 16 rows:
      stage j:  p = sum(X[i, j] * w[j])      row after row into scratch, then 16 sums folded together
      stage:    c = clip(p - y[i]) ...       the 16 rows at once
      stage j:  g[j] += c * X[i, j]          row after row, c from scratch, g in registers

What is known of a row stands in vectors with a lane for each row; a stage with inner axes takes it
row by row from working memory, which the first cache holds. The last group of a block may have
fewer rows: the lanes beyond compute on what is left in working memory, and are masked where they
would show. A total over rows has ROW_LANES lanes: row r of a block goes to lane r mod ROW_LANES; a
total with kept axes is summed row after row. Where there is no total, there may be more outer axes: a group
then has rows along the last one, and what varies with the others alone is in registers for a group.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ..ir import kernel as k
from ..ir.data import data
from ..ir.layout import totals
from ..ir.loop import BEGIN, END, ZERO, Imm, Operand, Value
from ..ir.types import i64
from ..ops.folds import Acc
from .lower import Join, Lowering, Mode, named
from .lower_totals import RowTotals
from .schedule import RowCache
from .values import PREFETCH_BYTES, ROW, Level, View
from .views import start, walks

TURN = 8
# Working memory: lanes of a reduction, for the rows of a group.
SUMS = "lanes."


@data
class Group:
    """A group of rows: `base` is the first one, `number` its number within the block, `count` how many
    there are, and `live` their lanes, None if that is all of them."""

    base: Operand
    number: Operand
    count: Operand
    live: Operand | None


class GroupLowering(Mode):
    """Lowers one kernel whose schedule says "groups"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        self.width = base.schedule.width
        *self.before, self.outer = base.kernel.outer
        self.at_before: dict[str, Operand] = {}  # the axes before
        self.kept = [r for r in totals(base.kernel) if r.keep]  # in registers
        self.stream: Operand | None = None  # whether stages store around the cache
        # costly values wait in working memory, not in an output, which may be stored around the cache
        self.computes, base.kept_rows = base.kept_rows, {}
        self.reads, base.cached = base.cached, {}
        self.waiting: dict[RowCache, str] = {}

    def size(self, axis: k.Axis) -> int:
        assert isinstance(axis.extent, int)
        return axis.extent

    def vectors(self, axis: k.Axis) -> int:
        return -(-self.size(axis) // self.width)

    def reduces(self, stage: k.Stage) -> list[k.Reduce]:
        """Those of a stage with inner axes that are folded over them."""
        return [s for s in stage.body if isinstance(s, k.Reduce) and not s.keep and stage.axes]

    # -- loops

    def run(self) -> None:
        b, x = self.b, self.x
        x.hoist_all()
        self.memory()
        self.stream = x.streams_rows()
        with b.loop(BEGIN, END, 1, "parallel") as block:
            lo, hi = x.share(block.var, x.slot("block"), x.points(x.kernel.outer))
            self.totals.begin()
            axes = {r: x.kept_axes(r)[0] for r in self.kept}
            starts = {r.names: [x.start(r, self.width)] * self.vectors(axis) for r, axis in axes.items()}
            with x.adding(starts) as kept:
                (self.lines if self.before else self.line)(lo, hi)
            self.totals.end(block)
            for reduce, axis in axes.items():
                self.store_kept(reduce, kept[reduce.names], block.var * self.size(axis), self.size(axis))

    def lines(self, lo: Operand, hi: Operand) -> None:
        """Rows from lo to hi, those along the last axis at a time."""
        b, x, size = self.b, self.x, self.x.extent(self.outer.extent)
        end = (hi - 1) // size + 1
        with b.loop(lo // size, end, 1, "serial") as line:
            self.at_before = x.point(line.var, self.before)
            x.at.update(self.at_before)
            first = line.var * size
            begin = lo - first
            begin = b.select(begin < 0, 0, begin)
            self.line(begin, x.minimum(hi - first, size))

    def line(self, lo: Operand, hi: Operand) -> None:
        """Rows from lo to hi, in groups."""
        whole = self.x.whole(lo, hi, self.width)
        self.groups(lo, lo, whole)
        self.groups(lo, whole, hi, True)

    def groups(self, first: Operand, lo: Operand, hi: Operand, partial: bool = False) -> None:
        """Groups from lo to hi, in a block that begins at `first`; whole ones, or one that is not."""
        x = self.x
        with x.loop(lo, hi, self.width, "serial") as body:
            count: Operand = Imm(self.width, i64)
            live: Operand | None = None
            if partial:
                count = hi - body.var
                live = x.first_lanes(count)
            group = Group(body.var, body.var - first, count, live)
            x.prefetches = {} if partial else self.ahead()
            self.stages(group)

    def store_kept(self, reduce: k.Reduce, vectors: list[Acc], base: Operand, size: int) -> None:
        for u, acc in enumerate(vectors):
            self.x.store_parts(reduce, base + u * self.width, acc, self.tail(u, size))

    def tail(self, u: int, size: int) -> Operand | None:
        """The mask of vector u of so many elements, where one is due."""
        left = size - u * self.width
        return self.x.first_lanes(left) if left < self.width else None

    def memory(self) -> None:
        """Working memory, and something in it: lanes beyond the rows of a group compute on that."""
        b, x = self.b, self.x
        self.totals = RowTotals(x, [r for r in totals(x.kernel) if not r.keep])
        taken = set[str]()
        for number, stage in enumerate(x.kernel.stages):
            for reduce in self.folded(number, stage):
                size = self.width * self.width
                names = self.names(reduce)
                for name, dtype in zip(names, reduce.dtypes, strict=True):
                    if name not in taken:
                        b.alloc(name, dtype, size)
                if taken.issuperset(names):
                    continue
                taken |= set(names)
                with b.loop(0, size, self.width, "vector") as clear:
                    zeros = tuple(Imm(0, d, self.width) for d in reduce.dtypes)
                    x.save(names, clear.var, zeros, reduce.loc)
        for number, found in self.computes.items():
            (axis,) = x.kernel.stages[number].axes
            for expr, cache in found:
                self.waiting[cache] = f"wait.{len(self.waiting)}"
                size = self.width * self.vectors(axis) * self.width
                b.alloc(self.waiting[cache], k.expr_dtype(expr), size)

    def folded(self, number: int, stage: k.Stage) -> list[k.Reduce]:
        """Reductions whose lanes wait in working memory to be folded."""
        return self.reduces(stage)

    def ahead(self) -> dict[int, list[tuple[k.Load, Operand]]]:
        """What later groups need, asked for by the stage that computes most: while it does, memory
        would idle, for a group is read by one stage all at once."""
        x, stages = self.x, self.x.kernel.stages
        wide = [n for n, stage in enumerate(stages) if stage.axes]
        busy = max(wide, key=lambda n: x.cost(n, self.reads))
        (axis,) = stages[busy].axes
        found: dict[tuple[str, tuple[k.Index, ...]], tuple[k.Load, Operand]] = {}
        for e in (e for n in wide for e in k.expressions(stages[n])):
            if not isinstance(e, k.Load) or e.array not in x.arrays:
                continue
            array = x.arrays[e.array]
            if array.unit and [ix.axis for ix in e.index] == [self.outer.name, axis.name]:
                rows = max(self.width, PREFETCH_BYTES // (self.size(axis) * array.dtype.size))
                found[e.array, e.index] = e, rows * x.stride(array, 0)
        return {busy: list(found.values())}

    # -- a group of rows

    def stages(self, group: Group) -> None:
        x = self.x
        with x.scope(*x.outer, ROW) as level:
            self.read(group)
            for number, stage in enumerate(x.kernel.stages):
                x.number = number
                with self.rows(group):
                    found = x.hoist(stage, level)
                    if not stage.axes:
                        x.scalar_stage(stage, partial(self.add, group))
                        continue
                sums = self.inner(stage, group, found)
                with self.rows(group):
                    for reduce, folded in zip(self.reduces(stage), sums, strict=True):
                        with self.b.at(reduce.loc):
                            self.known(reduce, folded, group)
        x.number = -1

    def read(self, group: Group) -> None:
        """What is done before the stages of a group."""

    def inner(self, stage: k.Stage, group: Group, found: list[k.Expr]) -> list[Acc]:
        """A stage with inner axes, of which `found` is known: its reductions, with a lane for each row."""
        with self.rows(group):
            scratch = self.spill(found)
        sums = self.inner_stage(stage, group, scratch)
        with self.rows(group):
            folded = list[Acc]()
            for reduce, vectors in zip(self.reduces(stage), sums, strict=True):
                with self.b.at(reduce.loc):
                    folded.append(self.fold(reduce, vectors, self.width))
        return folded

    def known(self, reduce: k.Reduce, folded: Acc, group: Group) -> None:
        """A reduction of the rows of a group."""
        x = self.x
        start = x.start(reduce)
        if start != x.nothing(reduce.op, start):  # lanes start from what is neutral
            folded = x.merge(reduce.op, start, folded)
        if reduce.of_row:
            x.rows |= named(reduce, folded)
        else:
            self.add(group, reduce, partial(x.merged, reduce, folded))

    @contextmanager
    def rows(self, group: Group) -> Iterator[None]:
        """Vectors run along the rows of the group."""
        x = self.x
        with x.scope(known=x.levels[-1]):
            x.vector, x.mask, x.at[self.outer.name] = self.outer.name, group.live, group.base
            yield

    def add(self, group: Group, reduce: k.Reduce, join: Join) -> None:
        """A term of each row to its lane of a total."""
        self.totals.add(reduce, group.number, self.width, lambda old: self.x.wide(join(old), old, group.live))

    def names(self, reduce: k.Reduce) -> list[str]:
        """Working memory of each state."""
        return [SUMS + name for name in reduce.names]

    def spill(self, found: list[k.Expr]) -> dict[k.Expr, Value]:
        """What is known of the rows, to working memory, from where each row takes its own. The results
        tell where, by name and type."""
        spilled: dict[k.Expr, Value] = {}
        for expr in found:
            value = self.x.value(expr)
            if value.lanes > 1 and expr not in spilled:
                place = self.b.fresh(value.dtype, 1, "row")
                self.b.alloc(place.name, value.dtype, self.width)
                self.b.store(place.name, 0, value)
                spilled[expr] = place
        return spilled

    def inner_stage(self, stage: k.Stage, group: Group, scratch: dict[k.Expr, Value]) -> list[list[Acc]]:
        """A stage with inner axes, row after row, several to a turn. The lanes of each reduction, folded
        as far as the rows of a turn allow."""
        b, x = self.b, self.x
        (axis,) = stage.axes
        turn = 1 if group.live is not None else max(1, min(self.width, TURN // self.vectors(axis)))
        zero = ZERO
        parts: list[tuple[Operand, Operand, bool]] = [(zero, group.count, False)]
        if self.stream is not None and any(isinstance(s, k.Store) for s in stage.body):
            middle = b.select(b.op("ne", self.stream, zero), group.count, zero)
            parts = [(zero, middle, True), (middle, group.count, False)]
        fixed, reduces = self.columns(stage, axis), self.reduces(stage)
        own = {r.names: x.sums[r.names] for r in self.kept if r in stage.body}
        for lo, hi, streaming in parts:
            x.streaming = streaming
            with x.adding(own), x.loop(lo, hi, turn, "serial") as loop:
                x.views = {}
                numbers = [loop.var + n for n in range(turn)]
                found = [self.row(stage, axis, group, n, fixed, scratch) for n in numbers]
                for number, reduce in enumerate(reduces):
                    with b.at(reduce.loc):
                        folded = self.fold(reduce, [row[number] for row in found], turn)
                        at = loop.var * (self.width // turn)
                        x.save(self.names(reduce), at, folded, reduce.loc)
        x.streaming, x.views = False, {}
        return [
            [x.saved(self.names(r), r, n * self.width, self.width) for n in range(self.width // turn)]
            for r in reduces
        ]

    def columns(self, stage: k.Stage, axis: k.Axis) -> list[Level]:
        """What is known of the columns alone, and of the axes before, for each vector of a row."""
        x, found = self.x, list[Level]()
        for u in range(self.vectors(axis)):
            with x.scope():
                found.append(Level(frozenset({axis.name, *self.at_before})))
                x.levels = [x.levels[0], found[-1]]
                self.place(axis, u)
                x.hoist(stage, found[-1])
        return found

    def place(self, axis: k.Axis, u: int) -> None:
        """Vectors run along a row; this is vector u."""
        x = self.x
        x.vector, x.mask = axis.name, self.tail(u, self.size(axis))
        x.at[axis.name] = Imm(u * self.width, i64)

    def row(
        self,
        stage: k.Stage,
        axis: k.Axis,
        group: Group,
        row: Operand,
        fixed: list[Level],
        scratch: dict[k.Expr, Value],
    ) -> list[Acc]:
        """One stage of row number `row` of the group: the lanes of its reductions, one vector each."""
        b, x = self.b, self.x
        reduces, outside = self.reduces(stage), x.levels
        x.at[self.outer.name] = group.base + row
        x.views = self.next_row(x.views)
        known: dict[k.Expr, Operand] = {
            expr: b.load(place.name, place.dtype, row) for expr, place in scratch.items()
        }
        sums = {r.names: [x.nothing(r.op, x.start(r, self.width))] * x.count(r) for r in reduces}
        for u, level in enumerate(fixed):
            here = Level(x.outer | {ROW, axis.name})
            x.levels = [outside[0], level, Level(x.outer | {ROW}, known), here]
            self.place(axis, u)
            at = row * (len(fixed) * self.width)
            at = at + u * self.width
            self.waited(row, u, at, here)
            with x.adding(x.sums | sums):
                x.body(stage, u)
            for expr, cache in self.computes.get(x.number, ()):
                b.store(self.waiting[cache], at, b.widen(x.value(expr), self.width))
        x.levels, x.vector, x.mask = outside, None, None
        halved = list[Acc]()
        for r in reduces:
            with b.at(r.loc):
                acc = x.halve_vectors(r.op, sums[r.names])
                halved.append(x.wide(acc, acc, None))
        return halved

    def waited(self, row: Operand, u: int, at: Operand, here: Level) -> None:
        """What waits in working memory of vector u of a row."""
        for (number, expr), cache in self.reads.items():
            if number == self.x.number:
                here.values[expr] = self.b.load(self.waiting[cache], k.expr_dtype(expr), at, self.width)

    def next_row(self, before: dict[View, str]) -> dict[View, str]:
        """Windows on what the stage walks along, from those on the row before, if there is one."""
        x, found = self.x, dict[View, str]()
        for place in before or walks(x, x.number):
            name, index, ahead = place
            if all(ix.axis != self.outer.name for ix in index):
                continue
            array, here = x.arrays[name], found.get((name, index, ZERO))
            if here is not None:
                found[place] = x.b.window(array.dtype, here, ahead)
            elif before:
                dims = [dim for dim, ix in enumerate(index) if ix.axis == self.outer.name]
                away = x.stride(array, dims[0])
                for dim in dims[1:]:
                    away = away + x.stride(array, dim)
                found[place] = x.b.window(array.dtype, before[place], away)
            else:
                found[place] = x.b.window(array.dtype, name, start(x, array, index) + ahead)
        return found

    def fold(self, reduce: k.Reduce, vectors: list[Acc], rows: int) -> Acc:
        """Vectors that hold the lanes of so many rows, to one: each row's lanes are halved as
        `Lowering.halve` would, two rows to an instruction."""
        (folded,) = self.x.folded(reduce.op, vectors, self.width * len(vectors) // rows, 1)
        return folded
