"""Matrix products: tiles of sums in registers, over packed panels of both operands.

    for block of rows x columns (parallel):
      for part of the depth:
        panels of left[rows, part] and right[part, columns]: for each step of the depth the rows,
                                                             or columns, of one tile, side by side
        for tile of columns, for tile of rows:
          sums[rows, columns] += left[rows, l] * right[l, columns]   for l in part
      epilogue, row after row, by vectors along the columns

Each sum runs along the depth in order, one fma a step, whatever the tile. An operand that runs along
memory with the depth is transposed in registers while it is packed. What panels hold beyond the end of
the rows and columns does not matter: nobody reads those sums.
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import BEGIN, END, Alloc, Imm, Operand, Store
from ..ir.types import i64
from .lower import ROW, Lowering
from .schedule import PRODUCT_COLUMN_BYTES, PRODUCT_DEPTH_BYTES, PRODUCT_ROWS
from .schedule import product as find_product

# Rows that are left over are done in tiles of so many times fewer.
FEW = 3

_Span = tuple[Operand, Operand]  # begin and end


@data
class _Side:
    """An operand of the product: the working memory that it is packed into, the axes that it has beside
    the depth, and how many points these have; of which `size` make a tile, `pitch` with what fills the
    last vector up; and the most tiles of a block."""

    panels: str
    expr: k.Expr
    axes: tuple[str, ...]
    count: Operand
    size: int
    pitch: int
    most: int


class ProductLowering:
    """Lowers one kernel that `schedule.product` recognised."""

    def __init__(self, base: Lowering) -> None:
        product = find_product(base.kernel)
        assert product is not None
        self.x = base
        self.b = base.b
        self.p = product
        self.dtype = product.reduce.dtype
        self.width = base.schedule.width
        self.part = PRODUCT_DEPTH_BYTES // self.dtype.size
        self.extents = {a.name: a.extent for a in base.kernel.outer}
        self.extents |= {a.name: a.extent for a in base.kernel.stages[0].axes}
        self.depth = self.count(product.depth)
        rows, columns = base.schedule.tile[0], base.schedule.tile[1] * self.width
        most = PRODUCT_COLUMN_BYTES // self.dtype.size
        left, right = product.reduce.args[product.left], product.reduce.args[1 - product.left]
        self.left = self.side("left", left, product.rows, rows, PRODUCT_ROWS)
        self.right = self.side("right", right, (product.column,), columns, most)

    def side(self, panels: str, expr: k.Expr, axes: tuple[str, ...], size: int, most: int) -> _Side:
        pitch = -(-size // self.width) * self.width
        return _Side(panels, expr, axes, self.count(axes), size, pitch, most // size)

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
            found[axis] = self.b.op("rem", number, extent)
            number = self.b.op("div", number, extent)
        return found | dict.fromkeys(axes[:1], number)

    def plus(self, a: Operand, n: int) -> Operand:
        return self.x.plus(a, Imm(n, i64)) if n else a

    def run(self) -> None:
        b, x = self.b, self.x
        for stage in x.kernel.stages:
            x.hoist(stage, x.levels[0])
        left, right = self.left, self.right
        for side in (left, right):
            b.emit(Alloc(side.panels, self.dtype, side.most * side.pitch * self.part))
        b.emit(Alloc("sums", self.dtype, self.sums_of_tiles() * right.most))
        with b.loop(BEGIN, END, 1, "parallel") as block:
            down = x.slot("block")
            across = b.op("div", x.slot("blocks"), x.times(self.count(self.p.batch), down))
            number, column = b.op("div", block.var, across), b.op("rem", block.var, across)
            x.at.update(self.place(self.p.batch, b.op("div", number, down)))
            rows = self.share(left, b.op("rem", number, down), down)
            columns = self.share(right, column, across)
            once = b.op("lt", self.depth, Imm(1, i64))  # a sum of nothing is 0
            end = b.op("select", once, Imm(1, i64), self.depth)
            with b.loop(Imm(0, i64), end, self.part, "serial") as part:
                count = x.minimum(b.op("sub", self.depth, part.var), Imm(self.part, i64))
                self.pack(left, rows, part.var, count)
                self.pack(right, columns, part.var, count)
                self.tiles(rows, columns, part.var, count)
            self.epilogue(rows, columns)
            x.at.clear()

    def share(self, side: _Side, part: Operand, parts: Operand) -> _Span:
        """One of `parts` shares of the points, in whole tiles but for the last."""
        b, size = self.b, Imm(side.size, i64)
        tiles = b.op("div", self.plus(side.count, side.size - 1), size)
        begin = b.op("div", b.op("mul", tiles, part), parts)
        end = b.op("div", b.op("mul", tiles, self.plus(part, 1)), parts)
        return b.op("mul", begin, size), self.x.minimum(b.op("mul", end, size), side.count)

    # -- packing

    def value(self, expr: k.Expr) -> Operand:
        """A vector of an operand at the current point, in the accumulator's dtype."""
        self.x.open(frozenset(self.extents) | {ROW})
        value = self.x.cast(self.x.value(expr), self.dtype)
        self.x.levels.pop()
        return self.b.widen(value, self.width)

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
            self.pack_transposed(side, span, start, count)
        elif len(side.axes) == 1:
            self.pack_rows(side, span, start, count)
        else:
            self.pack_points(side, span, start, count)
        x.vector, x.mask = None, None
        for axis in (*self.p.depth, *side.axes):
            del x.at[axis]

    def pack_rows(self, side: _Side, span: _Span, start: Operand, count: Operand) -> None:
        """Vectors along the points: one step of the depth for all tiles, then the next."""
        b, x = self.b, self.x
        (axis,) = side.axes
        with (
            b.loop(Imm(0, i64), count, 1, "serial") as line,
            b.loop(*span, side.size, "serial", (b.op("mul", line.var, Imm(side.pitch, i64)),)) as tile,
        ):
            x.at.update(self.place(self.p.depth, b.op("add", start, line.var)))
            x.vector = axis
            for v in range(0, side.pitch, self.width):
                x.at[axis] = self.plus(tile.var, v)
                x.mask = x.first_lanes(b.op("sub", span[1], x.at[axis]))
                b.emit(Store(side.panels, self.plus(tile.carried[0], v), self.value(side.expr)))
            tile.yields = (self.plus(tile.carried[0], side.pitch * self.part),)

    def pack_transposed(self, side: _Side, span: _Span, start: Operand, count: Operand) -> None:
        """Vectors along the depth, one for each of as many points as they have lanes."""
        b, x = self.b, self.x
        (depth,) = self.p.depth
        last = self.plus(span[1], -1)
        with b.loop(*span, side.size, "serial", (Imm(0, i64),)) as tile:
            left = x.minimum(b.op("sub", span[1], tile.var), Imm(side.size, i64))
            with b.loop(Imm(0, i64), left, self.width, "serial") as group:
                first = b.op("add", tile.var, group.var)
                base = b.op("add", tile.carried[0], group.var)
                numbers = [x.minimum(self.plus(first, n), last) for n in range(self.width)]
                points = [self.place(side.axes, number) for number in numbers]
                with b.loop(Imm(0, i64), count, self.width, "vector", (base,)) as line:
                    x.at[depth], x.vector = b.op("add", start, line.var), depth
                    x.mask = x.first_lanes(b.op("sub", count, line.var))
                    vectors = []
                    for point in points:
                        x.at.update(point)
                        vectors.append(self.value(side.expr))
                    for n, vector in enumerate(x.transposed(vectors)):
                        b.emit(Store(side.panels, self.plus(line.carried[0], n * side.pitch), vector))
                    line.yields = (self.plus(line.carried[0], self.width * side.pitch),)
            tile.yields = (self.plus(tile.carried[0], side.pitch * self.part),)

    def pack_points(self, side: _Side, span: _Span, start: Operand, count: Operand) -> None:
        """One element after the other, where neither the points nor the depth are steps of one axis."""
        b, x = self.b, self.x
        with b.loop(*span, side.size, "serial", (Imm(0, i64),)) as tile:
            left = x.minimum(b.op("sub", span[1], tile.var), Imm(side.size, i64))
            with b.loop(Imm(0, i64), left, 1, "serial") as point:
                x.at.update(self.place(side.axes, b.op("add", tile.var, point.var)))
                base = b.op("add", tile.carried[0], point.var)
                with b.loop(Imm(0, i64), count, 1, "serial", (base,)) as line:
                    x.at.update(self.place(self.p.depth, b.op("add", start, line.var)))
                    self.x.open(frozenset(self.extents) | {ROW})
                    b.emit(Store(side.panels, line.carried[0], x.cast(x.value(side.expr), self.dtype)))
                    self.x.levels.pop()
                    line.yields = (self.plus(line.carried[0], side.pitch),)
            tile.yields = (self.plus(tile.carried[0], side.pitch * self.part),)

    # -- sums

    def sums_of_tiles(self) -> int:
        """Sums of one tile of columns, all rows of a block."""
        return self.left.most * self.left.size * self.right.size

    def tiles(self, rows: _Span, columns: _Span, start: Operand, count: Operand) -> None:
        """All sums of a block, `count` steps of the depth further. What is left of the columns takes half
        a tile where that will do, what is left of the rows as many of FEW as it needs."""
        b, size = self.b, self.right.size
        known = self.x.first_lanes(
            self.x.minimum(start, Imm(size, i64))
        )  # none in the first part: sums begin at 0
        end = b.op("mul", count, Imm(self.right.pitch, i64))
        wide = b.op("sub", columns[1], columns[0])
        wide = b.op("and", self.plus(wide, size // 2 - 1), Imm(-size, i64))
        wide = b.op("add", columns[0], wide)
        at: tuple[Operand, ...] = (Imm(0, i64), Imm(0, i64))
        for begin, stop, width in ((columns[0], wide, size), (wide, columns[1], size // 2)):
            with b.loop(begin, stop, size, "serial", at) as column:
                panel, sums = column.carried
                self.tiles_of_rows(rows, width, panel, sums, known, end)
                ahead = self.plus(panel, self.right.pitch * self.part)
                column.yields = (ahead, self.plus(sums, self.sums_of_tiles()))
            at = column.results

    def tiles_of_rows(
        self, rows: _Span, width: int, panel: Operand, sums: Operand, known: Operand, end: Operand
    ) -> None:
        b, left = self.b, self.left
        ragged = b.op("rem", b.op("sub", rows[1], rows[0]), Imm(left.size, i64))
        whole = b.op("sub", rows[1], ragged)
        lines, few = left.pitch * self.part, left.size // FEW
        at: tuple[Operand, ...] = (Imm(0, i64), sums)
        for begin, stop, size, ahead in ((rows[0], whole, left.size, lines), (whole, rows[1], few, few)):
            with b.loop(begin, stop, size, "serial", at) as row:
                self.tile(size, width, row.carried, panel, known, end)
                below = self.plus(row.carried[1], size * self.right.size)
                row.yields = (self.plus(row.carried[0], ahead), below)
            at = row.results

    def tile(
        self, rows: int, columns: int, at: tuple[Operand, ...], panel: Operand, known: Operand, end: Operand
    ) -> None:
        """The sums of one register tile, from those in memory where these are `known`."""
        b, x, width = self.b, self.x, self.width
        left, right = self.left, self.right
        spots = [self.plus(at[1], m * right.size + v) for m in range(rows) for v in range(0, columns, width)]
        inits = [b.load("sums", self.dtype, spot, width, None, known) for spot in spots]
        with b.loop(Imm(0, i64), end, right.pitch, "serial", (at[0], *inits)) as line:
            here, *sums = line.carried
            there = b.op("add", panel, line.var)
            others = [
                b.load("right", self.dtype, self.plus(there, v), width) for v in range(0, columns, width)
            ]
            added: list[Operand] = []
            for m in range(rows):
                value = b.widen(b.load("left", self.dtype, self.plus(here, m)), width)
                for other in others:
                    pair = (value, other) if self.p.left == 0 else (other, value)
                    added.append(x.combine("dot", sums[len(added)], *pair))
            line.yields = (self.plus(here, left.pitch), *added)
        for spot, result in zip(spots, line.results[1:], strict=True):
            b.emit(Store("sums", spot, result))

    def epilogue(self, rows: _Span, columns: _Span) -> None:
        b, x, size = self.b, self.x, self.right.size
        stages = x.kernel.stages[1:]
        with b.loop(*rows, 1, "serial", (Imm(0, i64),)) as row:
            x.at.update(self.place(self.p.rows, row.var))
            level = x.open(frozenset(self.p.batch + self.p.rows))
            for stage in stages:
                x.hoist(stage, level)
            with b.loop(*columns, size, "vector", row.carried) as tile:
                for v in range(0, size, self.width):
                    x.open(frozenset(self.extents) | {ROW})
                    x.at[self.p.column] = self.plus(tile.var, v)
                    x.vector = self.p.column
                    x.mask = x.first_lanes(b.op("sub", columns[1], x.at[self.p.column]))
                    spot = self.plus(tile.carried[0], v)
                    x.rows[self.p.reduce.name] = b.load("sums", self.dtype, spot, self.width)
                    for stage in stages:
                        x.body(stage, 0, [], [])
                    x.vector, x.mask = None, None
                    x.levels.pop()
                tile.yields = (self.plus(tile.carried[0], self.sums_of_tiles()),)
            x.levels.pop()
            row.yields = (self.plus(row.carried[0], size),)
