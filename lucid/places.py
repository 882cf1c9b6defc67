"""Where the nodes of a trace come from: the user's calls down to an operation, and the module that runs.

    train.py:31 step  >  model.py:12 MLP.forward          in model.2.linear

Frames are walked for each operation, so that little is done: what the same instruction, called from the same
place, has found before is found again, also in a later trace.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Loc

from .errors import is_user_file, known_file, loc_of, user_loc

if TYPE_CHECKING:
    from .nn.module import Module
    from .tracing import Trace

# Of the user's calls those nearest to the operation count, and of all frames: recursion may be deep.
CALLS = 16
FRAMES = 128

# By the code and the instruction, the caller's line, the module and what is called. Code and lines are kept,
# so that their ids stay their own.
_KNOWN: dict[tuple[int, int, int, str, str], tuple[CodeType, Loc]] = {}
PLACES = 16384


class Places:
    """The places of one trace of `function`, which the code `entry` calls. `module`: what runs now."""

    def __init__(
        self, function: object = None, args: tuple[Any, ...] = (), entry: CodeType | None = None
    ) -> None:
        self.module = ""
        self._function, self._args, self._entry = function, args, entry
        self.start = _start(function)
        self._paths: dict[int, str] | None = None  # of modules, by id
        self._named: list[Any] = []  # keeps those that were named here

    def here(self, called: str = "") -> Loc | None:
        """The user's line that is being executed, with its calls; `called`: what of lucid's it calls."""
        frame: FrameType | None = sys._getframe(1)
        entry, users = self._entry, known_file
        calls: list[tuple[CodeType, int, FrameType]] = []
        for _ in range(FRAMES):
            if frame is None:
                break
            code = frame.f_code
            if code is entry or len(calls) == CALLS:
                break
            of_user = users(code.co_filename)
            if is_user_file(code.co_filename) if of_user is None else of_user:
                calls.append((code, frame.f_lasti, frame))
            frame = frame.f_back
        if not calls:  # a module of lucid's was compiled: the line that calls it
            outside = user_loc()
            return outside and replace(outside, module=self.module, called=_name(called))
        known, caller, last = _KNOWN, None, len(calls) - 1
        if len(known) > PLACES:
            known.clear()
        for k in range(last, -1, -1):
            code, at, frame = calls[k]
            module, calls_it = ("", "") if k else (self.module, called)
            key = id(code), at, id(caller), module, calls_it
            found = known.get(key)
            if found is None:
                found = known[key] = code, _loc(code, frame.f_lineno, caller, module, calls_it)
            caller = found[1]
        return caller

    def within(self, name: str) -> str:
        """What is no module begins to run, an optimiser; as `enter`."""
        before, self.module = self.module, name
        return before

    def enter(self, module: Module) -> str:
        """Module `module` begins to run; what ran before, to be put back into `module`."""
        before, paths = self.module, self._paths
        if paths is None:
            paths = self._paths = dict(_paths(self._function, self._args))
        path = paths.get(id(module))
        if path is None:
            self._named.append(module)
            for below, part in module.named_modules(_path(module, before, sys._getframe(2))):
                paths.setdefault(id(part), below)
            path = paths[id(module)]
        self.module = path
        return before


def _start(function: Any) -> Loc | None:
    """Where a function begins: the place of what none of its lines makes."""
    code = getattr(inspect.unwrap(getattr(function, "forward", function)), "__code__", None)
    return _loc(code, code.co_firstlineno, None, "") if isinstance(code, CodeType) else None


def _path(module: Module, before: str, frame: FrameType) -> str:
    """Of one that the traced function does not name: by the global that `frame` calls it by, or its class."""
    if before:
        return f"{before}.{type(module).__name__}"
    world = frame.f_globals
    named = (name for name in frame.f_code.co_names if world.get(name) is module)
    return next(named, type(module).__name__)


def _loc(code: CodeType, line: int, caller: Loc | None, module: str, called: str = "") -> Loc:
    return loc_of(code, line, caller=caller, module=module, called=_name(called))


def _name(build: str) -> str:
    """By which users know a function of nodes: `sum_`; none if that is not told."""
    name = build.strip("_")
    return name if name.isidentifier() and name != "build" else ""


def _paths(function: object, args: tuple[Any, ...]) -> Iterator[tuple[int, str]]:
    """The modules that a function names, and those below them, by id: each under its first path."""
    found: dict[int, str] = {}
    for name, value in _names(function, args):
        for path, module in _modules(name, value):
            for below, part in module.named_modules(path):
                found.setdefault(id(part), below)
    yield from found.items()


def _names(called: object, args: tuple[Any, ...]) -> Iterator[tuple[str, object]]:
    """What the code of a function may call by a name: its object, arguments, closure, globals."""
    function: Any = inspect.unwrap(called) if callable(called) else called
    if isinstance(function, MethodType):
        function, args = function.__func__, (function.__self__, *args)
    if not isinstance(function, FunctionType):
        yield type(function).__name__, function
        return
    function = inspect.unwrap(function)
    if not isinstance(function, FunctionType):
        return
    code = function.__code__
    for name, value in zip(code.co_varnames[: code.co_argcount], args, strict=False):
        yield (type(value).__name__ if name == "self" else name), value
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # nothing is in it yet
            continue
    for name in code.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _modules(name: str, value: object) -> Iterator[tuple[str, Module]]:
    """The modules that `value` is, or holds."""
    from .nn.module import Module  # known: one is running

    if isinstance(value, Module):
        yield name, value
        return
    held: list[tuple[str, object]] = []
    if type(value) is list or type(value) is tuple:
        held = [(f"{name}.{k}", part) for k, part in enumerate(value)]
    elif type(value) is dict:
        held = [(f"{name}.{k}", part) for k, part in value.items()]
    elif not isinstance(value, type | ModuleType | FunctionType):
        held = list(getattr(value, "__dict__", {}).items())
    for path, part in held:
        if isinstance(part, Module):
            yield path, part


def called(trace: Trace | None) -> Loc | None:
    """The place of what is being executed: in a trace, or (None) outside of any."""
    return user_loc() if trace is None else trace.places.here()
