"""One step at a time: what changes tensors reads them, computes, and assigns, and no other such step of
this process comes in between. Native calls keep the interpreter's lock instead."""

from __future__ import annotations

import os
import threading


class _Steps:
    """A lock that a child process finds open, whatever the other threads of its parent did."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def open(self) -> None:
        self.lock = threading.RLock()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *error: object) -> None:
        self.lock.release()


STEPS = _Steps()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=STEPS.open)
