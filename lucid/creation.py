"""Making tensors: constants, ranges, and arrays from elsewhere.

Shapes are given as numbers or as one tuple: `zeros(2, 3)`, `zeros((2, 3))`. The default dtype is
float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.graph import LOC, Node

from .context import MODE
from .engine import Array, leaf
from .errors import here, located, user_loc
from .promote import dtype_of, scalar
from .tensor import Tensor, apply


def tensor(data: object, requires_grad: bool = False, dtype: object = None) -> Tensor:
    """`Tensor(data, ...)`: a copy."""
    return Tensor(data, requires_grad, dtype)


def asarray(data: object, dtype: object = None) -> Tensor:
    """`data` as a Tensor; the same object if it is one of that dtype."""
    if isinstance(data, Tensor) and (dtype is None or data.dtype == np.dtype(dtype)):  # type: ignore[call-overload]
        return data
    return data.astype(dtype) if isinstance(data, Tensor) else Tensor(data, dtype=dtype)


def from_numpy(array: Array, requires_grad: bool = False) -> Tensor:
    """A Tensor that shares the memory of `array`: what is written there later is seen by every
    value that has not been computed by then. TypeError for what is no array of a supported
    dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(here(f"from_numpy: expected an array, got {type(array).__name__}"))
    if not array.dtype.isnative:
        raise TypeError(here(f"from_numpy: byte order of {array.dtype} is foreign; use lucid.tensor"))
    trace = MODE.get().trace
    try:
        node = leaf(array) if trace is None else trace.capture_array(array)
    except TypeError as error:
        raise located(error, user_loc()) from None
    result = Tensor._of(node, False, trace)
    if requires_grad:
        result.requires_grad = True
    return result


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    listed = tuple(shape[0]) if len(shape) == 1 and not hasattr(shape[0], "__index__") else shape
    result = tuple(int(n.__index__()) for n in listed)
    if min(result, default=0) < 0:
        raise ValueError(f"negative extent in shape {result}")
    return result


def _filled(value: Any, shape: tuple[Any, ...], dtype: object, requires_grad: bool) -> Tensor:
    """`value`: a literal of lucid's own."""

    def build() -> Node:
        kind = dtype_of(dtype or np.float32)
        return ops.fill(ops.CONST(value=value, dtype=kind), _shape(shape))

    return _maybe_leaf(apply(build), requires_grad)


def _maybe_leaf(made: Tensor, requires_grad: bool) -> Tensor:
    return Tensor(made, requires_grad=True) if requires_grad else made


def zeros(*shape: Any, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return _filled(0, shape, dtype, requires_grad)


def ones(*shape: Any, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return _filled(1, shape, dtype, requires_grad)


def empty(*shape: Any, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """Some values; do not rely on which."""
    return _filled(0, shape, dtype, requires_grad)


def full(shape: Any, fill_value: Any, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """Everywhere `fill_value`: a number, or a tensor that broadcasts to `shape`. Python floats make
    float32, ints int64, bools bool."""
    shape = (shape,) if hasattr(shape, "__index__") else shape

    def build(value: Any) -> Node:
        if isinstance(value, Node):
            node = value if dtype is None else ops.CAST(value, dtype=dtype_of(dtype))
        else:
            node = scalar(value, dtype_of(dtype or _default(value)))
        return ops.fill(node, _shape((shape,)))

    return _maybe_leaf(apply(build, fill_value), requires_grad)


def _default(value: object) -> type:
    return np.bool_ if isinstance(value, bool) else np.int64 if isinstance(value, int) else np.float32


def zeros_like(x: Tensor, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return zeros(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return ones(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: Any, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    return full(x.shape, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad)


def _made(array: Array, dtype: object, requires_grad: bool) -> Tensor:
    """A tensor around a new array, which needs no copy."""
    trace = MODE.get().trace
    loc = user_loc()
    token = LOC.set(loc)
    try:
        array = np.asarray(array, None if dtype is None else dtype_of(dtype).np, order="C")
        node = leaf(array) if trace is None else trace.capture_array(array)
    except TypeError as error:
        raise located(error, loc) from None
    finally:
        LOC.reset(token)
    return _maybe_leaf(Tensor._of(node, False, trace), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: object = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n × m matrix (m = n if left out)."""
    return _made(np.eye(n, m), dtype or np.float32, requires_grad)


def arange(
    start: float, stop: float | None = None, step: float = 1, *,
    dtype: object = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """As NumPy's; int64 for integers, float32 for Python floats."""
    made = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    plain = all(type(v) in (int, float) for v in (start, stop, step) if v is not None)
    narrow = plain and made.dtype == np.float64
    return _made(made, dtype or (np.float32 if narrow else made.dtype), requires_grad)


def linspace(
    start: float, stop: float, num: int = 50, *, dtype: object = None, requires_grad: bool = False
) -> Tensor:
    """`num` evenly spaced numbers, both ends included."""
    return _made(np.linspace(start, stop, num), dtype or np.float32, requires_grad)
