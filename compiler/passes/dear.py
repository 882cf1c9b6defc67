"""What is cheaper stored than recomputed by each kernel, row or neighbour that reads it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..ir.graph import Node
from .draft import Draft, Placed, Reader, label, walked
from .legal import outer_axes
from .shorten import grown, repeated

# Ops of at least this cost are stored rather than recomputed for every reader.
COSTLY = 10
# A value that a slow op makes is, if so many elements read it, as a column's does each of its rows.
MANY = 8


def _once(p: Placed, outer: set[str]) -> set[str]:
    """The axes along which what a root reads of few elements is computed once for each: not along rows, whose
    vectors hold each of their elements."""
    if p.form != "map" or not outer >= set(p.domain):
        return outer
    return outer - {p.along}


def costly(order: Sequence[Node], drafts: Sequence[Draft], reader: Reader) -> dict[Node, str]:
    """Nodes that are better stored, and why."""
    found: dict[Node, str] = {}
    count: dict[Node, int] = {}
    for draft in drafts:
        here: set[Node] = set()
        outer = set(outer_axes(draft) or ())
        for p in draft.placed:
            computed = [n for n in reader.computed(p) if n.op.kind == "elementwise"]
            dear = [n for n in computed if n.op.flops >= COSTLY]
            here.update(n for n in dear if n not in reader.storage.roots)
            slow = {n for n in computed if n.op.slow and n not in reader.storage.roots}
            once = _once(p, outer)
            if (slow or not here.isdisjoint(dear)) and not once >= set(p.domain):
                domain = prod(draft.extents[x] for x in p.domain)
                within: set[Node] = set()  # of what is stored by now
                for operand, access in p.operands:
                    for n, a in reader.inlined(operand, access, p.node):
                        axes = walked(a)
                        if not axes or axes <= once or n in within:
                            continue
                        readers = 2 if n in here else MANY if n in slow else 0
                        if readers and n.type.size * readers <= domain:
                            found[n] = f"{label(n)}: stored, recomputing would repeat it"
                            within.update(m for m, _ in reader.inlined(n, a, p.node))
        for n in here:
            count[n] = count.get(n, 0) + 1
    found.update({n: f"{label(n)}: stored, {k} kernels read it" for n, k in count.items() if k > 1})
    why = "stored, or many kernels would compute it"
    again = (*repeated(drafts, reader), *grown(order, drafts, reader))
    return found | {n: f"{label(n)}: {why}" for n in again}
