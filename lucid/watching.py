"""What a function reads while it is traced that no fact can be made of: clocks, files, the state of the
process or of another one, the system's random numbers. It would be the same at every call.

Only where a function can reach what is not known to be *pure* (the walk tells, by `watched`) are its calls
looked at. Of C functions of the standard library, all count as readers but those that are listed here; what
is written in Python is looked into, whoever wrote it. What serves somebody on the way alone (logging,
imports, a progress bar's clock) is no matter.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import CodeType, FrameType, GeneratorType, MethodType, ModuleType
from typing import Any

from lucid.compiler.ir.data import data, field
from lucid.compiler.ir.graph import Loc

from .codes import SYSTEM, clocks, first_line
from .errors import is_internal, is_user_file, loc_of

# Modules, without underscores in front, whose functions compute from what they are given; of numpy's, all but
# those below.
PURE = {
    "abc", "array", "ast", "base64", "binascii", "bisect", "blake2", "builtins", "bz2", "cmath", "codecs",
    "collections", "colorsys", "contextlib", "contextvars", "copy", "copyreg", "csv", "dataclasses",
    "decimal", "difflib", "dis", "enum", "errno", "fractions", "functools", "future", "graphlib", "hashlib",
    "heapq", "hmac", "html", "itertools", "json", "keyword", "lucid", "lzma", "marshal", "math", "md5",
    "numbers", "numpy", "opcode", "operator", "pickle", "pprint", "re", "reprlib", "sha1", "sha2", "sha3",
    "sha256", "sha512", "sre", "stat", "statistics", "string", "struct", "textwrap", "token", "types",
    "typing", "typing_extensions", "unicodedata", "weakref", "weakrefset", "zlib",
}  # fmt: skip
# Those that work for whoever reads logs, warnings and errors; the machinery of imports and temporary files.
QUIET = {
    "_strptime", "bdb", "importlib", "inspect", "linecache", "logging", "pdb", "profile", "cProfile",
    "tempfile", "tokenize", "traceback", "unittest", "warnings",
}  # fmt: skip
# Functions of other modules that are pure, or read what is a fact.
_PURE_FUNCTIONS = {
    "posixpath": {
        "basename", "commonpath", "commonprefix", "dirname", "isabs", "join", "normcase", "normpath", "split",
        "splitdrive", "splitext",
    },
    "os": {"_Environ", "decode", "encode", "fsdecode", "fsencode", "fspath", "getenv"},
    "datetime": {"timedelta", "timezone"},
}  # fmt: skip
_CLOCKS = {
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "thread_time_ns", "localtime", "gmtime", "ctime", "asctime",
    "strftime", "clock_gettime", "clock_gettime_ns",
}  # fmt: skip
_WRITING = {m + b for m in ("w", "a", "x", "w+", "a+") for b in ("", "b", "t")}
# Modules of C's of which only these functions read something that changes ...
_READERS: dict[str, set[str]] = {
    "builtins": {"breakpoint", "input"},
    "time": _CLOCKS,
    "datetime": {"now", "utcnow", "today"},
    "thread": {"get_ident", "get_native_id", "stack_size"},
    "gc": {"get_count", "get_objects", "get_referrers", "get_stats"},
    "sys": {"_current_frames", "getallocatedblocks"},
    "atexit": set(), "imp": set(), "warnings": set(),
}  # fmt: skip
# ... and those of which these do not: they act, once, when the function is traced.
_EFFECTS = {
    "io": {
        "__enter__", "__exit__", "close", "fileno", "flush", "isatty", "readable", "reconfigure", "seek",
        "seekable", "text_encoding", "truncate", "writable", "write", "writelines",
    },
    "posix": {
        "_path_normpath", "_path_splitroot", "_path_splitroot_ex", "chmod", "close", "cpu_count", "fsync",
        "fspath", "link", "mkdir", "putenv", "remove", "rename", "replace", "rmdir", "strerror", "symlink",
        "truncate", "unlink", "unsetenv", "utime", "write",
    },
    "queue": {"put", "put_nowait"},
}  # fmt: skip
# Functions in Python that look at what is there in order to act.
_ACTS = {
    "copy",
    "copyfile",
    "copytree",
    "makedirs",
    "mkdir",
    "move",
    "removedirs",
    "rmtree",
    "touch",
    "unlink",
}
# Modules that draw, and read clocks, for others.
_BETWEEN = {"os", "random", "secrets", "uuid", "timeit", "_pydatetime"}
_STANDARD = frozenset(name.lstrip("_") for name in sys.stdlib_module_names)

CLOCK, DRAW, FILE = "reads a clock", "draws random numbers", "reads a file"
STATE, ENVIRONMENT = "reads the state of the process, or of another", "reads the environment"


def _module(value: Any) -> str:
    """Of which module something is."""
    if isinstance(value, ModuleType):
        return value.__name__
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else type(value).__module__


def own_name(value: Any, attribute: str = "__name__") -> str:
    """Its name, or that of its class, without asking a `__getattr__`, which may raise what it will."""
    try:
        name = object.__getattribute__(value.__func__ if isinstance(value, MethodType) else value, attribute)
    except AttributeError:
        return type(value).__name__
    return name if isinstance(name, str) else type(value).__name__


def _root(name: str) -> str:
    root = name.partition(".")[0].lstrip("_")
    return "posix" if root == "nt" else root


def home(value: Any) -> str:
    """The first part of that module's name, without underscores in front."""
    return _root(_module(value))


