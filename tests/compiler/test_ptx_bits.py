"""PTX, executed as text by the simulator, gives the bits of the CPU: NaN where that has NaN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.gpu.target import target
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.types import DTYPES
from lucid.compiler.pipeline import compile_graph
from lucid.gpu import ptx
from lucid.runtime.execute import Executable
from lucid.simulated import simulate
from tests.native import Array, build, compiled, sample_arrays

from .gpu_kernels import CASES, case
from .gpu_run import run_kernel
from .random_kernels import random_kernel

# Numbers at the ends of formats, denormal ones, and where functions change their way.
SPECIAL = (
    0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, 1e-40, -1e-40, 3.4e38, 1e-310, 1e308, 2, 3, -3, 1e10,
    -1e5, 0.1, 88.8, -104.1, np.pi, 1e-3, 700, -745,
)  # fmt: skip


def same(got: Array, want: Array) -> bool:
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    one, other = (np.ascontiguousarray(a).reshape(-1) for a in (got, want))
    unlike = one.view(f"V{one.itemsize}") != other.view(f"V{one.itemsize}")
    return not (unlike & ~((one != one) & (other != other))).any()


def check(graph: Graph, arrays: Sequence[Array], arch: str = "sm_90") -> None:
    got, _ = simulate(ptx(graph, arch), arrays)
    for number, (one, other) in enumerate(zip(got, Executable(compiled(graph).plan)(arrays), strict=True)):
        assert same(one, other), f"output {number}: {one} is not {other}"


@pytest.mark.parametrize("name", CASES)
def test_every_mode(name: str) -> None:
    check(*case(name))


@pytest.mark.parametrize("kind", ["float64", "float16"])
@pytest.mark.parametrize("name", ["huber", "norm", "linear", "product", "transpose", "long", "quotients"])
def test_other_formats(name: str, kind: str) -> None:
    check(*case(name, kind), "sm_75")


@pytest.mark.parametrize("arch", ["sm_100", "sm_120"])
def test_halves_that_are_added_to_float32(arch: str) -> None:
    """LLVM has one instruction for that and for the conversion before it."""
    graph, arrays = case("scan", "float16")
    assert any("add.rn.f32.f16" in text for text in ptx(graph, arch).modules.values())
    check(graph, arrays, arch)


@pytest.mark.parametrize("seed", [5004, 5005, 5006, 5007, 5008, 5010, 5011, 5015, 5019, 5020])
def test_random_kernels(seed: int) -> None:
    """Numbers in them are whole, so that the interpreter's bits do not depend on its order."""
    kernel, arrays, symbols, scalars = random_kernel(seed)
    want = interpret_kernel(kernel, arrays, scalars, symbols)
    for name, found in run_kernel(kernel, arrays, symbols, scalars).items():
        assert same(found, want[name]), f"{name}: {found} is not {want[name]}"


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(20))
def test_many_random_kernels(part: int) -> None:
    for seed in range(50 * part, 50 * part + 50):
        test_random_kernels(seed)


def samples_of(name: str) -> Iterator[tuple[Graph, list[Array]]]:
    """An op in all dtypes; elementwise ones on pairs of special values."""
    op, rng = ops.REGISTRY[name], np.random.default_rng(3)
    for dtype in (d for d in DTYPES.values() if op.takes(d) and not d.is_complex):
        with np.errstate(over="ignore"):
            special = np.array(SPECIAL).astype(dtype.np) if dtype.is_float else None
        for sample in op.samples:
            arrays = sample_arrays(op, sample, dtype, rng)
            plain = op.kind == "elementwise" and all(a.dtype == dtype.np for a in arrays)
            if special is not None and plain and len(arrays) <= 2:
                pairs = np.repeat(special, len(special)), np.tile(special, len(special))
                arrays = list(pairs[: len(arrays)])
            yield build(partial(op, **sample.attrs), arrays), arrays


@pytest.mark.sweep
@pytest.mark.parametrize("name", ops.REGISTRY)
def test_every_op(name: str) -> None:
    for graph, arrays in samples_of(name):
        with np.errstate(all="ignore"):
            check(graph, arrays)


