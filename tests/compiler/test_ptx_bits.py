"""PTX, executed as text by the simulator, gives the bits of the CPU: NaN where that has NaN."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from lucid.compiler.ir.graph import Graph
from lucid.gpu import ptx
from lucid.simulated import simulate
from tests.native import Array, run

from .gpu_kernels import CASES, case


def same(got: Array, want: Array) -> bool:
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    both = np.isnan(got) & np.isnan(want) if got.dtype.kind == "f" else np.zeros(got.shape, bool)
    unlike = np.ascontiguousarray(got).view(np.uint8) != np.ascontiguousarray(want).view(np.uint8)
    return not (unlike.reshape(*got.shape, -1).any(axis=-1) & ~both).any()


def check(graph: Graph, arrays: Sequence[Array], arch: str = "sm_90") -> None:
    got, _ = simulate(ptx(graph, arch), arrays)
    for number, (one, other) in enumerate(zip(got, run(graph, arrays), strict=True)):
        assert same(one.reshape(other.shape), other), f"output {number}: {one} is not {other}"


@pytest.mark.parametrize("name", CASES)
def test_every_mode(name: str) -> None:
    check(*case(name))


@pytest.mark.parametrize("kind", ["float64", "float16"])
@pytest.mark.parametrize("name", ["huber", "norm", "linear", "product", "transpose", "long", "quotients"])
def test_other_formats(name: str, kind: str) -> None:
    check(*case(name, kind), "sm_75")
