"""Images in memory: mapped, made executable, and called. Also how they are written as bytes."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import struct
import sys

from .elf import Image, Unsupported
from .forever import forever


def supported() -> bool:
    """Whether this system loads images itself; otherwise LLVM's loader does all the work."""
    return sys.platform == "linux" and os.uname().machine == "x86_64"


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def place(image: Image) -> dict[str, int]:
    """Map an image; addresses of its functions.

    RuntimeError where a function that it needs is not in the process; Unsupported where the system
    does not let a process make code.
    """
    data = bytearray(image.data)
    for name, offset in image.imports.items():
        try:
            function = ctypes.cast(_libc()[name], ctypes.c_void_p).value
        except AttributeError:
            raise RuntimeError(f"there is no function {name} in this process") from None
        struct.pack_into("<Q", data, offset, function)
    pages = mmap.mmap(-1, max(len(data), 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages[: len(data)] = bytes(data)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    # Never writable and executable at once.
    wanted = mmap.PROT_READ | mmap.PROT_EXEC
    if _libc().mprotect(ctypes.c_void_p(address), ctypes.c_size_t(len(pages)), wanted):
        raise Unsupported(f"mprotect: {os.strerror(ctypes.get_errno())}")
    forever(pages)  # a thread may be inside the code until the process ends
    return {name: address + offset for name, offset in image.symbols.items()}


def pack(image: Image) -> bytes:
    """The image as bytes; `unpack` gives it back."""
    tables = ["\n".join(f"{at} {name}" for name, at in t.items()) for t in (image.symbols, image.imports)]
    return "\0".join([str(len(image.data)), *tables, ""]).encode() + image.data


def unpack(data: bytes) -> Image:
    """The image that `pack` wrote. ValueError if these bytes are not one."""
    try:
        size, *tables, code = data.split(b"\0", 3)
        rows = ([row.partition(" ") for row in t.decode().split("\n") if row] for t in tables)
        symbols, imports = ({name: int(at) for at, _, name in table} for table in rows)
        whole = len(code) == int(size)
    except ValueError as error:
        raise ValueError(f"not an image: {error}") from None
    if not whole:
        raise ValueError("not an image: wrong length")
    if any(
        not 0 <= at <= len(code) - 8 * slot for slot, t in enumerate((symbols, imports)) for at in t.values()
    ):
        raise ValueError("an offset outside of the image")
    return Image(code, symbols, imports)
