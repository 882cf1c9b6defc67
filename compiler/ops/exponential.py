"""exp, exp2 and sigmoid, as loop instructions, by the powers of `table_exp.py`.

exp_term(x) = 2**k e**r, x = k ln2 + r, |r| <= ln2/2, by one polynomial
sigmoid(x) = 1 / (1 + e), e = exp(-|x|), for x >= 0; e / (1 + e) below; and what is lost on the way
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64
from . import steps as st
from .table_exp import Power, e_to, rounded_once, sum_of, two_to


@data
class _Exp:
    """What a format needs; lowest coefficients first."""

    range: tuple[float, float]  # outside, exp is 0 or inf
    usual: float  # nearer to 0, e**x is a normal number, and so is what it is made of
    alone: float  # from here on down, sigmoid is e**x, or 1 of -x
    exp: tuple[float, ...]  # (e**r - 1 - r) / r**2


EXP = {
    f32: _Exp(
        range=(-104.0, 89.0),
        usual=87.0,
        alone=-60.0,
        # |r| <= ln2/2: 2**-28.2
        exp=st.hexes("0x1.fffffcp-2 0x1.555492p-3 0x1.5558acp-5 0x1.123974p-7 0x1.6a504ap-10"),
    ),
    f64: _Exp(
        range=(-746.0, 710.0),
        usual=707.0,
        alone=-600.0,
        # |r| <= ln2/2: 2**-57.9
        exp=st.hexes(
            "0x1.000000000000ap-1 0x1.555555555550cp-3 0x1.55555555507a2p-5 0x1.1111111124834p-7"
            " 0x1.6c16c1843935ap-10 0x1.a01a01378e223p-13 0x1.a0199a09835c2p-16"
            " 0x1.71df0e098ce93p-19 0x1.28ad64c00671cp-22 0x1.ad9d737b035bcp-26"
        ),
    ),
}


# --- steps ---------------------------------------------------------------------------------------


def reduced(b: Builder, x: Operand) -> tuple[Operand, Operand]:
    """(r, k): x = k ln2 + r - k ln2_rest."""
    form = st.form_of(x)
    k = b.op("fma", x, 1 / math.log(2), form.shifter) - form.shifter
    # exact: a multiple of the last bit of x or of ln2, and not above half of ln2
    return b.op("fma", k, -form.ln2, x), k


def _power(
    b: Builder, x: Operand, to: Callable[[Builder, Operand], Power], usual: float, ends: tuple[float, float]
) -> Operand:
    """A power: beyond `usual`, slowly; beyond the ends, as at them."""
    rare = abs(x) > usual
    x = st.lifted_off_zero(b, x)
    slowly = lambda: (rounded_once(b, to(b, st.clamp(b, x, *ends))),)  # noqa: E731
    return st.where(b, rare, sum_of(b, to(b, x)), slowly)


# --- the functions -------------------------------------------------------------------------------


def exp_term(b: Builder, x: Operand) -> Operand:
    """`exp` in half of its instructions: float32 within 0.9 units in the last place, denormal results rounded
    twice."""
    p, (low, high) = EXP[x.dtype], EXP[x.dtype].range
    # What is masked comes as -inf: processors take a hundred times as long where a result underflows.
    gone = x < low
    r, k = reduced(b, st.at_most(b, b.op("select", gone, 0.0, x), high))
    r = b.op("fma", k, -st.form_of(x).ln2_rest, r)
    return b.op("select", gone, 0.0, b.op("scale", st.horner(b, r, (1.0, 1.0, *p.exp)), k))


def exp(b: Builder, x: Operand) -> Operand:
    """e**x. 0 at -inf, inf at inf."""
    return _power(b, x, e_to, EXP[x.dtype].usual, EXP[x.dtype].range)


def exp2(b: Builder, x: Operand) -> Operand:
    """2**x. 0 at -inf, inf at inf."""
    form = st.form_of(x)
    most, lost = form.bias + 2.0, form.fraction + 2
    return _power(b, x, two_to, form.bias - 1.0, (-most - lost, most))


def sigmoid(b: Builder, x: Operand) -> Operand:
    """1 / (1 + e**-x). 0 at -inf, 1 at inf."""
    p, form = EXP[x.dtype], st.form_of(x)
    below, one = x < 0.0, b.imm(1.0, x)
    minus = -abs(x)
    power = e_to(b, st.at_most(b, minus, -form.least))
    e = sum_of(b, power)
    e_rest = b.op("fma", power.scale, power.q, power.scale - e)
    d, lost = st.fast_sum(b, one, e)
    inverse = one / d
    top = b.op("select", below, e, one)
    t = top * inverse
    left = b.op("fma", -t, d, top)
    left = b.op("fma", -t, lost + e_rest, left)
    left = b.op("select", below, left + e_rest, left)
    usual = b.op("fma", left, inverse, t)

    def slowly() -> tuple[Operand]:
        power = e_to(b, st.at_least(b, minus, p.range[0]))
        normal = minus > -p.usual
        e = b.op("select", normal, sum_of(b, power), rounded_once(b, power))
        return (b.op("select", below, e, one),)

    # e**x hides beside 1, and what is lost may be too small
    return st.where(b, minus < p.alone, usual, slowly)
