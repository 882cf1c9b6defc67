"""What surrounds an operation: whether gradients are wanted, the trace that records it, if any, and whether
results are looked at for NaN."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from .tracing import Trace

F = TypeVar("F", bound=Callable[..., Any])


class Mode(NamedTuple):
    """`trace` is None outside of `lucid.compile`; `grad` is False under `no_grad`; `looking` is "nan" under
    `autograd.detect_anomaly`."""

    trace: Trace | None
    grad: bool
    looking: str = ""


# One variable for all: every operation reads it. Each thread and each task has its own.
MODE: ContextVar[Mode] = ContextVar("MODE", default=Mode(None, True))  # noqa: B039  # a Mode is immutable


class GradMode:
    """Whether gradients are wanted inside: a context manager, and a decorator.

    What was there before is put back by value, in one step, so that an exception from a signal handler
    finds it either way. (A `with` block has, as all context managers written in Python, one gap: between its
    end and the first line of `__exit__`. What is lucid's own uses the decorator.)
    """

    def __init__(self, grad: bool) -> None:
        self.grad = grad
        self._before: list[Mode] = []

    def __call__(self, function: F) -> F:
        """`function` in this mode; a generator in each of its steps, and who asks for these in their own."""
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generating(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                return (yield from _steps(GradMode(self.grad), function(*args, **kwargs)))

            return generating  # type: ignore[return-value]

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            before = MODE.get()
            try:
                _want(self.grad)
                return function(*args, **kwargs)
            finally:
                MODE.set(before)

        return inside  # type: ignore[return-value]

    def __enter__(self) -> None:
        before = MODE.get()
        try:
            self._before.append(before)
            MODE.set(_mode(Mode, (before[0], self.grad, before[2])))
        except BaseException:
            MODE.set(before)
            raise

    def __exit__(self, *error: object) -> None:
        MODE.set(self._before.pop())


def _steps(mode: GradMode, inner: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    step: Callable[..., Any] = inner.send
    given: Any = None
    while True:
        try:
            made = mode(step)(given)
        except StopIteration as end:
            return end.value
        try:
            step, given = inner.send, (yield made)
        except GeneratorExit:
            mode(inner.close)()
            raise
        except BaseException as error:
            step, given = inner.throw, error


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


class set_grad_enabled(GradMode):  # PyTorch's name
    """Whether gradients are wanted: from here on, or, as a context manager or a decorator, inside. TraceError
    where a compiled function ends in another mode than it began in."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._old = MODE.get().grad
        _want(self.grad)

    def __call__(self, function: F) -> F:
        _want(self._old)
        return super().__call__(function)

    def __enter__(self) -> None:
        _want(self.grad)

    def __exit__(self, *error: object) -> None:
        _want(self._old)


_mode = tuple.__new__  # without the call of Python code that a named tuple has


def _want(grad: bool) -> None:
    before = MODE.get()
    MODE.set(Mode(before.trace, grad, before.looking))


@overload
def inference_mode(mode: bool = True) -> GradMode: ...
@overload
def inference_mode(mode: F) -> F: ...
def inference_mode(mode: bool | F = True) -> GradMode | F:
    """`no_grad`, under PyTorch's other name; `inference_mode(False)` is `enable_grad`. Tensors are immutable,
    so that what is made inside is like any other that needs no gradient."""
    return GradMode(not mode) if isinstance(mode, bool) else GradMode(False)(mode)


def is_grad_enabled() -> bool:
    """False within `no_grad`."""
    return MODE.get().grad


def is_inference_mode_enabled() -> bool:
    """True within `inference_mode`, which is `no_grad`."""
    return not MODE.get().grad
