"""The Python array API standard: its namespace, and what lucid has for it under its names."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, array_api, tensor

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
          "float32", "float64")  # fmt: skip
A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)


def standardized(x: Any) -> Any:
    """As a library writes it that knows the standard alone."""
    xp = x.__array_namespace__(api_version="2023.12")
    x = xp.astype(x, xp.float64, copy=False)
    centred = x - xp.mean(x, axis=0, keepdims=True)
    return centred / xp.sqrt(xp.mean(xp.square(centred), axis=0) + xp.finfo(x.dtype).eps)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_function_written_for_the_standard_runs_as_it_is(compiled: bool) -> None:
    made = (lucid.compile(standardized) if compiled else standardized)(tensor(A))
    assert isinstance(made, Tensor)
    np.testing.assert_allclose(made.numpy(), standardized(A), rtol=1e-12)


def test_every_name_is_lucids_own() -> None:
    assert tensor(A).__array_namespace__() is array_api
    assert set(dir(array_api)) == {*array_api.__all__, "__array_api_version__", "__array_namespace_info__"}
    for name in array_api.__all__:
        assert getattr(array_api, name) is getattr(lucid, name), name
        assert name in lucid.__all__, name


def test_a_version_that_is_not_followed_is_named() -> None:
    with pytest.raises(ValueError, match=r"test_array_api.py:\d+: __array_namespace__: .*not '2019.01'"):
        tensor(A).__array_namespace__(api_version="2019.01")


def test_it_is_imported_when_it_is_asked_for() -> None:
    program = (
        "import sys, lucid\n"
        "later = {'lucid.array_api', 'lucid.dtypes', 'lucid.linalg'}\n"
        "assert not later & set(sys.modules)\n"
        "assert lucid.array_api.isdtype(lucid.float32, 'real floating')\n"
        "assert later - set(sys.modules) == {'lucid.linalg'}\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'nanmax'"):
        _ = array_api.nanmax
    assert not hasattr(array_api, "float16")


def test_real_and_imaginary_parts_of_real_numbers() -> None:
    for name in ("real", "imag", "conj"):
        for x in (A, np.array([1, 2])):
            made = getattr(lucid, name)(x)
            np.testing.assert_array_equal(made.numpy(), getattr(np, name)(x))
            assert made.dtype == x.dtype
    assert complex(tensor([2.5])) == 2.5 + 0j


def test_constants() -> None:
    assert (lucid.pi, lucid.e, lucid.inf, lucid.euler_gamma) == (np.pi, np.e, np.inf, np.euler_gamma)
    assert lucid.newaxis is None and np.isnan(lucid.nan) and lucid.bool is lucid.bool_
    assert tensor(A)[:, lucid.newaxis].shape == (2, 1, 3)


def test_what_lucid_says_of_itself() -> None:
    info = array_api.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64
    }  # fmt: skip
    assert info.default_device() in info.devices()
    defaults = info.default_dtypes()
    assert defaults["real floating"] == tensor(1.0).dtype == lucid.zeros(1).dtype
    assert defaults["integral"] == tensor(1).dtype
    assert defaults["indexing"] == tensor(A).argmax().dtype
    assert defaults["complex floating"] == tensor(1j).dtype
    assert set(info.dtypes()) == set(DTYPES) - {"float16"} | {"complex64", "complex128"}
    assert set(info.dtypes(kind=("bool", "unsigned integer"))) == {n for n in DTYPES if n[0] in "bu"}
    assert set(info.dtypes(kind="complex floating")) == {"complex64", "complex128"}
    with pytest.raises(ValueError, match=r"test_array_api.py:\d+: .*'tpu'"):
        info.dtypes(device="tpu")


@pytest.mark.parametrize("first", DTYPES)
def test_questions_about_dtypes_are_numpys(first: str) -> None:
    for second in DTYPES:
        wanted = np.result_type(first, second)
        assert (
            lucid.result_type(first, tensor(0, dtype=second)) == wanted == lucid.promote_types(first, second)
        )
        assert lucid.can_cast(tensor(0, dtype=first), second) == np.can_cast(first, second)
        assert lucid.can_cast(first, second, "same_kind") == np.can_cast(first, second, "same_kind")
        assert lucid.isdtype(first, (np.dtype(second),)) == (first == second)
    for kind in ("bool", "integral", "numeric", "real floating", "signed integer", "complex floating"):
        assert lucid.isdtype(first, kind) == np.isdtype(np.dtype(first), kind)
    assert lucid.result_type(first, 1.0) == np.result_type(np.dtype(first), 1.0)


def test_limits_of_dtypes_are_numbers_of_python() -> None:
    for name in ("float16", "float32", "float64"):
        made, right = lucid.finfo(tensor(0, dtype=name)), np.finfo(name)
        assert (made.dtype, made.bits) == (right.dtype, right.bits)
        for limit in ("eps", "max", "min", "smallest_normal", "smallest_subnormal", "tiny"):
            assert type(getattr(made, limit)) is float
            assert getattr(made, limit) == getattr(right, limit)
    for name in ("int8", "uint64"):
        made_, right_ = lucid.iinfo(name), np.iinfo(name)
        assert made_.dtype == np.dtype(name)
        assert (made_.bits, made_.min, made_.max) == (right_.bits, right_.min, right_.max)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lucid.finfo("int8"), TypeError, "expected a float dtype, not int8; use lucid.iinfo"),
        (lambda: lucid.iinfo(lucid.float32), TypeError, "expected an integer dtype, not float32"),
        (lambda: lucid.can_cast(1, "int8"), TypeError, "a Python number has no dtype"),
        (lambda: lucid.result_type(1, 2.0), ValueError, "at least one tensor or dtype"),
        (lambda: lucid.isdtype("int8", "whole"), ValueError, "whole"),
        (lambda: lucid.broadcast_shapes((2, 3), (4,)), ValueError, r"\(2, 3\) and \(4,\) do not broadcast"),
        (lambda: lucid.asarray([1.0], copy=False), ValueError, "list cannot become a tensor without a copy"),
        (lambda: lucid.asarray(A, "int8", copy=False), ValueError, "float32 cannot become int8 without"),
        (lambda: tensor(A).to_device("tpu"), ValueError, "not 'tpu'"),
        (lambda: tensor(A).to_device("cpu", stream=1), ValueError, "lucid chooses the stream"),
        (lambda: lucid.zeros(2, device="tpu"), ValueError, "not 'tpu'"),
    ],
)  # fmt: skip
def test_errors_name_the_line_and_what_to_try(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"test_array_api.py:{call.__code__.co_firstlineno}: .*{message}"):
        call()


def test_shapes_and_axes_are_arguments_with_names_too() -> None:
    x = tensor(A)
    assert (
        lucid.zeros(shape=(2, 3)).shape == lucid.ones(2, 3).shape == lucid.empty(shape=(2, 3)).shape == (2, 3)
    )
    assert lucid.zeros().shape == lucid.zeros(()).shape == ()
    for made in (lucid.reshape(x, shape=(3, -1)), x.reshape(3, 2), np.reshape(x, (3, 2)), x.reshape([3, 2])):
        np.testing.assert_array_equal(np.asarray(made), A.reshape(3, 2))
    assert lucid.reshape(x, (6,), copy=True).shape == x.reshape(-1).shape == (6,)
    for made in (lucid.permute_dims(x, axes=(1, 0)), x.transpose(), x.transpose(None), x.permute(1, 0)):
        np.testing.assert_array_equal(made.numpy(), A.T)
    assert lucid.broadcast_to(x, shape=(2, 2, 3)).shape == x.broadcast_to(2, 2, 3).shape == (2, 2, 3)
    assert lucid.broadcast_shapes((2, 1), 3, (4, 1, 1)) == (4, 2, 3)
    assert lucid.broadcast_shapes() == ()


def test_copies_are_made_where_they_are_asked_for() -> None:
    x = tensor(A)
    assert lucid.asarray(x) is lucid.asarray(x, copy=False) is x.astype(x.dtype, copy=False) is x
    for copied in (lucid.asarray(x, copy=True), x.astype(x.dtype)):
        copied += 1
        np.testing.assert_array_equal(x.numpy(), A)
        np.testing.assert_array_equal(copied.numpy(), A + 1)
    w = tensor(A, requires_grad=True)
    lucid.asarray(w, copy=True).sum().backward()
    assert w.grad is not None and w.grad.sum().item() == 6
    array = A.copy()
    shared, apart = lucid.asarray(array, copy=False), lucid.asarray(array, copy=True)
    array[0, 0] = 7
    assert (shared[0, 0].item(), apart[0, 0].item()) == (7, 1)


def test_dlpack_shares_what_may_be_shared() -> None:
    array = A.copy()
    shared, copied = lucid.from_dlpack(array), lucid.from_dlpack(array, copy=True)
    array[0, 0] = 7
    assert (shared[0, 0].item(), copied[0, 0].item()) == (7, 1)
    x = tensor(A)
    view = np.from_dlpack(x, copy=False)
    assert np.shares_memory(view, x.numpy()) and not view.flags.writeable
    assert not np.shares_memory(np.from_dlpack(x), x.numpy())
    again = lucid.from_dlpack(x, device="cpu")
    np.testing.assert_array_equal(again.numpy(), A)


def _around(dtype: str) -> np.ndarray[Any, Any]:
    """Powers of two with their neighbours, and the ends of the range."""
    info = np.finfo(dtype)
    exponents = np.arange(info.minexp - info.nmant, info.maxexp)
    powers = np.ldexp(np.ones(1, dtype), exponents)
    beside = [np.nextafter(powers, np.asarray(to, dtype)) for to in (0, np.inf)]
    ends = np.array([0, info.max, info.tiny, np.inf, np.nan, 1 / 3], dtype)
    x = np.concatenate([powers, *beside, ends])
    return np.concatenate([x, -x])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nextafter_is_the_neighbour_to_the_bit(dtype: str) -> None:
    x = np.arange(65536, dtype=np.uint16).view(np.float16) if dtype == "float16" else _around(dtype)
    bits = f"u{x.itemsize}"
    for toward in (np.inf, -np.inf, 1.0, 0.0, np.nan):
        y = np.full_like(x, toward)
        with np.errstate(all="ignore"):
            right = np.where(x == y, y, np.nextafter(x, y))  # of equal ones the second
        made = lucid.nextafter(x, y).numpy()
        same = (made.view(bits) == right.view(bits)) | (np.isnan(made) & np.isnan(right))
        assert same.all(), (toward, x[~same][:3], made[~same][:3])


def test_no_elements_are_repeated_no_times() -> None:
    assert lucid.repeat(lucid.zeros(0), lucid.zeros(0, dtype="int64")).shape == (0,)


@pytest.mark.parametrize("mask", [(0,), (0, 3), (2, 0)])
def test_a_mask_without_elements_chooses_none(mask: tuple[int, ...]) -> None:
    for key in (np.zeros(mask, bool), lucid.zeros(mask, dtype=bool)):
        x = tensor(A)
        assert x[key].shape == A[np.zeros(mask, bool)].shape
        x[key] = 7
        np.testing.assert_array_equal(x.numpy(), A)
    with pytest.raises(IndexError, match="axis 1 has 3 elements, it has 2"):
        tensor(A)[np.zeros((0, 2), bool)]
