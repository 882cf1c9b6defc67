"""What a compiled function takes while it is traced from where each call would find something else:
random numbers, the items of an iterator, clocks, files. They would be the same at every call.

The states of all generators and iterators that the function can reach, and of the two generators that
everybody can, are compared before and after. Where code names clocks, files or the system's randomness,
its calls are watched. What no guard sees (a generator inside of a library's object) is not found.
"""

from __future__ import annotations

import contextlib
import dis
import io
import re
import sys
import warnings
from collections.abc import Iterator
from types import CodeType, FrameType, GeneratorType
from typing import Any

from lucid.compiler.ir.graph import Loc

from .errors import TraceError, here, is_user_file, shown, warn_user

# What is left of 624 words of a Mersenne twister that has just been made.
_FRESH = 624


def is_generator(value: object) -> bool:
    """Whether it is one of NumPy's or of Python's generators."""
    python = sys.modules.get("random")
    if python is not None and isinstance(value, python.Random):
        return not isinstance(value, python.SystemRandom)
    return type(value).__module__.startswith("numpy.random") and (
        hasattr(value, "bit_generator") or hasattr(value, "get_state") or hasattr(value, "state")
    )


def is_spent(value: object) -> bool:
    """Whether reading it uses it up, and no walk can look into it: an iterator of C's, a generator, a file
    to read from."""
    if isinstance(value, io.IOBase):
        return not value.closed and value.readable()
    return hasattr(type(value), "__next__") and not hasattr(value, "__dict__")


_VARYING = {"time", "datetime", "secrets", "uuid"}
_CLOCKS = {
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "thread_time_ns", "localtime", "gmtime", "ctime", "asctime",
    "strftime", "now", "utcnow", "today",
}  # fmt: skip
_READS = {"read", "read1", "readline", "readlines", "readinto", "fromfile", "open", "input"}
_WRITING = {m + b for m in ("w", "a", "x", "w+", "a+") for b in ("", "b", "t")}
# Libraries that draw for others, and those that read files for the interpreter.
_BETWEEN = ("os.py", "random.py", "secrets.py", "uuid.py")
_INTERPRETER = ("linecache.py", "tokenize.py", "inspect.py", "warnings.py", "traceback.py")


def varies(value: Any) -> bool:
    """Whether code that names it may read a clock, or the system's random numbers."""
    kind = type(value)
    if kind is type(sys):
        return value.__name__ in _VARYING
    if kind.__module__ == "random":
        return kind.__name__ == "SystemRandom"
    name = getattr(value, "__name__", None)
    return isinstance(name, str) and (getattr(value, "__module__", None) in _VARYING or name in _SYSTEM)


_SYSTEM = {"urandom", "getrandom"}


def reads_files(names: frozenset[str]) -> bool:
    """Whether code with these names may read a file, or the system's random numbers."""
    return any(n in _READS or n in _SYSTEM or n.startswith(("read", "load", "genfrom")) for n in names)


@contextlib.contextmanager
def watching(varying: set[str], generators: list[tuple[Any, str]]) -> Iterator[list[tuple[str, Loc]]]:
    """What is read inside that differs from call to call, with the line that reads it. Only where code
    names something of that kind, and no profiler has taken the place."""
    found: list[tuple[str, Loc]] = []
    frames = [g.gi_frame for g, _ in generators if isinstance(g, GeneratorType)]
    if sys.getprofile() is not None or not (varying or frames):
        yield found
        return

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        what, user = None, frame
        if event == "call" and any(frame is f for f in frames):
            what, user = "takes an item of an iterator", frame.f_back or frame
        elif event == "c_call" and (what := _source(arg)):
            user = _of_user(frame, what) or frame
            if not is_user_file(user.f_code.co_filename) or (arg.__name__ == "open" and _writes(user)):
                what = None
        if what is not None and not found:
            found.append((what, Loc(shown(user.f_code.co_filename), user.f_lineno)))

    sys.setprofile(profile)
    try:
        yield found
    finally:
        sys.setprofile(None)


def _source(function: Any) -> str | None:
    """What a function of C's reads, in words, if that differs from call to call."""
    name = function.__name__
    if name in _SYSTEM:
        return "draws random numbers"
    if name in _CLOCKS:
        owner = function.__self__
        kind = getattr(owner, "__module__" if isinstance(owner, type) else "__name__", None)
        return "reads a clock" if kind in _VARYING else None
    return "reads a file" if name in _READS and _is_reader(name, function) else None


