"""What NumPy has, lucid has, but for what docs/numpy.md names; and functions that few programs meet give
NumPy's values."""

from __future__ import annotations

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
