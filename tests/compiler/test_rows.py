"""Rows longer than a few registers: stores around the cache, stages of two rows in one loop, values
that wait, whatever the length, the alignment and the strides; the same bits each way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.ir.artifact import Plan
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.layout import slots
from lucid.compiler.order import KEPT_ROWS
from lucid.compiler.passes.autodiff import gradients
from lucid.compiler.pipeline import Compiled, compile_graph
from lucid.compiler.stages import stage_text
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.nn import formulas
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import Array, build

Function = Callable[..., tuple[Node, ...]]


def both(out: Node, g: Node, *leaves: Node) -> list[Node]:
    return [node for node in gradients(out, g, leaves) if node is not None]


def softmax(x: Node, g: Node, w: Node) -> tuple[Node, ...]:
    out = formulas.softmax(x, axis=1)
    return out, *both(out, g, x)


def log_softmax(x: Node, g: Node, w: Node) -> tuple[Node, ...]:
    out = formulas.log_softmax(x, axis=1)
    return out, *both(out, g, x)


def layer_norm(x: Node, g: Node, w: Node) -> tuple[Node, ...]:
    out = formulas.layer_norm(x, w, w, shape=(x.shape[1],), eps=1e-5)
    return out, *both(out, g, x, w)


def forward(x: Node, g: Node, w: Node) -> tuple[Node, ...]:
    return (formulas.softmax(x, axis=1),)


def totals(x: Node, g: Node, w: Node) -> tuple[Node, ...]:
    """A loss over all rows beside its gradient, and a row value that is stored."""
    top = ops.AMAX(x, axes=(1,))
    e = ops.EXP(ops.SUB(x, ops.fill(ops.reshape(top, (x.shape[0], 1)), x.shape)))
    total = ops.SUM(e, axes=(1,))
    p = ops.DIV(e, ops.fill(ops.reshape(total, (x.shape[0], 1)), x.shape))
    return top, ops.TANH(ops.SUB(p, g)), ops.SUM(ops.MUL(p, g), axes=(0, 1)), ops.SUM(p, axes=(0,))


def given(shape: tuple[int, int], kind: str, strided: bool) -> list[Array]:
    rng = np.random.default_rng(3)
    m, n = shape
    if strided:
        x, g = rng.normal(size=(2 * m, n + 3)), rng.normal(size=(n, m))
        return [x.astype(kind)[::-2, 3:], g.astype(kind).T, rng.normal(size=n).astype(kind)]
    return [rng.normal(size=s).astype(kind) for s in ((m, n), (m, n), (n,))]


def around(made: Compiled) -> Plan:
    """The plan of a compile, all large stores around the cache."""
    launches = []
    for launch in made.plan.launches:
        kernel = parse_kernel(launch.code.key.split("\n", 2)[2])  # behind what else decides the code
        names = [slot.name for slot in slots(kernel)]
        values = list(launch.slots)
        values[names.index("stream")] = 1
        launches.append(replace(launch, slots=tuple(values)))
    return replace(made.plan, launches=tuple(launches))


def results(graph: Graph, arrays: list[Array], vector_bytes: int) -> list[list[bytes]]:
    """Of stores through the cache and around it."""
    made = compile_graph(graph, replace(host(), vector_bytes=vector_bytes))
    plans = made.plan, around(made)
    return [[a.tobytes() for a in Executable(p)(arrays)] for p in plans]


FUNCTIONS = (softmax, log_softmax, layer_norm, forward, totals)
# whole lines of the cache and not; one row; more than waits; an odd number of rows
SHAPES = ((37, 1024), (5, 1000), (1, 128), (3, 4112), (2, 16_400), (70, 80), (9, 67))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_stores_around_the_cache(function: Function, shape: tuple[int, int]) -> None:
    arrays = given(shape, "float32", strided=False)
    graph = build(function, arrays)
    found = [r for width in (64, 32, 16) for r in results(graph, arrays, width)]
    assert all(r == found[0] for r in found)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_strides(function: Function, kind: str) -> None:
    arrays = given((37, 160), kind, strided=True)
    plain = [np.ascontiguousarray(a) for a in arrays]
    found = [r for a in (arrays, plain) for r in results(build(function, a), a, 64)]
    assert all(r == found[0] for r in found)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values(function: Function) -> None:
    """Against the same graph in float64."""
    arrays = given((37, 160), "float32", strided=False)
    wide = [a.astype("float64") for a in arrays]
    graphs = build(function, arrays), build(function, wide)
    found, want = (
        Executable(compile_graph(graph, host()).plan)(a)
        for graph, a in zip(graphs, (arrays, wide), strict=True)
    )
    for a, c in zip(found, want, strict=True):
        np.testing.assert_allclose(a, c, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rows_of_infinities_and_nan(threads: int) -> None:
    x = np.random.default_rng(1).normal(size=(40, 200)).astype("float32")
    x[3, 7], x[5, :], x[7, 9], x[9, 0], x[11, :] = np.inf, -np.inf, np.nan, -np.inf, 200.0
    graph = build(lambda x: (formulas.softmax(x, axis=1),), [x])
    (out,) = Executable(compile_graph(graph, host()).plan)([x], threads=threads)
    with np.errstate(all="ignore"):
        e = np.exp(x.astype("float64") - x.max(axis=1, keepdims=True))
        want = e / e.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(out, want, rtol=1e-5)


def test_what_the_loops_say() -> None:
    """Values wait in a window, vectors are stored around the cache, the next row is asked for."""
    arrays = given((37, 160), "float32", strided=False)
    made = compile_graph(build(forward, arrays), host())
    text = stage_text(made, "loop", host())
    assert " if %" in text and "window row." in text
    assert any(line.endswith(" stream") for line in text.splitlines())
    assert any(line.endswith(" far") for line in text.splitlines())


@pytest.mark.parametrize("vector_bytes", [64, 32])
def test_an_exponential_is_written_once_for_each_loop_whatever_the_lanes(vector_bytes: int) -> None:
    """Of the first row and of those beside the end of another one, each under a mask and not, and the latter
    stored around the cache. It was written up to 8 times for each, and of all early stages of the first row
    once more."""
    arrays = given((37, 160), "float32", strided=False)
    target = replace(host(), vector_bytes=vector_bytes)
    made = compile_graph(build(forward, arrays), target)
    text = stage_text(made, "loop", target)
    assert text.count("= scale ") == 5


@pytest.mark.parametrize("n", [67, 80, 96, 1000, 4112])
def test_lanes_that_went_round_stand_as_they_stood(n: int) -> None:
    """Of equal zeros the later one in the order of lanes wins; sums are the same for lanes that are a few
    vectors further."""
    zeros = np.where(np.random.default_rng(n).random((50, n)) < 0.5, -0.0, 0.0).astype("float32")
    arrays = [np.zeros_like(zeros), zeros, zeros[0]]
    graph = build(lambda x, g, w: (ops.AMAX(ops.MUL(ops.EXP(x), g), axes=(1,)),), arrays)
    found = [r for width in (64, 32, 16) for r in results(graph, arrays, width)]
    assert len({found[0][0], zeros[:, 0].tobytes()}) == 2 and all(r == found[0] for r in found)


def columns(x: Node, y: Node) -> tuple[Node, ...]:
    """Totals for each column, and a number of each row that their terms share."""
    d = ops.MUL(ops.SUB(x, ops.fill(ops.reshape(y, (x.shape[0], 1)), x.shape)), x)
    return ops.SUM(d, axes=(0,)), ops.AMAX(d, axes=(0,))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 63, 64, 65, 130, 300])
@pytest.mark.parametrize("m", [2, 3, 4, 5, 7, 8, 41])
def test_totals_of_columns_take_rows_in_order(m: int, n: int) -> None:
    """Rows go several at a time; the sum is that of one after the other."""
    rng = np.random.default_rng(m * n)
    x, y = rng.normal(size=(m, 2 * n)).astype("float32")[:, :n], rng.normal(size=m).astype("float32")
    if m > 5:
        x[5, n // 2] = np.nan
    graph = build(columns, [x, y])
    d = (x - y[:, None]) * x
    total = np.zeros(n, "float32")
    for row in d:
        total += row
    for threads in (1, 2):
        outs = Executable(compile_graph(graph, host()).plan)([x, y], threads=threads)
        for out, want in zip(outs, (total, d.max(axis=0)), strict=True):
            np.testing.assert_array_equal(out, want)


def test_totals_of_columns_are_read_once_for_several_rows() -> None:
    x = np.ones((40, 300), "float32")
    made = compile_graph(build(lambda x: (ops.SUM(x, axes=(0,)),), [x]), host())
    text = stage_text(made, "loop", host())
    main = text[text.index(" step 4 serial") :]
    turn = main[main.index(" vector") : main.index("yield")]
    vectors = turn.count("load part.")
    assert vectors == turn.count("store part.") > 0
    assert turn.count(" = load row.") == turn.count(" add ") - turn.count("i64 = add") == 4 * vectors
    assert turn.count(" far") == 4 * 64 // 16  # one for each line of the cache: 64 elements of 4 rows


@pytest.mark.parametrize("m, n", [(2, 66_000), (33, 66_000), (70, 66_000), (70, 3), (300, 100), (600, 1000)])
def test_totals_of_columns_depend_on_how_many_there_are(m: int, n: int) -> None:
    """A block has KEPT_ROWS rows; block b is lane b, and lanes are halved."""
    x = np.random.default_rng(0).normal(size=(m, n)).astype("float32")
    made = compile_graph(build(lambda x: (ops.SUM(x, axes=(0,)),), [x]), host())
    lanes = [np.zeros(n, "float32") for _ in range(64)]
    for number, row in enumerate(x):
        lanes[number // KEPT_ROWS] += row
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [a + b for a, b in zip(lanes[:half], lanes[half:], strict=True)]
    for threads in (1, 2):
        (out,) = Executable(made.plan)([x], threads=threads)
        np.testing.assert_array_equal(out, lanes[0])


def across(x: Node) -> tuple[Node, ...]:
    """Softmax over the first axis, whose rows lie across memory."""
    return (formulas.softmax(x, axis=0),)


def test_rows_across_memory_are_never_gathered() -> None:
    """Totals for each column first, over memory as it lies, then another pass."""
    x = np.random.default_rng(0).normal(size=(40, 300)).astype("float32")
    made = compile_graph(build(across, [x]), host())
    text = stage_text(made, "kernel", host())
    assert text.count("kernel ") == 3
    assert "for i1 in" not in text
    (out,) = Executable(made.plan)([x])
    e = np.exp(x.astype("float64") - x.max(axis=0))
    np.testing.assert_allclose(out, e / e.sum(axis=0), rtol=1e-5)
