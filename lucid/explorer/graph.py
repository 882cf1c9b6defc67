"""The nodes of what was compiled as numbers, and which of them each kernel computes.

Where a library takes part there are several graphs: what one begins with is what an earlier one has computed,
or the library, and has its number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Node, toposort
from lucid.compiler.ir.program import Call

from ..staged import Library, Staged
from .places import NONE, Places

if TYPE_CHECKING:
    from ..engine import Executable


@data
class Members:
    """What a kernel has to do with nodes, by their numbers: those that it computes, those of them that it
    stores, those that it reads from memory."""

    nodes: tuple[int, ...]
    writes: tuple[int, ...]
    reads: tuple[int, ...]


class Nodes:
    """The nodes of all simplified graphs. `told`: each as JSON has it, operands first. `members`: of the
    kernels, in order; `libraries`: calls of libraries, with the number of kernels that come before."""

    def __init__(self, made: Executable | Staged, places: Places) -> None:
        self.told: list[dict[str, Any]] = []
        self.members: list[Members] = []
        self.libraries: list[tuple[int, Library, Members]] = []
        self._places = places
        self._numbers: dict[Node, int] = {}
        if isinstance(made, Staged):
            for stage in made.stages:
                if stage.executable is not None:
                    self._stage(stage.executable, stage.takes, stage.gives)
                for library in stage.libraries:
                    self._library(library)
            outputs = made.graph.outputs
        else:
            self._compiled(made)
            outputs = made.compiled.stages.simplified.outputs
        for node in outputs:
            if node in self._numbers:
                self.told[self._numbers[node]]["output"] = True

    def number(self, node: Node) -> int:
        return self._numbers[node]

    def _stage(self, executable: Executable, takes: tuple[Node, ...], gives: tuple[Node, ...]) -> None:
        """A part that begins with nodes that have numbers, and computes some that others know."""
        simplified = executable.compiled.stages.simplified
        for outside, inside in zip(takes, simplified.inputs, strict=True):
            self._numbers[inside] = self._add(outside)
        self._compiled(executable)
        for outside, inside in zip(gives, simplified.outputs, strict=True):
            self._numbers[outside] = self._numbers[inside]

    def _compiled(self, executable: Executable) -> None:
        for node in toposort(executable.compiled.stages.simplified.outputs):
            self._add(node)
        for call in executable.compiled.named.calls:
            self.members.append(self._of_call(call))

    def _library(self, library: Library) -> None:
        inputs = library.call.inputs
        made = tuple(self._add(node) for _, node in library.nodes)
        members = Members(made, made, tuple(dict.fromkeys(map(self._add, inputs))))
        self.libraries.append((len(self.members), library, members))

    def _add(self, node: Node) -> int:
        number = self._numbers.get(node)
        if number is None:
            told: dict[str, Any] = {"op": node.op.name, "kind": node.op.kind, "type": str(node.type)}
            told["in"] = [self._add(n) for n in node.inputs]
            told["set"] = self._places.of([node.loc]) if node.op.kind != "leaf" else NONE
            if "value" in node.attrs:
                told["value"] = str(node.attrs["value"])
            number = self._numbers[node] = len(self.told)
            self.told.append(told)
        return number

    def _of_call(self, call: Call) -> Members:
        """What a kernel computes: all between what it reads and what it writes."""
        own, reads = set(call.writes), set(call.reads)
        found: dict[Node, None] = {}
        left = [*call.writes]
        while left:
            node = left.pop()
            if node not in found:
                found[node] = None
                left += [n for n in node.inputs if n in own or (n not in reads and n.op.name != "input")]
        given = dict.fromkeys(call.reads)
        return Members(
            tuple(sorted(map(self.number, found))),
            tuple(map(self.number, call.writes)),
            tuple(map(self.number, given)),
        )
