"""Gradients of functions: `grad` and `value_and_grad`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

from lucid.compiler import ops
from lucid.compiler.autodiff import gradients
from lucid.compiler.graph import Node

from .context import MODE, enable_grad
from .creation import asarray
from .errors import here
from .tensor import LEAVES, Tensor, differentiable_leaves, node_of


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns `(f(...), gradient)`.

    `f` takes tensors, arrays or numbers, and returns a tensor of one element. The gradient is with
    respect to the positional argument `argnums` (with its shape and dtype), or a tuple of
    gradients if `argnums` is a sequence. Results are tensors, so `grad` can be applied again.

    Raises TypeError if such an argument is missing or no float, or if `f` returns no tensor;
    ValueError if the tensor has more than one element.
    """

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> tuple[Tensor, Any]:
        places = [argnums] if isinstance(argnums, int) else list(argnums)
        call = list(args)
        fresh = []
        for k in places:
            if not -len(args) <= k < len(args):
                raise TypeError(
                    here(f"{_name(f)}: argnums={argnums}, but only {len(args)} positional arguments")
                )
            call[k] = _fresh(f, k, args[k])
            fresh.append(call[k])
        with enable_grad():
            value = f(*call, **kwargs)
        node = _scalar_node(f, value)
        wrt = [node_of(t) for t in fresh]
        found = gradients(node, ops.const(1, node), wrt)
        parts = [ops.zeros_like(n) if g is None else g for n, g in zip(wrt, found, strict=True)]
        trace, grad = MODE.get()
        # The fresh leaves are private: only what the caller's own leaves reach stays differentiable.
        for n in wrt:
            LEAVES.pop(n, None)
        flag = grad and bool(differentiable_leaves(node))
        result = [Tensor._of(n if grad else ops.STOP(n), flag, trace) for n in (node, *parts)]
        return result[0], result[1] if isinstance(argnums, int) else tuple(result[1:])

    return wrapper


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of `f`; see `value_and_grad`.

    curvature = lucid.grad(lucid.grad(f))
    """
    both = value_and_grad(f, argnums)

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return wrapper


def _fresh(f: Callable[..., Any], k: int, value: Any) -> Tensor:
    """`value` under a node of its own, so that nothing else that `f` reads is mistaken for it."""
    source = asarray(value)
    node = node_of(source)
    dtype = node.type.dtype
    if not dtype.is_float:
        raise TypeError(here(f"{_name(f)}: argument {k} is {dtype.numpy}; gradients need a float dtype"))
    result = Tensor._of(ops.CAST(node, dtype=dtype), False, MODE.get().trace)
    result._requires_grad = True
    LEAVES[result._node] = ref(result)
    return result


def _scalar_node(f: Callable[..., Any], value: Any) -> Node:
    if not isinstance(value, Tensor):
        raise TypeError(here(f"{_name(f)} returned {type(value).__name__}, not a Tensor"))
    if value.size != 1:
        raise ValueError(
            here(f"{_name(f)} returned a tensor of shape {value.shape}; reduce it, by .sum() or .mean()")
        )
    if not value.dtype.kind == "f":
        raise TypeError(here(f"{_name(f)} returned {value.dtype}; gradients need a float dtype"))
    return node_of(value)


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__qualname__", type(f).__name__)
