"""Reports as tables of rich, where that is installed: what their texts say, cell by cell."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .groups import grouped
from .records import Plan, Report
from .text import (
    ALL,
    between,
    called,
    cut,
    few,
    fusible,
    memory,
    of_library,
    origin,
    places,
    reasons_of,
    run,
    shared,
    summary,
    traced,
)  # fmt: skip

if TYPE_CHECKING:
    from .profile import Profile


def show(told: Any) -> None:
    """Print a report: on a terminal as tables, if rich is there; piped or without it as its text."""
    if importlib.util.find_spec("rich") is not None:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=False)
        if console.is_terminal or console.is_jupyter:
            console.print(told)
            return
    print(told)


def of_report(report: Report, sort_by: str, row_limit: int | None) -> Any:
    """What rich prints of `explain()`."""
    from rich.console import Group

    parts: list[Any] = []
    if len(report.plans) == 1:
        parts += map(_plain, summary(report.plans[0], report.name))
    if told := traced(report, row_limit):
        traces = _table("traces", ("", ">"), ("reason", "<"))
        for line in told:
            number, colon, reason = line.removeprefix("trace ").partition(": ")
            traces.add_row(*map(_plain, (number, reason) if colon else ("", line)))
        parts.append(traces)
    for stage, plan in enumerate(report.plans):
        if len(report.plans) > 1:
            parts += map(_plain, summary(plan, f"stage {stage}"))
        if plan.kernels or not plan.then:
            parts += _plan(plan, sort_by, row_limit)
        parts += [_plain(f"then {of_library(call)}") for call in plan.then]
    return Group(*parts, *map(_plain, report.notes))


def _plan(plan: Plan, sort_by: str, row_limit: int | None) -> Iterable[Any]:
    shown, left = cut(grouped(plan.kernels, sort_by), row_limit)
    kernels = _table(
        "kernels", ("", "<"), ("bytes", ">"), ("flops", ">"), ("a byte", ">"), ("how", "<"),
        ("code from", "<"), ("lines", "<"),
    )  # fmt: skip
    for group in shown:
        k = group.kernels[0]
        how = f"{k.mode}, {k.lanes} lanes, {shared(k)}"
        numbers = f"{group.bytes:,}", f"{group.flops:,}", f"{group.intensity:.2g}"
        made, where = origin(k) if k.origin else "", places(group, row_limit is not None)
        kernels.add_row(*map(_plain, (called(group), *numbers, how, made, where)))
    if left:
        count, moved = sum(group.count for group in left), sum(group.bytes for group in left)
        kernels.add_row(*map(_plain, (f"{count} more; {ALL}", f"{moved:,}", "", "", "", "", "")))
    yield kernels
    reasons = _table("what each does", ("", "<"), ("", "<"))
    for group in shown:
        for n, reason in enumerate(reasons_of(group, row_limit is not None)):
            reasons.add_row(_plain("" if n else called(group)), _plain(reason))
    if reasons.row_count:
        yield reasons
    if plan.apart:
        apart = _table("not fused", ("", "<"), ("bytes more", ">"), ("as", "<"))
        shown_apart, left_apart = cut(fusible(plan), row_limit)
        for equal in shown_apart:
            change = f"\nto change that: {equal[0].remedy}" if equal[0].remedy else ""
            cells = between(equal), f"{sum(a.bytes for a in equal):,}", f"{equal[0].why}{change}"
            apart.add_row(*map(_plain, cells))
        if small := few(plan, left_apart):
            apart.add_row(*map(_plain, small), "")
        yield apart
    yield _plain(run(plan, row_limit))
    for line in memory(plan, row_limit):
        yield _plain(line)
    passes = _table("passes", ("", "<"), ("ms", ">"))
    for name, seconds in plan.passes:
        passes.add_row(name, f"{1e3 * seconds:.2f}")
    yield passes


def of_profile(profile: Profile) -> Any:
    """What rich prints of `profile()`."""
    from rich.console import Group

    head, columns, rows, below = profile.rows()
    table = _table("", *((name, "<" if name in ("kernel", "by", "lines") else ">") for name in columns))
    for row in rows:
        table.add_row(*map(_plain, row))
    return Group(_plain(head), table, *map(_plain, below))


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
