"""Special functions that are composed: to second order, beside closed forms; in compiled functions. Values
are PyTorch's: `wider_like_torch.py`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import special

# Once is enough: that calls of all kinds give the same is tested elsewhere.
pytestmark = pytest.mark.table

X = np.array([-24.0, -3.0, 0.4, 2.0, 19.0, 21.0])
TWO = np.array([0.5, 2.0])
PARTS = np.array([1e-12, 1e-3, 0.3, 0.8, 0.9999])


def slope_of(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lucid.grad(lambda x: f(x).sum())


def slope(f: Callable[[Any], Any], x: Any) -> Any:
    return lucid.compile(slope_of(f))(x).numpy()


def bell(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def test_derivatives() -> None:
    i0, i1 = special.i0(X).numpy(), special.i1(X).numpy()
    z = special.ndtri(PARTS).numpy()
    for found, right in (
        (slope(special.i0, X), i1),
        (slope(special.i1, X), i0 - i1 / X),
        (slope(special.ndtri, PARTS), 1 / bell(z)),
        (slope(lambda x: special.gammainc(1.0, x), TWO), np.exp(-TWO)),
        (slope(lambda q: special.zeta(3.0, q), TWO), -3 * special.zeta(4.0, TWO).numpy()),
    ):
        np.testing.assert_allclose(found, right, rtol=1e-12)


@pytest.mark.sweep
def test_second_derivatives() -> None:
    z = special.ndtri(PARTS).numpy()
    for found, right in (
        (slope(slope_of(special.i0), X), special.i0(X).numpy() - special.i1(X).numpy() / X),
        (slope(slope_of(special.ndtri), PARTS), z / bell(z) ** 2),
        (slope(slope_of(lambda x: special.gammainc(1.0, x)), TWO), -np.exp(-TWO)),
    ):
        np.testing.assert_allclose(found, right, rtol=1e-12)


def test_the_incomplete_gamma_function_of_whole_numbers() -> None:
    """1 - exp(-x) times the first terms of exp(x)."""
    x = np.array([0.1, 1.0, 3.0, 9.0, 40.0])
    for a in (1, 2, 5):
        above = np.exp(-x) * sum(x**k / math.factorial(k) for k in range(a))
        np.testing.assert_allclose(special.gammaincc(float(a), x), above, rtol=1e-13)
        np.testing.assert_allclose(special.gammainc(float(a), x), 1 - above, rtol=1e-13, atol=1e-15)
    by_a = lucid.grad(lambda a: special.gammainc(a, 0.7))(np.float64(0.5)).item()
    step = [special.gammainc(np.float64(0.5 + h), 0.7).item() for h in (1e-5, -1e-5)]
    assert abs(by_a - (step[0] - step[1]) / 2e-5) < 1e-9


def test_ends() -> None:
    ends = np.array([0.0, 1.0, np.inf, -1.0, np.nan])
    np.testing.assert_array_equal(special.gammainc(ends, 2.0)[[0, 2, 3, 4]], [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(special.gammaincc(2.0, ends)[[0, 2, 3, 4]], [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(special.ndtri([0.0, 1.0, -0.5, 2.0]), [-np.inf, np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(special.zeta([1.0, 2.0, 0.5], [1.0, 0.0, 1.0]), [np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(special.multigammaln([0.5, np.nan], 2), [np.nan, np.nan])
    np.testing.assert_allclose(special.log_ndtr(np.array([-1e5, 40.0])), [-5e9, 0.0], rtol=1e-8)
    assert special.i0(1).dtype == special.i0(np.float64(1)).dtype == np.float64
    assert special.erfcx(np.float16(1)).dtype == special.i0e(np.float16(1)).dtype == np.float16


def test_errors() -> None:
    with pytest.raises(TypeError, match=r"test_special.py:\d+: n must be an int"):
        special.legendre_polynomial_p(X, 1.5)
    with pytest.raises(ValueError, match=r"test_special.py:\d+: multigammaln: expected p of at least 1"):
        special.multigammaln(X, 0)
