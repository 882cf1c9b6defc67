"""NumPy's functions of Tensors give Tensors, through which gradients flow, or raise by name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, tensor

Array = np.ndarray[Any, Any]
A = np.array([[0.5, 1.5, -2.0], [3.0, 0.25, 1.0]], "f")
B = np.array([2.0, -1.0, 0.5], "f")


class Series:
    """What libraries of tables have: an array inside, and arithmetic that takes anything."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(self.values, dtype=dtype)

    def __add__(self, other: Any) -> Any:
        if getattr(other, "__pandas_priority__", 0) > 3000:
            return NotImplemented
        return Series(self.values + np.asarray(other))

    __radd__ = __add__


UFUNCS: list[Callable[..., Any]] = [
    np.add, np.subtract, np.multiply, np.true_divide, np.floor_divide, np.remainder, np.maximum, np.minimum,
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
]  # fmt: skip


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda f: f.__name__)
def test_binary_ufuncs_and_reflected_operands(ufunc: Callable[..., Any]) -> None:
    for a, b in [(tensor(A), B), (A, tensor(B)), (tensor(A), tensor(B)), (np.float32(2), tensor(B))]:
        found = ufunc(a, b)
        assert type(found) is Tensor
        np.testing.assert_array_equal(found.numpy(), ufunc(np.asarray(a), np.asarray(b)), strict=True)


@pytest.mark.parametrize("ufunc", [np.negative, np.absolute, np.floor, np.sign, np.square, np.sqrt])
def test_unary_ufuncs(ufunc: np.ufunc) -> None:
    found = ufunc(tensor(np.abs(A)))
    assert type(found) is Tensor
    np.testing.assert_array_equal(found.numpy(), ufunc(np.abs(A)), strict=True)


def test_a_numpy_function_keeps_the_gradient() -> None:
    found = lucid.grad(lambda x: (x * x).sum() + np.exp(x).sum())(Tensor([1.0, 2.0]))
    np.testing.assert_allclose(found.numpy(), [2 + np.e, 4 + np.e**2], rtol=1e-6)
    compiled = lucid.compile(lucid.grad(lambda x: np.sum(np.where(x > 0, np.exp(x), np.abs(x)))))
    np.testing.assert_allclose(compiled(A).numpy(), np.where(A > 0, np.exp(A), np.sign(A)), rtol=1e-6)


def test_operands_of_other_libraries_give_tensors() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    s = Series([3.0, 4.0])
    for made in (w + s, s + w, np.float64(3) + w, np.array([3.0, 4.0]) + w, [3.0, 4.0] + w):
        assert type(made) is Tensor and made.requires_grad
    (w * s).sum().backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), [3, 4])

    class Deaf:
        __array_ufunc__ = None

        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            raise AssertionError

        def __radd__(self, other: Any) -> str:
            return "mine"

    assert w + Deaf() == "mine"


@pytest.mark.parametrize("dtype", ["?", "f4", "f8", "i8", "c16"])
@pytest.mark.parametrize(
    "ufunc",
    [
        np.equal,
        np.less,
        np.isnan,
        np.isfinite,
        np.signbit,
        np.logical_and,
        np.absolute,
        np.add,
        np.divmod,
        np.sqrt,
    ],
    ids=lambda u: u.__name__,
)
def test_dtype_is_that_of_the_results(ufunc: np.ufunc, dtype: str) -> None:
    """Bools of a comparison are not of bools: all of np.equal(x, y, dtype=bool) was True in silence."""
    for x in (np.array([-2.5, np.nan, 0, 4], "f4"), np.array([3, 0, -2, 1]), np.array([1 + 2j, 0, 3, -1j])):
        for more in ((np.array([3, 0, 1, 4.0]),), (2,), (0.5,)) if ufunc.nin == 2 else ((),):
            try:
                with np.errstate(all="ignore"):
                    expected = ufunc(x, *more, dtype=dtype)
            except TypeError:
                with pytest.raises(TypeError, match=ufunc.__name__):
                    ufunc(tensor(x), *more, dtype=dtype)
                continue
            if x.dtype.kind == "c" and ufunc in (np.sqrt, np.less):
                continue
            found = ufunc(tensor(x), *more, dtype=dtype)
            for a, b in zip(np.atleast_2d(found), np.atleast_2d(expected), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6)
                assert a.dtype == b.dtype


