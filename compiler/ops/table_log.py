"""Logarithms of float32 by tables, as loop instructions.

    x = 2**k m, 1 <= m < 2;  r = m d - c, |r| < 0.063 c, by the d of the sixteenth in which m is
    log(x) = k log(2) + log(c / d) + log(1 + r / c)

c is 1 / ln(b) for the base b, to so few bits that r is exact where it matters, as d has few, too: so the
last term is r + r Q(r), Q small. Where x is near 1 it stands alone: d = c there, or c/2 and k = -1. The other
terms are sums of two numbers, whose first ones have so few bits that their sum is exact. In the tables they
are less by 127 log(2), as k + 127 is what stands in the bits of x. One shift fewer is needed if what is
looked up by, 16 (k + 127) + j in the j-th sixteenth, tells k, too, and the tables are less by that many
sixteenths of log(2): that of ln(2) has too many bits.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.data import data, replace
from ..ir.loop import Builder, Operand, Value
from ..ir.types import f32, i32
from . import steps
from . import steps as st

_INF = 0x7F800000


@data
class Logs:
    """What a base needs."""

    c: float
    d: tuple[float, ...]
    high: tuple[float, ...]  # log(c / d), less what steps add; multiples of 2**-15, in base 10 of 2**-18
    low: tuple[float, ...]
    step: tuple[float, float]  # log(2), or a sixteenth of it, likewise
    q: tuple[float, ...]  # lowest coefficients first
    plain: bool = False  # whether what rounding a sum loses is left out: that is a quarter of a unit
    sixteenths: bool = True  # whether the bits are counted by sixteenths of octaves, as the tables are


# log(1 + f) = f + f Q(f), -1/32 <= f <= 1/16: of it 2**-33.5
LN = Logs(
    c=1.0,
    d=tuple(n / 64 for n in (64, 60, 56, 54, 50, 48, 46, 44, 42, 40, 39, 37, 36, 35, 34, 32)),
    high=st.hexes(
        "-0x1.601e38p+6 -0x1.5fdc20p+6 -0x1.5f9578p+6 -0x1.5f7040p+6 -0x1.5f2170p+6 -0x1.5ef7a0p+6"
        " -0x1.5ecc10p+6 -0x1.5e9e88p+6 -0x1.5e6ee8p+6 -0x1.5e3cf0p+6 -0x1.5e2300p+6 -0x1.5ded18p+6"
        " -0x1.5dd108p+6 -0x1.5db430p+6 -0x1.5d9688p+6 -0x1.5d5870p+6"
    ),
    low=st.hexes(
        "-0x1.7c7e06p-13 -0x1.896752p-13 -0x1.98dd7cp-13 -0x1.6c6330p-13 -0x1.7562dap-13 -0x1.8b756cp-13"
        " -0x1.657a6ap-13 -0x1.7f601ap-13 -0x1.67d4e2p-13 -0x1.7770f2p-13 -0x1.902648p-13 -0x1.8e3d14p-13"
        " -0x1.9a6cd2p-13 -0x1.93d068p-13 -0x1.5c8b0cp-13 -0x1.797f0cp-13"
    ),
    step=(float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7dp-20")),
    q=st.hexes("0 -0x1p-1 0x1.55555cp-2 -0x1.0002ecp-2 0x1.9983d2p-3 -0x1.3dca86p-3"),
    sixteenths=False,
)
# log2(1 + r/c) = r + r Q(r): 2**-32.0
LOG2 = Logs(
    c=23 / 16,
    d=tuple(n / 32 for n in (46, 42, 40, 38, 36, 34, 33, 31, 30, 29, 28, 27, 26, 25, 24, 23)),
    high=st.hexes(
        "-0x1.fc0000p+6 -0x1.fbb998p+6 -0x1.fbb188p+6 -0x1.fba5c0p+6 -0x1.fb95e0p+6 -0x1.fb8170p+6"
        " -0x1.fb9558p+6 -0x1.fb78f8p+6 -0x1.fb8888p+6 -0x1.fb9670p+6 -0x1.fba298p+6 -0x1.fbace0p+6"
        " -0x1.fbb520p+6 -0x1.fbbb30p+6 -0x1.fbbee0p+6 -0x1.fbc000p+6"
    ),
    low=st.hexes(
        "0 -0x1.843b96p-17 0x1.1b5df6p-18 -0x1.5ad4bep-22 -0x1.8da8bap-21 0x1.885f46p-19 0x1.7c97d4p-17"
        " -0x1.b28c30p-21 0x1.64ec0cp-19 -0x1.f1cfe0p-18 -0x1.4fc79ep-17 -0x1.353a0ep-19 0x1.1ca3acp-19"
        " 0x1.96a124p-18 0x1.b996c0p-21 0"
    ),
    step=(1 / 16, 0.0),
    q=st.hexes("0x1.d9afc0p-9 -0x1.65760ap-2 0x1.4b8f08p-3 -0x1.5a07c4p-4 0x1.80c2bep-5 -0x1.8dafcap-6"),
)
# log10(1 + r/c) likewise: 2**-28.7
LOG10 = Logs(
    c=7 / 16,
    d=tuple(n / 128 for n in (56, 52, 50, 46, 44, 42, 40, 38, 37, 35, 34, 33, 31, 30, 29, 28)),
    high=st.hexes(
        "-0x1.31d780p+5 -0x1.31bc1ep+5 -0x1.31bfc4p+5 -0x1.319c22p+5 -0x1.319b20p+5 -0x1.319848p+5"
        " -0x1.31936ap+5 -0x1.318c54p+5 -0x1.319b26p+5 -0x1.319040p+5 -0x1.319d00p+5 -0x1.31a8fcp+5"
        " -0x1.3197e8p+5 -0x1.31a146p+5 -0x1.31a9a6p+5 -0x1.31b0f8p+5"
    ),
    low=st.hexes(
        "-0x1.32a5e0p-11 -0x1.32c16ep-11 -0x1.3287f6p-11 -0x1.33130ep-11 -0x1.33c39ep-11"
        " -0x1.3385acp-11 -0x1.3460bap-11 -0x1.334846p-11 -0x1.31323ep-11 -0x1.325936p-11"
        " -0x1.322bc8p-11 -0x1.30f0a2p-11 -0x1.317e7ep-11 -0x1.318dbep-11 -0x1.327a4cp-11"
        " -0x1.327f3ep-11"
    ),
    step=(float.fromhex("0x1.344p-6"), float.fromhex("0x1.351p-22")),
    q=st.hexes("-0x1.e02cfep-8 -0x1.226d84p+0 0x1.ba932ap+0 -0x1.7b7222p+1 0x1.46331ep+2"),
    plain=True,
)


def log(b: Builder, x: Operand, base: Logs) -> Value:
    """The logarithm. -inf at 0 and -0, NaN below, inf at inf."""

    def slowly() -> tuple[Operand]:
        y, octaves = lifted(b, x)
        return (st.at_ends(b, x, _log(b, _terms(b, y, base, octaves), base), st.F32),)

    (result,) = st.where_any(b, rare(b, x), (_log(b, _terms(b, x, base), base),), slowly)
    assert isinstance(result, Value)
    return result


def rare(b: Builder, x: Operand) -> Value:
    """Whether x is no positive normal number."""
    bits = st.as_bits(b, x, st.F32)
    least = b.imm(1 << st.F32.fraction, bits)
    return b.op("ge", b.op("sub", bits, least), b.imm(_INF - (1 << st.F32.fraction), bits))


def lifted(b: Builder, x: Operand) -> st.Pair:
    """(y, octaves): |x| = 2**octaves y where x is a denormal number, which y is not; else x."""
    a = b.op("abs", x)
    tiny = b.op("lt", a, b.imm(st.F32.minimum, x))
    y = b.op("select", tiny, steps.lifted(b, a, st.F32), x)
    return y, b.op("select", tiny, b.imm(-st.F32.lift, x), b.imm(0.0, x))


def log_of_sum(b: Builder, y: st.Pair, octaves: Operand | None = None) -> Value:
    """ln(2**octaves (y + rest)); y is no denormal number, but may be at an end."""
    usual = _log(b, _terms(b, y[0], LN, octaves), LN, y[1])
    (result,) = st.where_any(b, rare(b, y[0]), (usual,), lambda: (st.at_ends(b, y[0], usual, st.F32),))
    assert isinstance(result, Value)
    return result


def log_of(b: Builder, x: Operand, more: Operand) -> Value:
    """ln(x) + more of a positive normal number."""
    terms = _terms(b, x, LN)
    return _log(b, replace(terms, low=b.op("add", terms.low, more)), LN)


def ln_twice(b: Builder, x: Operand, octaves: Operand | None = None) -> st.Pair:
    """ln(2**octaves x) of a positive normal number as a sum of two, to 2**-33 of it."""
    terms = _terms(b, x, LN, octaves)
    r = terms.r  # exact, as no d has more than six bits, and five where r is above 1/32
    square, square_rest = st.product(b, r, r)
    minus_half = b.imm(LN.q[1], x)
    low = b.op("fma", b.op("mul", square, r), st.horner(b, r, LN.q[2:]), terms.low)
    low = b.op("fma", square_rest, minus_half, low)
    total, lost = st.fast_sum(b, terms.high, r)
    total, less = st.sum_of_product(b, square, minus_half, total)
    return st.fast_sum(b, total, b.op("add", low, b.op("add", lost, less)))


@data
class _Terms:
    """log(x) = high + low + log(1 + r / c)."""

    r: Value
    high: Value
    low: Operand
    d: Value
    power: Callable[[], Value]  # 2**-k


def _terms(b: Builder, x: Operand, base: Logs, octaves: Operand | None = None) -> _Terms:
    """Of 2**octaves x, if x is positive and normal."""
    bits = st.as_bits(b, x, st.F32)
    number = b.op("shr", bits, b.imm(st.F32.fraction - 4, bits))
    count = number if base.sixteenths else b.op("shr", bits, b.imm(st.F32.fraction, bits))
    k: Operand = b.op("cast", b.op("bitcast", count, dtype=i32), dtype=f32)
    if octaves is not None:
        k = b.op("fma", octaves, b.imm(16.0, k), k) if base.sixteenths else b.op("add", k, octaves)
    fraction = b.op("and", bits, b.imm((1 << st.F32.fraction) - 1, bits))
    m = st.as_float(b, b.op("or", fraction, b.imm(st.F32.bias << st.F32.fraction, bits)), st.F32)
    d = st.element(b, number, base.d)
    r = b.op("fma", m, d, b.imm(-base.c, x))
    high = b.op("fma", k, b.imm(base.step[0], x), st.element(b, number, base.high))
    low: Operand = st.element(b, number, base.low)
    if base.step[1]:
        low = b.op("fma", k, b.imm(base.step[1], x), low)

    def power() -> Value:
        exponent = b.op("sub", bits, fraction)
        return st.as_float(b, b.op("sub", b.imm(2 * st.F32.bias << st.F32.fraction, bits), exponent), st.F32)

    return _Terms(r, high, low, d, power)


def _log(b: Builder, x: _Terms, base: Logs, rest: Operand | None = None) -> Value:
    """The logarithm of 2**octaves (x + rest)."""
    r, low = x.r, x.low
    if rest is not None:  # log(x + rest) = log(x) + rest / x
        part = b.op("mul", b.op("mul", rest, x.power()), x.d)
        less = b.op("fma", r, r, b.op("neg", r))  # 1 / (1 + r) - 1
        low = b.op("add", low, b.op("fma", part, less, part))
    if base.q[0]:
        small = b.op("fma", r, st.horner(b, r, base.q), low)
    else:
        small = b.op("fma", b.op("mul", r, r), st.horner(b, r, base.q[1:]), low)
    if base.plain:
        return b.op("add", x.high, b.op("add", r, small))
    total, lost = st.fast_sum(b, x.high, r)
    return b.op("add", total, b.op("add", lost, small))
