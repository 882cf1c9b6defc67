"""What a tensor is, as plain numbers and bools; and two summaries of one at once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .array_functions import broadcast_shapes
from .creation import given as asarray
from .errors import here, public
from .named import name_all
from .reductions import divisor
from .shapes import Axes
from .tensor import Tensor
from .tuples import MinMax, StdMean, VarMean

__all__ = [
    "aminmax", "array_equal", "array_equiv", "is_floating_point", "is_nonzero", "is_same_size",
    "is_signed", "is_tensor", "iscomplexobj", "isrealobj", "isscalar", "ndim", "shape", "size",
    "std_mean", "var_mean",
]  # fmt: skip


@public
def is_signed(x: Any) -> bool:
    """Whether the dtype has numbers below 0."""
    return asarray(x).dtype.kind not in "ub"


@public
def is_same_size(x: Any, y: Any) -> bool:
    """Whether both have the same shape."""
    return asarray(x).shape == asarray(y).shape


@public
def isscalar(x: Any) -> bool:
    """Whether it is a number, no tensor: NumPy's."""
    return not isinstance(x, Tensor) and bool(np.isscalar(x))


@public
def array_equal(a: Any, b: Any, equal_nan: bool = False) -> bool:
    """Whether shapes and all elements are equal; with `equal_nan` NaN equals NaN. Outside of compiled
    functions."""
    a, b = asarray(a), asarray(b)
    if a.shape != b.shape:
        return False
    same = a == b
    if equal_nan and a.dtype.kind in "fc" and b.dtype.kind in "fc":
        same = same | (a.isnan() & b.isnan())
    return bool(same.all())


@public
def array_equiv(a: Any, b: Any) -> bool:
    """Whether all elements are equal once both are broadcast to one shape. Outside of compiled functions."""
    a, b = asarray(a), asarray(b)
    try:
        broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return bool((a == b).all())


@public
def is_tensor(x: Any) -> bool:
    """Whether x is a `lucid.Tensor`."""
    return isinstance(x, Tensor)


@public
def is_floating_point(x: Any) -> bool:
    """Whether the dtype is one of floats."""
    return asarray(x).is_floating_point()


@public
def is_nonzero(x: Any) -> bool:
    """Whether the one element of x is not 0. RuntimeError for more or none; outside of compiled functions."""
    x = asarray(x)
    if x.size != 1:
        raise RuntimeError(here(f"is_nonzero: expected one element, got shape {x.shape}"))
    return bool(x.reshape(()) != 0)


@public
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is one of complex numbers."""
    return asarray(x).dtype.kind == "c"


@public
def isrealobj(x: Any) -> bool:
    """Whether the dtype is none of complex numbers."""
    return asarray(x).dtype.kind != "c"


@public
def ndim(x: Any) -> int:
    """Number of axes."""
    return asarray(x).ndim


@public
def shape(x: Any) -> tuple[int, ...]:
    """The extents."""
    return asarray(x).shape


@public
def size(x: Any, axis: Any = None) -> int:
    """Number of elements, of all axes, of one or of several."""
    found = asarray(x).shape
    if axis is None:
        return math.prod(found)
    return math.prod(found[a] for a in (axis if isinstance(axis, tuple) else (axis,)))


@public
def aminmax(x: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The least and the greatest, of all elements or along an axis: `.min`, `.max`, by one kernel."""
    x = asarray(x)
    return MinMax(x.amin(dim, keepdims=keepdim), x.amax(dim, keepdims=keepdim))


@public
def std_mean(
    x: Any, axis: Axes = None, unbiased: bool | None = None, keepdim: bool = False,
    *, dim: Axes = None, correction: float | None = None,
) -> StdMean:  # fmt: skip
    """PyTorch's standard deviation (its divisor the count less `correction`, 1) and mean, by one kernel."""
    x = asarray(x)
    axis, less = divisor(axis, unbiased, 1, correction, None)
    spread = x.std(axis, dim=dim, correction=less, keepdims=keepdim)
    return StdMean(spread, x.mean(axis, dim=dim, keepdims=keepdim))


@public
def var_mean(
    x: Any, axis: Axes = None, unbiased: bool | None = None, keepdim: bool = False,
    *, dim: Axes = None, correction: float | None = None,
) -> VarMean:  # fmt: skip
    """PyTorch's variance (its divisor the count less `correction`, 1) and mean, by one kernel."""
    x = asarray(x)
    axis, less = divisor(axis, unbiased, 1, correction, None)
    spread = x.var(axis, dim=dim, correction=less, keepdims=keepdim)
    return VarMean(spread, x.mean(axis, dim=dim, keepdims=keepdim))


name_all(globals(), __all__)
