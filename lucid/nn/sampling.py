"""Images read at places that are values: grids of affine maps, and what lies there between pixels."""

from __future__ import annotations

import functools
import operator
from typing import Any

from ..array_functions import stack
from ..creation import arange
from ..creation import given as asarray
from ..errors import public
from ..functional import floor, round, where
from ..published import fmod
from ..tensor import Tensor
from .interpolation import cubic

__all__ = ["affine_grid", "grid_sample"]


@public
def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Tensor:
    """For each affine map of `theta` (n, 2, 3) the places (n, height, width, 2), x first, that the pixels of
    an image of `size` (n, c, height, width) come from, for `grid_sample`: -1 and 1 are the edges of the
    image, or with `align_corners` the middles of its outermost pixels. Of three axes: theta (n, 3, 4), size
    (n, c, depth, height, width). ValueError for other shapes."""
    maps = asarray(theta)
    axes = len(size) - 2
    if axes not in (2, 3) or maps.ndim != 3 or maps.shape != (size[0], axes, axes + 1):
        raise ValueError(
            "affine_grid: expected theta (n, 2, 3) and size (n, c, h, w), or (n, 3, 4) and (n, c, d, h, w), "
            f"not {maps.shape}, {size}"
        )

    def along(d: int, count: int) -> Tensor:
        steps: Tensor = arange(count, dtype=maps.dtype).reshape(count, *[1] * (axes - d))
        if align_corners:
            return steps * (2 / (count - 1)) - 1 if count > 1 else steps * 0
        return (2 * steps + 1) / count - 1

    ways = [along(d, count) for d, count in enumerate(size[2:])][::-1]  # x first
    *slopes, offset = (maps[:, :, k].reshape(-1, *[1] * axes, axes) for k in range(axes + 1))
    first, *others = (slope * way for slope, way in zip(slopes, ways, strict=True))
    return sum(others, first) + offset


def _reflected(at: Tensor, low: float, high: float) -> Tensor:
    """Back and forth between two ends."""
    span = high - low
    if not span:
        return at * 0
    way = abs(at - low)
    rest, odd = fmod(way, span), floor(way / span) % 2 == 1
    found: Tensor = where(odd, span - rest, rest) + low
    return found


def _held(found: Tensor, count: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Inside of an axis, as far as the padding says so."""
    if padding_mode == "reflection":
        ends = (0.0, count - 1.0) if align_corners else (-0.5, count - 0.5)
        found = _reflected(found, *ends)
    return found if padding_mode == "zeros" else found.clip(0, count - 1)


_MODES, _PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


@public
def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """Images (n, c, h, w) at the places `grid` (n, rows, columns, 2), x first, of -1 to 1, see `affine_grid`:
    a tensor (n, c, rows, columns). Of three axes: (n, c, d, h, w) at (n, planes, rows, columns, 3). `mode`:
    "bilinear", between the pixels around, "nearest", or "bicubic", of two axes. `padding_mode`, for places
    outside: "zeros", "border", the nearest pixel of the edge, or "reflection". ValueError for another mode,
    and for other shapes."""
    images, places = asarray(input), asarray(grid)
    axes = images.ndim - 2
    if mode not in _MODES or padding_mode not in _PADDINGS or (mode == "bicubic" and axes != 2):
        raise ValueError(
            f"grid_sample: expected a mode of {_MODES}, the last for two axes, and padding_mode of "
            f"{_PADDINGS}, not {mode!r}, {padding_mode!r}"
        )
    fits = places.ndim == images.ndim and (places.shape[0], places.shape[-1]) == (images.shape[0], axes)
    if axes not in (2, 3) or not fits:
        raise ValueError(
            "grid_sample: expected input (n, c, h, w) and grid (n, rows, columns, 2), or one axis more of "
            f"both, not {images.shape}, {places.shape}"
        )
    count, _, *extents = images.shape
    last = images.moveaxis(1, -1)
    own = arange(count).reshape(count, *[1] * axes)

    def pixels(d: int) -> Tensor:
        at, n = places[..., axes - 1 - d], extents[d]
        return (at + 1) * ((n - 1) / 2) if align_corners else ((at + 1) * n - 1) / 2

    def held(at: Tensor, d: int) -> Tensor:
        return _held(at, extents[d], padding_mode, bool(align_corners))

    def at(place: list[Tensor]) -> Tensor:
        first, *others = ((x >= 0) & (x < n) for x, n in zip(place, extents, strict=True))
        inside = functools.reduce(operator.and_, others, first)
        index = [x.clip(0, n - 1).long() for x, n in zip(place, extents, strict=True)]
        found: Tensor = where(stack([inside], -1), last[(own, *index)], 0.0)
        return found

    def between(before: list[Tensor]) -> Any:
        """Of pixels along the axes that are left; those `before` are chosen."""
        d = len(before)
        if d == axes:
            return at(before)
        low, share = lows[d], ways[d]
        if mode == "bicubic":
            parts = [
                between([*before, held(low + (k - 1), d)]) * weight for k, weight in enumerate(cubic(share))
            ]
            return sum(parts[1:], parts[0])
        return between([*before, low]) * (1 - share) + between([*before, low + 1]) * share

    points = [pixels(d) if mode == "bicubic" else held(pixels(d), d) for d in range(axes)]
    if mode == "nearest":
        return at([round(x.detach()) for x in points]).moveaxis(-1, 1)
    lows = [floor(x.detach()) for x in points]
    ways = [(x - low).unsqueeze(-1) for x, low in zip(points, lows, strict=True)]
    made: Tensor = between([]).moveaxis(-1, 1)
    return made
