"""Integer, logic and selection instructions on arrays of threads. All arithmetic is modulo 2^bits."""

# NumPy knows no dtypes here, so its results are Any.
# mypy: no-warn-return-any

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .ptx import Array

Function = Callable[..., Any]


def bits(a: Array) -> int:
    return a.dtype.itemsize * 8


def as_unsigned(a: Array) -> Array:
    return a.view(f"u{a.dtype.itemsize}")


def mul_wide(a: Array, b: Array) -> Array:
    wide = f"{a.dtype.kind}{a.dtype.itemsize * 2}"
    return a.astype(wide) * b.astype(wide)


def mul_hi(a: Array, b: Array) -> Array:
    """The upper half of the product."""
    if a.dtype.itemsize < 8:
        return (mul_wide(a, b) >> bits(a)).astype(a.dtype)
    x, y = as_unsigned(a), as_unsigned(b)
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    x0, x1, y0, y1 = x & low, x >> half, y & low, y >> half
    middle = (x0 * y0 >> half) + x1 * y0
    carry = (middle & low) + x0 * y1
    high = x1 * y1 + (middle >> half) + (carry >> half)
    if a.dtype.kind == "i":  # a as unsigned is a + 2^64 where a < 0
        high = high - np.where(a < 0, y, np.uint64(0)) - np.where(b < 0, x, np.uint64(0))
    return high.view(a.dtype)


def div(a: Array, b: Array) -> Array:
    """Towards zero. By zero: all bits set, as devices do (PTX leaves it open)."""
    safe = np.where(b == 0, b.dtype.type(1), b)
    quotient = a // safe
    if a.dtype.kind == "i":
        quotient = quotient + ((quotient * safe != a) & ((a < 0) != (safe < 0))).astype(a.dtype)
    return np.where(b == 0, ~(a ^ a), quotient)


def rem(a: Array, b: Array) -> Array:
    """What `div` leaves; of a division by zero, the dividend."""
    safe = np.where(b == 0, b.dtype.type(1), b)
    return np.where(b == 0, a, a - div(a, safe) * safe)


def shl(a: Array, n: Array) -> Array:
    """Amounts beyond the width shift everything out."""
    width = bits(a)
    shifted = a << np.minimum(n, width - 1).astype(a.dtype)
    return np.where(n >= width, a.dtype.type(0), shifted)


def shr(a: Array, n: Array) -> Array:
    width = bits(a)
    shifted = a >> np.minimum(n, width - 1).astype(a.dtype)
    return shifted if a.dtype.kind == "i" else np.where(n >= width, a.dtype.type(0), shifted)


def funnel(modifiers: dict[str, str]) -> Function:
    """A shift of the 64 bits `b:a`; to the left its upper half is the result, to the right its lower."""
    left, wrap = modifiers["way"] == "l", modifiers["how"] == "wrap"

    def shift(a: Array, b: Array, n: Array) -> Array:
        amount = (n & 31 if wrap else np.minimum(n, 32)).astype(np.uint64)
        both = b.astype(np.uint64) << np.uint64(32) | a.astype(np.uint64)
        if left:
            return (both << amount >> np.uint64(32)).astype(np.uint32)
        return (both >> amount).astype(np.uint32)

    return shift


def prmt(a: Array, b: Array, selector: Array) -> Array:
    """Byte n of the result is the byte of `b:a` that nibble n names, or copies of its sign."""
    both = b.astype(np.uint64) << np.uint64(32) | a.astype(np.uint64)
    result = np.zeros(np.broadcast_shapes(both.shape, selector.shape), np.uint32)
    for n in range(4):
        nibble = selector >> np.uint32(4 * n) & np.uint32(15)
        byte = (both >> ((nibble & 7) * 8).astype(np.uint64) & np.uint64(255)).astype(np.uint32)
        byte = np.where(nibble & 8, np.where(byte & 128, np.uint32(255), np.uint32(0)), byte)
        result |= byte << np.uint32(8 * n)
    return result


def _low_mask(length: Array, width: int, dtype: Any) -> Array:
    """`length` ones from the bottom."""
    ones = ~np.zeros((), dtype)
    some = ones >> (width - np.clip(length, 1, width)).astype(dtype)
    return np.where(length == 0, ones.dtype.type(0), some)


def bfe(a: Array, start: Array, length: Array) -> Array:
    """Bits from `start`; beyond the highest bit, and above the field, signed types repeat the sign."""
    width, raw = bits(a), as_unsigned(a)
    start, length = (start & 255).astype(np.int64), (length & 255).astype(np.int64)
    field = np.where(start >= width, raw.dtype.type(0), raw >> np.minimum(start, width - 1).astype(raw.dtype))
    mask = _low_mask(length, width, raw.dtype)
    if a.dtype.kind == "u":
        return field & mask
    top = np.minimum(start + length - 1, width - 1)
    sign = (length > 0) & ((raw >> np.maximum(top, 0).astype(raw.dtype) & raw.dtype.type(1)) == 1)
    real = _low_mask(np.minimum(length, np.maximum(width - start, 0)), width, raw.dtype)
    return np.where(sign, field & mask | ~real, field & mask).view(a.dtype)


def select(a: Array, b: Array, p: Array) -> Array:
    return np.where(p, a, b)


_COMPARE: dict[str, Function] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip


def setp(modifiers: dict[str, str]) -> Function:
    return _COMPARE[modifiers["cmp"]]
