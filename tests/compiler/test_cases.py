"""Maps in which it depends on the place along an axis what is computed: each case in a loop of its own, whose
values are those of the stage as it is written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lucid import joins
from lucid.compiler import ops
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.types import i64
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.stages import stage_text
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.guarded import Guarded
from tests.native import Array, build

from .test_rows import around

WIDTHS = (64, 16)


def between_guards(graph: Graph, want: Array, arrays: Sequence[Array], widths: Sequence[int]) -> None:
    """For vectors of so many bytes, through the cache and around it; nothing beyond any array is touched."""
    given, front = [], itertools.cycle((True, False))
    for array in arrays:
        guarded = Guarded(array.shape, array.dtype, next(front))
        guarded.array[...] = array
        given.append(guarded)
    for width in widths:
        made = compile_graph(graph, replace(host(), vector_bytes=width))
        for plan in (made.plan, around(made)):
            out = Guarded(want.shape, want.dtype)
            (found,) = Executable(plan)([g.array for g in given], out=[out.array])
            assert out.intact()
            np.testing.assert_array_equal(found, want)


def drawn(*shape: int, kind: str = "float32") -> Array:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * 10).astype(kind)


def _same(function: Callable[..., Node], want: Array, arrays: list[Array]) -> None:
    between_guards(build(function, arrays), want, arrays, WIDTHS)


@pytest.mark.parametrize(
    "sizes", [(1, 1), (7, 40), (64, 128, 3), (1, 1, 1), (8192, 8192), (2, 0, 5), (5000, 3, 9000)]
)
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_concatenation(sizes: tuple[int, ...], kind: str) -> None:
    arrays = [drawn(n, kind=kind) for n in sizes]
    _same(lambda *nodes: joins.concatenate(nodes), np.concatenate(arrays), arrays)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("extents", [(3, 5, 70), (2, 40, 130), (90, 2, 3)])
def test_concatenation_along_each_axis(axis: int, extents: tuple[int, ...]) -> None:
    arrays = [drawn(*extents[:axis], extents[axis] + more, *extents[axis + 1 :]) for more in (0, 1, 64)]
    _same(lambda *nodes: joins.concatenate(nodes, axis=axis), np.concatenate(arrays, axis), arrays)
    stacked = [drawn(*extents), 2 * drawn(*extents)]
    _same(lambda *nodes: joins.stack(nodes, axis=axis), np.stack(stacked, axis), stacked)


@pytest.mark.parametrize("count", [8, 40])
def test_many_operands_are_computed(count: int) -> None:
    arrays = [drawn(30 + n) for n in range(count)]

    def function(*nodes: Node) -> Node:
        return joins.concatenate([ops.MUL(ops.ADD(n, n), n) for n in nodes])

    _same(function, np.concatenate([(a + a) * a for a in arrays]), arrays)


@pytest.mark.parametrize("shape", [(33,), (9000,), (5, 70), (3, 300), (70, 66), (2, 9000)])
@pytest.mark.parametrize("shift", [1, 7, -13])
def test_rolls(shape: tuple[int, ...], shift: int) -> None:
    x = drawn(*shape)
    for axis in range(len(shape)):
        _same(lambda x, a=axis: joins.roll(x, shifts=[shift], axes=[a]), np.roll(x, shift, axis), [x])


@pytest.mark.parametrize("left", [0, 3, 20])
def test_a_case_without_elements_ends_where_the_axis_does(left: int) -> None:
    """What is before it, and in no case, was written up to where it would have begun."""
    x, kept = drawn(65), 65 - 3 - left

    def function(x: Node) -> Node:
        part = ops.SLICE(joins.roll(x, shifts=[-1], axes=[0]), starts=(0,), steps=(1,), counts=(kept,))
        return joins.padded(part, 0.0, widths=[(left, 3)], mode="constant")

    _same(function, np.pad(np.roll(x, -1)[:kept], (left, 3)), [x])


@pytest.mark.parametrize("shape", [(3,), (70,), (9000,), (5, 70), (70, 66)])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_padding(shape: tuple[int, ...], mode: str) -> None:
    x, widths = drawn(*shape), [(2, 1), (0, 2)][: len(shape)]

    def function(x: Node) -> Node:
        return joins.padded(x, 0.0, widths=widths, mode=mode)

    _same(function, np.pad(x, widths, mode), [x])  # type: ignore[call-overload]


@pytest.mark.parametrize("shape", [(5, 70), (70, 70), (130, 66), (2, 9000)])
@pytest.mark.parametrize("k", [0, 5, -40, 1 << 62, -(1 << 63) + 200])
def test_triangles(shape: tuple[int, int], k: int) -> None:
    """Bounds that differ from row to row, however far away."""
    x, near = drawn(*shape), max(-200, min(k, 10_000))
    _same(lambda x: joins.tril(x, k=k), np.tril(x, near), [x])
    if k > -(1 << 62):
        _same(lambda x: joins.triu(x, k=k), np.triu(x, near), [x])


@pytest.mark.parametrize("bound", [0, 5, 100, (1 << 63) - 1, -(1 << 63)])
@pytest.mark.parametrize("op", ["LT", "LE", "GT", "GE"])
def test_comparisons(op: str, bound: int) -> None:
    """Each with the place on either side; two that contradict each other; one in a value."""
    x, y = drawn(1000), drawn(1000, kind="float32") + 1
    compare = {"LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal}[op]
    at = np.arange(1000)

    def function(x: Node, y: Node) -> Node:
        place = ops.IOTA(shape=(1000,), axis=0)
        end = ops.fill(ops.SCALAR(value=bound, dtype=i64), (1000,))
        first = getattr(ops, op)(place, end)
        second = getattr(ops, op)(end, place)
        mixed = ops.WHERE(second, ops.ADD(x, y), ops.MUL(x, ops.CAST(first, dtype=x.type.dtype)))
        return ops.WHERE(first, ops.WHERE(first, x, y), mixed)

    second = np.where(compare(bound, at), x + y, x * compare(at, bound).astype("float32"))
    _same(function, np.where(compare(at, bound), x, second), [x, y])


def _loads(function: Callable[..., Node], *arrays: Array) -> tuple[list[str], list[str]]:
    """What the loops load as vectors, and what of it without a mask."""
    made = compile_graph(build(function, arrays), host())
    lines = stage_text(made, "loop", host()).splitlines()
    loads = [line for line in lines if ": f32x" in line and "load" in line]
    return loads, [line for line in loads if " mask " not in line]


def test_what_the_loops_say() -> None:
    """A copy of each operand, without a mask but for its ends; one loop for what is left."""
    loads, plain = _loads(lambda *nodes: joins.concatenate(nodes), drawn(1000), drawn(2000))
    assert all(": f32x16 " in line or host().vector_bytes < 64 for line in loads)  # whatever i64 is compared
    assert len(loads) - len(plain) == 4  # where an operand ends; and what would read none of them
    assert {line.split("load ")[1][:3] for line in plain} == {"row"}  # windows on what is read


@pytest.mark.skipif(host().vector_bytes < 64, reason="rows of so many vectors of 64 bytes")
def test_short_rows_of_many_cases_are_copied_case_by_case() -> None:
    """Rows of three vectors: of nine cases each reads what it copies, of two all is asked for at once."""

    def reflected(x: Node) -> Node:
        return joins.padded(x, 0.0, widths=[(2, 2), (2, 2)], mode="reflect")

    loads, plain = _loads(reflected, drawn(60, 32))
    assert len(plain) == 9 * 2  # each in turns of two vectors, none around the cache: rows begin elsewhere
    loads, plain = _loads(lambda *nodes: joins.concatenate(nodes, axis=1), drawn(60, 20), drawn(60, 20))
    assert len(loads) == 2 * 3 and len(plain) < 3


def test_what_has_too_many_cases_is_written_once() -> None:
    x = drawn(400)

    def function(x: Node) -> Node:
        place, found = ops.IOTA(shape=(400,), axis=0), x
        for n in range(20):
            end = ops.fill(ops.SCALAR(value=20 * n, dtype=i64), (400,))
            found = ops.WHERE(ops.LT(place, end), ops.ADD(found, x), ops.MUL(found, x))
        return found

    want, at = x, np.arange(400)
    for n in range(20):
        with np.errstate(over="ignore", invalid="ignore"):
            want = np.where(at < 20 * n, want + x, want * x)
    _same(function, want, [x])


@pytest.mark.parametrize("size", [64, 65, 100, 1000])
def test_a_case_that_cannot_be_is_nowhere(size: int) -> None:
    """Below the one place and above the other: a case with nothing in it. Where such cases were taken to
    lie, elements had been computed twice: an output that overwrites what it is made of got its own results
    added."""
    x, y = drawn(size), drawn(size)[::-1].copy()

    def function(x: Node, y: Node) -> Node:
        before, behind = (joins.roll(y, shifts=[n], axes=[0]) for n in (1, -1))
        inner = ops.PAD(ops.SLICE(y, starts=(3,), steps=(1,), counts=(size - 12,)), lo=(3,), hi=(9,))
        return ops.ADD(ops.ADD(ops.ADD(x, before), behind), inner)

    graph, inner = build(function, [x, y]), np.pad(y[3:-9], (3, 9))
    want = x + np.roll(y, 1) + np.roll(y, -1) + inner
    for width in WIDTHS:
        made = compile_graph(graph, replace(host(), vector_bytes=width), aliases=(0,))
        assert made.plan.aliases == (0,)
        for plan in (made.plan, around(made)):
            over = x.copy()
            Executable(plan)([over, y], out=[over])
            np.testing.assert_array_equal(over, want)
