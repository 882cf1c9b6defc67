"""The cube root of float32 by tables, as loop instructions.

    x = 2**k m, 1 <= m < 2;  r = m d - 1, -1/32 <= r <= 1/16, by the d of the sixteenth in which m is
    k = 3 q + o, o = -1, 0 or 1
    cbrt(x) = 2**q  2**(o/3) d**(-1/3)  (1 + r)**(1/3)

The two factors in the middle come from tables, as sums of two numbers each, and their product is one; the
last factor is 1 + r P(r), at most 1.021. So what is added to a rounded number is small.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand, Value
from . import steps as st
from .table_log import LN

# d**(-1/3), and the rest
_ROOTS = st.hexes(
    "0x1p+0 0x1.059124p+0 0x1.0ba6eep+0 0x1.0eea9cp+0 0x1.15f4d4p+0 0x1.19c3b4p+0 0x1.1dca4cp+0 0x1.220e6ep+0"
    " 0x1.2696d8p+0 0x1.2b6b5ep+0 0x1.2df4fep+0 0x1.334d6ep+0 0x1.361f36p+0 0x1.390c3ap+0 0x1.3c1656p+0"
    " 0x1.428a30p+0"
)
_ROOTS_REST = st.hexes(
    "0 -0x1.62b3dcp-27 0x1.7e6ab6p-26 0x1.bf24bep-27 0x1.1189cap-26 -0x1.c5a296p-26 -0x1.b90b62p-25"
    " -0x1.4c5740p-27 -0x1.dabb88p-26 0x1.bed6aap-25 -0x1.660108p-25 0x1.20ab4cp-25 -0x1.af7480p-27"
    " 0x1.80b718p-26 0x1.403482p-26 -0x1.9ca35ep-26"
)
# 2**((o - 127) / 3 - 2/3 + 1/3) for o = 0, 1 and, last, -1, as the exponent in the bits of x is k + 127
_THIRDS = (*st.hexes("0x1.965feap-43 0x1p-42"), *[0.0] * 13, float.fromhex("0x1.428a30p-43"))
_THIRDS_REST = (float.fromhex("0x1.4f5b90p-69"), *[0.0] * 14, float.fromhex("-0x1.9ca35ep-69"))
# ((1 + r)**(1/3) - 1) / r: of the root 2**-30.7
_ROOT = st.hexes("0x1.555556p-2 -0x1.c71e7ap-4 0x1.f9b954p-5 -0x1.3faedep-5")


def _root(b: Builder, x: Operand) -> Value:
    """Of a positive normal number."""
    bits = st.as_bits(b, x, st.F32)
    number = b.op("shr", bits, b.imm(st.F32.fraction - 4, bits))
    fraction = b.op("and", bits, b.imm((1 << st.F32.fraction) - 1, bits))
    m = st.as_float(b, b.op("or", fraction, b.imm(st.F32.bias << st.F32.fraction, bits)), st.F32)
    shifter = b.imm(st.F32.shifter, x)
    exponent = b.op("shr", bits, b.imm(st.F32.fraction, bits))
    k = st.as_float(b, b.op("or", exponent, b.imm(0x4B400000, exponent)), st.F32)  # plus the shifter
    shifted = b.op("fma", b.op("sub", k, shifter), b.imm(1 / 3, x), shifter)
    thirds = st.as_bits(b, b.op("fma", b.op("sub", shifted, shifter), b.imm(-3.0, x), k), st.F32)
    r = b.op("fma", m, st.element(b, number, LN.d), b.imm(-1.0, x))
    first, second = st.element(b, number, _ROOTS), st.element(b, thirds, _THIRDS)
    total, rest = st.product(b, first, second)
    rest = b.op("fma", first, st.element(b, thirds, _THIRDS_REST), rest)
    rest = b.op("fma", st.element(b, number, _ROOTS_REST), second, rest)
    root = b.op("add", total, b.op("fma", b.op("mul", total, r), st.horner(b, r, _ROOT), rest))
    places = st.as_bits(b, shifted, st.F32)
    up = b.op("shl", places, b.imm(st.F32.fraction, places))
    return st.as_float(b, b.op("add", st.as_bits(b, root, st.F32), up), st.F32)


def cbrt(b: Builder, x: Operand) -> Value:
    """Zeros, infinities and NaN stay."""
    a = b.op("abs", x)
    bits = st.as_bits(b, a, st.F32)
    least, inf = b.imm(1 << st.F32.fraction, bits), b.imm(0xFF << st.F32.fraction, bits)
    rare = b.op("ge", b.op("sub", bits, least), b.op("sub", inf, least))

    def slowly() -> tuple[Operand]:
        tiny = b.op("lt", bits, least)
        root = _root(b, b.op("select", tiny, st.lifted(b, a, st.F32), a))
        root = b.op("select", tiny, b.op("mul", root, b.imm(2.0 ** -(st.F32.lift // 3), x)), root)
        usual = b.op("and", b.op("gt", a, b.imm(0.0, x)), b.op("lt", bits, inf))
        return (b.op("select", usual, root, a),)

    (root,) = st.where_any(b, rare, (_root(b, a),), slowly)
    return st.with_sign(b, root, st.sign_of(b, x, st.F32), st.F32)
