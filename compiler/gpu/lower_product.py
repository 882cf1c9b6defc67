"""Matrix products by warps: a lane has a few columns, 32 apart, and in registers sums of a few rows.

for block of ROWS rows x COLUMNS vectors of 32 columns (parallel):
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
from ..ir.loop import BEGIN, END, ZERO, Imm, Operand
from ..ir.types import i64
from ..ops.folds import Acc

_Step = tuple[dict[str, Operand], Operand | None]  # the axes of the depth; whether it is there, None if so


class WarpProductLowering(ProductLowering):
    """Lowers one kernel whose schedule says "product" or "vector"."""

    def run(self) -> None:
        b, x, (size, wide) = self.b, self.x, self.x.schedule.tile
        across = wide * self.width
        b.alloc("sums", self.dtype, size * across)
        x.hoist_all()
        rows, columns = self.left.count, self.right.count
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            down = x.slot("block")
            strips = x.pieces(columns, across)
            number, line = block.var // down, block.var % down
            strip = number % strips  # warps side by side have the same columns
            x.at.update(self.place(self.p.batch, number // strips))
            top = line * size
            first = strip * across
            last = rows - 1
            self.spots = [
                self.place(self.p.rows, x.minimum(top + n, last) if size > 1 else top) for n in range(size)
            ]
            firsts = [first + u * self.width for u in range(wide)]
            self.vectors = [(at, x.first_lanes(columns - at)) for at in firsts]
            x.vector = self.p.column
            with b.at(self.p.reduce.loc):
                totals = self.sums()
            for n, total in enumerate(totals):
                self.put("sums", Imm(n * self.width, i64), total)
            single = self.extents[self.p.column] == 1  # results do not vary with it
            if single:
                x.vector = None
            count = x.minimum(rows - top, size)
            with b.loop(0, count, 1, "serial") as row:
                x.at.update(self.place(self.p.rows, top + row.var))
                spot = row.var * across
                lanes = 1 if single else self.width
                for u, (column, mask) in enumerate(self.vectors):
                    with x.scope(*self.extents, ROW):
                        x.at[self.p.column], x.mask = column, None if single else mask
                        at = spot + u * self.width
                        x.rows[self.p.reduce.names[0]] = b.load("sums", self.dtype, at, lanes)
                        for stage in x.kernel.stages[1:]:
                            if single:
                                x.scalar_stage(stage)
                            else:
                                x.body(stage, 0)

    def steps(self, start: Operand, line: Operand, count: Operand, ragged: bool) -> list[_Step]:
        """Where the next steps of all chains are; where the depth may end before, whether they are there."""
        found = list[_Step]()
        for n in range(self.chains):
            number, there = line + n, None
            if ragged:
                there = number < count
                number = self.x.minimum(number, count - 1)
            found.append((self.place(self.p.depth, start + number), there))
        return found

    def sums(self) -> tuple[Operand, ...]:
        """Of each row, its vectors one after the other."""
        b, x, c = self.b, self.x, self.chains
        zeros = (Imm(0, self.dtype, self.width),) * (len(self.spots) * len(self.vectors))
        with b.loop(0, self.depth, self.part, "serial", zeros) as part:
            count = x.minimum(self.depth - part.var, self.part)
            whole = count & -c
            chains: tuple[Operand, ...] = zeros * c
            for lo, hi, ragged in ((ZERO, whole, False), (whole, count, True)):
                with b.loop(lo, hi, c, "serial", chains) as line:
                    now = list[Operand](line.carried)
                    for n, (place, there) in enumerate(self.steps(part.var, line.var, count, ragged)):
                        x.at.update(place)
                        self.step(now, n, there)
                    line.yields = tuple(now)
                chains = line.results
            found: list[Operand] = []
            for n, total in enumerate(part.carried):
                vectors: list[Acc] = [(chain,) for chain in chains[n * c : n * c + c]]
                found += x.merge("sum", (total,), x.halve_vectors("sum", vectors))
            part.yields = tuple(found)
        return part.results

    def step(self, now: list[Operand], n: int, there: Operand | None) -> None:
        """One step of chain `n` of every row, if it is there."""
        x = self.x
        mask = None if there is None else self.b.widen(there, self.width)
        rights = []
        for first, x.mask in self.vectors:
            x.at[self.p.column] = first
            rights.append(self.value(self.right.expr))
        at = n
        for spot in self.spots:
            x.at.update(spot)
            left = self.value(self.left.expr)
            for right in rights:
                new = self.added(now[at], left, right)
                (now[at],) = x.wide((new,), (now[at],), mask)
                at += self.chains

    def value(self, expr: k.Expr) -> Operand:
        """Of an operand; what lanes without a column have does not matter."""
        with self.x.scope(*self.extents, ROW):
            return self.b.widen(self.x.cast(self.x.value(expr), self.dtype), self.width)
