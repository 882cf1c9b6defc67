"""`lucid opt`: a graph, kernels or loops as text, after the passes that are asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from lucid.compiler import ops
from lucid.compiler.cpu.emit import emit
from lucid.compiler.ir.binding import Step, Whole
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Graph, toposort
from lucid.compiler.ir.target import HASWELL, NEOVERSE_N1, ZNVER4, Target
from lucid.compiler.passes.autodiff import gradients
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.name import named
from lucid.compiler.passes.pairs import pairs
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.pipeline import compile_kernel, distinct, loops
from lucid.compiler.text.graph import node_names, print_graph, read_graph
from lucid.compiler.text.program import parse_whole, print_whole
from lucid.compiler.verify.graph import verify_graph
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
from lucid.compiler.whole import bound, kernel_steps, kernels_of, launched, paired, picked, program_of
from lucid.hosted import HOSTED
from lucid.runtime.host import host
from lucid.texts import GraphText, load_text, parse

from .run import FAULTS, first_line
from .table import CommandError

TARGETS: dict[str, Callable[[], Target]] = {
    "host": host,
    "haswell": lambda: HASWELL,
    "znver4": lambda: ZNVER4,
    "neoverse-n1": lambda: NEOVERSE_N1,
}


def _differentiated(graph: Graph) -> Graph:
    """Its first output, and the gradients of that by all inputs of floats."""
    if not graph.outputs:
        raise ValueError("autodiff: there is no output")
    first, wrt = graph.outputs[0], [n for n in graph.inputs if n.type.dtype.kind in "fc"]
    if first.shape or not first.type.dtype.is_float:
        raise ValueError(f"autodiff: the first output must be a float without dimensions, not {first.type}")
    found = gradients(first, ops.const(1, first), wrt)
    each = zip(found, wrt, strict=True)
    parts = [g if g is not None else ops.fill(ops.const(0, n), n.shape) for g, n in each]
    return Graph(graph.name, graph.inputs, (first, *parts))


def _fused(graph: Graph) -> Whole:
    if any(n.type.dtype.is_complex for n in (*graph.inputs, *graph.outputs)):
        raise ValueError("fuse: complex numbers must be pairs of real ones first (`pairs`)")
    core, picks = distinct(graph)
    program = named(fuse(core))
    names = node_names(graph, toposort(graph.outputs))
    binding = bound(graph, names, graph.inputs, picked(core, picks), kernel_steps(program, names))
    return Whole(kernels_of(program), (), binding)


def _lowered(found: Whole, target: Target) -> Whole:
    made = {k.name: compile_kernel(k, target) for k in found.kernels}
    funcs = tuple(func for k in found.kernels for func in loops(k, made[k.name][0]))
    binding = found.binding
    if binding is None:
        return Whole((), funcs, None)
    steps = [step for step in binding.steps if isinstance(step, Step)]
    if len(steps) < len(binding.steps):
        raise ValueError("lower: libraries take part in this program: without `program` kernels are lowered")
    types = {i.name: i.type for i in binding.inputs}
    types |= {r.view.name: r.type for step in steps for r in step.results}
    made_here = {r.view.name for step in steps for r in step.results}
    wanted = [n for n in dict.fromkeys(name for name, _ in binding.results) if n in made_here]
    kernels = {k.name: k for k in found.kernels}
    real = {name: paired(kind) for name, kind in types.items()}
    nodes, program = program_of(binding.name, steps, kernels, real, wanted)
    each = [made[step.callee] for step in steps]
    called = {id(code): step.callee for step, (_, code) in reversed([*zip(steps, each, strict=True)])}
    launches = launched(program, [c for _, c in each], [s for s, _ in each], called,
                        {node: name for name, node in nodes.items()}, set(types))  # fmt: skip
    return Whole((), funcs, replace(binding, steps=tuple(launches)))


def _verified(found: Whole) -> None:
    for kernel in found.kernels:
        verify_kernel(kernel)
    for func in found.funcs:
        verify_func(func)


# Each pass: what it takes, what it makes, and how.
PASSES: dict[str, tuple[str, str, Callable[[Any, Target], Any]]] = {
    "autodiff": ("graph", "graph", lambda graph, _: _differentiated(graph)),
    "pairs": ("graph", "graph", lambda graph, _: pairs(graph)),
    "simplify": ("graph", "graph", lambda graph, _: simplify(graph)),
    "fuse": ("graph", "kernels", lambda graph, _: _fused(graph)),
    "lower": ("kernels", "loops", _lowered),
    "emit": ("loops", "llvm", lambda found, target: emit([*found.funcs], target)),
}
# Each level: what verifies one text of it, and what prints one.
LEVELS: dict[str, tuple[Callable[[Any], object], Callable[[Any, bool], str]]] = {
    "graph": (verify_graph, print_graph),
    "kernels": (_verified, print_whole),
    "loops": (_verified, print_whole),
    "llvm": (str, lambda text, _: text),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the text of a graph, of kernels or of loops (docs/ir.md)")
    parser.add_argument(
        "--passes",
        default="",
        metavar="PASS,...",
        help=f"some of {', '.join(PASSES)}, in this order (none)",
    )
    parser.add_argument(
        "--target", choices=TARGETS, default="host", help="the machine that lower and emit are for (host)"
    )
    parser.add_argument("--locs", action="store_true", help="keep the source lines, as comments")


def run(options: argparse.Namespace) -> int:
    names = [name.strip() for name in options.passes.split(",") if name.strip()]
    for name in names:
        if name not in PASSES:
            raise CommandError(f"unknown pass {name!r}; expected some of {', '.join(PASSES)}")
    try:
        print(_printed(options.file, names, TARGETS[options.target](), options.locs), end="")
    except OSError as error:
        raise CommandError(f"{options.file}: {error.strerror or error}") from None
    except FAULTS as error:
        raise CommandError(first_line(error)) from None
    return 0


def _of_library(graph: Graph) -> bool:
    return any(n.op.kind == "host" for n in toposort(graph.outputs))


def _printed(file: str, names: list[str], target: Target, locs: bool) -> str:
    text = load_text(file)
    found: Any = parse(text, file)  # verified, with errors at lines of the file
    level = "graph"
    if isinstance(found, GraphText):
        found = read_graph(text, more=HOSTED)[0]
        if _of_library(found) and not {*names} <= {"simplify"}:
            raise ValueError("libraries take part in this graph: simplify is the one pass that takes it")
    else:
        found = parse_whole(text)
        level = "kernels" if found.kernels else "loops"
    for name in names:
        takes, makes, change = PASSES[name]
        if takes != level:
            raise ValueError(f"{name} takes a text at the level of {takes}, and this is {level}")
        found, level = change(found, target), makes
        if level != "graph" or not _of_library(found):
            LEVELS[level][0](found)
    return LEVELS[level][1](found, locs)
