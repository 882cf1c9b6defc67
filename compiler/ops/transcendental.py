"""exp, log, tanh, erf and power, as loop instructions.

    exp(x)   = 2**k * e**r               x = k ln2 + r, |r| <= ln2/2
    log(x)   = k ln2 + log(m)            x = 2**k * m, sqrt(1/2) <= m < sqrt(2)
    tanh(x)  = (T + t) / (1 + T t)       x = k ln2 + r, t = tanh(r), T = (4**k - 1) / (4**k + 1)
    erf(x)   = x + x P(x**2)             below 1; above 1 - e**(t Q(t) - t), t = |x|
    power    = e**(y log|x|)             with the logarithm to twice the precision, and a sign

There are no tables, no branches and no library calls, so the code inlines and vectorises; every
step is an IEEE operation (`fma` where it is written), so the result is the same on every target and
in every lane.

float32 and float64 are computed as such (power of float32 inside float64), float16 in float32. The
whole range is covered: overflow to inf, denormal results rounded once, denormal operands, signed
zeros, NaN. The error bounds stand in the op registry; tests/compiler/test_transcendental.py checks
them.

The polynomials are minimax in relative error of the function (Remez exchange in 250 bits). Their
coefficients were rounded one by one from the lowest, the others being fitted again each time. The
comments state the interval and the largest relative error of the rounded polynomial.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ..ir.data import data
from ..ir.loop import Builder, Operand, Value
from ..ir.types import DType, f16, f32, f64, u32, u64


def _hex(text: str) -> tuple[float, ...]:
    return tuple(float.fromhex(word) for word in text.split())


@data
class _Format:
    """A float format and the constants of its approximations; lowest coefficients first."""

    dtype: DType
    ints: DType  # the bits as an unsigned integer
    fraction: int  # bits of the fraction
    bias: int  # of the exponent
    ln2: float  # ln2 rounded to the format, and the rest
    ln2_rest: float
    exp_range: tuple[float, float]  # outside, exp is 0 or inf
    exp: tuple[float, ...]  # (e**r - 1 - r) / r**2
    log: tuple[float, ...]
    tanh_range: float  # from here on, tanh is 1
    tanh: tuple[float, ...]  # (tanh(r) / r - 1) / z in powers of z = r**2
    erf_edge: float  # below, erf goes by the first polynomial
    erf_range: float  # from here on, erf is 1
    erf: tuple[float, ...]  # erf(x) / x - 1 in powers of x**2
    erfc: tuple[float, ...]  # (log(1 - erf(t)) + t) / t

    @property
    def minimum(self) -> float:
        """The smallest normal number."""
        return math.ldexp(1.0, 1 - self.bias)

    @property
    def shifter(self) -> float:
        """Adding it rounds a small number to a whole one, which then stands in the low bits."""
        return math.ldexp(1.5, self.fraction)

    @property
    def sign(self) -> int:
        return 1 << (self.dtype.bits - 1)


_F32 = _Format(
    dtype=f32,
    ints=u32,
    fraction=23,
    bias=127,
    ln2=float.fromhex("0x1.62e430p-1"),
    ln2_rest=float.fromhex("-0x1.05c610p-29"),
    exp_range=(-104.0, 89.0),
    # |r| <= ln2/2: 2**-28.2
    exp=_hex("0x1.fffffcp-2 0x1.555492p-3 0x1.5558acp-5 0x1.123974p-7 0x1.6a504ap-10"),
    # (log(1 + f) - f) / f**2, sqrt(1/2) <= 1 + f <= sqrt(2): 2**-27.8
    log=_hex(
        "-0x1.fffff8p-2 0x1.555550p-2 -0x1.000438p-2 0x1.99a428p-3 -0x1.542420p-3"
        " 0x1.226b2cp-3 -0x1.0f4cd0p-3 0x1.087df8p-3 -0x1.3850c4p-4"
    ),
    tanh_range=10.0,
    # |r| <= ln2/2: 2**-31.1
    tanh=_hex("-0x1.55554ep-2 0x1.110c4cp-3 -0x1.b830aep-5 0x1.3f135ep-6"),
    erf_edge=0.92,
    erf_range=4.0,
    # x <= 0.93: 2**-30.0
    erf=_hex(
        "0x1.06eba8p-3 -0x1.812740p-2 0x1.ce2d64p-4 -0x1.b8011ap-6 0x1.544a1cp-8"
        " -0x1.a60a68p-11 0x1.4f68d4p-14"
    ),
    # 0.92 <= t <= 4, of erf: 2**-30.3
    erfc=_hex(
        "-0x1.0778f6p-3 -0x1.453274p-1 -0x1.b326f8p-4 0x1.85570ap-6 -0x1.dd847cp-9"
        " 0x1.52b02ep-12 -0x1.799732p-17"
    ),
)
_F64 = _Format(
    dtype=f64,
    ints=u64,
    fraction=52,
    bias=1023,
    ln2=float.fromhex("0x1.62e42fefa39efp-1"),
    ln2_rest=float.fromhex("0x1.abc9e3b39803fp-56"),
    exp_range=(-746.0, 710.0),
    # |r| <= ln2/2: 2**-57.9
    exp=_hex(
        "0x1.000000000000ap-1 0x1.555555555550cp-3 0x1.55555555507a2p-5 0x1.1111111124834p-7"
        " 0x1.6c16c1843935ap-10 0x1.a01a01378e223p-13 0x1.a0199a09835c2p-16"
        " 0x1.71df0e098ce93p-19 0x1.28ad64c00671cp-22 0x1.ad9d737b035bcp-26"
    ),
    # (2 atanh(s) - 2 s) / s**3 in powers of z = s**2, |s| <= 3 - sqrt(8): 2**-59.5
    log=_hex(
        "0x1.5555555555592p-1 0x1.999999997ff1ap-2 0x1.24924941e13e3p-2 0x1.c71c521469cb0p-3"
        " 0x1.74663ce7751cdp-3 0x1.39a1e974746e6p-3 0x1.2f03b2e20669cp-3"
    ),
    tanh_range=20.0,
    # |r| <= ln2/2: 2**-56.8
    tanh=_hex(
        "-0x1.55555555554d7p-2 0x1.11111111005e4p-3 -0x1.ba1ba1a1f401ep-5 0x1.664f400cdb1bbp-6"
        " -0x1.226c90a96bfaap-7 0x1.d6742aebd91e7p-9 -0x1.7746e55b24213p-10 0x1.f3ba1748450c2p-12"
    ),
    erf_edge=0.89,
    erf_range=6.0,
    # x <= 0.91: 2**-56.3
    erf=_hex(
        "0x1.06eba8214db69p-3 -0x1.812746b037a22p-2 0x1.ce2f21a045540p-4 -0x1.b82ce3133ebacp-6"
        " 0x1.565bcd2811e6ap-8 -0x1.c02db82fcf4bbp-11 0x1.f9a39211f39ebp-14 -0x1.f4d8fd351993ep-17"
        " 0x1.ba24db985ca4fp-20 -0x1.6088f17e1cc39p-23 0x1.fac9306b814a4p-27 -0x1.12ef73e43df2fp-30"
    ),
    # 0.88 <= t <= 6, of erf: 2**-56.9
    erfc=_hex(
        "-0x1.06eba824ad593p-3 -0x1.45f305415c4e6p-1 -0x1.a4f56e90689a1p-4 0x1.3971bcd8e6867p-6"
        " 0x1.a4cee3ff1da46p-13 -0x1.b7abe2fde9cabp-10 0x1.250341c1419aep-11 0x1.c4cf4748c64c9p-17"
        " -0x1.b122fa7d6c502p-14 0x1.f60bc73a1c464p-15 -0x1.6e1877f645dc6p-16 0x1.873211a6eaed1p-18"
        " -0x1.3d4504c25ab47p-20 0x1.858e95ccf728fp-23 -0x1.6060b8ec6d344p-26 0x1.bbeac9a421715p-30"
        " -0x1.5c03b1ef480c9p-34 0x1.ff49e33b6ef3dp-40"
    ),
)
_FORMATS = {f32: _F32, f64: _F64}

# log2(m) / s in powers of z = s**2, s = (m - 1) / (m + 1), sqrt(1/2) <= m <= sqrt(2): 2**-37.8
_LOG2 = _hex(
    "0x1.71547652bee6dp+1 0x1.ec709d124ffdfp-1 0x1.2777803b0a766p-1 0x1.a58d66a78d4fbp-2 0x1.5cea888ae149bp-2"
)
# 2**r, |r| <= 1/2: 2**-29.0
_EXP2 = _hex(
    "0x1.0000000260fd8p+0 0x1.62e430c7ea6cap-1 0x1.ebfbdadcfe3e1p-3 0x1.c6aed4b6d59fbp-5"
    " 0x1.3b2dbb9885c34p-7 0x1.5f456bf5ff990p-10 0x1.41d34d0aefaf1p-13"
)
# ((2 atanh(s) - 2 s) / s**3 - 2/3) / z as above; of the whole logarithm: 2**-73.5
_ATANH = _hex(
    "0x1.9999999999996p-2 0x1.2492492492f51p-2 0x1.c71c71c5968fap-3 0x1.745d1829565f2p-3"
    " 0x1.3b1364c95fb69p-3 0x1.11206f287dd68p-3 0x1.de3d71d605badp-4 0x1.eac5b0b1550d3p-4"
)


def _through_f32(
    native: Callable[[Builder, tuple[Operand, ...], _Format], Operand],
) -> Callable[[Builder, tuple[Operand, ...], DType], Operand]:
    """float16 is computed in float32 and rounded once more."""

    def lower(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Operand:
        if dtype == f16:
            wide = tuple(b.op("cast", a, dtype=f32) for a in args)
            return b.op("cast", native(b, wide, _F32), dtype=f16)
        return native(b, args, _FORMATS[dtype])

    return lower


# --- steps that several functions share ----------------------------------------------------------


def _horner(b: Builder, x: Operand, coefficients: tuple[float, ...]) -> Value:
    """The polynomial, one fma a coefficient."""
    *rest, last = coefficients
    total: Operand = b.imm(last, x)
    for c in reversed(rest):
        total = b.op("fma", total, x, b.imm(c, x))
    assert isinstance(total, Value)
    return total


def _clamp(b: Builder, x: Operand, lo: float, hi: float) -> Value:
    """NaN stays. In this form each half is one instruction of x86."""
    low, high = b.imm(lo, x), b.imm(hi, x)
    x = b.op("select", b.op("lt", x, low), low, x)
    return b.op("select", b.op("gt", x, high), high, x)


def _as_bits(b: Builder, x: Operand, form: _Format) -> Value:
    return b.op("bitcast", x, dtype=form.ints)


def _as_float(b: Builder, bits: Operand, form: _Format) -> Value:
    return b.op("bitcast", bits, dtype=form.dtype)


def _sign(b: Builder, x: Operand, form: _Format) -> Value:
    """The sign bit, as bits."""
    bits = _as_bits(b, x, form)
    return b.op("and", bits, b.imm(form.sign, bits))


def _with_sign(b: Builder, magnitude: Operand, sign: Operand, form: _Format) -> Value:
    return _as_float(b, b.op("or", _as_bits(b, magnitude, form), sign), form)


def _exp_steps(b: Builder, x: Operand, form: _Format) -> tuple[Value, Value]:
    """(r, k): x = k ln2 + r - k ln2_rest."""
    shifter = b.imm(form.shifter, x)
    k = b.op("sub", b.op("fma", x, b.imm(1 / math.log(2), x), shifter), shifter)
    # exact: a multiple of the last bit of x or of ln2, and not above half of ln2
    return b.op("fma", k, b.imm(-form.ln2, x), x), k


def _add_multiple(b: Builder, k: Operand, f: Operand, form: _Format) -> tuple[Value, Value]:
    """k ln2 + f, with ln2 as rounded to the format, and what rounding the sum loses."""
    ln2 = b.imm(form.ln2, f)
    total = b.op("fma", k, ln2, f)
    # k ln2 - total is exact: it is about -f
    return total, b.op("add", b.op("fma", k, ln2, b.op("neg", total)), f)


def _split(b: Builder, x: Operand, form: _Format, denormals: bool) -> tuple[Value, Value]:
    """(m - 1, k) of x = 2**k * m; if x is 0, negative, infinite or NaN, something finite."""
    base = math.floor(math.ldexp(math.sqrt(0.5), form.fraction + 1)) - (1 << form.fraction)
    base += (form.bias - 1) << form.fraction  # the bits of sqrt(1/2)
    # The offset keeps the difference positive, so that a logical shift does and k is found without
    # a conversion: AVX2 has neither the other shift nor the conversion for 64 bits.
    offset = 1 << (form.dtype.bits - 1 - form.fraction)
    origin = base + form.sign
    start: Operand = b.imm(origin, _as_bits(b, x, form))
    if denormals:
        lift = form.fraction + 2
        tiny = b.op("lt", x, b.imm(form.minimum, x))
        x = b.op("select", tiny, b.op("mul", x, b.imm(math.ldexp(1.0, lift), x)), x)
        start = b.op("select", tiny, b.imm(origin + (lift << form.fraction), start), start)
    distance = b.op("sub", _as_bits(b, x, form), start)
    high = b.op("shr", distance, b.imm(form.fraction, distance))
    whole = math.ldexp(1.0, form.fraction)
    pattern = b.imm((form.bias + form.fraction) << form.fraction, high)  # the bits of `whole`
    k = b.op("sub", _as_float(b, b.op("or", high, pattern), form), b.imm(whole + offset, x))
    low = b.op("and", distance, b.imm((1 << form.fraction) - 1, distance))
    m = _as_float(b, b.op("add", low, b.imm(base, low)), form)
    return b.op("sub", m, b.imm(1.0, m)), k


# --- the functions -------------------------------------------------------------------------------


@_through_f32
def exp(b: Builder, args: tuple[Operand, ...], form: _Format) -> Operand:
    """e**x. 0 at -inf, inf at inf."""
    return _exp(b, args[0], form)


def _exp(b: Builder, x: Operand, form: _Format, rest: Operand | None = None) -> Value:
    """e**(x + rest)."""
    r, k = _exp_steps(b, _clamp(b, x, *form.exp_range), form)
    r = b.op("fma", k, b.imm(-form.ln2_rest, x), r)
    if rest is not None:
        r = b.op("add", r, rest)
    return b.op("scale", _horner(b, r, (1.0, 1.0, *form.exp)), k)


@_through_f32
def log(b: Builder, args: tuple[Operand, ...], form: _Format) -> Operand:
    """The natural logarithm. -inf at 0 and -0, NaN below, inf at inf."""
    (x,) = args
    f, k = _split(b, x, form, denormals=True)
    total, rest = _add_multiple(b, k, f, form)
    if form.dtype == f32:
        rest = b.op("fma", b.op("mul", f, f), _horner(b, f, form.log), rest)
    else:
        # A polynomial in f would need twenty terms. s = f / (2 + f):
        # log(1 + f) = 2 s + s z C(z) = f - s (f - z C(z))
        s = b.op("div", f, b.op("add", f, b.imm(2.0, f)))
        z = b.op("mul", s, s)
        rest = b.op("fma", k, b.imm(form.ln2_rest, x), rest)
        tail = b.op("fma", z, _horner(b, z, form.log), b.op("neg", f))
        rest = b.op("fma", s, tail, rest)
    result = b.op("add", total, rest)
    # inf and NaN stay, negative numbers and -0 become NaN: x inf + inf is that
    bits = _as_bits(b, x, form)
    inf = b.imm(math.inf, x)
    infinite = ((2 << (form.dtype.bits - 2 - form.fraction)) - 1) << form.fraction
    odd = b.op("ge", bits, b.imm(infinite, bits))
    result = b.op("select", odd, b.op("fma", x, inf, inf), result)
    return b.op("select", b.op("eq", x, b.imm(0.0, x)), b.imm(-math.inf, x), result)


@_through_f32
def tanh(b: Builder, args: tuple[Operand, ...], form: _Format) -> Operand:
    """The hyperbolic tangent. -0 at -0, 1 at inf, -1 at -inf."""
    (x,) = args
    a = b.op("abs", x)
    limit = b.imm(form.tanh_range, x)
    a = b.op("select", b.op("gt", a, limit), limit, a)
    # With twice the usual shifter, 2 k / 2 stands in the bits, to be shifted twice as far. The bias
    # is odd, so this gives half of 4**k.
    shifter = b.imm(2 * form.shifter + (form.bias - 1), x)
    shifted = b.op("fma", a, b.imm(2 / math.log(2), x), shifter)
    k2 = b.op("sub", shifted, shifter)
    r = b.op("fma", k2, b.imm(-form.ln2 / 2, x), a)
    z = b.op("mul", r, r)
    cube, tail = b.op("mul", z, r), _horner(b, z, form.tanh)
    if form.dtype == f32:
        t = b.op("fma", cube, tail, r)
    else:  # the rest of ln2 is a third of the last place here, in float32 a tenth
        rest = b.op("mul", k2, b.imm(-form.ln2_rest / 2, x))
        t = b.op("add", b.op("fma", cube, tail, rest), r)
    bits = _as_bits(b, shifted, form)
    half = _as_float(b, b.op("shl", bits, b.imm(form.fraction + 1, bits)), form)
    scale = b.op("add", half, half)
    # Both sides of the quotient times 7/4, unless k is 0: for k = 1 the divisor then lies just below
    # powers of two, where rounding costs least.
    most = b.imm(1.75, x)
    factor = b.op("select", b.op("lt", scale, most), scale, most)
    less = b.op("fma", scale, factor, b.op("neg", factor))
    more = b.op("fma", scale, factor, factor)
    # The divisor, t less + more, is made from the dividend: it shares its rounding error, so that
    # this error counts only 1 - tanh(x) times.
    top = b.op("fma", t, more, less)
    bottom = b.op("fma", b.op("fma", t, b.imm(-2.0, x), b.imm(2.0, x)), factor, top)
    result = b.op("div", top, bottom)
    return _with_sign(b, result, _sign(b, x, form), form)


@_through_f32
def erf(b: Builder, args: tuple[Operand, ...], form: _Format) -> Operand:
    """The error function. -0 at -0, 1 at inf, -1 at -inf."""
    (x,) = args
    small = b.op("fma", x, _horner(b, b.op("mul", x, x), form.erf), x)
    a = b.op("abs", x)
    limit = b.imm(form.erf_range, x)
    t = b.op("select", b.op("gt", a, limit), limit, a)
    slope = _horner(b, t, form.erfc)
    tail = b.op("fma", t, slope, b.op("neg", t))
    lost = b.op("fma", t, slope, b.op("neg", b.op("add", tail, t)))  # by rounding the tail; the sum is exact
    rest = b.op("sub", b.imm(1.0, x), _exp(b, tail, form, lost))
    large = _with_sign(b, rest, _sign(b, x, form), form)
    return b.op("select", b.op("lt", a, b.imm(form.erf_edge, x)), small, large)


@_through_f32
def power(b: Builder, args: tuple[Operand, ...], form: _Format) -> Operand:
    """x**y, with the special cases of C99 (annex F): x**0 = 1 and 1**y = 1, of NaN too."""
    x, y = args
    zero, one = b.imm(0.0, x), b.imm(1.0, x)
    # Where |y| >= 2**64, y is even and x**y is 0, inf or 1: so y may stay finite.
    exponent = _clamp(b, y, -(2.0**64), 2.0**64)
    magnitude = _power32 if form.dtype == f32 else _power64
    result = magnitude(b, b.op("abs", x), exponent)
    half = b.op("mul", y, b.imm(0.5, y))
    whole = b.op("eq", b.op("rint", y), y)
    odd = b.op("and", whole, b.op("ne", b.op("rint", half), half))
    sign = _sign(b, x, form)
    sign = b.op("select", odd, sign, b.imm(0, sign))
    result = _with_sign(b, result, sign, form)
    negative = b.op("and", b.op("lt", x, zero), b.op("gt", x, b.imm(-math.inf, x)))
    undefined = b.op("and", negative, b.op("not", whole))
    result = b.op("select", undefined, b.imm(math.nan, x), result)
    return b.op("select", b.op("or", b.op("eq", y, zero), b.op("eq", x, one)), one, result)


def _power32(b: Builder, x: Operand, y: Operand) -> Value:
    """float32 x**y for x >= 0 and finite y, in float64: 2**(y log2 x), log2 x = k + s P(s s)."""
    x, y = b.op("cast", x, dtype=f64), b.op("cast", y, dtype=f64)
    f, k = _split(b, x, _F64, denormals=False)  # float32 has no denormals in float64
    s = b.op("div", f, b.op("add", f, b.imm(2.0, f)))
    log2 = b.op("fma", s, _horner(b, b.op("mul", s, s), _LOG2), k)
    w = _clamp(b, b.op("mul", y, _at_ends(b, x, log2)), -160.0, 160.0)
    shifter = b.imm(_F64.shifter + _F64.bias, w)
    shifted = b.op("add", w, shifter)
    p = _horner(b, b.op("sub", w, b.op("sub", shifted, shifter)), _EXP2)
    bits = _as_bits(b, shifted, _F64)
    scale = _as_float(b, b.op("shl", bits, b.imm(_F64.fraction, bits)), _F64)
    return b.op("cast", b.op("mul", p, scale), dtype=f32)


def _power64(b: Builder, x: Operand, y: Operand) -> Value:
    """float64 x**y for x >= 0 and finite y: e**(w + rest), where w + rest is y log x."""
    log, log_rest = _log_twice(b, x)
    w = b.op("mul", y, log)
    rest = b.op("fma", y, log, b.op("neg", w))
    rest = b.op("fma", y, log_rest, rest)
    w = b.op("mul", y, _at_ends(b, x, log))
    # outside of the range of exp, `rest` may be large and means nothing
    inside = b.op("lt", b.op("abs", w), b.imm(-_F64.exp_range[0], w))
    rest = b.op("select", inside, rest, b.imm(0.0, w))
    r, k = _exp_steps(b, _clamp(b, w, *_F64.exp_range), _F64)
    rest = b.op("fma", k, b.imm(-_F64.ln2_rest, w), rest)
    # e**(r + rest) = 1 + r + rest + r r g(r), and what r + rest and 1 + r lose in rounding. So only
    # the last sum counts, and where the result is a float64 it comes out exact: x**1, 3**5.
    exact = r
    r = b.op("add", exact, rest)
    rest = b.op("sub", rest, b.op("sub", r, exact))
    one = b.imm(1.0, w)
    linear = b.op("add", one, r)
    small = b.op("fma", rest, linear, b.op("sub", r, b.op("sub", linear, one)))
    small = b.op("fma", b.op("mul", r, r), _horner(b, r, _F64.exp), small)
    return b.op("scale", b.op("add", linear, small), k)


def _at_ends(b: Builder, x: Operand, log: Operand) -> Value:
    """The logarithm of any x >= 0, if `log` is that of the finite positive ones."""
    log = b.op("select", b.op("lt", x, b.imm(math.inf, x)), log, x)
    return b.op("select", b.op("eq", x, b.imm(0.0, x)), b.imm(-math.inf, x), log)


def _log_twice(b: Builder, x: Operand) -> tuple[Value, Value]:
    """log x of a positive float64 as a sum of two, to about 2**-65.

    log(m) = 2 s + s**3 (2/3 + z P(z)), s = f / (2 + f), z = s s. Each of s, z, s**3 and the bracket
    is a sum of two; the rest of a product is an fma, the rest of a sum the part that did not fit.
    """
    f, k = _split(b, x, _F64, denormals=True)
    two = b.imm(2.0, f)

    def minus(p: Operand) -> Value:
        return b.op("neg", p)

    # s + s_rest = f / (d + d_rest), d + d_rest = 2 + f
    d = b.op("add", two, f)
    d_rest = b.op("sub", f, b.op("sub", d, two))
    inverse = b.op("div", b.imm(1.0, f), d)
    s = b.op("mul", f, inverse)
    left = b.op("fma", minus(s), d_rest, b.op("fma", minus(s), d, f))
    s_rest = b.op("mul", left, inverse)

    z = b.op("mul", s, s)
    z_rest = b.op("fma", s, s, minus(z))
    z_rest = b.op("fma", b.op("add", s, s), s_rest, z_rest)

    cube = b.op("mul", s, z)
    cube_rest = b.op("fma", s, z, minus(cube))
    cube_rest = b.op("fma", s, z_rest, b.op("fma", s_rest, z, cube_rest))

    third = b.imm(2 / 3, f)
    tail = b.op("mul", z, _horner(b, z, _ATANH))
    c = b.op("add", third, tail)
    c_rest = b.op("sub", tail, b.op("sub", c, third))
    c_rest = b.op("add", c_rest, b.imm(float.fromhex("0x1.5555555555555p-55"), f))
    c_rest = b.op("fma", z_rest, b.imm(_ATANH[0], f), c_rest)

    term = b.op("mul", cube, c)
    term_rest = b.op("fma", cube, c, minus(term))
    term_rest = b.op("fma", cube_rest, c, b.op("fma", cube, c_rest, term_rest))

    total, rest = _add_multiple(b, k, b.op("add", s, s), _F64)
    rest = b.op("fma", k, b.imm(_F64.ln2_rest, k), rest)
    rest = b.op("fma", two, s_rest, rest)
    rest = b.op("add", rest, term_rest)
    result = b.op("add", total, term)
    return result, b.op("add", rest, b.op("sub", term, b.op("sub", result, total)))
