"""NumPy evaluation of a graph, op by op."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.graph import Graph, Node, toposort

Array = np.ndarray[Any, Any]


def interpret_graph(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of `graph`, by each op's own NumPy evaluation.

    Raises ValueError unless `inputs` have the number, dtypes and shapes of `graph.inputs`."""
    if len(inputs) != len(graph.inputs):
        raise ValueError(f"{graph.name}: {len(graph.inputs)} inputs expected, {len(inputs)} given")
    values: dict[Node, Array] = {}
    for node, array in zip(graph.inputs, inputs, strict=True):
        if array.dtype != node.type.dtype.np or array.shape != node.shape:
            given = f"{array.dtype.name}{list(array.shape)}"
            raise ValueError(f"{graph.name}: input %{node.attrs['name']} is {node.type}, not {given}")
        values[node] = array
    for node in toposort(graph.outputs):
        if node in values:
            continue
        if node.op.evaluate is None:
            raise ValueError(f"{graph.name}: {node!r} is not among the inputs")
        args = (values[source] for source in node.inputs)
        values[node] = np.asarray(node.op.evaluate(node.attrs, *args))
    return [values[node] for node in graph.outputs]
