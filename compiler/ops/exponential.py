"""exp, exp2, expm1, sinh, cosh, tanh and sigmoid, as loop instructions.

    x = k ln2 + r, |r| <= ln2/2;  cosh r = 1 + c,  sinh r = r + s,  so e**r = 1 + r + s + c

    exp(x)   = 2**k e**r                                    exp2: x = k + r, 2**r alike
               float32: `table_exp.py`
    expm1(x) = 2**k (r + s + c) + 2**k - 1
    sinh(x)  = U (r + s) + V (1 + c)                        U, V = (2**k + 2**-k) / 2, (2**k - 2**-k) / 2
    cosh(x)  = U (1 + c) + V (r + s)                        of these three float32: `table_hyperbolic.py`
    tanh(x)  = m / (m + 2), m = expm1(2 |x|)                float32: `table_tanh.py`
    sigmoid(x) = 1 / (1 + e), e = exp(-|x|), for x >= 0; e / (1 + e) below; and what is lost on the way

The largest terms are added with what rounding loses.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.data import data
from ..ir.loop import Builder, Operand, Value
from ..ir.types import f32, f64
from . import steps as st
from . import table_hyperbolic, table_tanh
from .table_exp import Power, e_to, rounded_once, sum_of, two_to


@data
class _Exp:
    """What a format needs; lowest coefficients first."""

    range: tuple[float, float]  # outside, exp is 0 or inf
    exp: tuple[float, ...]  # (e**r - 1 - r) / r**2


_EXP = {
    f32: _Exp(
        range=(-104.0, 89.0),
        # |r| <= ln2/2: 2**-28.2
        exp=st.hexes("0x1.fffffcp-2 0x1.555492p-3 0x1.5558acp-5 0x1.123974p-7 0x1.6a504ap-10"),
    ),
    f64: _Exp(
        range=(-746.0, 710.0),
        # |r| <= ln2/2: 2**-57.9
        exp=st.hexes(
            "0x1.000000000000ap-1 0x1.555555555550cp-3 0x1.55555555507a2p-5 0x1.1111111124834p-7"
            " 0x1.6c16c1843935ap-10 0x1.a01a01378e223p-13 0x1.a0199a09835c2p-16"
            " 0x1.71df0e098ce93p-19 0x1.28ad64c00671cp-22 0x1.ad9d737b035bcp-26"
        ),
    ),
}

# of float64, |r| <= ln2/2: 2**-70.0 and 2**-61.7
# (cosh r - 1 - z/2) / z**2 in powers of z = r**2
_COSH = st.hexes(
    "0x1.5555555555558p-5 0x1.6c16c16c14ffap-10 0x1.a01a01ad81014p-16 0x1.27e4cc0931f5ep-22"
    " 0x1.1f8bee7b164e5p-29"
)
# (sinh(r) / r - 1) / z
_SINH = st.hexes(
    "0x1.5555555555559p-3 0x1.111111110f628p-7 0x1.a01a01b021b52p-13 0x1.71ddf7aaf62a7p-19"
    " 0x1.af5ffe7802f8cp-26"
)
_EXP_USUAL = 87.0  # nearer to 0, e**x of float32 is a normal number, and so is what it is made of
_SIGMOID_USUAL = -60.0  # of float32: further away from 0 it is e**x, or 1
_LEAST = -60.0  # below, expm1 is -1
_SINH_RANGE = 710.6  # from here on, sinh and cosh are inf
_TANH_RANGE = 20.0  # from here on, tanh is 1

# (2**r - 1 - r ln2) / r**2, |r| <= 1/2: 2**-57.4
_EXP2_64 = st.hexes(
    "0x1.ebfbdff82c5a1p-3 0x1.c6b08d7049f67p-5 0x1.3b2ab6fba0570p-7 0x1.5d87fe78fdfaep-10"
    " 0x1.4309130e77bf3p-13 0x1.ffcbfa827c788p-17 0x1.62bfc7c24460ap-20 0x1.b52931cecd162p-24"
    " 0x1.e61c09ddc1856p-28 0x1.e339cff9e97f3p-32"
)


# --- steps ---------------------------------------------------------------------------------------


def reduced(b: Builder, x: Operand, form: st.Format) -> tuple[Value, Value]:
    """(r, k): x = k ln2 + r - k ln2_rest."""
    shifter = b.imm(form.shifter, x)
    k = b.op("sub", b.op("fma", x, b.imm(1 / math.log(2), x), shifter), shifter)
    # exact: a multiple of the last bit of x or of ln2, and not above half of ln2
    return b.op("fma", k, b.imm(-form.ln2, x), x), k


def _reduced_twice(b: Builder, x: Operand) -> tuple[Value, Value, Value]:
    """(r, rest, k): x = k ln2 + r + rest, of float64."""
    r, k = reduced(b, x, st.F64)
    return *st.fast_sum(b, r, b.op("mul", k, b.imm(-st.F64.ln2_rest, x))), k


def _beyond_linear(b: Builder, r: Operand) -> tuple[Value, Value, Value]:
    """(half, even, odd): cosh r = 1 + half + even, sinh r = r + odd; half is r r / 2, rounded."""
    z, z_rest = st.product(b, r, r)
    half = b.imm(0.5, r)
    even = b.op("mul", b.op("mul", z, z), st.horner(b, z, _COSH))
    even = b.op("fma", z_rest, half, even)
    return b.op("mul", z, half), even, b.op("mul", b.op("mul", z, r), st.horner(b, z, _SINH))


def exp_reduced(b: Builder, r: Operand, form: st.Format) -> Value:
    """e**r of a small r."""
    return st.horner(b, r, (1.0, 1.0, *_EXP[form.dtype].exp))


def exp_tail(b: Builder, r: Operand, form: st.Format) -> Value:
    """(e**r - 1 - r) / r**2."""
    return st.horner(b, r, _EXP[form.dtype].exp)


def exp_range(form: st.Format) -> tuple[float, float]:
    return _EXP[form.dtype].range


def exp_of_sum(b: Builder, x: Operand, rest: Operand, form: st.Format) -> Value:
    """e**(x + rest)."""
    r, k = reduced(b, st.clamp(b, x, *exp_range(form)), form)
    r = b.op("add", b.op("fma", k, b.imm(-form.ln2_rest, x), r), rest)
    return b.op("scale", exp_reduced(b, r, form), k)


def exp_twice(b: Builder, x: Operand, rest: Operand) -> tuple[Value, Value, Value]:
    """(h, h_rest, k): e**(x + rest) = 2**k (h + h_rest), of float64."""
    r, r_rest, k = _reduced_twice(b, st.clamp(b, x, *exp_range(st.F64)))
    r, rest = st.fast_sum(b, r, b.op("add", r_rest, rest))
    half, even, odd = _beyond_linear(b, r)
    h, lost = st.fast_sum(b, b.imm(1.0, x), r)
    lost = b.op("add", lost, rest)
    h, more = st.fast_sum(b, h, half)
    return *st.fast_sum(b, h, b.op("add", b.op("add", lost, more), b.op("add", even, odd))), k


def _expm1_twice(b: Builder, x: Operand, unit: float) -> tuple[Value, Value]:
    """unit * (e**x - 1), a power of two times it, as a sum of two; e**x is below the greatest number."""
    r, rest, k = _reduced_twice(b, x)
    half, even, odd = _beyond_linear(b, r)
    up = st.power_of_two(b, k, st.F64, plus=round(math.log2(unit)))
    total, less = st.fast_sum(b, up, b.imm(-unit, x))
    total, lost = st.fast_sum(b, total, b.op("mul", up, r))
    total, more = st.fast_sum(b, total, b.op("mul", up, half))
    lost = b.op("add", b.op("add", lost, more), less)
    return total, b.op("fma", up, b.op("add", b.op("add", odd, rest), even), lost)


def _single(
    b: Builder, x: Operand, to: Callable[[Builder, Operand], Power], usual: float, ends: tuple[float, float]
) -> Operand:
    """A power of float32: beyond `usual`, slowly; beyond the ends, as at them."""
    rare = b.op("gt", b.op("abs", x), b.imm(usual, x))
    x = st.lifted_off_zero(b, x, st.F32)
    (result,) = st.where_any(
        b, rare, (sum_of(b, to(b, x)),), lambda: (rounded_once(b, to(b, st.clamp(b, x, *ends))),)
    )
    return result


# --- the functions -------------------------------------------------------------------------------


@st.by_format
def exp_term(b: Builder, args: tuple[Operand, ...], form: st.Format) -> Operand:
    """`exp` in half of its instructions: float32 within 0.9 units in the last place, denormal results rounded
    twice."""
    (x,) = args
    low, high = exp_range(form)
    # What is masked comes as -inf: processors take a hundred times as long where a result underflows.
    gone, zero = b.op("lt", x, b.imm(low, x)), b.imm(0.0, x)
    r, k = reduced(b, st.at_most(b, b.op("select", gone, zero, x), high), form)
    r = b.op("fma", k, b.imm(-form.ln2_rest, x), r)
    return b.op("select", gone, zero, b.op("scale", exp_reduced(b, r, form), k))


@st.of_f32(lambda b, x: _single(b, x, e_to, _EXP_USUAL, exp_range(st.F32)))
@st.of_f64
def exp(b: Builder, x: Operand) -> Operand:
    """e**x. 0 at -inf, inf at inf."""
    return exp_term(b, (st.lifted_off_zero(b, x, st.F64),), f64)


def _sigmoid32(b: Builder, x: Operand) -> Operand:
    below, one = b.op("lt", x, b.imm(0.0, x)), b.imm(1.0, x)
    minus = b.op("neg", b.op("abs", x))
    power = e_to(b, st.at_most(b, minus, -st.F32.least))
    e = sum_of(b, power)
    e_rest = b.op("fma", power.scale, power.q, b.op("sub", power.scale, e))
    d, lost = st.fast_sum(b, one, e)
    inverse = b.op("div", one, d)
    top = b.op("select", below, e, one)
    t = b.op("mul", top, inverse)
    left = b.op("fma", b.op("neg", t), d, top)
    left = b.op("fma", b.op("neg", t), b.op("add", lost, e_rest), left)
    left = b.op("select", below, b.op("add", left, e_rest), left)
    usual = b.op("fma", left, inverse, t)

    def slowly() -> tuple[Operand]:
        power = e_to(b, st.at_least(b, minus, exp_range(st.F32)[0]))
        normal = b.op("gt", minus, b.imm(-_EXP_USUAL, x))
        e = b.op("select", normal, sum_of(b, power), rounded_once(b, power))
        return (b.op("select", below, e, one),)

    # e**x hides beside 1, and what is lost may be too small
    (result,) = st.where_any(b, b.op("lt", minus, b.imm(_SIGMOID_USUAL, x)), (usual,), slowly)
    return result


@st.of_f32(_sigmoid32)
@st.of_f64
def sigmoid(b: Builder, x: Operand) -> Operand:
    """1 / (1 + e**-x). 0 at -inf, 1 at inf."""
    one, zero = b.imm(1.0, x), b.imm(0.0, x)
    below = b.op("lt", x, zero)
    # Above 0 all that is further away than 40 is 1: processors are slow where a result underflows.
    end = b.op("select", below, b.imm(exp_range(st.F64)[0], x), b.imm(-40.0, x))
    minus = st.at_most(b, b.op("neg", b.op("abs", x)), -st.F64.least)
    s, small, k = exp_twice(b, b.op("select", b.op("lt", minus, end), end, minus), zero)
    # where 2**k does not count beside 1, it need not be that small
    power = st.power_of_two(b, st.at_least(b, k, -4.0 * st.F64.fraction), st.F64)
    d = b.op("fma", s, power, one)
    d_rest = b.op("fma", small, power, b.op("fma", s, power, b.op("sub", one, d)))
    top = b.op("select", below, s, one), b.op("select", below, small, zero)
    q, rest = st.quotient(b, top, (d, d_rest))
    return st.scaled_sum(b, q, rest, b.op("select", below, k, zero), st.F64)


@st.of_f32(lambda b, x: _single(b, x, two_to, 126.0, (-152.0, 129.0)))
@st.of_f64
def exp2(b: Builder, x: Operand) -> Operand:
    """2**x. 0 at -inf, inf at inf."""
    x = st.clamp(b, st.lifted_off_zero(b, x, st.F64), -1077.0, 1025.0)
    shifter = b.imm(st.F64.shifter, x)
    k = b.op("sub", b.op("add", x, shifter), shifter)
    r = b.op("sub", x, k)
    one, ln2 = b.imm(1.0, x), b.imm(st.F64.ln2, x)
    total = b.op("fma", r, ln2, one)
    lost = b.op("fma", r, ln2, b.op("sub", one, total))
    small = st.settled(b, r, st.F64)
    lost = b.op("fma", b.op("mul", small, small), st.horner(b, r, _EXP2_64), lost)
    return b.op("scale", b.op("add", total, lost), k)


@st.of_f32(table_hyperbolic.expm1)
@st.near_zero(st.F64.least, linear=True)
@st.of_f64
def expm1(b: Builder, x: Operand) -> Operand:
    """e**x - 1. -1 at -inf, inf at inf, -0 at -0."""
    # half of it, so that 2**k does not overflow
    total, rest = _expm1_twice(b, st.clamp(b, x, _LEAST, exp_range(st.F64)[1]), unit=0.5)
    half = b.op("add", total, rest)
    return b.op("add", half, half)


def _hyperbolic(b: Builder, x: Operand, sine: bool) -> Value:
    """sinh or cosh of a float64 that is not negative."""
    r, rest, k = _reduced_twice(b, st.at_most(b, x, _SINH_RANGE))
    square, even, cubic = _beyond_linear(b, r)
    # half of U and V, so that they do not overflow; 2**-k beyond 2**-100 counts for nothing
    up = st.power_of_two(b, k, st.F64, plus=-2)
    down = st.power_of_two(b, b.op("neg", st.at_most(b, k, 100.0)), st.F64, plus=-2)
    u, u_rest = st.fast_sum(b, up, down)
    v, v_rest = st.fast_sum(b, up, b.op("neg", down))
    (first, first_rest), (second, second_rest) = [(u, u_rest), (v, v_rest)][:: -1 if sine else 1]
    linear, less = st.product(b, second, r)
    total, lost = st.fast_sum(b, first, linear)
    lost = b.op("add", b.op("add", lost, less), b.op("fma", second_rest, r, first_rest))
    lost = b.op("fma", second, b.op("add", cubic, rest), lost)
    half = b.op("add", total, b.op("fma", first, b.op("add", square, even), lost))
    return b.op("add", half, half)


@st.of_f32(table_hyperbolic.sinh)
@st.odd(None, st.F64.half)
@st.of_f64
def sinh(b: Builder, x: Operand) -> Operand:
    """The hyperbolic sine. -0 at -0, inf at inf."""
    return _hyperbolic(b, x, sine=True)


@st.by_format
def cosh(b: Builder, args: tuple[Operand, ...], form: st.Format) -> Operand:
    """The hyperbolic cosine. inf at -inf and inf."""
    a = st.at_least(b, b.op("abs", args[0]), form.half)
    if form.dtype == f32:
        return table_hyperbolic.cosh(b, a)
    return _hyperbolic(b, a, sine=False)


@st.odd(None, st.F64.half)
@st.of_f32(table_tanh.tanh)
@st.of_f64
def tanh(b: Builder, x: Operand) -> Operand:
    """The hyperbolic tangent. -0 at -0, 1 at inf, -1 at -inf."""
    a = st.at_most(b, x, _TANH_RANGE)
    m, m_rest = st.fast_sum(b, *_expm1_twice(b, b.op("add", a, a), unit=1.0))
    d, lost = st.whole_sum(b, m, b.imm(2.0, x))
    q, rest = st.quotient(b, (m, m_rest), (d, b.op("add", lost, m_rest)))
    return b.op("add", q, rest)
