"""What `explain` tells, as records; `as_dict` is plain data."""

from __future__ import annotations

from typing import Any

from lucid.compiler.ir.data import as_dict, data


@data
class Kernel:
    """One kernel of a plan. `lines` of the user; `modules`: the paths of those that ran there; `bytes` that
    it moves, each once; `flops`: operations on floats; `mode` and `lanes`: how it goes along memory, and the
    elements of its vectors; `threads`: the most that share its `blocks`; `group`: which step of the plan it
    is part of (those that go together by strips of rows are one); `origin` of its machine code: "process",
    "disk", "LLVM", or "" where it is no CPU's; `seconds` that took; `reasons`: what was fused, and why;
    `code`: the key of its code, which equal kernels share."""

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
    code: str = ""

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
class Library:
    """A call of a library between kernels: `name`, as lucid has it, of what `calls`, of these arguments;
    `bytes` of these and of what it gives; `lines` and `modules` of the user's."""

    name: str
    calls: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    bytes: int
    lines: tuple[str, ...]
    modules: tuple[str, ...]


@data
class Plan:
    """What one graph was compiled to. `steps`: the kernels that run at once, in order; `chains`: those steps
    whose kernels run one after the other, for a strip of rows each time; `peak`: bytes of
    inputs, outputs and working memory, what is overwritten in place counted once; `passes`: seconds by
    pass; `then`: calls of libraries, of its results."""

    kernels: tuple[Kernel, ...]
    apart: tuple[Apart, ...]
    buffers: tuple[Buffer, ...]
    steps: tuple[tuple[str, ...], ...]
    in_place: int
    working: int
    peak: int
    passes: tuple[tuple[str, float], ...]
    then: tuple[Library, ...] = ()
    chains: tuple[int, ...] = ()

    @property
    def bytes(self) -> int:
        """That a call moves."""
        return sum(kernel.bytes for kernel in self.kernels)

    @property
    def flops(self) -> int:
        return sum(kernel.flops for kernel in self.kernels)

    @property
    def apart_bytes(self) -> int:
        """Of `bytes`, what is moved as kernels were not fused."""
        return sum(apart.bytes for apart in self.apart)

    @property
    def seconds(self) -> float:
        """Of all passes."""
        return sum(seconds for _, seconds in self.passes)


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
    """The report as a text, with the same as records in `report` and as plain data in `as_dict()`: all of it,
    in the order of the plan, whatever the text shows. `show()` prints it, on a terminal as tables where rich
    is installed; so does `rich.print`."""

    __slots__ = ("report", "row_limit", "sort_by")
    report: Report
    sort_by: str
    row_limit: int | None

    def __new__(cls, report: Report, sort_by: str = "bytes", row_limit: int | None = None) -> Explanation:
        from .text import text

        made = super().__new__(cls, text(report, sort_by, row_limit))
        made.report, made.sort_by, made.row_limit = report, sort_by, row_limit
        return made

    def __repr__(self) -> str:
        return str(self)

    def __rich__(self) -> Any:
        from .tables import of_report  # rich asks

        return of_report(self.report, self.sort_by, self.row_limit)

    def show(self) -> None:
        """Print it; on a terminal as tables, where rich is installed."""
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
        if isinstance(value, Kernel):
            found |= {"intensity": value.intensity}
        elif isinstance(value, Plan):
            found |= {name: getattr(value, name) for name in ("bytes", "flops", "apart_bytes", "seconds")}
            found |= {"groups": _groups(value)}
        return found
    return str(value) if isinstance(value, str) else value


def _groups(plan: Plan) -> list[dict[str, Any]]:
    from .groups import grouped

    return [
        {"name": group.name, "count": group.count, "bytes": group.bytes, "flops": group.flops}
        | {"kernels": [kernel.name for kernel in group.kernels]}
        for group in grouped(plan.kernels)
    ]
