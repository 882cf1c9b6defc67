"""Regions are shared while that pays: a worker that another process keeps from its CPU is left alone."""

from __future__ import annotations

import ctypes
import os

import numpy as np
import pytest

import lucid
from lucid.runtime import pool, region, runner, worth

from .test_pool import Counting, launch

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are POSIX threads")

# Counts block k in cell k. Cell `BLOCKS` is the caller's thread: its blocks take a millisecond. Those of
# others take 100, as if they had lost their CPU, and are counted in the cell after it.
BLOCKS = 8
LATE = """
  %cell = getelementptr i64, ptr %cells, i64 %k
  %old = load i64, ptr %cell
  %new = add i64 %old, 1
  store i64 %new, ptr %cell
  %at.caller = getelementptr i64, ptr %cells, i64 8
  %at.late = getelementptr i64, ptr %cells, i64 9
  %caller = load i64, ptr %at.caller
  %self.fn = inttoptr i64 SELF to ptr
  %sleep.fn = inttoptr i64 SLEEP to ptr
  %self = call i64 %self.fn()
  %mine = icmp eq i64 %self, %caller
  %long = select i1 %mine, i32 1000, i32 100000
  %one = select i1 %mine, i64 0, i64 1
  %before = atomicrmw add ptr %at.late, i64 %one monotonic
  %error = call i32 %sleep.fn(i32 %long)
"""


def word(number: int) -> ctypes.c_int64:
    return ctypes.c_int64.from_address(pool._POOL.address + 8 * number)


def late() -> Counting:
    libc = ctypes.CDLL(None)
    text = LATE
    for name, function in (("SELF", "pthread_self"), ("SLEEP", "usleep")):
        text = text.replace(name, str(ctypes.cast(libc[function], ctypes.c_void_p).value))
    counting = Counting(BLOCKS, 1, function=launch("late", text))
    counting.all_cells = [np.zeros(BLOCKS + 2, np.int64)]
    libc.pthread_self.restype = ctypes.c_int64
    counting.all_cells[0][BLOCKS] = libc.pthread_self()
    return counting


def test_no_region_waits_again_for_a_worker_that_lost_its_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_POOL", pool.Pool())
    counting = late()
    for _ in range(60):
        counting.run(2)
    cells = counting.all_cells[0]
    assert (cells[:BLOCKS] == 60).all()
    # Each wait is as long as ten regions. The first one uses up the credit.
    assert cells[BLOCKS + 1] <= 10
    assert word(region.ALONE).value >= 30
    assert word(region.OPENED).value == 60


def test_regions_are_shared_again_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_POOL", pool.Pool())
    counting = Counting(64, 1)
    counting.run(2)
    if not word(region.CREDIT).value:
        pytest.skip("no clock on this machine")
    word(region.REST).value = 1 << 60
    for _ in range(5):
        counting.run(2)
    assert word(region.ALONE).value == 5
    assert 0 < word(region.REST).value < 1 << 60
    word(region.REST).value = 1  # over after the next one
    for _ in range(5):
        counting.run(2)
    assert word(region.ALONE).value == 6
    assert (counting.cells == 11).all()


CREDIT = 32000
TRIAL = CREDIT >> worth.TRIAL


class Account:
    """A state as `settle` sees it, with a clock that is at 0 when a region starts."""

    def __init__(self, credit: int = CREDIT) -> None:
        self.words = np.zeros(region.CALLS, np.int64)
        self.words[region.CREDIT] = self.words[region.BALANCE] = credit
        self.words[region.FACTOR] = worth.LEAST
        self.function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 7)(runner.functions()["settle"])

    def settle(self, own: int, theirs: int, called: int, worked: int, waited: int) -> tuple[int, ...]:
        """Balance, rest and factor after a region of which the caller did `own` blocks."""
        times = np.cumsum([0, called, worked, waited]).tolist()
        self.function(self.words.ctypes.data, own, theirs, *times)
        return tuple(self.words[[region.BALANCE, region.REST, region.FACTOR]].tolist())


def test_what_sharing_gains() -> None:
    account = Account()
    assert account.settle(4, 4, 0, 100, 0) == (CREDIT, 0, 4)  # at most the credit
    assert account.settle(4, 4, 10, 100, 50) == (CREDIT - 10, 0, 4)  # 50 spared, 60 lost
    assert account.settle(2, 6, 0, 100, 145) == (CREDIT - 5, 0, 4)
    assert account.settle(8, 0, 7, 1000, 0) == (CREDIT - 12, 0, 4)  # called, but nobody came
    assert account.settle(0, 8, 5, 0, 9000) == (CREDIT - 12, 0, 4)  # the others did it all
    assert account.settle(4, 4, 0, 24, 0) == (CREDIT, 0, 4)


def test_who_loses_stays_alone_for_longer_each_time() -> None:
    account = Account()
    assert account.settle(1, 1, 0, 0, CREDIT) == (0, 0, 4)
    assert account.settle(1, 1, 0, 0, 500) == (TRIAL, 4 * (TRIAL + 500), 8)
    for factor in (8, 16, 32, 64, 64):
        # The trial, and 7 more.
        rest = factor * (TRIAL + 7)
        assert account.settle(1, 1, 0, 0, TRIAL + 7) == (TRIAL, rest, min(2 * factor, 64))
    # Less than all of the credit is not enough to be trusted as before.
    assert account.settle(1, 1, 0, 2 * (CREDIT - TRIAL) - 2, 0)[2] == 64
    assert account.settle(1, 1, 0, 2, 0)[::2] == (CREDIT, 4)


def test_the_longest_rest() -> None:
    account = Account()
    assert account.settle(1, 1, 0, 0, 1000 * CREDIT) == (TRIAL, CREDIT << worth.LONGEST, 8)


def test_without_a_clock_all_regions_are_shared() -> None:
    account = Account(credit=0)
    for _ in range(5):
        assert account.settle(1, 7, 0, 0, 0) == (0, 0, 4)


def test_alone_or_shared_the_bits_are_the_same() -> None:
    rng = np.random.default_rng(7)
    x = lucid.tensor(rng.standard_normal(300_000, np.float32))
    f = lucid.compile(lambda x: ((x * x).sum(), x - x.mean()), threads=2)
    shared = f(x)
    if not pool._POOL.address:
        pytest.skip("the system starts no threads")
    before = word(region.ALONE).value
    word(region.REST).value = 1 << 60
    try:
        alone = f(x)
    finally:
        word(region.REST).value = 0
    assert word(region.ALONE).value > before
    for a, b in zip(shared, alone, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()
