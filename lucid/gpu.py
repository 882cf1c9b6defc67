"""Graphs as PTX: the text of their kernels for NVIDIA's GPUs, and how they are launched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lucid.compiler.edit import edited
from lucid.compiler.gpu.allowed import check
from lucid.compiler.gpu.launch import Launch, launches
from lucid.compiler.gpu.target import target
from lucid.compiler.ir.artifact import Address, Code, Plan
from lucid.compiler.ir.data import data, field, replace
from lucid.compiler.ir.graph import Graph, Loc
from lucid.compiler.ir.kernel import Kernel
from lucid.compiler.ir.layout import Slot
from lucid.compiler.llvm.listing import assembly_lines, listing
from lucid.compiler.pipeline import (
    Compiled,
    chosen,
    compile_graph,
    entries,
    entries_and_texts,
    lined,
    lined_codes,
)
from lucid.compiler.text.kernel import kernel_lines
from lucid.runtime.load import assembly


@data
class Ptx:
    """`modules`: PTX by the key of a kernel's code. `launches` run one after the other over the buffers of
    `plan`, of which those of the kind "temp" lie in `plan.temp_bytes` bytes of working memory. `inputs` and
    `results`: names, and the number of the buffer of each."""

    arch: str
    modules: Mapping[str, str]
    launches: tuple[Launch, ...]
    plan: Plan
    inputs: tuple[tuple[str, int], ...]
    results: tuple[tuple[str, int], ...]
    made: Compiled = field(compare=False)

    def place(self, key: str, line: int) -> tuple[str, Loc] | None:
        """What a line of a module is for: the statement of its kernel, and the user's line; None for what is
        for none."""
        for kernel, plan, code in chosen(self.made, None, once=True):
            if code.key == key:
                found, lines = lined(kernel, plan, code, target(self.arch))
                rows = assembly_lines(text_of(found, self.arch), lines, target(self.arch))
                loc = rows[line - 1][1]
                every = [(text.strip(), of) for text, of in kernel_lines(kernel) if of is not None]
                said = [text for text, of in every if loc in [replace(x, also=()) for x in (of, *of.also)]]
                return None if loc is None else (f"kernel {kernel.name}: {'; '.join(said)}", loc)
        raise KeyError(key)

    def __str__(self) -> str:
        """The launches, a line each, with their parameters."""
        return "\n".join(map(self.line, self.launches))

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for those who run it without lucid: docs/gpu.md says what each entry
        means."""
        keys = list(self.modules)

        def parameter(slot: Slot, value: Address | int | bytes) -> dict[str, Any]:
            if isinstance(value, Address):
                return {"name": slot.name, "buffer": value.buffer, "offset": value.offset}
            if isinstance(value, int):
                return {"name": slot.name, "value": value}
            return {"name": slot.name, "dtype": str(slot.dtype), "bytes": value.hex()}

        return {
            "arch": self.arch,
            "modules": list(self.modules.values()),
            "working": self.plan.temp_bytes,
            "buffers": [
                {
                    "kind": b.kind,
                    "dtype": str(b.dtype),
                    "shape": list(b.shape),
                    "bytes": b.nbytes,
                    "offset": b.offset,
                }
                for b in self.plan.buffers
            ],
            "inputs": [{"name": name, "buffer": number} for name, number in self.inputs],
            "results": [{"name": name, "buffer": number} for name, number in self.results],
            "launches": [
                {
                    "module": keys.index(step.code.key),
                    "entry": step.entry.name,
                    "grid": step.grid,
                    "threads": step.entry.threads,
                    "shared": step.shared,
                    "parameters": list(map(parameter, step.entry.slots, step.values)),
                }
                for step in self.launches
            ],
        }

    def line(self, launch: Launch) -> str:
        """One launch in words."""
        found = launch.entry
        shared = found.shared + launch.shared
        head = f"{found.name}: grid {launch.grid}, {found.threads} threads, {shared} bytes shared"
        return "\n".join([head, *(f"  {self.parameter(launch, n)}" for n in range(len(found.slots)))])

    def parameter(self, launch: Launch, number: int) -> str:
        slot, value = launch.entry.slots[number], launch.values[number]
        if isinstance(value, Address):
            buffer, names = self.plan.buffers[value.buffer], (*self.inputs, *self.results)
            called = next((f" {name}" for name, number in names if number == value.buffer), "")
            place = f"{buffer.kind} {value.buffer}{called}: {buffer.dtype}{[*buffer.shape]}"
            offset = value.offset + buffer.offset
            return f"{slot.name}: .u64, {place}" + (f" + {offset} bytes" if offset else "")
        if isinstance(value, int):
            return f"{slot.name}: .u64, {value}"
        return f"{slot.name}: {slot.dtype}, bytes {value.hex()}"


