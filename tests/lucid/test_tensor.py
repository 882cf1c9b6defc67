"""Tensor against NumPy: values, dtypes, shapes, errors of the rules."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.compiler.ir.graph import Node, toposort

Array = np.ndarray[Any, Any]
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64"]  # fmt: skip
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def sample(dtype: str, shape: tuple[int, ...] = (3, 5)) -> Array:
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    if dtype.startswith("float"):
        return RNG.normal(size=shape).astype(dtype) * 3
    return RNG.integers(0 if dtype.startswith("u") else -9, 9, shape).astype(dtype)


def same(found: Any, expected: Any, ulp: int = 0) -> None:
    """Dtype, shape and bits; or within `ulp` units in the last place."""
    array = np.asarray(expected)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    if ulp and array.dtype.kind == "f":
        np.testing.assert_array_max_ulp(found.numpy(), array, ulp)
    else:
        np.testing.assert_array_equal(found.numpy(), array)


# --- making --------------------------------------------------------------------------------------


def test_python_numbers_choose_dtypes() -> None:
    assert Tensor(1.5).dtype == np.float32
    assert Tensor([1, 2.5]).dtype == np.float32
    assert Tensor([[1, 2]]).dtype == np.int64
    assert Tensor([True]).dtype == np.bool_
    assert Tensor([]).dtype == np.float32
    assert Tensor(np.float64(1)).dtype == np.float64
    assert Tensor([np.float64(1)]).dtype == np.float64
    assert Tensor([1, 2], dtype="float64").dtype == np.float64
    assert Tensor(2**63).dtype == np.uint64


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_keep_their_dtype(dtype: str) -> None:
    array = sample(dtype)
    t = Tensor(array)
    same(t, array)
    array[:] = 0
    assert t.numpy().any()  # a copy
    same(Tensor(array.T[:, ::2]), array.T[:, ::2])


def test_foreign_byte_order() -> None:
    same(Tensor(np.arange(3, dtype=">i4")), np.arange(3, dtype="i4"))
    with pytest.raises(TypeError, match="byte order"):
        lucid.from_numpy(np.arange(3, dtype=">i4"))


def test_from_numpy_shares() -> None:
    array = np.zeros(3, "f")
    t = lucid.from_numpy(array)
    array[0] = 7
    assert t.tolist() == [7, 0, 0]
    assert lucid.from_numpy(array[::2]).tolist() == [7, 0]
    with pytest.raises(TypeError, match="expected an array"):
        lucid.from_numpy([1.0])  # type: ignore[arg-type]


def test_values_are_read_only() -> None:
    t = Tensor([1.0, 2.0])
    for view in (t.numpy(), np.asarray(t)):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 5
        assert view.base is not None
    copied = np.array(t)
    copied[0] = 5
    assert t.tolist() == [1, 2]
    t[0] = 3.0  # the tensor, not what was read of it
    assert view[0] == 1
    assert t.tolist() == [3, 2]
    t = Tensor([1.0, 2.0])
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(t, dtype=np.float64, copy=False)


def test_operands_are_taken_by_value() -> None:
    array = np.ones(3, "f")
    t = Tensor([1.0, 2.0, 3.0]) + array
    array[:] = 100
    assert t.tolist() == [2, 3, 4]


def test_creation() -> None:
    same(lucid.zeros(2, 3), np.zeros((2, 3), "f"))
    same(lucid.ones((2,), dtype="int32"), np.ones(2, "i"))
    same(lucid.zeros(()), np.zeros((), "f"))
    assert lucid.empty(3, 0).shape == (3, 0)
    same(lucid.full((2, 2), 7), np.full((2, 2), 7))
    same(lucid.full(3, 0.5), np.full(3, 0.5, "f"))
    same(lucid.full(3, True), np.full(3, True))
    same(lucid.full((2, 2), Tensor([1.0, 2.0])), np.full((2, 2), [1.0, 2.0], "f"))
    same(lucid.eye(3), np.eye(3, dtype="f"))
    same(lucid.eye(2, 4, dtype=lucid.float64), np.eye(2, 4))
    same(lucid.arange(5), np.arange(5))
    same(lucid.arange(1, 10, 3), np.arange(1, 10, 3))
    same(lucid.arange(0, 1, 0.25), np.arange(0, 1, 0.25).astype("f"))
    same(lucid.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype="f"))
    x = Tensor([[1, 2]])
    same(lucid.zeros_like(x), np.zeros((1, 2), "i8"))
    same(lucid.ones_like(x, dtype="float32"), np.ones((1, 2), "f"))
    same(lucid.full_like(x, 3), np.full((1, 2), 3))
    assert lucid.zeros(3, requires_grad=True).is_leaf
    assert lucid.asarray(x) is x
    assert lucid.asarray(x, dtype="float32").dtype == np.float32
    assert lucid.tensor([1.0]).tolist() == [1]


def test_random() -> None:
    lucid.manual_seed(3)
    first = [lucid.rand(2, 3), lucid.randn((4,)), lucid.randint(5), lucid.randint(2, 9, (3,))]
    lucid.manual_seed(3)
    again = [lucid.rand(2, 3), lucid.randn((4,)), lucid.randint(5), lucid.randint(2, 9, (3,))]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [t.shape for t in first] == [(2, 3), (4,), (), (3,)]
    assert first[0].dtype == np.float32 == first[1].dtype
    assert 0 <= first[0].min().item() <= first[0].max().item() < 1
    assert lucid.randn(2, dtype="float64", requires_grad=True).requires_grad


# --- operators -----------------------------------------------------------------------------------

BINARY: list[Callable[[Any, Any], Any]] = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift,
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
]  # fmt: skip


def interpreted(t: Tensor) -> Array:
    """The value by the ops' own evaluation: quick, where the question is which ops there are. That
    native code agrees with it is tested with the ops."""
    values: dict[Node, Array] = {}
    for node in toposort([t._node]):
        given = node.data
        if given is None:
            assert node.op.evaluate is not None
            given = node.op.evaluate(node.attrs, *[values[n] for n in node.inputs])
        values[node] = given
    return values[t._node]


def agree(
    op: Callable[[Any, Any], Any], a: Any, b: Any, x: Any, y: Any, ulp: int = 0, native: bool = False
) -> None:
    """Tensors x, y behave as arrays a, b: the same result, or an error as well."""
    try:
        expected = np.asarray(op(a, b))
    except (TypeError, ValueError, OverflowError):
        with pytest.raises((TypeError, ValueError, OverflowError), match=r"test_tensor.py:\d+: "):
            op(x, y)
        return
    found = op(x, y)
    assert isinstance(found, Tensor)
    assert found.dtype == expected.dtype
    same(found if native else Tensor(interpreted(found)), expected, ulp)


@pytest.mark.table
@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
@pytest.mark.parametrize("left", DTYPES)
def test_binary(op: Callable[[Any, Any], Any], left: str) -> None:
    a = sample(left)
    for right in DTYPES:
        b = sample(right, (5,))
        if op in (operator.lshift, operator.rshift) and b.dtype.kind == "i":
            b = abs(b)
        agree(op, a, b, Tensor(a), Tensor(b), native=left == right)
    for scalar in (True, 3, 2.5, np.float64(2.5), np.int16(3), np.True_):
        agree(op, a, scalar, Tensor(a), scalar)
        agree(op, scalar, a, scalar, Tensor(a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_on_either_side(dtype: str) -> None:
    a, b = sample(dtype), sample(dtype)
    same(Tensor(a) + b, a + b)
    same(a + Tensor(b), a + b)
    same(a * Tensor(b), a * b)
    same(Tensor(a) == b, a == b)
    same(a < Tensor(b), a < b)
    same([[1, 2, 3, 4, 5]] + Tensor(a), np.array([[1, 2, 3, 4, 5]]) + a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_power(dtype: str) -> None:
    a = sample(dtype)
    # NumPy's bool ** 2 is int8, unlike its other powers of bools.
    for exponent in (0, 1, 3, 7) if dtype == "bool" else (0, 1, 2, 3, 7):
        agree(operator.pow, a, exponent, Tensor(a), exponent, ulp=4)
    for real in (0.5, -1.0, 2.0, 1.7, 0.0):
        agree(operator.pow, abs(a), real, abs(Tensor(a)), real, ulp=8)
    agree(operator.pow, 2.0, a, 2.0, Tensor(a), ulp=8)
    if dtype != "bool" and not dtype.startswith("float"):
        with pytest.raises(ValueError, match="negative integer powers"):
            Tensor(a) ** -1
    if not dtype.startswith("float"):
        for n in (np.int8(3), np.uint64(2)) if dtype[:3] == "uin" or dtype == "bool" else (np.int8(3),):
            agree(operator.pow, a, n, Tensor(a), n)
        bits = np.arange(a.size).reshape(a.shape) % 2 == 0
        agree(operator.pow, a, bits, Tensor(a), Tensor(bits))


def test_powers_of_bools() -> None:
    """NumPy's `**` and its `power` differ for the square alone."""
    a = np.array([True, False])
    for n in (
        0,
        1,
        2,
        3,
        True,
        False,
        np.int8(2),
        np.int64(0),
        np.array([True, True]),
        np.array([False, False]),
    ):
        for name in ("pow", "power"):
            right = a**n if name == "pow" else np.power(a, n)
            made = Tensor(a) ** n if name == "pow" else lucid.power(a, n)
            assert made.dtype == right.dtype, (name, n)
            np.testing.assert_array_equal(made.numpy(), right)
            if name == "power":
                assert np.power(Tensor(a), n).dtype == right.dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_divmod(dtype: str) -> None:
    if dtype == "bool":
        return
    a = sample(dtype)
    for found, right in zip(divmod(Tensor(a), 3), divmod(a, 3), strict=True):
        same(found, right)
    for found, right in zip(divmod(7, Tensor(abs(a) + 1)), divmod(7, abs(a) + 1), strict=True):
        same(found, right)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "std"])
