"""First and second derivatives of functions of tensors, beside finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid import Tensor

Array = np.ndarray[Any, Any]


def check_derivatives(f: Callable[[Tensor], Any], x: Array, *, second: bool = True) -> None:
    """Weighted sums of f(x) in float64: the gradient along a direction, and its derivative along another."""
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

    def value(g: Callable[[Any], Any], at: Array) -> float:
        return float(g(Tensor(at, requires_grad=True)).item())

    for g, along, wanted in ((total, v, True), (slope, u, second)):
        if not wanted:
            continue
        step = 1e-5
        expected = (value(g, x + step * along) - value(g, x - step * along)) / (2 * step)
        found = float((lucid.grad(g)(Tensor(x)) * along).sum().item())
        assert np.isfinite(found)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
