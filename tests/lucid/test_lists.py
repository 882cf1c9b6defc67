"""Lists that hold tensors are their stack, wherever a tensor is expected: gradients flow through them, and a
compiled function takes them like any other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lucid
from lucid import Tensor

LISTS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], object]]] = {
    "elements": (lambda x: lucid.array([x[0] * 2, x[1]]), lambda x: [x[0] * 2, x[1]]),
    "beside numbers": (lambda x: lucid.asarray([x[0], 3, 1.5]), lambda x: [x[0], 3, 1.5]),
    "in lists": (lambda x: lucid.array([[x[0], 1.0], (0.0, x[1])]), lambda x: [[x[0], 1], [0, x[1]]]),
    "rows": (lambda x: lucid.array([x, [1, 2, 3]]), lambda x: [x, [1, 2, 3]]),
    "an operand": (lambda x: x[:2] * [x[0], 2.0], lambda x: x[:2] * [x[0], 2]),
    "an argument": (lambda x: lucid.exp([x[0], 1.0]), lambda x: np.exp([x[0], 1])),
    "a copy": (lambda x: x.copy() + lucid.copy(x), lambda x: x + x),
    "more axes": (lambda x: lucid.array(x, ndmin=3), lambda x: np.array(x, ndmin=3)),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_lists_of_tensors(name: str, dtype: str) -> None:
    function, reference = LISTS[name]
    x = np.asarray([1.5, -2.0, 3.0], dtype)
    want = np.asarray(reference(x.astype("float64")), dtype)
    for f in (function, lucid.compile(function)):
        found = f(Tensor(x))
        assert found.dtype == want.dtype, "numbers beside tensors are weak"
        np.testing.assert_allclose(found.numpy(), want, rtol=2e-3 if dtype == "float16" else 1e-6)
        slope = lucid.grad(lambda x, f=f: f(x).sum())(Tensor(x))
        assert slope.shape == x.shape and slope.numpy().any(), "no gradient ends in a list"


def test_lists_that_are_no_array() -> None:
    x = Tensor([1.0, 2.0])
    for bad, why in (
        ([[x[0]], [1.0, x[1]]], "lists of 1 and of 2 elements"),
        ([x, 1.0], "all shapes must be one"),
        ([x[0], [1.0]], "all shapes must be one"),
    ):
        with pytest.raises(ValueError, match=f"test_lists.py:.*{why}"):
            lucid.array(bad)
    with pytest.raises(TypeError, match="not 'a'"):
        lucid.array([x[0], "a"])


def test_array_copies() -> None:
    given = np.arange(3.0)
    made = lucid.array(given)
    given[0] = 7.0
    assert made.tolist() == [0.0, 1.0, 2.0] and made.dtype == "float64"
    assert lucid.array([1, 2]).dtype == "int64" and lucid.array(2.0).shape == ()
