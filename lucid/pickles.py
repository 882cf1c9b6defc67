"""Decorated functions as pickles: by name where the other side can import it, by value where it cannot.

`pickle` finds `@lucid.compile def step` under its name, also in processes that are spawned. cloudpickle (of
joblib, loky, Dask) sends what lives in `__main__` by value, and knows how for functions only. Both decide
when they meet a function, so that is what they are given: the *carrier* of a decorated function, found as
`step.__carrier__`, which holds what the other side makes the same of.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import MethodType
from typing import Any

Parts = tuple[Callable[..., Any], tuple[Any, ...]]


class Decorated:
    """Base of what stands in place of a function, in its module or class."""

    __slots__ = ()

    def _made_of(self) -> Parts:
        """Who makes another one, and of what."""
        raise NotImplementedError

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """As a method, like a function."""
        if instance is None:
            return self
        assert callable(self)
        return MethodType(self, instance)

    @property
    def __carrier__(self) -> Callable[[], Parts]:
        """One object, as pickle demands of what it finds by name."""
        found: Callable[[], Parts] | None = vars(self).get("_carrier")
        return vars(self).setdefault("_carrier", _carrier(self)) if found is None else found

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        name = getattr(self, "__qualname__", None)
        if _standing(getattr(self, "__module__", None), name) is not self:
            return self._made_of()
        # Before protocol 4 there are no dotted names.
        return (_restored, (self.__carrier__,)) if protocol >= 4 else str(name)


def _standing(module: str | None, name: str | None) -> Any:
    """What stands in a module under a dotted name."""
    found: Any = sys.modules.get(module or "")
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    return found


def _carrier(made: Any) -> Callable[[], Parts]:
    parts = made._made_of()

    def carrier() -> Parts:
        return parts  # type: ignore[no-any-return]

    carrier.__module__, carrier.__qualname__ = made.__module__, f"{made.__qualname__}.__carrier__"
    return carrier


def _restored(carrier: Callable[[], Parts]) -> Any:
    """What the carrier was found by, where it came by name; else the same anew."""
    found = _standing(carrier.__module__, carrier.__qualname__.rpartition(".")[0])
    if isinstance(found, Decorated) and found.__carrier__ is carrier:
        return found
    make, args = carrier()
    return make(*args)
