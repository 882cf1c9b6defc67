"""A program whose draws run on another device: the bits of the CPU, or NaN where that has NaN."""

from __future__ import annotations

import warnings

import numpy as np

from lucid.compiler.ir.graph import toposort

from ..engine import Executable, build
from ..residence import Device
from .bits import bits_apart
from .draws import Draw
from .family import Family, Fault
from .program import Program

# Elements of all values of a program that the simulator is asked to run.
MOST = 100_000


def small(program: Program) -> bool:
    """Whether a device that is simulated takes it in moderate time."""
    values = program.run(np, program.inputs)
    return sum(int(np.size(v)) for v in values.values() if isinstance(v, np.ndarray | np.generic)) <= MOST


class Abroad(Family):
    """Compares, for each draw, what the plan gives on the CPU and on `device`, gradients and the verdict on
    indices included. Of all draws of one shape there is one plan, of all shapes one text of each kernel where
    the passes take the same steps."""

    def __init__(self, program: Program, smooth: bool, device: Device) -> None:
        super().__init__(program, smooth)
        self.device = device
        self.others: dict[Executable, Executable] = {}
        self.features: set[tuple[str, ...]] = set()

    def fault(self, draw: Draw) -> Fault | None:
        kind = "CPU"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                form = self.form(draw.program)
                if form is None:  # a library takes part
                    return None
                inputs = form.inputs(list(draw.program.inputs.values()))
                first, kind = form.shared(inputs), self.device
                other = self._other(form.shared)
                for k, (a, b) in enumerate(zip(first, other(inputs), strict=True)):
                    said = bits_apart(a, np.asarray(b))
                    if said is not None:
                        return Fault(kind, f"output {k}, CPU and {kind}: {said}")
            except Exception as error:
                return Fault(f"{kind}, {type(error).__name__}", str(error))
        return None

    def _other(self, executable: Executable) -> Executable:
        found = self.others.get(executable)
        if found is None:
            made = build(executable.compiled.written, device=self.device, judged=executable.judged)
            assert isinstance(made, Executable)
            found = self.others[executable] = made
            graph, stages = made.compiled.graph, made.compiled.stages
            self.features |= {("mode", plan.mode) for plan in stages.schedules}
            self.features |= {(n.op.name, n.type.dtype.name) for n in toposort(graph.outputs)}
        return found
