"""What a function takes, asked once a call has failed: whether the arguments have places and names that it
knows, and types that its annotations allow."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import dis
import inspect
import numbers
import sys
import typing
from collections.abc import Callable
from typing import Any

import numpy as np

RAISE = dis.opmap["RAISE_VARARGS"]  # the instruction of a `raise`

# Annotations that allow more than instances of a class.
_WIDER: dict[str, Any] = {
    "int": numbers.Integral,
    "float": numbers.Real,
    "complex": numbers.Number,
    "bool": (bool, np.bool_),
    "Sequence": (collections.abc.Sequence, np.ndarray),
    "Iterable": collections.abc.Iterable,
    "Mapping": collections.abc.Mapping,
    "Callable": collections.abc.Callable,
}
_WORDS = {
    "float": "a number", "bool": "True or False", "None": "None", "Array": "an array",
    "Axes": "an axis or a tuple of them", "Params": "parameters in a list",
    "os.PathLike[str]": "a path",
}  # fmt: skip


def unbound(error: Exception, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """What is wrong with the number or the names of the arguments, and which are expected."""
    signature = inspect.signature(f)
    try:
        signature.bind(*args, **kwargs)
        return str(error)
    except TypeError as reason:
        return f"{_name(f, args)}(): {reason}; expected {parameters(signature)}"


def misfit(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Which argument has another type than its annotation says, if one has."""
    try:
        signature = inspect.signature(f)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return None
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if not isinstance(parameter.annotation, str):
            continue
        wanted = ast.parse(parameter.annotation, mode="eval").body
        if not _fits(value, wanted, getattr(f, "__globals__", {})):
            what = " or ".join(map(_worded, map(ast.unparse, _choices(wanted))))
            return f"{_name(f, args)}: {name} must be {what}, not {type(value).__name__}"
    return None


def _name(f: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """As users call it: of a constructor, the class; a module's `forward` with it."""
    kind = type(getattr(f, "__self__", args[0] if args else None)).__name__
    return {"__init__": kind, "forward": f"{kind}.forward"}.get(f.__name__, f.__name__)


def parameters(signature: inspect.Signature) -> str:
    """Without annotations, and without `self`."""
    none = inspect.Parameter.empty
    found = [p.replace(annotation=none) for n, p in signature.parameters.items() if n != "self"]
    plain = signature.replace(parameters=found, return_annotation=none)
    return str(plain) if found else "no arguments"


def _worded(wanted: str) -> str:
    if wanted.startswith("Literal["):
        return wanted.removeprefix("Literal[").removesuffix("]")
    return _WORDS.get(wanted) or f"{'an' if wanted[0] in 'aeiouAEIOU' else 'a'} {wanted}"


def _choices(wanted: ast.expr) -> list[ast.expr]:
    if isinstance(wanted, ast.BinOp) and isinstance(wanted.op, ast.BitOr):
        return _choices(wanted.left) + _choices(wanted.right)
    return [wanted]


def _fits(value: Any, wanted: ast.expr, names: dict[str, Any]) -> bool:
    """Whether a value may be of that annotation; what is not known may be anything."""
    match wanted:
        case ast.BinOp():
            return any(_fits(value, choice, names) for choice in _choices(wanted))
        case ast.Constant(value=None):
            return value is None
        case ast.Subscript(value=ast.Name(id="Literal"), slice=slice):
            return value in ast.literal_eval(slice if isinstance(slice, ast.Tuple) else ast.Tuple([slice]))
        case ast.Subscript(value=ast.Name(id="Sequence" | "Iterable" as name), slice=each):
            if isinstance(value, str | list | tuple) and not all(_fits(v, each, names) for v in value):
                return False
            return isinstance(value, _WIDER[name])
        case ast.Subscript(value=of):
            return _fits(value, of, names)
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return _is(value, getattr(names.get(module), name, None))
        case ast.Name(id=name) if name not in ("object", "Any"):
            known = _WIDER.get(name) or names.get(name) or getattr(sys.modules["lucid"], name, None)
            return _is(value, known or getattr(builtins, name, None))
    return True


def _is(value: Any, kind: Any) -> bool:
    try:
        return isinstance(value, typing.get_origin(kind) or kind)
    except TypeError:  # no class: an alias, a variable of types, what only a type checker imports
        return True
