"""Maps that read across memory: square tiles, transposed in registers.

    for block of rows (parallel):
      for tile of columns, for tile of rows:
        16 vectors along the rows of x  =>  16 vectors along the columns      (64 shuffles)
        o[i, j] = f(x[j, i], ...)           row after row, vectors along the columns

So every line of the cache that a tile touches is used whole. Rows and columns beyond the end are
computed from the last valid ones, and not stored.
"""

from __future__ import annotations

from . import kernel as k
from .loop import BEGIN, END, Imm, Operand
from .lower import Lowering
from .schedule import TILE_ROWS, across
from .types import i32, i64


class TileLowering:
    """Lowers one kernel whose schedule says "tiles"."""

    def __init__(self, base: Lowering) -> None:
        self.x = base
        self.b = base.b
        self.width = base.schedule.width
        (self.row,) = base.kernel.outer
        (self.column,) = base.kernel.stages[0].axes
        self.across = across(base.kernel)

    def run(self) -> None:
        b, x, width = self.b, self.x, self.width
        for stage in x.kernel.stages:
            x.hoist(stage, x.levels[0])
        rows, columns = x.extent(self.row.extent), x.extent(self.column.extent)
        with b.loop(BEGIN, END, 1, "parallel") as block:
            lo = b.op("mul", block.var, Imm(TILE_ROWS, i64))
            hi = x.minimum(b.op("add", lo, Imm(TILE_ROWS, i64)), rows)
            with b.loop(Imm(0, i64), columns, width, "serial") as j, b.loop(lo, hi, width, "serial") as i:
                tiles = {load: self.transposed(load, i.var, j.var, hi, columns) for load in self.across}
                left = b.op("sub", columns, j.var)
                for r in range(width):
                    self.one_row(b.op("add", i.var, Imm(r, i64)), r, tiles, j.var, left, hi)

    def transposed(
        self, load: k.Load, i: Operand, j: Operand, rows: Operand, columns: Operand
    ) -> list[Operand]:
        """The elements of a tile, as one vector along the columns for each row."""
        b, x, width = self.b, self.x, self.width
        array = x.arrays[load.array]
        last = b.op("sub", columns, Imm(1, i64))
        x.vector, x.mask, x.at[self.row.name] = self.row.name, x.first_lanes(b.op("sub", rows, i)), i
        vectors: list[Operand] = []
        for c in range(width):
            x.at[self.column.name] = x.minimum(b.op("add", j, Imm(c, i64)), last)
            index, _, _ = x.address(array, load.index)
            vectors.append(b.load(array.name, array.dtype, index, width, None, x.mask))
        x.vector, x.mask = None, None
        one, kind = Imm(1, i32), array.dtype
        for _ in range(width.bit_length() - 1):  # each round swaps one bit of row and lane numbers
            pairs = [*zip(vectors[::2], vectors[1::2], strict=True)]
            vectors = [
                b.op(op, a, c, one, dtype=kind, lanes=width)
                for op in ("pack_lo", "pack_hi")
                for a, c in pairs
            ]
        return vectors

    def one_row(
        self,
        i: Operand,
        r: int,
        tiles: dict[k.Load, list[Operand]],
        j: Operand,
        left: Operand,
        rows: Operand,
    ) -> None:
        b, x = self.b, self.x
        inside = b.op("lt", i, rows)
        x.vector = self.column.name
        x.mask = x.first_lanes(b.op("select", inside, left, Imm(0, i64)))
        x.at[self.row.name] = x.minimum(i, b.op("sub", rows, Imm(1, i64)))
        x.at[self.column.name] = j
        level = x.open(frozenset({self.row.name, self.column.name}))
        level.values.update({load: vectors[r] for load, vectors in tiles.items()})
        for stage in x.kernel.stages:
            x.body(stage, 0, [], [])
        x.levels.pop()
        x.vector, x.mask = None, None
        x.at.clear()
