"""`lucid opt`: a graph or a kernel as text, after the passes that are asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from lucid.compiler import ops
from lucid.compiler.cpu.emit import emit
from lucid.compiler.ir.graph import Graph
from lucid.compiler.ir.kernel import Kernel
from lucid.compiler.ir.loop import Func
from lucid.compiler.ir.target import HASWELL, NEOVERSE_N1, ZNVER4, Target
from lucid.compiler.passes.autodiff import gradients
from lucid.compiler.passes.fuse import fuse
from lucid.compiler.passes.pairs import pairs
from lucid.compiler.passes.simplify import simplify
from lucid.compiler.pipeline import compile_kernel, distinct, loops
from lucid.compiler.text.graph import print_graph, read_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import print_func
from lucid.compiler.verify.graph import verify_graph
from lucid.compiler.verify.kernel import verify_kernel
from lucid.compiler.verify.loop import verify_func
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


def _fused(graph: Graph) -> list[Kernel]:
    if any(n.type.dtype.is_complex for n in (*graph.inputs, *graph.outputs)):
        raise ValueError("fuse: complex numbers must be pairs of real ones first (`pairs`)")
    return list(dict.fromkeys(call.kernel for call in fuse(distinct(graph)[0]).calls))


def _lowered(kernels: list[Kernel], target: Target) -> list[Func]:
    return [func for k in kernels for func in loops(k, compile_kernel(k, target)[0])]


# Each pass: what it takes, what it makes, and how.
PASSES: dict[str, tuple[str, str, Callable[[Any, Target], Any]]] = {
    "autodiff": ("graph", "graph", lambda graph, _: _differentiated(graph)),
    "pairs": ("graph", "graph", lambda graph, _: pairs(graph)),
    "simplify": ("graph", "graph", lambda graph, _: simplify(graph)),
    "fuse": ("graph", "kernels", lambda graph, _: _fused(graph)),
    "lower": ("kernels", "loops", _lowered),
    "emit": ("loops", "llvm", emit),
}
# Each level: what verifies one text of it, and what prints one.
LEVELS: dict[str, tuple[Callable[[Any], object], Callable[[Any, bool], str]]] = {
    "graph": (verify_graph, print_graph),
    "kernels": (verify_kernel, print_kernel),
    "loops": (verify_func, print_func),
    "llvm": (str, lambda text, _: text),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the text of a graph or a kernel (docs/ir.md)")
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


def _printed(file: str, names: list[str], target: Target, locs: bool) -> str:
    text = load_text(file)
    graph = isinstance(parse(text, file), GraphText)  # verified, with errors at lines of the file
    level, found = ("graph", read_graph(text)[0]) if graph else ("kernels", [parse_kernel(text)])
    for name in names:
        takes, makes, change = PASSES[name]
        if takes != level:
            raise ValueError(f"{name} takes a text at the level of {takes}, and this is {level}")
        found, level = change(found, target), makes
        for one in _each(found):
            LEVELS[level][0](one)
    return "\n".join(LEVELS[level][1](one, locs) for one in _each(found))


def _each(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]
