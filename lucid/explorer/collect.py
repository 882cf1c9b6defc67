"""What an explorer shows of a compiled function, as plain data (JSON):

    name, target      the function, and the machine that the code is for
    files, places, sets    see `places.py`
    optimizers        the modules that are none: classes of optimisers
    nodes             op, kind, type, operands (`in`), set, value of a literal, whether it is an output
    kernels           what `explain` tells of each; its nodes, those it stores (`writes`), the arrays that it
                      `reads`; if it was timed, its `unit`: which of the `times`
    libraries         the same of their calls, `told` in a line; how many kernels come `before`
    apart             arrays between kernels, and why they were not fused
    times             of kernels that run together: seconds, share, limit
    panes             id, title, blocks: text, the set of each line, `kernels` that it is of, `nodes` of lines

Kernels that share their code are one block of loops, LLVM and assembly: its lines come from places of all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lucid.compiler.gpu.target import target as gpu_target
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.text.graph import graph_lines, names_after, node_names
from lucid.compiler.text.kernel import kernel_lines

from ..report.explain import library, plans_of
from ..report.records import plain
from ..report.text import of_library
from ..staged import Staged
from .code import assembly_lines, block, codes, llvm_lines, loop_lines
from .graph import Nodes
from .places import NONE, Places

if TYPE_CHECKING:
    from ..engine import Executable
    from ..report.profile import Profile


def collect(
    name: str, made: Executable | Staged, profile: Profile | None, arch: str | None
) -> dict[str, Any]:
    """`profile`: with the times of its kernels. `arch`: with PTX for this architecture of NVIDIA's.
    ValueError for an unknown one, where a kernel needs more than it has, and for a profile of others."""
    places = Places()
    nodes = Nodes(made, places)
    plans = plans_of(made)
    told = [kernel for plan in plans for kernel in plan.kernels]
    kernels = [{**plain(k), **plain(m)} for k, m in zip(told, nodes.members, strict=True)]
    libraries = [
        {"before": n, **plain(record), "told": of_library(record), **plain(m)}
        for n, call, m in nodes.libraries
        for record in [library(call)]
    ]
    times = [] if profile is None else _times(profile, [*kernels, *libraries])
    target = made.executables()[0].target if made.executables() else None
    for_gpu = [] if arch is None else [_ptx(made, arch, places)]
    return {
        "name": name,
        "target": "" if target is None else f"{target.triple} {target.cpu}",
        "optimizers": _optimizers(),
        "nodes": nodes.told,
        "kernels": kernels,
        "libraries": libraries,
        "apart": [plain(apart) for plan in plans for apart in plan.apart],
        "times": times,
        "panes": [*_graphs(made, nodes, places), *_code(made, places), *for_gpu],
        **places.plain(),
    }


def _optimizers() -> list[str]:
    """Names of classes, which places have in place of a module's path."""
    known: list[type] = []
    if "lucid.optim.optimizer" in sys.modules:
        from ..optim import Optimizer

        known.append(Optimizer)
    for kind in known:
        known += kind.__subclasses__()
    return [kind.__name__ for kind in known]


def _pane(name: str, title: str, blocks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    return {"id": name, "title": title, "blocks": [*blocks]}


def _graphs(made: Executable | Staged, nodes: Nodes, places: Places) -> Iterator[dict[str, Any]]:
    """The graphs as they were written, and simplified: the same names for what is the same."""
    whole = [made.graph] if isinstance(made, Staged) else [x.compiled.written for x in made.executables()]
    written = [_graph(g, node_names(g, toposort(g.outputs)), places, None) for g in whole]
    simplified = []
    for x, then in made.parts():
        if x is not None:
            before, after = x.compiled.written, x.compiled.stages.simplified
            simplified.append(_graph(after, names_after(before, after), places, nodes))
        for call in then:
            told = block([(f"then {of_library(library(call))}", places.of([call.loc]))])
            simplified.append({**told, "nodes": [nodes.number(call.nodes[0][1])]})
    yield _pane("graph", "Graph as written", written)
    yield _pane("simplified", "Graph simplified", simplified)


def _graph(graph: Graph, names: dict[Node, str], places: Places, nodes: Nodes | None) -> dict[str, Any]:
    lines = graph_lines(graph, toposort(graph.outputs), names)
    made = block((text, places.of([node.loc]) if node is not None else NONE) for text, node in lines)
    if nodes is not None:
        made["nodes"] = [NONE if node is None else nodes.number(node) for _, node in lines]
    return made


def _code(made: Executable | Staged, places: Places) -> Iterator[dict[str, Any]]:
    """Kernels, and what each different one became."""
    kernels, loops_, llvm, machine = list[Any](), list[Any](), list[Any](), list[Any]()
    on_gpu = False
    for x in made.executables():
        first, on_gpu = len(kernels), x.target.is_gpu
        for call in x.compiled.named.calls:
            lines = ((text, places.of([loc])) for text, loc in kernel_lines(call.kernel))
            kernels.append(block(lines, kernels=[len(kernels)]))
        for code in codes(x.compiled):
            numbers, told = [first + k for k in code.numbers], code.told(places)
            loops_.append(block(loop_lines(code, told), kernels=numbers))
            llvm.append(block(llvm_lines(code, x.target, told), kernels=numbers))
            machine.append(block(assembly_lines(code, x.target, told), kernels=numbers))
    yield _pane("kernel", "Kernels", kernels)
    yield _pane("loop", "Loops", loops_)
    yield _pane("llvm", "LLVM", llvm)
    yield _pane("asm", "PTX" if on_gpu else "Assembly", machine)


def _ptx(made: Executable | Staged, arch: str, places: Places) -> dict[str, Any]:
    """What the same kernels are on a GPU."""
    found: list[dict[str, Any]] = []
    first = 0
    for x in made.executables():
        for code in codes(x.for_gpu(arch)):
            lines = assembly_lines(code, gpu_target(arch), code.told(places))
            found.append(block(lines, kernels=[first + k for k in code.numbers]))
        first += len(x.compiled.named.calls)
    return _pane("ptx", f"PTX {arch}", found)


def _times(profile: Profile, kernels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of kernels that run together; each kernel is told which these are."""
    names = [name for timed in profile.kernels for name in timed.kernel.name.split(" + ")]
    if sorted(names) != sorted(kernel["name"] for kernel in kernels):
        raise ValueError("explorer: the profile is of other kernels than those of the latest call")
    left: dict[str, list[dict[str, Any]]] = {}
    for kernel in kernels:
        left.setdefault(kernel["name"], []).append(kernel)
    found: list[dict[str, Any]] = []
    for timed in profile.kernels:
        for name in timed.kernel.name.split(" + "):
            left[name].pop(0)["unit"] = len(found)
        found.append({k: getattr(timed, k) for k in ("seconds", "low", "high", "share", "limit", "bound")})
    return found
