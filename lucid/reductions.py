"""The reductions of Tensor. `axis` and `keepdims` are NumPy's; `dim` and `keepdim` other names for them. A
bool behind the axis is PyTorch's `keepdim` (of `var` and `std` its `unbiased`): NumPy has no bool there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lucid.compiler.ir.graph import Node

from . import shapes, totals
from .errors import bounds, here, public
from .promote import dtype_of
from .shapes import Axes

if TYPE_CHECKING:
    from .tensor import Tensor


def one_of(axis: Any, dim: Any, default: Any = None) -> Any:
    """`axis`, or `dim`, its other name. TypeError for both."""
    if dim is None:
        return axis
    if axis is not default:
        raise TypeError(here("axis and dim are one argument under two names; give one of them"))
    return dim


@bounds
class Reductions:
    """What Tensor inherits; it says how a result is made."""

    __slots__ = ()

    if TYPE_CHECKING:

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...

    def _reduced(
        self, build: Callable[..., Node], axis: Axes, dim: Axes, keepdims: bool, out: bool | None = None,
        *operands: Any, **attrs: Any,
    ) -> Tensor:  # fmt: skip
        axis = one_of(axis, dim)
        if isinstance(out, bool):  # PyTorch's place of keepdim
            keepdims, out = keepdims or out, None
        if out is not None:
            raise TypeError(here("out: tensors are immutable; use the result"))
        return self._apply(build, self, *operands, axis=axis, keepdims=keepdims, **attrs)

    def _summed(
        self, build: Callable[..., Node], axis: Axes, dim: Axes, dtype: Any, keepdims: bool, out: None,
        *operands: Any,
    ) -> Tensor:  # fmt: skip
        """Of those that NumPy gives a `dtype` behind the axis: the other place of PyTorch's keepdim."""
        kept = keepdims or dtype is True
        return self._reduced(build, axis, dim, kept, out, *operands, dtype=_unless_bool(dtype))

    def sum(
        self, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
        initial: Any = None, where: Any = True, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Integers are summed as 64-bit ones, as in NumPy; only those `where` that holds, and `initial`."""
        return self._summed(shapes.sum_, axis, dim, dtype, keepdims or keepdim, out, mask(where), initial)

    def mean(
        self, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
        *, where: Any = True, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Of integers in float64; of those `where` that holds. NaN for no elements."""
        return self._summed(shapes.mean, axis, dim, dtype, keepdims or keepdim, out, mask(where))

    def var(
        self, axis: Axes = None, dtype: Any = None, out: None = None, ddof: float = 0,
        keepdims: bool = False, *, where: Any = True, mean: Any = None, correction: float | None = None,
        dim: Axes = None, keepdim: bool = False, unbiased: bool | None = None,
    ) -> Tensor:  # fmt: skip
        """Mean squared distance from the mean (or from what is given as `mean`) of those `where` that holds;
        the divisor is the count less `ddof` (or `correction`; 1 if `unbiased`), which is 0 as in NumPy."""
        axis, ddof = divisor(axis, dtype, ddof, correction, unbiased)
        kind = _unless_bool(dtype)
        operands, kept = (mask(where), mean), keepdims or keepdim
        return self._reduced(shapes.var, axis, dim, kept, out, *operands, dtype=kind, ddof=ddof)

    def std(
        self, axis: Axes = None, dtype: Any = None, out: None = None, ddof: float = 0,
        keepdims: bool = False, *, where: Any = True, mean: Any = None, correction: float | None = None,
        dim: Axes = None, keepdim: bool = False, unbiased: bool | None = None,
    ) -> Tensor:  # fmt: skip
        """The square root of `var`; its gradient is 0 where all elements are equal."""
        axis, ddof = divisor(axis, dtype, ddof, correction, unbiased)
        kind = _unless_bool(dtype)
        operands, kept = (mask(where), mean), keepdims or keepdim
        return self._reduced(shapes.std, axis, dim, kept, out, *operands, dtype=kind, ddof=ddof)

    def max(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        initial: Any = None, where: Any = True, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """NaN wins. Equal greatest elements share the gradient. ValueError for none, without `initial`."""
        return self._reduced(shapes.amax, axis, dim, keepdims or keepdim, out, mask(where), initial)

    def min(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        initial: Any = None, where: Any = True, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """NaN wins. Equal least elements share the gradient. ValueError for none, without `initial`."""
        return self._reduced(shapes.amin, axis, dim, keepdims or keepdim, out, mask(where), initial)

    def any(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, where: Any = True, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Whether an element is not 0; False for no elements."""
        return self._reduced(shapes.any_, axis, dim, keepdims or keepdim, out, mask(where))

    def all(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, where: Any = True, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Whether no element is 0; True for no elements."""
        return self._reduced(shapes.all_, axis, dim, keepdims or keepdim, out, mask(where))

    def prod(
        self, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
        initial: Any = None, where: Any = True, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The product; of integers in 64 bits, as in NumPy. 1 for no elements."""
        return self._summed(totals.prod, axis, dim, dtype, keepdims or keepdim, out, mask(where), initial)

    def argmax(
        self, axis: int | None = None, out: None = None, keepdims: bool = False,
        *, dim: int | None = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The position of the first greatest element, or of the first NaN; among all elements for no axis.
        ValueError for no elements."""
        return self._reduced(totals.argmax, axis, dim, keepdims or keepdim, out)

    def argmin(
        self, axis: int | None = None, out: None = None, keepdims: bool = False,
        *, dim: int | None = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The position of the first least element, or of the first NaN; among all elements for no axis.
        ValueError for no elements."""
        return self._reduced(totals.argmin, axis, dim, keepdims or keepdim, out)

    def logsumexp(
        self, axis: Axes = None, keepdims: bool = False, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """log(sum(exp(x))), without overflow inside. -inf for no elements, and with the gradient 0 where all
        elements are -inf."""
        return self._reduced(totals.logsumexp, axis, dim, keepdims or keepdim)

    def count_nonzero(
        self, axis: Axes = None, keepdims: bool = False, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """How many elements are not 0."""
        return self._reduced(totals.count_nonzero, axis, dim, keepdims or keepdim)

    def ptp(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The greatest element less the least."""
        return self._reduced(totals.ptp, axis, dim, keepdims or keepdim, out)

    def nansum(
        self, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
        initial: Any = None, where: Any = True, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The sum of what is not NaN."""
        return self._summed(totals.nansum, axis, dim, dtype, keepdims or keepdim, out, mask(where), initial)

    def nanmean(
        self, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
        *, where: Any = True, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The mean of what is not NaN; NaN where all is."""
        return self._summed(totals.nanmean, axis, dim, dtype, keepdims or keepdim, out, mask(where))


def mask(where: Any) -> Any:
    """What a reduction leaves out by: None where it is to take all."""
    return None if where is True else where


def divisor(
    axis: Any, second: Any, ddof: float, correction: float | None, unbiased: bool | None
) -> tuple[Any, float]:
    """The axis, and what the divisor of a variance is less than the count. PyTorch's `unbiased` may stand in
    the place of the axis, or of what follows."""
    if isinstance(axis, bool):
        axis, unbiased = None, axis
    elif isinstance(second, bool):
        unbiased = second
    return axis, correction if correction is not None else ddof if unbiased is None else int(unbiased)


@public
def maybe(dtype: object) -> Any:
    return None if dtype is None else dtype_of(dtype)


def _unless_bool(dtype: object) -> Any:
    """The dtype, if one is given: a bool is PyTorch's argument in that place."""
    return None if dtype is None or isinstance(dtype, bool) else maybe(dtype)
