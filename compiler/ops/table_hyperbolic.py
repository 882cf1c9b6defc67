"""expm1, sinh and cosh of float32 by the table of powers, as loop instructions.

    e**x = S (1 + r + v), e**-x = T (1 - r + w): S and T from the table, r exact, v and w below 0.0003
    expm1(x) = (S - 1) + S r + S v
    2 cosh(x) = (S + T) + (S + T) (cosh r - 1) + (S - T) sinh r
    2 sinh(x) = (S - T) + (S - T) (cosh r - 1) + (S + T) sinh r

What rounding the largest terms loses is added to the smallest.
"""

from __future__ import annotations

import math
from typing import TypeVar

from ..ir.data import data
from ..ir.loop import Builder, Imm, Operand, Value
from ..ir.types import f32, i32, u32
from . import steps as st
from .table_exp import POWERS, RESTS, E, e_to, looked_up, reduced, rounded_once

_LARGE = 88.0  # from here on S is too large, and 1 or T hides beside it
_HALF = 1 << st.F32.fraction
_MOST, _MOST_K = 89.416, 129 - 1 / 16  # from here on, cosh is inf; so much less is S / 2
_T = TypeVar("_T")


def expm1(b: Builder, x: Operand) -> Value:
    """-1 at -inf, inf at inf, -0 at -0."""
    shifted, k, r = reduced(b, st.at_least(b, x, -30.0))
    s, rest, _ = looked_up(b, shifted)
    rest = b.op("fma", k, b.imm(-st.F32.ln2_rest, x), rest)
    rest = b.op("fma", rest, r, rest)  # that counts near 0, where S - 1 and S r cancel
    small = st.settled(b, r, st.F32)
    square = b.op("mul", small, small)
    slope = b.op("fma", square, b.imm(E[3], x), b.op("fma", r, b.imm(E[2], x), b.imm(E[1], x)))
    start, lost = st.whole_sum(b, s, b.imm(-1.0, x))
    total, less = st.sum_of_product(b, s, r, start)
    rest = b.op("fma", s, b.op("fma", square, slope, rest), b.op("add", less, lost))
    usual = b.op("add", total, rest)
    large = b.op("gt", x, b.imm(_LARGE, x))
    (result,) = st.where_any(b, large, (usual,), lambda: (rounded_once(b, e_to(b, st.at_most(b, x, 89.0))),))
    return st.with_sign(b, result, st.sign_of(b, x, st.F32), st.F32)


@data
class _Powers:
    """e**a = 2 s (1 + s_rest) e**(r - k ln2_rest),
    e**-a = 2 t (1 + t_rest) e**-(r - k ln2_rest); t is 0 where
    that is too small."""

    s: Value
    s_rest: Value
    t: Value
    t_rest: Value
    r: Value
    k: Value


def _powers(b: Builder, x: Operand) -> _Powers:
    """Of a = x, which is not negative, or where cosh overflows if that is less. There s does not yet."""
    a = st.at_most(b, x, _MOST)
    shifter = b.imm(st.F32.shifter / 16, x)
    shifted = st.at_most(b, b.op("fma", a, b.imm(1 / math.log(2), x), shifter), st.F32.shifter / 16 + _MOST_K)
    k = b.op("sub", shifted, shifter)
    steps = st.as_bits(b, shifted, st.F32)
    places = b.op("shl", steps, b.imm(19, steps))
    up, down = (
        b.op("table", steps, *(Imm(bits - _HALF, u32) for bits in table), dtype=u32)
        for table in (POWERS, _back(POWERS))
    )
    low = b.op("bitcast", b.op("sub", down, places), dtype=i32)
    low = b.op("select", b.op("lt", low, b.imm(0, low)), b.imm(0, low), low)
    s, t = st.as_float(b, b.op("add", up, places), st.F32), b.op("bitcast", low, dtype=f32)
    rests = st.element(b, steps, RESTS), st.element(b, steps, _back(RESTS))
    return _Powers(s, rests[0], t, rests[1], b.op("fma", k, b.imm(-st.F32.ln2, x), a), k)


def _back(table: tuple[_T, ...]) -> tuple[_T, ...]:
    """A table of 2**(j/16) / 2**(j/16) as one of 2**(-j/16) 2**(j/16)."""
    return table[0], *reversed(table[1:])


def _both(b: Builder, r: Operand, start: Operand) -> tuple[Value, Value]:
    """cosh r - 1, sinh r - r + start."""
    square = b.op("mul", r, r)
    even = b.op("mul", square, b.op("fma", square, b.imm(1 / 24, r), b.imm(0.5, r)))
    return even, b.op("fma", b.op("mul", square, r), b.imm(1 / 6, r), start)


def cosh(b: Builder, x: Operand) -> Value:
    """Of a number that is not negative; inf at inf."""
    p = _powers(b, x)
    r = b.op("fma", p.k, b.imm(-st.F32.ln2_rest, x), p.r)
    even, odd = _both(b, r, r)
    total, lost = st.fast_sum(b, p.s, p.t)
    small = b.op("fma", p.s, p.s_rest, lost)  # that of t is below a quarter of a unit
    small = b.op("fma", b.op("sub", p.s, p.t), odd, b.op("fma", total, even, small))
    return b.op("add", total, small)


def sinh(b: Builder, x: Operand) -> Value:
    """Of a number that is not negative; inf at inf."""
    p = _powers(b, x)
    even, odd = _both(b, p.r, b.op("mul", p.k, b.imm(-st.F32.ln2_rest, x)))
    less, plus = b.op("neg", p.t), b.op("add", p.s, p.t)
    difference, lost = st.fast_sum(b, p.s, less)
    total, more = st.sum_of_product(b, plus, p.r, difference)
    small = b.op("fma", p.s, b.op("fma", p.s_rest, p.r, p.s_rest), b.op("add", lost, more))
    rest = b.op("fma", b.op("neg", p.t_rest), p.r, p.t_rest)  # near 0 that counts, too
    small = b.op("fma", less, rest, b.op("fma", difference, even, small))
    return b.op("add", total, b.op("fma", plus, odd, small))
