"""Totals over the rows of a block that keep no axis: row r goes to lane r mod ROW_LANES, in working memory,
and lanes are halved in the end.

    total.r0: f32[32]                             starts as what changes nothing
    for row %r:  total.r0[%r and 31] += ...       a row, or a vector of rows at once
    store part.r0[%blk]
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import kernel as k
from ..ir.loop import Body, Imm, Operand
from ..ir.types import i64
from ..ops.folds import Acc
from ..order import ROW_LANES
from .lower import Lowering


class RowTotals:
    """Those of a kernel."""

    def __init__(self, x: Lowering, reduces: list[k.Reduce]) -> None:
        self.x, self.b, self.reduces = x, x.b, reduces
        for reduce in reduces:
            for name, dtype in reduce.results:
                self.b.alloc(_place(name), dtype, ROW_LANES)

    def begin(self) -> None:
        """Of a block."""
        width = self.x.schedule.width
        for reduce in self.reduces:
            for at in range(0, ROW_LANES, width):
                self._put(reduce, Imm(at, i64), self.x.start(reduce, width))

    def add(self, reduce: k.Reduce, row: Operand, lanes: int, join: Callable[[Acc], Acc]) -> None:
        """What `join` makes of what there is: of row `row` of the block, or of so many from there on."""
        at = row & (ROW_LANES - 1)
        self._put(reduce, at, join(self._get(reduce, at, lanes)))

    def end(self, block: Body) -> None:
        """The part of a block."""
        x, width = self.x, self.x.schedule.width
        for reduce in self.reduces:
            with self.b.at(reduce.loc):
                lanes = [self._get(reduce, Imm(at, i64), width) for at in range(0, ROW_LANES, width)]
                x.store_parts(reduce, block.var, x.halved(reduce.op, lanes))

    def _put(self, reduce: k.Reduce, at: Operand, acc: Acc) -> None:
        self.x.save(map(_place, reduce.names), at, acc, reduce.loc)

    def _get(self, reduce: k.Reduce, at: Operand, lanes: int) -> Acc:
        return self.x.saved(map(_place, reduce.names), reduce, at, lanes)


def _place(name: str) -> str:
    return f"total.{name}"
