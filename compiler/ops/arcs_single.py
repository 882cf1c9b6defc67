"""arcsin, arccos, arctan and arctan2 of float32, as loop instructions.

    arctan(n/d) = t + t R(y), y = t**2 - 1/2, t = n/d, for n <= d; else pi/2 less that of d/n
    arcsin(a) = t + t z P(z), t = a, z = t**2 up to 1/2; else pi/2 less that, t = 2 sqrt(z), z = (1 - a) / 2

With a minus at pi/2, t is added in all cases; the sign is put right at the end. What rounding a sum of the
two loses is added to the smaller terms. What a root or a quotient loses is a unit in its last place at most,
so four bits of 1 / x are enough for it (`about_inverse`); a second division would take 10 of 20 cycles.
"""

from __future__ import annotations

import math

from ..ir.loop import Builder, Operand
from . import steps as st

Bound = tuple[float, float]
_PI = st.hexes("0x1.921fb6p+1 -0x1.777a5cp-24")  # rounded, and the rest
_HALF_PI = st.hexes("0x1.921fb6p+0 -0x1.777a5cp-25")
# atan(t) / t - 1 in powers of y = t**2 - _MIDDLE, t <= 1: of atan 2**-28.3. With this middle the first of
# them is exact, and arctan(1) is right.
_MIDDLE = float.fromhex("0x1.000f2ap-1")
_ATAN = st.hexes(
    "-0x1.096dbap-3 -0x1.a13f30p-3 0x1.5593eap-4 -0x1.499dacp-5 0x1.58fa7ep-6 -0x1.7ae9a2p-7"
    " 0x1.a38554p-8 -0x1.dfa488p-9 0x1.746ee8p-9 -0x1.d6303cp-10"
)
# (asin(s) / s - 1) / z in powers of z = s**2, s <= 1/2: of asin 2**-27.6
_ASIN = st.hexes("0x1.5555c8p-3 0x1.330204p-4 0x1.747bbap-5 0x1.8c3e2ap-6 0x1.595c8cp-5")
_TINY = (2.0**-90, 2.0**60)  # below, what a quotient loses may be too small: times this


def _square(b: Builder, t: Operand) -> Operand:
    return b.op("fma", t, t, -_MIDDLE)


def _beyond_linear(b: Builder, t: Operand, y: Operand, start: Operand) -> Operand:
    """start + arctan(t) - t, of y = _square(t)."""
    return b.op("fma", t, st.horner(b, y, _ATAN), start)


def arctan(b: Builder, x: Operand) -> Operand:
    """-0 at -0, pi/2 at inf."""
    whole = st.at_most(b, abs(x), 2.0**60)
    counts = st.has_square(b, whole)
    a = b.op("select", counts, whole, 0.0)
    steep = a > 1.0
    # as an integer, since LLVM would divide by a, and by 1, in place of a division by the larger one
    bits = st.as_bits(b, a)
    least = st.F32.bias << st.F32.fraction
    n, d = st.at_most(b, a, 1.0), st.as_float(b, b.op("select", bits < least, least, bits))
    t = n / d
    pi, pi_rest = (b.imm(-part, x) for part in _HALF_PI)
    total, lost = st.fast_sum(b, b.op("select", steep, pi, 0.0), t)
    lost = b.op("select", steep, lost + pi_rest, lost)
    left = b.op("fma", -t, d, n)  # 0 if d is 1
    lost = b.op("fma", left, 0.47, lost)  # times 1 / (d (1 + t**2)) where that counts
    rest = _beyond_linear(b, t, _square(b, t), lost)
    return st.copied_sign(b, b.op("select", counts, total + rest, whole), x)


def _positive_angle(b: Builder, n: Operand, d: Operand, steep: Operand, left: Operand) -> Operand:
    """The size of the angle whose tangent is n/d, or d/n if it is `steep`, right of 0 or left; n <= d. A sum
    with a minus where that of arctan has it."""
    zero, one = b.imm(0.0, n), b.imm(1.0, n)
    t = n / d
    counts = n >= d * (st.F32.half * st.F32.least)
    n, s = b.op("select", counts, n, zero), b.op("select", counts, t, zero)
    quarters = b.op("select", steep, b.op("select", left, one, -1.0), b.op("select", left, -2.0, zero))
    pi, pi_rest = (quarters * part for part in _HALF_PI)
    total, lost = st.fast_sum(b, pi, t)
    lack = b.op("fma", -s, d, n) * st.about_inverse(b, d)
    y = _square(b, s)
    slope = b.op("fma", y, -0.39, 0.69)  # about 1 / (1 + t**2)
    rest = _beyond_linear(b, s, y, b.op("fma", lack, slope, lost + pi_rest))
    return total + rest


