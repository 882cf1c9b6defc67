"""The cube root by tables, as loop instructions.

    x = 2**k m, 1 <= m < 2;  r = m d - 1, -1/32 <= r <= 1/16, by the d of the sixteenth in which m is
    k = 3 q + o, o = -1, 0 or 1
    cbrt(x) = 2**q  2**(o/3) d**(-1/3)  (1 + r)**(1/3)

The two factors in the middle come from tables, as sums of two numbers each, and their product is one; the
last factor is 1 + r P(r), at most 1.021. So what is added to a rounded number is small.
"""

from __future__ import annotations

from ..ir.data import data
from ..ir.loop import Builder, Operand, Value
from ..ir.types import DType, f32, f64
from . import steps as st
from .table_log import SIXTEENTHS


@data
class _Root:
    """What a format needs."""

    d: tuple[float, ...]
    roots: tuple[
        float, ...
    ]  # d**(-1/3), and what rounding it lost; nothing but for 2**-62, as d is so chosen
    roots_rest: tuple[float, ...]
    thirds: tuple[float, ...]  # 2**((o - bias) / 3) for o = 0, 1 and -1: the exponent's bits are k + bias
    thirds_rest: tuple[float, ...]
    root: tuple[float, ...]  # ((1 + r)**(1/3) - 1) / r, lowest coefficients first

    @staticmethod
    def by_thirds(zero: float, one: float, minus: float) -> tuple[float, ...]:
        return zero, one, *[0.0] * 13, minus


# of the root 2**-30.7 and 2**-57.8
_ROOT = {
    f32: _Root(
        d=SIXTEENTHS,
        roots=st.hexes(
            "0x1p+0 0x1.059124p+0 0x1.0ba6eep+0 0x1.0eea9cp+0 0x1.15f4d4p+0 0x1.19c3b4p+0 0x1.1dca4cp+0"
            " 0x1.220e6ep+0 0x1.2696d8p+0 0x1.2b6b5ep+0 0x1.2df4fep+0 0x1.334d6ep+0 0x1.361f36p+0"
            " 0x1.390c3ap+0 0x1.3c1656p+0 0x1.428a30p+0"
        ),
        roots_rest=st.hexes(
            "0 -0x1.62b3dcp-27 0x1.7e6ab6p-26 0x1.bf24bep-27 0x1.1189cap-26 -0x1.c5a296p-26 -0x1.b90b62p-25"
            " -0x1.4c5740p-27 -0x1.dabb88p-26 0x1.bed6aap-25 -0x1.660108p-25 0x1.20ab4cp-25 -0x1.af7480p-27"
            " 0x1.80b718p-26 0x1.403482p-26 -0x1.9ca35ep-26"
        ),
        thirds=_Root.by_thirds(*st.hexes("0x1.965feap-43 0x1p-42 0x1.428a30p-43")),
        thirds_rest=_Root.by_thirds(*st.hexes("0x1.4f5b90p-69 0 -0x1.9ca35ep-69")),
        root=st.hexes("0x1.555556p-2 -0x1.c71e7ap-4 0x1.f9b954p-5 -0x1.3faedep-5"),
    ),
    f64: _Root(
        d=st.hexes(
            "0x1p+0 0x1.dffffffffe798p-1 0x1.bfffffffff137p-1 0x1.affffffffbdcp-1 0x1.8fffffffffab2p-1"
            " 0x1.7fffffffff50fp-1 0x1.6ffffffffffd9p-1 0x1.5fffffffff4edp-1 0x1.4fffffffff673p-1"
            " 0x1.3fffffffff687p-1 0x1.37ffffffff5c8p-1 0x1.27fffffffd971p-1 0x1.1fffffffffb37p-1"
            " 0x1.17ffffffffab2p-1 0x1.0ffffffffe191p-1 0x1.fffffffffbab9p-2"
        ),
        roots=st.hexes(
            "0x1p+0 0x1.059123d3a9cb7p+0 0x1.0ba6ee5f9adc6p+0 0x1.0eea9c37e5757p+0 0x1.15f4d4446285fp+0"
            " 0x1.19c3b38e97855p+0 0x1.1dca4b237a501p+0 0x1.220e6dd67548bp+0 0x1.2696d789514adp+0"
            " 0x1.2b6b5edf6b83ep+0 0x1.2df4fd4cffb0fp+0 0x1.334d6e90567b7p+0 0x1.361f35ca118b7p+0"
            " 0x1.390c3a602de5ap+0 0x1.3c1656500ddd4p+0 0x1.428a2f98d8117p+0"
        ),
        roots_rest=(),
        thirds=_Root.by_thirds(*st.hexes("0x1p-341 0x1.428a2f98d728bp-341 0x1.965fea53d6e3dp-342")),
        thirds_rest=_Root.by_thirds(*st.hexes("0 -0x1.ddc22548ea41ep-397 -0x1.f53e999952f09p-396")),
        root=st.hexes(
            "0x1.5555555555548p-2 -0x1.c71c71c71c6e5p-4 0x1.f9add3c160ed8p-5 -0x1.511e8d2d61cdcp-5"
            " 0x1.ee710c02c8239p-6 -0x1.8090a8e47c8c2p-6 0x1.37623874dae4ap-6 -0x1.040405d3feafp-6"
            " 0x1.9a39a58543b29p-7"
        ),
    ),
}


