"""expm1, sinh and cosh by tables of powers, as loop instructions.

    x = k ln2 + r, k a multiple of 1/16, |r| <= ln2/32
    expm1(x) = (S - 1) + S r + S v:  e**x = S (1 + r + v), S of 12 bits, so that S - 1 is exact
    2 cosh(x) = S + (S (e**R - 1) + T e**-R):  e**x = S e**R, e**-x = T e**-R
    2 sinh(x) = S + (S (e**R - 1) - T e**-R); up to 0.7 a polynomial

For the latter two the numbers S in the table are those near 2**(j/16) whose inverses T are float32 but for
2**-34 of them, or float64 but for 2**-62 (tables of such a kind are Gal's), so that one R = r + rest does for
both.
"""

from __future__ import annotations

import functools

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import DType, f32, f64
from . import formulas as fo
from . import steps as st
from .table_exp import apart, e_terms, e_to, reduced, rounded_once, scaled


@data
class _Hyperbolic:
    """What a format needs; lowest coefficients first."""

    s: tuple[float, ...]
    even: tuple[float, ...]  # (cosh R - 1) / z in powers of z = R**2
    odd: tuple[float, ...]  # (sinh(R) / R - 1) / z
    sinh: tuple[float, ...]  # (sinh(x) / x - 1) / z in powers of z = x**2, x <= 0.7
    exact: float  # from here on, S - 1 may not be exact
    usual: float  # from here on, T / 2 may be a denormal number, and S overflow
    ends: tuple[float, float]  # beyond the first expm1 is -1, from the second on all are inf


_HYPERBOLIC = {
    # of cosh 2**-29.2, of sinh 2**-31.5, of the last 2**-29.2
    f32: _Hyperbolic(
        s=st.hexes(
            "0x1p+0 0x1.0b53a6p+0 0x1.17297cp+0 0x1.23934ep+0 0x1.307b2ap+0 0x1.3de2cp+0 0x1.4bf862p+0"
            " 0x1.5ab56p+0 0x1.69f52ap+0 0x1.7a0bf4p+0 0x1.8ad4ap+0 0x1.9c5302p+0 0x1.ae89f2p+0 0x1.c18e66p+0"
            " 0x1.d584f8p+0 0x1.ea4e6cp+0"
        ),
        even=st.hexes("0x1.00022ep-1"),
        odd=st.hexes("0x1.555714p-3"),
        sinh=st.hexes("0x1.55555ep-3 0x1.110a82p-7 0x1.a5b8aep-13"),
        exact=16.0,
        usual=86.0,
        ends=(-30.0, 91.0),
    ),
    # 2**-66.2, 2**-75.5, 2**-60.2
    f64: _Hyperbolic(
        s=st.hexes(
            "0x1p+0 0x1.0b5586cf89ef3p+0 0x1.172b83c7dff58p+0 0x1.2387a6e763eadp+0 0x1.306fe0a312f45p+0"
            " 0x1.3dea64c11a604p+0 0x1.4bfdad53557c4p+0 0x1.5ab07dd493d5cp+0 0x1.6a09e6aef907ep+0"
            " 0x1.7a11473ea1873p+0 0x1.8ace54229efd4p+0 0x1.9c49182a4a8dep+0 0x1.ae89f995b93bfp+0"
            " 0x1.c199bdd852dafp+0 0x1.d5818dcfb01b2p+0 0x1.ea4afa2a579cbp+0"
        ),
        even=st.hexes("0x1.0000000000004p-1 0x1.5555555484d77p-5 0x1.6c183dc119c19p-10"),
        odd=st.hexes("0x1.5555555555558p-3 0x1.111111109eb7ep-7 0x1.a01b727f2bb48p-13"),
        sinh=st.hexes(
            "0x1.5555555555552p-3 0x1.111111111194bp-7 0x1.a01a019e6a3a4p-13 0x1.71de3cdfb48b5p-19"
            " 0x1.ae6079689afefp-26 0x1.64076e5da853fp-33"
        ),
        exact=28.0,
        usual=700.0,
        ends=(-60.0, 712.0),
    ),
}


Table = tuple[float, ...]


@functools.cache
def _short(dtype: DType) -> tuple[Table, Table]:
    """2**(j/16) in 12 bits, and the logarithm of what that left out."""
    short = tuple(fo.to_bits(x, 11) for x in fo.powers())
    return short, _rests(dtype, short)


