"""Ranges and matrices made without data: NumPy's values, in compiled functions without arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler.ir.types import f32, tensor_type

CASES: dict[str, Callable[[Any], Any]] = {
    "arange": lambda L: L.arange(7),
    "arange back": lambda L: L.arange(9, -3, -2),
    "arange none": lambda L: L.arange(3, 1),
    "arange floats": lambda L: L.arange(0.1, 2.3, 0.3, dtype="float64"),
    "arange one": lambda L: L.arange(0.5, 0.6, 0.3, dtype="float64"),
    "arange huge": lambda L: L.arange(2**62, 2**62 + 3),
    "linspace": lambda L: L.linspace(-1, 2.7, 13, dtype="float64"),
    "linspace open": lambda L: L.linspace(3, 1, 7, endpoint=False, dtype="float64"),
    "linspace one": lambda L: L.linspace(3, 1, 1, dtype="float64"),
    "linspace none": lambda L: L.linspace(3, 1, 0, dtype="float64"),
    "linspace same": lambda L: L.linspace(2, 2, 5, dtype="float64"),
    "linspace tiny": lambda L: L.linspace(0, 5e-324, 5, dtype="float64"),
    "linspace bools": lambda L: L.linspace(0, 1, 5, dtype="bool"),
    "linspace bools of arrays": lambda L: L.linspace(np.array([0.0, 0.5]), 1.0, 5, dtype="bool"),
    "linspace ints": lambda L: L.linspace(-3, 3, 5, dtype="int32"),
    "eye": lambda L: L.eye(4, dtype="float32"),
    "eye above": lambda L: L.eye(3, 5, k=1, dtype="int16"),
    "eye below": lambda L: L.eye(5, 3, k=-2, dtype="bool"),
    "identity": lambda L: L.identity(3, dtype="float64"),
    "tri": lambda L: L.tri(3, 5, 1, dtype="float32"),
    "tril_indices": lambda L: L.tril_indices(4, -1, 3)[0],
    "triu_indices": lambda L: L.triu_indices(4, 1)[1],
    "empty_like": lambda L: L.empty_like(np.zeros((2, 3), "i2")) * 0,
    "logspace": lambda L: L.logspace(-2, 3, 11, dtype="float64"),
    "logspace base": lambda L: L.logspace(0, 4, 5, base=2.0, endpoint=False, dtype="float64"),
    "geomspace": lambda L: L.geomspace(1, 1000, 7, dtype="float64"),
    "geomspace below": lambda L: L.geomspace(-8, -1, 4, dtype="float64"),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name: str) -> None:
    f = CASES[name]
    right = f(np)
    for made in (f(lucid), lucid.compile(lambda: f(lucid))()):
        assert made.dtype == right.dtype and made.shape == right.shape
        if "space" in name and "lin" not in name:
            np.testing.assert_allclose(made.numpy(), right, rtol=1e-14)
        else:
            np.testing.assert_array_equal(made.numpy(), right)


def test_a_range_in_a_compiled_function_reads_nothing() -> None:
    f = lucid.compile(lambda: lucid.arange(1000) * 2 + lucid.eye(1000, dtype="int64"))
    np.testing.assert_array_equal(f().numpy(), np.arange(1000) * 2 + np.eye(1000, dtype=int))
    (kernel,) = f.kernels
    assert kernel.bytes <= 8 * 1000 * 1000 + 64


def test_default_dtypes() -> None:
    assert lucid.arange(0.0, 1.0, 0.25).dtype == lucid.linspace(0, 1, 3).dtype == np.float32
    assert lucid.arange(np.float64(3)).dtype == np.float64 and lucid.arange(3).dtype == np.int64
    assert lucid.eye(2).dtype == lucid.tri(2).dtype == lucid.geomspace(1, 2, 3).dtype == np.float32


def test_ends_of_other_signs() -> None:
    with pytest.raises(ValueError, match=r"test_creation.py:\d+: geomspace: start and stop"):
        lucid.geomspace(-1, 1)


def test_a_size_that_is_a_bool_is_no_size_of_others() -> None:
    """Types are kept by equality: (True, 7919) came first, and was the shape of all that are (1, 7919)."""
    assert [type(n) for n in tensor_type(f32, (True, 7919)).shape] == [int, int]
    assert [type(n) for n in tensor_type(f32, (1, 7919)).shape] == [int, int]


def test_steps_of_pytorch_and_a_repeat_that_is_a_tile() -> None:
    np.testing.assert_array_equal(lucid.linspace(-1, 1, steps=5), lucid.linspace(-1, 1, 5))
    np.testing.assert_array_equal(lucid.logspace(0, 2, steps=3), lucid.logspace(0, 2, 3))
    with pytest.raises(TypeError, match=r"test_creation.py:\d+: repeat: .* tile\(2, 1, 1\)"):
        lucid.ones(3).repeat(2, 1, 1)


def test_names_of_dtypes_of_pytorch() -> None:
    kinds = {"half": "f2", "float": "f4", "double": "f8", "short": "i2", "int": "i4", "long": "i8"}
    for name, kind in kinds.items():
        assert lucid.zeros(2, dtype=getattr(lucid, name)).dtype == np.dtype(kind)
        assert name not in lucid.__all__


@pytest.mark.parametrize("k", [2**64 - 1, 2**63, 2**63 - 1, -(2**63) - 1, 2**40, -(2**40), 3, -2])
def test_diagonals_beyond_a_matrix(k: int) -> None:
    """Of any distance: they were taken modulo 2**64 before."""
    near, x = min(max(k, -9), 9), np.arange(6.0).reshape(2, 3)
    for name in ("eye", "tri"):
        np.testing.assert_array_equal(getattr(lucid, name)(2, 3, k), getattr(np, name)(2, 3, near))
    for name in ("tril", "triu", "diagonal"):
        np.testing.assert_array_equal(getattr(lucid, name)(x, k), getattr(np, name)(x, near))
