"""What fusion works on: roots, the memory they read, and drafts of kernels.

The dimensions of a root's domain are labels. An access says where a node is evaluated: a subscript in
labels for each of its dimensions, and guards outside of which it is 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf, prod
from typing import NamedTuple

from .. import ops
from ..ir.data import data, field, replace
from ..ir.graph import Node
from ..ir.program import Apart, row_major
from ..ops import By, Guard, Ix, Subscript, Sum

Access = tuple[tuple[Subscript, ...], tuple[Guard, ...]]
Spot = tuple[Node, tuple[int, ...]]  # memory, and what `spot` says of an access to it

# Results of a row of a product from which on a turned operand is worth a kernel of its own.
AGAIN = 16

# --- roots ---------------------------------------------------------------------------------------


def letters(node: Node) -> tuple[str, str, str]:
    return ops.parse_spec(node.attrs["spec"])


def extents_of(node: Node) -> dict[str, int]:
    """Extent of each letter of a contraction."""
    a, b, _ = letters(node)
    return dict(zip(a + b, node.inputs[0].shape + node.inputs[1].shape, strict=True))


def reduces(node: Node) -> bool:
    """A reduction or contraction over something longer than 1."""
    if node.op.kind == "reduce":
        return any(node.inputs[0].shape[a] != 1 for a in node.attrs["axes"])
    if node.op in ops.SCATTERS:
        return True
    if node.op.kind == "contract":
        out = letters(node)[2]
        return any(n != 1 for letter, n in extents_of(node).items() if letter not in out)
    return False


def goes_along(node: Node) -> bool:
    """A scan or a sort of more than one element."""
    return node.op.kind in ("scan", "sort") and node.inputs[0].shape[node.attrs["axis"]] != 1


def is_product(node: Node) -> bool:
    """A matrix product proper: each operand lacks an axis of the result, and be that one row or one column,
    for how many there are must not decide in which order their terms are added."""
    if node.op.kind != "contract" or not reduces(node):
        return False
    a, b, out = letters(node)
    return any(x not in a for x in out) and any(x not in b for x in out)


def repacked(node: Node) -> list[Node]:
    """What operands of a product are that are turned, or cut of that: as they are named, rows of several
    summed axes, they are read or packed by whole vectors."""
    a, b, out = letters(node)
    sizes, found = extents_of(node), []
    summed = [x for x in a if x not in out]
    if len(summed) < 2:
        return []
    for operand, own in zip(node.inputs, (a, b), strict=True):
        others = prod(sizes[x] for x in out if x not in own)
        if operand.op in (ops.TRANSPOSE, ops.SLICE) and own.endswith("".join(summed)) and others >= AGAIN:
            source = operand
            while source.op is ops.SLICE:
                (source,) = source.inputs
            found.append(source if source.op is ops.TRANSPOSE else operand)
    return found


def through_views(node: Node) -> Node:
    """What a node is a view of; what is padded is no view of anything, for it has elements of its own."""
    while node.op.kind == "view" and node.op is not ops.PAD:
        node = node.inputs[0]
    return node


def breadth(access: Access) -> int:
    """How many axes it walks. Sizes are not asked for where this tells: they may be of different plans."""
    return sum(isinstance(ix, Ix) and ix.axis is not None for ix in access[0])


def label(node: Node) -> str:
    """A node in words."""
    where = f" at {node.loc}" if node.loc else ""
    return f"{node.op.name} {node.type}{where}"


def computed(node: Node) -> bool:
    return node.op.kind in ("elementwise", "index", "scan", "sort") or node.op is ops.PAD


def packed(node: Node, roots: set[Node]) -> bool:
    """Whether packing an operand of a product does it on the way: a cast or a mask of what is in memory."""
    if node.op not in (ops.CAST, ops.WHERE):
        return False
    return all(n in roots or not computed(n) or packed(n, roots) for n in map(through_views, node.inputs))


def full(node: Node, labels: tuple[str, ...]) -> tuple[Ix, ...]:
    """The access of a whole node; dimensions of extent 1 have no axis."""
    return tuple(Ix(None) if n == 1 else Ix(label) for label, n in zip(labels, node.shape, strict=True))


def walked(access: Access) -> set[str]:
    """The labels along which an access goes, in subscripts that are values too."""
    found: set[str] = set()
    for ix in access[0]:
        if isinstance(ix, By):
            found |= walked(ix.access)
        elif isinstance(ix, Sum):
            found.update(axis for axis, _ in ix.terms)
        elif ix.axis is not None:
            found.add(ix.axis)
    return found


def spot(node: Node, access: Access) -> tuple[int, ...]:
    """What two accesses to the same memory have in common that may be one, but for labels: the shape, and the
    kind, step and offset of each subscript."""
    found = [*node.shape]
    for ix in access[0]:
        found += (ix.axis is not None, ix.step, ix.offset) if isinstance(ix, Ix) else (2, 0, 0)
    return tuple(found)


def view(node: Node, access: Access) -> Access | None:
    """The access of a view's input, or None if it cannot be written."""
    step = node.op.lower(node.attrs, node.inputs[0].shape, access[0])
    return None if step is None else (step[0], access[1] + step[1])


