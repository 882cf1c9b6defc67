"""Arrays on a GPU to and from other libraries, without a copy: DLPack, and the CUDA array interface.

Who takes an array says on which stream it will work, and who gives it makes that stream wait for what has
been begun (`stream` of `__dlpack__` in the array API standard); with the CUDA array interface (version 3) who
gives it says on which stream it has worked, and who takes it waits for that. Streams are numbers: 1 the
legacy default one, 2 the thread's default one, above that a handle; DLPack has None for 1 and -1 for "do not
wait", the interface None for "nothing to wait for". 0 is none of these.

(dlpack.h and "Python Specification for DLPack", https://dmlc.github.io/dlpack/latest/python_spec.html;
https://data-apis.org/array-api/latest/API_specification/generated/array_api.array.__dlpack__.html;
https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html)
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from ctypes import c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any

import numpy as np

from lucid.compiler.ir.types import bf16, from_numpy

from ..stored import Block, Stored
from .device import LEGACY, Device

CUDA, MANAGED = 2, 13  # DLDeviceType
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}  # DLDataTypeCode, by NumPy's kinds
_BFLOAT = 4
READ_ONLY, COPIED = 1, 2
VERSION = (1, 0)


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32),
        ("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16), ("shape", ctypes.POINTER(c_int64)),
        ("strides", ctypes.POINTER(c_int64)), ("byte_offset", c_uint64),
    )  # fmt: skip


_Deleter = ctypes.CFUNCTYPE(None, c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", c_void_p), ("deleter", _Deleter))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", c_uint32), ("minor", c_uint32), ("context", c_void_p), ("deleter", _Deleter),
        ("flags", c_uint64), ("tensor", _Tensor),
    )  # fmt: skip


_KINDS: dict[bytes, type[_Managed] | type[_Versioned]] = {
    b"dltensor": _Managed, b"dltensor_versioned": _Versioned,
}  # fmt: skip
_USED = {name: b"used_" + name for name in _KINDS}  # what a capsule is called whose content was taken


def _function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Of Python's C interface. A capsule that is about to go is an address: nobody may hold it."""
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_new = _function("PyCapsule_New", ctypes.py_object, c_void_p, c_char_p, c_void_p)
_name = _function("PyCapsule_GetName", c_char_p, ctypes.py_object)
_pointer = _function("PyCapsule_GetPointer", c_void_p, ctypes.py_object, c_char_p)
_rename = _function("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, c_char_p)
_is_valid = _function("PyCapsule_IsValid", ctypes.c_int, c_void_p, c_char_p)
_pointer_at = _function("PyCapsule_GetPointer", c_void_p, c_void_p, c_char_p)

# What other libraries have of ours, by its address: that of the record, and what it is made of.
_given: dict[int, tuple[Any, ...]] = {}


def _delete(address: int) -> None:
    """Who took an array does not need it any more."""
    _, _, _, stored, stream = _given.pop(address)
    stored.home.returned(stored.block, stream)


def _destroy(capsule: int) -> None:
    """A capsule goes; if nobody took its content, that goes, too."""
    for name in _KINDS:
        if _is_valid(capsule, name):
            _delete(_pointer_at(capsule, name))


_deleter, _destructor = _Deleter(_delete), ctypes.PYFUNCTYPE(None, c_void_p)(_destroy)


def stream_of(stream: Any) -> int | None:
    """The stream that must wait, or None. ValueError for what is none."""
    if stream is None:
        return LEGACY
    if isinstance(stream, bool) or not isinstance(stream, int) or stream < -1 or stream == 0:
        raise ValueError(f"expected None, -1, 1, 2 or the handle of a CUDA stream, not {stream!r}")
    return None if stream == -1 else stream


def exported(stored: Stored, stream: Any, versioned: bool, copied: bool) -> Any:
    """The capsule of an array, on which work of `stream` may begin from now on. ValueError for no stream."""
    device, waiting = stored.home, stream_of(stream)
    assert isinstance(device, Device)
    dtype = stored.dtype
    code = _BFLOAT if from_numpy(dtype) is bf16 else _CODES[dtype.kind]
    shape = (c_int64 * max(len(stored.shape), 1))(*stored.shape)
    address = stored.block.address if stored.nbytes else None
    tensor = _Tensor(
        address, CUDA, device.ordinal, len(stored.shape), code, 8 * dtype.itemsize, 1, shape, None, 0
    )
    if waiting is not None:
        device.order(device.stream, waiting)
    record: Any
    if versioned:
        flags = COPIED if copied else READ_ONLY
        name, record = b"dltensor_versioned", _Versioned(*VERSION, None, _deleter, flags, tensor)
    else:
        name, record = b"dltensor", _Managed(tensor, None, _deleter)
    place = ctypes.addressof(record)
    _given[place] = name, record, shape, stored, waiting
    return _new(place, next(known for known in _KINDS if known == name), ctypes.cast(_destructor, c_void_p))


class _Keeper:
    """Of what another library has given: its memory is told that it is not needed when the keeper goes."""

    def __init__(self, device: Device, tell: Callable[[], Any]) -> None:
        self._device, self._tell = device, tell

    def __del__(self) -> None:
        self._device.let_go(self._tell)


def imported(x: Any, device: Device) -> Stored:
    """What another library holds, on the same memory. BufferError for other devices, dtypes and layouts."""
    try:
        capsule = x.__dlpack__(stream=device.stream, max_version=VERSION)
    except TypeError:  # of before version 1
        capsule = x.__dlpack__(stream=device.stream)
    name = _name(capsule)
    kind = _KINDS.get(name)
    if kind is None:
        raise BufferError(f"DLPack: a capsule of {name!r}, which was taken before or is none")
    address = _pointer(capsule, name)
    record = kind.from_address(address)
    tensor = record.tensor
    if tensor.device_type not in (CUDA, MANAGED) or tensor.device_id != device.ordinal:
        raise BufferError(
            f"DLPack: an array on device {(tensor.device_type, tensor.device_id)}, not {device.name}"
        )
    dtype = _dtype(tensor.code, tensor.bits, tensor.lanes)
    shape = tuple(tensor.shape[k] for k in range(tensor.ndim))
    strides = [tensor.strides[k] for k in range(tensor.ndim)] if tensor.strides else None
    _check_rows(shape, strides)
    _rename(capsule, next(used for known, used in _USED.items() if known == name))
    keeper = _Keeper(device, lambda: record.deleter(address) if record.deleter else None)
    return _placed(device, (tensor.data or 0) + tensor.byte_offset, dtype, shape, keeper)


def _dtype(code: int, bits: int, lanes: int) -> np.dtype[Any]:
    kind = next((k for k, c in _CODES.items() if c == code), "")
    try:
        if lanes != 1 or bits % 8:
            raise TypeError
        found = bf16.np if (code, bits) == (_BFLOAT, 16) else np.dtype(f"{kind}{bits // 8}")
        return from_numpy(found).np
    except TypeError:
        raise BufferError(f"DLPack: code {code} of {bits} bits is no supported dtype") from None


def _check_rows(shape: tuple[int, ...], strides: list[int] | None) -> None:
    step = 1
    for n, stride in reversed([*zip(shape, strides or (), strict=False)]):
        if n > 1 and stride != step and 0 not in shape:
            raise BufferError(f"an array of shape {shape} and strides {strides}: make it contiguous first")
        step *= n


def _placed(
    device: Device, address: int, dtype: np.dtype[Any], shape: tuple[int, ...], keeper: Any
) -> Stored:
    if address % max(dtype.itemsize, 1):
        raise BufferError(f"an array of {dtype} at {address:#x}, no multiple of its size; copy it first")
    found = Stored(Block(device, address, 0, keeper), dtype, shape)
    found.block.nbytes = found.nbytes
    return found


def interface(stored: Stored) -> dict[str, Any]:
    """`__cuda_array_interface__`, version 3. TypeError for bfloat16, which it has no name for."""
    if stored.dtype.kind not in _CODES:
        raise TypeError(f"the CUDA array interface has no {stored.dtype.name}; use DLPack")
    device = stored.home
    assert isinstance(device, Device)
    address = stored.block.address if stored.nbytes else 0
    return {
        "shape": stored.shape, "typestr": stored.dtype.str, "data": (address, False), "version": 3,
        "strides": None, "stream": device.stream,
    }  # fmt: skip


def of_interface(x: Any, device: Device) -> Stored:
    """What an object has by `__cuda_array_interface__`, on the same memory. BufferError for other dtypes and
    layouts."""
    found: Mapping[str, Any] = x.__cuda_array_interface__
    if found.get("mask") is not None:
        raise BufferError("an array with a mask: fill it first")
    try:
        dtype = from_numpy(np.dtype(found["typestr"])).np
    except TypeError as error:
        raise BufferError(f"the CUDA array interface: {error}") from None
    shape, strides = tuple(found["shape"]), found.get("strides")
    _check_rows(shape, None if strides is None else [s // dtype.itemsize for s in strides])
    stream = found.get("stream")
    if stream is not None:
        device.order(stream_of(stream) or LEGACY, device.stream)
    return _placed(device, found["data"][0] or 0, dtype, shape, _Keeper(device, [x].clear))
