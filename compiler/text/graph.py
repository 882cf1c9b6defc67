"""Text of the graph level.

    graph f(%x: f32[4], %y: f32[4]) -> (%3) {
      %2: f32[4] = sub %x, %y  # train.py:12
      %3: f32[] = sum %2 axes=(0)
    }

Inputs are called by their names, other nodes by their numbers. Attributes follow the operands:
numbers, `true`, `"strings"`, dtypes, and tuples in parentheses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, at, toposort
from ..ir.types import GRAPH_DTYPES, DType, TensorType, tensor_type
from ..ops import INPUT, REGISTRY, Op
from .lexer import MAX_DEPTH, RULE_ERRORS, Cursor, is_name, joined, quoted

NO_OPS: Mapping[str, Op] = {}


def print_graph(graph: Graph, locs: bool = False, known: Mapping[Node, str] | None = None) -> str:
    """The text of `graph`; with `locs`, every line ends in the user's `# file:line`. `known`: the names of
    its nodes, where they are not to be numbered."""
    order = toposort(graph.outputs)
    names = node_names(graph, order) if known is None else known
    lines = graph_lines(graph, order, names)
    return joined([(text, node.loc if node is not None else None) for text, node in lines], locs)


def graph_lines(graph: Graph, order: list[Node], names: Mapping[Node, str]) -> list[tuple[str, Node | None]]:
    """The same, line by line, each with the node that it defines."""
    header = ", ".join(f"{input_text(names[n], n.attrs.get('name'))}: {n.type}" for n in graph.inputs)
    results = ", ".join(f"%{names[n]}" for n in graph.outputs)
    lines: list[tuple[str, Node | None]] = [(f"graph {quoted(graph.name)}({header}) -> ({results}) {{", None)]
    inputs = set(graph.inputs)
    for node in order:
        if node not in inputs:
            lines.append((f"  %{names[node]}: {node.type} = {_application(node, names)}", node))
    return [*lines, ("}", None)]


def node_text(node: Node) -> str:
    """One node by itself, its operands shown by their types."""
    names = {source: str(source.type) for source in node.inputs}
    return f"{node.type} = {_application(node, names)}".replace("%", "")


def node_names(graph: Graph, order: list[Node]) -> dict[Node, str]:
    """By which the text calls inputs and nodes."""
    names: dict[Node, str] = {}
    taken: set[str] = set()
    inputs = set(graph.inputs)
    for node in dict.fromkeys((*graph.inputs, *order)):
        name = node.attrs.get("name") if node in inputs else None
        plain = isinstance(name, str) and is_name(name) and name not in taken
        names[node] = str(name) if plain else str(len(names))
        taken.add(names[node])
    return names


def names_after(before: Graph, after: Graph) -> dict[Node, str]:
    """Names for the nodes of what a pass has made of `before`: what is there as it was, is the same operation
    on the same values, or at least the same operation of the same line, keeps its name; the numbers of what
    is new come after all of these."""
    order = toposort(before.outputs)
    old = node_names(before, order)
    nodes = [*dict.fromkeys((*after.inputs, *toposort(after.outputs)))]
    same = {(_application(n, old), n.type): name for n, name in old.items()}
    alike: dict[object, list[str]] = {}
    for node in set(old) - set(nodes):
        alike.setdefault(_kind(node), []).append(old[node])
    taken = {old[node] for node in nodes if node in old}
    found: dict[Node, str] = {}
    fresh = len(old)
    for node in nodes:
        name = old.get(node)
        if name is None:
            name = same.get((_application(node, found), node.type))
            free = [name, *sorted(alike.get(_kind(node), ()), key=lambda x: (len(x), x))]
            name = next((x for x in free if x is not None and x not in taken), None)
        if name is None:
            name, fresh = str(fresh), fresh + 1
        found[node] = name
        taken.add(name)
    return found


def _kind(node: Node) -> object:
    """What two nodes have in common that differ in operands alone."""
    return node.op.name, node.type, node.loc, tuple((k, attr_text(v)) for k, v in sorted(node.attrs.items()))


def input_text(name: str, given: object) -> str:
    """An input of this name, which callers call `given`."""
    return f"%{name}" if given == name else f"%{name} {attr_text(given)}"


def _application(node: Node, names: Mapping[Node, str]) -> str:
    order = {key: k for k, key in enumerate(node.op.attrs)}
    keys = sorted(node.attrs, key=lambda key: (order.get(key, len(order)), key))
    operands = ", ".join(f"%{names[source]}" for source in node.inputs)
    attrs = (f"{key}={attr_text(node.attrs[key])}" for key in keys)
    return " ".join(part for part in (node.op.name, operands, *attrs) if part)


def attr_text(value: Any) -> str:
    """The value of an attribute."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple | list):
        return f"({', '.join(map(attr_text, value))})"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, str):
        return json.dumps(value)
    return str(value)  # int; float, exactly; DType


