"""Max pools to a size, by windows whose distances are drawn: B. Graham, arXiv:1412.6071."""

from __future__ import annotations

import math
from typing import Any

from ..creation import arange
from ..creation import given as asarray
from ..elements import take_along_axis
from ..errors import bounds, here, public
from ..random import rand
from ..tensor import Tensor
from . import functional as F
from . import spatial
from .module import Module
from .spatial import Sizes, sizes

__all__ = [
    "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]  # fmt: skip


def _starts(sample: Tensor, n: int, out: int, size: int) -> Tensor:
    """Where the windows begin, (..., out), for each number of `sample`: steps of the mean distance, rounded
    down, from where that number says; the last window ends at the end."""
    u = sample.unsqueeze(-1)
    step = (n - size) / (out - 1) if out > 1 else 0.0
    k = arange(out)
    found = ((k + u) * step).long() - (u * step).long()
    return found * (k < out - 1) + (n - size) * (k == out - 1)


def _pool(
    name: str, axes: int, x: Any, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any,
    places: bool,
) -> Any:  # fmt: skip
    given, batched = spatial.batched(name, asarray(x), axes)
    size = sizes(name, "kernel_size", kernel_size, axes, 1)
    extents = given.shape[2:]
    if (output_size is None) == (output_ratio is None):
        raise ValueError(here(f"{name}: expected output_size or output_ratio"))
    if output_size is not None:
        out = sizes(name, "output_size", output_size, axes, 1)
    else:
        each = output_ratio if isinstance(output_ratio, tuple | list) else (output_ratio,) * axes
        if len(each) != axes or not all(0 < r < 1 for r in each):
            raise ValueError(here(f"{name}: output_ratio is between 0 and 1, not {output_ratio!r}"))
        out = tuple(int(n * r) for n, r in zip(extents, each, strict=True))
    if any(m + k - 1 > n for n, k, m in zip(extents, size, out, strict=True)):
        raise ValueError(here(f"{name}: {out} windows of {size} do not fit {extents}"))
    batch, channels = given.shape[:2]
    u = rand(batch, channels, axes, dtype=given.dtype) if samples is None else asarray(samples)
    if u.shape != (batch, channels, axes):
        raise ValueError(here(f"{name}: _random_samples of shape {u.shape}, not {(batch, channels, axes)}"))
    place: Any = 0  # of each element of each window, in its channel
    for d in range(axes):
        which = axes - 1 - d if axes == 2 else d  # as PyTorch draws: of two axes the last one first
        start = _starts(u[..., which], extents[d], out[d], size[d])
        at = start.unsqueeze(-1) + arange(size[d])
        shape = [1] * (2 * axes)
        shape[d], shape[axes + d] = out[d], size[d]
        place = place * extents[d] + at.reshape(batch, channels, *shape)
    place = place.reshape(batch, channels, math.prod(out), math.prod(size))
    flat = given.reshape(batch, channels, -1)
    rows = take_along_axis(flat, place.reshape(batch, channels, -1), 2).reshape(place.shape)
    values = rows.max(-1).reshape(batch, channels, *out)
    values = values if batched else values[0]
    if not places:
        return values
    first = rows.detach().argmax(-1, keepdims=True)
    found = take_along_axis(place, first, -1).reshape(batch, channels, *out)
    return values, found if batched else found[0]


@public
def fractional_max_pool2d(
    x: Any, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """The greatest of windows such that `output_size` of them are left, or that share of the places; how far
    apart they are is drawn anew. With `return_indices` also where each lies among all of its channel."""
    given = kernel_size, output_size, output_ratio, _random_samples
    return _pool("fractional_max_pool2d", 2, x, *given, return_indices)


@public
def fractional_max_pool3d(
    x: Any, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """As `fractional_max_pool2d`, over three axes."""
    given = kernel_size, output_size, output_ratio, _random_samples
    return _pool("fractional_max_pool3d", 3, x, *given, return_indices)


@public
def fractional_max_pool2d_with_indices(
    x: Any, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = True, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """`fractional_max_pool2d` with `return_indices`."""
    return fractional_max_pool2d(x, kernel_size, output_size, output_ratio, True, _random_samples)


@public
def fractional_max_pool3d_with_indices(
    x: Any, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
    return_indices: bool = True, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """`fractional_max_pool3d` with `return_indices`."""
    return fractional_max_pool3d(x, kernel_size, output_size, output_ratio, True, _random_samples)


@bounds
class FractionalMaxPool2d(Module):
    """`functional.fractional_max_pool2d`."""

    function = "fractional_max_pool2d"
    _random_samples: Tensor | None

    def __init__(
        self, kernel_size: Sizes, output_size: Sizes | None = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if (output_size is None) == (output_ratio is None):
            raise ValueError(here(f"{type(self).__name__}: expected output_size or output_ratio"))
        self.kernel_size, self.output_size, self.output_ratio = kernel_size, output_size, output_ratio
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples, persistent=False)

    def forward(self, x: Any) -> Any:
        given = self.kernel_size, self.output_size, self.output_ratio, self.return_indices
        return getattr(F, self.function)(x, *given, self._random_samples)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, output_size={self.output_size}"


class FractionalMaxPool3d(FractionalMaxPool2d):
    """`functional.fractional_max_pool3d`."""

    function = "fractional_max_pool3d"
