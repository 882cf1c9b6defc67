"""Results of many blocks, added up lane by lane: those of `order.py`, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.gpu.launch import FEWEST, launches
from lucid.compiler.gpu.simulator import Memory, launch, parse
from lucid.compiler.gpu.target import target
from lucid.compiler.ir.artifact import Address
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.pipeline import compile_graph, entries
from lucid.gpu import Ptx, ptx
from lucid.simulated import simulate
from tests.native import Array, build, run

FEATURES = 5


def totals(x: Node) -> tuple[Node, ...]:
    """For each column, and for all."""
    return ops.SUM(x, axes=(0,)), ops.AMAX(x, axes=(0, 1)), ops.SUM(ops.ABS(x), axes=(0, 1))


def made(dtype: str) -> Ptx:
    x = np.ones((256 * (FEWEST + 1), FEATURES), dtype)
    return ptx(build(totals, [x]), "sm_90")


def added(parts: Array, lanes: int, op: np.ufunc) -> Array:
    """The first parts, after the results of later blocks came to their lanes in order."""
    found = parts[:lanes].copy()
    for number in range(lanes, len(parts)):
        found[number % lanes] = op(found[number % lanes], parts[number])
    return found


@pytest.mark.parametrize("dtype, lanes", [("float32", 64), ("float64", 32)])
def test_any_number_of_blocks(dtype: str, lanes: int) -> None:
    program = made(dtype)
    (step,) = (x for x in program.launches if x.entry.name.endswith("$lanes"))
    module, rng = parse(program.modules[step.code.key]), np.random.default_rng(0)
    for blocks in (1, 33, lanes, lanes + 1, 3 * lanes - 1, 17 * lanes, 17 * lanes + 5, 40 * lanes - 3):
        memory, args, parts = Memory(), list[int | bytes](), list[tuple[int, Array]]()
        for slot, value in zip(step.entry.slots, step.values, strict=True):
            if not isinstance(value, Address):
                args.append(blocks if slot.name == "blocks" else value)
            elif slot.name.startswith("part."):
                size = program.plan.buffers[value.buffer].shape[1:]
                part = rng.standard_normal((blocks, *size)).astype(dtype)
                parts.append((memory.upload(part, slot.name), part))
                args.append(parts[-1][0])
            else:
                args.append(memory.allocate(8, slot.name))
        launch(module, step.entry.name, step.grid, step.entry.threads, args, memory)
        for (place, part), op in zip(parts, (np.add, np.maximum, np.add), strict=True):
            got = memory.download(place, part.shape, part.dtype)
            assert got[:lanes].tobytes() == added(part, lanes, op).tobytes(), f"{blocks} blocks, {op}"


def test_bits_of_the_cpu() -> None:
    x = np.random.default_rng(0).standard_normal((256 * 70 + 9, 3), np.float32)
    graph = build(totals, [x])
    program = ptx(graph, "sm_90")
    assert [step.entry.blocks for step in program.launches] == [None, 512, 1]
    got, _ = simulate(program, [x])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(got, run(graph, [x]), strict=True))


def test_few_blocks_have_no_such_launch() -> None:
    made = compile_graph(build(totals, [np.ones((256 * (FEWEST + 1), 3), np.float32)]), target("sm_90"))
    found = entries(made)
    few = [replace(step, blocks=FEWEST) for step in made.plan.launches]
    assert len(launches(made.plan, found)) == 3
    assert len(launches(replace(made.plan, launches=tuple(few)), found)) == 2
