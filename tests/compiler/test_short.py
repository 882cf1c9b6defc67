"""Mode "short": maps over rows of a few elements, column by column for a vector's worth of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lucid import joins
from lucid.compiler import ops
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.interpret.loop import evaluate_instruction
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.types import from_numpy
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.stages import stage_text
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import Array, build

from .test_cases import between_guards, drawn

WIDTHS = (64, 32)
ROWS = (1, 15, 16, 17, 100, 8192 + 33)


def _modes(graph: Graph, width: int) -> list[str]:
    return [schedule(call.kernel, width).mode for call in fuse(simplify(graph)).calls]


def _same(function: Callable[..., Node], want: Array, arrays: Sequence[Array], mode: str = "short") -> None:
    graph = build(function, list(arrays))
    if len(want) > 1:
        assert _modes(graph, 64) == [mode]
    between_guards(graph, want, arrays, WIDTHS)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("count", "kind"), [(2, "float32"), (3, "uint8"), (5, "float16"), (4, "float32")])
def test_columns_side_by_side(rows: int, count: int, kind: str) -> None:
    arrays = [drawn(rows, kind=kind) + np.asarray(n, kind) for n in range(count)]
    _same(lambda *nodes: joins.stack(nodes, axis=1), np.stack(arrays, 1), arrays)


@pytest.mark.parametrize("kind", ["float64", "int64", "bool", "int16"])
def test_dtypes(kind: str) -> None:
    arrays = [drawn(70, kind=kind), drawn(70, kind=kind)]
    _same(lambda *nodes: joins.stack(nodes, axis=1), np.stack(arrays, 1), arrays)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_rows_are_read_as_they_are_written(rows: int, count: int) -> None:
    """Elements of rows, of one column, of one row, and of rows in another order."""
    x, y, w = drawn(rows, count), drawn(rows), drawn(count)

    def function(x: Node, y: Node, w: Node) -> Node:
        across = ops.fill(ops.reshape(y, (rows, 1)), (rows, count))
        along = ops.fill(ops.reshape(w, (1, count)), (rows, count))
        return ops.ADD(ops.MUL(ops.ADD(x, across), along), joins.flip(x, axes=(1,)))

    _same(function, (x + y[:, None]) * w + x[:, ::-1], [x, y, w])


@pytest.mark.parametrize("rows", [17, 300])
def test_rows_that_do_not_lie_side_by_side(rows: int) -> None:
    x = drawn(rows + 1, 5)

    def function(x: Node) -> Node:
        part = ops.SLICE(x, starts=(1, 2), steps=(1, 1), counts=(rows, 3))
        return ops.MUL(part, ops.ADD(part, part))

    want = x[1:, 2:5] * (x[1:, 2:5] + x[1:, 2:5])
    _same(function, want, [x])


def test_in_place() -> None:
    x, w = drawn(100, 3), drawn(3)
    graph = build(lambda x, w: ops.MUL(x, ops.fill(ops.reshape(w, (1, 3)), (100, 3))), [x, w])
    made = compile_graph(graph, host(), (0,))
    assert made.plan.aliases == (0,)
    target = x.copy()
    Executable(made.plan)([target, w], out=[target])
    np.testing.assert_array_equal(target, x * w)


def test_what_is_done_row_by_row() -> None:
    """Rows as long as a vector, and rows that would be read from another place on."""
    x, y = drawn(50, 3), drawn(50, 9)
    _same(lambda x: joins.concatenate([x, x], axis=1), np.concatenate([x, x], 1), [x], "rows")
    double = build(lambda y: joins.flip(y, axes=(1,)), [y])
    assert _modes(double, 64) == ["rows"]


def test_what_the_loops_say() -> None:
    """Two columns become two vectors of pairs: no element is written by itself but those of the last rows."""
    arrays = [drawn(100), drawn(100)]
    made = compile_graph(build(lambda *nodes: joins.stack(nodes, axis=1), arrays), host())
    lines = stage_text(made, "loop", host()).splitlines()
    stores = [line for line in lines if "store o0" in line]
    assert sum(" mask " in line for line in stores) == 2 and len(stores) == 6
    assert any("spread" in line for line in lines) and not any("collect" in line for line in lines)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_spread_and_collect(d: int) -> None:
    """Each undoes what the other does."""
    lanes, kind = 8, from_numpy(np.dtype("int32"))
    rows = np.arange(lanes * d, dtype=np.int32)

    def turned(op: str, vectors: Array, number: int) -> Array:
        found = vectors[0]
        for n, vector in enumerate(vectors):
            away = number - n * lanes if op == "collect" else number * lanes - n
            by = np.full(1, d, np.int32), np.full(1, away, np.int32)
            found = evaluate_instruction(op, (found, vector, *by), kind, lanes)
        return np.asarray(found)

    columns = np.array([turned("collect", rows.reshape(d, lanes), j) for j in range(d)])
    np.testing.assert_array_equal(columns, rows.reshape(lanes, d).T)
    np.testing.assert_array_equal([turned("spread", columns, q) for q in range(d)], rows.reshape(d, lanes))
