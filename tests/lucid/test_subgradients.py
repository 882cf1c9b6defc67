"""Derivatives where there is none: the table of docs/architecture.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.nn import functional as F

pytestmark = pytest.mark.table

inf, nan = np.inf, np.nan
Q = [[3.0, 4.0], [0.0, 0.0]]

# name: a function, where, its gradient
TABLE: dict[str, tuple[Callable[[Any], Tensor], Any, Any]] = {
    "the square of a norm": (lambda x: (x * x).sum().sqrt() ** 2, [0.0, 0.0], [0, 0]),
    "a norm": (lambda x: lucid.linalg.norm(x), [0.0, 0.0], [0, 0]),
    "norms of rows": (lambda x: lucid.linalg.norm(x, axis=1).sum(), Q, [[0.6, 0.8], [0, 0]]),
    "NumPy's norm": (lambda x: np.linalg.norm(x, axis=1, keepdims=True).sum(), Q, [[0.6, 0.8], [0, 0]]),
    "a dot product": (lambda x: (x @ x).sqrt(), [0.0, 0.0], [0, 0]),
    "a mean square": (lambda x: (0.5 * (x**2).mean(1)).sqrt().sum(), [[0.0, 0.0]], [[0, 0]]),
    "a masked norm": (lambda x: lucid.where(x > 0, x * x, 0.0).sum().sqrt(), [0.0, -1.0], [0, 0]),
    "two squares": (lambda x: (x[0] * x[0] + x[1] * x[1]).sqrt(), [0.0, 0.0], [0, 0]),
    "a weighted norm": (
        lambda x: (x * np.array([1.0, 2.0]) * x).sum().sqrt(), [0.0, 0.0], [0, 0],
    ),
    "a norm in a norm": (
        lambda x: ((x * x).sum(1) * np.array([2.0, 3.0])).sum().sqrt(), [[0.0], [0.0]], [[0], [0]],
    ),
    "weights of a norm": (
        lambda w: (w * w.detach() * 0 + w * np.array([4.0, 0.0])).sum().sqrt(), [1.0, 2.0], [1, 0],
    ),
    "small squares, large weights": (
        lambda x: (x * 1e300 * x * np.array(1e300)).sqrt(), 1e-250, 1e300,
    ),
    "a weight of 0": (lambda w: (w * np.array([4.0, 9.0])).sum().sqrt(), [0.0, 0.0], [inf, inf]),
    "squares that cancel": (
        lambda x: (np.array([1.0, -1.0]) * x * x).sum().sqrt(), [1.0, 1.0], [inf, -inf],
    ),
    "over a mean": (lambda x: ((x * x) / x.size).sum().sqrt(), [0.0, 0.0], [0, 0]),
    "the root of a cube": (lambda x: (x * x * x).sqrt().sum(), [0.0, 4.0], [0, 3]),
    "the greater of one and NaN": (lambda x: lucid.maximum(x, np.nan).sum(), [1.0], [1]),
    "the greatest of NaN": (lambda x: (x * np.array([1.0, nan])).max(), [1.0, 0.0], [0, nan]),
    "the greatest of rows with and without NaN": (
        lambda x: x.max(axis=1).sum(), [[1.0, nan, 2.0, nan], [1.0, 2.0, 2.0, inf]],
        [[0, 0.5, 0, 0.5], [0, 0, 0, 1]],
    ),
    "the least where all is NaN": (lambda x: x.min(), [nan, nan], [0.5, 0.5]),
    "a difference of squares": (lambda x: (x[0] * x[0] - x[1] * x[1]).sqrt(), [1.0, 1.0], [inf, -inf]),
    "a root": (lambda x: x.sqrt().sum(), [0.0, 4.0], [inf, 0.25]),
    "hypot": (lambda x: lucid.hypot(x[0], x[1]).sum(), [[0.0, 3.0], [0.0, 4.0]], [[0, 0.6], [0, 0.8]]),
    "hypot of large": (lambda x: lucid.hypot(x, x), 1e300, 2**0.5),
    "hypot of small": (lambda x: lucid.hypot(x, x), 1e-300, 2**0.5),
    "std of equal": (lambda x: x.std(1).sum(), [[2.0, 2.0], [1.0, 3.0]], [[0, 0], [-0.5, 0.5]]),
    "std of equal, axes kept": (
        lambda x: (x.std(1, keepdims=True) * 1).sum(), [[2.0, 2.0], [1.0, 3.0]], [[0, 0], [-0.5, 0.5]],
    ),
    "over a root of a mean square": (
        lambda x: (x[:, 0] / ((x * x).mean(1, keepdims=True).sqrt()[:, 0] + 1)).sum(), [[0.0, 0.0]], [[1, 0]],
    ),
    "var of equal": (lambda x: x.var(1).sum(), [[2.0, 2.0]], [[0, 0]]),
    "abs": (lambda x: abs(x).sum(), [0.0, -0.0, 1.0], [0, 0, 1]),
    "relu": (lambda x: F.relu(x).sum(), [0.0, -0.0, 1.0], [0, 0, 1]),
    "a tie": (lambda x: lucid.maximum(x, 1.0).sum(), [1.0, 0.0, 2.0], [0.5, 0, 1]),
    "ties": (lambda x: x.max(), [1.0, 1.0, 0.0, 1.0], [1 / 3, 1 / 3, 0, 1 / 3]),
    "least of ties": (lambda x: x.min(1).sum(), [[1.0, 1.0]], [[0.5, 0.5]]),
    "clip": (lambda x: x.clip(0.0, 1.0).sum(), [0.0, 1.0, 2.0, -1.0], [1, 1, 0, 0]),
    "whole powers": (lambda x: (x**1 + x**2 + x**3).sum(), [0.0], [1]),
    "a power above 1": (lambda x: (x**1.5).sum(), [0.0], [0]),
    "a power below 1": (lambda x: (x**0.25).sum(), [0.0], [inf]),
    "powers of tensors": (
        lambda x: (x ** np.array([0.0, 1.0, 2.0, 3.0, 1.5])).sum(), [0.0] * 5, [0, 1, 0, 0, 0],
    ),
    "exponents at 0": (lambda p: (np.zeros(4) ** p).sum(), [0.0, 0.5, 1.0, 2.0], [0, 0, 0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_derivatives_where_there_is_none(name: str, compiled: bool) -> None:
    f, x, want = TABLE[name]
    gradient: Any = lucid.grad(f)
    if compiled:
        gradient = lucid.compile(gradient)
    np.testing.assert_allclose(gradient(np.asarray(x)), want, rtol=1e-14)


SECOND: dict[str, tuple[Callable[[Any], Tensor], Any, Any]] = {
    "the square of a norm": (TABLE["the square of a norm"][0], [0.0, 0.0], [0, 0]),
    "a norm": (lambda x: lucid.linalg.norm(x), [0.0, 0.0], [0, 0]),
    "norms of rows": (lambda x: lucid.linalg.norm(x, axis=1).sum(), Q, [[0.032, -0.024], [0, 0]]),
    "hypot": (TABLE["hypot"][0], [[0.0, 3.0], [0.0, 4.0]], [[0, 0.032], [0, -0.024]]),
    "std of equal": (lambda x: x.std(1).sum(), [[2.0, 2.0]], [[0, 0]]),
    "powers of tensors": (
        lambda x: (x ** np.array([0.0, 1.0, 2.0, 3.0, 4.0])).sum(), [0.0] * 5, [0, 0, 2, 0, 0],
    ),
    "whole powers": (lambda x: (x**1 + x**2 + x**3).sum(), [0.0], [2]),
    "abs": (lambda x: (abs(x) * x).sum(), [0.0], [0]),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_where_there_is_none(name: str) -> None:
    f, x, want = SECOND[name]
    found = lucid.grad(lambda v: lucid.grad(f)(v).sum())(np.asarray(x))
    np.testing.assert_allclose(found, want, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_hypot(dtype: str) -> None:
    info = np.finfo(dtype)
    side = [0.0, -0.0, 3.0, -4.0, 1e-3, float(info.tiny), float(info.max) / 2, inf, -inf, np.nan]
    x, y = (g.ravel() for g in np.meshgrid(*[np.array(side, dtype)] * 2))
    with np.errstate(all="ignore"):
        want = np.hypot(x, y)
    found = lucid.hypot(x, y).numpy()
    assert found.dtype == want.dtype
    np.testing.assert_allclose(found, want, rtol=2 * float(info.eps))
    assert np.hypot(Tensor([3.0]), [4.0]).tolist() == [5]


def test_norms() -> None:
    x = np.arange(-6.0, 6.0).reshape(3, 4)
    for ord, axis in ((None, None), (None, 0), ("fro", None), (2, 1), (1, 0), (inf, 1), (-inf, 0)):
        for keepdims in (False, True):
            want = np.linalg.norm(x, ord, axis, keepdims)  # type: ignore[arg-type]
            np.testing.assert_allclose(lucid.linalg.norm(x, ord, axis, keepdims), want, rtol=1e-15)
    assert lucid.linalg.norm([3, 4]).dtype == np.float64
    assert lucid.linalg.norm(np.full(70000, 1, np.float16)).dtype == np.float16
    assert lucid.linalg.norm(np.full(70000, 10, np.float16)).item() == np.float16(70000**0.5 * 10)
    assert lucid.linalg.norm(x, dim=1, keepdim=True).shape == (3, 1)
    with pytest.raises(ValueError, match=r"test_subgradients.py:\d+: norm: ord='p' over 2 axes"):
        lucid.linalg.norm(x, "p")
    with pytest.raises(TypeError, match=r"test_subgradients.py:\d+: axis and dim"):
        lucid.linalg.norm(x, axis=0, dim=0)


# What takes some elements of rows of 6, others not at all, and some twice.
PLACES = np.array([[1, 4], [4, 0]])


def _chosen(x: Tensor, one: int, other: int) -> Tensor:
    """Of every second element, and of the others, some from the left, and some from the right."""
    even = Tensor(np.indices(x.shape).sum(axis=0) % 2 == 0)
    parts = lucid.where(even, x, 1.0)[:, :one], lucid.where(even, 1.0, x)[:, -other:]
    return lucid.concatenate(parts, axis=1)


TAKEN: dict[str, Callable[[Tensor], Tensor]] = {
    "a slice": lambda x: x[:, 1:4],
    "every second, from behind": lambda x: x[:, ::-2],
    "constant places": lambda x: x[:, [2, 0, 2]],
    "places that are values": lambda x: x[:, Tensor(np.array([1, 0, 1])) * 2],
    "places of two axes": lambda x: x[:, PLACES % x.shape[1]].reshape(len(x), -1),
    "places, summed": lambda x: x[:, PLACES % x.shape[1]].sum(axis=2),
    "along an axis": lambda x: x.gather(1, np.array([[0, 2], [2, 2]])),
    "put to places, of which some are read": lambda x: (
        lucid.zeros((len(x), 9), dtype="float64").at[:, np.arange(x.shape[1]) % 3].add(x)[:, 1:]
    ),
    "the largest of each slice": lambda x: x[:, 1:].max(axis=1, keepdims=True),
    "sorted": lambda x: lucid.sort(x, axis=1)[:, -2:],
    "one of two slices": lambda x: lucid.where(
        np.arange(x.shape[1] // 2) % 2 == 0, x[:, : x.shape[1] // 2], x[:, -(x.shape[1] // 2) :]
    ),
    "a slice of one choice and one of the other": lambda x: _chosen(x, 2, 2),
    "a slice of one choice and the other": lambda x: _chosen(x, 2, x.shape[1]),
    "one choice and a slice of the other": lambda x: _chosen(x, x.shape[1], 2),
    "beside others": lambda x: lucid.concatenate((x[:, :2], x[:, :1]), axis=1),
    "turned": lambda x: x[:, 1:3].T.reshape(len(x), -1),
}


@pytest.mark.parametrize("first", TAKEN)
@pytest.mark.parametrize("second", ["", "a slice", "constant places", "places of two axes", "along an axis"])
def test_what_is_not_read_has_no_derivative(first: str, second: str) -> None:
    """Though that of a root at 0 is infinite: 0 times it is no number."""

    def taken(x: Tensor) -> Tensor:
        x = TAKEN[first](x)
        return TAKEN[second](x) if second and x.shape[1] > 2 else x

    x = 1 + np.random.default_rng(3).random((2, 6))
    count = lucid.grad(lambda x: taken(x).sum())(x).numpy()
    assert (count == 0).any()
    x[count == 0] = 0.0
    found = lucid.grad(lambda x: taken(lucid.sqrt(x)).sum())(x).numpy()
    want = np.zeros_like(x)
    np.divide(count, 2 * np.sqrt(x), out=want, where=count != 0)
    np.testing.assert_allclose(found, want, rtol=1e-14)
