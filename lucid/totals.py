"""Reductions that are composed of sums, products, maxima and minima of nodes."""

from __future__ import annotations

import math
from collections.abc import Callable

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, b1, f64, i32, i64, u8
from lucid.compiler.ops import Op

from . import complexes
from .promote import Value, cast, float_dtype, number
from .shapes import (
    Axes,
    begun,
    extreme,
    masked,
    mean,
    normal_axes,
    normal_axis,
    reduced,
    some,
    std,
    sum_,
    sum_dtype,
    var,
)  # fmt: skip


def prod(
    x: Node, where: Value | None = None, initial: Value | None = None, *,
    axis: Axes = None, dtype: DType | None = None, keepdims: bool = False,
) -> Node:  # fmt: skip
    """Small integers and bools are multiplied as 64-bit integers, as in NumPy; float16 in float32, inside."""
    result = dtype or sum_dtype(x.type.dtype)
    x = masked(cast(x, result.computed), where, 1)
    return cast(
        begun(ops.MUL, initial, reduced(ops.PROD, x, normal_axes(axis, x.type.ndim), keepdims)), result
    )


def _spread(kept: Node, x: Node) -> Node:
    """What a reduction has kept the axes of, at each element of x."""
    return ops.fill(kept, x.shape)


def is_nan(x: Node) -> Node:
    return ops.NE(x, x)


# --- positions -----------------------------------------------------------------------------------


def argmax(x: Node, *, axis: int | None = None, keepdims: bool = False) -> Node:
    """The position of the first maximum; of the first NaN, if there is one."""
    return _position("argmax", ops.ARGMAX, x, axis, keepdims)


def argmin(x: Node, *, axis: int | None = None, keepdims: bool = False) -> Node:
    """The position of the first minimum; of the first NaN, if there is one."""
    return _position("argmin", ops.ARGMIN, x, axis, keepdims)


def _position(name: str, op: Op, x: Node, axis: int | None, keepdims: bool) -> Node:
    some(name, x, axis)
    axis = axis if x.type.ndim else None
    kept = (1,) * x.type.ndim if axis is None else ops.kept_dims(x.shape, (normal_axis(axis, x.type.ndim),))
    if axis is None:
        x, axis = ops.reshape(x, (x.type.size,)), 0
    along = normal_axis(axis, x.type.ndim)
    x = cast(x, u8) if x.type.dtype is b1 else x
    small = x.shape[along] <= 1 << 31 and x.type.dtype.size <= 4  # then places are no wider than values
    place = ops.IOTA(shape=x.shape, axis=along)
    found = cast(op(x, cast(place, i32) if small else place, axes=(along,)), i64)
    return ops.reshape(found, kept if keepdims else tuple(n for d, n in enumerate(x.shape) if d != along))


# --- sums of exponentials ------------------------------------------------------------------------


def logsumexp(x: Node, *, axis: Axes = None, keepdims: bool = False) -> Node:
    """log(sum(exp(x))), the greatest element taken out first. Of no elements, or of -inf alone: -inf, with
    the gradient 0."""
    if x.type.dtype.is_complex:
        return _complex_logsumexp(x, axis, keepdims)
    result = float_dtype(x)
    x = cast(x, result.computed)
    axes = normal_axes(axis, x.type.ndim)
    kept = ops.kept_dims(x.shape, axes)
    if any(x.shape[a] == 0 for a in axes):
        top = ops.fill(ops.CONST(value=0.0, dtype=x.type.dtype), kept)
    else:
        top = ops.STOP(reduced(ops.AMAX, x, axes, True))
        top = ops.WHERE(ops.EQ(ops.ABS(top), ops.const(math.inf, top)), ops.zeros_like(top), top)
    total = reduced(ops.SUM, ops.EXP_TERM(ops.SUB(x, _spread(top, x))), axes, True)
    none = ops.EQ(total, ops.zeros_like(total))
    log = ops.ADD(ops.LOG(ops.WHERE(none, ops.const(1.0, total), total)), top)
    found = ops.WHERE(none, ops.const(-math.inf, log), log)
    if not keepdims:
        found = ops.reshape(found, tuple(n for k, n in enumerate(x.shape) if k not in axes))
    return cast(found, result)


def _complex_logsumexp(x: Node, axis: Axes, keepdims: bool) -> Node:
    """The greatest real part taken out."""
    x = complexes.taken_apart(x)
    axes = normal_axes(axis, x.type.ndim)
    top = ops.STOP(reduced(ops.AMAX, ops.RE(x), axes, True))
    top = ops.WHERE(ops.EQ(ops.ABS(top), ops.const(math.inf, top)), ops.zeros_like(top), top)
    out = ops.COMPLEX(top, ops.zeros_like(top))
    total = sum_(ops.EXP(ops.SUB(x, _spread(out, x))), axis=axes, keepdims=True)
    found = ops.ADD(ops.LOG(total), out)
    return found if keepdims else ops.reshape(found, tuple(n for k, n in enumerate(x.shape) if k not in axes))


# --- counts, and what leaves NaN out -------------------------------------------------------------


def count_nonzero(x: Node, *, axis: Axes = None, keepdims: bool = False) -> Node:
    return sum_(cast(cast(x, b1), i64), axis=axis, keepdims=keepdims)


