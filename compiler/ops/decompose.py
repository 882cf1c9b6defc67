"""How one element of an op is computed, in loop instructions.

Each function takes a builder and the operands, scalars or vectors alike, and returns the value, of which
`cast` is told the dtype. Nothing here calls a library, so code inlines, vectorises, and gives the same bits
on every target.
"""

from __future__ import annotations

import math
from functools import partial

from ..ir.loop import Builder, Imm, Operand
from ..ir.types import DType, b1, f16, f32, f64, i32, i64
from . import steps as st
from .random import threefry


def cast(b: Builder, x: Operand, dtype: DType) -> Operand:
    if x.dtype == dtype:
        return x
    x = b.widened(x)
    if dtype is b1:
        return b.op("ne", x, 0)
    if dtype.wide is None:
        return x if x.dtype is dtype else b.op("cast", x, dtype=dtype)
    if x.dtype is f64 or (not x.dtype.is_float and x.dtype.bits >= 32):  # what float32 may round
        x = _round_to_odd(b, x if x.dtype is f64 else b.op("cast", x, dtype=f64))
    elif x.dtype is not dtype.wide:
        x = b.op("cast", x, dtype=dtype.wide)
    return b.op("cast", x, dtype=dtype)


def _round_to_odd(b: Builder, x: Operand) -> Operand:
    """float64 to float32, inexact results made odd: a second rounding, to a format of 16 bits, is then
    right."""
    near = b.op("cast", x, dtype=f32)
    back = b.op("cast", near, dtype=f64)
    bits = b.op("bitcast", near, dtype=i32)
    beyond = abs(back) > abs(x)
    odd = b.op("select", beyond, bits - 1, bits) | 1
    inexact = b.op("ne", back, x) & b.op("eq", x, x)
    return b.op("bitcast", b.op("select", inexact, odd, bits), dtype=f32)


def absolute(b: Builder, x: Operand) -> Operand:
    if x.dtype.kind == "u":
        return x
    if x.dtype.is_float:
        return abs(x)
    return b.op("select", x < 0, -x, x)


def place(b: Builder, index: Operand, n: Operand) -> Operand:
    if index.dtype.kind == "u":
        return index
    return b.op("select", index < 0, index + n, index)


def natural(b: Builder, x: Operand) -> Operand:
    return x if x.dtype.kind == "u" else b.op("select", x < 0, 0, x)


def sign(b: Builder, x: Operand) -> Operand:
    """NumPy's: -1, 0, 1; NaN stays; -0.0 gives 0.0."""
    if x.dtype.is_float:
        return b.op("sign", x)
    one = b.imm(1, x)
    if x.dtype.kind == "u":
        return b.op("select", b.op("ne", x, 0), one, 0)
    unit = b.op("select", x < 0, -1, one)
    return b.op("select", b.op("eq", x, 0), 0, unit)


def _extreme(better: str) -> st.Lower:
    def lower(b: Builder, x: Operand, y: Operand) -> Operand:
        """NumPy's: a NaN operand wins, the first one first; between equals (+0, -0) the second, but
        for float16, where NumPy keeps the first."""
        dtype = x.dtype
        if dtype is b1:
            return b.op("or" if better == "gt" else "and", x, y)
        if dtype in (f32, f64):
            return b.op("max" if better == "gt" else "min", x, y)
        if dtype.wide is None and dtype.is_float:
            raise TypeError(f"no order is known for {dtype}")
        p, q = b.widened(x), b.widened(y)
        test = f"{better[0]}e" if dtype is f16 else better
        best = b.op("select", b.op(test, p, q), x, y)
        return b.op("select", b.op("ne", p, p), x, best) if dtype.is_float else best

    return lower


maximum = _extreme("gt")
minimum = _extreme("lt")


