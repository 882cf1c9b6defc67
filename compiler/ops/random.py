"""Random bits as a function of a key and a counter, so that every element can make its own.

Threefry-2x32 with 20 rounds: J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ..ir.types import TensorType, u32
from .record import Array, Attrs, Sample, Types, dec, define, fail, operands

_T = TypeVar("_T")
_PARITY = 0x1BD11BDA
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(
    key: tuple[_T, _T], counter: tuple[_T, _T], add: Callable[[_T, _T], _T], xor: Callable[[_T, _T], _T],
    rotate: Callable[[_T, int], _T], literal: Callable[[int], _T],
) -> _T:  # fmt: skip
    """The first of the two words of a block."""
    keys = (*key, xor(xor(*key), literal(_PARITY)))
    a, b = add(counter[0], keys[0]), add(counter[1], keys[1])
    for group in range(5):
        for places in _ROTATIONS[group % 2]:
            a = add(a, b)
            b = xor(rotate(b, places), a)
        a = add(a, keys[(group + 1) % 3])
        b = add(add(b, keys[(group + 2) % 3]), literal(group + 1))
    return a


def _infer(types: Types, attrs: Attrs) -> TensorType:
    operands("random_bits", types, 4)
    if any(t != types[0] or t.dtype is not u32 for t in types):
        fail("random_bits", f"four uint32 of one shape expected, got {', '.join(map(str, types))}")
    return types[0]


def _evaluate(attrs: Attrs, *words: Array) -> Array:
    def rotate(x: Array, places: int) -> Array:
        return (x << np.uint32(places)) | (x >> np.uint32(32 - places))

    k0, k1, c0, c1 = words
    with np.errstate(over="ignore"):
        found = threefry((k0, k1), (c0, c1), np.add, np.bitwise_xor, rotate, np.uint32)  # type: ignore[arg-type]
    return np.asarray(found)


# random_bits(key, key, counter, counter): 32 bits, all of uint32.
RANDOM_BITS = define(
    "random_bits", "elementwise", _infer, _evaluate, None, dec.random_bits, "u", only=u32, flops=100,
    samples=(Sample(((7,),) * 4), Sample(((3, 5),) * 4)),
)  # fmt: skip
