"""To and from other libraries. What lies on the CPU by NumPy's DLPack; bfloat16 as uint16, which NumPy knows,
with another code. What lies on a GPU by `runtime/cuda/exchange.py`, which few ask for."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from lucid.compiler.ir.types import bf16
from lucid.runtime.stored import Stored

_UINT, _BFLOAT = 1, 4  # DLDataTypeCode
# Bytes from what a capsule points to up to the code of the type (dlpack.h): in a DLTensor a pointer, a device
# of two ints and the number of dimensions come first; before a versioned one a version, two pointers, flags.
_CODE = {"dltensor": 20, "dltensor_versioned": 52}


def _retyped(capsule: Any, before: int, after: int) -> Any:
    """The capsule, its 16 bits now of type `after`. TypeError if they were not of type `before`."""
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    pointer.restype, pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    label = name(capsule)
    kind = (ctypes.c_uint8 * 2).from_address(pointer(capsule, label) + _CODE[label.decode()])
    if tuple(kind) != (before, 16):
        raise TypeError(f"DLPack: code {kind[0]} of {kind[1]} bits is no supported dtype")
    kind[0] = after
    return capsule


class _Given:
    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # a CPU


def exported(array: np.ndarray[Any, Any], **kwargs: Any) -> Any:
    """The capsule of an array, bfloat16 too."""
    if array.dtype.name != bf16.numpy:
        return array.__dlpack__(**kwargs)
    return _retyped(array.view(np.uint16).__dlpack__(**kwargs), _UINT, _BFLOAT)


def array_of(x: Any, **kwargs: Any) -> np.ndarray[Any, Any]:
    """`np.from_dlpack`, of bfloat16 too."""
    if not hasattr(x, "__dlpack__"):
        what = "a tensor or an array of a library that has DLPack"
        raise TypeError(f"from_dlpack: expected {what}, not {type(x).__name__}")
    try:
        return np.from_dlpack(x, **kwargs)
    except RuntimeError:  # a type that NumPy does not know
        return imported(x)


def imported(value: Any) -> np.ndarray[Any, Any]:
    """An array of bfloat16 on the memory of a tensor of another library. TypeError for other dtypes, and if
    it is on no CPU."""
    if value.__dlpack_device__()[0] != 1:
        raise TypeError(
            f"a {type(value).__name__} that is on no CPU; move it there first, or use lucid.from_dlpack"
        )
    if hasattr(value, "detach"):
        value = value.detach()
    return np.from_dlpack(_Given(_retyped(value.__dlpack__(), _BFLOAT, _UINT))).view(bf16.np)


def of_gpu(value: Stored, stream: Any, versioned: bool, copied: bool) -> Any:
    """The capsule of a value on a GPU. ValueError for what is no stream."""
    from lucid.runtime.cuda.exchange import exported

    return exported(value, stream, versioned, copied)


def interface(value: Stored) -> dict[str, Any]:
    """Its `__cuda_array_interface__`. AttributeError for bfloat16."""
    from lucid.runtime.cuda.exchange import interface

    try:
        return interface(value)
    except TypeError as error:
        raise AttributeError(str(error)) from None


def on_gpu(x: Any) -> bool:
    """Whether what another library holds lies on a GPU."""
    if hasattr(x, "__dlpack_device__"):
        return x.__dlpack_device__()[0] in (2, 13)  # kDLCUDA, kDLCUDAManaged
    return hasattr(x, "__cuda_array_interface__")


def from_gpu(x: Any) -> Stored:
    """What another library holds on a GPU, on the same memory. BufferError where that cannot be."""
    from lucid.runtime.cuda.device import device
    from lucid.runtime.cuda.exchange import imported, of_interface

    return imported(x, device()) if hasattr(x, "__dlpack__") else of_interface(x, device())
