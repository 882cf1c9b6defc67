"""Gradients of functions: `grad` and `value_and_grad`."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar
from weakref import ref

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from .arguments import check_function, rebuild
from .collecting import LEAVES, differentiable_leaves
from .context import MODE, enable_grad
from .creation import given as asarray
from .errors import bounded, bounds, here
from .hooks import gradients
from .pickles import Decorated, Parts
from .tensor import Tensor, node_of

P = ParamSpec("P")
R = TypeVar("R")


@bounds
class Gradient(Decorated):
    """What `grad` and `value_and_grad` return: call it like the function. It pickles, and copies, as the
    function does."""

    _opaque = True  # for guards: only the function inside counts

    def __init__(
        self, f: Callable[..., Any], argnums: int | Sequence[int], value: bool, has_aux: bool = False
    ) -> None:
        check_function("value_and_grad" if value else "grad", f)
        functools.update_wrapper(self, f, updated=())
        self.__wrapped__ = f
        _listed(f, argnums)
        self.argnums = argnums
        self.value = value  # whether that is returned, too
        self.has_aux = has_aux  # whether the function returns something more

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value, parts, aux = _differentiated(self.__wrapped__, self.argnums, self.has_aux, args, kwargs)
        if self.has_aux:
            return ((value, aux), parts) if self.value else (parts, aux)
        return (value, parts) if self.value else parts

    def _made_of(self) -> Parts:
        return Gradient, (self.__wrapped__, self.argnums, self.value, self.has_aux)


@bounded
def value_and_grad(
    f: Callable[P, R], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[P, tuple[R, Any]]:
    """A function that returns `(f(...), gradient)`.

    `f` takes tensors, arrays or numbers, and returns a tensor of one element. The gradient is with
    respect to the positional argument `argnums`, or a tuple of gradients if `argnums` is a sequence. That of
    an array has its shape and dtype; that of a dict, list or tuple of arrays has its structure. Results
    are tensors, so `grad` can be applied again. With `has_aux`, `f` returns a pair, of which only the first
    is differentiated, and the result is `((value, more), gradient)`.

    Raises TypeError if such an argument is missing or no float, or if `f` returns no tensor;
    ValueError if the tensor has more than one element.
    """
    return Gradient(f, argnums, True, has_aux)


@bounded
def grad(f: Callable[P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[P, Any]:
    """A function that returns the gradient of `f`; see `value_and_grad`. With `has_aux`: `(gradient, more)`.

    curvature = lucid.grad(lucid.grad(f))
    """
    return Gradient(f, argnums, False, has_aux)


def _differentiated(
    f: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[Tensor, Any, Any]:
    places = places_of(f, argnums, len(args))
    value, wrt = called_on_leaves(f, places, args, kwargs)
    value, aux = value_and_aux(f, value) if has_aux else (value, None)
    node = _scalar_node(f, value)
    parts = or_zeros(wrt, gradients(node, ops.const(1, node), wrt, first=True))
    trace, grad, _ = MODE.get()
    flag = grad and bool(differentiable_leaves(node))
    result = [Tensor._of(n if grad else ops.STOP(n), flag, trace) for n in (node, *parts)]
    of = structured([args[k] for k in places], result[1:])
    return result[0], of if isinstance(argnums, Sequence) else of[0], aux


def called_on_leaves(
    f: Callable[..., Any], places: Sequence[int], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, list[Node]]:
    """What `f` returns, with gradients of the arguments in these places; and the nodes of these. They are
    private: afterwards only what the caller's own leaves reach stays differentiable."""
    call, fresh = _fresh_arguments(f, places, args)
    wrt = [node_of(t) for t in fresh]
    try:
        with enable_grad():
            return f(*call, **kwargs), wrt
    finally:
        for n in wrt:
            LEAVES.pop(n, None)


def or_zeros(nodes: Sequence[Node], parts: Sequence[Node | None]) -> list[Node]:
    """Cotangents of these nodes: zeros where nothing depends on one."""
    return [ops.zeros_like(n) if g is None else g for n, g in zip(nodes, parts, strict=True)]


