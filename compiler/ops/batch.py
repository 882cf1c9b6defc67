"""One call of an op for all examples of a batch: what is mapped has one more axis, in front.

    sum(x: f32[3], axes=(0,))     for 8 examples     sum(x: f32[8, 3], axes=(1,))

Most ops do what they did, along axes that stand one place further; the records of the others have a rule of
their own (`batch`), written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import ascii_letters
from typing import Any

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from .record import Attrs, Inputs, Mapped, Op

# What an attribute says of a batch of so many.
_ATTRS: Mapping[str, Callable[[Any, int], Any]] = {
    "axis": lambda axis, size: axis + 1,
    "axes": lambda axes, size: tuple([a + 1 for a in axes]),
    "perm": lambda perm, size: (0, *(a + 1 for a in perm)),
    "shape": lambda shape, size: (size, *shape),
    "counts": lambda counts, size: (size, *counts),
    "starts": lambda starts, size: (0, *starts),
    "steps": lambda steps, size: (1, *steps),
    "lo": lambda lo, size: (0, *lo),
    "hi": lambda hi, size: (0, *hi),
}


def batched(op: Op, inputs: Inputs, mapped: Mapped, size: int, attrs: Attrs) -> Node:
    """`op` for `size` examples: of operands those that are `mapped` have them along their first axis, as the
    result has; the others are the same for all."""
    if op.batch is not None:
        return op.batch(op, inputs, mapped, size, attrs)
    return op(*all_in_front(inputs, mapped, size), **attrs_in_front(attrs, size))


def attrs_in_front(attrs: Attrs, size: int) -> dict[str, Any]:
    """Attributes of a call, for operands with one more axis."""
    return {name: _ATTRS[name](value, size) if name in _ATTRS else value for name, value in attrs.items()}


def all_in_front(inputs: Sequence[Node], mapped: Sequence[bool], size: int) -> list[Node]:
    """All operands with the examples in front: what is the same for all is repeated, which copies nothing."""
    return [n if m else ops.BROADCAST(n, shape=(size, *n.shape)) for n, m in zip(inputs, mapped, strict=True)]


def broadcast(op: Op, inputs: Inputs, mapped: Mapped, size: int, attrs: Attrs) -> Node:
    """New axes come between the examples and the axes that there were."""
    (x,), shape = inputs, attrs["shape"]
    own = x.shape[1:]
    return op(ops.reshape(x, (size, *(1,) * (len(shape) - len(own)), *own)), shape=(size, *shape))


def contract(op: Op, inputs: Inputs, mapped: Mapped, size: int, attrs: Attrs) -> Node:
    """One more letter, of what is mapped and of the result."""
    spec: str = attrs["spec"]
    letter = next(c for c in ascii_letters if c not in spec)
    sides, out = spec.split("->")
    parts = [letter + part if m else part for part, m in zip(sides.split(","), mapped, strict=True)]
    return op(*inputs, spec=f"{','.join(parts)}->{letter}{out}")


def _example(shape: tuple[int, ...]) -> Node:
    """Which example an index belongs to."""
    return ops.IOTA(shape=shape, axis=0)


def _moved(node: Node, source: int, target: int) -> Node:
    """With one axis in another place."""
    order = [d for d in range(node.type.ndim) if d != source]
    order.insert(target, source)
    return ops.TRANSPOSE(node, perm=tuple(order))


def gather(op: Op, inputs: Inputs, mapped: Mapped, size: int, attrs: Attrs) -> Node:
    """Indices that differ choose from the example that they belong to, too, where these differ."""
    (x, *indices), axes = inputs, attrs["axes"]
    further = tuple([a + 1 for a in axes])
    if not any(mapped[1:]):
        return _moved(op(x, *indices, axes=further), indices[0].type.ndim, 0)
    indices = all_in_front(indices, mapped[1:], size)
    if not mapped[0]:
        return op(x, *indices, axes=axes)
    return op(x, _example(indices[0].shape), *indices, axes=(0, *further))


def scatter(op: Op, inputs: Inputs, mapped: Mapped, size: int, attrs: Attrs) -> Node:
    """To the example that an index belongs to; where all have the same ones, examples are columns."""
    (x, *indices), axes, shape = inputs, attrs["axes"], (size, *attrs["shape"])
    further = tuple([a + 1 for a in axes])
    if not any(mapped[1:]):
        return op(_moved(x, 0, indices[0].type.ndim), *indices, shape=shape, axes=further)
    x, *indices = all_in_front(inputs, mapped, size)
    return op(x, _example(indices[0].shape), *indices, shape=shape, axes=(0, *further))


def convolve(op: Op, inputs: Inputs, mapped: Mapped, size: int, attrs: Attrs) -> Node:
    """x[n, g, c, ...] and w[g, o, c, ...] to [n, g, o, ...]: more images, of one window; more windows of each
    group, for one image; or more groups."""
    x, w = inputs
    if not mapped[1]:
        found = op(ops.reshape(x, (size * x.shape[1], *x.shape[2:])), w, **attrs)
        return ops.reshape(found, (size, -1 if not size else found.shape[0] // size, *found.shape[1:]))
    if not mapped[0]:
        _, groups, out, *rest = w.shape
        found = op(x, ops.reshape(_moved(w, 0, 1), (groups, size * out, *rest)), **attrs)
        return _moved(ops.reshape(found, (*found.shape[:2], size, out, *found.shape[3:])), 2, 0)
    _, images, groups, *rest = x.shape
    x = ops.reshape(_moved(x, 0, 1), (images, size * groups, *rest))
    found = op(x, ops.reshape(w, (size * groups, *w.shape[2:])), **attrs)
    return _moved(ops.reshape(found, (images, size, groups, *found.shape[2:])), 1, 0)
