"""What one sees of a compiled function's passes as differences, and kernels of it in the user's words."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from lucid.compiler.ir.graph import Graph, toposort
from lucid.compiler.pipeline import graph_at
from lucid.compiler.text.graph import names_after, node_names, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel

from .engine import Executable
from .recording import Recording
from .staged import Staged

if TYPE_CHECKING:
    from .compiled import Compiled

PASSES = ("autodiff", "pairs", "simplify", "replace")


def replace(compiled: Compiled[..., Any], text: str) -> None:
    """Let calls like the latest one of `compiled` run the kernel that `text` describes. TypeError unless it
    is text; IRSyntaxError where it is malformed; VerifyError unless it may stand in place of the kernel of
    its name."""
    if not isinstance(text, str):
        raise TypeError(f"replace: expected the text of a kernel, not {type(text).__name__}")
    owner, recording = _owner(compiled), compiled._last()
    _exchange(owner, recording, recording.executable.edited(parse_kernel(text)))


def restore(compiled: Compiled[..., Any]) -> None:
    """Let them run what the compiler has made."""
    owner, recording = _owner(compiled), compiled._last()
    if recording.compiled is not None:
        _exchange(owner, recording, recording.compiled)


def _owner(compiled: Compiled[..., Any]) -> Compiled[..., Any]:
    """Whose recording the latest one is: of a method, that of the object on which it was called."""
    native, last = compiled._native, compiled._story.last()
    own = compiled._latest is not None or (native is not None and native.latest is not None)
    return compiled if own or last is None else last


def _exchange(compiled: Compiled[..., Any], recording: Recording, executable: Executable | Staged) -> None:
    """Let calls that `recording` serves run `executable`; native code meets it anew."""
    with compiled._lock():
        if recording.compiled is None:
            recording.compiled = recording.executable
        recording.executable = executable
        if executable is recording.compiled:
            recording.compiled = None
        recording.served[:] = [0, 0]
        native = compiled._native
        if native is not None:
            native.specs[:] = [spec for spec in native.specs if spec[-1][0] is not recording]
        compiled._set_latest(recording)


def diff(recording: Recording, name: str) -> str:
    """The unified diff of what pass `name` has changed; "replace": what `replace` has."""
    if name not in PASSES:
        raise ValueError(f"unknown pass {name!r}; expected one of {', '.join(PASSES)}")
    executable, before = recording.executable, recording.compiled
    if name == "replace":
        return _unified(_kernels(before or executable), _kernels(executable), "compiled", "replaced")
    found = []
    for x in executable.executables():
        compiled = x.compiled
        if name == "autodiff":
            graphs = graph_at(compiled, "graph"), compiled.written
        elif name == "pairs":
            graphs = compiled.written, compiled.graph
        else:
            graphs = compiled.graph, compiled.stages.simplified
        found.append(_of_graphs(*graphs, name))
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