def _int_divide(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """Floor quotient and remainder. x // 0 is 0 and x % 0 is 0; MIN // -1 wraps to MIN. Of a power of two
    both are one instruction; LLVM's `sdiv` by one is wrong for squares of small numbers (22.1, vectors
    of i64)."""
    if isinstance(y, Imm) and y.value > 0 and not int(y.value) & (int(y.value) - 1):
        places = int(y.value).bit_length() - 1
        return x >> places, x & int(y.value) - 1
    if x.dtype.bits < 64:
        return _small_divide(b, x, y)
    if x.dtype.kind == "i":
        return _long_divide(b, x, y)
    by_zero = b.op("eq", y, 0)
    safe = b.op("select", by_zero, 1, y)
    q, r = x // safe, x % safe
    return b.op("select", by_zero, 0, q), b.op("select", by_zero, 0, r)


def _long_divide(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """The same for 64 bits and a sign, in two steps of float64, as instructions that divide take one element
    at a time. The first quotient is off by 2**-51 of itself, and a half: what it leaves of x fits 64 bits, as
    it is at most |y| / 2 + 2**12 (or 2**10 for y = 1 and -1, where the greatest quotients are held back). The
    second one, of that, is off by a half and next to nothing: so the rest is less than |y|, with either sign.
    Integers wrap, and both rests are exact."""
    zero, d = b.imm(0, x), b.op("cast", y, dtype=f64)
    by_zero = b.op("eq", y, 0)
    inverse = b.op("select", by_zero, 0.0, 1.0 / d)
    q: Operand = zero
    r: Operand = x
    for _ in range(2):
        found = b.op("rint", b.op("cast", r, dtype=f64) * inverse)
        part = b.op("cast", b.op("min", found, math.ldexp(1, 63) - 1024), dtype=i64)
        q, r = q + part, r - part * y
    # the remainder has the divisor's sign
    adjust = b.op("ne", r, zero) & (r ^ y < zero)
    q = b.op("select", adjust, q - 1, q)
    r = b.op("select", adjust, r + y, r)
    return b.op("select", by_zero, zero, q), b.op("select", by_zero, zero, r)


def _small_divide(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """The same in floats, for vectors of integers would be divided one by one: floor((x + 1/2) / y), or
    x - 1/2 for y < 0. That is 1/(2y) away from whole numbers; the product with a rounded 1/y is off by
    1/(128y) at most: x and y have 16 bits in float32, 32 in float64. Of a y that is the same everywhere 1/y
    is made once."""
    dtype = x.dtype
    wide, bits, fraction = (f32, i32, 23) if dtype.bits <= 16 else (f64, i64, 52)
    a, d = b.op("cast", x, dtype=wide), b.op("cast", y, dtype=wide)
    half: Operand = b.imm(0.5, d)
    by_zero = b.op("eq", d, 0.0)
    inverse = b.op("select", by_zero, 0.0, 1.0 / d)
    if dtype.kind == "i":
        half = b.op("select", d < 0.0, -0.5, half)
    q = b.op("floor", (a + half) * inverse)
    r = b.op("select", by_zero, 0.0, a - q * d)
    # A whole number stands in the low bits of its sum with this one, as an integer that wraps.
    shifter = math.ldexp(1.5, fraction)
    first, second = (b.op("bitcast", v + shifter, dtype=bits) for v in (q, r))
    return b.op("cast", first, dtype=dtype), b.op("cast", second, dtype=dtype)


def _float_divide(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """NumPy's npy_divmod: the remainder has the divisor's sign, the quotient is a whole number."""
    zero = b.imm(0, x)
    r = x % y
    q = (x - r) / y
    r_zero = b.op("eq", r, zero)
    signed_zero = st.copied_sign(b, zero, y)
    wrong_side = b.op("ne", y < zero, r < zero)
    adjust = wrong_side & b.op("ne", r, zero)
    r = b.op("select", adjust, r + y, r)
    q = b.op("select", adjust, q - 1, q)
    r = b.op("select", r_zero, signed_zero, r)
    floor = b.op("floor", q)
    snap = b.op("select", q - floor > 0.5, floor + 1, floor)
    snap = b.op("select", b.op("eq", q, zero), st.copied_sign(b, zero, x / y), snap)
    by_zero = b.op("eq", y, zero)
    return b.op("select", by_zero, x / y, snap), b.op("select", by_zero, x % y, r)


def fmod(b: Builder, x: Operand, y: Operand) -> Operand:
    """NumPy's: what is left after division towards zero; of integers x fmod 0 is 0."""
    if x.dtype.is_float:
        return x % y
    none: Operand = b.op("eq", y, 0)
    if x.dtype.kind == "i":  # MIN rem -1 has no meaning
        none = none | b.op("eq", y, -1)
    return b.op("select", none, 0, x % b.op("select", none, 1, y))


def copysign(b: Builder, x: Operand, y: Operand) -> Operand:
    return st.copied_sign(b, x, y)


def floordiv(b: Builder, x: Operand, y: Operand) -> Operand:
    return (_float_divide if x.dtype.is_float else _int_divide)(b, x, y)[0]


def mod(b: Builder, x: Operand, y: Operand) -> Operand:
    return (_float_divide if x.dtype.is_float else _int_divide)(b, x, y)[1]


def _shift(name: str) -> st.Lower:
    def lower(b: Builder, x: Operand, amount: Operand) -> Operand:
        """NumPy's: an amount outside of 0..width-1 shifts everything out (the sign stays)."""
        last, signed = x.dtype.bits - 1, x.dtype.kind == "i"
        inside = amount <= last
        if signed:
            inside = inside & (amount >= 0)
        kept = b.op(name, x, b.op("select", inside, amount, last))
        if name == "shr" and signed:
            return kept  # a shift by width-1 leaves only the sign, as shifting further would
        return b.op("select", inside, kept, 0)

    return lower


shift_left = _shift("shl")
shift_right = _shift("shr")


def random_bits(b: Builder, k0: Operand, k1: Operand, c0: Operand, c1: Operand) -> Operand:
    def rotate(x: Operand, places: int) -> Operand:
        return x << places | x >> 32 - places

    add, xor = partial(b.op, "add"), partial(b.op, "xor")
    return threefry((k0, k1), (c0, c1), add, xor, rotate, lambda value: b.imm(value, k0))
