"""Scans: running totals along one axis, in its order, whatever lies beside it.

Along memory, several rows at a time, so that one need not wait for the other's last sum:

for %r in %lo .. %main step 4 serial
  for %j in 0 .. %n serial (%a, %b, %c, %d)     the total of each row so far
    store o[%r * %o.s0 + %j], %a + ...

Across memory, columns by vectors, where the row above holds the totals so far:

for %j in %left .. %right vector                the first row as it is
for %i in 1 .. %n serial
  for %j in %left .. %right vector
    store o[%i * %o.s0 + %j], o[(%i - 1) * %o.s0 + %j] + ...
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.loop import BEGIN, END, ONE, ZERO, Imm, Operand
from ..ops.folds import fold
from .lower import Lowering, Mode
from .values import Level

# Rows whose sums are under way at once: an addition takes four times as long as until the next can begin.
TOGETHER = 4


class ScanLowering(Mode):
    """Lowers one kernel whose schedule says "scan"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        statement = k.alone(base.kernel)
        assert isinstance(statement, k.Scan)
        self.statement = statement
        (self.stage,) = base.kernel.stages
        self.array = base.arrays[statement.array]
        self.extent = base.extent(self.stage.axes[0].extent)

    def run(self) -> None:
        b, x, outer = self.b, self.x, self.x.kernel.outer
        x.hoist(self.stage, x.levels[0])
        across = self.statement.index[-1].axis != self.statement.over
        with b.loop(BEGIN, END, 1, "parallel") as block, x.scope():
            if across:
                self.columns(block.var, outer[:-1], outer[-1])
            else:
                self.rows(block.var, outer)

    def step(self, so_far: Operand, value: Operand) -> Operand:
        return self.x.merge(self.statement.op, (so_far,), (value,))[0]

    # -- along memory

    def rows(self, block: Operand, outer: tuple[k.Axis, ...]) -> None:
        b, x = self.b, self.x
        lo, hi = x.share(block, x.slot("block"), x.points(outer))
        main = x.whole(lo, hi, TOGETHER)
        for begin, end, several in ((lo, main, TOGETHER), (main, hi, 1)):
            with b.loop(begin, end, several, "serial") as turn:
                self.together([n + turn.var for n in range(several)], outer)

    def together(self, numbers: list[Operand], outer: tuple[k.Axis, ...]) -> None:
        """The rows of these numbers, element by element."""
        b, x, over = self.b, self.x, self.statement.over
        spots = [x.point(number, outer) for number in numbers]
        known: list[Level] = []
        for spot in spots:
            with x.scope(*spot) as level:
                known.append(level)
                x.at.update(spot)
                x.hoist(self.stage, level)
        nothing = Imm(fold(self.statement.op).states[0].neutral(self.array.dtype), self.array.dtype)
        with b.loop(0, self.extent, 1, "serial", (nothing,) * len(spots)) as turn:
            totals: list[Operand] = []
            for spot, level, so_far in zip(spots, known, turn.carried, strict=True):
                with x.scope(known=level), x.scope(over):
                    x.at.update({**spot, over: turn.var})
                    totals.append(self.step(so_far, x.value(self.statement.expr)))
                    index, _, _ = x.address(self.array, self.statement.index)
                    b.store(self.array.name, index, totals[-1], loc=self.statement.loc)
            turn.yields = tuple(totals)

    # -- across memory

    def columns(self, block: Operand, batch: tuple[k.Axis, ...], column: k.Axis) -> None:
        b, x, over = self.b, self.x, self.statement.over
        width = x.extent(column.extent)
        strips = x.pieces(width, x.slot("block"))
        left, right = x.share(block % strips, x.slot("block"), width)
        x.at.update(x.point(block // strips, batch))
        with x.scope(*x.at) as level:
            x.hoist(self.stage, level)
            for begin, end, first in ((ZERO, x.minimum(ONE, self.extent), True), (ONE, self.extent, False)):
                with b.loop(begin, end, 1, "serial") as turn, x.scope(over) as row:
                    x.at[over] = turn.var
                    x.hoist(self.stage, row)
                    self.line(column.name, left, right, first)

    def line(self, column: str, left: Operand, right: Operand, first: bool) -> None:
        b, x, statement, lanes = self.b, self.x, self.statement, self.x.schedule.width

        def chunk(u: int) -> None:
            value = b.widen(x.value(statement.expr), lanes)
            index, _, _ = x.address(self.array, statement.index)
            if not first:
                here, x.at[statement.over] = x.at[statement.over], x.at[statement.over] - 1
                above, _, _ = x.address(self.array, statement.index)
                x.at[statement.over] = here
                so_far = b.load(self.array.name, self.array.dtype, above, lanes, None, x.mask)
                value = b.widen(self.step(so_far, value), lanes)
            b.store(self.array.name, index, value, mask=x.mask, loc=statement.loc)

        x.vectors(column, left, right, chunk)
