"""The driver's C interface, through ctypes: the functions that are used, with their types.

All of them are in drivers of CUDA 11.4 and newer, under these names, which a driver keeps for ever.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from .errors import ELSEWHERE, NO_LIBRARY, TOO_OLD, CudaError, described

OLDEST = 11040


class KernelNode(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS, as `cuGraphAddKernelNode` without a version takes it."""

    _fields_ = (
        ("func", c_void_p),
        *((f"{what}{axis}", c_uint) for what in ("gridDim", "blockDim") for axis in "XYZ"),
        ("sharedMemBytes", c_uint),
        ("kernelParams", POINTER(c_void_p)),
        ("extra", POINTER(c_void_p)),
    )


TYPES: dict[str, Any] = {
    "int": c_int, "uint": c_uint, "u64": c_uint64, "size": c_size_t, "handle": c_void_p, "void*": c_void_p,
    "str": c_char_p, "int*": POINTER(c_int), "u64*": POINTER(c_uint64), "size*": POINTER(c_size_t),
    "float*": POINTER(c_float), "handle*": POINTER(c_void_p), "void**": POINTER(c_void_p),
    "str*": POINTER(c_char_p), "node*": POINTER(KernelNode),
}  # fmt: skip

# Enumerations are ints, handles pointers, addresses in the device's memory u64.
PROTOTYPES = {
    name: tuple(types.split())
    for name, types in {
        "cuInit": "uint",
        "cuDriverGetVersion": "int*",
        "cuGetErrorName": "int str*",
        "cuGetErrorString": "int str*",
        "cuDeviceGetCount": "int*",
        "cuDeviceGet": "int* int",
        "cuDeviceGetName": "str int int",
        "cuDeviceGetAttribute": "int* int int",
        "cuDeviceGetDefaultMemPool": "handle* int",
        "cuDevicePrimaryCtxRetain": "handle* int",
        "cuDevicePrimaryCtxRelease_v2": "int",
        "cuCtxPushCurrent_v2": "handle",
        "cuCtxPopCurrent_v2": "handle*",
        "cuStreamCreate": "handle* uint",
        "cuStreamSynchronize": "handle",
        "cuStreamDestroy_v2": "handle",
        "cuMemAllocAsync": "u64* size handle",
        "cuMemFreeAsync": "u64 handle",
        "cuMemcpyHtoDAsync_v2": "u64 void* size handle",
        "cuMemcpyDtoHAsync_v2": "void* u64 size handle",
        "cuMemcpyDtoDAsync_v2": "u64 u64 size handle",
        "cuMemGetInfo_v2": "size* size*",
        "cuMemPoolSetAttribute": "handle int void*",
        "cuMemPoolTrimTo": "handle size",
        "cuLinkCreate_v2": "uint int* void** handle*",
        "cuLinkAddData_v2": "handle int void* size str uint int* void**",
        "cuLinkComplete": "handle void** size*",
        "cuLinkDestroy": "handle",
        "cuModuleLoadData": "handle* void*",
        "cuModuleGetFunction": "handle* handle str",
        "cuModuleUnload": "handle",
        "cuFuncGetAttribute": "int* int handle",
        "cuLaunchKernel": "handle uint uint uint uint uint uint uint handle void** void**",
        "cuGraphCreate": "handle* uint",
        "cuGraphAddKernelNode": "handle* handle handle* size node*",
        "cuGraphInstantiateWithFlags": "handle* handle u64",
        "cuGraphExecKernelNodeSetParams": "handle handle node*",
        "cuGraphLaunch": "handle handle",
        "cuGraphExecDestroy": "handle",
        "cuGraphDestroy": "handle",
        "cuStreamWaitEvent": "handle handle uint",
        "cuCtxSynchronize": "",
        "cuEventCreate": "handle* uint",
        "cuEventRecord": "handle handle",
        "cuEventSynchronize": "handle",
        "cuEventElapsedTime": "float* handle handle",
        "cuEventDestroy_v2": "handle",
    }.items()
}


def library() -> Any:
    """NVIDIA's driver as a library. OSError if there is none."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


class Driver:
    """The functions, checked: `driver("cuInit", 0)` raises CudaError unless it succeeds. CudaError where
    there is no driver, or one that lacks some."""

    def __init__(self) -> None:
        try:
            found = library()
        except OSError as error:
            raise CudaError(f"no NVIDIA driver is installed ({error}); {ELSEWHERE}", NO_LIBRARY) from None
        self._functions = {}
        for name, types in PROTOTYPES.items():
            try:
                function = getattr(found, name)
            except AttributeError:
                what = f"NVIDIA's driver lacks {name}: it is older than CUDA 11.4; install a newer one"
                raise CudaError(f"{what}; {ELSEWHERE}", TOO_OLD) from None
            function.argtypes, function.restype = [TYPES[t] for t in types], c_int
            self._functions[name] = function
        number = c_int()
        self("cuDriverGetVersion", number)
        self.version = number.value
        if self.version < OLDEST:
            what = f"NVIDIA's driver is of CUDA {self.release}; 11.4 is the oldest that serves"
            raise CudaError(f"{what}; {ELSEWHERE}", TOO_OLD)
        self("cuInit", 0)

    @property
    def release(self) -> str:
        return f"{self.version // 1000}.{self.version % 1000 // 10}"

    def __call__(self, name: str, *args: Any) -> None:
        code = self._functions[name](*args)
        if code:
            raise described(name, code, *map(self._say, ("cuGetErrorName", "cuGetErrorString"), (code, code)))

    def _say(self, function: str, code: int) -> str:
        text = c_char_p()
        self._functions[function](code, text)
        return (text.value or b"unknown error").decode()

    def make(self, name: str, *args: Any) -> int:
        """The handle that a function makes, whose place it takes first."""
        found = c_void_p()
        self(name, found, *args)
        return found.value or 0

    def number(self, name: str, *args: Any) -> int:
        found = c_int()
        self(name, found, *args)
        return found.value
