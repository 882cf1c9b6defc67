"""Drafts to kernels: collapsed axes, canonical names, stages, expressions; in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from math import prod

from .. import ops
from ..cpu.schedule import SHORT
from ..ir import kernel as k
from ..ir.data import replace
from ..ir.graph import Loc, Node
from ..ir.layout import can_be_defined
from ..ir.program import Call, Operand, row_major
from ..ir.size import spare, taken, varies
from ..ir.types import DType
from ..ops import By, Guard, Ix
from ..ops.folds import fold
from ..order import BLOCK
from .draft import Draft, Placed, Read, Reader, walked
from .draft_text import StageText
from .legal import outer_axes

# An inner extent that varies is a literal all the same if it is so short, and there are so many elements:
# softmax over 3 to 16 elements takes six times as long by the code for longer rows (over 33 2.4 times, over
# 64 1.6), so what a compile takes is back after some 200 calls.
NARROW, WORTH = 16, 1 << 17
# Elements of a map from which on the length of its rows is a literal if these are a few channels: a batch
# that comes last in small arrays needs no other code when its size changes.
CHANNELS = 1 << 10


class Writer:
    """Writes one draft as a kernel and the call of it."""

    def __init__(self, draft: Draft, outer: tuple[str, ...], reader: Reader, stored: set[Node]) -> None:
        self.draft = draft
        self.reader = reader
        self.stored = stored
        self.outer = outer
        self.results: dict[Node, str] = {}  # reductions by name
        self.arrays: dict[Read, tuple[str, Read, DType]] = {}
        self.scalars: dict[Node, str] = {}
        self.outputs: list[tuple[str, Placed]] = []
        self.stages: list[tuple[frozenset[str], list[tuple[Placed, bool]]]] = []
        self.level: dict[Node, int] = {}
        self.home = {p.node: p for p in (*draft.final, *draft.placed)}
        self.forms = {p.form for p in draft.placed}
        self.reads, self.writes = self._every_read(), self._every_write()
        self.tables = [dict(a.strides) for a in (*self.reads, *self.writes)]
        self.dims: dict[Read, list[tuple[str, int]]] = {}
        self.columns = ""  # what vectors run along: the last outer axis of a product, the last axis of a map
        # by output of a sort that keeps some: the axis, how many
        self.firsts: dict[str, tuple[str, str]] = {}

    def write(self) -> Call:
        for placed in self.draft.placed:
            self._assign_stage(placed)
        for placed in self.draft.placed:  # row values that stand in memory
            known = placed.form != "scatter" and placed.reduced and not placed.reduced & set(self.outer)
            if known and placed.node in self.stored:
                self._enter(frozenset(), self.level[placed.node] + 1, placed, False)
        groups = self._collapse(self._label_order())
        demote = None
        flat = [g for g in groups if set(g) & set(self.outer)]
        inner = [g for g in groups if not set(g) & set(self.outer)]
        if len(flat) > 1 and not inner and not self.draft.rows and "product" not in self.forms:
            demote = flat[-1]
        return self._emit(groups, demote)

    def _assign_stage(self, placed: Placed) -> None:
        first = 0
        for node, _ in self.reader.reads(placed):
            if node in self.level:  # a row value is known after its stage, a map is recomputed
                first = max(first, self.level[node] + (node in self.draft.rows))
        inner = frozenset(placed.domain) - set(self.outer)
        self.level[placed.node] = self._enter(inner, first, placed, True)

    def _enter(self, inner: frozenset[str], first: int, placed: Placed, compute: bool) -> int:
        """Put a root (or only its store) into the first stage of these axes from `first` on."""
        for n in range(first, len(self.stages)):
            if self.stages[n][0] == inner:
                self.stages[n][1].append((placed, compute))
                return n
        self.stages.append((inner, [(placed, compute)]))
        return len(self.stages) - 1

    # -- accesses

    def _every_read(self) -> list[Read]:
        found: dict[Read, None] = {}
        for p in self.draft.placed + self.draft.final:
            for node, access in self.reader.reads(p):
                base = self.reader.storage.base(node)
                assert base is not None
                if base not in self.home:
                    found[Read.of(node, base, access)] = None
        return list(found)

    def _every_write(self) -> list[Read]:
        return [
            Read.of(p.node, p.node, p.access)
            for p in self.draft.placed + self.draft.final
            if p.node in self.stored
        ]

    def _label_order(self) -> list[str]:
        """Outermost in memory first, judged by writes, then by the reads with the most axes."""
        weight: dict[str, tuple[int, ...]] = {}
        accesses = self.writes + sorted(self.reads, key=lambda r: -len(r.strides))
        tables = [dict(a.strides) for a in accesses]
        for label in self.draft.extents:
            weight[label] = tuple([abs(t.get(label, 0)) for t in tables])

        used = {x for p in self.draft.placed + self.draft.final for x in p.domain}
        order = [x for x in self.draft.extents if x in used]

        def before(x: str, y: str) -> bool:
            for a, b in zip(weight[x], weight[y], strict=True):
                if a and b and a != b:
                    return a > b
            return False

        for i in range(1, len(order)):  # insertion sort: the relation is partial, keep ties stable
            at = i
            while at and before(order[at], order[at - 1]):
                order[at], order[at - 1] = order[at - 1], order[at]
                at -= 1
        for p in self.draft.placed:
            if p.form == "scatter":  # in the order of the source
                order = [*p.domain]
            if p.form == "product":  # terms are added as its operands name their axes, wherever these lie
                summed = iter(x for x in p.domain if x in p.reduced)
                order = [next(summed) if x in p.reduced else x for x in order]
        return order

    def _signature(self, label: str) -> tuple[object, ...]:
        """Labels collapse only if they play the same part everywhere."""
        return (
            label in self.outer,
            tuple(label in inner for inner, _ in self.stages),
            tuple((label in p.kept, label in p.domain) for p in self.draft.placed + self.draft.final),
        )

    def _collapse(self, order: list[str]) -> list[tuple[str, ...]]:
        guarded = {g.axis for a in self.reads + self.writes for g in a.guards} | self._positional()
        groups: list[tuple[str, ...]] = []
        for label in order:
            if groups:
                last = groups[-1][-1]
                extent = self.draft.extents[label]
                walks_as_one = all(t.get(last, 0) == t.get(label, 0) * extent for t in self.tables)
                if (
                    walks_as_one
                    and not {last, label} & guarded
                    and self._signature(last) == self._signature(label)
                ):
                    groups[-1] = (*groups[-1], label)
                    continue
            groups.append((label,))
        return groups

    def _positional(self) -> set[str]:
        """Axes with a guard anywhere, also where nothing is read under it, and those that are values."""
        roots = self.draft.placed + self.draft.final
        return set[str]().union(*[self.reader.walk(p).positional for p in roots])

    # -- text

    def _dense(self, label: str) -> bool:
        """Whether an axis runs along memory wherever it appears: rows of features do, a batch does
        not, so that another size of batch needs no other code."""
        return all(abs(t.get(label, 1)) == 1 for t in self.tables) or self._few(label)

    def _few(self, label: str) -> bool:
        """Whether a map writes rows of a few elements side by side, wherever it reads them: channels that
        become the last axis. Their number is part of the text, as how they are dealt out depends on it."""
        if self.forms != {"map"} or any(abs(dict(a.strides).get(label, 0)) != 1 for a in self.writes):
            return False
        return prod(self.draft.extents.values()) >= CHANNELS and self.draft.extents[label] <= SHORT

    def _literal(self, size: int, rows: int) -> bool:
        """Of an inner extent."""
        if varies(size):
            if size == 1 or (size <= NARROW and rows * size >= WORTH):
                return True
            spare(size)
            return False
        return size <= k.SMALL

    def _emit(self, groups: list[tuple[str, ...]], demote: tuple[str, ...] | None) -> Call:
        outer_groups = [g for g in groups if g[0] in self.outer and g is not demote]
        self.axis: dict[str, str] = {}
        self.size: dict[str, int] = {}
        self.symbols: dict[str, int] = {}
        self.symbol_of: dict[str, k.Extent] = {}
        self.guards: dict[tuple[str, int, int], k.Within] = {}
        self.sizes = 0
        self.product = product = not self.forms.isdisjoint(("product", "scatter", "scan", "sort"))
        rows = prod(self.draft.extents[x] for group in outer_groups for x in group)
        for n, group in enumerate(groups):
            axis, symbol = f"i{n}", f"n{n}"
            self.size[axis] = prod(self.draft.extents[x] for x in group)
            fixed = (group is demote or group[0] not in self.outer) and self._dense(group[-1])
            if fixed and not product and self._literal(self.size[axis], rows):
                self.symbol_of[axis] = taken(self.size[axis])
            else:
                self.symbols[symbol] = self.size[axis]
                self.symbol_of[axis] = symbol
            for x in group[:-1]:
                self.axis[x] = ""  # walked by the last label of its group
            self.axis[group[-1]] = axis
        outer = tuple(k.Axis(self.axis[g[-1]], self.symbol_of[self.axis[g[-1]]]) for g in outer_groups)
        outer = self._rows_and_columns(outer, len(groups))
        if "product" in self.forms:
            self.columns = outer[-1].name
        elif groups and self.forms == {"map"}:
            self.columns = self.axis[groups[-1][-1]]
        for p in self.draft.placed:
            if p.reduced and p.form != "scatter":
                self.results[p.node] = f"r{len(self.results)}"
        stages: list[k.Stage] = []
        ordered = [self.axis[g[-1]] for g in groups]
        for number, (inner, placed) in enumerate(self.stages):
            here = set(inner) | set(demote or ())
            axes = [a for a in ordered if a in {self.axis[x] for x in here if self.axis[x]}]
            stages.append(self._stage(axes, placed, f"t{number}"))
        final = self._final(ordered)
        kernel_outputs = tuple(self._output(name, read, dtype) for name, read, dtype in self._out_list())
        params: list[k.Array | k.Scalar] = [
            self._array(name, read, dtype) for name, read, dtype in self.arrays.values()
        ]
        params += [k.Scalar(name, node.type.dtype) for node, name in self.scalars.items()]
        kernel = k.Kernel(self._name(), tuple(params), kernel_outputs, outer, tuple(stages), tuple(final))
        operands = {name: self._operand(read) for name, read, _ in (*self.arrays.values(), *self._out_list())}
        operands |= {
            name: replace(operands[name], strides=self._in_order(array))
            for array, (name, p) in zip(kernel_outputs, self.outputs, strict=True)
            if p.form == "scatter"
        }
        values = {name: node.attrs["value"] for node, name in self.scalars.items()}
        return Call(
            kernel,
            operands,
            self.symbols,
            values,
            tuple(self.draft.reasons),
            tuple(self.draft.apart.values()),
        )

    def _rows_and_columns(self, outer: tuple[k.Axis, ...], number: int) -> tuple[k.Axis, ...]:
        """A product has both, were it one of them: the kernel says so with an axis of extent 1."""
        for p in self.draft.placed:
            if p.form == "product":
                mine = [walked(access) & p.kept for _, access in p.operands]
                if not all(own - other for own, other in (mine, mine[::-1])):
                    outer = (k.Axis(f"i{number}", 1), *outer)
                if not mine[0] ^ mine[1]:
                    outer = (*outer, k.Axis(f"i{number + 1}", 1))
        return outer

    def _name(self) -> str:
        """Of the ops that it computes: stable, so that text stays a key."""
        words = []
        for p in self.draft.placed + self.draft.final:
            word = p.node.op.name
            if word not in words:
                words.append(word)
        name = "_".join(words[:4])
        return name if can_be_defined(name) else f"{name}_"

    def _out_list(self) -> list[tuple[str, Read, DType]]:
        return [(name, Read.of(p.node, p.node, p.access), p.node.type.dtype) for name, p in self.outputs]

    def _dims(self, read: Read) -> list[tuple[str, int]]:
        """(axis, stride) of a read, outermost first; collapsed and constant dimensions left out."""
        found = self.dims.get(read)
        if found is None:
            dims = [(self.axis[x], s) for x, s in read.strides if self.axis[x] and s]
            found = self.dims[read] = sorted(dims, key=lambda d: (-abs(d[1]), d[0]))
            for dim in found[:-1]:  # what is walked by vectors, in steps that code may know
                if dim[0] == self.columns and 1 < dim[1] <= max(k.STEPS):
                    found.remove(dim)
                    found.append(dim)
        return found

    def _places(self, read: Read) -> list[tuple[str | By, int]]:
        """The same of a read with subscripts by value, those among them."""
        dims: list[tuple[str | By, int]] = [*read.values, *self._dims(read)]
        return sorted(dims, key=lambda d: -abs(d[1])) if read.values else dims

    def _array(self, name: str, read: Read, dtype: DType) -> k.Array:
        dims = self._places(read)
        extents: list[k.Extent] = []
        for place, _ in dims:
            if isinstance(place, By):
                extents.append(self.size_of(place.extent).symbol)
                continue
            guard = self._guard(read.guards, place)  # and what lies inside
            extents.append(self.symbol_of[place] if guard is None else f"g{guard.lo.removeprefix('lo')}")
        unit = not dims or dims[-1][1] == 1
        step = 0
        if not unit and -2 < dims[-1][1] <= max(k.STEPS):  # else it is asked no more
            step = next((s for s in k.STEPS if dims[-1][1] == s), 0)
        return k.Array(name, dtype, tuple(extents), unit, step)

    def _output(self, name: str, read: Read, dtype: DType) -> k.Array:
        array, first = self._array(name, read, dtype), self.firsts.get(name)
        if first is None:
            return array
        axes = [axis for axis, _ in self._dims(read)]
        return replace(
            array, dims=tuple(first[1] if a == first[0] else d for a, d in zip(axes, array.dims, strict=True))
        )

    def _operand(self, read: Read) -> Operand:
        offset = read.offset
        dims = self._places(read)
        for place, stride in dims:
            guard = None if isinstance(place, By) else self._guard(read.guards, place)
            if guard is not None:
                offset += self.symbols[guard.lo] * stride
        return Operand(read.base, offset, tuple(s for _, s in dims))

    def _in_order(self, array: k.Array) -> tuple[int, ...]:
        """The strides of an array that has no gaps: what a dimension of extent 1 steps is told by none of the
        axes, which may be one in memory across it."""
        return row_major([self.symbols[n] if isinstance(n, str) else n for n in array.dims])

    def _guard(self, guards: tuple[Guard, ...], axis: str) -> k.Within | None:
        """All guards on one axis, as one."""
        mine = [g for g in guards if self.axis[g.axis] == axis]
        if not mine:
            return None
        lo = max(0, *(g.lo for g in mine))
        hi = max(lo, min(self.size[axis], *(g.hi for g in mine)))
        if (axis, lo, hi) not in self.guards:
            n = len(self.guards)
            self.symbols |= {f"lo{n}": lo, f"hi{n}": hi, f"g{n}": hi - lo}
            self.guards[axis, lo, hi] = k.Within(axis, f"lo{n}", f"hi{n}")
        return self.guards[axis, lo, hi]

    def size_of(self, value: int) -> k.Size:
        """A whole number that may differ from call to call: a symbol each time, as equal ones may be so by
        chance."""
        self.sizes += 1
        name = f"p{self.sizes}"
        self.symbols[name] = value
        return k.Size(name)

    def _load(
        self, read: Read, dtype: DType, places: Callable[[Read], tuple[k.Expr, ...]]
    ) -> k.Load | k.Pick:
        if read not in self.arrays:
            self.arrays[read] = (f"a{len(self.arrays)}", read, dtype)
        name = self.arrays[read][0]
        if read.values:
            return k.Pick(name, places(read), dtype)
        index, guards = [], []
        for axis, _ in self._dims(read):
            guard = self._guard(read.guards, axis)
            index.append(k.Index(axis, guard.lo if guard else None))
            if guard:
                guards.append(guard)
        # a guard on an axis that the array lacks still decides whether it is read
        for g in read.guards:
            if self.axis[g.axis] not in {i.axis for i in index}:
                extra = self._guard(read.guards, self.axis[g.axis])
                if extra is not None and extra not in guards:
                    guards.append(extra)
        return k.Load(name, tuple(index), dtype, tuple(guards))

    def _stage(
        self, axes: Sequence[str], items: list[tuple[Placed, bool]], prefix: str, last: bool = False
    ) -> k.Stage:
        """The stage that computes roots, or only stores them; `last`: of `finally`."""
        text = StageText(self, [p for p, compute in items if compute], prefix)
        for p, compute in items:
            if not compute:
                self._store(p, text.total(p, p.access), text)
                continue
            exprs = tuple(text.expr(n, a) for n, a in p.operands)
            loc = text.places_of(p.node.loc, p.operands)
            if p.form == "scatter":
                name = f"o{len(self.outputs)}"
                self.outputs.append((name, p))
                places = text.places(Read.of(p.node, p.node, p.access))
                text.body.append(k.Scatter(name, places, exprs[-1], p.node.op.lower, loc))
            elif p.form in ("scan", "sort"):
                self._store(p, exprs[0], text)
            elif p.reduced:
                text.body.append(self._reduce(p, exprs, loc))
            elif p.node in self.stored:
                self._store(p, exprs[0], text)
        found = [k.Axis(a, self.symbol_of[a]) for a in axes]
        if axes and not self.product and not last and isinstance(self.symbol_of[axes[-1]], str):
            found[-1] = replace(found[-1], long=self.size[axes[-1]] > BLOCK)
        return k.Stage(tuple(found), tuple(text.body))

    def _reduce(self, p: Placed, exprs: tuple[k.Expr, ...], loc: Loc | None) -> k.Reduce:
        of, name = fold(p.node.op.lower), self.results[p.node]
        dtypes = tuple(map(of.accumulator, of.own(tuple(map(k.expr_dtype, exprs)))))
        # the last state is the result; the others are known by it
        names = (*(f"{name}_{n}" for n in range(len(dtypes) - 1)), name)
        everywhere = bool(p.reduced & set(self.outer))
        keep = tuple(self.axis[x] for x in self._ordered(p.kept) if self.axis[x]) if everywhere else ()
        scope = "all" if everywhere else "row"
        return k.Reduce(names, of.name, exprs, dtypes, scope, keep, loc)

    def _ordered(self, labels: frozenset[str]) -> list[str]:
        return sorted(labels, key=lambda x: self.axis[x])

    def _store(self, p: Placed, expr: k.Expr, text: StageText) -> None:
        name = f"o{len(self.outputs)}"
        self.outputs.append((name, p))
        dims = self._dims(Read.of(p.node, p.node, p.access))
        index, loc = tuple(k.Index(axis) for axis, _ in dims), text.places_of(p.node.loc, p.operands)
        if p.form in ("scan", "sort"):
            ix = p.access[0][p.node.attrs["axis"]]
            assert isinstance(ix, Ix) and ix.axis is not None
            over, scan = self.axis[ix.axis], p.form == "scan"
            along = (
                k.Scan(name, index, p.node.op.lower, over, expr, loc)
                if scan
                else k.Sort(
                    name,
                    index,
                    over,
                    expr,
                    p.node.attrs.get("falling", False),
                    self._first(name, over, p),
                    p.node.op is ops.SORT,
                    loc=loc,
                )
            )
            text.body.append(along)
        else:
            text.body.append(k.Store(name, index, expr, loc))

    def _first(self, name: str, over: str, p: Placed) -> k.Extent | None:
        """Of a sort, how many it keeps, if not all."""
        if p.node.op is not ops.ARGTOP:
            return None
        (count,) = p.node.attrs["count"]
        symbol = self.size_of(count).symbol
        self.firsts[name] = over, symbol
        return symbol

    def _final(self, ordered: list[str]) -> list[k.Stage]:
        """Stores of totals, and maps over them."""
        table: dict[tuple[str, ...], list[tuple[Placed, bool]]] = {}
        totals = [p for p in self.draft.placed if p.reduced & set(self.outer) and p.node in self.stored]
        for p, compute in (*((p, False) for p in totals), *((p, True) for p in self.draft.final)):
            labels = frozenset(p.domain) if compute else p.kept
            axes = tuple(a for a in ordered if a in {self.axis[x] for x in labels if self.axis[x]})
            table.setdefault(axes, []).append((p, compute))
        return [
            self._stage(axes, items, f"f{number}", last=True)
            for number, (axes, items) in enumerate(table.items())
        ]


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
