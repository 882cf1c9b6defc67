"""The inverse of erf of float32 by tables, as loop instructions.

    erfinv(a) = A a + P(r), r = v - c
    by A, c and the polynomial P of the quarter of an octave in which v + 1/2 is
    v = a up to 1/2, beyond 1/2 - K + K L:  L = -log2(1 - a), K = 19/64, so that v ends below 7 1/2

1 - a is exact there. Its logarithm is that of the middle of a sixteenth, of so few bits that v - c is exact,
and a short polynomial, which comes last. The middle alone says which P it is. Up to v = 3/2 A is about
erfinv(a) / a, so that P is small; beyond it is 0, and c so chosen that erfinv is nearly a float32.
"""

from __future__ import annotations

import math

from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64, i32
from . import steps as st

_K = 19 / 64
# By the middles: m d = 1 + r, 1 <= m < 2, |r| < 0.0307; K log2(d) is a multiple of 2**-18 but for 2**-32
_D = st.hexes(
    "0x1.f0ab98p-1 0x1.d3c1d8p-1 0x1.bb0ba8p-1 0x1.a3da3cp-1 0x1.8fcc84p-1 0x1.7d7328p-1"
    " 0x1.6b9bf4p-1 0x1.5c0f5ep-1 0x1.4ebcc4p-1 0x1.4173b0p-1 0x1.34ed72p-1 0x1.2a5f7ap-1"
    " 0x1.1f19b6p-1 0x1.16214ep-1 0x1.0c0106p-1 0x1.039328p-1"
)
# 1/2 - K + K (127 + j/16 + log2(d)) in the j-th sixteenth, as j + 16 (k + 127) is what stands in the bits
_HIGH = st.hexes(
    "0x1.2f2556p+5 0x1.2f16bap+5 0x1.2f0d1ep+5 0x1.2f03f4p+5 0x1.2eff06p+5 0x1.2efbd0p+5"
    " 0x1.2ef7ccp+5 0x1.2ef776p+5 0x1.2efb3ap+5 0x1.2efdb4p+5 0x1.2f00d8p+5 0x1.2f085ap+5"
    " 0x1.2f0c92p+5 0x1.2f16bap+5 0x1.2f1c32p+5 0x1.2f262ap+5"
)
# -K log2(1 + r) / r: of v 2**-31.9
_LOG = st.hexes("-0x1.b6944ap-2 0x1.b6944cp-3 -0x1.24a538p-3 0x1.b6d2cap-4")
# In the order of the numbers: v from 1 1/2 on, 3 1/2; from 0 on, 1/2
_CENTRES = st.hexes(
    "0x1.c1ec00p+0 0x1.1e0a00p+1 0x1.5c1a00p+1 0x1.9ee600p+1 0x1.fd4200p+1 0x1.3dee00p+2"
    " 0x1.821b00p+2 0x1.bad400p+2 0 0x1.800000p-3 0x1.400000p-2 0x1.c00000p-2 0x1.400000p-1"
    " 0x1.c00000p-1 0x1.200000p+0 0x1.600000p+0"
)
_FACTORS = st.hexes(
    "0 0 0 0 0 0 0 0 0x1.c5bf8ap-1 0x1.ca01d4p-1 0x1.d2042ap-1 0x1.df3de0p-1 0x1.0124cap+0"
    " 0x1.1fb0e4p+0 0x1.41c0ecp+0 0x1.656ae8p+0"
)
# of P, lowest first: of erfinv 2**-26.7 where 1/2 <= v < 3/4, elsewhere 2**-29.6
_ERFINV = (
    st.hexes(
        "0x1.918be4p+0 0x1.dadb4ap+0 0x1.0e7230p+1 0x1.2e8782p+1 0x1.575af0p+1 0x1.881f88p+1"
        " 0x1.b71774p+1 0x1.dae032p+1 0 -0x1.35bfd0p-28 -0x1.e7b5c0p-28 -0x1.2d1b66p-27"
        " -0x1.283bd8p-26 0x1.3e9f08p-25 0x1.5118f4p-28 0x1.5330c4p-25"
    ),
    st.hexes(
        "0x1.492e06p-1 0x1.1ff8aap-1 0x1.0257bap-1 0x1.d531aap-2 0x1.a394f6p-2 0x1.741872p-2"
        " 0x1.4f3f16p-2 0x1.379a64p-2 -0x1.cc6702p-26 0x1.15fe9ep-6 0x1.9f7954p-5 0x1.cacef6p-4"
        " 0x1.16fcd2p-2 0x1.9e5926p-2 0x1.f0731ep-2 0x1.0d8458p-1"
    ),
    st.hexes(
        "-0x1.a29284p-4 -0x1.1df3c4p-4 -0x1.a2c1dap-5 -0x1.3cfe6ep-5 -0x1.ca552cp-6"
        " -0x1.42cf70p-6 -0x1.db8f04p-7 -0x1.7f8776p-7 0x1.afce26p-24 0x1.1d6738p-3"
        " 0x1.0cee84p-2 0x1.cc9672p-2 0x1.06039ep-1 0x1.549f9ap-2 0x1.8850d0p-3 0x1.8957e6p-4"
    ),
    st.hexes(
        "0x1.f7249ap-6 0x1.0ec8acp-6 0x1.45c25ep-7 0x1.9d5edep-8 0x1.e5c038p-9 0x1.1122f4p-9"
        " 0x1.4a30eep-10 0x1.cf592ap-11 0x1.db2518p-3 0x1.1f973cp-2 0x1.90d6eap-2 0x1.483988p-1"
        " -0x1.8b1484p-2 -0x1.4444dcp-2 -0x1.b63232p-3 -0x1.133a8ep-3"
    ),
    st.hexes(
        "-0x1.6feea2p-7 -0x1.3946f8p-8 -0x1.361712p-9 -0x1.4b0d5ap-10 -0x1.3ccf6cp-11"
        " -0x1.1d16dep-12 -0x1.1b8586p-13 -0x1.58fcb2p-14 0x1.4aebc2p-12 0x1.2203e0p-3"
        " 0x1.49e2aap-2 0x1.7bec7cp-1 0x1.1dc166p-4 0x1.4c2edep-3 0x1.042de2p-3 0x1.5d9902p-4"
    ),
    st.hexes(
        "0x1.2f096ep-8 0x1.99d752p-10 0x1.50d3f4p-11 0x1.1f5edap-12 0x1.d151e6p-14"
        " 0x1.4a5f84p-15 0x1.1887e6p-16 0x1.0eecd6p-17 0x1.f6c04ep-4 0x1.a1b706p-3 0x1.a9c05ap-2"
        " 0x1.135a4ep+0 0x1.b7a62ep-3 -0x1.179008p-5 -0x1.a21554p-5 -0x1.3ce4ccp-5"
    ),
    st.hexes(
        "-0x1.0dd6eep-9 -0x1.1568eep-11 -0x1.b661eap-13 -0x1.d18d26p-15 -0x1.5f41ecp-16"
        " -0x1.878582p-18 -0x1.d907f0p-20 -0x1.0fed86p-19 0x1.137336p-5 0x1.3cc4f8p-3"
        " 0x1.d475eep-2 0x1.87b942p+0 -0x1.8caddep-2 -0x1.08b12ap-5 0x1.66f1eap-7 0x1.aba9ccp-7"
    ),
)
_SMALL = 90  # below 2**-90 products of the polynomial may be denormal
_ONE = st.F32.bias << st.F32.fraction  # the bits of 1, and of 2**-90
_LEAST = (st.F32.bias - _SMALL) << st.F32.fraction


