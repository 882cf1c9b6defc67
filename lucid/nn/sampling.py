"""Images read at places that are values: grids of affine maps, and what lies there between pixels."""

from __future__ import annotations

from typing import Any

from ..array_functions import stack
from ..creation import arange
from ..creation import given as asarray
from ..errors import public
from ..functional import floor, round, where
from ..published import fmod
from ..tensor import Tensor

__all__ = ["affine_grid", "grid_sample"]


@public
def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Tensor:
    """For each affine map of `theta` (n, 2, 3) the places (n, height, width, 2), x first, that the pixels of
    an image of `size` (n, c, height, width) come from, for `grid_sample`: -1 and 1 are the edges of the
    image, or with `align_corners` the middles of its outermost pixels. ValueError for other shapes."""
    maps = asarray(theta)
    if maps.ndim != 3 or maps.shape[1:] != (2, 3) or len(size) != 4 or size[0] != maps.shape[0]:
        raise ValueError(
            f"affine_grid: expected theta (n, 2, 3) and size (n, c, h, w), not {maps.shape}, {size}"
        )

    def along(count: int) -> Tensor:
        steps: Tensor = arange(count, dtype=maps.dtype)
        if align_corners:
            return steps * (2 / (count - 1)) - 1 if count > 1 else steps * 0
        return (2 * steps + 1) / count - 1

    height, width = size[2:]
    x, y = along(width).reshape(1, 1, width, 1), along(height).reshape(1, height, 1, 1)
    a, b, c = (maps[:, :, k].reshape(-1, 1, 1, 2) for k in range(3))
    return a * x + b * y + c


def _reflected(at: Tensor, low: float, high: float) -> Tensor:
    """Back and forth between two ends."""
    span = high - low
    if not span:
        return at * 0
    way = abs(at - low)
    rest, odd = fmod(way, span), floor(way / span) % 2 == 1
    found: Tensor = where(odd, span - rest, rest) + low
    return found


def _pixels(at: Tensor, count: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Where places of -1 to 1 lie along an axis, in pixels."""
    found = (at + 1) * ((count - 1) / 2) if align_corners else ((at + 1) * count - 1) / 2
    if padding_mode == "reflection":
        ends = (0.0, count - 1.0) if align_corners else (-0.5, count - 0.5)
        found = _reflected(found, *ends)
    return found if padding_mode == "zeros" else found.clip(0, count - 1)


@public
def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """Images (n, c, h, w) at the places `grid` (n, rows, columns, 2), x first, of -1 to 1, see `affine_grid`:
    a tensor (n, c, rows, columns). `mode`: "bilinear", between the four pixels around, or "nearest".
    `padding_mode`, for places outside: "zeros", "border", the nearest pixel of the edge, or "reflection".
    ValueError for another mode, and for other shapes."""
    images, places = asarray(input), asarray(grid)
    if mode not in ("bilinear", "nearest") or padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "grid_sample: expected mode bilinear or nearest, and padding_mode zeros, border or reflection, "
            f"not {mode!r}, {padding_mode!r}"
        )
    if images.ndim != 4 or places.ndim != 4 or places.shape[::3] != (images.shape[0], 2):
        raise ValueError(
            f"grid_sample: expected input (n, c, h, w) and grid (n, rows, columns, 2), not {images.shape}, "
            f"{places.shape}"
        )
    count, _, height, width = images.shape
    last = images.permute(0, 2, 3, 1)
    own = arange(count).reshape(count, 1, 1)
    x, y = (
        _pixels(places[..., k], n, padding_mode, bool(align_corners)) for k, n in ((0, width), (1, height))
    )

    def at(row: Tensor, column: Tensor) -> Tensor:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        rows, columns = row.clip(0, height - 1).long(), column.clip(0, width - 1).long()
        found: Tensor = where(stack([inside], -1), last[own, rows, columns], 0.0)
        return found

    if mode == "nearest":
        return at(round(y.detach()), round(x.detach())).permute(0, 3, 1, 2)
    left, top = floor(x.detach()), floor(y.detach())
    right, below = (x - left).unsqueeze(-1), (y - top).unsqueeze(-1)
    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    found: Tensor = upper * (1 - below) + lower * below
    return found.permute(0, 3, 1, 2)
