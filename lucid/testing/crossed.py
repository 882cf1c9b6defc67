"""The same graph compiled in another way: for registers of another width, with symbols for small extents,
with its rules left out, op by op, for a GPU. Results are promised to have the same bits, or lie within the
error bounds of the graph."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from lucid.compiler import check
from lucid.compiler.ir.artifact import Plan
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.target import Target
from lucid.compiler.ops import INPUT
from lucid.compiler.passes.arrange import arrange
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.plan import make_plan
from lucid.compiler.passes.simplify import needed
from lucid.compiler.passes.template import resized
from lucid.compiler.pipeline import compile_graph, compile_kernel, distinct, run_passes
from lucid.runtime import execute
from lucid.runtime.host import host

from ..engine import Executable, build
from .bits import bits_apart
from .blame import within
from .bounds import Array, Running

WIDTHS = (16, 32, 64)
_WIDE = ("+avx512", "+evex", "+avx10")  # what registers of 64 bytes come with
# The interpreters walk loops in Python: a graph of so many elements, or one that was cut to at most so many
# along each axis.
INTERPRETED = 2500
CUTS = (1 << 20, 100, 66, 40, 24, 12, 6, 3)
SIMULATED = 3000  # elements of all values of a graph that the simulator is asked to run


@functools.cache
def narrower() -> tuple[Target, ...]:
    """This CPU as one whose registers are narrower: without the instructions of wider ones."""
    own = host()
    found = []
    for width in WIDTHS:
        if width < own.vector_bytes:
            names = [f"-{n[1:]}" if n.startswith(_WIDE) else n for n in own.features.split(",")]
            found.append(replace(own, features=",".join(names), vector_bytes=width))
    return tuple(found)


def of_width(executable: Executable, inputs: Sequence[Array], target: Target) -> list[Array]:
    """The results of code for `target`, which this CPU must be able to run."""
    other = copy.copy(executable)
    other.compiled = compile_graph(executable.compiled.written, target)
    other.native = execute.Executable(other.compiled.plan, parallel=1)
    return other(list(inputs))


def unsettled(executable: Executable, inputs: Sequence[Array]) -> list[Array]:
    """The results of code that has no extent as a literal, but 1."""
    other = copy.copy(executable)
    other.compiled = compile_graph(executable.compiled.written, host(), literals=0)
    other.native = execute.Executable(other.compiled.plan, parallel=1)
    return other(list(inputs))


def unsimplified(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The results of the graph as it was written, but for what later passes cannot do without."""
    core, picks = distinct(needed(graph))
    results = execute.Executable(_plan(core))(list(inputs))
    return [
        (results[pick] if pick >= 0 else inputs[-1 - pick]).reshape(node.shape)
        for pick, node in zip(picks, graph.outputs, strict=True)
    ]


def _plan(core: Graph) -> Plan:
    program = fuse(core)
    made = [compile_kernel(call.kernel, host()) for call in program.calls]
    return arrange(make_plan(program, [code for _, code in made], [plan for plan, _ in made]))


def unfused(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The results where each op is compiled alone."""
    values: dict[Node, Array] = dict(zip(graph.inputs, inputs, strict=True))
    for node in toposort(graph.outputs, set(graph.inputs)):
        if node.op.kind == "leaf":
            continue
        reads = [n for n in dict.fromkeys(node.inputs) if n.op.kind != "leaf" or n in values]
        new = {n: INPUT(name=f"x{k}", dtype=n.type.dtype, shape=n.shape) for k, n in enumerate(reads)}
        one = Node(node.op, tuple(new.get(n, n) for n in node.inputs), node.attrs, node.loc)
        single = Graph("op", tuple(new.values()), (one,))
        (values[node],) = build(single)([values[n] for n in reads])
    leaves = [n for n in graph.outputs if n not in values]
    if leaves:
        values |= zip(leaves, build(Graph("leaves", (), tuple(leaves)))([]), strict=True)
    return [values[n] for n in graph.outputs]


def simulated(graph: Graph, inputs: Sequence[Array]) -> list[Array] | None:
    """The results of the kernels for a GPU, in the simulator; None where that would take long."""
    if sum(n.type.size for n in toposort(graph.outputs)) > SIMULATED:
        return None
    found = build(graph, device="ptx-sim")([np.ascontiguousarray(a) for a in inputs])
    return [np.asarray(a) for a in found]


def interpreted(graph: Graph) -> None:
    """All passes over the graph, or over a cut of it that is small, each verified and interpreted before and
    after. MiscompileError where they differ."""
    sizes = [n for node in toposort(graph.outputs) for n in node.shape]
    for most in CUTS:
        try:
            cut = resized(graph, check.shrinking(most, max(sizes, default=1)))
        except (TypeError, ValueError):  # the ops do not allow these sizes
            continue
        if sum(n.type.size for n in toposort(cut.outputs)) <= INTERPRETED:
            with environment({"LUCID_VERIFY": "1", "LUCID_CHECK": "1"}):
                run_passes(cut, host(), (), check)
            return


@contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Variables of the environment, as long as it lasts."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


Way = Callable[[], list[Array] | None]


def ways(executable: Executable, inputs: Sequence[Array], number: int) -> dict[str, Way]:
    """Which of them a program of this number is compared in: each has its turn."""
    graph = executable.compiled.written
    found: dict[str, Way] = {}
    targets = narrower()
    if targets:
        target = targets[number % len(targets)]
        found[f"{target.vector_bytes} bytes"] = lambda: of_width(executable, inputs, target)
    if number % 2 == 0:
        found["without literals"] = lambda: unsettled(executable, inputs)
    found["unsimplified"] = lambda: unsimplified(graph, inputs)
    if number % 2 == 1:
        found["unfused"] = lambda: unfused(graph, inputs)
    if number % 8 == 4:
        found["simulator"] = lambda: simulated(graph, inputs)
    return found


# Ways whose bits may differ: in what order a sum goes depends on what it is fused with.
ROUNDED = ("unsimplified", "unfused")


def crossed(
    executable: Executable, inputs: Sequence[Array], found: Mapping[Node, Running], number: int
) -> str | None:
    """What differs from the outputs of the graph, in words. `found`: what is known of its nodes."""
    outputs = executable.compiled.written.outputs
    first = executable(list(inputs))
    interpreted(executable.compiled.graph)
    for name, way in ways(executable, inputs, number).items():
        for k, (got, node) in enumerate(zip(way() or (), outputs, strict=False)):
            value = found.get(node)
            if name in ROUNDED and value is not None:
                wrong = (
                    None if within(got, value) else f"got {got.ravel()[:20]}\nwant {value.own.ravel()[:20]}"
                )
            else:
                wrong = bits_apart(first[k], got)
            if wrong is not None:
                return f"output {k} and the same {name}: {wrong}"
    return None
