"""Floating-point arithmetic of the simulator against fractions: every operation and format."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from .hand_written import apply
from .rounding import WIDTH, Array, assert_same, rounded, samples, special, value

FORMULAS: dict[str, Callable[..., Fraction]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "rcp": lambda a: 1 / a,
    "fma": lambda a, b, c: a * b + c,
}
COUNT = {"add": 2, "sub": 2, "mul": 2, "div": 2, "rcp": 1, "fma": 3, "sqrt": 1}


def as_float(bits: int, kind: str) -> float:
    """inf, NaN or a zero; any other number as 1 with its sign, all that matters beside one of these."""
    v = value(bits, kind)
    size = abs(v) if isinstance(v, float) else 1.0 if v else 0.0
    return math.copysign(size, -1 if bits >> WIDTH[kind] - 1 else 1)


def special_case(op: str, kind: str, bits: tuple[int, ...]) -> int:
    """What is no rounded number: by Python's floats, right about inf and NaN, and by the rules for zeros."""
    x = [as_float(b, kind) for b in bits]
    if op in ("add", "sub", "fma"):
        first = x[0] * x[1] if op == "fma" else x[0]
        second = x[2] if op == "fma" else -x[1] if op == "sub" else x[1]
        r = first + second if not (math.isinf(first) and math.isinf(second) and first != second) else math.nan
        if math.isfinite(r):
            both = first == 0 and second == 0 and math.copysign(1, first) == math.copysign(1, second)
            r = first if both else 0.0
    elif op == "mul":
        r = x[0] * x[1]
    elif op == "sqrt":
        r = x[0] if not x[0] < 0 else math.nan
    else:
        a, b = (1.0, x[0]) if op == "rcp" else (x[0], x[1])
        if b == 0:
            r = math.nan if a == 0 or a != a else math.copysign(math.inf, a * math.copysign(1, b))
        else:
            r = a / b
    top = {"f16": 0x7C00, "bf16": 0x7F80, "f32": 0x7F800000, "f64": 0x7FF << 52}[kind]
    sign = (math.copysign(1, r) < 0) << WIDTH[kind] - 1
    if r != r:
        return top + 1
    assert r == 0 or math.isinf(r), (op, bits)
    return sign | (top if r else 0)


def expected(op: str, kind: str, operands: list[Array]) -> Array:
    found = []
    for bits in zip(*(a.tolist() for a in operands), strict=True):
        x = [value(b, kind) for b in bits]
        finite = all(isinstance(v, Fraction) for v in x)
        if finite and op == "sqrt" and x[0] > 0:
            found.append(root(Fraction(x[0]), kind))
            continue
        if finite and op != "sqrt" and not (op in ("div", "rcp") and x[-1] == 0):
            exact = FORMULAS[op](*x)
            if exact != 0:
                found.append(rounded(exact, kind))
                continue
        found.append(special_case(op, kind, bits))
    return np.array(found, operands[0].dtype)


def root(x: Fraction, kind: str) -> int:
    """The rounded square root: the float below it, moved up where that is nearer."""
    scale = 4**600
    floor = Fraction(math.isqrt(x.numerator * scale // x.denominator), 2**600)
    below = rounded(floor, kind, "rz")
    low = Fraction(value(below, kind))
    if floor * floor == x and low == floor:
        return below
    above = below + 1 if low * low <= x else below
    middle = (low + Fraction(value(above, kind))) / 2
    return above if middle * middle < x else below


def operands(op: str, kind: str, count: int, seed: int) -> list[Array]:
    """Special values in all combinations (of three, some), random ones of all exponents, and of near ones."""
    n = COUNT[op]
    combined = list(itertools.product(special(kind), repeat=n))
    rng = np.random.default_rng(seed)
    if len(combined) > count:
        combined = [combined[k] for k in rng.choice(len(combined), count, replace=False)]
    columns = [np.array(c, f"u{WIDTH[kind] // 8}") for c in zip(*combined, strict=True)]
    return [
        np.concatenate([c, samples(kind, count, seed + k), samples(kind, count, seed + 10 + k, spread=4)])
        for k, c in enumerate(columns)
    ]


def check(op: str, kind: str, inputs: list[Array]) -> None:
    names = ", ".join(["%o", "%a", "%b", "%c"][: len(inputs) + 1])
    got = apply(f"{op}.rn.{kind} {names};", inputs[0].dtype, *inputs)
    assert_same(got, expected(op, kind, inputs), kind, *inputs)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "rcp", "sqrt", "fma"])
