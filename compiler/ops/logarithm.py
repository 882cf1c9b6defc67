"""log, log2, log10, log1p, asinh, acosh and atanh, as loop instructions.

    x = 2**k m, m = 1 + f, sqrt(1/2) <= m < sqrt(2)                float32: `table_log.py`
    log(x) = k ln2 + f - f**2/2 + s (f**2/2 + z C(z)),  s = f / (2 + f),  z = s s

A polynomial in f would need twenty terms.

    log1p(x) = log(1 + x)
    asinh(x) = log(|x| + sqrt(x**2 + 1))                  acosh: x + sqrt(x**2 - 1)
    atanh(x) = log((1 + |x|) / (1 - |x|)) / 2             of these three float32: `table_inverse.py`

The arguments of these are sums of two numbers: log(y + rest) = log(y) + rest / y.
"""

from __future__ import annotations

import math

from ..ir.loop import Builder, Operand, Value
from ..ir.types import f32
from . import steps as st
from . import table_inverse, table_log

# (2 atanh(s) - 2 s) / s**3 in powers of z = s**2, |s| <= 3 - sqrt(8): 2**-59.5
_LOG = st.hexes(
    "0x1.5555555555592p-1 0x1.999999997ff1ap-2 0x1.24924941e13e3p-2 0x1.c71c521469cb0p-3"
    " 0x1.74663ce7751cdp-3 0x1.39a1e974746e6p-3 0x1.2f03b2e20669cp-3"
)
_LOG2_E = st.hexes("0x1.71547652b82fep+0 0x1.777d0ffda0d24p-56")  # rounded, and the rest
_LOG10_E = st.hexes("0x1.bcb7b1526e50ep-2 0x1.95355baaafad3p-57")
_LOG10_2 = st.hexes("0x1.34413509f8000p-2 -0x1.80433b83b532ap-44")  # multiples of the first are exact


def add_multiple(b: Builder, k: Operand, f: Operand) -> tuple[Value, Value]:
    """k ln2 + f, with ln2 as rounded, and what rounding the sum loses."""
    ln2 = b.imm(st.F64.ln2, f)
    total = b.op("fma", k, ln2, f)
    # k ln2 - total is exact: it is about -f
    return total, b.op("add", b.op("fma", k, ln2, b.op("neg", total)), f)


def _beyond_linear(b: Builder, f: Operand) -> tuple[Value, tuple[Operand, Operand], Value]:
    """(square, (u, v), lost): log(1 + f) = f + square + u v + lost; square is -f**2/2, rounded."""
    square, lost = st.product(b, f, f)
    minus_half = b.imm(-0.5, f)
    half = b.op("mul", square, minus_half)
    s = b.op("div", f, b.op("add", f, b.imm(2.0, f)))
    z = b.op("mul", s, s)
    inner = b.op("fma", z, st.horner(b, z, _LOG), b.op("neg", half))
    return half, (s, inner), b.op("mul", lost, minus_half)


def _natural(b: Builder, f: Operand, k: Operand, more: Operand | None = None) -> tuple[Value, Value]:
    """k ln2 + log(1 + f) + more, as a sum of two."""
    square, (u, v), beyond = _beyond_linear(b, f)
    total, lost = add_multiple(b, k, f)
    lost = b.op("fma", k, b.imm(st.F64.ln2_rest, k), lost)
    if more is not None:
        lost = b.op("add", lost, more)
    total, less = st.fast_sum(b, total, square)
    return total, b.op("fma", u, v, b.op("add", beyond, b.op("add", lost, less)))


def _log_of_sum(b: Builder, y: st.Pair, octaves: Operand | None = None) -> Value:
    """log(2**octaves (y + rest)) of float64; y is no denormal number."""
    x, more = y
    f, k = st.split(b, x, st.F64, denormals=False)
    if octaves is not None:
        k = b.op("add", k, octaves)
    return st.at_ends(b, x, b.op("add", *_natural(b, f, k, b.op("div", more, x))), st.F64)


def log_twice(b: Builder, y: st.Pair) -> st.Pair:
    """log(y + rest) of float64 as a sum of two, to about four bits more than it has."""
    x, more = y
    f, k = st.split(b, x, st.F64, denormals=True)
    total, rest = st.fast_sum(b, *_natural(b, f, k, b.op("div", more, x)))
    return st.at_ends(b, x, total, st.F64), rest


# --- the functions -------------------------------------------------------------------------------


@st.of_f32(lambda b, x: table_log.log(b, x, table_log.LN))
@st.of_f64
def log(b: Builder, x: Operand) -> Operand:
    """The natural logarithm. -inf at 0 and -0, NaN below, inf at inf."""
    f, k = st.split(b, x, st.F64, denormals=True)
    return st.at_ends(b, x, b.op("add", *_natural(b, f, k)), st.F64)


