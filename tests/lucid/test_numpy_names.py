"""What NumPy has, lucid has, but for what docs/numpy.md names; and functions that few programs meet give
NumPy's values."""

from __future__ import annotations

import inspect
import itertools
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import lucid

# Once is enough: that calls of all kinds give the same is tested elsewhere.
pytestmark = pytest.mark.table

DOCS = Path(__file__).parents[2] / "docs/numpy.md"
RNG = np.random.default_rng(0)
X, V = RNG.normal(size=(3, 4, 5)), RNG.normal(size=5)
NONE: Any = 3
BITS = RNG.integers(0, 2, (3, 9))
Z = np.array([2 + 1j, 1 - 1j, complex(np.nan, 0), complex(1, np.nan), 1 - 2j, 0])


def test_names_that_are_left_out_are_written_down() -> None:
    told = set(re.findall(r"`(\w+)`", DOCS.read_text().partition("Names that are left out")[2]))
    names = {n for n in np.__all__ if not (n.startswith("_") or isinstance(getattr(np, n), ModuleType))}
    assert {n for n in names if not hasattr(lucid, n)} <= told
    assert {n for n in told & names if hasattr(lucid, n)} == {"save", "load"}


def test_arguments_that_are_left_out_are_written_down() -> None:
    of_all, _, of_some = DOCS.read_text().partition("Arguments that are left out")[2].partition("and of some")
    told = {
        (f, a)
        for line in of_some.partition("Names that are left out")[0].splitlines()
        for f, a in _told(line)
    }
    everywhere = set(re.findall(r"`(\w+)`", of_all))
    for name in sorted(n for n in np.__all__ if callable(getattr(np, n)) and hasattr(lucid, n)):
        theirs, own = getattr(np, name), getattr(lucid, name)
        if isinstance(theirs, type | np.ufunc) or name in ("load", "save", "fromstring"):
            continue
        taken = list(inspect.signature(own).parameters.values())
        named = [p.name for p in taken]
        for at, p in enumerate(inspect.signature(theirs).parameters.values()):
            if p.kind is p.VAR_KEYWORD or p.name in named or p.name in everywhere or (name, p.name) in told:
                continue
            unnamed = at == 0 or p.default is p.empty or p.kind is p.POSITIONAL_ONLY
            assert unnamed and at < len(taken), f"{name}: {p.name}"


def _told(line: str) -> list[tuple[str, str]]:
    functions, _, arguments = line.partition(":")
    return list(itertools.product(*(re.findall(r"`(\w+)`", part) for part in (functions, arguments))))


M = X > 0
Y = X[..., 0]


