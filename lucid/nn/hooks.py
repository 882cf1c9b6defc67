"""What runs around the `forward` of a module, and when gradients arrive at its outputs and inputs.

Tensors that gradients flow through get nodes of their own at both ends of a module with backward hooks: all
that comes back of the outputs, or of the inputs, meets there, and the hooks see it as one tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node, at

from ..context import MODE
from ..errors import here
from ..hooks import TAPS, Handle, as_gradient, replaced
from ..places import called
from ..tensor import Tensor, node_of

if TYPE_CHECKING:
    from .module import Module


class Registered(NamedTuple):
    """A hook, in what compiled functions look into: `when` is "forward_pre", "forward", "backward_pre",
    "backward", "state_dict_pre", "state_dict_post", "load_state_dict_pre" or "load_state_dict_post"."""

    when: str
    function: Callable[..., Any]
    with_kwargs: bool = False
    always: bool = False


def register(module: Module, hook: Registered, prepend: bool = False) -> Handle:
    function: object = hook.function
    if not callable(function):
        kind = type(function).__name__
        raise TypeError(here(f"{type(module).__name__}: a hook is a function, not {kind}"))
    if MODE.get().trace is not None:
        name = f"register_{hook.when}_hook"
        raise RuntimeError(here(f"{name}: in a compiled function each call would add one more; do it before"))
    module._hooks = (hook, *module._hooks) if prepend else (*module._hooks, hook)

    def remove() -> None:
        module._hooks = tuple([h for h in module._hooks if h is not hook])

    return Handle(remove)


def _of(module: Module, when: str) -> Iterator[Registered]:
    return (h for h in module._hooks if h.when == when)


def hooked(module: Module, /, *args: Any, **kwargs: Any) -> Any:
    """`forward`, with the hooks of the module."""
    done = 0
    try:
        for h in _of(module, "forward_pre"):
            args, kwargs = _before(module, h, args, kwargs)
        back = _Back(module) if any(h.when.startswith("backward") for h in module._hooks) else None
        if back is not None:
            args = back.inputs(args)
        out = module.forward(*args, **kwargs)
        for h in _of(module, "forward"):
            done += 1
            out = _after(module, h, args, kwargs, out)
        return out if back is None else back.outputs(out)
    except Exception:
        for h in [*_of(module, "forward")][done:]:
            if h.always:
                _after(module, h, args, kwargs, None)
        raise


def _before(
    module: Module, hook: Registered, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    found = hook.function(module, args, kwargs) if hook.with_kwargs else hook.function(module, args)
    if found is None:
        return args, kwargs
    if not hook.with_kwargs:
        return (found if isinstance(found, tuple) else (found,)), kwargs
    if not (isinstance(found, tuple) and len(found) == 2):
        raise RuntimeError(
            here(f"{type(module).__name__}: a hook with_kwargs returns (args, kwargs) or None, not {found!r}")
        )
    return found


def _after(module: Module, hook: Registered, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
    given = (args, kwargs, out) if hook.with_kwargs else (args, out)
    found = hook.function(module, *given)
    return out if found is None else found


class _Back:
    """One call of a module with backward hooks."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.arrived: tuple[Any, ...] = ()  # the gradients of the outputs
        self.arguments = 0
        self.waits = False  # for the gradients of inputs

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.arguments = len(args)
        given = _tapped(args, self._run)
        self.waits = any(a is not b for a, b in zip(args, given, strict=True))
        return given

    def outputs(self, out: Any) -> Any:
        if isinstance(out, tuple) and type(out) is tuple:
            return _tapped(out, self._outputs_found)
        return _tapped((out,), self._outputs_found)[0]

    def _outputs_found(self, parts: list[Node | None]) -> Sequence[Node | None]:
        for h in _of(self.module, "backward_pre"):
            parts = _exchanged(h, parts, h.function(self.module, _gradients(parts)))
        self.arrived = _gradients(parts)
        if not self.waits:
            self._run([None] * self.arguments)
        return parts

    def _run(self, parts: list[Node | None]) -> Sequence[Node | None]:
        """The gradients of the inputs are found, or there are none to come."""
        for h in _of(self.module, "backward"):
            parts = _exchanged(h, parts, h.function(self.module, _gradients(parts), self.arrived))
        return parts


class _Tap:
    onward = False

    def __init__(
        self, count: int, sources: tuple[Node, ...], run: Callable[..., Sequence[Node | None]]
    ) -> None:
        self.count, self.sources, self.run = count, sources, run

    def __call__(self, parts: list[Node | None]) -> Sequence[Node | None]:
        return self.run([*parts, *[None] * (self.count - len(parts))])


def _tapped(values: tuple[Any, ...], run: Callable[..., Sequence[Node | None]]) -> tuple[Any, ...]:
    """The same, with nodes of their own for those that gradients flow through. `run` is given the cotangents
    of all, None for what has none."""
    trace, grad, _ = MODE.get()
    flowing = [k for k, x in enumerate(values) if grad and isinstance(x, Tensor) and x.requires_grad]
    if not flowing:
        return values
    tap = _Tap(len(values), tuple([node_of(values[k]) for k in flowing]), run)
    found = list(values)
    with at(called(trace)):
        for k, node in zip(flowing, tap.sources, strict=True):
            inner = ops.CAST(node, dtype=node.type.dtype)
            TAPS[inner] = tap, k
            # One more: a hook of the tensor is another one.
            found[k] = Tensor._of(ops.CAST(inner, dtype=node.type.dtype), True, trace)
    return tuple(found)


def _gradients(parts: Sequence[Node | None]) -> tuple[Any, ...]:
    return tuple([None if part is None else as_gradient(part) for part in parts])


def _exchanged(hook: Registered, parts: list[Node | None], new: Any) -> list[Node | None]:
    """The cotangents after a hook has returned `new`."""
    if new is None:
        return parts
    several = new if isinstance(new, tuple) else (new,)
    name = f"register_full_{hook.when}_hook"
    if len(several) != len(parts):
        raise RuntimeError(here(f"{name}: a hook returned {len(several)} gradients, expected {len(parts)}"))
    return [p if p is None else replaced(n, p, name) for p, n in zip(parts, several, strict=True)]