def _other_base(b: Builder, x: Operand, e: tuple[float, ...], two: tuple[float, ...]) -> Value:
    """The logarithm whose values at e and at 2 are these, each a sum of two."""
    f, k = st.split(b, x, st.F64, denormals=True)
    square, (u, v), beyond = _beyond_linear(b, f)
    first, less = st.fast_sum(b, f, square)
    near = b.op("fma", u, v, first)
    rest = b.op("add", b.op("fma", u, v, b.op("sub", first, near)), b.op("add", beyond, less))
    linear, lost = st.product(b, near, b.imm(e[0], x))
    total, more = st.fast_sum(b, b.op("mul", k, b.imm(two[0], x)), linear)
    near_rest = b.op("fma", near, b.imm(e[1], x), b.op("add", lost, more))
    rest = b.op("fma", rest, b.imm(e[0], x), near_rest)
    if two[1]:
        rest = b.op("fma", k, b.imm(two[1], x), rest)
    return st.at_ends(b, x, b.op("add", total, rest), st.F64)


@st.of_f32(lambda b, x: table_log.log(b, x, table_log.LOG2))
@st.of_f64
def log2(b: Builder, x: Operand) -> Operand:
    """The logarithm to base 2, exact for powers of two. At its ends as `log`."""
    return _other_base(b, x, _LOG2_E, (1.0, 0.0))


@st.of_f32(lambda b, x: table_log.log(b, x, table_log.LOG10))
@st.of_f64
def log10(b: Builder, x: Operand) -> Operand:
    """The logarithm to base 10. At its ends as `log`."""
    return _other_base(b, x, _LOG10_E, _LOG10_2)


@st.by_format
def log1p(b: Builder, args: tuple[Operand, ...], form: st.Format) -> Operand:
    """log(1 + x). -inf at -1, NaN below, inf at inf, -0 at -0."""
    (x,) = args
    one = b.imm(1.0, x)
    y, rest = st.whole_sum(b, x, one)
    counts = b.op("ne", y, one)  # else x, so that no factor is a denormal number
    sum_ = y, b.op("select", counts, rest, b.imm(0.0, x))
    result = table_log.log_of_sum(b, sum_) if form.dtype == f32 else _log_of_sum(b, sum_)
    return b.op("select", counts, result, x)


def _inverse_hyperbolic(b: Builder, a: Operand, plus: float) -> Value:
    """log(a + sqrt(a**2 + plus)) of float64, plus 1 or -1."""
    square, lost = st.product(b, a, a)
    t, t_rest = st.whole_sum(b, square, b.imm(plus, a))
    root = b.op("sqrt", t)
    left = b.op("add", b.op("fma", b.op("neg", root), root, t), b.op("add", t_rest, lost))
    twice = b.op("add", root, root)
    least = b.imm(st.F64.minimum, a)  # acosh(1): nothing is left of 0
    twice = b.op("select", b.op("gt", twice, least), twice, least)
    larger, smaller = (root, a) if plus > 0 else (a, root)
    total, rest = st.fast_sum(b, larger, smaller)
    rest = b.op("add", rest, b.op("div", left, twice))
    # where the square of a hides 1, and may overflow: log(2 a)
    large = b.op("gt", a, b.imm(1 / st.F64.half, a))
    zero, one = b.imm(0.0, a), b.imm(1.0, a)
    y = b.op("select", large, a, total), b.op("select", large, zero, rest)
    return _log_of_sum(b, y, b.op("select", large, one, zero))


@st.odd(*st.HALF)
@st.of_f32(table_inverse.arcsinh)
@st.of_f64
def arcsinh(b: Builder, x: Operand) -> Operand:
    """The inverse of sinh. -0 at -0, inf at inf."""
    return _inverse_hyperbolic(b, x, 1.0)


@st.of_f32(table_inverse.arccosh)
@st.of_f64
def arccosh(b: Builder, x: Operand) -> Operand:
    """The inverse of cosh. 0 at 1, NaN below, inf at inf."""
    result = _inverse_hyperbolic(b, st.at_least(b, x, 0.5), -1.0)
    return b.op("select", b.op("lt", x, b.imm(1.0, x)), b.imm(math.nan, x), result)


@st.odd(*st.HALF)
@st.of_f32(table_inverse.arctanh)
@st.of_f64
def arctanh(b: Builder, a: Operand) -> Operand:
    """The inverse of tanh. -0 at -0, inf at 1, NaN beyond."""
    one = b.imm(1.0, a)
    ratio = st.quotient(b, st.fast_sum(b, one, a), st.fast_sum(b, one, b.op("neg", a)))
    return b.op("mul", b.imm(0.5, a), _log_of_sum(b, ratio))
