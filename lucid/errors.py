"""Errors that name the user's line, and the search for that line.

Every message says what happened, what was expected, and what to try; it begins with `file:line:`
of the user's innermost frame: outside of lucid, of installed packages and of the standard library,
so that a function of NumPy's or pandas' in between is not blamed for what it was given.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import warnings
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any, ParamSpec, TypeVar

from lucid.compiler.ir.graph import Loc

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
E = TypeVar("E", bound=Exception)

_ROOT = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Python's own library, both parts of it: what sysconfig says too, without the 2 ms of its tables.
_PARTS = sys.base_exec_prefix, sys.platlibdir, "python{}.{}".format(*sys.version_info)
_LIBRARIES = tuple(
    os.path.realpath(p) + os.sep for p in (os.path.dirname(os.__file__), os.path.join(*_PARTS))
)
_PACKAGES = {"site-packages", "dist-packages"}
_internal: dict[str, bool] = {}
_users: dict[str, bool] = {}
_locs: dict[tuple[str, int], Loc] = {}
# By the instruction, as its line takes a walk of a table. Code is kept, so that its id stays its own.
_at: dict[tuple[int, int], tuple[CodeType, Loc]] = {}
PLACES = 16384  # generated code has no end of them


class TraceError(RuntimeError):
    """A compiled function did what only a running program can: it read the value of a tensor,
    or drew random numbers, while it was being traced."""


class ContractError(RuntimeError):
    """A compiled function costs more than `max_kernels`, `max_bytes` or `max_temp_bytes` of `lucid.compile`
    allow."""


known_file = _users.get  # what `is_user_file` has said before, or None


def is_internal(filename: str) -> bool:
    """Whether a source file belongs to lucid."""
    known = _internal.get(filename)
    if known is None:
        known = _internal[filename] = os.path.abspath(filename).startswith(_ROOT)
    return known


def is_user_file(filename: str) -> bool:
    """Whether a source file is the user's: none of lucid, an installed package or the standard library."""
    known = _users.get(filename)
    if known is None:
        if len(_users) > 65536:  # generated code has no end of file names
            _users.clear()
        path = os.path.realpath(filename)
        known = _users[filename] = not (
            filename.startswith("<frozen")
            or is_internal(filename)
            or not _PACKAGES.isdisjoint(path.split(os.sep))
            or path.startswith(_LIBRARIES)
        )
    return known


def user_frame() -> FrameType | None:
    """The user's innermost frame; if all are of libraries, the innermost outside of lucid, if any."""
    frame: FrameType | None = sys._getframe(1)
    of_user: bool | None = False
    while frame is not None and (of_user := _users.get(frame.f_code.co_filename)) is False:
        frame = frame.f_back
    if of_user:
        return frame  # as nearly always, when all files were met before
    frame = sys._getframe(1)
    outside: FrameType | None = None
    while frame is not None:
        name = frame.f_code.co_filename
        of_user = _users.get(name)
        if is_user_file(name) if of_user is None else of_user:
            return frame
        if outside is None and not (_internal.get(name) or name.startswith("<frozen")):  # of Python's start
            outside = frame
        frame = frame.f_back
    return outside


def user_loc() -> Loc | None:
    """The user's line that is being executed."""
    frame: FrameType | None = sys._getframe(1)
    of_user: bool | None = False
    while frame is not None and (of_user := known_file(frame.f_code.co_filename)) is False:
        frame = frame.f_back
    if not of_user:
        frame = user_frame()
    if frame is None:
        return None
    code = frame.f_code
    found = _at.get((id(code), frame.f_lasti))
    if found is None:
        if len(_at) > PLACES:
            _at.clear()
        found = _at[id(code), frame.f_lasti] = code, _loc_at(code, frame.f_lineno)
    return found[1]


def _loc_at(code: CodeType, line: int) -> Loc:
    """One object for a line, whatever code and instruction of it ask."""
    found = _locs.get((code.co_filename, line))
    if found is None:
        if len(_locs) > PLACES:
            _locs.clear()
        found = _locs[code.co_filename, line] = loc_of(code, line)
    return found


def loc_of(code: CodeType, line: int, **more: Any) -> Loc:
    """A line of some code; `more`: what else is known of it."""
    file = shown(code.co_filename)
    return Loc(file, line, code.co_filename if file != code.co_filename else "", code.co_qualname, **more)


