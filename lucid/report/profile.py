"""`compiled.profile(...)`: the time of each kernel beside what this machine could do at best."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lucid.compiler.ir.data import data, replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.program import Call, Program
from lucid.compiler.passes.plan import run_order
from lucid.runtime import peaks, timing

from ..errors import bounds, public
from .explain import library as record_of
from .explain import plan_of
from .records import Kernel, plain
from .records import Library as LibraryRecord
from .text import of_library, short

if TYPE_CHECKING:
    from ..engine import Array, Executable
    from ..staged import Library, Results, Staged


class Limits(Protocol):
    """Of this machine, or a GPU: bytes, and operations of float32, a second."""

    def bandwidth(self, nbytes: int, threads: int) -> float: ...

    def multiply_adds(self, threads: int) -> float: ...


TRACED = 10  # passes that a trace file shows
LIBRARY = "library"  # the mode of what is no kernel
ROWS = 20  # kernels that its text tells
SORTS: dict[str, Callable[[Timed], float | str]] = {
    "time": lambda t: -t.seconds,
    "bytes": lambda t: -t.kernel.bytes,
    "flops": lambda t: -t.kernel.flops,
    "order": lambda t: 0,
    "name": lambda t: t.kernel.name,
}


@data
class Timed:
    """One kernel in seconds: the median of all passes, and a quarter of them below `low`, above `high`.
    `share` of the time of all kernels. `limit`: the least that it could take, the larger one of `by_memory`
    (its bytes at the bandwidth that was measured for so many) and `by_arithmetic` (its operations at the
    measured peak of multiply-adds); of a call of a library, whose mode is that, it is not known, and 0.
    `busy`: seconds of each thread that ran a part of it, the longest first. `counts`: what the processor
    counted while it ran, by name; empty where it is not to be read."""

    kernel: Kernel
    seconds: float
    low: float
    high: float
    share: float
    by_memory: float
    by_arithmetic: float
    busy: tuple[float, ...]
    counts: Mapping[str, float]

    @property
    def balance(self) -> float:
        """How evenly the threads shared it: their mean beside the busiest one; 1 for one thread, and
        1 / n where one of n did all."""
        threads = max(self.kernel.threads, len(self.busy))
        return sum(self.busy) / (threads * self.busy[0]) if self.busy and self.busy[0] else 1.0

    @property
    def limit(self) -> float:
        return max(self.by_memory, self.by_arithmetic)

    @property
    def bound(self) -> str:
        if self.kernel.mode == LIBRARY:
            return "a library"
        return "memory" if self.by_memory >= self.by_arithmetic else "arithmetic"


@data
class Pass:
    """One pass over the kernels: (number, begin, seconds) of each, in the order in which they ran."""

    spans: tuple[tuple[int, float, float], ...]


@bounds
@data
class Profile:
    """Kernels, and calls of libraries between them, in the order in which they run; those that go together by
    strips of rows are one. `step`: the median of all of them in one native call, as a step runs them;
    `passes`: how often each ran. Seconds throughout. `missing`: why there are no counters of the processor,
    "" if there are. `parts`: of one more pass, (kernel, thread, begin, seconds) of each part of a kernel that
    a thread has taken. As text, a table; `as_dict()` is plain data."""

    name: str
    kernels: tuple[Timed, ...]
    step: float
    passes: int
    spans: tuple[Pass, ...]
    missing: str
    parts: tuple[tuple[int, int, float, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """Dicts, lists, strings, numbers and None: what JSON takes."""
        rows = [
            plain(t.kernel)
            | {name: getattr(t, name) for name in ("seconds", "low", "high", "share", "limit", "bound")}
            | {"by_memory": t.by_memory, "by_arithmetic": t.by_arithmetic, "code_seconds": t.kernel.seconds}
            | {"balance": t.balance, "busy": list(t.busy), "counts": dict(t.counts)}
            for t in self.kernels
        ]
        told = {"name": self.name, "step": self.step, "passes": self.passes, "missing": self.missing}
        return told | {"kernels": rows}

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the latest passes as a trace, which Perfetto (ui.perfetto.dev) and chrome://tracing show;
        and, as another process, one pass with what each thread ran. OSError where it cannot be written."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"displayTimeUnit": "ns", "traceEvents": self._events()}, file)

    def _events(self) -> list[dict[str, Any]]:
        common = {"pid": 1, "tid": 1}
        found: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "args": {"name": f"lucid {self.name}"}, **common},
            {"ph": "M", "name": "thread_name", "args": {"name": "kernels, one at a time"}, **common},
        ]
        for number, one in enumerate(self.spans):
            for k, begin, seconds in one.spans:
                timed = self.kernels[k]
                told = {"pass": number, "lines": list(timed.kernel.lines), "bound": timed.bound}
                told |= {name: getattr(timed.kernel, name) for name in ("bytes", "flops", "threads")}
                event = {"ph": "X", "name": timed.kernel.name, "cat": "kernel", "ts": 1e6 * begin}
                event |= {"dur": 1e6 * seconds, "args": told | {"limit_us": 1e6 * timed.limit}}
                found.append(event | common)
        return found + self._of_threads()

    def _of_threads(self) -> list[dict[str, Any]]:
        threads = sorted({thread for _, thread, _, _ in self.parts})
        names = [("process_name", 0, "threads, in a pass of its own")] if threads else []
        names += [("thread_name", t, f"thread {t}") for t in threads]
        heads = [{"ph": "M", "name": n, "pid": 2, "tid": t, "args": {"name": v}} for n, t, v in names]
        return heads + [
            {"ph": "X", "name": self.kernels[k].kernel.name, "cat": "part", "pid": 2, "tid": thread}
            | {"ts": 1e6 * begin, "dur": 1e6 * seconds}
            for k, thread, begin, seconds in self.parts
        ]

    def rows(
        self, sort_by: str = "time", row_limit: int | None = ROWS
    ) -> tuple[str, tuple[str, ...], list[tuple[str, ...]], list[str]]:
        """What its table says: above it, the names of its columns, a row a kernel, and below it."""
        total = sum(t.seconds for t in self.kernels)
        head = (
            f"{self.name}: {_time(self.step)} a step; its kernels {_libraries(self.kernels)}one at a time "
            f"{_time(total)}, "
            f"medians of {self.passes} passes"
        )
        counted = list(dict.fromkeys(name for t in self.kernels for name in t.counts))
        columns = "kernel", "time", "share", "limit", "reached", "by", "threads", "balance", *counted, "lines"
        rows = list[tuple[str, ...]]()
        shown = sorted(self.kernels, key=SORTS[sort_by])
        for t in shown[:row_limit]:
            own = t.kernel.mode != LIBRARY
            reached = f"{100 * t.limit / t.seconds:.0f} %" if t.seconds and own else "-"
            times = _time(t.seconds), f"{100 * t.share:.0f} %", _time(t.limit) if own else "-", reached
            shared = f"{100 * t.balance:.0f} %" if t.kernel.threads > 1 else "-"
            counts = [_count(t.counts.get(name, 0)) for name in counted]
            lines = ", ".join(short(t.kernel.lines))
            threads = str(t.kernel.threads) if own else "-"
            rows.append((t.kernel.name, *times, t.bound, threads, shared, *counts, lines))
        left = shown[len(rows) :]
        part = f"{100 * sum(t.share for t in left):.0f} % of the time"
        below = [f"and {len(left)} more kernels: {part}; table(row_limit=None) tells all"] if left else []
        if self.missing and self.kernels:
            below.append(f"no counters of the processor: {self.missing}")
        return head, columns, rows, below

    @public
    def table(self, sort_by: str = "time", row_limit: int | None = ROWS) -> str:
        """As a text. `sort_by`: "time", "bytes", "flops", "order" (of the plan) or "name"; `row_limit`: so
        many kernels, at most; None for all. ValueError for others."""
        if sort_by not in SORTS:
            raise ValueError(f"table: unknown sort_by {sort_by!r}; expected one of {', '.join(SORTS)}")
        if row_limit is not None and row_limit < 1:
            raise ValueError(f"table: row_limit must be at least 1, or None for all, not {row_limit}")
        head, columns, rows, below = self.rows(sort_by, row_limit)
        width = max(len(row[0]) for row in (columns, *rows))
        form = f"{{:<{width}}}  {{:>9}}  {{:>5}}  {{:>9}}  {{:>7}}  {{:<10}}  {{:>7}}  {{:>7}}  "
        form += "{:>12}  " * (len(columns) - 9) + "{}"
        lines = [head, *(form.format(*row) for row in (columns, *rows))]
        return "\n".join([*lines, *below])

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__  # what notebooks show, and Python's prompt

    def __rich__(self) -> Any:
        from .tables import of_profile  # rich asks

        return of_profile(self)

    def show(self) -> None:
        """Print it, as a table where rich is installed."""
        from .tables import show

        show(self)


def _libraries(kernels: Sequence[Timed]) -> str:
    return "and libraries " * any(t.kernel.mode == LIBRARY for t in kernels)


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def profile(name: str, made: Executable | Staged, arrays: Sequence[Array]) -> Profile:
    """Times of all kernels of what was compiled, for these inputs, which are not changed."""
    kernels: list[tuple[Kernel, list[Call]]] = []
    found: list[timing.Times] = []
    limits: Limits = peaks

    def run(executable: Executable, inputs: list[Array]) -> list[Array]:
        nonlocal limits
        inside, plan = executable.compiled.stages, executable.compiled.plan
        told = plan_of(executable).kernels
        order = [k for group in run_order(inside.program, plan.aliases) for k in group]
        if executable.device == "cuda":
            from .profile_cuda import limits_of, times_of  # few have one

            times, units = times_of(executable, inputs)
            limits = limits_of(executable)
        else:
            times = timing.times(executable.native, inputs, executable.threads)
            rest = iter(range(len(order)))
            units = [[next(rest) for _ in range(count)] for count in times.units]
        for unit in units:
            numbers = [order[n] for n in unit]
            calls = [inside.program.calls[k] for k in numbers]
            kernels.append((_one([told[k] for k in numbers], calls, inside.program), calls))
        found.append(times)
        return executable(inputs)

    def seen(library: Library, work: Callable[[], Results]) -> Results:
        kernels.append((_as_kernel(record_of(library)), []))
        found.append(timing.of_call(work))
        return work()

    made.executables()  # whose kernels are told apart then
    made.through(arrays, run, seen)
    passes = min((len(times.spans) for times in found), default=0)
    rows = [[span for times in _placed(found) for span in times[p - passes]] for p in range(passes)]
    medians = [statistics.median(row[k][1] for row in rows) for k in range(len(kernels))]
    total = sum(medians) or 1.0
    of_cpu = [pair for times in found for pair in zip(times.busy, times.counts, strict=True)]
    timed = [
        _timed(kernel, calls, sorted(row[k][1] for row in rows), medians[k] / total, *of_cpu[k], limits)
        for k, (kernel, calls) in enumerate(kernels)
    ]
    spans = [Pass(tuple((k, *span) for k, span in enumerate(row))) for row in rows[-TRACED:]]
    step = sum(statistics.median(times.whole) for times in found)
    missing = next((times.missing for times in found if times.missing), "")
    return Profile(name, tuple(timed), step, passes, tuple(spans), missing, tuple(_joined(found)))


def _placed(found: Sequence[timing.Times]) -> list[list[list[tuple[float, float]]]]:
    """The passes over all that was timed, one behind the other as they were made."""
    placed, end = [], 0.0
    for times in found:
        placed.append([[(end + begin, seconds) for begin, seconds in one] for one in times.spans])
        end = max((begin + seconds for one in placed[-1] for begin, seconds in one), default=end)
    return placed


def _as_kernel(library: LibraryRecord) -> Kernel:
    """A call of a library in a row of its own. How many operations it takes, and how many threads, it
    knows."""
    return Kernel(
        library.name, library.lines, library.modules, library.bytes, 0, LIBRARY, 0, 1, 1, 0, "", 0.0,
        (of_library(library),),
    )  # fmt: skip


def _joined(found: Sequence[timing.Times]) -> list[tuple[int, int, float, float]]:
    """The parts of all that was timed, one after the other."""
    parts: list[tuple[int, int, float, float]] = []
    kernels, end = 0, 0.0
    for times in found:
        parts += [(kernels + k, thread, end + begin, s) for k, thread, begin, s in times.parts]
        kernels += len(times.units)
        end = max((begin + s for _, _, begin, s in parts), default=end)
    return parts


def _one(told: list[Kernel], calls: list[Call], program: Program) -> Kernel:
    """A kernel; or those of a chain as one, which moves no bytes of what lies between them."""
    if len(told) == 1:
        return told[0]
    last: dict[Node, int] = {}
    for k, call in enumerate(program.calls):
        last |= {operand.node: k for operand in call.arrays.values()}
    own = {id(call) for call in calls}
    moved = 0
    written = {node for call in calls for node in call.writes} - set(program.graph.outputs)
    inside = {node for node in written if id(program.calls[last[node]]) in own}
    for call in calls:
        moved += sum(node.type.nbytes for node in {o.node for o in call.arrays.values()} - inside)
    return replace(
        told[0],
        name=" + ".join(kernel.name for kernel in told),
        lines=tuple(dict.fromkeys(line for kernel in told for line in kernel.lines)),
        bytes=moved,
        flops=sum(kernel.flops for kernel in told),
        seconds=sum(kernel.seconds for kernel in told),
        reasons=tuple(reason for kernel in told for reason in kernel.reasons),
    )


def _timed(
    kernel: Kernel,
    calls: list[Call],
    seconds: list[float],
    share: float,
    busy: tuple[float, ...],
    counts: Mapping[str, float],
    limits: Limits,
) -> Timed:
    quarter = len(seconds) // 4
    middle = statistics.median(seconds), seconds[quarter], seconds[-1 - quarter], share
    if kernel.mode == LIBRARY:
        return Timed(kernel, *middle, 0.0, 0.0, busy, counts)
    wide = any(
        array.dtype.is_float and array.dtype.size == 8 for call in calls for array in call.kernel.outputs
    )
    peak = limits.multiply_adds(kernel.threads) / (2 if wide else 1)
    return Timed(
        kernel, *middle,
        kernel.bytes / limits.bandwidth(kernel.bytes, kernel.threads), kernel.flops / peak, busy, counts,
    )  # fmt: skip
