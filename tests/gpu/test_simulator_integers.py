"""Integer, logic and selection instructions of the simulator against Python's integers, bit by bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from .hand_written import apply
from .rounding import Array

INTS = ("u16", "u32", "u64", "s16", "s32", "s64")


def width(kind: str) -> int:
    return int(kind[1:])


def wrapped(x: int, kind: str) -> int:
    """Modulo 2^bits, as bits."""
    return x % (1 << width(kind))


def signed(bits: int, kind: str) -> int:
    """The value of bits under a type."""
    w = width(kind)
    return bits - (1 << w) if kind[0] == "s" and bits >> w - 1 else bits


def values(kind: str, seed: int, count: int = 150) -> Array:
    """The ends of the range, powers of two and their neighbours, random numbers of all lengths."""
    w, rng = width(kind), np.random.default_rng(seed)
    special = [
        0,
        1,
        2,
        3,
        7,
        31,
        32,
        33,
        (1 << w - 1) - 1,
        1 << w - 1,
        (1 << w - 1) + 1,
        (1 << w) - 1,
        (1 << w) - 2,
    ]
    random = [int(rng.integers(0, 1 << 63)) * 2 % (1 << w) >> int(rng.integers(0, w)) for _ in range(count)]
    pool = special + random
    return np.array([pool[k] for k in rng.integers(0, len(pool), 4 * count)], f"u{w // 8}")


def check(
    text: str, kinds: str, result: str, model: Callable[..., int], limits: dict[int, int] | None = None
) -> None:
    """An instruction on operands of some types; the model gets their values and answers modulo 2^bits."""
    types = kinds.split()
    inputs = [values(kind, n) for n, kind in enumerate(types)]
    for n, limit in (limits or {}).items():
        inputs[n] = (inputs[n] % limit).astype(inputs[n].dtype)
    got = apply(text, f"u{width(result) // 8}", *inputs)
    rows = zip(*(a.tolist() for a in inputs), strict=True)
    expected = [
        wrapped(model(*(signed(b, k) for b, k in zip(row, types, strict=True))), result) for row in rows
    ]
    wrong = [n for n, (g, e) in enumerate(zip(got.tolist(), expected, strict=True)) if g != e]
    if wrong:
        n = wrong[0]
        operands = ", ".join(hex(int(a[n])) for a in inputs)
        raise AssertionError(
            f"{text} ({operands}): {int(got[n]):#x}, not {expected[n]:#x}; {len(wrong)} wrong"
        )


def quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if b else -1


BINARY: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "min": min,
    "max": max,
    "div": quotient,
    "rem": lambda a, b: a - quotient(a, b) * b if b else a,
}


@pytest.mark.parametrize("kind", INTS)
def test_arithmetic(kind: str) -> None:
    for op, model in BINARY.items():
        check(f"{op}.{kind} %o, %a, %b;", f"{kind} {kind}", kind, model)
    w = width(kind)
    check(f"mul.hi.{kind} %o, %a, %b;", f"{kind} {kind}", kind, lambda a, b: a * b >> w)
    check(f"mad.lo.{kind} %o, %a, %b, %c;", f"{kind} {kind} {kind}", kind, lambda a, b, c: a * b + c)
    check(f"mad.hi.{kind} %o, %a, %b, %c;", f"{kind} {kind} {kind}", kind, lambda a, b, c: (a * b >> w) + c)
    if kind[0] == "s":
        check(f"neg.{kind} %o, %a;", kind, kind, lambda a: -a)
        check(f"abs.{kind} %o, %a;", kind, kind, abs)
    if w < 64:
        wide = kind[0] + str(2 * w)
        check(f"mul.wide.{kind} %o, %a, %b;", f"{kind} {kind}", wide, lambda a, b: a * b)
        check(f"mad.wide.{kind} %o, %a, %b, %c;", f"{kind} {kind} {wide}", wide, lambda a, b, c: a * b + c)


@pytest.mark.parametrize("kind", ["u16", "u32", "u64"])
def test_bits(kind: str) -> None:
    w = width(kind)
    b, s = f"b{w}", f"s{w}"
    check(f"and.{b} %o, %a, %b;", f"{kind} {kind}", kind, lambda x, y: x & y)
    check(f"or.{b} %o, %a, %b;", f"{kind} {kind}", kind, lambda x, y: x | y)
    check(f"xor.{b} %o, %a, %b;", f"{kind} {kind}", kind, lambda x, y: x ^ y)
    check(f"not.{b} %o, %a;", kind, kind, lambda x: ~x)
    # amounts are not taken modulo the width
    check(f"shl.{b} %o, %a, %b;", f"{kind} u32", kind, lambda x, n: x << n if n < w else 0, {1: 80})
    check(f"shr.{kind} %o, %a, %b;", f"{kind} u32", kind, lambda x, n: x >> n, {1: 80})
    check(f"shr.{b} %o, %a, %b;", f"{kind} u32", kind, lambda x, n: x >> n, {1: 80})
    check(f"shr.{s} %o, %a, %b;", f"{s} u32", kind, lambda x, n: x >> n, {1: 80})
    check(f"shl.{b} %o, %a, %b;", f"{kind} u32", kind, lambda x, n: x << n if n < w else 0)


@pytest.mark.parametrize("w", [32, 64])
def test_bit_fields(w: int) -> None:
    u, s = f"u{w}", f"s{w}"

    def extract(x: int, start: int, length: int, signed: bool) -> int:
        start, length = start & 255, length & 255

        def bit(n: int) -> int:
            return x % (1 << w) >> n & 1

        sign = bit(min(start + length - 1, w - 1)) if signed and length else 0
        return sum((bit(start + n) if n < length and start + n < w else sign) << n for n in range(w))

    few = {1: 80, 2: 80}
    check(f"bfe.{u} %o, %a, %b, %c;", f"{u} u32 u32", u, lambda x, p, n: extract(x, p, n, False), few)
    check(f"bfe.{s} %o, %a, %b, %c;", f"{s} u32 u32", s, lambda x, p, n: extract(x, p, n, True), few)
    check(f"bfe.{s} %o, %a, %b, %c;", f"{s} u32 u32", s, lambda x, p, n: extract(x, p, n, True))


def test_funnel_shifts_and_permutations() -> None:
    for how in ("wrap", "clamp"):
        amount = (lambda n: n & 31) if how == "wrap" else (lambda n: min(n, 32))
        check(f"shf.l.{how}.b32 %o, %a, %b, %c;", "u32 u32 u32", "u32",
              lambda a, b, n, f=amount: (b << 32 | a) << f(n) >> 32, {2: 70})  # fmt: skip
        check(f"shf.r.{how}.b32 %o, %a, %b, %c;", "u32 u32 u32", "u32",
              lambda a, b, n, f=amount: (b << 32 | a) >> f(n), {2: 70})  # fmt: skip

    def permuted(a: int, b: int, selector: int) -> int:
        source, result = (b << 32 | a).to_bytes(8, "little"), 0
        for n in range(4):
            nibble = selector >> 4 * n & 15
            byte = source[nibble & 7]
            result |= ((255 if byte & 128 else 0) if nibble & 8 else byte) << 8 * n
        return result

    check("prmt.b32 %o, %a, %b, %c;", "u32 u32 u32", "u32", permuted)


ORDERS: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
}  # fmt: skip


@pytest.mark.parametrize("kind", INTS)
def test_comparisons(kind: str) -> None:
    a, b = values(kind, 1), values(kind, 2)
    b[::3] = a[::3]
    pairs = [(signed(x, kind), signed(y, kind)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    p = np.resize([True, False, False], a.size)
    for cmp, model in ORDERS.items():
        expected = np.array([model(x, y) for x, y in pairs])
        np.testing.assert_array_equal(apply(f"setp.{cmp}.{kind} %o, %a, %b;", bool, a, b), expected)
    if kind[0] == "u":
        got = apply(f"setp.eq.b{width(kind)} %o, %a, %b;", bool, a, b)
        np.testing.assert_array_equal(got, a == b)
    size = f"u{width(kind) // 8}"
    np.testing.assert_array_equal(apply(f"selp.{kind} %o, %a, %b, %c;", size, a, b, p), np.where(p, a, b))


def test_predicates() -> None:
    p, q = np.resize([False, True], 32), np.resize([False, False, True, True], 32)
    for op, function in (("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)):
        np.testing.assert_array_equal(apply(f"{op}.pred %o, %a, %b;", bool, p, q), function(p, q))
    np.testing.assert_array_equal(apply("not.pred %o, %a;", bool, p), ~p)
    np.testing.assert_array_equal(apply("mov.pred %o, %a;", bool, p), p)


def test_values_taken_apart_and_put_together() -> None:
    a = values("u64", 1)
    text = "{ .reg .b32 %x, %y; mov.b64 {%x, %y}, %a; mov.b64 %o, {%y, %x}; }"
    np.testing.assert_array_equal(apply(text, np.uint64, a), a >> np.uint64(32) | a << np.uint64(32))
    text = "{ .reg .b16 %w, %x, %y, %z; mov.b64 {%w, %x, %y, %z}, %a; mov.b64 %o, {%z, %y, %x, %w}; }"
    expected = np.ascontiguousarray(a.view(np.uint16).reshape(-1, 4)[:, ::-1]).view(np.uint64).reshape(-1)
    np.testing.assert_array_equal(apply(text, np.uint64, a), expected)
    b = values("u32", 2)
    text = "{ .reg .b16 %x; mov.b32 {_, %x}, %a; mov.b32 %o, {%x, %x}; }"
    np.testing.assert_array_equal(apply(text, np.uint32, b), (b >> 16) * 0x10001)