# --- storage -------------------------------------------------------------------------------------


class Storage:
    """Which nodes have memory: inputs, roots, and reshapes of those (the same memory)."""

    def __init__(self, roots: set[Node]) -> None:
        self.roots = roots
        self._folds: dict[Node, bool] = {}  # reshapes: whether they are mere views

    def _is_view(self, node: Node) -> bool:
        known = self._folds.get(node)
        if known is None:
            access = full(node, ("",) * node.type.ndim), ()
            known = self._folds[node] = view(node, access) is not None
        return known

    def base(self, node: Node) -> Node | None:
        """The node whose memory holds `node` in row-major order, unless a view reaches it
        anyway."""
        while node.op is ops.RESHAPE and node not in self.roots:
            if self._is_view(node):
                return None
            node = node.inputs[0]
        return node if node in self.roots or node.op is ops.INPUT else None


class Read(NamedTuple):
    """An access to memory: element `offset` + sum of strides[label] * label + that of strides * `values`."""

    base: Node
    offset: int
    strides: tuple[tuple[str, int], ...]
    guards: tuple[Guard, ...]
    values: tuple[tuple[By, int], ...] = ()

    @staticmethod
    def of(node: Node, base: Node, access: Access) -> Read:
        offset = 0
        strides: dict[str, int] = {}
        values: list[tuple[By, int]] = []
        for ix, stride in zip(access[0], row_major(node.shape), strict=True):
            offset += ix.offset * stride
            if isinstance(ix, By):
                values.append((ix, ix.step * stride))
            elif isinstance(ix, Sum):
                for axis, scale in ix.terms:
                    strides[axis] = strides.get(axis, 0) + scale * ix.step * stride
            elif ix.axis is not None:
                strides[ix.axis] = strides.get(ix.axis, 0) + ix.step * stride
        return Read(base, offset, tuple(strides.items()), access[1], tuple(values))


# --- drafts --------------------------------------------------------------------------------------


@data(frozen=False)
class Placed:
    """A root in a draft: the labels of its domain, those of its result, those it reduces."""

    node: Node
    domain: tuple[str, ...]  # labels of extent > 1
    access: Access  # of the result (roots that reduce: of what is kept)
    reduced: frozenset[str]
    operands: tuple[tuple[Node, Access], ...]  # what is evaluated at each point of the domain
    form: str  # "map", "full", "row", "column", "product", "scatter", "scan", "sort"
    kept: frozenset[str] = field(init=False)
    along: str | None = field(init=False)  # the last axis of its result: where that lies along memory

    def __post_init__(self) -> None:
        axes = [ix.axis for ix in self.access[0] if isinstance(ix, Ix) and ix.axis is not None]
        self.kept, self.along = frozenset(axes), axes[-1] if axes else None


# What a kernel holds at most. LLVM takes 25 µs a line for a chain of operations, however long, and 50 where
# a step of Adam keeps the arrays of 4 parameters at hand; of 8 parameters 75, of 16 185: registers spill,
# and its time grows with the square. Stages multiply operations, since each computes what it reads: 3
# softmaxes in one kernel are 5,000 lines, 6 are 15,000.
ARRAYS = 32
LENGTH = 256  # in the `flops` of ops: 17 exponentials


@data(frozen=False, eq=False)
class Load:
    """What a draft makes LLVM do: the nodes that it evaluates, by the number of row reductions that must be
    known before (a stage shares nothing with the next one), with their cost; and the arrays that it has."""

    depth: dict[Node, int] = field(default_factory=dict)  # of its roots
    visits: set[tuple[int, Node]] = field(default_factory=set)
    length: int = 0
    arrays: set[Node] = field(default_factory=set)


