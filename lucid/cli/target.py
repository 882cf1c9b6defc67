"""`script.py:name`: the compiled function that a command looks at. The commands that take one share this.

The script is imported: its directory is the first where modules are looked for, `__name__` is not "__main__",
and what it prints goes to stderr. `name` (or `name.attribute`) is there

- a compiled function, or a compiled method of an object, that the script has called by then; what is called
  again has the arguments for which it was traced last;
- or a function without arguments, which is called then, and returns one of these, or a pair
  (compiled function, arguments): with them it is called, once.

    def target():                       # lucid explore train.py:target
        model = Model()
        return lucid.compile(model), (np.ones((8, 32), "float32"),)
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from types import MethodType, ModuleType
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from lucid.compiler.ir.data import data

from .. import compiled as compiled_functions
from ..compiled import Compiled
from ..errors import is_user_file, shown
from .run import first_line
from .table import CommandError

T = TypeVar("T")
MODULE = "__lucid__"
WAY = "a function without arguments that returns (compiled function, (arguments, ...))"


@data
class Target:
    """What `text` names, compiled. `given`: the arguments, where the script gives them."""

    text: str
    compiled: Compiled[..., Any]
    given: tuple[Any, ...] | None

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments, for what is to be called again: those that the script gives, or of the latest trace.
        CommandError if there are none."""
        if self.given is None:
            raise CommandError(f"{self.text}: its arguments are needed; name {WAY}")
        return self.given


def argument(parser: argparse.ArgumentParser) -> None:
    """The positional argument `target`, for `load`."""
    parser.add_argument(
        "target",
        metavar="SCRIPT.py:NAME",
        help=f"a compiled function that the script has called; or {WAY}",
    )


def load(text: str) -> Target:
    """The script is run and what is named is found. CommandError, which names the user's line, where that
    fails."""
    file, colon, name = text.rpartition(":")
    if not (colon and file and name):
        raise CommandError(f"expected SCRIPT.py:NAME, not {text!r}")
    compiled_functions.KEPT = WeakKeyDictionary()
    try:
        return _found(text, file, name)
    finally:
        compiled_functions.KEPT = None  # what is traced later keeps nothing


def _found(text: str, file: str, name: str) -> Target:
    with contextlib.redirect_stdout(sys.stderr):
        found: Any = told(file, lambda: _module(file))
        for part in name.split("."):
            if not hasattr(found, part):
                raise CommandError(f"{file} has no {name}{_others(found)}")
            found = getattr(found, part)
        given: object = None
        if _compiled(found) is None:
            found = told(file, _without_arguments(text, found))
            if type(found) is tuple and len(found) == 2:
                found, given = found
        own = _compiled(found)
        if own is None or not (given is None or isinstance(given, tuple)):
            what = type(given).__name__ if own is not None else type(found).__name__
            raise CommandError(f"{text}: expected {WAY}, not {what}")
        compiled, bound = own
        if isinstance(given, tuple):
            args = (*bound, *given)
            told(file, lambda: compiled(*args))
            return Target(text, compiled, args)
    if compiled._recent() is None:
        why = "was not called, so nothing is compiled"
        raise CommandError(f"{text} {why}: call it in the script, or name {WAY}")
    kept = None if compiled_functions.KEPT is None else compiled_functions.KEPT.get(compiled)
    return Target(text, compiled, kept[0] if kept is not None and not kept[1] else None)


def _module(file: str) -> ModuleType:
    """The script, imported under a name that no other module has."""
    spec = importlib.util.spec_from_file_location(MODULE, file)
    if spec is None or spec.loader is None or not os.path.isfile(file):
        raise CommandError(f"{file}: there is no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    sys.argv = [file]
    spec.loader.exec_module(module)
    return module


def told(what: str, work: Callable[[], T]) -> T:
    """What `work` returns; what the user's code raises becomes one line. `what`: what it does, where no line
    of the user's says it."""
    try:
        return work()
    except CommandError:
        raise
    except SyntaxError as error:
        raise CommandError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except SystemExit as error:
        raise CommandError(f"{what} exits ({error.code})") from None
    except Exception as error:
        users = [f for f in traceback.extract_tb(error.__traceback__) if is_user_file(f.filename)]
        where = f"{shown(users[-1].filename)}:{users[-1].lineno}: " if users else ""
        said = first_line(error)
        raise CommandError(
            said if where and said.startswith(where) else f"{where}{type(error).__name__}: {said}"
        ) from None


def _compiled(found: object) -> tuple[Compiled[..., Any], tuple[Any, ...]] | None:
    """A compiled function, and what it is bound to."""
    if isinstance(found, Compiled):
        return found, ()
    if isinstance(found, MethodType) and isinstance(found.__func__, Compiled):
        return found.__func__, (found.__self__,)
    return None


def _without_arguments(text: str, found: Any) -> Callable[[], Any]:
    if not callable(found):
        raise CommandError(f"{text}: expected a compiled function, or {WAY}, not {type(found).__name__}")
    with contextlib.suppress(TypeError, ValueError):  # what is written in C may not tell
        inspect.signature(found).bind()
        return lambda: found()
    raise CommandError(f"{text} is not compiled and takes arguments: expected {WAY}")


def _others(module: object) -> str:
    """What else could be meant."""
    names = ", ".join(_names(module))
    return f"; compiled there: {names}" if names else ""


def _names(module: object) -> Iterator[str]:
    for name, value in vars(module).items() if isinstance(module, ModuleType) else ():
        if isinstance(value, Compiled):
            yield name
