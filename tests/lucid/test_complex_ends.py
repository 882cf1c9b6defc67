"""Complex numbers at 0, at infinity, at NaN and at the top of the range: NumPy's values, part by part."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
INF, NAN = np.inf, np.nan


def same(got: Any, want: Any, message: str = "") -> None:
    """Part by part: NaN where that is NaN, else within some ulp of the part; infinite parts of that sign."""
    got, want = np.atleast_1d(np.asarray(got)), np.atleast_1d(np.asarray(want))
    assert got.dtype == want.dtype
    eps = np.finfo(want.dtype).eps
    for part in ("real", "imag"):
        np.testing.assert_allclose(
            getattr(got, part), getattr(want, part), rtol=64 * eps, atol=0, err_msg=f"{message} {part}"
        )


def test_0_to_a_power_that_has_no_limit_is_nan() -> None:
    b = np.array([-0.5, -1, -2 + 0j, 1j, -1 + 2j, 0, 0.5, 2, 1 + 1j])
    zeros = np.zeros(len(b), complex)
    with np.errstate(all="ignore"):
        same(Tensor(zeros) ** Tensor(b), zeros**b)
        for exponent in (-1, -2, -3, -0.5, 1j, 2 - 1j, 0, 1, 2):
            same(Tensor(zeros[:1]) ** exponent, zeros[:1] ** exponent, str(exponent))
        same(lucid.reciprocal(Tensor(zeros[:1])), np.reciprocal(zeros[:1]))
        same(1 / Tensor(zeros[:1]), 1 / zeros[:1])


def test_anything_to_the_power_0_is_1() -> None:
    a = np.array([complex(re, im) for re in (0.0, 2.0, INF, -INF, NAN) for im in (0.0, 1.0, INF, NAN)])
    b = Tensor(np.zeros(len(a), complex))
    same(Tensor(a) ** b, np.ones(len(a), complex))
    slope = lucid.grad(lambda b: ((2 + 1j) ** b).real.sum())(b)  # log(a), conjugated
    same(slope, np.full(len(a), np.conj(np.log(2 + 1j))))


def test_a_quotient_by_nan_is_nan() -> None:
    parts = (0.0, 1.0, NAN)
    b = np.array([complex(c, d) for c in parts for d in parts])
    with np.errstate(all="ignore"):
        same((1 + 1j) / Tensor(b), (1 + 1j) / b)
        same(lucid.reciprocal(Tensor(b)), np.reciprocal(b))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_on_an_axis_the_other_part_is_0_though_the_size_overflows(dtype: str) -> None:
    z = np.array([complex(s * 1000, t) for s in (1, -1) for t in (0.0, -0.0)], dtype)
    for name, points in (("cosh", z), ("sinh", z), ("exp", z), ("cos", z * 1j), ("sin", z * 1j)):
        got = getattr(lucid, name)(Tensor(points)).numpy()
        with np.errstate(all="ignore"):
            want = getattr(np, name)(points)
        same(got, want, name)
        for part in ("real", "imag"):
            np.testing.assert_array_equal(np.signbit(getattr(got, part)), np.signbit(getattr(want, part)))


@pytest.mark.parametrize(
    ("dtype", "top", "edge"), [("complex64", 3e38, 88.8), ("complex128", 1.5e308, 709.9)]
)
def test_values_at_the_top_and_the_bottom_of_the_range(dtype: str, top: float, edge: float) -> None:
    """No part of the way overflows where the result does not."""
    tiny = float(np.finfo(np.dtype(dtype)).smallest_subnormal)
    large = np.array([complex(a, b) for a in (top, -top, 1.0) for b in (top, -top, 0.0)], dtype)
    small = np.array([tiny, -tiny, 1j * tiny, tiny * 1e3 + tiny * 1e3j], dtype)
    for name, z in (("sqrt", large), ("log", large), ("log10", large), ("sqrt", small), ("log", small)):
        same(getattr(lucid, name)(Tensor(z)), getattr(np, name)(z), name)
    corner = np.array([1 + 1j, -1 - 1j]) * np.sqrt(0.5)
    same(lucid.sign(Tensor(large[[0, 4]])), corner.astype(dtype))
    z = np.array([complex(s * edge, t) for s in (1, -1) for t in (1.5, -1.5, 1.6)], dtype)
    wide = z.astype(np.clongdouble)
    with np.errstate(all="ignore"):
        for name in ("exp", "expm1", "sinh", "cosh"):
            same(getattr(lucid, name)(Tensor(z)), getattr(np, name)(wide).astype(dtype), name)
        for name in ("sin", "cos"):
            same(getattr(lucid, name)(Tensor(z * 1j)), getattr(np, name)(wide * 1j).astype(dtype), name)
        two = (z * (1 / np.log(2))).astype(dtype)
        want = np.exp(two.astype(np.clongdouble) * np.log(np.longdouble(2))).astype(dtype)
        ulps = 64 * 700 * float(np.finfo(dtype).eps)  # of the angle, times log(2)
        np.testing.assert_allclose(lucid.exp2(Tensor(two)).numpy().real, want.real, rtol=ulps)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_infinite_and_nan_parts(dtype: str) -> None:
    parts = (INF, -INF, NAN, 0.0, 1.0, 1000.0)
    z = np.array([complex(a, b) for a, b in itertools.product(parts, parts[:-1])], dtype)
    with np.errstate(all="ignore"):
        for name in ("exp", "cosh", "sinh", "tanh"):
            got, want = getattr(lucid, name)(Tensor(z)).numpy(), getattr(np, name)(z)
            free = np.isinf(z.real) & ~np.isfinite(z.imag)  # C99 leaves the sign of infinity open
            same(got[~free], want[~free], name)
            same(np.abs(got[free].real) + 0j, np.abs(want[free].real) + 0j, name)
    got = lucid.expm1(Tensor(np.array([complex(-INF, NAN), complex(-INF, INF), complex(INF, 0)], dtype)))
    same(got, np.array([-1, -1, complex(INF, 0)], dtype))


def test_signs_of_infinite_numbers() -> None:
    parts = (INF, -INF, NAN, 3e38, 0.0)
    z = np.array([complex(a, b) for a in parts for b in parts if not a == b == 3e38], "complex64")
    with np.errstate(all="ignore"):
        same(lucid.sign(Tensor(z)), np.sign(z))
    assert not np.signbit(lucid.sign(Tensor(-0.0 * np.ones(1, "complex64"))).numpy().real).any()


def test_gradients_at_0() -> None:
    """sign has the slope 0, as of real numbers; log none."""
    for dtype in ("complex64", "complex128"):
        z = np.zeros(1, dtype)
        for name in ("sign", "abs"):
            function = getattr(lucid, name)
            assert lucid.grad(lambda x, of=function: of(x).real.sum())(z).tolist() == [0j]
        assert not np.isfinite(lucid.grad(lambda x: lucid.log(x).real.sum())(z).numpy()).any()
        assert not np.isfinite(lucid.grad(lambda x: (1 / x).real.sum())(z).numpy()).any()
    there = np.array([3 + 4j, 3e200 + 4e200j, 3e-200 - 4e-200j])
    slope = lucid.grad(lambda x: lucid.log(x).real.sum())(there).numpy()
    np.testing.assert_allclose(slope, 1 / there.conj(), rtol=1e-14)
