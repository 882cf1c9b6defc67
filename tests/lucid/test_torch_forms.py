"""Forms of calls that PyTorch's op database makes (tests/opdb) and that lucid once refused, or took for
others: what they give, in NumPy's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F

pytestmark = pytest.mark.table

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 4))
Y = RNG.normal(size=(3, 4))
CUBE = RNG.normal(size=(2, 3, 4))
Z = X + 1j * Y
WHOLE = np.array([7, -7, 7, -7, 5, 0])
BY = np.array([2, 2, -2, -2, 0, 0])
X6 = RNG.normal(size=(2, 6))
ROW = np.zeros((1, 4), int)
SQUARE = RNG.normal(size=(4, 4))
TIMES, SHARE = np.array([1, 2, 3, 1]), np.array([0.5, 1.0, 0.25, 2.0])


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def ends(x: Any, reduce: Callable[..., Any]) -> Any:
    """Of rows of four: of the first three, and of the last two."""
    return np.stack([reduce(x[:, :3], 1), reduce(x[:, 2:], 1)], 1)


def scattered(x: Any, mask: Any, source: Any) -> Any:
    x[mask] = source.ravel()[: mask.sum()]
    return x


# What is called with tensors of the arrays, and what it shall give.
FORMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "add, alpha": (lambda x, y: lucid.add(x, y, alpha=3), (X, Y), X + 3 * Y),
    "sub, alpha": (lambda x, y: lucid.sub(x, y, alpha=0.5), (X, Y), X - 0.5 * Y),
    "add, alpha, a number": (lambda x: x.add(2, alpha=3), (X.astype("f"),), X.astype("f") + 6),
    "sub_, alpha": (lambda x: (x + 0).sub_(1, alpha=2), (X,), X - 2),
    "div, floor": (lambda x, y: x.div(y, rounding_mode="floor"), (X, Y), np.floor(X / Y)),
    "div, trunc": (lambda x, y: lucid.div(x, y, rounding_mode="trunc"), (X, Y), np.trunc(X / Y)),
    "div, trunc, of ints": (
        lambda x, y: lucid.div(x, y, rounding_mode="trunc"),
        (WHOLE, BY),
        np.array([3, -3, -3, 3, 0, 0]),
    ),
    "roll, shifts, dims": (
        lambda x: lucid.roll(x, shifts=(1, 2), dims=(0, 1)),
        (X,),
        np.roll(X, (1, 2), (0, 1)),
    ),
    "arange, end": (lambda: lucid.arange(1, end=4), (), np.arange(1, 4)),
    "ldexp of floats": (lambda x, y: lucid.ldexp(x, y), (X, Y), X * 2**Y),
    "cov, fweights": (lambda x, w: lucid.cov(x, fweights=w), (X, TIMES), np.cov(X, fweights=TIMES)),
    "cov, aweights": (lambda x, w: lucid.cov(x, aweights=w), (X, SHARE), np.cov(X, aweights=SHARE)),
    "cov, both": (
        lambda x, v, w: lucid.cov(x, fweights=v, aweights=w, ddof=0),
        (X, TIMES, SHARE),
        np.cov(X, fweights=TIMES, aweights=SHARE, ddof=0),
    ),
    "cov of complex numbers": (lambda z, w: lucid.cov(z, aweights=w), (Z, SHARE), np.cov(Z, aweights=SHARE)),
    "corrcoef of complex numbers": (lucid.corrcoef, (Z,), np.corrcoef(Z)),
    "cdist, compute_mode": (
        lambda x, y: lucid.cdist(x, y, 1.0, "use_mm_for_euclid_dist"),
        (X, Y),
        np.abs(X[:, None] - Y[None]).sum(-1),
    ),
    "transpose of two axes": (lambda x: x.transpose(1, 2), (CUBE,), CUBE.swapaxes(1, 2)),
    "transpose from the end": (lambda x: lucid.transpose(x, -1, 0), (CUBE,), CUBE.swapaxes(-1, 0)),
    "transpose of a matrix": (lambda x: x.transpose(1, 0), (X,), X.T),
    "sum, keepdim": (lambda x: x.sum(1, True), (X,), X.sum(1, keepdims=True)),
    "mean, keepdim": (lambda x: lucid.mean(x, 0, True), (X,), X.mean(0, keepdims=True)),
    "prod, no keepdim": (lambda x: x.prod(0, False), (X,), X.prod(0)),
    "max, keepdim": (lambda x: x.amax(1, True), (X,), X.max(1, keepdims=True)),
    "any, keepdim": (lambda x: (x > 1).any(1, True), (X,), (X > 1).any(1, keepdims=True)),
    "argmax, keepdim": (lambda x: x.argmax(1, True), (X,), X.argmax(1, keepdims=True)),
    "std, unbiased": (lambda x: x.std(True), (X,), X.std(ddof=1)),
    "std, not unbiased": (lambda x: x.std(unbiased=False), (X,), X.std()),
    "var, unbiased, of an axis": (lambda x: x.var(1, True), (X,), X.var(1, ddof=1)),
    "var, unbiased, kept": (
        lambda x: x.var(1, unbiased=True, keepdim=True),
        (X,),
        X.var(1, ddof=1, keepdims=True),
    ),
    "var_mean, not unbiased": (lambda x: lucid.var_mean(x, 0, False)[0], (X,), X.var(0)),
    "var_mean, of all": (lambda x: lucid.var_mean(x, dim=None, correction=None)[0], (X,), X.var(ddof=1)),
    "std_mean, unbiased": (lambda x: lucid.std_mean(x, dim=1, unbiased=True)[0], (X,), X.std(1, ddof=1)),
    "std_mean, of all": (lambda x: lucid.std_mean(x, True)[0], (X,), X.std(ddof=1)),
    "norm of a matrix": (lambda x: x.norm(2), (X,), np.sqrt((X * X).sum())),
    "norm, p = 1, of a matrix": (lambda x: lucid.norm(x, 1), (X,), np.abs(X).sum()),
    "norm, inf, of rows": (lambda x: x.norm(float("inf"), 1, True), (X,), np.abs(X).max(1, keepdims=True)),
    "norm of two axes": (lambda x: x.norm(p=3, dim=(0, 1)), (X,), (np.abs(X) ** 3).sum() ** (1 / 3)),
    "norm of several axes": (lambda x: x.norm(1), (CUBE,), np.abs(CUBE).sum()),
    "norm, nuc": (lambda x: x.norm("nuc"), (X,), np.linalg.norm(X, "nuc")),
    "sort, descending": (lambda x: x.sort(1, True), (X,), -np.sort(-X, 1)),
    "argsort, descending": (lambda x: lucid.argsort(x, 0, True), (X,), np.argsort(-X, 0)),
    "argsort, not descending": (lambda x: x.argsort(0, False), (X,), np.argsort(X, 0)),
    "argmax of a number": (lambda x: x.argmax(-1), (np.array(3.0),), np.array(0)),
    "logsumexp of a number": (lambda x: x.logsumexp((0,), True), (np.array(3.0),), np.array(3.0)),
    "cosine_similarity, broadcast along it": (
        lambda x, y: lucid.nn.functional.cosine_similarity(x, y, dim=0),
        (X[:1], Y),
        (X[:1] * Y).sum(0) / np.sqrt(3 * X[0] ** 2 * (Y * Y).sum(0)),
    ),
    "pairwise_distance of complex numbers": (
        lambda x, y: lucid.nn.functional.pairwise_distance(x, y, eps=0.0),
        (Z, Z[::-1]),
        np.sqrt((np.abs(Z - Z[::-1]) ** 2).sum(-1)),
    ),
    "softmax, dtype": (
        lambda x: lucid.softmax(x, 1, dtype="float64"),
        (X.astype("f"),),
        softmax(X.astype("f").astype("d")),
    ),
    "log_softmax, dtype": (
        lambda x: F.log_softmax(x, 1, dtype="float64"),
        (WHOLE[None],),
        np.log(softmax(WHOLE[None].astype("d"))),
    ),
    "softmin, dtype": (
        lambda x: F.softmin(x, 1, dtype="float64"),
        (-WHOLE[None],),
        softmax(WHOLE[None] + 0.0),
    ),
    "max_pool1d, ceil_mode": (lambda x: F.max_pool1d(x, 3, 2, ceil_mode=True), (X,), ends(X, np.max)),
    "max_pool2d, ceil_mode, of less than a window": (
        lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        (np.arange(4.0).reshape(1, 2, 2),),
        np.array([[[3.0]]]),
    ),
    "avg_pool1d, ceil_mode, of less than a window": (
        lambda x: F.avg_pool1d(x, 3, 2, ceil_mode=True),
        (np.array([[1.0, 3.0]]),),
        np.array([[2.0]]),
    ),
    "lp_pool1d, ceil_mode": (  # the mean square of two, for three
        lambda x: F.lp_pool1d(x, 2, 3, 2, True),
        (np.array([[1.0, 3.0]]),),
        np.array([[15.0**0.5]]),
    ),
    "avg_pool1d, ceil_mode": (lambda x: F.avg_pool1d(x, 3, 2, 0, True), (X,), ends(X, np.mean)),
    "avg_pool1d, ceil_mode, zeros around": (  # of six numbers with a zero around: three windows of three
        lambda x: F.avg_pool1d(x, 3, 3, 1, True),
        (X6,),
        np.stack([X6[:, :2].sum(1) / 3, X6[:, 2:5].mean(1), X6[:, 5:].sum(1) / 2], 1),
    ),
    "avg_pool1d, ceil_mode, without these": (
        lambda x: F.avg_pool1d(x, 3, 3, 1, True, False),
        (X6,),
        np.stack([X6[:, :2].mean(1), X6[:, 2:5].mean(1), X6[:, 5]], 1),
    ),
    "avg_pool2d, a divisor": (
        lambda x: F.avg_pool2d(x, 2, divisor_override=3),
        (CUBE[:, :2],),
        CUBE[:, :2].reshape(2, 1, 2, 2, 2).sum((2, 4)) / 3,
    ),
    "attention, is_causal behind dropout_p": (
        lambda x: F.scaled_dot_product_attention(x, x, x, None, 0.0, True)[:, 0],
        (CUBE,),
        CUBE[:, 0],
    ),
    "attention, fewer heads of keys": (
        lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True),
        (CUBE[:, :1, None], CUBE[:1, :1, None]),
        np.broadcast_to(CUBE[:1, :1, None], (2, 1, 1, 4)),
    ),
    "scatter_reduce, mean": (
        lambda x, i, y: x.scatter_reduce(0, i, y, "mean"),
        (X, ROW, Y[:1]),
        np.concatenate([(X[:1] + Y[:1]) / 2, X[1:]]),
    ),
    "scatter_reduce, amax, not of itself": (
        lambda x, i, y: x.scatter_reduce(0, i, y, "amax", include_self=False),
        (X, ROW, Y[:1]),
        np.concatenate([Y[:1], X[1:]]),
    ),
    "scatter_reduce, amin, of ints": (
        lambda x, i, y: x.scatter_reduce(0, i, y, "amin", include_self=False),
        (WHOLE, np.array([0, 0]), BY[2:4]),
        np.array([-2, -7, 7, -7, 5, 0]),
    ),
    "scatter, add": (
        lambda x, i, y: x.scatter(0, i, y, reduce="add"),
        (X, ROW, Y[:1]),
        np.concatenate([X[:1] + Y[:1], X[1:]]),
    ),
    "masked_scatter, broadcast": (
        lambda x, m, y: lucid.masked_scatter(x, m, y),
        (X[:1], X > 0, Y),
        scattered(np.repeat(X[:1], 3, 0), X > 0, Y),
    ),
    "normalize, p = 0": (lambda x: F.normalize(x, 0.0), (X,), X / 4),
    "normalize, of complex numbers": (F.normalize, (Z,), Z / np.sqrt((np.abs(Z) ** 2).sum(1, keepdims=True))),
    "softsign, of complex numbers": (F.softsign, (Z,), Z / (1 + np.abs(Z))),
    "float_power, of complex numbers": (lambda z: lucid.float_power(z, 2), (Z,), Z**2),
    "hardtanh to one number": (lambda x: F.hardtanh(x, 0.5, 0.5), (X,), np.full((3, 4), 0.5)),
    "logit, eps": (
        lambda x: x.logit(0.25),
        (np.array([0.0, 0.5, 1.0]),),
        np.array([-np.log(3), 0, np.log(3)]),
    ),
    "diagflat, offset": (lambda x: x.diagflat(offset=1), (WHOLE,), np.diagflat(WHOLE, 1)),
    "bucketize, int32": (
        lambda x: lucid.bucketize(x, lucid.asarray([0.0, 1.0]), out_int32=True),
        (X,),
        np.searchsorted([0.0, 1.0], X).astype("i"),
    ),
    "searchsorted, int32": (
        lambda x: lucid.searchsorted(lucid.asarray([0.0, 1.0]), x, out_int32=True),
        (X,),
        np.searchsorted([0.0, 1.0], X).astype("i"),
    ),
    "pixel_shuffle of nothing": (
        lambda x: F.pixel_shuffle(x, 1),
        (np.zeros((1, 0, 1, 1)),),
        np.zeros((1, 0, 1, 1)),
    ),
    "group_norm of nothing": (lambda x: F.group_norm(x, 1), (np.zeros((0, 2)),), np.zeros((0, 2))),
    "fftn of one axis": (lambda x: lucid.fft.fftn(x, dim=-1), (X,), np.fft.fft(X)),
    "matrix_rank, atol": (lambda x: lucid.linalg.matrix_rank(x, atol=100.0), (X,), np.array(0)),
    "addmv": (
        lambda x, m, v: x.addmv(m, v, beta=2, alpha=3),
        (X[:, 0], X, Y[0]),
        2 * X[:, 0] + 3 * (X @ Y[0]),
    ),
    "addr": (
        lambda x, a, b: lucid.addr(x, a, b, alpha=2),
        (X, X[:, 0], Y[0]),
        X + 2 * np.outer(X[:, 0], Y[0]),
    ),
    "addbmm": (
        lambda x, a, b: lucid.addbmm(x, a, b, beta=2),
        (SQUARE[:3, :3], CUBE, CUBE.swapaxes(1, 2)),
        2 * SQUARE[:3, :3] + np.einsum("kij,klj->il", CUBE, CUBE),
    ),
    "diagonal_scatter": (
        lambda x, v: x.diagonal_scatter(v, 1),
        (X, WHOLE[:3] + 0.0),
        X + (np.eye(3, 4, 1) * (WHOLE[:3, None] - X)),
    ),
    "diagonal_scatter below": (
        lambda x, v: lucid.diagonal_scatter(x, v, -1, 1, 0),
        (X.T, WHOLE[:2] + 0.0),
        X.T + (np.eye(4, 3, 1) * (np.array([[7.0], [-7], [0], [0]]) - X.T)),
    ),
    "select_scatter": (
        lambda x, v: lucid.select_scatter(x, v, 1, -1),
        (X, Y[:, 0]),
        np.concatenate([X[:, :3], Y[:, :1]], 1),
    ),
    "slice_scatter": (
        lambda x, v: x.slice_scatter(v, 1, 1, None, 2),
        (X, Y[:, :2]),
        np.stack([X[:, 0], Y[:, 0], X[:, 2], Y[:, 1]], 1),
    ),
    "xlog1py": (
        lucid.special.xlog1py,
        (np.array([0.0, 2.0, 0.0]), np.array([-1.0, 1.0, 2.0])),
        np.array([0, 2 * np.log(2), 0]),
    ),
    "entr": (lucid.special.entr, (np.array([0.0, 0.5, -1.0]),), np.array([0, np.log(2) / 2, -np.inf])),
    "ndtr": (
        lucid.special.ndtr,
        (np.array([0.0, -40.0, 40.0, 1.0]),),
        np.array([0.5, 0.0, 1.0, 0.8413447460685429]),
    ),
    "tensorsolve, dims": (
        lambda a, b: lucid.linalg.tensorsolve(a, b, dims=(0,)),
        (SQUARE, SQUARE[0]),
        np.linalg.tensorsolve(SQUARE, SQUARE[0], (0,)),
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_form(name: str) -> None:
    call, arrays, wanted = FORMS[name]
    for function in (call, lucid.compile(call)):
        found = function(*(lucid.asarray(x) for x in arrays)).numpy()
        assert found.shape == np.shape(wanted)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(
            found, wanted, rtol=1e-6 if wanted.dtype == np.float32 else 1e-12, atol=1e-14
        )


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "transpose, where NumPy and PyTorch differ": (lambda x: x.transpose(0, 1), "NumPy leaves it as it is"),
    "a bool as an axis": (lambda x: x.sum(True), "axis must be an int, not True"),
    "a bool as a dtype, where PyTorch has none": (lambda x: lucid.cumsum(x, 0, True), "unknown dtype True"),
    "a bool as the dtype of a variance past NaN": (lambda x: lucid.nanvar(x, 0, True), "unknown dtype True"),
    "another rounding_mode": (lambda x: x.div(2, rounding_mode="up"), "'floor' or 'trunc', not 'up'"),
    "PyTorch's base, where NumPy has endpoint": (
        lambda x: lucid.logspace(0, 4, 2, x[0, 0]),
        "endpoint must be",
    ),
    "fweights of floats": (lambda x: lucid.cov(x, fweights=x[0]), "fweights must be integers"),
    "aweights of another length": (lambda x: lucid.cov(x, aweights=x[:, 0]), r"of shape \(3,\) for 4"),
    "a mask of floats": (lambda x: lucid.masked_scatter(x, x, x), "the mask must be bool, not float64"),
    "count_include_pad, in PyTorch's place of ceil_mode": (
        lambda x: F.avg_pool1d(x, 2, 1, 0, x),
        "ceil_mode",
    ),
    "is_causal, in PyTorch's place of dropout_p": (
        lambda x: F.scaled_dot_product_attention(x, x, x, None, True),
        "write is_causal",
    ),
    "a divisor of 0": (lambda x: F.avg_pool2d(x[None], 2, divisor_override=0), "must not be 0"),
    "another reduce": (lambda x: x.scatter(0, ROW, 1.0, reduce="times"), "'multiply' or None, not 'times'"),
    "max of two tensors": (lambda x: lucid.max(x, x), "lucid.maximum or lucid.minimum"),
    "min of two tensors, compiled": (lucid.compile(lambda x: x.min(x[0])), "lucid.maximum or lucid.minimum"),
    "max of a tensor and a number in one": (
        lambda x: x.max(lucid.tensor(1)),
        "an int, or several in a tuple",
    ),
    "one choice of where": (lambda x: lucid.where(x > 0, *x[:1]), "two choices, or a condition alone"),
    "flipud of a number": (lambda x: lucid.flipud(x[0, 0]), "at least one axis"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    call, text = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=text):
        call(lucid.asarray(X))


def test_gradient_of_rms_norm_of_complex_numbers() -> None:
    """Its eps is that of the parts."""
    z = lucid.tensor(Z[:, :1], requires_grad=True)
    lucid.nn.functional.rms_norm(z, 1).real.sum().backward()
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), 0, atol=1e-13)


def test_random_numbers_in_pytorchs_forms() -> None:
    drawn = lucid.randint(10, (200,)).numpy()
    assert drawn.shape == (200,) and drawn.min() >= 0 and drawn.max() == 9
    like = lucid.randint_like(lucid.ones(200), 3, device="cpu").numpy()
    assert like.dtype == np.float32 and set(like) == {0.0, 1.0, 2.0}
    assert lucid.normal(0.0, 1.0, (2, 3), device="cpu").shape == (2, 3)


def test_where_it_is_not_0_in_pytorchs_form() -> None:
    np.testing.assert_array_equal(lucid.nonzero(X > 0, as_tuple=False), np.argwhere(X > 0))
    for mine, right in zip(lucid.where(lucid.asarray(X) > 0), np.where(X > 0), strict=True):
        np.testing.assert_array_equal(mine, right)


def test_only_inputs_of_autograd_grad() -> None:
    x = lucid.tensor([1.0, 2.0], requires_grad=True)
    for given in ((x.square().sum(), x, None, True, True, True, False), (x.square().sum(), x)):
        (slope,) = lucid.autograd.grad(*given)
        np.testing.assert_array_equal(slope, [2, 4])
    (slope,) = lucid.autograd.grad(outputs=x.sum(), inputs=x, retain_graph=True, only_inputs=True)
    np.testing.assert_array_equal(slope, [1, 1])


@pytest.mark.parametrize("wrong", [[-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0]])
def test_weights_that_are_none(wrong: list[float]) -> None:
    for weights in (wrong, lucid.asarray(wrong)):
        with pytest.raises(ValueError, match="negative or not finite, or too few are above 0"):
            lucid.multinomial(weights, 1, replacement=True)