def test_reductions_of_a_number_along_its_axis(name: str) -> None:
    """As PyTorch, and NumPy's sum, max and min: what is 0-d has one element along an axis 0, which may stand
    in a tuple, as in PyTorch."""
    x = Tensor(2.5)
    for axis in (0, -1, (0,), (-1,), ()):
        for found in (getattr(x, name)(axis=axis), getattr(lucid, name)(x, dim=axis, keepdim=True)):
            assert found.shape == ()
            assert found.item() == (0 if name in ("var", "std") else 2.5)
    for wrong in (1, -2, (1,)):
        with pytest.raises(IndexError, match=r"test_tensor.py:\d+: axis"):
            getattr(x, name)(axis=wrong)
    with pytest.raises(ValueError, match=r"test_tensor.py:\d+: duplicate axis"):
        getattr(x, name)(axis=(0, -1))


def test_integers_out_of_range() -> None:
    a = np.array([1, 200], np.uint8)
    for value in (300, -1):
        with pytest.raises(OverflowError, match="out of bounds for uint8"):
            Tensor(a) + value
        for op in BINARY[-6:]:
            same(op(Tensor(a), value), op(a, value))
            same(op(value, Tensor(a)), op(value, a))


def test_signed_with_unsigned() -> None:
    a = np.array([-1, 5, 2**62, -(2**63)])
    b = np.array([2**64 - 1, 5, 2**62 + 1, 2**63], np.uint64)
    for op in BINARY[-6:]:
        same(op(Tensor(a), Tensor(b)), op(a, b))
        same(op(Tensor(b), Tensor(a)), op(b, a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_unary(dtype: str) -> None:
    a = sample(dtype)
    for op in (operator.neg, operator.invert, abs):
        agree(lambda x, _, op=op: op(x), a, 0, Tensor(a), 0)  # type: ignore[misc]
    ufuncs: list[tuple[str, Any, int]] = [
        ("sqrt", np.sqrt, 0), ("exp", np.exp, 4), ("log", np.log, 4), ("tanh", np.tanh, 6),
        ("square", np.square, 0), ("sign", np.sign, 0), ("floor", np.floor, 0),
    ]  # fmt: skip
    for name, ufunc, ulp in ufuncs:
        agree(
            lambda x, f: f(x),
            a,
            ufunc,
            Tensor(a),
            lambda x, name=name: getattr(x, name)(),
            ulp,
        )
    assert +Tensor(a) is not None


def test_special_values() -> None:
    a = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, 1e38], np.float32)
    x = Tensor(a)
    grid = np.meshgrid(a, a)
    for op in BINARY[:4] + BINARY[-6:]:
        found = op(x[None, :], x[:, None]).numpy()
        expected = op(grid[0], grid[1])
        assert found.tobytes() == expected.tobytes() or np.array_equal(found, expected, equal_nan=True)
    same(lucid.maximum(x[None, :], x[:, None]), np.maximum(*grid))
    same(lucid.minimum(x[None, :], x[:, None]), np.minimum(*grid))


