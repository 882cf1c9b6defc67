"""Frames of a traceback for lines that ran earlier: where an operation was written whose values, known only
now, are wrong, or where a compiled function did what a trace may not do."""

from __future__ import annotations

import ast
import sys
from types import CodeType, FrameType, TracebackType

from lucid.compiler.ir.graph import Loc

MOST = 3  # the innermost calls are shown


def ending_at(loc: Loc, real: list[TracebackType]) -> list[TracebackType]:
    """Entries for the calls that led to `loc` and for its line, but for those that are on the stack now or
    among the `real` ones."""
    there = {(entry.tb_frame.f_code.co_filename, entry.tb_lineno) for entry in real}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        there.add((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    missing = [at for at in loc.stack if (at.path or at.file, at.line) not in there]
    return [_entry(at) for at in missing[-MOST:]]


def _entry(loc: Loc) -> TracebackType:
    """An entry that reads like one of that line. No columns are known of it."""
    call = ast.Expression(ast.Call(ast.Name("frame", ast.Load()), [], []))
    for node in ast.walk(call):
        if isinstance(node, ast.expr):
            node.lineno = node.end_lineno = loc.line
            node.col_offset = node.end_col_offset = -1
    code: CodeType = compile(call, loc.path or loc.file, "eval")
    name = loc.function.rpartition(".")[2] or "<module>"
    frame = eval(code.replace(co_name=name, co_qualname=name), {"frame": sys._getframe})
    return TracebackType(None, frame, frame.f_lasti, loc.line)
