"""`//` and `%` of integers, which small ones do in floats: NumPy's, for every pair of bytes, about multiples
of longer ones, by numbers and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lucid
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.text.kernel_parse import parse_kernel

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]


def both(x: Any, y: Any) -> tuple[Any, Any]:
    return x // y, x % y


step = lucid.compile(both)


def compare(x: Array, y: Any) -> None:
    with np.errstate(all="ignore"):
        want = both(x, y)
    for got, exact in zip(step(x, y), want, strict=True):
        assert got.dtype == exact.dtype
        wrong = got.numpy() != exact
        assert not wrong.any(), (
            x[wrong],
            np.broadcast_to(y, x.shape)[wrong],
            got.numpy()[wrong],
            exact[wrong],
        )


def about_multiples(dtype: str, seed: int, count: int) -> tuple[Array, Array]:
    """Pairs of all sizes, half of them with a remainder of -1, 0 or 1; the ends; divisors of 0 and -1."""
    rng, info = np.random.default_rng(seed), np.iinfo(dtype)
    low, bits = int(info.min), info.bits - (info.min < 0)
    sizes = [int(v) for v in 2.0 ** rng.uniform(0, bits, 2 * count)]
    sign = [int(s) if low < 0 else 1 for s in rng.choice([-1, 1], 2 * count)]
    y = [s * v for s, v in zip(sign[:count], sizes, strict=False)]
    x = [s * v for s, v in zip(sign[count:], sizes[count:], strict=True)]
    near = [a // b * b + n for a, b, n in zip(x, y, rng.integers(-1, 2, count).tolist(), strict=True)]
    ends = [low, low + 1, int(info.max), int(info.max) - 1, 0, 1, 2, 3, -1, -2, -3]
    pairs = [*zip(x, y, strict=True), *zip(near, y, strict=True), *((a, b) for a in ends for b in ends)]
    kept = [(a, b) for a, b in pairs if low <= a <= info.max and low <= b <= info.max]
    found = np.array(kept, dtype).T
    return np.ascontiguousarray(found[0]), np.ascontiguousarray(found[1])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_every_pair_of_bytes(dtype: str) -> None:
    info = np.iinfo(dtype)
    every = np.arange(info.min, info.max + 1).astype(dtype)
    x, y = (np.ascontiguousarray(g.ravel()) for g in np.meshgrid(every, every))
    compare(x, y)
    for number in (0, 1, 2, 3, 7, 10, 100, 127, info.min):  # an operand; -1 makes NumPy's uint8 raise
        compare(every, number)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_pairs_about_multiples(dtype: str) -> None:
    compare(*about_multiples(dtype, 0, 20_000))


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "uint32", "int64"])
def test_numbers_divide(dtype: str) -> None:
    info = np.iinfo(dtype)
    x = about_multiples(dtype, 1, 5000)[0]
    if info.bits == 16:
        x = np.arange(info.min, info.max + 1).astype(dtype)
    for number in (0, 1, 2, 3, 5, 6, 7, 10, 641, 10007, info.max, info.max - 1, info.max // 2 + 1, info.min):
        compare(x, number)
        if info.min < 0:
            compare(x, -number if number != info.min else -1)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64"])
def test_many_pairs_about_multiples(dtype: str) -> None:
    for seed in range(2, 100):
        compare(*about_multiples(dtype, seed, 100_000))


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_every_pair_of_two_bytes(dtype: str) -> None:
    info = np.iinfo(dtype)
    every = np.arange(info.min, info.max + 1).astype(dtype)
    for y in range(info.min, info.max + 1, 1):
        compare(every, np.full(len(every), y, dtype))


def test_small_integers_are_divided_by_vectors() -> None:
    """One division of floats for all elements, and none of integers, where all have one divisor."""
    for dtype in ("int8", "uint16", "int32"):
        by_number = lucid.compile(lambda x: x // 3)
        by_number(np.ones(1000, dtype))
        text = by_number.ir("loop")
        assert "rem" not in text and ": i32 = div" not in text and "floor" in text


def test_vectors_of_short_integers_have_more_lanes() -> None:
    """Twice those of four bytes, up to what a reduction has; float16 is computed in float32."""
    for dtype, vector_bytes, width in (
        ("b1", 32, 16), ("u8", 32, 16), ("i16", 32, 16), ("i16", 16, 8), ("u8", 64, 32), ("i32", 32, 8),
        ("f16", 32, 8), ("i64", 32, 4),
    ):  # fmt: skip
        text = f"""
            kernel t(x: {dtype}[n]) -> (o: {dtype}[])
              for i in n
                stage:  r max= x[i]
              finally
                o = r
            """
        assert schedule(parse_kernel(text), vector_bytes).width == width, dtype
