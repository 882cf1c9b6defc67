"""The number of elements of a tensor, which is NumPy's `x.size`, and, called, PyTorch's `x.size()`."""

from __future__ import annotations

import functools
import math
from typing import Any, overload

from .errors import public
from .shapes import normal_axis


class Size(int):
    """The number of elements; called, the shape, or the extent of one axis."""

    shape: tuple[int, ...]

    @overload
    def __call__(self, dim: None = None) -> tuple[int, ...]: ...
    @overload
    def __call__(self, dim: int) -> int: ...
    @public
    def __call__(self, dim: int | None = None) -> tuple[int, ...] | int:
        """The shape, or the extent of an axis. IndexError for an axis that is not there."""
        return self.shape if dim is None else self.shape[normal_axis(dim, len(self.shape))]

    def __reduce__(self) -> tuple[Any, ...]:
        return int, (int(self),)


@functools.lru_cache(1024)
def size_of(shape: tuple[int, ...]) -> Size:
    """One and the same object for a shape, as long as few others are asked for: a compiled function that is
    given one knows it by identity."""
    size = Size(math.prod(shape))
    size.shape = shape
    return size
