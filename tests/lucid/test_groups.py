"""Kernels that run together: how many, and that nobody can tell from the results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, optim
from lucid.runtime import execute, pool

from .programs import random_program

pytestmark = pytest.mark.table

SHAPES = [(k % 7 + 1, 40 * k + 1) if k % 3 else (997 * k + 1,) for k in range(64)]


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = pool.get_num_threads()
    pool.set_num_threads(4)
    yield
    pool.set_num_threads(before)


def trained(kind: Any, **options: Any) -> tuple[Any, list[Tensor], list[Tensor]]:
    rng = np.random.default_rng(0)
    params = [lucid.tensor(rng.standard_normal(shape, np.float32)) for shape in SHAPES]
    grads = [lucid.tensor(rng.standard_normal(shape, np.float32)) for shape in SHAPES]
    opt = kind(params, **options)

    @lucid.compile
    def step(*grads: Tensor) -> None:
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        opt.step()

    return step, params, grads


@pytest.mark.parametrize(
    ("kind", "options"),
    [(optim.Adam, {}), (optim.AdamW, {}), (optim.SGD, {"lr": 0.1, "momentum": 0.9})],
)
def test_a_step_over_many_tensors_is_one_region(kind: Any, options: Any) -> None:
    step, params, grads = trained(kind, **options)
    for _ in range(3):
        step(*grads)
    before = pool.regions()
    step(*grads)
    assert pool.regions() - before == 1
    assert all(p.grad is g for p, g in zip(params, grads, strict=True))  # as without `compile`
    (line,) = (line for line in step.explain().splitlines() if line.startswith("runs, "))
    assert line.count(", then ") <= 1  # the count of steps comes before
    for _ in range(2):
        pool.set_num_threads(1)
        step(*grads)
    again, same, _ = trained(kind, **options)
    for _ in range(6):
        again(*grads)
    for p, q in zip(params, same, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize("seed", range(9000, 9020))
def test_random_programs_have_the_same_bits(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = random_program(seed)
    names = list(program.inputs)

    def run(*arrays: Any) -> tuple[Any, ...]:
        values = program.run(lucid, dict(zip(names, map(Tensor, arrays), strict=True)))
        return tuple(values[name] for name in program.outputs)

    def bits(threads: int) -> list[bytes]:
        compiled = lucid.compile(run, threads=threads)
        arrays = [program.inputs[name] for name in names]
        return [np.asarray(r.numpy()).tobytes() for _ in range(2) for r in compiled(*arrays)]

    expected = bits(1)
    monkeypatch.setattr(execute, "PARALLEL_BYTES", 0)
    assert bits(4) == expected
    monkeypatch.setattr(execute, "grouped", lambda launches: [[launch] for launch in launches])
    assert bits(4) == expected
