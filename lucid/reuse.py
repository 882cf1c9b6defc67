"""Pieces of graphs by what they are made of, so that a loop makes none twice: gradients, by the structure of
what they are of; formulas, by their operands; steps of optimisers.

    for x, y in batches:
        loss = criterion(model(x), y)    # formulas: found by the types of their operands
        loss.backward()                  # gradients: found by the structure of what loss is computed by
        opt.step()                       # new values: by the types of parameters, gradients and state

A key holds all that the piece depends on; of the user's numbers in a graph what the derivatives ask. What a
piece cannot hold is made anew each time: hooks, which are called then; derivatives that libraries compute;
what lies on other devices; examples of `vmap`; under `detect_anomaly`, as lines are told. In a trace there is
no piece, as it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from lucid.compiler import ops
from lucid.compiler.ir.graph import Loc, Node
from lucid.compiler.passes import autodiff

from .context import MODE
from .kept import Kept
from .lanes import LANES
from .pieces import Answers, Piece, cut, known, of_library, placeholder, structure, written_out
from .residence import USED

T = TypeVar("T")


def usable() -> bool:
    """Whether pieces may stand for what is made here."""
    trace, _, looking = MODE.get()
    return trace is None and not looking and not USED[0] and not LANES.get()


# --- gradients -----------------------------------------------------------------------------------


class Gradients(NamedTuple):
    """A piece, the numbers of its inputs among the nodes of the structure, and which output the gradient of
    each node is; None: it has none."""

    piece: Piece
    inputs: tuple[int, ...]
    outputs: tuple[int | None, ...]
    fixed: Answers


_gradients: Kept[Gradients] = Kept()


def pullback(
    outputs: Sequence[Node],
    cotangents: Sequence[Node],
    wrt: Sequence[Node],
    first: bool,
    hooked: Mapping[Node, Any],
) -> list[Node | None] | None:
    """As the pass of this name. None where a node of the graph is in `hooked`, or is a library's in all or in
    part, whose derivative may be a call of it with values."""
    starts = [*outputs, *cotangents]
    found = structure(starts, frozenset(wrt) if first else frozenset(), flowing=True)
    nodes = found.nodes
    if any(map(of_library, found.steps)) or (hooked and any(n in hooked for n in (*nodes, *wrt))):
        return None
    number = {node: k for k, node in enumerate(nodes)}
    places = [number.get(n, -1) for n in wrt]
    key, made = known(_gradients, found, first, len(outputs), *places, None)
    if made is None:
        new = written_out(found, starts)
        of = [new.get(n) or placeholder(0, n.type) for n in wrt]
        with ops.asked() as asked:
            parts = autodiff.pullback([new[n] for n in outputs], [new[n] for n in cotangents], of, first)
        there = [n for n in parts if n is not None]
        numbers = {new[n]: k for k, n in enumerate(nodes)}
        ends = {n for n in numbers if n.op.kind != "leaf" or n.op is ops.SCALAR}  # not literals
        piece, leaves = cut(there, ends)
        given = {new[n]: k for k, n in enumerate(found.numbers)}
        made = Gradients(
            piece,
            tuple([numbers[n] for n in leaves]),
            tuple([None if n is None else there.index(n) for n in parts]),
            {(given[n], asks): answer for (n, asks), answer in asked.items() if n in given},
        )
        made = _gradients.keep(key, made, len(piece.order))
    results = made.piece.used([nodes[k] for k in made.inputs], None)
    return [None if k is None else results[k] for k in made.outputs]


# --- formulas ------------------------------------------------------------------------------------

# Functions of nodes whose result depends on types and attributes alone: they look at no value, at no op
# that an operand is made by, at no setting, and do nothing beside.
# By identity, as records of ops have a slow hash, or none.
FORMULAS: dict[int, Callable[..., Node]] = {}
F = TypeVar("F", bound=Callable[..., Node])
_formulas: Kept[Piece] = Kept()
# How many pieces there were that differ in floats alone. Beyond MANY the next are made anew each time: then
# they are operands, and a rate that changes at every step needs no plan of its own.
_alike: Kept[list[int]] = Kept()
MANY = 8


def _is_one_of_many(key: Sequence[object]) -> bool:
    alike = tuple([None if type(v) is float else v for v in key])
    count = _alike.get(alike) or _alike.keep(alike, [0])
    count[0] += 1
    return count[0] > MANY


def formula(build: F) -> F:
    """`build` is one of these."""
    FORMULAS[id(build)] = build
    return build


def formed(
    build: Callable[..., Node], operands: Sequence[Any], attrs: Mapping[str, Any], stopped: Sequence[int]
) -> Node:
    """The result over nodes, numbers and None, of which those at the places `stopped` are constants of
    differentiation."""
    given = [*operands]
    for k in stopped:
        given[k] = ops.STOP(given[k])
    return build(*given, **attrs)


def built(
    build: Callable[..., Node], operands: Sequence[Any], attrs: Mapping[str, Any], loc: Loc | None,
    stopped: Sequence[int],
) -> Node:  # fmt: skip
    """The same, of a formula."""
    key: list[object] = [build, *stopped, None]
    inputs: list[Node] = []
    for x in operands:
        if x is None:
            key.append(None)
        elif type(x) is not Node or x.type.dtype.is_complex or x in inputs:
            return formed(build, operands, attrs, stopped)
        else:
            kind = x.type
            key += kind.dtype, kind.shape
            inputs.append(x)
    for name, value in attrs.items():
        of = type(value)
        key += name, of, ops.exact(value) if of is float else value
        if of is tuple:
            key.append(tuple(map(type, value)))
    try:
        found = _formulas.get(tuple(key))
    except TypeError:  # something that cannot be part of a key
        return formed(build, operands, attrs, stopped)
    if found is None:
        if _is_one_of_many(key):
            return formed(build, operands, attrs, stopped)
        stand = [placeholder(k, n.type) for k, n in enumerate(inputs)]
        rest = iter(stand)
        given = [None if x is None else next(rest) for x in operands]
        piece = Piece(stand, [formed(build, given, attrs, stopped)])
        found = _formulas.keep(tuple(key), piece, len(piece.order))
    return found.used(inputs, loc)[0]


# --- steps ---------------------------------------------------------------------------------------

_made: Kept[tuple[Piece, tuple[int, ...], Any]] = Kept()


def made(
    facts: Sequence[object], nodes: Sequence[Node | None], make: Callable[[], tuple[Sequence[Node], T]]
) -> tuple[Sequence[Node], T]:
    """`make()`: nodes that are made of `nodes`, and something plain; both depend on nothing else but `facts`,
    and on which of `nodes` are the same."""
    number: dict[Node, int] = {}
    key: list[object] = [*facts, None]
    for node in nodes:
        if node is None:
            key.append(None)
            continue
        k = number.get(node)
        if k is None:
            k = number[node] = len(number)
            kind = node.type
            key += kind.dtype, kind.shape
        key.append(k)
    try:
        found = _made.get(tuple(key))
    except TypeError:  # something that cannot be part of a key
        return make()
    if found is None:
        results, plain = make()
        if _is_one_of_many(key):
            return results, plain
        piece, leaves = cut(results, number)
        if not all(n in number for n in leaves):  # of values that it has brought itself
            return results, plain
        places = tuple([number[n] for n in leaves])
        found = _made.keep(tuple(key), (piece, places, plain), len(piece.order))
    piece, places, plain = found
    inputs = [*number]
    return piece.used([inputs[k] for k in places], None), plain
