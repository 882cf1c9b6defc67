"""Arrays side by side along an axis, as choices by place; and what such a choice leaves of a slice."""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node, rebuild
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
    axis, limit = place.attrs["axis"], end.attrs["value"]
    begin = begins[axis]
    return True if begin + counts[axis] <= limit else False if begin >= limit else None


# A slice is looked for through so many elementwise nodes, each of which costs less than this.
NEAR, CHEAP = 16, 10


def part(node: Node, begins: Sequence[int], counts: Sequence[int]) -> Node:
    """A slice; of what is cheaply computed of arrays put side by side, where it lies in one of them, that of
    this one alone: gradients of the parts would each evaluate the whole."""
    sliced = _Sliced(counts)
    found = sliced.of(node, tuple(begins))
    return found if found is not None and sliced.decided else _slice(node, begins, counts)


def _slice(node: Node, begins: Sequence[int], counts: Sequence[int]) -> Node:
    return ops.SLICE(node, starts=tuple(begins), steps=(1,) * len(counts), counts=tuple(counts))


class _Sliced:
    """Nodes at the places of a slice, of so many elements. `decided`: something was put side by side."""

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = tuple(counts)
        self.decided = False
        self._left = NEAR
        self._known: dict[tuple[Node, tuple[int, ...]], Node | None] = {}

    def of(self, node: Node, begins: tuple[int, ...]) -> Node | None:
        """None where it had better not be computed apart."""
        if (node, begins) not in self._known:
            self._known[node, begins] = self._of(node, begins)
        return self._known[node, begins]

    def _of(self, node: Node, begins: tuple[int, ...]) -> Node | None:
        """Down to the part of a join that is there; one that is computed is better stored with the others."""
        joined = False
        while (step := self._step(node, begins)) is not None:
            joined = joined or node.op is not ops.SLICE
            node, begins = step
        self.decided |= joined
        if joined and _source(node).op.kind == "elementwise":
            return None
        return self._computed(node, begins)

    def _step(self, node: Node, begins: tuple[int, ...]) -> tuple[Node, tuple[int, ...]] | None:
        """What a node takes its elements from there, as they are."""
        if node.op is ops.WHERE:
            holds = decided(node.inputs[0], begins, self.counts)
            return None if holds is None else (node.inputs[1 if holds else 2], begins)
        if node.op is ops.SLICE and set(node.attrs["steps"]) == {1}:
            return node.inputs[0], _plus(begins, node.attrs["starts"], 1)
        if node.op is ops.PAD:
            (x,), shifted = node.inputs, _plus(begins, node.attrs["lo"], -1)
            ends = zip(shifted, self.counts, x.shape, strict=True)
            return (x, shifted) if all(b >= 0 and b + count <= n for b, count, n in ends) else None
        return None

    def _computed(self, node: Node, begins: tuple[int, ...]) -> Node | None:
        if node.shape == self.counts:
            return node
        if node.op is ops.BROADCAST and node.inputs[0].type.size == 1:
            return ops.fill(ops.reshape(node.inputs[0], ()), self.counts)
        if node.op.kind != "elementwise":
            return _slice(node, begins, self.counts)
        self._left -= 1
        if self._left < 0 or node.op.flops >= CHEAP:
            return None
        inputs: list[Node] = []
        for n in node.inputs:
            found = self.of(n, begins)
            if found is None:
                return None
            inputs.append(found)
        return rebuild(node, tuple(inputs))


def _plus(begins: Sequence[int], others: Sequence[int], sign: int) -> tuple[int, ...]:
    return tuple([a + sign * b for a, b in zip(begins, others, strict=True)])


def _source(node: Node) -> Node:
    """What a node is a view of, or another format."""
    while node.op is ops.CAST or (node.op.kind == "view" and node.op is not ops.PAD):
        node = node.inputs[0]
    return node