def watched(value: Any) -> bool:
    """Whether code that reaches it may read what is another thing at each call."""
    name = _module(value)
    root = _root(name)
    own = own_name(value)
    if root == "numpy":
        return name.startswith("numpy.random")
    if root == "builtins":
        return own in _READERS[root]
    if root in PURE or root in QUIET:
        return False
    if root in _STANDARD:
        if root in _READERS:
            return own in _READERS[root] or isinstance(value, type | ModuleType)
        return own not in _EFFECTS.get(root, _PURE_FUNCTIONS.get(name.lstrip("_"), ()))
    module = sys.modules.get(name)
    filename = getattr(module, "__file__", None)
    return filename is not None and not is_user_file(filename)


@data(frozen=False)
class Seen:
    """What a trace has read, each with the line: for sure, and perhaps."""

    found: list[tuple[str, Loc]] = field(default_factory=list)
    perhaps: list[tuple[str, Loc | None]] = field(default_factory=list)


@contextlib.contextmanager
def watching(
    varying: set[str], generators: list[tuple[Any, str]], codes: list[CodeType], environment: bool
) -> Iterator[Seen]:
    """What is read inside that differs from call to call. Only where code can reach something of that kind.
    `environment`: whether the walk has found the environment, so that it is a fact."""
    seen = Seen()
    frames = [g.gi_frame for g, _ in generators if isinstance(g, GeneratorType) and g.gi_frame is not None]
    if not (varying or frames):
        yield seen
        return
    if sys.getprofile() is not None:
        seen.perhaps.append(("cannot be watched while a profiler runs", None))
        yield seen
        return
    watch = _Watch(seen, frames, codes, environment)
    sys.setprofile(watch.event)
    try:
        yield seen
    finally:
        sys.setprofile(None)
        watch.end()


class _Watch:
    """The calls of one trace."""

    def __init__(self, seen: Seen, frames: list[FrameType], codes: list[CodeType], environment: bool) -> None:
        self.seen = seen
        self.seeded: list[Any] = []  # generators of Python's that were made inside, from a seed
        self.suspects = {id(code): code for code in codes if clocks(code)}
        self.entered: list[CodeType] = []
        self.called: set[str] = set()
        self.event = self._event(frames, 0 if environment else id(type(os.environ).__getitem__.__code__))

    def _event(self, frames: list[FrameType], environment: int) -> Callable[[FrameType, str, Any], None]:
        """What the interpreter calls: often, so that what it does most is short."""
        kinds, suspects, plain = _KINDS, self.suspects, _PLAIN

        calls = bool(environment or frames or suspects)

        def event(frame: FrameType, event: str, arg: Any) -> None:
            if event == "c_call":
                owner = arg.__self__
                kind = type(owner)
                if kind in plain:
                    return
                if kind is ModuleType or kind is type:
                    if owner is builtins and arg is not input and arg is not breakpoint:
                        return
                    kind = owner
                what = kinds.get((kind, arg.__name__), "")
                if what == "":
                    what = kinds[kind, arg.__name__] = _kind(kind, arg.__name__, arg)
                if what is not None:
                    self._reads(frame, what, arg)
            elif event == "call" and calls:
                code = frame.f_code
                if id(code) == environment:
                    self._note(frame, ENVIRONMENT)
                if frames and any(frame is f for f in frames):
                    self._found(frame.f_back or frame, "takes an item of an iterator")
                if suspects:
                    self.called.add(code.co_name)
                    if id(code) in suspects:
                        self.entered.append(code)

        return event

    def end(self) -> None:
        """What was asked for the time, and no call was seen."""
        for code in self.entered:
            if clocks(code) - self.called:
                self.seen.perhaps.append(("may read a clock", first_line(code, clocks(code) - self.called)))

    def _reads(self, frame: FrameType, what: str, function: Any) -> None:
        name, owner = function.__name__, function.__self__
        if what == _SEEDS:
            if name == "seed" and frame.f_locals.get("a") is not None:
                self.seeded.append(owner)
                return
            if any(owner is s for s in self.seeded) or name in ("getstate", "setstate"):
                return
            what = DRAW
        self._note(frame, what, name)

    def _note(self, frame: FrameType, what: str, name: str = "") -> None:
        user, sure = _of_user(frame, what)
        if user is None or (name == "open" and _writes(user)):
            return
        if sure:
            self._found(user, what)
        else:
            self.seen.perhaps.append((what, _loc(user)))

    def _found(self, user: FrameType, what: str) -> None:
        self.seen.found.append((what, _loc(user)))