def structured(values: Sequence[Any], parts: Iterable[Any]) -> tuple[Any, ...]:
    """One part for each array of these values, in their structure."""
    rest = iter(parts)
    return tuple([rebuild(v, lambda _: next(rest)) if nested(v) else next(rest) for v in values])


def tensor_of(node: Node) -> Tensor:
    """A tensor for a result of a transform, which private leaves may have been behind."""
    trace, grad, _ = MODE.get()
    flag = grad and node.type.dtype.is_inexact and bool(differentiable_leaves(node))
    return Tensor._of(node if grad else ops.STOP(node), flag, trace)


def value_and_aux(f: Callable[..., Any], value: Any) -> tuple[Any, Any]:
    """What a function with `has_aux` returned. TypeError where that is no pair."""
    if not (isinstance(value, tuple) and len(value) == 2):
        raise TypeError(here(f"{name_of(f)}: has_aux=True, but it returned no pair of a result and more"))
    return value


def _fresh_arguments(
    f: Callable[..., Any], places: Sequence[int], args: tuple[Any, ...]
) -> tuple[list[Any], list[Tensor]]:
    """The arguments, with tensors that collect gradients in these places; and all of these tensors."""
    call = list(args)
    fresh: list[Tensor] = []

    def leaf(k: int, value: Any) -> Tensor:
        fresh.append(_fresh(f, k, value))
        return fresh[-1]

    for k in places:
        call[k] = rebuild(args[k], functools.partial(leaf, k)) if nested(args[k]) else leaf(k, args[k])
    return call, fresh


def places_of(f: Callable[..., Any], argnums: int | Sequence[int], count: int) -> list[int]:
    """The positions of the arguments that `argnums` means, each once."""
    listed = _listed(f, argnums)
    if any(not -count <= k < count for k in listed):
        raise TypeError(here(f"{name_of(f)}: argnums={argnums}, but only {count} positional arguments"))
    if len({k % count for k in listed}) < len(listed):
        raise ValueError(here(f"{name_of(f)}: argnums={argnums} names an argument twice"))
    return listed


def _listed(f: Callable[..., Any], argnums: int | Sequence[int]) -> list[int]:
    try:
        return [operator.index(k) for k in (argnums if isinstance(argnums, Sequence) else (argnums,))]
    except TypeError:
        raise TypeError(here(f"{name_of(f)}: argnums must be ints, not {argnums!r}")) from None


def nested(value: Any) -> bool:
    """Whether it is a structure of arrays, and not the nested lists of numbers that make one array."""
    if isinstance(value, dict):
        return True
    return isinstance(value, tuple | list) and any(
        isinstance(v, Tensor | np.ndarray | dict) or nested(v) for v in value
    )


def _fresh(f: Callable[..., Any], k: int, value: Any) -> Tensor:
    """`value` under a node of its own, so that nothing else that `f` reads is mistaken for it."""
    source = asarray(value)
    node = node_of(source)
    dtype = node.type.dtype
    if not dtype.is_inexact:
        raise TypeError(here(f"{name_of(f)}: argument {k} is {dtype.numpy}; gradients need a float dtype"))
    result = Tensor._of(ops.CAST(node, dtype=dtype), False, MODE.get().trace)
    result._requires_grad = True
    LEAVES[result._node] = ref(result)
    return result


def _scalar_node(f: Callable[..., Any], value: Any) -> Node:
    if not isinstance(value, Tensor):
        raise TypeError(here(f"{name_of(f)} returned {type(value).__name__}, not a Tensor"))
    if value.size != 1:
        raise ValueError(
            here(f"{name_of(f)} returned a tensor of shape {value.shape}; reduce it, by .sum() or .mean()")
        )
    if not value.is_floating_point():
        raise TypeError(here(f"{name_of(f)} returned {value.dtype}; gradients need a float dtype"))
    return node_of(value)


def name_of(f: Callable[..., Any]) -> str:
    return getattr(f, "__qualname__", type(f).__name__)
