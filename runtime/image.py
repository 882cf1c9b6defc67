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
    parts = [struct.pack("<III", len(image.data), len(image.symbols), len(image.imports))]
    for table in (image.symbols, image.imports):
        for name, offset in table.items():
            text = name.encode()
            parts.append(struct.pack("<II", len(text), offset) + text)
    return b"".join(parts) + image.data


def unpack(data: bytes) -> Image:
    """The image that `pack` wrote. ValueError if these bytes are not one."""
    try:
        size, *counts = struct.unpack_from("<III", data, 0)
        at = 12
        tables: list[dict[str, int]] = []
        for count in counts:
            table: dict[str, int] = {}
            for _ in range(count):
                length, offset = struct.unpack_from("<II", data, at)
                table[data[at + 8 : at + 8 + length].decode()] = offset
                at += 8 + length
                if offset + 8 * len(tables) > size:
                    raise ValueError("an offset outside of the image")
            tables.append(table)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not an image: {error}") from None
    if len(data) != at + size:
        raise ValueError("not an image: wrong length")
    return Image(data[at:], tables[0], tables[1])
