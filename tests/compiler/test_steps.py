"""Last strides that are part of a kernel: read by whole vectors, of which none goes beyond the elements."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.kernel import STEPS
from lucid.compiler.ir.layout import face
from lucid.compiler.ir.program import Program
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.prove import prove
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.pipeline import compile_graph
from lucid.compiler.stages import stage_text
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.guarded import Guarded
from tests.native import Array, build

WIDTHS = (64, 32, 16)
TEXT = (
    "kernel t(a: f32[n, d:{}]) -> (o: f32[n, d])\n  for i in n\n    stage j in d\n      o[i, j] = a[i, j]\n"
)


def _same(graph: Graph, want: Array, x: Array) -> None:
    """For three vector lengths, `x` against either end of its memory."""
    for front in (True, False):
        guarded = Guarded(x.shape, x.dtype, front)
        guarded.array[...] = x
        for width in WIDTHS:
            made = compile_graph(graph, replace(host(), vector_bytes=width))
            (found,) = Executable(made.plan)([guarded.array])
            np.testing.assert_array_equal(found, want)


def _values(*shape: int, kind: str = "float32") -> Array:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * 10).astype(kind)


@pytest.mark.parametrize("step", [-1, 2, 3, 4, 5, -2])
@pytest.mark.parametrize("kind", ["float32", "float64", "int8", "bool"])
@pytest.mark.parametrize("count", [33, 200])
def test_along_the_elements(step: int, kind: str, count: int) -> None:
    """Exactly as many elements as it takes."""
    x = _values(abs(step) * (count - 1) + 1, kind=kind)
    first = len(x) - 1 if step < 0 else 0

    def function(x: Node) -> Node:
        return ops.SLICE(x, starts=(first,), steps=(step,), counts=(count,))

    graph = build(function, [x])
    text = print_kernel(fuse(simplify(graph)).calls[0].kernel)
    assert f"[n0:{step if step in STEPS else ''}]" in text
    _same(graph, x[::step], x)


@pytest.mark.parametrize("step", [-1, 2, 3])
@pytest.mark.parametrize("shape", [(5, 70), (70, 9), (2, 9000)])
def test_along_rows(step: int, shape: tuple[int, int]) -> None:
    x, (rows, columns) = _values(*shape), shape
    count = -(-columns // abs(step))
    start = columns - 1 if step < 0 else 0

    def function(x: Node) -> Node:
        part = ops.SLICE(x, starts=(0, start), steps=(1, step), counts=(rows, count))
        return ops.ADD(part, part)

    _same(build(function, [x]), x[:, ::step] * 2, x)


@pytest.mark.parametrize("reduced", [(1,), (0, 1)])
def test_sums_have_the_order_of_all_sums(reduced: tuple[int, ...]) -> None:
    x = _values(70, 300)
    part = np.ascontiguousarray(x[:, ::2])

    def total(x: Node) -> Node:
        return ops.SUM(x, axes=reduced)

    def function(x: Node) -> Node:
        return total(ops.SLICE(x, starts=(0, 0), steps=(1, 2), counts=part.shape))

    (want,) = Executable(compile_graph(build(total, [part]), host()).plan)([part])
    _same(build(function, [x]), want, x)


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_a_column_of_a_matrix(columns: int) -> None:
    """Its step is a size: another one is another text, whether sizes are numbers or symbols."""
    x = _values(100, columns)

    def function(x: Node) -> Node:
        return ops.NEG(ops.reshape(ops.SLICE(x, starts=(0, 1), steps=(1, 1), counts=(100, 1)), (100,)))

    _same(build(function, [x]), -x[:, 1], x)


def test_what_the_code_says() -> None:
    def function(x: Node) -> Node:
        return ops.SLICE(x, starts=(0,), steps=(2,), counts=(500,))

    made = compile_graph(build(function, [_values(1000)]), host())
    loads = re.findall(r"load a0\[.*", stage_text(made, "loop", host()))
    assert loads and all(" : 2]" in line for line in loads)
    text = stage_text(made, "llvm", host())
    assert "masked.gather" not in text and "masked.load" in text  # of the last elements


@pytest.mark.parametrize("step", STEPS)
def test_text(step: int) -> None:
    kernel = parse_kernel(TEXT.format(step))
    assert kernel.params[0] == replace(kernel.params[0], unit=False, step=step)
    assert print_kernel(kernel) == TEXT.format(step)
    verify_kernel(kernel)


@pytest.mark.parametrize("step", [1, 5, -2])
def test_no_other_steps(step: int) -> None:
    with pytest.raises(VerifyError, match=rf"`a`: {step} is no stride of a kernel \(-1, 2, 3, 4\)"):
        verify_kernel(parse_kernel(TEXT.format(step)))


def test_what_is_bound_must_have_the_step() -> None:
    def compiled(function: Callable[[Node], Node]) -> None:
        graph = build(function, [_values(9)])
        (call,) = fuse(simplify(graph)).calls
        other = replace(call.arrays["a0"], strides=(3,))
        calls = (replace(call, arrays={**call.arrays, "a0": other}),)
        prove(Program(graph, calls), [face(call.kernel)])

    with pytest.raises(
        VerifyError, match=r"the last dimension of `a0` must go in steps of 2, but .* steps of 3"
    ):
        compiled(lambda x: ops.SLICE(x, starts=(0,), steps=(2,), counts=(3,)))
