"""Lines of the user's as numbers: what is on a page refers to them by these.

A place is a line with the calls that led there, the module that ran and the direction; a set is what one line
of a text comes from. Both are told once.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from typing import Any

from lucid.compiler.ir.graph import Loc

NONE = -1  # the set of what comes from no line


class Places:
    """The places that a page names, the files that they are in, and sets of them."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}  # by the name that Python knows
        self._shown: list[tuple[str, str]] = []  # name, path
        self._last: dict[int, int] = {}  # of each file the last line that is named
        self._places: dict[object, int] = {}
        self._told: list[list[Any]] = []
        self._sets: dict[tuple[int, ...], int] = {}

    def of(self, locs: Iterable[Loc | None]) -> int:
        """The set of all places of `locs`, the first one's own first."""
        key = tuple(dict.fromkeys(self._place(part) for loc in locs if loc is not None for part in loc.every))
        return self._sets.setdefault(key, len(self._sets)) if key else NONE

    def _place(self, loc: Loc) -> int:
        calls = tuple((self._file(at), at.line, at.function) for at in loc.stack)
        key = calls, loc.module, loc.backward
        number = self._places.get(key)
        if number is None:
            number = self._places[key] = len(self._places)
            file, line, function = calls[-1]
            callers = [[*call] for call in calls[:-1]]
            self._told.append([file, line, loc.module, loc.backward, function, callers])
        return number

    def _file(self, loc: Loc) -> int:
        path = loc.path or loc.file
        number = self._files.get(path)
        if number is None:
            number = self._files[path] = len(self._files)
            self._shown.append((loc.file, path))
        self._last[number] = max(self._last.get(number, 0), loc.line)
        return number

    def plain(self) -> dict[str, Any]:
        """All of it as JSON has it: a file is its name and its lines, which are empty where Python does not
        find it; a place is file, line, module, backward of what, function, calls (file, line, function)."""
        return {
            "files": [[name, self._text(k, path)] for k, (name, path) in enumerate(self._shown)],
            "places": self._told,
            "sets": [[*key] for key in self._sets],
        }

    def _text(self, number: int, path: str) -> list[str]:
        lines = [line.rstrip("\n") for line in linecache.getlines(path)]
        return lines + [""] * (self._last[number] - len(lines))
