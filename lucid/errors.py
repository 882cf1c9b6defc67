"""Errors that name the user's line, and the search for that line.

Every message says what happened, what was expected, and what to try; it begins with `file:line:`
of the innermost frame outside of lucid.
"""

from __future__ import annotations

import os
import sys
import warnings
from types import FrameType

from lucid.compiler.graph import Loc

_ROOT = os.path.dirname(os.path.abspath(__file__)) + os.sep
_internal: dict[str, bool] = {}
_locs: dict[tuple[str, int], Loc] = {}


class TraceError(RuntimeError):
    """A compiled function did what only a running program can: it read the value of a tensor,
    or drew random numbers, while it was being traced."""


def is_internal(filename: str) -> bool:
    """Whether a source file belongs to lucid."""
    known = _internal.get(filename)
    if known is None:
        known = _internal[filename] = os.path.abspath(filename).startswith(_ROOT)
    return known


def user_frame() -> FrameType | None:
    """The innermost frame outside of lucid; None if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        inside = _internal.get(name)
        if not (is_internal(name) if inside is None else inside):
            return frame
        frame = frame.f_back
    return None


def user_loc() -> Loc | None:
    """The user's line that is being executed."""
    frame = user_frame()
    if frame is None:
        return None
    key = frame.f_code.co_filename, frame.f_lineno
    loc = _locs.get(key)
    if loc is None:
        if len(_locs) > 65536:  # generated code has no end of file names
            _locs.clear()
        loc = _locs[key] = Loc(*key)
    return loc


def here(message: str) -> str:
    """`message`, behind the user's file and line."""
    loc = user_loc()
    return message if loc is None else f"{loc}: {message}"


def located(error: Exception, loc: Loc | None) -> Exception:
    """The same kind of error, its message behind `loc`."""
    if loc is None or str(error).startswith(f"{loc}: "):
        return error
    for kind in type(error).__mro__:
        try:
            made = kind(f"{loc}: {error}")
        except Exception:  # a kind with arguments of its own: its base will do
            continue
        if isinstance(made, Exception):
            return made
    return error


def warn_user(message: str) -> None:
    """A UserWarning that points at the user's line, shown once for each line as usual."""
    frame = user_frame()
    if frame is None:
        warnings.warn(message, UserWarning, stacklevel=2)
        return
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, UserWarning, frame.f_code.co_filename, frame.f_lineno, registry=registry)
