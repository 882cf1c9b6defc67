"""Plans as programs for other machines: compiled by LLVM for each, linked with `driver.c` by the C compiler
for it, and run, by qemu where the CPU is another one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lucid.compiler.ir.artifact import Launch, Plan
from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.target import HASWELL, NEOVERSE_N1, ZNVER4, Target
from lucid.compiler.pipeline import compile_graph, llvm_text
from lucid.runtime import chain, llvm
from lucid.runtime.execute import filled, grouped
from lucid.runtime.language import compiled

Array = np.ndarray[Any, Any]
THREADS = (1, 2, 3)


@data
class Machine:
    """`compiler` makes programs for it, `runner` runs them; `needs`: what the CPU here must have to."""

    target: Target
    compiler: str
    runner: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """What is not here to run its programs."""
        tools = [tool for tool in (self.compiler, *self.runner[:1]) if shutil.which(tool) is None]
        if tools:
            return f"there is no {tools[0]}"
        if not self.needs:
            return None
        flags = Path("/proc/cpuinfo").read_text().split("\n\n")[0].split()
        lacks = [name for name in self.needs if name not in flags]
        return f"this CPU has no {lacks[0]}" if lacks else None


MACHINES = {
    "AVX-512": Machine(ZNVER4, "gcc", needs=("avx512f", "avx512vl", "avx512bw", "avx512dq")),
    "AVX2": Machine(HASWELL, "gcc", needs=("avx2", "fma", "f16c")),
    "AArch64": Machine(NEOVERSE_N1, "aarch64-linux-gnu-gcc", ("qemu-aarch64",)),
}


class Batch:
    """Programs for one machine, to be run together."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.texts: list[str] = [compiled(chain.TEXT, ("chain",), chain.RECORDS, {})]
        self.functions: list[str] = ["chain"]
        self.modes: list[tuple[str, ...]] = []
        self._known: dict[str, tuple[int, int]] = {}
        self._words: list[Array] = []
        self._outputs: list[list[tuple[np.dtype[Any], tuple[int, ...], int]]] = []
        self._lengths: list[int] = []

    def add(self, graph: Graph, inputs: Sequence[Array]) -> None:
        made = compile_graph(graph, self.machine.target)
        stages, plan = made.stages, made.plan
        entries: dict[str, tuple[int, int]] = {}
        for call, schedule, code in zip(stages.program.calls, stages.schedules, stages.codes, strict=True):
            if code.key not in self._known:
                name = f"k{len(self.texts)}"  # of all programs in one: each its own
                self.texts.append(llvm_text(replace(call.kernel, name=name), schedule, self.machine.target))
                run = len(self.functions)
                self.functions += [name, f"{name}.finish"][: 1 + code.finish]
                self._known[code.key] = run, run + 1 if code.finish else -1
            entries[code.key] = self._known[code.key]
        self.modes.append(tuple(s.mode for s in stages.schedules))
        self._program(plan, inputs, entries)

    def _program(self, plan: Plan, inputs: Sequence[Array], entries: dict[str, tuple[int, int]]) -> None:
        """As `driver.c` reads it. Memory: inputs, outputs, what is between launches."""
        offsets, end = [0] * len(plan.buffers), 0

        def place(numbers: Sequence[int]) -> None:
            nonlocal end
            for i in numbers:
                offsets[i] = end
                end = (end + plan.buffers[i].nbytes + 63) // 64 * 64

        place(plan.inputs)
        given = bytearray(end)
        for i, array in zip(plan.inputs, inputs, strict=True):
            given[offsets[i] : offsets[i] + array.nbytes] = np.ascontiguousarray(array).tobytes()
        first = end
        place(plan.outputs)
        last = end
        for i, buffer in enumerate(plan.buffers):
            if buffer.kind == "temp":
                offsets[i] = last + buffer.offset
        end = (last + plan.temp_bytes + 63) // 64 * 64 or 64
        addresses, body = list(offsets), list[int]()
        groups = grouped(plan.launches)
        for group in groups:
            body += _group(group, entries, addresses)
        head = [end, len(given), first, last, len(addresses), len(groups), *addresses]
        content = np.frombuffer(bytes(given), np.int64)
        self._words.append(np.concatenate([np.array(head, np.int64), content, np.array(body, np.int64)]))
        types = [(plan.buffers[i], offsets[i] - first) for i in plan.outputs]
        self._outputs.append([(b.dtype.np, b.shape, at) for b, at in types])
        self._lengths.append(last - first)

    def run(self, folder: Path) -> list[dict[int, list[Array]]]:
        """Of each program the outputs of its plan, by the count of threads."""
        objects = []
        for n, text in enumerate(self.texts):
            objects.append(folder / f"k{n}.o")
            objects[-1].write_bytes(llvm.emit_object(text, self.machine.target, flat=True))
        names = [
            f'extern void f{n}(int64_t *, int64_t, int64_t) __asm__("{f}");'
            for n, f in enumerate(self.functions)
        ]
        table = ", ".join(f"f{n}" for n in range(len(names)))
        source = [
            "#include <stdint.h>",
            *names,
            f"void (*const functions[])(int64_t *, int64_t, int64_t) = {{{table}}};",
        ]
        (folder / "table.c").write_text("\n".join(source) + "\n")
        (folder / "files").write_text("\n".join(map(str, objects)))
        driver = Path(__file__).parent / "driver.c"
        sources = [str(folder / "table.c"), str(driver)]
        program = folder / "driver"
        command = [self.machine.compiler, "-O1", "-static", "-pthread", "-o", str(program), *sources]
        subprocess.run([*command, f"@{folder / 'files'}", "-lm"], check=True)
        np.concatenate([np.array([len(self._words)], np.int64), *self._words]).tofile(folder / "programs")
        words = [str(folder / "programs"), str(folder / "outputs")]
        subprocess.run([*self.machine.runner, str(program), *words], check=True)
        content, at = (folder / "outputs").read_bytes(), 0
        found: list[dict[int, list[Array]]] = []
        for types, length in zip(self._outputs, self._lengths, strict=True):
            found.append({})
            for threads in THREADS:
                part = content[at : at + length]
                found[-1][threads] = [
                    np.frombuffer(part, dtype, int(np.prod(shape)), begin).reshape(shape)
                    for dtype, shape, begin in types
                ]
                at += length
        assert at == len(content)
        return found


def _group(group: Sequence[Launch], entries: dict[str, tuple[int, int]], addresses: list[int]) -> list[int]:
    if group[0].strip is None:
        body = [len(group)]
        for launch in group:
            slots, patches = filled(launch)
            body += [
                *entries[launch.code.key],
                launch.blocks,
                len(slots),
                len(patches) // 3,
                *slots,
                *patches,
            ]
        return body
    slots, patches = chain.record(group, [(0, *filled(launch)) for launch in group])
    scratch = group[0].scratch
    assert scratch is not None
    at = chain.HEAD + scratch.areas
    for launch in group:  # functions of a chain are called by it
        patches += [at, len(addresses), 0]
        addresses.append(-1 - entries[launch.code.key][0])
        assert launch.strip is not None
        at += chain.RECORD + len(launch.slots) + 3 * len(launch.strip.places)
    return [1, 0, -1, group[0].blocks, len(slots), len(patches) // 3, *slots, *patches]
