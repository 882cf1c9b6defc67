"""The same bits on other machines: a kernel of each mode, compiled for AVX2 and AArch64, with 1, 2 and 3
threads; and each op of the registry, row by row. `make bits` does more (docs/testing.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lucid.compiler.ir.types import DTYPES
from lucid.compiler.ops import REGISTRY
from lucid.runtime.execute import Executable
from lucid.testing.bits import assert_same_bits
from tests.compiler.gpu_kernels import CASES, case
from tests.native import compiled, run

from .cross import MACHINES, THREADS, Batch
from .rows import every, lifted


@pytest.mark.parametrize("name", [pytest.param("AVX-512", marks=pytest.mark.sweep), "AVX2", "AArch64"])
def test_every_mode_has_the_same_bits(name: str, tmp_path: Path) -> None:
    machine = MACHINES[name]
    if lacks := machine.missing():
        pytest.skip(lacks)
    batch, wanted = Batch(machine), []
    for kernel in CASES:
        graph, arrays = case(kernel)
        batch.add(graph, arrays)
        wanted.append(Executable(compiled(graph).plan)(arrays))
    assert {mode for modes in batch.modes for mode in modes} >= {mode for _, _, mode in CASES.values()}
    for want, found in zip(wanted, batch.run(tmp_path), strict=True):
        for threads in THREADS:
            for one, other in zip(want, found[threads], strict=True):
                assert_same_bits(one, other.reshape(one.shape))


def test_a_row_alone_has_other_bits_than_in_a_batch() -> None:
    for f in every([DTYPES["f32"]], samples=1):
        given = f.some(0, 17)
        (whole,) = run(f.graph(given), given)
        given = f.some(16, 17)
        (one,) = run(f.graph(given), given)
        assert_same_bits(one, whole.take([16], f.out))


def test_each_op_is_a_function_of_rows() -> None:
    for op in REGISTRY.values():
        if op.kind not in ("leaf", "pair"):
            dtype = next(d for d in DTYPES.values() if op.takes(d))
            assert lifted(op, op.samples[0], dtype, 3) or not op.samples[0].shapes