@pytest.mark.parametrize(
    "f",
    [
        lambda m: m.sum(X, 1, initial=2.0, where=M),
        lambda m: m.sum(BITS, initial=3),
        lambda m: m.sum(np.ones((0, 2)), axis=0, initial=2.0),
        lambda m: m.prod(X, axis=(0, 2), initial=2.0, where=M, keepdims=True),
        lambda m: m.max(X, 0, initial=0.5, where=M),
        lambda m: m.min(X, initial=-9.0),
        lambda m: m.amax(np.ones((0, 3), np.int8), axis=0, initial=7),
        lambda m: m.max(BITS, initial=0.5),
        lambda m: m.any(M, axis=1, where=~M[:1]),
        lambda m: m.all(M, axis=1, where=M),
        lambda m: m.mean(X, 1, where=M),
        lambda m: m.var(X, 1, where=M, ddof=1),
        lambda m: m.std(X + 1j, 2, where=M),
        lambda m: m.var(X, 1, mean=m.mean(X, 1, keepdims=True)),
        lambda m: m.std(X, mean=0.5),
        lambda m: m.nansum(np.where(M, X, np.nan), 1, initial=1.0, where=X < 1),
        lambda m: m.nanprod(np.where(M, X, np.nan), where=X < 1),
        lambda m: m.nanmean(np.where(M, X, np.nan), 0, where=X < 1),
        lambda m: m.nanstd(np.where(M, X, np.nan), 0, where=X < 1),
        lambda m: m.nanvar(np.where(M, X, np.nan), 0, ddof=2),
        lambda m: m.nanmax(np.where(M, X, np.nan), 0, initial=0.3, where=X < 1),
        lambda m: m.nanmin(np.full(3, np.nan), initial=0.3),
        lambda m: m.clip(V, a_min=-0.5, a_max=m.asarray(0.5)),
        lambda m: m.zeros((2, 3), np.int8),
        lambda m: m.ones(3, "f2"),
        lambda m: m.empty(3, int) * 0,
        lambda m: m.full((2,), 3, np.float64),
        lambda m: m.zeros_like(V, np.int32, shape=(2, 2)),
        lambda m: m.full_like(V, 3, shape=2),
        lambda m: m.ones_like(V, bool),
        lambda m: m.eye(3, 4, 1, np.int8),
        lambda m: m.identity(3, np.int8),
        lambda m: m.tri(3, 4, -1, np.int8),
        lambda m: m.arange(0, 3, 1, np.int16),
        lambda m: m.linspace(0, 1, 5, True, False, np.float64),
        lambda m: m.linspace(V, 1.0, 6),
        lambda m: m.linspace(V, X, 4, axis=-1),
        lambda m: m.linspace(BITS[0], 9, 4, endpoint=False, dtype=np.int64),
        lambda m: m.linspace(V, V + 1, 5, retstep=True)[0],
        lambda m: m.asarray(m.linspace(0, 1, 5, retstep=True)[1], np.float64),
        lambda m: m.logspace(V, V + 1, 5, base=2.0, axis=1),
        lambda m: m.geomspace(1, 8, 4, True, np.float64),
        lambda m: m.hstack((V, V), dtype=np.float32),
        lambda m: m.vstack((V, V), dtype=np.float32),
        lambda m: m.stack((V, V), dtype=np.float32),
        lambda m: m.angle(Z[:2], deg=True),
        lambda m: m.cross(X[0, :3], X[1, :3].T, 0, 1, 0),
        lambda m: m.cross(X[:, 0], X[:, 1], axis=0),
        lambda m: m.einsum(Y, [0, 1], Y, [2, 1], [2, 0], optimize=True),
        lambda m: m.einsum(X, [..., 40], Y, [27, 3]),
        lambda m: m.einsum("ij,ij->i", Y, BITS[:, :4], dtype=np.complex128),
        lambda m: m.reshape(X, (5, -1), order="F"),
        lambda m: m.ravel(X, "F"),
        lambda m: m.stack(m.unravel_index([3, 5], (3, 4), "F")),
        lambda m: m.ravel_multi_index(([1, 2], [2, 5]), (3, 4), ("raise", "wrap"), "F"),
        lambda m: m.stack(m.where(M)),
        lambda m: m.pad(Y, ((1, 2), (3, 0)), constant_values=((1, 2), (3, 4))),
        lambda m: m.pad(Y, 1, "constant", constant_values=(5, 6)),
        lambda m: m.pad(Y, {-1: (1, 2)}, "edge"),
        lambda m: m.pad(Y, {0: 2}),
        lambda m: m.stack(m.intersect1d([3, 1, 2], [2, 3], return_indices=True)),
        lambda m: m.setdiff1d([3, 1, 2], [2], assume_unique=True),
        lambda m: m.setxor1d([3, 1, 2], [2], assume_unique=True),
    ],
)
def test_arguments_are_numpys(f: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = f(np)
    for found in (f(lucid), *([lucid.compile(f)(lucid)] if f(lucid).dtype.kind == "f" else [])):
        assert found.shape == right.shape
        assert found.dtype == right.dtype
        np.testing.assert_allclose(found.numpy(), right, rtol=1e-6 if right.dtype == np.float32 else 1e-14)


@pytest.mark.parametrize(
    "f",
    [
        lambda: lucid.max(X, where=M),
        lambda: lucid.sum(X, initial=V),
        lambda: lucid.union1d(V, V, assume_unique=True),
        lambda: lucid.nan_to_num(X, True),
        lambda: lucid.clip(X, 0, a_min=1),
        lambda: lucid.reshape(X, (5, 12), order="A"),
        lambda: lucid.einsum(X, X),
        lambda: lucid.einsum(V, [99]),
        lambda: lucid.linspace(V, 1.0, 3, NONE),
    ],
)
def test_arguments_that_mean_nothing_name_the_line(f: Callable[[], Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"test_numpy_names.py:\d+"):
        f()


def test_what_a_reduction_leaves_out_has_no_gradient_be_it_nan() -> None:
    x = lucid.tensor(np.where(M, X, np.nan))
    for f in (lucid.var, lucid.std, lucid.nanvar, lucid.nanstd, lucid.mean, lucid.sum, lucid.prod):
        got = lucid.grad(lambda v, f=f: f(v, where=lucid.tensor(M)))(x).numpy()
        right = lucid.grad(lambda v, f=f: f(v))(lucid.tensor(X[M])).numpy()
        np.testing.assert_allclose(got[M], right, rtol=1e-12)
        assert (got[~M] == 0).all()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x, initial=2.0, where=M),
        lambda x: np.max(x, axis=1, initial=0.2),
        lambda x: np.maximum.reduce(x, axis=None, initial=0.1, where=M),
        lambda x: np.add.reduce(x, initial=3.0),
        lambda x: np.std(x, where=M),
        lambda x: np.reshape(x, (5, 12), "F"),
        lambda x: np.linspace(x, 2.0, 3),
    ],
)
def test_functions_of_numpys_take_them_of_tensors(f: Callable[[Any], Any]) -> None:
    found = f(lucid.tensor(X))
    assert isinstance(found, lucid.Tensor)
    np.testing.assert_allclose(found.numpy(), f(X), rtol=1e-13)


