"""Functions under PyTorch's and NumPy's names that are formulas of others: against NumPy, and PyTorch
where it is there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
INDEX = RNG.integers(0, 6, (9, 4))
Z = X + 1j * Y
SOURCE = RNG.normal(size=(9, 4))
SOURCE[2] = 0


ENDS: Any = [np.linspace(-1, 1, 4), 3]


def both(f: Callable[..., Any], *args: Any) -> Any:
    """What f gives, compiled as well."""
    found, compiled = f(*args), lucid.compile(f)(*args)
    for a, b in zip(flat(found), flat(compiled), strict=True):
        np.testing.assert_array_equal(a, b)
    return found


def flat(found: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(found, list | tuple):
        return [part for x in found for part in flat(x)]
    return [np.asarray(found)]


def near(found: Any, wanted: Any, rtol: float = 1e-12) -> None:
    for a, b in zip(flat(found), flat(wanted), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol, 1e-14)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: lucid.histogramdd(X, 5, [(-2, 2)] * 4), lambda: np.histogramdd(X, 5, [(-2, 2)] * 4)),
        (lambda: lucid.histogramdd(X[:, :2], [3, 4]), lambda: np.histogramdd(X[:, :2], [3, 4])),
        (
            lambda: lucid.histogramdd([X[:, 0], X[:, 1]], ENDS, density=True),
            lambda: np.histogramdd((X[:, 0], X[:, 1]), ENDS, density=True),
        ),
        (
            lambda: lucid.histogram2d(X[0], X[1], 3, weights=Y[0]),
            lambda: np.histogram2d(X[0], X[1], 3, weights=Y[0]),
        ),
        (lambda: lucid.matvec(np.ones((2, 3, 4)), X[:2]), lambda: np.matvec(np.ones((2, 3, 4)), X[:2])),
        (lambda: lucid.vecmat(Z[:3, :3], Z[:3]), lambda: np.vecmat(Z[:3, :3], Z[:3])),
        (lambda: lucid.poly(X[0]), lambda: np.poly(X[0])),
        (lambda: lucid.polydiv(X[0], Y[0, :2]), lambda: [*np.polydiv(X[0], Y[0, :2])]),
        (lambda: lucid.adjoint(Z), lambda: Z.conj().T),
        (lambda: lucid.rsub(X, Y, alpha=2), lambda: Y - 2 * X),
        (lambda: lucid.fill(X, 2.5), lambda: np.full_like(X, 2.5)),
        (lambda: lucid.linalg.vander(2.0, 3), lambda: np.array([[1.0, 2.0, 4.0]])),
        (
            lambda: lucid.histogramdd(X.reshape(2, 6, 2), 3, weights=Y[:, :2].reshape(2, 6)),
            lambda: [*np.histogramdd(X.reshape(12, 2), 3, weights=Y[:, :2].ravel())],
        ),
        (lambda: lucid.linalg.vander(X, 3), lambda: np.stack([np.vander(r, 3, True) for r in X])),
        (lambda: lucid.histogram(X, 4, weight=Y), lambda: np.histogram(X, 4, weights=Y)),
    ],
)  # fmt: skip
def test_as_numpys(ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
    near(ours(), theirs(), 1e-10)


def test_roots_are_where_a_polynomial_is_0() -> None:
    found = np.sort_complex(np.asarray(lucid.roots([0.0, 2.0, -6.0, 4.0, 0.0])))
    near(found, np.array([0, 1, 2], complex), 1e-10)
    assert lucid.roots([3.0]).shape == (0,)


def test_numbers_and_what_tensors_are() -> None:
    made = lucid.scalar_tensor(3)
    assert made.shape == () and made.dtype == np.float32
    assert lucid.is_signed(X) and not lucid.is_signed(np.ones(1, np.uint8)) and lucid.is_same_size(X, Y)
    assert lucid.isscalar(1.0) and not lucid.isscalar(made)


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_products_of_what_is_scattered(dtype: str, include: bool) -> None:
    x, source = (2 * X).astype(dtype), (2 * SOURCE).astype(dtype)
    want = x.copy()
    for k in {*INDEX.ravel()}:
        for c in range(4):
            come = source[INDEX[:, c] == k, c]
            if come.size:
                want[k, c] = (x[k, c] if include else 1) * np.prod(come)

    def f(x: Any, s: Any) -> Any:
        return x.scatter_reduce(0, INDEX, s, "prod", include_self=include)

    near(both(f, Tensor(x), Tensor(source)), want, 1e-6)
    if include:
        near(Tensor(x).scatter(0, INDEX, Tensor(source), reduce="multiply"), want, 1e-6)


def test_the_gradient_of_products_where_one_or_two_are_0() -> None:
    source = np.array([2.0, 0.0, 3.0, 0.0, 0.0, 5.0])
    index = np.array([0, 0, 0, 1, 1, 2])
    s = Tensor(source, requires_grad=True)
    x = Tensor([1.0, 2.0, 3.0], dtype="float64", requires_grad=True)
    (x.scatter_reduce(0, index, s, "prod") * np.array([1.0, 10.0, 100.0])).sum().backward()
    assert s.grad is not None and x.grad is not None
    assert s.grad.tolist() == [0, 6, 0, 0, 0, 300] and x.grad.tolist() == [0, 0, 500]


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include", [True, False])
def test_slices_are_reduced_as_pytorch_does(reduce: str, include: bool) -> None:
    torch: Any = pytest.importorskip("torch")
    index = np.array([0, 4, 0, 2, 4, 0])
    got = both(
        lambda x, s: lucid.index_reduce(x, 0, index, s, reduce, include_self=include), Tensor(X), Tensor(Y)
    )
    want = torch.tensor(X).index_reduce(0, torch.tensor(index), torch.tensor(Y), reduce, include_self=include)
    near(got, want, 1e-10)


def test_histc_and_renorm_as_pytorchs() -> None:
    torch: Any = pytest.importorskip("torch")
    for options in ({}, {"bins": 5, "min": -1, "max": 2}, {"bins": 3, "min": 0.5, "max": 0.5}):
        near(both(lambda x: lucid.histc(x, **options), Tensor(X)), torch.histc(torch.tensor(X), **options))  # noqa: B023
    near(lucid.histc(np.ones(4), 4), torch.histc(torch.ones(4, dtype=torch.float64), 4))
    for p, dim in ((2, 0), (1, 1), (math.inf, 1)):

        def norm(x: Any, p: float = p, dim: int = dim) -> Any:
            return lucid.renorm(x, p, dim, 1.5)

        near(
            both(norm, Tensor(X)),
            torch.renorm(torch.tensor(X), p, dim, 1.5),
            1e-6,
        )


@pytest.mark.parametrize("name", ["hfft2", "hfftn", "ihfft2", "ihfftn"])
def test_hermitian_transforms_along_several_axes(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    given = Z if name.startswith("h") else X
    for norm in (None, "ortho", "forward"):
        got = getattr(lucid.fft, name)(given, norm=norm)
        near(got, getattr(torch.fft, name)(torch.tensor(given), norm=norm), 1e-10)
    if name == "ihfft2":
        near(lucid.fft.hfft2(lucid.fft.ihfft2(X)), X, 1e-10)


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (lucid.logaddexp, np.logaddexp),
        (lambda z, w: lucid.logsumexp(z, 1), lambda z, w: np.log(np.exp(z).sum(1))),
        (lambda z, w: lucid.logcumsumexp(z, 1), lambda z, w: np.log(np.exp(z).cumsum(1))),
        (lambda z, w: lucid.sigmoid(z), lambda z, w: 1 / (1 + np.exp(-z))),
        (lambda z, w: lucid.nn.functional.silu(z), lambda z, w: z / (1 + np.exp(-z))),
        (lambda z, w: lucid.lerp(z, w, 0.3), lambda z, w: z + 0.3 * (w - z)),
        (lambda z, w: lucid.lerp(z, w, w / 9), lambda z, w: z + w / 9 * (w - z)),
    ],
)
def test_functions_of_complex_numbers(f: Callable[..., Any], g: Callable[..., Any]) -> None:
    want = np.log(np.exp(Z) + np.exp(Z * 1j)) if f is lucid.logaddexp else g(Z, Z * 1j)
    found = np.asarray(both(f, Tensor(Z), Tensor(Z * 1j)))
    near(np.exp(found), np.exp(want), 1e-10)  # logarithms differ by turns


def test_complex_numbers_do_not_overflow_inside() -> None:
    assert np.isfinite(lucid.sigmoid(np.array([900 + 1j, -900 + 1j]))).all()
    near(lucid.logaddexp(np.array([900 + 0j]), 900 + 0j), np.array([900 + math.log(2) + 0j]))


def test_polygamma_of_any_order() -> None:
    mpmath = pytest.importorskip("mpmath")
    x = np.concatenate([np.geomspace(0.01, 1000, 9), [-0.3, -1.7, -5.3]])
    for n in (2, 3, 6):
        want = np.array([float(mpmath.psi(n, v)) for v in x])
        near(both(lambda x: lucid.polygamma(n, x), Tensor(x)), want, 1e-13)  # noqa: B023
        t = Tensor(x, requires_grad=True)
        lucid.polygamma(n, t).sum().backward()
        near(t.grad, np.array([float(mpmath.psi(n + 1, v)) for v in x]), 1e-9)
    with pytest.raises(ValueError, match="n from 0 to 100"):
        lucid.polygamma(-1, 1.0)


def test_counts_and_places_may_be_tensors() -> None:
    counts = np.array([2, 0, 3, 1, 0, 0])
    for repeat in (lucid.repeat_interleave, lucid.compile(lucid.repeat_interleave)):
        found = repeat(Tensor(X), Tensor(counts), dim=0, output_size=6)
        np.testing.assert_array_equal(found, np.repeat(X, counts, 0))
    for places in ([1, 4], 4):
        near(lucid.tensor_split(X, Tensor(places)), np.array_split(X, places))
    part = lucid.compile(lambda x, q: lucid.quantile(x, q, 1))
    near(part(X, Tensor([0.25, 0.6], dtype="float64")), np.quantile(X, [0.25, 0.6], 1))


def test_gradients_of_what_libraries_compute_are_made_of_values() -> None:
    for k in range(3):  # the second time by structure
        x = Tensor(X + k, requires_grad=True)
        y = lucid.fft.rfft(x)
        (y * y.conj()).real.sum().backward()
        basis = np.exp(-2j * np.pi * np.outer(np.arange(3), np.arange(4)) / 4)
        assert x.grad is not None
        near(x.grad, 2 * ((X + k) @ basis.T @ basis.conj()).real, 1e-10)