def test_where_and_clip() -> None:
    a, b = sample("float32"), sample("float64", (5,))
    mask = a > 0
    same(lucid.where(Tensor(mask), Tensor(a), Tensor(b)), np.where(mask, a, b))
    same(lucid.where(Tensor(a), 1.0, Tensor(a)), np.where(a, np.float32(1), a))
    same(lucid.where(mask, Tensor(a), 0), np.where(mask, a, np.float32(0)))
    x = np.array([-3.0, 0.5, 9.0, np.nan, np.inf], "f")
    same(Tensor(x).clip(-1, 2), np.clip(x, -1, 2))
    same(Tensor(x).clip(min=0), np.clip(x, 0, None))
    same(Tensor(x).clip(max=1.5), np.clip(x, None, 1.5))
    same(Tensor(x).clip(), x)
    same(Tensor(x).clip(Tensor([0.0, 1.0, 0.0, 0.0, 0.0]), 5), np.clip(x, [0, 1, 0, 0, 0], 5).astype("f"))
    n = np.arange(10)
    same(Tensor(n).clip(2, 5), np.clip(n, 2, 5))


# --- shapes --------------------------------------------------------------------------------------


def test_reshape_and_transpose() -> None:
    a = np.arange(24.0).reshape(2, 3, 4)
    x = Tensor(a)
    same(x.reshape(6, 4), a.reshape(6, 4))
    same(x.reshape((4, -1)), a.reshape(4, -1))
    same(x.reshape(-1), a.reshape(-1))
    same(x.T, a.T)
    same(x.transpose(), a.transpose())
    same(x.transpose(1, 0, 2), a.transpose(1, 0, 2))
    same(x.permute((2, 0, -2)), a.transpose(2, 0, 1))
    same(Tensor([[1.0], [2.0]]).broadcast_to(2, 3), np.array([[1, 1, 1], [2, 2, 2]], "f"))
    for bad in ((5, 5), (-1, -1, 24), (7, -1), (-24,)):
        with pytest.raises(ValueError, match="reshape"):
            x.reshape(bad)
    same(x.transpose(0, 1), a.swapaxes(0, 1))  # two ints, as PyTorch's dim0 and dim1
    for order in ((0, 1), (1, 0)):  # a tuple is NumPy's
        for found in (x[0].transpose(order), lucid.transpose(x[0], order)):
            same(found, a[0].transpose(order))
    with pytest.raises(ValueError, match=r"test_tensor.py:\d+: .* NumPy leaves it as it is"):
        x[0].transpose(0, 1)
    with pytest.raises(ValueError, match="order of all 3 axes"):
        x.transpose((0, 1))
    with pytest.raises(ValueError, match="order of all 3 axes"):
        x.transpose(0, 0, 1)
    with pytest.raises(ValueError, match=r"does not broadcast|do not broadcast"):
        x.broadcast_to(3, 3, 4)


