"""Incomplete gamma functions, tails of the normal distribution, Hurwitz's zeta: composed of ops, in float64,
so that gradients of every order are those of what is composed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .creation import given as asarray
from .defaults import default_float
from .errors import public
from .functional import where, xlogy
from .named import name_all
from .promote import whole
from .published import erfinv, lgamma
from .tensor import Tensor

__all__ = [
    "erfcx", "gammainc", "gammaincc", "igamma", "igammac", "log_ndtr", "multigammaln", "mvlgamma", "ndtri",
    "zeta",
]  # fmt: skip

# B(2), B(4), ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _wide(*given: Any) -> tuple[Any, ...]:
    """The dtype of the result, and all in float64."""
    tensors = [asarray(x) for x in given]
    floats = [x if x.is_floating_point() else x.astype(default_float().np) for x in tensors]
    kinds = [x.dtype for x in floats if x.ndim] or [x.dtype for x in floats]
    return (np.result_type(*kinds), *(x.astype(np.float64) for x in floats))


# --- incomplete gamma functions ----------------------------------------------------------------------

_POINTS = 96


def _tail(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Whether x is at most a >= 1; and how much of the gamma distribution is below x, or above it otherwise.

    The density, from x on to the shorter side, is p(x) exp(a s - x (exp(s) - 1)) by s = log(t / x); Gauss's
    points lie at s = L q**2, where it is below exp(-45) p(x) at L.
    """
    places, weights = np.polynomial.legendre.leggauss(_POINTS)
    q = (places + 1) / 2
    column = (-1, *[1] * max(a.ndim, x.ndim))
    steps, shares = asarray((q * q).reshape(column)), asarray((weights * q).reshape(column))
    below = x <= a
    sign, far = where(below, -1.0, 1.0), 45 / a
    length = (where(below, far, 0.0) + (2 * far).sqrt()).detach()
    s = sign * steps * length
    top = xlogy(a, x) - x - lgamma(a)
    inside = (a * s - x * s.expm1() + top).exp()
    return below, length * (shares * inside).sum(0)


def _gamma_parts(a: Any, x: Any) -> tuple[Any, Tensor, Tensor]:
    """The dtype, and how much is below and above x."""
    kind, a, x = _wide(a, x)
    wrong = (a < 0) | (x < 0) | a.isnan() | x.isnan()
    ends = (a == 0) | (x == 0) | x.isinf() | a.isinf()
    held_a, held_x = where(wrong | ends, 1.0, a), where(wrong | ends, 1.0, x)
    small = held_a < 1
    raised = where(small, held_a + 1, held_a)
    below, tail = _tail(raised, held_x)
    less = where(small, (held_a * held_x.log() - held_x - lgamma(held_a + 1)).exp(), 0.0)  # from a to a + 1
    lower = where(below, tail, 1 - tail) + less
    upper = where(below, 1 - tail, tail) - less
    # Of a + 1 < 2 both parts are near each other, and so is the rest, unless x is large.
    at_end = where((a == 0) | x.isinf(), 1.0, 0.0)
    unknown = wrong | ((a == 0) & (x == 0)) | (a.isinf() & x.isinf())
    lower = where(unknown, math.nan, where(ends, at_end, lower))
    upper = where(unknown, math.nan, where(ends, 1 - at_end, upper))
    return kind, lower, upper


@public
def gammainc(a: Any, x: Any) -> Tensor:
    """The part of a gamma distribution of concentration a that is below x; NaN where one is below 0. Right to
    1e-13 for a up to 1000, with gradients to both."""
    kind, lower, _ = _gamma_parts(a, x)
    return lower.astype(kind)


@public
def gammaincc(a: Any, x: Any) -> Tensor:
    """1 - `gammainc`(a, x); small ones keep their digits for a of at least 1."""
    kind, _, upper = _gamma_parts(a, x)
    return upper.astype(kind)


igamma, igammac = gammainc, gammaincc


