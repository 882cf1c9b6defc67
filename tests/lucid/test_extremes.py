"""Formulas at the ends of the number formats: nothing overflows or vanishes inside where the result does
not. float16 and float32 are compared with the same formula in float64, value and two derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
HALF = np.float16

ELEMENTS: dict[str, Callable[[Any], Any]] = {
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "erf": lucid.erf,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, "tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "elu": F.elu,
    "l1": lambda x: F.l1_loss(x, lucid.zeros_like(x), "none"),
    "huber": lambda x: F.huber_loss(x, lucid.zeros_like(x), 0.7, "none"),
    "huber, wide": lambda x: F.huber_loss(x, lucid.zeros_like(x), 350.0, "none"),
    "smooth l1": lambda x: F.smooth_l1_loss(x, lucid.zeros_like(x), 0.7, "none"),
    "smooth l1, wide": lambda x: F.smooth_l1_loss(x, lucid.zeros_like(x), 350.0, "none"),
    "smooth l1, narrow": lambda x: F.smooth_l1_loss(x, lucid.zeros_like(x), 1e-5, "none"),
}
SIZES = [0.0, 1e-7, 1e-3, 0.3, 1.0, 5.0, 11.0, 30.0, 299.0, 345.0, 6e4]
FAR = [1e-30, 1e8, 1e13, 1.5e19, 3e19, 1e25, 3e38]


def derivatives(f: Callable[[Any], Any], x: Array) -> list[Array]:
    def first(v: Any) -> Any:
        return lucid.grad(lambda u: f(u).sum())(v)

    return [f(Tensor(x)).numpy(), first(x).numpy(), lucid.grad(lambda v: first(v).sum())(x).numpy()]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", ELEMENTS)
def test_a_formula_overflows_inside(name: str, dtype: str) -> None:
    sizes = SIZES + FAR * (dtype == "float32")
    x = np.array([s * v for v in sizes for s in (1, -1)], dtype)
    info = np.finfo(dtype)
    exact = derivatives(ELEMENTS[name], x.astype(np.float64))
    for order, (got, want) in enumerate(zip(derivatives(ELEMENTS[name], x), exact, strict=True)):
        with np.errstate(over="ignore"):
            rounded = want.astype(dtype)
        assert got.dtype == x.dtype
        inside = np.isfinite(rounded)
        np.testing.assert_array_equal(got[~inside], rounded[~inside])
        # what is subtracted inside, as 1 + erf(x), is about 1; 1 - tanh² meets the slope of its argument
        size = (10 if "tanh" in name and order == 2 else 1) if dtype == "float32" else 0.05
        tolerance = 8 * float(info.eps) * np.maximum(np.abs(want), size)
        away = np.abs(got.astype(np.float64) - want)
        assert (away <= tolerance + float(info.smallest_subnormal))[inside].all(), (x[inside], got, want)


def test_gelu_far_out_in_float64() -> None:
    x = np.array([1e8, -1e8, 1e155, -1e155, 1e300, -1e300])
    for f in (F.gelu, ELEMENTS["gelu by tanh"]):
        value, first, second = derivatives(f, x)
        np.testing.assert_array_equal(value, np.where(x > 0, x, 0))
        np.testing.assert_array_equal(first, x > 0)
        np.testing.assert_array_equal(second, 0 * x)


def test_smooth_l1_at_the_ends_of_float64() -> None:
    for size, beta in ((1e200, 1e250), (1e-200, 1e-150), (3e-200, 1e-180)):
        x = np.array([size, -size])
        f = functools.partial(F.smooth_l1_loss, target=0 * x, beta=beta, reduction="none")
        value, first, second = derivatives(f, x)
        np.testing.assert_allclose(value, size / 2 * (size / beta), rtol=1e-14)
        np.testing.assert_allclose(first, x / beta, rtol=1e-14)
        np.testing.assert_allclose(second, 1 / beta, rtol=1e-14)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_float16_sums_overflow_inside(compiled: bool) -> None:
    count = 70000
    x = np.full(count, 3.0, np.float16)
    made: Any = lucid.compile if compiled else (lambda f: f)
    want = np.float16(1 / count)
    assert (made(lambda v: F.softmax(v))(x).numpy() == want).all()
    assert (made(lambda v: F.log_softmax(v))(x).numpy() == np.float16(-np.log(count))).all()
    y = np.full(count, 2.0, np.float16)
    assert made(lambda a, b: F.mse_loss(a, b))(x, y).item() == 1
    assert made(lambda a, b: F.huber_loss(a, b, delta=0.5))(x, y).item() == 0.375
    big = np.array([300.0, -300.0], np.float16)
    assert made(lambda v: F.huber_loss(v, 0 * v, 350.0, "none"))(big).tolist() == [np.float16(45000)] * 2
    assert made(lambda v: F.mse_loss(v, 0 * v + 100))(big).item() == np.inf
    assert made(lambda v: F.mse_loss(v / 2, 0 * v))(big).item() == np.float16(22500)
    assert made(lambda v: lucid.asarray(v).std())(big).item() == 300
    assert made(lucid.grad(lambda v: F.gelu(v).sum()))(big).tolist() == [1, 0]
    assert made(lucid.grad(lambda v: F.gelu(v, "tanh").sum()))(big).tolist() == [1, 0]
    zero = np.zeros(2, np.float16)
    gradient = made(lucid.grad(lambda v: F.smooth_l1_loss(v, 0 * v, 1e-5, "sum")))
    assert gradient(zero).tolist() == [0, 0]


def test_gradients_of_float16_means_vanish() -> None:
    """1/n of the mean, its weights, and what they are multiplied by meet in float32."""
    x = np.zeros(1, np.float16)
    weight = np.full(1, 1e-7, np.float32)
    scaled = lucid.grad(lambda v: F.mse_loss(v, lucid.asarray(np.float16(200.0)).reshape(1), weight=weight))
    assert scaled(x).tolist() == [-400]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_log_softmax_of_what_lies_far_apart(dtype: str) -> None:
    top = float(np.finfo(dtype).max)
    x = np.array([[top, top / 2, -top], [0, -top / 2, -top / 2]], dtype)
    with np.errstate(over="ignore"):
        want = (x - x.max(1, keepdims=True)).astype(dtype)
    np.testing.assert_array_equal(F.log_softmax(x), want)
    np.testing.assert_array_equal(F.softmax(x), [[1, 0, 0], [1, 0, 0]])
    gradient = lucid.grad(lambda v: (F.log_softmax(v) * np.array([1.0, 0, 0], dtype)).sum())
    np.testing.assert_array_equal(gradient(x), np.zeros((2, 3)))


def test_linear_of_float16_rounds_before_its_bias() -> None:
    """The sum is above float16, the result is not; and nothing is stored in float32 for that."""
    x, w = np.full((40, 70), 100.0, HALF), np.full((5, 70), 10.0, HALF)
    b = np.full(5, -10000.0, HALF)
    step = lucid.compile(F.linear)
    assert (step(x, w, b).numpy() == 60000).all()
    assert step.explain().count("\nkernel ") == 1 and "kernel linear" in step.explain()
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=s).astype(HALF) for s in ((40, 70), (5, 70), (5,)))
    want = x.astype(float) @ w.astype(float).T + b
    np.testing.assert_array_equal(step(x, w, b), want.astype(np.float32).astype(HALF))
    gradient = lucid.grad(lambda v: F.linear(x, v, b).sum())(w)
    want = np.broadcast_to(x.astype(float).sum(0), w.shape)
    np.testing.assert_array_equal(gradient, want.astype(np.float32).astype(HALF))


@pytest.mark.parametrize("shape", [(256, 128, 64), (5, 7, 3), (33, 65, 17), (1, 128, 64), (64, 128, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_packing_does_on_the_way(shape: tuple[int, int, int], order: str) -> None:
    """Casts and masks of operands of products: the bits of operands that were made before."""
    n, depth, m = shape
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, depth) if order == "C" else (depth, n)).astype(HALF)
    w = rng.normal(size=(depth, m)).astype(np.float32)
    rows = rng.random((n, 1)) < 0.5

    def product(x: Any, w: Any, rows: Any) -> Any:
        x = lucid.asarray(x) if order == "C" else lucid.asarray(x).T
        return lucid.where(rows, x.astype(np.float32), 0.0) @ w

    plain = np.ascontiguousarray(np.where(rows, (x if order == "C" else x.T).astype(np.float32), 0))
    step = lucid.compile(product)
    np.testing.assert_array_equal(step(x, w, rows), lucid.compile(lambda a, b: a @ b)(Tensor(plain), w))
    if min(shape) > 1:
        assert step.explain().count("\nkernel ") == 1


UNARY: dict[str, Callable[[Any], Any]] = {
    "square": lambda x: x * x,
    "cube": lambda x: x**3,
    "fourth": lambda x: x**4,
    "power": lambda x: abs(x) ** 1.5,
    "root": lambda x: abs(x).sqrt(),
    "log": lambda x: abs(x).log(),
    "exp": lucid.exp,
    "tanh": lucid.tanh,
    "erf": lucid.erf,
    "reciprocal": lambda x: 1 / x,
}


@pytest.mark.parametrize("name", UNARY)
def test_derivatives_of_float16_overflow_inside(name: str) -> None:
    """Each operation's derivative, times a cotangent, is rounded once: that of float64 within two units."""
    x = np.array([1e-4, 1e-3, 0.1, 0.7, 3.0, 20.0, 200.0, 40000.0], HALF)
    for size in (1.0, 40000.0, 1e-3):
        ct = np.full(x.shape, size, HALF)
        got = lucid.grad(lambda v, c=ct: (UNARY[name](v) * c).sum())(x).numpy()
        wide, weights = x.astype(np.float64), ct.astype(np.float64)
        want = lucid.grad(lambda v, c=weights: (UNARY[name](v) * c).sum())(wide).numpy()
        with np.errstate(over="ignore"):
            rounded = want.astype(HALF)
        inside = np.isfinite(rounded) & (rounded != 0)
        spacing = np.spacing(abs(rounded[inside])).astype(np.float64)
        units = abs(got[inside].astype(np.float64) - want[inside]) / spacing
        assert (units <= 2).all(), (size, x[inside], got[inside], want[inside])
