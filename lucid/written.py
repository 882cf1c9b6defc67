"""Compiled functions in which a library takes part as text: all of their stages, and the calls between
them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from lucid.compiler.ir.binding import Binding, Input, Library, Memory, Step, Whole
from lucid.compiler.ir.graph import Graph, Node
from lucid.compiler.passes.autodiff import before
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.stages import GRAPHS
from lucid.compiler.text.graph import node_names, print_graph
from lucid.compiler.text.program import print_whole, step_text
from lucid.compiler.whole import found_in, funcs_of, kernel_steps, kernels_of, loop_steps

if TYPE_CHECKING:
    from .staged import Staged


def staged_text(made: Staged, stage: str, arch: str) -> str:
    """One stage as text. Calls of libraries are nodes of graphs, steps of programs, and else comments."""
    if stage in GRAPHS:
        return print_graph(graph_of(made, stage), locs=True)
    if stage in ("kernel", "loop"):
        return print_whole(whole_of(made, stage == "loop"), locs=True)
    sign = ";" if stage.startswith("llvm") else "//" if stage == "ptx" else "#"
    parts = []
    for x, then in made.parts():
        parts += [] if x is None else [x.ir(stage, arch)]
        parts += [f"{sign} then {library}\n" for library in then]
    return "\n".join(parts)


def library_line(made: Staged, name: str) -> str | None:
    """The line of the program that calls a library: `name` is that of the function (`linalg.svd`), its last
    word, or that of a result (`svd.0`). None if there is none."""
    binding = whole_of(made, False).binding
    for step in binding.steps if binding is not None else ():
        if isinstance(step, Library):
            function = str(dict(step.attrs)["function"])
            if name.removeprefix("%") in (step.name, function, function.rpartition(".")[2]):
                return step_text(step)
    return None


def graph_of(made: Staged, stage: str) -> Graph:
    """The graph of a stage, with the calls of libraries as nodes."""
    if stage == "simplified":
        return simplify(made.graph)
    return before(made.graph) if stage == "graph" else made.graph


def whole_of(made: Staged, loop: bool) -> Whole:
    """All kernels, or all loops, and what binds them."""
    graph, compiled = made.graph, [x.compiled for x in made.executables()]
    held = node_names(graph, list(graph.inputs))
    taken = set(held.values())
    inputs = tuple(Input(held[n], str(n.attrs["name"]), n.type) for n in graph.inputs)
    steps: list[Step | Memory | Library] = []

    def fresh(base: str) -> str:
        name = next(n for k in count() if (n := f"{base}{k}") not in taken)
        taken.add(name)
        return name

    for stage in made.stages:
        if stage.executable is not None:
            inside = stage.executable.compiled.stages.program
            names: dict[Node, str] = {
                x: held[n] for x, n in zip(inside.graph.inputs, stage.takes, strict=True)
            }
            names |= {node: fresh("v") for call in inside.calls for node in call.writes}
            own = stage.executable.compiled
            steps += loop_steps(own, names, taken) if loop else kernel_steps(own.named, names)
            held |= {n: names[x] for n, x in zip(stage.gives, found_in(own), strict=True)}
        for library in stage.libraries:
            operands = tuple((held[n], n.type) for n in library.call.inputs)
            calls = library.short
            while calls in taken:
                calls += "_"
            taken.add(calls)
            for k, node in library.nodes:
                held[node] = f"{calls}.{k}"
                steps.append(Library(held[node], node.type, operands, tuple(node.attrs.items()), library.loc))
    return Whole(
        () if loop else tuple(k for x in compiled for k in kernels_of(x.named)),
        tuple(f for x in compiled for f in funcs_of(x)) if loop else (),
        Binding(
            graph.name, inputs, tuple((held[n], n.type) for n in graph.outputs), tuple(steps), graph.called
        ),
    )
