"""Products of one row: a vector times a matrix. It is read once, so nothing is packed.

    for block of columns (parallel):
      sums[columns] += left[l] * right[l, columns]   for l in depth, eight steps to a walk along the columns
      epilogue, by vectors along the columns

Where the matrix runs along memory with the depth, vectors do too, one for each of as many columns as they
have lanes, and are transposed in registers. Each sum runs along the depth in order, one fma a step, as in
products of more rows.
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.loop import BEGIN, END, Alloc, Imm, Operand, Store
from ..ir.types import i64
from .lower import ROW, Lowering
from .lower_product import ProductLowering
from .schedule import VECTOR_COLUMNS

# Steps of the depth in one walk along the columns: each has a stream of its own from memory.
TOGETHER = 8


class VectorLowering(ProductLowering):
    """Lowers one kernel whose schedule says "vector"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        self.column = self.p.column
        self.one = self.extents[self.column] == 1

    def run(self) -> None:
        b, x = self.b, self.x
        for stage in x.kernel.stages:
            x.hoist(stage, x.levels[0])
        b.emit(Alloc("sums", self.dtype, VECTOR_COLUMNS))
        with b.loop(BEGIN, END, 1, "parallel") as block:
            parts = x.slot("block")
            x.at.update(self.place(self.p.batch, b.op("div", block.var, parts)))
            x.at.update(self.place(self.p.rows, Imm(0, i64)))
            lo, hi = self.share(self.right, b.op("rem", block.var, parts), parts)
            level = x.open(frozenset(self.p.batch + self.p.rows))
            for stage in x.kernel.stages:
                x.hoist(stage, level)
            if self.one:
                self.single()
            else:
                if self.along_depth():
                    self.across(lo, hi)
                else:
                    self.along(lo, hi)
                self.columns(lo, hi)
            x.levels.pop()
            x.at.clear()

    def along_depth(self) -> bool:
        """Whether the matrix runs along memory with the depth."""
        loads = [e for e in k.walk(self.right.expr) if isinstance(e, k.Load) and e.index]
        lasts = [e.index[-1].axis for e in loads if self.x.arrays[e.array].unit]
        return len(self.p.depth) == 1 and self.p.depth[0] in lasts and self.column not in lasts

    def at_depth(self, number: Operand, expr: k.Expr) -> Operand:
        """An operand at a step of the depth, in the accumulator's dtype."""
        x = self.x
        x.at.update(self.place(self.p.depth, number))
        x.open(frozenset(self.extents) | {ROW})
        value = x.cast(x.value(expr), self.dtype)
        x.levels.pop()
        return value

    def step(self, total: Operand, one: Operand, other: Operand) -> Operand:
        pair = (one, other) if self.p.left == 0 else (other, one)
        return self.x.combine("dot", total, *(self.b.widen(v, total.lanes) for v in pair))

    # -- sums

    def single(self) -> None:
        """One column, too: a chain of steps."""
        b, x = self.b, self.x
        with b.loop(Imm(0, i64), self.depth, 1, "serial", (Imm(0, self.dtype),)) as line:
            one, other = (self.at_depth(line.var, side.expr) for side in (self.left, self.right))
            line.yields = (self.step(line.carried[0], one, other),)
        x.at[self.column] = Imm(0, i64)
        x.rows[self.p.reduce.name] = line.results[0]
        x.open(frozenset(self.extents) | {ROW})
        for stage in x.kernel.stages[1:]:
            x.scalar_stage(stage, {})
        x.levels.pop()

    def along(self, lo: Operand, hi: Operand) -> None:
        """Several steps of the depth at a time."""
        b, x = self.b, self.x
        with b.loop(Imm(0, i64), b.op("sub", hi, lo), self.width, "vector") as clear:
            b.emit(Store("sums", clear.var, Imm(0, self.dtype, self.width)))
        whole = b.op("and", self.depth, Imm(-TOGETHER, i64))
        for begin, end, count in ((Imm(0, i64), whole, TOGETHER), (whole, self.depth, 1)):
            with b.loop(begin, end, count, "serial") as line:
                steps = [self.plus(line.var, n) for n in range(count)]
                ones = [self.at_depth(step, self.left.expr) for step in steps]

                def chunk(
                    u: int, carried: list[Operand], steps: list[Operand] = steps, ones: list[Operand] = ones
                ) -> list[Operand]:
                    spot = b.op("sub", x.at[self.column], lo)
                    total: Operand = b.load("sums", self.dtype, spot, self.width)
                    for number, one in zip(steps, ones, strict=True):
                        total = self.step(total, one, self.at_depth(number, self.right.expr))
                    b.emit(Store("sums", spot, total))
                    return carried

                x.vectors(self.column, lo, hi, (), chunk)

    def across(self, lo: Operand, hi: Operand) -> None:
        """As many columns as vectors have lanes; then the steps of the depth that are left, one by one."""
        b, x = self.b, self.x
        (depth,) = self.p.depth
        whole = b.op("and", self.depth, Imm(-self.width, i64))
        last = self.plus(hi, -1)
        with b.loop(lo, hi, self.width, "serial") as tile:
            numbers = [x.minimum(self.plus(tile.var, n), last) for n in range(self.width)]
            zero: tuple[Operand, ...] = (Imm(0, self.dtype, self.width),)
            with b.loop(Imm(0, i64), whole, self.width, "vector", zero) as line:
                vectors = []
                for x.at[self.column] in numbers:
                    x.vector = depth
                    vectors.append(b.widen(self.at_depth(line.var, self.right.expr), self.width))
                x.vector = None
                total: Operand = line.carried[0]
                for n, vector in enumerate(x.transposed(vectors)):
                    one = self.at_depth(self.plus(line.var, n), self.left.expr)
                    total = self.step(total, one, vector)
                line.yields = (total,)
            with b.loop(whole, self.depth, 1, "serial", line.results) as rest:
                one = self.at_depth(rest.var, self.left.expr)
                x.at[self.column], x.vector = tile.var, self.column
                x.mask = x.first_lanes(b.op("sub", hi, tile.var))
                other = self.at_depth(rest.var, self.right.expr)
                x.vector, x.mask = None, None
                rest.yields = (self.step(rest.carried[0], one, other),)
            b.emit(Store("sums", b.op("sub", tile.var, lo), rest.results[0]))

    def columns(self, lo: Operand, hi: Operand) -> None:
        """What follows the sums."""
        b, x = self.b, self.x

        def chunk(u: int, carried: list[Operand]) -> list[Operand]:
            spot = b.op("sub", x.at[self.column], lo)
            x.rows[self.p.reduce.name] = b.load("sums", self.dtype, spot, self.width)
            for stage in x.kernel.stages[1:]:
                x.body(stage, 0, [], [])
            return carried

        x.vectors(self.column, lo, hi, (), chunk)
