"""Elements of tables by their formulas: whole numbers that count units of 2**-200, rounded at the end. Tables
are made when a function is first lowered that needs them, in some 0.3 ms each."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

from ..ir.rounding import rounded
from ..ir.types import DType

ONE = 1 << 200


def units(x: float) -> int:
    top, bottom = x.as_integer_ratio()
    return top * ONE // bottom


def over(x: int, y: float) -> int:
    """x / y."""
    return x * ONE // units(y)


def ln(x: int) -> int:
    """The logarithm of a number about 1: twice the inverse hyperbolic tangent of (x - 1) / (x + 1)."""
    power = (x - ONE) * ONE // (x + ONE)
    square, total, k = power * power // ONE, 0, 1
    while power not in (0, -1):
        total, power, k = total + power // k, power * square // ONE, k + 2
    return 2 * total


def cube_root(x: int) -> int:
    """Of a number from 1 to 8, by Newton's steps from above."""
    y, nearer = 0, 2 * ONE
    while y == 0 or nearer < y:
        y, nearer = nearer, (2 * nearer + x * ONE * ONE // (nearer * nearer)) // 3
    return y


def pi(one: int) -> int:
    """In units of 1 / one (Machin)."""
    return 4 * (4 * _arctan(5, one) - _arctan(239, one))


def _arctan(n: int, one: int) -> int:
    """Of 1 / n."""
    power, total, k = one // n, 0, 1
    while power not in (0, -1):
        total, power, k = total + power // k, -power // (n * n), k + 2
    return total


LN2 = ln(2 * ONE)


@functools.cache
def powers() -> tuple[int, ...]:
    """2**(j/16)."""
    found = [ONE << j for j in range(16)]
    for _ in range(4):
        found = [math.isqrt(x * ONE) for x in found]
    return tuple(found)


def to(dtype: DType, values: Sequence[int]) -> tuple[float, ...]:
    """Each as a float of this format."""
    return tuple(rounded(value / ONE, dtype) for value in values)


def to_bits(value: int, bits: int) -> float:
    """A float with so many bits behind the point."""
    return float(round((value << bits) / ONE) / (1 << bits))
