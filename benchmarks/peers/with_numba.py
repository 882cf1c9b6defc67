"""Numba: kernels written by hand, one pass over memory each, parallel, with fast-math."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import prange

from ..contender import Array, Contender, Offer, Problem
from ..problems import ADAM, DELTA, EPS, empty

PACKAGES = ("numba", "llvmlite")

# Where a test of the first call wants its cache; else each process compiles anew.
CACHE = "NUMBA_CACHE_DIR" in os.environ

F = TypeVar("F", bound=Callable[..., Any])
f32 = np.float32


def parallel(f: F) -> F:
    return cast(F, numba.njit(parallel=True, fastmath=True, cache=CACHE)(f))


def serial(f: F) -> F:
    return cast(F, numba.njit(fastmath=True, cache=CACHE)(f))


# --- Huber loss ----------------------------------------------------------------------------------
# With c = clip(d), the loss is c (d - c/2) and its gradient c: no branch.


@parallel
def huber_into(x: Any, y: Any, delta: Any, out: Any) -> Any:
    n = x.size
    scale = f32(1) / f32(n)
    total = f32(0)
    for i in prange(n):
        d = x[i] - y[i]
        c = min(max(d, -delta), delta)
        total += c * (d - f32(0.5) * c)
        out[i] = c * scale
    return total * scale


@parallel
def huber_new(x: Any, y: Any, delta: Any) -> Any:
    n = x.size
    out = np.empty_like(x)
    scale = f32(1) / f32(n)
    total = f32(0)
    for i in prange(n):
        d = x[i] - y[i]
        c = min(max(d, -delta), delta)
        total += c * (d - f32(0.5) * c)
        out[i] = c * scale
    return total * scale, out


@serial
def huber_serial(x: Any, y: Any, delta: Any) -> Any:
    n = x.size
    out = np.empty_like(x)
    scale = f32(1) / f32(n)
    total = f32(0)
    for i in range(n):
        d = x[i] - y[i]
        c = min(max(d, -delta), delta)
        total += c * (d - f32(0.5) * c)
        out[i] = c * scale
    return total * scale, out


def _gradient(out: Any) -> Mapping[str, Any]:
    return {"loss": out[0], "gx": out[1]}


def _huber(kernel: Callable[..., Any]) -> Callable[[Problem], Contender]:
    def maker(problem: Problem) -> Contender:
        args = problem.inputs["x"], problem.inputs["y"], f32(DELTA)
        return Contender(kernel, args, _gradient)

    return maker


def _huber_out(problem: Problem) -> Contender:
    x, y = problem.inputs["x"], problem.inputs["y"]
    out = empty(x.size)
    return Contender(huber_into, (x, y, f32(DELTA), out), lambda loss: {"loss": loss, "gx": out})


# --- linear Huber regression ---------------------------------------------------------------------


@parallel
def linear(x: Any, y: Any, w: Any, b: Any, delta: Any) -> Any:
    n, d = x.shape
    scale = f32(1) / f32(n)
    threads = numba.get_num_threads()
    losses, gbs = np.zeros(threads, np.float32), np.zeros(threads, np.float32)
    gws = np.zeros((threads, d), np.float32)
    for t in prange(threads):
        gw = np.zeros(d, np.float32)
        gb = loss = f32(0)
        for i in range(t * n // threads, (t + 1) * n // threads):
            p = f32(0)
            for j in range(d):
                p += x[i, j] * w[j]
            r = p + b - y[i]
            c = min(max(r, -delta), delta)
            loss += c * (r - f32(0.5) * c)
            gb += c
            for j in range(d):
                gw[j] += c * x[i, j]
        losses[t], gbs[t], gws[t] = loss, gb, gw
    return losses.sum() * scale, gws.sum(axis=0) * scale, gbs.sum() * scale


def _linear(problem: Problem) -> Contender:
    x, y, w, b = (problem.inputs[k] for k in ("x", "y", "w", "b"))
    args = x, y, w, f32(b[()]), f32(DELTA)
    return Contender(linear, args, lambda out: dict(zip(("loss", "gw", "gb"), out, strict=True)))


# --- rows ----------------------------------------------------------------------------------------


@parallel
def softmax(x: Any) -> Any:
    m, n = x.shape
    out = np.empty_like(x)
    for i in prange(m):
        top = x[i, 0]
        for j in range(n):
            top = max(top, x[i, j])
        total = f32(0)
        for j in range(n):
            out[i, j] = np.exp(x[i, j] - top)
            total += out[i, j]
        for j in range(n):
            out[i, j] /= total
    return out


@parallel
def softmax_both(x: Any, g: Any) -> Any:
    m, n = x.shape
    out, gx = np.empty_like(x), np.empty_like(x)
    for i in prange(m):
        top = x[i, 0]
        for j in range(n):
            top = max(top, x[i, j])
        total = dot = f32(0)
        for j in range(n):
            e = np.exp(x[i, j] - top)
            out[i, j] = e
            total += e
            dot += e * g[i, j]
        dot /= total
        for j in range(n):
            out[i, j] /= total
            gx[i, j] = out[i, j] * (g[i, j] - dot)
    return out, gx


@parallel
def log_softmax(x: Any) -> Any:
    m, n = x.shape
    out = np.empty_like(x)
    for i in prange(m):
        top = x[i, 0]
        for j in range(n):
            top = max(top, x[i, j])
        total = f32(0)
        for j in range(n):
            total += np.exp(x[i, j] - top)
        shift = top + np.log(total)
        for j in range(n):
            out[i, j] = x[i, j] - shift
    return out


@parallel
def log_softmax_both(x: Any, g: Any) -> Any:
    m, n = x.shape
    out, gx = np.empty_like(x), np.empty_like(x)
    for i in prange(m):
        top = x[i, 0]
        for j in range(n):
            top = max(top, x[i, j])
        total = sum_g = f32(0)
        for j in range(n):
            e = np.exp(x[i, j] - top)
            gx[i, j] = e
            total += e
            sum_g += g[i, j]
        shift, rate = top + np.log(total), sum_g / total
        for j in range(n):
            out[i, j] = x[i, j] - shift
            gx[i, j] = g[i, j] - gx[i, j] * rate
    return out, gx


@parallel
def layer_norm(x: Any, w: Any, b: Any, eps: Any) -> Any:
    m, n = x.shape
    out = np.empty_like(x)
    for i in prange(m):
        mean = var = f32(0)
        for j in range(n):
            mean += x[i, j]
        mean /= f32(n)
        for j in range(n):
            var += (x[i, j] - mean) * (x[i, j] - mean)
        rate = f32(1) / np.sqrt(var / f32(n) + eps)
        for j in range(n):
            out[i, j] = (x[i, j] - mean) * rate * w[j] + b[j]
    return out


@parallel
def layer_norm_both(x: Any, w: Any, b: Any, g: Any, eps: Any) -> Any:
    m, n = x.shape
    out, gx = np.empty_like(x), np.empty_like(x)
    threads = numba.get_num_threads()
    gws, gbs = np.zeros((threads, n), np.float32), np.zeros((threads, n), np.float32)
    for t in prange(threads):
        gw, gb = np.zeros(n, np.float32), np.zeros(n, np.float32)
        for i in range(t * m // threads, (t + 1) * m // threads):
            mean = var = f32(0)
            for j in range(n):
                mean += x[i, j]
            mean /= f32(n)
            for j in range(n):
                var += (x[i, j] - mean) * (x[i, j] - mean)
            rate = f32(1) / np.sqrt(var / f32(n) + eps)
            level = slope = f32(0)
            for j in range(n):
                h = (x[i, j] - mean) * rate
                out[i, j] = h * w[j] + b[j]
                level += g[i, j] * w[j]
                slope += g[i, j] * w[j] * h
                gw[j] += g[i, j] * h
                gb[j] += g[i, j]
            level /= f32(n)
            slope /= f32(n)
            for j in range(n):
                h = (x[i, j] - mean) * rate
                gx[i, j] = rate * (g[i, j] * w[j] - level - h * slope)
        gws[t], gbs[t] = gw, gb
    return out, gx, gws.sum(axis=0), gbs.sum(axis=0)


def _rows(problem: Problem) -> Contender:
    op, backward = problem.params["op"], problem.params["backward"]
    args = [problem.inputs[k] for k in ("x", "w", "b", "g") if k in problem.inputs]
    if op == "layer_norm":
        args.append(cast(Array, f32(EPS)))
    forward: dict[str, Callable[..., Any]] = {
        "softmax": softmax,
        "log_softmax": log_softmax,
        "layer_norm": layer_norm,
    }
    both: dict[str, Callable[..., Any]] = {
        "softmax": softmax_both, "log_softmax": log_softmax_both, "layer_norm": layer_norm_both,
    }  # fmt: skip
    if not backward:
        return Contender(forward[op], tuple(args), lambda out: {"out": out})
    names = ("out", "gx", "gw", "gb")
    return Contender(both[op], tuple(args), lambda out: dict(zip(names, out, strict=False)))


# --- Adam ----------------------------------------------------------------------------------------


@parallel
def adam(p: Any, g: Any, m: Any, v: Any, beta1: Any, beta2: Any, rate: Any, root: Any, eps: Any) -> Any:
    for i in prange(p.size):
        a = beta1 * m[i] + (f32(1) - beta1) * g[i]
        b = beta2 * v[i] + (f32(1) - beta2) * g[i] * g[i]
        m[i] = a
        v[i] = b
        p[i] -= rate * a / (np.sqrt(b) * root + eps)


def _adam(problem: Problem) -> Contender:
    parts = problem.params["tensors"]
    p, g = problem.inputs["p"].copy(), problem.inputs["g"]
    m, v = np.zeros_like(p), np.zeros_like(p)
    pieces = list(zip(*[np.split(a, parts) for a in (p, g, m, v)], strict=True))
    beta1, beta2 = ADAM["beta1"], ADAM["beta2"]
    steps = 0

    def call() -> None:
        nonlocal steps
        steps += 1
        rate = f32(ADAM["lr"] / (1 - beta1**steps))
        root = f32((1 - beta2**steps) ** -0.5)
        for a, b, c, d in pieces:
            adam(a, b, c, d, f32(beta1), f32(beta2), rate, root, f32(ADAM["eps"]))

    return Contender(call, (), lambda out: {"p": p, "mean": m, "square": v})


# --- hundreds of small parallel regions ----------------------------------------------------------


@parallel
def means(x: Any, count: int) -> Any:
    n = x.size
    out = x.copy()
    for _ in range(count):
        total = f32(0)
        for i in prange(n):
            total += out[i]
        mean = total / f32(n)
        for i in prange(n):
            out[i] -= mean
    return out


@serial
def means_serial(x: Any, count: int) -> Any:
    n = x.size
    out = x.copy()
    for _ in range(count):
        total = f32(0)
        for i in range(n):
            total += out[i]
        mean = total / f32(n)
        for i in range(n):
            out[i] -= mean
    return out


def means_on(layer: str) -> Callable[[Problem], Contender]:
    """ValueError, at the first call, where there is no such layer."""

    def maker(problem: Problem) -> Contender:
        numba.config.THREADING_LAYER = layer
        args = problem.inputs["x"], problem.params["count"]
        return Contender(means, args, lambda out: {"out": out})

    return maker


def _means_serial(problem: Problem) -> Contender:
    args = problem.inputs["x"], problem.params["count"]
    return Contender(means_serial, args, lambda out: {"out": out})


# --- a parallel region ---------------------------------------------------------------------------


@parallel
def region(out: Any) -> Any:
    for i in prange(2):
        out[i] = i


def _region(problem: Problem) -> Contender:
    return Contender(region, (np.zeros(2, np.float32),), lambda out: {})


OFFERS: Mapping[str, Offer] = {
    "huber": {
        "Numba, parallel": _huber(huber_new),
        "Numba, output reused": _huber_out,
        "Numba, one thread": _huber(huber_serial),
    },
    "huber_call": {
        "Numba, parallel": _huber(huber_new),
        "Numba, one thread": _huber(huber_serial),
    },
    "linear": {"Numba": _linear},
    "rows": {"Numba": _rows},
    "adam": {"Numba": _adam},
    "region": {"Numba": _region},
    "busy": {"Numba, OpenMP": means_on("omp"), "Numba, one thread": _means_serial},
}
