"""lucid compiles tensor programs to native kernels, forward and backward.

import lucid

step = lucid.compile(training_step)
"""

from __future__ import annotations

import os as _os
import sys as _sys
from importlib import import_module as _import
from typing import TYPE_CHECKING
from typing import Any as _Any

import numpy as _np
from numpy import e, euler_gamma, inf, nan, newaxis, pi

from lucid.compiler.ir import types as _types
from lucid.runtime.memory import empty_cache
from lucid.runtime.pool import get_num_threads

from . import array_functions as _array_functions
from . import elements as _elements
from . import functional as _functional
from . import published as _published
from .array_functions import *  # noqa: F403
from .compiled import Compiled, compile, set_num_threads
from .context import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .creation import (
    arange,
    array,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    geomspace,
    identity,
    linspace,
    logspace,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    tri,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)
from .defaults import get_default_dtype, set_default_dtype
from .elements import *  # noqa: F403
from .errors import ContractError, TraceError
from .errors import bounded as _bounded
from .errors import no_attribute as _no_attribute
from .functional import *  # noqa: F403
from .gradients import grad, value_and_grad
from .later import LATER as _later
from .published import *  # noqa: F403
from .settings import look as _look
from .tensor import Tensor

_MODULES = frozenset(
    (
        "array_api",
        "autograd",
        "cuda",
        "distributions",
        "fft",
        "func",
        "lax",
        "linalg",
        "nn",
        "optim",
        "random",
        "special",
        "testing",
        "utils",
    )
)

_look()
if _os.environ.get("LUCID_LOG"):
    from .logs import configure as _configure

    _configure(_os.environ["LUCID_LOG"])

if TYPE_CHECKING:
    bfloat16: _np.dtype[_Any]
    from . import array_api as array_api
    from . import autograd as autograd
    from . import cuda as cuda
    from . import distributions as distributions
    from . import fft as fft
    from . import func as func
    from . import lax as lax
    from . import linalg as linalg
    from . import nn as nn
    from . import optim as optim
    from . import random as random
    from . import special as special
    from . import testing as testing
    from . import utils as utils
    from .later import *  # noqa: F403

if not TYPE_CHECKING:  # a checker knows both, and that there are no others

    @_bounded
    def __getattr__(name: str) -> _Any:
        """What most programs begin without is imported when it is first used."""
        if name in _later:
            return getattr(_import(_later[name], __name__), name)
        if name == "bfloat16":  # NumPy has it from a package that only this needs
            return _types.bf16.np
        if name in _MODULES:
            return _import(f".{name}", __name__)
        if name in _published.__all__:  # of an op that was registered after the import
            return getattr(_published, name)
        raise _no_attribute(_sys.modules[__name__], f"module {__name__!r}", name)


float16, float32, float64 = _np.dtype("float16"), _np.dtype("float32"), _np.dtype("float64")
int8, int16, int32, int64 = (_np.dtype(f"int{n}") for n in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (_np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
bool = bool_ = _np.dtype("bool")
# PyTorch's names for them; what `from lucid import *` brings hides none of Python's but bool.
half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
complex64, complex128 = _np.dtype("complex64"), _np.dtype("complex128")

__version__ = "0.1.0"

__all__ = [
    "Compiled",
    "ContractError",
    "Tensor",
    "TraceError",
    "arange",
    "array_api",
    "as_tensor",
    "autograd",
    "array",
    "asarray",
    "bool",
    "bool_",
    "compile",
    "complex128",
    "complex64",
    "distributions",
    "e",
    "empty",
    "empty_like",
    "empty_cache",
    "enable_grad",
    "euler_gamma",
    "eye",
    "fft",
    "float16",
    "float32",
    "float64",
    "func",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "geomspace",
    "get_default_dtype",
    "get_num_threads",
    "grad",
    "identity",
    "inf",
    "inference_mode",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "lax",
    "linalg",
    "linspace",
    "logspace",
    "nan",
    "newaxis",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "optim",
    "pi",
    "random",
    "scalar_tensor",
    "set_default_dtype",
    "set_grad_enabled",
    "set_num_threads",
    "special",
    "tensor",
    "testing",
    "tri",
    "tril_indices",
    "triu_indices",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "value_and_grad",
    "zeros",
    "zeros_like",
]
__all__ += (
    _functional.__all__ + _published.__all__ + _array_functions.__all__ + _elements.__all__ + list(_later)
)


def __dir__() -> list[str]:
    """What users call; not the modules that it is made of."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
