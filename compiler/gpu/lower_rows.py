"""Rows by a team of warps: what is read of a row, and is needed again, waits in shared memory, and so do
costly values. So a row is read once from memory.

shared row.0: f32[%n]
for row i of a block:
  stage j:  row.0[j] = x[i, j];  top = max(row.0[j])
  stage j:  row.0[j] = exp(row.0[j] - top);  total = sum(row.0[j])
  stage j:  o[i, j] = row.0[j] / total

Each element is that of one lane in all stages, so nobody waits for others but where lanes are combined.
"""

from __future__ import annotations

from ..cpu.lower import Lowering
from ..cpu.lower_rows import RowLowering
from ..ir import kernel as k
from ..ir.data import data
from ..ir.loop import Operand
from ..ir.types import DType
from .lower_whole import at_once
from .schedule import KEPT, kept_axis


@data
class _Waits:
    """What waits from stage `first` on until stage `last`: a load, or the number of a cache."""

    first: int
    last: int
    dtype: DType
    load: k.Load | None
    cache: int = 0


class WarpRowLowering(RowLowering):
    """Lowers one kernel whose schedule says "rows"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        axis = kept_axis(base.kernel)
        if axis is not None:
            self.keep(axis)

    def streams(self) -> Operand | None:
        return at_once(self.x)

    def keep(self, axis: k.Axis) -> None:
        """Shared memory for as much as there is room for; what is needed no more gives its place to what
        begins to wait."""
        rows: list[tuple[DType, int]] = []  # of shared memory: until which stage it is taken
        for one in sorted(self.waits(axis), key=lambda w: w.first):
            free = [n for n, (dtype, last) in enumerate(rows) if dtype == one.dtype and last <= one.first]
            if not free and sum(dtype.size for dtype, _ in rows) + one.dtype.size > KEPT:
                continue
            number = free[0] if free else len(rows)
            rows[number : number + 1] = [(one.dtype, one.last)]
            if one.load is not None:
                self.x.kept[one.load] = f"keep.{number}", one.first
            else:
                self.kept[self.caches[one.cache]] = f"keep.{number}"
        for number, (dtype, _) in enumerate(rows):
            self.b.alloc(f"keep.{number}", dtype, self.x.slot(str(axis.extent)), shared=True)

    def waits(self, axis: k.Axis) -> list[_Waits]:
        x, found = self.x, dict[k.Load, list[int]]()
        for number, stage in enumerate(self.kernel.stages):
            for load in self.loads_of(number) if stage.axes else ():
                axes = {ix.axis for ix in load.index}
                if load.array in x.arrays and axis.name in axes and x.outer & axes:
                    found.setdefault(load, []).append(number)
        every = [
            _Waits(min(at), max(at), x.arrays[load.array].dtype, load)
            for load, at in found.items()
            if min(at) < max(at)
        ]
        for number, cache in enumerate(self.caches):
            every.append(_Waits(cache.first, cache.last, x.arrays[cache.store.array].dtype, None, number))
        return every

    def loads_of(self, number: int) -> dict[k.Load, None]:
        """What a stage reads, but not for values that wait for it."""
        lets = {s.name: s.expr for stage in self.kernel.stages for s in stage.body if isinstance(s, k.Let)}
        found, seen = dict[k.Load, None](), set[k.Expr]()

        def visit(expr: k.Expr) -> None:
            if expr in seen or (number, expr) in self.x.cached:
                return
            seen.add(expr)
            if isinstance(expr, k.Load):
                found[expr] = None
            if isinstance(expr, k.Ref) and expr.name in lets:
                visit(lets[expr.name])
            for part in k.parts(expr):
                visit(part)

        for stmt in self.kernel.stages[number].body:
            for operand in k.operands(stmt):
                visit(operand)
        return found
