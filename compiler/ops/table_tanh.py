"""tanh of float32 by tables, as loop instructions.

    tanh(a) = A a + P(r), a = |x|, r = a - c
    by A, c and the polynomial P of the quarter of an octave in which a + 5/8 is

From 7/8 on A is 0, and c so chosen that tanh(c) is a float32 but for 2**-40; below it is about tanh(c) / c,
so that P is at most 0.07 of the result. Either way but one rounding counts.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand, Value
from . import steps as st

_START = 0.625
_LAST = 9.25  # from here on, it is 1
# In the order of the numbers: a from 1 3/8 on, 3 3/8, 7 3/8; from 0 on, 3/8
_CENTRES = st.hexes(
    "0x1.9eaf60p+0 0x1.105bd8p+1 0x1.501f78p+1 0x1.8f50d8p+1 0x1.f31d80p+1 0x1.36fc00p+2"
    " 0x1.754d80p+2 0x1.b8bf20p+2 0x1.154246p+3 0 0x1.800000p-3 0x1.400000p-2 0x1.000000p-1"
    " 0x1.800000p-1 0x1.011000p+0 0x1.3efbf0p+0"
)
_FACTORS = st.hexes("0 0 0 0 0 0 0 0 0 1 0x1.fa154cp-1 0x1.eff5aap-1 0x1.d9353ep-1 0x1.a9fbe8p-1 0 0")
# of P, lowest first: of tanh 2**-31.7
_TANH = (
    st.hexes(
        "0x1.d965c0p-1 0x1.f1ada0p-1 0x1.faaa30p-1 0x1.fe0180p-1 0x1.ff947ep-1 0x1.fff03ap-1"
        " 0x1.fffdc0p-1 0x1.ffffbap-1 0x1.fffffep-1 0 0x1.df7fc6p-34 -0x1.8acf60p-29 -0x1.15509ap-27"
        " 0x1.6d5416p-7 0x1.86d36ap-1 0x1.b1bfe4p-1"
    ),
    st.hexes(
        "0x1.292db0p-3 0x1.c3e318p-5 0x1.53ac92p-6 0x1.fd8180p-8 0x1.addacap-10 0x1.f8b840p-13"
        " 0x1.1fff6ap-15 0x1.17ffe4p-18 0x1.0000a6p-23 0 -0x1.756d1cp-6 -0x1.ee0356p-5 -0x1.1a2fdcp-3"
        " -0x1.e220d8p-3 0x1.ab572ap-2 0x1.21154ep-2"
    ),
    st.hexes(
        "-0x1.12c5bep-3 -0x1.b73f28p-5 -0x1.502274p-6 -0x1.fb857cp-8 -0x1.ad8178p-10 -0x1.f8a9dcp-13"
        " -0x1.1ffeacp-15 -0x1.180008p-18 -0x1.ff79d8p-24 0 -0x1.6e8668p-3 -0x1.199220p-2 -0x1.742740p-2"
        " -0x1.8403eap-2 -0x1.4633dap-2 -0x1.e9cdbcp-3"
    ),
    st.hexes(
        "0x1.35fe48p-4 0x1.1454b2p-5 0x1.b6d04cp-7 0x1.4fb564p-8 0x1.1de060p-10 0x1.505aaep-13"
        " 0x1.7ff5c8p-16 0x1.7556bep-19 0x1.556ef0p-24 -0x1.555554p-2 -0x1.27a51ap-2 -0x1.c1a2fcp-3"
        " -0x1.81d9d6p-4 0x1.567e64p-5 0x1.aa3a76p-4 0x1.bc78dep-4"
    ),
    st.hexes(
        "-0x1.9dd454p-6 -0x1.e8c7fcp-7 -0x1.a44e64p-8 -0x1.4a73fep-9 -0x1.1cc2bep-11 -0x1.4ff992p-14"
        " -0x1.7fbabcp-17 -0x1.7520f0p-20 -0x1.5d5102p-25 -0x1.9230fcp-20 0x1.cf80b2p-4 0x1.43d834p-3"
        " 0x1.513f8ap-3 0x1.98cc4cp-4 0x1.b65a90p-6 -0x1.8fbf42p-7"
    ),
    st.hexes(
        "0x1.60038ap-10 0x1.25b068p-8 0x1.33416ep-9 0x1.001d58p-10 0x1.c3e77ap-13 0x1.0cd2c8p-15"
        " 0x1.33c670p-18 0x1.2a3ba2p-21 0x1.0592a2p-26 0x1.11262ep-3 0x1.8d062ep-4 0x1.684348p-5"
        " -0x1.bd4ff0p-6 -0x1.05d254p-4 -0x1.7a9718p-5 -0x1.4ccb18p-6"
    ),
    st.hexes(
        "0x1.1ace8cp-8 -0x1.1c4f64p-11 -0x1.4d6e20p-11 -0x1.40883ep-12 -0x1.332c2cp-14 -0x1.71c308p-17"
        " -0x1.a653e8p-20 -0x1.9b0194p-23 -0x1.00225cp-28 -0x1.f667ecp-12 -0x1.e095a6p-5 -0x1.301950p-4"
        " -0x1.9a2aaep-5 -0x1.aeabc2p-9 0x1.36c8bap-6 0x1.ec9c34p-7"
    ),
    st.hexes(
        "-0x1.7daf6ep-9 -0x1.55d052p-12 0x1.8d450ep-14 0x1.2dd304p-14 0x1.651028p-16 0x1.97765ep-19"
        " 0x1.bc71eep-22 0x1.e16bd4p-25 0x1.d35330p-29 -0x1.a76c56p-5 -0x1.cd2160p-5 0x1.aed772p-3"
        " 0x1.b82a02p-6 0x1.1f01a8p-6 0x1.0233e2p-6 0x1.69cb9ap-6"
    ),
)


def tanh(b: Builder, a: Operand) -> Value:
    """Of a number that is not negative; 1 at inf."""
    a = st.at_most(b, a, _LAST)
    bits = st.as_bits(b, b.op("add", a, b.imm(_START, a)), st.F32)
    number = b.op("shr", bits, b.imm(st.F32.fraction - 2, bits))
    r = b.op("sub", a, st.element(b, number, _CENTRES))
    # Where powers of r would be denormal, P does not count: r and A are 0 there, and what is added is a, as a
    # product with a denormal number takes a hundred times as long.
    usual, zero = b.op("ge", a, b.imm(st.F32.half, a)), b.imm(0.0, a)
    r = b.op("select", usual, r, zero)
    p = st.element(b, number, _TANH[-1])
    for coefficients in reversed(_TANH[1:-1]):
        p = b.op("fma", p, r, st.element(b, number, coefficients))
    p = b.op("fma", p, r, b.op("select", usual, st.element(b, number, _TANH[0]), a))
    return b.op("fma", b.op("select", usual, st.element(b, number, _FACTORS), zero), a, p)
