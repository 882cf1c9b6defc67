"""e**x and 2**x by a table, as loop instructions.

    x = k ln2 + r, k a multiple of 1/16, |r| <= ln2/32       2**x: x = k + r
    e**x = S + S q,  S = 2**k rounded,  1 + q = e**r 2**k / S

The low bits of k choose 2**(j/16) from a table. Its exponent there is less by j/16, so that adding all of k
to it makes S: that is an addition of integers. q is below 0.022, so what rounding it loses counts for little.

Where S is no normal number, S + S q means nothing: that is what `rounded_once` is for.
"""

from __future__ import annotations

import functools

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import DType, f32, f64
from . import formulas as fo
from . import steps as st

# (e**r - 1) / r, |r| <= ln2/32, and (2**r - 1) / r, |r| <= 1/32, the lowest coefficients first: of e**r
# 2**-37.5 and 2**-64.8, of 2**r 2**-35.3 and 2**-59.9
_E = {
    f32: st.hexes("1 0x1p-1 0x1.55571ep-3 0x1.555678p-5"),
    f64: st.hexes(
        "0x1p+0 0x1p-1 0x1.5555555555558p-3 0x1.55555554f272cp-5 0x1.11111110937a3p-7"
        " 0x1.6c17eb048523fp-10 0x1.a01b8af2b5f63p-13"
    ),
}
_TWO = {
    f32: st.hexes("0x1.62e430p-1 0x1.ebfbe0p-3 0x1.c6ad92p-5 0x1.3b2a06p-7"),
    f64: st.hexes(
        "0x1.62e42fefa39efp-1 0x1.ebfbdff82c58fp-3 0x1.c6b08d7058d53p-5 0x1.3b2ab6fb59d4bp-7"
        " 0x1.5d87eb62e3922p-10 0x1.4309d649ce7bbp-13 0x1.0c28d16193755p-16"
    ),
}


@functools.cache
def _powers(dtype: DType) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """2**(j/16), and what rounding them left out, in parts of them."""
    powers = fo.to(dtype, fo.powers())
    return powers, fo.to(dtype, [fo.over(x, p) - fo.ONE for x, p in zip(fo.powers(), powers, strict=True)])


def e_terms(x: Operand) -> tuple[float, ...]:
    """Of (e**r - 1) / r in the format of x, lowest first."""
    return _E[x.dtype]


@data
class Power:
    """e**x = scale + scale * q; `steps` is k in sixteenths, in the low bits."""

    scale: Operand
    q: Operand
    steps: Operand


def reduced(b: Builder, x: Operand) -> tuple[Operand, Operand, Operand]:
    """(shifted, k, r): x = k ln2 + r, but for what rounding ln2 lost; the low bits of `shifted` are k in
    sixteenths."""
    form = st.form_of(x)
    shifter = form.shifter / 16
    shifted = b.op("fma", x, 1.4426950408889634, shifter)
    k = shifted - shifter
    # exact: a multiple of 2**-29 (2**-57), and below 2**-5
    return shifted, k, b.op("fma", k, -form.ln2, x)


def e_to(b: Builder, x: Operand) -> Power:
    """Of |x| <= 104 (746)."""
    shifted, k, r = reduced(b, x)
    scale, rest, steps = looked_up(b, shifted)
    r = b.op("fma", k, -st.form_of(x).ln2_rest, r)
    return Power(scale, b.op("fma", r, st.horner(b, r, e_terms(x)), rest), steps)


def e_in_parts(b: Builder, x: Operand) -> Power:
    """q = r + v, r exact and v below 0.0003: with two instructions more and less error, for what adds errors
    of its own."""
    shifted, k, r = reduced(b, x)
    scale, rest, steps = looked_up(b, shifted)
    rest = b.op("fma", k, -st.form_of(x).ln2_rest, rest)
    rest = b.op("fma", rest, r, rest)
    v = b.op("fma", r * r, st.horner(b, r, e_terms(x)[1:]), rest)
    return Power(scale, r + v, steps)


def two_to(b: Builder, x: Operand) -> Power:
    """Of |x| <= 152 (1077)."""
    shifter = st.form_of(x).shifter / 16
    shifted = x + shifter
    r = x - (shifted - shifter)
    scale, rest, steps = looked_up(b, shifted)
    return Power(scale, b.op("fma", r, st.horner(b, r, _TWO[x.dtype]), rest), steps)


def looked_up(b: Builder, shifted: Operand) -> tuple[Operand, Operand, Operand]:
    """S, what it lacks in parts of it, and k in sixteenths."""
    (powers, rests), steps = _powers(shifted.dtype), st.as_bits(b, shifted)
    return scaled(b, steps, powers), st.element(b, steps, rests), steps


def scaled(
    b: Builder, steps: Operand, powers: tuple[float, ...], down: bool = False, plus: int = 0
) -> Operand:
    """2**(k + plus), of k in sixteenths, or 2**(plus - k) if down, by its values for k from 0 to 15/16. Their
    exponents in the table are less by k, or more, so that all of k may be added as an integer."""
    form = st.form_of(steps)
    place = form.fraction - 4
    signs = -1 if down else 1
    entries = tuple(
        form.bits(power) + (plus << form.fraction) - signs * (j << place) for j, power in enumerate(powers)
    )
    places = steps << place
    return st.as_float(b, b.op("sub" if down else "add", st.bits_of(b, steps, entries), places))


def sum_of(b: Builder, x: Power) -> Operand:
    """S + S q."""
    return b.op("fma", x.scale, x.q, x.scale)


def apart(b: Builder, x: Power) -> tuple[Operand, Operand, Operand]:
    """(s, exponent, k): S = 2**k s, 1 <= s < 2, of a whole k; `exponent` is k in the place of an exponent."""
    form = st.form_of(x.scale)
    whole = x.steps & (1 << form.dtype.bits) - 16
    exponent = whole << form.fraction - 4
    s = st.as_float(b, st.as_bits(b, x.scale) - exponent)
    return s, exponent, st.as_float(b, whole) - form.shifter / 16


def scaled_once(
    b: Builder, s: Operand, rest: Operand, more: Operand, exponent: Operand, k: Operand
) -> Operand:
    """2**k (s (1 + more) + rest), rounded once where it is a denormal number, too: beside 2**(-126 - k), of
    float64 2**(-1022 - k), it has the last place of the result."""
    form = st.form_of(s)
    place = st.as_float(b, (1 << form.fraction) - exponent)
    denormal = b.op("fma", s, more, s) < place
    base = b.op("select", denormal, place, 0.0)
    total = s + base
    lost = s - (total - base) + rest
    total = total + b.op("fma", s, more, lost)
    return b.op("scale", total - base, k)


def rounded_once(b: Builder, x: Power) -> Operand:
    """The power, also where it is a denormal number or overflows."""
    s, exponent, k = apart(b, x)
    return scaled_once(b, s, b.imm(0.0, s), x.q, exponent, k)
