"""Losses, activations and normalisations as graphs of nodes.

Literals of a formula are constants of the kernel; what the user chooses (delta, eps) is an operand.
float16 is computed in float32 and rounded once. Nothing overflows inside where the result does not, but for
squares and sums of float32 and float64 that are beyond the format (`docs/architecture.md` says which).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from .. import composed, reuse
from ..promote import cast, filled, float_dtype, joint, spread
from ..shapes import amax, matmul, mean, normal_axis, sum_, transpose

Formula = Callable[..., Node]


def in_wide(formula: Formula) -> Formula:
    """`formula` over float16 or bfloat16 in float32, its result rounded once."""

    @functools.wraps(formula)
    def build(*operands: Node | None, **attrs: Any) -> Node:
        result = float_dtype(*[n for n in operands if n is not None])
        if result.wide is None:
            return formula(*operands, **attrs)
        wide = [None if n is None else cast(n, result.computed) for n in operands]
        return cast(formula(*wide, **attrs), result)

    return reuse.formula(build)


# --- losses --------------------------------------------------------------------------------------
# d = input - target, a = |d|. `where` never lets the branch that was not taken into value or gradient.


def _distance(name: str, x: Node, y: Node, weight: Node | None) -> tuple[Node, Node | None]:
    """d, and the weight in its dtype and shape. Integers become float64."""
    dtype = float_dtype(x, y) if weight is None else float_dtype(x, y, weight)
    a, b = joint(name, dtype, x, y)
    d = ops.SUB(a, b)
    if weight is None:
        return d, None
    return d, ops.fill(cast(weight, dtype), d.shape)


def _reduced(element: Node, reduction: str) -> Node:
    if reduction == "none":
        return element
    return mean(element) if reduction == "mean" else sum_(element)


def _weighted(element: Node, weight: Node | None, reduction: str) -> Node:
    """Mean is the sum of w * l over the sum of w."""
    if weight is None:
        return _reduced(element, reduction)
    product = ops.MUL(weight, element)
    if reduction == "mean":
        return ops.DIV(sum_(product), sum_(weight))
    return _reduced(product, reduction)


def _huber_element(d: Node, delta: float) -> Node:
    """d²/2 where a < delta, else delta (a - delta/2). At a tie both agree; `<` makes the second
    derivative 0 there. An infinite delta never ends the parabola, not even for an infinite d."""
    half = ops.const(0.5, d)
    parabola = ops.MUL(half, ops.MUL(d, d))
    if delta == math.inf:
        return parabola
    a, limit = ops.ABS(d), filled(delta, d.type)
    line = ops.MUL(limit, ops.SUB(a, ops.MUL(half, limit)))
    return ops.WHERE(ops.LT(a, limit), parabola, line)


@in_wide
def huber_loss(x: Node, y: Node, weight: Node | None, *, delta: float, reduction: str) -> Node:
    """Weighted: the plain mean of w * l."""
    d, w = _distance("huber_loss", x, y, weight)
    element = _huber_element(d, delta)
    return _reduced(element if w is None else ops.MUL(w, element), reduction)


@in_wide
def smooth_l1_loss(x: Node, y: Node, *, beta: float, reduction: str) -> Node:
    """d²/(2 beta) where a < beta, else a - beta/2; beta 0 is the L1 loss."""
    d, _ = _distance("smooth_l1_loss", x, y, None)
    a = ops.ABS(d)
    if beta == 0:
        return _reduced(a, reduction)
    half, limit = ops.const(0.5, d), filled(beta, d.type)
    parabola = ops.MUL(ops.MUL(half, d), ops.DIV(d, limit))  # no square of what is large or small
    line = ops.SUB(a, ops.MUL(half, limit))
    return _reduced(ops.WHERE(ops.LT(a, limit), parabola, line), reduction)


@in_wide
def l1_loss(x: Node, y: Node, weight: Node | None, *, reduction: str) -> Node:
    d, w = _distance("l1_loss", x, y, weight)
    return _weighted(ops.ABS(d), w, reduction)


@in_wide
def mse_loss(x: Node, y: Node, weight: Node | None, *, reduction: str) -> Node:
    d, w = _distance("mse_loss", x, y, weight)
    return _weighted(ops.MUL(d, d), w, reduction)


# --- activations ---------------------------------------------------------------------------------


def _float(x: Node) -> Node:
    return cast(x, float_dtype(x))


@reuse.formula
def relu(x: Node) -> Node:
    """0 where x <= 0, else x: NaN stays, the gradient at 0 is 0."""
    zero = ops.const(0, x)
    return ops.WHERE(ops.LE(x, zero), zero, x)


@in_wide
def gelu(x: Node) -> Node:
    """x/2 (1 + erf(x/sqrt(2))): Hendrycks and Gimpel, arXiv:1606.08415."""
    x = _float(x)
    e = ops.ERF(ops.MUL(ops.const(math.sqrt(0.5), x), x))
    return ops.MUL(ops.MUL(ops.const(0.5, x), x), ops.ADD(ops.const(1, x), e))


@in_wide
def gelu_tanh(x: Node) -> Node:
    """x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))), from the same paper. Above 10 tanh is 1 anyway, so
    its argument is held back there, and neither the cube nor a gradient overflows."""
    x = _float(x)
    near = ops.MAX(ops.MIN(x, ops.const(10, x)), ops.const(-10, x))
    cube = ops.MUL(ops.MUL(near, near), near)
    inner = ops.ADD(near, ops.MUL(ops.const(0.044715, x), cube))
    t = ops.TANH(ops.MUL(ops.const(math.sqrt(2 / math.pi), x), inner))
    return ops.MUL(ops.MUL(ops.const(0.5, x), x), ops.ADD(ops.const(1, x), t))


@in_wide
def silu(x: Node) -> Node:
    """x sigmoid(x): Elfwing, Uchibe and Doya, arXiv:1702.03118."""
    x = x if x.type.dtype.is_complex else _float(x)
    return ops.MUL(x, ops.SIGMOID(x))


@in_wide
def mish(x: Node) -> Node:
    """x tanh(log(1 + exp(x))): Misra, arXiv:1908.08681. Above 30 tanh is 1 anyway: its argument is held back
    there, so that no derivative overflows."""
    x = _float(x)
    return ops.MUL(x, ops.TANH(composed.softplus(ops.MIN(x, ops.const(30, x)))))


@in_wide
def elu(x: Node, *, alpha: float) -> Node:
    """alpha (exp(x) - 1) where x <= 0, else x: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289."""
    x = _float(x)
    zero = ops.const(0, x)
    low = ops.LE(x, zero)
    away = ops.MUL(filled(alpha, x.type), ops.EXPM1(ops.WHERE(low, x, zero)))
    return ops.WHERE(low, away, x)


def shifted(x: Node, axis: int) -> Node:
    """x less its maximum, which does not change softmax, so it needs no gradient."""
    if not x.shape[axis]:
        return x  # no element, and no maximum
    top = ops.STOP(amax(x, axis=axis, keepdims=True))
    return ops.SUB(x, ops.fill(top, x.shape))


@in_wide
def softmax(x: Node, *, axis: int) -> Node:
    x = _float(x)
    if not x.type.ndim:  # as one along one axis, as in PyTorch
        return ops.reshape(softmax(ops.reshape(x, (1,)), axis=axis), ())
    e = ops.EXP_TERM(shifted(x, normal_axis(axis, x.type.ndim)))
    total = sum_(e, axis=axis, keepdims=True)
    return ops.MUL(e, ops.fill(ops.DIV(ops.const(1, total), total), x.shape))  # one division a row


@in_wide
def log_softmax(x: Node, *, axis: int) -> Node:
    x = _float(x)
    if not x.type.ndim:  # as one along one axis, as in PyTorch
        return ops.reshape(log_softmax(ops.reshape(x, (1,)), axis=axis), ())
    s = shifted(x, normal_axis(axis, x.type.ndim))
    total = ops.LOG(sum_(ops.EXP_TERM(s), axis=axis, keepdims=True))
    return ops.SUB(s, ops.fill(total, x.shape))


# --- layers --------------------------------------------------------------------------------------


@in_wide
def linear(x: Node, weight: Node, bias: Node | None) -> Node:
    """x @ weight.T + bias; weight is (out, in)."""
    if weight.type.ndim != 2 or not x.type.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input of shape {x.shape} does not fit weight of shape {weight.shape}; "
            f"expected (..., {weight.shape[-1]})"
        )
    dtype = float_dtype(x, weight) if bias is None else float_dtype(x, weight, bias)
    x, weight = cast(x, dtype), cast(weight, dtype)
    if weight.shape[0] == 1:  # a sum for each row: loss and gradients read x once
        out = ops.reshape(matmul(x, ops.reshape(weight, weight.shape[1:])), (*x.shape[:-1], 1))
    elif x.type.ndim == 2:
        out = ops.CONTRACT(x, weight, spec="bi,oi->bo")
    else:
        out = matmul(x, transpose(weight, ()))
    if bias is None:
        return out
    return ops.ADD(*spread("linear", out, cast(bias, dtype)))


@reuse.formula
def layer_norm(
    x: Node, weight: Node | None, bias: Node | None, *, shape: tuple[int, ...], eps: float
) -> Node:
    """(x - mean) / sqrt(var + eps) over the last axes, times weight, plus bias; float16 is computed
    in float32."""
    if not shape or x.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: input of shape {x.shape} does not end in normalized_shape {shape}")
    result = float_dtype(x)
    x = cast(x, result.computed)
    axes = tuple(range(x.type.ndim - len(shape), x.type.ndim))
    off = ops.SUB(x, ops.fill(mean(x, axis=axes, keepdims=True), x.shape))
    spread_ = mean(ops.MUL(off, off), axis=axes, keepdims=True)  # the variance
    deviation = ops.SQRT(ops.ADD(spread_, filled(eps, spread_.type)))
    rate = ops.DIV(ops.const(1, deviation), deviation)  # one division a row
    out = ops.MUL(off, ops.fill(rate, x.shape))
    if weight is not None:
        out = ops.MUL(*spread("layer_norm", out, cast(weight, out.type.dtype)))
    if bias is not None:
        out = ops.ADD(*spread("layer_norm", out, cast(bias, out.type.dtype)))
    return cast(out, result)
