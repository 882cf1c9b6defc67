"""`compiled.profile(...)` on a GPU: times of its launches by events, beside what its clocks and widths
allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lucid.compiler.gpu.launch import launches
from lucid.compiler.ir.data import data
from lucid.compiler.pipeline import entries
from lucid.runtime.cuda.device import Device
from lucid.runtime.cuda.program import Program
from lucid.runtime.timing import Times

from ..gpu import numbers

if TYPE_CHECKING:
    from ..engine import Array, Executable

PASSES = 30
NO_COUNTERS = "a GPU's are read by tools of its manufacturer"


@data
class _Limits:
    """No kernel is faster than these, and few come near. Infinite where the driver does not say."""

    memory: float
    arithmetic: float

    def bandwidth(self, nbytes: int, threads: int) -> float:
        return self.memory or float("inf")

    def multiply_adds(self, threads: int) -> float:
        return self.arithmetic or float("inf")


def program_of(executable: Executable) -> Program:
    native: object = executable.native
    assert isinstance(native, Program)
    return native


def limits_of(executable: Executable) -> _Limits:
    device: Device = program_of(executable).device
    with device.held():
        return _Limits(device.bandwidth(), device.multiply_adds())


def times_of(executable: Executable, inputs: Sequence[Array]) -> tuple[Times, list[list[int]]]:
    """Times of each launch alone, and of the graph of all of them; and which launches of the plan these are.
    What is computed goes to memory of its own."""
    program, made = program_of(executable), executable.compiled
    units = [[n] for n in numbers(made.plan, launches(made.plan, entries(made)))]
    every = [seconds for _, seconds in program.profile(inputs, PASSES)]
    whole = program.seconds(inputs, PASSES)
    passes, begin = list[list[tuple[float, float]]](), 0.0
    for n in range(PASSES):
        passes.append([])
        for seconds in every:
            passes[-1].append((begin, seconds[n]))
            begin += seconds[n]
    nothing: list[tuple[float, ...]] = [()] * len(units)
    counts: list[dict[str, float]] = [{}] * len(units)
    return Times([1] * len(units), passes, whole, [], nothing, counts, NO_COUNTERS, []), units
