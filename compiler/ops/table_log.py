"""Logarithms by tables, as loop instructions.

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

from collections.abc import Callable, Mapping

from ..ir.data import data, replace
from ..ir.loop import Builder, Operand, Value
from ..ir.types import DType, f32, f64
from . import steps as st


@data
class Logs:
    """What a base needs."""

    c: float
    d: tuple[float, ...]
    high: tuple[float, ...]  # log(c / d), less what steps add; multiples of 2**-15, in base 10 of 2**-18,
    # of float64 2**-42 and 2**-44
    low: tuple[float, ...]
    step: tuple[float, float]  # log(2), or a sixteenth of it, likewise
    q: tuple[float, ...]  # lowest coefficients first
    plain: bool = False  # whether what rounding a sum loses is left out: that is a quarter of a unit
    sixteenths: bool = True  # whether the bits are counted by sixteenths of octaves, as the tables are


Base = Mapping[DType, Logs]

SIXTEENTHS = tuple(n / 64 for n in (64, 60, 56, 54, 50, 48, 46, 44, 42, 40, 39, 37, 36, 35, 34, 32))
# log(1 + f) = f + f Q(f), -1/32 <= f <= 1/16: of it 2**-33.5 and 2**-61.1
LN = {
    f32: Logs(
        c=1.0,
        d=SIXTEENTHS,
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
    ),
    f64: Logs(
        c=1.0,
        d=SIXTEENTHS,
        high=st.hexes(
            "0 0x1.08598b59e4p-4 0x1.1178e8227ep-3 0x1.5bf406b544p-3 0x1.f991c6cb3cp-3 0x1.269621134ep-2"
            " 0x1.522ae0738ap-2 0x1.7fafa3bd81p-2 0x1.af5295248dp-2 0x1.e148a1a272p-2 0x1.fb358af7a5p-2"
            " 0x1.188ee40f24p-1 0x1.269621134d8p-1 0x1.35028ad9d9p-1 0x1.43d9ff2f92p-1 0x1.62e42fefa38p-1"
        ),
        low=st.hexes(
            "0 -0x1.7e5dd7009902cp-46 0x1.1ef78ce2d07f2p-45 -0x1.27023eb68981cp-46 -0x1.90d04cd7cc834p-44"
            " -0x1.1b61f10522625p-44 0x1.ebe708164c759p-45 0x1.46fb79bf6d4cbp-44 -0x1.17cc552774458p-45"
            " 0x1.b36537e3375b2p-44 -0x1.def40b87d36d9p-44 -0x1.accec41d52e6cp-44 0x1.c93c1df5bb3b6p-44"
            " -0x1.bd1f01ab60655p-44 0x1.e267b0b7efae1p-44 0x1.ef35793c7673p-45"
        ),
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
        c=23 / 16,
        d=_D2,
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
    ),
    f64: Logs(
        c=23 / 16,
        d=_D2,
        high=st.hexes(
            "0 0x1.1993de2358p-4 0x1.39e46d77d8p-4 0x1.68ffa94adp-4 0x1.a87f392ba4p-4 0x1.fa4310be8cp-4"
            " 0x1.aaabe4bea4p-4 0x1.0e0f935cf4p-3 0x1.dde2c9d818p-4 0x1.a63838c084p-4 0x1.759581c314p-4"
            " 0x1.4c7d958be4p-4 0x1.2b82394758p-4 0x1.13465a849p-4 0x1.0480dccb6p-4 0x1p-4"
        ),
        low=st.hexes(
            "0 -0x1.bc03ae066034cp-46 -0x1.8f93511f54722p-44 0x1.479f3041d8e3p-46 -0x1.7dc7b2d5b8f39p-44"
            " 0x1.0e23a333893cep-47 0x1.66f2b77b71c9p-44 0x1.9d73059c555a1p-48 0x1.07f2b4dffa6d4p-44"
            " -0x1.9f9648cf84d6bp-48 0x1.f2f21cfe3226ep-45 0x1.19be532995ebdp-44 0x1.da8b537c0f0a8p-45"
            " -0x1.c94b8da948c7dp-46 -0x1.54db8d507d2efp-48 0"
        ),
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
        c=7 / 16,
        d=_D10,
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
    ),
    f64: Logs(
        c=7 / 16,
        d=_D10,
        high=st.hexes(
            "0 0x1.b61e472dap-7 0x1.7bc1deb72p-7 0x1.daec96a2cp-6 0x1.e2f712262p-6 0x1.f9b901bd48p-6"
            " 0x1.105114aaa2p-5 0x1.2cad767de2p-5 0x1.e2db9ce6c8p-6 0x1.1d0132921ap-5 0x1.d403d09ee8p-6"
            " 0x1.742da9cf78p-6 0x1.fcc93af6ccp-6 0x1.b1d8c0fe9cp-6 0x1.6ed15c96ecp-6 0x1.34413509f8p-6"
        ),
        low=st.hexes(
            "0 0x1.a075db187f2fep-46 0x1.3a40bfd285995p-46 -0x1.810ee91edebcap-48 -0x1.bcadebac355eep-46"
            " -0x1.ece94bc4abdd7p-50 0x1.7b558b057256ep-47 -0x1.251e0e780994fp-46 -0x1.090edaff39fdap-47"
            " -0x1.4738e4a5f6f02p-47 0x1.e01a5d5245e31p-46 -0x1.1b5ae2a6a5837p-46 -0x1.3989621e14047p-47"
            " 0x1.5efdce884906fp-46 0x1.3fb7df047e718p-50 -0x1.80433b83b532ap-48"
        ),
        step=(float.fromhex("0x1.34413509f8p-6"), float.fromhex("-0x1.80433b83b532ap-48")),
        q=st.hexes(
            "-0x1.e02cf577d1c75p-8 -0x1.226d8379c034cp+0 0x1.ba8e7f336dfbcp+0 -0x1.7b559199d1f4dp+1"
            " 0x1.5ad1e435ff607p+2 -0x1.4a4dfdb04460dp+3 0x1.439046b845b0ep+4 -0x1.4390da7169c5bp+5"
            " 0x1.48d95571a5b71p+6 -0x1.52c633becc3b5p+7 0x1.3d95f7402d218p+8"
        ),
    ),
}


def log(b: Builder, x: Operand, base: Base) -> Value:
    """The logarithm. -inf at 0 and -0, NaN below, inf at inf."""

    def slowly() -> tuple[Operand]:
        y, octaves = lifted(b, x)
        return (st.at_ends(b, x, _log(b, _terms(b, y, base, octaves)), st.form_of(x)),)

    return st.where(b, rare(b, x), _log(b, _terms(b, x, base)), slowly)


def rare(b: Builder, x: Operand) -> Value:
    """Whether x is no positive normal number."""
    form = st.form_of(x)
    bits = st.as_bits(b, x, form)
    least = b.imm(1 << form.fraction, bits)
    return b.op("ge", b.op("sub", bits, least), b.imm(form.inf - (1 << form.fraction), bits))


def lifted(b: Builder, x: Operand) -> st.Pair:
    """(y, octaves): |x| = 2**octaves y where x is a denormal number, which y is not; else x."""
    a, form = b.op("abs", x), st.form_of(x)
    tiny = b.op("lt", a, b.imm(form.minimum, x))
    y = b.op("select", tiny, st.lifted(b, a, form), x)
    return y, b.op("select", tiny, b.imm(-form.lift, x), b.imm(0.0, x))


def log_of_sum(b: Builder, y: st.Pair, octaves: Operand | None = None) -> Value:
    """ln(2**octaves (y + rest)); y is no denormal number, but may be at an end."""
    usual = _log(b, _terms(b, y[0], LN, octaves), y[1])
    return st.where(b, rare(b, y[0]), usual, lambda: (st.at_ends(b, y[0], usual, st.form_of(y[0])),))


def log_of(b: Builder, x: Operand, more: Operand) -> Value:
    """ln(x) + more of a positive normal number."""
    terms = _terms(b, x, LN)
    return _log(b, replace(terms, low=b.op("add", terms.low, more)))


def ln_twice(b: Builder, x: Operand, octaves: Operand | None = None, rest: Operand | None = None) -> st.Pair:
    """ln(2**octaves (x + rest)) of a positive normal number as a sum of two, to 2**-33 of it
    (of float64 2**-61)."""
    terms, q = _terms(b, x, LN, octaves), LN[x.dtype].q
    low = terms.low if rest is None else terms.beside(b, rest)
    r = terms.r  # exact, as no d has more than six bits, and five where r is above 1/32
    square, square_rest = st.product(b, r, r)
    minus_half = b.imm(q[1], x)
    low = b.op("fma", b.op("mul", square, r), st.horner(b, r, q[2:]), low)
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
    base: Logs

    def beside(self, b: Builder, rest: Operand) -> Value:
        """low + rest / x."""
        part = b.op("mul", b.op("mul", rest, self.power()), self.d)
        less = b.op("fma", self.r, self.r, b.op("neg", self.r))  # 1 / (1 + r) - 1
        return b.op("add", self.low, b.op("fma", part, less, part))


def _terms(b: Builder, x: Operand, by_type: Base, octaves: Operand | None = None) -> _Terms:
    """Of 2**octaves x, if x is positive and normal."""
    base, form = by_type[x.dtype], st.form_of(x)
    bits = st.as_bits(b, x, form)
    number = b.op("shr", bits, b.imm(form.fraction - 4, bits))
    count = number if base.sixteenths else b.op("shr", bits, b.imm(form.fraction, bits))
    k: Operand = st.counted(b, count, form.bias * (16 if base.sixteenths else 1))
    if octaves is not None:
        k = b.op("fma", octaves, b.imm(16.0, k), k) if base.sixteenths else b.op("add", k, octaves)
    fraction, m = st.significand(b, bits, form)
    d = st.element(b, number, base.d)
    r = b.op("fma", m, d, b.imm(-base.c, x))
    high = b.op("fma", k, b.imm(base.step[0], x), st.element(b, number, base.high))
    low: Operand = st.element(b, number, base.low)
    if base.step[1]:
        low = b.op("fma", k, b.imm(base.step[1], x), low)

    def power() -> Value:
        exponent = b.op("sub", bits, fraction)
        return st.as_float(b, b.op("sub", b.imm(2 * form.bias << form.fraction, bits), exponent), form)

    return _Terms(r, high, low, d, power, base)


def _log(b: Builder, x: _Terms, rest: Operand | None = None) -> Value:
    """The logarithm of 2**octaves (x + rest)."""
    r, base = x.r, x.base
    low = x.low if rest is None else x.beside(b, rest)  # log(x + rest) = log(x) + rest / x
    if base.q[0]:
        small = b.op("fma", r, st.horner(b, r, base.q), low)
    else:
        small = b.op("fma", b.op("mul", r, r), st.horner(b, r, base.q[1:]), low)
    if base.plain:
        return b.op("add", x.high, b.op("add", r, small))
    total, lost = st.fast_sum(b, x.high, r)
    return b.op("add", total, b.op("add", lost, small))
