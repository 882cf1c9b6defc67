"""Matrix products: tiles of sums in registers, over panels of the columns' operand.

    for block of rows x columns (parallel):
      for part of the depth:
        panels of right[part, columns]: for each step of the depth the columns of the block
        for tile of columns, for tile of rows:
          chains[rows, columns, l mod C] += left[rows, l] * right[l, columns]   for l in part
          sums[rows, columns] += chains, halved
      epilogue, row after row, by vectors along the columns

Short epilogues follow the sums of a tile while these are in registers: so results are stored while the next
tile is computed.

A vector of sums has one chain for each of its columns, and each chain a vector of its own: so they are halved
without a shuffle, and an element of the rows' operand is one for all lanes, wherever it lies. That is read
where it is if its rows run along memory with the depth; else it is packed, too, row after row. What is packed
is read as it lies, by vectors along the points or along the depth, and transposed in registers where panels
lie otherwise. What they hold beyond rows and columns does not matter: nobody reads those sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import BEGIN, END, ONE, ZERO, Alloc, Imm, Operand
from ..ir.types import i64
from ..ops.folds import Acc
from ..order import chains, depth_part
from .lower import Lowering, Mode
from .schedule import PRODUCT_COLUMN_BYTES, PRODUCT_ROWS, chains_at_once, flops
from .schedule import product as find_product
from .values import LINE, ROW, View
from .views import windows

# Operations of an epilogue that is written for each vector of a tile.
SHORT_EPILOGUE = 8
# Parts of the depth whose rows stay packed for all blocks of a batch that has the same.
KEPT_PARTS = 4

_Span = tuple[Operand, Operand]  # begin and end
_Step = tuple[dict[str, Operand], dict[View, str]]  # the axes of the depth, and windows along the points


@data
class _Side:
    """An operand of the product: the working memory that it is packed into, the axes that it has beside
    the depth, and how many points these have; of which `size` make a tile. `walk`: whether vectors run along
    "points", or "steps" or "lines" of the depth."""

    panels: str
    expr: k.Expr
    axes: tuple[str, ...]
    count: Operand
    size: int
    walk: str


class ProductLowering(Mode):
    """Lowers one kernel that `schedule.product` recognised."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        product = find_product(base.kernel)
        assert product is not None
        self.p = product
        self.dtype = product.reduce.dtypes[0]
        self.width = base.schedule.width
        self.chains, self.part = chains(self.dtype), depth_part(self.dtype)
        self.extents = {a.name: a.extent for a in base.kernel.outer}
        self.extents |= {a.name: a.extent for a in base.kernel.stages[0].axes}
        self.depth = self.count(product.depth)
        self.most = PRODUCT_COLUMN_BYTES // self.dtype.size
        # Sums of a row of a block, and then some: else tiles below each other share few sets of a cache.
        self.line = self.most + LINE // self.dtype.size
        left, right = product.reduce.args[product.left], product.reduce.args[1 - product.left]
        rows, vectors = base.schedule.tile
        walks = self.walk_of(left, product.rows), self.walk_of(right, (product.column,))
        if walks[1] == "lines":  # of several axes; columns have one
            walks = walks[0], "points"
        self.left = _Side("left", left, product.rows, self.count(product.rows), rows, walks[0])
        columns = vectors * self.width
        tiled = base.schedule.mode == "product" and not base.schedule.threads
        self.lines = product.lines if tiled else ()
        self.batch = tuple(x for x in product.batch if x not in self.lines)
        across = (*self.lines, product.column)
        self.right = _Side("right", right, across, self.count(across), columns, walks[1])

    def lasts(self, expr: k.Expr) -> set[str]:
        """The axes that loads run along in memory."""
        loads = [e for e in k.walk(expr) if isinstance(e, k.Load) and e.index]
        return {e.index[-1].axis for e in loads if self.x.arrays[e.array].unit}

    def walk_of(self, expr: k.Expr, axes: tuple[str, ...]) -> str:
        lasts = self.lasts(expr)
        along = self.p.depth[-1] in lasts and axes[0] not in lasts
        if len(axes) == 1 and not along:
            return "points"
        return "steps" if len(self.p.depth) == 1 else "lines"

    @property
    def direct(self) -> k.Load | None:
        """The rows' operand, if it is read where it lies, given that steps of the depth are side by side."""
        load, left, depth = self.left.expr, self.left, self.p.depth
        if not isinstance(load, k.Load) or load.guards or load.dtype != self.dtype:
            return None
        axes = tuple(ix.axis for ix in load.index)
        plain = axes[-len(depth) :] == depth and not any(ix.shift for ix in load.index)
        plain = plain and all(axes.count(axis) == 1 for axis in depth)
        return load if plain and left.walk != "points" and len(left.axes) == 1 else None

    def lies(self, load: k.Load) -> Operand:
        """1 if the lines of the depth are side by side, too; else 0."""
        b, x, array = self.b, self.x, self.x.arrays[load.array]
        found: Operand = ONE
        steps = self.count(self.p.depth[-1:])
        for axis, dim in zip(self.p.depth[-2::-1], range(len(load.index) - 2, -1, -1), strict=False):
            found = b.select(b.op("eq", x.stride(array, dim), steps), found, 0)
            steps = steps * self.count((axis,))
        return found

    @property
    def short(self) -> bool:
        """Whether what follows the sums is short."""
        every = (e for stage in self.x.kernel.stages[1:] for e in k.expressions(stage))
        return flops(every) <= SHORT_EPILOGUE

    def count(self, axes: tuple[str, ...]) -> Operand:
        return self.x.points([k.Axis(axis, self.extents[axis]) for axis in axes])

    def place(self, axes: tuple[str, ...], number: Operand) -> dict[str, Operand]:
        """The axes at a flattened number."""
        found: dict[str, Operand] = {}
        for axis in reversed(axes[1:]):
            extent = self.x.extent(self.extents[axis])
            if axis in self.p.depth:  # which may be empty
                extent = self.b.select(extent < 1, 1, extent)
            found[axis] = number % extent
            number = number // extent
        return found | dict.fromkeys(axes[:1], number)

    def added(self, total: Operand, own: Operand, other: Operand) -> Operand:
        """A step of the depth more: of the rows' operand and of the columns'."""
        pair = (own, other) if self.p.left == 0 else (other, own)
        (new,) = self.x.step(self.p.reduce, (total,), tuple(self.b.widen(v, total.lanes) for v in pair))
        return new

    def put(self, array: str, at: Operand, value: Operand) -> None:
        """Into working memory of the product."""
        self.b.store(array, at, value, loc=self.p.reduce.loc)

    def run(self) -> None:
        b, x = self.b, self.x
        x.hoist_all()
        b.loc = self.p.reduce.loc
        left, right, direct = self.left, self.right, self.direct
        room = PRODUCT_ROWS * self.part
        parts = KEPT_PARTS if self.lines and len(self.p.depth) + (direct is None) > 1 else 1
        self.lying = ZERO if direct is None else self.lies(direct)
        if self.lying != ONE:  # the end of a line may be behind the last row
            b.emit(Alloc(left.panels, self.dtype, room * parts + self.width))
        b.emit(Alloc(right.panels, self.dtype, self.line * self.part))
        b.emit(Alloc("sums", self.dtype, PRODUCT_ROWS * self.line))
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            down = x.slot("block")
            across = x.slot("blocks") // down // self.count(self.batch)
            column, number = block.var % across, block.var // across
            line = number % down
            x.at.update(self.place(self.batch, number // down))
            rows = self.share(left, line, down)
            columns = self.share(right, column, across)
            fits = self.depth <= parts * self.part
            packs = self.packs(block.var, column, fits) if parts > 1 else ONE
            if not isinstance(self.lying, Imm):
                packs = b.select(b.op("eq", self.lying, ZERO), packs, 0)
            once = self.depth < 1  # a sum of nothing is 0
            end = b.select(once, 1, self.depth)
            with b.loop(0, end, self.part, "serial") as part:
                count = x.minimum(self.depth - part.var, self.part)
                self.away: Operand = ZERO
                if parts > 1:
                    away = part.var // self.part * room
                    self.away = b.select(fits, away, 0)
                if self.lying != ONE:
                    with b.loop(0, packs, 1, "once"):
                        self.pack(left, rows, part.var, count, self.away)
                self.pack(right, columns, part.var, count, ZERO)
                last = (part.var + self.part) >= end
                self.tiles(rows, columns, part.var, count, last)
            if not self.short:
                self.epilogue(rows, columns, ZERO)

    def packs(self, block: Operand, column: Operand, fits: Operand) -> Operand:
        """How often the rows of a block are packed: never if those of the block before, which has other
        columns of them, are still there."""
        b, once = self.b, ONE
        again = b.select(b.op("eq", column, ZERO), once, 0)
        again = b.select(b.op("eq", block, BEGIN), once, again)
        return b.select(fits, again, once)

    def share(self, side: _Side, part: Operand, parts: Operand) -> _Span:
        """One of `parts` shares of the points, in whole tiles but for the last."""
        tiles = self.x.pieces(side.count, side.size)
        begin, end = (tiles * n // parts * side.size for n in (part, part + 1))
        return begin, self.x.minimum(end, side.count)

    # -- packing

    def value(self, expr: k.Expr) -> Operand:
        """An operand at the current point, in the accumulator's dtype: one element, or a vector; 0 under a
        mask."""
        x = self.x
        with x.scope(*self.extents, ROW):
            value = x.cast(x.value(expr), self.dtype)
        while isinstance(expr, k.Call) and expr.op == "cast":
            (expr,) = expr.args
        zero = value.lanes > 1 and isinstance(expr, k.Load)  # as a load is
        value = value if x.vector is None else self.b.widen(value, x.schedule.width)
        if zero or x.mask is None:
            return value
        return self.b.select(x.mask, value, Imm(0, self.dtype, value.lanes))

    def pack(self, side: _Side, span: _Span, start: Operand, count: Operand, away: Operand) -> None:
        """The panels of a block, for `count` steps of the depth."""
        ways = {"points": self.pack_points, "steps": self.pack_steps, "lines": self.pack_lines}
        with self.x.scope():
            ways[side.walk](side, span, start, count, away)

    def spans(self, lo: Operand, hi: Operand, masked: bool = False) -> list[tuple[Operand, Operand, bool]]:
        """Whole vectors, then what is left, under a mask; or all of it, where long code is written once."""
        if masked:
            return [(lo, hi, True)]
        whole = self.x.whole(lo, hi, self.width)
        return [(lo, whole, False), (whole, hi, True)]

    def home(self, side: _Side, point: Operand, away: Operand) -> Operand:
        """Where in panels the first step of a point of the block is: rows lie one after the other, columns
        side by side."""
        if side is self.right:
            return point
        return away + point * self.part

    @contextmanager
    def by_lines(self, side: _Side, lo: Operand, hi: Operand) -> Iterator[tuple[Operand, Operand, Operand]]:
        """The points from lo to hi, line after line: where the last axis begins and ends, and what a point is
        beyond that."""
        b, x, (*lines, last) = self.b, self.x, side.axes
        if not lines:
            yield lo, hi, ZERO
            return
        length = x.extent(self.extents[last])
        first = lo // length
        end = (hi - 1) // length + 1
        inits = self.place(tuple(lines), first)
        with b.loop(first, end, 1, "serial", tuple(inits[axis] for axis in lines)) as line, x.scope():
            x.at.update(zip(lines, line.carried, strict=True))
            away: Operand = line.var * length
            ahead = lo - away
            begin = b.select(ahead < 0, 0, ahead)
            yield begin, x.minimum(hi - away, length), away
            line.yields = self.further(tuple(lines), line.carried, ONE)

    def pack_points(self, side: _Side, span: _Span, start: Operand, count: Operand, away: Operand) -> None:
        """Vectors along the points, of a few steps of the depth or, transposed, of as many as a vector has
        lanes. Of lines shorter than a vector, what is behind their ends is written before the next ones."""
        b, x, width = self.b, self.x, self.width
        *lines, point = side.axes
        turned = side is self.left
        together = width if turned else self.chains
        ahead, apart = (1, self.part) if turned else (self.line, self.line)
        x.vector = point
        places = self.place(self.p.depth, start)
        with b.loop(0, count, together, "serial", tuple(places[axis] for axis in self.p.depth)) as turn:
            steps, at = list[_Step](), tuple[Operand, ...](turn.carried)
            x.at.update(dict.fromkeys(lines, ZERO))
            for n in range(together):
                x.at.update(zip(self.p.depth, at, strict=True))
                steps.append((dict(zip(self.p.depth, at, strict=True)), windows(x, side.expr, point)))
                there = (turn.var + (n + 1)) < count  # else the last step stands for others
                at = self.further(self.p.depth, at, b.select(there, 1, 0))
            turn.yields = at
            base = turn.var * ahead
            with self.by_lines(side, *span) as (lo, hi, before):
                steps = self.moved(steps, tuple(lines))
                inside = before - span[0]
                for begin, end, masked in self.spans(lo, hi, turned):
                    with b.loop(begin, end, width, "vector") as vector:
                        x.at[point] = vector.var
                        x.mask = x.first_lanes(end - vector.var) if masked else None
                        found = list[Operand]()
                        for step, x.views in steps:
                            x.at.update(step)
                            found.append(self.value(side.expr))
                        spot = base + self.home(side, inside + vector.var, away)
                        for n, one in enumerate(x.transposed(found) if turned else found):
                            self.put(side.panels, spot + n * apart, one)

    def moved(self, steps: list[_Step], lines: tuple[str, ...]) -> list[_Step]:
        """With windows on the line at hand."""
        x = self.x
        away: dict[View, Operand] = {view: ZERO for view in steps[0][1] if lines}
        for name, index, _ in away:
            for dim, ix in enumerate(index):
                if ix.axis in lines:
                    part = x.at[ix.axis] * x.stride(x.arrays[name], dim)
                    away[name, index, ZERO] = away[name, index, ZERO] + part
        return [
            (at, views | {v: x.b.window(x.arrays[v[0]].dtype, views[v], far) for v, far in away.items()})
            for at, views in steps
        ]

    def further(self, axes: tuple[str, ...], at: tuple[Operand, ...], carry: Operand) -> tuple[Operand, ...]:
        """The axes one step on (or none)."""
        b, found = self.b, list[Operand]()
        for axis, here in zip(reversed(axes[1:]), reversed(at[1:]), strict=True):
            there = here + carry
            over = b.op("eq", there, self.x.extent(self.extents[axis]))
            found.append(b.select(over, 0, there))
            carry = b.select(over, 1, 0)
        return (at[0] + carry, *reversed(found))

    def pack_steps(self, side: _Side, span: _Span, start: Operand, count: Operand, away: Operand) -> None:
        """Vectors along the depth, of one point or, transposed, of as many as a vector has lanes."""
        b, x, width = self.b, self.x, self.width
        (depth,) = self.p.depth
        x.vector = depth
        last = span[1] - 1
        turned = side is self.right
        together, ahead = (width, self.line) if turned else (1, 1)
        with b.loop(*span, together, "serial") as point:
            home = self.home(side, point.var - span[0], away)
            numbers = [x.minimum(point.var + n, last) if n else point.var for n in range(together)]
            places = [self.place(side.axes, number) for number in numbers]
            views = []
            for place in places:
                x.at.update(place)
                views.append(windows(x, side.expr, depth))
            for lo, hi, masked in self.spans(ZERO, count, turned):
                with b.loop(lo, hi, width, "vector") as line:
                    x.at[depth] = start + line.var
                    x.mask = x.first_lanes(count - line.var) if masked else None
                    vectors = list[Operand]()
                    for place, x.views in zip(places, views, strict=True):
                        x.at.update(place)
                        vectors.append(self.value(side.expr))
                    at = home + line.var * ahead
                    for n, vector in enumerate(x.transposed(vectors) if turned else vectors):
                        self.put(side.panels, at + n * ahead, vector)

    def pack_lines(self, side: _Side, span: _Span, start: Operand, count: Operand, away: Operand) -> None:
        """Vectors along the last axis of the depth, line after line of it, one point after the other. What is
        behind the end of a line is written before the next one."""
        b, x = self.b, self.x
        *before, last = self.p.depth
        length = x.extent(self.extents[last])
        first = start // length
        end = (start + count - 1) // length + 1
        with b.loop(*span, 1, "serial") as point:
            home = self.home(side, point.var - span[0], away)
            x.at.update(self.place(side.axes, point.var))
            with b.loop(first, end, 1, "serial") as line:
                x.at.update(self.place(tuple(before), line.var))
                ahead = line.var * length - start  # of the line's first step
                lo = 0 - x.minimum(ahead, ZERO)
                hi = x.minimum(count - ahead, length)
                at = home + ahead
                for begin, stop, masked in self.spans(lo, hi):
                    with b.loop(begin, stop, self.width, "vector") as turn:
                        x.at[last], x.vector = turn.var, last
                        x.mask = x.first_lanes(stop - turn.var) if masked else None
                        self.put(side.panels, at + turn.var, self.value(side.expr))

    # -- sums

    def tiles(self, rows: _Span, columns: _Span, start: Operand, count: Operand, last: Operand) -> None:
        """All sums of a block, `count` steps of the depth further. What is left of the columns is a tile, if
        it has as many vectors, or takes one after the other; what is left of the rows takes one row."""
        b, x, left, right, width = self.b, self.x, self.left, self.right, self.width
        # sums begin in the first part
        known = b.select(start > 0, 1, 0)
        done = b.select(last, 1, 0) if self.short else ZERO
        rest = (columns[1] - columns[0]) % right.size
        most = Imm(right.size - width, i64)
        border = b.select(most < rest, columns[1], columns[1] - rest)
        for first, end, step in ((columns[0], border, right.size), (border, columns[1], width)):
            together = left.size * right.size // step  # as many sums of one vector as of several
            few = (rows[1] - rows[0]) % together
            whole = rows[1] - few
            with b.loop(first, end, step, "serial") as column:
                sums = column.var - columns[0]
                beyond = end - (column.var + (step - width))
                stop = x.minimum(column.var + step, end)
                place, inside, whole_line = self.in_line(column.var, stop)
                stored = done & whole_line
                here: tuple[Operand, ...] = (sums,)
                for begin, till, size in ((rows[0], whole, together), (whole, rows[1], 1)):
                    with b.loop(begin, till, size, "serial", here) as row, x.scope():
                        lines = [self.line_of(row.var + m, rows[0], start) for m in range(size)]
                        found = self.tile(lines, step // width, sums, count, row.carried[0], known)
                        with b.loop(0, 1 - stored, 1, "once"):
                            for at, total in found:
                                self.put("sums", at, total)
                        if self.short:
                            with b.loop(0, stored, 1, "once"):
                                x.at.update(place)
                                totals = [total for _, total in found]
                                self.finish_tile(row.var, inside, beyond, totals, size)
                        row.yields = (row.carried[0] + size * self.line,)
                    here = row.results
                if self.short and self.lines:
                    with b.loop(0, done - stored, 1, "once"):
                        self.epilogue(rows, (column.var, stop), sums)

    def in_line(self, column: Operand, end: Operand) -> tuple[dict[str, Operand], Operand, Operand]:
        """Where the other axes of the columns are, and the last one; and whether all up to `end` are in one
        line."""
        b, (*lines, last) = self.b, self.right.axes
        if not lines:
            return {}, column, ONE
        length = self.x.extent(self.extents[last])
        line = column // length
        away = line * length
        fits = end - away <= length
        return self.place(tuple(lines), line), column - away, b.select(fits, 1, 0)

    def line_of(self, row: Operand, first: Operand, start: Operand) -> str:
        """A window on a row of the rows' operand, from step `start` of the depth on."""
        b, x, load = self.b, self.x, self.direct
        packed = self.home(self.left, row - first, self.away) if self.lying != ONE else ZERO
        if load is None:
            return b.window(self.dtype, self.left.panels, packed)
        with x.scope():
            x.at.update({self.p.rows[0]: row, **dict.fromkeys(self.p.depth, ZERO)})
            at, _, _ = x.address(x.arrays[load.array], load.index)
        at = at + start
        if self.lying == ONE:
            return b.window(self.dtype, load.array, at)
        return b.window(self.dtype, load.array, at, self.lying, self.left.panels, packed)

    def tile(
        self, lines: list[str], vectors: int, panel: Operand, count: Operand, spot: Operand, known: Operand
    ) -> list[tuple[Operand, Operand]]:
        """The sums of one register tile, and where in memory these are; added to those there if they are
        `known`. As many chains are computed at once as there are registers for."""
        b, x, c = self.b, self.x, self.chains
        passes = c // chains_at_once(self.dtype, self.width, x.schedule.tile)
        parts = [self.walked(lines, vectors, panel, count, range(n, c, passes)) for n in range(passes)]
        zero = Imm(0, self.dtype, self.width)  # and not -0: a product of many rows is as one of one
        sums = tuple([zero + self.halved(of)[0] for of in zip(*parts, strict=True)])
        places = [spot + (n // vectors * self.line + n % vectors * self.width) for n in range(len(sums))]
        with b.loop(0, known, 1, "once", sums) as more:  # memory that nobody has written is not touched
            before = [b.load("sums", self.dtype, at, self.width) for at in places]
            pairs = zip(before, more.carried, strict=True)
            more.yields = tuple([x.merge("sum", (old,), (new,))[0] for old, new in pairs])
        return list(zip(places, more.results, strict=True))

    def halved(self, chains: Iterable[Operand]) -> Acc:
        return self.x.halve_vectors("sum", [(v,) for v in chains])

    def walked(
        self, lines: list[str], vectors: int, panel: Operand, count: Operand, own: range
    ) -> list[Operand]:
        """Some chains of all sums of a tile, halved: those of each turn of C steps, then what is left."""
        b, c = self.b, self.chains
        whole, each = count & -c, len(lines) * vectors
        zeros = (Imm(0, self.dtype, self.width),) * each
        with b.loop(0, whole, c, "serial", (panel, *zeros * len(own))) as turn:
            here, *held = turn.carried
            found = list[Operand]()
            for n, chain in enumerate(own):
                at, there = here + chain * self.line, turn.var + chain
                found += self.stepped(lines, vectors, tuple(held[n * each : (n + 1) * each]), there, at)
            turn.yields = (here + c * self.line, *found)
        here, *held = turn.results
        ended = list[tuple[Operand, ...]]()
        for n, chain in enumerate(own):
            sums = tuple(held[n * each : (n + 1) * each])
            if chain < c - 1:
                some = (whole + chain) < count
                with b.loop(0, b.select(some, 1, 0), 1, "once", sums) as rest:
                    at, there = here + chain * self.line, whole + chain
                    rest.yields = tuple(self.stepped(lines, vectors, rest.carried, there, at))
                sums = rest.results
            ended.append(sums)
        return [self.halved(of)[0] for of in zip(*ended, strict=True)]

    def stepped(
        self, lines: list[str], vectors: int, sums: tuple[Operand, ...], there: Operand, at: Operand
    ) -> list[Operand]:
        """One step of the depth to a chain of each sum."""
        b, width, found = self.b, self.width, list[Operand]()
        others = [b.load("right", self.dtype, at + v * width, width) for v in range(vectors)]
        for line in lines:
            value = b.widen(b.load(line, self.dtype, there, 1), width)
            for other in others:
                found.append(self.added(sums[len(found)], value, other))
        return found

    # -- what follows the sums

    def finish_tile(
        self, row: Operand, column: Operand, rest: Operand, sums: list[Operand], rows: int
    ) -> None:
        """Of a tile, while they are in registers; of the last vector `rest` columns, if it has more."""
        b, vectors = self.b, len(sums) // rows
        whole = b.select(rest >= self.width, 1, 0)
        for m in range(rows):
            with self.at_row(row + m, self.lines):
                *others, last = sums[m * vectors : (m + 1) * vectors]
                for v, total in enumerate(others):
                    self.results(column + v * self.width, None, total)
                for masked in (False, True):
                    with b.loop(0, 1 - whole if masked else whole, 1, "once"):
                        mask = self.x.first_lanes(rest) if masked else None
                        self.results(column + (vectors - 1) * self.width, mask, last)

    def epilogue(self, rows: _Span, columns: _Span, sums: Operand) -> None:
        """Of a block, or of some of its columns, whose sums begin there. Whole vectors are stored without a
        mask, which costs some processors as much as a dozen stores."""
        b, x = self.b, self.x
        with b.loop(*rows, 1, "serial", (sums,)) as row, self.at_row(row.var, ()):
            with self.by_lines(self.right, *columns) as (lo, hi, before):
                home = row.carried[0] + before - columns[0]
                with self.known(self.lines):
                    for begin, end, masked in self.spans(lo, hi):
                        with b.loop(begin, end, self.width, "vector") as tile:
                            mask = x.first_lanes(end - tile.var) if masked else None
                            total = b.load("sums", self.dtype, home + tile.var, self.width)
                            self.results(tile.var, mask, total)
            row.yields = (row.carried[0] + self.line,)

    @contextmanager
    def known(self, axes: tuple[str, ...]) -> Iterator[None]:
        """A level at which these are, too."""
        x = self.x
        with x.scope(*axes) as level:
            with self.b.at(None):
                for stage in x.kernel.stages[1:]:
                    x.hoist(stage, level)
            yield

    @contextmanager
    def at_row(self, row: Operand, lines: tuple[str, ...]) -> Iterator[None]:
        with self.x.scope():
            self.x.at.update(self.place(self.p.rows, row))
            with self.known((*self.batch, *self.p.rows, *lines)):
                yield

    def results(self, column: Operand, mask: Operand | None, total: Operand) -> None:
        """One vector of them."""
        x = self.x
        with x.scope(*self.extents, ROW), self.b.at(None):
            x.at[self.p.column], x.vector, x.mask = column, self.p.column, mask
            x.rows[self.p.reduce.names[0]] = total
            for stage in x.kernel.stages[1:]:
                x.body(stage, 0)
