"""A plan for graphs of one structure, whatever their sizes: the passes run once, over sizes that are
symbols (`size.py`); for other sizes of which the same facts hold, only numbers are filled in.

    graph f(x: f32[32, 16]) ...      the first: symbols s0 = 32, s1 = 16; passes; facts s1 <= 64, ...
    graph f(x: f32[48, 16]) ...      fits: s0 = 48; the plan with its extents, bytes and places for 48
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from .. import ops
from ..ir.artifact import Address, Buffer, Hole, Launch, Plan, Scratch, Strip
from ..ir.data import data, once, replace
from ..ir.graph import Graph, Node, toposort
from ..ir.kernel import SMALL
from ..ir.program import Operand, Program, scalar_bytes
from ..ir.size import Facts, Noted, Parts, Size, evaluator, parts, polynomial
from ..ir.types import DType
from .arrange import arrange

# Sizes that the passes treat apart wherever they look: they stay literal.
_LITERAL = (0, 1)
# Values of a size that become literals of texts, each in code of its own, before it is one that varies.
LITERALS = 3


@data
class Outline:
    """A graph as data: what another one must have in common with it to share its template; and in
    what it may differ: sizes, and the values of scalars, in the order in which they stand in it."""

    key: object
    sizes: tuple[int, ...]
    scalars: tuple[Node, ...]
    order: list[Node]


def outline(graph: Graph, order: list[Node] | None = None) -> Outline:
    """In one pass over the nodes: it is made for every graph that is compiled. `order`: those that are no
    inputs, where they are known."""
    if order is None:
        order = toposort(graph.outputs, set(graph.inputs))
    number: dict[Node, int] = {}
    parts: list[object] = []
    sizes: list[int] = []
    scalars: list[Node] = []
    for node in graph.inputs:
        number[node] = len(number)
        kind = node.type
        parts.append((kind.dtype.name, len(kind.shape)))
        sizes += kind.shape
    for node in order:
        number[node] = len(number)
        op, attrs = node.op, node.attrs
        if op is ops.SCALAR:
            scalars.append(node)
            parts.append(attrs["dtype"].name)
        elif not attrs:
            parts.append((op.name, *[number[n] for n in node.inputs]))
        elif op is ops.CONST:
            parts.append((repr(attrs["value"]), attrs["dtype"].name))
        else:
            part: list[object] = [op.name]
            for name, value in attrs.items():
                if name in op.sizes:
                    sizes += value
                    part.append(len(value))
                else:
                    part.append(value.name if type(value) is DType else value)
            parts.append((*part, *[number[n] for n in node.inputs]))
    key = (tuple(parts), tuple([number[n] for n in graph.outputs]))
    return Outline(key, tuple(sizes), tuple(scalars), order)


def _with(graph: Graph, outlined: Outline, sizes: Sequence[Size | int], holes: bool = True) -> Graph:
    """The graph with other sizes, and (if asked for) holes in place of scalars' values. The types of nodes
    follow."""
    rest = iter(sizes)

    def take(count: int) -> tuple[Any, ...]:
        return tuple([next(rest) for _ in range(count)])

    new: dict[Node, Node] = {}
    for node in graph.inputs:
        new[node] = Node(node.op, (), {**node.attrs, "shape": take(node.type.ndim)}, node.loc)
    number = 0
    for node in outlined.order:
        attrs = node.attrs
        if node.op is ops.SCALAR and holes:
            attrs = {**attrs, "value": Hole(number)}
            number += 1
        elif node.op.sizes:
            attrs = {k: take(len(v)) if k in node.op.sizes else v for k, v in attrs.items()}
        new[node] = Node(node.op, tuple([new[n] for n in node.inputs]), attrs, node.loc)
    return Graph(graph.name, tuple(new[n] for n in graph.inputs), tuple(new[n] for n in graph.outputs))


def _symbols(graph: Graph, outlined: Outline) -> list[int]:
    """For each size the number of the first that the types of nodes force it to be equal to, or -1 if
    it is literal: a batch is one symbol, however often it is written."""
    sizes = outlined.sizes
    facts = Facts()
    facts.recording, facts.unions = False, []
    free = [n for n, size in enumerate(sizes) if size not in _LITERAL]
    places = {n: k for k, n in enumerate(free)}
    symbols = [facts.symbol(size) if n in places else size for n, size in enumerate(sizes)]
    _with(graph, outlined, symbols)
    parent = list(range(len(free)))

    def root(k: int) -> int:
        while parent[k] != k:
            k = parent[k]
        return k

    for pair in facts.unions:
        a, b = sorted(map(root, pair))
        parent[b] = a
    return [free[root(places[n])] if n in places else -1 for n in range(len(sizes))]


def resized(graph: Graph, change: Callable[[int], int]) -> Graph:
    """A graph of the same structure in which sizes are changed, but for those that follow from others (the
    rows of a reshape). TypeError, ValueError if the ops do not allow it."""
    outlined = outline(graph)
    owners = _symbols(graph, outlined)
    facts = Facts()
    symbols = {owner: facts.symbol(outlined.sizes[owner]) for owner in dict.fromkeys(owners) if owner >= 0}
    _with(graph, outlined, [symbols.get(k, n) for k, n in zip(owners, outlined.sizes, strict=True)])
    values = [change(n) for n in facts.values[: facts.free]]
    for follower, size in facts.followers():
        values[follower] = evaluator(size)(values)
    found = dict(zip(symbols, values, strict=True))
    sizes = [found.get(k, n) for k, n in zip(owners, outlined.sizes, strict=True)]
    return _with(graph, outlined, sizes, holes=False)


def general(
    graph: Graph, outlined: Outline, varying: frozenset[int], holes: bool
) -> tuple[Graph, Facts, list[int]]:
    """The graph over symbols (and `holes`), of which those that stand in one of the places `varying` are
    never literals in texts; their facts; the symbol in each place, or -1."""
    sizes, owners = outlined.sizes, _symbols(graph, outlined)
    firsts = [*dict.fromkeys(owner for owner in owners if owner >= 0)]
    facts = Facts()
    symbols = {owner: facts.symbol(sizes[owner]) for owner in firsts}
    numbers = {owner: n for n, owner in enumerate(firsts)} | {-1: -1}
    places = [numbers[owner] for owner in owners]
    facts.varying = frozenset([places[n] for n in varying if places[n] >= 0])
    facts.recording = False  # what the types of nodes demand holds for every graph
    made = _with(graph, outlined, [symbols.get(k, n) for k, n in zip(owners, sizes, strict=True)], holes)
    return made, facts, places


def varying(known: Iterable[Template], outlined: Outline, literals: int) -> frozenset[int]:
    """The places of sizes that are never literals in a template for this graph: those of which more than
    `literals` values would be literals, with those of the templates that there are."""
    if not literals:
        return frozenset(range(len(outlined.sizes)))
    found, values = set[int](), dict[int, set[int]]()
    for template in known:
        found |= template.varying
        for n, size in template.taken.items():
            values.setdefault(n, {outlined.sizes[n]}).add(size)
    return frozenset(found | {n for n, sizes in values.items() if len(sizes) > literals})


def settled(graph: Graph, simplified: Graph, program: Program) -> tuple[Graph, Program]:
    """What the passes have made of `graph` over symbols, over plain sizes, as `graph` is."""
    new = dict(zip(simplified.inputs, graph.inputs, strict=True))
    calls = program.calls
    nodes = [operand.node for call in calls for operand in call.arrays.values()]
    nodes += [apart.node for call in calls for apart in call.apart]
    for node in toposort([*simplified.outputs, *program.graph.outputs, *nodes]):
        if node not in new:
            attrs = {name: _plain(value) for name, value in node.attrs.items()}
            new[node] = Node(node.op, tuple([new[n] for n in node.inputs]), attrs, node.loc)

    def through(old: Graph) -> Graph:
        return replace(
            old, inputs=tuple([new[n] for n in old.inputs]), outputs=tuple([new[n] for n in old.outputs])
        )

    def operand(old: Operand) -> Operand:
        return Operand(new[old.node], _plain(old.offset), _plain(old.strides))

    plain = [
        replace(
            call,
            arrays={name: operand(old) for name, old in call.arrays.items()},
            symbols={name: _plain(size) for name, size in call.symbols.items()},
            apart=tuple([replace(a, node=new[a.node]) for a in call.apart]),
        )
        for call in calls
    ]
    return through(simplified), replace(program, graph=through(program.graph), calls=tuple(plain))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple([_plain(v) for v in value])
    return int(value) if isinstance(value, Size) else value


@data
class Number:
    """A size in a plan for any: the number in this place of a template's."""

    place: int


