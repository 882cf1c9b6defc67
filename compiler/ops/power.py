"""x**y, as loop instructions: e**(y log|x|) with the logarithm to twice the precision, and a sign."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.loop import Builder, Operand
from ..ir.types import f64
from . import steps as st
from . import table_power
from .exponential import EXP, reduced

Magnitude = Callable[[Builder, Operand, Operand], Operand]

# ((2 atanh(s) - 2 s) / s**3 - 2/3) / z as above; of the whole logarithm: 2**-73.5
_ATANH = st.hexes(
    "0x1.9999999999996p-2 0x1.2492492492f51p-2 0x1.c71c71c5968fap-3 0x1.745d1829565f2p-3"
    " 0x1.3b1364c95fb69p-3 0x1.11206f287dd68p-3 0x1.de3d71d605badp-4 0x1.eac5b0b1550d3p-4"
)


def _power32(b: Builder, x: Operand, y: Operand) -> Operand:
    usual, rare = table_power.usual(b, x, y)
    return st.where(b, rare, usual, lambda: (_any(b, x, y, table_power.magnitude),))


@st.of_f32(_power32)
def power(b: Builder, x: Operand, y: Operand) -> Operand:
    """x**y, with the special cases of C99 (annex F): x**0 = 1 and 1**y = 1, of NaN too."""
    return _any(b, x, y, _power64)


def _any(b: Builder, x: Operand, y: Operand, magnitude: Magnitude) -> Operand:
    """By the power for x >= 0 and finite y."""
    # Where |y| >= 2**64, y is even and x**y is 0, inf or 1: so y may stay finite.
    exponent = st.clamp(b, y, -(2.0**64), 2.0**64)
    result = magnitude(b, abs(x), exponent)
    half = y * 0.5
    whole = b.op("eq", b.op("rint", y), y)
    odd = whole & b.op("ne", b.op("rint", half), half)
    result = st.with_sign(b, result, b.op("select", odd, st.sign_of(b, x), 0))
    undefined = (x < 0.0) & (x > -math.inf) & ~whole
    result = b.op("select", undefined, math.nan, result)
    return b.op("select", b.op("eq", y, 0.0) | b.op("eq", x, 1.0), 1.0, result)


def _power64(b: Builder, x: Operand, y: Operand) -> Operand:
    """float64 x**y for x >= 0 and finite y: e**(w + rest), where w + rest is y log x."""
    log, log_rest = _log_twice(b, x)
    _, lost = st.product(b, y, log)
    rest: Operand = b.op("fma", y, log_rest, lost)
    w = y * table_power.at_ends(b, x, log)
    # outside of the range of exp, `rest` may be large and means nothing
    inside = abs(w) < -EXP[f64].range[0]
    rest = b.op("select", inside, rest, 0.0)
    r, k = reduced(b, st.clamp(b, w, *EXP[f64].range))
    rest = b.op("fma", k, -st.F64.ln2_rest, rest)
    # e**(r + rest) = 1 + r + rest + r r g(r), and what r + rest and 1 + r lose in rounding. So only
    # the last sum counts, and where the result is a float64 it comes out exact: x**1, 3**5.
    exact = r
    r = exact + rest
    rest = rest - (r - exact)
    linear = 1.0 + r
    small = b.op("fma", rest, linear, r - (linear - 1.0))
    small = b.op("fma", r * r, st.horner(b, r, EXP[f64].exp), small)
    return b.op("scale", linear + small, k)


def _log_twice(b: Builder, x: Operand) -> tuple[Operand, Operand]:
    """log x of a positive float64 as a sum of two, to about 2**-65.

    log(m) = 2 s + s**3 (2/3 + z P(z)), s = f / (2 + f), z = s s. Each of s, z, s**3 and the bracket
    is a sum of two; the rest of a product is an fma, the rest of a sum the part that did not fit.
    """
    f, k = st.split(b, x)
    # s + s_rest = f / (d + d_rest), d + d_rest = 2 + f
    d = 2.0 + f
    d_rest = f - (d - 2.0)
    inverse = 1.0 / d
    s = f * inverse
    minus = -s
    left = b.op("fma", minus, d_rest, b.op("fma", minus, d, f))
    s_rest = left * inverse

    z, lost = st.product(b, s, s)
    z_rest = b.op("fma", s + s, s_rest, lost)
    cube, lost = st.product(b, s, z)
    cube_rest = b.op("fma", s, z_rest, b.op("fma", s_rest, z, lost))

    third = 2 / 3
    tail = z * st.horner(b, z, _ATANH)
    c = third + tail
    c_rest = tail - (c - third)
    c_rest = c_rest + float.fromhex("0x1.5555555555555p-55")
    c_rest = b.op("fma", z_rest, _ATANH[0], c_rest)

    term, lost = st.product(b, cube, c)
    term_rest = b.op("fma", cube_rest, c, b.op("fma", cube, c_rest, lost))
    # k ln2 + 2 s, with ln2 as rounded; k ln2 - total is exact: it is about -2 s
    twice = s + s
    total = b.op("fma", k, st.F64.ln2, twice)
    rest = b.op("fma", k, st.F64.ln2, -total) + twice
    rest = b.op("fma", k, st.F64.ln2_rest, rest)
    rest = b.op("fma", 2.0, s_rest, rest) + term_rest
    result = total + term
    return result, rest + (term - (result - total))
