"""erf and erfc, as loop instructions.

erf(x)  = x + x P(x**2) below 1; above 1 - e**(t Q(t) - t), t = |x|
erfc(x) = e**(-x**2) (1 + R(q)) / (1 + 2 x), q = (x - K) / (x + K), for x >= 0 (after Norbert Juffa);
          2 - erfc(-x) below
"""

from __future__ import annotations

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import DType, f32, f64
from .exponential import exp_of_sum, exp_twice
from .steps import (
    F64,
    Format,
    Lower,
    at_most,
    fast_sum,
    hexes,
    horner,
    in_f64,
    product,
    quotient,
    sign_of,
    through_f32,
    whole_sum,
    with_sign,
)


@data
class _Erf:
    """What a format needs; lowest coefficients first."""

    edge: float  # below, erf goes by the first polynomial
    range: float  # from here on, erf is 1
    erf: tuple[float, ...]  # erf(x) / x - 1 in powers of x**2
    tail: tuple[float, ...]  # (log(1 - erf(t)) + t) / t


_ERF = {
    f32: _Erf(
        edge=0.92,
        range=4.0,
        # x <= 0.93: 2**-30.0
        erf=hexes(
            "0x1.06eba8p-3 -0x1.812740p-2 0x1.ce2d64p-4 -0x1.b8011ap-6 0x1.544a1cp-8"
            " -0x1.a60a68p-11 0x1.4f68d4p-14"
        ),
        # 0.92 <= t <= 4, of erf: 2**-30.3
        tail=hexes(
            "-0x1.0778f6p-3 -0x1.453274p-1 -0x1.b326f8p-4 0x1.85570ap-6 -0x1.dd847cp-9"
            " 0x1.52b02ep-12 -0x1.799732p-17"
        ),
    ),
    f64: _Erf(
        edge=0.89,
        range=6.0,
        # x <= 0.91: 2**-56.3
        erf=hexes(
            "0x1.06eba8214db69p-3 -0x1.812746b037a22p-2 0x1.ce2f21a045540p-4 -0x1.b82ce3133ebacp-6"
            " 0x1.565bcd2811e6ap-8 -0x1.c02db82fcf4bbp-11 0x1.f9a39211f39ebp-14 -0x1.f4d8fd351993ep-17"
            " 0x1.ba24db985ca4fp-20 -0x1.6088f17e1cc39p-23 0x1.fac9306b814a4p-27 -0x1.12ef73e43df2fp-30"
        ),
        # 0.88 <= t <= 6, of erf: 2**-56.9
        tail=hexes(
            "-0x1.06eba824ad593p-3 -0x1.45f305415c4e6p-1 -0x1.a4f56e90689a1p-4 0x1.3971bcd8e6867p-6"
            " 0x1.a4cee3ff1da46p-13 -0x1.b7abe2fde9cabp-10 0x1.250341c1419aep-11 0x1.c4cf4748c64c9p-17"
            " -0x1.b122fa7d6c502p-14 0x1.f60bc73a1c464p-15 -0x1.6e1877f645dc6p-16 0x1.873211a6eaed1p-18"
            " -0x1.3d4504c25ab47p-20 0x1.858e95ccf728fp-23 -0x1.6060b8ec6d344p-26 0x1.bbeac9a421715p-30"
            " -0x1.5c03b1ef480c9p-34 0x1.ff49e33b6ef3dp-40"
        ),
    ),
}


