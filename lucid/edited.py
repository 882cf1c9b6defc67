"""What one sees of a compiled function's passes as differences, and kernels of it in the user's words."""

from __future__ import annotations

import difflib

from lucid.compiler.ir.graph import Graph, toposort
from lucid.compiler.text.graph import names_after, node_names, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel

from .engine import Executable
from .staged import Staged

PASSES = ("pairs", "simplify", "replace")


def edited(executable: Executable | Staged, text: str) -> Executable | Staged:
    """The executable with the kernel that `text` describes. TypeError unless it is text; IRSyntaxError where
    it is malformed; VerifyError unless it may stand in place of the kernel of its name."""
    if not isinstance(text, str):
        raise TypeError(f"replace: expected the text of a kernel, not {type(text).__name__}")
    return executable.edited(parse_kernel(text))


def diff(executable: Executable | Staged, before: Executable | Staged | None, name: str) -> str:
    """The unified diff of what pass `name` has changed; of "replace", against the executable `before`."""
    if name not in PASSES:
        raise ValueError(f"unknown pass {name!r}; expected one of {', '.join(PASSES)}")
    if name == "replace":
        return _unified(_kernels(before or executable), _kernels(executable), "compiled", "replaced")
    found = []
    for x in executable.executables():
        compiled = x.compiled
        pairs = (compiled.written, compiled.graph)
        found.append(
            _of_graphs(*(pairs if name == "pairs" else (compiled.graph, compiled.stages.simplified)), name)
        )
    return "".join(found)


def _of_graphs(before: Graph, after: Graph, name: str) -> str:
    old = node_names(before, toposort(before.outputs))
    texts = print_graph(before, True, old), print_graph(after, True, names_after(before, after))
    return _unified(*texts, f"before {name}", f"after {name}")


def _kernels(executable: Executable | Staged) -> str:
    return "\n".join(
        print_kernel(call.kernel, locs=True)
        for x in executable.executables()
        for call in x.compiled.named.calls
    )


def _unified(before: str, after: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), old, new)
    return "".join(lines)
