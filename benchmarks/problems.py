"""The problems, with right answers in float64 by plain NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .contender import Array, Problem

DELTA = 1.0
EPS = 1e-5
ADAM = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
MLP_STEPS = 3  # the losses that are compared

# Large arrays repeat a block of so many random elements: what is in them does not change the time.
_BLOCK = 1 << 20
_ROWS = 1 << 16  # of a problem, for which the right answer is computed at a time


def make(kind: str, params: dict[str, Any]) -> Problem:
    """The problem of that kind and size. KeyError for an unknown kind."""
    return _MAKE[kind](params)


def empty(*shape: int) -> Array:
    """A float32 array at a 64-byte boundary, in huge pages where NumPy asks for them."""
    count = int(np.prod(shape))
    raw = np.empty(count + 16, np.float32)
    start = (-raw.ctypes.data % 64) // 4
    return raw[start : start + count].reshape(shape)


def _aligned(array: Array) -> Array:
    result = empty(*array.shape)
    result[...] = array
    return result


def _normal(seed: int, scale: float, *shape: int) -> Array:
    count = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    block = scale * rng.standard_normal(min(count, _BLOCK), np.float32)
    result = empty(count)
    for k in range(0, count, _BLOCK):
        part = result[k : k + _BLOCK]
        part[:] = block[: part.size]
    return result.reshape(shape)


def _pieces(rows: int, step: int = _ROWS) -> Iterator[slice]:
    return (slice(k, min(k + step, rows)) for k in range(0, rows, step))


# --- Huber loss: loss = mean(huber(x - y)), gx = d loss / d x ------------------------------------


def _huber(params: dict[str, Any]) -> Problem:
    n = int(params["n"])
    x, y = _normal(1, 1.5, n), _normal(2, 1.0, n)

    def expected() -> dict[str, Array]:
        total, gx = 0.0, np.empty(n, np.float32)
        for part in _pieces(n, _BLOCK):
            d = x[part].astype(np.float64) - y[part]
            clipped = np.clip(d, -DELTA, DELTA)
            total += float((clipped * (d - 0.5 * clipped)).sum())
            gx[part] = clipped / n
        return {"loss": np.array(total / n), "gx": gx}

    # A running sum in float32 over 10⁷ elements is that bad; gradients are elementwise.
    return Problem({"x": x, "y": y}, expected, {"loss": 2e-3, "gx": 1e-5}, params)


# --- linear Huber regression: loss = mean(huber(X w + b - y)), and gradients to w and b ----------


def _linear(params: dict[str, Any]) -> Problem:
    n, d = int(params["n"]), int(params["d"])
    x, w = _normal(1, 1.0, n, d), _normal(2, 1.0, d)
    y = empty(n)
    noise = _normal(3, 1.0, n)
    for part in _pieces(n):
        y[part] = x[part] @ w + noise[part]
    w = _aligned(w + 0.1 * _normal(4, 1.0, d))
    b = np.array(0.1, np.float32)

    def expected() -> dict[str, Array]:
        total, gw, gb = 0.0, np.zeros(d), 0.0
        for part in _pieces(n):
            rows = x[part].astype(np.float64)
            r = rows @ w.astype(np.float64) + float(b) - y[part]
            clipped = np.clip(r, -DELTA, DELTA)
            total += float((clipped * (r - 0.5 * clipped)).sum())
            gw += clipped @ rows
            gb += float(clipped.sum())
        return {"loss": np.array(total / n), "gw": gw / n, "gb": np.array(gb / n)}

    inputs = {"x": x, "y": y, "w": w, "b": b}
    return Problem(inputs, expected, {"loss": 2e-3, "gw": 2e-3, "gb": 5e-3}, params)


# --- rows: softmax, log-softmax, layer norm; with gradients to all inputs for a given cotangent g -


def _rows(params: dict[str, Any]) -> Problem:
    m, n, op, backward = int(params["m"]), int(params["n"]), params["op"], params["backward"]
    inputs = {"x": _normal(1, 2.0, m, n)}
    if op == "layer_norm":
        inputs["w"] = _aligned(1 + 0.1 * _normal(2, 1.0, n))
        inputs["b"] = _normal(3, 0.1, n)
    if backward:
        inputs["g"] = _normal(4, 1.0, m, n)

    def expected() -> dict[str, Array]:
        names = ["out", *(["gx"] if backward else [])]
        found = {name: np.empty((m, n), np.float32) for name in names}
        sums = {"gw": np.zeros(n), "gb": np.zeros(n)}
        for part in _pieces(m, max(1, _BLOCK // n)):
            x = inputs["x"][part].astype(np.float64)
            g = inputs["g"][part].astype(np.float64) if backward else np.zeros_like(x)
            if op == "layer_norm":
                w, b = inputs["w"].astype(np.float64), inputs["b"].astype(np.float64)
                out, gx, gw, gb = _layer_norm(x, w, b, g)
                sums["gw"] += gw
                sums["gb"] += gb
            else:
                out, gx = _softmax(x, g, op == "log_softmax")
            found["out"][part] = out
            if backward:
                found["gx"][part] = gx
        return found | (sums if backward and op == "layer_norm" else {})

    tolerance = {"out": 1e-5, "gx": 1e-4, "gw": 1e-3, "gb": 1e-3}
    return Problem(inputs, expected, tolerance, params)


def _softmax(x: Array, g: Array, log: bool) -> tuple[Array, Array]:
    s = x - x.max(axis=1, keepdims=True)
    e = np.exp(s)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    if log:
        return s - np.log(total), g - p * g.sum(axis=1, keepdims=True)
    return p, p * (g - (p * g).sum(axis=1, keepdims=True))


def _layer_norm(x: Array, w: Array, b: Array, g: Array) -> tuple[Array, Array, Array, Array]:
    center = x - x.mean(axis=1, keepdims=True)
    rate = 1 / np.sqrt((center * center).mean(axis=1, keepdims=True) + EPS)
    h = center * rate
    gh = g * w
    gx = rate * (gh - gh.mean(axis=1, keepdims=True) - h * (gh * h).mean(axis=1, keepdims=True))
    return h * w + b, gx, (g * h).sum(axis=0), g.sum(axis=0)


# --- moves: sums over all, rows or columns; the transpose, made anew in memory -------------------


def _moves(params: dict[str, Any]) -> Problem:
    m, n, op = int(params["m"]), int(params["n"]), params["op"]
    x = _normal(1, 1.0, m, n)

    def expected() -> dict[str, Array]:
        if op == "transpose":
            return {"out": x.T}
        return {"out": x.sum(axis={"all": None, "rows": 1, "columns": 0}[op], dtype=np.float64)}

    # Sums of as many positive as negative numbers.
    return Problem({"x": x}, expected, {"out": 0.0 if op == "transpose" else 1e-3}, params)


# --- one Adam step over n parameters in `tensors` equal parts ------------------------------------


def _adam(params: dict[str, Any]) -> Problem:
    n = int(params["n"])
    p, g = _normal(1, 1.0, n), _normal(2, 1.0, n)
    before = p.copy()  # contenders may work in place

    def expected() -> dict[str, Array]:
        """After the first step, when the bias of both means is corrected exactly."""
        new = np.empty(n, np.float32)
        for part in _pieces(n, _BLOCK):
            d = g[part].astype(np.float64)
            new[part] = before[part] - ADAM["lr"] * d / (np.abs(d) + ADAM["eps"])
        return {
            "p": new,
            "mean": (1 - ADAM["beta1"]) * g,
            "square": (1 - ADAM["beta2"]) * g * g,
        }

    # 1 - 0.999 in float32 is off by 1.3e-5.
    tolerance = {"p": 1e-5, "mean": 1e-5, "square": 1e-4}
    return Problem({"p": p, "g": g}, expected, tolerance, params)


# --- a training step of a multilayer perceptron: 3 linear layers, ReLU, Huber loss, Adam ----------


def _mlp(params: dict[str, Any]) -> Problem:
    batch, width, hidden = (int(params[k]) for k in ("batch", "width", "hidden"))
    inputs = {"x": _normal(1, 1.0, batch, width), "y": _normal(2, 1.0, batch, 1)}
    sizes = [width, hidden, hidden, 1]
    for k, (a, b) in enumerate(itertools.pairwise(sizes)):
        inputs[f"w{k}"] = _normal(3 + k, a**-0.5, b, a)
        inputs[f"b{k}"] = _normal(6 + k, 0.1, b)

    def expected() -> dict[str, Array]:
        from .mlp import NumpyMLP

        net = NumpyMLP({k: v.astype(np.float64) for k, v in inputs.items() if k[0] in "wb"})
        x, y = inputs["x"].astype(np.float64), inputs["y"].astype(np.float64)
        return {"losses": np.array([net.step(x, y) for _ in range(MLP_STEPS)])}

    return Problem(inputs, expected, {"losses": 1e-3}, params)


# --- programs of any length: what compiling them takes ------------------------------------------


def _chain(x: Any, count: int, softmax: Callable[[Any], Any]) -> Any:
    for k in range(count):
        x = x * 0.99 if k % 2 else x + 0.01
    return x


def _means(x: Any, count: int, softmax: Callable[[Any], Any]) -> Any:
    for _ in range(count):
        x = x - x.mean()
    return x


def _softmaxes(x: Any, count: int, softmax: Callable[[Any], Any]) -> Any:
    for _ in range(count):
        x = softmax(x)
    return x


def _layers(x: Any, count: int, softmax: Callable[[Any], Any]) -> Any:
    w = x * 0.25
    for _ in range(count):
        x = x @ w
        x = x * (x > 0.0)
    return x


def _steps(x: Any, count: int, softmax: Callable[[Any], Any]) -> Any:
    """Gradient descent written by hand: w that makes x @ w equal to x."""
    w = x
    for _ in range(count):
        w = w - (x.T @ (x @ w - x)) * (0.1 / SCALE_ROWS)
    return w


# Of an array, how often, and a softmax over rows, to an array: written once for all contenders.
PROGRAMS = {
    "chain": _chain, "means": _means, "softmaxes": _softmaxes, "layers": _layers, "steps": _steps,
}  # fmt: skip
SCALE_ROWS = 128


def _scale(params: dict[str, Any]) -> Problem:
    x = _normal(1, 1.0, SCALE_ROWS, SCALE_ROWS)

    def softmax(x: Array) -> Array:
        e = np.exp(x - x.max(1, keepdims=True))
        found: Array = e / e.sum(1, keepdims=True)
        return found

    def expected() -> dict[str, Array]:
        return {"out": PROGRAMS[params["program"]](x.astype(np.float64), params["count"], softmax)}

    return Problem({"x": x}, expected, {"out": 1e-3}, params)


# --- one of them, of hundreds of kernels, on a machine that others use ---------------------------


def _busy(params: dict[str, Any]) -> Problem:
    x = _normal(1, 1.0, params["n"])

    def expected() -> dict[str, Array]:
        return {"out": x - x.mean(dtype=np.float64)}

    return Problem({"x": x}, expected, {"out": 1e-3}, params)


# --- nothing to compare --------------------------------------------------------------------------


def _nothing(params: dict[str, Any]) -> Problem:
    return Problem({}, dict, {}, params)


_MAKE: dict[str, Callable[[dict[str, Any]], Problem]] = {
    "huber": _huber,
    "huber_call": _huber,
    "linear": _linear,
    "rows": _rows,
    "moves": _moves,
    "adam": _adam,
    "mlp": _mlp,
    "scale": _scale,
    "busy": _busy,
    "region": _nothing,
    "mix": _nothing,
}
