"""Functions with a derivative of the user's: `torch.autograd.Function`.

    class Clamped(lucid.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clip(-1, 1)

        @staticmethod
        def backward(ctx, g):                 # as if nothing had been cut off
            (x,) = ctx.saved_tensors
            return g

    y = Clamped.apply(x)

What `forward` computes has no gradient: its results get nodes of their own, and what comes back to these is
given to `backward`, all of it at once, by the mechanism of hooks (hooks.py). `backward` is graph work as any,
so its gradients can be fused, compiled and differentiated again; in a compiled function both run while it is
traced.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node, at

from ..context import MODE, no_grad
from ..creation import zeros
from ..errors import bounded, here
from ..hooks import TAPS, as_gradient
from ..places import called
from ..promote import cast
from ..tensor import Tensor, node_of

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What `forward` leaves for `backward`: tensors by `save_for_backward`, anything else as attributes."""

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._saved: tuple[Any, ...] = ()
        self._flat: tuple[Any, ...] = ()
        self._zeros = True
        self._results: _Results | None = None

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs, results or other tensors (or None) for `saved_tensors`. What flows through saved
        inputs and results is differentiated again."""
        for x in tensors:
            if x is not None and not isinstance(x, Tensor):
                kind = type(x).__name__
                raise TypeError(here(f"save_for_backward: tensors or None, not {kind}; set an attribute"))
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was given to `save_for_backward`."""
        if self._results is None:
            return self._saved
        return tuple([self._results.outer(x) for x in self._saved])

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """No gradient flows through these results."""
        self._flat = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros, not None, for results that nothing comes back to (by default)."""
        self._zeros = bool(value)

    def mark_dirty(self, *tensors: Any) -> None:
        """RuntimeError: a tensor keeps its value."""
        raise RuntimeError(here("mark_dirty: a Function gives new tensors; it does not change its inputs"))


class _Results:
    """The results of one call: a tap that asks `backward`. `given`: one of each argument, None for what no
    gradient flows to."""

    onward = True

    def __init__(
        self, function: type[Function], ctx: FunctionCtx, given: list[Node | None], raw: list[Any]
    ) -> None:
        self.function, self.ctx, self.given, self.raw = function, ctx, given, raw
        self.sources = tuple([n for n in given if n is not None])
        self.made: dict[int, ref[Tensor]] = {}

    def tensor(self, k: int) -> Any:
        """Result `k` as others see it."""
        x = self.raw[k]
        if not isinstance(x, Tensor) or any(x is y for y in self.ctx._flat) or not _inexact(x):
            return x.detach() if isinstance(x, Tensor) else x
        trace = MODE.get().trace
        with at(called(trace)):
            node = node_of(x)
            inner = ops.CAST(ops.STOP(node), dtype=node.type.dtype)
            TAPS[inner] = self, k
            # One more: a hook of the tensor is another one.
            found = Tensor._of(ops.CAST(inner, dtype=node.type.dtype), True, trace)
        self.made[k] = ref(found)
        return found

    def outer(self, x: Any) -> Any:
        """A result in the place of what `forward` has saved. If it is gone, one more with a tap of its own:
        `backward` then runs for that, too."""
        k = next((k for k, y in enumerate(self.raw) if y is x), None)
        if k is None or not isinstance(x, Tensor):
            return x
        found = self.made[k]() if k in self.made else None
        return copy.copy(self).tensor(k) if found is None else found

    def __call__(self, parts: list[Node | None]) -> Sequence[Node | None]:
        padded = [*parts, *[None] * (len(self.raw) - len(parts))]
        cotangents = [self._cotangent(x, part) for x, part in zip(self.raw, padded, strict=True)]
        found = self.function.backward(self.ctx, *cotangents)
        several = found if isinstance(found, tuple | list) else (found,)
        name = self.function.__name__
        more = several[len(self.given) :]
        if len(several) < len(self.given) or any(g is not None for g in more):
            told = f"backward returned {len(several)} gradients for {len(self.given)} arguments of forward"
            raise RuntimeError(here(f"{name}: {told}"))
        return [
            _fitting(name, k, g, n)
            for k, (g, n) in enumerate(zip(several, self.given, strict=False))
            if n is not None
        ]

    def _cotangent(self, x: Any, part: Node | None) -> Tensor | None:
        if part is not None:
            return as_gradient(part)
        if not isinstance(x, Tensor) or not self.ctx._zeros:
            return None
        return zeros(x.shape, dtype=x.dtype if _inexact(x) else None)


def _inexact(x: Tensor) -> bool:
    return x._node.type.dtype.is_inexact


def _fitting(name: str, k: int, g: Any, node: Node) -> Node | None:
    """The node of a gradient, summed over what was broadcast."""
    if g is None:
        return None
    if not isinstance(g, Tensor):
        kind = type(g).__name__
        raise TypeError(here(f"{name}: backward returned {kind} as gradient {k}; expected a tensor or None"))
    if g.shape != node.shape:
        try:
            g = g.sum_to_size(node.shape)
        except ValueError:
            told = f"backward returned shape {g.shape} as gradient {k}; expected {node.shape}"
            raise RuntimeError(here(f"{name}: {told}")) from None
    return cast(node_of(g), node.type.dtype)


class Function:
    """A function with a derivative of its own: define the static methods `forward(ctx, *args)`, or
    `forward(*args)` and `setup_context(ctx, inputs, output)`, and `backward(ctx, *gradients)`, which returns
    a gradient, or None, for each argument of `forward`. Call `apply`."""

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(here("an autograd.Function has a static method forward"))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise NotImplementedError(here("an autograd.Function has a static method backward"))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        raise NotImplementedError

    @classmethod
    @bounded
    def apply(cls, *args: Any) -> Any:
        """What `forward` returns, a tensor or a tuple, as results whose gradients are `backward`'s. Gradients
        flow to arguments that are tensors; TypeError in a `vmap` that is differentiated."""
        grad = MODE.get().grad
        needs = tuple([grad and isinstance(x, Tensor) and x.requires_grad for x in args])
        ctx = FunctionCtx(needs)
        given = [node_of(x) if need else None for x, need in zip(args, needs, strict=True)]
        apart = cls.setup_context is not Function.setup_context
        with no_grad():
            out = cls.forward(*args) if apart else cls.forward(ctx, *args)
            if apart:
                cls.setup_context(ctx, args, out)
        if True not in needs:
            return out
        several = type(out) is tuple
        ctx._results = results = _Results(cls, ctx, given, list(out) if several else [out])
        found = tuple([results.tensor(k) for k in range(len(results.raw))])
        return found if several else found[0]


class _Once:
    """What comes back of gradients that are not to be differentiated again."""

    onward = True

    def __init__(self, name: str, sources: tuple[Node, ...]) -> None:
        self.name, self.sources = name, sources

    def __call__(self, parts: list[Node | None]) -> Sequence[Node | None]:
        raise RuntimeError(here(f"{self.name} is marked once_differentiable, and differentiated twice"))


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate `backward`: its gradients are constants, and to differentiate them is a RuntimeError."""

    @functools.wraps(backward)
    def once(ctx: Any, *gradients: Any) -> Any:
        trace, grad, _ = MODE.get()
        with no_grad():
            found = backward(ctx, *gradients)
        flowing = (*gradients, *ctx.saved_tensors)
        sources = tuple([node_of(x) for x in flowing if isinstance(x, Tensor) and x.requires_grad])
        if not grad or not sources:
            return found
        tap = _Once(backward.__qualname__, sources)

        def held(x: Any, k: int) -> Any:
            if not isinstance(x, Tensor):
                return x
            inner = ops.CAST(node_of(x), dtype=x._node.type.dtype)
            TAPS[inner] = tap, k
            return Tensor._of(inner, True, trace)

        several = isinstance(found, tuple | list)
        made = tuple([held(x, k) for k, x in enumerate(found if several else (found,))])
        return made if several else made[0]

    return once
