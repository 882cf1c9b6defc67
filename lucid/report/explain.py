"""From what was compiled to the records that tell about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lucid.compiler.ir import program as p
from lucid.compiler.ir.artifact import Address, Launch
from lucid.compiler.ir.artifact import Plan as Launches
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import TensorType, from_numpy
from lucid.compiler.passes.plan import run_order
from lucid.compiler.passes.refusal import Refusal
from lucid.compiler.validate import summary
from lucid.runtime import call as native_call
from lucid.runtime import execute, load, pool

from ..cost import flops
from .count import lines, modules
from .groups import SORTS
from .records import Apart, Buffer, Explanation, Kernel, Library, Plan, Report, Trace

if TYPE_CHECKING:
    from ..engine import Executable
    from ..recording import Recording
    from ..staged import Library as LibraryCall
    from ..staged import Staged
    from ..story import Story


NOT_CALLED = (
    "has not been called yet, so nothing is compiled: call it, then ask again (cost(...) with the arguments "
    "of a call compiles it without running it)"
)
GONE = "has been called on objects that are gone, and what was compiled for them is, too: call it again"
_TIMES = " (times are measured by profile(...))"
AS_IT_LIES = Refusal("a kernel that was put in place reads it")


def explanation(
    name: str, story: Story, latest: Recording | None, sort_by: str, row_limit: int | None
) -> Explanation:
    """Why a function was traced, and why its latest plan is what it is. ValueError for another `sort_by` than
    those of SORTS, and a `row_limit` below 1."""
    if sort_by not in SORTS:
        raise ValueError(f"explain: unknown sort_by {sort_by!r}; expected one of {', '.join(SORTS)}{_TIMES}")
    if row_limit is not None and row_limit < 1:
        raise ValueError(f"explain: row_limit must be at least 1, or None for all, not {row_limit}")
    earlier = story.traces - len(story.reasons)
    traces = tuple(
        Trace(earlier + k, str(reason), reason.what, reason.from_, reason.to)
        for k, reason in enumerate(story.reasons, 1)
    )
    if latest is None:
        note = f"{name} {GONE if traces else NOT_CALLED}"
        return Explanation(Report(name, earlier, traces, (), (note,)), sort_by, row_limit)
    copied = sorted(f"{TensorType(from_numpy(a), b)} of strides {strides}" for a, b, strides in latest.copied)
    notes = [f"copied at each call, as there are gaps: {what}" for what in copied]
    if latest.judged:
        notes.append(
            "indices are looked at in each call, before anything is kept (and exponents of ints): "
            "nothing is updated in place"
        )
    if latest.rooted.outputs:
        notes.append(
            "results can be differentiated: calls are checked by Python, some 10 us each, and what comes "
            "after them is eager; backward() and the optimizer's step can be in the function, or no_grad() "
            "around it"
        )
    if latest.saved is not None and (kept := latest.saved.values.outputs):
        size = f"{len(kept)} arrays, {sum(n.type.nbytes for n in kept):,} bytes"
        notes.append(f"gradients were asked for, so each call keeps what they need: {size}")
    plans = plans_of(latest.executable)
    if type(latest.executable).__name__.startswith("Watched"):
        notes.append("calls are checked by Python, some 10 us each, and results looked at: LUCID_NAN")
    elif any(plan.then for plan in plans):
        notes.append("calls are checked by Python, some 10 us each: a library takes part in them")
    elif not native_call.available():
        notes.append(f"calls are checked by Python, some 10 us each: {native_call.missing()}")
    for made in latest.executable.executables():
        notes += [*lengths(made), *validation(made)]
    return Explanation(Report(name, earlier, traces, plans, tuple(notes)), sort_by, row_limit)


def lengths(made: Executable) -> list[str]:
    """What has become of lengths that varied."""
    if made.settled:
        return [f"compiled again for these lengths alone, after {made.settled:,} calls with them"]
    if made.general:
        left = max(made.native.left.value, 0)
        when = "now" if left > made.calls else f"after {left:,} more calls with them"
        return [
            "lengths have varied, so kernels are for any length; those for these lengths alone are compiled "
            f"{when}"
        ]
    return []


def validation(made: Executable) -> list[str]:
    """What LUCID_VALIDATE has proved, and each access that it has not."""
    found = made.compiled.validation
    if found is None:
        return []
    return [summary(found), *(str(access) for access in found if access.verdict == "not proved")]


def plans_of(made: Executable | Staged) -> tuple[Plan, ...]:
    """One plan for each graph that was compiled, in order."""
    return tuple(
        plan_of(executable, told) if executable is not None else Plan((), (), (), (), 0, 0, 0, (), told)
        for executable, then in made.parts()
        for told in [tuple(map(library, then))]
    )


def library(call: LibraryCall) -> Library:
    """A call of a library as a record."""
    function, loc = call.call.function, call.loc
    return Library(
        function.name, call.call.of_library, tuple(str(n.type) for n in call.call.inputs),
        tuple(str(n.type) for _, n in call.nodes), call.bytes,
        tuple(dict.fromkeys(str(at) for at in loc.every)) if loc is not None else (),
        (loc.module,) if loc is not None and loc.module else (),
    )  # fmt: skip


def plan_of(made: Executable, then: tuple[Library, ...] = ()) -> Plan:
    """The plan of one graph."""
    schedules, plan, program = made.compiled.stages.schedules, made.native.plan, made.compiled.named
    calls, numbers = program.calls, [k for group in run_order(program, plan.aliases) for k in group]
    launches, rest = dict(zip(numbers, plan.launches, strict=True)), iter(numbers)
    grouped = execute.grouped(plan.launches)
    order = [[next(rest) for _ in group] for group in grouped]  # with chains as one
    group = {number: k for k, group in enumerate(order) for number in group}
    chains = tuple(k for k, group in enumerate(grouped) if group[0].strip is not None)
    threads = _threads(made, [launches[number] for number in range(len(calls))])
    strips = dict[int, tuple[str, ...]]()
    for k in chains:
        names = ", ".join(calls[number].kernel.name for number in order[k])
        what = f"in {grouped[k][0].blocks} strips of rows, what lies between them in a cache: {names}"
        strips |= dict.fromkeys(order[k], (what,))
    launched = _launched(made)
    place = {number: k for k, number in enumerate(numbers)}
    kernels = []
    for number, (call, how) in enumerate(zip(calls, schedules, strict=True)):
        launch, name = launches[number], call.kernel.name
        origin, seconds = _origin(made, launch)
        kernels.append(
            Kernel(
                name, lines(call.kernel), modules(call.kernel), call.bytes, flops(call), how.mode, how.width,
                launch.blocks, threads(launch), group[number], origin, seconds,
                (*launched.get(place[number], ()), *call.reasons, *strips.get(number, ())),
                made.compiled.stages.codes[number].key,
            )
        )  # fmt: skip
    buffers, in_place = _buffers(program, plan, order, launches), _in_place(plan)
    outside = sum(b.bytes for b in buffers if b.kind != "temp")
    return Plan(
        tuple(kernels), tuple(_apart(program, plan)), buffers,
        tuple(tuple(calls[number].kernel.name for number in numbers) for numbers in order),
        in_place, plan.temp_bytes, outside - in_place + plan.temp_bytes, _passes(made), then, chains,
    )  # fmt: skip


def _launched(made: Executable) -> dict[int, tuple[str, ...]]:
    """How a GPU runs the launches of the plan, in words; registers are the driver's."""
    if not made.target.is_gpu:
        return {}
    from ..gpu import told  # few ask for it

    return told(made.compiled, made.native.registers() if made.device == "cuda" else ())


