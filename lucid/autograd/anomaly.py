"""`torch.autograd`'s way to ask what made a NaN: the search of `nans.py`, switched on in a program."""

from __future__ import annotations

from weakref import ref

from ..context import MODE, Mode
from ..engine import evaluate
from ..errors import TraceError, here
from ..lanes import values_known
from ..tensor import Tensor
from ..unread import UNREAD


class detect_anomaly:  # PyTorch's name
    """Inside, whatever is computed is looked at: FloatingPointError where there is a NaN that no input has,
    forward or backward, which names the line, the operation and its operands as `LUCID_NAN=1` does. What has
    not been computed when the block ends is computed then. Compiled functions are compiled again for it.

    `check_nan=False` looks at nothing. TraceError in a compiled function: that is looked at as a whole.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._looking = "nan" if check_nan else ""
        self._before: list[str] = []
        self._older: list[list[ref[Tensor]]] = []

    def __enter__(self) -> None:
        self._before.append(_look(self._looking))
        self._older.append(UNREAD.set_aside())

    def __exit__(self, kind: object, *error: object) -> None:
        newer = UNREAD.give_back(self._older.pop())
        try:
            if kind is None and self._looking and values_known():
                evaluate([tensor._node for tensor in newer])
        finally:
            _look(self._before.pop())


class set_detect_anomaly(detect_anomaly):  # PyTorch's name
    """`detect_anomaly` from here on, or, as a context manager, inside; `mode` False: no more."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(mode and check_nan)
        self._before.append(_look(self._looking))

    def __enter__(self) -> None:
        before = _look(self._looking)
        if not self._before:  # again
            self._before.append(before)
        self._older.append(UNREAD.set_aside())


def _look(looking: str) -> str:
    """What was looked for before."""
    before = MODE.get()
    if before.trace is not None:
        raise TraceError(here("detect_anomaly: call it around the compiled function, not inside"))
    MODE.set(Mode(None, before.grad, looking))
    return before.looking
