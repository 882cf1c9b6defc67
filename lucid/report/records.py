"""What `explain` tells, as records; `as_dict` is plain data, `text` what a terminal shows."""

from __future__ import annotations

from typing import Any

from lucid.compiler.ir.data import as_dict, data

# What is less than this part of all bytes is told as a sum.
FEW = 0.005


@data
class Kernel:
    """One kernel of a plan. `lines` of the user; `modules`: the paths of those that ran there; `bytes` that
    it moves, each once; `flops`: operations on floats; `mode` and `lanes`: how it goes along memory, and the
    elements of its vectors; `threads`: the most that share its `blocks`; `group`: which step of the plan it
    is part of (those that go together by strips of rows are one); `origin` of its machine code: "process",
    "disk", "LLVM", or "" where it is no CPU's; `seconds` that took; `reasons`: what was fused, and why."""

    name: str
    lines: tuple[str, ...]
    modules: tuple[str, ...]
    bytes: int
    flops: int
    mode: str
    lanes: int
    blocks: int
    threads: int
    group: int
    origin: str
    seconds: float
    reasons: tuple[str, ...]

    @property
    def intensity(self) -> float:
        """Operations on floats for each byte that is moved."""
        return self.flops / self.bytes if self.bytes else 0.0


@data
class Apart:
    """An array that one kernel writes and others read, as they were not fused: `why`, and what in the
    user's code would change that (`remedy`). `bytes`: what it costs, one write (unless it is a result) and
    a read for each."""

    array: str
    written_by: str
    read_by: tuple[str, ...]
    bytes: int
    why: str
    remedy: str


@data
class Buffer:
    """Memory of a plan: "input", "output", or "temp", which lives from step `first` to step `last`, at
    `offset` of the working memory. `takes_over`: the input that an output overwrites, or None."""

    name: str
    kind: str
    type: str
    bytes: int
    first: int
    last: int
    offset: int
    takes_over: str | None


