"""Polynomials as the vectors of their coefficients, the highest power first: NumPy's `poly...` functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import linalg
from .array_functions import concatenate, stack
from .creation import arange, constant, device_of, eye, full, ones, values_of, zeros
from .creation import given as asarray
from .errors import public
from .named import name_all
from .promote import whole
from .signals import convolve
from .tensor import Tensor

__all__ = [
    "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "polyval", "roots",
    "vander",
]  # fmt: skip


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


@public
def poly(seq_of_zeros: Any) -> Tensor:
    """The coefficients of the polynomial with these zeros, or of the characteristic one of a matrix."""
    x = asarray(seq_of_zeros)
    if x.ndim == 2:
        x = linalg.eigvals(x)
    if x.ndim != 1:
        raise ValueError(f"poly: expected a vector of zeros or a matrix, got shape {x.shape}")
    kind = np.result_type(x.dtype, np.float64) if x.dtype.kind in "iub" else x.dtype
    made = ones(1, dtype=kind, device=device_of(x))
    for k in range(len(x)):
        made = convolve(made, stack([ones((), dtype=kind, device=device_of(x)), -x[k].astype(kind)]))
    return made


@public
def roots(p: Any) -> Tensor:
    """The zeros of a polynomial: eigenvalues of its companion matrix, complex, and 0 for each coefficient at
    the end that is 0. Outside of compiled functions."""
    given = _coefficients("roots", p)
    known = np.flatnonzero(values_of("roots", given, "use linalg.eigvals of the companion matrix"))
    if not known.size:
        return zeros(0, dtype=np.float64)
    inner = given[int(known[0]) : int(known[-1]) + 1]
    behind = len(given) - 1 - int(known[-1])
    if len(inner) == 1:
        return zeros(behind, dtype=inner.dtype)
    row = (-inner[1:] / inner[0]).reshape(1, -1)
    below = eye(len(inner) - 2, len(inner) - 1, dtype=row.dtype, device=device_of(row))
    found = linalg.eigvals(concatenate([row, below]))
    return concatenate([found, zeros(behind, dtype=found.dtype)]) if behind else found


@public
def polydiv(u: Any, v: Any) -> tuple[Tensor, Tensor]:
    """The quotient and the remainder of two polynomials, the first coefficient of v not 0. The remainder has
    the length that its degree may need; NumPy leaves zeros at its front out."""
    u, v = _coefficients("polydiv", u), _coefficients("polydiv", v)
    kind = np.result_type(u.dtype, v.dtype, np.float32 if u.dtype == v.dtype == np.float32 else np.float64)
    rest, by = u.astype(kind), v.astype(kind)
    steps, quotient = len(rest) - len(by) + 1, list[Tensor]()
    if steps < 1:
        return zeros(1, dtype=kind), rest
    for _ in range(steps):
        factor = rest[0] / by[0]
        quotient.append(factor)
        rest = concatenate([rest[1 : len(by)] - factor * by[1:], rest[len(by) :]])
    return stack(quotient), rest if len(rest) else zeros(1, dtype=kind)


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
