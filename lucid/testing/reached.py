"""Which branches of the passes a computation takes: of each line of `compiler/passes` and of the schedules,
the lines that followed it.

Python 3.12 and later tell it by `sys.monitoring`, at the branches alone; before, by `sys.settrace`, at each
line. The names differ between the two, so a corpus is made by one Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import lucid.compiler

_ROOT = os.path.dirname(lucid.compiler.__file__)
FOLDERS = tuple(os.path.join(_ROOT, name) for name in ("passes", os.path.join("cpu", "schedule")))
TOOL = 4  # of the numbers of sys.monitoring: neither a debugger's, nor a profiler's


def _watched(code: CodeType) -> bool:
    return code.co_filename.startswith(FOLDERS)


@contextmanager
def reached() -> Iterator[set[str]]:
    """The branches that this thread takes as long as it lasts, as they are taken. Where something else traces
    (a debugger), there are none."""
    found: set[str] = set()
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is not None:
        yield from _monitored(monitoring, found)
    elif sys.gettrace() is None:
        yield from _traced(found)
    else:
        yield found


def _name(code: CodeType, begin: object, end: object) -> str:
    return f"{os.path.relpath(code.co_filename, _ROOT)} {code.co_name} {begin} {end}"


def _monitored(monitoring: Any, found: set[str]) -> Iterator[set[str]]:
    if monitoring.get_tool(TOOL) is not None:
        yield found
        return

    def branch(code: CodeType, begin: int, end: int) -> Any:
        if not _watched(code):
            return monitoring.DISABLE
        found.add(_name(code, begin, end))
        return None

    events = monitoring.events
    kinds = [getattr(events, n) for n in ("BRANCH_LEFT", "BRANCH_RIGHT") if hasattr(events, n)] or [
        events.BRANCH
    ]
    monitoring.use_tool_id(TOOL, "lucid fuzz")
    try:
        for kind in kinds:
            monitoring.register_callback(TOOL, kind, branch)
        monitoring.set_events(TOOL, sum(kinds))
        yield found
    finally:
        monitoring.set_events(TOOL, 0)
        for kind in kinds:
            monitoring.register_callback(TOOL, kind, None)
        monitoring.free_tool_id(TOOL)


def _traced(found: set[str]) -> Iterator[set[str]]:
    def called(frame: FrameType, event: str, argument: object) -> Any:
        if not _watched(frame.f_code):
            return None
        code, last = frame.f_code, frame.f_lineno

        def line(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal last
            if event == "line":
                found.add(_name(code, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line

    sys.settrace(called)
    try:
        yield found
    finally:
        sys.settrace(None)
