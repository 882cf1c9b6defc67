"""e**x and 2**x of float32 by a table, as loop instructions.

    x = k ln2 + r, k a multiple of 1/16, |r| <= ln2/32       2**x: x = k + r
    e**x = S + S q,  S = 2**k rounded,  1 + q = e**r 2**k / S

The low bits of k choose 2**(j/16) from a table. Its exponent there is less by j/16, so that adding all of k
to it makes S: that is an addition of integers. q is below 0.022, so what rounding it loses counts for little.

Where S is no normal number, S + S q means nothing: that is what `rounded_once` is for.
"""

from __future__ import annotations

from ..ir.data import data
from ..ir.loop import Builder, Imm, Operand, Value
from ..ir.types import u32
from . import steps as st

# 2**(j/16) as bits, less j 2**19; and what rounding it left out, in parts of it
POWERS = (
    0x3F800000, 0x3F7DAAC3, 0x3F7B95C2, 0x3F79C3D3, 0x3F7837F0, 0x3F76F532, 0x3F75FED7, 0x3F75583F,
    0x3F7504F3, 0x3F7508A4, 0x3F75672A, 0x3F76248C, 0x3F7744FD, 0x3F78CCDF, 0x3F7AC0C7, 0x3F7D257D,
)  # fmt: skip
RESTS = st.hexes(
    "0 0x1.8d96d4p-25 -0x1.9c0c22p-27 0x1.964904p-25 0x1.125002p-25 0x1.370be4p-25 -0x1.0a3550p-25"
    " -0x1.00d8acp-27 0x1.26055cp-26 -0x1.05cb44p-25 0x1.67a1cap-28 0x1.a3b5e4p-28 -0x1.f9c304p-27"
    " -0x1.6961b4p-28 -0x1.a5217cp-28 0x1.61428ep-28"
)
# (e**r - 1) / r, |r| <= ln2/32, and (2**r - 1) / r, |r| <= 1/32: of e**r 2**-37.5 and 2**-35.3
E = st.hexes("1 0x1p-1 0x1.55571ep-3 0x1.555678p-5")
_TWO = st.hexes("0x1.62e430p-1 0x1.ebfbe0p-3 0x1.c6ad92p-5 0x1.3b2a06p-7")


@data
class Power:
    """e**x = scale + scale * q; `steps` is k in sixteenths, in the low bits."""

    scale: Value
    q: Value
    steps: Value


def reduced(b: Builder, x: Operand) -> tuple[Value, Value, Value]:
    """(shifted, k, r): x = k ln2 + r, but for what rounding ln2 lost; the low bits of `shifted` are k in
    sixteenths."""
    shifter = b.imm(st.F32.shifter / 16, x)
    shifted = b.op("fma", x, b.imm(1.4426950408889634, x), shifter)
    k = b.op("sub", shifted, shifter)
    # exact: a multiple of 2**-29, and below 2**-5
    return shifted, k, b.op("fma", k, b.imm(-st.F32.ln2, x), x)


def e_to(b: Builder, x: Operand) -> Power:
    """Of |x| <= 104."""
    shifted, k, r = reduced(b, x)
    scale, rest, steps = looked_up(b, shifted)
    r = b.op("fma", k, b.imm(-st.F32.ln2_rest, x), r)
    return Power(scale, b.op("fma", r, st.horner(b, r, E), rest), steps)


def e_in_parts(b: Builder, x: Operand) -> tuple[Power, Value, Value]:
    """(power, r, v), q = r + v, r exact and v below 0.0003: with two instructions more and less error, for
    what adds errors of its own."""
    shifted, k, r = reduced(b, x)
    scale, rest, steps = looked_up(b, shifted)
    rest = b.op("fma", k, b.imm(-st.F32.ln2_rest, x), rest)
    rest = b.op("fma", rest, r, rest)
    v = b.op("fma", b.op("mul", r, r), st.horner(b, r, E[1:]), rest)
    return Power(scale, b.op("add", r, v), steps), r, v


def two_to(b: Builder, x: Operand) -> Power:
    """Of |x| <= 152."""
    shifter = b.imm(st.F32.shifter / 16, x)
    shifted = b.op("add", x, shifter)
    r = b.op("sub", x, b.op("sub", shifted, shifter))
    scale, rest, steps = looked_up(b, shifted)
    return Power(scale, b.op("fma", r, st.horner(b, r, _TWO), rest), steps)


def looked_up(b: Builder, shifted: Value) -> tuple[Value, Value, Value]:
    """S, what it lacks in parts of it, and k in sixteenths."""
    steps = st.as_bits(b, shifted, st.F32)
    power = b.op("table", steps, *(Imm(bits, u32) for bits in POWERS), dtype=u32)
    rest = st.element(b, steps, RESTS)
    scale = st.as_float(b, b.op("add", power, b.op("shl", steps, b.imm(19, steps))), st.F32)
    return scale, rest, steps


def sum_of(b: Builder, x: Power) -> Value:
    """S + S q."""
    return b.op("fma", x.scale, x.q, x.scale)


def apart(b: Builder, x: Power) -> tuple[Value, Value, Value]:
    """(s, exponent, k): S = 2**k s, 1 <= s < 2, of a whole k; `exponent` is k in the place of an exponent."""
    whole = b.op("and", x.steps, b.imm(0xFFFFFFF0, x.steps))
    exponent = b.op("shl", whole, b.imm(19, whole))
    s = st.as_float(b, b.op("sub", st.as_bits(b, x.scale, st.F32), exponent), st.F32)
    return s, exponent, b.op("sub", st.as_float(b, whole, st.F32), b.imm(st.F32.shifter / 16, s))


def scaled_once(b: Builder, s: Operand, rest: Operand, more: Operand, exponent: Operand, k: Operand) -> Value:
    """2**k (s (1 + more) + rest), rounded once where it is a denormal number, too: beside 2**(-126 - k) it
    has the last place of the result."""
    place = st.as_float(b, b.op("sub", b.imm(1 << st.F32.fraction, exponent), exponent), st.F32)
    denormal = b.op("lt", b.op("fma", s, more, s), place)
    base = b.op("select", denormal, place, b.imm(0.0, s))
    total = b.op("add", s, base)
    lost = b.op("add", b.op("sub", s, b.op("sub", total, base)), rest)
    total = b.op("add", total, b.op("fma", s, more, lost))
    return b.op("scale", b.op("sub", total, base), k)


def rounded_once(b: Builder, x: Power) -> Value:
    """The power, also where it is a denormal number or overflows."""
    s, exponent, k = apart(b, x)
    return scaled_once(b, s, b.imm(0.0, s), x.q, exponent, k)
