"""Functions as text that stands alone: what they read comes along, as text, as a literal, or imported.

SCALE = 3                      SCALE = 3


def helper(x):          ->     def helper(x):
    return x * SCALE               return x * SCALE


fuzz(lambda x: helper(x))      f = lambda x: helper(x)
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ..errors import is_user_file
from ..tensor import Tensor
from .bits import plain
from .layouts import literal

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), np.generic)


class Sources:
    """Text that makes names known, in an order in which it can run. `known`: those that the script has."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = dict(known)
        self.folders: dict[str, None] = {}  # where modules of the user's are imported from
        self.imports: dict[str, None] = {}
        self.parts: list[str] = []
        self.missing: list[str] = []

    def add(self, name: str, value: Any) -> str:
        """Make `value` known as `name`, or as another name if that is taken; which one."""
        while name in self.known and self.known[name] is not value:
            name += "_"
        self._bind(name, value)
        return name

    def text(self) -> str:
        """All of it."""
        paths = [f"sys.path.insert(0, {folder!r})" for folder in self.folders]
        head = [*(["import sys", "", *paths, ""] if paths else []), *self.imports]
        lacks = [f"# missing here: {what}" for what in self.missing]
        return "\n\n\n".join(["\n".join(head)] * bool(head) + ["\n".join(lacks)] * bool(lacks) + self.parts)

    def _bind(self, name: str, value: Any) -> None:
        if name in self.known:
            if self.known[name] is not value:
                self.missing.append(f"{name}, which is something else for another function")
            return
        self.known[name] = value
        if isinstance(value, ModuleType):
            self._from(value)
            self.imports[_renamed(f"import {value.__name__}", value.__name__, name)] = None
        elif (module := _home(value)) is not None:
            self._from(module)
            own = value.__name__
            self.imports[_renamed(f"from {module.__name__} import {own}", own, name)] = None
        elif (text := self._constant(value)) is not None:
            self.parts.append(f"{name} = {text}")
        elif isinstance(value, type) or isinstance(inspect.unwrap(value), FunctionType):
            self._defined(name, value)
        else:
            self._lacking(name, value)

    def _lacking(self, name: str, value: Any) -> None:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        self.missing.append(f"{name}, a {kind}, which has no text")
        self.parts.append(f"{name} = ...  # put it here")

    def _from(self, module: ModuleType) -> None:
        """Where a module of the user's is found."""
        file = getattr(module, "__file__", None)
        if file is None or not is_user_file(file) or module.__name__.partition(".")[0] == "lucid":
            return
        path = Path(file).resolve()
        up = module.__name__.count(".") + (path.stem == "__init__")
        self.folders[str(path.parents[up])] = None

    def _constant(self, value: Any) -> str | None:
        """Plain values, arrays and containers of these as an expression."""
        if isinstance(value, Tensor):
            grad = ", requires_grad=True" if value.requires_grad else ""
            return f"lucid.Tensor({literal(plain(value))}{grad})"
        if isinstance(value, np.ndarray):
            return literal(value)
        if isinstance(value, _PLAIN):
            return repr(value)
        if type(value) is dict:
            pairs = [(self._constant(k), self._constant(v)) for k, v in value.items()]
            known = [f"{k}: {v}" for k, v in pairs if k is not None and v is not None]
            return "{" + ", ".join(known) + "}" if len(known) == len(pairs) else None
        if type(value) in (list, tuple):
            every = [self._constant(v) for v in value]
            known = [v for v in every if v is not None]
            if len(known) < len(every):
                return None
            inner = ", ".join(known)
            return f"[{inner}]" if type(value) is list else f"({inner}{',' * (len(known) == 1)})"
        return None

    def _defined(self, name: str, value: Any) -> None:
        """A function or a class by its own text, behind what that reads."""
        text = _source(value)
        if text is None:
            self._lacking(name, value)
            return
        own = value.__name__ if text.startswith(("def ", "class ", "@", "async ")) else name
        if own != name:
            if own in self.known and self.known[own] is not value:
                self._lacking(name, value)
                return
            self.known[own] = value
        for read, there in _reads(value, text).items():
            if read not in (own, name):
                self._bind(read, there)
        if own == name and not text.startswith(("def ", "class ", "@", "async ")):
            text = f"{name} = {text}"
        self.parts.append(text + (f"\n\n\n{name} = {own}" if own != name else ""))


def _renamed(text: str, own: str, name: str) -> str:
    return text if own == name else f"{text} as {name}"


def _home(value: Any) -> ModuleType | None:
    """The module that something can be imported from by its name."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    name = getattr(value, "__name__", None)
    if module is None or module.__name__ == "__main__" or not isinstance(name, str):
        return None
    return module if name.isidentifier() and getattr(module, name, None) is value else None


def _reads(value: Any, text: str) -> dict[str, Any]:
    """What a text reads of what surrounds it, by name."""
    words = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)]
    names = [n.id for n in words if isinstance(n.ctx, ast.Load)]
    functions = [inspect.unwrap(value)]
    if isinstance(value, type):
        functions = [f for f in map(inspect.unwrap, vars(value).values()) if isinstance(f, FunctionType)]
    there: dict[str, Any] = {}
    for f in functions:
        cells = zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
        around = {n: c.cell_contents for n, c in cells if _filled(c)}
        local = set(f.__code__.co_varnames) - set(f.__code__.co_freevars)
        for name in dict.fromkeys(names):
            if name in around:
                there[name] = around[name]
            elif name in f.__globals__ and name not in local and not hasattr(builtins, name):
                there[name] = f.__globals__[name]
    return there


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _source(value: Any) -> str | None:
    """The text of a function or a class; None if there is none."""
    try:
        if isinstance(value, type) or value.__name__ != "<lambda>":
            text = textwrap.dedent(inspect.getsource(value)).rstrip()
            ast.parse(text)
            return text if text.startswith(("def ", "class ", "@", "async ")) else None
        f = inspect.unwrap(value)
        return _lambda(f.__code__, "".join(inspect.findsource(f)[0]))
    except (OSError, TypeError, SyntaxError):
        return None


def _lambda(code: CodeType, source: str) -> str | None:
    """The text of a lambda, which may be one of several in a line: the smallest that holds all its code."""
    spans = [p for p in code.co_positions() if None not in p and (p[0], p[2]) != (p[1], p[3])]
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Lambda) or node.end_lineno is None or node.end_col_offset is None:
            continue
        begin, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        inside = all(begin <= (p[0], p[2]) and (p[1], p[3]) <= end for p in spans)
        if inside and names == list(code.co_varnames[: code.co_argcount]):
            text = ast.get_source_segment(source, node) or ""
            found.append((len(text), f"({text})" if "\n" in text else text))
    return min(found)[1] if found else None


def defined(functions: Mapping[str, Callable[..., Any]], known: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Text that defines functions, and the names that they have there: those asked for, if these are free."""
    sources = Sources(known)
    names = [sources.add(name, f) for name, f in functions.items()]
    return sources.text(), names
