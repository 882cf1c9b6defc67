"""numexpr: elementwise expressions in one pass each, in blocks, on all threads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numexpr
import numpy as np

from ..contender import Array, Contender, Offer, Problem
from ..problems import ADAM, DELTA

PACKAGES = ("numexpr",)

# Times 1.0, a double: its sums of float32 are 1 % off for 10⁷ elements.
_LOSS = "sum(1.0 * where(abs(x - y) <= delta, half * (x - y) * (x - y), delta * (abs(x - y) - half * delta)))"
_GRADIENT = "where(abs(x - y) <= delta, x - y, where(x > y, delta, -delta)) * scale"


def _huber(problem: Problem) -> Contender:
    # Python floats would make it compute in float64.
    numbers = {"delta": np.float32(DELTA), "half": np.float32(0.5)}

    def call(x: Array, y: Array) -> Any:
        names = {"x": x, "y": y, "scale": np.float32(1 / x.size), **numbers}
        loss = numexpr.evaluate(_LOSS, names) / x.size
        return loss, numexpr.evaluate(_GRADIENT, names)

    args = problem.inputs["x"], problem.inputs["y"]
    return Contender(call, args, lambda out: {"loss": out[0], "gx": out[1]})


def _adam(problem: Problem) -> Contender:
    p, g = problem.inputs["p"].copy(), problem.inputs["g"]
    m, v = np.zeros_like(p), np.zeros_like(p)
    beta1, beta2 = ADAM["beta1"], ADAM["beta2"]
    numbers = {
        "beta1": np.float32(beta1), "rest1": np.float32(1 - beta1),
        "beta2": np.float32(beta2), "rest2": np.float32(1 - beta2),
        "eps": np.float32(ADAM["eps"]),
    }  # fmt: skip
    steps = 0

    def call(g: Array) -> None:
        nonlocal steps
        steps += 1
        rate = np.float32(ADAM["lr"] / (1 - beta1**steps))
        root = np.float32((1 - beta2**steps) ** 0.5)
        names = {"p": p, "g": g, "m": m, "v": v, "rate": rate, "root": root, **numbers}
        numexpr.evaluate("beta1 * m + rest1 * g", names, out=m)
        numexpr.evaluate("beta2 * v + rest2 * g * g", names, out=v)
        numexpr.evaluate("p - rate * m / (sqrt(v) / root + eps)", names, out=p)

    return Contender(call, (g,), lambda out: {"p": p, "mean": m, "square": v})


OFFERS: Mapping[str, Offer] = {
    "huber": {"numexpr": _huber},
    "huber_call": {"numexpr": _huber},
    "adam": {"numexpr": _adam},
}
