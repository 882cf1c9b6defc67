"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import Node
from ..ir.rounding import computed
from ..ir.types import TensorType, b1, i32, tensor_type
from .complex import linear, product
from .elementwise import CAST, DIV, EQ, MUL, NE, OR, SUB, WHERE
from .folds import fold
from .leaves import CONST, const, fill, zeros_like
from .record import Array, Attrs, Op, Sample, Types, Vjp, define, fail, operands
from .view import BROADCAST, PAD, reshape


def kept_dims(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with 1 at `axes`: a reduction's result, made broadcastable to its operand again."""
    return tuple(1 if d in axes else n for d, n in enumerate(shape))


def _reduction(name: str, kinds: str) -> Callable[..., TensorType]:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        operands(name, types, 1)
        axes = attrs["axes"]
        if len(set(axes)) != len(axes) or any(not 0 <= a < types[0].ndim for a in axes):
            fail(name, f"axes {axes} do not fit {types[0]}")
        if types[0].dtype.kind not in kinds:
            fail(name, f"not defined for {types[0].dtype.numpy}")
        shape = tuple(n for d, n in enumerate(types[0].shape) if d not in axes)
        if name not in ("sum", "prod") and any(types[0].shape[a] == 0 for a in axes):
            raise ValueError(f"{name} of zero elements has no value (operand {types[0]})")
        return tensor_type(types[0].dtype, shape)

    return infer


def _total(ufunc: np.ufunc) -> Callable[[Attrs, Array], Array]:
    def evaluate(attrs: Attrs, x: Array) -> Array:
        """Accumulated as the kernels do."""

        def reduce(x: Array) -> Array:
            return np.asarray(ufunc.reduce(x, axis=attrs["axes"], dtype=x.dtype))

        with np.errstate(all="ignore"):
            return computed(reduce, x)

    return evaluate


def _spread(node: Node, shape: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    """A reduction's result at each element of its operand."""
    kept = reshape(node, kept_dims(shape, axes))
    return kept if kept.shape == shape else BROADCAST(kept, shape=shape)


def _d_prod(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """The product of all others: that of those that are not 0, over x where it is not 0 itself; where one
    other is 0, times that one, so that the second derivative is right, too; where more are, 0."""
    x, axes = node.inputs[0], node.attrs["axes"]
    zero, one = zeros_like(x), const(1, x)
    is_zero = EQ(x, zero)
    safe, zeros = WHERE(is_zero, one, x), WHERE(is_zero, x, zero)
    count = CAST(is_zero, dtype=i32)
    others = SUB(_spread(SUM(count, axes=axes), x.shape, axes), count)
    product = DIV(_spread(MUL(ct, PROD(safe, axes=axes)), x.shape, axes), safe)
    other = SUB(_spread(SUM(zeros, axes=axes), x.shape, axes), zeros)
    few = WHERE(EQ(others, const(0, others)), one, WHERE(EQ(others, const(1, others)), other, zero))
    return (MUL(product, few),)


def _d_extreme(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Equal shares to all elements that attain the extreme: where that is NaN, those that are NaN."""
    x, axes = node.inputs[0], node.attrs["axes"]
    # one NaN among the elements makes the extreme NaN
    hit = OR(EQ(x, _spread(node, x.shape, axes)), NE(x, x))
    share = DIV(ct, SUM(CAST(hit, dtype=ct.type.dtype), axes=axes))
    return (WHERE(hit, _spread(share, x.shape, axes), zeros_like(x)),)


_REDUCE_SAMPLES = (
    Sample(((7,),), {"axes": (0,)}), Sample(((3, 5),), {"axes": (1,)}),
    Sample(((3, 5),), {"axes": (0,)}), Sample(((3, 5),), {"axes": (0, 1)}),
    Sample(((2, 3, 4),), {"axes": (0, 2)}),
)  # fmt: skip


def _reduced(name: str, of: str, vjp: Vjp, **more: Any) -> Op:
    """The reduction by a fold."""
    kinds, evaluate = fold(of).states[0].kinds, _total(fold(of).evaluate)
    return define(
        name, "reduce", _reduction(name, kinds), evaluate, vjp, of, kinds, attrs=("axes",),
        samples=_REDUCE_SAMPLES, **more,
    )  # fmt: skip


SUM = _reduced(
    "sum", "sum", lambda n, ct, _: (_spread(ct, n.inputs[0].shape, n.attrs["axes"]),),
    exact=False, of_complex=linear,
)  # fmt: skip
PROD: Op = _reduced("prod", "prod", _d_prod, exact=False, of_complex=product)
AMAX = _reduced("amax", "max", _d_extreme)
AMIN = _reduced("amin", "min", _d_extreme)


def _infer_place(name: str) -> Callable[..., TensorType]:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        operands(name, types, 2)
        values, places = types
        if values.shape != places.shape or places.dtype.kind not in "iu":
            fail(name, f"{values} has no places {places}")
        return tensor_type(places.dtype, _reduction(name, "iuf")((values,), attrs).shape)

    return infer


def _place(best: np.ufunc) -> Callable[..., Array]:
    def evaluate(attrs: Attrs, x: Array, places: Array) -> Array:
        axes = attrs["axes"]
        hit = (x == best.reduce(x, axis=axes, keepdims=True)) | (x != x)
        return np.asarray(np.where(hit, places, np.iinfo(places.dtype).max).min(axis=axes))

    return evaluate


def _position(name: str, best: np.ufunc) -> Op:
    """Of elements and their places, the least place of an element that is the extreme (any NaN, if there is
    one)."""
    samples = tuple(Sample(s.shapes * 2, s.attrs, indices=(1 << 20,)) for s in _REDUCE_SAMPLES)
    return define(
        name, "reduce", _infer_place(name), _place(best), None, name, "iuf", attrs=("axes",),
        samples=samples,
    )  # fmt: skip


ARGMAX = _position("argmax", np.maximum)
ARGMIN = _position("argmin", np.minimum)


def sum_(node: Node, axes: tuple[int, ...]) -> Node:
    return SUM(node, axes=axes) if axes else node


def any_(mask: Node, axes: tuple[int, ...]) -> Node:
    """Whether any of the elements along `axes` is true; without a reduction where all of them are alike."""
    if not axes:
        return mask
    shape = tuple([n for d, n in enumerate(mask.shape) if d not in axes])
    source = mask.inputs[0] if mask.inputs else mask
    if mask.op is BROADCAST:
        lead = mask.type.ndim - source.type.ndim
        return fill(any_(source, tuple([a - lead for a in axes if a >= lead])), shape)
    if mask.op is PAD:
        lo, hi = ([n for d, n in enumerate(mask.attrs[k]) if d not in axes] for k in ("lo", "hi"))
        return PAD(any_(source, axes), lo=tuple(lo), hi=tuple(hi))
    if any(mask.shape[a] == 0 for a in axes):
        return fill(CONST(value=False, dtype=b1), shape)
    return AMAX(mask, axes=axes)
