"""Parameters that are computed of others: `torch.nn.utils.parametrize`.

    class Symmetric(nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).T

    parametrize.register_parametrization(layer, "weight", Symmetric())
    layer.weight                                    # computed, wherever it is read
    layer.parametrizations.weight.original          # what is trained

The module gets a class of its own kind with a property in the place of the attribute.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ...context import MODE, no_grad
from ...creation import given as asarray
from ...errors import here, public
from ...tensor import Tensor
from ..containers import ModuleDict
from ..layers import ModuleList
from ..module import Module, Parameter

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "type_before_parametrizations",
]  # fmt: skip

# --- attributes that are computed ------------------------------------------------------------------

# The name of an attribute; what reads it of a module and this name; and what sets it, if something does.
Derived = tuple[str, Callable[[Module, str], Any], Callable[[Module, str, Any], None] | None]


def _base(module: Module) -> Any:
    return vars(type(module)).get("_plain", type(module))


def derived(module: Module) -> tuple[Derived, ...]:
    """The attributes of a module that are computed."""
    found: tuple[Derived, ...] = vars(type(module)).get("_derived", ())
    return found


def derive(module: Module, attributes: tuple[Derived, ...]) -> None:
    """These attributes, and no others, are computed from here on."""
    module.__class__ = _class(_base(module), attributes) if attributes else _base(module)


@functools.cache
def _class(base: Any, attributes: tuple[Derived, ...]) -> Any:
    made: dict[str, Any] = {name: _property(read, assign, name) for name, read, assign in attributes}
    made |= {"_plain": base, "_derived": attributes, "__reduce_ex__": _reduced, "__module__": base.__module__}
    return type(f"Parametrized{base.__name__}", (base,), made)


def _property(read: Any, assign: Any, name: str) -> property:
    def get(self: Module) -> Any:
        return read(self, name)

    def put(self: Module, value: Any) -> None:
        assign(self, name, value)

    return property(get, None if assign is None else put)


def _reduced(self: Module, protocol: int) -> Any:
    return _empty, (_base(self), derived(self)), dict(vars(self))


def _empty(base: Any, attributes: tuple[Derived, ...]) -> Any:
    kind = _class(base, attributes)
    return kind.__new__(kind)


def taken(module: Module, name: str) -> tuple[Tensor, bool]:
    """The parameter or buffer of this name, taken out of the module; whether it is a buffer."""
    value = vars(module).get(name)
    buffer = name in module._buffers
    if not (isinstance(value, Parameter) or (buffer and isinstance(value, Tensor))):
        raise ValueError(here(f"{type(module).__name__} has no parameter or buffer {name!r}"))
    if buffer:
        module._buffers = tuple([k for k in module._buffers if k != name])
    delattr(module, name)
    return value, buffer


# --- parametrizations ------------------------------------------------------------------------------


class ParametrizationList(ModuleList):
    """The modules that compute a parameter, the first of what is trained: `original`, or `original0` and so
    on if the `right_inverse` of the first gives several."""

    def __init__(self, modules: list[Module], original: Any, buffer: bool, unsafe: bool) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            start = _inverse(modules[0], original)
        self.is_tensor = isinstance(start, Tensor)
        parts = [start] if self.is_tensor else list(start)
        for name, part in zip(self._originals(len(parts)), parts, strict=True):
            if not isinstance(part, Tensor):
                raise ValueError(here(f"right_inverse gives tensors, not {type(part).__name__}"))
            if buffer:
                self.register_buffer(name, part.detach())
            elif isinstance(part, Parameter):
                setattr(self, name, part)
            else:
                flag = original.requires_grad and part.is_floating_point()
                setattr(self, name, Parameter(part.detach(), requires_grad=flag))
        self.count = len(parts)

    def _originals(self, count: int) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{k}" for k in range(count)]

    def forward(self) -> Any:
        """The parameter."""
        first, *others = self
        found = first(*[getattr(self, name) for name in self._originals(self.count)])
        for module in others:
            found = module(found)
        return found

    def right_inverse(self, value: Any) -> None:
        """Make the originals such that the parameter becomes `value`, by the `right_inverse` of each."""
        value = asarray(value)
        with no_grad():
            for module in reversed([*self]):
                if not hasattr(module, "right_inverse"):
                    told = "has no right_inverse, so what it makes cannot be assigned"
                    raise RuntimeError(here(f"{type(module).__name__} {told}"))
                value = module.right_inverse(value)
            parts = [value] if self.is_tensor else list(value)
            for name, part in zip(self._originals(self.count), parts, strict=True):
                own = getattr(self, name)
                own.data = part.detach().astype(own.dtype)


def _inverse(module: Module, value: Tensor) -> Any:
    try:
        found = module.right_inverse(value) if hasattr(module, "right_inverse") else value
    except NotImplementedError:  # it begins with the value as it is
        found = value
    return tuple(found) if isinstance(found, list) else found


_CACHE: ContextVar[dict[tuple[int, str], tuple[Module, Any]] | None] = ContextVar("_CACHE", default=None)


def _read(module: Any, name: str) -> Any:
    compute = module.parametrizations[name]
    kept = _CACHE.get()
    if kept is None or MODE.get().trace is not None:  # a compiled function computes equal nodes once
        return compute()
    key = id(module), name
    if key not in kept:
        kept[key] = module, compute()
    return kept[key][1]


def _assign(module: Any, name: str, value: Any) -> None:
    module.parametrizations[name].right_inverse(value)


@public
@contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrized tensor is computed where it is first read, and not again."""
    token = _CACHE.set({}) if _CACHE.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _CACHE.reset(token)


