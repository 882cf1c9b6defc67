"""The worker threads of this process: how many, and starting them.

The threads are native ones that run `worker` of `region.py`; they never touch Python. They start
with the first large plan, spin for a moment after each region, then park. After a fork the child
has none, and starts its own. Where there are no POSIX threads, all runs on the caller's thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from typing import Any

import numpy as np

from . import region, runner, worth
from .forever import forever
from .limits import thread_limit

# A worker that found no work looks again for this long before it parks: longer than the Python code
# between two calls of a training loop, short enough not to matter to other processes.
SPIN_SECONDS = 50e-6
STACK_BYTES = 4 << 20


class Pool:
    """The workers and the state that they share; `address` is 0 as long as there are none.

    The state is never freed: a worker may look at it until the process ends.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.workers = 0
        self.address = 0
        self.failed = os.name != "posix"
        self._state: np.ndarray[Any, np.dtype[np.int64]] | None = None

    def reach(self, threads: int) -> int:
        """`address`, after starting workers for regions of `threads` threads as far as possible."""
        if self.workers < threads - 1 and not self.failed:
            with self.lock:
                self._grow(min(threads, region.MAX_THREADS) - 1)
        return self.address

    def _grow(self, workers: int) -> None:
        native = runner.functions()
        libc = ctypes.CDLL(None)
        if self._state is None:
            self._state, start = _new_state(libc, native["pauses"])
        else:
            start = self.address
        word = self._state[_aligned(self._state) :]
        while self.workers < workers:
            place = region.PLACES + region.PLACE_WORDS * self.workers
            word[place + region.STATE] = start
            thread = _start_thread(libc, native["worker"], start + 8 * place)
            if thread is None:
                self.failed = True  # a limit of the system: go on with those that there are
                break
            word[place + region.THREAD] = thread
            self.workers += 1
            word[region.WORKERS] = self.workers
        if self.workers:
            self.address = start


def _aligned(state: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """The first element at a 64-byte boundary."""
    return (-state.ctypes.data % 64) // 8


def _new_state(libc: ctypes.CDLL, pauses: int) -> tuple[np.ndarray[Any, np.dtype[np.int64]], int]:
    """A state without workers, and its address."""
    state = forever(np.zeros(region.STATE_WORDS + 8, np.int64))
    start = _aligned(state)
    address = state.ctypes.data + 8 * start
    names = ["mutex_lock", "mutex_unlock", "cond_wait", "cond_signal"]
    names = [*(f"pthread_{name}" for name in names), "sched_yield"]
    placing = ("sched_getcpu", "pthread_getaffinity_np", "pthread_setaffinity_np")
    if all(hasattr(libc, name) for name in placing):
        names += placing
    for k, name in enumerate(names):
        state[start + region.CALLS + k] = ctypes.cast(libc[name], ctypes.c_void_p).value or 0
    libc.pthread_mutex_init(ctypes.c_void_p(address + 8 * region.MUTEX), None)
    libc.pthread_cond_init(ctypes.c_void_p(address + 8 * region.CONDITION), None)
    spins, credit = _clocks(pauses)
    state[start + region.SPINS] = spins
    state[start + region.BALANCE] = state[start + region.CREDIT] = credit
    state[start + region.FACTOR] = worth.LEAST
    return state, address


def _clocks(pauses: int) -> tuple[int, int]:
    """How many pauses of the core take SPIN_SECONDS (one is 40 to 150 cycles on x86), and how many
    ticks of its clock `worth.CREDIT_SECONDS`."""
    pause = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(pauses)
    best, ticks = 1.0, 0
    for _ in range(3):
        start = time.perf_counter()
        found = pause(500)
        seconds = time.perf_counter() - start
        if seconds < best:
            best, ticks = seconds, found
    return max(50, min(int(500 * SPIN_SECONDS / best), 100_000)), int(ticks * worth.CREDIT_SECONDS / best)


def _start_thread(libc: ctypes.CDLL, worker: int, place: int) -> int | None:
    """Start a detached thread in `worker(place)` that gets no signals: its pthread_t, which stays
    valid because workers never end. None if the system has none left."""
    attributes = (ctypes.c_int64 * 32)()  # more than any system's pthread_attr_t
    thread = ctypes.c_void_p()
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK_BYTES))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        error: int = libc.pthread_create(
            ctypes.byref(thread), attributes, ctypes.c_void_p(worker), ctypes.c_void_p(place)
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        libc.pthread_attr_destroy(attributes)
    if error:
        return None
    libc.pthread_detach(thread)
    return ctypes.c_int64(thread.value or 0).value


def regions() -> int:
    """How many parallel regions this process has had, shared or not."""
    return ctypes.c_int64.from_address(_POOL.address + 8 * region.OPENED).value if _POOL.address else 0


_POOL = Pool()
_limit = 0
# What the native call path reads: the pool's state, the most threads of a call, and how many there are, the
# caller's among them (a call that may use more goes to Python, which starts them).
CELL = forever(np.array([0, region.MAX_THREADS, 1]))


def reach(threads: int) -> int:
    """The address of a state whose workers serve `threads` threads; 0 if all must run serially."""
    address = _POOL.reach(threads) if threads > 1 else 0
    if CELL[2] < threads:
        _publish()
    return address


def _publish() -> None:
    here = region.MAX_THREADS if _POOL.failed else _POOL.workers + 1
    CELL[:] = _POOL.address, _limit or region.MAX_THREADS, here


def get_num_threads() -> int:
    """The most threads that a call uses."""
    global _limit
    if not _limit:
        _limit = min(thread_limit(), region.MAX_THREADS)
        _publish()
    return _limit


def set_num_threads(threads: int) -> None:
    """Use at most `threads` threads per call. TypeError, ValueError unless it is an int >= 1."""
    global _limit
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"the number of threads must be an int, not {type(threads).__name__}")
    if threads < 1:
        raise ValueError(f"the number of threads must be at least 1, not {threads}")
    _limit = min(threads, region.MAX_THREADS)
    _publish()


def _after_fork() -> None:
    """The child has none of the threads, and perhaps a lock that one of them held."""
    global _POOL
    _POOL = Pool()
    _publish()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
