"""The same values in another layout of memory, between guards among them.

An array between guards lies against a page that nobody may touch, so that an access beyond its end (or, if
it is put there, before its beginning) is a fault; on its other side lie bytes of a pattern, which are
compared.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import sys
from typing import Any

import numpy as np

from ..errors import public

Array = np.ndarray[Any, Any]

LAYOUTS = (
    "rows", "columns", "permuted", "strided", "flipped", "misaligned", "read-only", "page-end", "page-start",
)  # fmt: skip

PATTERN = 0xA5
PAGE = mmap.PAGESIZE
_PAGES = sys.platform.startswith("linux")  # elsewhere the pattern alone stands guard


class Guarded:
    """`array` of that shape and dtype, not initialised but for the pattern; at the end of its memory, or
    (`front`) at its beginning. The memory lives as long as the array."""

    def __init__(self, shape: tuple[int, ...], dtype: object, front: bool = False) -> None:
        kind = np.dtype(dtype)  # type: ignore[call-overload]  # as NumPy takes it
        size = kind.itemsize * int(np.prod(shape))
        inner = max(1, -(-size // PAGE)) * PAGE
        every = np.frombuffer(mmap.mmap(-1, inner + 2 * PAGE), np.uint8)
        if _PAGES:
            base = every.ctypes.data
            for page in (base, base + PAGE + inner):
                assert _process().mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
        self._bytes = every[PAGE : PAGE + inner]
        self._bytes[:] = PATTERN
        begin = 0 if front else inner - size
        self._outside = slice(size, None) if front else slice(0, begin)
        self.array: Array = self._bytes[begin : begin + size].view(kind).reshape(shape)

    def intact(self) -> bool:
        """Whether nobody has written around the array."""
        return bool((self._bytes[self._outside] == PATTERN).all())


@functools.cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def guarded(array: Array, front: bool = False) -> Guarded:
    """A row-major copy between guards."""
    found = Guarded(array.shape, array.dtype, front)
    found.array[...] = array
    return found


@public
def laid_out(array: Array, layout: str) -> Array:
    """A copy of `array` with the same dtype, shape and values, which lies in memory as `layout` says: "rows"
    (row-major), "columns" (column-major), "permuted" (its last axis first), "strided" (with gaps along each
    axis), "flipped" (backwards along each axis), "misaligned" (at an address that its dtype does not
    divide), "read-only", "page-end" and "page-start" (row-major, before and behind a page that nobody may
    touch, where the system is Linux). ValueError for another name."""
    if layout == "rows" or (not array.ndim and layout in LAYOUTS[:5]):
        return np.array(array, order="C")
    if layout == "strided" and not array.size:  # there is nothing that gaps could be between
        layout = "flipped"
    if layout in ("page-end", "page-start"):
        return guarded(array, layout == "page-start").array
    if layout == "columns":
        return np.array(array, order="F")
    if layout == "permuted":
        return (
            np.moveaxis(np.array(np.moveaxis(array, -1, 0), order="C"), 0, -1) if array.ndim else array.copy()
        )
    if layout == "strided":
        wide = np.zeros(tuple(2 * n + 1 for n in array.shape), array.dtype)
        view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
    elif layout == "flipped":
        view = np.zeros(array.shape, array.dtype)[(slice(None, None, -1),) * array.ndim]
    elif layout == "misaligned":
        bytes_ = np.zeros(array.nbytes + array.dtype.itemsize + 1, np.uint8)
        start = 1 + (-bytes_.ctypes.data) % array.dtype.itemsize
        view = bytes_[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    elif layout == "read-only":
        view = np.array(array, order="C")
        view.flags.writeable = False
        return view
    else:
        raise ValueError(f"unknown layout {layout!r}; expected one of {', '.join(LAYOUTS)}")
    view[...] = array
    return view


def literal(array: Array) -> str:
    """Python text that makes `array`, bit by bit but for the payloads of NaN; `np`, `nan` and `inf` are
    known."""
    if array.size <= 64 and array.dtype.kind in "biuf":
        return f"np.array({array.tolist()!r}, np.{array.dtype.name if array.dtype != bool else 'bool_'})"
    import base64
    import zlib

    packed = base64.b85encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
    return f"unpack({packed!r}, {array.dtype.name!r}, {array.shape})"


UNPACK = '''def unpack(text, dtype, shape):
    """An array from the text of its bytes."""
    import base64
    import zlib

    from lucid.compiler.ir.types import from_numpy

    return np.frombuffer(zlib.decompress(base64.b85decode(text)), from_numpy(dtype).np).reshape(shape)
'''
