"""The same bits for every vector length: code for 16, 32 and 64 byte vectors, run on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.target import ZNVER4
from lucid.compiler.pipeline import compile_graph
from lucid.runtime import llvm
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from tests.native import Array, build


def regression(x: Node, w: Node, y: Node) -> tuple[Node, ...]:
    d = ops.SUB(ops.CONTRACT(x, w, spec="ij,j->i"), y)
    return ops.SUM(ops.ABS(d), axes=(0,)), ops.CONTRACT(d, x, spec="i,ij->j")


def rows(x: Node, w: Node, y: Node) -> tuple[Node, ...]:
    top = ops.AMAX(x, axes=(1,))
    e = ops.EXP(ops.SUB(x, ops.BROADCAST(ops.reshape(top, (x.shape[0], 1)), shape=x.shape)))
    return e, ops.SUM(e, axes=(1,)), ops.SUM(e, axes=(0,)), ops.SUM(e, axes=(0, 1))


def product(x: Node, w: Node, y: Node) -> tuple[Node, ...]:
    return ops.TANH(ops.CONTRACT(x, x, spec="ij,kj->ik")), ops.TRANSPOSE(x, perm=(1, 0))


def long(x: Node, w: Node, y: Node) -> tuple[Node, ...]:
    return ops.AMAX(x, axes=(1,)), ops.SUM(ops.EXP(x), axes=(1,)), ops.CONTRACT(x, w, spec="ij,j->i")


@pytest.mark.parametrize("function", [regression, rows, product])
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(37, 3), (130, 16), (33, 50), (40, 300), (1000, 7), (3, 9001)])
def test_same_bits(function: Callable[..., tuple[Node, ...]], kind: str, shape: tuple[int, int]) -> None:
    check(function, kind, shape)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 70_001), (3, 600_001)])
def test_same_bits_of_long_rows(kind: str, shape: tuple[int, int]) -> None:
    check(long, kind, shape)


def check(function: Callable[..., tuple[Node, ...]], kind: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    arrays: list[Array] = [rng.normal(size=s).astype(kind) for s in (shape, shape[1:], shape[:1])]
    graph = build(function, arrays)
    results = []
    for width in (64, 32, 16):
        made = compile_graph(graph, replace(host(), vector_bytes=width))
        results.append([a.tobytes() for a in Executable(made.plan)(arrays)])
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "exp2",
        "sigmoid",
        "tanh",
        "log",
        "log2",
        "log10",
        "log1p",
        "arcsinh",
        "cbrt",
        "erf",
        "erfc",
        "erfinv",
        "expm1",
        "sinh",
        "cosh",
    ],
)
def test_same_bits_of_tables(name: str) -> None:
    """However elements of tables are looked up, lane by lane, too; of numbers of all exponents."""
    rng = np.random.default_rng(6)
    bits = rng.integers(0, 1 << 32, 3001, dtype=np.uint32)
    arrays: list[Array] = [bits.view(np.float32), rng.normal(scale=30, size=1003).astype(np.float32)]
    arrays += [rng.integers(0, 1 << 64, 3001, dtype=np.uint64).view(np.float64), rng.normal(size=1003)]
    graph = build(lambda *xs: tuple(ops.REGISTRY[name](x) for x in xs), arrays)
    targets = [replace(host(), vector_bytes=width) for width in (64, 32, 16)]
    if host().arch == "x86_64":
        targets.append(replace(targets[-1], features="+sse4.2,+avx,+fma"))
    with np.errstate(invalid="ignore"):
        results = [Executable(compile_graph(graph, target).plan)(arrays) for target in targets]
    for result in results[1:]:
        for found, expected in zip(result, results[0], strict=True):
            assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("width", [16, 32, 64])
def test_no_instruction_of_avx512_is_wider_than_vectors(width: int) -> None:
    """LLVM ends the process where it would have to split one: erfinv of float16, computed in float64."""
    graph = build(lambda x: ops.REGISTRY["erfinv"](x), [np.zeros(100, np.float16)])
    target = replace(ZNVER4, vector_bytes=width)
    made = compile_graph(graph, target)
    for code in made.stages.codes:
        source = code.llvm
        assert all(
            int(bits) <= width * 8 for bits in re.findall(r"@llvm\.x86\.avx512\.[\w.]*\.(\d+)\(", source)
        )
        assert llvm.emit_object(source, target)
