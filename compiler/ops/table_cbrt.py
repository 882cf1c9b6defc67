"""The cube root by tables, as loop instructions.

    x = 2**k m, 1 <= m < 2;  r = m d - 1, -1/32 <= r <= 1/16, by the d of the sixteenth in which m is
    k = 3 q + o, o = -1, 0 or 1
    cbrt(x) = 2**q  2**(o/3) d**(-1/3)  (1 + r)**(1/3)

The two factors in the middle come from tables, as sums of two numbers each, and their product is one; the
last factor is 1 + r P(r), at most 1.021. So what is added to a rounded number is small.
"""

from __future__ import annotations

import functools
import math

from ..ir.loop import Builder, Operand
from ..ir.types import DType, f32, f64
from . import formulas as fo
from . import steps as st
from .table_log import SIXTEENTHS

# Of float64 d is so chosen that d**(-1/3) is a float but for 2**-62.
_D = {
    f32: SIXTEENTHS,
    f64: st.hexes(
        "0x1p+0 0x1.dffffffffe798p-1 0x1.bfffffffff137p-1 0x1.affffffffbdcp-1 0x1.8fffffffffab2p-1"
        " 0x1.7fffffffff50fp-1 0x1.6ffffffffffd9p-1 0x1.5fffffffff4edp-1 0x1.4fffffffff673p-1"
        " 0x1.3fffffffff687p-1 0x1.37ffffffff5c8p-1 0x1.27fffffffd971p-1 0x1.1fffffffffb37p-1"
        " 0x1.17ffffffffab2p-1 0x1.0ffffffffe191p-1 0x1.fffffffffbab9p-2"
    ),
}
# ((1 + r)**(1/3) - 1) / r, lowest coefficients first: of the root 2**-30.7 and 2**-57.8
_ROOT = {
    f32: st.hexes("0x1.555556p-2 -0x1.c71e7ap-4 0x1.f9b954p-5 -0x1.3faedep-5"),
    f64: st.hexes(
        "0x1.5555555555548p-2 -0x1.c71c71c71c6e5p-4 0x1.f9add3c160ed8p-5 -0x1.511e8d2d61cdcp-5"
        " 0x1.ee710c02c8239p-6 -0x1.8090a8e47c8c2p-6 0x1.37623874dae4ap-6 -0x1.040405d3feafp-6"
        " 0x1.9a39a58543b29p-7"
    ),
}
Table = tuple[float, ...]


@functools.cache
def _roots(dtype: DType) -> tuple[Table, Table]:
    """d**(-1/3), and what rounding it lost."""
    return _apart(dtype, [fo.cube_root(fo.over(fo.ONE, d)) for d in _D[dtype]])


@functools.cache
def _thirds(dtype: DType) -> tuple[Table, ...]:
    """2**((o - bias) / 3), o = 0, 1 and -1, and what rounding it lost: the exponent's bits are k + bias."""
    whole, thirds = zip(*(divmod(o - st.FORMATS[dtype].bias, 3) for o in (0, 1, -1)), strict=True)
    pairs = _apart(dtype, [fo.cube_root(fo.ONE << n) for n in thirds])
    scaled = ([math.ldexp(x, n) for x, n in zip(values, whole, strict=True)] for values in pairs)
    return tuple((zero, one, *[0.0] * 13, minus) for zero, one, minus in scaled)


def _apart(dtype: DType, values: list[int]) -> tuple[Table, Table]:
    high = fo.to(dtype, values)
    return high, fo.to(dtype, [v - fo.units(h) for v, h in zip(values, high, strict=True)])


def _root(b: Builder, x: Operand) -> Operand:
    """Of a positive normal number."""
    form, (roots, roots_rest), (parts, parts_rest) = st.form_of(x), _roots(x.dtype), _thirds(x.dtype)
    bits = st.as_bits(b, x)
    number = bits >> form.fraction - 4
    _, m = st.significand(b, bits)
    placed = (2 * (form.bias + form.fraction) + 1) << (form.fraction - 1)  # the shifter
    k = st.as_float(b, bits >> form.fraction | placed)
    shifted = b.op("fma", k - form.shifter, 1 / 3, form.shifter)
    thirds = st.as_bits(b, b.op("fma", shifted - form.shifter, -3.0, k))
    r = b.op("fma", m, st.element(b, number, _D[x.dtype]), -1.0)
    first, second = st.element(b, number, roots), st.element(b, thirds, parts)
    total, rest = st.product(b, first, second)
    rest = b.op("fma", first, st.element(b, thirds, parts_rest), rest)
    if x.dtype is f32:
        rest = b.op("fma", st.element(b, number, roots_rest), second, rest)
    root = total + b.op("fma", total * r, st.horner(b, r, _ROOT[x.dtype]), rest)
    up = st.as_bits(b, shifted) << form.fraction
    return st.as_float(b, st.as_bits(b, root) + up)


def cbrt(b: Builder, x: Operand) -> Operand:
    """Zeros, infinities and NaN stay."""
    form = st.form_of(x)
    a = abs(x)
    bits = st.as_bits(b, a)
    least = b.imm(1 << form.fraction, bits)
    rare = bits - least >= form.inf - least

    def slowly() -> tuple[Operand]:
        tiny, more = bits < least, -form.lift % 3  # octaves to a multiple of three
        lifted = st.lifted(b, a) * 2.0**more
        root = _root(b, b.op("select", tiny, lifted, a))
        root = b.op("select", tiny, root * 2.0 ** -((form.lift + more) // 3), root)
        usual = (a > 0.0) & (bits < form.inf)
        return (b.op("select", usual, root, a),)

    return st.with_sign(b, st.where(b, rare, _root(b, a), slowly), st.sign_of(b, x))