KEYS: list[Any] = [
    0, -1, (1, 2, 3), np.int64(1), slice(None), slice(1, None), slice(None, None, -1),
    (slice(None), 1), (slice(None), slice(2, 0, -1), slice(0, 4, 3)), (..., 2), (0, ..., 1), ...,
    None, (None, 0, None, ..., None), (slice(5, 9),), (slice(None), slice(-2, None)), (),
    (0, 0, 0), slice(10, None, -2), (slice(1, 1), ...), (slice(None), slice(3, 0, -2)),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_index(key: Any) -> None:
    a = np.arange(24.0).reshape(2, 3, 4)
    same(Tensor(a)[key], a[key])


@pytest.mark.parametrize("key", [2, -3, (0, 3), (0, 0, 0, 0), (..., ...), 1.5, "a"], ids=repr)
def test_index_errors(key: Any) -> None:
    with pytest.raises(IndexError, match=r"test_tensor.py:\d+: "):
        Tensor(np.zeros((2, 3, 4)))[key]


def test_a_tensor_of_one_integer_is_an_index() -> None:
    x = Tensor(np.arange(4.0), requires_grad=True)
    assert x[Tensor(2)].item() == 2
    with pytest.raises(ValueError, match="slice step"):
        x[::0]


def test_iteration_and_length() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2
    assert [row.tolist() for row in x] == [[1, 2], [3, 4]]
    for f in (len, iter):
        with pytest.raises(TypeError, match="0-d"):
            f(Tensor(1.0))


REDUCTIONS = ["sum", "mean", "var", "std", "max", "min"]


@pytest.mark.table
@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions(name: str, dtype: str) -> None:
    a = sample(dtype, (2, 3, 4))
    x = Tensor(a)
    rtol = {"float16": 2e-3, "float32": 1e-5}.get(dtype, 1e-12)
    for axis in (None, 0, -1, (0, 2), (0, 1, 2), ()):
        for keep in (False, True):
            expected = getattr(a, name)(axis=axis, keepdims=keep)
            for found in (
                getattr(x, name)(axis=axis, keepdims=keep),
                getattr(x, name)(dim=axis, keepdim=keep),
            ):
                assert found.dtype == np.asarray(expected).dtype
                assert found.shape == np.shape(expected)
                np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


def test_reduction_details() -> None:
    x = Tensor([[1.0, 2.0, 4.0]])
    assert x.var(ddof=1).item() == pytest.approx(7 / 3)
    assert x.std(correction=1).item() == pytest.approx((7 / 3) ** 0.5)
    assert np.isnan(x.var(axis=0, ddof=1).numpy()).all()
    assert x.sum(dtype="float64").dtype == np.float64
    assert np.isnan(lucid.zeros(0).mean().item())
    assert lucid.zeros(0).sum().item() == 0
    assert lucid.zeros(0, 3).sum(0).tolist() == [0, 0, 0]
    assert np.isnan(Tensor([1.0, np.nan, 2.0]).max().item())
    with pytest.raises(ValueError, match="zero elements"):
        lucid.zeros(0).max()
    with pytest.raises(TypeError, match="axis and dim"):
        x.sum(axis=0, dim=1)
    with pytest.raises(TypeError, match="immutable"):
        x.sum(out=np.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(IndexError, match="axis 2 is out of bounds"):
        x.sum(2)
    with pytest.raises(ValueError, match="duplicate axis"):
        x.sum((0, -2))


MATMUL = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4)), ((1, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((1, 2, 3), (1, 3, 4)), ((2, 0), (0, 3)), ((0, 2), (2, 3)),
]  # fmt: skip


@pytest.mark.table
@pytest.mark.parametrize(("left", "right"), MATMUL, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "float16"])
def test_matmul(left: tuple[int, ...], right: tuple[int, ...], dtype: str) -> None:
    a, b = sample(dtype, left), sample(dtype, right)
    expected = np.asarray(a @ b)
    for found in (Tensor(a) @ Tensor(b), Tensor(a) @ b, a @ Tensor(b), lucid.matmul(Tensor(a), b)):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        tolerance = {"float16": 2e-2, "float32": 1e-5}.get(dtype, 1e-12)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_matmul_errors() -> None:
    x = Tensor(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 3\) do not fit: 3 columns meet 2 rows"):
        x @ x
    with pytest.raises(ValueError, match="0-d"):
        x @ 2.0
    with pytest.raises(ValueError, match="do not broadcast"):
        Tensor(np.zeros((2, 2, 3))) @ Tensor(np.zeros((3, 3, 4)))