def in_range(b: Builder, n: Operand, d: Operand, low: Bound, high: Bound) -> tuple[Operand, Operand]:
    """n and d, 0 <= n <= d, as numbers with the same angle, so that neither what the quotient loses nor the
    inverse of the divisor is out of range: times the second number of `low` where d is below the first one;
    of `high`, where it is above."""
    zero, one, inf = (b.imm(v, d) for v in (0.0, 1.0, math.inf))
    # infinite: 1/1 or 0/1; both 0: 0/1
    infinite = b.op("eq", d, inf)
    n = b.op("select", infinite, b.op("select", b.op("eq", n, inf), one, zero), n)
    d = b.op("select", infinite | b.op("eq", d, zero), one, d)
    factor = b.op("select", d < low[0], low[1], one)
    factor = b.op("select", d > high[0], high[1], factor)
    return n * factor, d * factor


def arctan2(b: Builder, y: Operand, x: Operand) -> Operand:
    """The angle of the point (x, y), with the special cases of C99 (annex F)."""
    bits = st.as_bits(b, x)
    left = bits >= st.F32.sign
    ax, ay = abs(x), abs(y)
    steep = ay > ax
    n, d = b.op("select", steep, ax, ay), b.op("select", steep, ay, ax)
    high = 2.0 ** (st.F32.bias - 2)

    def slowly() -> tuple[Operand]:
        top, bottom = in_range(b, n, d, _TINY, (high, 0.25))
        return (b.op("select", b.op("ne", y, y), y, _positive_angle(b, top, bottom, steep, left)),)

    inside = (d >= _TINY[0]) & (d <= high)  # NaN is not
    usual = _positive_angle(b, n, d, steep, left)
    result = st.where(b, ~inside, usual, slowly)
    return st.copied_sign(b, result, y)


def _root(b: Builder, a: Operand, far: Operand) -> tuple[Operand, Operand]:
    """(z, root): z as above, of which only the far one needs the root."""
    z = b.op("select", far, b.op("fma", a, -0.5, 0.5), a * a)
    return z, b.op("sqrt", z)


def arcsin(b: Builder, x: Operand) -> Operand:
    """-0 at -0, NaN beyond 1."""
    a = abs(x)
    far = a > 0.5
    m = b.op("select", a < st.F32.half, 0.0, a)  # squares of less would be denormal
    z, root = _root(b, m, far)
    t = b.op("select", far, root + root, a)
    pi, pi_rest = (b.imm(-part, x) for part in _HALF_PI)
    total, lost = st.fast_sum(b, b.op("select", far, pi, 0.0), t)
    left = b.op("fma", -root, root, z)
    more = b.op("fma", left, st.about_inverse(b, root), pi_rest)
    lost = b.op("select", far, lost + more, lost)
    rest = b.op("fma", t * z, st.horner(b, z, _ASIN), lost)
    return st.copied_sign(b, total + rest, x)


def arccos(b: Builder, x: Operand) -> Operand:
    """0 at 1, NaN beyond."""
    a, sign = st.at_least(b, abs(x), st.F32.least), st.sign_of(b, x)
    far = a > 0.5
    z, root = _root(b, a, far)
    root = st.with_sign(b, root, sign)
    t = b.op("select", far, root * -2.0, st.with_sign(b, a, sign))
    negative = x < 0.0
    pi, pi_rest = (b.op("select", far, b.op("select", negative, b.imm(p, x), 0.0), p / 2) for p in _PI)
    total, lost = st.fast_sum(b, pi, -t)
    left = b.op("select", far, b.op("fma", -root, root, z), 0.0)
    lost = lost + b.op("fma", left, st.about_inverse(b, root), pi_rest)
    tz = -t * z
    return total + b.op("fma", tz, st.horner(b, z, _ASIN), lost)
