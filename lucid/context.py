"""What surrounds an operation: whether gradients are wanted, and the trace that records it, if
any."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from .trace import Trace

F = TypeVar("F", bound=Callable[..., Any])


class Mode(NamedTuple):
    """`trace` is None outside of `lucid.compile`; `grad` is False under `no_grad`."""

    trace: Trace | None
    grad: bool


# One variable for both: every operation reads it. Each thread and each task has its own.
MODE: ContextVar[Mode] = ContextVar("MODE", default=Mode(None, True))  # noqa: B039  # a Mode is immutable


class GradMode(contextlib.ContextDecorator):
    """Whether gradients are wanted inside: a context manager, and a decorator."""

    def __init__(self, grad: bool) -> None:
        self.grad = grad
        self._tokens: list[Token[Mode]] = []

    def _recreate_cm(self) -> GradMode:
        return GradMode(self.grad)  # each call of a decorated function has tokens of its own

    def __enter__(self) -> None:
        self._tokens.append(MODE.set(Mode(MODE.get().trace, self.grad)))

    def __exit__(self, *error: object) -> None:
        MODE.reset(self._tokens.pop())


@overload
def no_grad() -> GradMode: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: F | None = None) -> GradMode | F:
    """Results computed inside need no gradients: their operands count as constants.

    A context manager and a decorator, with or without parentheses:

        with lucid.no_grad():              @lucid.no_grad
            pred = model(x)                def predict(x): ...
    """
    mode = GradMode(False)
    return mode if function is None else mode(function)


def enable_grad() -> GradMode:
    """Results computed inside are differentiable, also within `no_grad`."""
    return GradMode(True)


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
