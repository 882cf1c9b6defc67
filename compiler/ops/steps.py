"""What the elementary functions are written with: formats of floats, and steps that several of them take.

There are no library calls in them, so the code inlines and vectorises; every step is an IEEE operation (`fma`
where it is written) or an element of a table, so the result is the same on every target and in every lane.
What few lanes need is behind a branch that is taken if any lane does, see `where_any`.

float32 and float64 are computed as such, or float32 inside of float64. The whole
range is covered: overflow to inf, denormal results rounded once, denormal operands, signed zeros, NaN.
The error bounds stand in the op registry, and what was measured in docs/numerics.md;
tests/compiler/test_transcendental.py checks them.

The polynomials are minimax in relative error of the function (Remez exchange in 160 to 220 bits). Their
coefficients were rounded one by one from the lowest, the others being fitted again each time; those of
pieces, which are looked up (`rows`), directly. The comments state the interval and the largest relative
error of the rounded polynomial.

A sum of two numbers, (x, rest), stands for a value to twice the precision of its format.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Sequence

from ..ir.data import data
from ..ir.loop import Builder, Imm, Operand
from ..ir.types import DType, b1, f32, f64, i32, i64, u32, u64

Pair = tuple[Operand, Operand]
Lower = Callable[..., Operand]  # of a builder and the operands


def hexes(text: str) -> tuple[float, ...]:
    return tuple(float.fromhex(word) for word in text.split())


@data
class Format:
    """A float format, and ln2 in it."""

    dtype: DType
    ints: DType  # the bits as an unsigned integer
    fraction: int  # bits of the fraction
    bias: int  # of the exponent
    ln2: float  # ln2 rounded to the format, and the rest
    ln2_rest: float

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

    def bits(self, value: float) -> int:
        """Those of a number of this format."""
        letters = ("f", "I") if self.dtype is f32 else ("d", "Q")
        (found,) = struct.unpack(f"<{letters[1]}", struct.pack(f"<{letters[0]}", value))
        return int(found)

    @property
    def inf(self) -> int:
        """The bits of inf."""
        return 2 * self.bias + 1 << self.fraction

    @property
    def half(self) -> float:
        """Numbers below this have squares that do not count beside 1."""
        return math.ldexp(1.0, -(self.fraction // 2 + 2))

    @property
    def least(self) -> float:
        """Numbers below this do not count beside 1, nor does twice of them."""
        return math.ldexp(1.0, -(self.fraction + 3))

    @property
    def left(self) -> int:
        """What `counted` leaves of the bias."""
        return self.bias if self.dtype is f32 else 0

    @property
    def lift(self) -> int:
        """Octaves from the denormal numbers to those below 1."""
        return self.bias - 1


F32 = Format(f32, u32, 23, 127, ln2=float.fromhex("0x1.62e430p-1"), ln2_rest=float.fromhex("-0x1.05c610p-29"))
F64 = Format(
    f64, u64, 52, 1023,
    ln2=float.fromhex("0x1.62e42fefa39efp-1"), ln2_rest=float.fromhex("0x1.abc9e3b39803fp-56"),
)  # fmt: skip
FORMATS = {f32: F32, f64: F64}


def form_of(x: Operand) -> Format:
    """That of a float, or of bits."""
    return F32 if x.dtype in (f32, u32) else FORMATS[x.dtype if x.dtype is not u64 else f64]


_LONG = 8
HALF = F32.half, F64.half


def of_f32(single: Lower) -> Callable[[Lower], Lower]:
    """float32 goes by a function of its own, float64 by what follows."""
    return lambda double: lambda b, *args: (single if args[0].dtype is f32 else double)(b, *args)


def in_f64(double: Lower) -> Lower:
    """float32 is computed inside of float64."""

    def lower(b: Builder, *args: Operand) -> Operand:
        if args[0].dtype is f64:
            return double(b, *args)
        return b.op("cast", double(b, *(b.op("cast", a, dtype=f64) for a in args)), dtype=f32)

    return lower


def odd(single: float | None, double: float | None) -> Callable[[Lower], Lower]:
    """What is written for numbers that are not negative, for all: with the sign of x. Below an edge (of
    float32, of float64; None: there is none) the result is x, and what is written gets the edge: squares of
    such numbers, and what rounding them loses, are denormal, for which processors take ten to a hundred times
    as long."""

    def decorate(lower: Lower) -> Lower:
        def run(b: Builder, x: Operand) -> Operand:
            a, edge = abs(x), double if x.dtype is f64 else single
            if edge is None:
                result = lower(b, a)
            else:
                result = lower(b, at_least(b, a, edge))
                result = b.op("select", a < edge, a, result)
            return with_sign(b, result, sign_of(b, x))

        return run

    return decorate


def near_zero(edge: float, linear: bool) -> Callable[[Lower], Lower]:
    """The same of what is written for float64 of both signs. The result is x, if the function is linear
    there, or what it is at 0."""

    def decorate(lower: Lower) -> Lower:
        def run(b: Builder, x: Operand) -> Operand:
            tiny = abs(x) < edge
            result = lower(b, b.op("select", tiny, 0.0, x))
            return b.op("select", tiny, x, result) if linear else result

        return run

    return decorate


def has_square(b: Builder, x: Operand) -> Operand:
    """Whether the square of x is a normal number, and not close to the least: by the exponent, in one test.
    An operation whose result is chosen by it takes the mask on AVX-512; of its opposite LLVM makes two."""
    bits = as_bits(b, x)
    exponent = bits & 3 << (x.dtype.bits - 3)
    return b.op("ne", exponent, 0)


def settled(b: Builder, x: Operand) -> Operand:
    """x, or 0 where its square would be no normal number."""
    return b.op("select", has_square(b, x), x, 0.0)


def lifted_off_zero(b: Builder, x: Operand) -> Operand:
    """x where it counts beside 1, else no denormal number: factors of products are slow, terms of sums are
    not."""
    form = form_of(x)
    return x + math.ldexp(1.0, -form.lift + 2 * form.fraction)


def horner(b: Builder, x: Operand, coefficients: tuple[float, ...]) -> Operand:
    """The polynomial, one fma a coefficient; lowest first."""
    *rest, last = coefficients
    total: Operand = b.imm(last, x)
    for c in reversed(rest):
        total = b.op("fma", total, x, c)
    return total


def at_most(b: Builder, x: Operand, limit: float) -> Operand:
    """NaN stays. In this form it is one instruction of x86."""
    high = limit
    return b.op("select", x > high, high, x)


def at_least(b: Builder, x: Operand, limit: float) -> Operand:
    """NaN stays."""
    low = limit
    return b.op("select", x < low, low, x)


def clamp(b: Builder, x: Operand, lo: float, hi: float) -> Operand:
    """NaN stays."""
    return at_most(b, at_least(b, x, lo), hi)


# --- bits ----------------------------------------------------------------------------------------


def as_bits(b: Builder, x: Operand) -> Operand:
    return b.op("bitcast", x, dtype=form_of(x).ints)


def as_float(b: Builder, bits: Operand) -> Operand:
    return b.op("bitcast", bits, dtype=form_of(bits).dtype)


def sign_of(b: Builder, x: Operand) -> Operand:
    """The sign bit, as bits."""
    return as_bits(b, x) & form_of(x).sign


def with_sign(b: Builder, magnitude: Operand, sign: Operand) -> Operand:
    """`magnitude`, which is not negative, with that sign bit."""
    return as_float(b, as_bits(b, magnitude) | sign)


def copied_sign(b: Builder, magnitude: Operand, x: Operand) -> Operand:
    """|magnitude| with the sign of x."""
    kept = as_bits(b, magnitude) & form_of(x).sign - 1
    return as_float(b, kept | sign_of(b, x))


def split(b: Builder, x: Operand) -> tuple[Operand, Operand]:
    """(m - 1, k) of x = 2**k * m, sqrt(1/2) <= m < sqrt(2); if x is 0, negative, infinite or NaN, something
    finite."""
    form = form_of(x)
    base = math.floor(math.ldexp(math.sqrt(0.5), form.fraction + 1)) - (1 << form.fraction)
    base += (form.bias - 1) << form.fraction  # the bits of the least m
    # The offset keeps the difference positive, so that a logical shift does and k is found without
    # a conversion: AVX2 has neither the other shift nor the conversion for 64 bits.
    offset = 1 << (form.dtype.bits - 1 - form.fraction)
    origin = base + form.sign
    start: Operand = b.imm(origin, as_bits(b, x))
    tiny = x < form.minimum
    x = b.op("select", tiny, lifted(b, x), x)
    start = b.op("select", tiny, origin + (form.lift << form.fraction), start)
    distance = as_bits(b, x) - start
    high = distance >> form.fraction
    whole = math.ldexp(1.0, form.fraction)
    pattern = (form.bias + form.fraction) << form.fraction  # the bits of `whole`
    k = as_float(b, high | pattern) - (whole + offset)
    low = distance & (1 << form.fraction) - 1
    m = as_float(b, low + base)
    return m - 1.0, k


def significand(b: Builder, bits: Operand) -> tuple[Operand, Operand]:
    """Of the bits of a positive normal number: its fraction's, and the number from 1 to 2 that has it."""
    form = form_of(bits)
    fraction = bits & (1 << form.fraction) - 1
    return fraction, as_float(b, fraction | form.bias << form.fraction)


