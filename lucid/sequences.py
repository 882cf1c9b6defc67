"""Functions of what stands in an order: scans, differences, sorts, order statistics, searches and counts,
under NumPy's names and PyTorch's."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.rounding import convert

from . import scans, sorting
from .creation import device_of, values_of
from .creation import given as asarray
from .errors import public
from .lanes import values_known
from .named import as_function, name_all
from .promote import dtype_of, number, result_dtype
from .reductions import one_of
from .residence import together
from .shapes import Axes, normal_axis
from .tensor import Tensor, apply
from .tuples import UniqueAll, UniqueCounts, UniqueInverse

__all__ = [
    # scans
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "logcumsumexp",
    # differences
    "cumulative_trapezoid", "diff", "ediff1d", "gradient", "trapezoid", "trapz",
    # sorts
    "argpartition", "argsort", "kthvalue", "mode", "msort", "partition", "sort", "topk",
    # order statistics
    "median", "nanmedian", "nanpercentile", "nanquantile", "percentile", "quantile",
    # searches
    "bucketize", "digitize", "isin", "searchsorted",
    # counts
    "histogram", "histogram_bin_edges",
    # sets
    "intersect1d", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_consecutive",
    "unique_counts", "unique_inverse", "unique_values",
]  # fmt: skip

cumsum = as_function(Tensor.cumsum)
cumprod = as_function(Tensor.cumprod)
cummax = as_function(Tensor.cummax)
cummin = as_function(Tensor.cummin)
logcumsumexp = as_function(Tensor.logcumsumexp)
diff = as_function(Tensor.diff)
sort = as_function(Tensor.sort)
argsort = as_function(Tensor.argsort)
topk = as_function(Tensor.topk)
kthvalue = as_function(Tensor.kthvalue)
mode = as_function(Tensor.mode)
msort = as_function(Tensor.msort)
median = as_function(Tensor.median)
nanmedian = as_function(Tensor.nanmedian)
quantile = as_function(Tensor.quantile)
nanquantile = as_function(Tensor.nanquantile)

# --- scans ---------------------------------------------------------------------------------------


def _cumulative(build: Callable[..., Node], doc: str) -> Callable[..., Tensor]:
    def function(
        x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
    ) -> Tensor:
        kind = None if dtype is None else dtype_of(dtype)
        return apply(build, asarray(x), axis=axis, dtype=kind, include_initial=include_initial)

    function.__doc__ = doc
    return public(function)


cumulative_sum = _cumulative(
    scans.cumulative_sum,
    "`cumsum` along an axis, which a vector need not name; with `include_initial` after a 0.",
)
cumulative_prod = _cumulative(
    scans.cumulative_prod,
    "`cumprod` along an axis, which a vector need not name; with `include_initial` after a 1.",
)

# --- differences ---------------------------------------------------------------------------------


@public
def ediff1d(x: Any, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """The differences of all elements, in order; `to_begin` before them, `to_end` after."""
    return apply(scans.ediff1d, asarray(x), to_end, to_begin)


@public
def gradient(
    f: Any, *varargs: Any, axis: Axes = None, edge_order: int = 1, spacing: Any = None, dim: Axes = None
) -> Any:
    """The slopes of f along each axis, or along one: differences of both neighbours, at the ends of one (of
    two with edge_order=2). `varargs` (or `spacing`): one step for all, or for each axis a step or
    coordinates. A tuple of tensors for several axes. (The derivative of a function is `lucid.grad`.)"""
    x = asarray(f)
    axis = one_of(axis, dim)
    if spacing is not None:
        varargs = tuple(spacing) if isinstance(spacing, tuple | list) else (spacing,)
    several = range(x.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    axes = [normal_axis(a, x.ndim) for a in several]
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order must be 1 or 2, not {edge_order}")
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError(
            f"gradient: {len(varargs)} spacings for {len(axes)} axes; expected one, or one for each"
        )
    steps = list(varargs) * (len(axes) if len(varargs) == 1 else 1) or [1.0] * len(axes)
    steps = [s if np.isscalar(s) else asarray(s) for s in steps]
    made = tuple(
        apply(scans.slope, x, s, axis=a, edge_order=edge_order) for a, s in zip(axes, steps, strict=True)
    )
    return made[0] if len(axes) == 1 else made


def _area(build: Callable[..., Node], doc: str) -> Callable[..., Tensor]:
    def function(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, *, dim: int | None = None) -> Tensor:
        coordinates = None if x is None else asarray(x)
        return apply(build, asarray(y), coordinates, dx, axis=one_of(axis, dim, -1))

    function.__doc__ = doc
    return public(function)


trapezoid = trapz = _area(
    scans.trapezoid, "The area under y along an axis, by trapezoids, over the coordinates x or steps of dx."
)
cumulative_trapezoid = _area(
    scans.cumulative_trapezoid, "The area under y up to each element after the first."
)

# --- sorts ---------------------------------------------------------------------------------------


@public
def partition(
    x: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None
) -> Tensor:
    """`sort`, which fulfils what is asked of a partition."""
    return _checked_kth(x, kth, axis).sort(axis, order=order)


@public
def argpartition(
    x: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None
) -> Tensor:
    """`argsort`, which fulfils what is asked of a partition."""
    return _checked_kth(x, kth, axis).argsort(axis, order=order)


def _checked_kth(x: Any, kth: Any, axis: int | None) -> Tensor:
    t: Tensor = asarray(x)
    n = t.size if axis is None else t.shape[normal_axis(axis, t.ndim)]
    for k in np.atleast_1d(np.asarray(kth)):
        if not -n <= k < n:
            raise ValueError(f"partition: kth={k} is out of bounds for {n} elements")
    return t


# --- order statistics ----------------------------------------------------------------------------


def _percentile(name: str, doc: str) -> Callable[..., Tensor]:
    def function(
        x: Any, q: Any, axis: Axes = None, out: None = None, method: str = "linear", keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        t: Tensor = asarray(x)
        return t._quantile(name, q, 100, axis, dim, out, method, keepdims or keepdim)

    function.__doc__ = doc
    return public(function)


percentile = _percentile("percentile", "The quantile of q / 100.")
nanpercentile = _percentile("nanpercentile", "The percentile of what is not NaN.")

# --- searches ------------------------------------------------------------------------------------


@public
def searchsorted(
    a: Any, v: Any, side: str | None = "left", sorter: Any = None,
    *, right: bool = False, out_int32: bool = False,
) -> Tensor:  # fmt: skip
    """Where each of v would have to be put into the ascending vector `a`: before its equals, or behind them
    (side="right"; PyTorch's `right=True`). Rows of several axes are searched for values of the same rows.
    Places are int64, or (`out_int32`) int32."""
    side = "left" if side is None else side
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', not {side!r}")
    places = None if sorter is None else asarray(sorter)
    found = apply(sorting.searchsorted, asarray(a), v, places, right=right or side == "right")
    return found.astype(np.int32) if out_int32 else found


@public
def bucketize(x: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """`searchsorted` of x in the boundaries: how many are below each element, or (right) not above."""
    found = apply(sorting.searchsorted, asarray(boundaries), asarray(x), right=right, name="bucketize")
    return found.astype(np.int32) if out_int32 else found


@public
def digitize(x: Any, bins: Any, right: bool = False) -> Tensor:
    """Which bin each element is in: i where bins[i-1] <= x < bins[i] (right: bins[i-1] < x <= bins[i]); of
    bins that descend the other way round. Bins are not checked for their order."""
    return apply(sorting.digitize, asarray(x), asarray(bins), right=right)


@public
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: str | None = None,
) -> Tensor:
    """Whether each element is one of `test_elements`, or (invert) none; NaN is none."""
    return apply(sorting.isin, asarray(element), asarray(test_elements), invert=invert)


# --- counts --------------------------------------------------------------------------------------


def _bins(x: Tensor, bins: Any, bounds: Any) -> Tensor:
    if np.ndim(bins):
        return asarray(bins)
    if isinstance(bins, str):
        raise TypeError("histogram: bins are a number or ends; rules like 'auto' need the values")
    count = int(number("histogram", "bins", bins))
    if count < 1:
        raise ValueError(f"histogram: bins must be positive, got {bins}")
    if bounds is None and x.size:
        return _finite(x, apply(sorting.edges, x, bins=count))
    low, high = (0.0, 1.0) if bounds is None else (float(number("histogram", "range", b)) for b in bounds)
    if low > high:
        raise ValueError(f"histogram: range must ascend, not {(low, high)}")
    if low == high:
        low, high = low - 0.5, high + 0.5
    kind = x.dtype if x.is_floating_point() else np.dtype(np.float64)
    return asarray(np.linspace(low, high, count + 1, dtype=kind))


def _finite(x: Tensor, ends: Tensor) -> Tensor:
    """`ends`. ValueError if x, whose values are known outside of traces, has none."""
    if x._trace is not None or not values_known() or np.isfinite(ends.numpy()).all():
        return ends
    low, high = x.min().item(), x.max().item()
    if math.isfinite(low) and math.isfinite(high):
        return ends
    raise ValueError(
        f"histogram: autodetected range of [{low}, {high}] is not finite; give `range`, or leave out what is "
        "not finite: x[lucid.isfinite(x)]"
    )


@public
def histogram_bin_edges(x: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Tensor:
    """The ends of the bins of `histogram`."""
    return _bins(asarray(x), bins, range)


@public
def histogram(
    x: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None,
    *, weight: Any = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """How many elements are in each bin (or the sums of their weights; density: over their sum and the widths
    of the bins), and the ends of the bins: of `bins` equal ones over `range`, or over what there is; or those
    given. A bin has its lower end, the last one both. NaN and what is outside is left out. ValueError where
    the range of what there is is not finite; in a trace, which does not know it, the ends are NaN."""
    x = asarray(x)
    ends = _bins(x, bins, range)
    weights = weights if weight is None else weight
    counts = apply(sorting.histogram, x, ends, None if weights is None else asarray(weights))
    if density:
        return counts / ends.diff() / counts.sum(), ends
    return counts, ends


# --- sets ----------------------------------------------------------------------------------------


@public
def unique(
    x: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None, *, equal_nan: bool = True, sorted: bool = True, dim: int | None = None,
) -> Any:  # fmt: skip
    """The different elements in ascending order, or the different parts along an axis; on request where each
    is first, which of them each element is, and how often it is there. Gradients go to the first. TraceError
    in a compiled function."""
    x, axis = asarray(x), one_of(axis, dim)
    found = np.unique(values_of("unique", x, "call it outside"), True, True, True, axis, equal_nan=equal_nan)
    first = found[1]
    values = x.reshape(-1)[first] if axis is None else x[(*[slice(None)] * (axis % x.ndim), first)]
    rest = [
        Tensor(f, device=device_of(x))
        for f, asked in zip(found[1:], (return_index, return_inverse, return_counts), strict=True)
        if asked
    ]
    return (values, *rest) if rest else values


@public
def unique_consecutive(
    x: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first of each run of equal elements, or of equal parts along an axis; on request which run each is
    in, and how long the runs are. Gradients go to the first. TraceError in a compiled function."""
    x = asarray(x) if dim is not None else asarray(x).reshape(-1)
    axis = normal_axis(dim or 0, x.ndim)
    values = np.moveaxis(values_of("unique_consecutive", x, "call it outside"), axis, 0)
    n = values.shape[0]
    changes = (values[1:] != values[:-1]).any(tuple(range(1, values.ndim)))
    new = np.concatenate([np.ones(min(n, 1), bool), changes])
    first = np.flatnonzero(new)
    found: list[Any] = [x.take(first, axis=axis)]
    if return_inverse:
        found.append(Tensor(np.cumsum(new) - 1, device=device_of(x)))
    if return_counts:
        found.append(Tensor(np.diff(first, append=n), device=device_of(x)))
    return tuple(found) if len(found) > 1 else found[0]


@public
def unique_values(x: Any, /) -> Tensor:
    """The different elements; each NaN is one."""
    return unique(x, equal_nan=False)  # type: ignore[no-any-return]


@public
def unique_counts(x: Any, /) -> UniqueCounts:
    """The different elements, each NaN one, and how often each is there."""
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


@public
def unique_inverse(x: Any, /) -> UniqueInverse:
    """The different elements, each NaN one, and which of them each element is."""
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


@public
def unique_all(x: Any, /) -> UniqueAll:
    """The different elements, each NaN one; where each is first, which of them each element is, how often
    each is there."""
    return UniqueAll(*unique(x, True, True, True, equal_nan=False))


def _of_sets(function: Callable[..., Any], doc: str) -> Callable[..., Any]:
    more = inspect.signature(function).parameters

    def of_sets(a: Any, b: Any, /, assume_unique: bool = False, return_indices: bool = False) -> Any:
        asked = {"assume_unique": assume_unique, "return_indices": return_indices}
        if unknown := [key for key, value in asked.items() if value and key not in more]:
            raise TypeError(f"{function.__name__}: takes no argument {unknown[0]}=")
        asked = {key: value for key, value in asked.items() if value}
        device = together([asarray(a), asarray(b)])
        a, b = (values_of(function.__name__, x, "call it outside") for x in (a, b))
        common = result_dtype(dtype_of(a.dtype).name, dtype_of(b.dtype).name)
        if function is not np.setdiff1d:
            found = function(convert(a, common), convert(b, common), **asked)
            if return_indices:
                return tuple(Tensor(x, device=device) for x in found)
            return Tensor(found, device=device)
        found = a.ravel() if assume_unique else np.unique(a)  # in its own dtype
        return Tensor(found[~np.isin(convert(found, common), convert(b, common))], device=device)

    of_sets.__doc__ = (
        f"{doc}, in ascending order: a value, without a gradient. TraceError in a compiled function."
    )
    return public(of_sets)


intersect1d = _of_sets(np.intersect1d, "The different elements that both have")
setdiff1d = _of_sets(np.setdiff1d, "The different elements of a that b has not")
setxor1d = _of_sets(np.setxor1d, "The different elements that one has and the other has not")
union1d = _of_sets(np.union1d, "The different elements of both")

name_all(globals(), __all__)
