"""A batch: some blocks of a grid, all of their threads side by side, and the groups of threads that go
together.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .memory import Space
from .ptx import Array, Instruction, PtxError
from .races import Race, Shadow, Who

if TYPE_CHECKING:
    from .machine import Launch

Dims = tuple[int, int, int]
Env = list[Array | None]


class Batch:
    """Threads 0 … size - 1 of some blocks. `values[r]` is register r of all of them, or one value for all;
    `known[r]` says of which threads it was written: all, none, or those of a mask.
    """

    def __init__(
        self, of: Launch, first: int, blocks: int, spaces: dict[str, Space], shadows: dict[str, Shadow]
    ) -> None:
        self.module, self.grid, self.block_dims = of.module, of.grid, of.block
        self.first, self.blocks = first, blocks
        self.spaces, self.shadows, self.addresses, self.counts = spaces, shadows, of.addresses, of.counts
        self.threads, self.between, now = of.threads, of.between, of.now
        self.size = size = blocks * self.threads
        self.warps_of_block = -(-self.threads // 32)
        self.block = np.repeat(np.arange(blocks), self.threads)
        self.thread = np.tile(np.arange(self.threads), blocks)
        self.number = (self.block + first) << 10 | self.thread
        self.warp = self.block * self.warps_of_block + (self.thread >> 5)
        self.lane = self.thread & 31
        self.place = self.warp << 5 | self.lane
        self.rows = {"shared": self.block, "local": np.arange(size)}
        self.alive = np.ones(size, np.bool_)
        self.now = now
        self.clock, self.barrier = np.full(size, now), np.full(size, now)
        self.values: Env = [None] * len(of.entry.registers)
        self.known: list[Array | bool] = [False] * len(of.entry.registers)
        self.waiting = np.full(size, -1, np.int64)  # at the barrier of this block of code
        self.barrier_number = np.zeros(size, np.int64)
        self.everyone = np.arange(size)
        self._specials: dict[str, Array] = {}

    def special(self, name: str) -> Array:
        """A special register, of all threads."""
        if name not in self._specials:
            self._specials[name] = np.atleast_1d(self._special(name)).astype(np.uint32)
        return self._specials[name]

    def _special(self, name: str) -> Array | int:
        head, _, axis = name.partition(".")
        n, dims = "xyz".index(axis), self.block_dims if head in ("tid", "ntid") else self.grid
        if head in ("ntid", "nctaid"):
            return dims[n]
        index = self.thread if head == "tid" else self.block + self.first
        return (index // int(np.prod(dims[:n]))) % dims[n]

    def who(self, lane: int) -> str:
        """A thread, in words."""
        return self.name_of(int(self.number[lane]))

    def name_of(self, number: int) -> str:
        def place(n: int, dims: Dims) -> str:
            return f"({n % dims[0]}, {n // dims[0] % dims[1]}, {n // dims[0] // dims[1]})"

        return f"thread {place(number & 1023, self.block_dims)} of block {place(number >> 10, self.grid)}"


class Group:
    """Threads of a batch that execute a block of code together: all, or those of `lanes`, in order."""

    def __init__(self, batch: Batch, lanes: Array) -> None:
        self.batch = batch
        self.all = lanes.size == batch.size
        self.lanes = lanes
        self.size = lanes.size

    def of(self, values: Array) -> Array:
        """What all threads have, of those of the group."""
        return values if self.all or values.size == 1 else values[self.lanes]

    @cached_property
    def warp(self) -> Array:
        return self.of(self.batch.warp)

    @cached_property
    def warps(self) -> int:
        """How many warps take part."""
        if self.all:
            return self.batch.blocks * self.batch.warps_of_block
        return int(np.count_nonzero(np.diff(self.warp))) + 1

    @cached_property
    def whole(self) -> bool:
        """Whether all threads of every warp that takes part do, and warps have 32."""
        return self.batch.threads % 32 == 0 and self.warps * 32 == self.size

    @cached_property
    def number(self) -> Array:
        return self.of(self.batch.number)

    def rows(self, space: str) -> Array | None:
        rows = self.batch.rows.get(space)
        return None if rows is None else self.of(rows)

    def who(self) -> Who:
        batch = self.batch
        return Who(self.number, self.of(batch.clock), self.of(batch.barrier), batch.between)

    def synchronised(self) -> None:
        """What the threads of a warp did before comes before what they do from now on."""
        batch = self.batch
        batch.now += 1
        batch.clock[self.lanes] = batch.now

    def error(self, kind: str, i: Instruction, n: int, message: str) -> PtxError:
        """An error of thread n of the group."""
        return self.batch.module.error(kind, f"{self.batch.who(int(self.lanes[n]))} {message}", i)

    def race(self, i: Instruction, race: Race, does: str, what: str) -> PtxError:
        other = self.batch.name_of(race.other)
        if race.several:
            other = f"several threads, {other} among them,"
        before = {
            "read": "read",
            "write": "wrote",
            "atomic": "changed atomically",
            "constant": "read by ld.global.nc",
        }
        same = race.other >> 10 == int(self.number[race.lane]) >> 10
        since = "without a barrier between" if same else "in the same launch"
        return self.error("race", i, race.lane, f"{does} {what}, which {other} {before[race.before]} {since}")
