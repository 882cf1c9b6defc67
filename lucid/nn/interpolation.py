"""Signals and images at more or fewer places, between the places that there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..creation import given as asarray
from ..elements import take
from ..errors import public
from ..tensor import Tensor
from .resampling import adaptive
from .spatial import Sizes, sizes

__all__ = ["cubic", "interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

# The axes that a mode is for; 0: any of 1 to 3.
MODES = {
    "nearest": 0, "nearest-exact": 0, "area": 0, "linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2,
}  # fmt: skip
_SMOOTH = ("bilinear", "bicubic")


def cubic(way: Any, a: float = -0.75) -> list[Any]:
    """The weights of the four places around one that lies `way` beyond the second of them: R. Keys, "Cubic
    convolution interpolation for digital image processing" (1981)."""

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(way + 1), near(way), near(1 - way), far(2 - way)]


@public
def interpolate(
    x: Any, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """x (batch, channels, ...) at more or fewer places, of `size` or `scale_factor` times as many. `mode`:
    "nearest", "nearest-exact", "area" (means), "linear", "bilinear" and "trilinear" of 1 to 3 axes, "bicubic"
    of 2. With `align_corners` the first and last places stay where they are; else the edges of the places do.
    With `antialias`, for "bilinear" and "bicubic", fewer places are means over what lies around them."""
    given = asarray(x)
    axes = given.ndim - 2
    if mode not in MODES or axes not in (1, 2, 3) or MODES[mode] not in (0, axes):
        names = ", ".join(MODES)
        raise ValueError(f"interpolate: mode must be of {names}, and fit {axes} axes, not {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: expected size or scale_factor")
    if align_corners is not None and not MODES[mode]:
        raise ValueError(f"interpolate: align_corners has no meaning for mode {mode!r}")
    if antialias and mode not in _SMOOTH:
        raise ValueError(f"interpolate: antialias is for the modes {_SMOOTH}, not {mode!r}")
    extents = given.shape[2:]
    factors: list[float | None] = [None] * axes
    if size is not None:
        wanted = sizes("interpolate", "size", size, axes, 1)
    else:
        each: Any = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor] * axes
        wanted = tuple(math.floor(n * f) for n, f in zip(extents, each, strict=True))
        if not recompute_scale_factor:
            factors = list(each)
    if mode == "area":
        found: Tensor = adaptive("interpolate", axes, given, wanted, "mean")
        return found
    for d, (n, out, factor) in enumerate(zip(extents, wanted, factors, strict=True)):
        step = 1 / factor if factor else n / out
        if align_corners:
            step = (n - 1) / (out - 1) if out > 1 else 0.0
        if antialias:
            given = _averaged(given, 2 + d, _shares(n, out, step, mode == "bicubic"))
        else:
            given = _resampled(given, 2 + d, n, out, step, mode, bool(align_corners))
    return given


def _resampled(x: Tensor, axis: int, n: int, out: int, step: float, mode: str, corners: bool) -> Tensor:
    places = np.arange(out)
    if not MODES[mode]:
        at = places * step if mode == "nearest" else (places + 0.5) * step
        return take(x, np.minimum(np.floor(at).astype(np.int64), n - 1), axis)
    at = places * step if corners else (places + 0.5) * step - 0.5
    if mode != "bicubic":
        at = np.maximum(at, 0)
    low = np.minimum(np.floor(at).astype(np.int64), n - 1)
    shape = (out, *(1 for _ in x.shape[axis + 1 :]))

    def factor(values: Any) -> Tensor:
        return asarray(values.reshape(shape)).astype(x.dtype)

    if mode == "bicubic":
        shares = cubic(at - low)
        first, *others = (
            take(x, (low + k - 1).clip(0, n - 1), axis) * factor(w) for k, w in enumerate(shares)
        )
        return sum(others, first)
    share = factor(at - low)
    below, above = take(x, low, axis), take(x, np.minimum(low + 1, n - 1), axis)
    return below * (1 - share) + above * share


def _shares(n: int, out: int, step: float, smooth: bool) -> Any:
    """(out, n): how much each of n places counts for each of `out`. The window of a place is as wide as it is
    far to the next one, and at least as wide as between two of the n."""
    wide = max(step, 1.0)
    reach = (2 if smooth else 1) * wide
    middle = (np.arange(out) + 0.5) * step
    low = np.maximum((middle - reach + 0.5).astype(np.int64), 0)
    high = np.minimum((middle + reach + 0.5).astype(np.int64), n)
    places = np.arange(n)
    d = np.abs(places - middle[:, None] + 0.5) / wide
    if smooth:
        near, far = cubic(d, -0.5)[1], cubic(d - 1, -0.5)[0]
        weights = np.where(d < 1, near, np.where(d < 2, far, 0.0))
    else:
        weights = np.maximum(1 - d, 0)
    weights = np.where((places >= low[:, None]) & (places < high[:, None]), weights, 0.0)
    return weights / weights.sum(1, keepdims=True)


def _averaged(x: Tensor, axis: int, shares: Any) -> Tensor:
    weights = asarray(shares).astype(x.dtype)
    found: Tensor = (x.moveaxis(axis, -1) @ weights.T).moveaxis(-1, axis)
    return found


@public
def upsample(
    x: Any, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    """`interpolate` under its older name."""
    return interpolate(x, size, scale_factor, mode, align_corners)


@public
def upsample_nearest(
    x: Any, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` with mode "nearest"."""
    return interpolate(x, size, scale_factor)


@public
def upsample_bilinear(
    x: Any, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """`interpolate` with mode "bilinear" and `align_corners`."""
    return interpolate(x, size, scale_factor, "bilinear", True)
