"""NumPy's rules for operands: which dtype, which shape, and the nodes that bring them there.

A `Value` is a node, or a Python scalar, which is weak (NEP 50): it takes the dtype of its partner.

NumPy has no rules for bfloat16. Ours are PyTorch's: beside integers, bools and Python's numbers it stays what
it is; beside other floats it counts as float32. So with float16 and float32 it makes float32, with float64
that. (ml_dtypes agrees where it has a rule, but for Python's floats, which make float64 there.)
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator
from typing import Any
from typing import cast as cast_type

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import LOC, Loc, Node
from lucid.compiler.ir.rounding import convert, rounded
from lucid.compiler.ir.types import GRAPH_DTYPES, DType, TensorType, bf16, f32, f64, from_numpy

from . import dlpack
from .context import MODE
from .tape import Traced, is_traced, of_kind

Value = Node | bool | int | float | complex
BFLOAT = bf16.name

dtype_of = from_numpy


def check_plain(data: object) -> None:
    """TypeError for a masked array: a tensor has no mask, and what it hides would come to light."""
    if isinstance(data, np.ndarray) and type(data) is not np.ndarray and hasattr(data, "mask"):
        raise TypeError("a masked array: tensors have no mask; fill it by x.filled(0), or use lucid.where")


def as_array(value: Any, dtype: DType | None = None) -> np.ndarray[Any, Any]:
    """What an array-like holds. TypeError for a masked array, and for a table of more than numbers."""
    check_plain(value)
    array = array_in(value, None if dtype is None or dtype.package else dtype.np)
    if array.dtype == object and hasattr(value, "dtypes"):
        raise TypeError(f"a {type(value).__name__} of several dtypes is no array; choose numeric columns")
    if dtype is None or array.dtype == object or (array.dtype == dtype.np and not dtype.package):
        return array
    return convert(array, dtype)


def array_in(value: Any, dtype: np.dtype[Any] | None = None) -> np.ndarray[Any, Any]:
    """The array of anything that has one, of whatever elements. `dtype`: one to ask for."""
    try:
        return np.asarray(value, dtype)
    except ValueError:
        if what := _ragged(value):
            raise ValueError(what) from None
        raise
    except TypeError:
        if not hasattr(type(value), "__dlpack__"):
            raise
        return dlpack.imported(value)  # NumPy takes no bfloat16 from others


def _ragged(value: Any, where: str = "") -> str | None:
    """What is wrong with lists whose parts have several shapes, if that is so."""
    if not isinstance(value, list | tuple):
        return None
    if inner := next(filter(None, (_ragged(x, f"{where}[{k}]") for k, x in enumerate(value))), None):
        return inner
    shapes = [np.shape(x) for x in value]
    other = next((k for k, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is None:
        return None
    return (
        f"lists of several shapes: {where}[0] is {_kind(shapes[0])}, {where}[{other}] {_kind(shapes[other])};"
        " expected one shape: fill the shorter ones up, or keep a list of tensors"
    )


def _kind(shape: tuple[int, ...]) -> str:
    return f"of shape {shape}" if shape else "a number"


def check_numbers(array: np.ndarray[Any, Any], value: Any) -> None:
    """TypeError, which names what is none, if `array`, made of `value`, is not of numbers."""
    if array.dtype.kind in "OSU" and array is not value:
        known = bool | int | float | complex | np.number | np.bool_
        wrong = next((v for v in _elements(value) if not isinstance(v, known)), value)
        text = repr(wrong) if wrong is None or isinstance(wrong, str | bytes) else type(wrong).__name__
        raise TypeError(
            f"a tensor is made of numbers, arrays and lists of them, not {text[:40]} "
            f"(unsupported dtype {array.dtype})"
        )
    dtype_of(array.dtype)


def _elements(value: Any) -> Iterator[Any]:
    """What is in lists and tuples, however deep."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _elements(part)
    else:
        yield value


