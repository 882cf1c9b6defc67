"""The result of fusion: kernels, and what each of them is applied to."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .artifact import Hole
from .data import data
from .graph import Graph, Node
from .kernel import Array, Extent, Kernel
from .rounding import convert
from .types import DType

View = tuple[int, tuple[int, ...], tuple[int, ...]]  # offset, strides (in elements) and extents


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


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of an array whose elements lie one after another."""
    strides = [1] * bool(shape)
    for n in shape[:0:-1]:
        strides.append(n * strides[-1])
    return tuple(strides[::-1])


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

    def shape(self, array: Array) -> tuple[int, ...]:
        """That of an array of the kernel."""
        return tuple(map(self.extent, array.dims))

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
    def streams(self) -> int:
        """Bytes of each view that the kernel reads or writes. Those that overlap count twice: what a plan
        weighs by, where extents may be symbols."""
        seen = {(node, written, view): size for node, written, view, size in self._views()}
        return sum(math.prod(view[2]) * size for (_, _, view), size in seen.items())

    @property
    def bytes(self) -> int:
        """Bytes moved: every byte that the kernel reads counted once, every byte that it writes once. An
        array that is read at places that are values counts as a whole."""
        places: dict[tuple[Node, bool, int], dict[View, None]] = {}
        for node, written, view, size in self._views():
            places.setdefault((node, written, size), {})[view] = None
        return sum(_elements(list(views)) * size for (_, _, size), views in places.items())

    def _views(self) -> Iterator[tuple[Node, bool, View, int]]:
        """Of each array, its node, whether it is written, what of it is touched, bytes of an element."""
        outputs = {o.name for o in self.kernel.outputs}
        arrays = [p for p in self.kernel.params if isinstance(p, Array)] + list(self.kernel.outputs)
        for array in arrays:
            operand = self.arrays[array.name]
            dims = [(s, self.extent(n)) for n, s in zip(array.dims, operand.strides, strict=True) if s]
            view = operand.offset, tuple(s for s, _ in dims), tuple(n for _, n in dims)
            yield operand.node, array.name in outputs, view, array.dtype.size


def _elements(views: list[View]) -> int:
    """How many elements of one array there are in views of it."""
    views = [view for view in views if 0 not in view[2]]
    if len(views) < 2:
        return sum(math.prod(shape) for _, _, shape in views)
    ends = [
        [at + sum(f(0, s * (n - 1)) for s, n in zip(strides, shape, strict=True)) for f in (min, max)]
        for at, strides, shape in views
    ]
    first, last = min(low for low, _ in ends), max(high for _, high in ends)
    touched = np.zeros(last - first + 1, bool)
    for at, strides, shape in views:
        np.lib.stride_tricks.as_strided(touched[at - first :], shape, strides)[...] = True
    return int(touched.sum())


@data
class Program:
    """Calls in an order that respects data flow. Every node of `graph.outputs` is an input or is
    written by exactly one call."""

    graph: Graph
    calls: tuple[Call, ...]
