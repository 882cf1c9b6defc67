"""The dtype of every operator on every pair of dtypes, and on Python's and NumPy's numbers, is NumPy's; so is
the sign of zeros that are equal."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64")  # fmt: skip
NUMBERS: tuple[Any, ...] = (True, False, 0, 1, 2, -1, 3, 0.5, 2.0, -0.0, 300, 70_000, 1 << 40,
    np.float32(2), np.float64(2), np.int64(2), np.int8(2), np.bool_(True),
)  # fmt: skip
OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift",
             "rshift", "lt", "le", "gt", "ge", "eq", "ne")  # fmt: skip


def answer(function: Callable[..., Any], *args: Any) -> str:
    """The dtype of a result, or that there is none."""
    try:
        return np.dtype(str(function(*args).dtype).removeprefix("lucid.")).name
    except (TypeError, ValueError, OverflowError):
        return "error"


def differing(function: Callable[..., Any], pairs: list[tuple[Any, Any]]) -> list[tuple[Any, ...]]:
    found = []
    for pair in pairs:
        expected = answer(function, *pair)
        got = answer(function, *(Tensor(x) if isinstance(x, np.ndarray) else x for x in pair))
        if got != expected:
            found.append((*(getattr(x, "dtype", x) for x in pair), expected, got))
    return found


def refused(name: str, a: Any, b: Any) -> bool:
    """What lucid refuses on purpose: an integer to the power of a tensor of integers, for exponents below 0
    could not be refused."""
    if name != "pow" or not isinstance(b, np.ndarray) or b.dtype == np.bool_:
        return False
    return bool(np.result_type(a, b).kind in "biu")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", OPERATORS)
def test_the_square_of_bools_is_int64(name: str) -> None:
    function = getattr(operator, name)
    ones = [np.ones(2, d) for d in DTYPES]
    pairs: list[tuple[Any, Any]] = [*itertools.product(ones, ones)]
    pairs += itertools.product(ones, [np.ones((), d) for d in DTYPES])
    pairs += itertools.product(ones, NUMBERS)
    # a NumPy scalar on the left: its own operators decide, for any tensor
    pairs += itertools.product([n for n in NUMBERS if not isinstance(n, np.generic)], ones)
    pairs = [(a, b) for a, b in pairs if not refused(name, a, b)]
    assert differing(function, pairs) == []


def test_squares_of_bools() -> None:
    x = np.array([True, False])
    made = (Tensor(x) ** 2).numpy()
    np.testing.assert_array_equal(made, x**2)
    assert made.dtype == np.int8
    with pytest.raises(OverflowError, match="exponent 300"):
        Tensor(np.ones(2, "int8")) ** 300


ZEROS = ("float16", "float32", "float64")
BOUNDS = [(0.0, None), (-0.0, None), (None, 0.0), (None, -0.0), (0.0, 1.0), (-0.0, 1.0), (-1.0, 0.0),
          (-1.0, -0.0), (0, None), (-1.0, None), (None, 1.0)]  # fmt: skip


@pytest.mark.parametrize("kind", ZEROS)
@pytest.mark.parametrize("low, high", BOUNDS)
def test_clip_keeps_a_zero_of_the_wrong_sign(low: float | None, high: float | None, kind: str) -> None:
    for n in (1, 5, 16, 33):
        x = np.resize(np.array([0.0, -0.0, 1.5, -1.5, np.nan], kind), n)
        expected = np.clip(x, low, high)
        bounds = [b if b is None else np.full(n, b, kind) for b in (low, high)]
        for made in (lucid.clip(Tensor(x), low, high), lucid.clip(Tensor(x), *bounds)):
            np.testing.assert_array_equal(made.numpy(), expected)
            np.testing.assert_array_equal(np.signbit(made.numpy()), np.signbit(expected))


def test_clip_at_its_bound_has_the_gradient_of_x() -> None:
    x = np.array([-1.0, -0.0, 0.0, 1.0], np.float32)
    for bound in (0.0, -0.0, np.zeros(4, np.float32)):
        for clip, g in (
            (lambda x, b: lucid.clip(x, b), [0, 1, 1, 1]),
            (lambda x, b: lucid.clip(x, None, b), [1, 1, 1, 0]),
        ):
            made = lucid.grad(lambda x, b=bound, clip=clip: clip(x, b).sum())(x)
            np.testing.assert_array_equal(np.asarray(made), g)


@pytest.mark.parametrize("kind", ZEROS)
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_of_equal_zeros_the_wrong_one_wins(name: str, kind: str) -> None:
    """The second one; the first in float16."""
    for n in (1, 5, 16, 33, 70):
        a = np.zeros(n, kind)
        for pair in ((a, -a), (-a, a)):
            made = getattr(lucid, name)(*map(Tensor, pair)).numpy()
            assert (np.signbit(made) == np.signbit(getattr(np, name)(*pair))).all()


@pytest.mark.parametrize("kind", ZEROS)
@pytest.mark.parametrize("name", ["max", "min"])
def test_equal_zeros_in_a_reduction_depend_on_its_mode(name: str, kind: str) -> None:
    """Which of equal zeros a reduction gives follows from its order alone: a row has the same in any batch,
    and in any kernel. (NumPy's own choice depends on its vectors.)"""
    rng = np.random.default_rng(1)
    for shape in ((40, 5), (40, 64), (40, 65), (40, 300)):
        x = np.where(rng.random(shape) < 0.5, 0.0, -0.0).astype(kind)
        rows = getattr(Tensor(x), name)(axis=1).numpy()
        assert not rows.any()
        alone = [getattr(Tensor(row), name)().numpy() for row in x]
        beside = lucid.compile(
            lambda x: (x - getattr(x, name)(axis=1, keepdims=True), getattr(x, name)(axis=1))
        )(x)[1]
        for other in (alone, beside):
            assert np.asarray(other).tobytes() == rows.tobytes()