def _root(b: Builder, x: Operand) -> Value:
    """Of a positive normal number."""
    form, p = st.form_of(x), _ROOT[x.dtype]
    bits = st.as_bits(b, x, form)
    number = b.op("shr", bits, b.imm(form.fraction - 4, bits))
    _, m = st.significand(b, bits, form)
    shifter = b.imm(form.shifter, x)
    exponent = b.op("shr", bits, b.imm(form.fraction, bits))
    placed = b.imm((2 * (form.bias + form.fraction) + 1) << (form.fraction - 1), exponent)  # the shifter
    k = st.as_float(b, b.op("or", exponent, placed), form)
    shifted = b.op("fma", b.op("sub", k, shifter), b.imm(1 / 3, x), shifter)
    thirds = st.as_bits(b, b.op("fma", b.op("sub", shifted, shifter), b.imm(-3.0, x), k), form)
    r = b.op("fma", m, st.element(b, number, p.d), b.imm(-1.0, x))
    first, second = st.element(b, number, p.roots), st.element(b, thirds, p.thirds)
    total, rest = st.product(b, first, second)
    rest = b.op("fma", first, st.element(b, thirds, p.thirds_rest), rest)
    if p.roots_rest:
        rest = b.op("fma", st.element(b, number, p.roots_rest), second, rest)
    root = b.op("add", total, b.op("fma", b.op("mul", total, r), st.horner(b, r, p.root), rest))
    places = st.as_bits(b, shifted, form)
    up = b.op("shl", places, b.imm(form.fraction, places))
    return st.as_float(b, b.op("add", st.as_bits(b, root, form), up), form)


def cbrt(b: Builder, args: tuple[Operand, ...], dtype: DType) -> Value:
    """Zeros, infinities and NaN stay."""
    (x,) = args
    form = st.form_of(x)
    a = b.op("abs", x)
    bits = st.as_bits(b, a, form)
    least, inf = b.imm(1 << form.fraction, bits), b.imm(form.inf, bits)
    rare = b.op("ge", b.op("sub", bits, least), b.op("sub", inf, least))

    def slowly() -> tuple[Operand]:
        tiny, more = b.op("lt", bits, least), -form.lift % 3  # octaves to a multiple of three
        lifted = b.op("mul", st.lifted(b, a, form), b.imm(2.0**more, x))
        root = _root(b, b.op("select", tiny, lifted, a))
        root = b.op("select", tiny, b.op("mul", root, b.imm(2.0 ** -((form.lift + more) // 3), x)), root)
        usual = b.op("and", b.op("gt", a, b.imm(0.0, x)), b.op("lt", bits, inf))
        return (b.op("select", usual, root, a),)

    return st.with_sign(b, st.where(b, rare, _root(b, a), slowly), st.sign_of(b, x, form), form)
