"""The GPU of this machine gives the bits of the CPU: NaN where that has NaN. `make test-gpu` runs these."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import cuda
from lucid.compiler import ops
from lucid.compiler.gpu.target import target
from lucid.compiler.ir.graph import Graph
from lucid.compiler.pipeline import compile_graph
from lucid.runtime.execute import Executable
from lucid.testing.generate import random_program
from tests.compiler.gpu_kernels import CASES, case
from tests.compiler.test_ptx_bits import same, samples_of
from tests.native import Array, compiled

from . import functions

pytestmark = pytest.mark.gpu


def check(graph: Graph, arrays: Sequence[Array]) -> None:
    run = cuda.program(compile_graph(graph, target(cuda.arch())))
    for number, (one, other) in enumerate(
        zip(run(arrays), Executable(compiled(graph).plan)(arrays), strict=True)
    ):
        assert same(np.asarray(one), other), f"output {number}: {one} is not {other}"


@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", CASES)
def test_every_mode(name: str, kind: str) -> None:
    check(*case(name, kind))


@pytest.mark.parametrize("name", ops.REGISTRY)
def test_every_op(name: str) -> None:
    for graph, arrays in samples_of(name):
        with np.errstate(all="ignore"):
            check(graph, arrays)


FUNCTIONS: list[tuple[Callable[..., Any], list[tuple[int, ...]]]] = [
    *functions.CASES,
    (functions.huber, [(10_000_001,), (10_000_001,)]),
    (functions.flat, [(600_000_000,)]),  # addresses beyond 31 bits
    (functions.softmax, [(4096, 4097)]),
    (functions.softmax, [(3, 1_000_000)]),
    (functions.product, [(1023, 1025), (1025, 1027)]),
    (lambda x: lucid.sort(x, axis=1), [(300, 1000)]),
]


@pytest.mark.parametrize("f, shapes", FUNCTIONS)
def test_functions(f: Callable[..., Any], shapes: list[tuple[int, ...]]) -> None:
    given = functions.arrays(*shapes)
    want, got = lucid.compile(f)(*given), lucid.compile(f, device="cuda")(*given)
    pairs = zip(want, got, strict=True) if isinstance(want, tuple) else [(want, got)]
    assert all(same(b.numpy(), a.numpy()) for a, b in pairs)


def random_programs_agree(seed: int) -> None:
    program = random_program(seed)
    names, arrays = list(program.inputs), list(program.inputs.values())

    def run(*arrays: Any) -> tuple[Any, ...]:
        values = program.run(lucid, dict(zip(names, map(lucid.Tensor, arrays), strict=True)))
        return tuple(values[name] for name in program.outputs)

    want, got = lucid.compile(run)(*arrays), lucid.compile(run, device="cuda")(*arrays)
    for name, one, other in zip(program.outputs, got, want, strict=True):
        assert same(one.numpy(), other.numpy()), f"{program.text()}\n{name}: {one} is not {other}"


@pytest.mark.parametrize("seed", range(500))
def test_random_programs(seed: int) -> None:
    random_programs_agree(seed)


def test_steps() -> None:
    losses, weights = functions.steps(lucid.compile)
    others, found = functions.steps(lucid.compile, "cuda")
    assert losses == others
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, found, strict=True))


def threads_agree(rows: Sequence[int], calls: int) -> None:
    """Calls of several threads, of other sizes each, are as those of one."""
    run: Any = lucid.compile(functions.softmax, device="cuda")
    wrong: list[int] = []

    def call(rows: int) -> None:
        (x,) = functions.arrays((rows, 100))
        want = functions.softmax(lucid.Tensor(x)).numpy()
        wrong.extend(rows for _ in range(calls) if run(x).numpy().tobytes() != want.tobytes())

    threads = [threading.Thread(target=call, args=(n,)) for n in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_threads() -> None:
    threads_agree((3, 50, 1000), 50)
