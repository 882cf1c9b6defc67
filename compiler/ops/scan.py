"""Running totals, products and extremes along an axis, in its order, as NumPy's: the same bits."""

from __future__ import annotations

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.types import TensorType, i64
from .complex import Rule, linear, running_product
from .folds import fold
from .index import sums_at
from .record import Array, Attrs, Op, Sample, Types, Vjp, define, fail, operands
from .view import flip


def _scan(name: str, of: str, vjp: Vjp, of_complex: Rule | None = None) -> Op:
    kinds = fold(of).states[0].kinds

    def infer(types: Types, attrs: Attrs) -> TensorType:
        operands(name, types, 1)
        if not 0 <= attrs["axis"] < types[0].ndim:
            fail(name, f"{types[0]} has no axis {attrs['axis']}")
        if types[0].dtype.kind not in kinds:
            fail(name, f"not defined for {types[0].dtype.numpy}")
        return types[0]

    def evaluate(attrs: Attrs, x: Array) -> Array:
        return np.asarray(fold(of).evaluate.accumulate(x, axis=attrs["axis"], dtype=x.dtype))

    samples = (Sample(((9,),), {"axis": 0}), Sample(((3, 5),), {"axis": 0}), Sample(((3, 5),), {"axis": 1}))
    return define(
        name, "scan", infer, evaluate, vjp, of, kinds,
        samples=samples, attrs=("axis",), of_complex=of_complex,
    )  # fmt: skip


def _back(ct: Node, axis: int) -> Node:
    """The sums from each element to the end."""
    return flip(CUMSUM(flip(ct, axis), axis=axis), axis)


def _d_cumprod(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """The products up to i of all but x[j], for j <= i: those of what is not 0, over x[j] if it is not; times
    the one other 0 where there is one, so that the second derivative is right, too; 0 where more are."""
    (x,), axis = node.inputs, node.attrs["axis"]
    zero, one = ops.zeros_like(x), ops.const(1, x)
    is_zero = ops.EQ(x, zero)
    safe, zeros = ops.WHERE(is_zero, one, x), ops.WHERE(is_zero, x, zero)
    so_far = CUMSUM(zeros, axis=axis)  # of one 0, that one
    count = CUMSUM(ops.CAST(is_zero, dtype=i64), axis=axis)
    term = ops.MUL(ct, CUMPROD(safe, axis=axis))

    def of(zeros_up_to: int, value: Node) -> Node:
        return ops.WHERE(ops.EQ(count, ops.const(zeros_up_to, count)), value, zero)

    beside = _back(ops.ADD(of(0, term), of(1, ops.MUL(term, so_far))), axis)
    of_two = of(2, term)
    at_zero = ops.SUB(
        _back(ops.ADD(of(1, term), ops.MUL(of_two, so_far)), axis), ops.MUL(_back(of_two, axis), zeros)
    )
    return (ops.DIV(ops.WHERE(is_zero, at_zero, beside), safe),)


def attained(x: Node, extreme: Node, axis: int) -> Node:
    """Where the running extreme of x was last attained; of NaN, where the last NaN was."""
    step = ops.IOTA(shape=x.shape, axis=axis)
    new = ops.OR(ops.EQ(x, extreme), ops.NE(x, x))
    return CUMMAX(ops.WHERE(new, step, ops.zeros_like(step)), axis=axis)


def _d_extreme(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """All to the last element that attained the extreme so far."""
    (x,), axis = node.inputs, node.attrs["axis"]
    axes = tuple(range(x.type.ndim))
    steps = [attained(x, node, a) if a == axis else ops.IOTA(shape=x.shape, axis=a) for a in axes]
    return (sums_at(ct, *steps, shape=x.shape, axes=axes),)


CUMSUM: Op = _scan("cumsum", "sum", lambda n, ct, _: (_back(ct, n.attrs["axis"]),), linear)
CUMPROD: Op = _scan("cumprod", "prod", _d_cumprod, running_product)
CUMMAX: Op = _scan("cummax", "max", _d_extreme)
CUMMIN: Op = _scan("cummin", "min", _d_extreme)
