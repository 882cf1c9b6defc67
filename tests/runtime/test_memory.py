"""The caching allocator."""

from __future__ import annotations

import ctypes
import gc
import mmap
import multiprocessing
import os
import sys
import threading
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lucid.runtime import memory
from lucid.runtime.memory import Allocator, size_class


@given(st.integers(0, 1 << 40))
def test_size_class(nbytes: int) -> None:
    size = size_class(nbytes)
    assert size >= max(nbytes, 64) and size % 64 == 0
    assert size <= max(64, nbytes + max(nbytes // 8, 64))
    assert size_class(size) == size


@pytest.mark.parametrize("nbytes", [0, 1, 64, 1000, 1 << 20, memory.LARGE, memory.LARGE + 1])
def test_a_block_is_aligned_writable_and_reused(nbytes: int) -> None:
    allocator = Allocator(1 << 30)
    block = allocator.allocate(nbytes)
    assert block.address % 64 == 0 and block.size >= nbytes
    if block.size >= memory.LARGE:
        assert block.address % memory.HUGE_PAGE == 0
    address = block.address
    del block
    assert allocator.allocate(nbytes).address == address


def test_statistics_and_cap() -> None:
    allocator = Allocator(cap=4096)
    blocks = [allocator.allocate(1024) for _ in range(4)]
    assert allocator.statistics() == memory.Statistics(4096, 0, 4096)
    blocks.clear()
    assert allocator.statistics() == memory.Statistics(0, 4096, 4096)
    allocator.allocate(512)  # beyond the cap: what was cached is given back
    assert allocator.statistics() == memory.Statistics(0, 512, 4096)
    allocator.allocate(8192)  # larger than the cap: never cached
    assert allocator.statistics().cached == 512
    allocator.empty()
    assert allocator.statistics().cached == 0
    allocator.reset_peak()
    assert allocator.statistics().peak == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("nbytes", [64, memory.MIDDLE, memory.LARGE])
def test_a_child_writes_to_memory_of_its_own(nbytes: int) -> None:
    array = memory.array((nbytes,), np.dtype(np.uint8))
    array[:] = 1
    child = os.fork()
    if child == 0:
        array[:] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert (array == 1).all()


@pytest.mark.parametrize("cap", [1 << 30, 0])
def test_blocks_of_a_slab_are_apart_and_given_back_one_by_one(cap: int) -> None:
    allocator = Allocator(cap)
    sizes = [memory.MIDDLE, 3 * memory.MIDDLE, memory.LARGE * 3 // 4, memory.MIDDLE] * 12  # several slabs
    blocks: list[Any] = [allocator.allocate(size) for size in sizes]
    spans = sorted((b.address, b.address + b.size) for b in blocks)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert len({id(b.holder) for b in blocks}) < len(blocks) / 4
    arrays = [(ctypes.c_char * b.size).from_address(b.address) for b in blocks]
    for k, array in enumerate(arrays):
        ctypes.memset(array, k + 1, len(array))
    blocks[::2] = [None] * len(blocks[::2])
    allocator.empty()
    for k, array in enumerate(arrays):
        wanted = 0 if k % 2 == 0 and hasattr(mmap, "MADV_DONTNEED") else k + 1
        assert k % 2 == 0 or set(array.raw) == {wanted}
        assert not hasattr(mmap, "MADV_DONTNEED") or array.raw[4096] == wanted


def test_too_much_is_a_memory_error() -> None:
    allocator = Allocator(1 << 20)
    with pytest.raises(MemoryError, match="bytes"):
        allocator.allocate(1 << 60)
    assert allocator.statistics().used == 0


@pytest.mark.parametrize("shape", [(), (0,), (0, 5), (3,), (7, 11), (1 << 20, 2)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "?", "u2"])
def test_array(shape: tuple[int, ...], dtype: str) -> None:
    array = memory.array(shape, np.dtype(dtype))
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % 64 == 0
    array[...] = 1
    assert array.sum() == array.size


def test_memory_comes_back_when_the_last_view_dies() -> None:
    gc.collect()
    before = memory.statistics().used
    array = memory.array((1000,), np.dtype("f4"))
    address = array.ctypes.data
    view = array[10:].reshape(-1, 10)
    size = size_class(4000)
    assert memory.statistics().used == before + size
    del array
    assert memory.statistics().used == before + size
    view[...] = 5
    del view
    assert memory.statistics().used == before
    again = memory.array((1000,), np.dtype("f4"))
    assert again.ctypes.data == address


def test_arrays_in_cycles_and_many_threads() -> None:
    gc.collect()
    before = memory.statistics().used
    failures = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for k in range(300):
            array = memory.array((int(random.integers(1, 5000)),), np.dtype("i8"))
            array[...] = seed * 1000 + k
            cycle: list[object] = [array]
            cycle.append(cycle)
            if (array != seed * 1000 + k).any():
                failures.append(k)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not failures
    assert memory.statistics().used == before


def _child(queue: multiprocessing.Queue[bool]) -> None:
    array = memory.array((5000,), np.dtype("f4"))
    array[...] = 3
    queue.put(bool((array == 3).all()))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_fork() -> None:
    context = multiprocessing.get_context("fork")
    mine = memory.array((5000,), np.dtype("f4"))
    mine[...] = 1
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30)
    child.join()
    assert (mine == 1).all()
