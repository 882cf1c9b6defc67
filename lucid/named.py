"""Methods as functions, and the names that functions made in tables are shown and pickled by."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Container, Mapping
from importlib import import_module
from typing import Any, Concatenate, ParamSpec, TypeVar

from lucid.compiler.ir.graph import Node

from .creation import given as asarray
from .errors import no_attribute, public
from .tensor import Tensor, apply

Unary = Callable[[Any], Tensor]
Binary = Callable[[Any, Any], Tensor]
P = ParamSpec("P")
R = TypeVar("R")


def of_home(module: str, homes: Mapping[str, str], name: str, parts: Container[str] = ()) -> Any:
    """What `module` leaves for its first use: one of the modules `parts` in it, or what the module that
    `homes` says, of the same package, has by this name. AttributeError for any other."""
    of = sys.modules[module]
    if name in parts:
        return import_module(f".{name}", module)
    if name not in homes:
        raise no_attribute(of, f"module {module!r}", name)
    return getattr(import_module(f".{homes[name]}", of.__package__), name)


def unary(build: Callable[[Node], Node], doc: str) -> Unary:
    """A function of one tensor."""

    def function(x: Any) -> Tensor:
        return apply(build, x if isinstance(x, Tensor) else asarray(x))

    function.__doc__ = doc
    return public(function)


def binary(build: Callable[..., Node], doc: str) -> Binary:
    """A function of two tensors, of which one may be a number."""

    def function(a: Any, b: Any) -> Tensor:
        return apply(build, operand(a), operand(b))

    function.__doc__ = doc
    return public(function)


def operand(x: Any) -> Any:
    """Numbers stay weak (NEP 50). TypeError for None, which would be left out."""
    if x is None:
        raise TypeError("expected a tensor, an array or a number, not None")
    return x


def as_function(method: Callable[Concatenate[Tensor, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The method as a function: what it is called on comes first, and need be no tensor yet."""

    @functools.wraps(method)
    def function(x: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(x if isinstance(x, Tensor) else asarray(x), *args, **kwargs)

    own = inspect.signature(method)
    this, *rest = own.parameters.values()
    first = this.replace(name="x", kind=this.POSITIONAL_ONLY)
    function.__signature__ = inspect.Signature([first, *rest], return_annotation=own.return_annotation)  # type: ignore[attr-defined]
    return public(function)


def name_all(scope: dict[str, Any], names: list[str]) -> None:
    """Give the functions of a module their first names: what they are shown and pickled by."""
    for name, function in list(scope.items()):
        if name in names and function.__qualname__ not in names:  # else it is another name
            for known in (function, function.__wrapped__):
                known.__name__ = known.__qualname__ = name
            function.__module__ = scope["__name__"]