def erfinv(b: Builder, a: Operand) -> Operand:
    """Of a number that is not negative; inf at 1, NaN beyond."""
    bits = st.as_bits(b, a, st.F32)
    rare = b.op("ge", b.op("sub", bits, b.imm(_LEAST, bits)), b.imm(_ONE - _LEAST, bits))
    usual = _usual(b, st.at_least(b, a, 2.0**-_SMALL))

    def slowly() -> tuple[Operand]:
        wide = b.op("cast", a, dtype=f64)
        small = b.op("cast", b.op("mul", wide, b.imm(math.sqrt(math.pi) / 2, wide)), dtype=f32)
        one = b.imm(1.0, a)
        end = b.op("select", b.op("eq", a, one), b.imm(math.inf, a), b.imm(math.nan, a))
        return (b.op("select", b.op("lt", a, one), small, end),)

    (result,) = st.where_any(b, rare, (usual,), slowly)
    return result


def _usual(b: Builder, a: Operand) -> Operand:
    one, zero = b.imm(1.0, a), b.imm(0.0, a)
    rest = b.op("sub", one, a)
    bits = st.as_bits(b, rest, st.F32)
    number = b.op("shr", bits, b.imm(st.F32.fraction - 4, bits))
    fraction = b.op("and", bits, b.imm((1 << st.F32.fraction) - 1, bits))
    m = st.as_float(b, b.op("or", fraction, b.imm(st.F32.bias << st.F32.fraction, bits)), st.F32)
    r = b.op("fma", m, st.element(b, number, _D), b.imm(-1.0, a))
    octaves = b.op("cast", b.op("bitcast", number, dtype=i32), dtype=f32)
    high = b.op("fma", octaves, b.imm(-_K / 16, a), st.element(b, number, _HIGH))
    low = b.op("mul", r, st.horner(b, r, _LOG))
    outer = b.op("gt", a, b.imm(0.5, a))
    v, v_rest = b.op("select", outer, high, a), b.op("select", outer, low, zero)
    place = st.as_bits(b, b.op("add", v, b.imm(0.5, a)), st.F32)
    number = b.op("shr", place, b.imm(st.F32.fraction - 2, place))
    r = b.op("add", b.op("sub", v, st.element(b, number, _CENTRES)), v_rest)
    p = st.element(b, number, _ERFINV[-1])
    for coefficients in reversed(_ERFINV[:-1]):
        p = b.op("fma", p, r, st.element(b, number, coefficients))
    return b.op("fma", st.element(b, number, _FACTORS), a, p)
