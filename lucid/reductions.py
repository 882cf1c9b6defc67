"""The reductions of Tensor. `axis` and `keepdims` are NumPy's; `dim` and `keepdim` other names for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lucid.compiler.ir.graph import Node

from . import shapes
from .errors import here, public
from .promote import dtype_of
from .shapes import Axes

if TYPE_CHECKING:
    from .tensor import Tensor


class Reductions:
    """What Tensor inherits; it says how a result is made."""

    __slots__ = ()

    if TYPE_CHECKING:

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...

    def _reduced(
        self, build: Callable[..., Node], axis: Axes, dim: Axes, keepdims: bool, out: None, **attrs: Any
    ) -> Tensor:
        if axis is not None and dim is not None:
            raise TypeError(here("axis and dim are one argument under two names; give one of them"))
        if out is not None:
            raise TypeError(here("out: tensors are immutable; use the result"))
        return self._apply(build, self, axis=dim if axis is None else axis, keepdims=keepdims, **attrs)

    def sum(
        self, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Integers are summed as 64-bit ones, as in NumPy."""
        return self._reduced(shapes.sum_, axis, dim, keepdims or keepdim, out, dtype=_maybe(dtype))

    def mean(
        self, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Of integers in float64. NaN for no elements."""
        return self._reduced(shapes.mean, axis, dim, keepdims or keepdim, out, dtype=_maybe(dtype))

    def var(
        self, axis: Axes = None, dtype: Any = None, out: None = None, ddof: float = 0,
        keepdims: bool = False, *, correction: float | None = None,
        dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Mean squared distance from the mean; the divisor is the count less `ddof` (or
        `correction`), which is 0 as in NumPy."""
        ddof = ddof if correction is None else correction
        return self._reduced(shapes.var, axis, dim, keepdims or keepdim, out, dtype=_maybe(dtype), ddof=ddof)

    def std(
        self, axis: Axes = None, dtype: Any = None, out: None = None, ddof: float = 0,
        keepdims: bool = False, *, correction: float | None = None,
        dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """The square root of `var`; its gradient is 0 where all elements are equal."""
        ddof = ddof if correction is None else correction
        return self._reduced(shapes.std, axis, dim, keepdims or keepdim, out, dtype=_maybe(dtype), ddof=ddof)

    def max(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """NaN wins. Equal greatest elements share the gradient. ValueError for no elements."""
        return self._reduced(shapes.amax, axis, dim, keepdims or keepdim, out)

    def min(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """NaN wins. Equal least elements share the gradient. ValueError for no elements."""
        return self._reduced(shapes.amin, axis, dim, keepdims or keepdim, out)

    def any(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Whether an element is not 0; False for no elements."""
        return self._reduced(shapes.any_, axis, dim, keepdims or keepdim, out)

    def all(
        self, axis: Axes = None, out: None = None, keepdims: bool = False,
        *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        """Whether no element is 0; True for no elements."""
        return self._reduced(shapes.all_, axis, dim, keepdims or keepdim, out)


@public
def _maybe(dtype: object) -> Any:
    return None if dtype is None else dtype_of(dtype)
