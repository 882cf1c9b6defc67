"""`out=`: results of compiled functions in the caller's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F


def both(x: lucid.Tensor, y: lucid.Tensor) -> tuple[lucid.Tensor, lucid.Tensor]:
    return (x - y).abs(), (x * y).sum()


def arrays() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(5, 7)).astype(np.float32)


def test_results_go_to_the_given_arrays() -> None:
    f = lucid.compile(both)
    x, y = arrays()
    for _ in range(4):  # by Python, and once native code serves the function
        first, second = np.empty_like(x), np.empty((), np.float32)
        a, b = f(x, y, out=(first, second))
        np.testing.assert_array_equal(first, abs(x - y))
        np.testing.assert_allclose(second, (x * y).sum(), rtol=1e-5)
        assert np.shares_memory(a.numpy(), first)
        assert b.item() == second
        plain, _ = f(x, y)
        np.testing.assert_array_equal(plain.numpy(), first)
    assert f.traces == 1


def test_none_leaves_a_result_to_lucid() -> None:
    f = lucid.compile(both)
    x, y = arrays()
    first = np.zeros_like(x)
    _, b = f(x, y, out=(first, None))
    np.testing.assert_array_equal(first, abs(x - y))
    np.testing.assert_allclose(b.numpy(), (x * y).sum(), rtol=1e-5)


def test_out_may_be_an_input() -> None:
    f = lucid.compile(lambda x, y: x.T + y)
    x = np.arange(16, dtype=np.float32).reshape(4, 4)
    want = x.T + x
    f(x, x, out=x)
    np.testing.assert_array_equal(x, want)


def test_value_and_grad() -> None:
    f = lucid.compile(lucid.value_and_grad(F.huber_loss))
    x, y = arrays()
    loss, grad = np.empty((), np.float32), np.empty_like(x)
    f(x, y, out=(loss, grad))
    np.testing.assert_allclose(grad, np.clip(x - y, -1, 1) / x.size, rtol=1e-6)


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        (np.empty((5, 7), np.float64), ValueError, "float64"),
        (np.empty((7, 5), np.float32), ValueError, r"\(7, 5\)"),
        (np.empty((7, 5), np.float32).T, ValueError, "row-major"),
        ([1.0], TypeError, "NumPy arrays"),
        (1.0, TypeError, "NumPy arrays"),
    ],
)
def test_what_does_not_fit_raises_and_names_the_line(out: Any, error: type[Exception], message: str) -> None:
    f = lucid.compile(lambda x: x + 1.0)
    x, _ = arrays()
    with pytest.raises(error, match=f"(?s){__file__}.*{message}"):
        f(x, out=out)


def test_a_function_may_have_an_out_of_its_own() -> None:
    f = lucid.compile(lambda x, out: x + out)
    x, y = arrays()
    np.testing.assert_array_equal(f(x, out=y).numpy(), x + y)
