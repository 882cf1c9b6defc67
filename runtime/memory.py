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
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data

from .limits import whole_number
from .locks import hold_across_forks

Array = np.ndarray[Any, np.dtype[Any]]

ALIGNMENT = 64
HUGE_PAGE = 2 << 20
# From here on a block is a mapping of its own: below, a huge page would mostly be waste.
LARGE = 4 << 20
# From here on a block is cut from a slab.
MIDDLE = 256 << 10
SLAB = 32 << 20


@data(eq=False)
class Piece:
    """`size` bytes of memory at `address`, which live as long as `holder`: what they lie in."""

    address: int
    size: int
    holder: object


class Block:
    """A piece that is in use, as long as this object lives."""

    __slots__ = ("__weakref__", "address", "holder", "size")

    def __init__(self, piece: Piece) -> None:
        self.address, self.size, self.holder = piece.address, piece.size, piece.holder


class _Lease(weakref.ref[Block]):
    """A block and its piece, which comes back when the block is gone."""

    __slots__ = ("piece",)

    piece: Piece


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
    set_by_user = whole_number(os.environ.get("LUCID_MEMORY_CACHE", ""), -1)
    if set_by_user >= 0:
        return set_by_user
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        memory = 4 << 30
    return min(memory // 4, 2 << 30)


class Allocator:
    """The blocks of one process. Every method may be called from any thread.

    A block's death runs no code of ours, which a signal handler's exception could stop half-way, or which
    could swallow that: its lease goes to a queue, and whoever comes next takes the memory back. What is in
    use is what the leases say. So wherever a method stops, at most a cached piece is lost to the system.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        # Reentrant: a signal handler may allocate, too.
        self.lock = threading.RLock()
        self._free: dict[int, list[Piece]] = {}
        self._leases: dict[int, _Lease] = {}
        self._dead: deque[weakref.ref[Block]] = deque()
        self._slab: Piece | None = None  # what is left of it
        self._used = self._cached = self._peak = 0

    def allocate(self, nbytes: int) -> Block:
        """A block of at least `nbytes` bytes of arbitrary content. MemoryError if there is none."""
        size = size_class(nbytes)
        with self.lock:
            if self._dead:
                self._take_back()
            stack = self._free.get(size)
            if stack:
                self._cached -= size
                return self._lent(stack.pop())
        try:
            piece = self._fresh(size)
        except (MemoryError, OSError, OverflowError, ValueError):
            self.empty()
            try:
                piece = self._fresh(size)
            except (MemoryError, OSError, OverflowError, ValueError):
                raise MemoryError(f"cannot allocate {nbytes:,} bytes") from None
        with self.lock:
            return self._lent(piece)

    def _lent(self, piece: Piece) -> Block:
        block = Block(piece)
        lease = _Lease(block, self._dead.append)
        # A mapping that is too large to be cached goes with its block.
        goes = piece.size > self.cap and piece.size >= LARGE
        lease.piece = Piece(piece.address, piece.size, None) if goes else piece
        self._leases[id(lease)] = lease
        self._used += piece.size
        if self._used > self._peak:
            self._peak = self._used
        return block

    def _take_back(self) -> None:
        """The memory of blocks that are gone."""
        while self._dead:
            lease = self._leases.pop(id(self._dead.popleft()), None)
            if lease is None:
                continue
            piece = lease.piece
            self._used -= piece.size
            if piece.size > self.cap:
                _give_back(piece)
                continue
            if self._cached + piece.size > self.cap:
                # Sizes that are no longer asked for would fill the cap for ever: start afresh.
                self._give_all_back()
            self._free.setdefault(piece.size, []).append(piece)
            self._cached += piece.size

    def empty(self) -> None:
        """Give every cached block back to the system."""
        with self.lock:
            self._take_back()
            self._give_all_back()

    def _give_all_back(self) -> None:
        self._slab = None
        for stack in self._free.values():
            while stack:
                _give_back(stack.pop())
        self._cached = 0

    def _fresh(self, size: int) -> Piece:
        """New memory from the system."""
        if not MIDDLE <= size < LARGE:
            return _mapping(size) if size >= LARGE else _piece(size)
        with self.lock:
            rest = self._slab
            if rest is None or rest.size < size:
                rest = _mapping(SLAB)
            self._slab = Piece(rest.address + size, rest.size - size, rest.holder)
            return Piece(rest.address, size, rest.holder)

    def statistics(self) -> Statistics:
        with self.lock:
            self._take_back()
            self._leases = {k: lease for k, lease in self._leases.items() if lease() is not None}
            self._used = sum(lease.piece.size for lease in self._leases.values())
            self._cached = sum(size * len(stack) for size, stack in self._free.items())
            return Statistics(self._used, self._cached, self._peak)

    def reset_peak(self) -> None:
        """Count the peak from here on."""
        with self.lock:
            self._peak = self.statistics().used


def _piece(size: int) -> Piece:
    bytes_ = np.empty(size + ALIGNMENT, np.uint8)
    return Piece(-(-bytes_.ctypes.data // ALIGNMENT) * ALIGNMENT, size, bytes_)


def _mapping(size: int) -> Piece:
    """Huge pages, where the system has them, and private: a child process gets a copy."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    pages = mmap.mmap(-1, size + HUGE_PAGE, **private)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    start = np.frombuffer(pages, np.uint8).ctypes.data
    return Piece(-(-start // HUGE_PAGE) * HUGE_PAGE, size, pages)


def _give_back(block: Piece) -> None:
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
hold_across_forks(_ALLOCATOR.lock)

allocate = _ALLOCATOR.allocate
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
    """The type of the base of an array: exports a block of `size` bytes, and holds it until the last view
    is gone. (A ctypes array: NumPy takes it four times faster than an object with
    `__array_interface__`, and Python has `__buffer__` only from 3.12 on.)"""

    class Owner(ctypes.c_char * size):  # type: ignore[misc]  # a base that is made at run time
        block: Block

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
