"""Values of nodes: the table of data, and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from lucid.compiler import ops
from lucid.compiler.graph import Graph, Node
from lucid.compiler.types import from_numpy

Array = np.ndarray[Any, Any]

# The value of every input node, and of every node that was evaluated.
DATA: WeakKeyDictionary[Node, Array] = WeakKeyDictionary()


def leaf(array: Array) -> Node:
    """An input node whose value is `array`, which nobody changes from here on (or whoever does,
    by `from_numpy`, wants to). TypeError for an unsupported dtype."""
    node = ops.INPUT(name="x", dtype=from_numpy(array.dtype), shape=array.shape)
    DATA[node] = array
    return node


def evaluate(nodes: Sequence[Node]) -> list[Array]:
    """The values of `nodes`, computed from the nearest nodes with data. They become data in turn."""
    values: dict[Node, Array] = {}
    for node in _pending(nodes):
        values[node] = _run(node, values)
    for node in nodes:
        if node not in DATA:
            DATA[node] = np.ascontiguousarray(values[node]).reshape(node.shape)
    return [DATA[node] for node in nodes]


def _pending(nodes: Sequence[Node]) -> list[Node]:
    """All that must be computed, operands first."""
    order: list[Node] = []
    done: set[Node] = set()
    stack = [(n, False) for n in nodes]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in done and node not in DATA:
            done.add(node)
            stack.append((node, True))
            stack.extend((n, False) for n in node.inputs)
    return order


def _run(node: Node, values: dict[Node, Array]) -> Array:
    assert node.op.evaluate is not None, f"an input without a value: {node}"
    args = [values[n] if n in values else DATA[n] for n in node.inputs]
    return np.asarray(node.op.evaluate(node.attrs, *args))


class Executable:
    """A graph, ready to run: call it with one array per graph input, get one per output."""

    def __init__(self, graph: Graph, aliases: Sequence[int], threads: int | None) -> None:
        self.graph = graph
        self.aliases = tuple(aliases)
        self.threads = threads
        self._order = _closed(graph)

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        values = dict(zip(self.graph.inputs, arrays, strict=True))
        for node in self._order:
            values[node] = _run(node, values)
        return [np.array(values[n], order="C") for n in self.graph.outputs]


def _closed(graph: Graph) -> list[Node]:
    from lucid.compiler.graph import toposort

    return [n for n in toposort(graph.outputs) if n.op is not ops.INPUT]


def build(graph: Graph, aliases: Sequence[int] = (), threads: int | None = None) -> Executable:
    """`aliases[k]` is the input whose memory output k may take over, or -1."""
    return Executable(graph, aliases, threads)
