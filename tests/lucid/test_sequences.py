"""Scans, sorts, searches, counts: values and dtypes beside NumPy and PyTorch; gradients to second order."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from tests.lucid.test_grad import check

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
Call = Callable[[Any, Any], Any]  # (lucid or NumPy, array) -> result
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64"]  # fmt: skip
RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    global RNG
    RNG = np.random.default_rng(5)  # the same in any order of tests
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sample(dtype: str, shape: tuple[int, ...]) -> Array:
    """Few values, so that many are equal."""
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    if dtype.startswith("float"):
        return (RNG.integers(-6, 7, shape) / 2).astype(dtype)
    return RNG.integers(0 if dtype.startswith("u") else -5, 6, shape).astype(dtype)


def same(found: Any, expected: Any, rtol: float = 0) -> None:
    if isinstance(expected, tuple | list):
        assert len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            same(f, e, rtol)
        return
    expected = np.asarray(expected)
    assert isinstance(found, Tensor)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found.numpy(), expected, rtol=rtol, atol=rtol)


# NumPy's name: what is called, on lucid and on NumPy; and for which kinds of dtype.
EXACT: dict[str, tuple[Call, str]] = {
    "cumsum": (lambda m, x: m.cumsum(x), "biu"),
    "cumsum axis": (lambda m, x: m.cumsum(x, axis=-1), "biu"),
    "cumsum dtype": (lambda m, x: m.cumsum(x, 0, dtype="int16"), "biu"),
    "cumprod": (lambda m, x: m.cumprod(x), "biu"),
    "cumprod axis": (lambda m, x: m.cumprod(x, axis=0), "biu"),
    "cumulative_sum": (lambda m, x: m.cumulative_sum(x, axis=-1, include_initial=True), "biu"),
    "cumulative_prod": (lambda m, x: m.cumulative_prod(x, axis=0, include_initial=True), "biu"),
    "maximum.accumulate": (lambda m, x: np.maximum.accumulate(x), "biuf"),
    "minimum.accumulate": (lambda m, x: np.minimum.accumulate(x, axis=-1), "biuf"),
    "add.accumulate": (lambda m, x: np.add.accumulate(x, axis=-1), "biu"),
    "multiply.accumulate": (lambda m, x: np.multiply.accumulate(x), "biu"),
    "diff": (lambda m, x: m.diff(x), "biuf"),
    "diff twice": (lambda m, x: m.diff(x, 2, axis=0), "biuf"),
    "diff none": (lambda m, x: m.diff(x, 0), "biuf"),
    "diff ends": (lambda m, x: m.diff(x, prepend=0, append=x[..., :1]), "iuf"),
    "ediff1d": (lambda m, x: m.ediff1d(x), "iuf"),
    "ediff1d ends": (lambda m, x: m.ediff1d(x, to_end=x[:1], to_begin=x[..., :2]), "iuf"),
    "sort": (lambda m, x: m.sort(x), "biuf"),
    "sort axis": (lambda m, x: m.sort(x, axis=0, kind="stable"), "biuf"),
    "sort all": (lambda m, x: m.sort(x, axis=None), "biuf"),
    "argsort": (lambda m, x: m.argsort(x, kind="stable"), "biuf"),
    "argsort axis": (lambda m, x: m.argsort(x, axis=0, stable=True), "biuf"),
    "argsort all": (lambda m, x: m.argsort(x, axis=None, stable=True), "biuf"),
    "unique": (lambda m, x: m.unique(x), "biuf"),
    "unique flags": (lambda m, x: m.unique(x, True, True, True), "biuf"),
    "unique axis": (lambda m, x: m.unique(x, axis=0, return_counts=True), "biuf"),
    "unique_all": (lambda m, x: m.unique_all(x), "biuf"),
    "unique_counts": (lambda m, x: m.unique_counts(x), "biuf"),
    "unique_inverse": (lambda m, x: m.unique_inverse(x), "biu"),
    "unique_values": (lambda m, x: m.sort(m.unique_values(x)), "biuf"),
    "searchsorted": (lambda m, x: m.searchsorted(m.sort(x, axis=None), x), "biuf"),
    "searchsorted right": (lambda m, x: m.searchsorted(np.array([-1, 0.5, 2, 2]), x, side="right"), "biuf"),
    "searchsorted sorter": (
        lambda m, x: m.searchsorted(x.ravel(), x, sorter=m.argsort(x, axis=None, stable=True)), "biuf"
    ),
    "digitize": (lambda m, x: m.digitize(x, np.array([-1.0, 0, 2, 2, 2.5])), "biuf"),
    "digitize right": (lambda m, x: m.digitize(x, np.array([-1.0, 0, 2, 2, 2.5]), right=True), "biuf"),
    "digitize down": (lambda m, x: m.digitize(x, np.array([3.0, 1, 1, -2])), "biuf"),
    "digitize down right": (lambda m, x: m.digitize(x, np.array([3.0, 1, 1, -2]), right=True), "biuf"),
    "isin": (lambda m, x: m.isin(x, np.array([3, 1, 2, -1, 1])), "biuf"),
    "isin invert": (lambda m, x: m.isin(x, np.array([[0.5, np.nan], [1, -1]]), invert=True), "biuf"),
    "isin nothing": (lambda m, x: m.isin(x, np.array([], x.dtype)), "biuf"),
    "histogram range": (lambda m, x: m.histogram(x, 4, (-1, 2)), "biuf"),
    "histogram bins": (lambda m, x: m.histogram(x, np.array([-1.0, 0, 2, 2, 2.5])), "biuf"),
    "union1d": (lambda m, x: m.union1d(x[..., :2], x[..., 1:]), "biuf"),
    "intersect1d": (lambda m, x: m.intersect1d(x[..., :2], x[..., 1:]), "biuf"),
    "setdiff1d": (lambda m, x: m.setdiff1d(x[..., :2], x[..., 3:]), "biuf"),
    "setxor1d": (lambda m, x: m.setxor1d(x[..., :2], x[..., 1:]), "biuf"),
    "quantile lower": (lambda m, x: m.quantile(x, [0.1, 0.5, 0.8], axis=0, method="lower"), "iuf"),
    "quantile higher": (lambda m, x: m.quantile(x, [0.1, 0.5, 0.8], axis=-1, method="higher"), "iuf"),
    "quantile nearest": (lambda m, x: m.quantile(x, [0.1, 0.5, 0.7, 1], method="nearest"), "iuf"),
    "quantile of integers": (lambda m, x: m.quantile(x, [0, 1]), "iuf"),
    "median": (lambda m, x: m.median(x), "biuf"),
    "median axis": (lambda m, x: m.median(x, axis=0), "biuf"),
    "median keepdims": (lambda m, x: m.median(x, axis=-1, keepdims=True), "biuf"),
    "nanmedian": (lambda m, x: m.nanmedian(x, axis=-1), "iuf"),
}  # fmt: skip
CLOSE: dict[str, tuple[Call, str]] = {
    "cumsum floats": (lambda m, x: m.cumsum(x, axis=-1), "f"),
    "cumprod floats": (lambda m, x: m.cumprod(x, axis=0), "f"),
    "cumsum to float": (lambda m, x: m.cumsum(x, dtype="float32"), "biuf"),
    "gradient": (lambda m, x: m.gradient(x, axis=-1), "f"),
    "gradient steps": (lambda m, x: m.gradient(x, 0.5, axis=0), "f"),
    "gradient edges": (lambda m, x: m.gradient(x, 2.0, axis=-1, edge_order=2), "f"),
    "gradient places": (
        lambda m, x: m.gradient(x, np.arange(x.shape[-1], dtype=x.dtype) ** 2, axis=-1), "f"
    ),
    "gradient places edges": (
        lambda m, x: m.gradient(x, np.arange(x.shape[-1], dtype=x.dtype) ** 2, axis=-1, edge_order=2), "f"
    ),
    "trapezoid": (lambda m, x: m.trapezoid(x), "iuf"),
    "trapezoid dx": (lambda m, x: m.trapezoid(x, dx=0.5, axis=0), "iuf"),
    "trapezoid x": (lambda m, x: m.trapezoid(x, np.arange(x.shape[-1], dtype=x.dtype) ** 2), "f"),
    "trapezoid all x": (lambda m, x: m.trapezoid(x, x * x), "f"),
    "quantile": (lambda m, x: m.quantile(x, 0.3), "iuf"),
    "quantile several": (lambda m, x: m.quantile(x, np.array([0.25, 0.7, 1]), axis=0), "iuf"),
    "quantile table": (lambda m, x: m.quantile(x, [0.0, 0.62], axis=-1, keepdims=True), "iuf"),
    "quantile midpoint": (lambda m, x: m.quantile(x, [0.1, 0.5, 0.8], method="midpoint"), "iuf"),
    "percentile": (lambda m, x: m.percentile(x, 30, axis=-1), "iuf"),
    "percentile several": (lambda m, x: m.percentile(x, [10, 77.5]), "iuf"),
    "nanquantile": (lambda m, x: m.nanquantile(x, [0.3, 0.8], axis=-1), "iuf"),
    "nanpercentile": (lambda m, x: m.nanpercentile(x, 60), "iuf"),
    "histogram": (lambda m, x: m.histogram(x, 5), "iuf"),
    "histogram weights": (lambda m, x: m.histogram(x, 5, weights=x * x), "f"),
    "histogram density": (lambda m, x: m.histogram(x, 5, (-2, 2), density=True), "iuf"),
    "histogram_bin_edges": (lambda m, x: m.histogram_bin_edges(x, 7), "iuf"),
}  # fmt: skip
TABLE = [*((n, f, 0.0) for n, f in EXACT.items()), *((n, f, 2e-6) for n, f in CLOSE.items())]


@pytest.mark.parametrize("dtype", ["bool", "int16", "float16", "float32"])
@pytest.mark.parametrize(("name", "entry", "rtol"), TABLE, ids=[t[0] for t in TABLE])
def test_values_are_numpys(name: str, entry: tuple[Call, str], rtol: float, dtype: str) -> None:
    call, kinds = entry
    if np.dtype(dtype).kind not in kinds:
        return
    for x in (sample(dtype, (4, 7)), sample(dtype, (7, 5)).T[:, ::2]):
        same(call(lucid, Tensor(x)), call(np, x), 2e-3 if rtol and dtype == "float16" else rtol)


@pytest.mark.parametrize("name", [n for n, (_, kinds) in EXACT.items() if kinds.endswith("f")] + ["quantile"])
def test_nan_infinities_and_zeros(name: str) -> None:
    call, _ = {**EXACT, **CLOSE}[name]
    x = sample("float32", (5, 6))
    x[1, 2], x[2], x[3, :2], x[4, 4:] = np.nan, np.nan, np.inf, (-np.inf, -0.0)
    same(call(lucid, Tensor(x)), call(np, x), 1e-6)


SMALL = [
    "cumsum axis", "cumprod axis", "cumulative_sum", "maximum.accumulate", "diff", "diff ends", "ediff1d",
    "sort", "argsort", "argsort all", "searchsorted", "searchsorted right", "isin", "isin nothing",
    "digitize", "unique flags", "median axis", "histogram range",
]  # fmt: skip
COMPILED = [
    "quantile", "sort", "median axis", "argsort", "searchsorted right", "cumsum", "isin", "diff ends",
    "gradient", "histogram", "maximum.accumulate", "nanquantile",
]  # fmt: skip


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 0), (0, 3), (1, 1)])
@pytest.mark.parametrize("name", SMALL)
def test_few_elements(name: str, shape: tuple[int, ...]) -> None:
    call, _ = EXACT[name]
    if name == "median axis" and shape == (0, 3):
        shape = (3, 0)
    x = sample("int32", shape)
    same(call(lucid, Tensor(x)), call(np, x))


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_is_eager(name: str) -> None:
    call, kinds = {**EXACT, **CLOSE}[name]
    compiled = lucid.compile(lambda x: call(lucid, x))
    for shape in ((4, 7), (5, 8), (4, 9)):
        x = sample("float64" if "f" in kinds else "int32", shape)
        found, eager = compiled(x), call(lucid, Tensor(x))
        for f, e in zip(*((v if isinstance(v, tuple) else (v,)) for v in (found, eager)), strict=True):
            np.testing.assert_array_equal(f.numpy(), e.numpy(), strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_descending_is_stable(dtype: str) -> None:
    x = sample(dtype, (3, 40))
    order = np.array([np.lexsort((np.arange(40), -2.0 * row)) for row in x])
    same(Tensor(x).argsort(descending=True), order)
    same(Tensor(x).sort(dim=1, descending=True), np.take_along_axis(x, order, 1))
    same(lucid.topk(x, 5), (np.take_along_axis(x, order, 1)[:, :5], order[:, :5]))
    up = np.argsort(x, axis=0, kind="stable")
    same(lucid.topk(x, 2, 0, largest=False), (np.take_along_axis(x, up, 0)[:2], up[:2]))


def test_a_scan_of_float16_is_rounded_once() -> None:
    x = (RNG.random(3000) / 7).astype(np.float16)
    same(lucid.cumsum(x), np.cumsum(x.astype("f")).astype(np.float16))


def test_pytorchs_values_and_indices() -> None:
    torch = pytest.importorskip("torch")
    x = sample("float32", (6, 9))
    x[1, 3] = x[2, 5] = np.nan
    t = torch.tensor(x)
    for made, right in [
        (lucid.cummax(x, 1), torch.cummax(t, 1)),
        (lucid.cummin(x, dim=0), torch.cummin(t, 0)),
        (lucid.kthvalue(x, 3), torch.kthvalue(t, 3)),
        (lucid.kthvalue(x, 2, 0, True), torch.kthvalue(t, 2, 0, True)),
        (lucid.topk(x, 4, dim=0), torch.topk(t, 4, 0)),
        (Tensor(x).topk(3, largest=False), t.topk(3, largest=False)),
        (lucid.mode(x[3:], 0), torch.mode(t[3:], 0)),
    ]:
        same(made.values, right.values.numpy())
        assert made.indices.shape == made.values.shape
    for name in ("cummax", "cummin"):  # the others choose any of equal ones
        same(getattr(lucid, name)(x, 1).indices, getattr(torch, name)(t, 1).indices.numpy())
    for found, axis in [(lucid.mode(x, dim=1, keepdim=True), 1), (lucid.kthvalue(x, 2, 0, True), 0)]:
        same(found.values, np.take_along_axis(x, found.indices.numpy(), axis))


def test_pytorchs_functions() -> None:
    torch = pytest.importorskip("torch")
    x, y = sample("float32", (6, 9)), RNG.normal(size=(5, 33)).astype("f") * 40
    same(lucid.logcumsumexp(y, dim=1), torch.logcumsumexp(torch.tensor(y), 1).numpy(), 1e-6)
    bounds = np.array([-1.0, 0.5, 2], "f")
    for right in (False, True):
        expected = torch.bucketize(torch.tensor(x), torch.tensor(bounds), right=right)
        same(lucid.bucketize(x, bounds, right=right), expected.numpy())
    rows, values = np.sort(sample("int32", (6, 9)), -1), sample("int32", (6, 4))
    expected = torch.searchsorted(torch.tensor(rows), torch.tensor(values), right=True)
    same(lucid.searchsorted(rows, values, right=True), expected.numpy())
    same(
        lucid.cumulative_trapezoid(x, dx=2.0),
        torch.cumulative_trapezoid(torch.tensor(x), dx=2.0).numpy(),
        1e-6,
    )
    same(lucid.msort(x), torch.msort(torch.tensor(x)).numpy())


def test_logcumsumexp_of_what_is_far_apart() -> None:
    x = np.array([-np.inf, -1e4, -9999, 500, -2000, 0, np.inf], np.float64)
    expected = np.logaddexp.accumulate(x)
    same(lucid.logcumsumexp(x, 0), expected, 1e-14)
    slope = lucid.grad(lambda t: lucid.logcumsumexp(t, 0)[1:3].sum())(x)
    e = np.exp(-1.0)
    np.testing.assert_allclose(slope.numpy(), [0, 1 + e / (1 + e), 1 / (1 + e), 0, 0, 0, 0])


def test_bincount_of_float32_is_float64() -> None:
    x, w = RNG.integers(0, 9, 200), RNG.normal(size=200).astype("f")
    same(np.bincount(Tensor(x), w), np.bincount(x, w), 1e-14)
    same(lucid.bincount(np.zeros(0, int), minlength=2), np.bincount(np.zeros(0, int), minlength=2))


def test_a_partition_is_sorted() -> None:
    x = sample("float32", (4, 9))
    same(np.partition(Tensor(x), 3), np.sort(x))
    same(np.argpartition(Tensor(x), 2, axis=0), np.argsort(x, 0, kind="stable"))
    with pytest.raises(ValueError, match=r"kth=9 is out of bounds for 9"):
        lucid.partition(x, 9)


def test_gradient_of_all_axes() -> None:
    x = sample("float64", (4, 7))
    same(lucid.gradient(x), np.gradient(x))
    same(lucid.gradient(x, 2.0, np.arange(7.0) ** 2), np.gradient(x, 2.0, np.arange(7.0) ** 2), 1e-14)
    same(lucid.gradient(x, spacing=2.0, dim=(1, 0)), np.gradient(x, 2.0, axis=(1, 0)))


def test_compiled_results_keep_their_names() -> None:
    x = sample("float32", (4, 7))
    found = lucid.compile(lambda t: lucid.topk(t, 2))(x)
    assert type(found).__name__ == "Found"
    same(found.values, lucid.topk(x, 2).values.numpy())


UNIQUE = RNG.permutation(24).reshape(4, 6) / 3.0 - 2.1
DERIVATIVES: dict[str, tuple[Callable[[Any], Any], Array]] = {
    "cumsum": (lambda x: lucid.cumsum(x, 1), UNIQUE),
    "cumsum all": (lambda x: lucid.cumsum(x), UNIQUE),
    "cumprod": (lambda x: lucid.cumprod(x, 1), UNIQUE),
    "cumprod one zero": (lambda x: lucid.cumprod(x), np.array([2.0, 3, 0, -1, 5])),
    "cumprod two zeros": (lambda x: lucid.cumprod(x), np.array([2.0, 0, 3, 0, -1, 5])),
    "cumprod three zeros": (lambda x: lucid.cumprod(x, 0), np.array([[0.0, 1], [3, 2], [0, 0], [0, 5]])),
    "cummax": (lambda x: lucid.cummax(x, 1).values, UNIQUE),
    "cummin": (lambda x: lucid.cummin(x, 0).values, UNIQUE),
    "logcumsumexp": (lambda x: lucid.logcumsumexp(x, 1), UNIQUE),
    "cumulative_sum": (lambda x: lucid.cumulative_sum(x, axis=1, include_initial=True), UNIQUE),
    "diff": (lambda x: lucid.diff(x, 2, prepend=x[:, :1], append=x), UNIQUE),
    "ediff1d": (lambda x: lucid.ediff1d(x, to_end=x[0]), UNIQUE),
    "gradient": (lambda x: lucid.gradient(x, np.arange(6) ** 2, axis=1, edge_order=2), UNIQUE),
    "gradient of places": (lambda x: lucid.gradient(np.arange(5) ** 2.0, x), np.array([0.0, 1, 3, 4, 7])),
    "trapezoid": (lambda x: lucid.trapezoid(x, x * x), UNIQUE),
    "cumulative_trapezoid": (lambda x: lucid.cumulative_trapezoid(x, dx=2), UNIQUE),
    "sort": (lambda x: lucid.sort(x, 0), UNIQUE),
    "sort descending": (lambda x: lucid.sort(x, descending=True), UNIQUE),
    "sort all": (lambda x: lucid.sort(x, None), UNIQUE),
    "topk": (lambda x: lucid.topk(x, 3).values, UNIQUE),
    "kthvalue": (lambda x: lucid.kthvalue(x, 2, 0).values, UNIQUE),
    "mode": (lambda x: lucid.mode(x).values, UNIQUE),
    "median": (lambda x: lucid.median(x, 1), UNIQUE),
    "median of an odd number": (lambda x: lucid.median(x[:3], 0), UNIQUE),
    "nanmedian": (lambda x: lucid.nanmedian(lucid.where(x > 4, np.nan, x), 1), UNIQUE),
    "quantile": (lambda x: lucid.quantile(x, [0.3, 0.8], axis=1), UNIQUE),
    "quantile of q": (lambda x: lucid.quantile(np.arange(9.0) ** 2, x), np.array([0.3, 0.72])),
    "nanquantile": (lambda x: lucid.nanquantile(lucid.where(x > 4, np.nan, x), 0.4), UNIQUE),
    "unique": (lambda x: lucid.unique(x), UNIQUE),
    "bincount": (lambda x: lucid.bincount(np.arange(24) % 5, x.reshape(-1)), UNIQUE),
    "histogram": (lambda x: lucid.histogram(np.arange(24).reshape(4, 6), 5, weights=x)[0], UNIQUE),
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name: str) -> None:
    f, x = DERIVATIVES[name]
    weights = np.random.default_rng(2).normal(size=f(Tensor(x)).shape)

    def total(t: Any) -> Any:
        made = f(lucid.asarray(t))
        return ((made * made * 0.5 + made) * weights).sum()

    check(total, x, rtol=1e-5)


def test_the_gradient_of_a_running_maximum_of_nan_goes_to_it() -> None:
    x = np.array([1.0, 3, 3, np.nan, 5, np.nan, 2])
    slope = lucid.grad(lambda t: lucid.cummax(t, 0).values.sum())(x)
    np.testing.assert_array_equal(slope.numpy(), [1, 1, 1, 2, 0, 2, 0])
    same(lucid.cummax(x, 0).indices, np.array([0, 1, 2, 3, 3, 5, 5]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.cumsum(0, dim=0), TypeError, "axis and dim are one argument"),
        (lambda x: x.cumsum(2), IndexError, "axis 2 is out of bounds"),
        (lambda x: x.cummax(), TypeError, "expected an axis"),
        (lambda x: lucid.cumulative_sum(x), ValueError, "say along which"),
        (lambda x: x.topk(8), ValueError, "k=8 of 7 elements"),
        (lambda x: x.kthvalue(0), ValueError, "counted from 1"),
        (lambda x: x.quantile(1.5), ValueError, "q must be between 0 and 1"),
        (lambda x: lucid.percentile(x, [50, 101]), ValueError, "q must be between 0 and 100"),
        (lambda x: x.quantile(0.5, method="hazen"), ValueError, "none of linear, lower"),
        (lambda x: x.searchsorted(x, side="middle"), ValueError, "'left' or 'right'"),
        (lambda x: lucid.searchsorted(x, x[:2]), ValueError, "rows for rows"),
        (lambda x: x.diff(-1), ValueError, "must not be negative"),
        (lambda x: lucid.gradient(x, edge_order=3), ValueError, "must be 1 or 2"),
        (lambda x: lucid.gradient(x[:, :1], axis=1), ValueError, "2 are needed"),
        (lambda x: lucid.histogram([np.nan, 1.0]), ValueError, r"of \[nan, nan\] is not finite; give"),
        (lambda x: lucid.histogram_bin_edges([np.inf, 1.0]), ValueError, r"range of \[1.0, inf\]"),
        (lambda x: lucid.histogram(x, 0), ValueError, "bins must be positive"),
        (lambda x: lucid.histogram(x, "auto"), TypeError, "rules like 'auto'"),
        (lambda x: lucid.compile(lucid.unique)(x), lucid.TraceError, "call it outside"),
    ],
)  # fmt: skip
def test_what_does_not_fit(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"test_sequences.py:\d+: .*{message}"):
        call(Tensor(sample("float32", (4, 7))))
