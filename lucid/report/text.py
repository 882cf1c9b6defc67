"""What a terminal shows of a report: a summary, then why, what, what not, memory and time. Equal kernels are
told together, the largest first; of what is long as many rows as are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from .groups import Group, as_few, grouped
from .records import Apart, Buffer, Kernel, Library, Plan, Report

T = TypeVar("T")
FEW = 0.005  # what is less than this part of all bytes is told as a sum
MOST = 5  # kernels that the summary names
LAPS = 3  # passes, too
REASONS = 6  # of each kernel, where rows are limited
NAMES = 4  # lines and modules that are named for a row
ALL = "explain(row_limit=None) tells all"


def text(report: Report, sort_by: str = "bytes", row_limit: int | None = None) -> str:
    """The report. `sort_by`: of kernels, one of SORTS; `row_limit`: kernels, arrays and steps that are told,
    at most."""
    lines = summary(report.plans[0], report.name) if len(report.plans) == 1 else []
    lines += traced(report, row_limit)
    for number, plan in enumerate(report.plans):
        if len(report.plans) > 1:
            lines += summary(plan, f"stage {number}")
        if plan.kernels or not plan.then:
            lines += _plan(plan, sort_by, row_limit)
        lines += [f"then {of_library(call)}" for call in plan.then]
    return "\n".join([*lines, *report.notes])


def of_library(call: Library) -> str:
    """A call of a library, in a line."""
    takes, gives = ", ".join(call.takes), ", ".join(call.gives)
    where = f"; lines {', '.join(short(call.lines))}" if call.lines else ""
    inside = f" in {', '.join(call.modules)}" if call.modules else ""
    return f"library {call.name}: {call.calls}({takes}) gives {gives}; {call.bytes:,} bytes{where}{inside}"


def summary(plan: Plan, title: str) -> list[str]:
    """A plan in a few lines: how many kernels, what they move, what took the time, what moves the most."""
    count, groups = len(plan.kernels), grouped(plan.kernels, "bytes")
    different = f", {len(groups)} of them different" if len(groups) < count else ""
    steps = f", in {len(plan.steps)} steps" if len(plan.steps) > 1 else ""
    between = f", {_part(plan.apart_bytes, plan)} of them between kernels," if plan.apart_bytes else ""
    laps = sorted(plan.passes, key=lambda lap: -lap[1])[:LAPS]
    lines = [
        f"{title}: {count} kernel{'s' if count != 1 else ''}{different}{steps}",
        f"  a call moves {plan.bytes:,} bytes{between} and takes {plan.flops:,} flops",
        f"  compiled in {_time(plan.seconds)}: {', '.join(f'{name} {_time(t)}' for name, t in laps)}",
    ]
    if len(groups) > MOST:
        largest = (f"{called(group)} {_part(group.bytes, plan)}" for group in groups[:MOST])
        lines.append(f"  most bytes: {', '.join(largest)}")
    return lines if plan.kernels else lines[:1]


def traced(report: Report, row_limit: int | None) -> list[str]:
    """Why it was traced, each time; the latest, where rows are limited."""
    traces = report.traces[-row_limit:] if row_limit else report.traces
    earlier = report.earlier + len(report.traces) - len(traces)
    lines = [f"{earlier} traces before these"] if earlier else []
    return lines + [f"trace {t.number}: {t.reason}" for t in traces]


def _plan(plan: Plan, sort_by: str, row_limit: int | None) -> list[str]:
    groups = grouped(plan.kernels, sort_by)
    shown, left = cut(groups, row_limit)
    lines: list[str] = []
    for group in shown:
        lines += _group(group, row_limit is not None)
    if left:
        count, moved = sum(group.count for group in left), sum(group.bytes for group in left)
        lines.append(f"and {count} more kernels: {moved:,} bytes ({_part(moved, plan)}); {ALL}")
    lines += fusion(plan, row_limit)
    lines += [run(plan, row_limit), *memory(plan, row_limit)]
    lines.append(f"passes: {', '.join(f'{name} {1e3 * t:.2f} ms' for name, t in plan.passes)}")
    return lines


def _group(group: Group, limited: bool) -> list[str]:
    kernel = group.kernels[0]
    lines = [f"kernel {called(group)}: {moved(group)}"]
    count = f"{kernel.flops:,} flops, {kernel.intensity:.2g} a byte" if kernel.flops else "no flops"
    made = f"; code from {origin(kernel)}" if kernel.origin else ""
    each = " each" if group.count > 1 else ""
    lines.append(f"  {count}{each}; {kernel.mode}, {kernel.lanes} lanes; {shared(kernel)}{made}")
    if kernel.lines:
        lines.append(f"  lines {places(group, limited)}")
    return lines + [f"  {reason}" for reason in reasons_of(group, limited)]


def called(group: Group) -> str:
    """The name of a kernel, or of several and how many they are."""
    return f"{group.name} ({group.count} times)" if group.count > 1 else group.name


def moved(group: Group) -> str:
    """The bytes that it moves, in words."""
    each = f", {group.kernels[0].bytes:,} each" if group.count > 1 else ""
    return f"{group.bytes:,} bytes{each}"


def places(group: Group, limited: bool) -> str:
    """The lines of the user's and the modules that it belongs to."""
    lines, modules = short(group.lines), list(group.modules)
    if limited:
        lines, modules = (few[:NAMES] + (["…"] if len(few) > NAMES else []) for few in (lines, modules))
    inside = f"; in {', '.join(modules)}" if modules else ""
    return f"{', '.join(lines)}{inside}"


def shared(kernel: Kernel) -> str:
    """Its blocks and threads."""
    blocks = f"{kernel.blocks:,} block{'s' if kernel.blocks != 1 else ''}"
    return f"{blocks} on {kernel.threads} thread{'s' if kernel.threads != 1 else ''}"


