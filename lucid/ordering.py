"""Scans and sorts that Tensor inherits, under NumPy's names and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lucid.compiler.ir.graph import Node

from . import scans, sorting
from .errors import bounds, here, public
from .lanes import at_hand
from .reductions import maybe, one_of
from .shapes import Axes

if TYPE_CHECKING:
    from .tensor import Tensor


class Found(NamedTuple):
    """Elements along an axis, and where they are."""

    values: Tensor
    indices: Tensor


@bounds
class Ordering:
    """What Tensor inherits."""

    __slots__ = ()

    if TYPE_CHECKING:

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...

    # --- scans -----------------------------------------------------------------------------------

    def cumsum(
        self, axis: int | None = None, dtype: Any = None, out: None = None, *, dim: int | None = None
    ) -> Tensor:
        """The sums up to each element, in order: NumPy's bits. Small integers and bools are summed as 64-bit
        integers, float16 in float32, rounded once. Of all elements in one line without an axis."""
        _no_out(out)
        return self._apply(scans.cumsum, self, axis=one_of(axis, dim), dtype=maybe(dtype))

    def cumprod(
        self, axis: int | None = None, dtype: Any = None, out: None = None, *, dim: int | None = None
    ) -> Tensor:
        """The products up to each element, as `cumsum`. The gradient is right at zeros, too."""
        _no_out(out)
        return self._apply(scans.cumprod, self, axis=one_of(axis, dim), dtype=maybe(dtype))

    def cummax(self, axis: int | None = None, *, dim: int | None = None) -> Found:
        """The greatest element up to each (NumPy's `maximum.accumulate`), and where it was last; NaN wins."""
        return self._extremes(scans.cummax, one_of(axis, dim))

    def cummin(self, axis: int | None = None, *, dim: int | None = None) -> Found:
        """The least element up to each (NumPy's `minimum.accumulate`), and where it was last; NaN wins."""
        return self._extremes(scans.cummin, one_of(axis, dim))

    def _extremes(self, build: Callable[..., Node], axis: int | None) -> Found:
        if axis is None:
            raise TypeError(here("expected an axis to go along: axis=, or dim="))
        values = self._apply(build, self, axis=axis)
        return Found(values, self._apply(scans.attained, self, values, axis=axis))

    def logcumsumexp(self, axis: int | None = None, *, dim: int | None = None) -> Tensor:
        """log(cumsum(exp(x))), without overflow."""
        axis = one_of(axis, dim)
        if axis is None:
            raise TypeError(here("logcumsumexp: expected an axis to go along: axis=, or dim="))
        return self._apply(scans.logcumsumexp, self, axis=axis)

    def diff(
        self, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None, *, dim: int | None = None
    ) -> Tensor:
        """Each element less the one before it, n times; of bools whether they differ. `prepend` and `append`
        stand before and after, numbers or tensors."""
        return self._apply(scans.diff, self, prepend, append, n=n, axis=one_of(axis, dim, -1))

    # --- sorts -----------------------------------------------------------------------------------

    def sort(
        self, axis: int | None = -1, kind: str | bool | None = None, order: None = None, *,
        stable: bool | None = None, descending: bool = False, dim: int | None = None,
    ) -> Tensor:  # fmt: skip
        """The elements along an axis in ascending order, NaN last (descending: NaN first). The result is a
        new tensor, of the values alone; `argsort` says where they were. Always stable, whatever `kind`; True
        in its place is PyTorch's `descending`."""
        _no_fields(order)
        falling = descending or kind is True
        return self._apply(sorting.sort, self, axis=one_of(axis, dim, -1), descending=falling)

    def argsort(
        self, axis: int | None = -1, kind: str | bool | None = None, order: None = None, *,
        stable: bool | None = None, descending: bool = False, dim: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Where the elements along an axis are, in ascending order, NaN last. Equal ones stay in their order,
        descending, too."""
        _no_fields(order)
        falling = descending or kind is True
        return self._apply(sorting.argsort, self, axis=one_of(axis, dim, -1), descending=falling)

    def topk(
        self, k: int, axis: int = -1, largest: bool = True, sorted: bool = True, *, dim: int | None = None
    ) -> Found:
        """The k greatest elements along an axis, or the least, and where they are; always sorted."""
        axis = one_of(axis, dim, -1)
        return self._taken(self._apply(sorting.top, self, k=k, axis=axis, largest=largest), axis)

    def kthvalue(
        self, k: int, axis: int = -1, keepdims: bool = False, *, dim: int | None = None, keepdim: bool = False
    ) -> Found:
        """The k-th least element along an axis, counted from 1, and where it is."""
        return self._reduced_to(sorting.kth, one_of(axis, dim, -1), keepdims or keepdim, k=k)

    def mode(
        self, axis: int = -1, keepdims: bool = False, *, dim: int | None = None, keepdim: bool = False
    ) -> Found:
        """The commonest element along an axis, the least of several, and where it is last."""
        return self._reduced_to(sorting.mode, one_of(axis, dim, -1), keepdims or keepdim)

    def _taken(self, indices: Tensor, axis: int) -> Found:
        return Found(self._apply(sorting.take, self, indices, axis=axis), indices)

    def _reduced_to(self, build: Callable[..., Node], axis: int, keepdims: bool, **attrs: Any) -> Found:
        kept = self._apply(build, self, axis=axis, **attrs)
        found = self._taken(kept, axis)
        if keepdims:
            return found
        return Found(*(self._apply(sorting.squeezed, t, axis=axis) for t in found))

    def msort(self) -> Tensor:
        """Sorted along the first axis."""
        return self.sort(0)

    def median(
        self,
        axis: Axes = None,
        out: None = None,
        keepdims: bool = False,
        *,
        dim: Axes = None,
        keepdim: bool = False,
    ) -> Tensor:
        """The middle element, or the mean of the two in the middle, as NumPy's: of integers in float64. NaN
        where one is NaN."""
        _no_out(out)
        return self._apply(sorting.median, self, axis=one_of(axis, dim), keepdims=keepdims or keepdim)

    def nanmedian(
        self,
        axis: Axes = None,
        out: None = None,
        keepdims: bool = False,
        *,
        dim: Axes = None,
        keepdim: bool = False,
    ) -> Tensor:
        """The median of what is not NaN."""
        _no_out(out)
        keepdims = keepdims or keepdim
        return self._apply(sorting.median, self, axis=one_of(axis, dim), keepdims=keepdims, skip_nan=True)

    def quantile(
        self, q: Any, axis: Axes = None, out: None = None, method: str = "linear", keepdims: bool = False,
        *, interpolation: str | None = None, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """What a part q (0 to 1) of the elements is below, q one number or several, whose axes come first.
        `method`: linear, lower, higher, midpoint or nearest. NaN where one is NaN."""
        return self._quantile("quantile", q, 1, axis, dim, out, interpolation or method, keepdims or keepdim)

    def nanquantile(
        self, q: Any, axis: Axes = None, out: None = None, method: str = "linear", keepdims: bool = False,
        *, interpolation: str | None = None, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The quantile of what is not NaN."""
        return self._quantile(
            "nanquantile", q, 1, axis, dim, out, interpolation or method, keepdims or keepdim
        )

    def _quantile(
        self, name: str, q: Any, whole: int, axis: Axes, dim: Axes, out: None, method: str, keepdims: bool
    ) -> Tensor:
        from .creation import given as asarray

        _no_out(out)
        weak = type(q) in (int, float)
        part = asarray(_float64(q, whole)) if not hasattr(q, "_node") else q if whole == 1 else q / whole
        if at_hand(part) and part.size:
            data = part.numpy()
            if not (data.min() >= 0 and data.max() <= 1):
                raise ValueError(here(f"{name}: q must be between 0 and {whole}, got {q}"))
        return self._apply(
            sorting.quantile, self, part, axis=one_of(axis, dim), method=method, keepdims=keepdims,
            skip_nan=name.startswith("nan"), weak_q=weak, name=name,
        )  # fmt: skip

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Tensor:
        """Where each of v would have to be put in, so that this vector stays in order: before its equals, or
        behind them (side="right")."""
        if side not in ("left", "right"):
            raise ValueError(here(f"searchsorted: side must be 'left' or 'right', not {side!r}"))
        from .creation import given as asarray

        places = None if sorter is None else asarray(sorter)
        return self._apply(sorting.searchsorted, self, v, places, right=side == "right")


def _no_out(out: object) -> None:
    if out is not None:
        raise TypeError(here("out: tensors are immutable; use the result"))


def _no_fields(order: object) -> None:
    if order is not None:
        raise TypeError(here("order: tensors have no fields"))


@public
def _float64(q: Any, whole: int) -> Any:
    """Numbers as NumPy takes them: of Python in float64."""
    array = np.asarray(q)
    return array if whole == 1 else np.true_divide(array, whole)
