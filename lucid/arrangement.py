"""What Tensor inherits to take arrays apart and to arrange them: NumPy's and PyTorch's methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from lucid.compiler.ir.graph import Node

from . import joins, shapes
from .context import MODE
from .errors import TraceError, bounds, here, public
from .promote import whole
from .shapes import normal_axes, normal_axis
from .views import alone

if TYPE_CHECKING:
    from .tensor import Tensor


def column_major(order: object) -> bool:
    """What is asked of the order of elements. ValueError for "A" and "K": how a tensor lies is not shown."""
    if order not in ("C", "F"):
        raise ValueError(here(f"order must be 'C' or 'F', not {order!r}"))
    return order == "F"


@bounds
class Arrangement:
    """What Tensor inherits; it says how a result is made."""

    __slots__ = ()

    if TYPE_CHECKING:

        @staticmethod
        def _apply(build: Callable[..., Node], *operands: Any, **attrs: Any) -> Tensor: ...
        @property
        def shape(self) -> tuple[int, ...]: ...
        def swapaxes(self, axis1: int, axis2: int) -> Tensor: ...

    # --- shapes ----------------------------------------------------------------------------------

    def reshape(self, shape: Any, *more: Any, order: str = "C", copy: bool | None = None) -> Tensor:
        """The same elements in row-major order (column-major for order "F"); one extent may be -1:
        `x.reshape((2, -1))` or `x.reshape(2, -1)`. ValueError if they do not fit. With `copy` it is no view
        (`views.py`)."""
        listed = _listed((shape, *more))
        if column_major(order):
            made = self.permute().reshape(listed[::-1]).permute()
        else:
            made = self._apply(shapes.reshape, self, shape=listed)
        return alone(made) if copy else made

    def transpose(self, axes: Any = None, *more: Any) -> Tensor:
        """Axis k of the result is axis `axes[k]`; without arguments all axes are reversed. Two ints, as
        PyTorch's dim0 and dim1, are exchanged. ValueError for `x.transpose(0, 1)` of a matrix, which NumPy
        leaves as it is."""
        if len(more) == 1:
            return self._exchanged(axes, more[0])
        return self.permute(() if axes is None else axes, *more)

    def permute(self, axes: Any = (), *more: Any, dims: Any = None) -> Tensor:
        """Axis k of the result is axis `axes[k]`; `dims` is PyTorch's name for them."""
        return self._apply(shapes.transpose, self, axes=_listed((axes, *more) if dims is None else (dims,)))

    @public
    def _exchanged(self, axis0: int, axis1: int) -> Tensor:
        ndim = len(self.shape)
        if ndim == 2 and (normal_axis(axis0, 2), normal_axis(axis1, 2)) == (0, 1):
            raise ValueError(
                f"transpose({axis0}, {axis1}) of a matrix: NumPy leaves it as it is, PyTorch exchanges them; "
                f"write x.T, swapaxes({axis0}, {axis1}) or permute({axis0}, {axis1})"
            )
        return self.swapaxes(axis0, axis1)

    def broadcast_to(self, shape: Any, *more: Any) -> Tensor:
        """The same elements along new axes, and along axes of extent 1. ValueError if that does not fit."""
        return self._apply(shapes.broadcast_to, self, shape=_listed((shape, *more)))

    # --- axes ------------------------------------------------------------------------------------

    @public
    def expand_dims(self, axis: Any) -> Tensor:
        """Axes of extent 1, where they shall be in the result."""
        listed = axis if isinstance(axis, tuple | list) else (axis,)
        ndim = len(self.shape) + len(listed)
        new = set(normal_axes(tuple(listed), ndim))
        rest = iter(self.shape)
        return self.reshape(tuple(1 if k in new else next(rest) for k in range(ndim)))

    @public
    def moveaxis(self, source: Any, destination: Any) -> Tensor:
        """The axes `source` at the places `destination`; the others keep their order."""
        ndim = len(self.shape)
        a, b = ([normal_axis(k, ndim) for k in (s if isinstance(s, tuple | list) else (s,))]
                for s in (source, destination))  # fmt: skip
        if len(a) != len(b) or len(set(a)) < len(a) or len(set(b)) < len(b):
            raise ValueError(f"moveaxis: {source} and {destination} must name as many axes, each once")
        order = [k for k in range(ndim) if k not in a]
        for to, k in sorted(zip(b, a, strict=True)):
            order.insert(to, k)
        return self.transpose(tuple(order)) if order else self.reshape(())

    movedim = moveaxis

    @public
    def unflatten(self, dim: int, sizes: Sequence[int]) -> Tensor:
        """One axis as several; one of `sizes` may be -1."""
        at = normal_axis(dim, len(self.shape))
        n, rest = self.shape[at], math.prod(k for k in sizes if k != -1)
        known = tuple(n // rest if k == -1 and rest else k for k in sizes)
        return self.reshape((*self.shape[:at], *known, *self.shape[at + 1 :]))

    # --- parts -----------------------------------------------------------------------------------

    def _parts(self, bounds: list[tuple[int, int]], axis: int) -> list[Tensor]:
        return [self._apply(joins.part, self, axis=axis, first=lo, last=hi) for lo, hi in bounds]

    @public
    def split(self, split_size: Any, dim: int = 0) -> list[Tensor]:
        """PyTorch's: parts of so many elements each (the last one may be smaller), or of the sizes given.
        `lucid.split` is NumPy's."""
        at = normal_axis(dim, len(self.shape))
        n = self.shape[at]
        if isinstance(split_size, int | np.integer):
            if split_size < 1:
                raise ValueError(f"split: the size of parts must be at least 1, not {split_size}")
            bounds = [(k, min(k + int(split_size), n)) for k in range(0, max(n, 1), int(split_size))]
        else:
            sizes = [whole("the size of a part", k) for k in split_size]
            if sum(sizes) != n or min(sizes, default=0) < 0:
                raise ValueError(f"split: sizes {sizes} do not add up to the {n} elements of axis {dim}")
            bounds = list(pairwise(accumulate(sizes, initial=0)))
        return self._parts(bounds, at)

    @public
    def chunk(self, chunks: int, dim: int = 0) -> list[Tensor]:
        """At most so many parts of one size, rounded up; the last one may be smaller."""
        if chunks < 1:
            raise ValueError(f"chunk: the number of chunks must be at least 1, not {chunks}")
        n = self.shape[normal_axis(dim, len(self.shape))]
        return self.split(max(-(-n // chunks), 1), dim)

    @public
    def tensor_split(self, indices_or_sections: Any, dim: int = 0) -> list[Tensor]:
        """So many parts, the first ones one element longer, or parts between the places given: NumPy's
        `array_split`."""
        at = normal_axis(dim, len(self.shape))
        given = _known("tensor_split", indices_or_sections)
        given = given.tolist() if isinstance(given, np.ndarray) else given
        bounds = joins.sections("array_split", self.shape[at], given, even=False)
        return self._parts(bounds, at)

    @public
    def unbind(self, dim: int = 0) -> tuple[Tensor, ...]:
        """The slices along an axis, without it."""
        at = normal_axis(dim, len(self.shape))
        rest = self.shape[:at] + self.shape[at + 1 :]
        return tuple(p.reshape(rest) for p in self._parts([(k, k + 1) for k in range(self.shape[at])], at))

    @public
    def unfold(self, dimension: int, size: int, step: int) -> Tensor:
        """PyTorch's: the windows of `size` elements along an axis, at every `step`; their elements along a
        new last axis."""
        at = normal_axis(dimension, len(self.shape))
        return self._apply(joins.windows, self, axes=(at,), sizes=(size,), steps=(step,))

    # --- turns -----------------------------------------------------------------------------------

    @public
    def flip(self, axis: Any = None, *, dims: Any = None) -> Tensor:
        """Axes in reverse; by default all."""
        given = dims if axis is None else axis
        return self._apply(joins.flip, self, axes=normal_axes(given, len(self.shape)))

    @public
    def fliplr(self) -> Tensor:
        """Columns in reverse."""
        if len(self.shape) < 2:
            raise ValueError(f"fliplr: expected at least two axes, got shape {self.shape}")
        return self.flip(1)

    @public
    def flipud(self) -> Tensor:
        """Rows in reverse."""
        if not self.shape:
            raise ValueError("flipud: expected at least one axis, got a number")
        return self.flip(0)

    @public
    def roll(self, shift: Any = None, axis: Any = None, *, shifts: Any = None, dims: Any = None) -> Tensor:
        """Elements moved on by `shift` along an axis, those at the end to the front; without an axis among
        all elements. `shifts` and `dims` are PyTorch's names."""
        if (shift is None) == (shifts is None):
            raise TypeError("roll: expected shift, or shifts, its other name")
        axis, shift = dims if axis is None else axis, shifts if shift is None else shift
        steps = [whole("shift", k) for k in (shift if isinstance(shift, tuple | list) else (shift,))]
        if axis is None:
            return self._apply(joins.roll, self, shifts=steps, axes=None)
        given = axis if isinstance(axis, tuple | list) else (axis,)
        listed = [normal_axis(k, len(self.shape)) for k in given]
        if 1 not in (len(steps), len(listed)) and len(steps) != len(listed):
            raise ValueError(f"roll: {len(steps)} shifts for {len(listed)} axes")
        several = max(len(steps), len(listed))
        steps, listed = (v * several if len(v) == 1 else v for v in (steps, listed))
        return self._apply(joins.roll, self, shifts=steps, axes=listed)

    @public
    def rot90(self, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
        """By quarters of a turn, from the first of the axes to the second."""
        a, b = (normal_axis(n, len(self.shape)) for n in axes)
        if a == b:
            raise ValueError(f"rot90: axes must differ, got {tuple(axes)}")
        return self._apply(joins.rot90, self, k=whole("k", k), axes=(a, b))

    # --- again and again -------------------------------------------------------------------------

    @public
    def tile(self, *reps: Any) -> Tensor:
        """Copies side by side along each axis."""
        alone = len(reps) == 1 and hasattr(reps[0], "__iter__") and not hasattr(reps[0], "__index__")
        listed = reps[0] if alone else reps
        return self._apply(joins.tile, self, reps=tuple(whole("a number of copies", k) for k in listed))

    @public
    def repeat(
        self, repeats: Any, axis: int | None = None, *more: int, dim: int | None = None,
        output_size: int | None = None,
    ) -> Tensor:  # fmt: skip
        """NumPy's: each element so many times (for copies side by side, PyTorch's `repeat`: `tile`). A count
        for each element must be known, unless `output_size`, the sum of the counts, is given: in a compiled
        function they may be a tensor then."""
        if more:
            listed = ", ".join(map(str, (repeats, axis, *more)))
            raise TypeError(f"repeat: there is one axis, as in NumPy; PyTorch's repeat is tile({listed})")
        axis = dim if axis is None else axis
        x: Tensor = self.reshape(-1) if axis is None else self.reshape(self.shape)
        at = 0 if axis is None else normal_axis(axis, len(self.shape))
        if output_size is not None and hasattr(repeats, "_trace") and repeats.ndim:
            ends = repeats.broadcast_to((x.shape[at],)).cumsum(0)
            places = ends.searchsorted(np.arange(output_size), side="right")
            return x[(slice(None),) * at + (places,)]
        counts = np.asarray(_known("repeat", repeats))
        if counts.dtype.kind not in "iu":
            raise TypeError(f"repeat: counts must be integers, not {counts.dtype}")
        if counts.size == 1:
            return x._apply(joins.repeat, x, count=int(counts.reshape(())), axis=at)
        if counts.shape != (x.shape[at],):
            raise ValueError(f"repeat: {counts.size} counts for {x.shape[at]} elements")
        if counts.min(initial=0) < 0:
            raise ValueError("repeat: counts must not be negative")
        return x[(slice(None),) * at + (np.repeat(np.arange(x.shape[at]), counts),)]

    repeat_interleave = repeat

    # --- triangles and diagonals -----------------------------------------------------------------

    @public
    def tril(self, k: int = 0, *, diagonal: int = 0) -> Tensor:
        """Zeros above the k-th diagonal (`diagonal` is PyTorch's name for k)."""
        return self._apply(joins.tril, self, k=whole("k", k or diagonal))

    @public
    def triu(self, k: int = 0, *, diagonal: int = 0) -> Tensor:
        """Zeros below the k-th diagonal."""
        return self._apply(joins.triu, self, k=whole("k", k or diagonal))

    @public
    def diag(self, k: int = 0, *, diagonal: int = 0) -> Tensor:
        """A matrix with the vector on its k-th diagonal; of a matrix, that diagonal."""
        return self._apply(joins.diag, self, k=whole("k", k or diagonal))

    @public
    def diagflat(self, k: int = 0, *, offset: int = 0) -> Tensor:
        """A matrix with all elements on its k-th diagonal (`offset` is PyTorch's name for k)."""
        return self.reshape(-1)._apply(joins.diag, self.reshape(-1), k=whole("k", k or offset))

    @public
    def diagonal(
        self, offset: int = 0, axis1: int = 0, axis2: int = 1, *, dim1: int | None = None,
        dim2: int | None = None,
    ) -> Tensor:  # fmt: skip
        """The elements x[i, i + offset] of two axes, along a last one."""
        a, b = axis1 if dim1 is None else dim1, axis2 if dim2 is None else dim2
        return self._apply(joins.diagonal, self, offset=whole("offset", offset), axis1=a, axis2=b)

    @public
    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
        """The sum of a diagonal."""
        return self.diagonal(offset, axis1, axis2).sum(-1, dtype=dtype)


def _known(name: str, x: Any) -> Any:
    """The value of an argument that decides a shape. TraceError for a tensor of a compiled function."""
    if hasattr(x, "_trace"):
        if x._trace is not None or MODE.get().trace is not None:
            raise TraceError(here(f"{name}: a tensor of a compiled function decides no shape; pass ints"))
        return x.numpy()
    return x


def _listed(values: tuple[Any, ...]) -> tuple[SupportsIndex, ...]:
    """(2, 3), and ((2, 3),) alike."""
    if len(values) == 1 and not hasattr(values[0], "__index__"):
        try:
            return tuple(values[0])
        except TypeError:
            what = f"expected ints, or one tuple of them, not {type(values[0]).__name__}"
            raise TypeError(here(what)) from None
    return values
