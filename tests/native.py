"""Running graphs through the whole compiler, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.types import from_numpy
from lucid.compiler.pipeline import Compiled, compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

Array = np.ndarray[Any, Any]


def inputs_like(arrays: Sequence[Array]) -> tuple[Node, ...]:
    return tuple(
        ops.INPUT(name=f"x{n}", dtype=from_numpy(a.dtype), shape=a.shape) for n, a in enumerate(arrays)
    )


def build(function: Callable[..., Node | tuple[Node, ...]], arrays: Sequence[Array]) -> Graph:
    nodes = inputs_like(arrays)
    outputs = function(*nodes)
    return Graph("test", nodes, outputs if isinstance(outputs, tuple) else (outputs,))


def compiled(graph: Graph) -> Compiled:
    return compile_graph(graph, host())


def run(graph: Graph, arrays: Sequence[Array], threads: int | None = None) -> list[Array]:
    made = compiled(graph)
    results = Executable(made.plan)(list(arrays), threads=threads)
    return [
        (results[pick] if pick >= 0 else arrays[-1 - pick]).reshape(node.shape)
        for pick, node in zip(made.picks, graph.outputs, strict=True)
    ]
