"""Functions of tensors that are no methods."""

from __future__ import annotations

from typing import Any

from . import elementwise as ew
from . import shapes
from .tensor import Tensor, apply


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """Elements of `a` where `condition` holds, else of `b`; all broadcast. What is not chosen has
    no influence, on values or on gradients, be it NaN or inf."""
    return apply(ew.where, condition, a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The lesser of two; NaN wins. At a tie each gets half of the gradient."""
    return apply(ew.minimum, a, b)


def maximum(a: Any, b: Any) -> Tensor:
    """The greater of two; NaN wins. At a tie each gets half of the gradient."""
    return apply(ew.maximum, a, b)


def matmul(a: Any, b: Any) -> Tensor:
    """`a @ b`, by NumPy's rules."""
    return apply(shapes.matmul, a, b)


def _asarray(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


def abs(x: Any) -> Tensor:
    """The absolute value of each element; its gradient is sign(x), 0 at 0."""
    return apply(ew.absolute, x)


def sqrt(x: Any) -> Tensor:
    """The square root of each element; NaN below 0."""
    return apply(ew.sqrt, x)


def exp(x: Any) -> Tensor:
    """e to the power of each element."""
    return apply(ew.exp, x)


def log(x: Any) -> Tensor:
    """The natural logarithm of each element; -inf at 0, NaN below."""
    return apply(ew.log, x)


def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent of each element."""
    return apply(ew.tanh, x)


def square(x: Any) -> Tensor:
    """x * x."""
    return apply(ew.square, x)


def sign(x: Any) -> Tensor:
    """-1, 0 or 1; NaN stays NaN. Its gradient is 0."""
    return apply(ew.sign, x)


def clip(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """Elements below `min` become `min`, those above `max` become `max`; NaN stays."""
    return apply(ew.clip, x, min, max)


def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` (all axes by default), as `Tensor.sum`."""
    return _asarray(x).sum(axis=axis, keepdims=keepdims)


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over `axis` (all axes by default), as `Tensor.mean`."""
    return _asarray(x).mean(axis=axis, keepdims=keepdims)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The greatest element over `axis` (all axes by default), as `Tensor.max`."""
    return _asarray(x).max(axis=axis, keepdims=keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The least element over `axis` (all axes by default), as `Tensor.min`."""
    return _asarray(x).min(axis=axis, keepdims=keepdims)
