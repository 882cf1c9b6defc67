"""NumPy evaluation of functions that NumPy has not: in its widest format, by other ways than those of the
lowering."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from .record import Array

Wide = np.longdouble
_PI = 4 * np.arctan(Wide(1))
_EULER = Wide("0.57721566490153286060651209008240243104")
# B(2), B(4), ...
_BERNOULLI = [
    Fraction(*f)
    for f in (
        (1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798),
        (-174611, 330), (854513, 138),
    )
]  # fmt: skip
_LARGE = 10  # from here on, the series of Stirling


def _wide(value: Fraction) -> np.longdouble:
    return Wide(value.numerator) / Wide(value.denominator)


def _zeta_less_one(k: int) -> np.longdouble:
    """The sum of n**-k from n = 2 on, by Euler and Maclaurin."""
    n = Wide(20)
    total = sum((Wide(m) ** -k for m in range(2, 20)), Wide(0)) + n ** (1 - k) / (k - 1) + n**-k / 2
    term = k * n ** (-k - 1)
    for j, bernoulli in enumerate(_BERNOULLI, 1):
        total += _wide(bernoulli) / math.factorial(2 * j) * term
        term *= Wide((k + 2 * j - 1) * (k + 2 * j)) / (n * n)
    return Wide(total)


_ZETA = [_zeta_less_one(k) for k in range(2, 40)]
Terms = Callable[[Array], Array]


def _taylor(u: Array, order: int) -> Array:
    """log gamma(2 + u), |u| <= 1/2, or its first or second derivative."""
    total = np.zeros_like(u)
    for k, zeta in reversed([*enumerate(_ZETA, 2)]):
        scale = (Wide(1) / k, Wide(1), Wide(k - 1))[order]
        total = (zeta * scale * (-1) ** k) + u * total
    if order == 2:
        return total
    linear = total * u + (1 - _EULER)
    return linear if order else linear * u


def _positive(a: Array, order: int) -> Array:
    """Of a > 0: 2 + u by steps of one, or the series of Stirling."""
    step: Terms = (np.log, lambda y: 1 / y, lambda y: -1 / (y * y))[order]  # from y to y + 1
    near, large = np.minimum(a, _LARGE), np.maximum(a, _LARGE)
    tiny, low = near < 0.5, near < 1.5
    y, down = near, np.zeros_like(a)
    for _ in range(_LARGE):
        more = y >= 2.5
        y = np.where(more, y - 1, y)
        down = down + np.where(more, step(y), 0)
    middle = _taylor(np.where(tiny, near, np.where(low, near - 1, y - 2)), order) + down
    middle = middle - np.where(low, step(near), 0) - np.where(tiny, step(near + 1), 0)
    z, inverse = 1 / (large * large), 1 / large
    series = np.zeros_like(a)
    for k, bernoulli in reversed([*enumerate(_BERNOULLI, 1)]):
        scale = (Fraction(1, 2 * k * (2 * k - 1)), Fraction(-1, 2 * k), Fraction(1))[order]
        series = _wide(bernoulli * scale) + z * series
    log = np.log(large)
    stirling = (
        (large - 0.5) * (log - 1) + (np.log(2 * _PI) - 1) / 2 + series * inverse,
        log - inverse / 2 + series * z,
        inverse + z / 2 + series * z * inverse,
    )
    return np.asarray(np.where(a > _LARGE, stirling[order], middle))


def _gamma(order: int) -> Terms:
    def evaluate(x: Array) -> Array:
        wide = np.asarray(x, Wide)
        a = np.abs(wide)
        r = a - np.rint(a)
        sine, cosine = np.sin(_PI * r), np.sin(_PI * (0.5 - np.abs(r)))
        value = _positive(a, order) + (np.log(a), 1 / a, -1 / (a * a))[order]  # of 1 + a
        negative = (
            -np.log(np.abs(sine) / _PI) - value,
            value + _PI * cosine / sine,
            (_PI / sine) ** 2 - value,
        )[order]
        pole = (np.inf, np.nan, np.inf)[order]
        negative = np.where(a == 0, np.inf, np.where(r == 0, pole, negative))
        positive = np.where(a == 0, (np.inf, -np.inf, np.inf)[order], _positive(a, order))
        result = np.where(np.signbit(wide), negative, positive)
        at_inf, at_minus_inf = ((np.inf, -np.inf), (np.inf, np.nan), (0.0, np.inf))[order]
        result = np.where(wide == np.inf, at_inf, np.where(wide == -np.inf, at_minus_inf, result))
        return np.asarray(result.astype(x.dtype))

    return evaluate


lgamma, digamma, trigamma = (_gamma(order) for order in range(3))


def sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, 1) / (1 + e)).astype(x.dtype)


def by_number(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of Python's numbers, in float64."""

    def evaluate(x: Array) -> Array:
        values = [function(v) for v in x.astype(np.float64).ravel().tolist()]
        return np.array(values).reshape(x.shape).astype(x.dtype)

    return evaluate


erf, erfc = by_number(math.erf), by_number(math.erfc)


@by_number
def erfinv(x: float) -> float:
    """By Newton's steps, from Winitzki's formula; of erfc in the tails."""
    a = abs(x)
    if not 0 < a < 1:
        return x if a == 0 else math.copysign(math.inf, x) if a == 1 else math.nan
    log = math.log((1 - a) * (1 + a))
    mean = 2 / (math.pi * 0.147) + log / 2
    y = math.sqrt(math.sqrt(mean * mean - log / 0.147) - mean) if a > 1e-4 else a * math.sqrt(math.pi) / 2
    for _ in range(4):
        away = math.erf(y) - a if a < 0.5 else (1 - a) - math.erfc(y)
        y -= away * math.sqrt(math.pi) / 2 * math.exp(y * y)
    return math.copysign(y, x)