def _threads(made: Executable, launches: list[Launch]) -> Callable[[Launch], int]:
    """How many threads share a launch, at most."""
    if made.target.is_gpu:
        return lambda launch: 1
    most = min(made.threads or pool.get_num_threads(), pool.get_num_threads())
    shared = {
        id(launch): min(most, sum(x.blocks for x in group))
        for group in execute.grouped(made.native.plan.launches)
        for launch in group
        if sum(x.work for x in group) >= made.native.parallel
    }
    return lambda launch: max(1, shared.get(id(launch), 1))


def _origin(made: Executable, launch: Launch) -> tuple[str, float]:
    """Where the machine code of a launch came from, and the seconds that took."""
    if made.target.is_gpu:
        return "", 0.0
    found = load.load(launch.code)
    return ("process", 0.0) if found.number < made.known else (found.origin, found.seconds)


def _passes(made: Executable) -> tuple[tuple[str, float], ...]:
    """Seconds by pass, the machine code of the kernels that it was the first to need included."""
    if made.target.is_gpu:
        return made.compiled.times
    codes = {launch.code.key: launch.code for launch in made.native.plan.launches}
    fresh = [found for found in map(load.load, codes.values()) if found.number >= made.known]
    by_llvm = [found for found in fresh if found.origin == "LLVM"]
    took = {
        "lower": sum(found.text for found in by_llvm),
        "LLVM": sum(found.seconds - found.text for found in by_llvm),
        "disk cache": sum(found.seconds for found in fresh if found.origin == "disk"),
    }
    return made.compiled.times + tuple((name, seconds) for name, seconds in took.items() if seconds)


