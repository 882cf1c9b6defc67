"""Functions of arrays as wholes: reductions, under NumPy's names and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lucid.compiler.ir.graph import Node

from . import totals
from .creation import asarray
from .errors import public
from .named import as_function, name_all
from .reductions import maybe
from .shapes import Axes
from .tensor import Tensor, apply

__all__ = [
    # reductions
    "argmax", "argmin", "average", "count_nonzero", "logsumexp", "nanmax", "nanmean", "nanmin", "nanprod",
    "nanstd", "nansum", "nanvar", "prod", "ptp",
]  # fmt: skip

# --- reductions ----------------------------------------------------------------------------------

argmax = as_function(Tensor.argmax)
argmin = as_function(Tensor.argmin)
count_nonzero = as_function(Tensor.count_nonzero)
logsumexp = as_function(Tensor.logsumexp)
nanmean = as_function(Tensor.nanmean)
nansum = as_function(Tensor.nansum)
prod = as_function(Tensor.prod)
ptp = as_function(Tensor.ptp)


def _extreme(build: Callable[..., Node], doc: str) -> Callable[..., Tensor]:
    def function(
        x: Any, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        return asarray(x)._reduced(build, axis, dim, keepdims or keepdim, out)

    function.__doc__ = doc
    return public(function)


def _spread(build: Callable[..., Node], doc: str) -> Callable[..., Tensor]:
    def function(
        x: Any, axis: Axes = None, dtype: Any = None, out: None = None, ddof: float = 0,
        keepdims: bool = False, *, correction: float | None = None, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        more = {"dtype": maybe(dtype), "ddof": ddof if correction is None else correction}
        return asarray(x)._reduced(build, axis, dim, keepdims or keepdim, out, **more)

    function.__doc__ = doc
    return public(function)


nanmax = _extreme(totals.nanmax, "The greatest of what is not NaN; NaN where all is.")
nanmin = _extreme(totals.nanmin, "The least of what is not NaN; NaN where all is.")
nanstd = _spread(totals.nanstd, "The square root of `nanvar`.")
nanvar = _spread(totals.nanvar, "The variance of what is not NaN; the divisor is its count less `ddof`.")


@public
def nanprod(
    x: Any, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
    *, dim: Axes = None, keepdim: bool = False,
) -> Tensor:  # fmt: skip
    """The product of what is not NaN."""
    kind = maybe(dtype)
    return asarray(x)._reduced(totals.nanprod, axis, dim, keepdims or keepdim, out, dtype=kind)


@public
def average(
    x: Any, axis: Axes = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """sum(w x) / sum(w), with weights of the shape of x or of its `axis`; with `returned` the sum of weights,
    too. Where that is 0 the result is inf or NaN: NumPy raises."""
    x = asarray(x)
    weights = None if weights is None else asarray(weights)
    made = apply(totals.average, x, weights, axis=axis, keepdims=keepdims)
    if not returned:
        return made
    sums = apply(totals.sum_of_weights, x, weights, axis=axis, keepdims=keepdims)
    return made, sums.astype(made.dtype).broadcast_to(made.shape)


name_all(globals(), __all__)
