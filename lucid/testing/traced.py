"""A function, compiled and called once: its graph, what its inputs were, and what it gave."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lucid
from lucid.compiler import ops
from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.graph import Graph

from ..arguments import describe, is_array, rebuild
from ..compiled import Compiled
from ..context import MODE
from ..engine import Executable
from ..errors import here
from ..hooks import gradients
from ..promote import as_array
from ..residence import follows
from ..results import Made
from ..staged import Staged
from ..tensor import Tensor, node_of
from .bits import plain

Array = np.ndarray[Any, Any]


@data
class Result:
    """One array among what a function returned. `output`: which of the graph; -1: an input, as it is."""

    name: str
    output: int
    array: Array


@data
class Traced:
    """One call. `inputs` are the values of `graph.inputs`: arguments, and tensors that the function reads;
    `owners`, whose they are: the number of an array among the arguments, a tensor, or None (numbers);
    `orders`: its axes in memory, in the order of which a graph has an array, or None."""

    graph: Graph
    inputs: tuple[Array, ...]
    owners: tuple[int | Tensor | None, ...]
    orders: tuple[tuple[int, ...] | None, ...]
    results: tuple[Result, ...]
    executable: Executable | Staged
    compiled: Compiled[..., Any]


class UnfitError(ValueError):
    """A function that cannot be tested: it changes something, or returns nothing."""


def traced(f: Callable[..., Any], args: tuple[Any, ...]) -> Traced:
    """`lucid.compile(f)(*args)`. UnfitError, a ValueError, if `f` changes tensors, or anything else that a
    second call would find changed."""
    compiled = lucid.compile(f)
    returned = compiled(*args)
    recording = compiled._last()
    if recording.updates or recording.writes or recording.spent is not None:
        raise UnfitError(here(f"{name_of(f)} {_changed(recording)}"))
    arrays: list[Any] = []
    for value in args:
        describe(value, arrays, [], [])
    inputs, owners = [], list[int | Tensor | None]()
    for source in recording.sources:
        found = recording._tensor(source, arrays, recording.first)
        array = found.numpy() if isinstance(found, Tensor) else as_array(found)
        owner = source.owner if not source.grad and source.number < 0 else None
        owners.append(owner if isinstance(owner, int) else found if isinstance(found, Tensor) else None)
        inputs.append(array if source.order is None else array.transpose(source.order))
    executable = recording.executable
    graph = executable.compiled.written if isinstance(executable, Executable) else executable.graph
    if executable.judged:  # the last output is the verdict on indices, which has been given
        graph = replace(graph, outputs=graph.outputs[:-1])
    made = [v.output if isinstance(v, Made) else -1 for v in _leaves(recording.results)]
    results = [
        Result(name, max(output, -1), leaf.numpy())
        for (name, leaf), output in zip(named_leaves(returned), made, strict=True)
        if isinstance(leaf, Tensor)
    ]
    orders = tuple(source.order for source in recording.sources)
    return Traced(graph, tuple(inputs), tuple(owners), orders, tuple(results), executable, compiled)


def name_of(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _changed(recording: Any) -> str:
    """Why two calls differ, and what to do."""
    owners = [u.owner for u in recording.updates]
    if owners and all(_is_generator(owner) for owner in owners):
        return (
            "draws random numbers, so that two calls differ: pass the noise in as an argument, or draw it "
            "with generator=lucid.random.Generator(0), made inside; a module may take .eval()"
        )
    if recording.updates:
        what = "it assigns to tensors or their gradients"
    elif recording.writes:
        what = "it assigns to attributes, items or variables"
    else:
        what = str(recording.spent)
    return (
        f"changes what it finds ({what}), so that two calls differ: give a function of its arguments, such "
        "as the loss of a training step"
    )


def _is_generator(owner: object) -> bool:
    """Whether it is the state of one that draws random numbers."""
    return isinstance(owner, Tensor) and owner.shape == (2,) and owner.dtype == np.int64 and follows(owner)


def _leaves(value: Any) -> list[Any]:
    found: list[Any] = []
    rebuild(value, found.append)
    return found


def named_leaves(value: Any, name: str = "output") -> list[tuple[str, Any]]:
    """What containers hold, in order, with the way there: `output[0]['loss']`."""
    if isinstance(value, dict):
        parts = [(f"{name}[{k!r}]", v) for k, v in value.items()]
    elif isinstance(value, tuple | list):
        parts = [(f"{name}[{k}]", v) for k, v in enumerate(value)]
    else:
        return [(name, value)]
    return [leaf for label, v in parts for leaf in named_leaves(v, label)]


def as_tensors(value: Any) -> Any:
    """Arguments as a compiled function sees them: tensors in place of arrays."""
    return rebuild(value, lambda v: Tensor(as_array(v)) if is_array(v) else v)


def as_arrays(value: Any, dtype: Any = None) -> Any:
    """Arguments for NumPy: arrays in place of tensors; floats in `dtype`, if that is given."""

    def array(v: Any) -> Any:
        if not (isinstance(v, Tensor) or is_array(v)):
            return v
        found = v.numpy() if isinstance(v, Tensor) else as_array(v)
        wide = {"f": dtype, "V": dtype, "c": np.result_type(dtype, np.complex64)}.get(found.dtype.kind)
        return found.astype(wide) if dtype is not None and wide is not None else np.array(found)

    return rebuild(value, array)


def weighted(outputs: Any, seed: int = 0) -> Any:
    """The sum of all elements of float outputs, and of both parts of complex ones, each with a weight of its
    own between 1/2 and 3/2, or the negative of one; None if there is none. So that no term of a gradient
    cancels another one."""
    rng = np.random.default_rng(seed)
    total = None
    for _, value in named_leaves(outputs):
        if not differentiable(value):
            continue
        for part in (value.real, value.imag) if value.is_complex() else (value,):
            weights = rng.uniform(0.5, 1.5, value.shape) * rng.choice((-1.0, 1.0), value.shape)
            term = (part * Tensor(weights).astype(part.dtype)).sum()
            total = term if total is None else total + term
    return total


def differentiable(value: Any) -> bool:
    """Whether it is a tensor, or an array, of floats or of complex numbers."""
    if not isinstance(value, Tensor):
        return is_array(value) and differentiable(Tensor(value))
    return value.is_floating_point() or value.is_complex()


def flattened(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Callable[..., Any], list[Any]]:
    """`f` as a function of what the containers among its arguments hold, one by one, and these. An array
    that comes twice is copied, so that each has an identity of its own."""
    every: list[Any] = []

    def number(value: Any) -> int:
        again = isinstance(value, np.ndarray | Tensor) and any(value is v for v in every)
        every.append(np.array(plain(value)) if again else value)
        return len(every) - 1

    places = rebuild(args, number)

    def of_leaves(*leaves: Any) -> Any:
        return f(*rebuild(places, lambda k: leaves[k]))

    of_leaves.__name__ = name_of(f)  # and not its signature
    return of_leaves, every


def loss_of(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives the weighted sum of all float outputs of `f`."""

    @functools.wraps(f, updated=())
    def loss(*args: Any) -> Any:
        return weighted(f(*args))

    return loss


def assigned(f: Callable[..., Any], leaves: Sequence[Any]) -> list[int]:
    """Which of its arguments a function changes in place, by number."""
    given = [as_tensors(v) for v in leaves]
    copies = [Tensor._of(v._node, False, None) if isinstance(v, Tensor) else v for v in given]
    before = [v._node if isinstance(v, Tensor) else None for v in copies]
    f(*copies)
    after = [v._node if isinstance(v, Tensor) else None for v in copies]
    return [k for k, (old, new) in enumerate(zip(before, after, strict=True)) if old is not new]


def by_parameters(loss: Callable[..., Any], tensors: Sequence[Tensor]) -> Callable[..., Any]:
    """A function that gives the gradients of a loss by tensors that it reads."""

    @functools.wraps(loss, updated=())
    def derive(*args: Any) -> Any:
        node = node_of(loss(*args))
        wrt = [node_of(t) for t in tensors]
        found = gradients(node, ops.const(1, node), wrt, first=True)
        parts = [ops.zeros_like(n) if g is None else g for n, g in zip(wrt, found, strict=True)]
        return tuple(Tensor._of(ops.STOP(n), False, MODE.get().trace) for n in parts)

    return derive
