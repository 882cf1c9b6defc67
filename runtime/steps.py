"""One step at a time: what changes tensors reads them, computes, and assigns, and no other such step of
this process comes in between.

In Python a step holds a lock. A native call that changes something holds the interpreter's lock, and leaves
the call to Python, which waits, while a step in Python is under way: `UNDER_WAY[0]` counts those.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .forever import forever
from .locks import Lock

T = TypeVar("T")

UNDER_WAY = forever(np.zeros(1, np.int64))


_LOCK = Lock()


def run(step: Callable[..., T], *args: Any) -> T:
    """`step(*args)`, while no other step is under way."""
    with _LOCK():
        UNDER_WAY[0] += 1
        try:
            return step(*args)
        finally:
            if UNDER_WAY[0]:  # not in a child that the step itself has forked
                UNDER_WAY[0] -= 1


def _none_under_way() -> None:
    UNDER_WAY[0] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_none_under_way)
