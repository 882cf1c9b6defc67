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

# A part of an input: the array of pairs, and which of the two.
Sides = dict[Node, tuple[Node, int]]


def pairs(graph: Graph, order: Sequence[Node] | None = None) -> Graph:
    """The graph over real numbers; itself, if it has no others. `order`: its nodes, where they are known."""
    if order is None:
        order = toposort(graph.outputs)
    if not any(n.type.dtype.kind == "c" for n in (*graph.inputs, *order)):
        return graph
    order = toposort((*graph.inputs, *graph.outputs))
    new: dict[Node, Node] = {}  # of a complex input: the array of pairs
    parts: dict[Node, tuple[Node, Node]] = {}
    sides: Sides = {}
    for node in order:
        with at(node.loc):
            if node.op is ops.RE or node.op is ops.IM:
                new[node] = parts[node.inputs[0]][node.op is ops.IM]
            elif not node.type.dtype.is_complex:
                new[node] = rebuild(node, tuple(new[n] for n in node.inputs))
            elif node.op is ops.INPUT:
                new[node] = _paired(node)
                parts[node] = _part(new[node], 0), _part(new[node], 1)
                sides |= {part: (new[node], k) for k, part in enumerate(parts[node])}
            elif node.op is ops.COMPLEX:
                re, im = node.inputs
                parts[node] = new[re], new[im]
            else:
                assert node.op in (ops.STOP, ops.CAST), node  # no other op is kept as it is
                parts[node] = parts[node.inputs[0]]
    inputs = tuple(new[n] for n in graph.inputs)
    outputs = tuple(new[n] if n in new else _joined(*parts[n], sides) for n in graph.outputs)
    return Graph(graph.name, inputs, outputs)


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


# --- outputs ---------------------------------------------------------------------------------------


def _joined(re: Node, im: Node, sides: Sides) -> Node:
    """Both parts side by side. Where one formula of elements makes the real part of real parts, and the
    imaginary one of imaginary ones (sums, casts), it is one along memory: pairs need not be known. (A number
    for all elements is no formula along memory if it has two parts.)"""
    sides = {part: pair for part, pair in sides.items() if part.shape == re.shape}
    order = toposort((re,), sides)
    if not re.type.ndim or not all(_of_elements(n, re.shape) for n in order) or not _alike(re, im, sides):
        return ops.side_by_side(re, im)
    shape = (*re.shape, 2)
    new = {part: pair for part, (pair, _) in sides.items()}
    for node in order:
        if node.op is ops.BROADCAST:
            new[node] = ops.fill(node.inputs[0], shape)
        else:
            new[node] = rebuild(node, tuple(new[x] for x in node.inputs))
    return ops.fill(new[re], shape)


def _of_elements(node: Node, shape: tuple[int, ...]) -> bool:
    """Whether it has one value for each element, of those of others, or one for all."""
    if node.type.ndim == 0:
        return node.op.kind in ("leaf", "elementwise")
    if node.op is ops.BROADCAST:
        return node.inputs[0].type.ndim == 0
    return node.op.kind == "elementwise" and node.shape == shape


def _alike(re: Node, im: Node, sides: Sides) -> bool:
    """Whether one formula makes the real part of real parts, and the imaginary of imaginary ones."""
    numbers: dict[object, int] = {}
    found = []
    for k, root in enumerate((re, im)):
        known = {
            part: numbers.setdefault(pair, len(numbers)) for part, (pair, side) in sides.items() if side == k
        }
        for node in toposort((root,), sides):
            if any(x not in known for x in node.inputs):  # the other side
                return False
            key: object = node
            if node.op.kind != "leaf" or node.op is ops.CONST:
                key = (node.op.name, repr(sorted(node.attrs.items())), *[known[x] for x in node.inputs])
            known[node] = numbers.setdefault(key, len(numbers))
        found.append(known.get(root))
    return found[0] is not None and found[0] == found[1]