def _writes(frame: FrameType) -> bool:
    """Whether a file that its code opens is one to write to, by the modes that stand there."""
    return not _WRITING.isdisjoint(c for c in frame.f_code.co_consts if isinstance(c, str))


def _is_reader(name: str, function: Any) -> bool:
    return name in ("open", "input", "fromfile") or isinstance(function.__self__, io.IOBase)


def _of_user(frame: FrameType, what: str) -> FrameType | None:
    """The frame of the user's that a call is made for; None where it is made for somebody else."""
    at: FrameType | None = frame
    while at is not None:
        name = at.f_code.co_filename
        if is_user_file(name):
            return at
        if name.startswith("<frozen") or name.endswith(_INTERPRETER):
            return None
        if what != "reads a file" and not name.endswith(_BETWEEN):
            return None
        at = at.f_back
    return None


def states(generators: list[tuple[Any, str]]) -> list[object]:
    """The state of each generator, then those of the global ones; None for one that does not exist yet."""
    return [*[_state(g) for g, _ in generators], *map(_state, _globals())]


def check(
    before: list[object],
    generators: list[tuple[Any, str]],
    codes: list[CodeType],
    name: str,
    found: list[tuple[str, Loc]],
) -> None:
    """TraceError if a generator has been used since then, at the line of the code that mentions one. A
    warning if that was a global one, and no code does: it may have been a library, or another thread."""
    for does, line in found:
        raise TraceError(f"{line}: {name} {does}{_ONCE.format('it')}")
    changed = [
        k for k, (old, new) in enumerate(zip(before, states(generators), strict=True)) if not _same(old, new)
    ]
    if not changed:
        return
    spent = changed[0] < len(generators) and is_spent(generators[changed[0]][0])
    does = f"takes an item of {generators[changed[0]][1]}" if spent else "draws random numbers"
    what = f"{name} {does}{_ONCE.format('it' if spent else 'them')}"
    names = {"random", *[word for _, where in generators for word in re.split(r"\W+", where)]}
    loc = next((loc for code in codes if (loc := _line(code, names)) is not None), None)
    if loc is not None:
        raise TraceError(f"{loc}: {what}")
    if changed[0] < len(generators):
        raise TraceError(here(what))
    warn_user(here(what))


_ONCE = " while it is traced, which would be the same at every call; do that outside and pass {} in"


def _globals() -> list[Any]:
    numpy, python = sys.modules.get("numpy.random"), sys.modules.get("random")
    own = None if numpy is None else numpy.mtrand._rand
    return [own, None if python is None else python._inst]


def _state(generator: Any) -> object:
    if generator is None:
        return None
    if isinstance(generator, io.IOBase):
        return generator.tell() if generator.seekable() else None
    if isinstance(generator, GeneratorType):  # its frame is watched
        return None
    if hasattr(type(generator), "__next__"):
        return _position(generator)
    if hasattr(generator, "getstate"):
        return generator.getstate()
    if hasattr(generator, "bit_generator"):
        generator = generator.bit_generator
    return _plain(generator.state if hasattr(generator, "state") else generator.get_state(legacy=False))


def _position(iterator: Any) -> object:
    """How far it is: what it would be pickled by, of itself and of the iterators inside."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            parts = iterator.__reduce__()
    except TypeError:
        return repr(iterator), getattr(iterator, "__length_hint__", int)()
    flat: list[object] = []
    for part in (part for group in parts[1:] for part in (group if isinstance(group, tuple) else (group,))):
        if hasattr(type(part), "__next__"):
            flat.append(_position(part))
        else:
            flat.append(part if isinstance(part, int | str | None) else id(part))
    return tuple(flat)


def _plain(state: Any) -> Any:
    """With bytes in place of arrays: they can be compared."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tobytes() if hasattr(state, "tobytes") else state


def _same(old: Any, new: Any) -> bool:
    if old is not None or new is None:
        return bool(old == new)
    # Made meanwhile, by an import: has it been used?
    return bool((new["state"]["pos"] if isinstance(new, dict) else new[1][-1]) == _FRESH)


def _line(code: CodeType, names: set[str]) -> Loc | None:
    """The first line of the code that mentions one of the names."""
    for instruction in dis.get_instructions(code):
        if instruction.argval in names and instruction.opname.startswith("LOAD_"):
            line = instruction.positions.lineno if instruction.positions else None
            return Loc(shown(code.co_filename), line or code.co_firstlineno)
    inner = (_line(const, names) for const in code.co_consts if isinstance(const, CodeType))
    return next((loc for loc in inner if loc is not None), None)
