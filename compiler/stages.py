"""Each stage of a compile as text, for those who look inside: of a whole graph, or of one kernel."""

from __future__ import annotations

from collections.abc import Container
from typing import NoReturn

from .ir.graph import Graph, Node, toposort
from .ir.program import Call
from .ir.target import Target
from .ops import INPUT
from .passes.autodiff import before
from .passes.simplify import simplify
from .pipeline import Compiled, chosen, lined_codes, loops
from .text.graph import node_names, print_graph
from .text.kernel import print_kernel
from .text.loop import print_func
from .text.program import print_whole
from .whole import whole

GRAPHS = ("graph", "gradient", "simplified")
STAGES = (*GRAPHS, "kernel", "loop", "llvm", "llvm-opt")
NO_PASSES = """\
; The same as the stage "llvm": no pass of LLVM's runs over this text. Vectors, unrolled loops and the order
; of sums are written here as they are to be, so there is nothing to find, and passes would take longer than
; all of the compile; code generation makes "asm" of it. See docs/architecture.md, "The passes".
"""


def stage_text(compiled: Compiled, stage: str, target: Target, kernel: str | None = None) -> str:
    """One stage of a compile as text; `stage` is one of STAGES. `kernel`: that of one kernel; of a graph, the
    part of it that became the kernel. ValueError for another stage, an unknown kernel, and where simplifying
    has left nothing of that part."""
    if stage not in STAGES:
        raise ValueError(f"unknown stage {stage!r}; expected one of {', '.join(STAGES)}, asm, ptx")
    if stage in GRAPHS:
        graph = graph_at(compiled, stage)
        if kernel is None:
            return print_graph(graph, locs=True)
        ((found, _, _),) = chosen(compiled, kernel)
        call = next(call for call in compiled.named.calls if call.kernel is found)
        part, names = part_at(compiled, stage, call)
        return print_graph(part, True, names)
    if stage == "kernel":
        if kernel is None:
            return print_whole(whole(compiled, loop=False), locs=True)
        return "\n".join(print_kernel(k, locs=True) for k, _, _ in chosen(compiled, kernel))
    if stage == "loop":
        if kernel is None and not target.is_gpu:
            return print_whole(whole(compiled, loop=True), locs=True)
        different = chosen(compiled, kernel, once=True)
        return "\n".join(print_func(f, locs=True) for k, plan, _ in different for f in loops(k, plan))
    from .llvm.listing import llvm_listing

    text = "\n".join(llvm_listing(c.llvm, x) for c, x in lined_codes(compiled, target, kernel))
    return NO_PASSES + text if stage == "llvm-opt" else text


def graph_at(compiled: Compiled, stage: str) -> Graph:
    """The graph of a stage: as the user's lines say, with gradients (taken by the trace), simplified."""
    if stage == "graph":
        return before(compiled.written)
    return compiled.written if stage == "gradient" else compiled.stages.simplified


# --- parts of graphs -----------------------------------------------------------------------------


def part_at(compiled: Compiled, stage: str, call: Call) -> tuple[Graph, dict[Node, str]]:
    """The part of the graph of a stage that became a kernel: what it reads are inputs, what it writes
    outputs; and the names of its nodes, which they have in the text of the whole. ValueError where there is
    none."""
    graph = graph_at(compiled, stage)
    names = node_names(graph, toposort(graph.outputs))
    if stage == "simplified":
        return _between(graph, names, call, list(call.writes), set(call.reads))
    if compiled.graph is not compiled.written:
        _refuse(stage, call, "has complex numbers, which are pairs of real ones in kernels")
    became: dict[Node, Node] = {}
    again = toposort(simplify(compiled.graph, became).outputs)
    same = dict(zip(again, toposort(compiled.stages.simplified.outputs), strict=True))
    every = {old: same[new] for old, new in became.items() if new in same}
    later = set(every.values())
    became = {old: new for old, new in every.items() if old in names}
    last = {new: old for old, new in became.items()}  # of several that became one
    if missing := [node for node in call.writes if node not in last]:
        why = f"has nothing that became {missing[0].op.name} {missing[0].type}, which it stores"
        gradients = "has no gradients, and the kernel stores some, or what is made of them"
        _refuse(stage, call, gradients if missing[0] in later else why)
    for node in call.reads:
        if node not in last and node.op is not INPUT:
            _refuse(stage, call, f"has nothing that became {node.op.name} {node.type}, which it reads")
    read = {old for old, new in became.items() if new in call.reads and new.op is not INPUT}
    return _between(graph, names, call, [last[node] for node in call.writes], read)


def _refuse(stage: str, call: Call, why: str) -> NoReturn:
    others = "'gradient' or 'simplified'" if stage == "graph" else "'simplified'"
    what = f"no part of the stage {stage!r} is the kernel {call.kernel.name}"
    raise ValueError(f"{what}: this graph {why}; ask for {others}")


def _between(
    graph: Graph, names: dict[Node, str], call: Call, outputs: list[Node], read: Container[Node]
) -> tuple[Graph, dict[Node, str]]:
    """What lies between nodes that are `read` and `outputs`."""
    new: dict[Node, Node] = {}
    inputs: list[Node] = []
    own = set(outputs)

    def given(node: Node) -> None:
        new[node] = INPUT(name=names[node], dtype=node.type.dtype, shape=node.shape)
        inputs.append(node)

    order = _down(outputs, read)
    for node in order:
        for source in node.inputs:
            if source not in new and (source.op is INPUT or (source in read and source not in own)):
                given(source)
        if node not in new:
            new[node] = Node(node.op, tuple(new[n] for n in node.inputs), node.attrs, node.loc)
    part = Graph(call.kernel.name, tuple(new[n] for n in inputs), tuple(new[n] for n in outputs))
    return part, {new[node]: names[node] for node in new}


def _down(outputs: list[Node], read: Container[Node]) -> list[Node]:
    """The nodes that outputs are made of, operands first, without what is read and what only that needs."""
    own = set(outputs)
    known = [n for n in toposort(outputs) if n.op is INPUT or (n in read and n not in own)]
    return toposort(outputs, set(known))
