"""Mode "groups": the order of its reductions, which is that of "rows", its stores around the cache, groups
that are not whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.layout import slots
from lucid.compiler.order import LANES, ROW_LANES, row_block
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.pipeline import Compiled, compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import Array, build

WIDTHS = (64, 32, 16)
LITERALS = 1000  # however many lengths a test has


def _compile(function: Callable[..., tuple[Node, ...]], arrays: list[Array], width: int) -> Compiled:
    graph = build(function, arrays)
    assert [schedule(call.kernel, width).mode for call in fuse(simplify(graph)).calls] == ["groups"]
    return compile_graph(graph, replace(host(), vector_bytes=width), literals=LITERALS)


def _column(x: Node, like: Node) -> Node:
    return ops.BROADCAST(ops.reshape(x, (like.shape[0], 1)), shape=like.shape)


def _halve(lanes: Array) -> Array:
    """The lanes stand along the first axis."""
    while len(lanes) > 1:
        lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
    return np.asarray(lanes[0])


def _over_blocks(parts: list[Array], lanes: int) -> Array:
    total = np.zeros((lanes, *parts[0].shape), parts[0].dtype)
    for number, part in enumerate(parts):
        total[number % lanes] = total[number % lanes] + part
    return _halve(total)


def sums(x: Node, y: Node) -> tuple[Node, ...]:
    rows = ops.SUM(x, axes=(1,))
    return rows, ops.SUM(ops.MUL(rows, y), axes=(0,)), ops.SUM(x, axes=(0,))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3), (15, 64), (16, 5), (1100, 50), (2053, 16), (700, 90)])
def test_order(width: int, dtype: type[np.floating[Any]], shape: tuple[int, int]) -> None:
    """Bit for bit what docs/architecture.md says, with literals in the text and without."""
    m, d = shape
    rng = np.random.default_rng(m)
    x, y = rng.normal(size=shape).astype(dtype), rng.normal(size=m).astype(dtype)
    lanes, block = LANES[x.itemsize], row_block(d, kept=True)
    graph, target = build(sums, [x, y]), replace(host(), vector_bytes=width)
    mode = "groups" if d <= 64 else "rows"
    assert [schedule(call.kernel, width).mode for call in fuse(simplify(graph)).calls] == [mode]
    made = [compile_graph(graph, target, literals=literals) for literals in (LITERALS, 0)]
    assert [s.mode for s in made[1].stages.schedules] == ["rows"]

    by_lane = np.zeros((lanes, m), dtype)
    for j in range(d):
        by_lane[j % lanes] += x[:, j]
    rows = _halve(by_lane)
    totals, columns = [], []
    for first in range(0, m, block):
        part: Array = np.zeros(ROW_LANES, dtype)
        column: Array = np.zeros(d, dtype)
        for row in range(first, min(m, first + block)):
            part[(row - first) % ROW_LANES] += rows[row] * y[row]
            column += x[row]
        totals.append(_halve(part))
        columns.append(column)
    expected = rows, _over_blocks(totals, lanes), _over_blocks(columns, lanes)
    for one in made:
        for a, e in zip(Executable(one.plan)([x, y]), expected, strict=True):
            assert a.tobytes() == np.asarray(e, dtype).tobytes()


def signs(x: Node, w: Node) -> tuple[Node, ...]:
    dots = ops.CONTRACT(x, w, spec="ij,j->i")
    return ops.SUM(x, axes=(1,)), dots, ops.SUM(x, axes=(0,)), ops.ADD(dots, ops.AMAX(x, axes=(1,)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", [-0.0, -1e-30])
def test_sums_start_from_zero(width: int, size: float) -> None:
    """Sums of negative zeros, and dots whose terms underflow, are +0: lanes start from the identity."""
    x, w = np.full((37, 16), size, np.float32), np.full(16, 1e-30, np.float32)
    rows, dots, _, _ = Executable(_compile(signs, [x, w], width).plan)([x, w])
    if size == 0:
        assert not np.signbit(rows).any()
    assert not np.signbit(dots).any() and not dots.any()


def rows(x: Node, w: Node) -> tuple[Node, ...]:
    e = ops.EXP(ops.SUB(x, _column(ops.AMAX(x, axes=(1,)), x)))
    p = ops.DIV(e, _column(ops.SUM(e, axes=(1,)), x))
    scaled = ops.MUL(p, ops.BROADCAST(w, shape=x.shape))
    return p, scaled, ops.SUM(scaled, axes=(0,))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("shape", [(3, 16), (50, 64), (33, 48), (40, 50)])
def test_stores_around_the_cache(width: int, shape: tuple[int, int]) -> None:
    """The same bits; rows that are known to begin elsewhere than at lines of the cache have none."""
    rng = np.random.default_rng(3)
    arrays: list[Array] = [rng.normal(size=s).astype(np.float32) for s in (shape, shape[1:])]
    made = _compile(rows, arrays, width)
    assert ("nontemporal" in made.codes[0].llvm) == (shape[1] * 4 % 64 == 0)
    (launch,) = made.plan.launches
    (call,) = fuse(simplify(made.graph)).calls
    stream = [slot.name for slot in slots(call.kernel)].index("stream")
    results = []
    for flag in (0, 1):
        table = (*launch.slots[:stream], flag, *launch.slots[stream + 1 :])
        plan = replace(made.plan, launches=(replace(launch, slots=table),))
        results.append([a.tobytes() for a in Executable(plan)(arrays)])
    assert results[0] == results[1]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", range(2, 40, 3))
def test_groups_that_are_not_whole(width: int, count: int) -> None:
    """Rows beyond the last one leave no mark: not a NaN, not an infinity of the group before."""
    x = np.full((count, 24), 1.0, np.float32)
    x[: count // 16 * 16] = np.inf
    w = np.ones(24, np.float32)
    p, _, total = Executable(_compile(rows, [x, w], width).plan)([x, w])
    last = count % 16
    assert np.isnan(p[: count - last]).all()
    assert np.allclose(p[count - last :], 1 / 24)
    assert np.isnan(total).all() if count >= 16 else np.allclose(total, count / 24)


def _between(a: Node, c: Node, shape: tuple[int, ...]) -> Node:
    x = ops.BROADCAST(ops.reshape(a, (*a.shape[:2], 1, a.shape[2])), shape=shape)
    return ops.SUB(x, ops.BROADCAST(ops.reshape(c, (1, 1, *c.shape)), shape=shape))


def between(a: Node, c: Node) -> tuple[Node, ...]:
    return softened(_between(a, c, (*a.shape[:2], *c.shape)))


def softened(x: Node) -> tuple[Node, ...]:
    """Of each row: the sum of its squares, and a softmax that takes it in."""
    squares = ops.SUM(ops.MUL(x, x), axes=(len(x.shape) - 1,))
    e = ops.EXP(ops.NEG(ops.ABS(x)))
    per_row = ops.BROADCAST(ops.reshape(squares, (*squares.shape, 1)), shape=x.shape)
    return squares, ops.DIV(e, per_row)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("shape", "dtype"), [((9, 2, 33, 40), np.float32), ((3, 5, 17, 3), np.float64)])
def test_axes_before(width: int, shape: tuple[int, ...], dtype: type[np.floating[Any]]) -> None:
    """Pairs of rows: the bits of rows that stand in memory, though blocks end amid a line."""
    rng = np.random.default_rng(sum(shape))
    a, c = rng.normal(size=(*shape[:2], shape[3])).astype(dtype), rng.normal(size=shape[2:]).astype(dtype)
    found = Executable(_compile(between, [a, c], width).plan)([a, c])
    x = (a[:, :, None] - c).reshape(-1, shape[3])
    for got, one in zip(found, Executable(_compile(softened, [x], width).plan)([x]), strict=True):
        assert got.tobytes() == one.tobytes()
