"""Types of the driver's C interface, and functions of Python that are called through them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Node(ctypes.Structure):
    _fields_ = (
        ("func", ctypes.c_void_p), ("gx", ctypes.c_uint), ("gy", ctypes.c_uint), ("gz", ctypes.c_uint),
        ("bx", ctypes.c_uint), ("by", ctypes.c_uint), ("bz", ctypes.c_uint), ("shared", ctypes.c_uint),
        ("params", ctypes.POINTER(ctypes.c_void_p)), ("extra", ctypes.c_void_p),
    )  # fmt: skip


TYPES: dict[str, Any] = {
    "int": ctypes.c_int, "uint": ctypes.c_uint, "u64": ctypes.c_ulonglong, "size": ctypes.c_size_t,
    "handle": ctypes.c_void_p, "void*": ctypes.c_void_p, "str": ctypes.c_void_p,
    "int*": ctypes.POINTER(ctypes.c_int), "u64*": ctypes.POINTER(ctypes.c_ulonglong),
    "size*": ctypes.POINTER(ctypes.c_size_t), "float*": ctypes.POINTER(ctypes.c_float),
    "handle*": ctypes.POINTER(ctypes.c_void_p), "void**": ctypes.POINTER(ctypes.c_void_p),
    "str*": ctypes.POINTER(ctypes.c_char_p), "node*": ctypes.POINTER(Node),
}  # fmt: skip

C_TYPES: dict[str, tuple[str, ...]] = {}


def c(types: str) -> Callable[[F], F]:
    """The types of a function's arguments, but for `self`; it returns a CUresult."""

    def mark(function: F) -> F:
        C_TYPES[function.__name__] = tuple(types.split())
        return function

    return mark
