"""Polynomials as the vectors of their coefficients, the highest power first: NumPy's `poly...` functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import linalg
from .array_functions import concatenate, stack
from .creation import arange, constant, device_of, full, ones, zeros
from .creation import given as asarray
from .errors import public
from .named import name_all
from .promote import whole
from .signals import convolve
from .tensor import Tensor

__all__ = ["polyadd", "polyder", "polyfit", "polyint", "polymul", "polysub", "polyval", "vander"]


def _coefficients(name: str, p: Any) -> Tensor:
    found = asarray(p)
    found = found.reshape(1) if found.ndim == 0 else found
    if found.ndim != 1:
        raise ValueError(f"{name}: coefficients must be a vector, got shape {found.shape}")
    return found


@public
def polyval(p: Any, x: Any) -> Tensor:
    """p[0] x**(n-1) + ... + p[n-1], by Horner's rule."""
    p, x = _coefficients("polyval", p), asarray(x)
    made = constant(zeros(x.shape, dtype=x.dtype, device=device_of(x)))
    for k in range(len(p)):
        made = made * x + p[k]
    return made


@public
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element of a vector, a row each: N columns (as many as rows), from the highest."""
    x = asarray(x)
    if x.ndim != 1:
        raise ValueError(f"vander: expected a vector, got shape {x.shape}")
    count = len(x) if N is None else whole("N", N)
    if count < 0:
        raise ValueError(f"vander: N must not be negative, got {count}")
    kind = np.promote_types(x.dtype, np.int64) if x.dtype.kind in "iub" else x.dtype
    column = ones(x.shape, dtype=kind, device=device_of(x))
    columns: list[Tensor] = []
    for _ in range(count):
        columns.append(column)
        column = column * x
    if not columns:
        return zeros((len(x), 0), dtype=kind, device=device_of(x))
    return stack(columns if increasing else columns[::-1], axis=-1)


def _aligned(name: str, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    a, b = _coefficients(name, a), _coefficients(name, b)
    size = max(len(a), len(b))
    first, second = (concatenate([constant(zeros(size - len(p), dtype=p.dtype)), p]) for p in (a, b))
    return first, second


@public
def polyadd(a1: Any, a2: Any) -> Tensor:
    """The sum of two polynomials."""
    a, b = _aligned("polyadd", a1, a2)
    return a + b


@public
def polysub(a1: Any, a2: Any) -> Tensor:
    """The difference of two polynomials."""
    a, b = _aligned("polysub", a1, a2)
    return a - b


@public
def polymul(a1: Any, a2: Any) -> Tensor:
    """The product of two polynomials."""
    return convolve(_coefficients("polymul", a1), _coefficients("polymul", a2))


@public
def polyder(p: Any, m: int = 1) -> Tensor:
    """The m-th derivative of a polynomial."""
    p, order = _coefficients("polyder", p), whole("m", m)
    if order < 0:
        raise ValueError(f"polyder: m must not be negative, got {order}")
    for _ in range(order):
        n = len(p)
        p = p[:-1] * constant(arange(n - 1, 0, -1)) if n > 1 else p[:0]
    return p  # type: ignore[no-any-return]


@public
def polyint(p: Any, m: int = 1, k: Any = None) -> Tensor:
    """The m-th antiderivative of a polynomial, with the constants `k` (0), the last of which comes last."""
    p, order = _coefficients("polyint", p), whole("m", m)
    if order < 0:
        raise ValueError(f"polyint: m must not be negative, got {order}")
    constants = [0.0] * order if k is None else [*np.atleast_1d(k)]
    constants = constants * order if len(constants) == 1 and order > 1 else constants
    if len(constants) != order:
        raise ValueError(f"polyint: expected one constant, or {order}, got {len(constants)}")
    for c in constants:
        made = p / constant(arange(len(p), 0, -1))
        p = concatenate([made, constant(full(1, c, dtype=made.dtype))])
    return p  # type: ignore[no-any-return]


@public
def polyfit(x: Any, y: Any, deg: int, rcond: float | None = None, *, w: Any = None) -> Tensor:
    """The coefficients of the polynomial of degree `deg` nearest to the points (x, y) by least squares, of
    each column of y; `w` weighs the residuals. LAPACK solves it, by `lucid.linalg.lstsq`, for columns of
    powers that are scaled to one length."""
    degree = whole("deg", deg)
    if degree < 0:
        raise ValueError(f"polyfit: deg must not be negative, got {degree}")
    x, y = _coefficients("polyfit", x), asarray(y)
    if y.ndim not in (1, 2) or y.shape[0] != len(x) or not len(x):
        raise ValueError(f"polyfit: expected {len(x)} points or columns of them for y, got shape {y.shape}")
    kind = np.result_type(x.dtype, y.dtype, np.float32 if x.dtype == y.dtype == np.float32 else np.float64)
    left, right = vander(x.astype(kind), degree + 1), y.astype(kind)
    if w is not None:
        weights = asarray(w).astype(kind)
        if weights.shape != x.shape:
            raise ValueError(f"polyfit: expected {len(x)} weights, got shape {weights.shape}")
        left = left * weights.unsqueeze(1)
        right = right * (weights if right.ndim == 1 else weights.unsqueeze(1))
    scale = (left * left).sum(0).sqrt()
    found = linalg.lstsq(left / scale, right, rcond=len(x) * np.finfo(kind).eps if rcond is None else rcond)[
        0
    ]
    return found / (scale if right.ndim == 1 else scale.unsqueeze(1))


name_all(globals(), __all__)
