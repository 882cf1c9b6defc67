"""Running totals along an axis, added up in its order, as NumPy does: the same bits."""

from __future__ import annotations

from .. import ops  # at call time: families refer to each other
from ..ir.folds import fold
from ..ir.graph import Node
from ..ir.types import TensorType
from .record import Array, Attrs, Op, Sample, Types, Vjp, fail, operands, register
from .view import flip


def _scan(name: str, of: str, vjp: Vjp, kinds: str) -> Op:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        operands(name, types, 1)
        if not 0 <= attrs["axis"] < types[0].ndim:
            fail(name, f"{types[0]} has no axis {attrs['axis']}")
        if types[0].dtype.kind not in kinds:
            fail(name, f"not defined for {types[0].dtype.numpy}")
        return types[0]

    def evaluate(attrs: Attrs, x: Array) -> Array:
        return fold(of).evaluate.accumulate(x, axis=attrs["axis"], dtype=x.dtype)

    samples = (Sample(((9,),), {"axis": 0}), Sample(((3, 5),), {"axis": 0}), Sample(((3, 5),), {"axis": 1}))
    return register(Op(name, "scan", infer, evaluate, vjp, of, kinds, samples=samples, attrs=("axis",)))


def _d_cumsum(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    axis = node.attrs["axis"]
    return (flip(CUMSUM(flip(ct, axis), axis=axis), axis),)


def _d_extreme(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """All to the last element that attained the extreme so far."""
    (x,), axis = node.inputs, node.attrs["axis"]
    axes = tuple(range(x.type.ndim))
    steps = [ops.IOTA(shape=x.shape, axis=a) for a in axes]
    new = ops.WHERE(ops.EQ(x, node), steps[axis], ops.zeros_like(steps[axis]))
    steps[axis] = CUMMAX(new, axis=axis)
    return (ops.SCATTER_ADD(ct, *steps, shape=x.shape, axes=axes),)


CUMSUM: Op = _scan("cumsum", "sum", _d_cumsum, "iuf")
CUMMAX: Op = _scan("cummax", "max", _d_extreme, "biuf")
CUMMIN: Op = _scan("cummin", "min", _d_extreme, "biuf")
