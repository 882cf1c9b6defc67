"""A plan for a GPU, run by the simulator: every launch executes the text of its kernel."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid.compiler.gpu.launch import Launch
from lucid.compiler.gpu.simulator import Counts, Memory, Module, launch, parse
from lucid.compiler.gpu.target import ARCH
from lucid.compiler.ir.artifact import Address
from lucid.compiler.pipeline import Compiled

from .gpu import Ptx, described

Array = np.ndarray[Any, Any]
_parsed = functools.lru_cache(maxsize=256)(parse)


def simulate(program: Ptx, arrays: Sequence[Array]) -> tuple[list[Array], list[Counts]]:
    """Outputs of the plan, and what each launch has done. `arrays`: inputs in row-major order; none changes.
    An output that may overwrite an input does. PtxError for what a device would do in silence: races,
    accesses outside of an array, reads of what nobody wrote."""
    memory, plan = Memory(), program.plan
    modules: dict[str, Module] = {key: _parsed(text) for key, text in program.modules.items()}
    inputs = dict(zip(plan.inputs, arrays, strict=True))
    shared = {plan.inputs[j]: n for n, j in zip(plan.outputs, plan.aliases, strict=True) if j >= 0}
    places = {n: memory.upload(a, f"input {n}", n in shared) for n, a in inputs.items()}
    places |= {output: places[n] for n, output in shared.items()}
    for n, buffer in enumerate(plan.buffers):
        if n not in places:
            places[n] = memory.allocate(buffer.nbytes, f"{buffer.kind} {n}")

    def argument(given: Address | int | bytes) -> int | bytes:
        return places[given.buffer] + given.offset if isinstance(given, Address) else given

    def run(step: Launch) -> Counts:
        args = [argument(value) for value in step.values]
        module, entry = modules[step.code.key], step.entry
        return launch(module, entry.name, step.grid, entry.threads, args, memory, step.shared)

    counts = [run(step) for step in program.launches]
    outputs = ((places[n], plan.buffers[n]) for n in plan.outputs)
    return [memory.download(place, b.shape, b.dtype.np) for place, b in outputs], counts


class Simulated:
    """Takes the place of `lucid.runtime.execute.Executable`."""

    def __init__(self, compiled: Compiled) -> None:
        self.plan = compiled.plan
        self.program = described(compiled, ARCH)
        self.counts: list[Counts] = []  # of the launches of the latest call

    def __call__(
        self,
        inputs: Sequence[Array],
        out: Sequence[Array | None] | None = None,
        threads: int | None = None,
    ) -> list[Array]:
        """`out[k]`, if given, receives output k."""
        results, self.counts = simulate(self.program, inputs)
        for k, array in enumerate(out or ()):
            if array is not None:
                np.copyto(array, results[k])
                results[k] = array
        return results
