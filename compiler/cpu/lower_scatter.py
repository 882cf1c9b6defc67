"""Sums, or extremes, at places given by values: each block owns rows of the result, walks all terms in
order, and adds those whose place is among its rows. So no two threads meet, and the order is that of the
terms.

for %blk in %begin .. %end step %several parallel
  for %e in ... vector                         the identity, in rows %lo .. %hi
  for %i in 0 .. %n serial                     the terms
    %p = load place[%i];  %mine = %lo <= %p < %hi
    for %j in 0 .. (%mine ? %m : 0) vector     what lies beside a place
      store o[%p * %o.s0 + %j], ... + ...

Of single elements, those of other blocks are added where nobody looks: it is as good as random whose one is,
and a processor that guesses wrong takes as long as ten additions.
"""

from __future__ import annotations

from itertools import takewhile

from ..ir import kernel as k
from ..ir.loop import BEGIN, END, ONE, ZERO, Imm, Operand
from ..ops.folds import fold
from .lower import Lowering, Mode

# Elements that take what is not a block's own: the next one need not wait for the last.
SPARE = 8


class ScatterLowering(Mode):
    """Lowers one kernel whose schedule says "scatter"."""

    def __init__(self, base: Lowering) -> None:
        super().__init__(base)
        statement = k.alone(base.kernel)
        assert isinstance(statement, k.Scatter)
        self.statement = statement
        (self.stage,) = base.kernel.stages
        self.array = base.arrays[statement.array]
        base.lets.update({stmt.name: stmt for stmt in self.stage.body if isinstance(stmt, k.Let)})
        *_, last = statement.index
        axes = self.stage.axes
        # The last axis lies beside the places: it goes by vectors.
        self.wide = (
            isinstance(last, k.At)
            and bool(axes)
            and last.axis == axes[-1].name
            and axes[-1].extent == self.array.dims[-1]
            and not any(last.axis in base.depends(ix) for ix in statement.index[:-1])
        )
        # Terms of one element of the result come in their order, whichever element is next: what its first
        # subscripts walk goes outermost, so that all terms of a row meet while the cache has it.
        leading = takewhile(lambda ix: isinstance(ix, k.At), statement.index)
        order = {ix.axis: n for n, ix in enumerate(leading) if isinstance(ix, k.At)}
        walked = axes[: len(axes) - self.wide]
        self.axes = tuple(sorted(walked, key=lambda axis: order.get(axis.name, len(order))))

    def run(self) -> None:
        b, x = self.b, self.x
        x.hoist(self.stage, x.levels[0])
        rows = x.extent(self.array.dims[0])
        if not self.wide and not x.schedule.threads:
            b.alloc("spare", self.array.dtype, SPARE)
            with b.loop(0, SPARE, 1, "serial") as each:
                b.store("spare", each.var, Imm(0, self.array.dtype))
        # A CPU is given blocks side by side: where each would walk all terms, they are as good as one.
        apart = x.schedule.threads or isinstance(self.statement.index[0], k.At)
        several = ONE if apart else END - BEGIN
        with b.loop(BEGIN, END, several, "parallel") as block, x.scope():
            self.lo = block.var * x.slot("block")
            end = (block.var + several) * x.slot("block")
            self.hi = x.minimum(end, rows)
            self.clear()
            self.walk(self.axes)

    def clear(self) -> None:
        b, x = self.b, self.x
        row = x.stride(self.array, 0)
        base, count = self.lo * row, (self.hi - self.lo) * row
        start = Imm(
            fold(self.statement.op).states[0].identity(self.array.dtype), self.array.dtype, x.schedule.width
        )

        def code(index: Operand, mask: Operand | None) -> None:
            b.store(self.array.name, base + index, start, mask=mask)

        x.each(count, code)

    def walk(self, axes: tuple[k.Axis, ...]) -> None:
        """The terms: an axis that is the first subscript runs over the block's own rows only."""
        b, x = self.b, self.x
        if not axes:
            self.place()
            return
        first = self.statement.index[0]
        lo: Operand = ZERO
        hi = x.extent(axes[0].extent)
        if first == k.At(axes[0].name):
            lo, hi = self.lo, x.minimum(self.hi, hi)
        with b.loop(lo, hi, 1, "serial") as body, x.scope(axes[0].name) as level:
            x.at[axes[0].name] = body.var
            x.hoist(self.stage, level)
            self.walk(axes[1:])

    def place(self) -> None:
        """One place: whether it is the block's, and what is added there."""
        b, x, array = self.b, self.x, self.array
        known = self.statement.index[:-1] if self.wide else self.statement.index
        base: Operand = ZERO
        mine: Operand | None = None
        for dim, ix in enumerate(known):
            at = x.value(ix)
            ends = (self.lo, self.hi) if dim == 0 else (ZERO, x.extent(array.dims[dim]))
            for test in (at >= ends[0], at < ends[1]):
                mine = x.both(mine, test)
            base = base + at * x.stride(array, dim)
        assert mine is not None or self.wide
        if not self.wide:
            assert mine is not None
            if x.schedule.threads:  # nothing guesses there
                self.add(array.name, base, mine)
                return
            turn = x.at[self.axes[-1].name] & (SPARE - 1) if self.axes else ZERO
            own = b.select(mine, 1, 0)
            self.add(b.window(array.dtype, array.name, base, own, "spare", turn), ZERO, None)
            return
        axis = self.stage.axes[-1]
        count = x.extent(axis.extent)
        if mine is not None:
            count = b.select(mine, count, 0)

        def chunk(u: int) -> None:
            width = x.schedule.width
            index = base + x.at[axis.name]
            old = b.load(array.name, array.dtype, index, width, None, x.mask)
            (new,) = x.merge(self.statement.op, (old,), (b.widen(x.value(self.statement.expr), width),))
            b.store(array.name, index, new, mask=x.mask, loc=self.statement.loc)

        x.vectors(axis.name, ZERO, count, chunk)

    def add(self, name: str, at: Operand, mask: Operand | None) -> None:
        """The value here, to one element."""
        b = self.b
        old = b.load(name, self.array.dtype, at, 1, None, mask)
        (new,) = self.x.merge(self.statement.op, (old,), (self.x.value(self.statement.expr),))
        b.store(name, at, new, mask=mask, loc=self.statement.loc)
