"""log, log2, log10, log1p, asinh, acosh and atanh, as loop instructions.

    x = 2**k m, m = 1 + f, sqrt(1/2) <= m < sqrt(2), in float32 0.69 <= m < 1.38
    log(x) = k ln2 + f - f**2/2 + g

    float32   g = f**3 P(f)
    float64   g = s (f**2/2 + z C(z)),  s = f / (2 + f),  z = s s:  a polynomial in f would need twenty terms

    log1p(x) = log(1 + x)
    asinh(x) = log(|x| + sqrt(x**2 + 1))                  acosh: x + sqrt(x**2 - 1)
    atanh(x) = log((1 + |x|) / (1 - |x|)) / 2

The arguments of these are sums of two numbers: log(y + rest) = log(y) + rest / y.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.data import data
from ..ir.loop import Builder, Operand, Value
from ..ir.types import f32, f64
from .steps import (
    Format,
    Pair,
    as_bits,
    by_format,
    fast_sum,
    hexes,
    horner,
    product,
    sign_of,
    split,
    whole_sum,
    with_sign,
)


@data
class _Log:
    """What a format needs; lowest coefficients first."""

    least: float  # m
    log: tuple[float, ...]
    log2_e: tuple[float, float]  # rounded to the format, and the rest
    log10_e: tuple[float, float]
    log10_2: tuple[float, float]  # the first with so few bits that multiples of it are exact


_LOG = {
    f32: _Log(
        least=0.69,
        # (log(1 + f) - f + f**2/2) / f**3, 0.69 <= 1 + f <= 1.38: of log(x) 2**-6.6 units in the last place
        log=hexes(
            "0x1.55554cp-2 -0x1.ffff72p-3 0x1.99a16ep-3 -0x1.558098p-3 0x1.23a826p-3 -0x1.f6fb1ep-4"
            " 0x1.d99ad6p-4 -0x1.fb5af0p-4 0x1.5cbed4p-4"
        ),
        log2_e=(float.fromhex("0x1.715476p+0"), float.fromhex("0x1.4ae0c0p-26")),
        log10_e=(float.fromhex("0x1.bcb7b2p-2"), float.fromhex("-0x1.5b235ep-27")),
        log10_2=(float.fromhex("0x1.344000p-2"), float.fromhex("0x1.3509f8p-18")),
    ),
    f64: _Log(
        least=math.sqrt(0.5),
        # (2 atanh(s) - 2 s) / s**3 in powers of z = s**2, |s| <= 3 - sqrt(8): 2**-59.5
        log=hexes(
            "0x1.5555555555592p-1 0x1.999999997ff1ap-2 0x1.24924941e13e3p-2 0x1.c71c521469cb0p-3"
            " 0x1.74663ce7751cdp-3 0x1.39a1e974746e6p-3 0x1.2f03b2e20669cp-3"
        ),
        log2_e=(float.fromhex("0x1.71547652b82fep+0"), float.fromhex("0x1.777d0ffda0d24p-56")),
        log10_e=(float.fromhex("0x1.bcb7b1526e50ep-2"), float.fromhex("0x1.95355baaafad3p-57")),
        log10_2=(float.fromhex("0x1.34413509f8000p-2"), float.fromhex("-0x1.80433b83b532ap-44")),
    ),
}


def _split(b: Builder, x: Operand, form: Format, denormals: bool) -> tuple[Value, Value]:
    return split(b, x, form, denormals, _LOG[form.dtype].least)


def add_multiple(b: Builder, k: Operand, f: Operand, form: Format) -> tuple[Value, Value]:
    """k ln2 + f, with ln2 as rounded to the format, and what rounding the sum loses."""
    ln2 = b.imm(form.ln2, f)
    total = b.op("fma", k, ln2, f)
    # k ln2 - total is exact: it is about -f
    return total, b.op("add", b.op("fma", k, ln2, b.op("neg", total)), f)


def _beyond_linear(
    b: Builder, f: Operand, form: Format
) -> tuple[Value, tuple[Operand, Operand], Callable[[Operand], Value]]:
    """(square, (u, v), more): log(1 + f) + y = f + square + u v + more(y), |y| small; square is -f**2/2,
    rounded, and beside u v what `more` gives is small."""
    square, lost = product(b, f, f)
    minus_half, coefficients = b.imm(-0.5, f), _LOG[form.dtype].log
    half = b.op("mul", square, minus_half)
    if form.dtype == f32:  # f**3 P(f), the first term by itself, of which the square has lost something, too
        third = b.imm(coefficients[0], f)
        cube, cube_lost = product(b, f, square)
        lost = b.op("fma", cube_lost, third, b.op("mul", lost, b.op("fma", f, third, minus_half)))
        tail = b.op("mul", f, horner(b, f, coefficients[1:]))
        return half, (cube, third), lambda other: b.op("fma", cube, tail, b.op("add", lost, other))
    lost = b.op("mul", lost, minus_half)
    s = b.op("div", f, b.op("add", f, b.imm(2.0, f)))
    z = b.op("mul", s, s)
    inner = b.op("fma", z, horner(b, z, coefficients), b.op("neg", half))
    return half, (s, inner), lambda other: b.op("add", lost, other)


def _natural(
    b: Builder, f: Operand, k: Operand, form: Format, more: Operand | None = None
) -> tuple[Value, Value]:
    """k ln2 + log(1 + f) + more, as a sum of two."""
    square, (u, v), beyond = _beyond_linear(b, f, form)
    total, lost = add_multiple(b, k, f, form)
    lost = b.op("fma", k, b.imm(form.ln2_rest, k), lost)
    if more is not None:
        lost = b.op("add", lost, more)
    total, less = fast_sum(b, total, square)
    return total, b.op("fma", u, v, beyond(b.op("add", lost, less)))


def _at_ends(b: Builder, x: Operand, log: Operand, form: Format) -> Value:
    """-inf at 0 and -0; inf and NaN stay, negative numbers become NaN: x inf + inf is that."""
    bits = as_bits(b, x, form)
    inf = b.imm(math.inf, x)
    infinite = ((2 << (form.dtype.bits - 2 - form.fraction)) - 1) << form.fraction
    odd = b.op("ge", bits, b.imm(infinite, bits))
    result = b.op("select", odd, b.op("fma", x, inf, inf), log)
    return b.op("select", b.op("eq", x, b.imm(0.0, x)), b.imm(-math.inf, x), result)


def _log_of_sum(b: Builder, y: Pair, form: Format, octaves: Operand | None = None) -> Value:
    """log(2**octaves (y + rest)); y is no denormal number."""
    x, more = y
    f, k = _split(b, x, form, denormals=False)
    if octaves is not None:
        k = b.op("add", k, octaves)
    return _at_ends(b, x, b.op("add", *_natural(b, f, k, form, b.op("div", more, x))), form)


def log_twice(b: Builder, y: Pair, form: Format) -> Pair:
    """log(y + rest) as a sum of two, to about four bits more than the format has."""
    x, more = y
    f, k = _split(b, x, form, denormals=True)
    total, rest = fast_sum(b, *_natural(b, f, k, form, b.op("div", more, x)))
    return _at_ends(b, x, total, form), rest


# --- the functions -------------------------------------------------------------------------------


@by_format
def log(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """The natural logarithm. -inf at 0 and -0, NaN below, inf at inf."""
    (x,) = args
    f, k = _split(b, x, form, denormals=True)
    return _at_ends(b, x, b.op("add", *_natural(b, f, k, form)), form)


def _other_base(b: Builder, x: Operand, form: Format, e: Pair, two: tuple[float, float]) -> Value:
    """The logarithm whose values at e and at 2 are these, each a sum of two."""
    f, k = _split(b, x, form, denormals=True)
    square, (u, v), beyond = _beyond_linear(b, f, form)
    first, less = fast_sum(b, f, square)
    near = b.op("fma", u, v, first)
    rest = b.op("add", b.op("fma", u, v, b.op("sub", first, near)), beyond(less))
    linear, lost = product(b, near, e[0])
    total, more = fast_sum(b, b.op("mul", k, b.imm(two[0], x)), linear)
    rest = b.op("fma", rest, e[0], b.op("fma", near, e[1], b.op("add", lost, more)))
    if two[1]:
        rest = b.op("fma", k, b.imm(two[1], x), rest)
    return _at_ends(b, x, b.op("add", total, rest), form)


@by_format
def log2(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """The logarithm to base 2, exact for powers of two. At its ends as `log`."""
    (x,) = args
    e, e_rest = _LOG[form.dtype].log2_e
    return _other_base(b, x, form, (b.imm(e, x), b.imm(e_rest, x)), (1.0, 0.0))


@by_format
def log10(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """The logarithm to base 10. At its ends as `log`."""
    (x,) = args
    e, e_rest = _LOG[form.dtype].log10_e
    return _other_base(b, x, form, (b.imm(e, x), b.imm(e_rest, x)), _LOG[form.dtype].log10_2)


@by_format
def log1p(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """log(1 + x). -inf at -1, NaN below, inf at inf, -0 at -0."""
    (x,) = args
    result = _log_of_sum(b, whole_sum(b, x, b.imm(1.0, x)), form)
    return b.op("select", b.op("eq", x, b.imm(0.0, x)), x, result)


def _inverse_hyperbolic(b: Builder, a: Operand, form: Format, plus: float) -> Value:
    """log(a + sqrt(a**2 + plus)), plus 1 or -1, for a that are not tiny."""
    square, lost = product(b, a, a)
    t, t_rest = whole_sum(b, square, b.imm(plus, a))
    root = b.op("sqrt", t)
    left = b.op("add", b.op("fma", b.op("neg", root), root, t), b.op("add", t_rest, lost))
    twice = b.op("add", root, root)
    least = b.imm(form.minimum, a)  # acosh(1): nothing is left of 0
    twice = b.op("select", b.op("gt", twice, least), twice, least)
    larger, smaller = (root, a) if plus > 0 else (a, root)
    total, rest = fast_sum(b, larger, smaller)
    rest = b.op("add", rest, b.op("div", left, twice))
    # where the square of a hides 1, and may overflow: log(2 a)
    large = b.op("gt", a, b.imm(1 / form.half, a))
    zero, one = b.imm(0.0, a), b.imm(1.0, a)
    y = b.op("select", large, a, total), b.op("select", large, zero, rest)
    return _log_of_sum(b, y, form, b.op("select", large, one, zero))


@by_format
def asinh(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """The inverse of sinh. -0 at -0, inf at inf."""
    (x,) = args
    a = b.op("abs", x)
    result = with_sign(b, _inverse_hyperbolic(b, a, form, 1.0), sign_of(b, x, form), form)
    return b.op("select", b.op("lt", a, b.imm(form.half, x)), x, result)


@by_format
def acosh(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """The inverse of cosh. 0 at 1, NaN below, inf at inf."""
    (x,) = args
    result = _inverse_hyperbolic(b, x, form, -1.0)
    return b.op("select", b.op("lt", x, b.imm(1.0, x)), b.imm(math.nan, x), result)


@by_format
def atanh(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """The inverse of tanh. -0 at -0, inf at 1, NaN beyond."""
    (x,) = args
    a, one = b.op("abs", x), b.imm(1.0, x)
    n, n_rest = fast_sum(b, one, a)
    d, d_rest = fast_sum(b, one, b.op("neg", a))
    q = b.op("div", n, d)
    minus = b.op("neg", q)
    left = b.op("add", b.op("fma", minus, d, n), b.op("fma", minus, d_rest, n_rest))
    result = b.op("mul", b.imm(0.5, x), _log_of_sum(b, (q, b.op("div", left, d)), form))
    result = with_sign(b, result, sign_of(b, x, form), form)
    return b.op("select", b.op("lt", a, b.imm(form.half, x)), x, result)
