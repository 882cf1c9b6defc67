"""`lucid.compile`: functions, modules and whole training steps as one plan of native kernels."""

from __future__ import annotations

import functools
import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable
from types import MethodType
from typing import Any, overload

from . import record
from .arguments import Signature, describe
from .context import MODE
from .engine import KernelInfo
from .errors import here
from .guards import watch
from .nn.module import Module
from .record import Recording
from .tensor import Tensor

SIGNATURES = 256  # kept for each function; the one that was not used for longest goes first
VARIANTS = 8  # recordings kept for one signature, for example of train() and eval()


@overload
def compile(f: Callable[..., Any], *, threads: int | None = None) -> Compiled: ...
@overload
def compile(*, threads: int | None = None) -> Callable[[Callable[..., Any]], Compiled]: ...
def compile(f: Callable[..., Any] | None = None, *, threads: int | None = None) -> Any:
    """A compiled version of `f`, a function, a method or a Module; also a decorator.

        @lucid.compile
        def step(x, y):
            opt.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            opt.step()
            return loss

    Arguments: tensors and arrays (by dtype and shape), Python numbers and strings (by value), lists,
    tuples and dicts of them, and any other object (by identity). Results: tensors, plain values,
    and lists, tuples and dicts of them; arrays that come in are tensors inside.

    The function is traced once for each signature, and again whenever something else that it reads
    has changed: globals, closures, attributes, containers. Tensors that it reads are inputs; those
    that it re-assigns, and gradients, are outputs, and change when the call has succeeded.
    `threads`: how many the kernels may use; by default as many as the process has CPUs.

    Raises TypeError for arguments that do not fit the signature of `f`, and TraceError where `f`
    needs a value that is known only when it runs.
    """
    if f is None:
        return functools.partial(compile, threads=threads)
    if not callable(f):
        raise TypeError(here(f"compile: {type(f).__name__} is not callable"))
    return Compiled(f, threads)


class Compiled:
    """What `lucid.compile` returns: call it like the function. `traces` counts the times it was
    traced; attributes of a compiled module are the module's."""

    _opaque = True  # for guards: only the function inside counts

    def __init__(self, f: Callable[..., Any], threads: int | None = None) -> None:
        self.__wrapped__ = f
        if not isinstance(f, Module):
            functools.update_wrapper(self, f, updated=())
        self.threads = threads
        self.traces = 0
        self._reasons: list[str] = []
        self._cache: OrderedDict[Signature, list[Recording]] = OrderedDict()
        self._latest: Recording | None = None
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        mode = MODE.get()
        if mode.trace is not None:  # part of another compiled function
            return self.__wrapped__(*args, **kwargs)
        arrays: list[Any] = []
        objects: list[Any] = []
        try:
            signature = (
                mode.grad,
                describe(args, arrays, objects),
                describe(kwargs, arrays, objects) if kwargs else None,
                _twins(arrays),
            )
        except TypeError as error:
            raise TypeError(here(f"{self._name()}: {error}")) from None
        found = self._cache.get(signature)
        if found is not None:
            for recording in found:
                if recording.changed(arrays) is None:
                    self._latest = recording
                    return recording.run(arrays)
        return self._record(signature, args, kwargs, arrays, objects).run(arrays)

    def _record(
        self,
        signature: Signature,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        arrays: list[Any],
        objects: list[Any],
    ) -> Recording:
        if self._signature is not None:
            try:
                self._signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(here(f"{self._name()}(): {error}")) from None
        with self._lock:
            known = self._cache.get(signature, [])
            reason = known[0].changed(arrays) if known else "new argument types or values"
            guards = watch(self.__wrapped__, *objects)
            recording = record.record(
                self.__wrapped__, args, kwargs, arrays, objects, guards, self._name(), self.threads
            )
            self.traces += 1
            self._reasons.append(f"trace {self.traces}: {reason}")
            self._cache[signature] = [recording, *known][:VARIANTS]
            self._cache.move_to_end(signature)
            while len(self._cache) > SIGNATURES:
                self._cache.popitem(last=False)
            self._latest = recording
        return recording

    @functools.cached_property
    def _signature(self) -> inspect.Signature | None:
        f = self.__wrapped__
        try:
            return inspect.signature(f.forward if isinstance(f, Module) else f)
        except ValueError:  # functions written in C may not tell
            return None

    def _name(self) -> str:
        f = self.__wrapped__
        return getattr(f, "__name__", type(f).__name__)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.__dict__["__wrapped__"], name)

    def __repr__(self) -> str:
        return f"<compiled {self._name()}: {self.traces} traces>"

    # --- looking inside --------------------------------------------------------------------------

    def _last(self) -> Recording:
        if self._latest is None:
            raise RuntimeError(here(f"{self._name()} has not been called yet: nothing is compiled"))
        return self._latest

    def ir(self, stage: str = "kernel") -> str:
        """The text of one stage of the latest call: "graph", "simplified", "kernel", "loop", "llvm"
        or "asm". ValueError for another stage."""
        return self._last().executable.ir(stage)

    @property
    def kernels(self) -> list[KernelInfo]:
        """The kernels of the latest call, each with `name`, `bytes` (what it moves) and `text`."""
        return self._last().executable.kernels

    def explain(self) -> str:
        """Why it was traced each time, and why the latest plan is made of these kernels."""
        lines = [*self._reasons]
        if self._latest is not None:
            lines.append(self._latest.executable.explain())
        return "\n".join(lines)


def _twins(arrays: list[Any]) -> tuple[int, ...] | None:
    """Which tensor arguments are one object."""
    tensors = [id(a) for a in arrays if isinstance(a, Tensor)]
    if len(set(tensors)) == len(tensors):
        return None
    return tuple(tensors.index(t) for t in tensors)
