"""Graph to smaller graph, by rules that hold for every IEEE value: NaN, inf and signed zeros
included.

    mul %x, 1 -> %x        reshape(reshape %x) -> reshape %x        cast(%x to its own dtype) -> %x

What is not here on purpose: x + 0 (turns -0 into 0), x - x, x * 0, x / x (NaN, inf), (x + y) + z.
"""

from __future__ import annotations

from math import prod

import numpy as np

from .. import ops
from ..ir.graph import Graph, Node, rebuild, toposort
from ..ir.rounding import convert
from .rewrite import Env, Rule, literal, rewrite

NEAR = 16  # nodes of an expression that are looked at


def _only_units_move(node: Node) -> bool:
    a = [n for n in node.shape if n != 1]
    return a == [n for n in node.inputs[0].shape if n != 1]


def _regrouped(x: Node, shape: tuple[int, ...]) -> Node | None:
    """A broadcast in another shape, as one; None if axes that become others are stretched in part."""
    (source,), found, outer = x.inputs, list[int](), 0
    inner = (*(1 for _ in range(x.type.ndim - source.type.ndim)), *source.shape)
    for axis in range(x.type.ndim):
        part, count = x.shape[outer : axis + 1], len(found)
        size = prod(part)
        ends = [n for n in range(count + 1, len(shape) + 1) if prod(shape[count:n]) == size]
        if not ends and axis + 1 < x.type.ndim:
            continue  # more axes belong to it
        took, dims = inner[outer : axis + 1], shape[count : ends[0] if ends else len(shape)]
        if took == part:
            found += dims
        elif all(n == 1 for n in took):
            found += [1 for _ in dims]
        else:
            return None
        outer = axis + 1
    found += [1 for _ in shape[len(found) :]]
    return ops.fill(ops.reshape(source, tuple(found)), shape)


def _stays(x: Node, shape: tuple[int, ...]) -> bool:
    """Whether an elementwise expression is made of arrays put side by side, or of places, or of values that
    many share: each would have to stand in memory to be reshaped, where the expression alone can."""
    stack, seen = [x], {x}
    while stack:
        for n in stack.pop().inputs:
            if n.op is ops.IOTA or n.op is ops.PAD:
                return True
            if n.op is ops.BROADCAST and n.inputs[0].shape and _regrouped(n, shape) is None:
                return True
            if n.op.kind == "elementwise" and n not in seen and len(seen) < NEAR:
                seen.add(n)
                stack.append(n)
    return False


def _reshape_down(env: Env) -> Node | None:
    """A reshape that is no mere view moves above elementwise ops, towards memory, where it is
    free."""
    node, x = env["self"], env["x"]
    shape = node.attrs["shape"]
    if node.type.ndim == x.type.ndim and node.shape == x.shape:
        return x
    if x.op is ops.RESHAPE:
        return ops.reshape(x.inputs[0], shape)
    if x.op is ops.BROADCAST:
        return _regrouped(x, shape) if x.inputs[0].shape else ops.fill(x.inputs[0], shape)
    if x.op.kind == "elementwise" and not _only_units_move(node) and not _stays(x, shape):
        return Node(x.op, tuple(ops.reshape(n, shape) for n in x.inputs), x.attrs, x.loc)
    return None


def _broadcast(env: Env) -> Node | None:
    node, x = env["self"], env["x"]
    if node.type.ndim == x.type.ndim and node.shape == x.shape:
        return x
    if x.op is ops.BROADCAST:
        return ops.BROADCAST(x.inputs[0], shape=node.shape)
    return None


def _transpose(env: Env) -> Node | None:
    node, x = env["self"], env["x"]
    perm = node.attrs["perm"]
    if perm == tuple(range(len(perm))):
        return x
    if x.op is ops.TRANSPOSE:
        inner = x.attrs["perm"]
        return ops.TRANSPOSE(x.inputs[0], perm=tuple(inner[p] for p in perm))
    return None


def _slice(env: Env) -> Node | None:
    node, x = env["self"], env["x"]
    whole = (0,) * x.type.ndim, (1,) * x.type.ndim, x.shape
    if tuple(node.attrs[k] for k in ("starts", "steps", "counts")) == whole:
        return x
    return None


def _pad(env: Env) -> Node | None:
    return env["x"] if env["self"].shape == env["x"].shape else None


def _cast(env: Env) -> Node | None:
    return env["x"] if env["self"].type.dtype == env["x"].type.dtype else None


