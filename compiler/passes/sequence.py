"""Drafts as calls of kernels, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from ..ir.graph import Node
from ..ir.program import Call
from .draft import Draft, Reader
from .draft_kernel import Writer
from .legal import outer_axes


def calls(
    drafts: Sequence[Draft], homes: Mapping[Node, Draft], reader: Reader, outputs: set[Node]
) -> Iterator[Call]:
    """The drafts as calls, each as early as what it needs allows, in the order in which they began."""
    sorter = TopologicalSorter[Draft](dict.fromkeys(drafts, ()))
    stored = {n for n in homes if n in outputs}
    for draft in drafts:
        for p in draft.placed + draft.final:
            for node, _ in reader.reads(p):
                base = reader.storage.base(node)
                home = homes.get(base) if base is not None else None
                if base is not None and home is not None and home is not draft:
                    stored.add(base)
                    sorter.add(draft, home)
    numbered = {d.number: d for d in drafts}
    ready: list[int] = []
    sorter.prepare()
    while sorter.is_active():
        for draft in sorter.get_ready():
            heappush(ready, draft.number)
        draft = numbered[heappop(ready)]
        yield Writer(draft, outer_axes(draft) or (), reader, stored).write()
        sorter.done(draft)
