"""Lines of loops, LLVM and assembly, each with the set of places that it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lucid.compiler.cpu.schedule import Schedule
from lucid.compiler.ir.artifact import Code
from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.graph import Loc
from lucid.compiler.ir.kernel import Call, Kernel, operands, walk
from lucid.compiler.ir.target import Target
from lucid.compiler.llvm import listing
from lucid.compiler.llvm.places import places
from lucid.compiler.pipeline import Compiled, chosen, lined, loops
from lucid.compiler.text.loop import func_lines
from lucid.runtime.load import assembly

from .places import Places

# A line of a text, and its set of places.
Line = tuple[str, int]
# From where a statement of the first kernel of a code comes from to a set: that of all kernels of the code.
Told = Callable[[Loc | None], int]


@data
class Shared:
    """Kernels of one graph, and their `numbers` in it, that have one code: they are the same but for names
    and places."""

    numbers: tuple[int, ...]
    kernels: tuple[Kernel, ...]
    schedule: Schedule
    code: Code

    def told(self, numbers: Places) -> Told:
        alike: dict[Loc | None, dict[Loc | None, None]] = {}
        for same in zip(*map(_locs, self.kernels), strict=True):
            alone = tuple(loc and replace(loc, also=()) for loc in same)  # as LLVM tells them
            for locs in (same, alone):
                alike.setdefault(locs[0], {}).update(dict.fromkeys(locs))
        known: dict[int, int] = {}

        def told(loc: Loc | None) -> int:
            found = known.get(id(loc))
            if found is None:
                found = known[id(loc)] = numbers.of(alike.get(loc, (loc,)))
            return found

        return told


def _locs(kernel: Kernel) -> list[Loc | None]:
    """Where the statements of a kernel and the operations in them come from, in order."""
    found: list[Loc | None] = []
    for statement in (s for stage in kernel.stages + kernel.final for s in stage.body):
        every = [e for operand in operands(statement) for e in walk(operand)]
        found += [statement.loc, *(e.loc for e in every if isinstance(e, Call))]
    return found


def codes(compiled: Compiled) -> list[Shared]:
    """The different codes of a graph, in the order of the kernels."""
    found: dict[int, list[tuple[int, Kernel]]] = {}
    every = chosen(compiled, None)
    for number, (kernel, _, code) in enumerate(every):
        found.setdefault(id(code), []).append((number, kernel))
    return [
        Shared(tuple(n for n, _ in same), tuple(k for _, k in same), *every[same[0][0]][1:])
        for same in found.values()
    ]


def block(lines: Iterable[Line], **more: Any) -> dict[str, Any]:
    """A part of a pane as JSON has it."""
    every = [*lines]
    return {"text": "\n".join(text for text, _ in every), "sets": [number for _, number in every], **more}


def loop_lines(code: Shared, told: Told) -> list[Line]:
    funcs = loops(code.kernels[0], code.schedule)
    return [(text, told(loc)) for func in funcs for text, loc in func_lines(func, places(func))]


def llvm_lines(code: Shared, target: Target, told: Told) -> list[Line]:
    made, lines = lined(code.kernels[0], code.schedule, code.code, target)
    return [(text, told(loc)) for text, loc in listing.llvm_lines(made.llvm, lines)]


def assembly_lines(code: Shared, target: Target, told: Told) -> list[Line]:
    made, lines = lined(code.kernels[0], code.schedule, code.code, target)
    return [(text, told(loc)) for text, loc in listing.assembly_lines(assembly(made, target), lines, target)]
