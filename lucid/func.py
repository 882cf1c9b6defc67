"""Transforms of functions under the names, and with the arguments, of `torch.func`. They are those of lucid
itself (`lucid.grad`, `lucid.vmap`, ...), whose arguments have JAX's names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .array_functions import stack
from .derivatives import hessian, jacfwd, jacrev, jvp, linearize, vjp
from .errors import bounded, here, public
from .gradients import grad, value_and_grad
from .mapping import Axes
from .mapping import vmap as _vmap
from .tensor import Tensor

if TYPE_CHECKING:
    from .nn import Module

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "stack_module_state", "vjp", "vmap",
]  # fmt: skip


@bounded
def vmap(
    func: Callable[..., Any], in_dims: Axes = 0, out_dims: Axes = 0, randomness: str = "error", *,
    chunk_size: int | None = None,
) -> Any:  # fmt: skip
    """`lucid.vmap`. `chunk_size` changes nothing: all examples are computed together."""
    return _vmap(func, in_dims, out_dims, randomness=randomness)


@bounded
def grad_and_value(
    func: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns `(gradient, value)`, or `(gradient, (value, more))`."""
    both = value_and_grad(func, argnums, has_aux)

    @functools.wraps(func)
    def turned(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return gradient, value

    return turned


@public
def functional_call(
    module: Module, parameter_and_buffer_dicts: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    args: Any = None, kwargs: Mapping[str, Any] | None = None, *, tie_weights: bool = True,
    strict: bool = False,
) -> Any:  # fmt: skip
    """`module(*args, **kwargs)` with other values of parameters and buffers, by dotted name, in place of its
    own: for this call alone. `args` is a tuple, or the one argument. `tie_weights`: a parameter that has
    several names changes under all of them. `strict`: all of them must be given.

    KeyError for names that the module has not, or lacks if `strict`; ValueError for a value of another shape
    and for a name that is given twice.
    """
    given: dict[str, Any] = {}
    dicts = parameter_and_buffer_dicts
    for part in [dicts] if isinstance(dicts, Mapping) else dicts:
        if twice := given.keys() & part.keys():
            raise ValueError(f"functional_call: given twice: {', '.join(sorted(twice))}")
        given.update(part)
    with _replaced(module, given, tie_weights, strict):
        positional = args if isinstance(args, tuple) else () if args is None else (args,)
        return module(*positional, **(kwargs or {}))


@contextmanager
def _replaced(module: Module, given: Mapping[str, Any], tied: bool, strict: bool) -> Iterator[None]:
    """Attributes of the module and of those below it are others, inside."""
    places = {
        f"{path}.{name}" if path else name: (vars(part), name)
        for path, part in module.named_modules()
        for name, value in vars(part).items()
        if isinstance(value, Tensor)
    }
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    unknown = [name for name in given if name not in places]
    missing = [name for name in own if name not in given] if strict else []
    if unknown or missing:
        told = f"missing names {missing}, unexpected names {unknown}"
        raise KeyError(here(f"functional_call of {type(module).__name__}: {told}"))
    changes: list[tuple[dict[str, Any], str, Tensor, Any]] = []
    for path, value in given.items():
        attributes, name = places[path]
        old = attributes[name]
        if value.shape != old.shape:
            raise ValueError(here(f"functional_call: {path} has shape {value.shape}, expected {old.shape}"))
        for others, other in places.values():
            if others[other] is old and (tied or (others is attributes and other == name)):
                changes.append((others, other, old, value))
    try:
        for attributes, name, _, value in changes:
            attributes[name] = value
        yield
    finally:
        for attributes, name, old, _ in changes:
            attributes[name] = old


@public
def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and buffers of models of one kind, by name, each along a new first axis: what `vmap` of
    `functional_call` takes. The parameters are leaves of their own, which require grad where those of the
    models do. ValueError for no models, and for models of different kinds."""
    if not models or len({type(m) for m in models}) > 1:
        raise ValueError("stack_module_state: expected models, all of one class")
    parameters = {}
    for name, first in models[0].named_parameters():
        parameters[name] = stack([dict(m.named_parameters())[name].detach() for m in models])
        parameters[name].requires_grad = first.requires_grad
    buffers = {n: stack([dict(m.named_buffers())[n] for m in models]) for n, _ in models[0].named_buffers()}
    return parameters, buffers
