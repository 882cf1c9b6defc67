"""Arrays side by side along an axis, as choices by place; and what such a choice leaves of a slice."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from .view import pad_axis

# So many operands are joined by one choice, as many arrays as a kernel has at most; more by another one over
# the results, which reads twice.
AT_ONCE = 32


def joined(parts: Sequence[tuple[int, Node]], axis: int, size: int) -> Node:
    """An array of `size` along `axis` of parts that begin at places there, in order; zeros between them."""
    while len(parts) > AT_ONCE:
        parts = [_run(parts[k : k + AT_ONCE], axis) for k in range(0, len(parts), AT_ONCE)]
    return _choice(parts, axis, size)


def _run(parts: Sequence[tuple[int, Node]], axis: int) -> tuple[int, Node]:
    begin, (last, node) = parts[0][0], parts[-1]
    whole = _choice([(at - begin, n) for at, n in parts], axis, last + node.shape[axis] - begin)
    return begin, whole


def _choice(parts: Sequence[tuple[int, Node]], axis: int, size: int) -> Node:
    padded = [pad_axis(n, axis, at, size - at - n.shape[axis]) for at, n in parts]
    if len(parts) == 1:
        return padded[0]
    place = ops.IOTA(shape=padded[0].shape, axis=axis)

    def choice(first: int, last: int) -> Node:
        """As a tree, so that gradients are not deep."""
        if last - first == 1:
            return padded[first]
        middle = (first + last) // 2
        end = ops.fill(ops.SCALAR(value=parts[middle][0], dtype=place.type.dtype), place.shape)
        return ops.WHERE(ops.LT(place, end), choice(first, middle), choice(middle, last))

    return choice(0, len(parts))


def decided(mask: Node, begins: Sequence[int], counts: Sequence[int]) -> bool | None:
    """Whether a mask that asks for the place along an axis holds in all of a slice, or in nothing of it; None
    for others, and where it depends."""
    if mask.op is not ops.LT:
        return None
    place, end = mask.inputs
    while end.op is ops.BROADCAST:
        end = end.inputs[0]
    if place.op is not ops.IOTA or end.op is not ops.SCALAR:
        return None
    axis, limit = place.attrs["axis"], ops.ask(ops.exact, end)
    begin = begins[axis]
    return True if begin + counts[axis] <= limit else False if begin >= limit else None
