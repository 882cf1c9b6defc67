"""Arrays compared bit by bit, and distances in units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler.ir.types import from_numpy

from ..errors import public
from ..promote import as_array
from ..tensor import Tensor

Array = np.ndarray[Any, Any]


def plain(value: Any) -> Array:
    """A tensor, an array or a number as an array."""
    return value.numpy() if isinstance(value, Tensor) else np.asarray(as_array(value))


@public
def assert_same_bits(a: Any, b: Any) -> None:
    """AssertionError unless `a` and `b` have the same dtype, the same shape and the same bits; where one is
    NaN the other must be, with any payload. +0 and -0 differ.

    Tensors, arrays or numbers of any dtype, or None; or lists, tuples and dicts of them, of one structure.
    The message names how many elements differ, the first of them, both values with their bits, and how far
    they are apart in ulp.
    """
    if a is None or b is None:
        assert a is b, "None, and something"
        return
    if isinstance(a, dict) or isinstance(b, dict):
        assert isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b), "dicts of other keys"
        for key in a:
            assert_same_bits(a[key], b[key])
        return
    if isinstance(a, list | tuple) or isinstance(b, list | tuple):
        assert type(a) is type(b) and len(a) == len(b), "containers of other kinds or lengths"
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y)
        return
    wrong = bits_apart(plain(a), plain(b))
    if wrong is not None:
        raise AssertionError(wrong)


def bits_apart(a: Array, b: Array) -> str | None:
    """What differs between two arrays, in words; None if nothing does."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)} are of other types"
    same = same_bits(a, b)
    if same.all():
        return None
    where = tuple(int(i) for i in np.argwhere(~same)[0])
    return (
        f"{int((~same).sum())} of {same.size} elements differ, first at {list(where)}: {shown(a[where])} and "
        f"{shown(b[where])}{_apart(a[where], b[where])}"
    )


def same_bits(a: Array, b: Array) -> Array:
    """Which elements of two arrays of one dtype and shape have the same bits, or are NaN both."""
    if from_numpy(a.dtype).is_complex:
        return same_bits(a.real, b.real) & same_bits(a.imag, b.imag)
    same = _bits(a) == _bits(b)
    if from_numpy(a.dtype).is_inexact:
        same |= np.isnan(a) & np.isnan(b)
    return np.asarray(same)


def shown(value: Any) -> str:
    """A number with all its digits, and its bits."""
    array = np.asarray(value)
    if array.dtype.kind == "c":
        return f"{shown(array.real)} + i {shown(array.imag)}"
    return f"{array[()]!s} (0x{int(_bits(array)[()]):0{2 * array.dtype.itemsize}x})"


def _apart(a: Any, b: Any) -> str:
    if not from_numpy(np.asarray(a).dtype).is_float or not (np.isfinite(a) and np.isfinite(b)):
        return ""
    return f", {steps_between(np.asarray(a), np.asarray(b)):,} ulp apart"


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}").reshape(array.shape)


def steps_between(a: Array, b: Array) -> int:
    """How many numbers of their dtype lie between two finite ones, the second included."""
    places: list[int] = []
    for x in (a, b):
        bits = int(_bits(x)[()])
        sign = 1 << (8 * x.dtype.itemsize - 1)
        places.append(-(bits - sign) if bits & sign else bits)
    return abs(places[0] - places[1])


def ulps(away: Array, exact: Array, dtype: Any) -> Array:
    """Distances in units in the last place of `dtype` at `exact`, both in float64."""
    kind = from_numpy(np.dtype(dtype))
    info: Any = np.finfo(np.float32) if kind.package else np.finfo(kind.np)
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.frexp(exact)[1] - 1, int(info.minexp))
        found = np.where(np.isfinite(exact), away / np.ldexp(1.0, exponent - kind.fraction), away)
    return np.asarray(found, np.float64)
