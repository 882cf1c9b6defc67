"""Arrays in the memory of a device: what a tensor has there in place of a NumPy array.

    home = ...                              # a GPU, or the simulator's memory
    stored = home.put(array)                # a copy there
    other = stored.seen(dtype, shape)       # the same bytes
    np.asarray(stored)                      # a copy here

A `Block` is memory of the device. It goes back when nobody holds it any more, neither array nor call nor
another library: in the order of the device's work, so that what was begun before still finds it.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]


class Home(Protocol):
    """A memory that arrays lie in. `where`: the device, as users say it."""

    @property
    def where(self) -> str: ...

    def new(self, nbytes: int) -> Block:
        """Memory with arbitrary content. MemoryError if there is not enough."""

    def put(self, array: Array) -> Stored:
        """A copy of an array. What is done to the array afterwards does not show."""

    def fetch(self, stored: Stored, to: Array) -> None:
        """The content, once all that was begun before has been done, to a row-major array of its size."""

    def copy(self, stored: Stored) -> Stored: ...

    def release(self, address: int) -> None:
        """The block at this address is not needed any more. It may be called by any thread at any time."""


class Block:
    """`nbytes` bytes from `address` on. `keeper`: who else must live as long, and whose they are, if that is
    another library."""

    __slots__ = ("__weakref__", "address", "home", "keeper", "nbytes")

    def __init__(self, home: Home, address: int, nbytes: int, keeper: object = None) -> None:
        self.home, self.address, self.nbytes, self.keeper = home, address, nbytes, keeper

    def __del__(self) -> None:
        if self.keeper is None:
            with suppress(Exception):  # at the end of the process
                self.home.release(self.address)


class Stored:
    """A row-major array at the beginning of a block. Its content does not change, but by a call that takes
    its memory over."""

    __slots__ = ("__weakref__", "block", "dtype", "shape")

    def __init__(self, block: Block, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.block, self.dtype, self.shape = block, dtype, shape

    @property
    def home(self) -> Home:
        return self.block.home

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def seen(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Stored:
        """The same bytes as another array of that size."""
        return Stored(self.block, dtype, shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError(f"what lies on {self.home.where} becomes an array by a copy only")
        found = np.empty(self.shape, self.dtype)
        self.home.fetch(self, found)
        return found if dtype is None else found.astype(dtype)

    def __repr__(self) -> str:
        return f"<{self.dtype.name}{[*self.shape]} on {self.home.where}>"
