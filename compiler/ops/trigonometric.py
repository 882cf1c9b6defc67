"""sin, cos and tan, as loop instructions. Arguments are reduced exactly, however large.

    x = k pi/2 + r + rest, |r| <= pi/4                     float32, sin and cos: multiples of pi, |r| <= pi/2

Up to 2**20 (float32, inside of float64: 2**40) k times pi/2 is subtracted in three (two) parts, the first of
them exactly, by fma. Beyond, if any lane is there, by integers (after Payne and Hanek): of the bits of 2/pi
those that matter, 192 from the last but one whose product with x is no multiple of 4, times the 53 bits of x.

tan of float32 up to 2**13 is computed in float32: most of it is one division, of half as many bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise

from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64
from . import formulas as fo
from . import steps as st

# pi/2 in two parts of 53 bits
_HALF_PI = st.hexes("0x1.921fb54442d18p+0 0x1.1a62633145c07p-54")
# in parts of 53, 33 and 53: what is less than 2**-33 is exact in sums with 2**20 times the second
_HALF_PI64 = st.hexes("0x1.921fb54442d18p+0 0x1.1a626331p-54 0x1.1701b839a252p-88")
_LARGE64 = 2.0**20  # beyond, integers reduce float64
# sin(r) / r in powers of z = r**2, |r| <= pi/2: 2**-27.3
_SIN32 = st.hexes("1 -0x1.55554bc83d6d5p-3 0x1.110ed3813e3aep-7 -0x1.9f6fff0f0b07ap-13 0x1.5dbdf2a01fde3p-19")
# tan(r) / r alike, |r| <= pi/4: 2**-29.6
_TAN32 = st.hexes(
    "1 0x1.555560606b754p-2 0x1.110d8c2cf2605p-3 0x1.badc27b612e72p-5 0x1.5cace8cf4145dp-6"
    " 0x1.6321622641950p-7 0x1.6d49092bb977bp-14 0x1.1ee233ab35416p-8"
)
# pi/2 in parts of 23 bits, 11 and the rest: multiples of the first two, less than 2**13 times, are exact
_HALF_PI32 = st.hexes("0x1.921fb4p+0 0x1.444p-24 0x1.68c234p-39")
_LARGE32 = 2.0**13  # beyond, tan is computed in float64
# tan(r) / r - 1 in powers of r**2 - 1/2, |r| <= pi/4: of tan 2**-29.6
_TAN = st.hexes(
    "0x1.aaed34p-3 0x1.0b1fe8p-1 0x1.0d2604p-2 0x1.116dc4p-3 0x1.15f168p-4"
    " 0x1.17756ep-5 0x1.fb945ap-7 0x1.23324ep-8"
)
# (sin(r) / r - 1) / z, |r| <= pi/4: 2**-57.9
_SIN64 = st.hexes(
    "-0x1.5555555555548p-3 0x1.111111110f72fp-7 -0x1.a01a019be8fa6p-13 0x1.71de3555090a2p-19"
    " -0x1.ae5e4b69f8cfbp-26 0x1.5d8b4e6678d42p-33"
)
# (cos(r) - 1 + z/2) / z**2, |r| <= pi/4: 2**-63.9
_COS64 = st.hexes(
    "0x1.555555555554bp-5 -0x1.6c16c16c15013p-10 0x1.a01a019c8ecb8p-16 -0x1.27e4f7f139454p-22"
    " 0x1.1ee9db868a734p-29 -0x1.8fa659ca5f0c3p-37"
)


# --- reduction -----------------------------------------------------------------------------------


@functools.cache
def _two_over_pi() -> list[int]:
    """Its bits from 2**41 on, 64 a word."""
    one = 1 << 1400
    bits = 2 * one * one // fo.pi(one)
    return [(bits >> 1400 - 22 - 64 * k) % (1 << 64) for k in range(20)]


def _window(b: Builder, at: Operand, most: int) -> list[Operand]:
    """192 bits of 2/pi, from bit `at` (at most `most`) of its words on, as six words of 32 bits, lowest
    first."""
    number = at >> 6
    words: list[Operand] = [b.imm(w, at) for w in _two_over_pi()[: (most >> 6) + 4]]
    step = 1 << max(0, (most >> 6).bit_length() - 1)
    while step:  # the words from `number` on, by the bits of the number
        on = b.op("ne", number & step, 0)
        left = min(len(words), 4 + step - 1)
        words = [b.op("select", on, words[min(n + step, len(words) - 1)], words[n]) for n in range(left)]
        step //= 2
    up = at & 63
    down = 63 - up
    found: list[Operand] = []
    for high, low in pairwise(words):
        rest = low >> 1 >> down
        word = high << up | rest
        found = [word & 0xFFFFFFFF, word >> 32, *found]
    return found


def _whole(b: Builder, bits: Operand) -> Operand:
    """The float64 of an integer below 2**52."""
    return st.as_float(b, bits | 0x433 << 52) - 2.0**52


def _by_integers(
    b: Builder, x: Operand, top: int, turn: int, offset: int
) -> tuple[Operand, Operand, Operand]:
    """(r, rest, k) of 2**20 <= |x| < 2**top: |x| = (k + offset/2) u + r + rest, the unit u being pi/2 if
    turn is 2, pi if turn is 1; all three negated (the offset counted into k) where x is negative. inf gives
    NaN."""
    bits = st.as_bits(b, abs(x))
    exponent = bits >> 52  # x = m * 2**(exponent - 1075); bit 0 of the words is 2**41
    window = _window(b, exponent - (1075 - 40), top - 1 - 52 + 40)
    m = bits & (1 << 52) - 1 | 1 << 52
    m_low, m_high = m & 0xFFFFFFFF, m >> 32
    columns: list[list[Operand]] = [[] for _ in range(8)]
    for n, word in enumerate(window):
        for place, part in ((n, m_low), (n + 1, m_high)):
            if place < 6:
                both = part * word
                columns[place].append(both & 0xFFFFFFFF)
                columns[place + 1].append(both >> 32)
    digits: list[Operand] = []
    for n, column in enumerate(columns[:6]):
        total = functools.reduce(lambda x, y: x + y, column)
        digits.append(total & 0xFFFFFFFF)
        columns[n + 1].append(total >> 32)
    # |x| 2/pi, modulo 4, times 2**126
    high, low = digits[5] << 32 | digits[4], digits[3] << 32 | digits[2]
    if offset:
        high = high - (1 << (63 - turn))
    signed = high << turn | low >> 64 - turn
    low = low << turn
    k = (high >> 64 - turn) + (signed >> 63)
    biased = _whole(b, signed >> 32 ^ 1 << 31)
    first = (biased - 2.0**31) * 2.0**-32
    second = _whole(b, signed & 0xFFFFFFFF) * 2.0**-64
    third = _whole(b, low >> 32) * 2.0**-96
    fourth = _whole(b, low & 0xFFFFFFFF) * 2.0**-128
    part, lost = st.fast_sum(b, first, second)
    part, lost = st.fast_sum(b, part, lost + (third + fourth))
    unit = 2.0 ** (2 - turn)
    r, rest = st.product(b, part, b.imm(unit * _HALF_PI[0], x))
    rest = b.op("fma", part, unit * _HALF_PI[1], rest)
    rest = b.op("fma", lost, unit * _HALF_PI[0], rest)
    negative = x < 0.0
    k = b.op("select", negative, 0 - (k + offset), k)
    r = b.op("select", negative, -r, r) + (x - x)
    return r, b.op("select", negative, -rest, rest), k


def _reduced32(b: Builder, x: Operand, turn: int, offset: int) -> tuple[Operand, Operand]:
    """(r, k): x = (k + offset/2) u + r as above, of a float32 in float64. k is an integer in its low bits."""
    large = abs(x) > 2.0**40
    x = b.op("cast", x, dtype=f64)
    unit = 2.0 ** (2 - turn)
    turns = 1 / (unit * _HALF_PI[0])
    if offset:
        shifted = b.op("fma", x, turns, -offset / 2) + st.F64.shifter
        k = shifted - st.F64.shifter + offset / 2
    else:
        shifted = b.op("fma", x, turns, st.F64.shifter)
        k = shifted - st.F64.shifter
    r = b.op("fma", k, -unit * _HALF_PI[0], x)
    r = b.op("fma", k, -unit * _HALF_PI[1], r)

    def compute() -> st.Pair:
        far, _, bits = _by_integers(b, x, 128, turn, offset)
        return far, bits

    result, bits = st.where_any(b, large, (r, st.as_bits(b, shifted)), compute)
    return result, bits


def _reduced64(b: Builder, x: Operand) -> tuple[Operand, Operand, Operand]:
    """(r, rest, k): x = k pi/2 + r + rest. k is an integer in its low bits."""
    first, second, third = _HALF_PI64
    shifted = b.op("fma", x, 1 / _HALF_PI[0], st.F64.shifter)
    minus = -(shifted - st.F64.shifter)
    start = b.op("fma", minus, first, x)  # exact
    r = b.op("fma", minus, second, start)
    # exact: the second product is the smaller one, or both have few bits
    rest = b.op("fma", minus, second, start - r)
    rest = b.op("fma", minus, third, rest)
    large = abs(x) > _LARGE64
    values = (r, rest, st.as_bits(b, shifted))
    r_, rest_, bits = st.where_any(b, large, values, lambda: _by_integers(b, x, 1024, 2, 0))
    return r_, rest_, bits


# --- the functions -------------------------------------------------------------------------------


def _negated(b: Builder, x: Operand, k: Operand, bit: int) -> Operand:
    """-x if that bit of k is set."""
    sign = k << 63 - bit & st.F64.sign
    return st.as_float(b, st.as_bits(b, x) ^ sign)


def _polynomial(b: Builder, r: Operand, coefficients: tuple[float, ...]) -> Operand:
    return r * st.horner(b, r * r, coefficients)


def _sine32(offset: int) -> Callable[[Builder, Operand], Operand]:
    def single(b: Builder, x: Operand) -> Operand:
        r, k = _reduced32(b, x, turn=1, offset=offset)
        result = _negated(b, _polynomial(b, r, _SIN32), k, 0)
        if offset:  # cos(x) = -sin(x - pi/2)
            result = -result
        return b.op("cast", result, dtype=f32)

    return single


def _both64(b: Builder, r: Operand, rest: Operand) -> tuple[tuple[Operand, Operand], tuple[Operand, Operand]]:
    """Sine and cosine of r + rest."""
    z, z_rest = st.product(b, r, r)
    half = z * 0.5
    w = 1.0 - half
    sine = b.op("fma", r * z, st.horner(b, z, _SIN64), rest * w)
    lost = 1.0 - w - half
    lost = b.op("fma", z_rest, -0.5, lost)
    lost = b.op("fma", -r, rest, lost)
    return (r, sine), (w, b.op("fma", z * z, st.horner(b, z, _COS64), lost))


def _odd(b: Builder, k: Operand) -> Operand:
    return b.op("ne", k & 1, 0)


def _sine64(offset: int) -> st.Lower:
    def lower(b: Builder, x: Operand) -> Operand:
        r, rest, k = _reduced64(b, x)
        (s, s_rest), (c, c_rest) = _both64(b, r, rest)
        if offset:
            k = k + offset
        odd = _odd(b, k)
        total = b.op("select", odd, c, s) + b.op("select", odd, c_rest, s_rest)
        return _negated(b, total, k, 1)

    return lower


def _tan32(b: Builder, x: Operand) -> Operand:
    """tan(r - less) as a sum of two; -1 over it where k is odd. Of zeros all sums have the sign of x."""
    first, second, third = _HALF_PI32
    shifted = b.op("fma", x, 1 / _HALF_PI[0], st.F32.shifter)
    k = shifted - st.F32.shifter
    minus = -k
    start = b.op("fma", minus, first, x)
    r = b.op("fma", minus, second, start)
    less: Operand = b.op("fma", k, third, b.op("fma", k, second, r - start))
    y = b.op("fma", r, r, -0.5)  # with less error than r r, where that is largest
    less = less * b.op("fma", y, 1.6, 1.8)  # about 1 + t**2
    t, t_rest = st.fast_sum(b, r, b.op("fma", r, st.horner(b, y, _TAN), -less))
    inverse = 1.0 / t
    minus = -inverse
    left = b.op("fma", minus, t_rest, b.op("fma", minus, t, 1.0))
    odd = _odd(b, st.as_bits(b, shifted))
    usual = b.op("select", odd, b.op("fma", minus, left, minus), t)
    return st.where(b, abs(x) > _LARGE32, usual, lambda: (_tan32_large(b, x),))


def _tan32_large(b: Builder, x: Operand) -> Operand:
    r, k = _reduced32(b, x, turn=2, offset=0)
    t = _polynomial(b, r, _TAN32)
    odd = _odd(b, k)
    quotient = b.op("select", odd, -1.0, t) / b.op("select", odd, t, 1.0)
    return b.op("cast", quotient, dtype=f32)


def _tan64(b: Builder, x: Operand) -> Operand:
    r, rest, k = _reduced64(b, x)
    s, c = (st.fast_sum(b, *pair) for pair in _both64(b, r, rest))
    odd = _odd(b, k)
    top = b.op("select", odd, c[0], s[0]), b.op("select", odd, c[1], s[1])
    bottom = b.op("select", odd, s[0], c[0]), b.op("select", odd, s[1], c[1])
    q, q_rest = st.quotient(b, top, bottom)
    return _negated(b, q + q_rest, k, 0)


sin = st.of_f32(_sine32(0))(st.near_zero(st.F64.half, linear=True)(_sine64(0)))
cos = st.of_f32(_sine32(1))(st.near_zero(st.F64.half, linear=False)(_sine64(1)))
tan = st.of_f32(_tan32)(st.near_zero(st.F64.half, linear=True)(_tan64))
