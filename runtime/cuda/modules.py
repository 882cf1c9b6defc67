"""PTX to modules: compiled by the driver, kept in the disk cache for this driver and architecture."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_char, c_int, c_size_t, c_void_p
from typing import TYPE_CHECKING

from ..cache import disk
from ..digest import sha256
from .errors import BAD_IMAGE, CudaError

if TYPE_CHECKING:
    from .driver import Driver

# Of enumerations of cuda.h.
_ERROR_LOG, _ERROR_LOG_BYTES = 5, 6
_PTX = 1
LOG_BYTES = 16 << 10


def load(driver: Driver, arch: str, text: str, entries: Sequence[str]) -> tuple[int, dict[str, int]]:
    """The module and its functions by name, in the current context. CudaError, with the compiler's log."""
    store = disk()
    key = f"cubin\n{driver.version} {arch}\n{sha256(text.encode()).hexdigest()}"
    kept = store.get(key) if store is not None else None
    if kept is not None:
        try:
            return _placed(driver, kept, entries)
        except CudaError as error:  # damaged, or another driver of the same version
            if error.code not in BAD_IMAGE:
                raise
    made = assemble(driver, text, ", ".join(entries))
    found = _placed(driver, made, entries)
    if store is not None:
        store.put(key, made)
    return found


def _placed(driver: Driver, image: bytes, entries: Sequence[str]) -> tuple[int, dict[str, int]]:
    module = driver.make("cuModuleLoadData", image)
    try:
        return module, {name: driver.make("cuModuleGetFunction", module, name.encode()) for name in entries}
    except CudaError:
        driver("cuModuleUnload", module)
        raise


def assemble(driver: Driver, text: str, name: str) -> bytes:
    """The machine code that the driver makes of PTX, for the GPU of the current context."""
    log = (c_char * LOG_BYTES)()
    options = (c_int * 2)(_ERROR_LOG, _ERROR_LOG_BYTES)
    values = (c_void_p * 2)(ctypes.addressof(log), LOG_BYTES)
    data = text.encode() + b"\0"
    state = c_void_p()
    driver("cuLinkCreate_v2", 2, options, values, state)
    try:
        image, size = c_void_p(), c_size_t()
        driver("cuLinkAddData_v2", state, _PTX, data, len(data), name.encode(), 0, None, None)
        driver("cuLinkComplete", state, image, size)
        return ctypes.string_at(image.value or 0, size.value)
    except CudaError as error:
        version = next((x for x in text.splitlines() if x.startswith(".version")), "")
        said = log.value.decode(errors="replace").strip()
        what = f"PTX {version} for a driver of CUDA {driver.release}"
        raise (error.within(f"{what}: {said}") if said else error.within(what)) from None
    finally:
        driver("cuLinkDestroy", state)
