"""Graph to kernels. All can-fuse logic lives here.

    %2 = sub %x, %y;  %3 = abs %2; ...; %9 = sum %8;  %12 = where ...        (outputs %9, %12)
    =>  one kernel: for i in n:  r += f(x[i] - y[i]);  o[i] = g(x[i] - y[i])

One cost decides: bytes moved through memory, then launches. The steps:

1. *Roots* are the nodes that a kernel computes for their own sake: graph outputs, reductions, and
values that
   must stand in memory (operands of matrix products, what a true reshape reads, costly values with
   many readers). Everything else, elementwise ops and views, is recomputed inside the kernels that
   read it.
2. Roots join *drafts* in topological order. The dimensions of a root's domain are labels; a root
that reads a
   reduction of the draft, or the same memory, shares its labels. A draft is legal if it has outer
   axes (`_outer`): a row reduction that another root reads must keep exactly the outer axes; any
   other reduction must reduce all of them, and is then known only in `finally`.
3. Each draft becomes a kernel: adjacent axes that every access walks as one are collapsed, names
become canonical.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple

from . import ops
from .graph import Graph, Node, toposort
from .kernel import (
    Array,
    Axis,
    Const,
    Expr,
    Extent,
    Index,
    Kernel,
    Let,
    Load,
    Reduce,
    Ref,
    Scalar,
    Stage,
    Stmt,
    Store,
    Within,
)
from .kernel import (
    Call as CallExpr,
)
from .ops import Guard, Ix
from .program import Call, Operand, Program
from .types import DType, f16, f32

# A `finally` runs on one thread: larger results get a kernel of their own.
FINAL_ELEMENTS = 65_536
# Accumulators over an outer axis are kept per block: only for results of this many elements.
KEPT_ELEMENTS = 65_536
# Ops of at least this cost are stored rather than recomputed for every reader.
COSTLY = 10
# Inner extents up to this are part of the code: a row is then a few registers, with no loop.
SMALL = 64
# Deeper expressions are cut into lets, so that no later pass recurses without bound.
DEPTH = 12

Access = tuple[tuple[Ix, ...], tuple[Guard, ...]]


# --- roots ---------------------------------------------------------------------------------------


def _letters(node: Node) -> tuple[str, str, str]:
    return ops.parse_spec(node.attrs["spec"])


def _extents(node: Node) -> dict[str, int]:
    """Extent of each letter of a contraction."""
    a, b, _ = _letters(node)
    return dict(zip(a + b, node.inputs[0].shape + node.inputs[1].shape, strict=True))


def _reduces(node: Node) -> bool:
    """A reduction or contraction over something longer than 1."""
    if node.op.kind == "reduce":
        return any(node.inputs[0].shape[a] != 1 for a in node.attrs["axes"])
    if node.op.kind == "contract":
        out = _letters(node)[2]
        return any(n != 1 for letter, n in _extents(node).items() if letter not in out)
    return False


def _is_product(node: Node) -> bool:
    """A matrix product proper: each operand lacks an axis of the result."""
    if node.op.kind != "contract" or not _reduces(node):
        return False
    a, b, out = _letters(node)
    extent = _extents(node)
    long = [x for x in out if extent[x] != 1]
    return any(x not in a for x in long) and any(x not in b for x in long)


def _through_views(node: Node) -> Node:
    while node.op.kind == "view":
        node = node.inputs[0]
    return node


def _full(node: Node, labels: tuple[str, ...]) -> tuple[Ix, ...]:
    """The access of a whole node; dimensions of extent 1 have no axis."""
    return tuple(Ix(None) if n == 1 else Ix(label) for label, n in zip(labels, node.shape, strict=True))


def _view(node: Node, access: Access) -> Access | None:
    """The access of a view's input, or None if it cannot be written."""
    step = node.op.lower(node.attrs, node.inputs[0].shape, access[0])
    return None if step is None else (step[0], access[1] + step[1])


# --- storage -------------------------------------------------------------------------------------


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[d + 1 :]) for d in range(len(shape)))


class _Storage:
    """Which nodes have memory: inputs, roots, and reshapes of those (the same memory)."""

    def __init__(self, roots: set[Node]) -> None:
        self.roots = roots

    def base(self, node: Node) -> Node | None:
        """The node whose memory holds `node` in row-major order, unless a view reaches it
        anyway."""
        while node.op is ops.RESHAPE and node not in self.roots:
            if _view(node, (_full(node, ("",) * node.type.ndim), ())) is not None:
                return None
            node = node.inputs[0]
        return node if node in self.roots or node.op is ops.INPUT else None


class _Read(NamedTuple):
    """An access to memory: the element `offset` + sum of strides[label] * label."""

    base: Node
    offset: int
    strides: tuple[tuple[str, int], ...]
    guards: tuple[Guard, ...]

    @staticmethod
    def of(node: Node, base: Node, access: Access) -> _Read:
        offset = 0
        strides: dict[str, int] = {}
        for ix, stride in zip(access[0], _row_major(node.shape), strict=True):
            offset += ix.offset * stride
            if ix.axis is not None:
                strides[ix.axis] = strides.get(ix.axis, 0) + ix.step * stride
        return _Read(base, offset, tuple(strides.items()), access[1])


