"""log, log2, log10 and log1p by tables, as loop instructions.

    x = 2**k m, 1 <= m < 2;  r = m d - c, |r| < 0.063 c, by the d of the sixteenth in which m is
    log(x) = k log(2) + log(c / d) + log(1 + r / c)

c is 1 / ln(b) for the base b, to so few bits that r is exact where it matters, as d has few, too: so the
last term is r + r Q(r), Q small. Where x is near 1 it stands alone: d = c there, or c/2 and k = -1. The other
terms are sums of two numbers, whose first ones have so few bits that their sum is exact. In the tables of
float32 they are less by 127 log(2), as k + 127 is what stands in the bits of x. One shift fewer is needed if
what is looked up by, 16 (k + 127) + j in the j-th sixteenth, tells k, too, and the tables are less by that
many sixteenths of log(2): that of ln(2) has too many bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from ..ir.data import data, replace
from ..ir.loop import Builder, Operand
from ..ir.types import DType, f32, f64
from . import formulas as fo
from . import steps as st


@data
class Logs:
    """What a base needs."""

    b: int  # the base; 1 stands for e
    c: float
    d: tuple[float, ...]
    bits: int  # behind the point of the first numbers
    step: tuple[float, float]  # log(2), or a sixteenth of it, as a sum of two
    q: tuple[float, ...]  # lowest coefficients first
    plain: bool = False  # whether what rounding a sum loses is left out: that is a quarter of a unit
    sixteenths: bool = True  # whether the bits are counted by sixteenths of octaves, as the tables are


Base = Mapping[DType, Logs]


@functools.cache
def _tables(base: Logs, left: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """log(c / d), less what steps add, as sums of two; `left`: of the bias of the exponent. By sixteenths, it
    is that of the next octave, less 16 steps, in the upper half of one: so it is 0 just below 1, too."""
    scale, first, rest = fo.ln(base.b * fo.ONE) if base.b > 1 else fo.ONE, *map(fo.units, base.step)
    octave, count = fo.LN2 * fo.ONE // scale, 16 * left if base.sixteenths else left
    high, low = [], []
    for j, d in enumerate(base.d):
        log = fo.ln(fo.over(fo.units(base.c), d)) * fo.ONE // scale
        if base.sixteenths:
            log += (16 - j) * (first + rest) - octave if j >= 8 else -j * (first + rest)
        near = fo.to_bits(log, base.bits)
        high.append(near - count * base.step[0])
        low.append(log - fo.units(near) - count * rest)
    return tuple(high), fo.to(f32 if left else f64, low)


SIXTEENTHS = tuple(n / 64 for n in (64, 60, 56, 54, 50, 48, 46, 44, 42, 40, 39, 37, 36, 35, 34, 32))
# log(1 + f) = f + f Q(f), -1/32 <= f <= 1/16: of it 2**-33.5 and 2**-61.1
LN = {
    f32: Logs(
        b=1,
        c=1.0,
        d=SIXTEENTHS,
        bits=15,
        step=(float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7dp-20")),
        q=st.hexes("0 -0x1p-1 0x1.55555cp-2 -0x1.0002ecp-2 0x1.9983d2p-3 -0x1.3dca86p-3"),
        sixteenths=False,
    ),
    f64: Logs(
        b=1,
        c=1.0,
        d=SIXTEENTHS,
        bits=42,
        step=(float.fromhex("0x1.62e42fefa38p-1"), float.fromhex("0x1.ef35793c7673p-45")),
        q=st.hexes(
            "0 -0x1p-1 0x1.555555555556ep-2 -0x1.0000000000e08p-2 0x1.999999995a4b4p-3 -0x1.55555536685a3p-3"
            " 0x1.2492496fd4521p-3 -0x1.0000a8580887dp-3 0x1.c72d3dec5cae7p-4 -0x1.97a76f2fe4059p-4"
            " 0x1.4189f09c488f1p-4"
        ),
        sixteenths=False,
    ),
}
_D2 = tuple(n / 32 for n in (46, 42, 40, 38, 36, 34, 33, 31, 30, 29, 28, 27, 26, 25, 24, 23))
# log2(1 + r/c) = r + r Q(r): 2**-32.0 and 2**-59.0
LOG2 = {
    f32: Logs(
        b=2,
        c=23 / 16,
        d=_D2,
        bits=15,
        step=(1 / 16, 0.0),
        q=st.hexes("0x1.d9afc0p-9 -0x1.65760ap-2 0x1.4b8f08p-3 -0x1.5a07c4p-4 0x1.80c2bep-5 -0x1.8dafcap-6"),
    ),
    f64: Logs(
        b=2,
        c=23 / 16,
        d=_D2,
        bits=42,
        step=(1 / 16, 0.0),
        q=st.hexes(
            "0x1.d9afc100429dep-9 -0x1.65760af590e06p-2 0x1.4b8ee15a7ef35p-3 -0x1.59f94431ec4a4p-4"
            " 0x1.811571bf8dd9ap-5 -0x1.be79536407593p-6 0x1.0a386f72e6677p-6 -0x1.441926b6dcdbbp-7"
            " 0x1.90e77e1e448d4p-8 -0x1.f3d20da2a8baap-9 0x1.11c0bb185e8adp-9"
        ),
    ),
}
_D10 = tuple(n / 128 for n in (56, 52, 50, 46, 44, 42, 40, 38, 37, 35, 34, 33, 31, 30, 29, 28))
# log10(1 + r/c) likewise: 2**-28.7 and 2**-60.4
LOG10 = {
    f32: Logs(
        b=10,
        c=7 / 16,
        d=_D10,
        bits=18,
        step=(float.fromhex("0x1.344p-6"), float.fromhex("0x1.351p-22")),
        q=st.hexes("-0x1.e02cfep-8 -0x1.226d84p+0 0x1.ba932ap+0 -0x1.7b7222p+1 0x1.46331ep+2"),
        plain=True,
    ),
    f64: Logs(
        b=10,
        c=7 / 16,
        d=_D10,
        bits=44,
        step=(float.fromhex("0x1.34413509f8p-6"), float.fromhex("-0x1.80433b83b532ap-48")),
        q=st.hexes(
            "-0x1.e02cf577d1c75p-8 -0x1.226d8379c034cp+0 0x1.ba8e7f336dfbcp+0 -0x1.7b559199d1f4dp+1"
            " 0x1.5ad1e435ff607p+2 -0x1.4a4dfdb04460dp+3 0x1.439046b845b0ep+4 -0x1.4390da7169c5bp+5"
            " 0x1.48d95571a5b71p+6 -0x1.52c633becc3b5p+7 0x1.3d95f7402d218p+8"
        ),
    ),
}


def rare(b: Builder, x: Operand) -> Operand:
    """Whether x is no positive normal number."""
    least, inf = 1 << st.form_of(x).fraction, st.form_of(x).inf
    return st.as_bits(b, x) - least >= inf - least


def lifted(b: Builder, x: Operand) -> st.Pair:
    """(y, octaves): |x| = 2**octaves y where x is a denormal number, which y is not; else x."""
    a, form = abs(x), st.form_of(x)
    tiny = a < form.minimum
    y = b.op("select", tiny, st.lifted(b, a), x)
    return y, b.op("select", tiny, b.imm(-form.lift, x), 0.0)


def log_of_sum(b: Builder, y: st.Pair, octaves: Operand | None = None) -> Operand:
    """ln(2**octaves (y + rest)); y is no denormal number, but may be at an end."""
    usual = _near(b, _terms(b, y[0], LN, octaves), y[1])
    return st.where(b, rare(b, y[0]), usual, lambda: (st.at_ends(b, y[0], usual),))


def log_of(b: Builder, x: Operand, more: Operand) -> Operand:
    """ln(x) + more of a positive normal number."""
    terms = _terms(b, x, LN)
    return _near(b, replace(terms, low=terms.low + more))


def ln_twice(b: Builder, x: Operand, octaves: Operand | None = None, rest: Operand | None = None) -> st.Pair:
    """ln(2**octaves (x + rest)) of a positive normal number as a sum of two, to 2**-33 of it
    (of float64 2**-61)."""
    terms, q = _terms(b, x, LN, octaves), LN[x.dtype].q
    low = terms.low if rest is None else terms.beside(b, rest)
    r = terms.r  # exact, as no d has more than six bits, and five where r is above 1/32
    square, square_rest = st.product(b, r, r)
    minus_half = b.imm(q[1], x)
    low = b.op("fma", square * r, st.horner(b, r, q[2:]), low)
    low = b.op("fma", square_rest, minus_half, low)
    total, lost = st.fast_sum(b, terms.high, r)
    total, less = st.sum_of_product(b, square, minus_half, total)
    return st.fast_sum(b, total, low + (lost + less))


@data
class _Terms:
    """log(x) = high + low + log(1 + r / c)."""

    r: Operand
    high: Operand
    low: Operand
    d: Operand
    power: Callable[[], Operand]  # 2**-k
    base: Logs

    def beside(self, b: Builder, rest: Operand) -> Operand:
        """low + rest / x."""
        part = rest * self.power() * self.d
        less = b.op("fma", self.r, self.r, -self.r)  # 1 / (1 + r) - 1
        return self.low + b.op("fma", part, less, part)


def _terms(b: Builder, x: Operand, by_type: Base, octaves: Operand | None = None) -> _Terms:
    """Of 2**octaves x, if x is positive and normal."""
    base, form = by_type[x.dtype], st.form_of(x)
    bits = st.as_bits(b, x)
    number = bits >> form.fraction - 4
    count = number if base.sixteenths else bits >> form.fraction
    k: Operand = st.counted(b, count, form.bias * (16 if base.sixteenths else 1))
    if octaves is not None:
        k = b.op("fma", octaves, 16.0, k) if base.sixteenths else k + octaves
    fraction, m = st.significand(b, bits)
    d = st.element(b, number, base.d)
    r = b.op("fma", m, d, -base.c)
    first, rests = _tables(base, form.left)
    high = b.op("fma", k, base.step[0], st.element(b, number, first))
    low: Operand = st.element(b, number, rests)
    if base.step[1]:
        low = b.op("fma", k, base.step[1], low)

    def power() -> Operand:
        return st.as_float(b, (2 * form.bias << form.fraction) - (bits - fraction))

    return _Terms(r, high, low, d, power, base)


def _near(b: Builder, x: _Terms, rest: Operand | None = None) -> Operand:
    """The logarithm of 2**octaves (x + rest)."""
    r, base = x.r, x.base
    low = x.low if rest is None else x.beside(b, rest)  # log(x + rest) = log(x) + rest / x
    if base.q[0]:
        small = b.op("fma", r, st.horner(b, r, base.q), low)
    else:
        small = b.op("fma", r * r, st.horner(b, r, base.q[1:]), low)
    if base.plain:
        return x.high + (r + small)
    total, lost = st.fast_sum(b, x.high, r)
    return total + (lost + small)


def log_twice(b: Builder, y: st.Pair) -> st.Pair:
    """log(y + rest) of float64 as a sum of two, to about four bits more than it has."""
    x, rest = y
    usual = ln_twice(b, x, rest=rest)

    def slowly() -> st.Pair:
        log, less = ln_twice(b, *lifted(b, x), rest)
        return st.at_ends(b, x, log), less

    log, less = st.where_any(b, rare(b, x), usual, slowly)
    return log, less


# --- the functions -------------------------------------------------------------------------------


def _log(b: Builder, x: Operand, base: Base) -> Operand:
    """-inf at 0 and -0, NaN below, inf at inf."""

    def slowly() -> tuple[Operand]:
        y, octaves = lifted(b, x)
        return (st.at_ends(b, x, _near(b, _terms(b, y, base, octaves))),)

    return st.where(b, rare(b, x), _near(b, _terms(b, x, base)), slowly)


def log(b: Builder, x: Operand) -> Operand:
    """The natural logarithm. -inf at 0 and -0, NaN below, inf at inf."""
    return _log(b, x, LN)


def log2(b: Builder, x: Operand) -> Operand:
    """The logarithm to base 2, exact for powers of two. At its ends as `log`."""
    return _log(b, x, LOG2)


def log10(b: Builder, x: Operand) -> Operand:
    """The logarithm to base 10. At its ends as `log`."""
    return _log(b, x, LOG10)


def log1p(b: Builder, x: Operand) -> Operand:
    """log(1 + x). -inf at -1, NaN below, inf at inf, -0 at -0."""
    one = b.imm(1.0, x)
    y, rest = st.whole_sum(b, x, one)
    counts = b.op("ne", y, one)  # else x, so that no factor is a denormal number
    sum_ = y, b.op("select", counts, rest, 0.0)
    return b.op("select", counts, log_of_sum(b, sum_), x)