def _apart(program: p.Program, plan: Launches) -> list[Apart]:
    """What lies in memory between kernels, in the order in which it is written."""
    given = set(program.graph.outputs)
    writer: dict[Node, str] = {}
    readers: dict[Node, list[tuple[str, p.Apart | None]]] = {}
    for call in program.calls:
        why = {apart.node: apart for apart in call.apart}
        writer |= dict.fromkeys(call.writes, call.kernel.name)
        for node in dict.fromkeys(call.reads):
            if node in writer:
                readers.setdefault(node, []).append((call.kernel.name, why.get(node)))
    found = []
    for node, read in readers.items():
        told = next((apart for _, apart in read if apart is not None), AS_IT_LIES)
        where = f" at {node.loc}" if node.loc else ""
        found.append(
            Apart(
                f"{node.op.name} {node.type}{where}", writer[node], tuple(name for name, _ in read),
                node.type.nbytes * (len(read) + (node not in given)),
                told.why, told.remedy,
            )
        )  # fmt: skip
    return found


def _buffers(
    program: p.Program, plan: Launches, order: list[list[int]], launches: dict[int, Launch]
) -> tuple[Buffer, ...]:
    names: dict[int, str] = {}
    for k, (buffer, node) in enumerate(zip(plan.inputs, program.graph.inputs, strict=True)):
        names[buffer] = str(node.attrs.get("name", f"input {k}"))
    names |= {buffer: f"output {k}" for k, buffer in enumerate(plan.outputs)}
    used: dict[int, list[int]] = {}
    for step, numbers in enumerate(order):
        for number in numbers:
            name = program.calls[number].kernel.name
            for slot in launches[number].slots:
                if isinstance(slot, Address):
                    names.setdefault(slot.buffer, f"between, from {name}")
                    used.setdefault(slot.buffer, []).append(step)
    over = {o: names[plan.inputs[a]] for o, a in zip(plan.outputs, plan.aliases, strict=True) if a >= 0}
    found = []
    for number, b in enumerate(plan.buffers):
        steps = used.get(number, [0])
        kind = f"{b.dtype.name}[{', '.join(map(str, b.shape))}]"
        found.append(
            Buffer(
                names.get(number, "unused"), b.kind, kind, b.nbytes, min(steps), max(steps), b.offset,
                over.get(number),
            )
        )  # fmt: skip
    return tuple(found)


def _in_place(plan: Launches) -> int:
    return sum(plan.buffers[plan.inputs[a]].nbytes for a in plan.aliases if a >= 0)