# --- drafts --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Placed:
    """A root in a draft: the labels of its domain, those of its result, those it reduces."""

    node: Node
    domain: tuple[str, ...]  # labels of extent > 1
    access: Access  # of the result (roots that reduce: of what is kept)
    reduced: frozenset[str]
    operands: tuple[tuple[Node, Access], ...]  # what is evaluated at each point of the domain
    form: str  # "map", "full", "row", "column", "product"

    @property
    def kept(self) -> frozenset[str]:
        return frozenset(ix.axis for ix in self.access[0] if ix.axis is not None)


@dataclass(slots=True, eq=False)
class _Draft:
    extents: dict[str, int] = field(default_factory=dict)
    placed: list[_Placed] = field(default_factory=list)
    final: list[_Placed] = field(default_factory=list)
    rows: set[Node] = field(default_factory=set)  # reductions that stages read
    totals: set[Node] = field(default_factory=set)  # reductions that `finally` reads
    after: set[_Draft] = field(default_factory=set)  # transitively
    reasons: list[str] = field(default_factory=list)
    reads: dict[Node, list[tuple[Node, Access]]] = field(default_factory=dict)  # see _Fuser.table
    listed: int = 0  # how many of `placed` are in `reads`

    def find(self, node: Node) -> _Placed | None:
        return next((p for p in self.placed + self.final if p.node is node), None)


class _Labels:
    def __init__(self) -> None:
        self._count = 0

    def fresh(self) -> str:
        self._count += 1
        return f"L{self._count}"


def _place(node: Node, labels: _Labels, extents: dict[str, int]) -> _Placed:
    """A root on its own, with fresh labels."""

    def name(shape: tuple[int, ...]) -> tuple[str, ...]:
        names = tuple(labels.fresh() for _ in shape)
        extents.update({x: n for x, n in zip(names, shape, strict=True) if n != 1})
        return names

    operands: tuple[tuple[Node, Access], ...]
    if node.op.kind == "reduce" and _reduces(node):
        source = node.inputs[0]
        names = name(source.shape)
        at = _full(source, names)
        axes = node.attrs["axes"]
        kept = tuple(ix for d, ix in enumerate(at) if d not in axes)
        operands = ((source, (at, ())),)
    elif _reduces(node):
        a, b, out = _letters(node)
        sizes = _extents(node)
        named = dict(zip(sizes, name(tuple(sizes.values())), strict=True))
        spot = {x: Ix(None) if sizes[x] == 1 else Ix(named[x]) for x in sizes}
        at = tuple(spot.values())
        kept = tuple(spot[x] for x in out)
        operands = tuple(
            (n, (tuple(spot[x] for x in part), ())) for n, part in zip(node.inputs, (a, b), strict=True)
        )
    else:
        at = kept = _full(node, name(node.shape))
        operands = ((node, (at, ())),)
    domain = tuple(ix.axis for ix in at if ix.axis is not None)
    held = {ix.axis for ix in kept if ix.axis is not None}
    return _Placed(node, domain, (kept, ()), frozenset(domain) - held, operands, "")


def _relabel(placed: _Placed, names: Mapping[str, str]) -> _Placed:
    def ix(i: Ix) -> Ix:
        return i if i.axis is None else i._replace(axis=names.get(i.axis, i.axis))

    def access(a: Access) -> Access:
        return tuple(map(ix, a[0])), tuple(g._replace(axis=names.get(g.axis, g.axis)) for g in a[1])

    return _Placed(
        placed.node,
        tuple(names.get(x, x) for x in placed.domain),
        access(placed.access),
        frozenset(names.get(x, x) for x in placed.reduced),
        tuple((n, access(a)) for n, a in placed.operands),
        placed.form,
    )


