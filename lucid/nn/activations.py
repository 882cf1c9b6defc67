"""Activations beside the common ones of `functional.py`, under PyTorch's names and with its formulas.
`inplace` changes the tensor that is given, for all who hold it, as methods that end in `_` do."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from .. import composed, joins, linalg, random, shapes
from .. import elementwise as ew
from ..array_functions import broadcast_tensors
from ..creation import arange, triu_indices
from ..creation import given as asarray
from ..errors import here, public
from ..promote import cast, filled, float_dtype, joint
from ..tape import is_traced
from ..tensor import Tensor, apply
from ..views import replaced
from . import functional as F
from .formulas import in_wide, softmax

__all__ = [
    "bilinear", "celu", "celu_", "cosine_similarity", "elu_", "glu", "gumbel_softmax", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "logsigmoid",
    "normalize", "pairwise_distance", "pdist", "prelu", "relu6", "relu_", "selu", "selu_", "softmin",
    "softplus", "softshrink", "softsign", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip

Formula = Callable[..., Node]


def _of_floats(formula: Formula) -> Formula:
    """Integers become floats; float16 and bfloat16 are computed in float32 and rounded once."""

    @in_wide
    @functools.wraps(formula)
    def build(x: Node, **attrs: Any) -> Node:
        return formula(cast(x, float_dtype(x)), **attrs)

    build.__name__ = formula.__name__.lstrip("_")  # what nodes are named after
    return build


def _number(name: str, what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(here(f"{name}: {what} must be a number, not {type(value).__name__}"))
    return value if is_traced(value) else float(value)


def _zero(x: Node) -> Node:
    return ops.const(0, x)


# --- straight lines --------------------------------------------------------------------------------


@_of_floats
def _hardtanh(x: Node, *, low: float, high: float) -> Node:
    """The gradient is 0 at the ends, as PyTorch's."""
    least, most = filled(low, x.type), filled(high, x.type)
    return ops.WHERE(ops.LE(x, least), least, ops.WHERE(ops.GE(x, most), most, x))


@public
def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x between `min_val` and `max_val`, else the nearer of these. ValueError unless they are in order."""
    low, high = _number("hardtanh", "min_val", min_val), _number("hardtanh", "max_val", max_val)
    if not low <= high:
        raise ValueError(f"hardtanh: min_val must not be above max_val, not {min_val}, {max_val}")
    return replaced(x, apply(_hardtanh, asarray(x), low=low, high=high), inplace)


@public
def relu6(x: Any, inplace: bool = False) -> Tensor:
    """x between 0 and 6, else the nearer of these."""
    return replaced(x, hardtanh(x, 0.0, 6.0), inplace)


@_of_floats
def _leaky_relu(x: Node, *, slope: float) -> Node:
    return ops.WHERE(ops.GT(x, _zero(x)), x, ops.MUL(filled(slope, x.type), x))


@public
def leaky_relu(x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x."""
    slope = _number("leaky_relu", "negative_slope", negative_slope)
    return replaced(x, apply(_leaky_relu, asarray(x), slope=slope), inplace)


def _prelu(x: Node, weight: Node) -> Node:
    dtype = float_dtype(x, weight)
    wide = dtype.computed
    if weight.shape not in ((), (1,)):
        if x.type.ndim < 2 or weight.shape != (x.shape[1],):
            raise ValueError(f"prelu: weight {weight.shape} does not fit the channels of {x.shape}")
        weight = ops.reshape(weight, (weight.shape[0], *(1 for _ in x.shape[2:])))
    x, slopes = joint("prelu", wide, x, weight if weight.shape != (1,) else ops.reshape(weight, ()))
    return cast(ops.WHERE(ops.GT(x, _zero(x)), x, ops.MUL(slopes, x)), dtype)


@public
def prelu(x: Any, weight: Any) -> Tensor:
    """x where x > 0, else weight x; `weight` is one number, or one for each channel (axis 1)."""
    return apply(_prelu, asarray(x), asarray(weight))