def test_pairs_of_short_rows() -> None:
    """Rows of two axes, neither of which lies along the other's in memory."""
    rng = np.random.default_rng(1)
    arrays: list[Array] = [rng.normal(size=s).astype(np.float32) for s in ((3, 5), (37, 5))]

    def squares(a: Node, c: Node) -> Node:
        shape = (3, 37, 5)
        rows = ops.reshape(a, (3, 1, 5)), ops.reshape(c, (1, 37, 5))
        d = ops.SUB(*(ops.BROADCAST(x, shape=shape) for x in rows))
        return ops.SUM(ops.MUL(d, d), axes=(2,))

    check(build(squares, arrays), arrays)


@pytest.mark.parametrize("name", ["huber", "softmax", "norm", "linear", "transpose"])
def test_no_transaction_too_many(name: str) -> None:
    """Where rows begin at multiples of 128 bytes, lanes read and write neighbours, and no two meet in a bank
    of shared memory."""
    shapes = {
        "huber": (4096,),
        "softmax": (4, 256),
        "norm": (64, 64),
        "linear": (256, 16),
        "transpose": (64, 64),
    }
    shape, rng = shapes[name], np.random.default_rng(0)
    every = {"softmax": [shape], "linear": [shape, shape[1:], shape[:1]]}.get(name, [shape, shape])
    arrays: list[Array] = [rng.normal(size=s).astype(np.float32) for s in every]
    _, counts = simulate(ptx(build(CASES[name][0], arrays), "sm_90"), arrays)
    for count in counts:
        for access in count.accesses.values():  # of one element for all lanes there are fewer
            assert access.transactions <= access.ideal or access.space == "param", str(access)


@pytest.mark.parametrize("arrays, mode", [(4, "tiles"), (6, "rows")])
def test_many_arrays_across_memory(arrays: int, mode: str) -> None:
    """Tiles of all of them wait in shared memory, if it holds them."""

    def total(*nodes: Node) -> Node:
        found = ops.TRANSPOSE(nodes[0], perm=(1, 0))
        for node in nodes[1:]:
            found = ops.ADD(found, ops.TRANSPOSE(node, perm=(1, 0)))
        return found

    given = [np.random.default_rng(n).normal(size=(40, 70)) for n in range(arrays)]
    graph = build(total, given)
    assert [s.mode for s in compile_graph(graph, target("sm_90")).stages.schedules] == [mode]
    check(graph, given)


@pytest.mark.parametrize(
    "spec, shapes",
    [
        ("ij,jk->ik", ((70, 5), (5, 40))),  # no panel is whole
        ("ij,kj->ik", ((65, 256), (70, 256))),  # one part, two tiles each way
        ("ji,jk->ik", ((16, 3), (16, 33))),  # one panel
        ("ji,kj->ik", ((535, 40), (34, 535))),  # parts, panels, and a rest that is no whole chain
        ("bij,bjk->bik", ((2, 9, 33), (2, 33, 50))),
        ("ijl,ljk->ik", ((9, 3, 20), (20, 3, 50))),  # a depth of two axes
    ],
)
def test_products_of_teams(spec: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(0)
    arrays: list[Array] = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    graph = build(lambda x, y: (ops.TANH(ops.CONTRACT(x, y, spec=spec)),), arrays)
    assert compile_graph(graph, target("sm_90")).stages.schedules[-1].team == 8
    check(graph, arrays)


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_products_of_integers(dtype: str) -> None:
    """Bytes are put together by `prmt`, and 16 bits loaded four at once: instructions that were refused."""
    arrays: list[Array] = [np.arange(np.prod(s)).reshape(s).astype(dtype) for s in ((3, 2), (2, 4))]
    check(build(lambda x, y: (ops.CONTRACT(x, y, spec="ij,jk->ik"),), arrays), arrays)


@pytest.mark.parametrize("shape", [(1, 300), (1, 1)])
def test_products_of_one_row_and_column(shape: tuple[int, int]) -> None:
    """What follows has one element, whether the result is a matrix or a number."""
    x, y = (np.random.default_rng(n).normal(size=shape).astype(np.float32) for n in range(2))
    for to in ((1, 1), ()):

        def product(a: Node, b: Node, to: tuple[int, ...] = to) -> Node:
            return ops.reshape(ops.CONTRACT(a, b, spec="ij,kj->ik"), to)

        check(build(product, [x, y]), [x, y])
