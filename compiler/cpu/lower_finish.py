"""After the blocks: their results combined by the same rule, then `finally`.

NAME.finish:  r = part.r[0] ... part.r[blocks - 1]      block b goes to lane b mod L, lanes are halved
              the stages of `finally`
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.layout import part_name, totals
from ..ir.loop import Imm, Operand, Store
from ..ir.types import i64
from ..order import lanes
from .lower import Lowering
from .schedule import Schedule


class FinishLowering:
    """Lowers what is left to do when all blocks of a kernel are done, in any mode."""

    def __init__(self, base: Lowering) -> None:
        self.x = base
        self.b = base.b

    def run(self) -> None:
        blocks = self.x.slot("blocks")
        for reduce in totals(self.x.kernel):
            if reduce.keep:
                self.fold_rows(reduce, blocks)
                self.x.parts[reduce.name] = (self.x.kept_axes(reduce), Imm(0, i64))
            else:
                self.x.rows[reduce.name] = self.fold(reduce, blocks)
        self.x.reduces = {}
        for stage in self.x.kernel.final:
            self.x.hoist(stage, self.x.levels[0])
            if stage.axes:
                self.x.nest(stage, stage.axes, (), [])
            else:
                self.x.scalar_stage(stage, {})

    def fold(self, reduce: k.Reduce, blocks: Operand) -> Operand:
        """Block results of a scalar total, by the rule of a block."""
        plain = k.Reduce(reduce.name, reduce.op, (), reduce.dtype, "all")
        step = self.x.schedule
        self.x.schedule = Schedule(step.mode, step.width, max(step.width, lanes(reduce.dtype)))

        def chunk(u: int, carried: list[Operand]) -> list[Operand]:
            part, mask = part_name(reduce.name), self.x.mask
            value = self.b.load(part, reduce.dtype, self.x.at["blk"], step.width, None, mask)
            new = self.x.combine(reduce.op, carried[u], value)
            carried[u] = new if mask is None else self.b.op("select", mask, new, carried[u])
            return carried

        ends = self.x.vectors("blk", Imm(0, i64), blocks, self.x.accumulators([plain]), chunk)
        self.x.schedule = step
        return self.x.halve(reduce.op, list(ends))

    def fold_rows(self, reduce: k.Reduce, blocks: Operand) -> None:
        """Block results of a total with kept axes, in place, by the same rule: block b goes to
        lane b mod L, then lanes are halved; the result is the first row."""
        b = self.b
        size = self.x.kept_size(reduce)
        part, width = part_name(reduce.name), self.x.schedule.width
        count = lanes(reduce.dtype)
        empty = b.op("eq", blocks, Imm(0, i64))
        fill = self.x.start(reduce, width)
        self.x.each(
            b.op("select", empty, size, Imm(0, i64)),
            lambda index, mask: b.emit(Store(part, index, fill, None, mask)),
        )

        def add(into: Operand, source: Operand) -> None:
            to, at = b.op("mul", into, size), b.op("mul", source, size)

            def code(index: Operand, mask: Operand | None) -> None:
                here = b.op("add", to, index)
                old = b.load(part, reduce.dtype, here, width, None, mask)
                new = b.load(part, reduce.dtype, b.op("add", at, index), width, None, mask)
                b.emit(Store(part, here, self.x.combine(reduce.op, old, new), None, mask))

            self.x.each(size, code)

        with b.loop(Imm(count, i64), blocks, 1, "serial") as later:
            add(b.op("and", later.var, Imm(count - 1, i64)), later.var)
        half = count // 2
        while half:
            beyond = b.op("sub", blocks, Imm(half, i64))
            with b.loop(Imm(0, i64), self.x.minimum(beyond, Imm(half, i64)), 1, "serial") as lane:
                add(lane.var, b.op("add", lane.var, Imm(half, i64)))
            half //= 2
