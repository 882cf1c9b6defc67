"""erf, erfc and erfinv, as loop instructions.

erf(x)  = x + x P(x**2) below 1; above 1 - e**(t Q(t) - t), t = |x|
erfc(x) = e**(-x**2) (1 + R(q)) / (1 + 2 x), q = (x - K) / (x + K), for x >= 0 (after Norbert Juffa);
          2 - erfc(-x) below; of float32: `table_erfc.py`
erfinv(x) = x + x P(x**2) up to 0.6; beyond t + R(q), t = sqrt(-log(1 - |x|)), q = (t - K) / (t + K);
          of float32: `table_erfinv.py`
"""

from __future__ import annotations

import math

from ..ir.data import data
from ..ir.loop import Builder, Operand
from ..ir.types import DType, f32, f64
from . import steps as st
from . import table_erfc, table_erfinv
from .exponential import exp_of_sum, exp_twice
from .logarithm import log_twice


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
        erf=st.hexes(
            "0x1.06eba8p-3 -0x1.812740p-2 0x1.ce2d64p-4 -0x1.b8011ap-6 0x1.544a1cp-8"
            " -0x1.a60a68p-11 0x1.4f68d4p-14"
        ),
        # 0.92 <= t <= 4, of erf: 2**-30.3
        tail=st.hexes(
            "-0x1.0778f6p-3 -0x1.453274p-1 -0x1.b326f8p-4 0x1.85570ap-6 -0x1.dd847cp-9"
            " 0x1.52b02ep-12 -0x1.799732p-17"
        ),
    ),
    f64: _Erf(
        edge=0.89,
        range=6.0,
        # x <= 0.91: 2**-56.3
        erf=st.hexes(
            "0x1.06eba8214db69p-3 -0x1.812746b037a22p-2 0x1.ce2f21a045540p-4 -0x1.b82ce3133ebacp-6"
            " 0x1.565bcd2811e6ap-8 -0x1.c02db82fcf4bbp-11 0x1.f9a39211f39ebp-14 -0x1.f4d8fd351993ep-17"
            " 0x1.ba24db985ca4fp-20 -0x1.6088f17e1cc39p-23 0x1.fac9306b814a4p-27 -0x1.12ef73e43df2fp-30"
        ),
        # 0.88 <= t <= 6, of erf: 2**-56.9
        tail=st.hexes(
            "-0x1.06eba824ad593p-3 -0x1.45f305415c4e6p-1 -0x1.a4f56e90689a1p-4 0x1.3971bcd8e6867p-6"
            " 0x1.a4cee3ff1da46p-13 -0x1.b7abe2fde9cabp-10 0x1.250341c1419aep-11 0x1.c4cf4748c64c9p-17"
            " -0x1.b122fa7d6c502p-14 0x1.f60bc73a1c464p-15 -0x1.6e1877f645dc6p-16 0x1.873211a6eaed1p-18"
            " -0x1.3d4504c25ab47p-20 0x1.858e95ccf728fp-23 -0x1.6060b8ec6d344p-26 0x1.bbeac9a421715p-30"
            " -0x1.5c03b1ef480c9p-34 0x1.ff49e33b6ef3dp-40"
        ),
    ),
}


# (1 + 2 x) e**(x**2) erfc(x) - 1 in powers of q, up to x = 28: 2**-56.5
_ERFC = st.hexes(
    "0x1.f054cd07748a0p-3 -0x1.1ebd220ea5939p-3 -0x1.59e2c284b1a7dp-7 0x1.8f702ec6b30c9p-4"
    " -0x1.d76830c34f204p-4 0x1.68610604756ebp-4 -0x1.8ff5ef778b55bp-5"
    " 0x1.38ec666ee6352p-6 -0x1.143c4c624f80dp-8 -0x1.3cf362c6cedfdp-12"
    " 0x1.27e65612af69ep-11 -0x1.fda9d3c343225p-14 -0x1.66de43cef094ap-15"
    " 0x1.9717dc5a166e3p-16 0x1.37e0043f6f5b6p-19 -0x1.00bc6a7f05b18p-18"
    " -0x1.3f4dc9418f582p-25 0x1.4e259cae7111ep-21 -0x1.baef000efa71ep-27"
    " -0x1.02939ca85f81fp-23 -0x1.45061296e2f9dp-31 0x1.fb37a46e3e2ecp-26"
    " 0x1.22fae93de91efp-28 -0x1.8d0743c5a1f86p-28 -0x1.115c023ab3cc0p-29"
)
_MIDDLE = 3.5  # K


@st.odd(None, None)
@st.by_format
def erf(b: Builder, args: tuple[Operand, ...], form: st.Format) -> Operand:
    """The error function. -0 at -0, 1 at inf, -1 at -inf."""
    (a,) = args
    p = _ERF[form.dtype]
    t = st.at_least(b, a, form.half)  # of less the square does not count, and may be denormal
    small = b.op("fma", a, st.horner(b, b.op("mul", t, t), p.erf), a)
    t = st.at_most(b, t, p.range)
    slope = st.horner(b, t, p.tail)
    tail = b.op("fma", t, slope, b.op("neg", t))
    lost = b.op("fma", t, slope, b.op("neg", b.op("add", tail, t)))  # by rounding the tail; the sum is exact
    large = b.op("sub", b.imm(1.0, a), exp_of_sum(b, tail, lost, form))
    return b.op("select", b.op("lt", a, b.imm(p.edge, a)), small, large)


