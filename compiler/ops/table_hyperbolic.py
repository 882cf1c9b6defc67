"""expm1, sinh and cosh of float32 by tables of powers, as loop instructions.

    x = k ln2 + r, k a multiple of 1/16, |r| <= ln2/32
    expm1(x) = (S - 1) + S r + S v:  e**x = S (1 + r + v), S of 12 bits, so that S - 1 is exact
    2 cosh(x) = S + (S (e**R - 1) + T e**-R):  e**x = S e**R, e**-x = T e**-R
    2 sinh(x) = S + (S (e**R - 1) - T e**-R); up to 0.7 a polynomial

For the latter two the numbers S in the table are those near 2**(j/16) whose inverses T are float32 but for
2**-34 of them (tables of such a kind are Gal's), so that one R = r + rest does for both.
"""

from __future__ import annotations

from ..ir.data import data
from ..ir.loop import Builder, Imm, Operand, Value
from ..ir.types import u32
from . import steps as st
from .table_exp import E, apart, e_to, reduced, rounded_once

# 2**(j/16) in 12 bits, as bits, less j 2**19; and the logarithm of what that left out
_SHORT = (
    0x3F800000, 0x3F7DB000, 0x3F7B9000, 0x3F79C000, 0x3F783000, 0x3F76F000, 0x3F760000, 0x3F756000,
    0x3F750000, 0x3F751000, 0x3F756000, 0x3F762000, 0x3F774000, 0x3F78D000, 0x3F7AC000, 0x3F7D2000,
)  # fmt: skip
_SHORT_RESTS = st.hexes(
    "0 -0x1.40ea36p-13 0x1.51eb06p-13 0x1.ae102ap-14 0x1.ab4930p-13 0x1.0bd64ap-13"
    " -0x1.ca8ce0p-16 -0x1.6e6bd0p-13 0x1.c00c40p-14 -0x1.3ef782p-13 0x1.295520p-13"
    " 0x1.696bfcp-14 0x1.7b9c1cp-14 -0x1.c81dd6p-15 0x1.b1d1bap-17 0x1.6ed6bap-14"
)
# S and T, as bits, less and more j 2**19; R - r, if k ln2 is exact
_UP = (
    0x3F800000, 0x3F7DA9D3, 0x3F7B94BE, 0x3F79C9A7, 0x3F783D95, 0x3F76F160, 0x3F75FC31, 0x3F755AB0,
    0x3F74FA95, 0x3F7505FA, 0x3F756A50, 0x3F762981, 0x3F7744F9, 0x3F78C733, 0x3F7AC27C, 0x3F7D2736,
)  # fmt: skip
_DOWN = (
    0x3F800000, 0x3F7D2736, 0x3F7AC27C, 0x3F78C3E3, 0x3F773D02, 0x3F762981, 0x3F756A50, 0x3F7505FA,
    0x3F750F52, 0x3F755AB0, 0x3F75FC31, 0x3F76F160, 0x3F7837F3, 0x3F79C781, 0x3F7B94BE, 0x3F7DA9D3,
)  # fmt: skip
_RESTS = st.hexes(
    "0 0x1.cc6eb4p-16 0x1.dca5cep-16 -0x1.476a92p-13 -0x1.2faf54p-13 0x1.89ef6ep-14 0x1.05486cp-14"
    " -0x1.cd8ee4p-15 0x1.d540f4p-13 0x1.cd8ee4p-15 -0x1.054878p-14 -0x1.89ef6ep-14 0x1.20a1ccp-22"
    " 0x1.9d60ecp-14 -0x1.dca5dep-16 -0x1.cc6ea4p-16"
)
_EVEN = float.fromhex("0x1.00022ep-1")  # cosh R - 1 = z times this, z = R**2: of cosh 2**-29.2
_ODD = float.fromhex("0x1.555714p-3")  # sinh R = R + R z times this: of sinh 2**-31.5
# (sinh(x) / x - 1) / z in powers of z = x**2, x <= 0.7: of sinh 2**-29.2
_SINH = st.hexes("0x1.55555ep-3 0x1.110a82p-7 0x1.a5b8aep-13")
_EXACT = 16.0  # from here on, S - 1 may not be exact
_USUAL = 86.0  # from here on, T / 2 may be a denormal number, and S overflow
_HALF = 1 << st.F32.fraction