# What a plan is made of.
RECORDS = (Plan, Buffer, Launch, Address, Strip, Scratch)
Filler = Callable[[Sequence[int], Sequence[Any]], Any]


def _numbered(value: Any, sizes: dict[Parts, tuple[int, int]]) -> Any:
    """The same with a `Number` for each size; what those are is kept in `sizes`: place and value."""
    if isinstance(value, Size):
        return Number(sizes.setdefault(parts(value), (len(sizes), value.value))[0])
    if isinstance(value, tuple):
        return tuple([_numbered(v, sizes) for v in value])
    if isinstance(value, RECORDS):
        return type(value)(*[_numbered(getattr(value, name), sizes) for name in value.__match_args__])
    return value


def _filler(value: Any) -> Filler | None:
    """What stands in the place of `value` once numbers and scalars are known; None if it stays."""
    if isinstance(value, Number):
        return lambda known, scalars: known[value.place]
    if isinstance(value, Hole):
        number, dtype = value.number, value.dtype
        assert dtype is not None
        return lambda known, scalars: scalar_bytes(scalars[number], dtype)
    record = isinstance(value, RECORDS)
    if not record and not isinstance(value, tuple):
        return None
    found = [getattr(value, name) for name in value.__match_args__] if record else [*value]
    sizes = [(k, part.place) for k, part in enumerate(found) if isinstance(part, Number)]
    others = [
        (k, inner)
        for k, part in enumerate(found)
        if not isinstance(part, Number) and (inner := _filler(part)) is not None
    ]
    if not sizes and not others:
        return None

    def fill(known: Sequence[int], scalars: Sequence[Any]) -> Any:
        filled = found.copy()
        for k, n in sizes:
            filled[k] = known[n]
        for k, inner in others:
            filled[k] = inner(known, scalars)
        return type(value)(*filled) if record else tuple(filled)

    return fill


