"""What surrounds an operation: whether gradients are wanted, and the trace that records it, if
any."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .trace import Trace


class Mode(NamedTuple):
    """`trace` is None outside of `lucid.compile`; `grad` is False under `no_grad`."""

    trace: Trace | None
    grad: bool


# One variable for both: every operation reads it. Each thread and each task has its own.
MODE: ContextVar[Mode] = ContextVar("MODE", default=Mode(None, True))


class no_grad(contextlib.ContextDecorator):  # noqa: N801  # a function by use, as in PyTorch
    """Results computed inside need no gradients: their operands count as constants.

    A context manager and a decorator:

        with lucid.no_grad():              @lucid.no_grad()
            pred = model(x)                def predict(x): ...
    """

    _grad = False
    _tokens: list[Token[Mode]]

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Without parentheses, `@no_grad` gets the function here."""
        self = super().__new__(cls)
        self._tokens = []
        return self if function is None else self(function)

    def _recreate_cm(self) -> no_grad:
        return type(self)()  # each call of a decorated function has tokens of its own

    def __enter__(self) -> None:
        self._tokens.append(MODE.set(Mode(MODE.get().trace, self._grad)))

    def __exit__(self, *error: object) -> None:
        MODE.reset(self._tokens.pop())


class enable_grad(no_grad):  # noqa: N801
    """Results computed inside are differentiable, also within `no_grad`."""

    _grad = True


def is_grad_enabled() -> bool:
    """False within `no_grad`."""
    return MODE.get().grad


@contextlib.contextmanager
def tracing(trace: Trace | None) -> Iterator[None]:
    """Operations inside are recorded by `trace`."""
    token = MODE.set(Mode(trace, MODE.get().grad))
    try:
        yield
    finally:
        MODE.reset(token)
