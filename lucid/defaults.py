"""The dtype of floats that nobody names: of what is made from Python's floats, and of what creation
functions make. One for the process, as in PyTorch; what NumPy's rules decide (operands that have a dtype,
numbers beside them) does not ask for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler.ir.types import DType, c64, c128, f32, f64

from .context import MODE
from .errors import TraceError, here, public
from .promote import dtype_of

# A dict, since compiled functions that have asked compare what it holds at each call.
DEFAULT: dict[str, DType] = {"float": f32}


def default_float() -> DType:
    """float32, or what `set_default_dtype` says. A compiled function that asks is traced again when it
    changes."""
    trace = MODE.get().trace
    if trace is not None:
        trace.default = True
    return DEFAULT["float"]


def default_complex() -> DType:
    """Its parts are of the default dtype; complex64 has the least there are."""
    return c128 if default_float() is f64 else c64


def float_or_default(dtype: object) -> DType:
    """The dtype that is asked for, or the default."""
    return default_float() if dtype is None else dtype_of(dtype)


@public
def get_default_dtype() -> np.dtype[Any]:
    """The dtype of floats that nobody names: float32, or what `set_default_dtype` says."""
    return default_float().np


@public
def set_default_dtype(d: Any) -> None:
    """From here on Python's floats make tensors of this dtype, and so do creation functions that name none
    (`zeros`, `linspace`, `rand`, layers); complex numbers make complex128 beside float64, else complex64. A
    number that meets a tensor still takes the tensor's dtype, and functions of integers still make NumPy's
    float64. TypeError for what is no float dtype, TraceError in a compiled function."""
    kind = dtype_of(d)
    if not kind.is_float:
        raise TypeError(here(f"set_default_dtype: expected a float dtype, not {kind.numpy}"))
    if MODE.get().trace is not None:
        raise TraceError(here("set_default_dtype: a compiled function cannot set it; call it outside"))
    DEFAULT["float"] = kind
