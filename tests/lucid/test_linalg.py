"""lucid.linalg beside NumPy's and PyTorch's: values, types, stacks, gradients to second order, errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

import lucid
from lucid import Tensor, linalg

from .derivatives import check_derivatives

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(5)


def _definite(x: Any) -> Any:
    return (
        x @ x.mT + np.eye(x.shape[-1])
        if isinstance(x, Tensor)
        else x @ x.swapaxes(-1, -2) + np.eye(x.shape[-1])
    )


SQUARE, TALL, WIDE = (RNG.normal(size=s) for s in ((3, 3), (5, 3), (3, 5)))
ALL = {
    "square": SQUARE,
    "tall": TALL,
    "wide": WIDE,
    "stack": RNG.normal(size=(2, 3, 4, 4)),
    "one": SQUARE[:1, :1],
}
SQUARES = ("square", "stack", "one")

# What NumPy's function of that name is called with, and on which matrices.
VALUES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "inv": ("inv", {}, SQUARES), "det": ("det", {}, SQUARES), "slogdet": ("slogdet", {}, SQUARES),
    "eigh": ("eigh", {}, SQUARES), "eigh of the upper triangle": ("eigh", {"UPLO": "U"}, SQUARES),
    "eigvalsh": ("eigvalsh", {}, SQUARES), "pinv": ("pinv", {}, tuple(ALL)),
    "pinv, cut": ("pinv", {"rcond": 0.5}, tuple(ALL)), "qr": ("qr", {}, tuple(ALL)),
    "qr, complete": ("qr", {"mode": "complete"}, tuple(ALL)), "r": ("qr", {"mode": "r"}, tuple(ALL)),
    "svd": ("svd", {}, tuple(ALL)), "svd, thin": ("svd", {"full_matrices": False}, tuple(ALL)),
    "svd without vectors": ("svd", {"compute_uv": False}, tuple(ALL)), "svdvals": ("svdvals", {}, tuple(ALL)),
    "matrix_rank": ("matrix_rank", {}, tuple(ALL)), "rank, rtol": ("matrix_rank", {"rtol": 0.4}, tuple(ALL)),
    "cond": ("cond", {}, tuple(ALL)), "cond, -2": ("cond", {"p": -2}, tuple(ALL)),
    "cond, 1": ("cond", {"p": 1}, SQUARES), "cond, fro": ("cond", {"p": "fro"}, SQUARES),
    "power": ("matrix_power", {"n": 5}, SQUARES), "power 0": ("matrix_power", {"n": 0}, SQUARES),
    "power -3": ("matrix_power", {"n": -3}, SQUARES), "trace": ("trace", {}, tuple(ALL)),
    "diagonal": ("diagonal", {"offset": -1}, tuple(ALL)),
    "trace, offset": ("trace", {"offset": 1}, tuple(ALL)), "transpose": ("matrix_transpose", {}, tuple(ALL)),
    **{f"matrix norm {p}": ("matrix_norm", {"ord": p}, tuple(ALL))
       for p in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)},
    "matrix norm, kept": ("matrix_norm", {"ord": "nuc", "keepdims": True}, tuple(ALL)),
    **{f"vector norm {p}": ("vector_norm", {"ord": p, "axis": -1}, tuple(ALL))
       for p in (0, 1, 2, 3, 2.5, -1, np.inf, -np.inf)},
    "vector norm of all": ("vector_norm", {"ord": 3, "keepdims": True}, tuple(ALL)),
    **{f"norm {p}": ("norm", {"ord": p, "axis": (-1, -2)}, tuple(ALL)) for p in ("fro", 1, np.inf, 2, "nuc")},
}  # fmt: skip


def _parts(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("case", VALUES)
def test_values_are_numpys(case: str, dtype: str) -> None:
    name, options, on = VALUES[case]
    for kind in on:
        x = (ALL[kind] * (7 if dtype == "int64" else 1)).astype(dtype)
        with np.errstate(all="ignore"):
            theirs = getattr(np.linalg, name)(x, **options)
        ours = getattr(linalg, name)(x, **options)
        assert type(ours).__name__ == (type(theirs).__name__ if isinstance(theirs, tuple) else "Tensor")
        assert getattr(ours, "_fields", ()) == getattr(theirs, "_fields", ())
        for found, want in zip(_parts(ours), _parts(theirs), strict=True):
            assert found.dtype == np.asarray(want).dtype
            assert found.shape == np.asarray(want).shape
            np.testing.assert_allclose(found, want, rtol=3e-5 if dtype == "float32" else 1e-11, atol=1e-12)


def test_systems_are_numpys() -> None:
    a, stack = SQUARE, ALL["stack"]
    for x, b in (
        (a, TALL[:3]), (a, TALL[0]), (stack, RNG.normal(size=(3, 4, 2))), (stack, RNG.normal(size=4)),
        (stack[0, 0], RNG.normal(size=(2, 4, 1))), (a.astype("f4"), TALL[0]),
    ):  # fmt: skip
        want = np.linalg.solve(x, b)
        found = linalg.solve(x, b)
        assert found.dtype == want.dtype
        np.testing.assert_allclose(found, want, rtol=1e-11)
    four = RNG.normal(size=(2, 3, 6))
    np.testing.assert_allclose(linalg.tensorsolve(four, SQUARE[:2]), np.linalg.tensorsolve(four, SQUARE[:2]))
    np.testing.assert_allclose(linalg.tensorinv(four), np.linalg.tensorinv(four))
    parts = [RNG.normal(size=s) for s in ((10, 30), (30, 5), (5, 60), (60, 2))]
    np.testing.assert_allclose(linalg.multi_dot(parts), np.linalg.multi_dot(parts), rtol=1e-12)
    ends = [parts[0][0], *parts[1:3], parts[3][:, 0]]
    np.testing.assert_allclose(linalg.multi_dot(ends), np.linalg.multi_dot(ends), rtol=1e-12)
    np.testing.assert_allclose(linalg.vecdot(SQUARE, SQUARE), np.linalg.vecdot(SQUARE, SQUARE))
    np.testing.assert_allclose(linalg.outer(SQUARE[0], SQUARE[1]), np.linalg.outer(SQUARE[0], SQUARE[1]))
    upper = np.linalg.cholesky(_definite(SQUARE), upper=True)
    np.testing.assert_allclose(linalg.cholesky(_definite(SQUARE), upper=True), upper)
    np.testing.assert_allclose(np.linalg.inv(Tensor(SQUARE)), np.linalg.inv(SQUARE))


@pytest.mark.parametrize("b", [RNG.normal(size=5), RNG.normal(size=(5, 2))])
def test_least_squares_are_numpys(b: Array) -> None:
    low = TALL[:, :1] @ np.ones((1, 3))
    for a, y in ((TALL, b), (WIDE, b[:3]), (low, b)):
        for found, want in zip(linalg.lstsq(a, y), np.linalg.lstsq(a, y), strict=True):
            np.testing.assert_allclose(np.asarray(found), np.asarray(want), atol=1e-12)
    stacked = linalg.lstsq(np.stack([TALL, 2 * TALL]), np.stack([TALL, TALL]))
    np.testing.assert_allclose(stacked.solution[1], 0.5 * np.eye(3), atol=1e-12)
    assert stacked.rank.tolist() == [3, 3] and stacked.residuals.shape == (2, 3)


def _symmetric(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(x + x.mT)


# name: (function, matrices)
DERIVATIVES: dict[str, tuple[Callable[[Any], Any], tuple[str, ...]]] = {
    "inv": (linalg.inv, SQUARES), "det": (linalg.det, SQUARES),
    "slogdet": (lambda x: linalg.slogdet(x).logabsdet, SQUARES),
    "logdet": (lambda x: linalg.logdet(_definite(x)), SQUARES),
    "pinv": (linalg.pinv, ("square", "tall", "wide")),
    "solve for a": (lambda x: linalg.solve(x, x.mT + 1), SQUARES),
    "solve for a vector": (lambda x: linalg.solve(x, np.arange(x.shape[-1]) * x[..., 0].sum()), SQUARES),
    "lstsq": (lambda x: linalg.lstsq(x, x[:, :2] * x[:, 1:] + 1)[:2], ("tall",)),
    "lstsq of few rows": (lambda x: linalg.lstsq(x, x[:, 0])[0], ("wide",)),
    "lstsq, singular values": (lambda x: linalg.lstsq(x, x)[3], ("tall", "wide")),
    "cholesky": (lambda x: linalg.cholesky(_definite(x)), SQUARES),
    "cholesky, upper": (lambda x: linalg.cholesky(_definite(x), upper=True), SQUARES),
    "qr": (linalg.qr, tuple(ALL)), "r": (lambda x: linalg.qr(x, "r"), tuple(ALL)),
    "eigh": (_symmetric(linalg.eigh), SQUARES), "eigvalsh": (_symmetric(linalg.eigvalsh), SQUARES),
    "svd": (lambda x: linalg.svd(x, full_matrices=False), tuple(ALL)),
    "svdvals": (linalg.svdvals, tuple(ALL)),
    "svd, full, values": (lambda x: linalg.svd(x).S, tuple(ALL)),
    "power": (lambda x: linalg.matrix_power(x, 3), SQUARES),
    "power -2": (lambda x: linalg.matrix_power(x, -2), SQUARES),
    "multi_dot": (lambda x: linalg.multi_dot([x, x.mT, x, x[0]]), ("square", "tall", "wide")),
    "nuclear norm": (lambda x: linalg.matrix_norm(x, ord="nuc"), tuple(ALL)),
    "norm 3": (lambda x: linalg.vector_norm(x, ord=3, axis=-1), tuple(ALL)), "cond": (linalg.cond, SQUARES),
    "trace": (linalg.trace, tuple(ALL)),
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name: str) -> None:
    f, on = DERIVATIVES[name]
    for kind in on:
        check_derivatives(f, ALL[kind])


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_determinant_of_a_singular_matrix_has_two_derivatives(rank: int) -> None:
    x = np.stack([RNG.normal(size=(3, rank)) @ RNG.normal(size=(rank, 3)) for _ in range(2)])
    check_derivatives(linalg.det, x)
    with pytest.raises(ValueError, match=r"test_linalg.py:\d+: .*third derivative"):
        lucid.grad(
            lambda v: lucid.grad(lambda u: lucid.grad(lambda t: linalg.det(t).sum())(u).sum())(v).sum()
        )(np.zeros((3, 3)))


@pytest.mark.parametrize("diagonal", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 1.0, 2.0)])
def test_equal_eigenvalues_have_the_gradient_of_the_space_that_they_span(diagonal: tuple[float, ...]) -> None:
    q = np.linalg.qr(SQUARE)[0]
    x = (q * diagonal) @ q.T
    np.testing.assert_allclose(
        lucid.grad(lambda t: (linalg.eigvalsh(t) ** 3).sum())(x), 3 * x @ x, atol=1e-12
    )

    def space(t: Any) -> Any:  # the projection on the greatest eigenvalue's space, or on all of it
        v = linalg.eigh(t).eigenvectors
        v = v[:, 2:] if len(set(diagonal)) > 1 else v
        return ((v @ v.mT) * SQUARE).sum()

    with pytest.warns(UserWarning, match="equal within rounding"):
        found = lucid.grad(space)(x)
    want = np.zeros((3, 3))
    if len(set(diagonal)) > 1:
        p = np.outer(q[:, 2], q[:, 2])  # 1 / (2 - 1) = 1 between the spaces
        half = p @ (SQUARE + SQUARE.T) / 2 @ (np.eye(3) - p)
        want = half + half.T
    np.testing.assert_allclose(found, want, atol=1e-12)


def test_gradients_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    table: dict[str, Callable[[Any, Any], Any]] = {
        "eigh": lambda m, x: abs(m.linalg.eigh(x)[1]).sum() + m.linalg.eigh(x)[0][..., 0].sum(),
        "svd": lambda m, x: abs(m.linalg.svd(x, full_matrices=False)[2]).sum(),
        "qr": lambda m, x: abs(m.linalg.qr(x)[0]).sum(),
        "cholesky": lambda m, x: (m.linalg.cholesky(x) * 1.5).sum(),
        "solve": lambda m, x: m.linalg.solve(x, x * x).sum(),
        "pinv": lambda m, x: (m.linalg.pinv(x) * x).sum(),
        "slogdet": lambda m, x: m.linalg.slogdet(x)[1].sum(),
        "nuc": lambda m, x: m.linalg.matrix_norm(x, ord="nuc").sum(),
        "p": lambda m, x: m.linalg.vector_norm(x, 2.5, dim=-1, keepdim=True).sum(),
        "names": lambda m, x: (m.det(x) + m.logdet(x) + m.inverse(x).sum() + m.pinverse(x).sum()).sum()
        if x.ndim == 2 else m.slogdet(x)[1].sum(),
        "methods": lambda m, x: (x.det() + x.logdet() + x.inverse().sum() + x.matrix_power(2).sum()).sum(),
    }  # fmt: skip
    for name, f in table.items():
        for kind in SQUARES:
            x = _definite(ALL[kind])
            theirs = torch.tensor(x, requires_grad=True)
            f(torch, theirs).backward()
            ours = Tensor(x, requires_grad=True)
            f(lucid, ours).backward()
            assert ours.grad is not None
            np.testing.assert_allclose(
                ours.grad, theirs.grad, rtol=1e-9, atol=1e-9, err_msg=f"{name}, {kind}"
            )


TALL_LEAF, ZERO_LEAF = Tensor(TALL, requires_grad=True), Tensor(np.zeros((2, 2)), requires_grad=True)
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "singular": (lambda: linalg.inv(np.zeros((2, 2))), np.linalg.LinAlgError, "linalg.inv: Singular matrix"),
    "no solution": (lambda: linalg.solve(np.ones((2, 2)), [1, 2]), np.linalg.LinAlgError, "Singular"),
    "indefinite": (lambda: linalg.cholesky(-np.eye(2)), np.linalg.LinAlgError, "not positive definite"),
    "not square": (lambda: linalg.det(np.ones((2, 3))), np.linalg.LinAlgError, r"square.*\(2, 3\)"),
    "a vector": (lambda: linalg.svd(np.ones(3)), np.linalg.LinAlgError, r"matrices, not shape \(3,\)"),
    "right sides": (lambda: linalg.solve(np.eye(3), np.ones((2, 2))), ValueError, r"do not fit .*\(2, 2\)"),
    "stacks": (lambda: linalg.solve(np.ones((2, 3, 3)), np.ones((4, 3, 1))), ValueError, "do not broadcast"),
    "float16": (lambda: linalg.inv(np.eye(2, dtype="f2")), TypeError, r"no float16; convert by astype"),
    "mode": (lambda: linalg.qr(np.eye(2), "economic"), ValueError, "mode must be"),
    "triangle": (lambda: linalg.eigh(np.eye(2), "X"), ValueError, "UPLO must be"),
    "norm": (lambda: linalg.norm(np.eye(2), "p"), ValueError, "norm: ord='p' over 2 axes"),
    "two names": (lambda: linalg.pinv(np.eye(2), 0.1, rtol=0.1), ValueError, "rcond and rtol"),
    "power": (lambda: linalg.matrix_power(np.eye(2), cast(Any, 0.5)), TypeError, "must be an int"),
    "one matrix": (lambda: linalg.multi_dot([np.eye(2)]), ValueError, "at least two"),
    "full vectors": (lambda: linalg.svd(TALL_LEAF).U.sum().backward(), ValueError,
                     "full_matrices=False"),
    "complete": (lambda: linalg.qr(TALL_LEAF, "complete").R.sum().backward(),
                 ValueError, "no gradient"),
    "log of 0": (lambda: linalg.slogdet(ZERO_LEAF)[1].backward(),
                 np.linalg.LinAlgError, "slogdet, derivative: Singular matrix"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_line(name: str) -> None:
    f, kind, message = ERRORS[name]
    with pytest.raises(kind, match=rf"(?s)test_linalg.py:\d+: .*{message}"):
        f()


def test_what_is_made_of_products_compiles() -> None:
    def f(x: Tensor) -> Tensor:
        return linalg.matrix_power(x, 3) + linalg.multi_dot([x, x, x]) + linalg.trace(x) + linalg.norm(x, 1)

    np.testing.assert_allclose(lucid.compile(f)(Tensor(SQUARE)), f(Tensor(SQUARE)), rtol=1e-14)


def test_results_hold_no_history_without_gradients() -> None:
    x = Tensor(_definite(SQUARE))
    for _ in range(3):
        x = linalg.inv(x) + 0.0
        assert not x.requires_grad
        x.numpy()
        assert not x._node.inputs
    with lucid.no_grad():
        made = linalg.inv(Tensor(SQUARE, requires_grad=True))
    assert made.is_leaf and not made._node.inputs
    u, s, vh = linalg.svd(Tensor(SQUARE, requires_grad=True))
    assert linalg.matrix_rank(u).requires_grad is False and (u * s @ vh).requires_grad


@pytest.mark.parametrize("shape", [(0, 3, 1), (4, 4, 0), (3, 0, 1), (0, 0, 2)])
def test_least_squares_of_nothing(shape: tuple[int, int, int]) -> None:
    a, b = np.ones(shape[:2]), np.ones((shape[0], shape[2]))
    for run in (linalg.lstsq, lucid.compile(lambda a, b: tuple(linalg.lstsq(a, b)))):
        for found, want in zip(run(a, b), np.linalg.lstsq(a, b), strict=True):
            assert np.asarray(found).shape == np.asarray(want).shape


def test_empty_matrices() -> None:
    for shape in ((0, 3, 3), (2, 0, 0), (0, 0)):
        x = np.ones(shape)
        for name in ("inv", "det", "eigvalsh", "svdvals", "cholesky"):
            want = getattr(np.linalg, name)(x)
            assert getattr(linalg, name)(x).shape == want.shape
        leaf = Tensor(x, requires_grad=True)
        linalg.det(leaf).sum().backward()
        assert leaf.grad is not None and leaf.grad.shape == shape
    assert linalg.det(np.ones((0, 0))).item() == 1.0


def test_signatures_name_what_numpys_do() -> None:
    for name in linalg.__all__:
        theirs = getattr(np.linalg, name, None)
        if theirs is None:
            continue
        ours = inspect.signature(getattr(linalg, name)).parameters
        want = [k for k, p in inspect.signature(theirs).parameters.items() if p.default is not p.empty]
        missing = [k for k in want if k not in ours]
        assert missing in ([], ["out"]), (name, missing)
