"""Other floating-point instructions of the simulator, and conversions: special values, ties, saturation."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from .hand_written import apply
from .rounding import WIDTH, Array, assert_same, rounded, samples, special, value

KINDS = ("f16", "bf16", "f32", "f64")
INTEGERS = ("s16", "s32", "s64", "u16", "u32", "u64")


def bits(kind: str, seed: int = 0, count: int = 120) -> Array:
    near = samples(kind, count, seed + 1, spread=8)
    own = np.array(special(kind), f"u{WIDTH[kind] // 8}")
    return np.concatenate([own, near, samples(kind, count, seed)])


def pairs(kind: str) -> tuple[Array, Array]:
    """Special values against each other, and random ones."""
    s = np.array(special(kind), f"u{WIDTH[kind] // 8}")
    a, b = np.repeat(s, s.size), np.tile(s, s.size)
    return np.concatenate([a, bits(kind, 1)]), np.concatenate([b, bits(kind, 2)])


def limits(kind: str) -> tuple[int, int]:
    """The least and the largest integer of a type."""
    w = int(kind[1:])
    return (-(1 << w - 1), (1 << w - 1) - 1) if kind[0] == "s" else (0, (1 << w) - 1)


def key(x: int, kind: str) -> int:
    """Bits in the order of their values, -0 before +0."""
    sign = 1 << WIDTH[kind] - 1
    return -(x - sign) - 1 if x & sign else x


@pytest.mark.parametrize("kind", KINDS)
def test_extremes(kind: str) -> None:
    a, b = pairs(kind)
    quiet = 0x7FFF if WIDTH[kind] == 16 else 0x7FFFFFFF if kind == "f32" else 0x7FF8 << 48
    for op, best in (("min", min), ("max", max)):
        want = []
        for x, y in zip(a.tolist(), b.tolist(), strict=True):
            numbers = [v for v in (x, y) if value(v, kind) == value(v, kind)]
            want.append(best(numbers, key=lambda v: key(v, kind)) if numbers else quiet)
        assert_same(apply(f"{op}.{kind} %o, %a, %b;", a.dtype, a, b), np.array(want, a.dtype), kind, a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_signs(kind: str) -> None:
    a = bits(kind)
    sign = a.dtype.type(1 << WIDTH[kind] - 1)
    np.testing.assert_array_equal(apply(f"neg.{kind} %o, %a;", a.dtype, a), a ^ sign)
    np.testing.assert_array_equal(apply(f"abs.{kind} %o, %a;", a.dtype, a), a & ~sign)
    if kind in ("f32", "f64"):
        b = a[::-1]
        got = apply(f"copysign.{kind} %o, %a, %b;", a.dtype, a, b)  # the sign of the first
        np.testing.assert_array_equal(got, a & sign | b & ~sign)


@pytest.mark.parametrize("kind", KINDS)
def test_comparisons(kind: str) -> None:
    a, b = pairs(kind)
    values = [(value(x, kind), value(y, kind)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    unordered = np.array([x != x or y != y for x, y in values])
    orders: dict[str, Callable[[Any, Any], bool]] = {
        "eq": lambda x, y: x == y, "ne": lambda x, y: x != y, "lt": lambda x, y: x < y,
        "le": lambda x, y: x <= y, "gt": lambda x, y: x > y, "ge": lambda x, y: x >= y,
    }  # fmt: skip
    for cmp, order in orders.items():
        holds = np.array([x == x and y == y and order(x, y) for x, y in values])
        np.testing.assert_array_equal(apply(f"setp.{cmp}.{kind} %o, %a, %b;", bool, a, b), holds)
        np.testing.assert_array_equal(apply(f"setp.{cmp}u.{kind} %o, %a, %b;", bool, a, b), holds | unordered)
    np.testing.assert_array_equal(apply(f"setp.nan.{kind} %o, %a, %b;", bool, a, b), unordered)
    np.testing.assert_array_equal(apply(f"setp.num.{kind} %o, %a, %b;", bool, a, b), ~unordered)


NARROWER = [("f64", "f32"), ("f64", "f16"), ("f64", "bf16"), ("f32", "f16"), ("f32", "bf16")]


@pytest.mark.parametrize("of, to", NARROWER)
def test_narrower_floats(of: str, to: str) -> None:
    """Also of numbers that lie half-way, and next to that."""
    base = samples(to, 200, 3)
    rows = [v for x in base.tolist() if isinstance(v := value(x, to), Fraction)]
    with np.errstate(over="ignore"):
        wide = np.array([float(x) for x in rows], np.float64)
        half = np.array(
            [float(v * (1 + Fraction(1, 2 ** {"f16": 11, "bf16": 8, "f32": 24}[to]))) for v in rows]
        )
    near = np.concatenate([wide, half, np.nextafter(half, np.inf), np.nextafter(half, -np.inf)])
    dtype = np.float64 if of == "f64" else np.float32
    with np.errstate(over="ignore"):
        a = np.concatenate([bits(of), near.astype(dtype).view(f"u{WIDTH[of] // 8}")])
    infinity = {"f16": 0x7C00, "bf16": 0x7F80, "f32": 0x7F800000}[to]
    for mode in ("rn", "rz", "rm", "rp"):
        expected = []
        for x in a.tolist():
            v, sign = value(x, of), x >> WIDTH[of] - 1 << WIDTH[to] - 1
            if isinstance(v, Fraction):
                expected.append(rounded(v, to, mode) if v else sign)
            else:
                expected.append(infinity + 1 if v != v else infinity | sign)
        size = f"u{WIDTH[to] // 8}"
        assert_same(apply(f"cvt.{mode}.{to}.{of} %o, %a;", size, a), np.array(expected, size), to, a)


@pytest.mark.parametrize("of, to", [(b, a) for a, b in NARROWER])
def test_wider_floats(of: str, to: str) -> None:
    a = bits(of)
    expected = []
    for x in a.tolist():
        v, sign = value(x, of), x >> WIDTH[of] - 1 << WIDTH[to] - 1
        infinity = {"f32": 0x7F800000, "f64": 0x7FF << 52}[to]
        if isinstance(v, Fraction):
            expected.append(rounded(v, to) if v else sign)
        else:
            expected.append(infinity + 1 if v != v else infinity | sign)
    size = f"u{WIDTH[to] // 8}"
    assert_same(apply(f"cvt.{to}.{of} %o, %a;", size, a), np.array(expected, size), to, a)


ROUND: dict[str, Callable[[Fraction], int]] = {
    "rni": round,
    "rzi": math.trunc,
    "rmi": math.floor,
    "rpi": math.ceil,
}


@pytest.mark.parametrize("to", INTEGERS)
@pytest.mark.parametrize("of", ["f16", "f32", "f64"])
def test_floats_to_integers(of: str, to: str) -> None:
    low, high = limits(to)
    width = int(to[1:])
    edges = [e + d for e in (low, high) for d in (-2, -1, -0.5, 0, 0.5, 1, 2)] + [0.5, 1.5, 2.5, -0.5, -1.5]
    dtype = {"f16": np.float16, "f32": np.float32, "f64": np.float64}[of]
    with np.errstate(over="ignore"):
        a = np.concatenate([bits(of), np.array(edges, np.float64).astype(dtype).view(f"u{WIDTH[of] // 8}")])
    for mode, function in ROUND.items():
        expected = []
        for x in a.tolist():
            v = value(x, of)
            if v != v:
                r = 1 << width - 1 if of == "f64" or width == 64 else 0
            elif isinstance(v, float):
                r = high if v > 0 else low
            else:
                r = min(max(function(v), low), high)
            expected.append(r % (1 << width))
        got = apply(f"cvt.{mode}.{to}.{of} %o, %a;", f"u{width // 8}", a)
        np.testing.assert_array_equal(got, np.array(expected, f"u{width // 8}"))


@pytest.mark.parametrize("of", INTEGERS)
@pytest.mark.parametrize("to", KINDS)
def test_integers_to_floats(of: str, to: str) -> None:
    low, high = limits(of)
    rng = np.random.default_rng(5)
    near = [
        (1 << n) + d
        for n in range(1, int(of[1:]))
        for d in (-1, 0, 1, 1 << max(n - 24, 0), 1 << max(n - 53, 0))
    ]
    kind = np.dtype(f"{of[0]}{int(of[1:]) // 8}".replace("s", "i"))
    numbers = [0, 1, low, high, high - 1, *near, *rng.integers(low, high, 60, kind, endpoint=True).tolist()]
    numbers = [n for n in numbers if low <= n <= high]
    numbers += [-n for n in numbers if low <= -n <= high]
    width = int(of[1:])
    a = np.array([n % (1 << width) for n in numbers], f"u{width // 8}")
    for mode in ("rn", "rz", "rm", "rp"):
        expected = [rounded(Fraction(n), to, mode) if n else 0 for n in numbers]
        got = apply(f"cvt.{mode}.{to}.{of} %o, %a;", f"u{WIDTH[to] // 8}", a)
        assert_same(got, np.array(expected, got.dtype), to, a)


def test_integers_to_integers() -> None:
    """Narrower ones are cut or saturated, wider ones extended by their sign; bytes are in wider registers."""
    a = np.array(
        [0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 0x7FFFFFFF, 0x80000000, 0xFFFFFF80], np.uint32
    )
    x = a.view(np.int32).tolist()
    cases = {
        "cvt.s64.s32": (np.int64, x), "cvt.u64.u32": (np.int64, a.tolist()),
        "cvt.u16.u32": (np.uint16, [v % 65536 for v in x]),
        "cvt.s32.s8": (np.int32, [(v + 128) % 256 - 128 for v in x]),
        "cvt.u32.u8": (np.int32, [v % 256 for v in x]),
        "cvt.s32.s16": (np.int32, [(v + 32768) % 65536 - 32768 for v in x]),
        "cvt.sat.s16.s32": (np.int16, [max(-32768, min(v, 32767)) for v in x]),
        "cvt.sat.u16.s32": (np.uint16, [max(0, min(v, 65535)) for v in x]),
        "cvt.sat.s32.u32": (np.int32, [min(v, 2**31 - 1) for v in a.tolist()]),
        "cvt.sat.u32.s32": (np.uint32, [max(v, 0) for v in x]),
        "cvt.sat.s8.s32": (np.int16, [max(-128, min(v, 127)) for v in x]),
        "cvt.u8.u32": (np.uint16, [v % 256 for v in x]),
    }  # fmt: skip
    for opcode, (dtype, expected) in cases.items():
        np.testing.assert_array_equal(apply(f"{opcode} %o, %a;", dtype, a), expected, err_msg=opcode)


@pytest.mark.parametrize("kind", ["f16", "f32", "f64"])
def test_floats_to_whole_floats(kind: str) -> None:
    """Signs of zeros stay."""
    a = bits(kind)
    for mode, function in ROUND.items():
        expected = []
        for x in a.tolist():
            v, sign = value(x, kind), x & 1 << WIDTH[kind] - 1
            if isinstance(v, float):
                expected.append(x)
            else:
                whole = function(v)
                expected.append(rounded(Fraction(whole), kind) if whole else sign)
        got = apply(f"cvt.{mode}.{kind}.{kind} %o, %a;", a.dtype, a)
        assert_same(got, np.array(expected, a.dtype), kind, a)


def test_saturating_conversions() -> None:
    a = np.array([-2, -0.0, 0.3, 1, 7, np.inf, -np.inf, np.nan], np.float64)
    expected = np.array([0, 0, 0.3, 1, 1, 1, 0, 0], np.float32)
    got = apply("cvt.rn.sat.f32.f64 %o, %a;", np.float32, a)
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))
    got = apply("cvt.sat.f32.f32 %o, %a;", np.float32, a.astype(np.float32))
    np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))
