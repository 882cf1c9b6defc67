"""What one sees of a compiled function's passes as differences, and kernels of it in the user's words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lucid.compiler.edit import difference
from lucid.compiler.ir.binding import Binding
from lucid.compiler.ir.data import data
from lucid.compiler.ir.data import replace as changed
from lucid.compiler.ir.graph import Graph, toposort
from lucid.compiler.ir.kernel import Kernel
from lucid.compiler.pipeline import chosen, loops
from lucid.compiler.stages import graph_at, part_at
from lucid.compiler.text.graph import names_after, node_names, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.lexer import Cursor
from lucid.compiler.text.loop import print_func
from lucid.compiler.text.program import binding_lines, parse_whole
from lucid.compiler.verify.error import VerifyError
from lucid.compiler.verify.kernel import verify_kernel

from .engine import Executable
from .errors import warn_user
from .recording import Recording
from .staged import Staged

if TYPE_CHECKING:
    from .compiled import Compiled

PASSES = ("autodiff", "pairs", "simplify", "fuse", "lower", "replace")


@data
class Edit:
    """What stands in place of the kernel of its name, wherever that has the text `instead`."""

    kernel: Kernel
    instead: str


def replace(compiled: Compiled[..., Any], text: str, every: bool) -> None:
    """Let calls run the kernels that `text` describes in place of those of their names; if `every`, of all
    that have the same text. TypeError unless it is text; IRSyntaxError where it is malformed; VerifyError
    unless each may stand in place of what it replaces, in all traces that have it; nothing has changed
    then."""
    if not isinstance(text, str):
        raise TypeError(f"replace: expected the text of a kernel, not {type(text).__name__}")
    owner, latest = _owner(compiled), compiled._last()
    now = _by_name(latest.executable)
    made = _kernels_of(text, now)
    if (binding := parse_whole(text).binding) is not None:
        _same_binding(binding, latest.executable)
    before = _by_name(latest.compiled or latest.executable)
    others = {k.name: _others(before, k.name, {x.name for x in made}) for k in made}
    wanted = [*made, *(changed(k, name=name) for k in made for name in others[k.name] if every)]
    new = [k for k in wanted if k != now[k.name]]
    if not new:
        warn_user("replace: nothing is changed: the text has the kernels that run already")
        return
    edits = {**owner._edits, **{k.name: Edit(k, _plain(before[k.name])) for k in new}}
    recordings = _recordings(owner, latest)
    ready = [(r, _with(r.compiled or r.executable, edits.values())) for r in recordings]
    owner._edits = edits
    for recording, executable in ready:
        _exchange(owner, recording, executable)
    for kernel in () if every else new:
        if same := [n for n in others[kernel.name] if _plain(now[n]) != _plain(kernel)]:
            too = "both" if len(same) == 1 else f"all {len(same) + 1}"
            warn_user(
                f"replace: {kernel.name} alone runs the new text; what it was is also the text of "
                f"{', '.join(same)}: all=True replaces {too}"
            )
    for recording in recordings[1:]:
        made_then = recording.compiled or recording.executable
        _tell_missing(made_then, [edits[k.name] for k in new], "an earlier trace")


def restore(compiled: Compiled[..., Any]) -> None:
    """Let them run what the compiler has made."""
    owner, latest = _owner(compiled), compiled._last()
    owner._edits = {}
    for recording in _recordings(owner, latest):
        if recording.compiled is not None:
            _exchange(owner, recording, recording.compiled)


def carry(owner: Compiled[..., Any], recording: Recording) -> None:
    """Let a new trace run what was put in place of its kernels. VerifyError where that may not stand
    there."""
    edits = [*owner._edits.values()]
    executable = _with(recording.executable, edits)
    if executable is not recording.executable:
        recording.compiled, recording.executable = recording.executable, executable
    _tell_missing(recording.compiled or recording.executable, edits, "a new trace")


def _kernels_of(text: str, now: Mapping[str, Kernel]) -> tuple[Kernel, ...]:
    """The kernels of a text, each of which may stand in place of the one of its name."""
    head = Cursor(text)
    head.skip_lines()
    if head.at("graph"):
        raise head.error("this is a graph, and kernels are replaced: change the function, or `lucid run` it")
    whole = parse_whole(text, bound=False)
    if whole.funcs:
        raise head.error(
            "these are loops, and kernels are replaced: of loops nothing proves that they stay inside of "
            "their arrays, so no code is made of their text; `lucid run` interprets it"
        )
    for kernel in whole.kernels:
        if kernel.name not in now:
            names = ", ".join(now) or "none"
            raise VerifyError(f"there is no kernel `{kernel.name}` here; expected one of: {names}")
        verify_kernel(kernel)
        problem = difference(now[kernel.name], kernel)
        if problem is not None:
            raise VerifyError(f"kernel {kernel.name}: {problem}")
    return whole.kernels


def _same_binding(binding: Binding, compiled: Executable | Staged) -> None:
    own = compiled.whole(loop=False).binding
    if binding == own:
        return
    assert own is not None
    ours, theirs = ([line for line, _ in binding_lines(b)] for b in (own, binding))
    a, b = next((a, b) for a, b in zip([*ours, ""], [*theirs, ""], strict=False) if a != b)
    same = next((k for k, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), 0)
    old, new = (f"{line[max(0, same - 24) : same + 24].strip()} ..." for line in (a, b))
    raise VerifyError(
        f"program {own.name}: what kernels of the latest call are applied to stays as it is, `... {old}`, "
        f"not `... {new}`: give the text of kernels alone, or `lucid run` all of it"
    )


def _by_name(made: Executable | Staged) -> dict[str, Kernel]:
    return {call.kernel.name: call.kernel for x in made.executables() for call in x.compiled.named.calls}


def _others(kernels: Mapping[str, Kernel], name: str, told: set[str]) -> list[str]:
    """The kernels of the same text as the one of this name, without those that are `told`."""
    plain = _plain(kernels[name])
    return [other for other, k in kernels.items() if other not in told and _plain(k) == plain]


def _plain(kernel: Kernel) -> str:
    """The text of a kernel without its name."""
    return print_kernel(changed(kernel, name="k"))


def _recordings(owner: Compiled[..., Any], latest: Recording) -> list[Recording]:
    """All traces of a function, the latest first."""
    found = {id(r): r for r in (latest, *(r for known in owner._cache.values() for r in known))}
    return [*found.values()]


def _with(made: Executable | Staged, edits: Iterable[Edit]) -> Executable | Staged:
    """What was compiled, with all edits of kernels that it has."""
    own = _by_name(made)
    for edit in edits:
        kernel = own.get(edit.kernel.name)
        if kernel is not None and _plain(kernel) == edit.instead:
            try:
                made = made.edited(edit.kernel)
            except VerifyError as error:
                raise VerifyError(f"{error}\n  for {_sizes(made)}") from None
    return made


def _sizes(made: Executable | Staged) -> str:
    """The call that something was compiled for, in words."""
    binding = made.whole(loop=False).binding
    inputs = () if binding is None else binding.inputs
    return ", ".join(f"{i.given}: {i.type}" for i in inputs[:2]) + (", ..." if len(inputs) > 2 else "")


def _tell_missing(made: Executable | Staged, edits: Sequence[Edit], which: str) -> None:
    """Warn of edits that are of no kernel here."""
    own = _by_name(made)
    names = [e.kernel.name for e in edits]
    gone = [name for name in names if name not in own]
    here = [e for e in edits if e.kernel.name in own]
    others = [e.kernel.name for e in here if _plain(own[e.kernel.name]) != e.instead]
    found = [f"has no kernel {', '.join(gone)}"] * bool(gone)
    found += [f"has another text for {', '.join(others)}"] * bool(others)
    if found:
        warn_user(
            f"replace: {which} ({_sizes(made)}) {' and '.join(found)}, and runs what was compiled there: "
            "call it so, and replace the kernels that it has; restore() takes all replacements back"
        )


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
        recording.served.clear()
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
    return "".join(_changes(x, name) for x in executable.executables())


def _changes(made: Executable, name: str) -> str:
    compiled = made.compiled
    match name:
        case "autodiff":
            return _of_graphs(graph_at(compiled, "graph"), compiled.written, name)
        case "pairs":
            return _of_graphs(compiled.written, compiled.graph, name)
        case "simplify":
            return _of_graphs(compiled.graph, compiled.stages.simplified, name)
        case "fuse":
            parts = (part_at(compiled, "simplified", call) for call in compiled.named.calls)
            kernels = (call.kernel for call in compiled.named.calls)
            return _rewritten(
                [
                    (kernel.name, print_graph(part, True, names), print_kernel(kernel, True))
                    for kernel, (part, names) in zip(kernels, parts, strict=True)
                ],
                name,
            )
    lowered = [
        (k.name, print_kernel(k, True), "\n".join(print_func(f, True) for f in loops(k, plan)))
        for k, plan, _ in chosen(compiled, None, once=True)
    ]
    return _rewritten(lowered, name)


def _rewritten(parts: list[tuple[str, str, str]], name: str) -> str:
    """What a pass writes in another language, kernel by kernel: all that it was, and all that it is."""
    lines = [f"--- before {name}\n", f"+++ after {name}\n"]
    for kernel, before, after in parts:
        lines.append(f"@@ {kernel} @@\n")
        lines += [f"-{line}\n" for line in before.splitlines()]
        lines += [f"+{line}\n" for line in after.splitlines()]
    return "".join(lines)


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
