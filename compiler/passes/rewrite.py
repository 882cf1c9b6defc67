"""A small pattern driver: rules are data, `(pattern, result)`.

A pattern is a tuple ("op", operand, ...); an operand is a variable (a string), a number (a literal
of that value, seen through broadcasts), or another pattern. A result is a variable or a function
of the bound variables. Equal nodes are merged on the way, so a rule may compare by identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..ir.graph import LOC, Graph, Node, at, rebuild, toposort
from ..ir.size import note_distinct
from ..ir.types import DType

Pattern = tuple[Any, ...]
Env = dict[str, Node]
Rule = tuple[Pattern, str | Callable[[Env], Node | None]]


def literal(node: Node) -> float | int | bool | None:
    """The value of a literal, seen through broadcasts; None for anything else."""
    while node.op is ops.BROADCAST:
        node = node.inputs[0]
    value: float | int | bool | None = node.attrs["value"] if node.op is ops.CONST else None
    return value


def _same_number(a: float | int | bool, b: float | int) -> bool:
    return a == b and math.copysign(1, a) == math.copysign(1, b)


def _match(pattern: Any, node: Node, env: Env) -> bool:
    if isinstance(pattern, str):
        return env.setdefault(pattern, node) is node
    if not isinstance(pattern, tuple):
        value = literal(node)
        return value is not None and _same_number(value, pattern)
    if node.op.name != pattern[0] or len(node.inputs) != len(pattern) - 1:
        return False
    return all(_match(p, n, env) for p, n in zip(pattern[1:], node.inputs, strict=True))


def _apply(rules: Sequence[Rule], node: Node) -> Node | None:
    for pattern, result in rules:
        env: Env = {"self": node}
        if _match(pattern, node, env):
            new = env[result] if isinstance(result, str) else result(env)
            if new is not None and new is not node:
                assert new.type == node.type, (pattern, new.type, node.type)
                return new
    return None


def _key(node: Node) -> object:
    """What nodes have in common that are equal, but for sizes."""
    attrs = [(name, value) for name, value in sorted(node.attrs.items()) if name not in node.op.sizes]
    exact = tuple([(name, value if type(value) in _EXACT else repr(value)) for name, value in attrs])
    return (node.op.name, tuple(map(id, node.inputs)), exact)


_EXACT = (tuple, str, DType)  # values whose equality means sameness; not so 0.0 and -0.0, 1 and True


def rewrite(graph: Graph, rules: Sequence[Rule], new: dict[Node, Node]) -> Graph:
    """Apply `rules` bottom-up until none matches, merging equal nodes. `new`: what each node becomes."""
    table: dict[Sequence[Rule] | str, list[Rule]] = {}
    for rule in rules:
        table.setdefault(rule[0][0], []).append(rule)
    merged: dict[object, dict[tuple[Any, ...], Node]] = {}  # by what is equal but for sizes, by sizes
    keep: list[Node] = []  # ids in keys stay valid while the nodes live

    def settle(node: Node) -> Node:
        for _ in range(100):  # a rule that undoes another would loop
            # scalars of equal value stay apart, or the kernel would depend on the coincidence
            if node.op is not ops.INPUT and node.op is not ops.SCALAR:
                keep.append(node)
                sizes = tuple([node.attrs[name] for name in node.op.sizes])
                node = merged.setdefault(_key(node), {}).setdefault(sizes, node)
            LOC.set(node.loc)  # what rules make of it comes from there
            better = _apply(table.get(node.op.name, ()), node)
            if better is None:
                return node
            node = visit(better)
        raise AssertionError(f"rewriting does not end at {node}")

    def visit(root: Node) -> Node:
        for node in toposort([root], new):
            new[node] = node  # what a rule returns may hold this very node
            settled = settle(rebuild(node, tuple(new[n] for n in node.inputs)))
            new[node] = settled
            new.setdefault(settled, settled)
        return new[root]

    with at(None):
        outputs = tuple([visit(n) for n in graph.outputs])
    for known in merged.values():
        note_distinct([sum(sizes, ()) for sizes in known])
    return Graph(graph.name, graph.inputs, outputs)