@data(frozen=False, eq=False)
class Draft:
    extents: dict[str, int] = field(default_factory=dict)
    placed: list[Placed] = field(default_factory=list)
    final: list[Placed] = field(default_factory=list)
    rows: set[Node] = field(default_factory=set)  # reductions that stages read
    totals: set[Node] = field(default_factory=set)  # reductions that `finally` reads
    number: int = 0
    after: int = 0  # the numbers of drafts that run before, transitively, as bits
    reasons: list[str] = field(default_factory=list)
    apart: dict[Node, Apart] = field(default_factory=dict)  # by memory that other drafts make
    reads: dict[Spot, list[Access]] = field(default_factory=dict)  # what stages read
    load: Load = field(default_factory=Load)
    full: bool = False  # a root could not join for its load
    bit: int = field(init=False)

    def __post_init__(self) -> None:
        self.bit = 1 << self.number

    def find(self, node: Node) -> Placed | None:
        return next((p for p in self.placed + self.final if p.node is node), None)


class Labels:
    def __init__(self) -> None:
        self._count = 0

    def fresh(self) -> str:
        self._count += 1
        return f"L{self._count}"


def place(node: Node, labels: Labels, extents: dict[str, int]) -> Placed:
    """A root on its own, with fresh labels."""

    def name(shape: tuple[int, ...]) -> tuple[str, ...]:
        names = tuple(labels.fresh() for _ in shape)
        extents.update({x: n for x, n in zip(names, shape, strict=True) if n != 1})
        return names

    operands: tuple[tuple[Node, Access], ...]
    if node.op.kind == "reduce" and reduces(node):
        source = node.inputs[0]
        names = name(source.shape)
        at = full(source, names)
        axes = node.attrs["axes"]
        kept = tuple(ix for d, ix in enumerate(at) if d not in axes)
        operands = tuple([(n, (at, ())) for n in node.inputs])
    elif node.op in ops.SCATTERS:
        source, *indices = node.inputs
        at = full(source, name(source.shape))
        spots = _subscripts(node.shape, node.attrs["axes"], indices, (at, ()), whole=True)
        places = [(ix.node, ix.access) for ix in spots if isinstance(ix, By)]
        domain = tuple(ix.axis for ix in at if ix.axis is not None)
        beside = {ix.axis for ix in spots if isinstance(ix, Ix)}
        return Placed(
            node, domain, (spots, ()), frozenset(domain) - beside, (*places, (source, (at, ()))), "scatter"
        )
    elif reduces(node):
        a, b, out = letters(node)
        sizes = extents_of(node)
        named = dict(zip(sizes, name(tuple(sizes.values())), strict=True))
        spot = {x: Ix(None) if sizes[x] == 1 else Ix(named[x]) for x in sizes}
        at = tuple(spot.values())
        kept = tuple(spot[x] for x in out)
        operands = tuple(
            (n, (tuple(spot[x] for x in part), ())) for n, part in zip(node.inputs, (a, b), strict=True)
        )
    else:  # what is sorted is all of an axis, of which the first elements may be kept
        whole = node.inputs[0].shape if goes_along(node) else node.shape
        at = kept = full(node.inputs[0] if goes_along(node) else node, name(whole))
        operands = ((node.inputs[0] if goes_along(node) else node, (at, ())),)
    domain = tuple(ix.axis for ix in at if ix.axis is not None)
    held = {ix.axis for ix in kept if ix.axis is not None}
    return Placed(node, domain, (kept, ()), frozenset(domain) - held, operands, "")


def relabel(placed: Placed, names: Mapping[str, str]) -> Placed:
    return replace(
        placed,
        domain=tuple(names.get(x, x) for x in placed.domain),
        access=renamed(placed.access, names),
        reduced=frozenset(names.get(x, x) for x in placed.reduced),
        operands=tuple((n, renamed(a, names)) for n, a in placed.operands),
    )


def renamed(access: Access, names: Mapping[str, str]) -> Access:
    """An access in other labels."""

    def ix(i: Subscript) -> Subscript:
        if isinstance(i, By):
            return i._replace(access=renamed(i.access, names))
        if isinstance(i, Sum):
            return i._replace(terms=tuple([(names.get(axis, axis), scale) for axis, scale in i.terms]))
        return i if i.axis is None else Ix(names.get(i.axis, i.axis), i.step, i.offset)

    return tuple(map(ix, access[0])), tuple([Guard(names.get(g.axis, g.axis), g.lo, g.hi) for g in access[1]])


