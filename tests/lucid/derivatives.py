"""First and second derivatives of functions of tensors, beside finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid import Tensor
from lucid.tensor import settle

Array = np.ndarray[Any, Any]


def check_derivatives(f: Callable[[Tensor], Any], x: Array, *, second: bool = True) -> None:
    """Weighted sums of f(x) in float64: the gradient along a direction, and its derivative along another. The
    sum and both are outputs of one graph, which is compiled once, and run at x and around it."""
    rng = np.random.default_rng(0)
    x = np.asarray(x, np.float64)
    v, u = rng.normal(size=x.shape), rng.normal(size=x.shape)

    def total(t: Any) -> Any:
        made = f(t)
        parts = made if isinstance(made, list | tuple) else [made]
        weights = np.random.default_rng(1)
        return sum(((p * p * 0.5 + p) * weights.normal(size=p.shape)).sum() for p in parts)

    def slope(t: Any) -> Any:
        return (lucid.grad(total)(t) * v).sum()

    def values(at: Array) -> Array:
        t = Tensor(at)
        made = [total(t), slope(t)] + ([(lucid.grad(slope)(t) * u).sum()] if second else [])
        settle(made)
        return np.array([float(value.item()) for value in made])

    step, here = 1e-5, values(x)
    assert np.isfinite(here).all()
    for order, along in enumerate((v, u)[: len(here) - 1]):
        expected = (values(x + step * along)[order] - values(x - step * along)[order]) / (2 * step)
        np.testing.assert_allclose(here[order + 1], expected, rtol=2e-5, atol=2e-6)
