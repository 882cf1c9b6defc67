"""Results of many blocks, added up by the last warps to be done: those of `order.py`, whatever their
number."""

from __future__ import annotations

import numpy as np
import pytest

from lucid.compiler import ops
from lucid.compiler.gpu.emit import emit, groups
from lucid.compiler.gpu.launch import entry
from lucid.compiler.gpu.simulator import Memory, launch, parse
from lucid.compiler.gpu.target import target
from lucid.compiler.ir.artifact import Address
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.loop import Func
from lucid.compiler.ir.types import f64
from lucid.compiler.pipeline import Compiled, compile_graph, loops
from lucid.compiler.text.loop import parse_func, print_func
from lucid.gpu import described, ptx
from lucid.runtime.llvm import emit_assembly
from lucid.simulated import simulate
from tests.native import Array, build, run

FEATURES = 5


def totals(x: Node) -> tuple[Node, ...]:
    """For each column, and for all."""
    return ops.SUM(x, axes=(0,)), ops.AMAX(x, axes=(0, 1)), ops.SUM(ops.ABS(x), axes=(0, 1))


def alone(made: Compiled, name: str) -> Func:
    stages = made.stages
    (call,), (plan,) = stages.program.calls, stages.schedules
    (found,) = (f for f in loops(call.kernel, plan) if f.name.endswith(name))
    return found


def added(parts: Array, lanes: int, op: np.ufunc) -> Array:
    """The first parts, after the results of later blocks came to their lanes in order."""
    found = parts[:lanes].copy()
    for number in range(lanes, len(parts)):
        found[number % lanes] = op(found[number % lanes], parts[number])
    return found


@pytest.mark.parametrize("dtype, lanes", [("float32", 64), ("float64", 32)])
def test_any_number_of_blocks(dtype: str, lanes: int) -> None:
    made = compile_graph(build(totals, [np.ones((256 * 33, FEATURES), dtype)]), target("sm_90"))
    func = alone(made, ".lanes")
    assert groups(func) == lanes
    module, rng = parse(emit_assembly(emit([func]), target("sm_90"))), np.random.default_rng(0)
    single, (step,) = entry(func), described(made, "sm_90").launches
    for blocks in (1, 33, lanes, lanes + 1, 3 * lanes - 1, 17 * lanes, 17 * lanes + 5, 40 * lanes - 3):
        memory, args, parts = Memory(), list[int | bytes](), list[tuple[int, Array]]()
        for slot, value in zip(step.entry.slots, step.values, strict=True):
            if not isinstance(value, Address):
                args.append(blocks if slot.name == "blocks" else value)
            elif slot.name.startswith("part."):
                size = made.plan.buffers[value.buffer].shape[1:]
                part = rng.standard_normal((blocks, *size)).astype(dtype)
                parts.append((memory.upload(part, slot.name), part))
                args.append(parts[-1][0])
            else:
                args.append(memory.allocate(8, slot.name))
        launch(module, single.name, min(blocks, lanes) // single.warps or 1, single.threads, args, memory)
        for (place, part), op in zip(parts, (np.add, np.maximum, np.add), strict=True):
            got = memory.download(place, part.shape, part.dtype)
            few = min(blocks, lanes) // single.warps * single.warps or 1
            want = added(part, lanes, op)[:few]
            assert got[:few].tobytes() == want.tobytes(), f"{blocks} blocks, {op}"


def test_few_blocks_by_one_warp() -> None:
    """It reads all of them at once, and adds them up by lanes; beyond, lanes have been added up before."""
    graph = build(lambda x: (ops.SUM(x, axes=(0,)),), [np.ones(8192 * 3, np.float32)])
    made = compile_graph(graph, target("sm_90"))
    func, before = alone(made, ".finish"), alone(made, ".lanes")
    assert before.beyond == 256 and parse_func(print_func(before)) == before
    module, rng = parse(emit_assembly(emit([func]), target("sm_90"))), np.random.default_rng(0)
    (step,) = described(made, "sm_90").launches
    for blocks in (0, 1, 31, 64, 65, 122, 255, 256, 257):
        memory, part = Memory(), rng.standard_normal(max(blocks, 1)).astype(np.float32)
        places = {"part": memory.upload(part, "part"), "o0": memory.allocate(4, "o0"), "a0": 0}
        args: list[int | bytes] = []
        for slot, value in zip(step.entry.slots, step.values, strict=True):
            if isinstance(value, Address):
                args.append(places[slot.name.split(".")[0]])
            else:
                args.append(blocks if slot.name == "blocks" else value)
        launch(module, entry(func).name, 1, entry(func).threads, args, memory)
        lanes = np.zeros(64, np.float32)
        for number, value in enumerate(part[: blocks if blocks <= 256 else 64]):
            lanes[number % 64] += value
        while len(lanes) > 1:
            lanes = lanes[: len(lanes) // 2] + lanes[len(lanes) // 2 :]
        assert memory.download(places["o0"], 1, np.float32).tobytes() == lanes.tobytes(), blocks


@pytest.mark.parametrize("rows", [2, 256 * 31, 256 * 64, 256 * 70 + 9, 256 * 150 + 1])
def test_bits_of_the_cpu(rows: int) -> None:
    """From one launch."""
    x = np.random.default_rng(0).standard_normal((rows, 3), np.float32)
    graph = build(lambda x: (ops.SUM(x, axes=(0,)), ops.SUM(ops.ABS(x), axes=(0, 1))), [x])
    program = ptx(graph, "sm_90")
    assert len(program.launches) == 1
    got, _ = simulate(program, [x])
    assert all(a.tobytes() == b.tobytes() for a, b in zip(got, run(graph, [x]), strict=True))


def test_totals_of_several_dtypes() -> None:
    """Lanes of the longer one come together in groups of the shorter."""
    rng = np.random.default_rng(0)
    arrays: list[Array] = [rng.standard_normal(8192 * 67), rng.standard_normal(8192 * 67).astype(np.float32)]

    def both(x: Node, y: Node) -> tuple[Node, ...]:
        return ops.SUM(ops.MUL(x, ops.CAST(y, dtype=f64)), axes=(0,)), ops.SUM(y, axes=(0,))

    graph = build(both, arrays)
    got, _ = simulate(ptx(graph, "sm_90"), arrays)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(got, run(graph, arrays), strict=True))
