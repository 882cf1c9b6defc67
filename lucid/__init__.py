"""lucid compiles tensor programs to native kernels, forward and backward.

import lucid

step = lucid.compile(training_step)
"""

from __future__ import annotations

import numpy as _np

from . import nn, optim
from .autograd import grad, value_and_grad
from .compiled import Compiled, compile
from .context import enable_grad, is_grad_enabled, no_grad
from .creation import (
    arange,
    asarray,
    empty,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .errors import TraceError
from .functional import matmul, maximum, minimum, where
from .random import manual_seed, rand, randint, randn
from .tensor import Tensor

float16, float32, float64 = _np.dtype("float16"), _np.dtype("float32"), _np.dtype("float64")
int8, int16, int32, int64 = (_np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (_np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
bool_ = _np.dtype("bool")

__version__ = "0.1.0"

__all__ = [
    "Compiled",
    "Tensor",
    "TraceError",
    "arange",
    "asarray",
    "bool_",
    "compile",
    "empty",
    "enable_grad",
    "eye",
    "float16",
    "float32",
    "float64",
    "from_numpy",
    "full",
    "full_like",
    "grad",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "linspace",
    "manual_seed",
    "matmul",
    "maximum",
    "minimum",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "rand",
    "randint",
    "randn",
    "tensor",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "value_and_grad",
    "where",
    "zeros",
    "zeros_like",
]
