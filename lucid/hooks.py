"""What runs when a gradient arrives at a tensor: `register_hook`, `retain_grad`.

    h = x * w
    h.register_hook(lambda g: g.clamp(-1, 1))     # a tensor in its place, or None
    h.sum().backward()                            # calls it, once all that h was used for has given its part

`backward` is graph work, so a hook gets a lazy tensor, and is called when the gradient becomes a graph,
before any number of it is known. Inside of `lucid.compile` that is once, while the function is traced: what
the hook does with tensors is part of the graph; what else it does happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary, ref

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node, toposort
from lucid.compiler.passes import autodiff

from . import pieces, reuse
from .context import MODE
from .errors import bounds, here
from .promote import cast

if TYPE_CHECKING:
    from .tensor import Tensor

Hook = Callable[[Any], Any]


TAPS: WeakKeyDictionary[Node, tuple[autodiff.Tap, int]] = WeakKeyDictionary()
# A fact of compiled functions that differentiate: another object as soon as leaves have other hooks.
LEAVES: dict[str, object] = {"hooks": object()}
_numbers = count()


@bounds
class Handle:
    """What registering a hook gives: `remove()` ends it; so does the end of a `with`."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self._remove: Callable[[], None] | None = remove

    def remove(self) -> None:
        """It is not called any more. Once more changes nothing."""
        if self._remove is not None:
            self._remove()
        self._remove = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Step:
    """What made a tensor, for those who look: an operation of a graph, under PyTorch's kind of name."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def name(self) -> str:
        """`MulBackward0`: of the op whose result it is, of a formula of its last one."""
        part: Any = self._node.attrs
        made = part.piece.outputs[part.output] if isinstance(part, pieces.Part) else self._node
        of = made.op.name
        return f"{''.join(part.capitalize() for part in of.split('_'))}Backward0"

    def __repr__(self) -> str:
        return f"<{self.name()} of {self._node.loc}>"


class OfTensor:
    """The hooks of one tensor, in order."""

    sources: tuple[Node, ...] = ()
    onward = False

    def __init__(self) -> None:
        self.hooks: dict[int, Hook] = {}
        self.after: dict[int, Hook] = {}  # of the tensor, once its `grad` is set
        self.retained: ref[Tensor] | None = None

    def __call__(self, parts: list[Node | None]) -> Sequence[Node | None]:
        (part,) = parts
        if part is None:
            return parts
        for hook in [*self.hooks.values()]:
            part = replaced(hook(as_gradient(part)), part, "register_hook")
        tensor = None if self.retained is None else self.retained()
        if tensor is not None:
            new, old = as_gradient(part), tensor.grad
            tensor.grad = new if old is None else old + new
        return (part,)


class Inside:
    """Where `backward` from outside comes back to what a compiled function returned, and would have to call
    hooks or derivatives that are the user's: these were called while the function was traced, on tensors that
    there are no more."""

    onward = True

    def __init__(self, sources: tuple[Node, ...]) -> None:
        self.sources = sources

    def __call__(self, parts: list[Node | None]) -> Sequence[Node | None]:
        raise RuntimeError(
            here(
                "backward() goes through a compiled function that has a hook or an autograd.Function inside, "
                "which run while it is traced; call backward() inside of the compiled function, or call the "
                "function without lucid.compile"
            )
        )

    @classmethod
    def mark(cls, results: Sequence[Node], inputs: Sequence[Node]) -> None:
        """`results` are of such a function, made of `inputs`."""
        tap = cls(tuple([n for n in inputs if n.type.dtype.is_inexact]))
        for k, node in enumerate(results):
            if node not in inputs:
                TAPS[node] = tap, k


def on_the_way(outputs: Sequence[Node], sources: Container[Node]) -> bool:
    """Whether hooks, or derivatives of the user's, are on the way back from `outputs` to `sources`."""
    if not TAPS:
        return False
    between = toposort(outputs, sources, autodiff.behind(TAPS))
    found = [TAPS[n][0] for n in between if n in TAPS]
    return any(not isinstance(tap, OfTensor) or tap.hooks for tap in found)


def as_gradient(part: Node) -> Tensor:
    """A cotangent as users see it."""
    from .tensor import Tensor

    trace, grad, _ = MODE.get()
    return Tensor._of(part if grad else ops.STOP(part), grad, trace)


def replaced(new: Any, part: Node, name: str) -> Node:
    """The cotangent after a hook has returned `new`. TypeError for what is neither a tensor nor None,
    ValueError for another shape."""
    from .tensor import Tensor, node_of

    if new is None:
        return part
    if not isinstance(new, Tensor):
        kind = type(new).__name__
        raise TypeError(
            here(f"{name}: a hook returns a tensor in the place of the gradient, or None, not {kind}")
        )
    if new.shape != part.shape:
        raise ValueError(
            here(f"{name}: a hook returned shape {new.shape} for a gradient of shape {part.shape}")
        )
    return cast(node_of(new), part.type.dtype)


