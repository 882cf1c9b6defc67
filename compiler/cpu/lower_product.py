"""Matrix products: tiles of sums in registers, over packed panels of both operands.

    for block of rows x columns (parallel):
      for part of the depth:
        panels of left[rows, part] and right[part, columns]: for each C steps of the depth the rows,
                                                             or columns, of one tile, each with its C steps
        for tile of columns, for tile of rows:
          chains[rows, columns, l mod C] += left[rows, l] * right[l, columns]   for l in part
          sums[rows, columns] += chains, halved
      epilogue, row after row, by vectors along the columns

A vector of chains has C lanes for each of a few columns. An operand that runs along memory with the depth is
packed by vectors as it lies, one that runs along the points is transposed in registers. Panels end with
zeros, up to whole chains. What they hold beyond rows and columns does not matter: nobody reads those sums.
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import BEGIN, END, Alloc, Imm, Operand, Prefetch, Store
from ..ir.types import i32, i64
from ..order import chains, depth_part
from .lower import Lowering
from .schedule import PRODUCT_COLUMN_BYTES, PRODUCT_ROWS
from .schedule import product as find_product
from .values import HERE, LINE, ROW, View
from .views import windows

# Rows that are left over are done in tiles of so many times fewer.
FEW = 3
# Parts of the depth whose rows stay packed for all blocks of a batch that has the same.
KEPT_PARTS = 4

_Span = tuple[Operand, Operand]  # begin and end
# The axes of the depth; whether the step is there, None if so; windows on what is walked along the points.
_Step = tuple[dict[str, Operand], Operand | None, dict[View, str]]


@data
class _Side:
    """An operand of the product: the working memory that it is packed into, the axes that it has beside
    the depth, and how many points these have; of which `size` make a tile; and the most tiles of a block."""

    panels: str
    expr: k.Expr
    axes: tuple[str, ...]
    count: Operand
    size: int
    most: int


class ProductLowering:
    """Lowers one kernel that `schedule.product` recognised."""

    def __init__(self, base: Lowering) -> None:
        product = find_product(base.kernel)
        assert product is not None
        self.x = base
        self.b = base.b
        self.p = product
        self.dtype = product.reduce.dtypes[0]
        self.width = base.schedule.width
        self.chains, self.part = chains(self.dtype), depth_part(self.dtype)
        self.across = self.width // self.chains  # columns of a vector
        self.extents = {a.name: a.extent for a in base.kernel.outer}
        self.extents |= {a.name: a.extent for a in base.kernel.stages[0].axes}
        self.depth = self.count(product.depth)
        most = PRODUCT_COLUMN_BYTES // self.dtype.size
        self.line = most + LINE // self.dtype.size  # sums of a row of a block, and then some: tiles below
        # each other would share few sets of the first cache
        left, right = product.reduce.args[product.left], product.reduce.args[1 - product.left]
        columns = base.schedule.tile[1] * self.across
        self.left = self.side("left", left, product.rows, base.schedule.tile[0], PRODUCT_ROWS)
        self.right = self.side("right", right, (product.column,), columns, most)

    def side(self, panels: str, expr: k.Expr, axes: tuple[str, ...], size: int, most: int) -> _Side:
        return _Side(panels, expr, axes, self.count(axes), size, most // size)

    def count(self, axes: tuple[str, ...]) -> Operand:
        total: Operand = Imm(1, i64)
        for axis in axes:
            total = self.x.times(total, self.x.extent(self.extents[axis]))
        return total

    def place(self, axes: tuple[str, ...], number: Operand) -> dict[str, Operand]:
        """The axes at a flattened number."""
        found: dict[str, Operand] = {}
        for axis in reversed(axes[1:]):
            extent = self.x.extent(self.extents[axis])
            if axis in self.p.depth:  # which may be empty
                extent = self.b.op("select", self.b.op("lt", extent, Imm(1, i64)), Imm(1, i64), extent)
            found[axis] = self.b.op("rem", number, extent)
            number = self.b.op("div", number, extent)
        return found | dict.fromkeys(axes[:1], number)

    def plus(self, a: Operand, n: int) -> Operand:
        return self.x.plus(a, Imm(n, i64)) if n else a

    def put(self, array: str, at: Operand, value: Operand) -> None:
        """Into working memory of the product."""
        if array == self.left.panels:
            at = self.x.plus(at, self.away)
        self.b.emit(Store(array, at, value, loc=self.p.reduce.loc))

    def run(self) -> None:
        b, x = self.b, self.x
        for stage in x.kernel.stages:
            x.hoist(stage, x.levels[0])
        b.loc = self.p.reduce.loc
        left, right = self.left, self.right
        # A turn of `pack_rows` may fill more than the last tile.
        room = [(side.most + self.tiles_of_turn(side) - 1) * side.size * self.part for side in (left, right)]
        parts = KEPT_PARTS if self.p.kept else 1
        b.emit(Alloc(left.panels, self.dtype, room[0] * parts))
        b.emit(Alloc(right.panels, self.dtype, room[1]))
        b.emit(Alloc("sums", self.dtype, PRODUCT_ROWS * self.line))
        with b.loop(BEGIN, END, 1, "parallel") as block:
            down = x.slot("block")
            each = b.op("div", x.slot("blocks"), down)  # blocks that share rows
            across = b.op("div", each, self.count(self.p.batch))
            column = b.op("rem", block.var, across)
            if parts > 1:
                number, line = b.op("rem", block.var, each), b.op("div", block.var, each)
                x.at.update(self.place(self.p.batch, b.op("div", number, across)))
            else:  # strips are blocks side by side: those of one part of the batch
                number = b.op("div", block.var, across)
                line = b.op("rem", number, down)
                x.at.update(self.place(self.p.batch, b.op("div", number, down)))
            rows = self.share(left, line, down)
            columns = self.share(right, column, across)
            fits = b.op("ge", Imm(parts * self.part, i64), self.depth)
            packs = self.packs(block.var, number, fits) if parts > 1 else Imm(1, i64)
            once = b.op("lt", self.depth, Imm(1, i64))  # a sum of nothing is 0
            end = b.op("select", once, Imm(1, i64), self.depth)
            with b.loop(Imm(0, i64), end, self.part, "serial") as part:
                count = x.minimum(b.op("sub", self.depth, part.var), Imm(self.part, i64))
                self.away: Operand = HERE
                if parts > 1:
                    away = b.op("mul", b.op("div", part.var, Imm(self.part, i64)), Imm(room[0], i64))
                    self.away = b.op("select", fits, away, Imm(0, i64))
                with b.loop(Imm(0, i64), packs, 1, "serial"):
                    self.pack(left, rows, part.var, count)
                self.pack(right, columns, part.var, count)
                self.tiles(rows, columns, part.var, count)
            self.epilogue(rows, columns)
            x.at.clear()

    def packs(self, block: Operand, number: Operand, fits: Operand) -> Operand:
        """How often the rows of a block are packed: never if those of the block before are still there. They
        are the same for all of the batch, and `number` counts its blocks."""
        b, once = self.b, Imm(1, i64)
        again = b.op("select", b.op("eq", number, HERE), once, HERE)
        again = b.op("select", b.op("eq", block, BEGIN), once, again)
        return b.op("select", fits, again, once)

    def share(self, side: _Side, part: Operand, parts: Operand) -> _Span:
        """One of `parts` shares of the points, in whole tiles but for the last."""
        b, size = self.b, Imm(side.size, i64)
        tiles = b.op("div", self.plus(side.count, side.size - 1), size)
        begin = b.op("div", b.op("mul", tiles, part), parts)
        end = b.op("div", b.op("mul", tiles, self.plus(part, 1)), parts)
        return b.op("mul", begin, size), self.x.minimum(b.op("mul", end, size), side.count)

    # -- vectors of chains

    def value(self, expr: k.Expr) -> Operand:
        """An operand at the current point, in the accumulator's dtype: one element, or a vector; 0 under a
        mask."""
        x = self.x
        x.open(frozenset(self.extents) | {ROW})
        value = x.cast(x.value(expr), self.dtype)
        x.levels.pop()
        while isinstance(expr, k.Call) and expr.op == "cast":
            (expr,) = expr.args
        zero = value.lanes > 1 and isinstance(expr, k.Load)  # as a load is
        value = value if x.vector is None else self.b.widen(value, x.schedule.width)
        if zero or x.mask is None:
            return value
        return self.b.op("select", x.mask, value, Imm(0, self.dtype, value.lanes))

    def pieces(self, vector: Operand, lanes: int) -> list[Operand]:
        """A vector in parts of so many lanes."""
        if vector.lanes == lanes:
            return [vector]
        halves = (self.b.op(op, vector, dtype=vector.dtype, lanes=vector.lanes // 2) for op in ("lo", "hi"))
        return [piece for half in halves for piece in self.pieces(half, lanes)]

    def fold(self, vectors: list[Operand]) -> list[Operand]:
        """The sums of chains, column after column, in as many fewer vectors."""
        size = self.chains
        while size > 1:
            size //= 2
            n, pairs = Imm(size, i32), list(zip(vectors[::2], vectors[1::2], strict=True))
            vectors = []
            for a, c in pairs:
                low, high = (
                    self.b.op(op, a, c, n, dtype=a.dtype, lanes=a.lanes) for op in ("pack_lo", "pack_hi")
                )
                vectors.append(*self.x.merge("sum", (low,), (high,)))
        return vectors

    # -- packing

    def tiles_of_turn(self, side: _Side) -> int:
        """How many tiles one vector along the points fills."""
        return max(1, self.width // side.size) if self.width % side.size == 0 else 1

    def pack(self, side: _Side, span: _Span, start: Operand, count: Operand) -> None:
        """The panels of a block, for `count` steps of the depth."""
        x = self.x
        lasts = [
            e.index[-1].axis
            for e in k.walk(side.expr)
            if isinstance(e, k.Load) and e.index and x.arrays[e.array].unit
        ]
        # a vector runs along one axis: of the points, or of the depth
        along = self.p.depth[-1] in lasts and side.axes[0] not in lasts
        if len(self.p.depth) == 1 and (len(side.axes) > 1 or along):
            self.pack_depth(side, span, start, count)
        elif len(side.axes) == 1:
            self.pack_rows(side, span, start, count)
        else:
            self.pack_lines(side, span, start, count)
        x.vector, x.mask, x.views = None, None, {}
        for axis in (*self.p.depth, *side.axes):
            del x.at[axis]

    def pack_rows(self, side: _Side, span: _Span, start: Operand, count: Operand) -> None:
        """Vectors along the points: the steps of all chains, transposed."""
        b, c = self.b, self.chains
        points = self.tiles_of_turn(side) * side.size
        held = -(-points // self.width) * self.width  # of the vectors of a turn
        whole = b.op("and", count, Imm(-c, i64))
        few = b.op("lt", b.op("sub", span[1], span[0]), Imm(held, i64))
        turns = b.op("div", b.op("sub", self.plus(span[1], points - held), span[0]), Imm(points, i64))
        inside = b.op("add", span[0], b.op("mul", b.op("select", few, Imm(0, i64), turns), Imm(points, i64)))
        first = self.place(self.p.depth, start)
        places = tuple(first[axis] for axis in self.p.depth)
        for lo, hi, spans in (
            (Imm(0, i64), whole, ((span[0], inside, False), (inside, span[1], True))),
            (whole, count, ((span[0], span[1], True),)),
        ):
            with b.loop(lo, hi, c, "serial", places) as line:
                at: tuple[Operand, ...] = (b.op("mul", line.var, Imm(side.size, i64)),)
                ragged = count if lo is whole else None
                steps, line.yields = self.next_steps(side, line.carried, line.var, ragged)
                for begin, end, masked in spans:
                    with b.loop(begin, end, points, "serial", at) as tile:
                        self.pack_turn(side, tile.var, tile.carried[0], steps, span[1] if masked else None)
                        ahead = points * self.part
                        tile.yields = (self.plus(tile.carried[0], ahead),)
                    at = tile.results
            places = line.results

    def next_steps(
        self, side: _Side, at: tuple[Operand, ...], line: Operand, end: Operand | None
    ) -> tuple[list[_Step], tuple[Operand, ...]]:
        """The next steps of all chains, from the axes of the depth `at` on, and where it goes on.
        From `end` on, if told, steps are not there: they stand for the last one."""
        b, x, found = self.b, self.x, list[_Step]()
        (point, *_) = side.axes
        for n in range(self.chains):
            place = dict(zip(self.p.depth, at, strict=True))
            x.at.update(place)
            there = None if end is None else b.op("lt", self.plus(line, n), end)
            found.append((place, there, windows(x, side.expr, point)))
            one: Operand = Imm(1, i64)
            if end is not None:
                one = b.op("select", b.op("lt", self.plus(line, n + 1), end), one, HERE)
            at = self.further(at, one)
        return found, at

    def further(self, at: tuple[Operand, ...], carry: Operand) -> tuple[Operand, ...]:
        """The axes of the depth, one step on (or none)."""
        b, found = self.b, list[Operand]()
        for axis, here in zip(reversed(self.p.depth[1:]), reversed(at[1:]), strict=True):
            there = self.x.plus(here, carry)
            over = b.op("eq", there, self.x.extent(self.extents[axis]))
            found.append(b.op("select", over, HERE, there))
            carry = b.op("select", over, Imm(1, i64), HERE)
        return (self.x.plus(at[0], carry), *reversed(found))

    def pack_turn(
        self, side: _Side, first: Operand, base: Operand, steps: list[_Step], end: Operand | None
    ) -> None:
        """So many steps of the tiles of a turn; points from `end` on are not there."""
        b, x, panel = self.b, self.x, side.size * self.part
        (x.vector,) = side.axes
        points = self.tiles_of_turn(side) * side.size
        for v in range(0, points, self.width):
            x.at[x.vector], vectors = self.plus(first, v), list[Operand]()
            for place, there, x.views in steps:
                x.at.update(place)
                if end is not None:
                    left: Operand = b.op("sub", end, x.at[x.vector])
                    left = left if there is None else b.op("select", there, left, Imm(0, i64))
                    x.mask = x.first_lanes(left)
                vectors.append(self.value(side.expr))
                x.mask = None
            for n, vector in enumerate(x.transposed(vectors)):
                at = v + n * self.across
                if at < points:
                    spot = at // side.size * panel + at % side.size * self.chains
                    self.put(side.panels, self.plus(base, spot), vector)

    def pack_depth(self, side: _Side, span: _Span, start: Operand, count: Operand) -> None:
        """Vectors along the depth, one point after the other."""
        b, x = self.b, self.x
        (depth,) = self.p.depth
        group = side.size * self.chains
        with b.loop(*span, side.size, "serial", (Imm(0, i64),)) as tile:
            left = x.minimum(b.op("sub", span[1], tile.var), Imm(side.size, i64))
            with b.loop(Imm(0, i64), left, 1, "serial", tile.carried) as point:
                x.at.update(self.place(side.axes, b.op("add", tile.var, point.var)))
                whole = b.op("and", count, Imm(-self.width, i64))
                at: tuple[Operand, ...] = point.carried
                for lo, hi, masked in ((Imm(0, i64), whole, False), (whole, count, True)):
                    with b.loop(lo, hi, self.width, "vector", at) as line:
                        x.at[depth], x.vector = b.op("add", start, line.var), depth
                        x.mask = x.first_lanes(b.op("sub", count, line.var)) if masked else None
                        self.ask(side)
                        for n, piece in enumerate(self.pieces(self.value(side.expr), self.chains)):
                            self.put(side.panels, self.plus(line.carried[0], n * group), piece)
                        line.yields = (self.plus(line.carried[0], self.across * group),)
                    at = line.results
                point.yields = (self.plus(point.carried[0], self.chains),)
            tile.yields = (self.plus(tile.carried[0], side.size * self.part),)

    def ask(self, side: _Side) -> None:
        """For rows of the next block, while those of this one are packed: until then memory would idle."""
        x = self.x
        if side is not self.left or len(side.axes) > 1 or x.mask is not None:
            return
        (row,) = side.axes
        for e in (e for e in k.walk(side.expr) if isinstance(e, k.Load) and x.arrays[e.array].unit):
            axes = [ix.axis for ix in e.index]
            if row in axes and axes[-1] == x.vector:
                array = x.arrays[e.array]
                away = x.times(Imm(PRODUCT_ROWS, i64), x.stride(array, axes.index(row)))
                name, index, _, _ = x.element(array, e.index, away)
                self.b.emit(Prefetch(name, index, far=True))

    def pack_lines(self, side: _Side, span: _Span, start: Operand, count: Operand) -> None:
        """Vectors along the last axis of the depth, line after line of it, one point after the other. Lines
        of whole chains begin with chains; of others each step is put where it belongs."""
        b, x, c = self.b, self.x, self.chains
        *before, last = self.p.depth
        length = x.extent(self.extents[last])
        whole = b.op("eq", b.op("and", length, Imm(c - 1, i64)), Imm(0, i64))
        first = b.op("div", start, length)
        end = self.plus(b.op("div", self.plus(b.op("add", start, count), -1), length), 1)
        last_group = b.op("and", self.plus(count, c - 1), Imm(-c, i64))
        with b.loop(*span, side.size, "serial", (Imm(0, i64),)) as tile:
            left = x.minimum(b.op("sub", span[1], tile.var), Imm(side.size, i64))
            with b.loop(Imm(0, i64), left, 1, "serial") as point:
                x.at.update(self.place(side.axes, b.op("add", tile.var, point.var)))
                base = b.op("add", tile.carried[0], b.op("mul", point.var, Imm(c, i64)))
                with b.loop(first, end, 1, "serial") as line:
                    x.at.update(self.place(tuple(before), line.var))
                    ahead = b.op("sub", b.op("mul", line.var, length), start)  # of the line's first step
                    below = b.op("lt", ahead, Imm(0, i64))
                    lo = b.op("select", below, b.op("sub", Imm(0, i64), ahead), Imm(0, i64))
                    hi = x.minimum(b.op("sub", count, ahead), length)
                    vectors = b.op("select", whole, hi, lo)
                    inside = b.op("add", lo, b.op("and", b.op("sub", vectors, lo), Imm(-self.width, i64)))
                    for begin, stop, step in (
                        (lo, inside, self.width),
                        (inside, vectors, c),
                        (vectors, hi, 1),
                    ):
                        with b.loop(begin, stop, step, "vector" if step > 1 else "serial") as turn:
                            x.at[last], x.vector = turn.var, last if step > 1 else None
                            if step == c:
                                x.mask = x.first_lanes(b.op("sub", stop, turn.var))
                            value = self.value(side.expr)
                            x.mask = None
                            pieces = self.pieces(value, c) if step > 1 else [value]
                            spot = self.in_panel(side, b.op("add", ahead, turn.var))
                            for n, piece in enumerate(pieces[: max(1, step // c)]):
                                self.put(
                                    side.panels, b.op("add", base, self.plus(spot, n * side.size * c)), piece
                                )
                x.vector = None
                with b.loop(count, last_group, 1, "serial") as rest:
                    self.put(
                        side.panels, b.op("add", base, self.in_panel(side, rest.var)), Imm(0, self.dtype)
                    )
            tile.yields = (self.plus(tile.carried[0], side.size * self.part),)

    def in_panel(self, side: _Side, step: Operand) -> Operand:
        """Where a step of the depth is in the panel of a tile, of its first point."""
        b, c = self.b, self.chains
        group = b.op("mul", b.op("and", step, Imm(-c, i64)), Imm(side.size, i64))
        return b.op("add", group, b.op("and", step, Imm(c - 1, i64)))

    # -- sums

    def tiles(self, rows: _Span, columns: _Span, start: Operand, count: Operand) -> None:
        """All sums of a block, `count` steps of the depth further. What is left of the rows takes as many
        tiles of FEW as it needs."""
        b, left, right = self.b, self.left, self.right
        known = b.op("gt", start, Imm(0, i64))  # sums begin in the first part
        steps = b.op("and", self.plus(count, self.chains - 1), Imm(-self.chains, i64))
        end = b.op("mul", steps, Imm(right.size, i64))
        ragged = b.op("rem", b.op("sub", rows[1], rows[0]), Imm(left.size, i64))
        whole, few = b.op("sub", rows[1], ragged), left.size // FEW
        with b.loop(*columns, right.size, "serial", (Imm(0, i64), Imm(0, i64))) as column:
            panel, sums = column.carried
            at: tuple[Operand, ...] = (self.away, sums)
            for begin, stop, size in ((rows[0], whole, left.size), (whole, rows[1], few)):
                ahead = left.size * self.part if size == left.size else few * self.chains
                with b.loop(begin, stop, size, "serial", at) as row:
                    self.tile(size, row.carried, panel, known, end)
                    below = self.plus(row.carried[1], size * self.line)
                    row.yields = (self.plus(row.carried[0], ahead), below)
                at = row.results
            column.yields = (self.plus(panel, right.size * self.part), self.plus(sums, right.size))

    def tile(self, rows: int, at: tuple[Operand, ...], panel: Operand, known: Operand, end: Operand) -> None:
        """The sums of one register tile, added to those in memory where these are `known`."""
        b, x, width, size = self.b, self.x, self.width, self.right.size
        inits = (Imm(0, self.dtype, width),) * (rows * size * self.chains // width)
        with b.loop(Imm(0, i64), end, size * self.chains, "serial", (at[0], *inits)) as line:
            here, *sums = line.carried
            there = b.op("add", panel, line.var)
            others = [
                b.load("right", self.dtype, self.plus(there, v), width)
                for v in range(0, size * self.chains, width)
            ]
            added: list[Operand] = []
            for m in range(rows):
                own = b.load("left", self.dtype, self.plus(here, m * self.chains), self.chains)
                value = b.op("splat", own, dtype=self.dtype, lanes=width)
                for other in others:
                    pair = (value, other) if self.p.left == 0 else (other, value)
                    added += x.step(self.p.reduce, (sums[len(added)],), pair)
            line.yields = (self.plus(here, self.left.size * self.chains), *added)
        found = [piece for v in self.fold(list(line.results[1:])) for piece in self.pieces(v, size)]
        for m, part in enumerate(found):
            spot = self.plus(at[1], m * self.line)
            zero = Imm(0, self.dtype, size)  # and not -0: a product of many rows is as one of one
            before = b.op("select", known, b.load("sums", self.dtype, spot, size), zero)
            (total,) = x.merge("sum", (before,), (part,))
            self.put("sums", spot, total)

    def epilogue(self, rows: _Span, columns: _Span) -> None:
        """What follows the sums. Whole vectors are stored without a mask, which costs some processors as much
        as a dozen stores."""
        b, x = self.b, self.x
        stages, b.loc = x.kernel.stages[1:], None
        with b.loop(*rows, 1, "serial", (Imm(0, i64),)) as row:
            x.at.update(self.place(self.p.rows, row.var))
            level = x.open(frozenset(self.p.batch + self.p.rows))
            for stage in stages:
                x.hoist(stage, level)
            span = b.op("and", b.op("sub", columns[1], columns[0]), Imm(-self.width, i64))
            whole = b.op("add", columns[0], span)
            at: tuple[Operand, ...] = row.carried
            for begin, end, masked in ((columns[0], whole, False), (whole, columns[1], True)):
                with b.loop(begin, end, self.width, "vector", at) as tile:
                    x.open(frozenset(self.extents) | {ROW})
                    x.at[self.p.column], x.vector = tile.var, self.p.column
                    x.mask = x.first_lanes(b.op("sub", columns[1], tile.var)) if masked else None
                    x.rows[self.p.reduce.names[0]] = b.load("sums", self.dtype, tile.carried[0], self.width)
                    for stage in stages:
                        x.body(stage, 0, [], [])
                    x.vector, x.mask = None, None
                    x.levels.pop()
                    tile.yields = (self.plus(tile.carried[0], self.width),)
                at = tile.results
            x.levels.pop()
            row.yields = (self.plus(row.carried[0], self.line),)