@st.by_format
def erfc(b: Builder, args: tuple[Operand, ...], form: st.Format) -> Operand:
    """1 - erf(x). 2 at -inf, 0 at inf."""
    (x,) = args
    a = st.at_least(b, b.op("abs", x), form.least)
    if form.dtype == f32:
        return table_erfc.erfc(b, x, a)
    one, middle = b.imm(1.0, x), b.imm(_MIDDLE, x)
    a = st.at_most(b, a, 28.0)
    q = b.op("div", b.op("sub", a, middle), b.op("add", a, middle))
    top = st.fast_sum(b, one, st.horner(b, q, _ERFC))
    g, g_rest = st.quotient(b, top, st.whole_sum(b, one, b.op("add", a, a)))
    square, lost = st.product(b, a, a)
    h, h_rest, k = exp_twice(b, b.op("neg", square), b.op("neg", lost))
    total, rest = st.product(b, g, h)
    rest = b.op("add", rest, b.op("fma", g, h_rest, b.op("mul", g_rest, h)))
    result = b.op("scale", b.op("add", total, rest), k)
    result = b.op("select", b.op("lt", x, b.imm(0.0, x)), b.op("sub", b.imm(2.0, x), result), result)
    # near 0 terms of the polynomial in q cancel: 1 - erf(x)
    near = st.with_sign(b, a, st.sign_of(b, x, form), form)
    total, lost = st.fast_sum(b, one, b.op("neg", near))
    beyond = b.op("mul", near, st.horner(b, b.op("mul", a, a), _ERF[f64].erf))
    near = b.op("add", total, b.op("sub", lost, beyond))
    return b.op("select", b.op("lt", a, b.imm(0.68, x)), near, result)


# erfinv(x) / x - 1 in powers of x**2, up to 0.6: 2**-57.9
_INVERSE = st.hexes(
    "-0x1.d203b725884abp-4 0x1.db29fb2fee62bp-3 0x1.053c2c0ab7d2dp-3 0x1.62847c476c899p-4"
    " 0x1.0a1318e8b9452p-4 0x1.a7c83f6ff9aa2p-5 0x1.5eee2c6516bf0p-5 0x1.2a85bf931e6b0p-5"
    " 0x1.060c6dcea16d6p-5 0x1.a0e1fd09c3b3bp-6 0x1.4cecc938a31b4p-5 -0x1.86ebba9603ae0p-5"
    " 0x1.00c6661ece0fcp-2 -0x1.08aa9fed63428p-1 0x1.bb89421c758d0p-1 -0x1.a289ae32c0f57p-1"
    " 0x1.a9867c2bceff6p-2"
)
# erfinv(x) - t in powers of q, t <= 6.07: 2**-57.4
_INVERSE_TAIL = st.hexes(
    "-0x1.53c6712bd6790p-2 0x1.95f038be00a4ap-3 0x1.b33e45697bd1ap-3 -0x1.d959385d7e3aep-3"
    " 0x1.7d56d386c1ef8p-3 -0x1.cf7bea81afe60p-5 -0x1.315bab0051fb7p-5 0x1.7ccb5429f9d48p-4"
    " -0x1.46444aabb3f2dp-4 0x1.2211cbee7996bp-5 0x1.65a810f7b75a8p-6 -0x1.ab427cfc3f6abp-5"
    " 0x1.add373c77dbf1p-5 -0x1.696aa0d658fe7p-6 -0x1.a79b4d950b2c4p-7 0x1.34cc9e153209fp-5"
    " -0x1.2fca63852becep-5 0x1.265caa082152ap-6 0x1.85314235d0f3ap-7 -0x1.0527fa501e5fdp-5"
    " 0x1.c80a2c7071aedp-6 -0x1.492e7fb91c152p-10 -0x1.f80e4982cd172p-7 0x1.4257b870b837ep-7"
)
_INVERSE_MIDDLE = 2.0  # K


@st.odd(None, None)
@st.of_f32(table_erfinv.erfinv)
def erfinv(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
    """The inverse of erf. -0 at -0, inf at 1, -inf at -1, NaN beyond."""
    (a,) = args
    one = b.imm(1.0, a)
    t = st.at_least(b, a, st.F64.half)
    small = b.op("fma", a, st.horner(b, b.op("mul", t, t), _INVERSE), a)
    minus_w, minus_rest = log_twice(b, (b.op("sub", one, a), b.imm(0.0, a)))
    w, w_rest = b.op("neg", minus_w), b.op("neg", minus_rest)
    t = b.op("sqrt", w)
    left = b.op("add", b.op("fma", b.op("neg", t), t, w), w_rest)
    left = b.op("div", left, b.op("add", t, t))
    middle = b.imm(_INVERSE_MIDDLE, a)
    q = b.op("div", b.op("sub", t, middle), b.op("add", t, middle))
    beyond = b.op("mul", q, st.horner(b, q, _INVERSE_TAIL[1:]))
    tail, lost = st.fast_sum(b, t, b.imm(_INVERSE_TAIL[0], a))
    tail = b.op("add", tail, b.op("add", b.op("add", lost, left), beyond))
    tail = b.op("select", b.op("eq", a, one), b.imm(math.inf, a), tail)
    return b.op("select", b.op("lt", a, b.imm(0.6, a)), small, tail)
