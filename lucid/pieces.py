"""Pieces of graphs that were made before: each result is one node, whatever it takes.

    loss.backward()      # 60 nodes for six gradients, which become a Piece
    loss.backward()      # the next loss of the same structure: six nodes, each a Part of it

A `Piece` is a graph over leaves of its own, and a node of op PIECE is one result: a `Part` of it says which
nodes stand for these. It can be told apart in no value, as what it means is written out (`Piece.over`) where
somebody looks inside: by who compiles or differentiates what nobody has before.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

from lucid.compiler import ops
from lucid.compiler.ir.data import once
from lucid.compiler.ir.graph import Loc, Node, become, toposort, typed
from lucid.compiler.ir.types import TensorType

from .inside import is_judged
from .kept import Kept


class Piece:
    """A closed graph, without values: `outputs`, computed from `inputs`. They are told apart by identity."""

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        known = set(self.inputs)
        self.order = [n for n in toposort(outputs, known) if n not in known]
        self.judged = any(map(is_judged, self.order))  # an error may name a line
        self.hosted = any(n.op.kind == "host" for n in self.order)  # a library computes some of it
        self.followed = False  # whether gradients were asked for through it
        first = {node: k for k, node in reversed([*enumerate(self.outputs)])}
        place = {node: k for k, node in enumerate(self.inputs)}
        # Of each output: the input that it is, or -1; the first output that it is; its type.
        self._results = [(place.get(n, -1), first[n], n.type) for n in self.outputs]

    def used(self, nodes: list[Node], loc: Loc | None) -> list[Node]:
        """Its results over these nodes, of the same types as its own. `loc`: the line of all of it; None if
        its nodes know theirs."""
        inputs = tuple(nodes)  # one object for all results
        made: list[Node] = []
        for k, (given, first, kind) in enumerate(self._results):
            if given >= 0:
                made.append(inputs[given])
            elif first < k:
                made.append(made[first])
            else:
                part: Any = _part(Part, (self, inputs, k))
                made.append(typed(PIECE, inputs, part, loc, kind))
        return made

    def over(
        self, inputs: Iterable[Node], loc: Loc | None, standing: Mapping[int, Node] = MappingProxyType({})
    ) -> list[Node]:
        """The same, written out. `standing`: nodes that stand for some results, and become these."""
        stands = {self.outputs[k]: node for k, node in standing.items()}
        new = dict(zip(self.inputs, inputs, strict=True))
        for node in self.order:
            sources = tuple([new[n] for n in node.inputs])
            if node in stands:
                new[node] = stands[node]
                become(new[node], node.op, sources, node.attrs)
            else:
                new[node] = typed(node.op, sources, node.attrs, node.loc if loc is None else loc, node.type)
        return [new[n] for n in self.outputs]

    @once
    def flows(self) -> list[list[int]]:
        """From which inputs gradients flow to each output."""
        place = {node: k for k, node in enumerate(self.inputs)}
        found = []
        for output in self.outputs:
            stack, done, flowing = [output], set[Node](), []
            while stack:
                node = stack.pop()
                if node in done:
                    continue
                done.add(node)
                if node in place:
                    flowing.append(place[node])
                elif node.op is not ops.STOP:
                    stack += [n for n in node.inputs if n.type.dtype.is_inexact]
            found.append(flowing)
        return found


class Part(NamedTuple):
    """Of which piece over which nodes a node is which output: what such a node has in the place of
    attributes. Who has read it needs no more of the node, which another thread may write out meanwhile."""

    piece: Piece
    inputs: tuple[Node, ...]
    output: int

    @property
    def use(self) -> object:
        """What the results of one `used` have in common. (There is one tuple of nothing.)"""
        return id(self.inputs) if self.inputs else self.piece

    @property
    def flowing(self) -> list[Node]:
        """The nodes from which gradients flow to it."""
        return [self.inputs[k] for k in self.piece.flows[self.output]]


_part = tuple.__new__  # without the call of Python code that a named tuple has


def _of_part(part: Any) -> TensorType:
    kind: TensorType = part.piece.outputs[part.output].type
    return kind


# In no registry: it never comes into a graph that is compiled.
PIECE = ops.Op("piece", "piece", lambda _, part: _of_part(part), None, None, None, "biufc")

# What a node was when it was met: op, inputs and attributes. None: nothing below it counts.
Step = tuple[ops.Op, tuple[Node, ...], Any] | None


class Structure(NamedTuple):
    """What nodes are computed by: `nodes`, those themselves first; their steps; the leaves; and all that
    tells this from another structure, but for the values of `numbers`, the user's. (A node that is asked for
    twice comes twice.)"""

    nodes: list[Node]
    steps: list[Step]
    leaves: list[Node]  # those below which nothing counts
    numbers: list[Node]
    key: list[object]


_structure = tuple.__new__
_INPUT, _SCALAR, _STOP = ops.INPUT, ops.SCALAR, ops.STOP


def structure(
    starts: Sequence[Node], ends: Container[Node] | None = None, flowing: bool = False
) -> Structure:
    """The structure of `starts`: nodes are numbered as they are met, and each adds its op, the numbers of its
    operands, its attributes. It does not depend on when a node was made, so graphs may share nodes with older
    ones. What has a value is a leaf; or, with `ends`, only these and inputs are, and, if `flowing`, what no
    gradient flows through: the steps behind a parameter that was updated. It is made at every evaluation, so
    in few steps.

    Of a node that another thread gives another form (`become`) the old form is read, or the new one.
    """
    nodes = list(starts)
    number: dict[object, int] = {}
    for k, node in enumerate(nodes):
        number[node] = k
    steps: list[Step] = []
    leaves: list[Node] = []
    numbers: list[Node] = []
    key: list[object] = [len(nodes)]
    known, meet, add, note = number.get, nodes.append, key.append, steps.append
    uses = 0
    for node in nodes:  # it grows
        attrs: Any = node.attrs  # before the others
        inputs, op = node.inputs, node.op
        if ends is None:
            ends_here = node.data is not None
        else:
            ends_here = op is _INPUT or (flowing and op is _STOP) or node in ends
        if ends_here:
            note(None)
            leaves.append(node)
            kind = node.type
            add(kind.dtype)
            add(kind.shape)
            continue
        if type(attrs) is Part:
            piece, inputs, output = attrs
            use = id(inputs) if inputs else piece
            mine = known(use)
            if flowing:
                piece.followed = True
            note((PIECE, inputs, attrs))
            if ends is not None and piece.judged:
                add(node.loc)
            if mine is not None:
                key += mine, output
                continue
            uses -= 1
            number[use] = uses
            key += piece, output
        else:
            note((op, inputs, attrs))
            add(op.name)
            if op is _SCALAR:
                numbers.append(node)
                add(attrs["dtype"])
            elif attrs:
                key += map(ops.exact, attrs.values()) if op.kind == "leaf" else attrs.values()
            if ends is not None and is_judged(node):
                add(node.loc)
        for n in inputs:
            place = known(n)
            if place is None:
                place = number[n] = len(nodes)
                meet(n)
            add(place)
    return _structure(Structure, (nodes, steps, leaves, numbers, key))


def of_library(step: Step) -> bool:
    """Whether a library computes what a node was, or some of it."""
    if step is None:
        return False
    op, _, attrs = step
    return op.kind == "host" or (type(attrs) is Part and attrs.piece.hosted)


class Fixed(Protocol):
    """What holds for graphs of one structure of which these answers about their numbers are the same."""

    @property
    def fixed(self) -> Answers: ...


# By the place of a number in `Structure.numbers`, and what was asked about its value.
Answers = Mapping[tuple[int, ops.Question], object]
F = TypeVar("F", bound=Fixed)


def known(kept: Kept[F], found: Structure, *more: object) -> tuple[object, F | None]:
    """What is kept for a structure and `more`, if it is; and the key for it."""
    key: tuple[object, ...] = (*more, *found.key)
    while (made := kept.get(key)) is not None and made.fixed:
        answers = {(k, asks): asks(found.numbers[k].attrs["value"]) for k, asks in made.fixed}
        if answers == made.fixed:
            break
        key = (*key, None, *answers.values())
    return key, made


def written_out(found: Structure, starts: Iterable[Node]) -> dict[Node, Node]:
    """A copy of a structure without values and parts: the new node of each that `starts` reach. Its leaves
    are inputs, in the order of nodes."""
    steps = dict(zip(found.nodes, found.steps, strict=True))
    new = {n: placeholder(k, n.type) for k, n in enumerate(found.leaves)}
    opened: dict[object, list[Node]] = {}
    stack = list(starts)
    while stack:
        node = stack[-1]
        step = steps[node]
        if node in new or step is None:
            stack.pop()
            continue
        op, inputs, attrs = step
        missing = [n for n in inputs if n not in new]
        if missing:
            stack += missing[::-1]
            continue
        sources = tuple([new[n] for n in inputs])
        if type(attrs) is Part:
            use = attrs.use
            if use not in opened:
                opened[use] = attrs.piece.over(sources, node.loc)
            new[node] = opened[use][attrs.output]
        else:
            new[node] = typed(op, sources, attrs, node.loc, node.type)
    return new


def placeholder(k: int, kind: TensorType) -> Node:
    return ops.INPUT(name=f"x{k}", dtype=kind.dtype, shape=kind.shape)


def cut(outputs: Sequence[Node], ends: Container[Node]) -> tuple[Piece, list[Node]]:
    """What `outputs` are computed by from those of `ends` that they reach, and from inputs, as a piece; and
    these, in the order of its inputs."""
    found = structure(outputs, ends)
    new = written_out(found, outputs)
    return Piece([new[n] for n in found.leaves], [new[n] for n in outputs]), found.leaves


def open_up(starts: Iterable[Node], more: Callable[[Node], tuple[Node, ...]] | None = None) -> None:
    """Write out, for all who read them, the parts that `starts` reach: of a graph that is to be walked as it
    is. (`more`: as `toposort` has it.)"""
    parts: dict[object, tuple[Part, dict[int, Node]]] = {}
    for node in toposort(starts, (), more):
        part: Any = node.attrs
        if type(part) is Part:
            parts.setdefault(part.use, (part, {}))[1][part.output] = node
    for part, standing in parts.values():
        made = part.piece.over(part.inputs, next(iter(standing.values())).loc, standing)
        for k, node in standing.items():
            form = made[k]
            if form is not node:  # two results are one node
                become(node, form.op, form.inputs, form.attrs)
