"""e**x and 2**x by a table, as loop instructions.

    x = k ln2 + r, k a multiple of 1/16, |r| <= ln2/32       2**x: x = k + r
    e**x = S + S q,  S = 2**k rounded,  1 + q = e**r 2**k / S

The low bits of k choose 2**(j/16) from a table. Its exponent there is less by j/16, so that adding all of k
to it makes S: that is an addition of integers. q is below 0.022, so what rounding it loses counts for little.

Where S is no normal number, S + S q means nothing: that is what `rounded_once` is for.
"""

from __future__ import annotations

from ..ir.data import data
from ..ir.loop import Builder, Operand, Value
from ..ir.types import f32, f64
from . import steps as st


@data
class _Exp:
    """What a format needs."""

    powers: tuple[float, ...]  # 2**(j/16)
    rests: tuple[float, ...]  # what rounding them left out, in parts of them
    e: tuple[float, ...]  # (e**r - 1) / r, |r| <= ln2/32, lowest coefficients first
    two: tuple[float, ...]  # (2**r - 1) / r, |r| <= 1/32


# of e**r 2**-37.5 and 2**-64.8, of 2**r 2**-35.3 and 2**-59.9
_EXP = {
    f32: _Exp(
        powers=st.hexes(
            "0x1p+0 0x1.0b5586p+0 0x1.172b84p+0 0x1.2387a6p+0 0x1.306fep+0 0x1.3dea64p+0 0x1.4bfdaep+0"
            " 0x1.5ab07ep+0 0x1.6a09e6p+0 0x1.7a1148p+0 0x1.8ace54p+0 0x1.9c4918p+0 0x1.ae89fap+0"
            " 0x1.c199bep+0 0x1.d5818ep+0 0x1.ea4afap+0"
        ),
        rests=st.hexes(
            "0 0x1.8d96d4p-25 -0x1.9c0c22p-27 0x1.964904p-25 0x1.125002p-25 0x1.370be4p-25 -0x1.0a3550p-25"
            " -0x1.00d8acp-27 0x1.26055cp-26 -0x1.05cb44p-25 0x1.67a1cap-28 0x1.a3b5e4p-28 -0x1.f9c304p-27"
            " -0x1.6961b4p-28 -0x1.a5217cp-28 0x1.61428ep-28"
        ),
        e=st.hexes("1 0x1p-1 0x1.55571ep-3 0x1.555678p-5"),
        two=st.hexes("0x1.62e430p-1 0x1.ebfbe0p-3 0x1.c6ad92p-5 0x1.3b2a06p-7"),
    ),
    f64: _Exp(
        powers=st.hexes(
            "0x1p+0 0x1.0b5586cf9890fp+0 0x1.172b83c7d517bp+0 0x1.2387a6e756238p+0 0x1.306fe0a31b715p+0"
            " 0x1.3dea64c123422p+0 0x1.4bfdad5362a27p+0 0x1.5ab07dd485429p+0 0x1.6a09e667f3bcdp+0"
            " 0x1.7a11473eb0187p+0 0x1.8ace5422aa0dbp+0 0x1.9c49182a3f09p+0 0x1.ae89f995ad3adp+0"
            " 0x1.c199bdd85529cp+0 0x1.d5818dcfba487p+0 0x1.ea4afa2a490dap+0"
        ),
        rests=st.hexes(
            "0 0x1.79aa65d837b6dp-54 -0x1.01b15eaa59348p-55 0x1.68efde3a8a894p-54 0x1.34d754db0abb6p-55"
            " 0x1.59f48a72a4c6dp-55 0x1.690cebb7aafbp-56 0x1.063e1e21c5409p-54 -0x1.3b3efbf5e2228p-54"
            " -0x1.b32dcb94da51dp-56 0x1.db72fc1f0eab4p-55 0x1.1affc2b91ce27p-56 0x1.c1a7792cb3387p-55"
            " 0x1.36eae30af0cb3p-56 0x1.4a385a63d07a7p-56 -0x1.ff7128fd391fp-55"
        ),
        e=st.hexes(
            "0x1p+0 0x1p-1 0x1.5555555555558p-3 0x1.55555554f272cp-5 0x1.11111110937a3p-7"
            " 0x1.6c17eb048523fp-10 0x1.a01b8af2b5f63p-13"
        ),
        two=st.hexes(
            "0x1.62e42fefa39efp-1 0x1.ebfbdff82c58fp-3 0x1.c6b08d7058d53p-5 0x1.3b2ab6fb59d4bp-7"
            " 0x1.5d87eb62e3922p-10 0x1.4309d649ce7bbp-13 0x1.0c28d16193755p-16"
        ),
    ),
}


