"""What a graph begins with: inputs, literals and the user's numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.rounding import convert
from ..ir.types import TensorType, tensor_type
from .complex import kept, literal
from .record import Array, Attrs, Types, define, operands

T = TypeVar("T")


def _infer_input(types: Types, attrs: Attrs) -> TensorType:
    operands("input", types, 0)
    return tensor_type(attrs["dtype"], tuple(attrs["shape"]))


def _infer_literal(types: Types, attrs: Attrs) -> TensorType:
    operands("const", types, 0)
    return tensor_type(attrs["dtype"], ())


def _literal(attrs: Attrs) -> Array:
    return convert(np.asarray(attrs["value"]), attrs["dtype"])


INPUT = define(
    "input", "leaf", _infer_input, None, None, None, "biufc",
    attrs=("name", "dtype", "shape"), sizes=("shape",), of_complex=kept,
)  # fmt: skip
# A literal of a formula, part of the kernel's text; and a number of the user's, an operand of the kernel, so
# that another value needs no other code.
CONST, SCALAR = (
    define(
        name, "leaf", _infer_literal, _literal, None, None, "biuf", attrs=("value", "dtype"),
        of_complex=literal,
    )
    for name in ("const", "scalar")
)  # fmt: skip

# What was asked about the values of numbers, with the answers, where somebody wants to know.
Question = Callable[[Any], object]
_ASKED: ContextVar[dict[tuple[Node, Question], object] | None] = ContextVar("_ASKED", default=None)


@contextmanager
def asked() -> Iterator[dict[tuple[Node, Question], object]]:
    """What is made inside depends on these answers, and on no value else of a number."""
    noted: dict[tuple[Node, Question], object] = {}
    token = _ASKED.set(noted)
    try:
        yield noted
    finally:
        _ASKED.reset(token)


def ask(question: Question, number: Node) -> Any:
    """What the value of a literal, or of a number of the user's, says: a gradient may depend on it."""
    answer = question(number.attrs["value"])
    noted = _ASKED.get()
    if noted is not None:
        noted[number, question] = answer
    return answer


def exact(value: Any) -> object:
    """A number as part of a key: 0.0 and -0.0, and NaN and itself, are told apart. (1 and 1.0 come
    with the same dtype, and mean the same.)"""
    return value if type(value) is not float or (value and value == value) else repr(value)


# The constants of a piece of work that makes many alike: one node for each.
_SHARED: ContextVar[dict[object, Any] | None] = ContextVar("_SHARED", default=None)


@contextmanager
def shared_constants() -> Iterator[None]:
    """What is made inside by `const` and `once` is made once, up to the outermost of these."""
    token = _SHARED.set({}) if _SHARED.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _SHARED.reset(token)


def once(key: Hashable, make: Callable[..., T], *args: Any) -> T:
    """`make(*args)`, a node or some; within `shared_constants` the same for equal keys."""
    known = _SHARED.get()
    if known is None:
        return make(*args)
    if key not in known:
        known[key] = make(*args)
    found: T = known[key]
    return found


def const(value: float | int | bool, like: Node) -> Node:
    """`value` in the dtype and shape of `like`."""
    if type(value) is int:  # floats that are equal may differ in the sign of zero
        return once((value, like.type), _const, value, like)
    return _const(value, like)


def _const(value: float | int | bool, like: Node) -> Node:
    return fill(CONST(value=value, dtype=like.type.dtype), like.shape)


def fill(node: Node, shape: tuple[int, ...]) -> Node:
    """A 0-d node broadcast to `shape`."""
    return node if node.type.shape == shape else ops.BROADCAST(node, shape=shape)


def zeros_like(node: Node) -> Node:
    return const(0, node)
