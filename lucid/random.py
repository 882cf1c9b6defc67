"""Random tensors, from one NumPy generator."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .context import MODE
from .creation import Device, _made, _shape
from .engine import Array
from .errors import TraceError, here, public
from .names import on_cpu
from .promote import dtype_of
from .tensor import Tensor

_generator: np.random.Generator | None = None  # made at first use: numpy.random takes 15 ms to import


@public
def manual_seed(seed: int) -> None:
    """What `rand`, `randn`, `randint` and new layers draw from here on is decided by `seed`."""
    global _generator
    _generator = np.random.default_rng(operator.index(seed))


seed = manual_seed


def generator() -> np.random.Generator:
    """The generator that all random tensors come from. TraceError in a compiled function, where
    one draw would be frozen into every call."""
    if MODE.get().trace is not None:
        raise TraceError(
            here("random numbers in a compiled function would be the same at every call; pass them in")
        )
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


def _float(array: Array, dtype: object, requires_grad: bool) -> Tensor:
    kind = dtype_of(dtype or np.float32)
    if not kind.is_float:
        raise TypeError(here(f"random floats need a float dtype, not {kind.numpy}"))
    return _made(array, kind, requires_grad)


@public
def rand(*shape: Any, dtype: object = None, requires_grad: bool = False, device: Device = None) -> Tensor:
    """Uniform in [0, 1)."""
    on_cpu(device)
    wanted = np.dtype(np.float64 if dtype_of(dtype or np.float32).size == 8 else np.float32)
    return _float(generator().random(_shape(shape), dtype=wanted), dtype, requires_grad)  # type: ignore[arg-type]


@public
def randn(*shape: Any, dtype: object = None, requires_grad: bool = False, device: Device = None) -> Tensor:
    """Standard normal."""
    on_cpu(device)
    return _float(generator().standard_normal(_shape(shape)), dtype, requires_grad)


@public
def randint(
    low: int, high: int | None = None, size: Any = (), *, dtype: object = None, device: Device = None
) -> Tensor:
    """Integers in [low, high), or [0, low) without `high`."""
    on_cpu(device)
    kind = dtype_of(dtype or np.int64)
    ends = operator.index(low), None if high is None else operator.index(high)
    drawn = generator().integers(*ends, size=_shape((size,)))
    return _made(np.asarray(drawn), kind, False)