def e_terms(x: Operand) -> tuple[float, ...]:
    """Of (e**r - 1) / r in the format of x, lowest first."""
    return _EXP[x.dtype].e


@data
class Power:
    """e**x = scale + scale * q; `steps` is k in sixteenths, in the low bits."""

    scale: Value
    q: Value
    steps: Value


def reduced(b: Builder, x: Operand) -> tuple[Value, Value, Value]:
    """(shifted, k, r): x = k ln2 + r, but for what rounding ln2 lost; the low bits of `shifted` are k in
    sixteenths."""
    form = st.form_of(x)
    shifter = b.imm(form.shifter / 16, x)
    shifted = b.op("fma", x, b.imm(1.4426950408889634, x), shifter)
    k = b.op("sub", shifted, shifter)
    # exact: a multiple of 2**-29 (2**-57), and below 2**-5
    return shifted, k, b.op("fma", k, b.imm(-form.ln2, x), x)


def e_to(b: Builder, x: Operand) -> Power:
    """Of |x| <= 104 (746)."""
    shifted, k, r = reduced(b, x)
    scale, rest, steps = looked_up(b, shifted)
    r = b.op("fma", k, b.imm(-st.form_of(x).ln2_rest, x), r)
    return Power(scale, b.op("fma", r, st.horner(b, r, e_terms(x)), rest), steps)


def e_in_parts(b: Builder, x: Operand) -> tuple[Power, Value, Value]:
    """(power, r, v), q = r + v, r exact and v below 0.0003: with two instructions more and less error, for
    what adds errors of its own."""
    shifted, k, r = reduced(b, x)
    scale, rest, steps = looked_up(b, shifted)
    rest = b.op("fma", k, b.imm(-st.form_of(x).ln2_rest, x), rest)
    rest = b.op("fma", rest, r, rest)
    v = b.op("fma", b.op("mul", r, r), st.horner(b, r, e_terms(x)[1:]), rest)
    return Power(scale, b.op("add", r, v), steps), r, v


def two_to(b: Builder, x: Operand) -> Power:
    """Of |x| <= 152 (1077)."""
    shifter = b.imm(st.form_of(x).shifter / 16, x)
    shifted = b.op("add", x, shifter)
    r = b.op("sub", x, b.op("sub", shifted, shifter))
    scale, rest, steps = looked_up(b, shifted)
    return Power(scale, b.op("fma", r, st.horner(b, r, _EXP[x.dtype].two), rest), steps)


def looked_up(b: Builder, shifted: Value) -> tuple[Value, Value, Value]:
    """S, what it lacks in parts of it, and k in sixteenths."""
    p, steps = _EXP[shifted.dtype], st.as_bits(b, shifted, st.form_of(shifted))
    return scaled(b, steps, p.powers), st.element(b, steps, p.rests), steps


def scaled(b: Builder, steps: Value, powers: tuple[float, ...], down: bool = False, plus: int = 0) -> Value:
    """2**(k + plus), of k in sixteenths, or 2**(plus - k) if down, by its values for k from 0 to 15/16. Their
    exponents in the table are less by k, or more, so that all of k may be added as an integer."""
    form = st.form_of(steps)
    place = form.fraction - 4
    signs = -1 if down else 1
    entries = tuple(
        form.bits(power) + (plus << form.fraction) - signs * (j << place) for j, power in enumerate(powers)
    )
    places = b.op("shl", steps, b.imm(place, steps))
    return st.as_float(b, b.op("sub" if down else "add", st.bits_of(b, steps, entries), places), form)


def sum_of(b: Builder, x: Power) -> Value:
    """S + S q."""
    return b.op("fma", x.scale, x.q, x.scale)


def apart(b: Builder, x: Power) -> tuple[Value, Value, Value]:
    """(s, exponent, k): S = 2**k s, 1 <= s < 2, of a whole k; `exponent` is k in the place of an exponent."""
    form = st.form_of(x.scale)
    whole = b.op("and", x.steps, b.imm((1 << form.dtype.bits) - 16, x.steps))
    exponent = b.op("shl", whole, b.imm(form.fraction - 4, whole))
    s = st.as_float(b, b.op("sub", st.as_bits(b, x.scale, form), exponent), form)
    return s, exponent, b.op("sub", st.as_float(b, whole, form), b.imm(form.shifter / 16, s))


def scaled_once(b: Builder, s: Operand, rest: Operand, more: Operand, exponent: Operand, k: Operand) -> Value:
    """2**k (s (1 + more) + rest), rounded once where it is a denormal number, too: beside 2**(-126 - k), of
    float64 2**(-1022 - k), it has the last place of the result."""
    form = st.form_of(s)
    place = st.as_float(b, b.op("sub", b.imm(1 << form.fraction, exponent), exponent), form)
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