def reasons_of(group: Group, limited: bool) -> list[str]:
    """What was fused to the first of equal kernels, and why, each reason once."""
    reasons = group.kernels[0].reasons
    counts = {reason: reasons.count(reason) for reason in reasons}
    told = [f"{reason} ({n} times)" if n > 1 else reason for reason, n in counts.items()]
    if limited and len(told) > REASONS:
        return [*told[: REASONS - 1], f"and {len(told) - REASONS + 1} more"]
    return told


def cut(rows: Sequence[T], row_limit: int | None) -> tuple[Sequence[T], Sequence[T]]:
    """The rows that are shown, and the others."""
    return (rows, ()) if row_limit is None else (rows[:row_limit], rows[row_limit:])


def fusion(plan: Plan, row_limit: int | None = None) -> list[str]:
    """What was not fused, and why, the most bytes first."""
    lines: list[str] = []
    said: set[str] = set()
    shown, left = cut(fusible(plan), row_limit)
    for apart in shown:
        lines.append(f"not fused: {between(apart)}: {sum(a.bytes for a in apart):,} bytes more")
        lines.append(f"  as {apart[0].why}")
        if apart[0].remedy and apart[0].remedy not in said:
            said.add(apart[0].remedy)
            lines.append(f"  to change that: {apart[0].remedy}")
    if small := few(plan, left):
        arrays, bytes = small
        lines.append(f"not fused: {arrays}, {bytes} bytes more")
    return lines


def between(apart: Sequence[Apart]) -> str:
    """An array that was not fused, or several that are equal, and the kernels on both sides."""
    writers = as_few([a.written_by for a in apart])
    readers = as_few([name for a in apart for name in a.read_by])
    many = f" ({len(apart)} times)" if len(apart) > 1 else ""
    return f"{apart[0].array}{many}, from {writers} to {readers}"


def fusible(plan: Plan) -> list[list[Apart]]:
    """What was not fused, but for small arrays: equal ones together, the most bytes first."""
    found: dict[tuple[str, str, str], list[Apart]] = {}
    for apart in plan.apart:
        found.setdefault((apart.array, apart.why, apart.remedy), []).append(apart)
    large = [equal for equal in found.values() if sum(a.bytes for a in equal) >= FEW * plan.bytes]
    return sorted(large, key=lambda equal: -sum(a.bytes for a in equal))


def few(plan: Plan, left: Sequence[list[Apart]] = ()) -> tuple[str, str] | None:
    """Small arrays that were not fused, and those of the rows that are `left`, in words, and their bytes;
    None if there are none."""
    large = {id(a) for equal in fusible(plan) for a in equal}
    others = [a.bytes for equal in left for a in equal]
    small = [a.bytes for a in plan.apart if id(a) not in large]
    if not (small or others):
        return None
    total, size = small + others, "more" if others else "small"
    return f"{len(total)} {size} array{'s' if len(total) > 1 else ''}", f"{sum(total):,}"


def memory(plan: Plan, row_limit: int | None = None) -> list[str]:
    """Memory of a plan, as a sum and by array: by step, or the largest where rows are limited."""
    temps = [b for b in plan.buffers if b.kind == "temp"]
    if row_limit is not None and len(temps) > row_limit:
        temps.sort(key=lambda b: -b.bytes)
    shown, left = cut(temps, row_limit)
    lines = [sums(plan)]
    lines += [f"  {b.name} {b.type}: {b.bytes:,} bytes at {b.offset:,}, {lifetime(b)}" for b in shown]
    if left:
        lines.append(f"  and {len(left)} more arrays: {sum(b.bytes for b in left):,} bytes; {ALL}")
    return lines


def sums(plan: Plan) -> str:
    outside = sum(b.bytes for b in plan.buffers if b.kind != "temp")
    return (
        f"memory: {outside:,} bytes of inputs and outputs ({plan.in_place:,} updated in place), "
        f"{plan.working:,} bytes of working memory, at most {plan.peak:,} at once"
    )


def lifetime(b: Buffer) -> str:
    return f"step {b.first}" if b.first == b.last else f"steps {b.first} to {b.last}"


def run(plan: Plan, row_limit: int | None = None) -> str:
    """The steps, in order."""
    steps = [_step(step, k in plan.chains) for k, step in enumerate(plan.steps)]
    shown, left = cut(steps, row_limit)
    more = f", then {len(left)} more steps" if left else ""
    strips = ", what goes together by strips of rows by >" if plan.chains else ""
    return f"runs, what shares threads joined by +{strips}: {', then '.join(shown)}{more}"


def origin(kernel: Kernel) -> str:
    """Where its machine code came from, in words."""
    took = f", {1e3 * kernel.seconds:.1f} ms" if kernel.origin != "process" else ""
    return f"{'this process' if kernel.origin == 'process' else kernel.origin}{took}"


def _step(step: tuple[str, ...], chain: bool) -> str:
    if chain:
        return " > ".join(step)
    counts = {name: step.count(name) for name in step}
    return " + ".join(f"{n} {name}" if n > 1 else name for name, n in counts.items())


def short(lines: Sequence[str]) -> list[str]:
    """Places in the user's code, each file once: `train.py:3, :5, model.py:12`."""
    found, last = [], ""
    for line in lines:
        file, _, number = line.rpartition(":")
        found.append(f":{number}" if file == last else line)
        last = file
    return found


def _part(bytes: int, plan: Plan) -> str:
    return f"{100 * bytes / plan.bytes:.0f} %" if plan.bytes else "none"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 0.9995 else f"{1e3 * seconds:.3g} ms"