# --- reading -------------------------------------------------------------------------------------


def test_conversions() -> None:
    x = Tensor([[1.5]])
    assert x.item() == 1.5 == float(x)
    assert int(Tensor(7)) == 7
    assert [10, 20, 30][Tensor(1)] == 20
    assert bool(Tensor([1.0])) is True
    assert bool(Tensor(0)) is False
    assert x.tolist() == [[1.5]]
    assert Tensor(2.5).tolist() == 2.5
    assert f"{Tensor(1.23456):.2f}" == "1.23"
    assert str(Tensor([1.0, 2.0])) == f"{Tensor([1.0, 2.0])}" == "Tensor([1., 2.], grad=None)"
    assert repr(Tensor(True)) == "Tensor(True, grad=None)"
    assert repr(Tensor([])) == "Tensor([], grad=None)"
    assert repr(lucid.zeros(0, 3, dtype="int64")) == "Tensor([], dtype=int64, shape=(0, 3), grad=None)"
    for bad in (lambda: bool(Tensor([1, 2])), lambda: Tensor([1.0, 2.0]).item()):
        with pytest.raises(ValueError, match=r"test_tensor.py:\d+: "):
            bad()
    with pytest.raises(TypeError, match="0-d tensor of integers"):
        [1][Tensor(0.0)]