def test_arithmetic_is_rounded_once(op: str, kind: str) -> None:
    check(op, kind, operands(op, kind, 150, seed=1))


@pytest.mark.parametrize("kind", ["f16", "bf16"])
@pytest.mark.parametrize("op", ["add", "sub", "mul", "fma"])
def test_halves_are_rounded_once(op: str, kind: str) -> None:
    check(op, kind, operands(op, kind, 150, seed=2))


@pytest.mark.parametrize("kind", ["f32", "f64", "f16", "bf16"])
def test_fma_next_to_ties(kind: str) -> None:
    """Products that end half-way between two floats, and an addend far below them that decides."""
    rng = np.random.default_rng(3)
    bits, width = {"f32": (24, 32), "f64": (53, 64), "f16": (11, 16), "bf16": (8, 16)}[kind]
    rows = []
    for _ in range(300):
        p = (int(rng.integers(1, 1 << 62)) % (1 << bits)) * 2 + 1 | 1 << bits  # of one bit more than fits
        factor = next((f for f in range(3, 1 << min(bits, 12), 2) if p % f == 0), 1)
        a, b = (factor, p // factor) if factor > 1 else (p + 1, 1)
        tiny = int(rng.choice([-1, 1])) * Fraction(
            1, 2 ** int(rng.integers(1, 3 * bits if width > 16 else 8))
        )
        values = [Fraction(a), Fraction(b), tiny]
        rows.append([rounded(v, kind) for v in values])
    check("fma", kind, [np.array(c, f"u{width // 8}") for c in zip(*rows, strict=True)])


def test_fma_of_float32_is_not_that_of_float64_rounded_twice() -> None:
    """1 + 2^-24 is half-way between two float32; 2^-60 more is lost in float64, and must not be."""
    a = np.array([1 + 2.0**-12], np.float32)
    b = np.array([1 - 2.0**-12 + 2.0**-24], np.float32)
    c = np.array([2.0**-60], np.float32)
    x, y, z = (Fraction(float(v[0])) for v in (a, b, c))
    got = apply("fma.rn.f32 %o, %a, %b, %c;", np.uint32, *(v.view(np.uint32) for v in (a, b, c)))
    assert got[0] == rounded(x * y + z, "f32")
    twice = np.float32(np.float64(a[0]) * np.float64(b[0]) + np.float64(c[0]))
    near = Fraction(float(twice)) - (x * y + z)
    assert abs(near) <= Fraction(1, 2**24)


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_halves_with_float32(kind: str) -> None:
    """All but the last operand are halves, and become float32 first."""
    a, b = bits_of(kind, 6), bits_of(kind, 7)
    c = np.resize(operands("add", "f32", 60, seed=8)[0], a.size)
    wide = [apply(f"cvt.f32.{kind} %o, %a;", np.uint32, x) for x in (a, b)]
    for op in ("add", "sub"):
        got = apply(f"{op}.rn.f32.{kind} %o, %a, %b;", np.uint32, a, c)
        assert_same(got, expected(op, "f32", [wide[0], c]), "f32", a, c)
    got = apply(f"fma.rn.f32.{kind} %o, %a, %b, %c;", np.uint32, a, b, c)
    assert_same(got, expected("fma", "f32", [*wide, c]), "f32", a, b, c)


def bits_of(kind: str, seed: int) -> Array:
    return np.concatenate([np.array(special(kind), np.uint16), samples(kind, 100, seed)])


def test_made_nan_is_that_of_devices() -> None:
    a = np.array([np.inf], np.float32)
    assert apply("sub.rn.f32 %o, %a, %a;", np.uint32, a)[0] == 0x7FFFFFFF
    half = np.array([0x7C00], np.uint16)
    assert apply("sub.rn.f16 %o, %a, %a;", np.uint16, half)[0] == 0x7FFF
