"""Memory: bytes, and of each byte whether it is there, was written, and may be written.

`Memory` is the global memory of a device, which lives from launch to launch. A `Space` is what threads of
one launch see of some memory: the same for global, parameter, shared (one row a block) and local
memory (one row a thread).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data, field

from .ptx import BITS, Array, Module, PtxError

THERE, WRITTEN, LOCKED = 1, 2, 4
# Addresses of global memory are beyond 32 bits.
BASE = 0x7F00_0000_0000
ALIGN = 256
GUARD = 256


def repeated(byte: int, dtype: np.dtype[Any]) -> Any:
    """A number all of whose bytes are the same."""
    return dtype.type(int.from_bytes(bytes([byte]) * dtype.itemsize, "little"))


@data(frozen=False, eq=False)
class Space:
    """Rows of bytes with their states; addresses count from `base` in every row.

    `data` has the bytes of all rows, each of `stride` bytes (0: there is one row), of which `size` may be
    touched.
    """

    name: str
    data: Array
    state: Array
    base: int
    size: int
    stride: int = 0
    names: dict[int, tuple[str, int]] = field(default_factory=dict)

    def where(self, address: int) -> str:
        """An address in words."""
        best = None
        for start, (name, size) in self.names.items():
            distance = max(start - address, address - (start + size - 1), 0)
            if best is None or distance < best[0]:
                best = distance, start, name, size
        if best is None:
            return f"address {address:#x} of .{self.name}"
        distance, start, name, size = best
        if distance == 0:
            return f"byte {address - start} of `{name}` ({size} bytes)"
        if address < start:
            return f"{start - address} bytes before `{name}` ({size} bytes)"
        return f"{address - start - size} bytes behind the end of `{name}` ({size} bytes)"

    def view(self, what: Array, size: int) -> Array:
        """Bytes as numbers of a size, or as rows of 64-bit numbers."""
        if size <= 8:
            return what.view(BITS[size])
        return what.view(np.uint64).reshape(-1, size // 8)

    def offsets(self, address: Array, rows: Array | None) -> Array:
        """Where addresses lie in `data`; those outside of a row go to byte 0, which is never there."""
        offset = address.view(np.int64) - self.base
        inside = (offset >= 0) & (offset < self.size)
        if not inside.all():
            offset = np.where(inside, offset, 0)
        return offset if rows is None else offset + rows * self.stride

    def check(self, at: Array, size: int, wanted: int, refused: int) -> tuple[Array | None, bool]:
        """Which accesses meet a byte that lacks a wanted state or has a refused one; and whether all are
        locked.
        """
        state = self.view(self.state, size)[at >> (size.bit_length() - 1)]
        dtype = state.dtype
        bad = state & repeated(wanted | refused, dtype) != repeated(wanted, dtype)
        if bad.any():
            return (bad.any(axis=1) if bad.ndim > 1 else bad), False
        lock = repeated(LOCKED, dtype)
        return None, bool((state & lock == lock).all())

    def load(self, at: Array, size: int) -> Array:
        found: Array = self.view(self.data, size)[at >> (size.bit_length() - 1)]
        return found

    def store(self, at: Array, size: int, values: Array, state: int = THERE | WRITTEN) -> None:
        index = at >> (size.bit_length() - 1)
        self.view(self.data, size)[index] = values
        states = self.view(self.state, size)
        states[index] = repeated(state, states.dtype)


def layout(sizes: list[tuple[str, int, int]], apart: int) -> tuple[dict[str, int], int]:
    """Offsets of variables (name, align, size), `apart` bytes between them, and the end."""
    offsets, end = {}, apart
    for name, align, size in sizes:
        align = max(align, apart)
        end = -(-end // align) * align
        offsets[name] = end
        end += size + apart
    return offsets, -(-end // 256) * 256


def fresh(name: str, offsets: dict[str, int], sizes: dict[str, int], end: int, rows: int) -> Space:
    """A space whose bytes are there where variables lie, and were not written. Row after row."""
    row = np.zeros(end, np.uint8)
    for variable, offset in offsets.items():
        row[offset : offset + sizes[variable]] = THERE
    names = {offset: (variable, sizes[variable]) for variable, offset in offsets.items()}
    return Space(name, np.zeros(rows * end, np.uint8), np.tile(row, rows), 0, end, end, names)


class Memory:
    """The global memory of a device.

    Allocations begin at multiples of 256 bytes, as those of drivers do, with gaps between them that nobody
    may touch. Bytes that were never written must not be read, by threads or by `download`.
    """

    def __init__(self) -> None:
        self.space = Space("global", np.zeros(1 << 16, np.uint8), np.zeros(1 << 16, np.uint8), BASE, 1 << 16)
        self._end = GUARD
        # Addresses of the global variables of modules that were launched.
        self.variables: dict[Module, dict[str, int]] = {}

    def allocate(self, size: int, name: str = "") -> int:
        """The address of so many new bytes."""
        space, start = self.space, self._end
        self._end = -(-(start + size + GUARD) // ALIGN) * ALIGN
        if self._end > space.size:
            capacity = max(2 * space.size, 1 << (self._end - 1).bit_length())
            for part in ("data", "state"):
                grown = np.zeros(capacity, np.uint8)
                grown[: space.size] = getattr(space, part)
                setattr(space, part, grown)
            space.size = capacity
        space.state[start : start + size] = THERE
        address = BASE + start
        space.names[address] = (name or f"allocation {len(space.names)}", size)
        return address

    def free(self, address: int) -> None:
        """Nobody may touch these bytes again."""
        if address not in self.space.names:
            raise PtxError("bounds", f"{address:#x} is the beginning of no allocation")
        _, size = self.space.names.pop(address)
        at = address - BASE
        self.space.state[at : at + size] = 0

    def _range(self, address: int, size: int, what: str) -> slice:
        at = address - BASE
        inside = at >= 0 and at + size <= self.space.size
        if not inside or not (self.space.state[at : at + size] & THERE).all():
            raise PtxError("bounds", f"{what} of {size} bytes at {self.space.where(address)}")
        return slice(at, at + size)

    def write(self, address: int, content: bytes | memoryview | Array) -> None:
        """Copies bytes from the host."""
        source = np.frombuffer(np.ascontiguousarray(content), np.uint8)
        part = self._range(address, source.size, "a copy")
        self.space.data[part] = source
        self.space.state[part] |= WRITTEN

    def read(self, address: int, size: int) -> bytes:
        """Copies bytes to the host, all of which must have been written."""
        part = self._range(address, size, "a copy")
        missing = np.flatnonzero(self.space.state[part] & WRITTEN == 0)
        if missing.size:
            first = self.space.where(address + int(missing[0]))
            raise PtxError("uninitialised", f"{missing.size} bytes were never written, the first is {first}")
        return self.space.data[part].tobytes()

    def upload(self, array: Array, name: str = "", writable: bool = True) -> int:
        """The address of a copy of an array; threads may write it only if it is `writable`."""
        address = self.allocate(array.nbytes, name)
        if array.nbytes:
            self.write(address, np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        if not writable:
            at = address - BASE
            self.space.state[at : at + array.nbytes] |= LOCKED
        return address

    def download(self, address: int, shape: int | tuple[int, ...], dtype: Any) -> Array:
        """A copy of memory as an array; all of it must have been written."""
        dtype, dims = np.dtype(dtype), (shape,) if isinstance(shape, int) else shape
        content = self.read(address, math.prod(dims) * dtype.itemsize)
        return np.frombuffer(content, dtype).reshape(dims).copy()