def shown(filename: str) -> str:
    """A source file as messages and dumps name it: relative to the working directory, if it is below; a cell
    of a notebook by its number. LUCID_PATHS=full: as Python knows it."""
    if os.environ.get("LUCID_PATHS") == "full":
        return filename
    if "ipykernel" in filename or filename.startswith("<ipython-input-"):
        return _cell(filename) or filename
    try:
        folder = os.getcwd() + os.sep
    except OSError:  # it is gone
        return filename
    return filename.removeprefix(folder)


def _cell(filename: str) -> str | None:
    """`Cell 7`, where IPython knows a source file as that."""
    if filename.startswith("<ipython-input-"):
        number = filename.split("-")[2]
    else:
        shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
        known = getattr(getattr(shell, "compile", None), "_filename_map", {})
        number = str(known.get(filename, ""))
    return f"Cell {number}" if number.isdigit() else None


def here(message: str) -> str:
    """`message`, behind the user's file and line."""
    loc = user_loc()
    return message if loc is None else f"{loc}: {message}"


def located(error: Exception, loc: Loc | None) -> Exception:
    """The same kind of error, its message behind `loc`."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if loc is None or text.startswith(f"{loc}: "):
        return error
    for kind in type(error).__mro__:
        try:
            made = kind(f"{loc}: {text}")
        except Exception:  # a kind with arguments of its own: its base will do
            continue
        if isinstance(made, Exception):
            return made
    return error


def _said(error: BaseException) -> bool:
    """Whether its message names the user's line."""
    return re.match(r".+:\d+: ", str(error)) is not None


def earlier(error: E, loc: Loc | None) -> E:
    """`error`, which comes of a line that is not executed now: it names that line, and its traceback ends
    there."""
    if loc is not None:
        if not str(error).startswith(f"{loc}: "):
            error.args = (f"{loc}: {error}",)
        vars(error)["earlier"] = loc
    return error


def trim(error: BaseException) -> None:
    """Take lucid's frames out of the traceback of an error that names the user's line, and what comes after
    the user's last one; or, of what the user's code has raised by itself, those in between. An interrupt and
    a lack of memory may come wherever lucid is: they are about the user's line, too. A fault of lucid's keeps
    all frames, and so does everything under LUCID_TRACEBACK=full.

    Who calls it raises again by a `raise` alone: that adds no frame of its own."""
    frames: list[TracebackType] = []
    at = error.__traceback__
    while at is not None:
        frames.append(at)
        at = at.tb_next
    files = [frame.tb_frame.f_code.co_filename for frame in frames]
    if isinstance(error, MemoryError) and files and is_internal(files[-1]) and not _said(error):
        error.args = (here(str(error)),)
        vars(error)["of_user"] = True  # NumPy's kind has a text of its own
    anywhere = not isinstance(error, Exception) or isinstance(error, RecursionError)
    said = anywhere or "of_user" in vars(error) or _said(error)
    if not files or (not said and is_internal(files[-1])) or os.environ.get("LUCID_TRACEBACK") == "full":
        return
    kept = [frame for frame, file in zip(frames, files, strict=True) if not is_internal(file)]
    while said and kept and not is_user_file(kept[-1].tb_frame.f_code.co_filename):
        kept.pop()
    if loc := vars(error).get("earlier"):
        from .frames import ending_at  # few ask for it

        kept += ending_at(loc, kept)
    for k, frame in enumerate(kept, 1):
        frame.tb_next = kept[k] if k < len(kept) else None
    error.__traceback__ = kept[0] if kept else None
    error.__suppress_context__ |= said


# What a call raises for its arguments, where it says no more of its own.
_KINDS = TypeError, ValueError, LookupError, ArithmeticError, MemoryError, AssertionError


def public(f: Callable[P, R]) -> Callable[P, R]:
    """`f` as users call it: what it raises about its arguments names their line, and its traceback ends
    there."""
    return _door(f, _KINDS)


def bounded(f: Callable[P, R]) -> Callable[P, R]:
    """`f` as users call it, whose messages name their line already: its traceback ends there."""
    return _door(f, ())


def _door(f: Callable[P, R], kinds: tuple[type[Exception], ...]) -> Callable[P, R]:
    """`f`, whose errors of these kinds are about its arguments."""

    @functools.wraps(f)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            try:
                return f(*args, **kwargs)
            except Exception as error:
                refuse(error, f, args, kwargs, kinds)
                raise
        except BaseException as error:
            trim(error)
            raise

    return call


