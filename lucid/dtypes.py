"""Questions about dtypes, under NumPy's names, of dtypes and tensors alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data
from lucid.compiler.ir.rounding import rounded

from .errors import public
from .promote import dtype_of, result_dtype, weak
from .tensor import Tensor

__all__ = ["can_cast", "finfo", "iinfo", "isdtype", "promote_types", "result_type"]


@data
class FloatInfo:
    """What a float dtype can hold, in Python's numbers."""

    dtype: np.dtype[Any]
    bits: int
    eps: float  # from 1 to the next greater number
    max: float
    min: float
    smallest_normal: float
    smallest_subnormal: float
    tiny: float  # smallest_normal
    resolution: float  # 10**-precision
    precision: int  # decimal places that are kept


@data
class IntInfo:
    """What an integer dtype can hold."""

    dtype: np.dtype[Any]
    bits: int
    max: int
    min: int


def _kind(x: Any) -> np.dtype[Any]:
    """The dtype of a tensor or an array, or the dtype that x stands for."""
    return dtype_of(x.dtype if isinstance(x, Tensor | np.ndarray | np.generic) else x).np


@public
def finfo(type: Any, /) -> FloatInfo:
    """Limits of a float dtype (of the parts of a complex one), or of that of a tensor: bits, eps, max, min,
    smallest_normal, ... TypeError for other dtypes."""
    found = dtype_of(_kind(type)).part
    if not found.is_float:
        raise TypeError(f"finfo: expected a float dtype, not {found.numpy}; use lucid.iinfo for integers")
    precision = int(found.fraction * math.log10(2))
    return FloatInfo(
        dtype=found.np, bits=found.bits, precision=precision, eps=found.epsilon, max=found.most,
        min=-found.most, smallest_normal=found.tiny, smallest_subnormal=found.tiny * found.epsilon,
        tiny=found.tiny, resolution=rounded(10.0**-precision, found),
    )  # fmt: skip


@public
def iinfo(type: Any, /) -> IntInfo:
    """Limits of an integer dtype, or of that of a tensor: bits, max, min. TypeError for other dtypes."""
    dtype = _kind(type)
    if dtype.kind not in "iu":
        raise TypeError(f"iinfo: expected an integer dtype, not {dtype}; use lucid.finfo for floats")
    found = np.iinfo(dtype)
    return IntInfo(dtype=dtype, bits=int(found.bits), max=int(found.max), min=int(found.min))


@public
def can_cast(from_: Any, to: Any, /, casting: Any = "safe") -> bool:
    """Whether `from_`, a dtype or a tensor, becomes `to` under NumPy's rule `casting`: by default without a
    loss. What a tensor holds is not looked at. TypeError for a Python number, which has no dtype."""
    if isinstance(from_, bool | int | float | complex):
        raise TypeError("can_cast: a Python number has no dtype; give that of the tensor that it meets")
    return bool(np.can_cast(_kind(from_), _kind(to), casting))


@public
def result_type(*operands: Any) -> np.dtype[Any]:
    """The dtype in which tensors, dtypes and Python numbers (which are weak) meet. ValueError for numbers
    alone, and for nothing."""
    numbers = (bool, int, float, complex)
    if all(type(x) in numbers for x in operands):
        raise ValueError("result_type: expected at least one tensor or dtype")
    return result_dtype(*(weak(x) if type(x) in numbers else dtype_of(_kind(x)).name for x in operands)).np


@public
def promote_types(type1: Any, type2: Any, /) -> np.dtype[Any]:
    """The least dtype that both can be cast to."""
    return result_dtype(*(dtype_of(_kind(x)).name for x in (type1, type2))).np


@public
def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is `kind`: a dtype, one of "bool", "signed integer", "unsigned integer", "integral",
    "real floating", "complex floating" and "numeric", or one of a tuple of those."""
    given = dtype_of(_kind(dtype))
    if isinstance(kind, tuple):
        return any(isdtype(given.np, k) for k in kind)
    if isinstance(kind, str):
        return bool(np.isdtype(given.computed.np, kind))
    if given.package or (isinstance(kind, np.dtype) and dtype_of(kind).package):  # not NumPy's own
        return dtype_of(kind) is given
    return bool(np.isdtype(given.np, kind))
