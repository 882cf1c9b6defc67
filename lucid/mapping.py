"""`vmap`: a function of one example becomes one of a batch of them.

    lucid.vmap(lambda x: (x * x).sum())(xs)        # of each row of xs

The function runs once, over what stands for one example; what it computes is then written again for all of
them, op by op (compiler/passes/batch.py). So it costs what the same program written for a batch costs: there
is no loop. The result is a graph like any other: it can be differentiated, compiled and mapped again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from weakref import ref

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node, toposort
from lucid.compiler.ir.types import TensorType
from lucid.compiler.passes.batch import in_batch

from .arguments import check_function, is_array, rebuild
from .collecting import LEAVES, differentiable_leaves
from .context import MODE
from .creation import given as asarray
from .errors import bounded, bounds, here
from .gradients import name_of, tensor_of
from .hooks import TAPS
from .lanes import LANES, example, lane
from .pickles import Decorated, Parts
from .shapes import normal_axis
from .tensor import Tensor, node_of

Axes = Any  # an int, None, or a container of these

_SAME = "give it in_axes=None, so that all examples have it"
_RANDOMNESS = ("error", "same", "different")


@bounds
class Mapped(Decorated):
    """What `vmap` returns. It pickles, and copies, as the function does."""

    _opaque = True  # for guards: only the function inside counts

    def __init__(self, f: Callable[..., Any], in_axes: Axes, out_axes: Axes, randomness: str) -> None:
        check_function("vmap", f)
        if randomness not in _RANDOMNESS:
            raise ValueError(here(f"vmap: randomness must be one of {_RANDOMNESS}, not {randomness!r}"))
        functools.update_wrapper(self, f, updated=())
        self.__wrapped__ = f
        self.in_axes, self.out_axes, self.randomness = in_axes, out_axes, randomness

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _mapped(self.__wrapped__, self.in_axes, self.out_axes, self.randomness, args, kwargs)

    def _made_of(self) -> Parts:
        return Mapped, (self.__wrapped__, self.in_axes, self.out_axes, self.randomness)


@bounded
def vmap(f: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0, *, randomness: str = "error") -> Any:
    """A function that maps `f` over an axis of its arguments.

    `in_axes`: which axis of the arguments is that of the examples: an int for all, or a tuple or list with an
    int or None (the same for all examples) for each positional argument; for an argument that is a dict, list
    or tuple of arrays also one of these, with an int or None for each. `out_axes`: where it is to be in what
    `f` returns, tensors or a structure of them; None for what does not depend on the example. Keyword
    arguments are the same for all examples.

    Inside of `f` a tensor has the shape of one example, and its value is not known: as in a compiled
    function, choose by `lucid.where`. `randomness`: random numbers raise RuntimeError ("error"), are the
    "same" for all examples, or "different": those of one draw for all of them.

    ValueError where extents along the axes differ, nothing is mapped, or an axis is not there; TypeError for
    `in_axes` or `out_axes` that do not have the structure of what they are for; TraceError where a value is
    asked for. What JAX's and PyTorch's `vmap` do, see there.
    """
    return Mapped(f, in_axes, out_axes, randomness)


def _mapped(
    f: Callable[..., Any], in_axes: Axes, out_axes: Axes, randomness: str, args: Any, kwargs: Any
) -> Any:
    axes = [*_axes_of("in_axes", _as_one(in_axes, args), args)]
    leaves: list[Any] = []
    rebuild(args, leaves.append)
    wholes = {
        k: _front(value, axis)
        for k, (value, axis) in enumerate(zip(leaves, axes, strict=True))
        if axis is not None
    }
    if not wholes:
        raise ValueError(here(f"vmap: in_axes={in_axes!r} maps no argument"))
    sizes = {x.shape[0] for x in wholes.values()}
    if len(sizes) > 1:
        told = ", ".join(f"{x.shape[0]} in argument {k}" for k, x in wholes.items())
        raise ValueError(here(f"vmap: different numbers of examples: {told}"))
    own = lane(sizes.pop(), randomness)
    examples: dict[Node, Node] = {own.place: ops.IOTA(shape=(own.size,), axis=0)}
    held: list[Tensor] = []  # alive until the function is done, as gradients flow to them

    def one(value: Any) -> Any:
        k = len(seen)
        seen.append(k)
        if k not in wholes:
            return value
        held.append(_example(wholes[k], examples))
        return held[-1]

    seen: list[int] = []
    given = rebuild(args, one)
    token = LANES.set((*LANES.get(), own))
    try:
        returned = f(*given, **kwargs)
        found: list[Tensor] = []
        rebuild(returned, lambda value: found.append(_result(f, value)))
        nodes = [node_of(t) for t in found]
        _refuse_own(f, nodes, examples)
    finally:
        LANES.reset(token)
        for node in examples:
            LEAVES.pop(node, None)
    places = [*_axes_of("out_axes", out_axes, returned)]
    batches = iter(zip(nodes, in_batch(nodes, examples, own.size), found, places, strict=True))
    return rebuild(returned, lambda _: _out(own.size, *next(batches)))


def _as_one(in_axes: Axes, args: tuple[Any, ...]) -> Axes:
    """For a tuple of arguments; PyTorch's and JAX's users write lists, too."""
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(here(f"vmap: in_axes has {len(in_axes)} entries, for {len(args)} arguments"))
    return in_axes


def _axes_of(name: str, axes: Axes, value: Any) -> Iterator[int | None]:
    """The axis of each leaf of `value`: one that stands for a structure is that of all in it."""
    plain = axes is None or (isinstance(axes, int) and not isinstance(axes, bool))
    if isinstance(value, dict):
        if not plain and not (isinstance(axes, dict) and axes.keys() == value.keys()):
            raise TypeError(here(f"vmap: {name} is {axes!r}, for a dict of {', '.join(map(str, value))}"))
        for key, item in value.items():
            yield from _axes_of(name, axes if plain else axes[key], item)
    elif isinstance(value, tuple | list):
        if not plain and not (isinstance(axes, tuple | list) and len(axes) == len(value)):
            raise TypeError(here(f"vmap: {name} is {axes!r}, for a {type(value).__name__} of {len(value)}"))
        for k, item in enumerate(value):
            yield from _axes_of(name, axes if plain else axes[k], item)
    elif plain:
        yield axes
    else:
        raise TypeError(here(f"vmap: {name} must be an int or None for each array, not {axes!r}"))


def _front(value: Any, axis: int) -> Tensor:
    """With the axis of the examples in front."""
    if not (isinstance(value, Tensor | int | float | complex) or is_array(value)):
        raise TypeError(here(f"vmap: {type(value).__name__} is no array; {_SAME}"))
    whole = asarray(value)
    if not whole.ndim:
        raise ValueError(here(f"vmap: a number has no axis of examples; {_SAME}"))
    try:
        at = normal_axis(axis, whole.ndim)
    except (TypeError, IndexError) as error:
        raise ValueError(here(f"vmap: in_axes={axis!r} for shape {whole.shape}: {error}")) from None
    return whole.moveaxis(at, 0)


def _example(whole: Tensor, examples: dict[Node, Node]) -> Tensor:
    """What stands for one example of a batch; gradients flow to it."""
    node = node_of(whole)
    made = example(TensorType(node.type.dtype, node.shape[1:]))
    examples[made] = node
    result = Tensor._of(made, whole.requires_grad, MODE.get().trace)
    if whole.requires_grad:
        LEAVES[made] = ref(result)
    return result


def _result(f: Callable[..., Any], value: Any) -> Tensor:
    if not (isinstance(value, Tensor | int | float | complex) or is_array(value)):
        told = f"{name_of(f)} returned {type(value).__name__}; expected tensors, or a structure of them"
        raise TypeError(here(f"vmap: {told}"))
    return asarray(value)


def _refuse_own(f: Callable[..., Any], nodes: Sequence[Node], examples: Iterable[Node]) -> None:
    """TypeError where gradients are to flow through what `f` has a derivative of its own for, of an example:
    that one is written for one."""
    if not any(tap.onward for tap, _ in TAPS.values()):
        return
    mapped = set(examples)
    for node in toposort(nodes):
        if mapped.isdisjoint(node.inputs):
            continue
        mapped.add(node)
        if node in TAPS and TAPS[node][0].onward and differentiable_leaves(node):
            told = "an autograd.Function in it has a gradient for one example; take the gradient inside"
            raise TypeError(here(f"vmap of {name_of(f)}: {told}, as in vmap(grad(f))"))


def _out(size: int, node: Node, batch: Node | None, found: Tensor, axis: int | None) -> Tensor:
    if axis is None:
        if batch is not None:
            raise ValueError(here("vmap: out_axes=None for a result that differs from example to example"))
        return found
    if batch is None:
        batch = ops.BROADCAST(node, shape=(size, *node.shape))
    try:
        at = normal_axis(axis, batch.type.ndim)
    except (TypeError, IndexError) as error:
        raise ValueError(
            here(f"vmap: out_axes={axis!r} for results of shape {node.shape}: {error}")
        ) from None
    return tensor_of(batch).moveaxis(0, at)