@functools.cache
def _both(dtype: DType) -> tuple[Table, Table, Table]:
    """S, T, and R - r if k ln2 is exact."""
    s = _HYPERBOLIC[dtype].s
    return s, fo.to(dtype, [fo.over(fo.ONE, x) for x in s]), _rests(dtype, s)


def _rests(dtype: DType, s: Table) -> Table:
    return fo.to(dtype, [fo.ln(fo.over(x, part)) for x, part in zip(fo.powers(), s, strict=True)])


def _form(x: Operand) -> tuple[_Hyperbolic, st.Format]:
    return _HYPERBOLIC[x.dtype], st.form_of(x)


def expm1(b: Builder, x: Operand) -> Operand:
    """e**x - 1. -1 at -inf, inf at inf, -0 at -0."""
    p, form = _form(x)
    counts = st.has_square(b, x)
    shifted, k, r = reduced(b, b.op("select", counts, st.at_least(b, x, p.ends[0]), 0.0))
    steps = st.as_bits(b, shifted)
    short, rests = _short(x.dtype)
    s = scaled(b, steps, short)
    rest = b.op("fma", k, -form.ln2_rest, st.element(b, steps, rests))
    whole = r + rest
    v = b.op("fma", whole * whole, st.horner(b, whole, e_terms(x)[1:]), rest)
    total, lost = st.sum_of_product(b, s, r, s + -1.0)
    usual = b.op("select", counts, total + b.op("fma", s, v, lost), x)

    def slowly() -> tuple[Operand]:
        power = e_to(b, st.at_most(b, x, p.ends[1]))
        beyond = b.op("fma", power.scale, power.q, -1.0)
        return (b.op("select", x > p.usual, rounded_once(b, power), power.scale + beyond),)

    return st.where(b, x > p.exact, usual, slowly)


@data
class _Powers:
    """Half of S and T, e**R - 1 and e**-R - 1."""

    s: Operand
    t: Operand
    up: Operand
    down: Operand


def _powers(b: Builder, a: Operand) -> _Powers:
    """Of numbers from 0 to where they are usual."""
    (p, form), (up, down, rests) = _form(a), _both(a.dtype)
    shifted, k, r = reduced(b, a)
    steps = st.as_bits(b, shifted)
    s, t = scaled(b, steps, up, plus=-1), scaled(b, steps, down, down=True, plus=-1)
    rest = b.op("fma", k, -form.ln2_rest, st.element(b, steps, rests))
    r = r + rest
    z = r * r
    minus, even, odd = -r, st.horner(b, z, p.even), st.horner(b, z, p.odd)
    return _Powers(s, t, *(b.op("fma", z, b.op("fma", n, odd, even), n) for n in (r, minus)))


def _half_power(b: Builder, a: Operand) -> Operand:
    """e**a / 2, which e**-a does not count beside; inf from where it overflows."""
    power = e_to(b, st.at_most(b, a, _form(a)[0].ends[1]))
    s, _, k = apart(b, power)
    return b.op("scale", b.op("fma", s, power.q, s), k - 1.0)


def cosh(b: Builder, x: Operand) -> Operand:
    """The hyperbolic cosine. inf at -inf and inf."""
    p, form = _form(x)
    a = st.at_least(b, abs(x), form.half)
    e = _powers(b, a)
    other = b.op("fma", e.t, e.down, e.t)
    usual = e.s + b.op("fma", e.s, e.up, other)
    return st.where(b, a > p.usual, usual, lambda: (_half_power(b, a),))


def sinh(b: Builder, x: Operand) -> Operand:
    """The hyperbolic sine. -0 at -0, inf at inf."""
    p, form = _form(x)
    a = abs(x)
    m = b.op("select", a < form.half, 0.0, a)  # no cube is a denormal number
    e = _powers(b, m)
    other = b.op("fma", e.t, e.down, e.t)
    total = e.s + b.op("fma", e.s, e.up, -other)
    z = m * m
    near = b.op("fma", a * z, st.horner(b, z, p.sinh), a)
    usual = b.op("select", a < 0.7, near, total)
    result = st.where(b, a > p.usual, usual, lambda: (_half_power(b, a),))
    return st.with_sign(b, result, st.sign_of(b, x))
