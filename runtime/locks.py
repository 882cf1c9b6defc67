"""Locks that a fork does not carry over: a child finds them open, whoever of its parent's threads held
them."""

from __future__ import annotations

import _imp
import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any


class Lock:
    """`with lock():` takes it, again in the same thread, too. What it guards must be usable wherever a
    thread stops half-way. (The lock itself is Python's: an exception from a signal handler cannot come
    between taking it and the block.)"""

    __slots__ = ("_lock", "_process")

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[bool]:
        """Takes it if nobody has it; whether that was so."""
        lock: Any = self()
        taken = lock.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                lock.release()

    def __call__(self) -> AbstractContextManager[bool]:
        process = os.getpid()
        if self._process != process:
            with _FORK.renewal:
                if self._process != process:
                    self._lock, self._process = threading.RLock(), process
        return self._lock


class _Fork:
    """What a fork waits for, so that its child finds it whole and open."""

    def __init__(self) -> None:
        self.renewal = threading.Lock()  # guards the making of new locks in a child
        self.held: list[AbstractContextManager[Any]] = []
        self.taken: list[AbstractContextManager[Any]] = []

    def before(self) -> None:
        """Take all locks, while no other thread imports: it may need them, so none is kept meanwhile."""
        end = time.monotonic() + PATIENCE
        while True:
            for lock in (*self.held, *_llvms(), _Imports()):
                lock.__enter__()
                self.taken.append(lock)
            if not _importing() or time.monotonic() > end:
                return
            self.after()
            time.sleep(0.001)

    def after(self) -> None:
        while self.taken:
            self.taken.pop().__exit__(None, None, None)

    def in_child(self) -> None:
        self.renewal = threading.Lock()
        self.after()


def _llvms() -> list[AbstractContextManager[Any]]:
    """The lock of llvmlite, if that is there: whoever holds it is in the middle of LLVM."""
    ffi = sys.modules.get("llvmlite.binding.ffi")
    lock: Any = getattr(getattr(ffi, "lib", None), "_lock", None)
    return [lock] if hasattr(lock, "__enter__") and hasattr(lock, "__exit__") else []


PATIENCE = 5.0  # seconds that a fork waits for imports


class _Imports:
    """The lock without which no import begins."""

    def __enter__(self) -> None:
        _imp.acquire_lock()

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(RuntimeError):  # Python has made a new one in the child
            _imp.release_lock()


def _importing() -> bool:
    """Whether another thread imports: a module that is half imported stays locked in a child, and much of
    lucid is imported when it is first used."""
    modules = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    own = (None, threading.get_ident())
    return any(getattr(held(), "owner", None) not in own for held in list(modules.values()))


_FORK = _Fork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_FORK.before, after_in_parent=_FORK.after, after_in_child=_FORK.in_child)


def hold_across_forks(lock: AbstractContextManager[Any]) -> None:
    """A fork waits for `lock`: what it guards is whole in the child."""
    _FORK.held.append(lock)
