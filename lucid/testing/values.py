"""Random values of arrays: like others, of other sizes, with what goes wrong most often among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler.ir.types import from_numpy

Array = np.ndarray[Any, Any]

SPECIAL = ("nan", "infinite", "zeros", "tiny", "huge", "whole", "ties")


def alike(array: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Values of `shape` between those of `array` (integers, bools: some of them), so that they are as
    valid."""
    count = int(np.prod(shape))
    if not array.size:
        return np.asarray(rng.normal(size=shape)).astype(array.dtype)
    flat = array.reshape(-1)
    drawn = flat[rng.integers(0, flat.size, count)]
    if from_numpy(array.dtype).is_inexact:
        others = flat[rng.integers(0, flat.size, count)]
        wide = np.complex128 if array.dtype.kind == "c" else np.float64
        with np.errstate(all="ignore"):
            part = rng.random(count)
            drawn = drawn.astype(wide) * part + others.astype(wide) * (1 - part)
    return np.asarray(drawn).astype(array.dtype).reshape(shape)


def with_special(array: Array, kind: str, rng: np.random.Generator) -> Array:
    """`array`, of floats, in which a fifth of the elements are of a special kind: "nan"; "infinite";
    "zeros" of both signs; "tiny" (denormal) or "huge" (within a factor of 2 of the largest); or all of
    them: "whole" numbers, "ties" (three values)."""
    if not from_numpy(array.dtype).is_float or not array.size:
        return array
    info: Any = np.finfo(np.float32 if array.dtype.kind == "V" else array.dtype)
    if kind == "whole":
        return np.rint(array.astype(np.float64)).astype(array.dtype)
    if kind == "ties":
        return np.asarray(array.reshape(-1)[rng.integers(0, min(3, array.size), array.shape)])
    some = {
        "nan": (np.nan,), "infinite": (np.inf, -np.inf), "zeros": (0.0, -0.0),
        "tiny": (float(info.smallest_subnormal), -float(info.smallest_subnormal)),
        "huge": (0.9 * float(info.max), -0.6 * float(info.max)),
    }[kind]  # fmt: skip
    with np.errstate(all="ignore"):
        odd = rng.choice(np.array(some), array.shape).astype(array.dtype)
    return np.where(rng.random(array.shape) < 0.2, odd, array)