@data
class General:
    """A plan for all graphs of one structure of which what was noted holds, as data: made for `sizes`; in
    each place of one there is a symbol, or -1. `taken`: symbols that are literals of texts; `varying`: places
    of sizes that are none; `spared`: the places of numbers that would be. `picks` as in `pipeline.Compiled`.
    `numbers`: those of the plan for these sizes. `others` tells what was noted, and the polynomials of the
    numbers: who has these sizes never asks."""

    sizes: tuple[int, ...]
    symbols: Sequence[int]
    varying: frozenset[int]
    taken: frozenset[int]
    spared: Sequence[int]
    picks: tuple[int, ...]
    numbers: Sequence[int]
    plan: Plan
    others: Callable[[], tuple[Noted, Sequence[Parts]]]


def generalised(
    graph: Graph,
    outlined: Outline,
    varying: frozenset[int],
    run: Callable[[Graph], tuple[Plan, tuple[int, ...]]],
) -> General:
    """What `graph` and its like are compiled to. `run` is the passes: from a graph to a plan and picks."""
    made, facts, symbols = general(graph, outlined, varying, True)
    facts.recording = True
    plan, picks = run(made)
    facts.recording = False
    sizes: dict[Parts, tuple[int, int]] = {}
    plan = _numbered(plan, sizes)
    spared = sorted({_numbered(size, sizes).place for size in facts.spared})
    numbers = [value for _, value in sizes.values()]
    taken = frozenset(facts.taken)
    return General(
        outlined.sizes, symbols, varying, taken, spared, picks, numbers, plan,
        lambda: (facts.noted(), [*sizes]),
    )  # fmt: skip


class Template:
    """What fills in a general plan. `varying`: places of sizes that are no literals in texts; `taken`: the
    sizes that are, by their places."""

    def __init__(self, made: General) -> None:
        self.made, self.varying = made, made.varying
        symbols, sizes = made.symbols, made.sizes
        self.taken = {n: sizes[n] for n, symbol in enumerate(symbols) if symbol in made.taken}
        firsts: dict[int, int] = {}
        for n, symbol in enumerate(symbols):
            if symbol >= 0:
                firsts.setdefault(symbol, n)
        self._literal = _getter([n for n, symbol in enumerate(symbols) if symbol < 0])
        self._literals = self._literal(sizes)
        self._each = _getter([n for n, symbol in enumerate(symbols) if symbol >= 0])
        self._owner = _getter([firsts[symbol] for symbol in symbols if symbol >= 0])
        self._free = _getter([*firsts.values()])
        self._fill = _filler(made.plan) or (lambda known, scalars: made.plan)

    @once
    def _others(self) -> tuple[Callable[[Sequence[int]], list[int] | None], list[Callable[..., int]]]:
        noted, numbers = self.made.others()
        return noted.program(), [polynomial(*size) for size in numbers]

    def found(self, sizes: tuple[int, ...]) -> Sequence[int] | None:
        """The numbers of the plan for these sizes; None if the passes could take other steps for them."""
        if self._literal(sizes) != self._literals or self._each(sizes) != self._owner(sizes):
            return None
        hold, numbers = self._others
        values = hold(self._free(sizes))
        return None if values is None else [number(values) for number in numbers]

    def numbers(self, sizes: tuple[int, ...]) -> Sequence[int] | None:
        """The same: of those that it was made for all that was noted holds."""
        return self.made.numbers if sizes == self.made.sizes else self.found(sizes)

    def fill(self, outlined: Outline, given: Mapping[Node, int] = MappingProxyType({})) -> Plan | None:
        """The plan for a graph of the same key; None if the passes could take other steps for it. `given`:
        scalars whose values come with each call, and the numbers of their holes."""
        numbers = self.numbers(outlined.sizes)
        scalars: list[Any] = [Hole(given[n]) if n in given else n.attrs["value"] for n in outlined.scalars]
        return None if numbers is None else arrange(self._fill(numbers, scalars))

    def general(self, outlined: Outline) -> bool:
        """Whether texts have symbols where those for this graph alone would have literals."""
        if not self.made.spared:
            return False
        numbers = self.numbers(outlined.sizes)
        return numbers is not None and any(1 < numbers[k] <= SMALL for k in self.made.spared)


def _getter(positions: Sequence[int]) -> Callable[[tuple[int, ...]], tuple[int, ...]]:
    """The values at these positions, as a tuple however many there are."""
    if not positions:
        return lambda values: ()
    if len(positions) == 1:
        (only,) = positions
        return lambda values: (values[only],)
    return itemgetter(*positions)
