"""Correct rounding by search: the neighbours of a number among all floats of a format, compared as fractions.

Slow and plain, and made in another way than the simulator's, which shifts integers.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
WIDTH = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64}
_FRACTION_BITS = {"f16": 10, "bf16": 7, "f32": 23, "f64": 52}


def infinity(kind: str) -> int:
    """The bits of +inf: one more than those of the largest number."""
    bits = _FRACTION_BITS[kind]
    return ((1 << WIDTH[kind] - 1 - bits) - 1) << bits


def steps(bits: int, kind: str) -> int:
    """The size of bits without a sign, in units of the least denormal; infinity is the next power of two."""
    f = _FRACTION_BITS[kind]
    exponent, fraction = bits >> f, bits & (1 << f) - 1
    return (1 << f) + fraction << exponent - 1 if exponent else fraction


def unit(kind: str) -> Fraction:
    f = _FRACTION_BITS[kind]
    return Fraction(1, 1 << (1 << WIDTH[kind] - 2 - f) - 2 + f)


def rounded(value: Fraction, kind: str, mode: str = "rn") -> int:
    """The bits of a number other than 0."""
    top = infinity(kind)
    low, high = 0, top  # the bits of floats are in the order of their sizes
    size, negative = abs(value) / unit(kind), value < 0
    whole = size.numerator // size.denominator
    if whole >= steps(top, kind):
        low = top
    while high - low > 1:
        middle = (low + high) // 2
        if steps(middle, kind) <= whole:
            low = middle
        else:
            high = middle
    below, above = steps(low, kind), steps(low + 1, kind)
    if low == top:
        bits = low - (mode in ("rz", "rp" if negative else "rm"))
    elif below == size:
        bits = low
    elif mode == "rn":
        bits = low + (2 * size > below + above or (2 * size == below + above and low & 1 == 1))
    else:
        bits = low + (mode == ("rm" if negative else "rp"))
    return bits | negative << WIDTH[kind] - 1


def value(bits: int, kind: str) -> Fraction | float:
    """The number of some bits; inf and NaN are floats."""
    size, negative = bits & (1 << WIDTH[kind] - 1) - 1, bits >> WIDTH[kind] - 1
    if size > infinity(kind):
        return math.nan
    if size == infinity(kind):
        return -math.inf if negative else math.inf
    return (-1 if negative else 1) * steps(size, kind) * unit(kind)


def special(kind: str) -> list[int]:
    """Bits worth a try: zeros, denormals, the ends of the normal numbers, 1 and its neighbours, inf, NaN."""
    f, top = _FRACTION_BITS[kind], infinity(kind)
    one = ((1 << WIDTH[kind] - 2 - f) - 1) << f
    sizes = [
        0,
        1,
        2,
        3,
        (1 << f) - 1,
        1 << f,
        (1 << f) + 1,
        one - 1,
        one,
        one + 1,
        one + 2,
        one + (1 << f - 1),
    ]
    sizes += [one + (f + 1 << f), one + (f + 2 << f) + 1, one - (f + 1 << f), top - 1, top - 2, top, top + 1]
    return [s | sign << WIDTH[kind] - 1 for s in sizes for sign in (0, 1)]


def samples(kind: str, count: int, seed: int, spread: int | None = None) -> Array:
    """Random bits: of all exponents, or of those within `spread` of 1."""
    rng = np.random.default_rng(seed)
    f, width = _FRACTION_BITS[kind], WIDTH[kind]
    fraction = rng.integers(0, 1 << f, count, dtype=np.uint64)
    sparse = rng.integers(0, 3, count)  # a third has few bits set, a third nearly all: ties and carries
    few = np.uint64(1) << rng.integers(0, f, count).astype(np.uint64)
    fraction = np.where(sparse == 0, few, np.where(sparse == 1, few ^ np.uint64((1 << f) - 1), fraction))
    bias, most = (1 << width - 2 - f) - 1, (1 << width - 1 - f) - 2
    low, high = (0, most) if spread is None else (bias - spread, bias + spread)
    exponent = rng.integers(low, high + 1, count, dtype=np.int64).astype(np.uint64)
    sign = rng.integers(0, 2, count, dtype=np.int64).astype(np.uint64)
    bits = sign << np.uint64(width - 1) | exponent << np.uint64(f) | fraction
    return bits.astype(f"u{width // 8}")


def assert_same(got: Array, expected: Array, kind: str, *inputs: Array) -> None:
    """The same bits, but NaN where NaN."""
    top, mask = infinity(kind), (1 << WIDTH[kind] - 1) - 1
    sizes = [a.astype(np.uint64) & np.uint64(mask) for a in (got, expected)]
    wrong = np.flatnonzero((got != expected) & (np.minimum(*sizes) <= np.uint64(top)))
    if wrong.size:
        n = wrong[0]
        operands = ", ".join(hex(int(a[n])) for a in inputs)
        raise AssertionError(
            f"{wrong.size} of {got.size} differ: f({operands}) is {int(got[n]):#x}, not {int(expected[n]):#x}"
        )