@pytest.mark.parametrize(
    "f",
    [
        lambda m: m.apply_along_axis(lambda row: row.sum() * row[0], 1, X),
        lambda m: m.apply_along_axis(lambda row: m.outer(row, row[:2]), 0, X),
        lambda m: m.apply_along_axis(m.sort, -2, X),
        lambda m: m.apply_over_axes(m.sum, X, [0, 2]),
        lambda m: m.packbits(BITS),
        lambda m: m.packbits(BITS != 0, axis=-1, bitorder="little"),
        lambda m: m.packbits(BITS, 0),
        lambda m: m.unpackbits(m.packbits(BITS, 1), axis=1, count=9),
        lambda m: m.unpackbits(np.arange(3, dtype=np.uint8), count=-2, bitorder="little"),
        lambda m: m.unpackbits(np.arange(3, dtype=np.uint8), count=30),
        lambda m: m.spacing(np.array([0.0, -0.0, 1.0, -2.0, np.inf, np.nan, 5e-324, 1.7e308])),
        lambda m: m.spacing(np.array([1.0, -3.0], "f")),
        lambda m: m.spacing(3),
        lambda m: m.spacing(np.array([3, 200], np.uint8)),
        lambda m: m.spacing(np.array([3, -200], np.int16)),
        lambda m: m.fabs(np.array([3, -100], np.int8)),
        lambda m: m.fabs(BITS != 0),
        lambda m: m.fabs(np.array([3, -200], np.int16)),
        lambda m: m.sort_complex(Z),
        lambda m: m.sort_complex(np.array([[3, 1], [0, 2]], np.int8)),
        lambda m: m.sort_complex(V),
        lambda m: m.stack(m.mask_indices(4, m.triu, 1)),
        lambda m: m.frombuffer(b"\1\2\3\4\5", np.uint16, 2, 1),
        lambda m: m.fromiter((k * k for k in range(5)), float),
        lambda m: m.fromstring("1 2 3", sep=" "),
        lambda m: m.real_if_close(np.array([1 + 1e-15j, 2])),
        lambda m: m.real_if_close(np.array([1 + 1e-3j, 2])),
        lambda m: m.ascontiguousarray(3),
        lambda m: m.mgrid[0:3, 0:1:5j],
        lambda m: m.mgrid[1:7:2],
        lambda m: m.ogrid[0:3, 0:2][1],
        lambda m: m.r_[0:3, 7, V],
        lambda m: m.r_[X, X],
        lambda m: m.c_[0:5, V],
        lambda m: m.c_[X, X],
        lambda m: m.vectorize(lambda a, b: m.where(a > b, a - b, a + b))(X[:, :1, 0], V),
        lambda m: m.vectorize(lambda a, b: (a @ b, a + b)[0], signature="(n),(n)->()")(X, V),
        lambda m: m.vectorize(lambda x, p: p[0] + p[1] * x, excluded={1}, otypes=["f4"])(V, [1.0, 2.0]),
    ],
)
def test_values_are_numpys(f: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy's, beyond the largest number
        right = f(np)
    found = f(lucid)
    assert found.dtype == right.dtype and found.shape == right.shape
    np.testing.assert_allclose(found.numpy(), right, rtol=1e-6 if right.dtype == np.float32 else 1e-14)


def test_functions_along_axes_are_compiled_and_differentiated() -> None:
    def f(x: Any) -> Any:
        shares = lucid.apply_along_axis(lambda row: row.exp() / row.exp().sum(), 1, x)
        return (shares * lucid.vectorize(lambda v: lucid.where(v > 0, v, v * v))(x)).sum()

    def plain(x: Any) -> Any:
        return (lucid.nn.functional.softmax(x, 1) * lucid.where(x > 0, x, x * x)).sum()

    def curved(f: Any) -> Any:
        return lucid.grad(lambda x: (lucid.grad(f)(x) ** 2).sum())

    for found, right in (((lucid.grad(f)), lucid.grad(plain)), (curved(f), curved(plain))):
        np.testing.assert_allclose(lucid.compile(found)(X), right(X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (lucid.TraceError, "where", lambda: lucid.vectorize(lambda v: v if v > 0 else -v)(V)),
        (ValueError, "n is 5 and 4", lambda: lucid.vectorize(max, signature="(n),(n)->()")(V, V[:4])),
        (TypeError, "expected a function, not int", lambda: lucid.vectorize(NONE)),
        (ValueError, "expected a signature like", lambda: lucid.vectorize(max, signature="n->")),
        (ValueError, "results for 1 otypes", lambda: lucid.vectorize(lambda v: (v, v), otypes=[int])(V)),
        (ValueError, "made 1 axes of 3", lambda: lucid.apply_over_axes(lambda x, axis: x[0, 0], X, 0)),
        (lucid.TraceError, "frombuffer: ", lambda: lucid.compile(lambda: lucid.frombuffer(b"1", "u1"))()),
        (TypeError, "packbits: expected integers or bools", lambda: lucid.packbits(V)),
        (TypeError, "unpackbits: expected uint8", lambda: lucid.unpackbits(BITS)),
        (ValueError, "bitorder must be", lambda: lucid.packbits(BITS, bitorder="x")),
        (TypeError, "mgrid: expected slices", lambda: lucid.mgrid[3]),
        (TypeError, "r_: directives", lambda: lucid.r_["-1", 1]),
        (ValueError, "there is an inf or a NaN", lambda: lucid.asarray_chkfinite([1.0, np.inf])),
    ],
)  # fmt: skip
def test_errors(error: type[Exception], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(error, match=r"test_numpy_names.py:\d+: (?s:.)*" + message):
        call()
