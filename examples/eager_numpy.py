"""The training step of `huber_regression.py`, by hand in NumPy: what lucid is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class EagerNet:
    """Linear layers with ReLU between them; mean Huber loss, or mean squared error where `delta`
    is None; Adam. `params`: weight (out, in) and bias (out,) of each layer in turn, float32."""

    def __init__(self, params: Sequence[Array], delta: float | None, lr: float) -> None:
        self.params = [p.copy() for p in params]
        self.delta, self.lr = delta, lr
        self.mean = [np.zeros_like(p) for p in self.params]
        self.square = [np.zeros_like(p) for p in self.params]
        self.steps = 0

    def step(self, x: Array, y: Array) -> float:
        """One step on a batch, x (n, in), y (n, 1). Returns the loss before it."""
        weights, biases = self.params[0::2], self.params[1::2]
        inputs = [x]
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = inputs[-1] @ w.T + b
            inputs.append(np.maximum(z, 0) if k < len(weights) - 1 else z)
        d = inputs.pop() - y
        if self.delta is None:
            loss, g = np.mean(d * d), d * np.float32(2 / d.size)
        else:
            a, delta = np.abs(d), np.float32(self.delta)
            loss = np.mean(np.where(a < delta, d * d / 2, delta * (a - delta / 2)))
            g = np.clip(d, -delta, delta) * np.float32(1 / d.size)
        grads: list[Array] = []
        for k in reversed(range(len(weights))):
            grads[:0] = [g.T @ inputs[k], g.sum(axis=0)]
            if k:
                g = (g @ weights[k]) * (inputs[k] > 0)
        self._adam(grads)
        return float(loss)

    def _adam(self, grads: Sequence[Array], beta1: float = 0.9, beta2: float = 0.999) -> None:
        self.steps += 1
        rate = self.lr / (1 - beta1**self.steps)
        root = (1 - beta2**self.steps) ** 0.5
        for p, g, m, v in zip(self.params, grads, self.mean, self.square, strict=True):
            m += (1 - beta1) * (g - m)
            v += (1 - beta2) * (g * g - v)
            p -= rate * m / (np.sqrt(v) / root + 1e-8)
