"""Orthogonal polynomials, by their recurrences: p(k + 1) = (a(k) x + b(k)) p(k) - c(k) p(k - 1), p(0) = 1
(Abramowitz, 22.7). Of degree n < 0 they are 0, as PyTorch has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .creation import given as asarray
from .creation import ones_like, zeros_like
from .defaults import default_float
from .errors import public
from .named import name_all
from .promote import whole

__all__ = [
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v",
    "chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
    "legendre_polynomial_p", "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w",
]  # fmt: skip

_Recurrence = Callable[[int], tuple[float, float, float]]


def _family(first: tuple[float, float], recurrence: _Recurrence, doc: str, shifted: bool = False) -> Any:
    """`first`: p(1) = first[0] x + first[1]; `recurrence(k)`: a, b, c."""
    slope, offset = first

    def function(x: Any, n: int) -> Any:
        degree, x = whole("n", n), asarray(x)
        x = x if x.is_floating_point() or x.is_complex() else x.astype(default_float().np)
        if degree < 0:
            return zeros_like(x)
        x = 2 * x - 1 if shifted else x
        before, now = ones_like(x), slope * x + offset
        if degree == 0:
            return before
        for k in range(1, degree):
            a, b, c = recurrence(k)
            before, now = now, (a * x + b) * now - c * before
        return now

    function.__doc__ = f"{doc}, of degree n, of each element{' (of 2 x - 1)' if shifted else ''}."
    return public(function)


def _twice(k: int) -> tuple[float, float, float]:
    return 2, 0, 1


chebyshev_polynomial_t = _family((1, 0), _twice, "Chebyshev's polynomial T")
shifted_chebyshev_polynomial_t = _family((1, 0), _twice, "Chebyshev's polynomial T", True)
chebyshev_polynomial_u = _family((2, 0), _twice, "Chebyshev's polynomial U")
shifted_chebyshev_polynomial_u = _family((2, 0), _twice, "Chebyshev's polynomial U", True)
chebyshev_polynomial_v = _family((2, -1), _twice, "Chebyshev's polynomial V")
shifted_chebyshev_polynomial_v = _family((2, -1), _twice, "Chebyshev's polynomial V", True)
chebyshev_polynomial_w = _family((2, 1), _twice, "Chebyshev's polynomial W")
shifted_chebyshev_polynomial_w = _family((2, 1), _twice, "Chebyshev's polynomial W", True)
hermite_polynomial_h = _family((2, 0), lambda k: (2, 0, 2 * k), "Hermite's polynomial H")
hermite_polynomial_he = _family((1, 0), lambda k: (1, 0, k), "Hermite's polynomial He")
laguerre_polynomial_l = _family(
    (-1, 1), lambda k: (-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1)), "Laguerre's polynomial L"
)
legendre_polynomial_p = _family(
    (1, 0), lambda k: ((2 * k + 1) / (k + 1), 0, k / (k + 1)), "Legendre's polynomial P"
)

name_all(globals(), __all__)
