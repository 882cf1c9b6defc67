"""expm1, sinh and cosh of float32 by the table of powers, as loop instructions.

    e**x = S (1 + r + v), e**-x = T (1 - r + w): S and T from the table, r exact, v and w below 0.0003
    expm1(x) = (S - 1) + S r + S v
    2 cosh(x) = (S + T) + (S - T) r + (S v + T w)
    2 sinh(x) = (S - T) + (S + T) r + (S v - T w)

What rounding the largest terms loses is added to the smallest.
"""

from __future__ import annotations

from ..ir.loop import Builder, Operand, Value
from .steps import F32, at_least, at_most, fast_sum, sign_of, sum_of_product, where_any, whole_sum, with_sign
from .table_exp import E, Power, apart, e_to, looked_up, reduced, rounded_once, scaled_once

_LARGE = 88.0  # from here on S is too large, and 1 or T hides beside it


def expm1(b: Builder, x: Operand) -> Value:
    """-1 at -inf, inf at inf, -0 at -0."""
    shifted, k, r = reduced(b, at_least(b, x, -30.0))
    s, rest, _ = looked_up(b, shifted)
    rest = b.op("fma", k, b.imm(-F32.ln2_rest, x), rest)
    rest = b.op("fma", rest, r, rest)  # that counts near 0, where S - 1 and S r cancel
    square = b.op("mul", r, r)
    slope = b.op("fma", square, b.imm(E[3], x), b.op("fma", r, b.imm(E[2], x), b.imm(E[1], x)))
    start, lost = whole_sum(b, s, b.imm(-1.0, x))
    total, less = sum_of_product(b, s, r, start)
    small = b.op("fma", s, b.op("fma", square, slope, rest), b.op("add", less, lost))
    usual = b.op("add", total, small)
    large = b.op("gt", x, b.imm(_LARGE, x))
    (result,) = where_any(b, large, (usual,), lambda: (rounded_once(b, e_to(b, at_most(b, x, 89.0))),))
    return with_sign(b, result, sign_of(b, x, F32), F32)


def hyperbolic(b: Builder, x: Operand, odd: bool) -> Operand:
    """sinh or cosh of |x|. inf at inf."""
    x = at_most(b, b.op("abs", x), 89.5)
    shifted, k, r = reduced(b, x)
    s, s_rest, steps = looked_up(b, shifted)
    t, t_rest, _ = looked_up(b, b.op("sub", b.imm(F32.shifter / 16, x), k))
    s_rest = b.op("fma", k, b.imm(-F32.ln2_rest, x), s_rest)
    t_rest = b.op("fma", k, b.imm(F32.ln2_rest, x), t_rest)
    if odd:  # that counts near 0, as above
        s_rest = b.op("fma", s_rest, r, s_rest)
        t_rest = b.op("fma", b.op("neg", t_rest), r, t_rest)
    square = b.op("mul", r, r)
    even = b.op("fma", square, b.imm(E[3], x), b.imm(E[1], x))
    v = b.op("fma", square, b.op("fma", r, b.imm(E[2], x), even), s_rest)
    w = b.op("fma", square, b.op("fma", r, b.imm(-E[2], x), even), t_rest)
    if odd:
        total, lost = fast_sum(b, s, b.op("neg", t))
        total, less = sum_of_product(b, s, r, total)
        total, least = sum_of_product(b, t, r, total)
        lost = b.op("add", b.op("add", lost, less), least)
        w = b.op("neg", w)
    else:
        total, lost = fast_sum(b, s, t)
        lost = b.op("fma", b.op("sub", s, t), r, lost)
    lost = b.op("fma", s, v, b.op("fma", t, w, lost))
    usual = b.op("mul", b.op("add", total, lost), b.imm(0.5, x))

    def slowly() -> tuple[Operand]:
        power = Power(s, b.op("add", r, v), steps)
        scale, exponent, k = apart(b, power)
        half = b.op("sub", k, b.imm(1.0, x))
        return (scaled_once(b, scale, b.imm(0.0, x), power.q, exponent, half),)

    (result,) = where_any(b, b.op("gt", x, b.imm(_LARGE, x)), (usual,), slowly)
    return result