def _without_nan(x: Node, value: float) -> Node:
    return ops.WHERE(is_nan(x), ops.const(value, x), x) if x.type.dtype.is_inexact else x


def nansum(
    x: Node, where: Value | None = None, initial: Value | None = None, *,
    axis: Axes = None, dtype: DType | None = None, keepdims: bool = False,
) -> Node:  # fmt: skip
    return sum_(_without_nan(x, 0), where, initial, axis=axis, dtype=dtype, keepdims=keepdims)


def nanprod(
    x: Node, where: Value | None = None, initial: Value | None = None, *,
    axis: Axes = None, dtype: DType | None = None, keepdims: bool = False,
) -> Node:  # fmt: skip
    return prod(_without_nan(x, 1), where, initial, axis=axis, dtype=dtype, keepdims=keepdims)


def _known(x: Node, where: Value | None) -> Node:
    """Where an element counts: it is no NaN, and `where` holds."""
    return masked(ops.NOT(is_nan(x)), where)


def nanmean(
    x: Node, where: Value | None = None, *,
    axis: Axes = None, dtype: DType | None = None, keepdims: bool = False,
) -> Node:  # fmt: skip
    return mean(x, _known(x, where), axis=axis, dtype=dtype, keepdims=keepdims)


def _nan_spread(name: str, build: Callable[..., Node]) -> Callable[..., Node]:
    """The mean squared distance from the mean, or its root, NaN left out; of too few elements NaN."""

    def made(
        x: Node, where: Value | None = None, center: Value | None = None, *,
        axis: Axes = None, dtype: DType | None = None, keepdims: bool = False, ddof: float = 0,
    ) -> Node:  # fmt: skip
        if x.type.dtype.is_complex:
            raise TypeError(f"{name}: not defined for complex numbers; compute with x.real and x.imag")
        known = _known(x, where)
        found = build(x, known, center, axis=axis, dtype=dtype, keepdims=keepdims, ddof=ddof)
        count = cast(count_nonzero(known, axis=axis, keepdims=keepdims), f64)
        enough = ops.LT(ops.fill(ops.SCALAR(value=number(name, "ddof", ddof), dtype=f64), count.shape), count)
        return ops.WHERE(enough, found, ops.const(math.nan, found))

    return made


nanvar = _nan_spread("nanvar", var)
nanstd = _nan_spread("nanstd", std)


def _nan_extreme(name: str, op: Op, of_two: Op, least: float) -> Callable[..., Node]:
    def build(
        x: Node, where: Value | None = None, initial: Value | None = None, *,
        axis: Axes = None, keepdims: bool = False,
    ) -> Node:  # fmt: skip
        found = extreme(name, op, of_two, _without_nan(x, least), where, initial, axis, keepdims)
        if not x.type.dtype.is_float or initial is not None:
            return found
        known = reduced(ops.AMAX, ops.NOT(is_nan(x)), normal_axes(axis, x.type.ndim), keepdims)
        return ops.WHERE(known, found, ops.const(math.nan, found))

    return build


nanmax = _nan_extreme("nanmax", ops.AMAX, ops.MAX, -math.inf)
nanmin = _nan_extreme("nanmin", ops.AMIN, ops.MIN, math.inf)


def ptp(x: Node, *, axis: Axes = None, keepdims: bool = False) -> Node:
    """The greatest element less the least."""
    axes = some("ptp", x, axis)
    return ops.SUB(reduced(ops.AMAX, x, axes, keepdims), reduced(ops.AMIN, x, axes, keepdims))


# --- weights -------------------------------------------------------------------------------------


def weights_of(x: Node, weights: Value, axis: Axes) -> Node:
    """The weights of `average` at each element of x, in the dtype of the result."""
    w = weights if isinstance(weights, Node) else cast(weights, f64)
    dtype = float_dtype(x, w)
    if w.shape != x.shape:
        axes = normal_axes(axis, x.type.ndim)
        if axis is None:
            raise TypeError(f"average: weights of shape {w.shape} for shape {x.shape} need an axis")
        if w.shape != tuple(x.shape[a] for a in axes):
            raise ValueError(f"average: weights of shape {w.shape} do not fit {x.shape} along axis {axis}")
        w = ops.reshape(w, tuple(n if k in axes else 1 for k, n in enumerate(x.shape)))
    return ops.fill(cast(w, dtype), x.shape)


def average(x: Node, weights: Value | None, *, axis: Axes = None, keepdims: bool = False) -> Node:
    """sum(w x) / sum(w)."""
    if weights is None:
        return mean(x, axis=axis, keepdims=keepdims)
    w = weights_of(x, weights, axis)
    product = sum_(ops.MUL(cast(x, w.type.dtype), w), axis=axis, keepdims=keepdims)
    return ops.DIV(product, sum_(w, axis=axis, keepdims=keepdims))


def sum_of_weights(x: Node, weights: Value | None, *, axis: Axes = None, keepdims: bool = False) -> Node:
    if weights is None:
        weights = ops.const(1.0, cast(x, float_dtype(x)))
    return sum_(weights_of(x, weights, axis), axis=axis, keepdims=keepdims)
