"""Graph level: what is computed. An immutable DAG of `Node(op, inputs, attrs)`.

    graph f(%x: f32[4], %y: f32[4]) -> (%2) {
      %2: f32[4] = sub %x, %y            # train.py:12
    }

The type of a node is derived by its op's own rule when the node is made. A `Node` compares by
identity; two structurally equal nodes are merged by `simplify`, never by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import EllipsisType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from .data import data, field
from .types import TensorType

if TYPE_CHECKING:
    from ..ops import Op

NO_ATTRS: Mapping[str, Any] = MappingProxyType({})


@data
class Loc:
    """A line of the user's program, and how a node came from there. Only `file` and `line` are always known:
    the rest is noted while a function is traced. No pass decides anything by it.

    `file` is the name that is shown, `path` the one that Python knows, if it is another. `caller` is the line
    of the user's that called `function`, up to the traced one. `module`: the path of the module that ran
    (`model.2.linear`), or the class of the optimiser. `backward`: of which function (`relu`) or op the
    gradient is computed here. `also`: other lines whose work is part of the same statement. `called`: the
    function of lucid's that the line calls, where it is one; for names, so that lines are the same without.
    """

    file: str
    line: int
    path: str = ""
    function: str = ""
    caller: Loc | None = None
    module: str = ""
    backward: str = ""
    also: tuple[Loc, ...] = ()
    called: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash((self.file, self.line, self.module, self.backward))

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        """With the module and the direction."""
        module = f" in {self.module}" if self.module else ""
        return f"{self}{module}{f' backward of {self.backward}' if self.backward else ''}"

    @property
    def stack(self) -> tuple[Loc, ...]:
        """The user's calls, the outermost first; this line is the last."""
        found, at = [self], self.caller
        while at is not None:
            found.append(at)
            at = at.caller
        return tuple(found[::-1])

    @property
    def every(self) -> tuple[Loc, ...]:
        """This line and the others."""
        return (self, *self.also)


# Lines of gradients by those of what they are of, which is kept, so that its id stays its own.
_GRADIENTS: dict[tuple[int, str], tuple[Loc, Loc]] = {}
GRADIENTS = 16384


def backward_of(loc: Loc | None, op: str) -> Loc | None:
    """Where the gradient of what was made at `loc` comes from: of the function that was called, or `op`."""
    if loc is None:
        return None
    found = _GRADIENTS.get((id(loc), op))
    if found is None:
        if len(_GRADIENTS) >= GRADIENTS:
            _GRADIENTS.clear()
        of = f"{op} of {loc.backward}" if loc.backward else loc.called or op
        made = Loc(loc.file, loc.line, loc.path, loc.function, loc.caller, loc.module, of)
        found = _GRADIENTS[id(loc), op] = loc, made
    return found[1]


def together(loc: Loc | None, others: Iterable[Loc | None]) -> Loc | None:
    """`loc`, with those of `others` that are elsewhere, SEVERAL at most."""
    if loc is None:
        return next((o for o in others if o is not None), None)
    found = {id(o): o for o in others if o is not None and o is not loc}
    if not found:
        return loc
    also = tuple(dict.fromkeys(o for o in found.values() if o != loc))[:SEVERAL]
    if not also:
        return loc
    of = loc.backward
    return Loc(loc.file, loc.line, loc.path, loc.function, loc.caller, loc.module, of, also, loc.called)


SEVERAL = 16

LOC: ContextVar[Loc | None] = ContextVar("LOC", default=None)


@contextmanager
def at(loc: Loc | None) -> Iterator[None]:
    """Nodes made inside belong to the user's line `loc`."""
    token = LOC.set(loc)
    try:
        yield
    finally:
        LOC.reset(token)


