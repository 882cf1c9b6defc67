"""What `where` does not choose has no influence on gradients, through every kind of op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor

Q = np.array([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0], [3.0, 0.0, 4.0]], "f8")
W = np.arange(1.0, 13.0).reshape(3, 4) / 8
ROWS = (Q != 0).any(1, keepdims=True)


def unit(q: Any) -> Any:
    """Rows of length 1; NaN for a row of zeros."""
    return q / (q * q).sum(1, keepdims=True).sqrt()


# Each has rows that are masked out where a value or a slope is not finite; right is what the loss over
# the other rows alone has.
CASES: dict[str, Callable[[Any, Any], Any]] = {
    "elementwise": lambda q, m: lucid.where(m, unit(q), 0.0),
    "broadcast": lambda q, m: lucid.where(m, (q * q).sum(1, keepdims=True).sqrt() * np.ones(3), 0.0),
    "sum": lambda q, m: lucid.where(m, (unit(q) * 3.0).sum(1, keepdims=True), 0.0),
    "max": lambda q, m: lucid.where(m, unit(q).max(1, keepdims=True), 0.0),
    "transpose": lambda q, m: lucid.where(m.T, unit(q).T, 0.0),
    "reshape": lambda q, m: lucid.where((m & (q < 9)).reshape(9), unit(q).reshape(9), 0.0),
    "slice": lambda q, m: lucid.where(m[::-1], unit(q)[::-1, 1:], 0.0),
    "product": lambda q, m: lucid.where(m, unit(q) @ W, 0.0),
    "product of products": lambda q, m: lucid.where(m, ((unit(q) @ W) * 2.0) @ W.T, 0.0),
    "nested": lambda q, m: lucid.where(m, lucid.where(q > -9, unit(q), 1.0), 0.0),
    "two": lambda q, m: lucid.where(m, unit(q), 0.0) + lucid.where(m & (q > 0), q.log(), 0.0),
    "other side": lambda q, m: lucid.where(~m, 0.0, unit(q)),
    "log of sums": lambda q, m: lucid.where(m, (q * q).sum(1, keepdims=True).log(), 0.0),
    "power": lambda q, m: lucid.where(m, (q * q).sum(1, keepdims=True) ** -0.5, 0.0),
}


def loss(f: Callable[[Any, Any], Any], m: Any, rows: Any = None) -> Callable[[Any], Any]:
    def value(q: Any) -> Any:
        found = f(q, m)
        weights = np.cos(np.arange(found.size)).reshape(found.shape)
        return (found * found * weights).sum() + (found * weights).sum()

    return value


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_branch_that_is_not_taken_has_no_gradient(name: str, compiled: bool) -> None:
    f = loss(CASES[name], Tensor(ROWS))
    grad = lucid.compile(lucid.grad(f)) if compiled else lucid.grad(f)
    found = np.asarray(grad(Q))
    assert np.isfinite(found).all() and (found[1] == 0).all()
    # by finite differences: the row of zeros stays one
    step = 1e-6
    for k in np.ndindex(3, 3):
        if k[0] == 1 or (name == "two" and Q[k] == 0):
            continue
        up, down = Q.copy(), Q.copy()
        up[k] += step
        down[k] -= step
        expected = (f(Tensor(up)).item() - f(Tensor(down)).item()) / (2 * step)
        if name in ("max", "two") and Q[k] in (0, 2):  # ties, and steps over 0
            continue
        assert found[k] == pytest.approx(expected, rel=1e-5, abs=1e-7), (name, k)


@pytest.mark.parametrize("name", CASES)
def test_nor_a_second_one(name: str) -> None:
    f = loss(CASES[name], Tensor(ROWS))
    v = np.sin(np.arange(9.0)).reshape(3, 3)
    second = lucid.grad(lambda q: (lucid.grad(f)(q) * v).sum())
    found = np.asarray(second(Q))
    assert np.isfinite(found).all() and (found[1] == 0).all()


def test_a_weight_after_rows_that_are_not_finite() -> None:
    def f(w: Any) -> Any:
        return lucid.where(Tensor(ROWS), unit(Tensor(Q)) @ w, 0.0).sum()

    found = np.asarray(lucid.grad(f)(W))
    rows = Q[[0, 2]] / np.linalg.norm(Q[[0, 2]], axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.broadcast_to(rows.sum(0)[:, None], W.shape), rtol=1e-12)


def test_a_row_that_is_broadcast() -> None:
    mask = np.array([[True, False, False], [True, True, False]])
    found = lucid.grad(lambda p: lucid.where(Tensor(mask), lucid.sqrt(p), 0.0).sum())(
        np.array([4.0, 1.0, 0.0])
    )
    np.testing.assert_array_equal(found.numpy(), [0.5, 0.5, 0])
