"""Reports as tables of rich, where that is installed: what their texts say, cell by cell."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .records import Plan, Report, few, fusible, lifetime, origin, run, short, sums

if TYPE_CHECKING:
    from .profile import Profile


def show(told: Any) -> None:
    """Print a report: tables on a terminal, if rich is there, else its text."""
    if importlib.util.find_spec("rich") is None:
        print(told)
        return
    from rich.console import Console

    Console(highlight=False, soft_wrap=False).print(told)


def of_report(report: Report) -> Any:
    """What rich prints of `explain()`."""
    from rich.console import Group

    parts: list[Any] = []
    if report.traces:
        traces = _table("traces", ("", ">"), ("reason", "<"))
        if report.earlier:
            traces.add_row("", f"{report.earlier} before these")
        for trace in report.traces:
            traces.add_row(str(trace.number), _plain(trace.reason))
        parts.append(traces)
    for number, plan in enumerate(report.plans):
        if len(report.plans) > 1 or plan.then:
            parts.append(f"stage {number}:")
        if plan.kernels or not plan.then:
            parts += _plan(plan)
        parts += [_plain(f"then {what}") for what in plan.then]
    return Group(*parts, *map(_plain, report.notes))


def _plan(plan: Plan) -> Iterable[Any]:
    kernels = _table(
        "kernels", ("", "<"), ("bytes", ">"), ("flops", ">"), ("a byte", ">"), ("mode", "<"), ("on", "<"),
        ("code from", "<"), ("lines", "<"),
    )  # fmt: skip
    for k in plan.kernels:
        inside = f" in {', '.join(k.modules)}" if k.modules else ""
        on = f"{k.blocks:,} blocks, {k.threads} threads"
        kernels.add_row(*map(_plain, (
            k.name, f"{k.bytes:,}", f"{k.flops:,}", f"{k.intensity:.2g}", f"{k.mode}, {k.lanes} lanes", on,
            origin(k) if k.origin else "", f"{', '.join(short(k.lines))}{inside}",
        )))  # fmt: skip
    yield kernels
    reasons = _table("what each does", ("", "<"), ("", "<"))
    for k in plan.kernels:
        for n, reason in enumerate(k.reasons):
            reasons.add_row(_plain("" if n else k.name), _plain(reason))
    if reasons.row_count:
        yield reasons
    told = fusible(plan)
    if plan.apart:
        apart = _table("not fused", ("", "<"), ("bytes more", ">"), ("from, to", "<"), ("as", "<"))
        for a in told:
            change = f"\nto change that: {a.remedy}" if a.remedy else ""
            way = f"{a.written_by} to {', '.join(a.read_by)}"
            apart.add_row(*map(_plain, (a.array, f"{a.bytes:,}", way, f"{a.why}{change}")))
        if small := few(plan):
            apart.add_row(*small)
        yield apart
    yield _plain(run(plan))
    yield _plain(sums(plan))
    temps = [b for b in plan.buffers if b.kind == "temp"]
    if temps:
        memory = _table(
            "between kernels", ("", "<"), ("type", "<"), ("bytes", ">"), ("at", ">"), ("lives", "<")
        )
        for b in temps:
            memory.add_row(*map(_plain, (b.name, b.type, f"{b.bytes:,}", f"{b.offset:,}", lifetime(b))))
        yield memory
    passes = _table("passes", ("", "<"), ("ms", ">"))
    for name, seconds in plan.passes:
        passes.add_row(name, f"{1e3 * seconds:.2f}")
    yield passes


def of_profile(profile: Profile) -> Any:
    """What rich prints of `profile()`."""
    from rich.console import Group

    head, columns, rows = profile.rows()
    table = _table("", *((name, "<" if name in ("kernel", "by", "lines") else ">") for name in columns))
    for row in rows:
        table.add_row(*map(_plain, row))
    return Group(_plain(head), table, *([_plain(profile.note)] if profile.note else []))


def _table(title: str, *columns: tuple[str, str]) -> Any:
    from rich import box
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, side in columns:
        made.add_column(
            name, justify="right" if side == ">" else "left", overflow="fold", min_width=len(name)
        )
    return made


def _plain(text: str) -> Any:
    """No markup: `f32[4]` is what it says."""
    from rich.text import Text

    return Text(text)
