"""A training step of a small network by NumPy calls."""

from __future__ import annotations

import numpy as np

from .contender import Array
from .problems import ADAM, DELTA


class NumpyMLP:
    """Three linear layers with ReLU between them, Huber loss, Adam; in the dtype of the parameters,
    w0 (hidden, width), b0 (hidden), w1, b1, w2, b2, which it copies."""

    def __init__(self, params: dict[str, Array]) -> None:
        self.params = {name: value.copy() for name, value in params.items()}
        self.mean = {name: np.zeros_like(value) for name, value in params.items()}
        self.square = {name: np.zeros_like(value) for name, value in params.items()}
        self.steps = 0

    def step(self, x: Array, y: Array) -> float:
        """The loss before the step, for x (batch, width) and y (batch, 1)."""
        p = self.params
        h0 = x @ p["w0"].T + p["b0"]
        a0 = np.maximum(h0, 0)
        h1 = a0 @ p["w1"].T + p["b1"]
        a1 = np.maximum(h1, 0)
        d = a1 @ p["w2"].T + p["b2"] - y
        clipped = np.clip(d, -DELTA, DELTA)
        loss = float((clipped * (d - 0.5 * clipped)).mean())

        g2 = clipped / clipped.size
        g1 = (g2 @ p["w2"]) * (h1 > 0)
        g0 = (g1 @ p["w1"]) * (h0 > 0)
        self._adam(
            {
                "w2": g2.T @ a1, "b2": g2.sum(axis=0),
                "w1": g1.T @ a0, "b1": g1.sum(axis=0),
                "w0": g0.T @ x, "b0": g0.sum(axis=0),
            }
        )  # fmt: skip
        return loss

    def _adam(self, grads: dict[str, Array]) -> None:
        self.steps += 1
        beta1, beta2 = ADAM["beta1"], ADAM["beta2"]
        rate = ADAM["lr"] / (1 - beta1**self.steps)
        root = (1 - beta2**self.steps) ** 0.5
        for name, g in grads.items():
            m, v = self.mean[name], self.square[name]
            m *= beta1
            m += (1 - beta1) * g
            v *= beta2
            v += (1 - beta2) * g * g
            self.params[name] -= rate * m / (np.sqrt(v) / root + ADAM["eps"])
