"""A plan for the GPU of this machine, run by NVIDIA's driver."""

from __future__ import annotations

from lucid.compiler.gpu.target import PTX
from lucid.compiler.pipeline import Compiled
from lucid.runtime.cuda.device import device
from lucid.runtime.cuda.errors import ELSEWHERE, CudaError
from lucid.runtime.cuda.program import Launch, Program

from .errors import here
from .gpu import described
from .residence import there_is_a_gpu


def number(arch: str) -> int:
    return int(arch.removeprefix("sm_"))


def architecture(capability: tuple[int, int]) -> str:
    """The newest architecture that code can be made for and such a GPU runs: PTX is compiled for it by the
    driver, also where the GPU is newer. ValueError for one that is older than all."""
    major, minor = capability
    found = [arch for arch in PTX if number(arch) <= 10 * major + minor]
    if not found:
        oldest = min(PTX, key=number)
        raise ValueError(f"a GPU of sm_{major}{minor}: {oldest} is the oldest that serves; {ELSEWHERE}")
    return max(found, key=number)


def lines(compiled: Compiled) -> dict[str, str]:
    """Of each kernel, by the key of its code, the user's first line."""
    inside = compiled.stages
    found = {}
    for call, code in zip(inside.program.calls, inside.codes, strict=True):
        stages = (*call.kernel.stages, *call.kernel.final)
        found[code.key] = next((str(s.loc) for stage in stages for s in stage.body if s.loc), "")
    return found


def arch() -> str:
    """Of the GPU of this machine. CudaError where there is none."""
    return architecture(device().capability)


def is_available() -> bool:
    """Whether this machine has a GPU that lucid makes code for, and its driver."""
    return there_is_a_gpu()


def device_count() -> int:
    """How many of them lucid uses: one, or none."""
    return int(is_available())


def found() -> str:
    """The GPU of this machine, or why there is none, in words."""
    try:
        return f"{device().name}, {arch()}"
    except (CudaError, ValueError) as error:
        return str(error)


def asked() -> None:
    """Somebody asks for the GPU: an error with the user's line where there is none."""
    try:
        arch()
    except CudaError as error:
        raise error.within(here("device 'cuda'")) from None
    except ValueError as error:
        raise ValueError(here(f"device 'cuda': {error}")) from None


def program(compiled: Compiled) -> Program:
    """What takes the place of `lucid.runtime.execute.Executable`. CudaError for what the driver refuses."""
    gpu = device()
    made = described(compiled, architecture(gpu.capability))
    where = lines(compiled)
    launches = [
        Launch(x.code.key, x.entry.name, x.grid, x.entry.threads, x.values, where[x.code.key], x.shared)
        for x in made.launches
    ]
    return Program(gpu, made.plan, made.modules, launches)
