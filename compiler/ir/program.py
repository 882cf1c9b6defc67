"""The result of fusion: kernels, and what each of them is applied to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .data import data
from .graph import Graph, Node
from .kernel import Array, Extent, Kernel
from .rounding import convert
from .types import DType


class Hole(NamedTuple):
    """The value of scalar `number` of a graph, in a plan for any: see `template.py`. Where one stands, the
    types promise a number (or its bytes), which it will be."""

    number: int
    dtype: DType | None = None


Number = float | int | bool


def scalar_bytes(value: Any, dtype: DType) -> Any:
    """A scalar as the content of an argument slot."""
    if isinstance(value, Hole):
        return Hole(value.number, dtype)
    # Most are the same in every plan; 0.0 and -0.0 are not told apart by a cache.
    return _known_bytes(value, dtype) if value else _bytes(value, dtype)


def _bytes(value: Number, dtype: DType) -> bytes:
    return convert(np.asarray(value), dtype).tobytes()


_known_bytes = functools.lru_cache(maxsize=1024, typed=True)(_bytes)


@data
class Operand:
    """A kernel's array is the memory of `node`: element `offset`, then `strides` (in elements), one
    for each dimension of the array."""

    node: Node
    offset: int
    strides: tuple[int, ...]


@data
class Apart:
    """Why a kernel reads `node` from memory, where another kernel has written it, in words; what the user
    could change so that one kernel does both, if anything."""

    node: Node
    why: str
    remedy: str


@data
class Call:
    """One application of a kernel. `arrays`, `symbols` and `scalars` bind all its names."""

    kernel: Kernel
    arrays: Mapping[str, Operand]
    symbols: Mapping[str, int]
    scalars: Mapping[str, Number]
    reasons: tuple[str, ...]
    apart: tuple[Apart, ...] = ()

    def extent(self, extent: Extent) -> int:
        """An extent of the kernel in this call."""
        return self.symbols[extent] if isinstance(extent, str) else extent

    @property
    def writes(self) -> tuple[Node, ...]:
        """The nodes of the outputs, in order."""
        return tuple([self.arrays[o.name].node for o in self.kernel.outputs])

    @property
    def reads(self) -> tuple[Node, ...]:
        """Those of all other arrays, in the order of `arrays`; one may stand twice."""
        written = {o.name for o in self.kernel.outputs}
        return tuple([operand.node for name, operand in self.arrays.items() if name not in written])

    @property
    def bytes(self) -> int:
        """Bytes moved: every byte that the kernel reads counted once, every byte written once."""
        seen: dict[tuple[Node, int, tuple[int, ...], bool], int] = {}
        outputs = {o.name for o in self.kernel.outputs}
        arrays = [p for p in self.kernel.params if isinstance(p, Array)] + list(self.kernel.outputs)
        for array in arrays:
            operand = self.arrays[array.name]
            count = 1
            for extent, stride in zip(array.dims, operand.strides, strict=True):
                if stride:
                    count *= self.extent(extent)
            key = (operand.node, operand.offset, operand.strides, array.name in outputs)
            seen[key] = count * array.dtype.size
        return sum(seen.values())


@data
class Program:
    """Calls in an order that respects data flow. Every node of `graph.outputs` is an input or is
    written by exactly one call."""

    graph: Graph
    calls: tuple[Call, ...]
