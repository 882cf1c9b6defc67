"""Formulas over the whole range of each format: where the exact result can be represented, what comes out is
it within the stated bound, value and gradient. Exact is what `longdouble` gives, which has a longer exponent
than any format here, so that nothing overflows or vanishes there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F

from ..compiler.test_transcendental import series as erf

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
Exact = Callable[[Array], Array]
L = np.longdouble
FLOATS = ("float16", "float32", "float64")

if np.finfo(L).maxexp <= 1024:
    pytest.skip("longdouble is float64 here", allow_module_level=True)


def at_ends(dtype: str) -> Array:
    """Numbers of both signs from the least to the greatest, and what lies about the roots of both."""
    info = np.finfo(dtype)
    least, tiny, most = (L(v) for v in (info.smallest_subnormal, info.tiny, info.max))
    sizes: list[Any] = [
        0, least, 3 * least, tiny / 2, tiny, 7 * tiny, info.eps, 1e-3, 0.3, 0.7, 1, 3, 5.5, 9, 11, 20, 80, 88,
        100, 300, 349, 351, 700, 740,
    ]  # fmt: skip
    sizes += [root * f for root in (tiny**0.5, least**0.5, most**0.25, most**0.5) for f in (L(0.6), L(1.3))]
    sizes += [most / 8, most / 3, most / 2, most]
    found = np.array([s for s in (L(s) for s in sizes) if s <= most], L).astype(dtype)
    return np.concatenate([found, -found])


def wrong(got: Array, exact: Array, floor: Array, ulps: float) -> Array:
    """Where `got` is further than `ulps` units of max(|exact|, floor) from `exact`, or not inf as it is."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        away = np.abs(got.astype(L) - exact)
        bound = L(ulps) * (L(info.eps) * np.maximum(np.abs(exact), floor) + L(info.smallest_subnormal))
        return np.asarray(np.where(np.isfinite(rounded), ~(away <= bound), got != rounded))


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def tail(x: Array) -> Array:
    """(1 + erf(x / sqrt 2)) / 2."""
    return (1 + erf(x * np.sqrt(L(0.5)))) / 2


def gelu(x: Array) -> tuple[Array, Array]:
    return x * tail(x), tail(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi * L(1))


def gelu_tanh(x: Array) -> tuple[Array, Array]:
    c = L(math.sqrt(2 / math.pi))
    t = np.tanh(c * (x + L(0.044715) * x**3))
    return x / 2 * (1 + t), (1 + t) / 2 + x / 2 * (1 - t * t) * c * (1 + 3 * L(0.044715) * x * x)


def huber(x: Array, delta: L) -> tuple[Array, Array]:
    a = np.abs(x)
    return np.where(a < delta, x * x / 2, delta * (a - delta / 2)), np.clip(x, -delta, delta)


def smooth(x: Array, beta: L) -> tuple[Array, Array]:
    a = np.abs(x)
    inside = a < beta
    safe = np.maximum(beta, L(np.finfo(L).tiny))
    return np.where(inside, x * x / (2 * safe), a - beta / 2), np.where(inside, x / safe, np.sign(x))