def _subscripts(
    shape: tuple[int, ...],
    axes: tuple[int, ...],
    indices: Sequence[Node],
    access: Access,
    whole: bool = False,
) -> tuple[Subscript, ...]:
    """The subscripts of an array of `shape` that is indexed at `axes`; `access` is of the result: the
    dimensions of the indices, then the others. An index that runs along an axis is that axis; `whole`: along
    all of it."""
    many = indices[0].type.ndim
    at = access[0][:many], access[1]
    rest = iter(access[0][many:])
    table = dict(zip(axes, indices, strict=True))
    found: list[Subscript] = []
    for d, n in enumerate(shape):
        index = table.get(d)
        if index is None:
            found.append(next(rest))
            continue
        runs = index.shape[index.attrs["axis"]] if index.op is ops.IOTA else -1
        along = runs == n or (0 <= runs < n and not whole)
        found.append(at[0][index.attrs["axis"]] if along else By(index, at, n))
    return tuple(found)


def _gathered(node: Node, access: Access) -> list[tuple[Node, Access]]:
    """The indices, and what they are subscripts of."""
    x, *indices = node.inputs
    found = _subscripts(x.shape, node.attrs["axes"], indices, access)
    values = [(ix.node, ix.access) for ix in found if isinstance(ix, By) and ix.node in indices]
    return [*values, (x, (found, access[1]))]


def operands(node: Node, access: Access) -> list[tuple[Node, Access]]:
    """What a node is made of where it is evaluated, and where these are evaluated."""
    if node.op.kind == "view":
        inner = view(node, access)
        return [] if inner is None else [(node.inputs[0], inner)]
    if node.op.kind == "elementwise" or (node.op.kind in ("scan", "sort") and not goes_along(node)):
        return [(n, access) for n in node.inputs]
    if node.op is ops.GATHER:
        return _gathered(node, access)
    if node.op.kind == "reduce" and not reduces(node):  # only units are reduced
        axes, rest = node.attrs["axes"], iter(access[0])
        shape = node.inputs[0].shape
        at = tuple(Ix(None) if d in axes else next(rest) for d in range(len(shape)))
        return [(n, (at, access[1])) for n in node.inputs]
    if node.op.kind == "contract" and not reduces(node):
        a, b, out = letters(node)
        spot = dict(zip(out, access[0], strict=True))
        return [
            (n, (tuple(spot.get(x, Ix(None)) for x in part), access[1]))
            for n, part in zip(node.inputs, (a, b), strict=True)
        ]
    return []


@data(eq=False)
class Walk:
    """What evaluating a root comes to, as long as of the nodes that it meets the same are memory.

    `reads`: accesses to memory, roots of drafts included. `computed`: what is evaluated at each point of its
    domain, from memory on, each node once. `again`: the cost of what is evaluated more than once.
    `positional`: labels along which it matters where one is, and be it that nothing is read there. `blocked`:
    what must be memory first, for a view of it that cannot be folded, and that view."""

    reads: list[tuple[Node, Access]]
    computed: list[Node]
    again: int
    positional: frozenset[str]
    blocked: list[tuple[Node, Node]]
    memory: frozenset[Node]
    inner: frozenset[Node]  # what is no memory

    def holds(self, roots: set[Node]) -> bool:
        return self.memory <= roots and self.inner.isdisjoint(roots)


# So many walks of a root are kept: that which finds what must be memory, and the one over that.
WALKS = 2


