"""The same values in another layout of memory."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LAYOUTS = ("rows", "columns", "permuted", "strided", "flipped", "misaligned", "read-only")


def laid_out(array: Array, layout: str) -> Array:
    """A copy of `array` with the same dtype, shape and values, which lies in memory as `layout` says: "rows"
    (row-major), "columns" (column-major), "permuted" (its last axis first), "strided" (with gaps along each
    axis), "flipped" (backwards along each axis), "misaligned" (at an address that its dtype does not
    divide), "read-only". ValueError for another name."""
    if layout == "rows" or (not array.ndim and layout in LAYOUTS[:5]):
        return np.array(array, order="C")
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

    return np.frombuffer(zlib.decompress(base64.b85decode(text)), np.dtype(dtype)).reshape(shape)
'''