def lying(array: np.ndarray[Any, Any]) -> tuple[int, ...] | None:
    """The axes of `array` as they lie in memory, outermost first, where its elements lie one after another in
    another order than row-major: of a column-major one, from the last to the first. Else None."""
    flags = array.flags
    if flags.c_contiguous or array.ndim < 2 or not flags.aligned or not array.dtype.isnative:
        return None
    if flags.f_contiguous:
        return tuple(range(array.ndim))[::-1]
    order = tuple(sorted(range(array.ndim), key=lambda k: -array.strides[k]))
    return order if array.transpose(order).flags.c_contiguous else None


def with_gaps(array: np.ndarray[Any, Any]) -> bool:
    """Whether native code takes a copy of the array only: its elements do not lie one after another in any
    order, or not as the processor reads them."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned and array.dtype.isnative:
        return False
    return lying(array) is None


def dense(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A row-major copy, as the processor reads it."""
    return array.copy() if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="), order="C")


def seen_in(order: tuple[int, ...], x: Node) -> Node:
    """An array of this order, where `x` is what lies in memory."""
    return ops.TRANSPOSE(x, perm=tuple(order.index(k) for k in range(len(order))))


def number(name: str, what: str, value: Any) -> Any:
    """A real number, Python's or NumPy's, as it is; that of a 0-d array or tensor."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name}: {what} must be a number, not {type(value).__name__}")
    if value != value or abs(value) == math.inf:
        raise ValueError(f"{name}: {what} must be finite, not {value}")
    return value


def whole(what: str, value: Any) -> int:
    """An int, Python's or NumPy's; of a 0-d array of ints its element."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an int, not {type(value).__name__}") from None


def weak(value: Value) -> str | type:
    """What decides a loop's dtype: a dtype's name, or `int`, `float` or `complex` for a weak scalar."""
    if isinstance(value, Node):
        return value.type.dtype.name
    return "b1" if isinstance(value, bool) else value.__class__  # that of a traced number, too


def _resolvable(key: str | type) -> Any:
    return GRAPH_DTYPES[key].np if isinstance(key, str) else key


@functools.cache
def loop_dtypes(ufunc: np.ufunc, *keys: str | type) -> tuple[DType, ...]:
    """The operand dtypes of the loop that NumPy would choose. TypeError if it has none."""
    try:
        if BFLOAT in keys:
            alone = result_dtype(*keys) is bf16
            like = ["f32" if alone or k == BFLOAT else k for k in keys]
            return tuple(bf16 if alone and d is f32 else d for d in loop_dtypes(ufunc, *like))
        found = ufunc.resolve_dtypes((*map(_resolvable, keys), None))
    except TypeError:
        names = ", ".join(GRAPH_DTYPES[k].numpy if isinstance(k, str) else k.__name__ for k in keys)
        raise TypeError(f"{ufunc.__name__}: not defined for {names}; cast with astype") from None
    return tuple(from_numpy(d) for d in found[: len(keys)])


@functools.cache
def result_dtype(*keys: str | type) -> DType:
    """NumPy's `result_type`."""
    if BFLOAT in keys:
        others = [k for k in keys if k != BFLOAT]
        wide = any(k is complex or (isinstance(k, str) and GRAPH_DTYPES[k].is_inexact) for k in others)
        return result_dtype("f32", *others) if wide else bf16
    return from_numpy(np.result_type(*(k(0) if isinstance(k, type) else _resolvable(k) for k in keys)))


def float_dtype(*values: Value) -> DType:
    """The dtype of a formula over `values`: theirs, float or complex, or float64 where they are integers."""
    dtype = result_dtype(*map(weak, values))
    return dtype if dtype.is_inexact else f64


@functools.cache
def bounds(dtype: DType) -> tuple[int, int]:
    """The least and the greatest integer of an integer dtype."""
    info = np.iinfo(dtype.numpy)
    return int(info.min), int(info.max)