def of(tensor: Tensor, make: bool = False) -> OfTensor | None:
    found = TAPS.get(tensor._node)
    if found is None and make:
        found = TAPS[tensor._node] = OfTensor(), 0
    return None if found is None or not isinstance(found[0], OfTensor) else found[0]


def hooks_of(tensor: Tensor) -> Iterator[Hook]:
    found = of(tensor)
    return iter(()) if found is None else iter([*found.hooks.values(), *found.after.values()])


def accumulated(tensor: Tensor) -> None:
    """`backward` has added to `grad`."""
    found = of(tensor)
    if found is not None:
        for hook in [*found.after.values()]:
            hook(tensor)


def carry(old: Node, new: Node) -> None:
    """A tensor has another node, or another one that stands for it."""
    found = TAPS.get(old)
    if found is not None:
        TAPS[new] = found


def gradients(output: Node, cotangent: Node, wrt: Sequence[Node], first: bool = False) -> list[Node | None]:
    """As the pass of this name, with the hooks of tensors."""
    return pullback((output,), (cotangent,), wrt, first)


def pullback(
    outputs: Sequence[Node], cotangents: Sequence[Node], wrt: Sequence[Node], first: bool = False
) -> list[Node | None]:
    """As the pass of this name, with the hooks of tensors; without any it is made once for a structure."""
    if reuse.usable():
        found = reuse.pullback(outputs, cotangents, wrt, first, TAPS)
        if found is not None:
            return found
    pieces.open_up((*outputs, *cotangents), autodiff.behind(TAPS))
    return autodiff.pullback(outputs, cotangents, wrt, first, TAPS if TAPS else None)


@bounds
class Hooked:
    """What Tensor inherits."""

    __slots__ = ()

    if TYPE_CHECKING:
        _node: Node
        _trace: Any

        @property
        def requires_grad(self) -> bool: ...
        @property
        def is_leaf(self) -> bool: ...

    def register_hook(self, hook: Hook) -> Handle:
        """`hook(gradient)` runs whenever the gradient of this tensor is found, by `backward` or any
        transform: what it returns, a tensor of the same shape, takes its place; None leaves it. The gradient
        is lazy. In a compiled function the hook runs while that is traced, and to read a value there is a
        TraceError.

        Hooks run in the order in which they were registered. `remove()` of the result ends this one.
        RuntimeError for a tensor that does not require grad, and in a compiled function for one from outside.
        """
        return self._registered("register_hook", hook, lambda found: found.hooks)

    def register_post_accumulate_grad_hook(self, hook: Hook) -> Handle:
        """`hook(tensor)` runs once `backward` has added to `grad` of this leaf; what it returns means
        nothing. In a compiled function it runs while that is traced. RuntimeError for what is no leaf that
        requires grad."""
        name = "register_post_accumulate_grad_hook"
        if not self.is_leaf:
            raise RuntimeError(here(f"{name}: the tensor is the result of an operation; expected a leaf"))
        return self._registered(name, hook, lambda found: found.after)

    def _registered(self, name: str, hook: Hook, of: Callable[[OfTensor], dict[int, Hook]]) -> Handle:
        if not callable(hook):
            raise TypeError(here(f"{name}: expected a function, not {type(hook).__name__}"))
        hooks, number = of(self._hooked(name)), next(_numbers)
        hooks[number] = hook
        told = self.is_leaf and self._trace is None
        if told:
            LEAVES["hooks"] = object()

        def remove() -> None:
            hooks.pop(number, None)
            if told:
                LEAVES["hooks"] = object()

        return Handle(remove)

    @property
    def grad_fn(self) -> Step | None:
        """What made this tensor, where gradients flow back through it; None for leaves and constants."""
        return None if self.is_leaf else Step(self._node)

    def retain_grad(self) -> None:
        """`backward` adds to `grad` here as it does for leaves, after the hooks. RuntimeError for a tensor
        that does not require grad."""
        found = self._hooked("retain_grad")
        if not self.is_leaf:
            found.retained = ref(self)  # type: ignore[arg-type]

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on what is no leaf."""
        found = of(self)  # type: ignore[arg-type]
        return found is not None and found.retained is not None and found.retained() is self

    def _hooked(self, name: str) -> OfTensor:
        if not self.requires_grad:
            raise RuntimeError(
                here(f"{name}: the tensor does not require grad; set requires_grad=True before")
            )
        if self._trace is not MODE.get().trace:
            raise RuntimeError(
                here(
                    f"{name}: a tensor from outside of the compiled function, to which each call would add "
                    "one more; register hooks before the call"
                )
            )
        found = of(self, make=True)  # type: ignore[arg-type]
        assert found is not None
        return found
