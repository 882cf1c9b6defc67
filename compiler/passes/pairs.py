"""Complex inputs and outputs as arrays of pairs: what every later pass sees has real numbers alone.

    graph f(%z: c64[4]) -> (complex(a, b))     becomes     graph f(%z: f32[4, 2]) -> (a, b side by side)

The memory is the same: a plan is for complex arrays again, and nothing is copied. Between them a complex
value is two real nodes, which lie apart where they stand in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import ops
from ..ir.artifact import Plan
from ..ir.data import replace
from ..ir.graph import Graph, Node, at, rebuild, toposort


def pairs(graph: Graph) -> Graph:
    """The graph over real numbers; itself, if it has no others."""
    order = toposort((*graph.inputs, *graph.outputs))
    if not any(n.type.dtype.is_complex for n in order):
        return graph
    new: dict[Node, Node] = {}  # of a complex input: the array of pairs
    parts: dict[Node, tuple[Node, Node]] = {}
    for node in order:
        with at(node.loc):
            if node.op is ops.RE or node.op is ops.IM:
                new[node] = parts[node.inputs[0]][node.op is ops.IM]
            elif not node.type.dtype.is_complex:
                new[node] = rebuild(node, tuple(new[n] for n in node.inputs))
            elif node.op is ops.INPUT:
                new[node] = _paired(node)
                parts[node] = _part(new[node], 0), _part(new[node], 1)
            elif node.op is ops.COMPLEX:
                re, im = node.inputs
                parts[node] = new[re], new[im]
            else:
                assert node.op in (ops.STOP, ops.CAST), node  # no other op is kept as it is
                parts[node] = parts[node.inputs[0]]
    inputs = tuple(new[n] for n in graph.inputs)
    return Graph(
        graph.name, inputs, tuple(new[n] if n in new else ops.side_by_side(*parts[n]) for n in graph.outputs)
    )


def labelled(plan: Plan, graph: Graph, picks: Sequence[int]) -> Plan:
    """The plan of `pairs(graph)`; its inputs and outputs have the dtypes and shapes of those of `graph`, as
    their memory is the same. `picks[k]`: the plan's output that output k is, or below 0."""
    types = {i: n.type for i, n in zip(plan.inputs, graph.inputs, strict=True)}
    for pick, node in zip(picks, graph.outputs, strict=True):
        if pick >= 0 and node.type.dtype.is_complex:
            types[plan.outputs[pick]] = node.type
    if not any(t.dtype.is_complex for t in types.values()):
        return plan
    buffers = list(plan.buffers)
    for i, kind in types.items():
        if kind.dtype.is_complex:
            buffers[i] = replace(buffers[i], dtype=kind.dtype, shape=kind.shape)
    return replace(plan, buffers=tuple(buffers))


def _paired(node: Node) -> Node:
    attrs = node.attrs
    return ops.INPUT(name=attrs["name"], dtype=attrs["dtype"].part, shape=(*attrs["shape"], 2))


def _part(pair: Node, k: int) -> Node:
    last = pair.type.ndim - 1
    return ops.reshape(ops.narrow(pair, last, k, 1), pair.shape[:last])
