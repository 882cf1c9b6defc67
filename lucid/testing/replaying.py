"""`record` and `replay`: a call in a file, and the first launch of it that differs on another machine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import lucid
from lucid.compiler.ir import kernel as k
from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.ir.program import Call, Operand, Program
from lucid.compiler.ir.target import Target
from lucid.compiler.passes.arrange import arrange
from lucid.compiler.passes.plan import make_plan
from lucid.compiler.pipeline import compile_kernel
from lucid.compiler.single import memory
from lucid.compiler.verify.error import VerifyError
from lucid.runtime.execute import Executable as Native
from lucid.runtime.host import host
from lucid.runtime.pool import get_num_threads

from ..engine import Executable
from ..errors import here, public
from .capsule import Array, Capsule, CapsuleError, Launch, as_capsule, digest, read, write
from .checking import real
from .traced import UnfitError, name_of, traced


@data
class Difference:
    """The first launch whose outputs are not those that were recorded: which of them, by name, and the lines
    of the user's that it computes. `number` 0: the launches are alike, but not what they give together."""

    number: int
    launch: str
    lines: tuple[str, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        if not self.number:
            return (
                f"each launch has the recorded bits, but {', '.join(self.outputs)} of the whole plan differ"
            )
        lines = f" at {'; '.join(self.lines)}" if self.lines else ""
        told = f"launch {self.number}, `{self.launch}`{lines}, is the first that differs"
        return f"{told}: {', '.join(self.outputs)}"


@data
class Replay:
    """What `replay` has found. `made`: where it was recorded; `here`: where it was replayed."""

    name: str
    made: Mapping[str, str]
    here: Mapping[str, str]
    launches: int
    difference: Difference | None

    def __str__(self) -> str:
        other = [key for key in self.here if self.made.get(key) != self.here[key]]
        said = [f"{self.name}: {self.launches} launches, recorded by lucid {self.made.get('lucid', '?')}"]
        said += [f"  {key}: {self.made.get(key, '?')} there, {self.here[key]} here" for key in other]
        same = "the same bits in each" if self.launches else "nothing is launched, so nothing was compared"
        return "\n".join([*said, f"  {self.difference or same}"])


@public
def record(f: Callable[..., Any], *args: Any, path: str) -> None:
    """Call `f`, and write to the file `path` what makes the call again, anywhere: its kernels, inputs, and a
    hash of what each launch has written. ValueError if `f` changes tensors, or a library takes part in it;
    OSError if the file cannot be written."""
    call = traced(f, args)
    if not call.results:
        raise UnfitError(here(f"record of {name_of(f)}: it returns no tensor, so there is nothing to record"))
    if not isinstance(call.executable, Executable):
        raise ValueError(
            here(f"record of {name_of(f)}: a library computes a part of it, which no capsule holds")
        )
    compiled = call.executable.compiled
    program, named = compiled.stages.program, compiled.named
    _, inputs = real(call)
    calls = [
        (shown.kernel.name, _lines(shown.kernel), own)
        for own, shown in zip(program.calls, named.calls, strict=True)
    ]
    bound = dict(zip(program.graph.inputs, inputs, strict=True))
    capsule = as_capsule(name_of(f), machine(host(), get_num_threads()), bound, program.graph.outputs, calls)
    launches = [
        replace(launch, hashes=_hashes(launch, found)) for launch, found in _run(capsule, host(), None)
    ]
    write(replace(capsule, launches=tuple(launches)), path)


@public
def replay(path: str, threads: int | None = None) -> Replay:
    """Run each launch of a capsule on this machine, and compare what it writes. `threads`: at most so many.
    OSError; CapsuleError, a ValueError of one line, for a file that is no capsule or a damaged one."""
    return replayed(read(path), path, host(), threads)


def replayed(capsule: Capsule, path: str, target: Target, threads: int | None) -> Replay:
    """The same for a target whose code runs here."""
    try:
        found = _difference(capsule, target, threads)
    except VerifyError as error:
        raise CapsuleError(f"{path}: {error.message}") from None
    except MemoryError as error:
        raise CapsuleError(f"{path}: {error or 'its arrays take more memory than there is'}") from None
    most = get_num_threads()
    there = machine(target, most if threads is None else min(threads, most))
    return Replay(capsule.name, capsule.made, there, len(capsule.launches), found)


def machine(target: Target, threads: int) -> dict[str, str]:
    """What may be looked at first where bits differ."""
    return {
        "lucid": lucid.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "cpu": f"{target.triple} {target.cpu}",
        "vectors": f"{target.vector_bytes} bytes",
        "threads": str(threads),
    }


def _lines(kernel: k.Kernel) -> tuple[str, ...]:
    """The user's lines that a kernel computes, each once."""
    every = [stmt.loc for stage in (*kernel.stages, *kernel.final) for stmt in stage.body]
    return tuple(dict.fromkeys(f"{loc.file}:{loc.line}" for loc in every if loc is not None))


def _hashes(launch: Launch, found: Mapping[str, Array]) -> dict[str, str]:
    return {o.name: digest(found[o.name], o.dtype) for o in launch.call.kernel.outputs}


def _difference(capsule: Capsule, target: Target, threads: int | None) -> Difference | None:
    values: dict[Node, Array] = {}
    for number, (launch, found) in enumerate(_run(capsule, target, threads), 1):
        own = _hashes(launch, found)
        unlike = tuple(name for name in own if own[name] != launch.hashes[name])
        if unlike:
            return Difference(number, launch.name, launch.lines, unlike)
        values |= {launch.call.arrays[name].node: array for name, array in found.items()}
    together = _native(
        capsule.nodes[: len(capsule.inputs)], capsule.outputs, [x.call for x in capsule.launches], target
    )
    results = together(capsule.inputs, threads=threads)
    unlike = tuple(
        f"output {n}"
        for n, (node, array) in enumerate(zip(capsule.outputs, results, strict=True))
        if digest(array, node.type.dtype) != digest(values[node], node.type.dtype)
    )
    return Difference(0, "", (), unlike) if unlike else None


def _run(capsule: Capsule, target: Target, threads: int | None) -> Iterator[tuple[Launch, dict[str, Array]]]:
    """Each launch by itself, with what it writes by name. VerifyError unless every access is proven."""
    values = dict(zip(capsule.nodes, capsule.inputs, strict=False))
    last = {o.node: n for n, launch in enumerate(capsule.launches) for o in launch.call.arrays.values()}
    for n, launch in enumerate(capsule.launches):
        call = launch.call
        reads = tuple(dict.fromkeys(call.reads))
        for node in reads:
            if node not in values:
                raise VerifyError(f"launch {n + 1}, `{launch.name}`, reads what no launch has written before")
        inputs = {node: memory("x", node.type, written=False) for node in reads}
        bound = {
            name: Operand(inputs.get(o.node, o.node), o.offset, o.strides) for name, o in call.arrays.items()
        }
        native = _native(tuple(inputs.values()), call.writes, [replace(call, arrays=bound)], target)
        found = native([values[node] for node in reads], threads=threads)
        yield launch, dict(zip((o.name for o in call.kernel.outputs), found, strict=True))
        values |= zip(call.writes, found, strict=True)
        for node in {o.node for o in call.arrays.values()} - set(capsule.outputs):
            if last[node] == n:
                del values[node]


def _native(inputs: tuple[Node, ...], outputs: tuple[Node, ...], calls: list[Call], target: Target) -> Native:
    """Calls as a plan of their own; threads take part however small it is."""
    made = [compile_kernel(call.kernel, target) for call in calls]
    program = Program(Graph("replay", inputs, outputs), tuple(calls))
    plan = make_plan(program, [code for _, code in made], [schedule for schedule, _ in made])
    return Native(arrange(plan), parallel=0)
