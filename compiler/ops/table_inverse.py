"""arcsinh, arccosh and arctanh by the table of logarithms, as loop instructions.

    log(y + rest) = log(y) + rest / y:  y = |x| + sqrt(x**2 + 1), x + sqrt(x**2 - 1), (1 + |x|) / (1 - |x|)

`rest` is what rounding y loses, so 1 / y may be wrong by as much of it as the result is of 1: near 1 it is
2 - y, elsewhere three or four bits are enough.
"""

from __future__ import annotations

import math

from ..ir.loop import Builder, Operand
from ..ir.types import f32, f64
from . import steps as st
from . import table_log

_LESS = 0.2  # so what is between 1 and 1.5 is wrong by 1/25 at most
_LARGE = {f32: 2.0**60, f64: 2.0**500}  # from here on, it is log(2 x), and squares overflow


def _inverse(b: Builder, x: Operand, beside: Operand) -> Operand:
    """About 1 / x of x >= 1, by 2 - x; that is the larger one near 1 alone."""
    other = st.about_inverse(b, x, _LESS)
    return b.op("select", beside > other, beside, other)


def _from_one(b: Builder, x: Operand) -> Operand:
    return _inverse(b, x, 2.0 - x)


def _twice(b: Builder, x: Operand) -> Operand:
    """log(2 x) of large x; inf and NaN stay, and negative numbers become NaN."""
    return table_log.log_of_sum(b, (x, b.imm(0.0, x)), b.imm(1.0, x))


@st.odd(*st.HALF)
def arcsinh(b: Builder, a: Operand) -> Operand:
    """The inverse of sinh. -0 at -0, inf at inf."""
    root = b.op("sqrt", b.op("fma", a, a, 1.0))
    minus = -root
    left = b.op("fma", a, a, b.op("fma", minus, root, 1.0))
    y, rest = st.fast_sum(b, root, a)
    rest = b.op("fma", left, _from_one(b, root) * 0.5, rest)
    usual = table_log.log_of(b, y, rest * _from_one(b, y))
    rare = ~(a <= _LARGE[a.dtype])
    return st.where(b, rare, usual, lambda: (_twice(b, a),))


def arccosh(b: Builder, a: Operand) -> Operand:
    """The inverse of cosh. 0 at 1, NaN below, inf at inf."""
    beyond = a - 1.0  # a**2 - 1 = beyond**2 + 2 beyond
    twice = beyond + beyond
    root = b.op("sqrt", b.op("fma", beyond, beyond, twice))
    left = b.op("fma", beyond, beyond, b.op("fma", -root, root, twice))
    y, rest = st.fast_sum(b, a, root)
    rest = b.op("fma", left, st.about_inverse(b, root + root), rest)
    usual = table_log.log_of(b, y, rest * _from_one(b, y))
    inside = (a >= 1.0) & (a <= _LARGE[a.dtype])

    def slowly() -> tuple[Operand]:
        return (_twice(b, b.op("select", a < 1.0, -1.0, a)),)

    return st.where(b, ~inside, usual, slowly)


@st.odd(*st.HALF)
def arctanh(b: Builder, a: Operand) -> Operand:
    """The inverse of tanh. -0 at -0, inf at 1, NaN beyond."""
    one = b.imm(1.0, a)
    (n, n_rest), (d, d_rest) = st.fast_sum(b, one, a), st.fast_sum(b, one, -a)
    y = n / d
    minus = -y
    left = b.op("fma", minus, d_rest, b.op("fma", minus, d, n) + n_rest)
    usual = table_log.log_of(b, y, left * _inverse(b, n, d)) * 0.5  # as d y = n

    def slowly() -> tuple[Operand]:
        return (b.op("select", b.op("eq", a, one), b.imm(math.inf, a), b.imm(math.nan, a)),)

    return st.where(b, ~(a < one), usual, slowly)
