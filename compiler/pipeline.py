"""The whole compiler: a graph in, a plan with code out. Reads top to bottom."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from . import check, ops
from .artifact import Code, Plan
from .emit import emit
from .fuse import fuse
from .graph import Graph, Node
from .kernel import Kernel
from .loop import Func
from .lowering import lower
from .plan import make_plan
from .program import Program
from .schedule import Schedule, schedule
from .simplify import simplify
from .target import Target
from .text import print_func, print_graph, print_kernel
from .verify import verify_func, verify_graph, verify_kernel

# Part of every cache key: raise it when the same kernel text is lowered or emitted differently.
LOWERING = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Every stage of one compile. `times` holds seconds by pass, in order.

    `picks[k]` tells where output k of `graph` is found: n >= 0 is the plan's output n, -1 - j is
    input j as it was given; in either case in row-major order, to be reshaped to the output's
    shape.
    """

    graph: Graph
    simplified: Graph
    picks: tuple[int, ...]
    program: Program
    schedules: tuple[Schedule, ...]
    codes: tuple[Code, ...]
    plan: Plan
    times: tuple[tuple[str, float], ...]


_KERNELS: dict[tuple[str, str], tuple[Schedule, Code]] = {}


def compile_graph(graph: Graph, target: Target, aliases: Sequence[int] = ()) -> Compiled:
    """Compile `graph` for `target`. `aliases[k]`: the input that output k may overwrite, or -1.

    LUCID_VERIFY=1 verifies after every pass, LUCID_CHECK=1 also interprets before and after every
    pass and compares, LUCID_DUMP=dir writes every stage to a file there.
    """
    trail = _Trail(graph)
    simplified = trail.step("simplify", lambda: simplify(graph))
    trail.checked("simplify", simplified, lambda: verify_graph(simplified), check.graphs, graph)
    core, picks = distinct(simplified)
    program = trail.step("fuse", lambda: fuse(core))
    for call in program.calls:
        trail.checked("fuse", call, lambda c=call: verify_kernel(c.kernel))  # type: ignore[misc]
    trail.checked("fuse", program, lambda: None, check.program, core)
    made = trail.step("lower and emit", lambda: [compile_kernel(c.kernel, target) for c in program.calls])
    schedules, codes = [s for s, _ in made], [c for _, c in made]
    for call in program.calls:
        trail.checked("lower", call, lambda: None, check.lowering, target)
    wanted = [-1] * len(core.outputs)
    for pick, alias in zip(picks, aliases, strict=False):
        if pick >= 0 and picks.count(pick) == 1:
            wanted[pick] = alias
    plan = trail.step("plan", lambda: make_plan(program, codes, schedules, wanted))
    compiled = Compiled(
        graph, simplified, picks, program, tuple(schedules), tuple(codes), plan, tuple(trail.times)
    )
    if dump := os.environ.get("LUCID_DUMP"):
        _dump(compiled, target, Path(dump))
    return compiled


def distinct(graph: Graph) -> tuple[Graph, tuple[int, ...]]:
    """The graph without outputs that cost nothing (inputs, repetitions, reshapes of others), and
    where to find all outputs: see `Compiled.picks`."""
    outputs: list[Node] = []
    picks: list[int] = []
    for node in graph.outputs:
        while node.op is ops.RESHAPE:
            node = node.inputs[0]
        if node.op is ops.INPUT:
            picks.append(-1 - graph.inputs.index(node))
            continue
        if node not in outputs:
            outputs.append(node)
        picks.append(outputs.index(node))
    return Graph(graph.name, graph.inputs, tuple(outputs)), tuple(picks)


def compile_kernel(kernel: Kernel, target: Target) -> tuple[Schedule, Code]:
    """Schedule, lower and emit one kernel; done once per text and target in a process."""
    text = print_kernel(kernel, locs=False)
    key = (text, target.key)
    found = _KERNELS.get(key)
    if found is None:
        plan = schedule(kernel, target.vector_bytes)
        funcs = loops(kernel, plan)
        llvm = emit(funcs, target.triple, target.vector_bytes)
        code = Code(f"{LOWERING}\n{target.key}\n{text}", kernel.name, llvm, len(funcs) > 1)
        found = _KERNELS[key] = (plan, code)
    return found


def loops(kernel: Kernel, plan: Schedule) -> list[Func]:
    """The loop level of a kernel, verified if asked."""
    funcs = lower(kernel, plan)
    if check.verifying():
        for func in funcs:
            verify_func(func)
    return funcs


class _Trail:
    """Times, verifies and compares after each pass."""

    def __init__(self, graph: Graph) -> None:
        self.times: list[tuple[str, float]] = []
        if check.verifying():
            verify_graph(graph)

    def step(self, name: str, run: Callable[[], T]) -> T:
        begin = time.perf_counter()
        result = run()
        self.times.append((name, time.perf_counter() - begin))
        return result

    def checked(
        self,
        name: str,
        new: object,
        verify: Callable[[], None],
        compare: Callable[..., None] | None = None,
        old: object = None,
    ) -> None:
        if check.verifying():
            verify()
        if check.comparing() and compare is not None:
            compare(name, old, new)


STAGES = ("graph", "simplified", "kernel", "loop", "llvm")


def stage_text(compiled: Compiled, stage: str, target: Target) -> str:
    """One stage of a compile as text; `stage` is one of STAGES."""
    if stage == "graph":
        return print_graph(compiled.graph, locs=True)
    if stage == "simplified":
        return print_graph(compiled.simplified, locs=True)
    unique = {
        id(c): (call, s, c)
        for call, s, c in zip(compiled.program.calls, compiled.schedules, compiled.codes, strict=True)
    }.values()
    if stage == "kernel":
        return "\n".join(print_kernel(c.kernel, locs=True) for c in compiled.program.calls)
    if stage == "loop":
        return "\n".join(print_func(f, locs=True) for call, s, _ in unique for f in loops(call.kernel, s))
    if stage == "llvm":
        return "\n".join(code.llvm for _, _, code in unique)
    raise ValueError(f"unknown stage {stage!r}; expected one of {', '.join(STAGES)}, asm")


_dumps = 0


def _dump(compiled: Compiled, target: Target, directory: Path) -> None:
    global _dumps
    _dumps += 1
    directory.mkdir(parents=True, exist_ok=True)
    for number, stage in enumerate(STAGES):
        name = f"{_dumps:03d}-{compiled.graph.name}.{number}-{stage}.txt"
        (directory / name).write_text(stage_text(compiled, stage, target))