def _unit_reduce(env: Env) -> Node | None:
    """A reduction over axes of extent 1, or none, is a reshape."""
    node, x = env["self"], env["x"]
    units = all(x.shape[a] == 1 for a in node.attrs["axes"])
    return ops.reshape(node.inputs[-1], node.shape) if units else None


def _abs_of_negative(env: Env) -> Node | None:
    return None if env["x"].type.dtype.kind == "u" else ops.ABS(env["x"])


def _fold(env: Env) -> Node | None:
    """An elementwise op of literals is a literal."""
    node = env["self"]
    values = [literal(n) for n in node.inputs]
    if any(v is None for v in values) or node.op.evaluate is None:
        return None
    args = [convert(np.asarray(v), n.type.dtype) for v, n in zip(values, node.inputs, strict=True)]
    value = convert(node.op.evaluate(node.attrs, *args), node.type.dtype)
    return ops.fill(ops.CONST(value=value.item(), dtype=node.type.dtype), node.shape)


_FOLDABLE = {  # with the number of operands
    "add": 2, "sub": 2, "mul": 2, "div": 2, "neg": 1, "abs": 1, "sqrt": 1, "cast": 1,
}  # fmt: skip

# What later passes cannot do without: of ops that are composed of others what they know, and no reshape of a
# reshape, nor one to the shape that is there.
NEEDED: list[Rule] = [
    (("convolve", "x", "w"), lambda e: e["self"].op.lower(e["self"])),
    (("reshape", "x"), _reshape_down),
]


RULES: list[Rule] = [
    (("stop_gradient", "x"), "x"),
    (("cast", "x"), _cast),  # cast to its own dtype -> x
    (("mul", "x", 1), "x"),  # x*1 -> x
    (("mul", 1, "x"), "x"),
    (("div", "x", 1), "x"),  # x/1 -> x
    (("sub", "x", 0), "x"),  # x-0 -> x; -0 - 0 is -0
    (("neg", ("neg", "x")), "x"),
    (("abs", ("neg", "x")), _abs_of_negative),  # |-x| -> |x|, but not of unsigned: -1 is 255
    (("abs", ("abs", "x")), lambda e: ops.ABS(e["x"])),
    (("sub", "x", ("neg", "y")), lambda e: ops.ADD(e["x"], e["y"])),  # x-(-y) -> x+y, exactly
    (("add", "x", ("neg", "y")), lambda e: ops.SUB(e["x"], e["y"])),
    (("not", ("not", "x")), "x"),
    (("where", "c", "x", "x"), "x"),
    (("where", ("not", "c"), "x", "y"), lambda e: ops.WHERE(e["c"], e["y"], e["x"])),
    (("broadcast", "x"), _broadcast),
    (("transpose", "x"), _transpose),
    (("slice", "x"), _slice),
    (("pad", "x"), _pad),
    *NEEDED,
    *(((op, "x"), _unit_reduce) for op in ("sum", "prod", "amax", "amin")),
    *(((op, "x", "place"), _unit_reduce) for op in ("argmax", "argmin")),
    *(((op, *"ab"[:arity]), _fold) for op, arity in _FOLDABLE.items()),
]


def _without_empties(graph: Graph, new: dict[Node, Node]) -> Graph:
    """What has no elements, or sums or pads none, is a literal: no later pass sees a kernel that
    loads elements of an array that has none. `new`: what each node becomes."""
    for node in toposort(graph.outputs):
        of_none = node.op in (ops.SUM, ops.CONTRACT, ops.PAD) and any(n.type.size == 0 for n in node.inputs)
        if node.op is ops.PROD and node.inputs[0].type.size == 0:
            new[node] = ops.const(1, node)
        elif (of_none or node.type.size == 0) and node.op is not ops.INPUT:
            new[node] = ops.zeros_like(node)
        else:
            new[node] = rebuild(node, tuple(new[n] for n in node.inputs))
    return Graph(graph.name, graph.inputs, tuple(new[n] for n in graph.outputs))


def simplify(graph: Graph, became: dict[Node, Node] | None = None) -> Graph:
    """The same values from fewer nodes; equal nodes are merged. `became`: is told what each node becomes."""
    first: dict[Node, Node] = {}
    then: dict[Node, Node] = {}
    found = rewrite(_without_empties(graph, first), RULES, then)
    if became is not None:
        became |= {node: then[new] for node, new in first.items() if new in then}
    return found


def needed(graph: Graph) -> Graph:
    """The graph with what later passes cannot do without, and nothing else simplified: to compare with."""
    return rewrite(_without_empties(graph, {}), NEEDED, {})