def test_identity_and_equality() -> None:
    x = Tensor([1.0])
    assert len({x, x, Tensor([1.0])}) == 2
    for other in (None, "a", object()):
        equal, unequal = x == other, x != other  # as for any objects that do not know each other
        assert equal is not unequal and not equal


@pytest.mark.parametrize("dtype", DTYPES)
def test_astype(dtype: str) -> None:
    a = sample("float64") * 10
    if not dtype.startswith("u"):
        same(Tensor(a).astype(dtype), a.astype(dtype))
    b = sample(dtype)
    for target in DTYPES:
        if not (dtype.startswith("float") and target.startswith("u")):
            same(Tensor(b).astype(target), b.astype(target))


def test_copies_and_pickles() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.copy(x)):
        assert twin is not x
        assert twin.tolist() == [1, 2]
        assert twin.requires_grad and twin.is_leaf


def test_history_is_let_go() -> None:
    """Reading a value that needs no gradient releases what it was computed from."""
    x = Tensor([1.0])
    for _ in range(3):
        x = x + 1
        x.item()
        assert not x._node.inputs


def test_deep_graphs() -> None:
    x = Tensor([0.0])
    for _ in range(3000):
        x = x + 1
    assert x.item() == 3000


def test_numbers_that_are_equal_and_yet_differ_keep_apart_on_one_line() -> None:
    x = Tensor([1.0, -2.0])
    ones = Tensor(np.array([1, 1], np.int64))
    for number in (0.0, -0.0, 1.0, float("nan"), 0.0):
        expected = np.array([1, -2], np.float32) * np.float32(number)
        np.testing.assert_array_equal(np.signbit((x * number).numpy()), np.signbit(expected))
        np.testing.assert_array_equal((x * number).numpy(), expected)
    assert [(ones + number).dtype for number in (True, 1, 1.0)] == [np.int64, np.int64, np.float64]


@pytest.mark.parametrize("equal_nan", [False, True])
def test_what_is_close_is_numpys(equal_nan: bool) -> None:
    a = np.array([1, 1, 1e10, np.inf, np.inf, -np.inf, np.nan, np.nan, 0, 1], np.float32)
    b = np.array([1.00001, 1.1, 1.00001e10, np.inf, 1, np.inf, np.nan, 1, 1e-9, np.inf], np.float32)
    want = np.isclose(a, b, equal_nan=equal_nan)
    np.testing.assert_array_equal(lucid.isclose(a, b, equal_nan=equal_nan).numpy(), want)
    for x, y in (
        (a, b),
        (a[:1], b[:1]),
        (a[6:7], b[6:7]),
        (np.array([3], "u1"), np.array([4], "u1")),
        (0.1, 0.1),
    ):
        assert lucid.allclose(x, y, equal_nan=equal_nan) is np.allclose(x, y, equal_nan=equal_nan)
    assert lucid.allclose(np.array([0.1]), 0.1, 0, 0)
    assert lucid.allclose(0.1, np.array([0.1]), 0, 0)