def lifted(b: Builder, x: Operand) -> Operand:
    """2**lift x of a denormal number that is not negative, or of 0: its bits are the fraction of a number
    from 1 on. Products of denormal numbers take a hundred times as long."""
    bits, form = as_bits(b, x), form_of(x)
    return as_float(b, bits | form.bias << form.fraction) - 1.0


def at_ends(b: Builder, x: Operand, log: Operand) -> Operand:
    """A logarithm: -inf at 0 and -0; inf and NaN stay, negative numbers become NaN: x inf + inf is that."""
    odd = as_bits(b, x) >= form_of(x).inf
    result = b.op("select", odd, b.op("fma", b.op("select", odd, x, math.inf), math.inf, math.inf), log)
    return b.op("select", b.op("eq", x, 0.0), -math.inf, result)


def about_inverse(b: Builder, x: Operand, less: float = 0.066) -> Operand:
    """1 / x to a twelfth of it, by one subtraction of bits: of x = 2**k m that is 2**-k (3 - less - m) / 2.
    Something finite at 0."""
    form = form_of(x)
    start = (2 * form.bias << form.fraction) - round(math.ldexp(less, form.fraction))
    return as_float(b, start - as_bits(b, x))


# --- twice the precision -------------------------------------------------------------------------


def fast_sum(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """x + y and what rounding it loses; |x| >= |y|, or x is 0 (Dekker)."""
    total = x + y
    return total, x - total + y


def whole_sum(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """x + y and what rounding it loses (Knuth)."""
    total = x + y
    part = total - x
    return total, x - (total - part) + (y - part)


def product(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """x y and what rounding it loses."""
    total = x * y
    return total, b.op("fma", x, y, -total)


def sum_of_product(b: Builder, x: Operand, y: Operand, z: Operand) -> tuple[Operand, Operand]:
    """x y + z and what rounding it loses; |z| >= |x y|, or z is 0."""
    total = b.op("fma", x, y, z)
    return total, b.op("fma", x, y, z - total)


def quotient(b: Builder, top: Pair, bottom: Pair) -> tuple[Operand, Operand]:
    """top / bottom, by one division; 1 / bottom must neither overflow nor be denormal."""
    (n, n_rest), (d, d_rest) = top, bottom
    inverse = 1.0 / d
    q = n * inverse
    minus = -q
    left = b.op("fma", minus, d, n) + b.op("fma", minus, d_rest, n_rest)
    return q, left * inverse


def counted(b: Builder, count: Operand, bias: int) -> Operand:
    """As a float what stands in the bits. AVX2 has no conversion from 64 bits: of those it is put behind a
    power of two, and the bias goes with that; of float32 it stays."""
    form = form_of(count)
    if form.dtype is f32:
        return b.op("cast", b.op("bitcast", count, dtype=i32), dtype=f32)
    pattern = (form.bias + form.fraction) << form.fraction
    whole = as_float(b, count | pattern)
    return whole - (2.0**form.fraction + bias)


def element(b: Builder, number: Operand, elements: tuple[float, ...]) -> Operand:
    """The element of a table of floats by the lowest four bits of an unsigned number, of as many bits."""
    dtype = f32 if number.dtype is u32 else f64
    return b.op("table", number, *(Imm(value, dtype) for value in elements), dtype=dtype)


def bits_of(b: Builder, number: Operand, elements: tuple[int, ...]) -> Operand:
    """The same of a table of bits."""
    return b.op("table", number, *(Imm(bits, number.dtype) for bits in elements), dtype=number.dtype)


@functools.cache
def rows(text: str) -> list[tuple[float, ...]]:
    """What functions in sixteen pieces are made of: tables, one after the other, of coefficients the lowest
    first."""
    numbers = hexes(text)
    return [numbers[k : k + 16] for k in range(0, len(numbers), 16)]


def quarter(b: Builder, x: Operand) -> Operand:
    """The number of the quarter of an octave in which x > 0 is: its last four bits are those of a table."""
    bits, form = as_bits(b, x), form_of(x)
    return bits >> form.fraction - 2


def by_elements(b: Builder, number: Operand, x: Operand, terms: Sequence[tuple[float, ...]]) -> Operand:
    """The polynomial in x whose coefficients, lowest first, are elements of tables. A long one is two in
    x**2, of which none waits for the other."""
    if len(terms) > _LONG:
        square = x * x
        even, odd = (by_elements(b, number, square, terms[n::2]) for n in (0, 1))
        return b.op("fma", odd, x, even)
    total = element(b, number, terms[-1])
    for coefficients in reversed(terms[:-1]):
        total = b.op("fma", total, x, element(b, number, coefficients))
    return total


def times(b: Builder, a: Operand, change: float) -> Operand:
    """a (1 + change) of a number that is not negative, rounded once; the change is small. Without operations
    on denormal numbers, which are multiplied as the integers that their bits are."""
    tiny, more = a < form_of(a).minimum, change
    y = b.op("select", tiny, lifted(b, a), a)
    shifter = b.imm(1.5, a)
    steps = as_bits(b, b.op("fma", y, more, shifter)) - as_bits(b, shifter)
    whole = as_float(b, as_bits(b, a) + steps)
    return b.op("select", tiny, whole, b.op("fma", y, more, y))


# --- what few lanes need -------------------------------------------------------------------------


def where_any(
    b: Builder, need: Operand, values: tuple[Operand, ...], compute: Callable[[], tuple[Operand, ...]]
) -> tuple[Operand, ...]:
    """`values`, in the lanes that `need` it those that are computed: at once for all lanes, if any does. A
    loop of one turn, or none, is a branch."""
    some = b.op("any", need, dtype=b1, lanes=1)
    times = b.op("cast", some, dtype=i64)
    with b.loop(Imm(0, i64), times, 1, "once", values) as body:
        found = compute()
        body.yields = tuple(
            b.op("select", need, new, old) for new, old in zip(found, body.carried, strict=True)
        )
    return body.results


def where(b: Builder, need: Operand, value: Operand, compute: Callable[[], tuple[Operand]]) -> Operand:
    """The same of one value."""
    (result,) = where_any(b, need, (value,), compute)
    return result