@public
def multigammaln(a: Any, p: int) -> Tensor:
    """The logarithm of the gamma function of p dimensions; NaN where a is at most (p - 1) / 2."""
    count = whole("p", p)
    if count < 1:
        raise ValueError(f"multigammaln: expected p of at least 1, not {count}")
    x = asarray(a)
    x = x if x.is_floating_point() else x.astype(default_float().np)
    total = sum((lgamma(x - 0.5 * k) for k in range(1, count)), lgamma(x))
    inside = x > 0.5 * (count - 1)
    return where(inside, total + 0.25 * count * (count - 1) * math.log(math.pi), math.nan)


mvlgamma = multigammaln

# --- tails of the normal distribution ------------------------------------------------------------------

_FAR = 10.0


def _erfcx(x: Tensor) -> Tensor:
    """In float64: from 10 on Abramowitz's 7.1.23."""
    large = x > _FAR
    near, far = where(large, 0.0, x), where(large, x, _FAR)
    z = 1 / (2 * far * far)
    total: Any = 1.0
    for k in reversed(range(13)):
        total = 1 - (2 * k + 1) * z * total
    return where(large, total / (far * math.sqrt(math.pi)), (near * near).exp() * near.erfc())


@public
def erfcx(x: Any) -> Tensor:
    """exp(x²) erfc(x), without underflow."""
    kind, x = _wide(x)
    return _erfcx(x).astype(kind)


def _log_ndtr(x: Tensor) -> Tensor:
    low = x < -1
    below, above = where(low, x, -1.0), where(low, 0.0, x)
    scaled = (_erfcx(below * -math.sqrt(0.5)) * 0.5).log() - 0.5 * below * below
    return where(low, scaled, (-0.5 * (above * math.sqrt(0.5)).erfc()).log1p())


@public
def log_ndtr(x: Any) -> Tensor:
    """The logarithm of the part of a normal distribution that is below x."""
    kind, x = _wide(x)
    return _log_ndtr(x).astype(kind)


@public
def ndtri(p: Any) -> Tensor:
    """The number that the part p of a normal distribution is below; inf at 1, -inf at 0, NaN beyond."""
    kind, p = _wide(p)
    upper = p > 0.5
    part = where(upper, 1 - p, p)
    tail = (part < 0.02) & (part > 0)
    middle = erfinv(where(tail, 0.5, part) * 2 - 1) * math.sqrt(2)
    # By Newton's steps for log_ndtr(x) = log p. Those that gradients flow through double, each, the order of
    # the derivatives that are right.
    log = where(tail, part, 0.01).log()
    known = log.detach()
    y = (-2 * known).sqrt()
    x = -(y - (y.log() + math.log(2 * math.pi) / 2) / y)
    for k in range(5):
        goal = known if k < 3 else log
        below = _log_ndtr(x)
        x = x - (below - goal) * (below + 0.5 * x * x + 0.5 * math.log(2 * math.pi)).exp()
    found = where(tail, x, middle)
    return where(upper, -found, found).astype(kind)


# --- zeta ----------------------------------------------------------------------------------------------


@public
def zeta(x: Any, q: Any) -> Tensor:
    """Hurwitz's: the sum of (q + k)**-x over k from 0 on, by Euler and Maclaurin. inf for x = 1, and
    where q is a whole number of at most 0; NaN for smaller x and for other q below 0."""
    kind, x, q = _wide(x, q)
    inside = (x > 1) & (q > 0)
    s, y = where(inside, x, 2.0), where(inside, q, 1.0)
    total: Any = 0.0
    for _ in range(12):
        total = total + y**-s
        y = y + 1
    rest, rising = y / (s - 1) + 0.5, s / y
    for k, b in enumerate(_BERNOULLI, 1):
        rest = rest + b / math.factorial(2 * k) * rising
        rising = rising * (s + 2 * k - 1) * (s + 2 * k) / (y * y)
    found = total + y**-s * rest
    poles = (x == 1) | ((x > 1) & (q <= 0) & (q == q.floor()))
    return where(inside, found, where(poles, math.inf, math.nan)).astype(kind)


name_all(globals(), [n for n in __all__ if n not in ("igamma", "igammac", "mvlgamma")])
