"""What objects hold that a walk over attributes cannot look into: arrays, and what has one inside.

A content is kept as a copy, or, of arrays beyond COPIED bytes, as their sums along two axes; it is
taken before a function is traced, and compared after, and at each call of what the function read.
"""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import TraceError, here
from .promote import array_in

Reader = Callable[[Any], Any]
COPIED = 1 << 20
_LANES = 512


def content(array: np.ndarray[Any, Any]) -> Any:
    """What `array` holds, in a form that another content can be compared with; of an array of a class whose
    methods fail, that it is this one."""
    try:
        return _content(array)
    except (AttributeError, BufferError, NotImplementedError, TypeError, ValueError):
        return type(array), id(array)


def _content(array: np.ndarray[Any, Any]) -> Any:
    if type(array) is not np.ndarray:  # a masked one has methods of its own
        mask = getattr(array, "_mask", None)
        inner = content(np.ndarray.view(array, np.ndarray))
        return inner if mask is None else (inner, content(np.asarray(mask)))
    if array.dtype.hasobject:
        return array.shape, tuple(array.ravel().tolist())
    if array.nbytes <= COPIED:
        return array.shape, array.dtype.str, array.tobytes()
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    rest = data.size % (8 * _LANES)
    words = data[: data.size - rest].view(np.uint64).reshape(-1, _LANES)
    # Sums that wrap: an element that changes, or moves, changes one along each axis.
    sums = words.sum(0, dtype=np.uint64), words.sum(1, dtype=np.uint64)
    return array.shape, array.dtype.str, *(s.tobytes() for s in sums), data[data.size - rest :].tobytes()


def equal(now: Any, then: Any) -> bool:
    """Whether two contents are the same for any computation."""
    if isinstance(then, tuple) and isinstance(now, tuple):
        return len(now) == len(then) and all(map(equal, now, then))
    if now is then:
        return True
    if type(now) is not type(then):
        return False
    try:
        return bool(now == then or (now != now and then != then))
    except (TypeError, ValueError):
        return False


def reader(value: Any) -> Reader | None:
    """How to read what an object of a library holds; None where nothing is known to be inside."""
    if isinstance(value, weakref.ref):
        return _referent
    if isinstance(value, io.StringIO | io.BytesIO):
        return None if value.closed else _text
    if hasattr(type(value), "__array__"):
        return _as_array
    try:
        memoryview(value).release()
    except (TypeError, BufferError, ValueError):
        return None
    return _buffer


def _referent(reference: Any) -> Any:
    found = reference()
    return content(found) if isinstance(found, np.ndarray) else found is not None


def _text(value: Any) -> Any:
    return None if value.closed else value.getvalue()


def _as_array(value: Any) -> Any:
    """Its array, and the labels of its axes, if it has some."""
    try:
        if hasattr(value, "detach"):  # a tensor of another library that may have a history
            value = value.detach()
        return (
            content(array_in(value)),
            *[content(np.asarray(axis)) for axis in getattr(value, "axes", None) or ()],
        )
    except Exception as error:
        kind = type(value).__name__
        raise TraceError(here(f"what a {kind} holds cannot be compared at each call: {error}")) from None


def _buffer(value: Any) -> Any:
    with memoryview(value) as view:
        try:
            return content(np.asarray(view))
        except ValueError:  # a format that NumPy has no dtype for, as of the pointers of ctypes
            return view.format, view.tobytes()