def refuse(
    error: Exception,
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    kinds: tuple[type[Exception], ...] = (),
) -> None:
    """Where a call of `f` has raised what names no line of the user's: raise what does, if `f` takes no such
    arguments, and for `kinds`. What the user's own code raises stays as it is."""
    at = error.__traceback__
    if at is None or "of_user" in vars(error) or _said(error):
        return
    entered = at.tb_next is not None
    while at.tb_next is not None:
        at = at.tb_next
    if is_user_file(at.tb_frame.f_code.co_filename):
        return
    from .signatures import RAISE, misfit, unbound  # few ask for it

    if isinstance(error, TypeError) and not entered:
        raise TypeError(here(unbound(error, f, args, kwargs))) from None
    # What lucid raises by itself says more than an annotation does; what Python or NumPy raise, less.
    raised = at.tb_frame.f_code.co_code[at.tb_lasti] == RAISE
    said = raised and isinstance(error, kinds) and "vague" not in vars(error)
    if not said and (what := misfit(f, args, kwargs)):
        raise TypeError(here(what)) from None
    if isinstance(error, OSError):  # a file of the user's: what the system says of it stays as it is
        vars(error)["of_user"] = True
    elif isinstance(error, kinds):
        raise located(error, user_loc()) from None


def endless(error: RecursionError, name: str, code: CodeType | None) -> RecursionError:
    """The error of the call of `name`, whose `code` (if it is a function) calls itself without end, or of a
    function of the user's below it that does: it names the line of the innermost call."""
    calls: dict[CodeType, list[int]] = {}
    at = error.__traceback__
    while at is not None:
        if is_user_file(at.tb_frame.f_code.co_filename):
            calls.setdefault(at.tb_frame.f_code, []).append(at.tb_lineno)
        at = at.tb_next
    if not calls:
        return error
    most = max(calls, key=lambda known: (len(calls[known]), known is code))
    again = code if code in calls and 2 * len(calls[code]) > len(calls[most]) else most
    own = again is code
    what = f"{name} calls itself" if own else f"{again.co_name} calls itself, or what calls it,"
    text = f"{what} while {'it' if own else name} is traced, {len(calls[again]):,} times and without an end"
    hint = "expected an end that a Python value decides; a tensor's is not known in a trace (lucid.where)"
    return earlier(RecursionError(f"{text}; {hint}"), loc_of(again, calls[again][-1]))


def bounds(kind: type[T]) -> type[T]:
    """A class whose methods are `bounded`, but those that begin with one underscore; of those of Python's
    operators and protocols, too."""
    for name, method in list(vars(kind).items()):
        if name.startswith("_") and not name.endswith("__"):
            continue
        if isinstance(method, property) and method.fset is not None:
            setattr(kind, name, method.setter(bounded(method.fset)))
        elif isinstance(method, FunctionType) and not (
            hasattr(method, "__wrapped__") or "trim" in method.__code__.co_names  # it does so itself
        ):
            setattr(kind, name, bounded(method))
    return kind


class _NoAttribute(AttributeError):
    """An AttributeError whose message names the nearest name: looked for, in milliseconds, when it is read.
    Who asks whether there is such a name reads none."""

    of: object = None

    def __str__(self) -> str:
        from difflib import get_close_matches

        known = (name for name in dir(self.of) if name[0] != "_")
        near = get_close_matches(str(self.name), known, 1, 0.7)
        return f"{self.args[0]}; did you mean {near[0]!r}?" if near else str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return AttributeError, (str(self),)


_NoAttribute.__name__ = _NoAttribute.__qualname__ = "AttributeError"  # as tracebacks show it
_NoAttribute.__module__ = "builtins"


def no_attribute(of: object, what: str, name: str) -> AttributeError:
    """The error for a name that `of` has not, with the line and the name that is nearest; not where only a
    protocol is looked for."""
    text = f"{what} has no attribute {name!r}"
    if name.startswith("_"):
        error = AttributeError(text, name=name)
    else:
        error = _NoAttribute(here(text), name=name)
        vars(error)["of"] = of
    vars(error)["of_user"] = True
    return error


def warn_user(message: str) -> None:
    """A UserWarning that points at the user's line, shown once for each line as usual."""
    frame = user_frame()
    if frame is None:
        warnings.warn(message, UserWarning, stacklevel=2)
        return
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, UserWarning, frame.f_code.co_filename, frame.f_lineno, registry=registry)
