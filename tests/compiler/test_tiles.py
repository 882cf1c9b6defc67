"""Mode "tiles": transposes, alone, in expressions and for each batch; whole tiles and edges, stored
through the cache and around it, inside of their arrays."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.cpu.schedule import TILE_COLUMN_BYTES, TILE_ROW_BYTES, schedule
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.passes.draft_kernel import CHANNELS
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.stages import stage_text
from lucid.compiler.text.kernel import print_kernel
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import Array, build

from .test_rows import around

WIDTHS = (64, 32, 16)
KINDS = ("float32", "float64", "float16", "int8", "bool")
# Rows and columns of the input: one tile or less, edges, several blocks; rows of whole lines and not.
SHAPES = ((1, 5), (3, 17), (16, 16), (64, 40), (65, 33), (128, 530), (192, 128), (300, 5), (3, 300))


def _modes(graph: Graph, width: int) -> list[str]:
    return [schedule(call.kernel, width).mode for call in fuse(simplify(graph)).calls]


def _graph(function: Callable[..., tuple[Node, ...]], arrays: list[Array]) -> Graph:
    graph = build(function, arrays)
    for width in WIDTHS:
        assert _modes(graph, width) == ["tiles"]
    return graph


def _runs(graph: Graph, arrays: list[Array]) -> Iterator[list[Array]]:
    """For each vector length: through the cache and around it, on one thread and on two."""
    for width in WIDTHS:
        made = compile_graph(graph, replace(host(), vector_bytes=width))
        for plan, threads in itertools.product((made.plan, around(made)), (1, 2)):
            yield Executable(plan)(arrays, threads=threads)


def _values(kind: str, *shape: int) -> Array:
    return np.asarray(np.random.default_rng(sum(shape)).normal(size=shape) * 10).astype(kind)


def transpose(x: Node) -> tuple[Node, ...]:
    return (ops.TRANSPOSE(x, perm=(1, 0)),)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_transposes(kind: str, shape: tuple[int, int]) -> None:
    x = _values(kind, *shape)
    if min(shape) == 1:
        graph = build(transpose, [x])
    else:
        graph = _graph(transpose, [x])
    for (out,) in _runs(graph, [x]):
        np.testing.assert_array_equal(out.reshape(x.T.shape), x.T)


@pytest.mark.parametrize("kind", ["float32", "float64", "int8"])
def test_more_than_a_block_each_way(kind: str) -> None:
    size = np.dtype(kind).itemsize
    x = _values(kind, 2 * TILE_COLUMN_BYTES // size + 64, TILE_ROW_BYTES // size + 70)
    for (out,) in _runs(_graph(transpose, [x]), [x]):
        np.testing.assert_array_equal(out, x.T)


@pytest.mark.parametrize("perm", [(0, 2, 1), (2, 1, 0), (0, 3, 2, 1), (3, 1, 2, 0), (2, 1, 3, 0)])
@pytest.mark.parametrize("extents", [(9, 70, 15, 64), (12, 13, 19, 130), (66, 10, 17, 16)])
def test_batches(perm: tuple[int, ...], extents: tuple[int, ...]) -> None:
    x = _values("float32", *extents[-len(perm) :])
    graph = _graph(lambda x: (ops.TRANSPOSE(x, perm=perm),), [x])
    for (out,) in _runs(graph, [x]):
        np.testing.assert_array_equal(out.reshape(x.transpose(perm).shape), x.transpose(perm))


@pytest.mark.parametrize("perm", [(0, 2, 1), (2, 1, 0), (0, 3, 2, 1), (3, 1, 2, 0), (1, 2, 3, 0)])
@pytest.mark.parametrize(
    "extents", [(3, 70, 5, 64), (2, 3, 19, 130), (66, 2, 7, 16), (2, 33, 40, 4), (3, 50, 9, 3)]
)
@pytest.mark.parametrize("kind", ["float32", "int8", "float64"])
def test_few_channels(kind: str, perm: tuple[int, ...], extents: tuple[int, ...]) -> None:
    """Where they come to be the last axis, they are dealt out by vectors; where they were, read in steps."""
    x = _values(kind, *extents[-len(perm) :])
    graph = build(lambda x: (ops.TRANSPOSE(x, perm=perm),), [x])
    want = x.transpose(perm)
    if want.shape[-1] <= 4 and x.size >= CHANNELS:
        assert _modes(graph, 64) == ["short"]
    for (out,) in _runs(graph, [x]):
        np.testing.assert_array_equal(out.reshape(want.shape), want)


@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_few_columns_are_read_in_steps(channels: int) -> None:
    """Up to four: each row of the result reads all vectors, of which it takes its own elements."""
    graph = build(transpose, [_values("float32", 700, channels)])
    text = "\n".join(print_kernel(call.kernel) for call in fuse(simplify(graph)).calls)
    assert (f"n1:{channels}]" in text) == (channels <= 4)
    assert _modes(graph, 64) == ["rows" if channels <= 4 else "tiles"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [-1, 2, 3, -2])
def test_rows_in_steps(kind: str, step: int) -> None:
    """A turn by ninety degrees reads rows backwards; columns that are left out, in steps."""
    x = _values(kind, 66, 100)
    first = 99 if step < 0 else 0
    count = len(range(first, -1 if step < 0 else 100, step))

    def function(x: Node) -> tuple[Node, ...]:
        part = ops.SLICE(x, starts=(0, first), steps=(1, step), counts=(66, count))
        return (ops.TRANSPOSE(part, perm=(1, 0)),)

    graph = build(function, [x])
    if step != -2:
        graph = _graph(function, [x])
    for (out,) in _runs(graph, [x]):
        np.testing.assert_array_equal(out, x[:, ::step].T)


@pytest.mark.parametrize("shape", [(64, 40), (128, 128), (70, 33)])
def test_expressions(shape: tuple[int, int]) -> None:
    """Other loads: along the columns, of the row, of the column, of one number; several dtypes; two
    results."""
    x, z = _values("float32", *shape), _values("int8", *shape)
    y, row, column = (_values("float32", *s) for s in (shape[::-1], shape[1:], shape[:1]))

    one = _values("float32")

    def function(x: Node, y: Node, z: Node, row: Node, column: Node, one: Node) -> tuple[Node, ...]:
        across = ops.TRANSPOSE(x, perm=(1, 0))
        rows = ops.BROADCAST(ops.reshape(row, (shape[1], 1)), shape=shape[::-1])
        columns = ops.BROADCAST(ops.reshape(column, (1, shape[0])), shape=shape[::-1])
        mixed = ops.MUL(ops.ADD(across, y), ops.SUB(rows, columns))
        other = ops.CAST(ops.TRANSPOSE(z, perm=(1, 0)), dtype=x.type.dtype)
        return ops.MUL(ops.ADD(mixed, other), ops.BROADCAST(one, shape=shape[::-1])), across

    arrays = [x, y, z, row, column, one]
    want = ((x.T + y) * (row[:, None] - column) + z.T.astype("float32")) * one
    for found, same in _runs(_graph(function, arrays), arrays):
        np.testing.assert_array_equal(found, want)
        np.testing.assert_array_equal(same, x.T)


@pytest.mark.parametrize("shape", [(64, 48), (70, 33)])
def test_strides(shape: tuple[int, int]) -> None:
    wide = _values("float32", shape[0] + 5, shape[1] + 9)

    def function(x: Node) -> tuple[Node, ...]:
        return (ops.TRANSPOSE(ops.SLICE(x, starts=(2, 3), steps=(1, 1), counts=shape), perm=(1, 0)),)

    graph = _graph(function, [wide])
    for (out,) in _runs(graph, [wide]):
        np.testing.assert_array_equal(out, wide[2 : 2 + shape[0], 3 : 3 + shape[1]].T)


def test_more_arrays_than_working_memory() -> None:
    arrays = [_values("int8", 320, 70) // n for n in (1, 2, 3, 4)]

    def function(*nodes: Node) -> tuple[Node, ...]:
        found = [ops.TRANSPOSE(x, perm=(1, 0)) for x in nodes]
        return (ops.ADD(ops.ADD(found[0], found[1]), ops.ADD(found[2], found[3])),)

    graph, want = _graph(function, arrays), np.sum(arrays, axis=0, dtype="int8").T
    assert " stream\n" not in stage_text(compile_graph(graph, host()), "loop", host())
    for (out,) in _runs(graph, arrays):
        np.testing.assert_array_equal(out, want)


def test_in_place() -> None:
    x, y = _values("float32", 128, 530), _values("float32", 530, 128)
    graph = _graph(lambda x, y: (ops.ADD(ops.TRANSPOSE(x, perm=(1, 0)), y),), [x, y])
    for width in WIDTHS:
        made = compile_graph(graph, replace(host(), vector_bytes=width), (1,))
        assert made.plan.aliases == (1,)
        for plan in (made.plan, around(made)):
            target = y.copy()
            Executable(plan)([x, target], out=[target])
            np.testing.assert_array_equal(target, x.T + y)


class _Fenced:
    """Memory between two pages that nobody may touch."""

    def __init__(self, nbytes: int) -> None:
        page = mmap.PAGESIZE
        self.size = -(-nbytes // page) * page
        self.pages = mmap.mmap(-1, self.size + 2 * page)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.pages))
        for fence in (self.start, self.start + page + self.size):
            self.protect(fence, 0)

    def protect(self, address: int, rights: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), rights) == 0

    def array(self, shape: tuple[int, ...], kind: str, at_end: bool) -> Array:
        dtype = np.dtype(kind)
        away = self.size - int(np.prod(shape)) * dtype.itemsize if at_end else 0
        return np.ndarray(shape, dtype, self.pages, mmap.PAGESIZE + away)


@pytest.mark.skipif(sys.platform != "linux", reason="uses mprotect")
@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int8"])
@pytest.mark.parametrize("shape", [(64, 64), (65, 33), (128, 80), (5, 70), (70, 5), (3, 401), (401, 3)])
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_outside_is_touched(kind: str, shape: tuple[int, int], at_end: bool) -> None:
    nbytes = int(np.prod(shape)) * np.dtype(kind).itemsize
    x = _Fenced(nbytes).array(shape, kind, at_end)
    out = _Fenced(nbytes).array(shape[::-1], kind, at_end)
    x[...] = _values(kind, *shape)
    graph = build(transpose, [x])
    for width in WIDTHS:
        made = compile_graph(graph, replace(host(), vector_bytes=width))
        for plan in (made.plan, around(made)):
            out[...] = 0
            Executable(plan)([x], out=[out])
            np.testing.assert_array_equal(out, x.T)


def test_what_the_loops_say() -> None:
    """Tiles wait in working memory, whole lines are stored around the cache, later ones are asked for."""
    x = _values("float32", 37, 160)
    text = stage_text(compile_graph(_graph(transpose, [x]), host()), "loop", host())
    assert "alloc wait.0" in text and "pack_lo" in text
    assert any(line.endswith(" stream") for line in text.splitlines())
    assert any(line.endswith(" far") for line in text.splitlines())
