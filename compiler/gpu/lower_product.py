"""Matrix products by warps: a lane for each column, the sums of a few rows in its registers.

for block of ROWS rows x 32 columns (parallel):
  for part of the depth:
    for l in part, C steps at a time:
      chains[row, l mod C] += left[row, l] * right[l, column]      for each row; left is the same in all lanes
    sums[row] += chains, halved
  epilogue, row after row

The order is that of `order.py`. Nothing is packed.
"""

from __future__ import annotations

from ..cpu.lower_product import ProductLowering
from ..cpu.values import ROW
from ..ir import kernel as k
from ..ir.loop import BEGIN, END, Imm, Operand, Store
from ..ir.types import i64
from ..ops.folds import Acc

_ZERO = Imm(0, i64)


class WarpProductLowering(ProductLowering):
    """Lowers one kernel whose schedule says "product" or "vector"."""

    def run(self) -> None:
        b, x, size = self.b, self.x, self.x.schedule.tile[0]
        b.alloc("sums", self.dtype, size * self.width)
        for stage in x.kernel.stages:
            x.hoist(stage, x.levels[0])
        rows, columns = self.left.count, self.right.count
        with b.loop(BEGIN, END, 1, "parallel") as block:
            down = x.slot("block")
            strips = b.op("div", self.plus(columns, self.width - 1), Imm(self.width, i64))
            number, strip = b.op("div", block.var, strips), b.op("rem", block.var, strips)
            x.at.update(self.place(self.p.batch, b.op("div", number, down)))
            top = b.op("mul", b.op("rem", number, down), Imm(size, i64))
            first = b.op("mul", strip, Imm(self.width, i64))
            last = self.plus(rows, -1)
            self.spots = [
                self.place(self.p.rows, x.minimum(self.plus(top, n), last) if size > 1 else top)
                for n in range(size)
            ]
            x.at[self.p.column], x.vector = first, self.p.column
            x.mask = x.first_lanes(b.op("sub", columns, first))
            for n, total in enumerate(self.sums()):
                b.emit(Store("sums", Imm(n * self.width, i64), total))
            single = self.extents[self.p.column] == 1  # results do not vary with it
            if single:
                x.vector = x.mask = None
            count = x.minimum(b.op("sub", rows, top), Imm(size, i64))
            with b.loop(_ZERO, count, 1, "serial") as row:
                x.at.update(self.place(self.p.rows, b.op("add", top, row.var)))
                x.open(frozenset(self.extents) | {ROW})
                spot = b.op("mul", row.var, Imm(self.width, i64))
                lanes = 1 if single else self.width
                x.rows[self.p.reduce.names[0]] = b.load("sums", self.dtype, spot, lanes)
                for stage in x.kernel.stages[1:]:
                    if single:
                        x.scalar_stage(stage, {})
                    else:
                        x.body(stage, 0, [], [])
                x.levels.pop()
            x.vector = x.mask = None
            x.at.clear()

    def sums(self) -> tuple[Operand, ...]:
        """Of each row."""
        b, x, c = self.b, self.x, self.chains
        zeros = (Imm(0, self.dtype, self.width),) * len(self.spots)
        with b.loop(_ZERO, self.depth, self.part, "serial", zeros) as part:
            count = x.minimum(b.op("sub", self.depth, part.var), Imm(self.part, i64))
            whole = b.op("and", count, Imm(-c, i64))
            chains: tuple[Operand, ...] = zeros * c
            for lo, hi, ragged in ((_ZERO, whole, False), (whole, count, True)):
                with b.loop(lo, hi, c, "serial", chains) as line:
                    now = list[Operand](line.carried)
                    for n, (place, there) in enumerate(self.steps(part.var, line.var, count, ragged)):
                        x.at.update(place)
                        self.step(now, n, there)
                    line.yields = tuple(now)
                chains = line.results
            found: list[Operand] = []
            for row, total in enumerate(part.carried):
                vectors: list[Acc] = [(chain,) for chain in chains[row * c : row * c + c]]
                found += x.merge("sum", (total,), x.halve_vectors("sum", vectors))
            part.yields = tuple(found)
        for axis in self.p.depth:
            x.at.pop(axis, None)
        return part.results

    def step(self, now: list[Operand], n: int, there: Operand | None) -> None:
        """One step of chain `n` of every row, if it is there."""
        x = self.x
        mask = None if there is None else self.b.widen(there, self.width)
        right = self.value(self.right.expr)
        for row, spot in enumerate(self.spots):
            x.at.update(spot)
            left = self.value(self.left.expr)
            pair = (left, right) if self.p.left == 0 else (right, left)
            old = (now[row * self.chains + n],)
            (now[row * self.chains + n],) = x.wide(x.step(self.p.reduce, old, pair), old, mask)

    def value(self, expr: k.Expr) -> Operand:
        """Of an operand; what lanes without a column have does not matter."""
        self.x.open(frozenset(self.extents) | {ROW})
        value = self.x.cast(self.x.value(expr), self.dtype)
        self.x.levels.pop()
        return self.b.widen(value, self.width)
