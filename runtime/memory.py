"""A caching allocator for outputs and temporaries: 64-byte aligned, huge pages for large blocks.

Fresh pages cost as much as a whole kernel (10⁷ float32: 11.9 ms into a new output, 5.9 ms into a
reused one), so a block whose array dies is kept and handed out again. Sizes are rounded up to one
of eight steps per power of two; a block serves requests of its own size class only. What is cached
stays below a cap (`LUCID_MEMORY_CACHE`, bytes); `empty_cache()` gives it all back.

Blocks of middle size are cut from slabs: the arrays of a model, some hundred KiB each, then lie in
huge pages too (a step of Adam over 64 of them takes a seventh less).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler.data import data

Array = np.ndarray[Any, np.dtype[Any]]

ALIGNMENT = 64
HUGE_PAGE = 2 << 20
# From here on a block is a mapping of its own: below, a huge page would mostly be waste.
LARGE = 4 << 20
# From here on a block is cut from a slab.
MIDDLE = 256 << 10
SLAB = 32 << 20


@data(eq=False)
class Block:
    """`size` bytes of memory at `address`, which live as long as `holder`: what they lie in."""

    address: int
    size: int
    holder: object


@data
class Statistics:
    """Bytes by size class: in use now, cached now, and the most that was ever in use."""

    used: int
    cached: int
    peak: int


def size_class(nbytes: int) -> int:
    """The block size that serves `nbytes`: at most an eighth more, at least one cache line."""
    if nbytes <= 8 * ALIGNMENT:
        return max(-(-nbytes // ALIGNMENT), 1) * ALIGNMENT
    step = 1 << ((nbytes - 1).bit_length() - 4)
    return -(-nbytes // step) * step


def _default_cap() -> int:
    set_by_user = os.environ.get("LUCID_MEMORY_CACHE", "")
    if set_by_user.isdigit():
        return int(set_by_user)
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = 4 << 30
    return min(memory // 4, 2 << 30)


class Allocator:
    """The blocks of one process. Every method may be called from any thread."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        # Reentrant: a garbage collection inside a method may release the block of a dead array.
        self.lock = threading.RLock()
        self._free: dict[int, list[Block]] = {}
        self._slab: Block | None = None  # what is left of it
        self._used = self._cached = self._peak = 0

    def allocate(self, nbytes: int) -> Block:
        """A block of at least `nbytes` bytes of arbitrary content. MemoryError if there is none."""
        size = size_class(nbytes)
        with self.lock:
            stack = self._free.get(size)
            block = stack.pop() if stack else None
            if block is not None:
                self._cached -= size
            self._used += size
            self._peak = max(self._peak, self._used)
        if block is not None:
            return block
        try:
            return self._fresh(size)
        except (MemoryError, OSError, OverflowError, ValueError):
            self.empty()
        try:
            return self._fresh(size)
        except (MemoryError, OSError, OverflowError, ValueError):
            with self.lock:
                self._used -= size
            raise MemoryError(f"cannot allocate {nbytes} bytes") from None

    def release(self, block: Block) -> None:
        """Take back a block that nobody reads or writes any more."""
        with self.lock:
            self._used -= block.size
            if block.size > self.cap:
                _give_back(block)
                return
            if self._cached + block.size > self.cap:
                # Sizes that are no longer asked for would fill the cap for ever: start afresh.
                self.empty()
            self._free.setdefault(block.size, []).append(block)
            self._cached += block.size

    def empty(self) -> None:
        """Give every cached block back to the system."""
        with self.lock:
            self._slab = None
            for stack in self._free.values():
                self._cached -= sum(block.size for block in stack)
                while stack:
                    _give_back(stack.pop())

    def _fresh(self, size: int) -> Block:
        """New memory from the system."""
        if not MIDDLE <= size < LARGE:
            return _mapping(size) if size >= LARGE else _piece(size)
        with self.lock:
            rest = self._slab
            if rest is None or rest.size < size:
                rest = _mapping(SLAB)
            self._slab = Block(rest.address + size, rest.size - size, rest.holder)
            return Block(rest.address, size, rest.holder)

    def statistics(self) -> Statistics:
        with self.lock:
            return Statistics(self._used, self._cached, self._peak)

    def reset_peak(self) -> None:
        """Count the peak from here on."""
        with self.lock:
            self._peak = self._used


def _piece(size: int) -> Block:
    bytes_ = np.empty(size + ALIGNMENT, np.uint8)
    return Block(-(-bytes_.ctypes.data // ALIGNMENT) * ALIGNMENT, size, bytes_)


def _mapping(size: int) -> Block:
    """Huge pages, where the system has them, and private: a child process gets a copy."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, size + HUGE_PAGE, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    start = np.frombuffer(pages, np.uint8).ctypes.data
    return Block(-(-start // HUGE_PAGE) * HUGE_PAGE, size, pages)


def _give_back(block: Block) -> None:
    """Its memory, if not its addresses: those of a slab are free when all of its blocks are."""
    if MIDDLE <= block.size < LARGE and hasattr(mmap, "MADV_DONTNEED"):
        pages = block.holder
        assert isinstance(pages, mmap.mmap)
        start = block.address - np.frombuffer(pages, np.uint8).ctypes.data
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (start + block.size) // mmap.PAGESIZE * mmap.PAGESIZE - first
        with contextlib.suppress(OSError):
            pages.madvise(mmap.MADV_DONTNEED, first, length)


_ALLOCATOR = Allocator(_default_cap())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_ALLOCATOR.lock.acquire,
        after_in_parent=_ALLOCATOR.lock.release,
        after_in_child=_ALLOCATOR.lock.release,
    )

allocate = _ALLOCATOR.allocate
release = _ALLOCATOR.release
statistics = _ALLOCATOR.statistics
reset_peak = _ALLOCATOR.reset_peak


# Called by `empty_cache` first: who keeps arrays for later calls lets them go.
keepers: list[Callable[[], None]] = []


def empty_cache() -> None:
    """Give all memory that nobody uses back to the system."""
    for let_go in keepers:
        let_go()
    _ALLOCATOR.empty()


@functools.cache
def _owner(size: int) -> type[ctypes.Array[ctypes.c_char]]:
    """The type of the base of an array: exports a block of `size` bytes, and gives it back when
    the last view is gone. (A ctypes array: NumPy takes it four times faster than an object with
    `__array_interface__`, and Python has `__buffer__` only from 3.12 on.)"""

    class Owner(ctypes.c_char * size):  # type: ignore[misc]  # a base that is made at run time
        block: Block

        def __del__(self, release: Callable[[Block], None] = release) -> None:
            release(self.block)

    return Owner


def owner(nbytes: int) -> type:
    """The type of the base of an array of `nbytes` bytes, as `array` gives it."""
    return _owner(size_class(nbytes))


def array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A row-major array with arbitrary content, at a 64-byte boundary.

    Its memory goes back to the allocator when the array and all its views are gone. MemoryError if
    there is not enough.
    """
    nbytes = dtype.itemsize
    for extent in shape:
        nbytes *= extent
    block = allocate(nbytes)
    owner = _owner(block.size).from_address(block.address)
    owner.block = block  # type: ignore[attr-defined]
    return np.ndarray(shape, dtype, owner)  # type: ignore[arg-type]  # any buffer will do