# name: the formula; its value and slope; what their errors are measured by, if not by themselves.
Row = tuple[Callable[[Any], Any], Callable[[Array], tuple[Array, Array]], Exact | float, Exact | float]
ROWS: dict[str, Row] = {
    "relu": (F.relu, lambda x: (np.maximum(x, 0), (x > 0) * L(1)), 0, 0),
    "sigmoid": (F.sigmoid, lambda x: (sigmoid(x), sigmoid(x) * sigmoid(-x)), 0, 0),
    "tanh": (lucid.tanh, lambda x: (np.tanh(x), 1 / np.cosh(np.clip(x, -5000, 5000)) ** 2), 0, 1),
    "erf": (
        lucid.erf, lambda x: (erf(x), 2 / np.sqrt(np.pi * L(1)) * np.exp(-x * x)),
        0, lambda x: x * x * np.exp(-x * x),
    ),
    "exp": (lucid.exp, lambda x: (np.exp(x), np.exp(x)), 0, 0),
    "gelu": (F.gelu, gelu, abs, 1),
    "gelu by tanh": (lambda x: F.gelu(x, "tanh"), gelu_tanh, abs, lambda x: 1 + np.minimum(x * x, 100)),
    "hypot": (
        lambda x: lucid.hypot(x, x),
        lambda x: (np.abs(x) * np.sqrt(L(2)), np.sign(x) * np.sqrt(L(2))), 0, 0,
    ),
    "reciprocal": (lambda x: 1 / x, lambda x: (1 / x, -1 / (x * x)), 0, 0),
}  # fmt: skip
WIDTHS: dict[str, Callable[[Any], float]] = {
    "least": lambda i: float(i.smallest_subnormal),
    "tiny": lambda i: float(i.tiny),
    "narrow": lambda i: 0.75,
    "wide": lambda i: 350.0,
    "half of all": lambda i: float(i.max) / 2,
    "all": lambda i: float(i.max),
}


def slope(f: Callable[[Any], Any], x: Array) -> Array:
    return np.asarray(lucid.grad(lambda v: f(v).sum())(x).numpy())


def compare(f: Any, exact: Any, floors: tuple[Any, Any], x: Array, ulps: float = 8) -> None:
    wide = x.astype(L)
    with np.errstate(all="ignore"):
        wanted = exact(wide)
        sizes = [np.asarray(s(wide) if callable(s) else L(s)) for s in floors]
        found = np.asarray(f(Tensor(x)).numpy()), slope(f, x)
    for what, got, want, size in zip(("value", "slope"), found, wanted, sizes, strict=True):
        assert got.dtype == x.dtype
        bad = wrong(got, np.asarray(want), size, ulps)
        assert not bad.any(), (what, x[bad], got[bad], want[bad])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWS)
def test_a_formula_over_the_whole_range(name: str, dtype: str) -> None:
    f, exact, *floors = ROWS[name]
    x = at_ends(dtype)
    if name == "reciprocal":
        x = x[x != 0]
    compare(f, exact, (floors[0], floors[1]), x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["huber", "smooth l1"])
def test_a_loss_of_any_width_over_the_whole_range(name: str, width: str, dtype: str) -> None:
    info = np.finfo(dtype)
    number = WIDTHS[width](info)
    x = at_ends(dtype)
    if name == "huber":  # but for half of a square that overflows: see nn/formulas.py
        root = float(info.max) ** 0.5
        x = x[(np.abs(x) < root) | (np.abs(x) > 1.42 * root) | (number < root)] if dtype != "float16" else x
        compare(lambda v: F.huber_loss(v, 0 * v, number, "none"), lambda v: huber(v, L(number)), (0, 0), x)
    else:  # a slope is a difference of numbers in units of the width, were they the least there are
        floor = L(info.smallest_subnormal) / L(number) / L(info.eps)
        compare(
            lambda v: F.smooth_l1_loss(v, 0 * v, number, "none"),
            lambda v: smooth(v, L(number)),
            (0, floor),
            x,
        )


# --- reductions: rows that hold both ends --------------------------------------------------------


def lengths(x: Array) -> Array:
    return np.asarray(np.sqrt((x * x).sum(1)))


def log_softmax(x: Array) -> Array:
    away = x - x.max(1, keepdims=True)
    return np.asarray(away - np.log(np.exp(away).sum(1, keepdims=True)))


def normal(x: Array) -> Array:
    away = x - x.mean(1, keepdims=True)
    return np.asarray(away / np.sqrt((away * away).mean(1, keepdims=True) + L(1e-5)))


