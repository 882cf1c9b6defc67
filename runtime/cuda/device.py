"""A GPU: its primary context, one stream, memory from the driver's pool, modules that were made for it.

All work goes into the one stream, and is done in its order. Who waits for it (`synchronize`) hears of what
went wrong since somebody waited last; `begun` has the words for what that may have been.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import c_float, c_size_t, c_uint64
from typing import Any

import numpy as np

from .. import memory
from ..locks import Lock
from ..stored import Block, Stored
from .driver import Driver
from .errors import ELSEWHERE, FORKED, NO_DEVICE, OUT_OF_MEMORY, CudaError, described
from .modules import load

Array = np.ndarray[Any, Any]

# Of enumerations of cuda.h.
_MAJOR, _MINOR, _POOLS, _PROCESSORS = 75, 76, 115, 16
_SHARED, _CLOCK, _MEMORY_CLOCK, _BUS = 8, 13, 36, 37  # bytes a block, kHz, kHz, bits
_NON_BLOCKING = 1
_RELEASE_THRESHOLD = 4
_NO_TIMING = 2

# Bytes of an array of which the driver gets a copy of ours, so that nobody waits; and how many of these, and
# of the words for what has begun, are kept.
SMALL, KEPT = 4096, 256
LEGACY = 1  # the default stream, CU_STREAM_LEGACY
LISTED = 8  # kernels that an error names at most
TELLS = "LUCID_CUDA_SYNC=1 tells which"


class Device:
    """`capability` is (9, 0) for sm_90. Everything is done in the order of one stream; whoever uses the
    device holds it (`with device.held():`), so that calls of several threads come one after the other. It is
    a `Home` of arrays.

    CudaError where there is no driver, no such device, or the driver is too old. After an error that is
    `sticky` the driver does nothing more for this process: each call raises it again.
    """

    def __init__(self, ordinal: int = 0) -> None:
        self.driver = driver = Driver()
        if not driver.number("cuDeviceGetCount"):
            raise described("cuDeviceGetCount", NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no device")
        self.ordinal, self._device = ordinal, driver.number("cuDeviceGet", ordinal)
        name = ctypes.create_string_buffer(256)
        driver("cuDeviceGetName", name, len(name), self._device)
        self.name = name.value.decode()
        self.capability = self.attribute(_MAJOR), self.attribute(_MINOR)
        self.processors, self.shared = self.attribute(_PROCESSORS), self.attribute(_SHARED)
        if not self.attribute(_POOLS):
            raise CudaError(f"{self.name} under this driver has no memory pools; {ELSEWHERE}", NO_DEVICE)
        self.lost: CudaError | None = None
        self._lock, self._process = Lock(), os.getpid()
        self._inside = 0  # how often the thread that has the device has it
        self._modules: dict[str, tuple[int, dict[str, int]]] = {}
        self._graphs: set[tuple[int, int]] = set()
        self._gone: list[tuple[int, int]] = []  # of owners that have gone
        self._freed: list[int] = []  # blocks that nobody holds, which the driver is not told of yet
        self._back: list[tuple[Block, int | None]] = []  # from other libraries, which worked on that stream
        self._foreign: list[Callable[[], Any]] = []  # what tells other libraries that theirs is not needed
        self._copies: list[Array] = []  # that the driver may still read
        self.begun: dict[str, None] = {}  # kernels since somebody waited, in words
        self._context = driver.make("cuDevicePrimaryCtxRetain", self._device)
        try:
            with self.held():
                self._pool = driver.make("cuDeviceGetDefaultMemPool", self._device)
                # What is freed stays at hand; `trim` gives it back.
                driver(
                    "cuMemPoolSetAttribute", self._pool, _RELEASE_THRESHOLD, ctypes.byref(c_uint64(2**64 - 1))
                )
                self.stream = driver.make("cuStreamCreate", _NON_BLOCKING)
        except CudaError:
            driver("cuDevicePrimaryCtxRelease_v2", self._device)
            raise

    def bandwidth(self) -> float:
        """Of memory, in bytes a second, as its clock and its width have it; 0 where the driver does not
        say."""
        return 2 * 1e3 * self.attribute(_MEMORY_CLOCK) * self.attribute(_BUS) / 8

    def multiply_adds(self) -> float:
        """Operations of float32 a second at the clock of the processors, two for each fused one."""
        cores = 64 if self.capability in ((7, 5), (8, 0)) else 128
        return 2 * 1e3 * self.attribute(_CLOCK) * self.processors * cores

    def attribute(self, number: int) -> int:
        return self.driver.number("cuDeviceGetAttribute", number, self._device)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The device is this thread's, and its context current; which one was is so again afterwards."""
        if os.getpid() != self._process:
            what = "the GPU was used before this process was forked, so its driver does not serve it"
            raise CudaError(f'{what}; start processes by "spawn"', FORKED)
        with self._lock():
            if self.lost is not None:
                raise self.lost.within("an earlier call has failed")
            try:
                self.driver("cuCtxPushCurrent_v2", self._context)
                self._inside += 1
                try:
                    self._drop()
                    yield
                finally:
                    if self._inside == 1:
                        self._drop()
                    self._inside -= 1
                    with suppress(CudaError):  # what is wrong has been said
                        self.driver.make("cuCtxPopCurrent_v2")
            except CudaError as error:
                if error.sticky:
                    self.lost = self.lost or error
                raise

    def allocate(self, nbytes: int) -> int:
        """The address of so many new bytes, in the order of the stream. OutOfMemory."""
        found = c_uint64()
        try:
            self.driver("cuMemAllocAsync", found, max(nbytes, 1), self.stream)
        except CudaError as error:
            if error.code != OUT_OF_MEMORY:
                raise
            self.trim()  # what others have freed may be in pieces
            try:
                self.driver("cuMemAllocAsync", found, max(nbytes, 1), self.stream)
            except CudaError:
                free, total = c_size_t(), c_size_t()
                self.driver("cuMemGetInfo_v2", free, total)
                there = f"{free.value:,} of {total.value:,} bytes are free"
                raise error.within(f"{nbytes:,} bytes on {self.name}, where {there}") from None
        return found.value

    def free(self, address: int) -> None:
        self.driver("cuMemFreeAsync", address, self.stream)

    # as a home of arrays

    where = "cuda"

    def new(self, nbytes: int) -> Block:
        with self.held():
            return Block(self, self.allocate(nbytes), nbytes)

    def put(self, array: Array) -> Stored:
        with self.held():
            return self.brought(array)

    def brought(self, array: Array) -> Stored:
        """A copy of an array, by who holds the device."""
        source = np.require(array, array.dtype.newbyteorder("="), "C")
        found = Stored(self.new(source.nbytes), source.dtype, source.shape)
        if source.nbytes <= SMALL:
            if len(self._copies) >= KEPT:
                self.synchronize()
            source = np.array(source, order="C")
            self._copies.append(source)
            self.upload(found.block.address, source)
        else:
            self.upload(found.block.address, source)
            self.synchronize()  # then its owner may change it
        return found

    def fetch(self, stored: Stored, to: Array) -> None:
        with self.held():
            self.download(to, stored.block.address)
            self.synchronize()

    def copy(self, stored: Stored) -> Stored:
        with self.held():
            found = Stored(self.new(stored.nbytes), stored.dtype, stored.shape)
            if stored.nbytes:
                places = found.block.address, stored.block.address
                self.driver("cuMemcpyDtoDAsync_v2", *places, stored.nbytes, self.stream)
            return found

    def release(self, address: int) -> None:
        """It goes now, if nobody has the device; else with the others, when that one is done. Nobody waits:
        who lets go of a block may hold a lock for which the thread that has the device waits."""
        self._freed.append(address)
        self._soon()

    def _soon(self) -> None:
        """Drop what is to be dropped, if nobody has the device."""
        if not self._inside and self.usable():
            with self._lock.at_once() as free:
                if free:
                    with suppress(CudaError), self.held():
                        pass

    def order(self, first: int, then: int) -> None:
        """What begins in stream `then` from now on waits for what has been begun in `first`. One of them may
        be another library's."""
        with self.held():
            event = self.driver.make("cuEventCreate", _NO_TIMING)
            try:
                self.driver("cuEventRecord", event, first)
                self.driver("cuStreamWaitEvent", then, event, 0)
            finally:
                with suppress(CudaError):
                    self.driver("cuEventDestroy_v2", event)

    def returned(self, block: Block, stream: int | None) -> None:
        """A library that worked on a block by that stream (None: by some) does not need it any more."""
        self._back.append((block, stream))
        self._soon()

    def let_go(self, tell: Callable[[], Any]) -> None:
        """To be told once what was begun here has been done."""
        self._foreign.append(tell)
        self._soon()

    def note(self, kernels: Iterable[str]) -> None:
        """These have been put into the stream."""
        for words in kernels:
            self.begun.pop(words, None)
            self.begun[words] = None
        while len(self.begun) > KEPT:
            del self.begun[next(iter(self.begun))]

    def trim(self) -> None:
        """Give memory that is free back to the driver."""
        self.synchronize()
        self.driver("cuMemPoolTrimTo", self._pool, 0)

    def upload(self, address: int, array: Array) -> None:
        """`array`: row-major, and not changed before `synchronize`."""
        if array.nbytes:
            self.driver("cuMemcpyHtoDAsync_v2", address, array.ctypes.data, array.nbytes, self.stream)

    def download(self, array: Array, address: int) -> None:
        """`array`, row-major, has the content after `synchronize`."""
        if array.nbytes:
            self.driver("cuMemcpyDtoHAsync_v2", array.ctypes.data, address, array.nbytes, self.stream)

    def synchronize(self) -> None:
        """Wait until all is done. CudaError, with what has begun since somebody waited last."""
        try:
            self.driver("cuStreamSynchronize", self.stream)
        except CudaError as error:
            names = list(self.begun)
            if not names or not error.sticky:
                raise
            said = names[0] if len(names) == 1 else f"one of {', '.join(names[-LISTED:])} ({TELLS})"
            raise error.within(said) from None
        finally:
            self.begun.clear()
            self._copies.clear()

    def functions(self, text: str, entries: Sequence[str]) -> dict[str, int]:
        """The handles of the entries of a PTX text, which is compiled once. CudaError, with what the driver's
        compiler says."""
        if text not in self._modules:
            arch = "sm_{}{}".format(*self.capability)
            self._modules[text] = load(self.driver, arch, text, entries)
        return self._modules[text][1]

    @contextmanager
    def timed(self, seconds: list[float]) -> Iterator[None]:
        """Adds how long what is put into the stream takes there, measured by events; it waits for that."""
        events: list[int] = []
        try:
            events += [self.driver.make("cuEventCreate", 0) for _ in range(2)]
            self.driver("cuEventRecord", events[0], self.stream)
            yield
            self.driver("cuEventRecord", events[1], self.stream)
            self.driver("cuEventSynchronize", events[1])
            found = c_float()
            self.driver("cuEventElapsedTime", found, *events)
            seconds.append(found.value / 1000)
        finally:
            for event in events:
                with suppress(CudaError):
                    self.driver("cuEventDestroy_v2", event)

    def keep(self, owner: object, graph: int, run: int) -> None:
        """A graph, and what runs it, go at the next use of the device after their owner has gone: who frees
        that may hold a lock for which the thread that has the device waits."""
        self._graphs.add((graph, run))
        weakref.finalize(owner, self._gone.append, (graph, run))

    def _drop(self) -> None:
        while self._back:
            block, stream = self._back.pop()
            with suppress(CudaError):
                if stream == LEGACY:
                    self.order(LEGACY, self.stream)
                else:  # its stream may be gone by now
                    self.driver("cuCtxSynchronize")
            del block
        if self._foreign:
            with suppress(CudaError):
                self.synchronize()
            while self._foreign:
                self._foreign.pop()()
        while self._freed:
            with suppress(CudaError):
                self.free(self._freed.pop())
        while self._gone:
            graph, run = found = self._gone.pop()
            if found in self._graphs:
                self._graphs.remove(found)
                with suppress(CudaError):
                    self.driver("cuGraphExecDestroy", run)
                    self.driver("cuGraphDestroy", graph)

    def usable(self) -> bool:
        return bool(self._context) and self.lost is None and os.getpid() == self._process

    def close(self) -> None:
        """Give back all that the driver keeps for this process."""
        if self.usable():
            with suppress(CudaError):
                with self.held():
                    self._gone += self._graphs
                    self._drop()
                    self.trim()
                    for module, _ in self._modules.values():
                        self.driver("cuModuleUnload", module)
                    self.driver("cuStreamDestroy_v2", self.stream)
                self.driver("cuDevicePrimaryCtxRelease_v2", self._device)
        self._context, self._modules = 0, {}
        for kept in (self._freed, self._back, self._foreign):
            kept.clear()


_LOCK = Lock()
_open: list[Device] = []


def device() -> Device:
    """The first GPU that the driver shows (CUDA_VISIBLE_DEVICES says which), opened once. CudaError."""
    with _LOCK():
        if not _open:
            _open.append(Device())
        return _open[0]


def _let_go() -> None:
    with _LOCK():
        for gpu in _open:
            with suppress(CudaError), gpu.held():
                gpu.trim()


memory.keepers.append(_let_go)


def shut() -> None:
    """Close the device, if it is open."""
    with _LOCK():
        while _open:
            _open.pop().close()


atexit.register(shut)