class Node:
    """One operation. `attrs` holds plain ints, floats, strings, DTypes and tuples of them. `loc` is
    by default the line that is being traced. TypeError, ValueError if the op does not take `inputs`
    or `attrs`. Final for all but the functions below: mypy tells, as what refuses at run time would take half
    of the time of making a node, of which eager work makes hundreds."""

    __slots__ = ("__weakref__", "attrs", "computed", "data", "inputs", "loc", "op", "type")

    op: Final[Op]
    inputs: Final[tuple[Node, ...]]
    attrs: Final[Mapping[str, Any]]
    loc: Final[Loc | None]
    type: Final[TensorType]
    # The value that the front end bound or computed, by `bind`; the compiler never looks at it.
    data: Final[Any]
    # Whether it was computed before, kept or not; noted by `mark`.
    computed: Final[bool]

    def __init__(
        self,
        op: Op,
        inputs: tuple[Node, ...] = (),
        attrs: Mapping[str, Any] = NO_ATTRS,
        loc: Loc | EllipsisType | None = ...,
    ) -> None:
        self.op, self.inputs, self.attrs = op, inputs, attrs
        self.loc = LOC.get() if loc is ... else loc
        self.type = op.infer(tuple([n.type for n in inputs]), attrs)
        self.data, self.computed = None, False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.type}>"


def bind(node: Any, data: object) -> None:
    """Give `node` its value: once, whoever computes it; so nodes stay immutable for all that read
    them."""
    node.data = data


def mark(nodes: Iterable[Any]) -> None:
    """Note that they are computed."""
    for node in nodes:
        node.computed = True


def become(node: Any, op: Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any]) -> None:
    """Give `node` another form, of the same meaning, for all who read it. Who reads attributes, inputs and op
    in this order, in another thread, finds the old attributes or all of the new form."""
    node.op = op
    node.inputs = inputs
    node.attrs = attrs


_new = Node.__new__


def typed(
    op: Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any], loc: Loc | None, kind: TensorType
) -> Node:
    """A node whose type is known, as there is one like it: its op is not asked."""
    made: Any = _new(Node)
    made.op = op
    made.inputs = inputs
    made.attrs = attrs
    made.loc = loc
    made.type = kind
    made.data = None
    made.computed = False
    node: Node = made
    return node


def node_of(op: Op, inputs: tuple[Node, ...], attrs: Mapping[str, Any], loc: Loc | None) -> Node:
    """As the call of `Node`, in half the time."""
    count = len(inputs)
    if count == 1:  # a list takes as long as a node
        types: tuple[TensorType, ...] = (inputs[0].type,)
    elif count == 2:
        types = inputs[0].type, inputs[1].type
    else:
        types = tuple([n.type for n in inputs])
    return typed(op, inputs, attrs, loc, op.infer(types, attrs))


@data
class Graph:
    """A closed piece of the DAG. `inputs` are nodes of op `input`; every leaf of that op that
    `outputs` reach must be among them. `called`: what callers call the outputs, or nothing. `telling`: what
    they call the inputs and the outputs, which is looked for once somebody asks, by `told`."""

    name: str
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    called: tuple[str, ...] = field(default=(), compare=False)
    telling: Callable[[], tuple[Sequence[str], tuple[str, ...]]] | None = field(default=None, compare=False)


def told(graph: Graph) -> Graph:
    """`graph`, with the names that callers know: its inputs, at which nobody has looked before, have them
    from here on."""
    if graph.telling is None:
        return graph
    names, called = graph.telling()
    for node, name in zip(graph.inputs, names, strict=True):
        become(node, node.op, node.inputs, {**node.attrs, "name": name})
    return Graph(graph.name, graph.inputs, graph.outputs, called)


def toposort(
    outputs: Iterable[Node],
    known: Container[Node] = (),
    more: Callable[[Node], tuple[Node, ...]] | None = None,
) -> list[Node]:
    """Every node that `outputs` reach, inputs before users, but for those in `known` and what only
    they reach. `more`: inputs that count beside those of a node. Iterative: depth is unbounded."""
    order: list[Node] = []
    done: set[Node] = set()
    stack: list[Node | None] = list(outputs)
    stack.reverse()
    while stack:
        node = stack.pop()
        if node is None:  # what lies below has all its inputs in `order`
            node = stack.pop()
            assert node is not None
            order.append(node)
        elif node not in done and node not in known:
            done.add(node)
            inputs = (*node.inputs, *more(node)) if more else node.inputs
            if inputs:
                stack += (node, None)
                stack += inputs[::-1]
            else:
                order.append(node)
    return order


def rebuild(node: Node, inputs: tuple[Node, ...]) -> Node:
    """`node` over other inputs; the same object where nothing changed."""
    if all(a is b for a, b in zip(node.inputs, inputs, strict=True)):
        return node
    return Node(node.op, inputs, node.attrs, node.loc)
