"""A plan for a GPU, run by the simulator: every launch executes the text of its kernel. Its memory is there
as long as a plan runs; between plans arrays of the device are kept here, where nobody looks at them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid.compiler.gpu.launch import Launch
from lucid.compiler.gpu.simulator import Counts, Memory, Module, PtxError, launch, parse
from lucid.compiler.gpu.simulator.ptx import Loc
from lucid.compiler.gpu.target import ARCH
from lucid.compiler.ir.artifact import Address
from lucid.compiler.pipeline import Compiled
from lucid.runtime.stored import Block, Stored

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
        try:
            return launch(module, entry.name, step.grid, entry.threads, args, memory, step.shared)
        except PtxError as error:
            raise placed(error, program, step.code.key) from None

    counts = [run(step) for step in program.launches]
    outputs = ((places[n], plan.buffers[n]) for n in plan.outputs)
    return [memory.download(place, b.shape, b.dtype.np) for place, b in outputs], counts


def placed(error: PtxError, program: Ptx, key: str) -> PtxError:
    """The error with the statement of the kernel, and the user's line, that the line of PTX is for."""
    found = None if error.line is None else program.place(key, error.line)
    if found is None:
        return error
    said, loc = found
    return PtxError(error.kind, f"{error.message}; {said}", error.line, error.text, Loc(loc.file, loc.line))


class _Kept(Block):
    """Content of the device's memory."""

    __slots__ = ("content",)

    def __init__(self, content: Array) -> None:
        super().__init__(HOME, 0, content.nbytes)
        self.content = content


class Simulator:
    """The home of arrays on "ptx-sim"."""

    where = "ptx-sim"

    def new(self, nbytes: int) -> Block:
        return _Kept(np.zeros(nbytes, np.uint8))

    def put(self, array: Array) -> Stored:
        source = np.require(array, array.dtype.newbyteorder("="))
        content = np.frombuffer(source.tobytes(), np.uint8)
        return Stored(_Kept(content), source.dtype, source.shape)

    def fetch(self, stored: Stored, to: Array) -> None:
        np.copyto(to, contents(stored))

    def copy(self, stored: Stored) -> Stored:
        return self.put(contents(stored))

    def release(self, address: int) -> None:
        """Python does that."""


HOME = Simulator()


def contents(stored: Stored) -> Array:
    """What lies on "ptx-sim"."""
    block = stored.block
    assert isinstance(block, _Kept)
    return block.content[: stored.nbytes].view(stored.dtype).reshape(stored.shape)


class Simulated:
    """Takes the place of `lucid.runtime.execute.Executable`, over arrays of either kind."""

    def __init__(self, compiled: Compiled) -> None:
        self.plan = compiled.plan
        self.program = described(compiled, ARCH)
        self.counts: list[Counts] = []  # of the launches of the latest call

    def __call__(
        self,
        inputs: Sequence[Array | Stored],
        out: Sequence[Stored | None] | None = None,
        threads: int | None = None,
    ) -> list[Stored]:
        """`out[k]`, if given, is the input that output k takes the memory of."""
        arrays = [contents(x) if isinstance(x, Stored) else x for x in inputs]
        results, self.counts = simulate(self.program, arrays)
        found = [HOME.put(array) for array in results]
        for k, target in enumerate(out or ()):
            if target is not None:
                assert isinstance(target.block, _Kept)
                target.block.content = results[k].reshape(-1).view(np.uint8)
                found[k] = target.seen(results[k].dtype, results[k].shape)
        return found