def ptx(graph: Graph, arch: str, aliases: Sequence[int] = (), edits: Sequence[Kernel] = ()) -> Ptx:
    """`edits`: kernels that stand in place of those of their names. ValueError for an unknown architecture,
    and for a kernel that needs more than there is."""
    return described(compiled_for(graph, arch, aliases, edits), arch)


def named_ptx(
    graph: Graph, arch: str, aliases: Sequence[int], edits: Sequence[Kernel], kernel: str | None
) -> str:
    """The text of all kernels, or of one, under the names of those of the kernel level. ValueError as for
    `ptx`, and for an unknown name."""
    texts = []
    for code, lines in lined_codes(compiled_for(graph, arch, aliases, edits), target(arch), kernel):
        texts.append(listing(text_of(code, arch), lines, target(arch)))
        check(texts[-1], code.llvm)
    return "\n".join(texts)


def compiled_for(graph: Graph, arch: str, aliases: Sequence[int], edits: Sequence[Kernel]) -> Compiled:
    made = compile_graph(graph, target(arch), aliases)
    for kernel in edits:
        made = edited(made, kernel, target(arch))
    return made


def numbers(plan: Plan, every: Sequence[Launch]) -> list[int]:
    """Of what a GPU launches: which launch of the plan each is. (Those without blocks are none.)"""
    found, number = list[int](), -1
    for launch in every:
        number = next(
            n
            for n in range(number + 1, len(plan.launches))
            if plan.launches[n].code.key == launch.code.key and plan.launches[n].slots == launch.values
        )
        found.append(number)
    return found


def told(made: Compiled, registers: Sequence[int] = ()) -> dict[int, tuple[str, ...]]:
    """How a GPU does the launches of a plan, in words, by the number of each. `registers`: of each entry that
    is launched, where the driver has said so."""
    found: dict[int, list[str]] = {}
    every = launches(made.plan, entries(made))
    for k, (number, launch) in enumerate(zip(numbers(made.plan, every), every, strict=True)):
        shared = launch.entry.shared + launch.shared
        used = f", {registers[k]} registers" if registers else ""
        found.setdefault(number, []).append(
            f"launch {launch.entry.name}: grid {launch.grid}, {launch.entry.threads} threads, "
            f"{shared:,} bytes shared{used}"
        )
    return {n: tuple(words) for n, words in found.items()}


def text_of(code: Code, arch: str) -> str:
    """The PTX of a code for GPUs."""
    heads = [line for line in code.llvm.splitlines() if line.startswith("define")]
    return assembly(code, target(arch, 8 * max(head.count("%slot.") for head in heads)))


def described(made: Compiled, arch: str) -> Ptx:
    """A graph that was compiled for this architecture."""
    found = entries_and_texts(made, target(arch))
    codes = {code.key: replace(code, source=found[code.key][1]) for code in made.codes}
    modules = {key: text_of(code, arch) for key, code in codes.items()}
    for key, text in modules.items():
        check(text, codes[key].llvm)
    plan, graph = made.plan, made.written
    names = [str(node.attrs["name"]) for node in graph.inputs]
    called = graph.called or ["result"] * len(made.picks)
    places = [plan.outputs[pick] if pick >= 0 else plan.inputs[-1 - pick] for pick in made.picks]
    return Ptx(
        arch,
        modules,
        launches(plan, {key: e for key, (e, _) in found.items()}),
        plan,
        tuple(zip(names, plan.inputs, strict=True)),
        tuple(zip(called, places, strict=True)),
        made,
    )
