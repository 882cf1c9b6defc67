"""One step at a time: what changes tensors reads them, computes, and assigns, and no other such step of
this process comes in between.

In Python a step holds a lock. A native call that changes something holds the interpreter's lock, and leaves
the call to Python, which waits, while a step in Python is under way: `UNDER_WAY[0]` counts those.
"""

from __future__ import annotations

import os
import threading

import numpy as np

from .forever import forever

UNDER_WAY = forever(np.zeros(1, np.int64))


class _Steps:
    """A lock that a child process finds open, whatever the other threads of its parent did."""

    def __init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.lock = threading.RLock()
        UNDER_WAY[0] = 0

    def __enter__(self) -> None:
        self.lock.acquire()
        UNDER_WAY[0] += 1

    def __exit__(self, *error: object) -> None:
        if UNDER_WAY[0]:  # not in a child that the step itself has forked
            UNDER_WAY[0] -= 1
            self.lock.release()


STEPS = _Steps()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=STEPS.open)
