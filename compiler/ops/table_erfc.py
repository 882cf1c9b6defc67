"""erfc of float32 by tables, as loop instructions.

    erfc(a) = e**(-a**2) g(a), a = |x|;  erfc(-a) = 2 - erfc(a)
    g(a) = U (1 + W(h)), h = a - c, by U, c and the polynomial W of the quarter of an octave in which a + 1 is

U times the rounded part of the power is kept as a sum of two numbers; all else is at most 0.17 of it, and
added to it at the end.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand, Value
from . import steps as st
from .table_exp import apart, e_in_parts, scaled_once

# the middles of the intervals in the order of the numbers: a from 1 on, from 3, from 7; below 1
_CENTRES = (1.25, 1.75, 2.25, 2.75, 3.5, 4.5, 5.5, 6.5, 8.0, 9.59375, 0, 0, 0.125, 0.375, 0.625, 0.875)
# e**(c**2) erfc(c)
_VALUES = st.hexes(
    "0x1.78a692p-2 0x1.23cfc2p-2 0x1.d94446p-3 0x1.8c9eb6p-3 0x1.3e0a9ap-3 0x1.f5b2a0p-4"
    " 0x1.9d8a90p-4 0x1.5f75c4p-4 0x1.1ea8c4p-4 0x1.df2e0cp-5 0x1.000000p+0 0x1.000000p+0"
    " 0x1.bf16f0p-1 0x1.5f28aep-1 0x1.1d16b6p-1 0x1.db747ep-2"
)
# of W, lowest first: of g 2**-27.0
_SLOPES = (
    st.hexes(
        "0x1.7e0c12p-29 0x1.a791a8p-25 0x1.ced754p-26 0x1.737496p-26 -0x1.3ee4cap-26 0x1.280f3ap-27"
        " -0x1.128c76p-25 0x1.0f1278p-27 -0x1.3d25bap-31 -0x1.a66210p-26 0 0 -0x1.1f0788p-25"
        " -0x1.49ef98p-28 -0x1.c9a450p-26 0x1.eb1356p-26"
    ),
    st.hexes(
        "-0x1.22acbap-1 -0x1.d6a442p-2 -0x1.881a90p-2 -0x1.4e5f72p-2 -0x1.107c6ep-2 -0x1.b2ff74p-3"
        " -0x1.68f6aap-3 -0x1.3406a6p-3 -0x1.f84bbcp-4 -0x1.a66d58p-4 0 0 -0x1.0acdc2p+0"
        " -0x1.ca58f6p-1 -0x1.8d906ep-1 -0x1.5c45c4p-1"
    ),
    st.hexes(
        "0x1.295040p-2 0x1.90c12ep-3 0x1.1b8880p-3 0x1.a1e626p-4 0x1.193254p-4 0x1.6a0a1ep-5"
        " 0x1.f59ae2p-6 0x1.6ea684p-6 0x1.ed13e4p-7 0x1.5ab7f0p-7 0 0 0x1.bd4c90p-1 0x1.541ea4p-1"
        " 0x1.0785bcp-1 0x1.9e85ecp-2"
    ),
    st.hexes(
        "-0x1.17954ep-3 -0x1.3fedd2p-4 -0x1.8602b8p-5 -0x1.f60962p-6 -0x1.19f90ap-6 -0x1.277acap-7"
        " -0x1.57aa22p-8 -0x1.afdf14p-9 -0x1.de9272p-10 -0x1.1b1d1ap-10 0 0 -0x1.3ea110p-1"
        " -0x1.b9119ap-2 -0x1.367908p-2 -0x1.bd1982p-3"
    ),
    st.hexes(
        "0x1.ea29f6p-5 0x1.e32942p-6 0x1.0091bep-6 0x1.22f3d4p-7 0x1.135ccep-8 0x1.d97d60p-10"
        " 0x1.d0a1a4p-11 0x1.f794f2p-12 0x1.cd4030p-13 0x1.cc120cp-14 0 0 0x1.95751ep-2"
        " 0x1.0169fap-2 0x1.4cfb0ap-3 0x1.b792a6p-4"
    ),
    st.hexes(
        "-0x1.9b38d0p-6 -0x1.603d6ap-7 -0x1.475d06p-8 -0x1.4966fcp-9 -0x1.0c7b5ap-10"
        " -0x1.7afaf4p-12 -0x1.3a29b6p-13 -0x1.26873ep-14 -0x1.c4bb08p-16 -0x1.78ee02p-17 0 0"
        " -0x1.d795a2p-3 -0x1.14de64p-3 -0x1.4da536p-4 -0x1.9927ccp-5"
    ),
    st.hexes(
        "0x1.42503ap-7 0x1.e42b0ep-9 0x1.907f06p-10 0x1.65852ep-11 0x1.f6c464p-13 0x1.269c72p-14"
        " 0x1.9eba5cp-16 0x1.505fc8p-17 0x1.b16ce4p-19 0x1.2d0e5ap-20 0 0 0x1.f9ceaap-4"
        " 0x1.143c9cp-4 0x1.3558a2p-5 0x1.5ead78p-6"
    ),
)


def erfc(b: Builder, x: Operand, a: Operand) -> Value:
    """Of x by |x|, or by what does as well. 0 at inf, 2 at -inf."""
    a = st.at_most(b, a, 10.19)
    bits = st.as_bits(b, b.op("add", a, b.imm(1.0, x)), st.F32)
    number = b.op("shr", bits, b.imm(st.F32.fraction - 2, bits))

    h = b.op("sub", a, st.element(b, number, _CENTRES))
    w = st.element(b, number, _SLOPES[-1])
    for slope in reversed(_SLOPES[:-1]):
        w = b.op("fma", w, h, st.element(b, number, slope))
    square, lost = st.product(b, a, a)
    power, *_ = e_in_parts(b, b.op("neg", square))
    q = b.op("fma", b.op("neg", lost), power.q, b.op("sub", power.q, lost))
    q, value = b.op("fma", q, w, q), st.element(b, number, _VALUES)

    def but_w(scale: Operand) -> tuple[Value, Value]:
        total, rest = st.product(b, scale, value)
        return total, b.op("fma", total, q, rest)

    total, rest = but_w(power.scale)
    usual = b.op("add", total, b.op("fma", total, w, rest))

    def slowly() -> tuple[Operand]:
        scale, exponent, k = apart(b, power)
        return (scaled_once(b, *but_w(scale), w, exponent, k),)

    (result,) = st.where_any(b, b.op("gt", a, b.imm(8.9, x)), (usual,), slowly)
    return b.op("select", b.op("lt", x, b.imm(0.0, x)), b.op("sub", b.imm(2.0, x), result), result)
