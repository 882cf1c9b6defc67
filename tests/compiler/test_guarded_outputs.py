"""Nothing is written beside an output: every pair of dtypes, tail, mode and vector length, with every
output in the middle of guard bytes.

LLVM once made one scalar store of an element that was not narrowed yet out of a masked store of one
lane, where the mask was a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.cpu.schedule import schedule
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DTYPES, DType
from lucid.compiler.pipeline import compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import Array, build

GUARD = 128  # bytes on each side
WIDTHS = [w for w in (16, 32, 64) if w <= host().vector_bytes]
DTYPE_LIST = list(DTYPES.values())


def guarded(shape: tuple[int, ...], dtype: DType, shift: int) -> tuple[Array, Array]:
    """A block of bytes, and an array in it, `shift` elements behind a multiple of 64 bytes."""
    size = int(np.prod(shape)) * dtype.size
    block = np.empty(size + 2 * GUARD + 192, np.uint8)
    block[:] = np.arange(block.size) * 37 + 11
    start = -block.ctypes.data % 64 + GUARD + shift * dtype.size
    return block, block[start : start + size].view(dtype.np).reshape(shape)


def casts(x: Node) -> tuple[Node, ...]:
    return tuple(x if d is x.type.dtype else ops.CAST(x, dtype=d) for d in DTYPE_LIST)


def flat(x: Node) -> tuple[Node, ...]:
    return casts(ops.MAX(x, x))


def rows(x: Node) -> tuple[Node, ...]:
    top = ops.BROADCAST(ops.reshape(ops.AMAX(x, axes=(1,)), (x.shape[0], 1)), shape=x.shape)
    return casts(ops.MIN(x, top))


def kept(x: Node) -> tuple[Node, ...]:
    """Totals that keep the last axis, and totals of rows."""
    return casts(ops.AMAX(x, axes=(0,))) + casts(ops.AMAX(x, axes=(1,)))


def tiles(x: Node) -> tuple[Node, ...]:
    return casts(ops.TRANSPOSE(x, perm=(1, 0)))


def product(x: Node) -> tuple[Node, ...]:
    return casts(ops.CONTRACT(x, x, spec="ij,kj->ik"))


MODES: dict[str, Callable[[Node], tuple[Node, ...]]] = {
    "flat": flat, "rows": rows, "kept": kept, "tiles": tiles, "product": product,
}  # fmt: skip


def sample(shape: Sequence[int], dtype: DType) -> Array:
    rng = np.random.default_rng(sum(shape))
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    return rng.integers(0, 100, shape).astype(dtype.np)


def check(mode: str, source: DType, shape: tuple[int, ...], width: int) -> None:
    x = sample(shape, source)
    graph = build(MODES[mode], [x])
    made = compile_graph(graph, replace(host(), vector_bytes=width))
    executable = Executable(made.plan)
    kinds = [(made.plan.buffers[i].shape, made.plan.buffers[i].dtype) for i in made.plan.outputs]
    expected = executable([x])
    for shift in (0, 1):
        blocks = [guarded(s, d, shift) for s, d in kinds]
        before = [block.copy() for block, _ in blocks]
        executable([x], out=[array for _, array in blocks])
        for (block, array), old, value in zip(blocks, before, expected, strict=True):
            assert array.tobytes() == value.tobytes()
            array.view(np.uint8)[...] = 0
            start = array.ctypes.data - block.ctypes.data
            old[start : start + array.nbytes] = 0
            np.testing.assert_array_equal(
                block, old, err_msg=f"{mode} {source} to {array.dtype} {shape} {width}"
            )


def shapes(mode: str, tail: int) -> list[tuple[int, ...]]:
    return [(tail,)] if mode == "flat" else [(tail, 3)] if mode == "product" else [(40, tail)]


CASES = [(m, d, w) for m in MODES for d in DTYPE_LIST for w in WIDTHS if m != "product" or d.is_float]


@pytest.mark.parametrize(("mode", "source", "width"), CASES, ids=str)
def test_nothing_is_written_beside_an_output(mode: str, source: DType, width: int) -> None:
    for tail in (9, 17) if mode in ("rows", "kept") and width == host().vector_bytes else (17,):
        for shape in shapes(mode, tail):
            check(mode, source, shape, width)


@pytest.mark.sweep
@pytest.mark.parametrize(("mode", "source", "width"), CASES, ids=str)
def test_nothing_is_written_beside_an_output_of_any_tail(mode: str, source: DType, width: int) -> None:
    for tail in [*range(1, 68), 100, 127, 128, 129, 255, 1000]:
        for shape in shapes(mode, tail):
            check(mode, source, shape, width)


def test_all_modes_are_there() -> None:
    found = set()
    for mode in MODES:
        for tail in (3, 100):
            for shape in shapes(mode, tail):
                graph = build(MODES[mode], [sample(shape, DTYPES["f32"])])
                stages = compile_graph(graph, host()).stages
                found |= {schedule(call.kernel, host().vector_bytes).mode for call in stages.program.calls}
    assert found == {"flat", "rows", "groups", "tiles", "product"}