@public
def register_parametrization(
    module: Any, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Any:
    """From here on the parameter or buffer `tensor_name` of `module` is what `parametrization` makes of
    `module.parametrizations[tensor_name].original`, and can be assigned if it has a `right_inverse`. Of a
    second one: what that makes of the first one's. Returns the module.

    ValueError where there is no such tensor, and, unless `unsafe`, where the result has another shape or
    dtype.
    """
    name = f"register_parametrization of {tensor_name!r}"
    if is_parametrized(module, tensor_name):
        before = getattr(module, tensor_name)
        _check(name, before, parametrization(before), unsafe)
        module.parametrizations[tensor_name].append(parametrization)
        return module
    value, buffer = taken(module, tensor_name)
    try:
        held = ParametrizationList([parametrization], value, buffer, unsafe)
        with no_grad():
            _check(name, value, held(), unsafe)
    except BaseException:
        module.register_buffer(tensor_name, value) if buffer else setattr(module, tensor_name, value)
        raise
    if "parametrizations" not in vars(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = held
    derive(module, (*derived(module), (tensor_name, _read, _assign)))
    return module


def _check(name: str, before: Tensor, after: Any, unsafe: bool) -> None:
    if not isinstance(after, Tensor):
        raise ValueError(here(f"{name}: a parametrization returns a tensor, not {type(after).__name__}"))
    if not unsafe and (after.shape, after.dtype) != (before.shape, before.dtype):
        told = f"{after.dtype} {after.shape} in the place of {before.dtype} {before.shape}"
        raise ValueError(here(f"{name}: it makes {told}; unsafe=True allows that"))


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether this tensor of the module is, or any."""
    held = vars(module).get("parametrizations")
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


@public
def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """A plain parameter again: with the value that it has, or, unless `leave_parametrized`, `original`.
    Returns the module. ValueError for what is not parametrized, and where there are several originals."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(here(f"remove_parametrizations: {tensor_name!r} is not parametrized"))
    held = module.parametrizations[tensor_name]
    if not leave_parametrized and not held.is_tensor:
        raise ValueError(here("remove_parametrizations: there are several originals; none is left as it is"))
    first = getattr(held, held._originals(held.count)[0])
    with no_grad():
        value = held().detach() if leave_parametrized else held.original
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        del module.parametrizations
    derive(module, tuple([d for d in derived(module) if d[0] != tensor_name]))
    if not isinstance(first, Parameter):
        module.register_buffer(tensor_name, value)
    elif isinstance(value, Parameter):
        setattr(module, tensor_name, value)
    elif held.is_tensor and first.shape == value.shape and first.dtype == value.dtype:
        first.data = value  # the optimiser that has it goes on with it
        setattr(module, tensor_name, first)
    else:
        setattr(module, tensor_name, Parameter(value, requires_grad=first.requires_grad))
    return module


def type_before_parametrizations(module: Module) -> Any:
    """The class of the module as it was made."""
    return _base(module)
