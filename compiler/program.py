"""The result of fusion: kernels, and what each of them is applied to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .graph import Graph, Node
from .kernel import Array, Kernel


@dataclass(frozen=True, slots=True)
class Operand:
    """A kernel's array is the memory of `node`: element `offset`, then `strides` (in elements), one
    for each dimension of the array."""

    node: Node
    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One application of a kernel. `arrays`, `symbols` and `scalars` bind all its names."""

    kernel: Kernel
    arrays: Mapping[str, Operand]
    symbols: Mapping[str, int]
    scalars: Mapping[str, float | int | bool]
    reasons: tuple[str, ...]

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
                    count *= self.symbols[extent] if isinstance(extent, str) else extent
            key = (operand.node, operand.offset, operand.strides, array.name in outputs)
            seen[key] = count * array.dtype.size
        return sum(seen.values())


@dataclass(frozen=True, slots=True)
class Program:
    """Calls in an order that respects data flow. Every node of `graph.outputs` is an input or is
    written by exactly one call."""

    graph: Graph
    calls: tuple[Call, ...]