def fits(value: bool | int | float | complex, dtype: DType) -> bool:
    """Whether a Python integer is in the range of an integer dtype."""
    if dtype.kind not in "iu" or isinstance(value, complex):
        return True
    lo, hi = bounds(dtype)
    return lo <= value <= hi


def scalar(value: bool | int | float | complex, dtype: DType) -> Node:
    """The user's number: an operand, so that another value needs no other code. OverflowError as
    NumPy's where it does not fit."""
    if dtype.is_complex:
        parts = (value.real, value.imag) if isinstance(value, complex) else (value, None)
        re, im = (
            ops.CONST(value=0.0, dtype=dtype.part) if v is None else scalar(v, dtype.part) for v in parts
        )
        return ops.COMPLEX(re, im)
    if isinstance(value, complex):
        raise TypeError(f"the number {value} does not go into {dtype.numpy}; cast the tensor to complex64")
    if not fits(value, dtype):
        raise OverflowError(f"Python integer {value} out of bounds for {dtype.numpy}")
    if is_traced(value):
        trace, number = MODE.get().trace, cast_type(Traced, value)
        if trace is not None and number._tape is trace.tape:
            return trace.tape.place(number, dtype, lambda: ops.INPUT(name="x", dtype=dtype, shape=()))
    exact = of_kind(value, dtype)
    # Beyond the dtype: NumPy's infinity. (No float dtype ends below 65504.)
    if dtype.is_float and abs(exact) > 65504 and math.isinf(rounded(exact, dtype)):
        exact = math.copysign(math.inf, exact)
    return ops.SCALAR(value=exact, dtype=dtype)


def filled(value: bool | int | float | complex, kind: TensorType) -> Node:
    """The user's number in every element, as an operand. On one line of the user's it is one node,
    however often the line is run: it must never become the node of a tensor."""
    if is_traced(value):
        return ops.fill(scalar(value, kind.dtype), kind.shape)
    exact = value if value and not isinstance(value, complex) else repr(value)
    return _filled(value, exact, kind.dtype, kind.shape, LOC.get())


@functools.lru_cache(maxsize=1024)
def _filled(
    value: bool | int | float | complex, signed: object, dtype: DType, shape: tuple[int, ...], loc: Loc | None
) -> Node:
    """`signed` tells 0.0 and -0.0 apart. (The hash of a type is a function of Python.)"""
    return ops.fill(_filled(value, signed, dtype, (), loc), shape) if shape else scalar(value, dtype)


def cast(value: Value, dtype: DType) -> Node:
    """`value` as a node of `dtype`."""
    if not isinstance(value, Node):
        return scalar(value, dtype)
    return value if value.type.dtype is dtype else ops.CAST(value, dtype=dtype)


def shape_of(value: Value) -> tuple[int, ...]:
    return value.type.shape if isinstance(value, Node) else ()


def joint_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The broadcast shape. ValueError naming all shapes if there is none."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    result: list[int] = [1] * max(map(len, shapes))
    for shape in shapes:
        for k, n in enumerate(reversed(shape), 1):
            if n != 1:
                if result[-k] not in (1, n):
                    listed = " and ".join(map(str, shapes))
                    raise ValueError(
                        f"{name}: shapes {listed} do not broadcast; from the right, extents must be "
                        "equal or 1; reshape one operand, or add an axis by x[:, None]"
                    )
                result[-k] = n
    return tuple(result)


def joint(name: str, dtype: DType, *values: Value) -> list[Node]:
    """All `values` as nodes of one dtype and one shape."""
    return spread(name, *(cast(v, dtype) for v in values))


def spread(name: str, *nodes: Node) -> list[Node]:
    """All `nodes` in one shape."""
    shape = joint_shape(name, *(n.type.shape for n in nodes))
    return [ops.fill(n, shape) for n in nodes]
