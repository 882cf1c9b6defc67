"""Legality of a graph, by running the type rules again.

Passes may assume what is checked here, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..ir.graph import Graph, Node, toposort
from ..ir.types import GRAPH_DTYPES, DType, TensorType
from ..ops import CAST, COMPLEX, CONST, IM, INPUT, RE, REGISTRY, SCALAR, STOP, Op
from ..text.graph import NO_OPS, node_text
from ..text.lexer import RULE_ERRORS, fit
from .error import VerifyError

# What stands between complex numbers and real ones; all else is computed with parts.
_OF_COMPLEX = (INPUT, COMPLEX, RE, IM, STOP, CAST)


def verify_graph(graph: Graph, more: Mapping[str, Op] = NO_OPS) -> None:
    """Raises VerifyError unless: every node is of a registered op (or one of `more`), has exactly that op's
    attributes and the type that its rule derives; literals fit their dtype; the inputs are
    distinct `input` nodes, and no other `input` node is reached."""
    inputs = set(graph.inputs)
    for node in graph.inputs:
        if node.op is not INPUT:
            raise VerifyError("a graph's inputs must be `input` nodes", node_text(node), node.loc)
    if len(inputs) != len(graph.inputs):
        raise VerifyError(f"graph {graph.name}: an input is listed twice")
    for node in dict.fromkeys((*graph.inputs, *toposort(graph.outputs))):
        problem = _node_problem(node, more)
        if problem is None and node.op is INPUT and node not in inputs:
            problem = "an `input` node that is not among the graph's inputs"
        if problem is not None:
            raise VerifyError(problem, node_text(node), node.loc)


def _node_problem(node: Node, more: Mapping[str, Op]) -> str | None:
    host = more.get(node.op.name) is node.op
    if REGISTRY.get(node.op.name) is not node.op and not host:
        return f"`{node.op.name}` is not in the registry"
    if set(node.attrs) != set(node.op.attrs):
        return f"{node.op.name} has the attributes ({', '.join(node.op.attrs)})"
    for key, value in node.attrs.items():
        if host:  # which knows its own
            break
        if isinstance(value, tuple):
            # a shape of floats or bools would pass many a type rule
            if not all(type(item) is int for item in value):
                return f"{key} must hold whole numbers only"
        elif not isinstance(value, int | float | str | DType):
            return f"{key} is a {type(value).__name__}"
        elif isinstance(value, DType) and GRAPH_DTYPES.get(value.name) is not value:
            return f"{key} is no known dtype"
    if node.op in (CONST, SCALAR):
        try:
            fit(node.attrs["value"], node.attrs["dtype"])
        except (TypeError, ValueError, AttributeError) as error:
            return str(error)
    if any(n.type.dtype.is_complex for n in (node, *node.inputs)) and node.op not in _OF_COMPLEX and not host:
        return f"{node.op.name} is no op of complex numbers"
    try:
        derived = node.op.infer(tuple(source.type for source in node.inputs), node.attrs)
    except RULE_ERRORS as error:
        return f"{node.op.name}: {error}"
    if derived != node.type:
        return f"the type is {derived}"
    return _type_problem(derived)


def _type_problem(type_: TensorType) -> str | None:
    if GRAPH_DTYPES.get(getattr(type_.dtype, "name", "")) is not type_.dtype:
        return f"{type_.dtype!r} is no known dtype"
    if any(type(n) is not int or n < 0 for n in type_.shape):
        return f"the shape {type_.shape} is not one of whole numbers"
    return None
