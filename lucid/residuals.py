"""What gradients need of the way to a result: PyTorch's saved tensors, as nodes.

    h = relu(x @ w)        # the product is saved; what is made of it element by element is made again,
    y = h @ v              # inside of the kernels that read it

The gradients are made once, to look at what they read: the last nodes of the way there that cannot be had for
reading something else. A product that is larger than both operands together, in few steps, is made again,
too: so nobody stores the scores of attention, but the greatest and the sum of each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node, toposort
from lucid.compiler.passes import autodiff

from .pieces import Piece, placeholder

# Kinds of ops, and ops, whose results are computed again for nothing but what is read for them.
KINDS, OPS = ("leaf", "elementwise", "view", "pair"), ("iota", "gather")
STEPS = 128  # of a product that is rather made again than stored


def residuals(piece: Piece, wrt: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes between the inputs of `piece` and its outputs whose values the gradients by `wrt` need."""
    outputs = piece.outputs
    cotangents = [placeholder(k, n.type) for k, n in enumerate(outputs)]
    parts = autodiff.pullback(outputs, cotangents, wrt)
    way = [n for n in piece.order if not _made_again(n)]
    reached = set(toposort([n for n in parts if n is not None], frozenset(way)))
    read = {source for n in reached for source in n.inputs} | {n for n in parts if n is not None}
    return tuple([n for n in way if n in read])


def _made_again(node: Node) -> bool:
    if node.op is not ops.CONTRACT:
        return node.op.kind in KINDS or node.op.name in OPS
    if node.type.nbytes <= sum(n.type.nbytes for n in node.inputs):
        return False
    *sides, kept = ops.parse_spec(node.attrs["spec"])
    sizes = {
        name: n
        for side, x in zip(sides, node.inputs, strict=True)
        for name, n in zip(side, x.shape, strict=True)
    }
    return prod(n for name, n in sizes.items() if name not in kept) <= STEPS
