"""Elementwise functions made of others: NumPy's values at the edges, nothing lost inside, gradients to second
order, also where two ways of computing meet."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid

from .test_grad import check

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
inf, nan = math.inf, math.nan
EDGES = [0.0, -0.0, 0.25, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, 3.75, 1e-4, -100.0, 50.0, inf, -inf, nan]
FLOATS = ("float16", "float32", "float64")


def same(got: Any, want: Array, ulps: int = 0) -> None:
    """Values, dtype, and signs of zeros."""
    found = got.numpy()
    assert found.dtype == want.dtype
    np.testing.assert_allclose(found, want, rtol=ulps * float(np.finfo(want.dtype).eps), atol=0)
    zero = want == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(want[zero]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name", ["rint", "ceil", "trunc", "fix", "positive", "reciprocal", "nan_to_num", "round"]
)
def test_numpys_bits_of_one(name: str, dtype: str) -> None:
    x = np.array(EDGES, dtype)
    with np.errstate(all="ignore"):
        same(getattr(lucid, name)(x), getattr(np, name)(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["fmod", "copysign", "heaviside", "fmin", "fmax"])
def test_numpys_bits_of_two(name: str, dtype: str) -> None:
    x, y = (g.ravel() for g in np.meshgrid(*[np.array(EDGES, dtype)] * 2))
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x, y)
    if name in ("fmin", "fmax"):  # of zeros of different sign either
        want, x, y = (a[(x != 0) | (y != 0)] for a in (want, x, y))
    same(getattr(lucid, name)(x, y), want)


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    x = np.array([0, 1, 2, 7, info.max, info.min, info.min + 1, info.max - 1], dtype)
    a, b = (g.ravel() for g in np.meshgrid(x, x))
    with np.errstate(all="ignore"):
        want = np.fmod(a, b)
    np.testing.assert_array_equal(lucid.fmod(a, b).numpy(), want)
    for name in ("ceil", "trunc", "round", "nan_to_num", "signbit", "fmax"):
        args = (x, x[::-1]) if name == "fmax" else (x,)
        found, right = getattr(lucid, name)(*args).numpy(), getattr(np, name)(*args)
        np.testing.assert_array_equal(found, right)
        assert found.dtype == right.dtype
    ones = np.array([1, 2, 7, 100], dtype)
    np.testing.assert_array_equal(lucid.reciprocal(ones).numpy(), np.reciprocal(ones))


@pytest.mark.parametrize("dtype", FLOATS)
def test_rounding_to_places(dtype: str) -> None:
    x = np.random.default_rng(1).uniform(-300, 300, 500).astype(dtype)
    for decimals in (-2, -1, 0, 1, 2, 3):
        with np.errstate(all="ignore"):
            same(lucid.round(x, decimals), np.round(x, decimals))
    assert lucid.round(np.array([123, 155]), -1).tolist() == [120, 160]


@pytest.mark.parametrize("dtype", FLOATS)
def test_signbit(dtype: str) -> None:
    x = np.array([*EDGES, -nan], dtype)
    np.testing.assert_array_equal(lucid.signbit(x).numpy(), np.signbit(x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["logaddexp", "logaddexp2"])
def test_sums_of_exponentials(name: str, dtype: str) -> None:
    side = np.array([*EDGES, 1e4, 1.00001e4, -1e4, -20.0], dtype)
    x, y = (g.ravel() for g in np.meshgrid(side, side))
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x.astype("float64"), y.astype("float64")).astype(dtype)
    same(getattr(lucid, name)(x, y), want, 3)


def softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


def logit(x: Array) -> Array:
    return np.log(x) - np.log1p(-x)


WIDE: dict[str, tuple[Callable[..., Array], list[float]]] = {
    "softplus": (softplus, [*EDGES, 1e4, -1e4, 88.0]),
    "sigmoid": (lambda x: np.exp(-np.logaddexp(0, -x)), [*EDGES, 1e4, 88.0]),
    "logit": (
        logit,
        [0.0, 1e-7, 0.1, 0.2499, 0.25, 0.2501, 0.4999, 0.501, 0.75, 0.7501, 0.999, 1.0, -1.0, 2.0, nan],
    ),
    "rsqrt": (lambda x: 1 / np.sqrt(x), EDGES),
    "sinc": (np.sinc, [0.0, -0.0, 0.25, 0.5, 1.5, -2.5, 1e-4, nan]),
    "deg2rad": (np.deg2rad, EDGES),
    "rad2deg": (np.rad2deg, EDGES),
}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", WIDE)
def test_nothing_is_lost_inside(name: str, dtype: str) -> None:
    wide, values = WIDE[name]
    x = np.array(values, dtype)
    with np.errstate(all="ignore"):
        want = wide(x.astype("float64")).astype(dtype)
    same(getattr(lucid, name)(x), want, 3)


def test_logit_is_right_around_a_half() -> None:
    x = np.array([0.5 + 1e-9, 0.5 - 1e-12])
    np.testing.assert_allclose(lucid.logit(x).numpy(), 4 * (x - 0.5), rtol=1e-15)


def test_x_log_y() -> None:
    x = np.array([0.0, 0.0, 0.0, 2.0, nan, 1.0])
    y = np.array([0.0, -1.0, nan, 3.0, 1.0, 0.0])
    same(lucid.xlogy(x, y), np.array([0.0, 0.0, nan, 2 * math.log(3), nan, -inf]), 2)


def test_dtypes_of_functions_that_choose_them() -> None:
    x = np.array([1.5, 4.0], np.float32)
    assert lucid.float_power(x, 2).dtype == np.float64
    assert lucid.lerp(x, 2.0, 0.25).dtype == np.float32
    assert lucid.sin(np.array([1, 2])).dtype == np.float64
    np.testing.assert_array_equal(lucid.lerp(x, np.float32(3), np.float32(1)).numpy(), [3, 3])
    assert lucid.arctan2(lucid.Tensor([1.0]), 2).dtype == np.float32


GRADIENTS: dict[str, tuple[Callable[..., Any], list[tuple[float, float]]]] = {
    "logaddexp": (lambda x, y: lucid.logaddexp(x, y).sum(), [(-2, 2), (-2, 2)]),
    "logaddexp2": (lambda x, y: lucid.logaddexp2(x, y).sum(), [(-2, 2), (-2, 2)]),
    "softplus": (lambda x: (lucid.softplus(x, beta=2.0) * x).sum(), [(-2, 2)]),
    "logit": (lambda x: lucid.logit(x).sum(), [(0.1, 0.9)]),
    "xlogy": (lambda x, y: lucid.xlogy(x, y).sum(), [(0.5, 2), (0.5, 2)]),
    "sinc": (lambda x: lucid.sinc(x).sum(), [(-3, 3)]),
    "rsqrt": (lambda x: lucid.rsqrt(x).sum(), [(0.5, 2)]),
    "reciprocal": (lambda x: lucid.reciprocal(x).sum(), [(0.5, 2)]),
    "lerp": (lambda x, y, w: lucid.lerp(x, y, w).sum(), [(-2, 2), (-2, 2), (0, 1)]),
    "fmax": (lambda x, y: (lucid.fmax(x, y) * lucid.fmin(x, y * 2)).sum(), [(-2, 2), (-2, 2)]),
    "degrees": (lambda x: (lucid.degrees(lucid.radians(x)) ** 2).sum(), [(-2, 2)]),
    "methods": (lambda x: (x.sin().atan2(x.cosh()) + x.reciprocal().rsqrt()).sum(), [(0.5, 2)]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    f, domains = GRADIENTS[name]
    rng = np.random.default_rng(4)
    check(lambda *args: f(*map(lucid.asarray, args)), *(rng.uniform(lo, hi, 6) for lo, hi in domains))


@pytest.mark.parametrize(
    ("f", "x", "first", "second"),
    [
        (lambda x: lucid.softplus(x), 0.0, 0.5, 0.25),
        (lambda x: lucid.softplus(x), 1e4, 1.0, 0.0),
        (lambda x: lucid.logaddexp(x, 3.0), 3.0, 0.5, 0.25),
        (lambda x: lucid.logaddexp(x, -inf), 3.0, 1.0, 0.0),
        (lambda x: lucid.sinc(x), 0.0, 0.0, -(math.pi**2) / 3),
        (lambda x: lucid.logit(x), 0.5, 4.0, 0.0),
        (lambda x: lucid.sigmoid(x), 0.0, 0.25, 0.0),
        (lambda x: lucid.xlogy(x, 0.0), 0.0, 0.0, 0.0),
        (lambda x: lucid.fmax(x, nan), 2.0, 1.0, 0.0),
        (lambda x: lucid.arctan2(x, 0.0), 0.0, 0.0, 0.0),
        (lambda x: lucid.arctan2(x, 1e-200), 1e-200, 0.5e200, None),
        (lambda x: lucid.arcsinh(x), 1e200, 1e-200, None),
        (lambda x: lucid.arccosh(x), 1e200, 1e-200, None),
        (lambda x: lucid.nan_to_num(x), inf, 0.0, 0.0),
        (lambda x: lucid.rint(x) + lucid.ceil(x) + lucid.trunc(x), 0.3, 0.0, 0.0),
    ],
)
def test_where_two_ways_meet(f: Callable[..., Any], x: float, first: float, second: float | None) -> None:
    gradient = lucid.grad(lambda v: f(v).sum())
    np.testing.assert_allclose(gradient(np.array([x])), [first], rtol=1e-14)
    if second is not None:
        found = lucid.grad(lambda v: gradient(v).sum())(np.array([x]))
        np.testing.assert_allclose(found, [second], rtol=1e-14, atol=1e-300)


def test_special_has_pytorchs_names() -> None:
    assert lucid.special.expit is lucid.sigmoid
    assert lucid.special.gammaln is lucid.lgamma and lucid.special.psi is lucid.digamma
    alone = {n for n in lucid.special.__all__ if re.search("_polynomial_|bessel|gamma|ndtr|i0e|i1", n)}
    alone = (alone | {"entr", "erfcx", "xlog1py", "zeta"}) - {"gammaln", "digamma", "polygamma"}
    assert not any(hasattr(lucid, name) for name in alone)
    for name in set(lucid.special.__all__) - {"expit", "gammaln", "psi"} - alone:
        assert getattr(lucid, name) is getattr(lucid.special, name)
