"""Random numbers that a compiled function draws while it is traced: they would be the same at every
call.

The states of all generators that the function can reach, and of the two that everybody can, are
compared before and after. What no guard sees (a generator inside of a library's object) is not found.
"""

from __future__ import annotations

import dis
import re
import sys
from types import CodeType
from typing import Any

from lucid.compiler.graph import Loc

from .errors import TraceError, here, warn_user

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


def states(generators: list[tuple[Any, str]]) -> list[object]:
    """The state of each generator, then those of the global ones; None for one that does not exist yet."""
    return [*[_state(g) for g, _ in generators], *map(_state, _globals())]


def check(before: list[object], generators: list[tuple[Any, str]], codes: list[CodeType], name: str) -> None:
    """TraceError if a generator has been used since then, at the line of the code that mentions one. A
    warning if that was a global one, and no code does: it may have been a library, or another thread."""
    changed = [
        k for k, (old, new) in enumerate(zip(before, states(generators), strict=True)) if not _same(old, new)
    ]
    if not changed:
        return
    what = (
        f"{name} draws random numbers while it is traced, which would be the same at every call; draw them "
        "outside and pass them in"
    )
    names = {"random", *[word for _, where in generators for word in re.split(r"\W+", where)]}
    loc = next((loc for code in codes if (loc := _line(code, names)) is not None), None)
    if loc is not None:
        raise TraceError(f"{loc}: {what}")
    if changed[0] < len(generators):
        raise TraceError(here(what))
    warn_user(here(what))


def _globals() -> list[Any]:
    numpy, python = sys.modules.get("numpy.random"), sys.modules.get("random")
    own = None if numpy is None else numpy.mtrand._rand
    return [own, None if python is None else python._inst]


def _state(generator: Any) -> object:
    if generator is None:
        return None
    if hasattr(generator, "getstate"):
        return generator.getstate()
    if hasattr(generator, "bit_generator"):
        generator = generator.bit_generator
    return _plain(generator.state if hasattr(generator, "state") else generator.get_state(legacy=False))


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
            return Loc(code.co_filename, line or code.co_firstlineno)
    inner = (_line(const, names) for const in code.co_consts if isinstance(const, CodeType))
    return next((loc for loc in inner if loc is not None), None)
