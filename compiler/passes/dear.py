"""What is cheaper stored than recomputed by each kernel, row or neighbour that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..ir.graph import Node
from .draft import Draft, Reader, label, walked
from .legal import outer_axes
from .shorten import grown, repeated, stencils

# Ops of at least this cost are stored rather than recomputed for every reader.
COSTLY = 10


def costly(order: Sequence[Node], drafts: Sequence[Draft], reader: Reader) -> dict[Node, str]:
    """Nodes that are better stored, and why."""
    found: dict[Node, str] = {}
    count: dict[Node, int] = {}
    beside = "stored, neighbours would compute it, too"
    for draft in drafts:
        here: set[Node] = set()
        outer = set(outer_axes(draft) or ())
        for p in draft.placed:
            dear = [n for n in reader.computed(p) if n.op.flops >= COSTLY and n.op.kind == "elementwise"]
            here.update(n for n in dear if n not in reader.storage.roots)
            if not here.isdisjoint(dear) and not outer >= set(p.domain):
                domain = prod(draft.extents[x] for x in p.domain)
                for operand, access in p.operands:
                    for n, a in reader.inlined(operand, access, p.node):
                        axes = walked(a)
                        if n in here and axes and not axes <= outer and n.type.size * 2 <= domain:
                            found[n] = f"{label(n)}: stored, recomputing would repeat it"
        for n in here:
            count[n] = count.get(n, 0) + 1
        for p in draft.placed:
            domain = prod(draft.extents[x] for x in p.domain)
            near = stencils(reader, p)
            found.update({n: f"{label(n)}: {beside}" for n in near if n.type.size <= 2 * domain})
    found.update({n: f"{label(n)}: stored, {k} kernels read it" for n, k in count.items() if k > 1})
    why = "stored, or many kernels would compute it"
    again = (*repeated(drafts, reader), *grown(order, drafts, reader))
    return found | {n: f"{label(n)}: {why}" for n in again}
