"""What a compiled function takes while it is traced from where each call would find something else:
random numbers, and the items of an iterator. They would be the same at every call.

The states of all generators and iterators that the function can reach, and of those that everybody can, are
compared before and after. What reads clocks, files or the system's randomness is seen by its calls:
watching.py.
"""

from __future__ import annotations

import io
import re
import sys
import warnings
from types import CodeType, GeneratorType
from typing import Any

from .codes import line
from .errors import TraceError, earlier, here, warn_user
from .watching import DRAW, Seen

# What is left of 624 words of a Mersenne twister that has just been made.
_FRESH = 624


def is_generator(value: object) -> bool:
    """Whether it is one of NumPy's, Python's or PyTorch's generators."""
    python = sys.modules.get("random")
    if python is not None and isinstance(value, python.Random):
        return not isinstance(value, python.SystemRandom)
    if hasattr(type(value), "initial_seed") and hasattr(type(value), "get_state"):
        return not type(value).__module__.startswith("lucid.")  # PyTorch's: the state of ours is a tensor
    return type(value).__module__.startswith("numpy.random") and (
        hasattr(value, "bit_generator") or hasattr(value, "get_state") or hasattr(value, "state")
    )


def is_spent(value: object) -> bool:
    """Whether reading it uses it up, and no walk can look into it: an iterator of C's, a generator, a file
    to read from."""
    if isinstance(value, io.IOBase):
        return not value.closed and value.readable()
    return hasattr(type(value), "__next__") and not hasattr(value, "__dict__")


def states(generators: list[tuple[Any, str]]) -> list[object]:
    """The state of each generator, then those of the global ones; None for one that does not exist yet."""
    return [*[_state(g) for g, _ in generators], *map(_state, _globals())]


def check(
    before: list[object], generators: list[tuple[Any, str]], codes: list[CodeType], name: str, seen: Seen
) -> str | None:
    """TraceError for what has been read inside, or if a generator has been used since then, at the line of
    the code that mentions one. Where that is not sure (a library, or another thread, may have used a global
    generator), a warning, and why the recording serves one call."""
    for does, where in seen.found:
        raise earlier(TraceError(f"{name} {does}{_ONCE.format('it')}"), where)
    after = [_same(*states) for states in zip(before, states(generators), strict=True)]
    changed = after.index(False) if False in after else -1
    if changed >= 0:
        spent = changed < len(generators) and is_spent(generators[changed][0])
        does = f"takes an item of {generators[changed][1]}" if spent else DRAW
        names = {"random", *[word for _, where in generators for word in re.split(r"\W+", where)]}
        at = next((at for code in codes if (at := line(code, names)) is not None), None)
        if at is not None or changed < len(generators):
            what = f"{name} {does}{_ONCE.format('it' if spent else 'them')}"
            raise TraceError(here(what)) if at is None else earlier(TraceError(what), at)
        seen.perhaps.append((does, None))
    for does, loc in seen.perhaps:
        text = f"{name} {does} while it is traced: each call traces it again; do that outside and pass it in"
        warn_user(here(text) if loc is None else f"{loc}: {text}")
        return does
    return None


_ONCE = " while it is traced, which would be the same at every call; do that outside and pass {} in"


def _globals() -> list[Any]:
    numpy, python = sys.modules.get("numpy.random"), sys.modules.get("random")
    own = None if numpy is None else numpy.mtrand._rand
    torch = getattr(sys.modules.get("torch"), "default_generator", None)
    return [own, None if python is None else python._inst, torch]


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
    if hasattr(generator, "initial_seed"):
        return _bytes(generator), generator
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


def _bytes(generator: Any) -> bytes:
    found: bytes = generator.get_state().numpy().tobytes()
    return found


def _same(old: Any, new: Any) -> bool:
    if old is not None or new is None:
        return bool(old == new)
    # Made meanwhile, by an import: has it been used?
    if isinstance(new, tuple) and hasattr(new[1], "initial_seed"):
        fresh = type(new[1])()
        fresh.manual_seed(new[1].initial_seed())
        return bool(new[0] == _bytes(fresh))
    if isinstance(new, dict):  # NumPy's begins one place earlier where the system seeds it
        return bool(new["state"]["pos"] >= _FRESH - 1)
    return bool(new[1][-1] == _FRESH)
