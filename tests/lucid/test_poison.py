"""Random programs in which NaN stands in what masks rule out, element by element: gradients are those of the
same program with numbers there, to second order. NumPy, run beside them, says what a NaN has reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor
from lucid.compiler.passes import autodiff

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
Pair = tuple[Any, Array]  # a value, and what NumPy makes of it with NaN in the place of what is ruled out


def chosen(rng: np.random.Generator, a: Any, s: Array) -> Pair:
    """A mask that leaves nothing that a NaN has reached: by elements, from either side, or by rows."""
    ok = np.isfinite(s)
    mask = ok & (rng.random(s.shape) < 0.9)
    match rng.integers(4):
        case 0:
            return lucid.where(mask, a, 0.0), np.where(mask, s, 0)
        case 1:
            return lucid.where(~mask, 0.3, a), np.where(mask, s, 0.3)
        case 2:
            return lucid.where(mask, a, lucid.where(Tensor(mask), a * 2, 0.0)), np.where(mask, s, 0)
        case _:
            rows = np.all(ok, axis=tuple(range(1, ok.ndim)), keepdims=True)
            return lucid.where(rows, a, 0.0), np.where(rows, s, 0)


def step(rng: np.random.Generator, a: Any, s: Array, b: Any, t: Array) -> Pair:
    n = s.ndim
    axis = int(rng.integers(n)) if n else 0
    kind = int(rng.integers(16))
    if kind < 3:
        return chosen(rng, a, s)
    if kind == 3:
        return (a * a + 0.1).sqrt(), np.sqrt(s * s + 0.1)
    if kind == 4:
        return a.tanh(), np.tanh(s)
    if kind == 5:
        return a / (1 + a * a), s / (1 + s * s)
    if kind == 6 and s.shape == t.shape:
        return a * b + a, s * t + s
    if n == 2 and kind < 12:
        weights = rng.normal(size=(s.shape[-1], 3))
        left = rng.normal(size=(2, 4, s.shape[0]))
        pairs: list[Pair] = [
            (a @ weights, s @ weights), (Tensor(left) @ a, left @ s), (a @ a.T, s @ s.T), (a.T, s.T),
            (a * np.ones((2, 1, 1)), s * np.ones((2, 1, 1))),
        ]  # fmt: skip
        if t.ndim == 2 and s.shape[1] == t.shape[1]:
            pairs.append((a @ b.T, s @ t.T))
        return pairs[kind % len(pairs)]
    if n == 3 and kind < 12:
        weights = rng.normal(size=(s.shape[-1], 2))
        if t.ndim == 3 and s.shape[0] == t.shape[0] and s.shape[2] == t.shape[2]:
            return a @ b.swapaxes(1, 2), s @ t.swapaxes(1, 2)
        return a @ weights, s @ weights
    if n and kind == 12:
        return a.sum(axis, keepdims=True), s.sum(axis, keepdims=True)
    if n and kind == 13:
        return a.max(axis, keepdims=True), s.max(axis, keepdims=True)
    if n and kind == 14:
        e = np.exp(s - s.max(axis, keepdims=True))
        return lucid.nn.functional.softmax(a, axis=axis), e / e.sum(axis, keepdims=True)
    return (a[::-1], s[::-1]) if n else (a * 2, s * 2)


def program(seed: int, spoilt: Array) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        rng = np.random.default_rng(seed)
        made: list[Pair] = [(lucid.asarray(x), spoilt)]
        for _ in range(rng.integers(4, 12)):
            (a, s), (b, t) = (made[rng.integers(len(made))] for _ in range(2))
            a, s = step(rng, a, s, b, t)
            if 0 < s.size < 300 and (np.nan_to_num(np.abs(s)) < 50).all():
                made.append((a, s))
        total: Any = 0.0
        for n, (a, s) in enumerate(made):
            if n == len(made) - 1 or rng.random() < 0.5:
                weights = np.cos(np.arange(s.size)).reshape(s.shape)
                total = total + (lucid.where(np.isfinite(s), a * a * 0.1 + a, 0.0) * weights).sum()
        return total

    return run


def gradients(seed: int) -> tuple[list[Array], list[Array], Array]:
    """First and second, with NaN and with a number in what is ruled out; what that is."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 3) if seed % 3 else (4, 5))
    out = rng.random(x.shape if seed % 2 else (len(x), 1)) < 0.3
    dead = out & np.ones(x.shape, bool)
    weights = np.arange(x.size).reshape(x.shape) / 7
    f = program(seed, np.where(dead, np.nan, x))
    found = []
    for fill in (np.nan, 0.37):
        at = np.where(dead, fill, x)
        second = lucid.grad(lambda v: (lucid.grad(f)(v) * weights).sum())
        found.append([lucid.grad(f)(at).numpy(), second(at).numpy()])
    return found[0], found[1], dead


def check(seed: int) -> None:
    spoilt, plain, dead = gradients(seed)
    for a, b in zip(spoilt, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8, err_msg=str(seed))
        assert (a[dead] == 0).all(), seed


@pytest.mark.parametrize("seed", range(3))
def test_nan_in_what_is_ruled_out_reaches_a_gradient(seed: int) -> None:
    with np.errstate(all="ignore"):
        check(seed)


@pytest.mark.sweep
def test_nan_in_what_is_ruled_out_reaches_a_gradient_anywhere() -> None:
    with np.errstate(all="ignore"):
        for seed in range(3, 400):
            check(seed)


def test_the_programs_find_a_product_that_loses_its_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(self: Any, node: Any, ct: Any, needs: Any) -> Any:
        return node.op.vjp(node, ct, needs)

    monkeypatch.setattr(autodiff._Sweep, "_contract", plain)
    with np.errstate(all="ignore"):
        assert np.isnan(gradients(6)[0][0]).any()
