"""The whole compiler: a graph in, a plan with code out. Reads top to bottom."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from . import ops
from .artifact import Code, Plan
from .fuse import fuse
from .graph import Graph, Node
from .kernel import Kernel
from .layout import totals
from .plan import make_plan
from .program import Program
from .schedule import Schedule, schedule
from .simplify import simplify
from .target import Target
from .text_kernel import print_kernel

if TYPE_CHECKING:
    from .loop import Func

# Part of every cache key: raise it when the same kernel text is lowered or emitted differently.
LOWERING = 1


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
    pass and compares.
    """
    audit = _audit()
    clock = _Clock()
    if audit:
        audit.graph(graph)
    simplified = simplify(graph)
    clock.lap("simplify")
    if audit:
        audit.simplified(graph, simplified)
    core, picks = distinct(simplified)
    program = fuse(core)
    clock.lap("fuse")
    if audit:
        audit.fused(core, program)
    made = [compile_kernel(c.kernel, target) for c in program.calls]
    schedules, codes = [s for s, _ in made], [c for _, c in made]
    clock.lap("schedule")
    if audit:
        audit.lowered(program, target)
    wanted = [-1] * len(core.outputs)
    for pick, alias in zip(picks, aliases, strict=False):
        if pick >= 0 and picks.count(pick) == 1:
            wanted[pick] = alias
    plan = make_plan(program, codes, schedules, wanted)
    clock.lap("plan")
    times = tuple(clock.laps)
    return Compiled(graph, simplified, picks, program, tuple(schedules), tuple(codes), plan, times)


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
    """Schedule one kernel; done once per text and target in a process. Its code is lowered and
    emitted when somebody asks for it: not if machine code for the same text is at hand."""
    text = print_kernel(kernel, locs=False)
    key = (text, target.key)
    found = _KERNELS.get(key)
    if found is None:
        plan = schedule(kernel, target.vector_bytes)
        finish = bool(totals(kernel) or kernel.final)

        def source() -> str:
            from .emit import emit  # not needed where machine code is cached

            return emit(loops(kernel, plan), target.triple, target.vector_bytes)

        code = Code(f"{LOWERING}\n{target.key}\n{text}", kernel.name, source, finish)
        found = _KERNELS[key] = (plan, code)
    return found


def loops(kernel: Kernel, plan: Schedule) -> list[Func]:
    """The loop level of a kernel, verified if asked."""
    from .lowering import lower  # not needed where machine code is cached

    funcs = lower(kernel, plan)
    if audit := _audit():
        audit.funcs(funcs)
    return funcs


def _audit() -> ModuleType | None:
    """The module that verifies and compares, if the environment asks for it."""
    for name in ("LUCID_VERIFY", "LUCID_CHECK"):
        if os.environ.get(name, "0") not in ("", "0"):
            return import_module(".check", __package__)
    return None


class _Clock:
    """Seconds by pass."""

    def __init__(self) -> None:
        self.laps: list[tuple[str, float]] = []
        self._begin = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps.append((name, now - self._begin))
        self._begin = time.perf_counter()


STAGES = ("graph", "simplified", "kernel", "loop", "llvm")


def stage_text(compiled: Compiled, stage: str, target: Target) -> str:
    """One stage of a compile as text; `stage` is one of STAGES."""
    from .text import print_func, print_graph  # only who looks inside needs them

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
