"""What all modes of lowering share: values at the outermost level that knows them, vector loops with masked
tails, reductions in their normative order.

A value is computed at the outermost level that knows its axes: before the loops, once a row, or
per vector. Within a stage all loads come before all stores, so an output may overwrite an input
that is read at the same subscripts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from ..ir import kernel as k
from ..ir.data import replace
from ..ir.graph import Loc
from ..ir.layout import part_name
from ..ir.loop import ONE, ZERO, Aligned, Body, Imm, Operand, Prefetch, Store
from ..ir.types import i64
from ..ops import REGISTRY
from ..ops.folds import Acc
from ..order import lanes
from .schedule import RowCache, Schedule
from .team import Team
from .values import LINE, Level, Values

Chunk = Callable[[int], None]
Sums = dict[tuple[str, ...], list[Acc]]  # by the names of results: vectors, which loops carry
_Each = Callable[[Operand, Operand | None], None]
# A term of a total: what makes of its accumulator the next one.
Join = Callable[[Acc], Acc]
Add = Callable[[k.Reduce, Join], None]

# Operations for each element from which on a turn has one vector: the processor looks far enough ahead by
# itself, and LLVM takes as long for each that stands beside it. (Loops of exponentials: 0.86 to 1.03 times as
# long, most at lengths of whole turns.) With more than so many accumulators, 0.86 to 1.11.
DEAR = 16
MOVED = 12
UNROLLED = k.SMALL**2  # elements; a total that keeps two small axes


def named(reduce: k.Reduce, acc: Acc) -> dict[str, Operand]:
    """An accumulator by the names of its states."""
    return dict(zip(reduce.names, acc, strict=True))


def among(reduce: k.Reduce, table: Mapping[str, Operand]) -> Acc:
    """Its accumulator, of those with names."""
    return tuple(table[name] for name in reduce.names)


class Lowering(Values):
    """Loops, stores and totals of one kernel; the functions of all modes share it."""

    def __init__(self, kernel: k.Kernel, schedule: Schedule) -> None:
        super().__init__(kernel, schedule)
        self.team = Team(self.b, schedule)
        # What reductions have still to add up, under which mask, where they do so later.
        self.terms: list[tuple[k.Reduce, Acc, Operand | None]] | None = None
        self.sums: Sums = {}  # what is added up now

    @property
    def together(self) -> int:
        """Elements that one vector of each thread has together, in the width of now: sorts have another one
        for keys."""
        return self.team.size * self.schedule.width

    def keep_row(self, cache: RowCache, value: Operand) -> None:
        window = self.windows.get(cache)
        if window is None:
            self.store(cache.store, value)
        else:
            wide = self.b.widen(value, self.schedule.width)
            self.put(Store(window, self.at[self.vector or ""], wide, None, self.mask))

    # -- loops

    def hoist_all(self) -> None:
        """Compute before all loops what is known there."""
        for stage in self.kernel.stages:
            self.hoist(stage, self.levels[0])

    def share(self, number: Operand, size: Operand | int, count: Operand) -> tuple[Operand, Operand]:
        """Begin and end of share `number` of so many, each of this size but for the last."""
        lo = number * size
        return lo, self.minimum(lo + size, count)

    def pieces(self, count: Operand, size: Operand | int) -> Operand:
        """In how many of this size, but for the last, so many are split."""
        return (count + (size - 1)) // size

    def whole(self, lo: Operand, hi: Operand, step: int) -> Operand:
        """The end of what is whole steps from lo to hi."""
        return lo + ((hi - lo) & -step)

    def points(self, axes: Sequence[k.Axis]) -> Operand:
        """How many there are."""
        count: Operand = ONE
        for axis in axes:
            count = count * self.extent(axis.extent)
        return count

    def point(self, number: Operand, axes: Sequence[k.Axis]) -> dict[str, Operand]:
        """Where the axes are at the point of this number."""
        found: dict[str, Operand] = {}
        for axis in reversed(axes):
            extent = self.extent(axis.extent)
            found[axis.name] = number if axis is axes[0] else number % extent
            number = number // extent if axis is not axes[0] else number
        return found

    @contextmanager
    def scope(self, *axes: str, known: Level | None = None) -> Iterator[Level]:
        """One more level, at which these axes are fixed, too; or one that is `known`. Behind it all is as
        before: where axes are, what vectors run along, their mask, windows."""
        outside = self.levels, self.at, self.vector, self.mask, self.views
        level = known or Level(frozenset(axes).union(*(level.axes for level in self.levels)))
        self.levels, self.at = [*self.levels, level], dict(self.at)
        yield level
        self.levels, self.at, self.vector, self.mask, self.views = outside

    @contextmanager
    def adding(self, sums: Sums) -> Iterator[Sums]:
        """What is written inside adds to these, which begin as they are."""
        outside, self.sums = self.sums, sums
        yield sums
        self.sums = outside

    @contextmanager
    def loop(self, lo: Operand | int, hi: Operand | int, step: int, kind: str) -> Iterator[Body]:
        """One that carries what is added up."""

        def flat() -> tuple[Operand, ...]:
            return tuple(v for vectors in self.sums.values() for acc in vectors for v in acc)

        def become(values: tuple[Operand, ...]) -> None:
            rest = iter(values)
            for vectors in self.sums.values():
                vectors[:] = [tuple(next(rest) for _ in acc) for acc in vectors]

        with self.b.loop(lo, hi, step, kind, flat()) as body:
            become(body.carried)
            yield body
            body.yields = flat()
        become(body.results)

    def vectors(
        self, axis: str, lo: Operand, hi: Operand, chunk: Chunk, stream: Operand | None = None,
        dear: bool = False,
    ) -> None:  # fmt: skip
        """Whole vectors from lo to hi, then the rest under a mask. `chunk(u)` writes the code of one vector,
        u counting those of a turn. Where `stream` is not 0, whole vectors are stored around the cache; of
        threads, which move elements side by side at once. Where a vector is `dear`, a turn has one."""
        b, width, step = self.b, self.together, self.team.size * self.schedule.step
        alone = self.team.size == 1
        if alone and isinstance(lo, Imm) and isinstance(hi, Imm) and hi.value - lo.value <= UNROLLED:
            self.unrolled(axis, int(lo.value), int(hi.value), chunk)
            return

        def single(u: int) -> None:
            chunk(u)
            self.turn_on()

        step, code = (width, single) if dear else (step, chunk)
        main = self.whole(lo, hi, step)
        parts = [(lo, main, False, False), (main, hi, True, False)]
        if stream is not None:
            turn = b.select(b.op("ne", stream, ZERO), main, lo)
            parts[:1] = [(lo, turn, False, True), (turn, main, False, False)]
        for begin, end, masked, whole in parts:
            few = min(self.schedule.rest or step, step) if self.sums else width  # less code without lanes
            turn_step = few if masked else step
            rest = hi if masked else None
            self.turns(axis, begin, end, turn_step, code, rest, whole)
        if dear:
            self.turn_back(lo, hi)

    def dear(self, axis: str, numbers: Iterable[int]) -> bool:
        """Whether there is so much to compute for a vector of these stages that it has a turn of its own, and
        not as many as hold the lanes."""
        if self.schedule.threads or self.schedule.step <= 2 * self.schedule.width:
            return False
        stages = [(n, {*k.expressions(self.kernel.stages[n])}) for n in numbers]
        found = [e for n, own in stages for e in own if isinstance(e, k.Call) and (n, e) not in self.cached]
        cost = sum(REGISTRY[e.op].flops for e in found if axis in self.depends(e))
        moved = sum(len(names) * len(vectors) for names, vectors in self.sums.items())
        return cost >= max(DEAR, 2 * moved) and moved <= MOVED

    def turn_on(self) -> None:
        """The lanes of each reduction, those of the next vector first: so the code of one vector is that of
        all. To move a register takes a processor no time but that of reading the instruction."""
        for vectors in self.sums.values():
            vectors.append(vectors.pop(0))

    def turn_back(self, lo: Operand, hi: Operand) -> None:
        """As they stood before the vectors from lo to hi: on, until they have gone round."""
        width, most = self.schedule.width, max(map(len, self.sums.values()), default=1)
        if most > 1:
            done = self.pieces(hi - lo, width)
            with self.loop(0, done * (most - 1) & (most - 1), 1, "serial"):
                self.turn_on()

    def turns(
        self,
        axis: str,
        lo: Operand,
        hi: Operand,
        step: int,
        chunk: Chunk,
        rest: Operand | None = None,
        whole: bool = False,
    ) -> None:
        """One loop of `vectors`: `step` elements a turn. `rest`: under a mask of those before it. `whole`:
        vectors lie where they are stored around the cache, or moved at once."""
        outside = self.schedule
        self.streaming, self.at_once = whole and self.schedule.wide == 1, whole and self.schedule.wide > 1
        if self.at_once:
            self.schedule = replace(self.schedule, width=self.schedule.width * self.schedule.wide)
        width = self.together
        with self.loop(lo, hi, step, "vector") as body:
            first = self.team.mine(body.var)
            with self.stores_last():
                for u in range(step // width):
                    with self.scope(axis):
                        base = first + u * width
                        self.vector, self.at[axis] = axis, base
                        self.mask = None if rest is None else self.first_lanes(rest - base)
                        chunk(u)
        self.schedule, self.at_once = outside, False

    @contextmanager
    def stores_last(self) -> Iterator[None]:
        """What threads store in one turn comes after all that they load: they do not wait in between. (A CPU
        looks ahead.)"""
        self.waiting = [] if self.schedule.threads else None
        yield
        for stmt in self.waiting or ():
            self.b.emit(stmt)
        self.waiting = None

    def unrolled(self, axis: str, lo: int, hi: int, chunk: Chunk) -> None:
        """As `vectors`, for a known number of elements: no loop, and a mask only where one is due."""
        width = self.schedule.width
        for u, base in enumerate(range(lo, hi, width)):
            with self.scope(axis):
                self.vector, self.at[axis] = axis, Imm(base, i64)
                self.mask = self.first_lanes(hi - base) if base + width > hi else None
                chunk(u)

    def accumulators(self, reduces: Sequence[k.Reduce]) -> Sums:
        """Of each reduction, as it starts."""
        return {r.names: [self.start(r, self.schedule.width)] * self.count(r) for r in reduces}

    def total(self, axis: str, hi: Operand, start: Operand, code: Callable[[Operand], Operand]) -> Operand:
        """What `code` makes of `start` with one vector after the other, up to hi."""

        def chunk(u: int) -> None:
            ((so_far,),) = self.sums[axis,]
            self.sums[axis,][0] = (code(so_far),)

        with self.adding({(axis,): [(start,)]}) as sums:
            self.vectors(axis, ZERO, hi, chunk)
        return sums[axis,][0][0]

    def count(self, reduce: k.Reduce) -> int:
        """Vectors that hold the lanes of one accumulator, for each of its states."""
        return max(1, lanes(*reduce.dtypes) // self.together)

    def halve(self, op: str, vectors: list[Acc]) -> Acc:
        """Those of all threads."""
        return self.halved(op, self.team.exchanged(vectors))

    def wide(self, acc: Acc, old: Acc, mask: Operand | None) -> Acc:
        """An accumulator as vectors; the old one where the mask does not hold."""
        vectors = tuple(self.b.widen(v, self.schedule.width) for v in acc)
        if mask is None:
            return vectors
        return tuple(self.b.select(mask, v, o) for v, o in zip(vectors, old, strict=True))

    def body(self, stage: k.Stage, u: int) -> None:
        """One vector of one stage: values first, then stores."""
        b = self.b
        self.prefetch(u)
        stores: list[tuple[k.Store | k.Reduce, Acc, Loc | None]] = []
        for stmt in stage.body:
            b.loc = stmt.loc
            if isinstance(stmt, k.Let):  # in order: a chain of lets is no recursion, and has its own lines
                self.value(stmt.expr)
                continue
            if isinstance(stmt, k.Store):
                stores.append((stmt, (self.value(stmt.expr),), stmt.loc))
                continue
            if not isinstance(stmt, k.Reduce):
                raise TypeError(f"{stmt!r} has a mode of its own")
            args = self.args(stmt)
            if self.terms is not None:
                self.terms.append((stmt, args, self.mask))
                continue
            if stmt.keep and stmt.names not in self.sums:
                stores.append((stmt, self.step(stmt, self.kept_vector(stmt), args), stmt.loc))
                continue
            group = self.sums[stmt.names]
            turn = u % len(group)
            mask = None if stmt.keep else self.mask  # nobody looks at elements that there are not
            group[turn] = self.wide(self.step(stmt, group[turn], args), group[turn], mask)
        waiting = self.keep_rows()
        for target, values, loc in stores:
            b.loc = loc
            self.store(target, *values)
        b.loc = None
        for cache, value in waiting:
            self.keep_row(cache, value)

    def kept_vector(self, reduce: k.Reduce) -> Acc:
        """The running total of a block for the elements of the current vector."""
        return tuple(self.load_part(name, dtype, reduce.keep) for name, dtype in reduce.results)

    def prefetch(self, u: int) -> None:
        """What this stage asks for, beside vector `u` of a turn: each line of the cache once."""
        if self.mask is not None:
            return
        for load, away in self.prefetches.get(self.number, ()):
            array = self.arrays[load.array]
            if u * self.schedule.width * array.dtype.size % LINE == 0:
                name, index, _, _ = self.element(array, load.index, away)
                self.b.emit(Prefetch(name, index, far=True))

    def store(self, target: k.Store | k.Reduce, *values: Operand) -> None:
        b = self.b
        if isinstance(target, k.Reduce):
            for name, value in zip(target.names, values, strict=True):
                index, stride, varies = self.part_index(name, target.keep)
                value = b.widen(value, self.schedule.width) if varies else value
                self.put(Store(part_name(name), index, value, stride, self.mask, False, b.loc))
            return
        (value,) = values
        array = self.arrays[target.array]
        name, index, stride, varies = self.element(array, target.index)
        if varies:
            value = b.widen(value, self.schedule.width)
        mask = self.mask if varies else None
        whole = varies and stride is None and mask is None
        stream, aligned = self.streaming and whole, self.at_once and whole
        self.put(Store(name, index, value, stride, mask, stream, b.loc, aligned))

    def put(self, stmt: Store) -> None:
        stmt = self.team.once(stmt)
        if self.waiting is None:
            self.b.emit(stmt)
        else:
            self.waiting.append(stmt)

    # -- stores around the cache

    def aligned(self, names: list[str]) -> Operand | None:
        """Whether this call's stores go around the cache: if the plan says so, and all these outputs begin
        where streaming stores can. None if none ever does."""
        if self.schedule.threads or not names:
            return None
        return self.all_begin(self.slot("stream"), names, LINE)

    def streams_rows(self) -> Operand | None:
        """The same for stages of rows: every row must begin where streaming stores can. None if no stage
        stores whole vectors, or rows are known to begin elsewhere."""
        wide = [s for stage in self.kernel.stages if stage.axes for s in stage.body if isinstance(s, k.Store)]
        stores = [s for s in wide if self.arrays[s.array].unit]
        flag = self.aligned([s.array for s in stores])
        if flag is None or any(ix.shift for s in stores for ix in s.index):
            return None
        ends = [(self.arrays[s.array].dims[-1], self.arrays[s.array].dtype.size) for s in stores]
        if any(isinstance(extent, int) and extent * size % LINE for extent, size in ends):
            return None
        return self.rows_begin(flag, [s.array for s in stores], LINE)

    def all_begin(self, flag: Operand, names: Sequence[str], size: int) -> Operand:
        """`flag` where these arrays begin at multiples of `size` bytes, else 0."""
        for name in names:
            result = self.b.fresh(i64)
            self.b.emit(Aligned(result, name, size))
            flag = flag & result
        return flag

    def rows_begin(self, flag: Operand, names: Sequence[str], size: int) -> Operand:
        """The same for their rows, where they do."""
        b = self.b
        for array in (self.arrays[name] for name in names):
            for dim in range(len(array.dims) - 1):
                away = self.stride(array, dim) * array.dtype.size
                wrong = b.op("ne", away & (size - 1), ZERO)
                flag = b.select(wrong, 0, flag)
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
        return self.points(self.kept_axes(reduce))

    def each(self, count: Operand, code: _Each) -> None:
        """A masked vector loop over 0..count that calls code(index, mask)."""
        width = self.schedule.width

        step = self.schedule
        self.schedule = replace(step, step=width)
        self.vectors("each", ZERO, count, lambda u: code(self.at["each"], self.mask))
        self.schedule = step

    def clear(self, reduce: k.Reduce, block: Body) -> None:
        size = self.kept_size(reduce)
        base = block.var * size
        self.parts |= dict.fromkeys(reduce.names, (self.kept_axes(reduce), base))

        def code(index: Operand, mask: Operand | None) -> None:
            at = base + index
            self.store_parts(reduce, at, self.start(reduce, self.schedule.width), mask)

        self.each(size, code)

    def store_parts(self, reduce: k.Reduce, at: Operand, acc: Acc, mask: Operand | None = None) -> None:
        """What a block has of a reduction."""
        for name, value in zip(reduce.names, acc, strict=True):
            part = Store(part_name(name), at, value, None, mask, False, reduce.loc)
            self.b.emit(self.team.once(part))

    def load_parts(self, reduce: k.Reduce, at: Operand, lanes: int, mask: Operand | None = None) -> Acc:
        parts = [(part_name(name), dtype) for name, dtype in reduce.results]
        with self.b.at(reduce.loc):
            return tuple([self.b.load(name, dtype, at, lanes, None, mask) for name, dtype in parts])

    def save(self, names: Iterable[str], at: Operand | int, acc: Acc, loc: Loc | None) -> None:
        """An accumulator, each state into its own working memory."""
        for name, value in zip(names, acc, strict=True):
            self.b.store(name, at, value, loc=loc)

    def saved(self, names: Iterable[str], reduce: k.Reduce, at: Operand | int, lanes: int = 1) -> Acc:
        with self.b.at(reduce.loc):
            every = zip(names, reduce.dtypes, strict=True)
            return tuple([self.b.load(name, dtype, at, lanes) for name, dtype in every])

    # -- stages of a row

    def stepped(self, reduce: k.Reduce, args: Acc, acc: Acc) -> Acc:
        return self.step(reduce, acc, args)

    def merged(self, reduce: k.Reduce, other: Acc, acc: Acc) -> Acc:
        return self.merge(reduce.op, acc, other)

    def scalar_stage(self, stage: k.Stage, add: Add | None = None) -> None:
        """One without inner axes, of a row or of a vector of rows; `add` takes terms of totals."""
        b = self.b
        stores: list[tuple[k.Store, Operand]] = []
        for stmt in stage.body:
            b.loc = stmt.loc
            if isinstance(stmt, k.Store):
                stores.append((stmt, self.value(stmt.expr)))
            elif isinstance(stmt, k.Reduce):
                args = self.args(stmt)
                if stmt.of_row:  # no inner axes: a sum of one term
                    self.rows |= named(stmt, self.step(stmt, self.start(stmt), args))
                else:
                    assert add is not None
                    add(stmt, partial(self.stepped, stmt, args))
        for target, value in stores:
            b.loc = target.loc
            self.store(target, value)
        b.loc = None


class Mode(ABC):
    """One way to lower a kernel."""

    def __init__(self, base: Lowering) -> None:
        self.x, self.b, self.kernel = base, base.b, base.kernel

    @abstractmethod
    def run(self) -> None: ...
