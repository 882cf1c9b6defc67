"""Correctly rounded arithmetic: fused multiply-add, and conversions in every rounding mode.

NumPy rounds to nearest, and has no fused multiply-add. A wider float alone would round twice. So:
- float32 is computed in float64 and *rounded to odd* there (where the result is inexact its last bit is 1,
  as a sticky bit): rounding that once more, to a format of at least two bits less, is rounding once (Boldo
  & Melquiond, Emulation of FMA and correctly rounded sums, 2008).
- the fused multiply-add of float64 takes the product and the sums as exact pairs of floats, by the same
  paper; where an exponent is so large or small that a pair might overflow or lose bits, lane by lane with
  Python's integers.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from ..ir.rounding import to_odd

Array = np.ndarray[Any, Any]


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as a float64 and what it lacks, exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a * b as a float64 and what it lacks, exactly while nothing overflows or underflows (Dekker)."""
    p = a * b
    a1 = a * 134217729.0
    a1 = a1 - (a1 - a)
    b1 = b * 134217729.0
    b1 = b1 - (b1 - b)
    a2, b2 = a - a1, b - b1
    return p, a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2)


def odd(s: Array, error: Array) -> Array:
    """s + error, rounded to odd; s is the sum rounded to nearest, float64."""
    bits = s.view(np.int64)
    wrong = (error != 0) & (bits & 1 == 0) & np.isfinite(s) & (error == error)
    return (bits + np.where(wrong, np.where((error > 0) == (s > 0), 1, -1), 0)).view(np.float64)


def odd_sum(a: Array, b: Array) -> Array:
    """a + b rounded to odd."""
    return odd(*two_sum(a, b))


def odd_integer(a: Array) -> Array:
    """64-bit integers as float64, rounded to odd."""
    if a.dtype.itemsize < 8:
        return a.astype(np.float64)
    high = (a >> a.dtype.type(32)).astype(np.float64) * 4294967296.0
    return odd_sum(high, (a & a.dtype.type(0xFFFFFFFF)).astype(np.float64))


def narrow(x: Array, kind: str, mode: str) -> Array:
    """float64 to another format in one rounding, as its values (of bfloat16, its bits)."""
    if kind == "bf16":
        return _narrow_bfloat16(x, mode)
    target = np.dtype(np.float16) if kind == "f16" else np.dtype(np.float32)
    r = x.astype(target)
    if mode == "rn":
        return r
    wide = r.astype(np.float64)
    up, down = target.type(np.inf), target.type(-np.inf)
    if mode == "rm":
        return np.where(wide > x, np.nextafter(r, down), r)
    if mode == "rp":
        return np.where(wide < x, np.nextafter(r, up), r)
    return np.where(np.abs(wide) > np.abs(x), np.nextafter(r, target.type(0)), r)


def _narrow_bfloat16(x: Array, mode: str) -> Array:
    bits = to_odd(x).view(np.uint32)
    high, low, negative = bits >> np.uint32(16), bits & np.uint32(0xFFFF), bits >> np.uint32(31) == 1
    if mode == "rn":
        high = (bits + np.uint32(0x7FFF) + (high & np.uint32(1))) >> np.uint32(16)
    elif mode in ("rm", "rp"):
        high = high + ((low != 0) & (negative == (mode == "rm"))).astype(np.uint32)
    return np.where(x != x, np.uint32(0x7FFF), high).astype(np.uint16)


def fma(a: Array, b: Array, c: Array) -> Array:
    """a * b + c, rounded once, to nearest: arrays of one dtype of floats."""
    with np.errstate(all="ignore"):
        return (fma64 if a.dtype == np.float64 else fma32)(a, b, c).astype(a.dtype, copy=False)


def fma32(a: Array, b: Array, c: Array) -> Array:
    """Of float32 or float16, as float64 rounded to odd: the product is exact there, the sum is one
    operation.
    """
    return odd_sum(a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64))


def fma32_nearest(a: Array, b: Array, c: Array) -> Array:
    """`narrow(fma32(a, b, c), "f32", "rn")`, in less time: rounding twice is wrong only where the first
    rounding ends half-way between two float32, or below the normal ones.
    """
    p, c64 = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
    s = p + c64
    doubtful = (s.view(np.int64) & 0x1FFFFFFF) == 0x10000000
    doubtful |= np.abs(s) < 1.2e-38
    r = s.astype(np.float32)
    if doubtful.any():
        p, c64 = np.broadcast_to(p, s.shape)[doubtful], np.broadcast_to(c64, s.shape)[doubtful]
        r[doubtful] = odd_sum(p, c64).astype(np.float32)
    return r


def fma64(a: Array, b: Array, c: Array) -> Array:
    """The fused multiply-add of float64, to nearest."""
    a, b, c = (np.ascontiguousarray(v) for v in np.broadcast_arrays(a, b, c))
    low, high = 2.0**-900, 2.0**900
    product, addend = np.abs(a * b), np.abs(c)
    ordinary = (product > low) & (product < high) & (np.abs(a) < high) & (np.abs(b) < high) & (addend < high)
    ordinary &= (addend > low) | (c == 0)
    if ordinary.all():
        return _ordinary_fma64(a, b, c)
    # right where an operand is 0 or not finite; a product of finite numbers is finite, though it overflows
    r = np.where(np.isinf(c) & np.isfinite(a) & np.isfinite(b), c, a * b + c)
    r[ordinary] = _ordinary_fma64(a[ordinary], b[ordinary], c[ordinary])
    hard = ~ordinary & (a != 0) & (b != 0) & np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    if hard.any():
        lanes = zip(a[hard].tolist(), b[hard].tolist(), c[hard].tolist(), strict=True)
        r[hard] = [_hard_fma64(*lane) for lane in lanes]
    return r


def _ordinary_fma64(a: Array, b: Array, c: Array) -> Array:
    """Where pairs of floats are exact: a * b + c = s + t, but for an error of t that is at most half of its
    last bit. Where s and t a little smaller or larger are one float, that is the result.
    """
    u, ul = two_product(a, b)
    s, e = two_sum(u, c)
    t = e + ul
    r, other = s + t * (1 - 2.0**-52), s + t * (1 + 2.0**-52)
    doubtful = r != other
    if doubtful.any():
        t, tl = two_sum(c[doubtful], ul[doubtful])
        v, vl = two_sum(u[doubtful], t)
        r[doubtful] = v + odd_sum(tl, vl)
    return r


def _hard_fma64(a: float, b: float, c: float) -> float:
    """Of numbers other than 0, by Python's integers: a few µs."""
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
