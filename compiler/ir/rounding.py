"""NumPy's conversions between dtypes, where it has them; else ours, which round once, too."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .types import DType, from_numpy

Array = np.ndarray[Any, Any]
Number = float | int | bool


def convert(array: Array, dtype: DType) -> Array:
    """`array` in `dtype`, floats rounded to nearest even. bfloat16 is made of float32 there is, and packages
    (and PyTorch) make that of all others first: float64, and integers of four and eight bytes, would be
    rounded twice."""
    with np.errstate(all="ignore"):
        beyond = array.dtype.kind in "fiu" and array.dtype.itemsize > 2 and array.dtype != np.float32
        if dtype.package and beyond:
            array = to_odd(np.asarray(array, np.float64))
        return np.asarray(array).astype(dtype.np, copy=False)


def to_odd(x: Array) -> Array:
    """float64 to float32, inexact results made odd: a second rounding is then right (Boldo and Melquiond)."""
    near = np.asarray(x.astype(np.float32))
    back, bits = near.astype(np.float64), near.view(np.int32)
    odd = np.where(np.abs(back) > np.abs(x), bits - 1, bits) | 1
    return np.where((back != x) & (x == x), odd, bits).astype(np.int32).view(np.float32)


def rounded(value: Number, dtype: DType) -> float:
    """`value` rounded to the float type `dtype`."""
    try:
        wide = float(value)
    except OverflowError:  # an int beyond float64
        return math.inf if value > 0 else -math.inf
    return float(convert(np.asarray(wide), dtype))


def literal(value: Number, dtype: DType) -> str:
    """What two literals of `dtype` have in common that mean the same: 0.1 and the float32 nearest to it, 1
    and 1.0, 0 and False; not 0.0 and -0.0. NaN is itself. A value that does not fit is itself, too."""
    text = repr(value)
    if type(value) is int and dtype.kind in "iu":
        return text
    if dtype.kind == "b":
        return repr(bool(value)) if value in (0, 1) else text
    if type(value) not in (int, float):
        return text
    if dtype.kind == "f":
        return _literal(text, dtype)
    return repr(int(value)) if value == value // 1 else text


@functools.lru_cache(maxsize=4096)
def _literal(text: str, dtype: DType) -> str:
    return repr(rounded(float(text), dtype))


def computed(evaluate: Callable[..., Array], *args: Array) -> Array:
    """`evaluate` of arrays of one dtype; of a format for memory alone in the one that it is computed in."""
    dtype = from_numpy(args[0].dtype)
    if dtype.wide is None:
        return evaluate(*args)
    with np.errstate(all="ignore"):  # a NaN that signals is one, too
        wide = [a.astype(dtype.computed.np) for a in args]
    found = evaluate(*wide)
    return convert(found, dtype) if found.dtype == dtype.computed.np else found
