"""Tensors of what NumPy reads elsewhere: memory, text, iterators."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .context import MODE
from .creation import array
from .creation import given as asarray
from .engine import Array
from .errors import TraceError, here, public
from .named import name_all
from .tensor import Tensor

__all__ = [
    "asanyarray", "asarray_chkfinite", "ascontiguousarray", "frombuffer", "fromiter", "fromstring",
    "real_if_close",
]  # fmt: skip


def _read(name: str, read: Callable[[], Array], requires_grad: bool = False) -> Tensor:
    if MODE.get().trace is not None:
        told = "a compiled function cannot tell whether that has changed; read it before the call"
        raise TraceError(here(f"{name}: {told}"))
    return Tensor(read(), requires_grad)


@public
def frombuffer(
    buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0, *, requires_grad: bool = False
) -> Tensor:
    """The numbers in an object with memory (bytes, an array.array, an mmap), from the byte `offset` on, as
    a copy."""
    return _read("frombuffer", lambda: np.frombuffer(buffer, dtype, count, offset), requires_grad)


@public
def fromiter(iter: Iterable[Any], dtype: Any, count: int = -1) -> Tensor:
    """The numbers that an iterator gives, `count` or all."""
    return _read("fromiter", lambda: np.fromiter(iter, dtype, count))


@public
def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Tensor:
    """The numbers in a text, with `sep` between them."""
    return _read("fromstring", lambda: np.fromstring(string, dtype, count, sep=sep))


@public
def asanyarray(x: Any, dtype: Any = None, *, device: Any = None) -> Tensor:
    """`asarray`: there are no other kinds."""
    return asarray(x, dtype, device=device)


@public
def ascontiguousarray(x: Any, dtype: Any = None) -> Tensor:
    """`asarray`, with at least one axis: how values lie in memory is the compiler's business."""
    return array(x, dtype, copy=None, ndmin=1)


@public
def asarray_chkfinite(x: Any, dtype: Any = None) -> Tensor:
    """`asarray`. ValueError where an element is inf or NaN; TraceError in a compiled function."""
    found = asarray(x, dtype)
    if found.dtype.kind in "fc" and not found.isfinite().all():
        raise ValueError("asarray_chkfinite: there is an inf or a NaN")
    return found


@public
def real_if_close(x: Any, tol: float = 100) -> Tensor:
    """The real part of complex numbers whose imaginary parts are all below `tol` (times the distance of 1 to
    the next number, if above 1), else x. TraceError in a compiled function, whose dtypes are known."""
    found = asarray(x)
    if not found.is_complex():
        return found
    least = tol * float(np.finfo(found.dtype).eps) if tol > 1 else tol
    close = bool((found.imag.abs() < least).all())
    return found.real if close else found


name_all(globals(), __all__)