def expm1(b: Builder, x: Operand) -> Operand:
    """-1 at -inf, inf at inf, -0 at -0."""
    counts = st.has_square(b, x, st.F32)
    shifted, k, r = reduced(b, b.op("select", counts, st.at_least(b, x, -30.0), b.imm(0.0, x)))
    steps = st.as_bits(b, shifted, st.F32)
    power = b.op("table", steps, *(Imm(bits, u32) for bits in _SHORT), dtype=u32)
    s = st.as_float(b, b.op("add", power, b.op("shl", steps, b.imm(19, steps))), st.F32)
    rest = b.op("fma", k, b.imm(-st.F32.ln2_rest, x), st.element(b, steps, _SHORT_RESTS))
    whole = b.op("add", r, rest)
    v = b.op("fma", b.op("mul", whole, whole), st.horner(b, whole, E[1:]), rest)
    start = b.op("add", s, b.imm(-1.0, x))
    total, lost = st.sum_of_product(b, s, r, start)
    usual = b.op("select", counts, b.op("add", total, b.op("fma", s, v, lost)), x)

    def slowly() -> tuple[Operand]:
        power = e_to(b, st.at_most(b, x, 89.0))
        beyond = b.op("fma", power.scale, power.q, b.imm(-1.0, x))
        huge = b.op("gt", x, b.imm(_USUAL, x))
        return (b.op("select", huge, rounded_once(b, power), b.op("add", power.scale, beyond)),)

    (result,) = st.where_any(b, b.op("gt", x, b.imm(_EXACT, x)), (usual,), slowly)
    return result


@data
class _Powers:
    """Half of S and T, e**R - 1 and e**-R - 1."""

    s: Value
    t: Value
    up: Value
    down: Value


def _powers(b: Builder, a: Operand) -> _Powers:
    """Of 0 <= a <= _USUAL."""
    shifted, k, r = reduced(b, a)
    steps = st.as_bits(b, shifted, st.F32)
    places = b.op("shl", steps, b.imm(19, steps))
    up, down = (
        b.op("table", steps, *(Imm(bits - _HALF, u32) for bits in table), dtype=u32) for table in (_UP, _DOWN)
    )
    s, t = st.as_float(b, b.op("add", up, places), st.F32), st.as_float(b, b.op("sub", down, places), st.F32)
    rest = b.op("fma", k, b.imm(-st.F32.ln2_rest, a), st.element(b, steps, _RESTS))
    r = b.op("add", r, rest)
    z = b.op("mul", r, r)
    minus, even, odd = b.op("neg", r), b.imm(_EVEN, a), b.imm(_ODD, a)
    up, down = (b.op("fma", z, b.op("fma", n, odd, even), n) for n in (r, minus))
    return _Powers(s, t, up, down)


def _half_power(b: Builder, a: Operand) -> Value:
    """e**a / 2, which e**-a does not count beside; inf from where it overflows."""
    power = e_to(b, st.at_most(b, a, 91.0))
    s, _, k = apart(b, power)
    return b.op("scale", b.op("fma", s, power.q, s), b.op("sub", k, b.imm(1.0, a)))


def cosh(b: Builder, a: Operand) -> Operand:
    """Of a number that is not negative; inf at inf."""
    p = _powers(b, a)
    other = b.op("fma", p.t, p.down, p.t)
    usual = b.op("add", p.s, b.op("fma", p.s, p.up, other))
    large = b.op("gt", a, b.imm(_USUAL, a))
    (result,) = st.where_any(b, large, (usual,), lambda: (_half_power(b, a),))
    return result


def sinh(b: Builder, x: Operand) -> Value:
    """-0 at -0, inf at inf."""
    a = b.op("abs", x)
    m = b.op("select", b.op("lt", a, b.imm(st.F32.half, a)), b.imm(0.0, a), a)  # no cube is a denormal number
    p = _powers(b, m)
    other = b.op("fma", p.t, p.down, p.t)
    total = b.op("add", p.s, b.op("fma", p.s, p.up, b.op("neg", other)))
    z = b.op("mul", m, m)
    near = b.op("fma", b.op("mul", a, z), st.horner(b, z, _SINH), a)
    usual = b.op("select", b.op("lt", a, b.imm(0.7, a)), near, total)
    large = b.op("gt", a, b.imm(_USUAL, a))
    (result,) = st.where_any(b, large, (usual,), lambda: (_half_power(b, a),))
    return st.with_sign(b, result, st.sign_of(b, x, st.F32), st.F32)
