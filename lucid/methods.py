"""The methods of tensors that the records of ops name. (methods.pyi tells type checkers.)"""

from __future__ import annotations

from typing import Any

from lucid.compiler import ops

from .elementwise import named
from .errors import trim
from .in_place import in_place


class Methods:
    """What Tensor inherits; it says how a result is made."""

    __slots__ = ()


def _add(op: ops.Op) -> None:
    if op.named is None:
        return
    build = named(op)

    def unary(self: Any) -> Any:
        try:
            return self._apply(build, self)
        except BaseException as error:
            trim(error)
            raise

    def binary(self: Any, other: Any) -> Any:
        try:
            return self._apply(build, self, other)
        except BaseException as error:
            trim(error)
            raise

    method = unary if len(op.samples[0].shapes) == 1 else binary
    method.__doc__ = op.named.doc
    method.__name__ = op.named.names[0]
    method.__qualname__ = f"Tensor.{method.__name__}"
    for name in op.named.names:
        setattr(Methods, name, method)
        setattr(Methods, f"{name}_", in_place(name))


ops.each(_add)
