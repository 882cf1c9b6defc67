"""Methods as functions, and the names that functions made in tables are shown and pickled by."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from .creation import asarray
from .errors import public
from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def as_function(method: Callable[Concatenate[Tensor, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The method as a function: what it is called on comes first, and need be no tensor yet."""

    @functools.wraps(method)
    def function(x: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(x if isinstance(x, Tensor) else asarray(x), *args, **kwargs)

    this, *rest = inspect.signature(method).parameters.values()
    function.__signature__ = inspect.Signature([this.replace(name="x", kind=this.POSITIONAL_ONLY), *rest])  # type: ignore[attr-defined]
    return public(function)


def name_all(scope: dict[str, Any], names: list[str]) -> None:
    """Give the functions of a module their first names: what they are shown and pickled by."""
    for name, function in list(scope.items()):
        if name in names and function.__qualname__ not in names:  # else it is another name
            for known in (function, function.__wrapped__):
                known.__name__ = known.__qualname__ = name
            function.__module__ = scope["__name__"]
