"""Counts of elements in bins, of one number or of several each."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array_functions import stack
from .creation import given as asarray
from .creation import zeros
from .elements import bincount
from .errors import public
from .functional import where
from .lanes import values_known
from .named import name_all
from .promote import number, whole
from .sequences import _bins, histogram, searchsorted
from .tensor import Tensor

__all__ = ["histc", "histogram2d", "histogramdd"]


@public
def histc(x: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements are in each of so many equal bins from `min` to `max`, both included, in the dtype of
    x; if these are equal, from the least to
    the greatest, and 1 around if they are equal, too. ValueError for
    `min` above `max`, TypeError for what is no float."""
    x = asarray(x)
    if not x.is_floating_point():
        raise TypeError(f"histc: expected floats, not {x.dtype}")
    low, high = (float(number("histc", name, v)) for name, v in (("min", min), ("max", max)))
    if low > high:
        raise ValueError(f"histc: min must not be above max, got {low} and {high}")
    if whole("bins", bins) < 1:
        raise ValueError(f"histc: bins must be positive, got {bins}")
    if not x.size:
        return zeros(bins, dtype=x.dtype)
    ends: Any = bins
    bounds: Any = (low, high)
    if low == high:
        bounds, least, most = None, x.min(), x.max()
        if not values_known() or least.item() == most.item():
            one = where(least == most, 1.0, 0.0).astype(x.dtype)
            steps = asarray(np.linspace(0, 1, bins + 1, dtype=x.dtype))
            first, last = least - one, most + one
            ends = where(steps == 1, last, first + steps * (last - first))
    counts, _ = histogram(x, ends, bounds)
    return counts.astype(x.dtype)


@public
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None,
    *, weight: Any = None,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    """How many rows of `sample` (or the sums of their weights; density: over their sum and the sizes of the
    bins) are in each bin, and the ends of the bins along each axis: `histogram` of rows, in float64. `bins`
    and `range` for each column, or one number; ranges as pairs, or as PyTorch's flat list."""
    x = asarray(sample) if isinstance(sample, Tensor | np.ndarray) else stack(list(sample), -1)
    if x.ndim < 2:
        x = x.reshape(-1, 1)
    x = x.reshape(-1, x.shape[-1])
    d = x.shape[-1]
    each: list[Any] = list(bins) if isinstance(bins, list | tuple) else [bins] * d
    if len(each) != d:
        raise ValueError(f"histogramdd: bins for {len(each)} columns of {d}")
    bounds: list[Any] = [None] * d if range is None else [*range]
    if len(bounds) == 2 * d and all(np.ndim(b) == 0 for b in bounds):
        bounds = [*zip(bounds[::2], bounds[1::2], strict=True)]
    if len(bounds) != d:
        raise ValueError(f"histogramdd: ranges for {len(bounds)} columns of {d}")
    columns = [x[:, k] for k in np.arange(d)]
    ends = [_bins(c, b, r) for c, b, r in zip(columns, each, bounds, strict=True)]
    shape = tuple(len(e) - 1 for e in ends)
    place, inside = asarray(0), asarray(True)
    for column, e, n in zip(columns, ends, shape, strict=True):
        at = searchsorted(e, column, right=True) - 1
        at = where(column == e[-1], n - 1, at)
        inside = inside & (at >= 0) & (at < n)
        place = place * n + at
    total = int(np.prod(shape, dtype=object))
    given = weights if weight is None else weight
    if given is not None:
        given = asarray(given).reshape(-1)
    counts = bincount(where(inside, place, total), given, total + 1)[:total].reshape(shape).astype("float64")
    if density:
        counts = counts / counts.sum()
        for k, e in enumerate(ends):
            counts = counts / e.diff().reshape(-1, *[1] * (d - 1 - k))
    return counts, ends


@public
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`histogramdd` of pairs: the counts, the ends of the bins of x, those of y."""
    one = np.ndim(bins) == 1 and len(bins) not in (1, 2)  # ends for both
    counts, (first, second) = histogramdd([x, y], [bins, bins] if one else bins, range, density, weights)
    return counts, first, second


name_all(globals(), __all__)
