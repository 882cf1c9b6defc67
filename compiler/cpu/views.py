"""Windows on the rows of arrays: an address in an inner loop is then one sum of two registers.

%r = mul %i, %x.s0                 window row = x[%r]
%v = load x[%r + %j]         =>    %v = load row[%j]
"""

from __future__ import annotations

from ..ir import kernel as k
from ..ir.loop import ZERO, Operand
from .lower import Lowering
from .values import View


def walks(x: Lowering, number: int) -> list[View]:
    """What a stage walks along in arrays, one element after the other, and what it asks for on the way."""
    stage, found = x.kernel.stages[number], dict[View, None]()
    found |= {(e.array, e.index, ZERO): None for e in k.expressions(stage) if isinstance(e, k.Load)}
    found |= {(s.array, s.index, ZERO): None for s in stage.body if isinstance(s, k.Store)}
    found |= {(load.array, load.index, away): None for load, away in x.prefetches.get(number, ())}
    return [(name, index, ahead) for name, index, ahead in found if _is_row(x, name, index)]


def _is_row(x: Lowering, name: str, index: tuple[k.Index, ...]) -> bool:
    array = x.arrays.get(name)
    if array is None or not array.unit or len(index) < 2 or any(ix.shift for ix in index):
        return False
    *outer, inner = (ix.axis for ix in index)
    return inner not in x.outer and x.outer.issuperset(outer)


def start(x: Lowering, array: k.Array, index: tuple[k.Index, ...]) -> Operand:
    """The element with which a walk begins, in the current row."""
    with x.scope():
        x.at[index[-1].axis] = ZERO
        return x.address(array, index)[0]


def windows(x: Lowering, expr: k.Expr, axis: str) -> dict[View, str]:
    """Windows on what an expression walks along with an axis, from its first element on."""
    found = dict[View, str]()
    for e in k.walk(expr):
        if isinstance(e, k.Load) and not any(ix.shift for ix in e.index):
            array, axes = x.arrays[e.array], [ix.axis for ix in e.index]
            if (array.unit or array.step) and axis in axes and axes.index(axis) == len(axes) - 1:
                found[e.array, e.index, ZERO] = x.b.window(array.dtype, e.array, start(x, array, e.index))
    return found