class Reader:
    """What evaluating a node somewhere comes to: which nodes it visits, which memory it reads. What it has
    found out it knows as long as it holds, whatever becomes a root elsewhere."""

    def __init__(self) -> None:
        self.storage = Storage(set())
        self.visited = 0  # nodes, over all roots: what fusion's time is made of
        self._turn = 0
        # By id, the latest first, with the turn in which it was looked at; and of roots that have moved. The
        # entries keep the roots alive.
        self._walks: dict[int, tuple[Placed, int, list[Walk]]] = {}
        self._moved: dict[int, tuple[Placed, Walk]] = {}
        self._inner: dict[tuple[Node, Access], list[tuple[Node, Access]]] = {}

    def renew(self, roots: set[Node]) -> None:
        """These are memory from here on, and nothing else."""
        self.storage.roots = roots
        self._turn += 1
        self._moved = {}

    def inlined(self, node: Node, access: Access, root: Node | None) -> Iterator[tuple[Node, Access]]:
        """Every (node, access) that evaluating `node` there visits; stops at memory."""
        seen: set[tuple[Node, Access]] = set()
        stack = [(node, access)]
        while stack:
            item = stack.pop()
            if item in seen:
                continue
            seen.add(item)
            yield item
            if item[0] is root or self.storage.base(item[0]) is None:
                stack.extend(self.operands(item))

    def operands(self, item: tuple[Node, Access]) -> list[tuple[Node, Access]]:
        """`operands` of a node at an access: asked again and again of the same."""
        found = self._inner.get(item)
        if found is None:
            found = self._inner[item] = operands(*item)
        return found

    def reads(self, placed: Placed) -> list[tuple[Node, Access]]:
        return self.walk(placed).reads

    def computed(self, placed: Placed) -> list[Node]:
        return self.walk(placed).computed

    def forget(self, placed: Placed) -> None:
        """Something below has become memory."""
        self._walks.pop(id(placed), None)

    def walk(self, placed: Placed) -> Walk:
        """Within a turn always the same."""
        if (moved := self._moved.get(id(placed))) is not None:
            return moved[1]
        found = self._known(placed) or self._walked(placed)
        assert found is not None
        return self._keep(placed, found)

    def repeats(self, placed: Placed, cost: int) -> bool:
        """Whether as much as this is evaluated again; what is, at many places, is not walked to its end. What
        is blocked is looked through."""
        found = self._known(placed)
        if found is None or found.blocked:
            found = self._walked(placed, cost)
            if found is not None and not found.blocked:
                self._keep(placed, found)
        return found is None or found.again >= cost

    def _known(self, placed: Placed) -> Walk | None:
        _, turn, known = self._walks.get(id(placed), (placed, -1, []))
        if turn == self._turn:
            return known[0]
        return next((walk for walk in known if walk.holds(self.storage.roots)), None)

    def _keep(self, placed: Placed, walk: Walk) -> Walk:
        _, turn, known = self._walks.get(id(placed), (placed, -1, []))
        if turn != self._turn:
            known = [walk, *(w for w in known if w is not walk)][:WALKS]
            self._walks[id(placed)] = placed, self._turn, known
        return walk

    def moved(self, placed: Placed, names: Mapping[str, str]) -> Placed:
        """A root under other labels, each its own: it comes to the same there."""
        walk, found = self.walk(placed), relabel(placed, names)
        walk = replace(
            walk,
            reads=[(n, renamed(a, names)) for n, a in walk.reads],
            positional=frozenset([names.get(x, x) for x in walk.positional]),
        )
        self._moved[id(found)] = found, walk
        return found

    def _walked(self, placed: Placed, most: float = inf) -> Walk | None:
        """None where `most` or more is evaluated again. Without that, what is blocked is memory for what
        follows, as whoever asks makes it so."""
        storage, root = self.storage, placed.node
        reads: dict[tuple[Node, Access], None] = {}
        computed: dict[Node, None] = {}
        memory, inner, positional = set[Node](), set[Node](), set[str]()
        blocked: dict[Node, Node] = {}
        again = 0
        seen: set[tuple[Node, Access]] = set()
        stack = [*reversed(placed.operands)]
        while stack and again < most:
            item = stack.pop()
            if item in seen:
                continue
            seen.add(item)
            node, access = item
            positional.update([g.axis for g in access[1]])
            base = None if node is root else storage.base(node)
            if base is not None:
                reads[item] = None
                inner.update(_way(node, base))
                if base.op is not ops.INPUT and base not in blocked:
                    memory.add(base)
                continue
            if node in computed:
                again += node.op.flops
            computed[node] = None
            if node is not root:
                inner.add(node)
            below = self.operands(item)
            stack += below
            if node.op is ops.IOTA and not isinstance(ix := access[0][node.attrs["axis"]], By):
                positional |= walked(((ix,), ()))
            stuck = node.op.kind == "view" and not below and node is not root
            if stuck or (node.op is ops.GATHER and access[1]):  # a guard would have to move the window
                *way, at = _way(node, None) if stuck else (node,)
                inner.update((*way, at))
                if at not in storage.roots:
                    blocked.setdefault(at, node)
                    if most is inf:
                        storage.roots.add(at)
        storage.roots.difference_update(blocked)
        self.visited += len(seen)
        if again >= most:
            return None
        found = [*reads], [*computed], again, frozenset(positional), [*blocked.items()]
        return Walk(*found, frozenset(memory), frozenset(inner))


def _way(node: Node, end: Node | None) -> Iterator[Node]:
    """From a reshape down to what it is of, or to `end`, which is left out."""
    while node is not end:
        yield node
        if node.op is not ops.RESHAPE:
            break
        node = node.inputs[0]