@_of_floats
def _threshold(x: Node, *, limit: float, value: float) -> Node:
    return ops.WHERE(ops.LE(x, filled(limit, x.type)), filled(value, x.type), x)


@public
def threshold(x: Any, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else `value`."""
    limit, other = _number("threshold", "threshold", threshold), _number("threshold", "value", value)
    return replaced(x, apply(_threshold, asarray(x), limit=limit, value=other), inplace)


@_of_floats
def _hardsigmoid(x: Node) -> Node:
    inner = ops.DIV(ops.ADD(x, ops.const(3, x)), ops.const(6, x))
    zero, one = _zero(x), ops.const(1, x)
    below, above = ops.LE(x, ops.const(-3, x)), ops.GE(x, ops.const(3, x))
    return ops.WHERE(below, zero, ops.WHERE(above, one, inner))


@public
def hardsigmoid(x: Any, inplace: bool = False) -> Tensor:
    """0 up to -3, 1 from 3 on, (x + 3) / 6 between."""
    return replaced(x, apply(_hardsigmoid, asarray(x)), inplace)


@_of_floats
def _hardswish(x: Node) -> Node:
    middle = ops.DIV(ops.MUL(x, ops.ADD(x, ops.const(3, x))), ops.const(6, x))
    below, above = ops.LE(x, ops.const(-3, x)), ops.GE(x, ops.const(3, x))
    return ops.WHERE(below, _zero(x), ops.WHERE(above, x, middle))


@public
def hardswish(x: Any, inplace: bool = False) -> Tensor:
    """x hardsigmoid(x): Howard and others, arXiv:1905.02244."""
    return replaced(x, apply(_hardswish, asarray(x)), inplace)


@_of_floats
def _shrink(x: Node, *, limit: float, soft: bool) -> Node:
    bound = filled(limit, x.type)
    above, below = ops.GT(x, bound), ops.LT(x, ops.NEG(bound))
    high, low = (ops.SUB(x, bound), ops.ADD(x, bound)) if soft else (x, x)
    inside = ops.WHERE(ops.NE(x, x), x, _zero(x))  # NaN stays
    return ops.WHERE(above, high, ops.WHERE(below, low, inside))


@public
def softshrink(x: Any, lambd: float = 0.5) -> Tensor:
    """x nearer to 0 by `lambd`, 0 where that is more than |x|. ValueError for one below 0."""
    limit = _number("softshrink", "lambd", lambd)
    if limit < 0:
        raise ValueError(f"softshrink: lambd must be at least 0, not {lambd}")
    return apply(_shrink, asarray(x), limit=limit, soft=True)


@public
def hardshrink(x: Any, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return apply(_shrink, asarray(x), limit=_number("hardshrink", "lambd", lambd), soft=False)


# --- of exponentials -------------------------------------------------------------------------------


@_of_floats
def _celu(x: Node, *, alpha: float, scale: float, fall: float) -> Node:
    """scale x above 0, else scale alpha (exp(x / fall) - 1)."""
    low = ops.LE(x, _zero(x))
    inner = ops.WHERE(low, x, _zero(x))
    if fall != 1 or is_traced(fall):
        inner = ops.DIV(inner, filled(fall, x.type))
    away = ops.MUL(filled(alpha, x.type), ops.EXPM1(inner))
    found = ops.WHERE(low, away, x)
    return found if scale == 1 else ops.MUL(ops.const(scale, x), found)


@public
def celu(x: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """alpha (exp(x / alpha) - 1) where x <= 0, else x: Barron, arXiv:1704.07483. ValueError for alpha 0."""
    number = _number("celu", "alpha", alpha)
    if number == 0:
        raise ValueError("celu: alpha must not be 0")
    return replaced(x, apply(_celu, asarray(x), alpha=number, scale=1, fall=number), inplace)


@public
def selu(x: Any, inplace: bool = False) -> Tensor:
    """s alpha (exp(x) - 1) where x <= 0, else s x, with s = 1.0507... and alpha = 1.6732...: Klambauer and
    others, arXiv:1706.02515."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return replaced(x, apply(_celu, asarray(x), alpha=alpha, scale=scale, fall=1), inplace)


@_of_floats
def _logsigmoid(x: Node) -> Node:
    return ops.NEG(composed.softplus(ops.NEG(x)))


@public
def logsigmoid(x: Any) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return apply(_logsigmoid, asarray(x))


@_of_floats
def _softplus(x: Node, *, beta: float, limit: float) -> Node:
    factor = filled(beta, x.type)
    straight = ops.GT(ops.MUL(x, factor), filled(limit, x.type))
    inner = ops.WHERE(straight, _zero(x), x)
    return ops.WHERE(straight, x, composed.softplus(inner, beta=beta))


@public
def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""
    number, limit = _number("softplus", "beta", beta), _number("softplus", "threshold", threshold)
    return apply(_softplus, asarray(x), beta=number, limit=limit)


@_of_floats
def _softsign(x: Node) -> Node:
    size = ops.ABS(x)
    return ops.DIV(x, cast(ops.ADD(ops.const(1, size), size), x.type.dtype))


@public
def softsign(x: Any) -> Tensor:
    """x / (1 + |x|)."""
    return apply(_softsign, asarray(x))


@_of_floats
def _tanhshrink(x: Node) -> Node:
    return ops.SUB(x, ops.TANH(x))


@public
def tanhshrink(x: Any) -> Tensor:
    """x - tanh(x)."""
    return apply(_tanhshrink, asarray(x))


# --- along an axis ---------------------------------------------------------------------------------


@_of_floats
def _glu(x: Node, *, axis: int) -> Node:
    k = shapes.normal_axis(axis, x.type.ndim)
    if x.shape[k] % 2:
        raise ValueError(f"glu: axis {axis} of {x.shape} has no halves")
    half = x.shape[k] // 2
    a, b = (joins.part(x, axis=k, first=begin, last=begin + half) for begin in (0, half))
    return ops.MUL(a, ops.SIGMOID(b))


@public
def glu(x: Any, dim: int = -1) -> Tensor:
    """One half of an axis times the sigmoid of the other one: Dauphin and others, arXiv:1612.08083."""
    return apply(_glu, asarray(x), axis=dim)


@_of_floats
def _softmin(x: Node, *, axis: int) -> Node:
    return softmax(ops.NEG(x), axis=axis)


@public
def softmin(x: Any, dim: int = -1, *, dtype: Any = None) -> Tensor:
    """softmax(-x), of x in `dtype`."""
    return apply(_softmin, asarray(x, dtype), axis=dim)


@_of_floats
def _normalize(x: Node, *, power: float, axes: tuple[int, ...], eps: float) -> Node:
    size = ew.absolute(x)
    if power == 0:
        norm = shapes.sum_(cast(ew.ne(size, 0.0), size.type.dtype), axis=axes, keepdims=True)
    elif power == 1:
        norm = shapes.sum_(size, axis=axes, keepdims=True)
    elif power == 2:
        squares = ops.MUL(size, size) if x.type.dtype.is_complex else ops.MUL(x, x)
        norm = ops.SQRT(shapes.sum_(squares, axis=axes, keepdims=True))
    elif math.isinf(power):
        norm = shapes.amax(size, axis=axes, keepdims=True)
    else:
        total = shapes.sum_(ew.power(size, power), axis=axes, keepdims=True)
        norm = ew.power(total, 1 / power)
    least = filled(eps, norm.type)
    size = ops.fill(ops.WHERE(ops.GE(least, norm), least, norm), x.shape)
    return ops.DIV(x, cast(size, x.type.dtype))


@public
def normalize(x: Any, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """x over its p-norm along axes, or over `eps` where that is greater."""
    given = asarray(x)
    axes = shapes.normal_axes(dim, given.ndim)
    power, least = _number("normalize", "p", p), _number("normalize", "eps", eps)
    return apply(_normalize, given, power=power, axes=axes, eps=least)


@public
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The sum of products along an axis over the product of both norms, each of which counts as at least
    `eps`; shapes broadcast."""
    a, b = broadcast_tensors(x1, x2)
    least = _number("cosine_similarity", "eps", eps)

    def size(x: Tensor) -> Tensor:
        norm: Tensor = (x * x).sum(dim, keepdims=True).sqrt()
        return x / norm.maximum(least)

    found: Tensor = (size(a) * size(b)).sum(dim)
    return found


@public
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    d = asarray(x1) - asarray(x2) + _number("pairwise_distance", "eps", eps)
    power = _number("pairwise_distance", "p", p)
    d = d.abs() if d.is_complex() else d
    if math.isinf(power):
        greatest: Tensor = d.abs().max(-1, keepdims=keepdim)
        return greatest
    total = (d * d).sum(-1, keepdims=keepdim) if power == 2 else (d.abs() ** power).sum(-1, keepdims=keepdim)
    found: Tensor = total.sqrt() if power == 2 else total ** (1 / power)
    return found


@public
def gumbel_softmax(
    logits: Any, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """softmax((logits + g) / tau), g drawn anew from Gumbel's distribution (Jang, Gu and Poole,
    arXiv:1611.01144). `hard`: 1 at the greatest and 0 elsewhere, with the gradient of the soft one. `eps` is
    PyTorch's, and unused."""
    x = asarray(logits)
    noise = random.gumbel(size=x.shape, dtype=x.dtype if x.is_floating_point() else None)
    soft = F.softmax((x + noise) / _number("gumbel_softmax", "tau", tau), dim)
    if not hard:
        return soft
    axis = shapes.normal_axis(dim, soft.ndim)
    places = arange(soft.shape[axis]).reshape(-1, *[1] * (soft.ndim - axis - 1))
    chosen = soft.argmax(axis, keepdims=True) == places
    found: Tensor = (chosen.astype(soft.dtype) - soft).detach() + soft
    return found


@public
def bilinear(x1: Any, x2: Any, weight: Any, bias: Any = None) -> Tensor:
    """x1ᵀ weight[k] x2 for each k, plus bias: x1 (..., n) and x2 (..., m) with weight (out, n, m) to (...,
    out)."""
    a, b, w = asarray(x1), asarray(x2), asarray(weight)
    rows, columns = w.shape[1:2], w.shape[2:]
    if w.ndim != 3 or a.shape[:-1] != b.shape[:-1] or (a.shape[-1:], b.shape[-1:]) != (rows, columns):
        raise ValueError(here(f"bilinear: inputs of {a.shape} and {b.shape} do not fit weight of {w.shape}"))
    out, n, m = w.shape
    left = (a @ w.transpose((1, 0, 2)).reshape(n, out * m)).reshape(*a.shape[:-1], out, m)
    found: Tensor = (left * b.unsqueeze(-2)).sum(-1)
    return found if bias is None else found + asarray(bias)


@public
def pdist(input: Any, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows of (n, d), (n (n - 1) / 2): those of row 0
    first."""
    x = asarray(input)
    if x.ndim != 2:
        raise ValueError(here(f"pdist: expected a matrix, not shape {x.shape}"))
    first, second = triu_indices(x.shape[0], 1)
    return linalg.vector_norm(x.take(first, 0) - x.take(second, 0), _number("pdist", "p", p), axis=-1)


# --- of PyTorch's names in place ---------------------------------------------------------------------


def _changing(function: Any) -> Callable[..., Tensor]:
    """`function`, whose result the tensor becomes."""

    def change(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return x._become(function(x, *args, **kwargs))

    change.__name__ = change.__qualname__ = f"{function.__name__}_"
    change.__doc__ = f"`{function.__name__}`, in place."
    return public(change)


celu_, elu_, hardtanh_ = _changing(celu), _changing(F.elu), _changing(hardtanh)
leaky_relu_, relu_ = _changing(leaky_relu), _changing(F.relu)
selu_, threshold_ = _changing(selu), _changing(threshold)
