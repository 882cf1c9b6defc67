"""Where long expressions are cut: what no kernel should evaluate at once, or many again, is stored.

    a chain of 1,000 operations                  four kernels, each of which reads what the last one wrote
    ((r1 + r2) + r3) + ... of 1,000 sums         kernels that add up thirty of them

Of all places in the second half of an expression, the one with the least bytes alive is taken. What stands
around a padded value, and a condition on the place along an axis, are computed again instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from .. import ops
from ..ir.graph import Node
from .draft import ARRAYS, LENGTH, Access, Draft, Placed, Reader, goes_along, reduces, through_views

# What so many kernels recompute is stored, if it is no larger than what they read for it. A chain in which
# each kernel repeats one operation more than the last one would need another machine code for each.
REPEATED = 8
# A chain of single values that several read is at most so long: a count that grows at each step of a loop.
SINGLES = 16
# What so few operations make of places alone is not stored.
CHEAP = 8
# Operations that a point does again because its neighbours do them, from which on what they make is stored
# and read: about two exponentials.
NEIGHBOURS = 40
# So often kernels may compute on what earlier ones have computed, and did not store.
GENERATIONS = 2


def shorten(order: Sequence[Node], roots: set[Node]) -> list[Node]:
    """Make every expression over `roots` and inputs short enough: new roots, added to `roots`. `order`:
    all nodes, inputs before users."""
    position = {n: k for k, n in enumerate(order)}
    met = _Met(order, roots)
    added: list[Node] = []
    readers = Counter(m for n in order for m in n.inputs)
    count: dict[Node, int] = {}  # of a single value: the longest chain of single values that it ends

    def memory(node: Node) -> bool:
        return node in roots or node.op is ops.INPUT

    def below(node: Node) -> list[Node]:
        """What is computed for a node, itself included."""
        seen, stack = {node}, [node]
        while stack:
            fresh = [m for m in stack.pop().inputs if m not in seen and not memory(m)]
            seen.update(fresh)
            stack += fresh
        return sorted(seen, key=position.__getitem__)

    for node in order:
        met.enter(node)
        while met.fill(node) > 1:
            nodes = below(node)
            for n in nodes:
                met.enter(n)
            cut = _cut(nodes, memory) if met.fill(node) > 1 else []
            if not cut:
                break
            roots.update(cut)
            added += cut
            met.store(cut)
        if node.inputs and not node.shape and not memory(node):
            count[node] = 1 + max([count.get(m, 0) for m in node.inputs if not memory(m)], default=0)
            if count[node] > SINGLES and readers[node] > 1 and node.op.kind == "elementwise":
                roots.add(node)
                added.append(node)
                met.store([node])
    return added


def apart(order: Sequence[Node], roots: set[Node]) -> list[Node]:
    """What is put together of several arrays, and of which REPEATED maps read parts: each would compute the
    choice among all of these arrays. Not what reductions come of: how they read decides their order."""
    joins: set[Node] = set()
    for n in order:
        if n.op is ops.PAD or any(m in joins and m not in roots for m in n.inputs):
            joins.add(n)
    bit = {n: 1 << k for k, n in enumerate(roots)}
    readers: dict[Node, int] = {}  # roots, as bits
    summed: set[Node] = set()
    parts: set[Node] = set()  # what slices are of
    for n in reversed(order):
        reached = bit.get(n) or readers.get(n, 0)
        if reduces(n) or goes_along(n) or n in summed:
            summed.update(n.inputs)
        for m in n.inputs:
            readers[m] = readers.get(m, 0) | reached
        if n.op is ops.SLICE:
            parts.add(n.inputs[0])
    found = [n for n in order if n in parts and n in joins and n not in roots and n not in summed]
    return [n for n in found if n.op.kind == "elementwise" and readers[n].bit_count() >= REPEATED]


class _Met:
    """What the expression of each node meets down to memory, as bits by position: counted without a walk,
    however often nodes are shared."""

    def __init__(self, order: Sequence[Node], roots: set[Node]) -> None:
        self._bit = {n: 1 << k for k, n in enumerate(order)}
        self._memory = 0
        self._costs: dict[int, int] = {}  # the nodes of each cost
        self._met: dict[Node, int] = {}
        self.store([n for n in order if n in roots or n.op is ops.INPUT])
        for n in order:
            self._costs[n.op.flops] = self._costs.get(n.op.flops, 0) | self._bit[n]

    def store(self, nodes: Sequence[Node]) -> None:
        """These are memory: what met them meets nothing below, once it is entered again."""
        for n in nodes:
            self._memory |= self._bit[n]

    def enter(self, node: Node) -> None:
        found = 0
        for m in node.inputs:
            found |= self._bit[m]
            if not self._bit[m] & self._memory:
                found |= self._met[m]
        self._met[node] = found

    def fill(self, node: Node) -> float:
        met = self._met[node]
        computed = met & ~self._memory | self._bit[node]
        cost = sum([cost * (computed & nodes).bit_count() for cost, nodes in self._costs.items()])
        return _fill(cost, (met & self._memory).bit_count())


def _fill(cost: int, arrays: int) -> float:
    return max(cost / LENGTH, arrays / ARRAYS)


def _cut(nodes: list[Node], memory: Callable[[Node], bool]) -> list[Node]:
    """What is alive at the cheapest place in the second half of `nodes`; ever later ones, where equal."""
    last = {m: k for k, n in enumerate(nodes) for m in n.inputs}
    ends: dict[int, list[Node]] = {}
    cost, read = 0, set[Node]()
    fills: list[float] = []
    for n in nodes:
        cost += n.op.flops
        read.update(m for m in n.inputs if memory(m))
        fills.append(_fill(cost, len(read)))
    alive: Counter[Node] = Counter()
    nbytes = 0  # of what is alive: sums of symbols take long
    best: tuple[int, list[Node]] | None = None
    places = _places(nodes)
    for k, n in enumerate(nodes[:-1]):
        source = _padded(n, memory)
        if not memory(source) and source.inputs and source not in places:
            nbytes += 0 if alive[source] else source.type.nbytes
            alive[source] += 1
            ends.setdefault(last[n], []).append(source)
        for gone in ends.pop(k, ()):
            alive[gone] -= 1
            if not alive[gone]:
                nbytes -= gone.type.nbytes
                del alive[gone]
        if alive and 2 * fills[k] >= fills[-1] and (best is None or nbytes <= best[0]):
            best = nbytes, list(alive)
    return [] if best is None else best[1]


def _padded(node: Node, memory: Callable[[Node], bool]) -> Node:
    """What a node is a view of, or what is padded to make it."""
    source = through_views(node)
    while source.op is ops.PAD and not memory(source):
        source = through_views(source.inputs[0])
    return source


def _places(nodes: Sequence[Node]) -> dict[Node, int]:
    """What is cheaply computed of where it is, and of numbers of the call, with its cost."""
    found: dict[Node, int] = {}
    for n in nodes:
        if n.op is not ops.INPUT and all(m in found for m in n.inputs):
            cost = n.op.flops + sum([found[m] for m in n.inputs])
            if cost <= CHEAP:
                found[n] = cost
    return found


def tops(reader: Reader, placed: Placed, inside: set[Node]) -> list[Node]:
    """What of these nodes below a root is read by those that are not among them."""
    readers = [n for n in reader.computed(placed) if n not in inside]
    read = dict.fromkeys([m for n in readers for m in n.inputs] + [n for n, _ in placed.operands])
    found = dict.fromkeys(through_views(n) for n in read if n in inside)
    return [n for n in found if _storable(reader, n)]


def _storable(reader: Reader, node: Node) -> bool:
    """Whether a node can be stored that is not: what is computed, of something."""
    return node.op.kind == "elementwise" and bool(node.inputs) and node not in reader.storage.roots


def stencils(reader: Reader, placed: Placed, position: Mapping[Node, int]) -> list[Node]:
    """What each point of a root would compute at several places, as its neighbours do: the tops of it, with
    no look below them. `position`: of each node, inputs before users."""
    if not reader.repeats(placed, NEIGHBOURS):
        return []
    found: dict[Node, None] = {}
    for n, count in _spread(reader, placed, position):
        if count > 1:
            top = _padded(n, lambda m: reader.storage.base(m) is not None)
            if _storable(reader, top):
                found[top] = None
    return list(found)


def _spread(reader: Reader, placed: Placed, position: Mapping[Node, int]) -> Iterator[tuple[Node, int]]:
    """What a root computes for each point, users before inputs, with the count of places at which it does;
    nothing of what is below one that has several."""
    at: dict[Node, dict[Access, None]] = {}
    for operand, access in placed.operands:
        at.setdefault(operand, {})[access] = None
    ahead = [-position[n] for n in at]
    heapify(ahead)
    nodes = {position[n]: n for n in at}
    while ahead:
        node = nodes.pop(-heappop(ahead))
        places = at.pop(node)
        if node is not placed.node and reader.storage.base(node) is not None:
            continue
        yield node, len(places)
        if len(places) == 1:
            for place in places:
                for m, access in reader.operands((node, place)):
                    if m not in at:
                        at[m] = {}
                        nodes[position[m]] = m
                        heappush(ahead, -position[m])
                    at[m][access] = None


def repeated(drafts: Sequence[Draft], reader: Reader) -> list[Node]:
    """What later kernels compute as well, wherever REPEATED of them have computed some of it."""
    roots = reader.storage.roots
    visits = [
        dict.fromkeys(n for p in d.placed for n in reader.computed(p) if n.shape and n not in roots)
        for d in drafts
    ]
    ahead = Counter(n for nodes in visits for n in nodes)
    seen: Counter[Node] = Counter()
    found: dict[Node, None] = {}
    for draft, nodes in zip(drafts, visits, strict=True):
        ahead.subtract(list(nodes))
        visible = _visible(draft, nodes, found)
        seen.update(visible)
        if any(seen[n] >= REPEATED for n in visible):
            again = {n for n in visible if ahead[n]}
            for p in draft.placed:
                stored = tops(reader, p, again)
                bases = {reader.storage.base(n) for n, _ in reader.reads(p)}
                if sum(n.type.nbytes for n in stored) <= sum(b.type.nbytes for b in bases if b is not None):
                    found |= dict.fromkeys(stored)
    return list(found)


def grown(order: Sequence[Node], drafts: Sequence[Draft], reader: Reader) -> list[Node]:
    """Single values that carry from step to step: kernels would compute again what earlier ones computed from
    what still earlier ones did, as a count that grows by 1."""
    position = {n: k for k, n in enumerate(order)}
    first: dict[Node, Draft] = {}
    generation: dict[Node, int] = {}
    found: dict[Node, None] = {}

    def memory(node: Node) -> bool:
        return node in found or node in reader.storage.roots

    for draft in drafts:
        single = {n for p in draft.placed + draft.final for n in reader.computed(p) if not n.shape}
        for node in sorted(single - first.keys(), key=position.__getitem__):
            first[node] = draft
            generation[node] = 0
            for m in node.inputs:
                if m in generation and not memory(m):
                    turn = generation[m] + (first[m] is not draft)
                    if turn >= GENERATIONS and m.op.kind == "elementwise" and m.inputs:
                        found[m] = None
                    else:
                        generation[node] = max(generation[node], turn)
    return list(found)


def _visible(draft: Draft, nodes: Container[Node], stored: Container[Node]) -> list[Node]:
    """Those of `nodes` that a draft still evaluates if these are stored."""
    seen: dict[Node, None] = {}
    stack = [m for p in draft.placed for n, _ in p.operands for m in (n.inputs if n is p.node else (n,))]
    while stack:
        n = stack.pop()
        if n in nodes and n not in stored and n not in seen:
            seen[n] = None
            stack.extend(n.inputs)
    return list(seen)
