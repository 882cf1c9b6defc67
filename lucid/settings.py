"""Variables of the environment: the one table of them, and warnings of values that mean nothing.

They are looked at when lucid is imported, and at the first compile; docs/settings.md is made of the table.
"""

from __future__ import annotations

import functools
import os
import re

from lucid.compiler.ir.data import data

from .errors import warn_user

BEGIN = "LUCID_"
# What tests set; no part of lucid reads them.
TESTS = "LUCID_TEST_"


@data
class Setting:
    """A variable. `expected`: its values in words; `form`: as a pattern; `otherwise`: what it is where it is
    not set. Of a value that means nothing a warning tells, and it counts as not set; so does a word of
    several."""

    name: str
    expected: str
    otherwise: str
    does: str
    form: str = ".*"


def _some(*words: str) -> str:
    """The pattern of one or several, with commas."""
    one = f"(?:{'|'.join(words)})"
    return rf"{one}(\s*,\s*{one})*"


_SWITCH, _COUNT, _SHORT = "[01]", r"\d{1,18}", "short|full"

SETTINGS = (
    Setting("LUCID_CACHE", "0 or 1", "1", "the disk cache of machine code", _SWITCH),
    Setting("LUCID_CACHE_DIR", "a folder", "`lucid` in the user's folder of caches",
            "where the disk cache lies; a folder that cannot be used is warned of, and there is none"),
    Setting("LUCID_CACHE_SIZE", "a number of bytes", "268435456", "how large the disk cache may become",
            _COUNT),
    Setting("LUCID_CHECK", "0 or 1", "0", "interpret before and after every pass, and compare", _SWITCH),
    Setting("LUCID_CUDA_SYNC", "0 or 1", "0", "run kernels of a GPU one by one, so that an error tells which",
            _SWITCH),
    Setting("LUCID_DEBUG", "some of gdb, perf, jitdump", "none of them",
            "debuggers and perf are told of kernels by name, and of your lines "
            "([inspect.md](inspect.md))", _some("gdb", "perf", "jitdump")),
    Setting("LUCID_DUMP", "a folder", "nothing is written",
            "every compile as files: each stage of each kernel, an index ([inspect.md](inspect.md))"),
    Setting("LUCID_LOG", "some of passes, fusion, cache, memory, retrace", "none of them",
            "what happens, to stderr ([inspect.md](inspect.md))",
            _some("passes", "fusion", "cache", "memory", "retrace")),
    Setting("LUCID_MEMORY_CACHE", "a number of bytes", "a quarter of the memory, at most 2 GiB",
            "how much memory that is not in use is kept for later arrays", _COUNT),
    Setting("LUCID_NAN", "0, 1 or inf", "0", "an error where a NaN is made, which says by what; "
            "inf: infinities, too ([stories.md](stories.md))", "0|1|nan|inf"),
    Setting("LUCID_NATIVE", "0 or 1", "1", "calls of compiled functions are checked natively, not by Python",
            _SWITCH),
    Setting("LUCID_NUM_THREADS", "a number of threads, at least 1", "what the machine allows",
            "at most so many threads a call; so does OMP_NUM_THREADS", r"0*[1-9]\d{0,17}(,.*)?"),
    Setting("LUCID_PATHS", "short or full", "short",
            "source files in texts and messages: below the working directory, or in full", _SHORT),
    Setting("LUCID_TRACEBACK", "short or full", "short",
            "tracebacks of errors end at your line, or show lucid's frames ([errors.md](errors.md))", _SHORT),
    Setting("LUCID_VALIDATE", "0 or 1", "0",
            "prove the index maps of every kernel ([testing.md](testing.md))", _SWITCH),
    Setting("LUCID_VERIFY", "0 or 1", "0", "verify the result of every pass", _SWITCH),
)  # fmt: skip

_KNOWN = {setting.name: setting for setting in SETTINGS}
_looked: set[tuple[str, str]] = set()


@functools.cache
def look_once() -> None:
    """At the first compile: of what a program has set since the import."""
    look()


def look() -> None:
    """Warn, once each, of variables that lucid does not know, and of values that mean nothing."""
    for name in os.environ:
        if name.startswith(BEGIN) and (name, value := os.environ.get(name, "")) not in _looked:
            _looked.add((name, value))
            if what := wrong(name, value):
                warn_user(what)


def wrong(name: str, value: str) -> str | None:
    """What is wrong with a variable, if anything is."""
    setting = _KNOWN.get(name)
    if setting is not None:
        if re.fullmatch(setting.form, value.strip()) or not value.strip():
            return None
        return f"{name}: expected {setting.expected}, not {value!r}"
    if name.startswith(TESTS):
        return None
    import difflib

    ends = [known.removeprefix(BEGIN) for known in _KNOWN]
    near = difflib.get_close_matches(name.removeprefix(BEGIN), ends, 1)
    known = f"did you mean {BEGIN}{near[0]}?" if near else f"expected one of {', '.join(_KNOWN)}"
    return f"{name}: lucid knows no such variable; {known}"