def test_arguments_of_numpy_functions() -> None:
    x = tensor(A)
    np.testing.assert_array_equal(np.sum(x, 1, keepdims=True).numpy(), lucid.sum(x, 1, keepdims=True).numpy())
    np.testing.assert_array_equal(np.add.reduce(x).numpy(), A.sum(0))
    np.testing.assert_array_equal(np.maximum.reduce(x, axis=1), A.max(1))
    np.testing.assert_array_equal(np.asarray(np.clip(x, 0, 1)), A.clip(0, 1))
    assert np.multiply(x, x, dtype="float64").dtype == np.float64
    assert np.shape(x) == A.shape and np.ndim(x) == 2 and np.allclose(x, A)
    assert lucid.compile(lambda x: x * np.ndim(x) * np.size(x))(A).numpy()[1, 0] == 36
    array = A.copy()
    array += x  # an array stays an array
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, A + A)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.reshape(x, (3, 2)), lambda x: np.reshape(x, -1), lambda x: np.reshape(x, shape=(6,)),
        lambda x: np.transpose(x), lambda x: np.transpose(x, (1, 0)), lambda x: np.transpose(x, axes=(1, 0)),
        lambda x: np.broadcast_to(x, (4, 2, 3)), lambda x: np.ravel(x),
        lambda x: np.clip(x, a_min=0, a_max=2), lambda x: np.clip(x, 0, None), lambda x: np.swapaxes(x, 0, 1),
        lambda x: np.std(x, axis=1, ddof=1), lambda x: np.var(x, 0),
        lambda x: np.max(x, axis=0, keepdims=True),
    ],
)  # fmt: skip
def test_functions_of_shapes(call: Any) -> None:
    found, expected = call(tensor(A)), call(A)
    assert type(found) is Tensor
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert found.shape == expected.shape


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.isnat(x), "numpy.isnat"),
        (lambda x: np.subtract.accumulate(x), "numpy.subtract.accumulate"),
        (lambda x: np.add.at(x, [0], 1), "numpy.add.at"),
        (lambda x: np.busday_count(x, x), "numpy.busday_count"),
        (lambda x: np.einsum_path("ij", x), "numpy.einsum_path"),
        (lambda x: np.add(x, 1, where=A > 0), "where="),
        (lambda x: np.polyfit(x, x, 1, full=True), "full="),
        (lambda x: np.add(x, 1, out=x), "immutable"),
    ],
)  # fmt: skip
def test_what_lucid_lacks_is_named(call: Callable[[Tensor], Any], name: str) -> None:
    line = call.__code__.co_firstlineno
    with pytest.raises(TypeError, match=rf"test_protocols.py:{line}: .*{re.escape(name)}"):
        call(tensor(A))


@pytest.mark.parametrize("way", ["np.asarray(w)", "lucid.tensor([w, w])"])
def test_a_gradient_that_ends_in_an_array_is_told_once(way: str) -> None:
    program = (
        "import warnings; import numpy as np; import lucid\n"
        "warnings.simplefilter('always')\n"
        "w = lucid.ones(2, requires_grad=True)\n"
        "with warnings.catch_warnings(record=True) as found:\n"
        "    np.asarray(lucid.ones(2)); w.numpy()\n"
        "    with lucid.no_grad(): np.asarray(w)\n"
        "    assert not found\n"
        f"    {way}; {way}\n"
        "    assert len(found) == 1 and 'gradient ends' in str(found[0].message), found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_dlpack_gives_a_copy() -> None:
    x = tensor(B)
    taken = np.from_dlpack(x)
    np.testing.assert_array_equal(taken, B)
    assert not np.shares_memory(taken, x.numpy())
