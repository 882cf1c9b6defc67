"""Complex inputs and outputs as arrays of pairs: what every later pass sees has real numbers alone.

    graph f(%z: c64[4]) -> (complex(a, b))     becomes     graph f(%z: f32[4, 2]) -> (a, b side by side)

The memory is the same: a plan is for complex arrays again, and nothing is copied. Between them a complex
value is two real nodes, which lie apart where they stand in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    """Both parts side by side. Where one formula makes the real part of real parts, and the imaginary one of
    imaginary ones (sums, slices, casts), it is one along memory: pairs need not be known. (A number for all
    elements is no formula along memory if it has two parts.)"""
    order = toposort((re,), sides)
    if not re.type.ndim or not all(_apart(n, sides) for n in order) or not _alike(re, im, sides):
        return ops.side_by_side(re, im)
    new = {part: pair for part, (pair, _) in sides.items()}
    for node in order:
        if any(x in new for x in node.inputs):
            with at(node.loc):
                indexed = node.op is ops.GATHER  # by what is the same for both, as it is
                inputs = [new[x] if x in new else x if indexed else _twice(x) for x in node.inputs]
                new[node] = node.op(*inputs, **{name: _along(name, v) for name, v in node.attrs.items()})
    return new[re] if re in new else _twice(re)


# What attributes say of a last axis of two, which an op leaves as it is.
_LAST = {"shape": 2, "counts": 2, "starts": 0, "steps": 1}


def _along(name: str, value: Any) -> Any:
    return (*value, _LAST[name]) if name in _LAST else value


def _apart(node: Node, sides: Sides) -> bool:
    """Whether it does the same along one more axis, the last one, and memory runs along that best."""
    if node.op is ops.SUM:
        return bool(node.inputs[0].type.ndim - 1 not in node.attrs["axes"])
    if node.op is ops.SLICE:
        return bool(node.attrs["steps"][-1:] in ((), (1,)))
    if node.op is ops.GATHER:  # at the same places
        return not any(n in sides for n in toposort(node.inputs[1:]))
    return node.op in (ops.RESHAPE, ops.BROADCAST) or node.op.kind in ("leaf", "elementwise")


def _twice(node: Node) -> Node:
    """What is the same for both parts."""
    if node.op is ops.BROADCAST and node.inputs[0].type.ndim == 0:
        return ops.fill(node.inputs[0], (*node.shape, 2))
    return ops.BROADCAST(ops.reshape(node, (*node.shape, 1)), shape=(*node.shape, 2))


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