@data
class Plan:
    """What one graph was compiled to. `steps`: the kernels that run at once, in order; `chains`: those steps
    whose kernels run one after the other, for a strip of rows each time; `peak`: bytes of
    inputs, outputs and working memory, what is overwritten in place counted once; `passes`: seconds by
    pass; `then`: what a library computes from its results."""

    kernels: tuple[Kernel, ...]
    apart: tuple[Apart, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[tuple[str, ...], ...]
    in_place: int
    working: int
    peak: int
    passes: tuple[tuple[str, float], ...]
    then: tuple[str, ...] = ()
    chains: tuple[int, ...] = ()


@data
class Trace:
    """One trace of the function, and why: `what` changed `from_` one value `to` another, where it is that."""

    number: int
    reason: str
    what: str | None
    from_: str | None
    to: str | None


@data
class Report:
    """All of it. `earlier`: how many traces there were before those that are told."""

    name: str
    earlier: int
    traces: tuple[Trace, ...]
    plans: tuple[Plan, ...]
    notes: tuple[str, ...]


class Explanation(str):
    """The report as a text, with the same as records in `report` and as plain data in `as_dict()`. `show()`
    prints it, as tables where rich is installed; so does `rich.print`."""

    __slots__ = ("report",)
    report: Report

    def __new__(cls, report: Report) -> Explanation:
        made = super().__new__(cls, text(report))
        made.report = report
        return made

    def __repr__(self) -> str:
        return str(self)

    def __rich__(self) -> Any:
        from .tables import of_report  # rich asks

        return of_report(self.report)

    def show(self) -> None:
        """Print it, as tables where rich is installed."""
        from .tables import show

        show(self)

    def as_dict(self) -> dict[str, Any]:
        """Dicts, lists, strings, numbers and None: what JSON takes."""
        found = plain(self.report)
        assert isinstance(found, dict)
        return found

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels of all plans."""
        return tuple(kernel for plan in self.report.plans for kernel in plan.kernels)

    @property
    def apart(self) -> tuple[Apart, ...]:
        """What was not fused, in all plans, the most bytes first."""
        found = [apart for plan in self.report.plans for apart in plan.apart]
        return tuple(sorted(found, key=lambda apart: -apart.bytes))


def plain(value: Any) -> Any:
    """A record as plain data."""
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if hasattr(type(value), "__match_args__"):
        found = {name.rstrip("_"): plain(v) for name, v in as_dict(value).items()}
        return found | ({"intensity": value.intensity} if isinstance(value, Kernel) else {})
    return str(value) if isinstance(value, str) else value


# --- text ----------------------------------------------------------------------------------------


def text(report: Report) -> str:
    """What a terminal shows."""
    lines = [f"{report.earlier} traces before these"] if report.earlier else []
    lines += [f"trace {t.number}: {t.reason}" for t in report.traces]
    for number, plan in enumerate(report.plans):
        if len(report.plans) > 1 or plan.then:
            lines.append(f"stage {number}:")
        if plan.kernels or not plan.then:
            lines += _plan(plan)
        lines += [f"then {what}" for what in plan.then]
    return "\n".join([*lines, *report.notes])


def _plan(plan: Plan) -> list[str]:
    lines: list[str] = []
    for kernel in plan.kernels:
        lines.append(f"kernel {kernel.name}: {kernel.bytes:,} bytes")
        count = f"{kernel.flops:,} flops, {kernel.intensity:.2g} a byte" if kernel.flops else "no flops"
        blocks = f"{kernel.blocks:,} block{'s' if kernel.blocks != 1 else ''}"
        shared = f"{blocks} on {kernel.threads} thread{'s' if kernel.threads != 1 else ''}"
        made = f"; code from {origin(kernel)}" if kernel.origin else ""
        lines.append(f"  {count}; {kernel.mode}, {kernel.lanes} lanes; {shared}{made}")
        if kernel.lines:
            inside = f"; in {', '.join(kernel.modules)}" if kernel.modules else ""
            lines.append(f"  lines {', '.join(short(kernel.lines))}{inside}")
        lines += [f"  {reason}" for reason in kernel.reasons]
    lines += fusion(plan)
    lines += [run(plan), *memory(plan)]
    lines.append(f"passes: {', '.join(f'{name} {1e3 * t:.2f} ms' for name, t in plan.passes)}")
    return lines


def fusion(plan: Plan) -> list[str]:
    """What was not fused, and why, the most bytes first."""
    lines: list[str] = []
    said: set[str] = set()
    for apart in fusible(plan):
        lines.append(
            f"not fused: {apart.array}, from {apart.written_by} to {', '.join(apart.read_by)}: "
            f"{apart.bytes:,} bytes more"
        )
        lines.append(f"  as {apart.why}")
        if apart.remedy and apart.remedy not in said:
            said.add(apart.remedy)
            lines.append(f"  to change that: {apart.remedy}")
    if small := few(plan):
        arrays, bytes = small
        lines.append(f"not fused: {arrays}, {bytes} bytes more")
    return lines


def fusible(plan: Plan) -> list[Apart]:
    """What was not fused, but for small arrays, the most bytes first."""
    return sorted((a for a in plan.apart if a.bytes >= _edge(plan)), key=lambda apart: -apart.bytes)


def few(plan: Plan) -> tuple[str, str] | None:
    """Small arrays that were not fused, in words, and their bytes; None if there are none."""
    small = [apart.bytes for apart in plan.apart if apart.bytes < _edge(plan)]
    if not small:
        return None
    return "1 small array" if len(small) == 1 else f"{len(small)} small arrays", f"{sum(small):,}"


def _edge(plan: Plan) -> float:
    return FEW * sum(kernel.bytes for kernel in plan.kernels)


def memory(plan: Plan) -> list[str]:
    """Memory of a plan, as a sum and by array."""
    return [sums(plan)] + [
        f"  {b.name} {b.type}: {b.bytes:,} bytes at {b.offset:,}, {lifetime(b)}"
        for b in plan.buffers
        if b.kind == "temp"
    ]


def sums(plan: Plan) -> str:
    outside = sum(b.bytes for b in plan.buffers if b.kind != "temp")
    return (
        f"memory: {outside:,} bytes of inputs and outputs ({plan.in_place:,} updated in place), "
        f"{plan.working:,} bytes of working memory, at most {plan.peak:,} at once"
    )


def lifetime(b: Buffer) -> str:
    return f"step {b.first}" if b.first == b.last else f"steps {b.first} to {b.last}"


def run(plan: Plan) -> str:
    """The steps, in order."""
    steps = [_step(step, k in plan.chains) for k, step in enumerate(plan.steps)]
    strips = ", what goes together by strips of rows by >" if plan.chains else ""
    return f"runs, what shares threads joined by +{strips}: {', then '.join(steps)}"


def origin(kernel: Kernel) -> str:
    """Where its machine code came from, in words."""
    took = f", {1e3 * kernel.seconds:.1f} ms" if kernel.origin != "process" else ""
    return f"{'this process' if kernel.origin == 'process' else kernel.origin}{took}"


def _step(step: tuple[str, ...], chain: bool) -> str:
    if chain:
        return " > ".join(step)
    counts = {name: step.count(name) for name in step}
    return " + ".join(f"{n} {name}" if n > 1 else name for name, n in counts.items())


def short(lines: tuple[str, ...]) -> list[str]:
    """Places in the user's code, each file once: `train.py:3, :5, model.py:12`."""
    found, last = [], ""
    for line in lines:
        file, _, number = line.rpartition(":")
        found.append(f":{number}" if file == last else line)
        last = file
    return found
