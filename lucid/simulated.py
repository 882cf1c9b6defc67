"""A plan for a GPU, run by the simulator: every launch executes the text of its kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid.compiler.gpu.launch import Launch
from lucid.compiler.gpu.simulator import Counts, Memory, launch, parse
from lucid.compiler.ir.artifact import Address

from .gpu import Ptx

Array = np.ndarray[Any, Any]


def simulate(program: Ptx, arrays: Sequence[Array]) -> tuple[list[Array], list[Counts]]:
    """Outputs of the plan, and what each launch has done. `arrays`: inputs in row-major order. PtxError for
    what a device would do in silence: races, accesses outside of an array, reads of what nobody wrote."""
    memory, plan = Memory(), program.plan
    modules = {key: parse(text) for key, text in program.modules.items()}
    places: dict[int, int] = {}
    inputs = dict(zip(plan.inputs, arrays, strict=True))
    for number, buffer in enumerate(plan.buffers):
        if number in inputs:
            places[number] = memory.upload(inputs[number], f"input {number}", writable=False)
        else:
            places[number] = memory.allocate(buffer.nbytes, f"{buffer.kind} {number}")

    def argument(given: Address | int | bytes) -> int | bytes:
        return places[given.buffer] + given.offset if isinstance(given, Address) else given

    def run(step: Launch) -> Counts:
        args = [argument(value) for value in step.values]
        module, entry = modules[step.code.key], step.entry
        return launch(module, entry.name, step.grid, entry.threads, args, memory)

    counts = [run(step) for step in program.launches]
    outputs = [plan.buffers[n] for n in plan.outputs]
    return [
        memory.download(places[n], b.shape, b.dtype.np) for n, b in zip(plan.outputs, outputs, strict=True)
    ], counts