def rows(dtype: str, least: float, most: float) -> Array:
    """Rows of numbers of one size, from `least` to `most` by powers of two, and of sizes far apart."""
    sizes = np.ldexp(L(1), np.linspace(math.log2(least), math.log2(most), 40).astype(int))
    plain = np.array([3, -4, 1, 0.5, -2, 0.25, 7, -1], L)
    found = [plain / 16 * s for s in sizes]
    found += [np.where(np.arange(8) == n, 1, L(2) ** -n) * s for n, s in enumerate(sizes)]
    return np.array(found).astype(dtype)


@pytest.mark.parametrize("axis", [None, 1], ids=["all", "rows"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_norm_over_the_whole_range(dtype: str, axis: int | None) -> None:
    info = np.finfo(dtype)
    x = rows(dtype, float(info.smallest_subnormal), float(info.max))
    for part in [x] if axis else [row[None] for row in x]:
        wide = part.astype(L)
        found = lucid.linalg.norm(part, axis=axis).numpy().reshape(-1)
        assert found.dtype == part.dtype
        assert not wrong(found, lengths(wide), np.asarray(L(0)), 2).any(), part
        gradient = slope(lambda v: lucid.linalg.norm(v, axis=axis), part)
        want = wide / np.maximum(lengths(wide), L(info.smallest_subnormal) / 4)[:, None]
        assert not wrong(gradient, want, np.asarray(L(0)), 4).any(), part


def test_norms_of_float32_where_squares_are_beyond_it() -> None:
    assert lucid.linalg.norm(np.array([3e30, 4e30], np.float32)).item() == np.float32(5e30)
    assert lucid.linalg.norm(np.full(4, 1e-30, np.float32)).item() == np.float32(2e-30)
    x = np.array([[1e20, 1, 1], [0, 0, 0]], np.float32)
    gradient = lucid.grad(lambda v: lucid.linalg.norm(v, axis=1).sum())
    np.testing.assert_allclose(gradient(x), np.array([[1, 1e-20, 1e-20], [0, 0, 0]]), rtol=1e-6)
    for bad in (np.inf, -np.inf, np.nan):
        found = lucid.linalg.norm(np.array([3.0, bad], np.float32)).item()
        assert found == np.inf or (bad != bad and found != found)


# What sums numbers, or their squares, in their own format is right where that sum is inside of it.
SUMS: dict[str, tuple[Callable[[Any], Any], Callable[[Array], Array], bool, float]] = {
    "mean": (lambda x: lucid.mean(x, 1), lambda x: np.asarray(x.mean(1)), False, 1),
    "var": (lambda x: lucid.var(x, 1), lambda x: np.asarray(x.var(1)), True, 1),
    "std": (lambda x: lucid.std(x, 1), lambda x: np.asarray(x.std(1)), True, 1),
    "softmax": (F.softmax, lambda x: np.exp(log_softmax(x)), False, 4),
    "log_softmax": (F.log_softmax, log_softmax, False, 1),
    "layer_norm": (lambda x: F.layer_norm(x, 8), normal, True, 1),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SUMS)
def test_a_reduction_over_what_its_sums_allow(name: str, dtype: str) -> None:
    f, exact, squares, ulps = SUMS[name]
    info = np.finfo("float32" if dtype == "float16" else dtype)
    least, most = float(info.tiny) * 2**60, float(info.max) / 16
    if squares:
        least, most = least**0.5, most**0.5
    half = np.finfo(np.float16)
    if dtype == "float16":
        least, most = float(half.smallest_subnormal), float(half.max)
    x = rows(dtype, least, most)
    wide = x.astype(L)
    want = exact(wide)
    found = f(Tensor(x)).numpy()
    size = np.abs(wide).max(1)
    floors = {
        "mean": size,
        "std": size,
        "var": size**2,
        "log_softmax": L(1),
        "layer_norm": L(1),
        "softmax": L(0),
    }
    floor = np.asarray(floors[name])
    assert not wrong(found, want, floor, 8 * ulps).any(), (found, want)