# Types whose methods are most of all calls, and read nothing else.
_PLAIN = {bool, bytes, ContextVar, deque, dict, float, frozenset, int, list, set, str, tuple}
_SEEDS = "a generator of Python's"
_KINDS: dict[Any, str | None] = {}  # by the object of which a function is a method, or its type


def _kind(owner: Any, name: str, function: Any) -> str | None:
    """What a function of C's reads, in words, if that differs from call to call."""
    if isinstance(owner, ModuleType):
        module = owner.__name__
    elif owner is type(None):
        module = function.__module__ or ""
    else:  # the class that has it
        module = next((b.__module__ for b in owner.__mro__ if name in vars(b)), owner.__module__)
    root = _root(module)
    if name == "fromfile" or (root == "builtins" and name == "input"):
        return FILE
    if root not in _STANDARD or root in PURE - {"builtins"}:
        return None
    if name in SYSTEM:
        return DRAW
    if root == "random":
        return _SEEDS
    if isinstance(owner, type) and issubclass(owner, io.StringIO | io.BytesIO):
        return None  # what is in there is a fact, or made inside
    if root in _READERS:
        reads = name in _READERS[root]
    else:
        reads = name not in _EFFECTS.get(root, ())
    if not reads:
        return None
    if root in ("time", "datetime"):
        return CLOCK
    return FILE if root == "io" or name == "open" else STATE


@functools.lru_cache(maxsize=4096)
def _whose(filename: str) -> str:
    """Whose code a file is: "user", "quiet", "library", or a module of the standard library."""
    if is_user_file(filename):
        return "user"
    if is_internal(filename):
        return "quiet"
    frozen = re.match(r"<frozen ([\w.]+)", filename)
    parts = [frozen[1]] if frozen else filename.removesuffix(".py").split(os.sep)
    if {"site-packages", "dist-packages"} & set(parts):
        return "library"
    names = [part.partition(".")[0] for part in parts[-2:]]
    if any(name in QUIET for name in names) or names[-1] == "zipimport":
        return "quiet"
    return names[-1]


def _of_user(frame: FrameType, what: str) -> tuple[FrameType | None, bool]:
    """The frame of the user's that a call is made for, and whether what it reads surely gets there; None
    where it is made for somebody else."""
    at: FrameType | None = frame
    sure = True
    while at is not None:
        whose = _whose(at.f_code.co_filename)
        if whose == "user":
            # RandomState draws a seed, whether or not it is given one.
            return at, sure and not (what == DRAW and "RandomState" in at.f_code.co_names)
        if whose == "quiet" or (whose != "library" and at.f_code.co_name in _ACTS):
            return None, False
        if what in (CLOCK, DRAW) and whose not in _BETWEEN:
            return None, False
        if whose == "library":
            if what == ENVIRONMENT:
                return None, False
            sure = False
        at = at.f_back
    return None, False


def _writes(frame: FrameType) -> bool:
    """Whether a file that its code opens is one to write to, by the modes that stand there."""
    return not _WRITING.isdisjoint(c for c in frame.f_code.co_consts if isinstance(c, str))


def _loc(frame: FrameType) -> Loc:
    return loc_of(frame.f_code, frame.f_lineno)
