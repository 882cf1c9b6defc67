"""Floating-point instructions on arrays of threads, of float32, float64, float16 and bfloat16, to nearest.

Halves are computed in float32 and rounded once more, which for + - * of 11 bits is rounding once (24 >= 2 *
11 + 2). A NaN that arithmetic makes is the canonical one of devices, 0x7fffffff for float32 and 0x7fff for
halves; that of float64 is NumPy's.
"""

# NumPy knows no dtypes here, so its results are Any.
# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler.interpret import exact

from .ptx import Array

Modifiers = dict[str, str]
Function = Callable[..., Any]
HALVES = ("f16", "bf16")


def widened(a: Array, kind: str) -> Array:
    """Halves as float32; float32 and float64 as they are."""
    if kind == "f16":
        return a.view(np.float16).astype(np.float32)
    if kind == "bf16":
        return (a.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    return a


def canonical(r: Array) -> Array:
    """The NaN of devices."""
    if r.dtype.itemsize == 8:
        return r
    bad = r != r
    if bad.any():
        unsigned = f"u{r.dtype.itemsize}"
        pattern = np.array(0x7FFFFFFF if r.dtype.itemsize == 4 else 0x7FFF, unsigned)
        r = np.where(bad, pattern, r.view(unsigned)).view(r.dtype)
    return r


def saturated(r: Array) -> Array:
    """Into 0 … 1; NaN is +0."""
    return np.where(r > 0, np.minimum(r, r.dtype.type(1)), r.dtype.type(0))


def _finish(x: Array, kind: str) -> Array:
    """A result in the format of the instruction, from float32, or from float64 that was rounded to odd."""
    if kind in HALVES:
        x = exact.narrow(x.astype(np.float64), kind, "rn")
    return x if kind == "bf16" else canonical(x)


_BINARY: dict[str, Function] = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}


def binary(op: str) -> Callable[[Modifiers], Function]:
    function = _BINARY[op]

    def build(modifiers: Modifiers) -> Function:
        kind = modifiers["T"]
        return lambda a, b: _finish(function(widened(a, kind), widened(b, kind)), kind)

    return build


def fma(modifiers: Modifiers) -> Function:
    kind = modifiers["T"]
    if kind == "f64":
        return exact.fma64
    function = exact.fma32_nearest if kind == "f32" else exact.fma32
    return lambda *args: _finish(function(*(widened(a, kind) for a in args)), kind)


def mixed(op: str) -> Callable[[Modifiers], Function]:
    """Of float32, but all operands except the last are halves."""

    def build(modifiers: Modifiers) -> Function:
        function, half = (fma if op == "fma" else binary(op))(modifiers), modifiers["U"]
        return lambda *args: function(*(widened(a, half) for a in args[:-1]), args[-1])

    return build


def reciprocal(modifiers: Modifiers) -> Function:
    divide = binary("div")(modifiers)
    return lambda a: divide(np.ones((1,), a.dtype), a)


def square_root(a: Array) -> Array:
    return canonical(np.sqrt(a))


_SIGN = {"f32": 0x80000000, "f64": 1 << 63, "f16": 0x8000, "bf16": 0x8000}


def _raw(a: Array) -> Array:
    return a.view(f"u{a.dtype.itemsize}")


def negative(modifiers: Modifiers) -> Function:
    sign = _SIGN[modifiers["T"]]
    return lambda a: (_raw(a) ^ _raw(a).dtype.type(sign)).view(a.dtype)


def absolute(modifiers: Modifiers) -> Function:
    sign = _SIGN[modifiers["T"]]
    return lambda a: (_raw(a) & ~_raw(a).dtype.type(sign)).view(a.dtype)


def copysign(a: Array, b: Array) -> Array:
    """The sign of the first, the size of the second."""
    sign = _raw(a).dtype.type(_SIGN["f32" if a.dtype.itemsize == 4 else "f64"])
    return (_raw(a) & sign | _raw(b) & ~sign).view(a.dtype)


def _extreme(a: Array, b: Array, least: bool) -> Array:
    """-0 is less than +0. A NaN loses against a number."""
    r = np.fmin(a, b) if least else np.fmax(a, b)
    x, y = _raw(a), _raw(b)
    return np.where(a == b, (x | y if least else x & y).view(a.dtype), r)


def extreme(least: bool) -> Callable[[Modifiers], Function]:
    """`min` or `max`."""

    def build(modifiers: Modifiers) -> Function:
        kind = modifiers["T"]
        return lambda a, b: _finish(_extreme(widened(a, kind), widened(b, kind), least), kind)

    return build


_COMPARE: dict[str, Function] = {
    "eq": np.equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "neu": np.not_equal,
}  # fmt: skip
_OPPOSITE = {"equ": "ne", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}


def compare(cmp: str, a: Array, b: Array) -> Array:
    """Ordered comparisons are false where a NaN is; those that end in `u` are true."""
    if cmp == "num":
        return (a == a) & (b == b)
    if cmp == "nan":
        return (a != a) | (b != b)
    if cmp == "ne":
        return (a < b) | (a > b)
    if cmp in _OPPOSITE:
        return ~compare(_OPPOSITE[cmp], a, b)
    result: Array = _COMPARE[cmp](a, b)
    return result


def setp(modifiers: Modifiers) -> Function:
    cmp, kind = modifiers["cmp"], modifiers["T"]
    return lambda a, b: compare(cmp, widened(a, kind), widened(b, kind))
