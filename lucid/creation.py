"""Making tensors: constants, ranges, and arrays from elsewhere.

Shapes are given as numbers or as one tuple: `zeros(2, 3)`, `zeros((2, 3))`. The default dtype is
float32. TypeError for what is no shape, dtype or number; ValueError for a negative extent, and for a
`device` that is no CPU.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import LOC, Node
from lucid.compiler.ir.types import DType, b1, f32, i64, tensor_type

from .context import MODE
from .engine import Array, leaf
from .errors import here, located, public, user_loc
from .names import on_cpu
from .promote import cast, check_plain, dtype_of, lying, number, scalar, seen_in
from .tensor import Tensor, apply

Device = str | None  # "cpu" or None; ValueError for another one


@public
def tensor(
    data: object, requires_grad: bool = False, dtype: object = None, *, device: Device = None
) -> Tensor:
    """`Tensor(data, ...)`: a copy."""
    on_cpu(device)
    return Tensor(data, requires_grad, dtype)


@public
def asarray(data: object, dtype: object = None, *, device: Device = None) -> Tensor:
    """`data` as a Tensor; the same object if it is one of that dtype."""
    on_cpu(device)
    if isinstance(data, Tensor) and (dtype is None or data.dtype == dtype_of(dtype).np):
        return data
    return data.astype(dtype) if isinstance(data, Tensor) else Tensor(data, dtype=dtype)


as_tensor = asarray


@public
def from_numpy(array: Array, requires_grad: bool = False) -> Tensor:
    """A Tensor that shares the memory of `array`: what is written there later is seen by every
    value that has not been computed by then. TypeError for what is no array of a supported
    dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(here(f"from_numpy: expected an array, got {type(array).__name__}"))
    check_plain(array)
    if not array.dtype.isnative:
        raise TypeError(here(f"from_numpy: byte order of {array.dtype} is foreign; use lucid.tensor"))
    trace = MODE.get().trace
    try:
        order = lying(array)
        if trace is not None:
            node = trace.capture_array(array)
        else:
            node = leaf(array) if order is None else seen_in(order, leaf(array.transpose(order)))
    except TypeError as error:
        raise located(error, user_loc()) from None
    result = Tensor._of(node, False, trace)
    if requires_grad:
        result.requires_grad = True
    return result


_NO_SHAPES = (str, bytes, bytearray, memoryview, dict, set, frozenset)


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """(2, 3), and ((2, 3),) alike. TypeError for what is no int, ValueError for one below 0."""
    listed: Any = shape
    if len(shape) == 1 and not hasattr(shape[0], "__index__"):
        listed = shape[0]
        if isinstance(listed, _NO_SHAPES) or not isinstance(listed, Iterable):
            raise TypeError(f"a shape is made of ints, or one tuple of them; got {type(listed).__name__}")
    result = tuple(map(_extent, listed))
    if min(result, default=0) < 0:
        raise ValueError(f"negative extent in shape {result}")
    tensor_type(b1, result)  # ValueError for more than any memory holds
    return result


def _extent(n: Any) -> int:
    try:
        return operator.index(n)
    except TypeError:
        raise TypeError(
            f"a shape is made of ints, or one tuple of them; got a {type(n).__name__} in it"
        ) from None


def _filled(value: Any, shape: tuple[Any, ...], dtype: object, requires_grad: bool, device: Device) -> Tensor:
    """`value`: a literal of lucid's own."""
    on_cpu(device)

    def build() -> Node:
        kind = dtype_of(dtype or np.float32)
        return ops.fill(ops.CONST(value=value, dtype=kind), _shape(shape))

    return _maybe_leaf(apply(build), requires_grad)


def _maybe_leaf(made: Tensor, requires_grad: bool) -> Tensor:
    return Tensor(made, requires_grad=True) if requires_grad else made


@public
def zeros(*shape: Any, dtype: object = None, requires_grad: bool = False, device: Device = None) -> Tensor:
    return _filled(0, shape, dtype, requires_grad, device)


@public
def ones(*shape: Any, dtype: object = None, requires_grad: bool = False, device: Device = None) -> Tensor:
    return _filled(1, shape, dtype, requires_grad, device)


@public
def empty(*shape: Any, dtype: object = None, requires_grad: bool = False, device: Device = None) -> Tensor:
    """Some values; do not rely on which."""
    return _filled(0, shape, dtype, requires_grad, device)


@public
def full(
    shape: Any, fill_value: Any, *, dtype: object = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    """Everywhere `fill_value`: a number, or a tensor that broadcasts to `shape`. Python floats make
    float32, ints int64, bools bool."""
    on_cpu(device)
    if fill_value is None:
        raise TypeError("full: fill_value must be a number or a tensor, not None")
    wanted = _shape((shape,))
    kind = None if dtype is None else dtype_of(dtype)

    def build(value: Node) -> Node:
        return ops.fill(value if kind is None else cast(value, kind), wanted)

    if type(fill_value) in (bool, int, float):
        fill_value = Tensor._of(scalar(fill_value, kind or _default(fill_value)), False, MODE.get().trace)
    return _maybe_leaf(apply(build, fill_value), requires_grad)


def _default(value: object) -> DType:
    return b1 if isinstance(value, bool) else i64 if isinstance(value, int) else f32


@public
def zeros_like(x: Any, *, dtype: object = None, requires_grad: bool = False, device: Device = None) -> Tensor:
    like = asarray(x)
    return _filled(0, like.shape, dtype or like.dtype, requires_grad, device)


@public
def ones_like(x: Any, *, dtype: object = None, requires_grad: bool = False, device: Device = None) -> Tensor:
    like = asarray(x)
    return _filled(1, like.shape, dtype or like.dtype, requires_grad, device)


@public
def full_like(
    x: Any, fill_value: Any, *, dtype: object = None, requires_grad: bool = False, device: Device = None
) -> Tensor:
    like = asarray(x)
    return full(like.shape, fill_value, dtype=dtype or like.dtype, requires_grad=requires_grad, device=device)


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


@public
def eye(
    n: int, m: int | None = None, *,
    dtype: object = None, requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal of an n × m matrix (m = n if left out)."""
    on_cpu(device)
    rows, columns = _shape((n, n if m is None else m))
    return _made(np.eye(rows, columns), dtype or np.float32, requires_grad)


@public
def arange(
    start: float, stop: float | None = None, step: float = 1, *,
    dtype: object = None, requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """As NumPy's; int64 for integers, float32 for Python floats. ValueError for a step of 0."""
    on_cpu(device)
    first, last = (0, start) if stop is None else (start, stop)
    bounds = [number("arange", *v) for v in (("start", first), ("stop", last), ("step", step))]
    if bounds[2] == 0:
        raise ValueError("arange: step must not be 0")
    made = np.arange(*bounds)
    plain = all(type(v) in (int, float) for v in bounds)
    narrow = plain and made.dtype == np.float64
    return _made(made, dtype or (np.float32 if narrow else made.dtype), requires_grad)


@public
def linspace(
    start: float, stop: float, num: int = 50, *,
    dtype: object = None, requires_grad: bool = False, device: Device = None,
) -> Tensor:  # fmt: skip
    """`num` evenly spaced numbers, both ends included."""
    on_cpu(device)
    first, last = number("linspace", "start", start), number("linspace", "stop", stop)
    (count,) = _shape((num,))
    return _made(np.linspace(first, last, count), dtype or np.float32, requires_grad)
