"""Drafts as calls of kernels, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    needs: dict[Draft, set[Draft]] = {d: set() for d in drafts}
    followers: dict[Draft, list[Draft]] = {d: [] for d in drafts}
    stored = {n for n in homes if n in outputs}
    for draft in drafts:
        for p in draft.placed + draft.final:
            for node, _ in reader.reads(p):
                base = reader.storage.base(node)
                home = homes.get(base) if base is not None else None
                if base is not None and home is not None and home is not draft:
                    stored.add(base)
                    needs[draft].add(home)
        for home in needs[draft]:
            followers[home].append(draft)
    waits = {d: len(before) for d, before in needs.items()}
    numbered = {d.number: d for d in drafts}
    ready = [d.number for d in drafts if not waits[d]]
    while ready:
        draft = numbered[heappop(ready)]
        yield Writer(draft, outer_axes(draft) or (), reader, stored).write()
        for follower in followers[draft]:
            waits[follower] -= 1
            if not waits[follower]:
                heappush(ready, follower.number)