# (1 + 2 x) e**(x**2) erfc(x) - 1 in powers of q, up to x = 28: 2**-56.5
_ERFC = (
    3.5,
    hexes(
        "0x1.f054cd07748a0p-3 -0x1.1ebd220ea5939p-3 -0x1.59e2c284b1a7dp-7 0x1.8f702ec6b30c9p-4"
        " -0x1.d76830c34f204p-4 0x1.68610604756ebp-4 -0x1.8ff5ef778b55bp-5"
        " 0x1.38ec666ee6352p-6 -0x1.143c4c624f80dp-8 -0x1.3cf362c6cedfdp-12"
        " 0x1.27e65612af69ep-11 -0x1.fda9d3c343225p-14 -0x1.66de43cef094ap-15"
        " 0x1.9717dc5a166e3p-16 0x1.37e0043f6f5b6p-19 -0x1.00bc6a7f05b18p-18"
        " -0x1.3f4dc9418f582p-25 0x1.4e259cae7111ep-21 -0x1.baef000efa71ep-27"
        " -0x1.02939ca85f81fp-23 -0x1.45061296e2f9dp-31 0x1.fb37a46e3e2ecp-26"
        " 0x1.22fae93de91efp-28 -0x1.8d0743c5a1f86p-28 -0x1.115c023ab3cc0p-29"
    ),
)
# the same up to 11, for float32: 2**-30.5
_ERFC32 = (
    2.5,
    hexes(
        "0x1.0f31bda3d32d9p-2 -0x1.f52c5dc1a597fp-4 -0x1.959aa73a46a3cp-4 0x1.42d3815668714p-3"
        " -0x1.a5c2afcdc6fc6p-4 0x1.0c5df3f8ca766p-5 0x1.eeeb9c09439d8p-11"
        " -0x1.1e7f10bcbc4e3p-8 0x1.dfcb2ba2226b3p-12 0x1.3801a40527d5bp-11"
        " -0x1.a9c6a8efc5231p-15 -0x1.fd41e5ca9f921p-15"
    ),
)


@through_f32
def erf(b: Builder, args: tuple[Operand, ...], form: Format) -> Operand:
    """The error function. -0 at -0, 1 at inf, -1 at -inf."""
    (x,) = args
    p = _ERF[form.dtype]
    small = b.op("fma", x, horner(b, b.op("mul", x, x), p.erf), x)
    a = b.op("abs", x)
    t = at_most(b, a, p.range)
    slope = horner(b, t, p.tail)
    tail = b.op("fma", t, slope, b.op("neg", t))
    lost = b.op("fma", t, slope, b.op("neg", b.op("add", tail, t)))  # by rounding the tail; the sum is exact
    rest = b.op("sub", b.imm(1.0, x), exp_of_sum(b, tail, lost, form))
    large = with_sign(b, rest, sign_of(b, x, form), form)
    return b.op("select", b.op("lt", a, b.imm(p.edge, x)), small, large)


def _erfc(constants: tuple[float, tuple[float, ...]]) -> Lower:
    middle, coefficients = constants

    def lower(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
        (x,) = args
        one = b.imm(1.0, x)
        a = at_most(b, b.op("abs", x), 28.0)
        q = b.op("div", b.op("sub", a, b.imm(middle, x)), b.op("add", a, b.imm(middle, x)))
        top = fast_sum(b, one, horner(b, q, coefficients))
        g, g_rest = quotient(b, top, whole_sum(b, one, b.op("add", a, a)))
        square, lost = product(b, a, a)
        h, h_rest, k = exp_twice(b, b.op("neg", square), b.op("neg", lost), F64)
        total, rest = product(b, g, h)
        rest = b.op("add", rest, b.op("fma", g, h_rest, b.op("mul", g_rest, h)))
        result = b.op("scale", b.op("add", total, rest), k)
        result = b.op("select", b.op("lt", x, b.imm(0.0, x)), b.op("sub", b.imm(2.0, x), result), result)
        # near 0 terms of the polynomial in q cancel: 1 - erf(x)
        total, lost = fast_sum(b, one, b.op("neg", x))
        beyond = b.op("mul", x, horner(b, b.op("mul", x, x), _ERF[f64].erf))
        near = b.op("add", total, b.op("sub", lost, beyond))
        return b.op("select", b.op("lt", a, b.imm(0.68, x)), near, result)

    return lower


erfc = in_f64(_erfc(_ERFC32), _erfc(_ERFC))
