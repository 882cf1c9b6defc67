"""LLVM text and assembly to be read: the user's line behind each instruction, in place of what tells it to a
debugger.

    .loc 1 12 3
    vaddps %zmm0, %zmm1, %zmm0          =>      vaddps %zmm0, %zmm1, %zmm0  # train.py:12 in model.2

What LLVM adds (constants, what registers have no room for) or has moved to another block has no line: it is
for the next instruction of its block that has one. Without the comments both are the texts that the same code
has without debug information.
"""

from __future__ import annotations

import re

from ..ir.graph import Loc
from ..ir.target import Target
from ..text.lexer import Line, joined
from .lines import Lines

_NODE = re.compile(r",? !dbg !(\d+)( \{)?$")
_LINE = re.compile(r"\s*\.loc\s+\d+\s+(\d+)\s+(\d+)")
_SECTION = re.compile(r"\s*\.section\s+\"?\.?([\w.]+)")
# Directives and labels that are for debuggers alone.
_ADDED = re.compile(r"\s*\.(file\s+\d|cfi_\w+|loc\b)|\.L(tmp|func_begin)\d+:|\$L__(tmp|func_\w+?)\d+:")
_INSTRUCTION = re.compile(r"\s+(@!?%\w+\s+)?[a-z][\w.]*(\s|;|$)(?!.*:$)")


def llvm_listing(text: str, lines: Lines) -> str:
    return joined(llvm_lines(text, lines), True, ";")


def listing(text: str, lines: Lines, target: Target) -> str:
    """Assembly of text with `lines`."""
    return joined(assembly_lines(text, lines, target), True, "#" if target.triple.startswith("x86") else "//")


def llvm_lines(text: str, lines: Lines) -> list[Line]:
    """LLVM text, line by line."""
    found: list[Line] = []
    for line in text.splitlines():
        if line.startswith("!llvm.dbg"):  # the rest describes lines
            break
        node = _NODE.search(line)
        place = lines.nodes.get(int(node[1])) if node else None
        found.append((line if node is None else line[: node.start()] + (node[2] or ""), place))
    return found


def assembly_lines(text: str, lines: Lines, target: Target) -> list[Line]:
    """Assembly, line by line."""
    found: list[Line] = []
    waiting: list[int] = []  # instructions of this block before one with a line
    place: Loc | None = None
    dropped = False
    for line in text.splitlines():
        if section := _SECTION.match(line):
            dropped = section[1].startswith("debug_")
        if known := _LINE.match(line):
            place = lines.places[int(known[2]) - 1] if int(known[1]) and int(known[2]) else None
        if dropped or _ADDED.match(line):
            continue
        if not _INSTRUCTION.match(line):
            waiting = []
            found.append((line, None))
            continue
        waiting.append(len(found))
        found.append((line, place))
        if place is not None:
            for n in waiting:
                found[n] = found[n][0], place
            waiting = []
    return found
