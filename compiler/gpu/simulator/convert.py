"""Conversions: between integers, between floats, and across, with every rounding and saturation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler.interpret import exact

from .floats import canonical, saturated, widened
from .ptx import DTYPES, Array

Modifiers = dict[str, str]
Function = Callable[..., Any]

_ROUND: dict[str, Function] = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
_FLOATS = ("f16", "bf16", "f32", "f64")


def cvt(modifiers: Modifiers) -> Function:
    to, of = modifiers["T"], modifiers["U"]
    sat, mode = bool(modifiers.get("sat")), modifiers.get("rnd", "rn")
    if of not in _FLOATS:
        if to not in _FLOATS:
            return lambda a: _integer_to_integer(a, to, sat)
        return lambda a: _limited(_integer_to_float(a, to, mode), to, sat)
    if to not in _FLOATS:
        return lambda a: _float_to_integer(a, of, to, modifiers["to_int"])

    def compute(a: Array) -> Array:
        x = widened(a, of)
        if "to_int" in modifiers:
            x = _ROUND[modifiers["to_int"]](x)
        return _limited(_float_to_float(x, to, mode), to, sat)

    return compute


def _limited(r: Array, kind: str, sat: bool) -> Array:
    if kind == "bf16":  # as bits, and nothing saturates
        return r
    return canonical(saturated(r) if sat else r)


def _float_to_float(x: Array, kind: str, mode: str) -> Array:
    if kind == "f64":
        return x.astype(np.float64)
    return exact.narrow(x.astype(np.float64), kind, mode)


def _integer_to_float(a: Array, kind: str, mode: str) -> Array:
    if kind != "f64":
        return exact.narrow(exact.odd_integer(a), kind, mode)
    r = a.astype(np.float64)
    if mode == "rn" or a.dtype.itemsize < 8:
        return r
    # the remainder is exact as a sum of two integers below 2^53
    high = (a >> a.dtype.type(32)).astype(np.float64) * 4294967296.0
    low = (a & a.dtype.type(0xFFFFFFFF)).astype(np.float64)
    s, error = exact.two_sum(high, low)
    if mode == "rz":
        mode_up, mode_down = (s < 0) & (error > 0), (s > 0) & (error < 0)
    else:
        mode_up, mode_down = (error > 0) & (mode == "rp"), (error < 0) & (mode == "rm")
    s = np.where(mode_up, np.nextafter(s, np.inf), s)
    return np.where(mode_down, np.nextafter(s, -np.inf), s)


def _float_to_integer(a: Array, of: str, to: str, rounding: str) -> Array:
    """Saturates. NaN becomes 0, but of float64 or as 64 bits the number whose highest bit alone is set."""
    x = _ROUND[rounding](widened(a, of).astype(np.float64))
    target = DTYPES[to]
    info = np.iinfo(target)
    over, under = x >= float(info.max) + 1, x < float(info.min)
    if target.itemsize < 8:
        over = x > info.max
    nan = x != x
    safe = np.where(over | under | nan, 0.0, x)
    low, high = target.type(info.min), target.type(info.max)
    r = np.where(over, high, np.where(under, low, safe.astype(target)))
    highest = 1 << target.itemsize * 8 - 1
    value = highest - (2 * highest if target.kind == "i" else 0) if of == "f64" or target.itemsize == 8 else 0
    return np.where(nan, target.type(value), r)


def _integer_to_integer(a: Array, to: str, sat: bool) -> Array:
    target = DTYPES[to]
    if not sat:
        return a.astype(target)
    low, high, source = np.iinfo(target).min, np.iinfo(target).max, np.iinfo(a.dtype)
    if low > source.min:
        a = np.maximum(a, a.dtype.type(low))
    if high < source.max:
        a = np.minimum(a, a.dtype.type(high))
    return a.astype(target)
