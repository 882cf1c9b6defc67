"""What `where`, a maximum or a slice does not choose has no influence on gradients, through every kind
of op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.compiler.passes import autodiff

pytestmark = pytest.mark.table

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


def loss(f: Callable[[Any, Any], Any], m: Any) -> Callable[[Any], Any]:
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


# --- by their values ---

nan, inf = np.nan, np.inf
MASK = np.array([[True, False, True], [True, False, False]])
HALF = np.array([True, False])


def normalised(q: Any) -> Tensor:
    n = (q * q).sum(1, keepdims=True)
    return lucid.where(n > 0, q / n.sqrt(), 0.0)


# name: the function, where, its gradient
POINTS: dict[str, tuple[Callable[[Any], Tensor], Any, Any]] = {
    "a row that is broadcast": (
        lambda p: lucid.where(MASK, lucid.sqrt(p), 0.0).sum(), [[4.0, 0.0, 1.0]], [[0.5, 0, 0.5]],
    ),
    "a vector that is broadcast": (
        lambda p: lucid.where(MASK, lucid.log(p), 0.0).sum(), [4.0, 0.0, 1.0], [0.5, 0, 1],
    ),
    "a number that is broadcast": (lambda p: lucid.where(MASK & False, 1 / p, 0.0).sum(), 0.0, 0.0),
    "rows over their norm": (
        lambda q: (normalised(q) * np.array([1.0, 2.0])).sum(),
        [[3.0, 4.0], [0.0, 0.0]], [[-0.064, 0.048], [0, 0]],
    ),
    "a slice": (lambda x: lucid.sqrt(x)[1:].sum(), [0.0, 4.0], [0, 0.25]),
    "a slice backwards": (lambda x: lucid.sqrt(x)[::-2].sum(), [4.0, 0.0, 1.0], [0.25, 0, 0.5]),
    "a slice of a row that is broadcast": (
        lambda x: lucid.where(MASK, lucid.sqrt(x), 0.0)[:, 1:].sum(), [0.0, 0.0, 1.0], [0, 0, 0.5],
    ),
    "the smaller of two": (
        lambda x: lucid.maximum(lucid.sqrt(x), 1.0).sum(), [0.0, 4.0, 1.0], [0, 0.25, 0.25],
    ),
    "the greater of two": (lambda x: lucid.minimum(1 / x, 2.0).sum(), [0.0, 2.0], [0, -0.25]),
    "transposed and reshaped": (
        lambda x: lucid.where(MASK, lucid.sqrt(x).reshape(3, 2).T, 0.0).sum(),
        [[4.0, 1], [0, 0], [1, 0]], [[0.25, 0.5], [0, 0], [0.5, 0]],
    ),
    "sums of rows": (
        lambda x: lucid.where(HALF, lucid.log(x).sum(1), 0.0).sum(),
        [[1.0, 2.0], [0.0, -1.0]], [[1, 0.5], [0, 0]],
    ),
    "greatest of rows": (
        lambda x: lucid.where(HALF, lucid.log(x).max(1), 0.0).sum(),
        [[1.0, 2.0], [0.0, 0.0]], [[0, 0.5], [0, 0]],
    ),
    "greatest of what is not all there": (
        lambda x: lucid.where(x > 0, lucid.sqrt(x), 0.0).max(), [0.0, 4.0, -1.0], [0, 0.25, 0],
    ),
    "nested choices": (
        lambda x: (lambda s: lucid.where(x > 1, s, lucid.where(x > 0, 2 * s, 0.0)).sum())(lucid.sqrt(x)),
        [4.0, 0.25, 0.0, -2.0], [0.25, 2, 0, 0],
    ),
    "choices of choices": (
        lambda x: lucid.where(x < 3, lucid.where(x > 0, lucid.sqrt(x), x), 0.0).sum(),
        [4.0, 0.25, 0.0, -2.0], [0, 1, 1, 1],
    ),
    "relu of what is broadcast": (
        lambda x: lucid.nn.functional.relu(lucid.log(x) * np.ones((2, 1))).sum(), [0.0, 4.0], [0, 0.5],
    ),
    "a sum of two masked ways": (
        lambda x: (lambda s: (lucid.where(HALF[:, None], s, 0.0).sum(0)
                   + lucid.where(x > 1, s, 0.0)).sum())(lucid.where(x > 0, lucid.sqrt(x), 0.0)),
        [4.0, 0.0], [0.5, 0],
    ),
    "exponentials": (lambda x: lucid.where(x < 5, lucid.exp(x * x), 1.0).sum(), [0.0, 400.0], [0, 0]),
    "powers of a row": (
        lambda x: lucid.where(MASK, x ** -0.5, 0.0).sum(), [4.0, 0.0, 1.0], [-0.125, 0, -0.5],
    ),
    "rows of a product that is sliced": (
        lambda x: (lucid.sqrt(x) @ np.eye(2))[1:, :1].sum(), [[0.0, 1.0], [4.0, 4.0]], [[0, 0], [0.25, 0]],
    ),
    "the mean of those that count": (
        lambda x: lucid.where(MASK, lucid.log(x), 0.0).mean(), [2.0, 0.0, 1.0], [1 / 6, 0, 1 / 6],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_a_branch_not_taken_reaches_a_gradient(name: str, compiled: bool) -> None:
    f, x, want = POINTS[name]
    gradient: Any = lucid.grad(f)
    if compiled:
        gradient = lucid.compile(gradient)
    np.testing.assert_allclose(gradient(np.asarray(x)), want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", POINTS)
def test_a_branch_not_taken_reaches_a_second_gradient(name: str) -> None:
    f, x, _ = POINTS[name]
    at = np.asarray(x, np.float64)
    if name in ("the smaller of two", "choices of choices"):
        at = at[at < 1] if name == "the smaller of two" else at[:2]  # away from ties
    second = lucid.grad(lambda v: (lucid.grad(f)(v) * 1.0).sum())(at).numpy()
    assert np.isfinite(second).all()
    if name == "a row that is broadcast":
        np.testing.assert_allclose(second, [[-0.0625, 0, -0.25]])


SPOILT = np.array([[1.0, 2.0], [nan, inf]])


def twice(h: Tensor) -> Tensor:
    return h.tanh() * 0.0 + h


PRODUCTS: dict[str, Callable[[Any], Tensor]] = {
    "rows": lambda w: lucid.where(HALF[:, None], Tensor(SPOILT) @ w, 0.0).sum(),
    "elements": lambda w: lucid.where(HALF[:, None] & np.array([True, True]), Tensor(SPOILT) @ w, 0.0).sum(),
    "a hidden layer": lambda w: lucid.where(HALF[:, None], twice(Tensor(SPOILT) @ w), 0.0).sum(),
    "linear": lambda w: lucid.where(HALF[:, None], lucid.nn.functional.linear(SPOILT, w.T), 0.0).sum(),
    "a slice": lambda w: (Tensor(SPOILT) @ w)[0].sum(),
    "stacks": lambda w: lucid.where(HALF[:, None], Tensor(SPOILT[None]) @ w, 0.0).sum(),
    "columns, by elements": lambda w: lucid.where(
        np.array([[True, False], [True, False]]), w.T @ Tensor([[1.0, nan], [2.0, inf]], dtype=float), 0.0
    ).sum(),
    "both sides": lambda w: lucid.where(
        np.array([[True, False], [False, False]]),
        Tensor(SPOILT) @ w @ np.array([[1.0, nan], [1.0, inf]]), 0.0,
    ).sum(),
    "a stack of each": lambda w: lucid.where(
        HALF[:, None], Tensor(np.stack([SPOILT, SPOILT])) @ (w * np.ones((2, 1, 1))), 0.0
    ).sum() / 2,
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_rows_that_do_not_count_reach_the_gradient_of_weights(name: str) -> None:
    w = np.eye(2)
    np.testing.assert_allclose(lucid.grad(PRODUCTS[name])(w), [[1, 1], [2, 2]])
    second = lucid.grad(lambda v: (lucid.grad(lambda z: PRODUCTS[name](z * z))(v)).sum())(w)
    np.testing.assert_allclose(second, [[2, 2], [4, 4]])


def test_masks_cost_nothing_where_nothing_is_at_risk() -> None:
    """relu rules out no NaN; so a network of it asks for no mask, and its products read what they read."""
    from lucid import nn

    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    x, y = np.ones((40, 8), np.float32), np.ones((40, 1), np.float32)

    @lucid.compile
    def step(x: Tensor, y: Tensor) -> Any:
        net.zero_grad()
        loss = nn.HuberLoss()(net(x), y)
        loss.backward()
        return loss, [p.grad for p in net.parameters()]

    step(x, y)  # type: ignore[call-overload]
    text = step.ir("gradient")
    assert "amax" not in text and "and %" not in text and " or " not in text


# --- against autodiff without masks --------------------------------------------------------------


def program(seed: int) -> Callable[[Any], Tensor]:
    """A random one over 4 x 5, all of whose values and slopes are finite."""

    def run(x: Any) -> Tensor:
        rng = np.random.default_rng(seed)
        made = [lucid.asarray(x)]
        for _ in range(rng.integers(4, 14)):
            a, b = (made[rng.integers(len(made))] for _ in range(2))
            n = a.ndim
            axis = int(rng.integers(n)) if n else None
            starts = [int(rng.integers(0, max(s - 1, 1))) for s in a.shape]
            steps = tuple(slice(start, None, int(rng.integers(1, 3))) for start in starts)
            match int(rng.integers(14)):
                case 0:
                    a = lucid.where(rng.random(a.shape) < 0.6, a, 0.0)
                case 1:
                    a = lucid.where(a > rng.normal(), a * 2, a.tanh())
                case 2:
                    a = lucid.where(rng.random(a.shape[-1:]) < 0.5, a, 0.0)
                case 3:
                    a = a[steps]
                case 4:
                    a = a.T
                case 5:
                    a = a.sum(axis, keepdims=bool(rng.integers(2)))
                case 6:
                    a = a.max(axis, keepdims=bool(rng.integers(2)))
                case 7:
                    a = a @ rng.normal(size=(a.shape[-1], 3)) if n == 2 else a.reshape(-1)
                case 8:
                    a = a.T @ a if n == 2 else a
                case 9:
                    a = lucid.maximum(a, 0.3)
                case 10:
                    a = (a * a + 1).sqrt()
                case 11:
                    a = a / (1 + a * a)
                case 12:
                    a = lucid.exp(-a * a)
                case _:
                    a = a * b + b if a.shape == b.shape else a.broadcast_to((2, *a.shape))
            if 0 < a.size < 400:
                made.append(a)
        total = made[0].sum()
        for value in made[1:]:
            total = total + (value * value * 0.1 + value).sum() * 0.01
        return total

    return run


def unchanged(seeds: range, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5))
    weights = np.arange(20.0).reshape(4, 5)

    def plain(self: Any, node: Any, ct: Any, needs: Any) -> Any:
        return node.op.vjp(node, ct, needs)

    for seed in seeds:
        f = program(seed)
        second = lucid.grad(lambda v, f=f: (lucid.grad(f)(v) * weights).sum())
        found = [lucid.grad(f)(x).numpy(), second(x).numpy()]
        with monkeypatch.context() as patch:
            patch.setattr(autodiff._Sweep, "_vjp", plain)
            want = [lucid.grad(f)(x).numpy(), second(x).numpy()]
        for a, b in zip(found, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9, err_msg=str(seed))


def test_masks_change_a_gradient_of_what_is_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    unchanged(range(4), monkeypatch)


@pytest.mark.sweep
def test_masks_change_a_gradient_of_what_is_finite_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    unchanged(range(4, 300), monkeypatch)
