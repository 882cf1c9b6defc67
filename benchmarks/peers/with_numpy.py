"""NumPy: one call for each operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..contender import Array, Contender, Offer, Problem
from ..mlp import NumpyMLP
from ..problems import ADAM, DELTA, EPS, MLP_STEPS

PACKAGES = ("numpy",)


def _huber(problem: Problem) -> Contender:
    delta, half = np.float32(DELTA), np.float32(0.5)

    def call(x: Array, y: Array) -> Any:
        d = x - y
        a = np.abs(d)
        inside = a <= delta
        loss = np.where(inside, half * d * d, delta * (a - half * delta)).mean()
        return loss, np.where(inside, d, delta * np.sign(d)) / np.float32(d.size)

    args = problem.inputs["x"], problem.inputs["y"]
    return Contender(call, args, lambda out: {"loss": out[0], "gx": out[1]})


def _linear(problem: Problem) -> Contender:
    delta, half = np.float32(DELTA), np.float32(0.5)

    def call(x: Array, y: Array, w: Array, b: Array) -> Any:
        r = x @ w + b - y
        clipped = np.clip(r, -delta, delta)
        loss = (clipped * (r - half * clipped)).mean()
        clipped /= np.float32(clipped.size)
        return loss, clipped @ x, clipped.sum()

    args = tuple(problem.inputs[k] for k in ("x", "y", "w", "b"))
    return Contender(call, args, lambda out: dict(zip(("loss", "gw", "gb"), out, strict=True)))


def _rows(problem: Problem) -> Contender:
    op, backward = problem.params["op"], problem.params["backward"]

    def softmax(x: Array, g: Array | None = None) -> tuple[Array, ...]:
        s = x - x.max(axis=1, keepdims=True)
        e = np.exp(s)
        total = e.sum(axis=1, keepdims=True)
        if op == "log_softmax":
            out = s - np.log(total)
            if g is None:
                return (out,)
            return out, g - e * (g.sum(axis=1, keepdims=True) / total)
        e /= total
        if g is None:
            return (e,)
        return e, e * (g - (e * g).sum(axis=1, keepdims=True))

    def layer_norm(x: Array, w: Array, b: Array, g: Array | None = None) -> tuple[Array, ...]:
        h = x - x.mean(axis=1, keepdims=True)
        rate = 1 / np.sqrt((h * h).mean(axis=1, keepdims=True) + np.float32(EPS))
        h *= rate
        out = h * w + b
        if g is None:
            return (out,)
        gh = g * w
        slope = (gh * h).mean(axis=1, keepdims=True)
        gx = rate * (gh - gh.mean(axis=1, keepdims=True) - h * slope)
        return out, gx, (g * h).sum(axis=0), g.sum(axis=0)

    call = layer_norm if op == "layer_norm" else softmax
    args = tuple(problem.inputs[k] for k in ("x", "w", "b", "g") if k in problem.inputs)
    names = ("out", "gx", "gw", "gb") if backward else ("out",)
    return Contender(call, args, lambda out: dict(zip(names, out, strict=False)))


def _moves(problem: Problem) -> Contender:
    op = problem.params["op"]
    axis = {"all": None, "rows": 1, "columns": 0}.get(op)

    def call(x: Array) -> Any:
        return np.ascontiguousarray(x.T) if op == "transpose" else x.sum(axis=axis)

    return Contender(call, (problem.inputs["x"],), lambda out: {"out": out})


def _adam(problem: Problem) -> Contender:
    p, g = problem.inputs["p"].copy(), problem.inputs["g"]
    m, v = np.zeros_like(p), np.zeros_like(p)
    beta1, beta2 = ADAM["beta1"], ADAM["beta2"]
    steps = 0

    def call(g: Array) -> None:
        nonlocal steps, m, v
        steps += 1
        m *= np.float32(beta1)
        m += np.float32(1 - beta1) * g
        v *= np.float32(beta2)
        v += np.float32(1 - beta2) * g * g
        root = np.float32((1 - beta2**steps) ** 0.5)
        rate = np.float32(ADAM["lr"] / (1 - beta1**steps))
        np.subtract(p, rate * m / (np.sqrt(v) / root + np.float32(ADAM["eps"])), out=p)

    return Contender(call, (g,), lambda out: {"p": p, "mean": m, "square": v})


def _mlp(problem: Problem) -> Contender:
    net = NumpyMLP({k: v for k, v in problem.inputs.items() if k[0] in "wb"})
    args = problem.inputs["x"], problem.inputs["y"]

    def result(out: Any) -> Mapping[str, Any]:
        return {"losses": [out] + [net.step(*args) for _ in range(MLP_STEPS - 1)]}

    return Contender(net.step, args, result)


OFFERS: Mapping[str, Offer] = {
    "huber": {"NumPy": _huber},
    "huber_call": {"NumPy": _huber},
    "linear": {"NumPy": _linear},
    "rows": {"NumPy": _rows},
    "moves": {"NumPy": _moves},
    "adam": {"NumPy": _adam},
    "mlp": {"NumPy": _mlp},
}
