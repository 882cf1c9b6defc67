"""Functions that run for one example of a batch (`vmap`), while they run: what stands for the values of one
example, which nobody knows.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import TensorType, i64

from .context import MODE

if TYPE_CHECKING:
    from .tensor import Tensor

# A leaf that stands for one example. In no registry: it never comes into a graph that is compiled.
EXAMPLE = ops.Op(
    "example", "leaf", lambda types, attrs: TensorType(attrs["dtype"], attrs["shape"]), None, None, None,
    "biufc", attrs=("dtype", "shape"),
)  # fmt: skip

ONE_OF_MANY = (
    "vmap: a value of one example is asked for, which nobody knows. Choose by lucid.where(condition, a, b); "
    "what is computed inside is returned by the function, and left nowhere else"
)


class Lane(NamedTuple):
    """The examples of one call of `vmap`: how many there are, which one runs (an int64 that stands for one
    example), and what random numbers mean."""

    size: int
    place: Node
    randomness: str


# Those that run now, the outermost first.
LANES: ContextVar[tuple[Lane, ...]] = ContextVar("LANES", default=())


def example(kind: TensorType) -> Node:
    """What stands for one example of this type."""
    return Node(EXAMPLE, (), MappingProxyType({"dtype": kind.dtype, "shape": kind.shape}))


def lane(size: int, randomness: str) -> Lane:
    return Lane(size, example(TensorType(i64, ())), randomness)


def at_hand(*tensors: Tensor) -> bool:
    """Whether no function is traced, and all of these have values, which nobody needs to compute."""
    return MODE.get().trace is None and all(x._node.data is not None for x in tensors)


def values_known() -> bool:
    """Whether a value may be looked at: no function is traced, and none runs for one example of many."""
    return MODE.get().trace is None and not LANES.get()
