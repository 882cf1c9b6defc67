"""Integers to the power of a tensor of integers: NumPy's bits, and its error for negative exponents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid import tensor

pytestmark = pytest.mark.table


def sample(dtype: str, exponents: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All of a range, and what is small."""
    random = np.random.default_rng(3)
    kind, powers = np.iinfo(dtype), np.iinfo(exponents)
    x = random.integers(kind.min, kind.max, 200, dtype=dtype, endpoint=True)
    e = random.integers(0, powers.max, 200, dtype=exponents, endpoint=True)
    x[:100], e[:100] = x[:100] % 7, e[:100] % 12
    x[:3], e[:3] = (0, 0, 1), (0, 5, 0)
    return x, e


@pytest.mark.parametrize(
    ("dtype", "exponents"),
    [("int8", "int8"), ("uint8", "uint8"), ("int16", "uint16"), ("uint32", "int32"), ("int64", "int64"),
     ("uint64", "uint64"), ("int64", "uint8")],
)  # fmt: skip
def test_they_wrap_as_numpys_do(dtype: str, exponents: str) -> None:
    x, e = sample(dtype, exponents)
    made = tensor(x) ** tensor(e)
    assert made.dtype == (x**e).dtype
    np.testing.assert_array_equal(made.numpy(), x**e)
    np.testing.assert_array_equal((3 ** tensor(e)).numpy(), 3**e)


def test_a_negative_exponent_is_an_error_where_it_is_computed() -> None:
    x, e = tensor([2, 3]), tensor([4, -5])
    made = x**e
    with pytest.raises(
        ValueError, match=r"test_integer_powers.py:\d+: .*negative integer powers .*got -5; cast"
    ):
        made.numpy()
    np.testing.assert_array_equal((x ** abs(e)).numpy(), [16, 243])
    np.testing.assert_allclose((x ** e.double()).numpy(), [16, 3.0**-5])


def test_a_compiled_function_keeps_nothing_of_a_call_with_a_negative_exponent() -> None:
    """Served by Python and natively, and where the result is written to an array."""
    total = tensor([0, 0])

    @lucid.compile
    def count(x: Any, e: Any) -> Any:
        nonlocal total
        total += x**e
        return total * 2

    x, out = np.array([2, 3]), np.zeros(2, np.int64)
    for k in range(1, 4):
        np.testing.assert_array_equal(count(x, np.array([3, 1])).numpy(), k * np.array([16, 6]))
        with pytest.raises(ValueError, match=r"test_integer_powers.py:\d+: .*got -1"):
            count(x, np.array([3, -1]))
        with pytest.raises(ValueError, match=r"test_integer_powers.py:\d+: .*got -2"):
            count(x, np.array([-2, 1]), out=out)
        np.testing.assert_array_equal(total.numpy(), k * np.array([8, 3]))
        assert not out.any()


def test_what_is_read_does_not_fail_for_a_power_that_is_held_beside_it() -> None:
    x = tensor([2, 3])
    y = x * 2
    bad = y ** tensor([1, -1])
    np.testing.assert_array_equal(y.numpy(), [4, 6])
    with pytest.raises(ValueError, match="got -1"):
        bad.numpy()
