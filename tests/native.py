"""Running graphs through the whole compiler, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.types import DType, b1, from_numpy, i64
from lucid.compiler.ops import Op, Sample
from lucid.compiler.pipeline import Compiled, compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host

Array = np.ndarray[Any, Any]


def inputs_like(arrays: Sequence[Array]) -> tuple[Node, ...]:
    return tuple(
        ops.INPUT(name=f"x{n}", dtype=from_numpy(a.dtype), shape=a.shape) for n, a in enumerate(arrays)
    )


def sample_dtypes(op: Op, sample: Sample, dtype: DType) -> list[DType]:
    """Of the operands of a sample."""
    kinds = [dtype] * (len(sample.shapes) - len(sample.indices)) + [i64] * len(sample.indices)
    return [b1, *kinds[1:]] if op is ops.WHERE else kinds


def sample_arrays(op: Op, sample: Sample, dtype: DType, rng: np.random.Generator) -> list[Array]:
    """Operands of a sample, within the op's domain; of indices some lie outside."""
    arrays: list[Array] = []
    plain = len(sample.shapes) - len(sample.indices)
    for n, (shape, kind) in enumerate(zip(sample.shapes, sample_dtypes(op, sample, dtype), strict=True)):
        if n >= plain:
            arrays.append(rng.integers(-1, sample.indices[n - plain] + 1, shape))
            continue
        values: Array = rng.uniform(*op.domain, size=shape)
        if kind is b1:
            values = values > 0
        elif kind.kind == "u":
            values = np.abs(values)
        arrays.append(np.asarray(np.asarray(values).astype(kind.np)))
    return arrays


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
