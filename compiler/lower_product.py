"""Matrix products: tiles of sums in registers, over packed panels of the right-hand side.

    for block of rows (parallel):
      for tile of columns:
        for part of the depth:
          panel = right[part, columns], contiguous
          for group of rows:      sums[rows, columns] += left[rows, l] * panel[l, columns]   for l in part
        epilogue on the tile, by vectors along the columns

Each sum runs along the depth in order, one fma a step, whatever the tile.
"""

from __future__ import annotations

from . import kernel as k
from .loop import BEGIN, END, Alloc, Imm, Operand, Store
from .lower import ROW, Lowering
from .schedule import PRODUCT_DEPTH, PRODUCT_ROWS, Product
from .types import i64


class ProductLowering:
    """Lowers one kernel that `schedule.product` recognised."""

    def __init__(self, base: Lowering, product: Product) -> None:
        self.x = base
        self.b = base.b
        self.p = product
        self.width = base.schedule.width
        self.tile_rows, self.vectors = base.schedule.tile
        self.columns = self.width * self.vectors
        self.extents = {a.name: a.extent for a in base.kernel.outer}
        self.extents |= {a.name: a.extent for a in base.kernel.stages[0].axes}

    def extent(self, axis: str) -> Operand:
        return self.x.extent(self.extents[axis])

    def count(self, axes: tuple[str, ...]) -> Operand:
        total: Operand = Imm(1, i64)
        for axis in axes:
            extent = self.extent(axis)
            total = self.x.times(total, extent)
        return total

    def place(self, axes: tuple[str, ...], number: Operand) -> None:
        """The axes at a flattened number."""
        for n, axis in enumerate(reversed(axes)):
            if n == len(axes) - 1:
                self.x.at[axis] = number
            else:
                self.x.at[axis] = self.b.op("rem", number, self.extent(axis))
                number = self.b.op("div", number, self.extent(axis))

    def run(self) -> None:
        b, x = self.b, self.x
        for stage in x.kernel.stages:
            x.hoist(stage, x.levels[0])
        dtype = self.p.reduce.dtype
        b.emit(Alloc("panel", dtype, PRODUCT_DEPTH * self.columns))
        b.emit(Alloc("tile", dtype, (PRODUCT_ROWS + self.tile_rows) * self.columns))
        rows, columns = self.count(self.p.rows), self.extent(self.p.column)
        blocks = b.op("div", b.op("add", rows, Imm(PRODUCT_ROWS - 1, i64)), Imm(PRODUCT_ROWS, i64))
        with b.loop(BEGIN, END, 1, "parallel") as block:
            self.place(self.p.batch, b.op("div", block.var, blocks))
            lo = b.op("mul", b.op("rem", block.var, blocks), Imm(PRODUCT_ROWS, i64))
            hi = x.minimum(b.op("add", lo, Imm(PRODUCT_ROWS, i64)), rows)
            with b.loop(Imm(0, i64), columns, self.columns, "serial") as tile:
                masks = self.masks(b.op("sub", columns, tile.var))
                self.sums(tile.var, masks, lo, hi)
                self.epilogue(tile.var, masks, lo, hi)

    def masks(self, left: Operand) -> list[Operand]:
        b = self.b
        return [self.x.first_lanes(b.op("sub", left, Imm(v * self.width, i64))) for v in range(self.vectors)]

    def sums(self, column: Operand, masks: list[Operand], lo: Operand, hi: Operand) -> None:
        b, x = self.b, self.x
        depth = self.extent(self.p.depth)
        zero = Imm(0, self.p.reduce.dtype, self.width)
        top = b.op("add", b.op("sub", hi, lo), Imm(self.tile_rows - 1, i64))
        top = b.op("mul", top, Imm(self.columns, i64))
        with b.loop(Imm(0, i64), top, self.width, "vector") as clear:
            b.emit(Store("tile", clear.var, zero))
        with b.loop(Imm(0, i64), depth, PRODUCT_DEPTH, "serial") as part:
            count = x.minimum(b.op("sub", depth, part.var), Imm(PRODUCT_DEPTH, i64))
            self.pack(column, masks, part.var, count)
            with b.loop(lo, hi, self.tile_rows, "serial") as group:
                self.group(group.var, lo, hi, part.var, count)

    def value(self, expr: k.Expr) -> Operand:
        """An operand at the current point, in the accumulator's dtype."""
        self.x.open(frozenset(self.extents) | {ROW})
        value = self.x.cast(self.x.value(expr), self.p.reduce.dtype)
        self.x.levels.pop()
        return value

    def pack(self, column: Operand, masks: list[Operand], start: Operand, count: Operand) -> None:
        b, x = self.b, self.x
        right = self.p.reduce.args[1 - self.p.left]
        with b.loop(Imm(0, i64), count, 1, "serial") as line:
            x.at[self.p.depth] = b.op("add", start, line.var)
            for v, mask in enumerate(masks):
                offset = Imm(v * self.width, i64)
                x.at[self.p.column] = b.op("add", column, offset) if v else column
                x.vector, x.mask = self.p.column, mask
                value = b.widen(self.value(right), self.width)
                x.vector, x.mask = None, None
                at = b.op("mul", line.var, Imm(self.columns, i64))
                b.emit(Store("panel", b.op("add", at, offset), value))
        del x.at[self.p.depth], x.at[self.p.column]

    def group(self, row: Operand, lo: Operand, hi: Operand, start: Operand, count: Operand) -> None:
        """One register tile. Rows beyond the block repeat its last one; nobody reads their sums."""
        b, x = self.b, self.x
        dtype = self.p.reduce.dtype
        last = b.op("sub", hi, Imm(1, i64))
        base = b.op("mul", b.op("sub", row, lo), Imm(self.columns, i64))
        spots = [
            b.op("add", base, Imm(m * self.columns + v * self.width, i64))
            for m in range(self.tile_rows)
            for v in range(self.vectors)
        ]
        inits = tuple(b.load("tile", dtype, spot, self.width) for spot in spots)
        numbers = [x.minimum(b.op("add", row, Imm(m, i64)), last) for m in range(self.tile_rows)]
        left = self.p.reduce.args[self.p.left]
        with b.loop(Imm(0, i64), count, 1, "serial", inits) as line:
            at = b.op("mul", line.var, Imm(self.columns, i64))
            panel = [
                b.load("panel", dtype, b.op("add", at, Imm(v * self.width, i64)), self.width)
                for v in range(self.vectors)
            ]
            x.at[self.p.depth] = b.op("add", start, line.var)
            sums: list[Operand] = list(line.carried)
            for m, number in enumerate(numbers):
                self.place(self.p.rows, number)
                value = b.widen(self.value(left), self.width)
                for v in range(self.vectors):
                    n = m * self.vectors + v
                    pair = (value, panel[v]) if self.p.left == 0 else (panel[v], value)
                    sums[n] = x.combine("dot", sums[n], *pair)
            line.yields = tuple(sums)
        del x.at[self.p.depth]
        for spot, value in zip(spots, line.results, strict=True):
            b.emit(Store("tile", spot, value))

    def epilogue(self, column: Operand, masks: list[Operand], lo: Operand, hi: Operand) -> None:
        b, x = self.b, self.x
        with b.loop(lo, hi, 1, "serial") as row:
            self.place(self.p.rows, row.var)
            base = b.op("mul", b.op("sub", row.var, lo), Imm(self.columns, i64))
            for v, mask in enumerate(masks):
                offset = Imm(v * self.width, i64)
                x.open(frozenset(self.extents) | {ROW})
                x.at[self.p.column] = b.op("add", column, offset)
                x.vector, x.mask = self.p.column, mask
                at = b.op("add", base, offset)
                x.rows[self.p.reduce.name] = b.load("tile", self.p.reduce.dtype, at, self.width)
                for stage in x.kernel.stages[1:]:
                    x.body(stage, 0, [], [])
                x.vector, x.mask = None, None
                x.levels.pop()
        x.at.clear()
