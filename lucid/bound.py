"""What compiled methods keep for one object: recordings, which hold the object. So the object owns them,
in its `__dict__`: garbage collection takes both."""

from __future__ import annotations

from typing import Any


class Bound:
    """By method. A copy of the object starts with none."""

    __slots__ = ("methods",)

    def __init__(self) -> None:
        self.methods: dict[Any, Any] = {}

    def __reduce__(self) -> tuple[type[Bound], tuple[()]]:
        return Bound, ()


def bound(instance: object) -> Bound | None:
    """That of `instance`; None where it has no `__dict__`."""
    scope = getattr(instance, "__dict__", None)
    if type(scope) is not dict:
        return None
    found: Bound = scope.get("__compiled__") or scope.setdefault("__compiled__", Bound())
    return found
