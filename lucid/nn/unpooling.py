"""Pools that say where their greatest elements are, their way back, and pools by a power."""

from __future__ import annotations

import math
from typing import Any

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..creation import arange, zeros
from ..creation import given as asarray
from ..errors import here, public
from ..functional import where
from ..tensor import Tensor
from ..totals import argmax
from . import functional as F
from . import spatial
from .module import Module
from .spatial import Sizes, sizes

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _within(x: Node, *, size: Any, **given: Any) -> Node:
    """Of each window which of its elements is the greatest; of several the first."""
    cut = spatial.max_windows(x, size=size, **given)
    return argmax(ops.reshape(cut, (*cut.shape[: x.type.ndim], math.prod(size))), axis=-1)


def positions(
    name: str, axes: int, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    apart: tuple[int, ...],
) -> Tensor:  # fmt: skip
    """Of each window the place of its greatest element among all of a channel, int64; of several the
    first."""
    given = asarray(x).detach()
    within = spatial.pool(name, axes, _within, given, kernel_size, stride, padding, ceil_mode, dilation=apart)
    size, step, around = spatial.window_of(name, axes, kernel_size, stride, padding)
    extents, counts = given.shape[-axes:], within.shape[-axes:]
    place: Any = 0
    for d in range(axes):
        inner = within // math.prod(size[d + 1 :]) % size[d]
        start = (arange(counts[d]) * step[d] - around[d]).reshape(-1, *[1] * (axes - 1 - d))
        place = place * extents[d] + (start + inner * apart[d])
    found: Tensor = place
    return found


def _unpooled(
    name: str, axes: int, x: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    values, places = asarray(x), asarray(indices)
    if values.shape != places.shape:
        raise ValueError(here(f"{name}: values of shape {values.shape}, and indices of {places.shape}"))
    values, batched = spatial.batched(name, values, axes)
    places = places.reshape(values.shape)
    size, step, around = spatial.window_of(name, axes, kernel_size, stride, padding)
    wanted = [
        (n - 1) * s - 2 * p + k for n, k, s, p in zip(values.shape[2:], size, step, around, strict=True)
    ]
    if output_size is not None:
        given = tuple(output_size)[-axes:]
        if len(given) != axes or any(abs(g - n) >= s for g, n, s in zip(given, wanted, step, strict=True)):
            told = f"expected one less than a stride from {tuple(wanted)}"
            raise ValueError(here(f"{name}: output_size {tuple(output_size)}; {told}"))
        wanted = list(given)
    batch, channels = values.shape[:2]
    empty = zeros((batch, channels, math.prod(wanted)), dtype=values.dtype)
    rows = [t.reshape(batch, channels, -1) for t in (places, values)]
    found: Tensor = empty.scatter(2, *rows).reshape(batch, channels, *wanted)
    return found if batched else found[0]


@public
def max_unpool1d(
    x: Any, indices: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Any = None,
) -> Tensor:  # fmt: skip
    """Zeros, and each element of `x` at its index: what `max_pool1d(..., return_indices=True)` has left of
    its input. `output_size` chooses among the sizes that give such a pool."""
    return _unpooled("max_unpool1d", 1, x, indices, kernel_size, stride, padding, output_size)


@public
def max_unpool2d(
    x: Any, indices: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Any = None,
) -> Tensor:  # fmt: skip
    """`max_unpool1d`, over two axes; indices count the elements of a channel."""
    return _unpooled("max_unpool2d", 2, x, indices, kernel_size, stride, padding, output_size)


@public
def max_unpool3d(
    x: Any, indices: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0,
    output_size: Any = None,
) -> Tensor:  # fmt: skip
    """`max_unpool1d`, over three axes; indices count the elements of a channel."""
    return _unpooled("max_unpool3d", 3, x, indices, kernel_size, stride, padding, output_size)


def _lp_pool(
    name: str, axes: int, x: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:  # fmt: skip
    power = float(norm_type)
    if math.isinf(power):
        raise ValueError(here(f"{name}: norm_type must be finite; max_pool is the pool of an infinite one"))
    size = sizes(name, "kernel_size", kernel_size, axes, 1)
    pool = (spatial.avg_pool1d, spatial.avg_pool2d, spatial.avg_pool3d)[axes - 1]
    total = pool(asarray(x) ** power, size, stride, ceil_mode=ceil_mode) * math.prod(size)
    none = total <= 0  # whose root has no gradient
    found: Tensor = where(none, 0.0, where(none, 1.0, total) ** (1 / power))
    return found


@public
def lp_pool1d(
    x: Any, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:  # fmt: skip
    """The root of the sum of x ** norm_type over each window of the last axis; 0 where that sum is negative,
    as in PyTorch, which takes no absolute values. The gradient is 0 there. Of a window that ends beyond, with
    `ceil_mode`, the mean counts for all of it."""
    return _lp_pool("lp_pool1d", 1, x, norm_type, kernel_size, stride, ceil_mode)


@public
def lp_pool2d(
    x: Any, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:  # fmt: skip
    """`lp_pool1d`, over two axes."""
    return _lp_pool("lp_pool2d", 2, x, norm_type, kernel_size, stride, ceil_mode)


@public
def lp_pool3d(
    x: Any, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Tensor:  # fmt: skip
    """`lp_pool1d`, over three axes."""
    return _lp_pool("lp_pool3d", 3, x, norm_type, kernel_size, stride, ceil_mode)


class MaxUnpool1d(Module):
    """`functional.max_unpool1d`."""

    function = "max_unpool1d"

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Any, indices: Any, output_size: Any = None) -> Tensor:
        given = self.kernel_size, self.stride, self.padding
        found: Tensor = getattr(F, self.function)(x, indices, *given, output_size)
        return found

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool2d(MaxUnpool1d):
    """`functional.max_unpool2d`."""

    function = "max_unpool2d"


class MaxUnpool3d(MaxUnpool1d):
    """`functional.max_unpool3d`."""

    function = "max_unpool3d"


class LPPool1d(Module):
    """`functional.lp_pool1d`."""

    function = "lp_pool1d"

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, x: Any) -> Tensor:
        pool: Any = getattr(F, self.function)
        found: Tensor = pool(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        return found

    def extra_repr(self) -> str:
        given = f"norm_type={self.norm_type}, kernel_size={self.kernel_size}"
        return f"{given}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool2d(LPPool1d):
    """`functional.lp_pool2d`."""

    function = "lp_pool2d"


class LPPool3d(LPPool1d):
    """`functional.lp_pool3d`."""

    function = "lp_pool3d"