class _Fuser:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = toposort(graph.outputs)
        self.labels = _Labels()
        self.forced: dict[Node, str] = {}
        self.storage = _Storage(set())
        self.drafts: list[_Draft] = []
        self.home: dict[Node, _Draft] = {}
        # by id; the entry keeps the object alive, so ids stay valid
        self.read_cache: dict[int, tuple[_Placed, list[tuple[Node, Access]]]] = {}

    # -- which nodes get memory

    def find_roots(self) -> list[Node]:
        roots = {n for n in self.graph.outputs if n.op is not ops.INPUT}
        roots.update(n for n in self.order if _reduces(n))
        roots.update(self.forced)
        self.storage = _Storage(roots)
        for node in self.order:
            if _is_product(node):
                for operand in node.inputs:
                    source = _through_views(operand)
                    if source.op.kind == "elementwise":
                        roots.add(source)
        # whatever a root cannot reach by views must stand in memory first
        for node in reversed(self.order):
            if node in roots and node.op is not ops.INPUT:
                placed = _place(node, self.labels, {})
                for operand, access in placed.operands:
                    for blocked in self._blocked(operand, access, node):
                        roots.add(blocked)
        return [n for n in self.order if n in roots]

    def _blocked(self, node: Node, access: Access, root: Node) -> Iterator[Node]:
        """Nodes below `node` whose reader is a view that cannot be folded."""
        for n, a in self.inlined(node, access, root):
            if n.op.kind == "view" and self.storage.base(n) is None and _view(n, a) is None:
                yield self._below(n) if n.op is ops.RESHAPE else n

    def _below(self, node: Node) -> Node:
        while node.op is ops.RESHAPE:
            node = node.inputs[0]
        return node

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
            n, a = item
            if n is not root and self.storage.base(n) is not None:
                continue
            stack.extend(self.operands(n, a))

    def operands(self, node: Node, access: Access) -> list[tuple[Node, Access]]:
        if node.op.kind == "view":
            inner = _view(node, access)
            return [] if inner is None else [(node.inputs[0], inner)]
        if node.op.kind == "elementwise":
            return [(n, access) for n in node.inputs]
        if node.op.kind == "reduce" and not _reduces(node):  # only units are reduced
            axes, rest = node.attrs["axes"], iter(access[0])
            shape = node.inputs[0].shape
            at = tuple(Ix(None) if d in axes else next(rest) for d in range(len(shape)))
            return [(node.inputs[0], (at, access[1]))]
        if node.op.kind == "contract" and not _reduces(node):
            a, b, out = _letters(node)
            spot = dict(zip(out, access[0], strict=True))
            return [
                (n, (tuple(spot.get(x, Ix(None)) for x in part), access[1]))
                for n, part in zip(node.inputs, (a, b), strict=True)
            ]
        return []

    # -- drafts

    def cluster(self, roots: list[Node]) -> None:
        self.drafts, self.home = [], {}
        self.read_cache.clear()
        for node in roots:
            extents: dict[str, int] = {}
            placed = _place(node, self.labels, extents)
            placed.form = self._form(placed, extents)
            if not any(self._join(d, placed, extents) for d in self._candidates(placed)):
                draft = _Draft(extents, [placed])
                draft.after = self._before(placed, None)
                draft.reasons.append(f"{_label(node)}: starts a kernel ({placed.form})")
                self.drafts.append(draft)
                self.home[node] = draft

    def reads(self, placed: _Placed) -> list[tuple[Node, Access]]:
        """Accesses to memory, roots of drafts included."""
        known = self.read_cache.get(id(placed))
        if known is not None:
            return known[1]
        found: dict[tuple[Node, Access], None] = {}
        for operand, access in placed.operands:
            for n, a in self.inlined(operand, access, placed.node):
                if n is not placed.node and self.storage.base(n) is not None:
                    found[n, a] = None
        self.read_cache[id(placed)] = (placed, list(found))
        return self.read_cache[id(placed)][1]

    def table(self, draft: _Draft) -> dict[Node, list[tuple[Node, Access]]]:
        """What the stages of a draft read, by the memory that they read it from."""
        for p in draft.placed[draft.listed :]:
            for node, access in self.reads(p):
                base = self.storage.base(node)
                assert base is not None
                draft.reads.setdefault(base, []).append((node, access))
        draft.listed = len(draft.placed)
        return draft.reads

    def _form(self, placed: _Placed, extents: dict[str, int]) -> str:
        if not placed.reduced:
            return "map"
        if not placed.kept:
            return "full"
        if _is_product(placed.node):
            return "product"
        # Which axis runs along memory, in the largest read?
        size, inner = -1, None
        for node, access in self.reads(placed):
            base = self.storage.base(node)
            assert base is not None
            strides = _Read.of(node, base, access).strides
            count = prod(extents[x] for x, _ in strides)
            unit = [x for x, s in strides if abs(s) == 1]
            if unit and count > size:
                size, inner = count, unit[0]
        kept = prod(extents[x] for x in placed.kept)
        column = inner in placed.kept and kept <= KEPT_ELEMENTS
        return "column" if column else "row"

    def _before(self, placed: _Placed, own: _Draft | None) -> set[_Draft]:
        """Drafts that must run before `placed`, transitively."""
        found: set[_Draft] = set()
        for node, _ in self.reads(placed):
            base = self.storage.base(node)
            home = self.home.get(base) if base is not None else None
            if home is not None and home is not own:
                found |= {home} | home.after
        return found

    def _candidates(self, placed: _Placed) -> list[_Draft]:
        """Drafts whose values the root reads, latest first; then those that read the same memory,
        most bytes first; then, for 0-d values, drafts of 0-d values."""
        reads = [self.storage.base(n) for n, _ in self.reads(placed)]
        consumed = {self.home[b] for b in reads if b is not None and b in self.home}
        first = [d for d in reversed(self.drafts) if d in consumed]
        shared = []
        for draft in self.drafts:
            if draft not in consumed:
                bases = self.table(draft)
                weight = max((b.type.size for b in reads if b is not None and b in bases), default=0)
                scalar = not placed.domain and not any(p.domain for p in draft.placed)
                if weight > 1 or scalar:
                    shared.append((weight, draft))
        shared.sort(key=lambda item: -item[0])
        return first + [d for _, d in shared]

    def _join(self, draft: _Draft, placed: _Placed, extents: dict[str, int]) -> bool:
        if draft in self._before(placed, draft):
            return False
        if any(p.form == "product" for p in draft.placed) or placed.form == "product":
            return self._join_epilogue(draft, placed, extents)
        ways = [self._join_row, self._join_final]
        if any(self._is_column(draft, n) for n, _ in self.reads(placed)):
            ways.reverse()  # as row values they would be summed across memory
        return any(way(draft, placed, extents) for way in ways)

    def _is_column(self, draft: _Draft, node: Node) -> bool:
        base = self.storage.base(node)
        home = draft.find(base) if base is not None else None
        return home is not None and home.form == "column" and home.node not in draft.rows

    def _unify(
        self, draft: _Draft, placed: _Placed, extents: dict[str, int]
    ) -> tuple[dict[str, str], set[Node], int] | None:
        """Labels of `placed` in terms of the draft's, the reductions of the draft it reads, and
        the elements read in common. None if it reads them in another order than they are made."""
        names: dict[str, str] = {}
        rows: set[Node] = set()
        common = 0

        def match(mine: tuple[Ix, ...], theirs: tuple[Ix, ...]) -> bool:
            new: dict[str, str] = {}
            for a, b in zip(mine, theirs, strict=True):
                if (a.axis is None) != (b.axis is None) or (a.step, a.offset) != (b.step, b.offset):
                    return False
                if a.axis is None or b.axis is None:
                    continue
                if (
                    names.get(a.axis, new.get(a.axis, b.axis)) != b.axis
                    or extents[a.axis] != draft.extents[b.axis]
                ):
                    return False
                taken = {v: k for k, v in (names | new).items()}
                if taken.get(b.axis, a.axis) != a.axis:
                    return False
                new[a.axis] = b.axis
            names.update(new)
            return True

        reads = self.reads(placed)
        for node, access in reads:
            base = self.storage.base(node)
            home = draft.find(base) if base is not None else None
            if home is None:
                continue
            if base is not node or access[1] or not match(access[0], home.access[0]):
                return None
            if home.reduced:
                rows.add(home.node)
            else:
                common = max(common, node.type.size)
        theirs = self.table(draft)
        for node, access in sorted(reads, key=lambda r: -r[0].type.size):
            base = self.storage.base(node)
            assert base is not None
            for other, spot in theirs.get(base, ()):
                if other.shape == node.shape and match(access[0], spot[0]):
                    common = max(common, node.type.size)
                    break
        return names, rows, common

    def _join_row(self, draft: _Draft, placed: _Placed, extents: dict[str, int]) -> bool:
        unified = self._unify(draft, placed, extents)
        if unified is None:
            return False
        names, rows, common = unified
        if any(p.node is n for p in draft.final for n, _ in self.reads(placed)):
            return False  # what `finally` makes is known too late
        scalar = not placed.domain and not any(p.domain for p in draft.placed)
        size = prod(extents[x] for x in placed.domain)
        if not rows and not scalar and (not placed.domain or common < max(2, size // 4)):
            return False
        moved = _relabel(placed, names)
        merged = draft.extents | {names.get(x, x): n for x, n in extents.items()}
        trial = replace(draft, extents=merged, placed=[*draft.placed, moved], rows=draft.rows | rows)
        if _outer(trial) is None:
            return False
        draft.extents, draft.placed, draft.rows = merged, trial.placed, trial.rows
        why = "reads its row values" if rows else f"reads the same {common} elements"
        self._joined(draft, placed, why)
        return True

    def _join_final(self, draft: _Draft, placed: _Placed, extents: dict[str, int]) -> bool:
        unified = self._unify(draft, placed, extents)
        if unified is None or placed.reduced or not unified[1]:
            return False
        names, totals, _ = unified
        moved = _relabel(placed, names)
        homes = [draft.find(t) for t in totals]
        reads = {self.storage.base(n) for n, _ in self.reads(placed)}
        maps = {p.node for p in draft.placed if not p.reduced}
        if reads & maps or prod(extents[x] for x in placed.domain) > FINAL_ELEMENTS:
            return False
        if not all(h is not None and set(moved.domain) <= h.kept for h in homes):
            return False
        finals = {p.node for p in draft.final}
        if reads & finals and not all(self._same_domain(draft, f, moved) for f in reads & finals):
            return False
        trial = replace(draft, final=[*draft.final, moved], totals=draft.totals | totals)
        if _outer(trial) is None:
            return False
        draft.final, draft.totals = trial.final, trial.totals
        self._joined(draft, placed, "needs only its totals")
        return True

    def _same_domain(self, draft: _Draft, node: Node | None, moved: _Placed) -> bool:
        other = next(p for p in draft.final if p.node is node)
        return set(other.domain) <= set(moved.domain)

    def _join_epilogue(self, draft: _Draft, placed: _Placed, extents: dict[str, int]) -> bool:
        """Onto a matrix product: only maps over its result."""
        unified = self._unify(draft, placed, extents)
        if unified is None or placed.reduced or not self._consumes(draft, placed):
            return False
        moved = _relabel(placed, unified[0])
        product = next((p for p in draft.placed if p.form == "product"), None)
        if product is None or set(moved.domain) != product.kept:
            return False
        draft.placed.append(moved)
        draft.rows |= unified[1]
        self._joined(draft, placed, "epilogue of the product")
        return True

    def _consumes(self, draft: _Draft, placed: _Placed) -> bool:
        return any(self.home.get(n) is draft for n, _ in self.reads(placed))

    def _joined(self, draft: _Draft, placed: _Placed, why: str) -> None:
        self.home[placed.node] = draft
        draft.after |= self._before(placed, draft) - {draft}
        for other in self.drafts:  # whoever runs after this draft runs after its new needs, too
            if draft in other.after:
                other.after |= draft.after
        draft.reasons.append(f"{_label(placed.node)}: {why}")

    # -- what is cheaper stored than recomputed

    def costly(self) -> dict[Node, str]:
        found: dict[Node, str] = {}
        count: dict[Node, int] = {}
        for draft in self.drafts:
            here: set[Node] = set()
            outer = set(_outer(draft) or ())
            for p in draft.placed:
                domain = prod(draft.extents[x] for x in p.domain)
                for operand, access in p.operands:
                    for n, a in self.inlined(operand, access, p.node):
                        if n.op.flops < COSTLY or n.op.kind != "elementwise":
                            continue
                        if n in self.storage.roots:
                            continue
                        here.add(n)
                        axes = {ix.axis for ix in a[0] if ix.axis is not None}
                        if axes and not axes <= outer and n.type.size * 2 <= domain:
                            found[n] = f"{_label(n)}: stored, recomputing would repeat it"
            for n in here:
                count[n] = count.get(n, 0) + 1
        found.update({n: f"{_label(n)}: stored, {k} kernels read it" for n, k in count.items() if k > 1})
        return found


def _label(node: Node) -> str:
    where = f" at {node.loc}" if node.loc else ""
    return f"{node.op.name} {node.type}{where}"


def _outer(draft: _Draft) -> tuple[str, ...] | None:
    """The outer axes that make the draft legal, or None."""
    if draft.rows & draft.totals:
        return None
    exact: set[frozenset[str]] = set()
    for p in draft.placed:
        if p.form == "product" or p.node in draft.rows:
            if not p.kept:
                return None  # a full reduction is known only after the last block
            exact.add(p.kept)
        elif p.form == "row" and p.node not in draft.totals:
            exact.add(p.kept)
        elif p.form in ("row", "column"):
            exact.add(p.reduced)
    if len(exact) > 1:
        return None
    domains = [frozenset(p.domain) for p in draft.placed]
    if exact:
        outer = next(iter(exact))
    else:
        outer = frozenset.intersection(*domains) if domains else frozenset()
        if not outer and any(domains):
            return None
    if not all(_fits(draft, p, outer) for p in draft.placed):
        return None
    return tuple(x for x in draft.extents if x in outer)


def _fits(draft: _Draft, p: _Placed, outer: frozenset[str]) -> bool:
    """Whether a root can run inside of these outer axes."""
    if not outer <= frozenset(p.domain):
        return False
    if not p.reduced:
        return True
    if not p.reduced & outer:  # known after its stage
        return p.node not in draft.totals
    if not outer <= p.reduced or p.node in draft.rows:
        return False
    inner = frozenset(p.domain) - outer  # accumulated over blocks
    small = prod(draft.extents[x] for x in p.kept) <= KEPT_ELEMENTS
    return not p.kept or (inner == p.kept and small)


# --- drafts to kernels ---------------------------------------------------------------------------


class _Writer:
    """Writes one draft as a kernel and the call of it."""

    def __init__(self, draft: _Draft, fuser: _Fuser, stored: set[Node]) -> None:
        self.draft = draft
        self.fuser = fuser
        self.stored = stored
        self.outer = _outer(draft) or ()
        self.results: dict[Node, str] = {}  # reductions by name
        self.arrays: dict[object, tuple[str, _Read, DType]] = {}
        self.scalars: dict[Node, str] = {}
        self.outputs: list[tuple[str, _Placed]] = []
        self.stages: list[tuple[frozenset[str], list[tuple[_Placed, bool]]]] = []
        self.level: dict[Node, int] = {}

    def write(self) -> Call:
        for placed in self.draft.placed:
            self._assign_stage(placed)
        for placed in self.draft.placed:  # row values that stand in memory
            known = placed.reduced and not placed.reduced & set(self.outer)
            if known and placed.node in self.stored:
                self._enter(frozenset(), self.level[placed.node] + 1, placed, False)
        product = any(p.form == "product" for p in self.draft.placed)
        order = self._label_order()
        groups = self._collapse(order)
        demote = None
        flat = [g for g in groups if set(g) & set(self.outer)]
        inner = [g for g in groups if not set(g) & set(self.outer)]
        if len(flat) > 1 and not inner and not self.draft.rows and not product:
            demote = flat[-1]
        return self._emit(groups, demote)

    def _assign_stage(self, placed: _Placed) -> None:
        first = 0
        for node, _ in self.fuser.reads(placed):
            if node in self.level:  # a row value is known after its stage, a map is recomputed
                first = max(first, self.level[node] + (node in self.draft.rows))
        inner = frozenset(placed.domain) - set(self.outer)
        self.level[placed.node] = self._enter(inner, first, placed, True)

    def _enter(self, inner: frozenset[str], first: int, placed: _Placed, compute: bool) -> int:
        """Put a root (or only its store) into the first stage of these axes from `first` on."""
        for k in range(first, len(self.stages)):
            if self.stages[k][0] == inner:
                self.stages[k][1].append((placed, compute))
                return k
        self.stages.append((inner, [(placed, compute)]))
        return len(self.stages) - 1

    # -- accesses

    def _every_read(self) -> list[_Read]:
        found: dict[_Read, None] = {}
        for p in self.draft.placed + self.draft.final:
            for node, access in self.fuser.reads(p):
                base = self.fuser.storage.base(node)
                assert base is not None
                if self.draft.find(base) is None:
                    found[_Read.of(node, base, access)] = None
        return list(found)

    def _every_write(self) -> list[_Read]:
        return [
            _Read.of(p.node, p.node, p.access)
            for p in self.draft.placed + self.draft.final
            if p.node in self.stored
        ]

    def _label_order(self) -> list[str]:
        """Outermost in memory first, judged by writes, then the largest reads."""
        weight: dict[str, tuple[int, ...]] = {}
        accesses = self._every_write() + sorted(
            self._every_read(), key=lambda r: -prod(self.draft.extents[x] for x, _ in r.strides)
        )
        for label in self.draft.extents:
            weight[label] = tuple(abs(dict(a.strides).get(label, 0)) for a in accesses)

        order = [x for x in self.draft.extents if x in self._used()]

        def before(x: str, y: str) -> bool:
            for a, b in zip(weight[x], weight[y], strict=True):
                if a and b and a != b:
                    return a > b
            return False

        for i in range(1, len(order)):  # insertion sort: the relation is partial, keep ties stable
            k = i
            while k and before(order[k], order[k - 1]):
                order[k], order[k - 1] = order[k - 1], order[k]
                k -= 1
        return order

    def _used(self) -> set[str]:
        return {x for p in self.draft.placed + self.draft.final for x in p.domain}

    def _signature(self, label: str) -> tuple[object, ...]:
        """Labels collapse only if they play the same part everywhere."""
        return (
            label in self.outer,
            tuple(label in inner for inner, _ in self.stages),
            tuple((label in p.kept, label in p.domain) for p in self.draft.placed + self.draft.final),
        )

    def _collapse(self, order: list[str]) -> list[tuple[str, ...]]:
        accesses = self._every_read() + self._every_write()
        guarded = {g.axis for a in accesses for g in a.guards} | self._guarded_values()
        product = any(p.form == "product" for p in self.draft.placed)
        groups: list[tuple[str, ...]] = []
        for label in order:
            if groups and not product:
                last = groups[-1][-1]
                tables = [dict(a.strides) for a in accesses]
                walks_as_one = all(
                    t.get(last, 0) == t.get(label, 0) * self.draft.extents[label] for t in tables
                )
                if (
                    walks_as_one
                    and not {last, label} & guarded
                    and self._signature(last) == self._signature(label)
                ):
                    groups[-1] = (*groups[-1], label)
                    continue
            groups.append((label,))
        return groups

    def _guarded_values(self) -> set[str]:
        """Axes with a guard anywhere, also where nothing is read under it."""
        found: set[str] = set()
        for p in self.draft.placed + self.draft.final:
            for operand, access in p.operands:
                for _, a in self.fuser.inlined(operand, access, p.node):
                    found.update(g.axis for g in a[1])
        return found

    # -- text

    def _dense(self, label: str) -> bool:
        """Whether an axis runs along memory wherever it appears: rows of features do, a batch does
        not, so that another size of batch needs no other code."""
        tables = [dict(a.strides) for a in self._every_read() + self._every_write()]
        return all(abs(t.get(label, 1)) == 1 for t in tables)

    def _emit(self, groups: list[tuple[str, ...]], demote: tuple[str, ...] | None) -> Call:
        outer_groups = [g for g in groups if g[0] in self.outer and g is not demote]
        self.axis: dict[str, str] = {}
        self.size: dict[str, int] = {}
        self.symbols: dict[str, int] = {}
        self.symbol_of: dict[str, Extent] = {}
        self.guards: dict[tuple[str, int, int], Within] = {}
        product = any(p.form == "product" for p in self.draft.placed)
        for k, group in enumerate(groups):
            axis, symbol = f"i{k}", f"n{k}"
            self.size[axis] = prod(self.draft.extents[x] for x in group)
            fixed = (group is demote or group[0] not in self.outer) and self._dense(group[-1])
            if fixed and not product and self.size[axis] <= SMALL:
                self.symbol_of[axis] = self.size[axis]
            else:
                self.symbols[symbol] = self.size[axis]
                self.symbol_of[axis] = symbol
            for x in group[:-1]:
                self.axis[x] = ""  # walked by the last label of its group
            self.axis[group[-1]] = axis
        outer = tuple(Axis(self.axis[g[-1]], self.symbol_of[self.axis[g[-1]]]) for g in outer_groups)
        stages: list[Stage] = []
        for p in self.draft.placed:
            if p.reduced:
                self.results[p.node] = f"r{len(self.results)}"
        ordered = [self.axis[g[-1]] for g in groups]
        for number, (inner, placed) in enumerate(self.stages):
            here = set(inner) | set(demote or ())
            axes = [a for a in ordered if a in {self.axis[x] for x in here if self.axis[x]}]
            stages.append(self._stage(axes, placed, number))
        final = self._final(ordered)
        kernel_outputs = tuple(self._array(name, read, dtype) for name, read, dtype in self._out_list())
        params: list[Array | Scalar] = [
            self._array(name, read, dtype) for name, read, dtype in self.arrays.values()
        ]
        params += [Scalar(name, node.type.dtype) for node, name in self.scalars.items()]
        kernel = Kernel(self._name(), tuple(params), kernel_outputs, outer, tuple(stages), tuple(final))
        operands = {name: self._operand(read) for name, read, _ in (*self.arrays.values(), *self._out_list())}
        values = {name: node.attrs["value"] for node, name in self.scalars.items()}
        return Call(kernel, operands, self.symbols, values, tuple(self.draft.reasons))

    def _name(self) -> str:
        """Of the ops that it computes: stable, so that text stays a key."""
        words = []
        for p in self.draft.placed + self.draft.final:
            word = p.node.op.name
            if word not in words:
                words.append(word)
        return "_".join(words[:4])

    def _out_list(self) -> list[tuple[str, _Read, DType]]:
        return [(name, _Read.of(p.node, p.node, p.access), p.node.type.dtype) for name, p in self.outputs]

    def _dims(self, read: _Read) -> list[tuple[str, int]]:
        """(axis, stride) of a read, outermost first; collapsed and constant dimensions left out."""
        dims = [(self.axis[x], s) for x, s in read.strides if self.axis[x] and s]
        return sorted(dims, key=lambda d: (-abs(d[1]), d[0]))

    def _array(self, name: str, read: _Read, dtype: DType) -> Array:
        dims = self._dims(read)
        extents: list[Extent] = []
        for axis, _ in dims:
            guard = self._guard(read.guards, axis)
            extents.append(self.symbol_of[axis] if guard is None else self._range(guard))
        unit = not dims or dims[-1][1] == 1
        return Array(name, dtype, tuple(extents), unit)

    def _operand(self, read: _Read) -> Operand:
        offset = read.offset
        dims = self._dims(read)
        for axis, stride in dims:
            guard = self._guard(read.guards, axis)
            if guard is not None:
                offset += self.symbols[guard.lo] * stride
        return Operand(read.base, offset, tuple(s for _, s in dims))

    def _guard(self, guards: tuple[Guard, ...], axis: str) -> Within | None:
        """All guards on one axis, as one."""
        mine = [g for g in guards if self.axis[g.axis] == axis]
        if not mine:
            return None
        lo = max(0, *(g.lo for g in mine))
        hi = max(lo, min(self.size[axis], *(g.hi for g in mine)))
        if (axis, lo, hi) not in self.guards:
            k = len(self.guards)
            self.symbols |= {f"lo{k}": lo, f"hi{k}": hi, f"g{k}": hi - lo}
            self.guards[axis, lo, hi] = Within(axis, f"lo{k}", f"hi{k}")
        return self.guards[axis, lo, hi]

    def _range(self, guard: Within) -> str:
        """The extent of what lies inside a guard."""
        return f"g{guard.lo.removeprefix('lo')}"

    def _load(self, read: _Read, dtype: DType) -> Load:
        key = (read.base, read.offset, read.strides, read.guards)
        if key not in self.arrays:
            self.arrays[key] = (f"a{len(self.arrays)}", read, dtype)
        name = self.arrays[key][0]
        index, guards = [], []
        for axis, _ in self._dims(read):
            guard = self._guard(read.guards, axis)
            index.append(Index(axis, guard.lo if guard else None))
            if guard:
                guards.append(guard)
        # a guard on an axis that the array lacks still decides whether it is read
        for g in read.guards:
            if self.axis[g.axis] not in {i.axis for i in index}:
                extra = self._guard(read.guards, self.axis[g.axis])
                if extra is not None and extra not in guards:
                    guards.append(extra)
        return Load(name, tuple(index), dtype, tuple(guards))

    def _stage(self, axes: list[str], items: list[tuple[_Placed, bool]], number: int) -> Stage:
        text = _StageText(self, [p for p, compute in items if compute], number)
        for p, compute in items:
            if not compute:
                self._store(p, text.total(p, p.access), text)
                continue
            exprs = tuple(text.expr(n, a) for n, a in p.operands)
            if p.reduced:
                text.body.append(self._reduce(p, exprs))
            elif p.node in self.stored:
                self._store(p, exprs[0], text)
        return Stage(tuple(Axis(a, self.symbol_of[a]) for a in axes), tuple(text.body))

    def _reduce(self, p: _Placed, exprs: tuple[Expr, ...]) -> Reduce:
        name = self.results[p.node]
        dtype = _accumulator(p.node.type.dtype, p.node.op.lower)
        everywhere = bool(p.reduced & set(self.outer))
        keep = tuple(self.axis[x] for x in self._ordered(p.kept) if self.axis[x]) if everywhere else ()
        scope = "all" if everywhere else "row"
        return Reduce(name, p.node.op.lower, exprs, dtype, scope, keep, p.node.loc)

    def _ordered(self, labels: frozenset[str]) -> list[str]:
        return sorted(labels, key=lambda x: self.axis[x])

    def _store(self, p: _Placed, expr: Expr, text: _StageText) -> None:
        name = f"o{len(self.outputs)}"
        self.outputs.append((name, p))
        dims = self._dims(_Read.of(p.node, p.node, p.access))
        text.body.append(Store(name, tuple(Index(axis) for axis, _ in dims), expr, p.node.loc))

    def _final(self, ordered: list[str]) -> list[Stage]:
        """Stores of totals, and maps over them."""
        stages: list[Stage] = []
        table: dict[tuple[str, ...], list[tuple[_Placed, bool]]] = {}
        work = [(p, True) for p in self.draft.placed if p.reduced and p.reduced & set(self.outer)]
        work = [(p, total) for p, total in work if p.node in self.stored]
        work += [(p, False) for p in self.draft.final]
        for p, total in work:
            labels = p.kept if total else frozenset(p.domain)
            axes = tuple(a for a in ordered if a in {self.axis[x] for x in labels if self.axis[x]})
            table.setdefault(axes, []).append((p, total))
        for axes, items in table.items():
            text = _StageText(self, [p for p, total in items if not total], -1)
            for p, total in items:
                expr = text.total(p, p.access) if total else text.expr(*p.operands[0])
                if p.node in self.stored:
                    self._store(p, expr, text)
            stages.append(Stage(tuple(Axis(a, self.symbol_of[a]) for a in axes), tuple(text.body)))
        return stages


def _accumulator(dtype: DType, op: str) -> DType:
    return f32 if dtype is f16 and op in ("sum", "dot") else dtype


class _StageText:
    """Expressions of one stage; values used twice, and deep ones, become lets."""

    def __init__(self, writer: _Writer, placed: list[_Placed], number: int) -> None:
        self.w = writer
        self.number = number
        self.body: list[Stmt] = []
        self.known: dict[tuple[Node, Access], Expr] = {}
        self.depth: dict[tuple[Node, Access], int] = {}
        self.uses: dict[tuple[Node, Access], int] = {}
        for p in placed:
            for operand, access in p.operands:
                self._count(operand, access)

    def _stops(self, node: Node) -> bool:
        """Read from memory or from a reduction, not computed here."""
        if node.op is ops.INPUT:
            return True
        base = self.w.fuser.storage.base(node)
        if base is None:
            return False
        home = self.w.draft.find(base)
        return home is None or bool(home.reduced)

    def _count(self, node: Node, access: Access) -> None:
        stack = [(node, access)]
        while stack:
            item = stack.pop()
            self.uses[item] = self.uses.get(item, 0) + 1
            if self.uses[item] == 1 and not self._stops(item[0]):
                stack.extend(self.w.fuser.operands(*item))

    def expr(self, node: Node, access: Access) -> Expr:
        stack: list[tuple[Node, Access, bool]] = [(node, access, False)]
        while stack:
            n, a, ready = stack.pop()
            key = (n, a)
            if key in self.known:
                continue
            if self._stops(n):
                self.known[key] = self._memory(n, a)
                self.depth[key] = 0
            elif n.op is ops.CONST:
                self.known[key] = Const(n.attrs["value"], n.type.dtype)
                self.depth[key] = 0
            elif n.op is ops.SCALAR:
                name = self.w.scalars.setdefault(n, f"s{len(self.w.scalars)}")
                self.known[key] = Ref(name, n.type.dtype)
                self.depth[key] = 0
            else:
                inner = self.w.fuser.operands(n, a)
                if not ready:
                    stack.append((n, a, True))
                    stack.extend((m, b, False) for m, b in reversed(inner))
                    continue
                self._compute(n, a, inner)
        return self.known[node, access]

    def _compute(self, n: Node, a: Access, inner: list[tuple[Node, Access]]) -> None:
        key = (n, a)
        args = tuple(self.known[i] for i in inner)
        self.depth[key] = 1 + max((self.depth[i] for i in inner), default=0)
        if n.op.kind == "elementwise":
            expr: Expr = CallExpr(n.op.name, args, n.type.dtype)
        elif n.op.kind == "contract":  # over units only: one product
            expr = CallExpr("mul", args, n.type.dtype)
        elif n.op is ops.PAD:
            expr = self._padded(args[0], n, a, inner[0][1])
        else:
            expr = args[0]
        shared = self.uses.get(key, 0) > 1 or self.depth[key] > DEPTH
        if isinstance(expr, CallExpr) and shared:
            name = f"t{len(self.known)}" if self.number < 0 else f"t{self.number}_{len(self.known)}"
            self.body.append(Let(name, expr, n.loc))
            expr = Ref(name, n.type.dtype)
            self.depth[key] = 0
        self.known[key] = expr

    def _padded(self, value: Expr, n: Node, outside: Access, inside: Access) -> Expr:
        if isinstance(value, Load):
            return value  # its own guards make it 0
        for guard in inside[1][len(outside[1]) :]:
            within = self.w._guard((guard,), self.w.axis[guard.axis])
            assert within is not None
            zero = Const(0, n.type.dtype)
            value = CallExpr("where", (within, value, zero), n.type.dtype)
        return value

    def _memory(self, node: Node, access: Access) -> Expr:
        base = self.w.fuser.storage.base(node)
        assert base is not None
        home = self.w.draft.find(base)
        if home is None:
            return self.w._load(_Read.of(node, base, access), node.type.dtype)
        return self.total(home, access)

    def total(self, home: _Placed, access: Access) -> Expr:
        """The value of a reduction of this kernel."""
        name = self.w.results[home.node]
        wide = _accumulator(home.node.type.dtype, home.node.op.lower)
        axes = [ix.axis for ix in access[0] if ix.axis is not None]
        expr: Expr
        if home.reduced & set(self.w.outer) and axes:
            labels = self.w._ordered(frozenset(axes))
            index = tuple(Index(self.w.axis[x]) for x in labels if self.w.axis[x])
            expr = Load(name, index, wide)
        else:
            expr = Ref(name, wide)
        if wide is not home.node.type.dtype:
            expr = CallExpr("cast", (expr,), home.node.type.dtype)
        return expr


def fuse(graph: Graph) -> Program:
    """Partition `graph` into kernels. The result is ordered and writes every graph output."""
    fuser = _Fuser(graph)
    for _ in range(4):
        roots = fuser.find_roots()
        fuser.cluster(roots)
        more = {n: why for n, why in fuser.costly().items() if n not in fuser.forced}
        if not more:
            break
        fuser.forced.update(more)
    outputs = set(graph.outputs)
    readers: dict[Node, set[_Draft]] = {}
    for draft in fuser.drafts:
        for p in draft.placed + draft.final:
            for node, _ in fuser.reads(p):
                base = fuser.storage.base(node)
                if base is not None and fuser.home.get(base) not in (None, draft):
                    readers.setdefault(base, set()).add(draft)
    stored = {n for n in fuser.home if n in outputs or readers.get(n)}
    calls: list[Call] = []
    done: set[_Draft] = set()
    pending = list(fuser.drafts)
    while pending:
        ready = next(d for d in pending if d.after <= done)
        pending.remove(ready)
        done.add(ready)
        calls.append(_Writer(ready, fuser, stored).write())
    return Program(graph, tuple(calls))
