"""lgamma, digamma and trigamma, as loop instructions; float32 inside of float64.

With a = |x|, of the function itself (for a from 0.8 on) or that of 1 + a (below):

    up to 2.5    lgamma(y)  = (y - 1) (y - 2) R(q), q = (y - K) / (y + K)
                 digamma(y) = (y - root) Q(q);  trigamma(1 + a) = T(q), up to 2.5
    beyond       lgamma(a)   = (a - 1/2) (log a - 1) + (log(2 pi) - 1) / 2 + P(1/a**2) / a       (Stirling)
                 digamma(a)  = log a - 1/(2 a) - P(1/a**2) / a**2;  trigamma(a) = 1/a + 1/(2 a**2) + P / a**3

and with r = a less the nearest whole number, for negative x, if any lane has one,

    lgamma(-a)   = -log(sin(pi |r|) / pi) - lgamma(1 + a)
    digamma(-a)  = digamma(1 + a) + pi cot(pi r)
    trigamma(-a) = (pi / sin(pi r))**2 - trigamma(1 + a)

What is added is added as sums of two, so that little is lost where terms cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.data import data
from ..ir.loop import Builder, Operand
from . import steps as st
from .table_log import log_twice

NEAR = 0.8  # below, lgamma and digamma go by 1 + a
FAR = 2.5  # beyond, the series of Stirling


@data
class _Middle:
    """A function up to FAR: `first` + q P(q), q = (y - middle) / (y + middle); a sum of two, then P."""

    middle: float
    first: tuple[float, ...]
    rest: tuple[float, ...]


# lgamma(y) / ((y - 1) (y - 2)), 0.8 <= y <= 2.5: 2**-59.2
_LGAMMA = _Middle(
    1.4,
    st.hexes("0x1.fe5932f528ea7p-2 0x1.0347e80ce303dp-56"),
    st.hexes(
        "-0x1.c978e9ef4d8f7p-2 0x1.07d43989b9d5ep-3 -0x1.3ad98259a8cd6p-3 0x1.5f3a049ec4048p-4"
        " -0x1.83ab3b2d90bc9p-4 0x1.067341b4c9639p-4 -0x1.18b3902176fbep-4 0x1.a25a00c351e87p-5"
        " -0x1.b83fddd86b008p-5 0x1.5b97b9e7bf10ep-5 -0x1.6a2fc43498527p-5 0x1.29293c9a49cfep-5"
        " -0x1.33abff0e43dc1p-5 0x1.0521e31dbad40p-5 -0x1.0bfafedaab3aap-5 0x1.acc04d8324aedp-6"
        " -0x1.c5592b9401b49p-6 0x1.2a0fb9274a413p-5 -0x1.1ecff03c71a2dp-5"
    ),
)
# digamma(y) / (y - root) alike: 2**-59.7
_DIGAMMA = _Middle(
    1.4,
    st.hexes("0x1.fdf16ebfd484ap-1 -0x1.2bc36b3ffd6dcp-55"),
    st.hexes(
        "-0x1.55a0c7dc6f3f9p+0 0x1.e6a59ee683c30p-1 -0x1.0336ead880df4p+0 0x1.ebce8d9b8404ap-1"
        " -0x1.fa8d5c78c9035p-1 0x1.f01a4c478eda3p-1 -0x1.f7abac867cb52p-1 0x1.f1e40d1928fbap-1"
        " -0x1.f67157f9c5ee3p-1 0x1.f2c32b5f575e2p-1 -0x1.f5cd0d291c0f9p-1 0x1.f3441ad089a66p-1"
        " -0x1.f56474634d33bp-1 0x1.f32d2483a0716p-1 -0x1.f58475eb9204ep-1 0x1.f980225a529fcp-1"
        " -0x1.f39ef17321275p-1 0x1.be05cc1784944p-1 -0x1.e7561dde14f22p-1 0x1.82951f8d869f3p+0"
        " -0x1.522b330d0135ap+0"
    ),
)
# trigamma(y), 1 <= y <= 3.5, beside 1 / (y - 1)**2: 2**-59.5
_TRIGAMMA = _Middle(
    2.25,
    st.hexes("0x1.1d5a3f376e453p-1 0x1.2279742c925b4p-58"),
    st.hexes(
        "-0x1.5de88d6df2197p+0 0x1.eb4f4620052f4p+0 -0x1.4740e997d68b2p+1 0x1.a0dbf251e9f67p+1"
        " -0x1.ffb4bfb663ac6p+1 0x1.30d1e1b17111ep+2 -0x1.629dc4df3be80p+2 0x1.94d3cb98fc657p+2"
        " -0x1.c73c231df2e06p+2 0x1.f9bb6c00dec7cp+2 -0x1.162207cbe0f4cp+3 0x1.2f6a306c1eeeep+3"
        " -0x1.48c2bdb546150p+3 0x1.61d4ab535401bp+3 -0x1.79b610fbdfdbdp+3 0x1.992454e9bd5a5p+3"
        " -0x1.c256f75fec3b5p+3 0x1.72e7893f687cfp+3 -0x1.6a92b147553fbp+3 0x1.4ddeb69f2139ap+5"
        " -0x1.03f2adfe75521p+3 -0x1.5f16ba1f07cc7p+6 -0x1.55628a1decba1p+7"
    ),
)
# root - 1 of digamma's positive root, and (log(2 pi) - 1) / 2: sums of two
_ROOT = st.hexes("0x1.d8b618d5af8fep-2 -0x1.1e563779a1f5bp-56")
_CONSTANT = st.hexes("0x1.acfe390c97d69p-2 0x1.3494bc9001442p-56")
# what the series of Stirling is beyond its first terms, in powers of 1/a**2, a >= 2.5, beside the function:
# 2**-57.9, 2**-57.7, 2**-57.6
_LGAMMA_FAR = st.hexes(
    "0x1.555555555531ep-4 -0x1.6c16c16602be6p-9 0x1.a019f52bf699dp-11 -0x1.381023d4fa2d7p-11"
    " 0x1.b8c313739a6efp-11 -0x1.eebd47077084ap-10 0x1.7bf982d69eb49p-8 -0x1.4b69b31851ae3p-6"
    " 0x1.0d384d7b922b8p-4 -0x1.55b2cc172f6aap-3 0x1.1af1d3c6f3bb9p-2 -0x1.bc9ce78982fa3p-3"
)
_DIGAMMA_FAR = st.hexes(
    "0x1.555555555502dp-4 -0x1.1111110c7baffp-7 0x1.04103b0d87fd4p-8 -0x1.110f0b1d4ac2dp-8"
    " 0x1.f010e1a97c1c9p-8 -0x1.55df8dc6a7d69p-6 0x1.3de982c9d5e46p-4 -0x1.56c1aa084284bp-2"
    " 0x1.692c416f228aep+0 -0x1.3fe68fa5de48cp+2 0x1.a22c6f859f5adp+3 -0x1.5a953f70b9df7p+4"
    " 0x1.0cdd11ceced18p+4"
)
_TRIGAMMA_FAR = st.hexes(
    "0x1.55555555553d9p-3 -0x1.111111100b648p-5 0x1.86185f8b8937bp-6 -0x1.111093e0efc43p-5"
    " 0x1.363ae93288e69p-4 -0x1.02436516093f7p-2 0x1.2254cc8243eecp+0 -0x1.8dad43f64b542p+2"
    " 0x1.2288a5d8b4b7dp+5 -0x1.8cf2a67bc0b62p+7 0x1.c8113d1fbab0ep+9 -0x1.946b7b52e45fap+11"
    " 0x1.fb23eabb7151ap+12 -0x1.8b74c61a24214p+13 0x1.1e77fe696cbfbp+13"
)
# pi**2 / 6, and in powers of z = r**2, |r| <= 1/2: (sin(pi r) / (pi r) - 1 + z pi**2 / 6) / z**2,
# (pi cot(pi r) - 1/r) / r + pi**2 / 3 over z, (pi / sin(pi r))**2 - 1/r**2: 2**-61.5, 2**-59.3, 2**-61.8
_SIXTH = st.hexes("0x1.a51a6625307d3p+0 0x1.1873d8912200cp-55")
_SINE = st.hexes(
    "0x1.9f9cb402bc445p-1 -0x1.86a8e4720b0d4p-3 0x1.ac6805cd02d92p-6 -0x1.338169b88d81ap-9"
    " 0x1.3746ab4ae65dcp-13 -0x1.d3e9a8aef9db6p-18 0x1.0773d8ba4854bp-22"
)
_COTANGENT = st.hexes(
    "-0x1.151322ac7d4d6p+1 -0x1.0470984c3955cp+1 -0x1.010b369ebcbacp+1 -0x1.004131647a809p+1"
    " -0x1.000fbfe58ba8fp+1 -0x1.000bafd9089cep+1 -0x1.ff28723edd2bap+0 -0x1.044f0277351f5p+1"
    " -0x1.c0e846ce246f9p+0 -0x1.a67d5be251ce4p+1 0x1.6e6c742e3b1e5p+1 -0x1.cc2e42055a231p+3"
    " 0x1.1c230cff8943dp+4 -0x1.211f1e06ad177p+4"
)
_COSECANT = st.hexes(
    "0x1.a51a6625307d5p+1 0x1.9f9cb402bc28ep+2 0x1.458cbe5f15fd4p+3 0x1.c1d39faf5e350p+3"
    " 0x1.20495462dbd6dp+4 0x1.60161e17bc8c9p+4 0x1.a007f93058d28p+4 0x1.dfe7a8152fdcap+4"
    " 0x1.10af0ee5031dbp+5 0x1.293077142f792p+5 0x1.8325dc83eb1fcp+5 0x1.3d883acfd5b35p+3"
    " 0x1.928a490e9ba71p+7 -0x1.961c9970c3f97p+8 0x1.010606e4275c0p+10 -0x1.346556528871bp+10"
    " 0x1.d7a647aac3996p+9"
)


# --- sums of two ---------------------------------------------------------------------------------


def _both(b: Builder, x: Operand, values: tuple[float, ...]) -> st.Pair:
    return b.imm(values[0], x), b.imm(values[1], x)


def _plus(b: Builder, x: st.Pair, y: st.Pair) -> st.Pair:
    total, lost = st.whole_sum(b, x[0], y[0])
    return total, lost + (x[1] + y[1])


def _minus(b: Builder, x: st.Pair) -> st.Pair:
    return -x[0], -x[1]


def _times(b: Builder, x: st.Pair, y: st.Pair) -> st.Pair:
    total, lost = st.product(b, x[0], y[0])
    return total, b.op("fma", x[0], y[1], b.op("fma", x[1], y[0], lost))


def _either(b: Builder, test: Operand, x: st.Pair, y: st.Pair) -> st.Pair:
    return b.op("select", test, x[0], y[0]), b.op("select", test, x[1], y[1])


def _inverse(b: Builder, x: Operand) -> st.Pair:
    i = 1.0 / x
    return i, b.op("fma", -i, x, 1.0) * i


def _joined(b: Builder, x: st.Pair) -> Operand:
    """An infinite sum has no rest."""
    infinite = b.op("eq", abs(x[0]), math.inf)
    return b.op("select", infinite, x[0], b.op("add", *x))


# --- steps ---------------------------------------------------------------------------------------


def _middle(b: Builder, before: Operand, f: _Middle) -> st.Pair:
    """Of y = 1 + before."""
    top, bottom = (st.whole_sum(b, before, b.imm(v, before)) for v in (1 - f.middle, 1 + f.middle))
    q, q_rest = st.quotient(b, top, bottom)
    linear, less = st.product(b, q, b.imm(f.rest[0], q))
    beyond = q * q * st.horner(b, q, f.rest[1:])
    beyond = beyond + b.op("fma", q_rest, f.rest[0], less)
    first, lost = st.fast_sum(b, b.imm(f.first[0], q), linear)
    return st.fast_sum(b, first, lost + (beyond + f.first[1]))


def _where_negative(b: Builder, x: Operand, value: st.Pair, compute: Callable[[], st.Pair]) -> st.Pair:
    """`value`; of numbers with the sign -, what is computed."""
    sign = st.sign_of(b, x)
    total, rest = st.where_any(b, b.op("ne", sign, 0), value, compute)
    return total, rest


def _log_sine(b: Builder, r: Operand, factor: Operand) -> st.Pair:
    """log(factor |sin(pi r)| / pi)."""
    z = st.product(b, r, r)
    sixth = _times(b, z, _minus(b, _both(b, r, _SIXTH)))
    one, lost = st.fast_sum(b, b.imm(1.0, r), sixth[0])
    beyond = z[0] * z[0] * st.horner(b, z[0], _SINE)
    ratio = st.fast_sum(b, one, lost + sixth[1] + beyond)
    zero = b.imm(0.0, r)
    return log_twice(b, _times(b, _times(b, (abs(r), zero), ratio), (factor, zero)))


# --- the functions -------------------------------------------------------------------------------


@st.in_f64
def lgamma(b: Builder, x: Operand) -> Operand:
    """log|gamma(x)|. inf at 0, at negative whole numbers and at inf; -inf at -inf, as SciPy has it."""
    zero = b.imm(0.0, x)
    a = abs(x)
    near, far = a < NEAR, a > FAR
    log = log_twice(b, (a, zero))

    inside = st.at_most(b, a, FAR)
    u = b.op("select", near, inside, inside - 1.0)
    value = _times(b, _times(b, (u, zero), st.whole_sum(b, u, b.imm(-1.0, x))), _middle(b, u, _LGAMMA))

    i = 1.0 / a
    large = _times(b, st.fast_sum(b, a, b.imm(-0.5, x)), _plus(b, log, (b.imm(-1.0, x), zero)))
    large = _plus(b, large, _both(b, x, _CONSTANT))
    large = large[0], b.op("fma", i, st.horner(b, i * i, _LGAMMA_FAR), large[1])
    value = _either(b, far, large, value)
    of_positive = _plus(b, value, _either(b, near, _minus(b, log), (zero, zero)))

    def negative() -> st.Pair:
        sine = _log_sine(b, a - b.op("rint", a), b.op("select", near, 1.0, a))
        return _minus(b, _plus(b, value, sine))

    result = _joined(b, _where_negative(b, x, of_positive, negative))
    pole = (x <= zero) & b.op("eq", b.op("rint", x), x)
    result = b.op("select", pole, math.inf, result)
    return b.op("select", b.op("eq", x, -math.inf), -math.inf, result)


@st.in_f64
def digamma(b: Builder, x: Operand) -> Operand:
    """The derivative of log gamma. -inf at 0, inf at -0 and inf; NaN at negative whole numbers and -inf."""
    zero = b.imm(0.0, x)
    a = abs(x)
    near, far = a < NEAR, a > FAR
    i = _inverse(b, a)

    inside = st.at_most(b, a, FAR)
    u = b.op("select", near, inside, inside - 1.0)
    from_root = _plus(b, (u, zero), _minus(b, _both(b, x, _ROOT)))
    value = _times(b, from_root, _middle(b, u, _DIGAMMA))

    z = i[0] * i[0]
    large = _plus(b, log_twice(b, (a, zero)), (i[0] * -0.5, i[1] * -0.5))
    large = large[0], b.op("fma", -z, st.horner(b, z, _DIGAMMA_FAR), large[1])
    value = _either(b, far, large, value)
    of_positive = _plus(b, value, _either(b, near, _minus(b, i), (zero, zero)))

    def negative() -> st.Pair:
        """pi cot(pi r) = 1/r - r pi**2 / 3 + r z P(z)."""
        r = a - b.op("rint", a)
        square = r * r
        third = _times(b, (r, zero), _both(b, x, (-2 * _SIXTH[0], -2 * _SIXTH[1])))
        beyond = r * square * st.horner(b, square, _COTANGENT)
        total = _plus(b, value, _either(b, near, (zero, zero), i))
        total = _plus(b, _plus(b, total, third), (beyond, zero))
        total = _plus(b, total, _inverse(b, r))
        pole = b.op("eq", r, zero) & (a > zero)
        return b.op("select", pole, math.nan, total[0]), total[1]

    return _joined(b, _where_negative(b, x, of_positive, negative))


@st.in_f64
def trigamma(b: Builder, x: Operand) -> Operand:
    """The derivative of digamma. inf at 0, at negative whole numbers and -inf; 0 at inf."""
    zero = b.imm(0.0, x)
    a = abs(x)
    far = a > FAR
    i = _inverse(b, a)
    square = _times(b, i, i)
    shifted = _middle(b, st.at_most(b, a, FAR), _TRIGAMMA)  # of 1 + a

    large = _plus(b, i, (square[0] * 0.5, square[1] * 0.5))
    beyond = i[0] * st.horner(b, square[0], _TRIGAMMA_FAR)
    large = large[0], b.op("fma", square[0], beyond, large[1])
    of_positive = _either(b, far, large, _plus(b, square, shifted))

    def negative() -> st.Pair:
        r = a - b.op("rint", a)
        inverse = _inverse(b, r)
        rest = st.horner(b, r * r, _COSECANT)
        up = _plus(b, _times(b, inverse, inverse), (rest, zero))
        return _plus(b, up, _minus(b, _either(b, far, _plus(b, large, _minus(b, square)), shifted)))

    result = _joined(b, _where_negative(b, x, of_positive, negative))
    result = b.op("select", b.op("eq", x, -math.inf), math.inf, result)
    return b.op("select", b.op("eq", x, math.inf), zero, result)
