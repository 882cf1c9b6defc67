"""Graph to kernels. All can-fuse logic lives here.

    %2 = sub %x, %y;  %3 = abs %2; ...; %9 = sum %8;  %12 = where ...        (outputs %9, %12)
    =>  one kernel: for i in n:  r += f(x[i] - y[i]);  o[i] = g(x[i] - y[i])

One cost decides: bytes moved through memory, then launches. The steps:

1. *Roots* are the nodes that a kernel computes for their own sake: graph outputs, reductions, and values
   that must stand in memory (operands of matrix products, what a true reshape reads, costly values with many
   readers). Everything else, elementwise ops and views, is recomputed inside the kernels that read it.
2. Roots join *drafts* in topological order. The dimensions of a root's domain are labels; a root that reads
   a reduction of the draft, or the same memory, shares its labels. A draft is legal if it has outer axes
   (`legal.py`): a row reduction that another root reads must keep exactly the outer axes; any other reduction
   must reduce all of them, and is then known only in `finally`.
3. Each draft becomes a kernel: adjacent axes that every access walks as one are collapsed, names become
   canonical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import prod
from operator import attrgetter

from .. import ops
from ..ir.data import replace
from ..ir.graph import Graph, Node, toposort
from ..ir.program import Apart, Program
from ..ir.size import note_distinct
from ..ops import Ix, Subscript
from . import refusal
from .dear import costly
from .draft import (
    ARRAYS,
    LENGTH,
    Access,
    Draft,
    Labels,
    Load,
    Placed,
    Read,
    Reader,
    Spot,
    breadth,
    computed,
    goes_along,
    is_product,
    label,
    packed,
    place,
    reduces,
    relabel,
    repacked,
    spot,
    through_views,
    walked,
)
from .draft_kernel import calls
from .legal import lie_across, outer_axes, stores_across, turned, walks_again
from .shorten import apart, shorten, stencils, tops

# A `finally` runs on one thread: larger results get a kernel of their own.
FINAL_ELEMENTS = 65_536

# Forms of roots that share a kernel with no other.
ALONE = frozenset(("scatter", "scan", "sort"))
# So many kernels that read the same memory are asked whether a root may join them: the latest ones.
ASKED = 64
# Clustering runs again as long as something is found that is better stored, but so many times.
ROUNDS = 4
# Memory runs along an axis whose elements lie so near to each other, where no nearer ones do: totals of every
# eighth column take a fifth of the time that columns by themselves take, of every second one a thirtieth.
NEAR = 64
_number = attrgetter("number")  # of a draft


class _Fuser:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.order = toposort(graph.outputs)
        self.position = {n: k for k, n in enumerate(self.order)}
        self.labels = Labels()
        self.reducing = {n for n in self.order if reduces(n)}
        self.places: dict[Node, tuple[Placed, dict[str, int]]] = {}
        self.forced: dict[Node, str] = {}
        self.blocked: dict[Node, tuple[str, refusal.Refusal]] = {}  # stored: why
        self.refused: dict[Draft, refusal.Refusal] = {}  # by draft: why the root at hand did not join it
        self.why = refusal.FEW  # the latest refusal
        self.reader = Reader()
        self.drafts: dict[Draft, None] = {}
        self.home: dict[Node, Draft] = {}
        self.readers: dict[Node, list[Node]] = {}  # by root: those that read it
        self.begun = 0  # drafts, also those that have become parts of others
        self.touching: dict[Spot, dict[Draft, None]] = {}  # the drafts whose stages read this memory so
        self.spots: dict[Node, dict[tuple[int, ...], Spot]] = {}  # in which ways memory is read
        self.single: dict[Draft, None] = {}  # those of 0-d values alone
        # What did not join for a load (the first root of a draft, the root) does not in later rounds: kernels
        # end where the values are stored that the next one begins with.
        self.parted: set[tuple[Node, Node]] = set()
        self.last = False  # round: whatever would better be stored is not any more
        self.asked = 0  # how often a root was compared with a draft

    # -- which nodes get memory

    def find_roots(self) -> list[Node]:
        roots = {n for n in self.graph.outputs if n.op is not ops.INPUT}
        roots.update(n for n in self.order if n in self.reducing or goes_along(n))
        roots.update(self.forced)
        for node in self.order:
            if node in self.reducing and is_product(node):
                for operand in node.inputs:
                    source = through_views(operand)
                    if computed(source) and not packed(source, roots):
                        roots.add(source)
                        why = f"{label(source)}: stored, for {label(node)} packs it"
                        self.blocked.setdefault(source, (why, refusal.PACKED))
                for operand in repacked(node):
                    roots.add(operand)
                    why = f"{label(operand)}: stored, or {label(node)} would pack it again and again"
                    self.forced[operand] = why
            source = through_views(node)
            if node.op is ops.WINDOW and source.op is ops.WHERE and ops.PAD in (n.op for n in source.inputs):
                roots.add(source)
                self.forced[source] = f"{label(source)}: stored, or what is padded and where would both be"
        for node in shorten(self.order, roots):
            self.forced[node] = f"{label(node)}: stored, for one expression would be too long"
        for node in apart(self.order, roots):
            self.forced[node] = f"{label(node)}: stored, or many kernels would compute it"
            roots.add(node)
        # whatever a root cannot reach by views must stand in memory first, and what neighbours would compute
        self.reader.renew(roots)
        for node in reversed(self.order):
            if node in roots and node.op is not ops.INPUT:
                placed, extents = self._place(node)
                if near := stencils(self.reader, placed, self.position):
                    domain = prod(extents[x] for x in placed.domain)
                    near = [n for n in near if n.type.size <= 2 * domain]
                    roots.update(near)
                    for n in near:
                        self.forced[n] = f"{label(n)}: stored, neighbours would compute it, too"
                    self.reader.renew(roots)
                if blocked := self.reader.walk(placed).blocked:
                    for at, reader in blocked:
                        what, refused = refusal.blocked_by(reader.op.name)
                        why = f"{label(at)}: stored, for {label(reader)} {what}"
                        self.blocked.setdefault(at, (why, refused))
                    roots.update([at for at, _ in blocked])
                    self.reader.renew(roots)
        return [n for n in self.order if n in roots]

    def _place(self, node: Node) -> tuple[Placed, dict[str, int]]:
        """A root with labels, and their extents: the same in every round."""
        found = self.places.get(node)
        if found is None:
            extents: dict[str, int] = {}
            found = self.places[node] = place(node, self.labels, extents), extents
        return found

    # -- drafts

    def cluster(self, roots: list[Node]) -> None:
        self.drafts, self.home, self.readers, self.begun = {}, {}, {}, 0
        self.touching, self.single = {}, {}
        self.reader.renew(set(roots))
        for node in roots:
            placed, extents = self._place(node)
            placed.form = self._form(placed, extents)
            if not self._joins_one(placed, extents):
                draft = Draft(extents, [placed], number=self.begun)
                self.begun += 1
                draft.after = self._before(placed, None)
                draft.reasons.append(f"{label(node)}: starts a kernel ({placed.form})")
                self.drafts[draft] = None
                self._at_home(draft, placed)
                self._enter(draft, placed)
            if stored := self.forced.get(node) or self.blocked.get(node, ("",))[0]:
                self.home[node].reasons.append(stored)

    def _enter(self, draft: Draft, placed: Placed, final: bool = False) -> None:
        """Keep what can be asked of a draft: what its stages read, whether it has axes, how large it is."""
        if not final:
            for node, access in self.reader.reads(placed):
                at = self._spot(node, access)
                draft.reads.setdefault(at, []).append(access)
                if not draft.full:
                    self.touching.setdefault(at, {})[draft] = None
            if placed.domain:
                self.single.pop(draft, None)
            elif len(draft.placed) == 1:
                self.single[draft] = None
        load = draft.load
        depth, fresh, length, arrays = self._adds(draft, placed)
        load.depth[placed.node] = depth
        load.visits.update(fresh)
        load.length += length
        load.arrays |= arrays

    def _adds(self, draft: Draft, placed: Placed) -> tuple[int, set[tuple[int, Node]], int, set[Node]]:
        """What a root adds to a draft's load: its depth, what it visits, what that costs, what it reads."""
        load, depth, arrays = draft.load, 0, set()
        for node, _ in self.reader.reads(placed):
            base = self.reader.storage.base(node)
            assert base is not None
            if base in load.depth:
                depth = max(depth, load.depth[base] + (base in self.reducing))
            else:
                arrays.add(base)
        fresh = {(depth, n) for n in self.reader.computed(placed)} - load.visits
        return depth, fresh, sum([n.op.flops for _, n in fresh]), arrays

    def _room(self, draft: Draft, placed: Placed) -> bool:
        """Whether a root, which may join the draft otherwise, leaves it as short as kernels are. If not,
        what both compute at some cost is better stored."""
        _, _, length, arrays = self._adds(draft, placed)
        load = draft.load
        if not length and arrays <= load.arrays:
            return True  # only stored, of what is there
        count = len(load.arrays | arrays) + len(load.depth) + 1
        limit = LENGTH, ARRAYS
        if any(n not in self.reducing for n, _ in self.reader.reads(placed) if n in load.depth):
            limit = LENGTH + LENGTH // 2, ARRAYS + ARRAYS // 4  # it would read again what is made here
        pair = (draft.placed[0].node, placed.node)
        fits = load.length + length <= limit[0] and count <= limit[1]
        if fits and not draft.full and pair not in self.parted:
            return True
        # A kernel that is full takes nothing more: what belongs together stays so in the next one.
        if not draft.full and (pair in self.parted or 2 * load.length > LENGTH or 2 * count > ARRAYS):
            draft.full = True
            draft.reasons.append(f"{label(placed.node)}: does not join, or the kernel would be too long")
            self._hide(draft)
        if not self.last and pair not in self.parted:
            here = {n for _, n in load.visits}
            shared = [n for n in self.reader.computed(placed) if n in here]
            if sum([n.op.flops for n in shared]) >= LENGTH // 16:
                self._store(tops(self.reader, placed, set(shared)), placed)
        self.parted.add(pair)
        return False

    def _hide(self, draft: Draft) -> None:
        """Nobody is compared with a draft any more, unless it reads its values."""
        self.single.pop(draft, None)
        for at in draft.reads:
            self.touching[at].pop(draft, None)

    def _store(self, nodes: list[Node], placed: Placed) -> None:
        for node in nodes:
            self.forced[node] = f"{label(node)}: stored, where a kernel would be too long"
            self.reader.storage.roots.add(node)  # for all that follow; the next round makes it
        self.reader.forget(placed)

    def _form(self, placed: Placed, extents: dict[str, int]) -> str:
        if placed.form == "scatter" or goes_along(placed.node):
            return placed.form or placed.node.op.kind
        if not placed.reduced:
            return "map"
        if is_product(placed.node):
            return "product"
        if not placed.node.shape:
            return "full"
        # Which axis runs along memory, or nearly so, in the read with most axes? Of windows the longer one.
        rank, inner, lone = 0, None, False
        for node, access in self.reader.reads(placed):
            base = self.reader.storage.base(node)
            assert base is not None
            strides = Read.of(node, base, access).strides
            unit = [x for x, s in strides if abs(s) == 1]
            if not unit and (steps := [abs(s) for _, s in strides if 0 < abs(s) <= NEAR]):
                unit = [x for x, s in strides if abs(s) == min(steps)]
            if unit and len(strides) > rank:
                longest = unit[0] if len(unit) == 1 else max(unit, key=extents.__getitem__)
                rank, inner, lone = len(strides), longest, not walked((access[0][:1], ()))
        if not placed.kept and not lone:  # one column
            return "full"
        return "column" if inner in placed.kept else "row"

    def _before(self, placed: Placed, own: Draft | None) -> int:
        """Drafts that must run before `placed`, transitively."""
        found = 0
        for home in self._homes(self._bases(placed)):
            if home is not own:
                found |= home.bit | home.after
        return found

    def _bases(self, placed: Placed) -> list[Node | None]:
        """The memory that a root reads."""
        return [self.reader.storage.base(n) for n, _ in self.reader.reads(placed)]

    def _spot(self, node: Node, access: Access) -> Spot:
        base, at = self.reader.storage.base(node), spot(node, access)
        assert base is not None
        return self.spots.setdefault(base, {}).setdefault(at, (base, at))

    def _homes(self, bases: Iterable[Node | None]) -> set[Draft]:
        """The drafts that make these roots, those of them that are made by now."""
        return {self.home[b] for b in bases if b is not None and b in self.home}

    def _candidates(self, placed: Placed) -> list[Draft]:
        """Drafts whose values the root reads, latest first; then those that read the same memory,
        most bytes first; then, for 0-d values, drafts of 0-d values. None that could not be one with it,
        whatever it holds: for it runs before something else that the root reads, or shares with nobody."""
        if placed.form in ALONE or placed.form == "product":
            return []
        bases = [b for b in dict.fromkeys(self._bases(placed)) if b is not None]
        consumed = self._homes(bases)
        before = 0
        for home in consumed:
            before |= home.after
        found = [d for d in consumed if not d.bit & before and d.placed[0].form not in ALONE]
        found.sort(key=_number, reverse=True)
        single = set() if placed.domain else {*islice(reversed(self.single), ASKED)}
        common: dict[Draft, list[Node]] = {d: [] for d in single}
        for at in dict.fromkeys(self._spot(*read) for read in self.reader.reads(placed)):
            for draft in islice(reversed(self.touching.get(at, {})), ASKED):
                common.setdefault(draft, []).append(at[0])
        shared = [
            d
            for d in sorted(common, key=_number)
            if d not in consumed and not d.bit & before and d.placed[0].form not in (*ALONE, "product")
        ]
        shared = [d for d in shared if d in single or any(b.type.size > 1 for b in common[d])]
        if len(shared) > 1:  # else no sizes are compared, and a template holds for more of them
            rank = self._by_size(dict.fromkeys(b for d in shared for b in common[d]))
            shared.sort(key=lambda d: -max((rank[b] for b in common[d]), default=-1))
        return found + shared

    def _by_size(self, bases: Iterable[Node]) -> dict[Node, int]:
        """These, each with a number that stands for its size: sizes are not compared for every draft."""
        found: dict[Node, int] = {}
        last: Node | None = None
        for base in sorted(bases, key=lambda b: b.type.size):
            found[base] = 0 if last is None else found[last] + bool(last.type.size < base.type.size)
            last = base
        return found

    def _joins_one(self, placed: Placed, extents: dict[str, int]) -> bool:
        """Whether a draft has taken the root; if not, or where it also reads what others make, `refused`
        tells why these have not."""
        self.refused = {}
        for draft in self._candidates(placed):
            if self._join(draft, placed, extents):
                return True
            self.refused[draft] = self.why
        return False

    def _refuses(self, why: refusal.Refusal) -> bool:
        self.why = why
        return False

    def _apart(self, base: Node, home: Draft, placed: Placed, before: int) -> Apart:
        """Why a root reads from memory what this other draft makes."""
        if base in self.blocked:
            why = refusal.PACKED if placed.form == "product" else self.blocked[base][1]
        elif placed.form in ALONE or home.placed[0].form in ALONE:
            why = refusal.ALONE
        elif placed.form == "product":
            why = refusal.PRODUCT
        else:
            why = self.refused.get(home, refusal.BETWEEN if home.bit & before else refusal.TAKEN)
        return Apart(base, why.why, why.remedy)

    def _join(self, draft: Draft, placed: Placed, extents: dict[str, int]) -> bool:
        self.asked += 1
        if draft.placed[0].form == "product":
            return self._join_epilogue(draft, placed, extents)
        ways = [self._join_row, self._join_final]
        if any(self._is_column(draft, n) for n, _ in self.reader.reads(placed)):
            ways.reverse()  # as row values they would be summed across memory
        return any(way(draft, placed, extents) for way in ways)

    def _is_column(self, draft: Draft, node: Node) -> bool:
        base = self.reader.storage.base(node)
        home = draft.find(base) if base is not None else None
        return home is not None and home.form == "column" and home.node not in draft.rows

    def _unify(
        self, draft: Draft, placed: Placed, extents: dict[str, int]
    ) -> tuple[dict[str, str], set[Node], list[int]] | None:
        """Labels of `placed` in terms of the draft's, the reductions of the draft it reads, and
        the sizes of what is read in common. None if it reads them in another order than they are made."""
        names: dict[str, str] = {}
        rows: set[Node] = set()
        common: list[int] = []

        def match(mine: tuple[Subscript, ...], theirs: tuple[Subscript, ...]) -> bool:
            new: dict[str, str] = {}
            for a, b in zip(mine, theirs, strict=True):
                if not isinstance(a, Ix) or not isinstance(b, Ix):
                    return False
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

        reads = self.reader.reads(placed)
        for node, access in reads:
            base = self.reader.storage.base(node)
            home = draft.find(base) if base is not None else None
            if home is None:
                continue
            if base is not node or access[1] or not match(access[0], home.access[0]):
                return None
            if home.reduced:
                rows.add(home.node)
            else:
                common.append(node.type.size)
        for node, access in sorted(reads, key=lambda r: -breadth(r[1])):
            if any(match(access[0], other[0]) for other in draft.reads.get(self._spot(node, access), ())):
                common.append(node.type.size)
        return names, rows, common

    def _join_row(self, draft: Draft, placed: Placed, extents: dict[str, int]) -> bool:
        unified = self._unify(draft, placed, extents)
        if unified is None:
            return self._refuses(refusal.ELSEWHERE)
        names, rows, common = unified
        if lie_across(draft, rows) or stores_across(draft, rows, placed, names, extents):
            return self._refuses(refusal.ACROSS_MEMORY)
        if walks_again(draft, placed, rows):
            return self._refuses(refusal.LONG_ROWS)
        if any(p.node is n for p in draft.final for n, _ in self.reader.reads(placed)):
            return self._refuses(refusal.TOTAL)  # what `finally` makes is known too late
        scalar = not placed.domain and not any(p.domain for p in draft.placed)
        size = prod(extents[x] for x in placed.domain)
        enough = next((n for n in common if n >= 2 and 4 * n >= size - 3), None) if placed.domain else None
        if not rows and not scalar and enough is None:
            return self._refuses(refusal.FEW)
        moved = self.reader.moved(placed, names)
        merged = draft.extents | {names.get(x, x): n for x, n in extents.items()}
        trial = replace(draft, extents=merged, placed=[*draft.placed, moved], rows=draft.rows | rows)
        outer = outer_axes(trial)
        if outer is None:
            apart = refusal.NESTED if rows else refusal.NO_AXES
            late = any(p.form in ("full", "column") for p in draft.placed if p.node in rows)
            return self._refuses(refusal.TOTAL if late else apart)  # known once all blocks are done
        if not rows and turned(trial, outer):
            return self._refuses(refusal.ACROSS_MEMORY)
        if not self._room(draft, placed):
            return self._refuses(refusal.LONG)
        draft.extents, draft.placed, draft.rows = merged, trial.placed, trial.rows
        same = f"reads the same {enough!r} elements" if enough is not None else "of single values"
        why = "reads its row values" if rows else same
        others = [d for d in self._homes(self._bases(placed)) if not d.bit & (draft.after | draft.bit)]
        self._joined(draft, placed, moved, why)
        for other in sorted(others, key=_number):
            self._absorb(draft, other, placed, extents, names)
        return True

    def _absorb(
        self, draft: Draft, other: Draft, placed: Placed, extents: dict[str, int], names: dict[str, str]
    ) -> None:
        """`placed`, now in `draft`, reads row values of `other` as well, which did not wait for each
        other: one kernel can make both. `names`: its labels in terms of the draft's."""
        unified = self._unify(other, placed, extents)
        if other.placed[0].form in ALONE:
            return
        if unified is None or not unified[1] or draft.final or other.final or other.after & draft.bit:
            return
        if lie_across(other, unified[1]) or walks_again(other, placed, unified[1]):
            return
        if any(d.after & other.bit for d in self._homes(base for base, _ in draft.reads) - {draft, other}):
            return  # what runs between the two
        if any(p.form == "product" for p in other.placed) or draft.load.length + other.load.length > LENGTH:
            return
        depths = len(draft.load.depth) + len(other.load.depth)
        if len(draft.load.arrays | other.load.arrays) + depths > ARRAYS:
            return
        back = {theirs: names.get(mine, mine) for mine, theirs in unified[0].items()}
        absorbed = {back.get(x, x): n for x, n in other.extents.items()}
        if any(draft.extents.get(x, n) != n for x, n in absorbed.items()):
            return
        trial = replace(
            draft,
            extents=draft.extents | absorbed,
            placed=[*(relabel(p, back) for p in other.placed), *draft.placed],
            rows=draft.rows | other.rows | unified[1],
            totals=draft.totals | other.totals,
        )
        if outer_axes(trial) is None:
            return
        draft.extents, draft.placed = trial.extents, trial.placed
        draft.rows, draft.totals = trial.rows, trial.totals
        draft.after = (draft.after | other.after) & ~other.bit
        draft.reasons[:0] = other.reasons
        draft.apart = other.apart | draft.apart
        draft.reasons.append(f"{label(placed.node)}: brings the two together")
        del self.drafts[other]
        self._hide(draft)
        self._hide(other)
        for p in other.placed:
            self.home[p.node] = draft
        draft.reads, draft.load = {}, Load()
        for p in draft.placed:
            self._enter(draft, p)
        for d in self._following(draft, lambda d: bool(d.after & other.bit)):
            d.after = d.after & ~other.bit | draft.bit | draft.after

    def _join_final(self, draft: Draft, placed: Placed, extents: dict[str, int]) -> bool:
        unified = self._unify(draft, placed, extents)
        if unified is None or placed.reduced or not unified[1]:
            return False
        names, totals, _ = unified
        moved = relabel(placed, names)
        homes = [draft.find(t) for t in totals]
        reads = {self.reader.storage.base(n) for n, _ in self.reader.reads(placed)}
        maps = {p.node for p in draft.placed if not p.reduced}
        if reads & maps or prod(extents[x] for x in placed.domain) > FINAL_ELEMENTS:
            return self._refuses(refusal.TOTAL if reads & maps else refusal.LARGE_END)
        if not all(h is not None and set(moved.domain) <= h.kept for h in homes):
            return False
        if not all(set(p.domain) <= set(moved.domain) for p in draft.final if p.node in reads):
            return False
        trial = replace(draft, final=[*draft.final, moved], totals=draft.totals | totals)
        if outer_axes(trial) is None or not self._room(draft, placed):
            return False
        draft.final, draft.totals = trial.final, trial.totals
        self._joined(draft, placed, moved, "needs only its totals", final=True)
        return True

    def _join_epilogue(self, draft: Draft, placed: Placed, extents: dict[str, int]) -> bool:
        """Onto a matrix product: only maps over its result."""
        if placed.reduced or not any(self.home.get(n) is draft for n, _ in self.reader.reads(placed)):
            return self._refuses(refusal.NO_EPILOGUE)
        unified = self._unify(draft, placed, extents)
        if unified is None:
            return self._refuses(refusal.ELSEWHERE)
        moved = relabel(placed, unified[0])
        if set(moved.domain) != draft.placed[0].kept:
            return self._refuses(refusal.NO_EPILOGUE)
        if not self._room(draft, placed):
            return self._refuses(refusal.LONG)
        draft.placed.append(moved)
        draft.rows |= unified[1]
        self._joined(draft, placed, moved, "epilogue of the product")
        return True

    def _joined(self, draft: Draft, placed: Placed, moved: Placed, why: str, final: bool = False) -> None:
        self._at_home(draft, placed)
        needs = self._before(placed, draft) & ~draft.bit
        if needs & ~draft.after:
            draft.after |= needs
            # Whoever runs after this draft runs after its new needs, too.
            for other in self._following(draft, lambda d: bool(draft.after & ~d.after)):
                other.after |= draft.after
        self._enter(draft, moved, final)
        draft.reasons.append(f"{label(placed.node)}: {why}")

    def _at_home(self, draft: Draft, placed: Placed) -> None:
        self.home[placed.node] = draft
        before, others = 0, []
        for base in dict.fromkeys(self._bases(placed)):
            home = None if base is None else self.home.get(base)
            if base is not None and home is not None:
                self.readers.setdefault(base, []).append(placed.node)
                before |= home.after
                if home is not draft:
                    others.append((base, home))
        for base, home in others:
            if base not in draft.apart or draft.apart[base].why in refusal.LATER:
                draft.apart[base] = self._apart(base, home, placed, before)

    def _following(self, draft: Draft, due: Callable[[Draft], bool]) -> Iterator[Draft]:
        """The drafts that run after this one, as far as they are `due`: not beyond one that is not."""
        stack = [draft]
        while stack:
            one = stack.pop()
            nodes = [p.node for p in one.placed + one.final]
            for other in self._homes(r for n in nodes for r in self.readers.get(n, ())) - {one}:
                if due(other):
                    yield other
                    stack.append(other)


def fuse(graph: Graph) -> Program:
    """Partition `graph` into kernels. The result is ordered and writes every graph output."""
    fuser = _Fuser(graph)
    for number in range(ROUNDS):
        fuser.last = number == ROUNDS - 1
        roots = fuser.find_roots()
        stored = len(fuser.forced)
        fuser.cluster(roots)
        dear = costly(fuser.order, list(fuser.drafts), fuser.reader)
        more = {n: why for n, why in dear.items() if n not in fuser.forced}
        if not more and stored == len(fuser.forced):
            break
        fuser.forced.update(more)
    for ways in fuser.spots.values():
        note_distinct([*ways])
    return Program(graph, tuple(calls(list(fuser.drafts), fuser.home, fuser.reader, set(graph.outputs))))
