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
