"""Where the data of an array lies."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Word of a NumPy array that holds the address of its data.
DATA = 2


@functools.cache
def direct() -> bool:
    """Whether objects of this Python can be read in memory: CPython with a lock, 64 bits, and
    arrays as they have been for years."""
    if sys.implementation.name != "cpython" or "t" in getattr(sys, "abiflags", ""):
        return False
    if platform.system() not in ("Linux", "Darwin") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    array = np.arange(6.0)[1:]
    return word(array, DATA) == array.ctypes.data


def word(thing: object, index: int) -> int:
    """Word number `index`, of 8 bytes, of the object itself."""
    return _at(id(thing) + 8 * index).value


_at = ctypes.c_int64.from_address


def _quick(array: Array) -> int:
    return _at(id(array) + 8 * DATA).value


def _slow(array: Array) -> int:
    return array.ctypes.data


# The address of an array's first element. NumPy's own way takes 1.5 µs, this one 0.2.
address: Callable[[Array], int] = _quick if direct() else _slow
