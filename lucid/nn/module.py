"""Module and Parameter: a model is a tree of attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Self

import numpy as np

from lucid.compiler.ir.types import bf16

from ..collecting import collect
from ..context import MODE
from ..creation import zeros_like
from ..engine import leaf
from ..errors import TraceError, bounded, bounds, here, is_internal, public, refuse, trim
from ..hooks import Handle, carry
from ..names import settle_on
from ..promote import dtype_of
from ..residence import USED, device_named
from ..tensor import Tensor, node_of, settle
from ..unread import PENDING
from .hooks import Registered, hooked, register
from .state import Loaded, load, state_of


@bounds
class Parameter(Tensor):
    """A Tensor that a Module lists among its parameters; requires_grad is True by default."""

    __slots__ = ()

    def __init__(self, data: object, requires_grad: bool = True, dtype: object = None) -> None:
        super().__init__(data, requires_grad, dtype)


@bounds
class Buffer(Tensor):
    """A Tensor that becomes a buffer of the Module that it is an attribute of, as by `register_buffer`."""

    __slots__ = ("persistent",)

    def __init__(self, data: object, *, persistent: bool = True) -> None:
        super().__init__(data)
        self.persistent = persistent


@bounds
class Module:
    """Base class of layers and models. Define `forward`; call the module.

    Parameters and modules are found among the attributes, in the order in which they were set.

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.hidden = nn.Linear(8, 16)
                self.out = nn.Linear(16, 1)

            def forward(self, x):
                return self.out(self.hidden(x).tanh())
    """

    training: bool = True  # here, too, for subclasses that do not call __init__
    _buffers: tuple[str, ...] = ()  # names of attributes that are buffers, in order
    _transient: tuple[str, ...] = ()  # those that state_dict leaves out
    _hooks: tuple[Registered, ...] = ()  # what runs around `forward`, in order

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, door in (("__init__", public), ("forward", bounded)):
            made = vars(cls).get(name)
            if made is not None and is_internal(made.__code__.co_filename):
                setattr(cls, name, door(made))

    def __init__(self) -> None:
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(here(f"{type(self).__name__} has no forward method"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        trace = MODE.get().trace
        try:
            try:
                run = partial(hooked, self) if self._hooks else self.forward
                if trace is None:
                    return run(*args, **kwargs)
                places = trace.places
                before = places.enter(self)
                try:
                    return run(*args, **kwargs)
                finally:
                    places.module = before
            except Exception as error:
                refuse(error, self.forward, args, kwargs)
                raise
        except BaseException as error:
            trim(error)
            raise

    # --- the tree --------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Modules among the attributes, each once."""
        seen: set[int] = set()
        for name, value in vars(self).items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator[Module]:
        return (m for _, m in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module, under the name `prefix`, and all below it; each once."""
        return self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def _own(self) -> Iterable[tuple[str, Any]]:
        """The attributes among which parameters and buffers are."""
        return vars(self).items()

    def modules(self) -> Iterator[Module]:
        return (m for _, m in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters of this module and, if `recurse`, all below, each once unless told otherwise, with
        dotted names that begin with `prefix`."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else ((prefix, self),):
            for name, value in module._own():
                if isinstance(value, Parameter) and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Tensors that are state but no parameters, with dotted names."""
        for path, module in self.named_modules(prefix) if recurse else ((prefix, self),):
            for name in module._buffers:
                value = getattr(module, name)
                if value is not None:
                    yield f"{path}.{name}" if path else name, value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of this dotted name, this one for "". AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            module = getattr(module, name, None)  # type: ignore[assignment]
            if not isinstance(module, Module):
                raise AttributeError(here(f"{type(self).__name__} has no module {target!r}"))
        return module

    def set_submodule(self, target: str, module: Module) -> None:
        """Another module of this dotted name."""
        path, _, name = target.rpartition(".")
        if not name or not isinstance(module, Module):
            raise ValueError(here(f"set_submodule: expected a name and a module, not {target!r}, {module!r}"))
        setattr(self.get_submodule(path), name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of this dotted name. AttributeError if there is none."""
        found = self._named(target)
        if not isinstance(found, Parameter):
            raise AttributeError(here(f"{type(self).__name__} has no parameter {target!r}"))
        return found

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of this dotted name. AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        if name not in self.get_submodule(path)._buffers:
            raise AttributeError(here(f"{type(self).__name__} has no buffer {target!r}"))
        found: Tensor = self._named(target)
        return found

    def _named(self, target: str) -> Any:
        path, _, name = target.rpartition(".")
        return dict(self.get_submodule(path)._own()).get(name)

    def register_buffer(self, name: str, value: Any, persistent: bool = True) -> None:
        """Make `value` (a tensor, what makes one, or None) state of the module. Assigning a tensor
        of the same type to the attribute changes the buffer in place, also in a compiled
        function: who holds it sees the change, where PyTorch's attribute would be another
        tensor. So a step finds it where it was, and native code runs it."""
        if not isinstance(name, str):
            raise TypeError(here(f"register_buffer: expected a name, not {type(name).__name__}"))
        if name in self._buffers or not name.isidentifier():
            raise KeyError(here(f"register_buffer: {name!r} is taken or no attribute name"))
        tensor = value if isinstance(value, Tensor) or value is None else Tensor(value)
        self._buffers = (*self._buffers, name)
        if not persistent:
            self._transient = (*self._transient, name)
        setattr(self, name, tensor)

    def __setattr__(self, name: str, value: Any) -> None:
        now = vars(self).get(name)
        if isinstance(now, Parameter) and isinstance(value, Tensor) and not isinstance(value, Parameter):
            raise TypeError(
                here(
                    f"{name} is a parameter, which a plain tensor would end; use nn.Parameter, or {name}.data"
                )
            )
        if isinstance(value, Buffer) and name not in self._buffers:
            self.register_buffer(name, value, value.persistent)
            return
        old = now if name in self._buffers else None
        if isinstance(old, Tensor) and isinstance(value, Tensor) and old is not value:
            if MODE.get().trace is None:
                if old in PENDING:  # no step came in between: histories would grow
                    settle(PENDING.take())
                PENDING.add(old)  # computed with the next optimiser step at the latest
            old._assign(node_of(value.detach()))
        else:
            object.__setattr__(self, name, value)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        setattr(self, name, parameter)

    def add_module(self, name: str, module: Module) -> None:
        setattr(self, name, module)

    register_module = add_module

    # --- modes -----------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and below."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them 0."""
        for p in self.parameters():
            p.grad = None if set_to_none or p.grad is None else zeros_like(p)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether the parameters are to be trained."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below, and on this one last."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    @public
    def to(self, device: object = None, dtype: object = None) -> Self:
        """The module itself, with parameters, buffers and gradients on that device, and those of floats in
        that dtype. Who holds a parameter sees the new one; an optimiser is to be made after that. A tensor
        stands for its device and dtype. ValueError for an unknown device, TypeError for a dtype that is not
        one of floats.
        """
        if isinstance(device, Tensor):
            dtype, device = device.dtype, device.device
        if dtype is None and not (device is None or isinstance(device, str)):
            device, dtype = None, device
        where = device_named(device)
        if dtype is not None:
            kind = dtype_of(dtype)
            if not kind.is_inexact:
                raise TypeError(
                    f"to: expected a dtype of floats, not {kind.numpy}; integers stay as they are"
                )
            self._convert(kind.np, complex_too=True)
        self._lie_on(where)
        return self

    def _convert(self, dtype: np.dtype[Any], complex_too: bool = False) -> Self:
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.is_floating_point() or (complex_too and tensor.is_complex()):
                _retype(tensor, dtype)
        return self

    @public
    def _lie_on(self, device: object) -> None:
        """What constructors do with their `device`. ValueError for what names none."""
        where = device_named(device)
        if where is not None and USED[0]:
            for tensor in (*self.parameters(), *self.buffers()):
                settle_on(tensor, where)

    def cpu(self) -> Self:
        """`to("cpu")`."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """`to("cuda")`."""
        return self.to("cuda")

    def float(self) -> Self:
        """All floats in float32."""
        return self._convert(np.dtype(np.float32))

    def double(self) -> Self:
        """All floats in float64."""
        return self._convert(np.dtype(np.float64))

    def half(self) -> Self:
        """All floats in float16."""
        return self._convert(np.dtype(np.float16))

    @bounded
    def bfloat16(self) -> Self:
        """All floats in bfloat16. ImportError without the package ml_dtypes."""
        try:
            dtype = bf16.np
        except ImportError as error:
            raise ImportError(here(str(error))) from None
        return self._convert(dtype)

    # --- hooks -----------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """`hook(module, args)` runs before `forward`: what it returns, a tuple or one value, takes the place
        of the positional arguments; None leaves them. `with_kwargs`: `hook(module, args, kwargs)`, and a
        pair of both comes back. `prepend`: before all other hooks. `remove()` of the result ends it.

        In a compiled function hooks run while it is traced, as all of its code: what they do with tensors is
        part of it, what they print is printed then; a hook that is registered or removed is a reason to
        trace again.
        """
        return register(self, Registered("forward_pre", hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Handle:  # fmt: skip
        """`hook(module, args, output)` runs after `forward`: what it returns, unless None, is the output in
        its place. `with_kwargs`: `hook(module, args, kwargs, output)`. `always_call`: also where `forward`
        or another hook has raised, with None as the output. Else as `register_forward_pre_hook`."""
        return register(self, Registered("forward", hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """`hook(module, grad_output)` runs when the gradients of the outputs are found: a tuple, with None
        for what has none. What it returns, unless None, goes on in their place. The gradients are lazy
        tensors; in a compiled function hooks run while it is traced."""
        return register(self, Registered("backward_pre", hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """`hook(module, grad_input, grad_output)` runs when the gradients of the positional arguments are
        found: tuples, with None for what has none. What it returns, unless None, goes on in the place of
        `grad_input`. If no argument requires grad, it runs when those of the outputs are found. The
        gradients are lazy tensors; in a compiled function hooks run while it is traced."""
        return register(self, Registered("backward", hook), prepend)

    # --- state -----------------------------------------------------------------------------------

    def _kept(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors of this module that are state, by name."""
        for name, value in self._own():
            buffer = name in self._buffers and name not in self._transient
            if isinstance(value, Parameter) or (buffer and isinstance(value, Tensor)):
                yield name, value

    def get_extra_state(self) -> Any:
        """What else is state: a class that has some defines this and `set_extra_state`. It stands in
        `state_dict` under the name `_extra_state`."""
        raise RuntimeError(here(f"{type(self).__name__} has no get_extra_state"))

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` gave."""
        raise RuntimeError(here(f"{type(self).__name__} has no set_extra_state"))

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Parameters and buffers by dotted name, which begins with `prefix`, as they are now: later changes
        do not show. With `keep_vars` the tensors themselves."""
        return state_of(self, prefix, keep_vars)

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Loaded:
        """Take over the values of `state` (tensors or arrays), converted to the own dtypes.

        Raises a RuntimeError that lists all keys that are missing or unknown (if `strict`), all shapes that
        differ, and all values that are no floats where floats are expected, or the other way round; then
        nothing has changed. (Where hooks come after, keys are judged when these have run.)
        """
        if not isinstance(state, Mapping):
            raise TypeError(here(f"load_state_dict: expected a dict, got {type(state).__name__}"))
        return load(self, state, strict)

    def _hooks_at(self, when: str) -> Iterator[Callable[..., Any]]:
        return (h.function for h in self._hooks if h.when == when)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """`hook(module, prefix, keep_vars)` runs before `state_dict` of this module or one above it."""
        return register(self, Registered("state_dict_pre", hook))

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """`hook(module, state, prefix, {})` runs after `state_dict`: it changes `state`, of which the keys of
        this module begin with `prefix`, in place."""
        return register(self, Registered("state_dict_post", hook))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """`hook(module, state, prefix, {}, strict, missing_keys, unexpected_keys, error_msgs)` runs before
        `load_state_dict`: it changes `state`, a copy, and the lists in place."""
        return register(self, Registered("load_state_dict_pre", hook))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """`hook(module, keys)` runs after `load_state_dict`; of `keys.missing_keys` and
        `keys.unexpected_keys` it may take out, in place, what is no error."""
        return register(self, Registered("load_state_dict_post", hook))

    # --- text ------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of a module without children."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}" for name, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        inner = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inner}\n)"


def _retype(tensor: Tensor, dtype: np.dtype[Any]) -> None:
    """The value in another dtype, for all who hold this leaf, and so its gradient."""
    if tensor.dtype == dtype:
        return
    if MODE.get().trace is not None:
        raise TraceError(here("a compiled function cannot change the dtype of a tensor; convert it before"))
    before, tensor._node = tensor._node, leaf(tensor.detach().astype(dtype)._value("to()"))
    if tensor._requires_grad:
        collect(tensor._node, tensor)
    carry(before, tensor._node)
    if tensor._grad is not None:
        tensor._grad = tensor._grad.detach().astype(dtype)
