"""arcsin, arccos, arctan and arctan2, as loop instructions; of float32: `arcs_single.py`.

    arcsin(a) = s + s z P(z), z = s s, s = a up to 1/2; beyond, pi/2 - 2 arcsin(s), s = sqrt((1 - a) / 2)
    arctan(n/d) = q pi/4 + t + t z P(z), z = t t, for n <= d: t = n/d up to 1/2; beyond, (n - d) / (n + d)

The largest terms are added with what rounding loses, and so is what is lost in s and t, about.
"""

from __future__ import annotations

import math

from ..ir.loop import Builder, Operand
from . import arcs_single
from . import steps as st

_PI = (float.fromhex("0x1.921fb54442d18p+1"), float.fromhex("0x1.1a62633145c07p-53"))  # rounded, and the rest
# (asin(s) / s - 1) / z in powers of z = s**2, s <= 1/2: 2**-59.9
_ASIN = st.hexes(
    "0x1.5555555555577p-3 0x1.333333332e136p-4 0x1.6db6db7212088p-5 0x1.f1c71a951f299p-6"
    " 0x1.6e8bdedac9cd7p-6 0x1.1c49f0c578a3cp-6 0x1.ca1f834df3773p-7 0x1.7585ddbfd39abp-7"
    " 0x1.613ab4aeed371p-7 0x1.e61125e1c7c7fp-9 0x1.63942b3aa736fp-6 -0x1.57f1fe9f1e367p-6"
    " 0x1.0b433a58f2119p-5"
)
# (atan(t) / t - 1) / z, |t| <= 1/2: 2**-57.8
_ATAN = st.hexes(
    "-0x1.5555555555516p-2 0x1.999999999113cp-3 -0x1.249249215db83p-3 0x1.c71c7090d8c17p-4"
    " -0x1.745cf4c98f362p-4 0x1.3b113da623138p-4 -0x1.10f31dfdc5113p-4 0x1.dfe9680d12343p-5"
    " -0x1.a3981cf7b079cp-5 0x1.56f4f1472d7f3p-5 -0x1.c17d10278cbb9p-6 0x1.4b80156317782p-7"
)
_TINY = (2.0**-900, 2.0**200)  # below, what a quotient loses may be too small: times this


def _plus(b: Builder, base: st.Pair, sign: Operand, x: Operand, rest: Operand) -> Operand:
    """base + sign (x + rest); the base is 0, or above |sign x|."""
    total, lost = st.fast_sum(b, base[0], sign * x)
    return total + (lost + b.op("fma", sign, rest, base[1]))


def _arcsine(b: Builder, a: Operand) -> tuple[Operand, Operand, Operand]:
    """(far, s, rest): arcsin(a) is s + rest up to 1/2, and pi/2 - 2 (s + rest) beyond, where far is true."""
    far = a > 0.5
    z = b.op("select", far, b.op("fma", a, -0.5, 0.5), a * a)
    root = b.op("sqrt", z)
    left: Operand = b.op("fma", -root, root, z)
    left = left * st.about_inverse(b, root + root)
    s = b.op("select", far, root, a)
    left = b.op("select", far, left, 0.0)
    return far, s, b.op("fma", s * z, st.horner(b, z, _ASIN), left)


@st.of_f32(arcs_single.arcsin)
@st.odd(None, st.F64.half)
def arcsin(b: Builder, x: Operand) -> Operand:
    """The inverse of sin. -0 at -0, NaN beyond 1."""
    far, s, rest = _arcsine(b, x)
    pi, pi_rest = (b.op("select", far, b.imm(p / 2, x), 0.0) for p in _PI)
    sign = b.op("select", far, b.imm(-2.0, x), 1.0)
    return _plus(b, (pi, pi_rest), sign, s, rest)


@st.of_f32(arcs_single.arccos)
def arccos(b: Builder, x: Operand) -> Operand:
    """The inverse of cos. 0 at 1, NaN beyond."""
    far, s, rest = _arcsine(b, st.at_least(b, abs(x), st.F64.least))
    negative = x < 0.0
    pi, pi_rest = (b.op("select", far, b.op("select", negative, b.imm(p, x), 0.0), p / 2) for p in _PI)
    beyond = b.op("select", negative, b.imm(-2.0, x), 2.0)
    sign = b.op("select", negative, b.imm(1.0, x), -1.0)
    sign = b.op("select", far, beyond, sign)
    return _plus(b, (pi, pi_rest), sign, s, rest)


def _arctangent(
    b: Builder, n: Operand, d: Operand, start: Operand, sign: Operand, tiny: Operand | None = None
) -> Operand:
    """start pi/4 + sign arctan(n/d), 0 <= n <= d; n/d itself where that is tiny."""
    one = b.imm(1.0, n)
    far = n > d * 0.5
    both, both_rest = st.fast_sum(b, d, n)
    n = b.op("select", far, n - d, n)  # exact
    d, d_rest = b.op("select", far, both, d), b.op("select", far, both_rest, 0.0)
    t = n / d
    s: Operand = t
    if tiny is not None:
        n, s = b.op("select", tiny, 0.0, n), b.op("select", tiny, 0.0, t)
    minus = -s
    left: Operand = b.op("fma", minus, d_rest, b.op("fma", minus, d, n))
    z = s * s
    left = left * st.about_inverse(b, d)
    rest = b.op("fma", s * z, st.horner(b, z, _ATAN), left)
    quarters = b.op("fma", sign, b.op("select", far, one, 0.0), start)
    pi, pi_rest = _PI
    base, base_rest = st.product(b, quarters, b.imm(pi / 4, n))
    base_rest = b.op("fma", quarters, pi_rest / 4, base_rest)
    return _plus(b, (base, base_rest), sign, t, rest)


@st.of_f32(arcs_single.arctan)
@st.odd(None, st.F64.half)
def arctan(b: Builder, x: Operand) -> Operand:
    """The inverse of tan. -0 at -0, pi/2 at inf."""
    one = b.imm(1.0, x)
    a = st.at_most(b, x, 2.0**60)
    steep = a > one
    n, d = b.op("select", steep, one, a), b.op("select", steep, a, one)
    start = b.op("select", steep, b.imm(2.0, x), 0.0)
    sign = b.op("select", steep, -1.0, one)
    return _arctangent(b, n, d, start, sign)


@st.of_f32(arcs_single.arctan2)
def arctan2(b: Builder, y: Operand, x: Operand) -> Operand:
    """The angle of the point (x, y) of the operands y, x, with the special cases of C99 (annex F)."""
    form = st.F64
    zero, one = b.imm(0.0, x), b.imm(1.0, x)
    left = st.as_bits(b, x) >= form.sign
    ax, ay = abs(x), abs(y)
    steep = ay > ax
    some = b.op("select", steep, ax, ay), b.op("select", steep, ay, ax)
    n, d = arcs_single.in_range(b, *some, _TINY, (2.0 ** (form.bias - 3), 0.0625))  # the divisor may be n + d
    start = b.op("select", steep, 2.0, b.op("select", left, 4.0, zero))
    sign = b.op("select", steep ^ left, -1.0, one)
    tiny = n < d * (form.half * form.least)  # as `odd` does it
    result = st.with_sign(b, _arctangent(b, n, d, start, sign, tiny), st.sign_of(b, y))
    unordered = b.op("ne", x, x) | b.op("ne", y, y)
    return b.op("select", unordered, math.nan, result)
