"""Reductions beside NumPy's: values, dtypes, axes, layouts, what is empty, gradients to second order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, shapes

from .derivatives import check_derivatives

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(3)
X = RNG.normal(size=(4, 6, 5)).astype(np.float32)
HOLES = np.where(RNG.random(X.shape) < 0.3, np.float32(np.nan), X)
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda x: x,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "flipped": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "columns": np.asfortranarray,
    "one": lambda x: x[:1, :1, :1],
    "row": lambda x: x[:1],
    "no rows": lambda x: x[:0],
    "no columns": lambda x: x[:, :, :0],
}


def _lse(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    reduce: Any = np.logaddexp.reduce
    return np.asarray(reduce(x.astype("f8"), axis=axis, keepdims=keepdims, initial=-np.inf))


# name: (NumPy's, exact)
TABLE: dict[str, tuple[Callable[..., Any], bool]] = {
    "prod": (np.prod, False), "argmax": (np.argmax, True), "argmin": (np.argmin, True),
    "ptp": (np.ptp, True), "count_nonzero": (np.count_nonzero, True), "nansum": (np.nansum, False),
    "nanmean": (np.nanmean, False), "nanmax": (np.nanmax, True), "nanmin": (np.nanmin, True),
    "nanprod": (np.nanprod, False), "nanstd": (np.nanstd, False), "nanvar": (np.nanvar, False),
    "any": (np.any, True), "all": (np.all, True), "logsumexp": (_lse, False), "average": (np.average, False),
}  # fmt: skip


def _check(name: str, x: Array, axis: Any, keepdims: bool) -> None:
    theirs, exact = TABLE[name]
    if isinstance(axis, tuple) and (name.startswith("arg") or (not axis and name == "average")):
        return
    try:
        expected = np.asarray(theirs(x, axis=axis, keepdims=keepdims))
    except ZeroDivisionError:  # average of nothing: NaN
        return
    except ValueError:
        with pytest.raises(ValueError, match=r"test_reductions.py:\d+: .*zero elements"):
            getattr(lucid, name)(x, axis=axis, keepdims=keepdims)
        return
    made = getattr(lucid, name)(x, axis=axis, keepdims=keepdims)
    assert isinstance(made, Tensor) and made.shape == expected.shape
    if name != "logsumexp":
        assert made.dtype == expected.dtype
    if exact or made.dtype.kind in "iub":
        np.testing.assert_array_equal(made.numpy(), expected)
    else:
        np.testing.assert_allclose(made.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", TABLE)
def test_values_of_any_layout(name: str, layout: str) -> None:
    x = LAYOUTS[layout](HOLES)
    for axis in (None, 1) if layout not in ("plain", "no rows") else (None, 0, 2, -2, (0, 2), ()):
        _check(name, x, axis, layout == "plain")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "bool"])
@pytest.mark.parametrize("name", TABLE)
def test_values_of_any_dtype(name: str, dtype: str) -> None:
    if (name, dtype) != ("ptp", "bool"):  # NumPy has none
        _check(name, (np.abs(X) * 2).astype(dtype), 1, False)


@pytest.mark.parametrize("name", [n for n in TABLE if n not in ("average",)])
def test_dim_and_keepdim(name: str) -> None:
    one, other = getattr(lucid, name)(X, dim=1, keepdim=True), getattr(lucid, name)(X, axis=1, keepdims=True)
    np.testing.assert_array_equal(one.numpy(), other.numpy())
    with pytest.raises(TypeError, match=r"test_reductions.py:\d+: axis and dim"):
        getattr(lucid, name)(X, axis=0, dim=0)


@pytest.mark.parametrize(
    "name", ["prod", "nansum", "nanmean", "ptp", "count_nonzero", "argmax", "nanmax", "nanstd", "average"]
)
def test_numpys_functions_of_tensors(name: str) -> None:
    made = getattr(np, name)(Tensor(X), axis=1)
    assert isinstance(made, Tensor)
    np.testing.assert_allclose(made.numpy(), getattr(np, name)(X, axis=1), rtol=1e-5)
    np.testing.assert_allclose(np.multiply.reduce(Tensor(X), axis=1).numpy(), X.prod(1), rtol=1e-5)


@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize("axis", [None, 0, (1, 2)])
def test_where(name: str, axis: Any) -> None:
    for mask in (X > 0, X[0] > 0, X[:, :1, :1] > 0, np.zeros((), bool)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = getattr(np, name)(X, axis=axis, where=mask)
        for made in (
            getattr(lucid, name)(X, axis=axis, where=mask),
            getattr(np, name)(Tensor(X), axis=axis, where=mask),
            lucid.compile(lambda x, m: getattr(x, name)(axis=axis, where=m))(Tensor(X), Tensor(mask)),
        ):
            np.testing.assert_allclose(made.numpy(), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"where: shape \(2, 4, 6, 5\) does not broadcast"):
        getattr(lucid, name)(X, where=np.ones((2, 4, 6, 5), bool))
    check_derivatives(lambda x: getattr(x, name)(axis=axis, where=np.median(X, 0) < X), X)


@pytest.mark.parametrize("n", [1, 2, 7, 64, 65, 2048, 2049, 70_000, 70_001])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_first_of_equal_extremes_and_of_nans(name: str, n: int) -> None:
    """In every part of a long vector, which is searched in two steps; the last rows share elements."""
    theirs = getattr(np, name)
    x = RNG.integers(-3, 3, n).astype(np.float32)
    for at in {0, n // 2, max(n - 5000, 0), n - 1}:
        for value in (9.0, -9.0, np.inf, -np.inf, np.nan, -0.0):
            y = x.copy()
            y[[at, n - 1]] = value
            assert getattr(lucid, name)(y).item() == theirs(y), (at, value)
            if np.isfinite(value):
                whole = y.astype("i2")
                assert getattr(lucid, name)(whole).item() == theirs(whole)
    for value in (np.nan, np.inf, -np.inf):
        assert getattr(lucid, name)(np.full(n, value, "f4")).item() == 0


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_argmax_reads_memory_once(axis: int | None) -> None:
    f = lucid.compile(lambda x: x.argmax(axis=axis))
    f(Tensor(np.zeros((1000, 100), np.float32)))
    (kernel,) = f.kernels
    assert kernel.bytes < 4 * 100_000 + 8_001 and kernel.text.count("a0[") == 1


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1", "bool"])
@pytest.mark.parametrize("n", [0, 1, 3, 63, 64, 65, 300, 5000])
def test_products_of_every_length(n: int, dtype: str) -> None:
    x = (1 + 0.01 * RNG.normal(size=(3, n))) if dtype[0] == "f" else RNG.integers(1, 3, (3, n))
    x = x.astype(dtype)
    for axis in (None, 0, 1):
        expected = np.prod(x, axis=axis) if dtype != "f2" else np.prod(x.astype("f4"), axis=axis)
        made = lucid.prod(x, axis=axis)
        assert made.dtype == np.prod(x).dtype
        np.testing.assert_allclose(
            made.numpy(), expected.astype(made.dtype), rtol=2e-3 if dtype == "f2" else 1e-4
        )
    assert lucid.prod(x, dtype="float64").dtype == np.float64


def _with_zeros(count: int) -> Array:
    x = RNG.uniform(0.5, 2.0, (3, 5)) * RNG.choice([-1, 1], (3, 5))
    x[1, :count] = 0
    return np.asarray(x)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("axis", [1, 0, None])
def test_products_with_zeros_have_both_derivatives(zeros: int, axis: int | None) -> None:
    check_derivatives(lambda x: lucid.prod(x, axis=axis), _with_zeros(zeros))


GRADIENTS: dict[str, tuple[Callable[[Any], Any], Array]] = {
    "logsumexp": (lambda x: lucid.logsumexp(x, axis=1), X[0]),
    "logsumexp of large": (lambda x: lucid.logsumexp(x * 300, axis=(0, 1)) / 300, X[0] / 4),
    "nansum": (lambda x: lucid.nansum(x * x, axis=0), X[0]),
    "nanmean": (lambda x: lucid.nanmean(x * x), X[0]),
    "nanvar": (lambda x: lucid.nanvar(x, axis=1, ddof=1), X[0]),
    "nanstd": (lambda x: lucid.nanstd(x, axis=1), X[0]),
    "nanmax": (lambda x: lucid.nanmax(x * x, axis=1), X[0]),
    "ptp": (lambda x: lucid.ptp(x * x, axis=1), X[0]),
    "average": (lambda x: lucid.average(x, axis=1, weights=x[0] ** 2 + 1), X[0]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_derivatives(name: str) -> None:
    check_derivatives(*GRADIENTS[name])


def test_nothing_flows_to_nan_that_is_left_out() -> None:
    for f in (lucid.nansum, lucid.nanmean, lucid.nanvar, lucid.nanmax, lucid.nanprod):
        x = Tensor([1.0, np.nan, 3.0], requires_grad=True)
        f(x * 2).backward()
        assert x.grad is not None
        assert np.isfinite(x.grad.numpy()).all() and x.grad.numpy()[1] == 0


def test_logsumexp_of_what_is_infinite() -> None:
    x = np.array([[-np.inf, -np.inf], [1.0, -np.inf], [np.inf, 0.0], [500.0, 500.0]], np.float32)
    x = np.concatenate([x, np.full((1, 2), np.nan, np.float32)])
    np.testing.assert_allclose(
        lucid.logsumexp(x, axis=1).numpy(), [-np.inf, 1.0, np.inf, 500 + np.log(2), np.nan], rtol=1e-6
    )
    assert lucid.logsumexp(np.zeros((2, 0), "f4"), axis=1).tolist() == [-np.inf, -np.inf]
    t = Tensor(x[:2], requires_grad=True)
    lucid.logsumexp(t, axis=1).sum().backward()
    assert t.grad is not None and t.grad.tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_weights_of_average() -> None:
    w = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    for made, right in zip(
        lucid.average(X, 1, w, returned=True), np.average(X, 1, w, returned=True), strict=True
    ):
        np.testing.assert_allclose(made.numpy(), right, rtol=1e-6)
        assert made.dtype == right.dtype
    np.testing.assert_allclose(lucid.average(X, weights=X**2).item(), np.average(X, weights=X**2), rtol=1e-5)
    with pytest.raises(TypeError, match="need an axis"):
        lucid.average(X, weights=w)
    with pytest.raises(ValueError, match="do not fit"):
        lucid.average(X, 0, weights=w)


def test_sums_in_a_dtype() -> None:
    for name in ("sum", "mean", "nansum", "nanmean", "prod", "var", "std"):
        for dtype in ("float64", "float16"):
            made = getattr(lucid, name)(X[0] / 4, axis=0, dtype=dtype)
            right = getattr(np, name)(X[0] / 4, axis=0, dtype=dtype)
            assert made.dtype == right.dtype
            np.testing.assert_allclose(
                made.numpy(), right, rtol=1e-5 if dtype == "float64" else 3e-2, atol=3e-3
            )


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2)])
@pytest.mark.parametrize("mean", [0.0, 1e4, 1e7])
def test_variance_in_one_walk(axis: Any, mean: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """What very many numbers take: right to the last bit or so, however far from 0."""
    monkeypatch.setattr(shapes, "ONE_WALK", 2)
    x = (RNG.normal(size=(30, 40, 5)) * 3 + mean).astype("f4")
    exact = x.astype("f8")
    for name in ("var", "std"):
        for ddof, keepdims in ((0, False), (1, True)):
            f = lucid.compile(lambda t: getattr(t, name)(axis=axis, ddof=ddof, keepdims=keepdims))  # noqa: B023
            found, want = f(x), getattr(np, name)(exact, axis=axis, ddof=ddof, keepdims=keepdims)
            assert found.dtype == np.float32 and found.shape == want.shape
            np.testing.assert_allclose(found.numpy(), want, rtol=2e-7)
    assert len(f.kernels) == 1 and f.kernels[0].bytes < 1.6 * x.nbytes


def test_variance_in_one_walk_at_the_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "ONE_WALK", 2)
    same = np.full(1000, 0.1, "f4")
    value, gradient = lucid.value_and_grad(lambda t: t.std())(same)
    assert value.item() == 0 and not gradient.numpy().any()
    assert lucid.std(np.array([1e30, 3e30], "f4")).item() == pytest.approx(1e30, rel=2e-7)
    for bad in (np.inf, -np.inf, np.nan):
        for at in (0, 500):
            y = same.copy()
            y[at] = bad
            assert np.isnan(lucid.var(y).item())
    assert np.isnan(lucid.var(same, ddof=1000).item())
    assert lucid.var(X, ddof=X.size).item() == np.inf


def test_derivatives_of_a_variance_in_one_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = RNG.normal(5, 1, (4, 30)).astype("f4"), RNG.normal(size=(4, 30)).astype("f4")

    def second(t: Any) -> Any:
        return (lucid.grad(lambda u: (u.std(axis=1, ddof=1) ** 3).sum())(t) * y).sum()

    def variances(t: Any) -> Any:
        return t.var(axis=1).sum()

    first: Any = lucid.grad(variances)
    twice: Any = lucid.grad(second)
    want = [f(x.astype("f8")).numpy() for f in (first, twice)]
    monkeypatch.setattr(shapes, "ONE_WALK", 2)
    np.testing.assert_allclose(first(x).numpy(), want[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(twice(x).numpy(), want[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(540_000,), (33_500, 3), (270_000, 2)])
def test_totals_of_more_blocks_than_lanes(shape: tuple[int, ...]) -> None:
    """Whole numbers, so that every order gives the same: none of a lane's blocks is lost."""
    x = (np.arange(np.prod(shape)) % 5).astype(np.float32).reshape(shape)
    for axis in (None, 0):
        got = lucid.compile(lambda x, axis=axis: x.sum(axis=axis))(x).numpy()
        assert np.array_equal(got, x.sum(axis=axis, dtype=np.float64))