# --- parsing -------------------------------------------------------------------------------------


def parse_graph(text: str) -> Graph:
    """The graph that `text` describes. Types are derived anew and compared with the written ones.

    Raises IRSyntaxError, at the line and column of what is wrong."""
    return read_graph(text)[0]


def read_graph(
    text: str, file: str | None = None, more: Mapping[str, Op] = NO_OPS
) -> tuple[Graph, dict[str, Node]]:
    """As `parse_graph`, and the nodes by their names. `file`: where the text stands; its nodes then belong to
    the lines there. `more`: ops that are in no registry."""
    c = Cursor(text, file)
    c.skip_lines()
    c.expect("graph")
    name = c.name_or_string("the name of the graph")
    nodes: dict[str, Node] = {}
    inputs = _parse_inputs(c, nodes)
    c.expect("->")
    results = c.several("(", ")", c.value)
    c.expect("{")
    c.end_line()
    while not c.at("}"):
        _parse_node(c, nodes, more)
    c.next()
    c.finish()
    return Graph(name, inputs, tuple(c.look_up(token, nodes) for token in results)), nodes


def _parse_inputs(c: Cursor, nodes: dict[str, Node]) -> tuple[Node, ...]:
    def one() -> Node:
        token = c.expect_kind("value", "an input (`%name: f32[n]`) or `)`")
        given = c.given(token)
        c.expect(":")
        type_ = parse_type(c)
        with at(None):
            return c.define(token, nodes, INPUT(name=given, dtype=type_.dtype, shape=type_.shape))

    return tuple(c.several("(", ")", one))


def parse_type(c: Cursor) -> TensorType:
    """`f32[3, 4]`"""
    start, dtype = c.token, c.dtype(GRAPH_DTYPES)
    shape = c.several("[", "]", lambda: c.natural("an extent"))
    try:
        return tensor_type(dtype, tuple(shape))
    except ValueError as error:
        raise c.error(str(error), start) from error


def _parse_node(c: Cursor, nodes: dict[str, Node], more: Mapping[str, Op]) -> None:
    token = c.expect_kind("value", "a node (`%name: f32[n] = op ...`) or `}`")
    c.expect(":")
    type_token = c.token
    written = parse_type(c)
    c.expect("=")
    op_token = c.name("the name of an op")
    op = REGISTRY.get(op_token.text) or more.get(op_token.text)
    if op is None:
        raise c.error(f"expected an op, found `{op_token.text}`", op_token)
    operands = c.items(lambda: c.look_up(c.value(), nodes)) if c.token.kind == "value" else []
    attrs: dict[str, Any] = {}
    while c.token.kind == "name":
        key = c.next()
        if key.text not in op.attrs or key.text in attrs:
            expected = ", ".join(op.attrs) or "none"
            raise c.error(f"unexpected attribute `{key.text}` ({op.name} has: {expected})", key)
        c.expect("=")
        attrs[key.text] = parse_attr(c)
    missing = [key for key in op.attrs if key not in attrs]
    if missing:
        raise c.expected(f"the attribute `{missing[0]}`")
    last = c.token
    c.end_line()
    with at(c.loc(last)):
        try:
            node = op(*operands, **attrs)
        except RULE_ERRORS as error:
            raise c.error(f"{op.name}: {error}", op_token) from error
    if node.type != written:
        raise c.error(f"the type of {op.name} here is {node.type}, not {written}", type_token)
    c.define(token, nodes, node)


def parse_attr(c: Cursor, depth: int = 0) -> Any:
    """What `attr_text` has written."""
    if depth > MAX_DEPTH:
        raise c.error("tuples are nested too deeply")
    if c.at("("):
        return tuple(c.several("(", ")", lambda: parse_attr(c, depth + 1)))
    if c.token.kind == "string":
        return c.string()
    if c.accept("none"):
        return None
    if c.token.kind == "name" and c.token.text in GRAPH_DTYPES:
        dtype: DType = c.dtype(GRAPH_DTYPES)
        return dtype
    if c.at_number():
        return c.number()
    raise c.expected("a number, a string, a dtype or a tuple")
