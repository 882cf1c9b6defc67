"""Graphs in which a library computes some nodes: kernels up to there, the library, kernels again.

    %2 = x @ x.T            stage 0: kernels
    %3 = solve(%2, %y)      then LAPACK, through NumPy
    %4 = sum(%3 * %3)       stage 1: kernels

Each stage is an executable of its own, so that the compiler sees none of this. What a later one needs of an
earlier one is an output of that.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lucid.compiler import ops
from lucid.compiler.gpu.target import ARCH
from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.graph import Graph, Loc, Node, told, toposort
from lucid.compiler.ir.kernel import Kernel

from .engine import Array, Executable, KernelInfo
from .hosted import RESULT, Call, call_of
from .residence import Device, brought

if TYPE_CHECKING:
    from lucid.compiler.ir.binding import Whole


Results = tuple[Array, ...]


@data
class Library:
    """A call of a library: its results become the values of nodes."""

    call: Call
    loc: Loc | None
    nodes: tuple[tuple[int, Node], ...]  # which result, and the node that it is the value of

    @property
    def short(self) -> str:
        """A word for it: `svd`."""
        return self.call.function.name.partition(",")[0].partition(" ")[0].rpartition(".")[2]

    @property
    def bytes(self) -> int:
        """What it takes and what it gives, each once."""
        return sum(n.type.nbytes for n in dict.fromkeys((*self.call.inputs, *(n for _, n in self.nodes))))

    def __str__(self) -> str:
        function = self.call.function
        kinds = ", ".join(str(n.type) for n in self.call.inputs)
        where = f" at {self.loc}" if self.loc is not None else ""
        return f"{function.name}({kinds}), by {self.call.of_library}{where}"


@data
class Stage:
    """Kernels from the values of `takes` to those of `gives`; then what a library makes of these."""

    takes: tuple[Node, ...]
    gives: tuple[Node, ...]
    executable: Executable | None  # None: it gives nothing
    libraries: tuple[Library, ...]


class Staged:
    """As an Executable: call it with one array per graph input, get one per output."""

    def __init__(self, graph: Graph, threads: int | None, device: Device, judged: bool) -> None:
        self.judged, self.graph, self.device = judged, told(graph), device
        self.opened = False  # libraries, and what is between them, have the numbers of the graph
        self.types = [n.type for n in graph.outputs]
        self.stages = _stages(self.graph, threads, device)
        self._told_apart = False

    def __call__(
        self, arrays: Sequence[Array], reuse: Sequence[bool] = (), given: Mapping[int, Array] | None = None
    ) -> list[Array]:
        """`given`: outputs that are to be written there. Nothing is where a library raises."""
        outputs = self.through(arrays, lambda executable, inputs: executable(inputs))
        for k, array in (given or {}).items():
            np.copyto(array, np.asarray(outputs[k]))
            outputs[k] = array
        return outputs

    @property
    def kernels(self) -> list[KernelInfo]:
        """The kernels in the order of data flow."""
        return [kernel for x in self.executables() for kernel in x.kernels]

    def through(
        self,
        arrays: Sequence[Array],
        run: Callable[[Executable, list[Array]], list[Array]],
        seen: Callable[[Library, Callable[[], Results]], Results] = lambda library, work: work(),
    ) -> list[Any]:
        """Its results for these inputs, where `run` stands for the call of each executable, and `seen` for
        that of each library."""
        values = dict(zip(self.graph.inputs, arrays, strict=True))
        for stage in self.stages:
            if stage.executable is not None:
                found = run(stage.executable, [values[n] for n in stage.takes])
                values.update(zip(stage.gives, found, strict=True))
                verdict = values.get(self.graph.outputs[-1], False) if self.judged else False
                if np.asarray(verdict):  # no library sees what was not there
                    return [verdict] * len(self.types)
            for library in stage.libraries:
                call = library.call
                given = [values[n] for n in call.inputs]
                results = seen(library, partial(call.function.run, call.options, given, library.loc))
                for k, node in library.nodes:
                    values[node] = results[k]
        inputs = set(self.graph.inputs)
        found = [np.array(values[n]) if n in inputs else values[n] for n in self.graph.outputs]
        return [brought(value, self.device) for value in found]

    def parts(self) -> list[tuple[Executable | None, tuple[Library, ...]]]:
        """What it is made of, each with the calls of libraries that come then."""
        self.executables()
        return [(stage.executable, stage.libraries) for stage in self.stages]

    def ir(self, stage: str, arch: str = ARCH, kernel: str | None = None) -> str:
        """One stage of the compiler as text, with the calls of libraries; if a kernel is named, of that
        alone."""
        if kernel is not None:
            names = [k.name for k in self.kernels]
            if kernel not in names:
                from .written import library_line  # few ask for it

                if (line := library_line(self, kernel)) is not None:
                    raise ValueError(f"{kernel} is a call of a library, which has no text of its own: {line}")
                raise ValueError(
                    f"there is no kernel {kernel!r} here; expected one of: {', '.join(names) or 'none'}"
                )
            every = self.executables()
            (own,) = [x for x in every if any(c.kernel.name == kernel for c in x.compiled.named.calls)]
            return own.ir(stage, arch, kernel)
        from .written import staged_text  # few ask for it

        return staged_text(self, stage, arch)

    def whole(self, loop: bool) -> Whole:
        """Its kernels, or its loops, and the calls of libraries between them, as a program that can be
        written down."""
        from .written import whole_of  # few ask for it

        return whole_of(self, loop)

    def ptx(self, arch: str) -> NoReturn:
        """ValueError: a GPU does not run it alone."""
        names = {library.call.function.name for stage in self.stages for library in stage.libraries}
        listed = ", ".join(sorted(names))
        raise ValueError(f"{listed} of NumPy takes part, so no GPU runs all of it; see ir('ptx')")

    def edited(self, kernel: Kernel) -> Staged:
        """As that of an Executable: in all stages that have a kernel of this name."""
        found = [
            x is not None and any(c.kernel.name == kernel.name for c in x.compiled.named.calls)
            for x in (stage.executable for stage in self.stages)
        ]
        new = copy.copy(self)
        new.stages = [
            replace(stage, executable=stage.executable.edited(kernel))
            if stage.executable is not None and (here or not any(found))  # the error names what there is
            else stage
            for stage, here in zip(self.stages, found, strict=True)
        ]
        return new

    def executables(self) -> list[Executable]:
        """What it is made of, but for the libraries; each kernel has another name."""
        found = [stage.executable for stage in self.stages if stage.executable is not None]
        if not self._told_apart:
            from lucid.compiler.whole import tell_apart  # few look inside

            tell_apart([x.compiled for x in found])
            self._told_apart = True
        return found


def _stages(graph: Graph, threads: int | None, device: Device) -> list[Stage]:
    order = toposort(graph.outputs)
    level: dict[Node, int] = dict.fromkeys(graph.inputs, 0)  # the stage that computes it, or begins with it
    free: set[Node] = set()  # made of literals alone: computed wherever it is read
    for node in order:
        if node in level:
            continue
        level[node] = max([level[n] for n in node.inputs], default=0) + (node.op is RESULT)
        if node.op is not RESULT and all(n in free for n in node.inputs):
            free.add(node)
    libraries: list[dict[object, list[Node]]] = [{} for _ in range(max(level.values(), default=0) + 1)]
    gives: list[dict[Node, None]] = [{} for _ in libraries]

    def read(node: Node, reader: int) -> None:
        """Stage `reader` (or the library after it, at reader + 1) begins with the value of `node`."""
        if level[node] < reader and node not in free:
            gives[level[node]][node] = None

    for node in order:
        if node.op is RESULT:
            key = node.attrs["function"], node.attrs["options"], node.inputs
            libraries[level[node] - 1].setdefault(key, []).append(node)
        for source in node.inputs:
            read(source, level[node])
    for node in graph.outputs:
        gives[level[node]][node] = None
    # Literals that a library or an output takes as they are: some stage must compute them.
    for node in free & {n for calls in libraries for nodes in calls.values() for n in nodes[0].inputs}:
        gives[level[node]][node] = None
    ready = {*graph.inputs, *(n for n in order if n.op is RESULT)}
    stages = []
    for outputs, calls in zip(gives, libraries, strict=True):
        computed = tuple(n for n in outputs if n not in ready)
        takes, executable = _executable(graph.name, computed, ready, threads, device)
        made = tuple(
            Library(call_of(nodes[0]), nodes[0].loc, tuple((n.attrs["result"], n) for n in nodes))
            for nodes in calls.values()
        )
        stages.append(Stage(takes, computed, executable, made))
        ready |= set(computed)
    return stages


def _executable(
    name: str, outputs: tuple[Node, ...], ready: set[Node], threads: int | None, device: Device
) -> tuple[tuple[Node, ...], Executable | None]:
    """What computes `outputs` of what is `ready`, and what of that it takes."""
    if not outputs:
        return (), None
    new: dict[Node, Node] = {}
    takes: list[Node] = []
    for node in toposort(outputs, ready):
        for source in node.inputs:
            if source in ready and source not in new:
                called = _called(source, len(takes))
                new[source] = ops.INPUT(name=called, dtype=source.type.dtype, shape=source.shape)
                takes.append(source)
        new[node] = Node(node.op, tuple([new[n] for n in node.inputs]), node.attrs, node.loc)
    graph = Graph(name, tuple(new[n] for n in takes), tuple(new[n] for n in outputs))
    return tuple(takes), Executable(graph, (), threads, device, False)


def _called(node: Node, number: int) -> str:
    """What the graph of a stage calls a value that it begins with."""
    if node.op is ops.INPUT:
        return str(node.attrs["name"])
    return f"{node.attrs['function']}.{node.attrs['result']}" if node.op is RESULT else f"x{number}"
