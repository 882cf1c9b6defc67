"""lucid.linalg of complex matrices, and eigenvalues of matrices that are not symmetric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, linalg

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(11)


def _random(*shape: int) -> Array:
    return np.asarray(RNG.normal(size=shape) + 1j * RNG.normal(size=shape))


ALL = {"square": _random(3, 3), "tall": _random(5, 3), "wide": _random(3, 5), "stack": _random(2, 4, 4)}
SQUARES = ("square", "stack")


def _adjoint(x: Any) -> Any:
    return x.conj().swapaxes(-1, -2) if isinstance(x, np.ndarray) else x.mH


def _hermitian(x: Any) -> Any:
    return x + _adjoint(x)


def _definite(x: Any) -> Any:
    one = np.eye(x.shape[-1])
    return x @ _adjoint(x) + (one if isinstance(x, Tensor | np.ndarray) else x.new_tensor(one))


def _thin(L: Any, x: Any) -> Any:
    return L.svd(x, full_matrices=False)


def _joined(parts: Any) -> Any:
    u, s, vh = parts
    return (u * (s * s)[..., None, :]) @ vh


def _parts(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, tuple | list) else (x,)


Case = tuple[Callable[[Any, Any], Any], tuple[str, ...]]
VALUES: dict[str, Case] = {
    "inv": (lambda L, x: L.inv(x), SQUARES), "det": (lambda L, x: L.det(x), SQUARES),
    "slogdet": (lambda L, x: L.slogdet(x), SQUARES),
    "solve": (lambda L, x: L.solve(x, x[..., :2] ** 2), SQUARES),
    "pinv": (lambda L, x: L.pinv(x), tuple(ALL)), "qr": (lambda L, x: L.qr(x), tuple(ALL)),
    "svd": (_thin, tuple(ALL)), "svdvals": (lambda L, x: L.svdvals(x), tuple(ALL)),
    "rank": (lambda L, x: L.matrix_rank(x), tuple(ALL)), "cond": (lambda L, x: L.cond(x), tuple(ALL)),
    "cond, 1": (lambda L, x: L.cond(x, 1), SQUARES), "power": (lambda L, x: L.matrix_power(x, -2), SQUARES),
    "eigh": (lambda L, x: L.eigh(_hermitian(x)), SQUARES),
    "eigvalsh": (lambda L, x: L.eigvalsh(_hermitian(x)), SQUARES),
    "cholesky": (lambda L, x: L.cholesky(_definite(x)), SQUARES), "eig": (lambda L, x: L.eig(x), SQUARES),
    "upper": (lambda L, x: L.cholesky(_definite(x), upper=True), SQUARES),
    "eigvals": (lambda L, x: L.eigvals(x), SQUARES),
    "nuclear norm": (lambda L, x: L.matrix_norm(x, ord="nuc"), tuple(ALL)),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_values_are_numpys(case: str) -> None:
    f, on = VALUES[case]
    for kind in on:
        for dtype in ("c16", "c8"):
            x = ALL[kind].astype(dtype)
            runs: list[Any] = [lambda y: f(linalg, y)]
            if dtype == "c16":
                runs.append(lucid.compile(runs[0]))
            for run in runs:
                for found, want in zip(_parts(run(Tensor(x))), _parts(f(np.linalg, x)), strict=True):
                    assert (found.dtype, found.shape) == (np.asarray(want).dtype, np.asarray(want).shape)
                    np.testing.assert_allclose(found, want, rtol=1e-9 if dtype == "c16" else 1e-3, atol=1e-4)


def test_least_squares() -> None:
    a, b = ALL["tall"], _random(5, 2)
    theirs: Any = np.linalg.lstsq(a, b)
    for found, want in zip(linalg.lstsq(a, b), theirs, strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(want), atol=1e-12)


def test_eigenvalues_of_real_matrices_are_complex() -> None:
    for dtype, wanted in (("f4", "c8"), ("f8", "c16"), ("i4", "c16")):
        x = np.array([[2, 0], [0, 3]], dtype)
        w, v = linalg.eig(x)
        assert w.dtype == v.dtype == linalg.eigvals(x).dtype == wanted
        np.testing.assert_allclose(w, np.array([2, 3]))


def test_the_logarithm_of_a_complex_determinant() -> None:
    x = ALL["square"]
    np.testing.assert_allclose(linalg.logdet(x), np.log(np.linalg.det(x)))


# What depends on no phase of a vector, over PyTorch's functions and ours alike.
DERIVATIVES: dict[str, Case] = {
    "inv": (lambda L, x: L.inv(x), SQUARES), "det": (lambda L, x: L.det(x), SQUARES),
    "slogdet": (lambda L, x: L.slogdet(x)[1], SQUARES), "its sign": (lambda L, x: L.slogdet(x)[0], SQUARES),
    "solve": (lambda L, x: L.solve(x, x[..., :2] ** 2), SQUARES),
    "pinv": (lambda L, x: L.pinv(x), ("square", "tall")),
    "qr": (lambda L, x: L.qr(x)[0], ("square", "tall")),
    "r": (lambda L, x: L.qr(x)[1], ("square", "tall", "wide")),
    "cholesky": (lambda L, x: L.cholesky(_definite(x)), SQUARES),
    "eigvalsh": (lambda L, x: L.eigvalsh(_hermitian(x)), SQUARES),
    "eigh": (lambda L, x: abs(L.eigh(_hermitian(x))[1]), SQUARES),
    "svdvals": (lambda L, x: L.svdvals(x), tuple(ALL)),
    "u": (lambda L, x: abs(_thin(L, x)[0]), ("square", "tall")),
    "vh": (lambda L, x: abs(_thin(L, x)[2]), ("square", "wide")),
    "both": (lambda L, x: _joined(_thin(L, x)), tuple(ALL)),
    "eigvals": (lambda L, x: L.eigvals(x), SQUARES), "eig": (lambda L, x: abs(L.eig(x)[1]), SQUARES),
}  # fmt: skip


def _loss(made: Any, weight: Any) -> Any:
    return (abs(made * weight) ** 2).sum() + (made * weight).real.sum()


def _weight(made: Any, count: int) -> Array:
    return np.cos(np.arange(count)).reshape(made.shape)


@pytest.mark.parametrize("case", DERIVATIVES)
def test_gradients_are_pytorchs(case: str) -> None:
    torch = pytest.importorskip("torch")
    f, on = DERIVATIVES[case]
    for kind in on:
        x = torch.tensor(ALL[kind], requires_grad=True)
        made = f(torch.linalg, x)
        _loss(made, torch.tensor(_weight(made, made.numel()))).backward()

        def loss(x: Any) -> Any:
            made = f(linalg, x)
            return _loss(made, _weight(made, made.size))

        want = x.grad.resolve_conj().numpy()
        runs: list[Any] = [lucid.grad(loss), *([lucid.compile(lucid.grad(loss))] if kind == on[0] else ())]
        for run in runs:
            np.testing.assert_allclose(run(Tensor(ALL[kind])), want, rtol=1e-7, atol=1e-8 * abs(want).max())


@pytest.mark.parametrize("case", DERIVATIVES)
def test_gradients_are_differences(case: str) -> None:
    """Along one direction; and of the gradient itself, for the second."""
    f, on = DERIVATIVES[case]
    for kind in on:
        x, along = ALL[kind], _random(*ALL[kind].shape)

        def loss(x: Any) -> Any:
            made = f(linalg, x)
            return _loss(made, _weight(made, made.size))

        first = lucid.grad(loss)

        def second(x: Any) -> Any:
            return (abs(first(x)) ** 2).sum()  # noqa: B023

        for g in (loss, second) if kind == on[0] else (loss,):
            gradient: Any = lucid.grad(g)(Tensor(x)).numpy()
            step = 1e-5
            far = [g(Tensor(x + sign * step * along)).item() for sign in (1, -1)]
            found = (gradient.conj() * along).real.sum()
            assert found == pytest.approx((far[0] - far[1]) / (2 * step), rel=2e-4, abs=1e-4)
