"""What Tensor inherits for its elements: `x[...]`, `x.at[...]`, `x[...] = v`, and methods that take indices.

An index that is out of range is an IndexError: at once if its value is known, else from who computes the
result; nothing of that is kept then. Negative indices count from the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from . import elementwise as ew
from . import shapes, subscripts, updates
from .errors import bounds, public
from .promote import cast, joint_shape

if TYPE_CHECKING:
    from .tensor import Tensor


class At:
    """`x.at`: with an index, what can be done at some elements of a tensor, which itself stays as it is."""

    def __init__(self, x: Tensor) -> None:
        self._x = x

    def __getitem__(self, key: Any) -> Place:
        return Place(self._x, key)


@bounds
class Place:
    """`x.at[key]`: new tensors, equal to x but where `key` points. Values are converted to the dtype of x, as
    NumPy's assignment does, and broadcast. Gradients flow to x, and to the values."""

    def __init__(self, x: Tensor, key: Any) -> None:
        self._x, self._key = x, key

    def get(self) -> Tensor:
        """x[key]."""
        return self._x[self._key]

    def set(self, value: Any) -> Tensor:
        """With `value` there; of several for one element the last wins, in the order of the indices."""
        return self._changed(value, "set")

    def add(self, value: Any) -> Tensor:
        """With `value` added; all that come to one element are, in the order of the indices."""
        return self._changed(value, "add")

    def multiply(self, value: Any) -> Tensor:
        """Times `value`; all that come to one element multiply it, in the order of the indices."""
        return self._changed(value, "multiply")

    def max(self, value: Any) -> Tensor:
        """The greater of what is there and all that come; NaN wins."""
        return self._changed(value, "max")

    def min(self, value: Any) -> Tensor:
        """The lesser of what is there and all that come; NaN wins."""
        return self._changed(value, "min")

    def _changed(self, value: Any, how: str) -> Tensor:
        return _changed(self._x, self._key, value, how)


@public
def _changed(x: Tensor, key: Any, value: Any, how: str) -> Tensor:
    if value is None:
        raise TypeError("expected a tensor, an array or a number to assign, not None")
    mask = _mask(key[0] if type(key) is tuple and len(key) == 1 else key)
    if mask is not None and np.ndim(value) <= x.ndim - mask.ndim and mask.shape == x.shape[: mask.ndim]:
        return x._apply(_masked, x, mask, value, how=how)
    plain, arrays = subscripts.parse(x.shape, key)
    return x._apply(_updated, x, value, *arrays, key=plain, how=how)


def _mask(key: Any) -> Any:
    """The mask that is the whole key, if it is one."""
    if isinstance(key, list):
        key = subscripts.listed(key)
    found = hasattr(type(key), "__array__") and key.dtype.kind == "b" and key.ndim
    return key if found else None


def _masked(x: Node, mask: Node, value: Any, *, how: str) -> Node:
    return updates.masked(x, mask, value, how=how)


def _updated(x: Node, value: Any, *arrays: Node, key: Any, how: str) -> Node:
    return updates.update(x, value, *arrays, key=key, how=how)


@bounds
class Indexed:
    """Elements of a tensor by NumPy's rules, and PyTorch's methods."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def ndim(self) -> int: ...
        @property
        def dtype(self) -> Any: ...
        @staticmethod
        def _apply(build: Any, *operands: Any, **attrs: Any) -> Tensor: ...
        def _become(self, new: Tensor, shaped: bool = False) -> Self: ...
        def reshape(self, shape: Any, *more: Any) -> Tensor: ...
        def broadcast_to(self, shape: Any, *more: Any) -> Tensor: ...
        def numpy(self) -> np.ndarray[Any, Any]: ...
        def masked_fill(self, mask: Any, value: Any) -> Tensor: ...

    def __getitem__(self, key: Any) -> Tensor:
        """NumPy's: ints, slices, `...`, None, arrays or lists or tensors of ints, and masks. IndexError for
        an index that is out of range: here if its value is known, else from who computes the result. In a
        compiled function a mask must be known, as the shape of the result is; there use `lucid.where`."""
        if not subscripts.is_advanced(key):
            return self._apply(shapes.index, self, key=key)
        plain, arrays = _parsed(self.shape, key)
        return self._apply(subscripts.index, self, *arrays, key=plain)

    def __setitem__(self, key: Any, value: Any) -> None:
        """In place, as `x += y` is: this tensor becomes `x.at[key].set(value)`, for all who hold it. Other
        tensors keep their values, those made by indexing included: no memory is shared."""
        self._become(self.at[key].set(value))

    @property
    def at(self) -> At:
        """`x.at[key].set(v)`, `add`, `max`, `min`, `multiply`: a new tensor; `get()`: x[key]."""
        return At(self)  # type: ignore[arg-type]  # only Tensor inherits this

    # --- elements along an axis ------------------------------------------------------------------

    def take(self, indices: Any, axis: int | None = None, mode: str = "raise") -> Tensor:
        """x[..., indices, ...] at `axis`; without one, of all elements in a row. `mode` "wrap" takes indices
        modulo the size, "clip" the nearest that there is; ValueError for another one."""
        if mode not in ("raise", "wrap", "clip"):
            raise ValueError(f"take: mode must be 'raise', 'wrap' or 'clip', not {mode!r}")
        if axis is None:
            return self.reshape(-1).take(indices, 0, mode) if self.ndim != 1 else self.take(indices, 0, mode)
        k = shapes.normal_axis(axis, self.ndim)
        if mode != "raise" and self.shape[k]:
            index, sure = subscripts.indices(indices), False
        else:
            index, sure = subscripts.along(indices, self.shape[k], k)
        return self._apply(_taken, self, index, axis=k, mode=mode, sure=sure)

    def take_along_axis(self, indices: Any, axis: int | None = -1) -> Tensor:
        """Along `axis` the element that `indices`, an array of as many dimensions, says; the others
        broadcast."""
        if axis is None:
            return self.reshape(-1).take_along_axis(indices, 0)
        k = shapes.normal_axis(axis, self.ndim)
        index, sure = self._element_index("take_along_axis", indices, k)
        return self._apply(_taken_along, self, index, axis=k, sure=sure)

    def gather(self, dim: int, index: Any) -> Tensor:
        """PyTorch's: along `dim` the element that `index` says, for each element of `index`, which has as
        many dimensions and is nowhere longer."""
        k = shapes.normal_axis(dim, self.ndim)
        found, sure = self._element_index("gather", index, k)
        _no_longer("gather", found, self.shape, k)
        return self._apply(_gathered, self, found, axis=k, sure=sure)

    def index_select(self, dim: int, index: Any) -> Tensor:
        """The slices along `dim` that `index`, of one dimension, names."""
        places = _one_dimension("index_select", index)
        return self.take(places, dim) if self.ndim else self.reshape(1).take(places, dim).reshape(())

    def scatter(self, dim: int, index: Any, src: Any, *, reduce: str | None = None) -> Tensor:
        """A new tensor with the elements of `src` (a number: that) where `gather` reads; the last of several
        wins. With `reduce="add"` they are added, with "multiply" multiplied. ValueError for another one."""
        if reduce not in (None, "add", "multiply"):
            raise ValueError(f"scatter: reduce must be 'add', 'multiply' or None, not {reduce!r}")
        return self._scattered("scatter", dim, index, src, reduce or "set")

    def scatter_add(self, dim: int, index: Any, src: Any) -> Tensor:
        """A new tensor with the elements of `src` added where `gather` reads."""
        return self._scattered("scatter_add", dim, index, src, "add")

    def scatter_reduce(
        self, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """As `scatter_add`; `reduce` is "sum", "prod", "mean", "amax" or "amin". Unless `include_self`, the
        elements where something comes do not count. ValueError for another `reduce`."""

        def scattered(x: Any, values: Any, how: str) -> Tensor:
            return x._scattered("scatter_reduce", dim, index, values, how)  # type: ignore[no-any-return]

        return self._gathered("scatter_reduce", src, reduce, include_self, scattered)

    def index_reduce(
        self, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """As `index_add`; `reduce` is "prod", "mean", "amax" or "amin". Unless `include_self`, the slices
        where something comes do not count. ValueError for another `reduce`."""

        def scattered(x: Any, values: Any, how: str) -> Tensor:
            return x._at_slices("index_reduce", dim, index, values, how)  # type: ignore[no-any-return]

        return self._gathered("index_reduce", source, reduce, include_self, scattered)

    def _gathered(
        self,
        name: str,
        src: Any,
        reduce: str,
        include_self: bool,
        scattered: Callable[[Any, Any, str], Tensor],
    ) -> Tensor:
        how = {"sum": "add", "prod": "multiply", "mean": "add", "amax": "max", "amin": "min"}
        if reduce not in how:
            raise ValueError(f"{name}: reduce must be one of {', '.join(how)}, not {reduce!r}")
        if include_self and reduce != "mean":
            return scattered(self, src, how[reduce])
        none = self._apply(ops.zeros_like, self).astype(np.int64)
        many = scattered(none, 1, "add")
        x = self if include_self else self.masked_fill(many > 0, _start(how[reduce], self.dtype))
        made = scattered(x, src, how[reduce])
        if reduce != "mean":
            return made
        count = many + 1 if include_self else many.clip(1)
        return made // count if made.dtype.kind in "iu" else made / count.astype(made.dtype)

    def index_add(self, dim: int, index: Any, source: Any, alpha: Any = 1) -> Tensor:
        """A new tensor: `alpha` times slice k of `source` is added to the slice along `dim` that `index`
        names, for each k."""
        return self._at_slices("index_add", dim, index, self._apply(ew.mul, source, alpha), "add")

    def index_copy(self, dim: int, index: Any, source: Any) -> Tensor:
        """A new tensor with slice k of `source` in the place that `index` names; the last of several wins."""
        return self._at_slices("index_copy", dim, index, source, "set")

    def index_fill(self, dim: int, index: Any, value: Any) -> Tensor:
        """A new tensor with `value` in the slices along `dim` that `index` names."""
        return self._at_slices("index_fill", dim, index, value, "set")

    def masked_select(self, mask: Any) -> Tensor:
        """The elements where `mask` is true, in a row; both broadcast. Outside of compiled functions."""
        shape = np.broadcast_shapes(self.shape, np.shape(mask))
        if not hasattr(mask, "_node"):
            return self.broadcast_to(shape)[np.broadcast_to(mask, shape)]
        return self.broadcast_to(shape)[mask.broadcast_to(shape)]

    # --- how -------------------------------------------------------------------------------------

    def _element_index(self, name: str, index: Any, axis: int) -> tuple[Any, bool]:
        found, sure = subscripts.along(index, self.shape[axis], axis)
        if found.ndim != self.ndim:
            raise ValueError(f"{name}: an index of {found.ndim} dimensions for a tensor of {self.ndim}")
        return found, sure

    def _scattered(self, name: str, dim: int, index: Any, src: Any, how: str) -> Tensor:
        k = shapes.normal_axis(dim, self.ndim)
        found, sure = self._element_index(name, index, k)
        _no_longer(name, found, self.shape, k)
        if np.ndim(src):
            _no_longer(name, found, np.shape(src))
        return self._apply(_put_along, self, src, found, axis=k, sure=sure, how=how)

    def _at_slices(self, name: str, dim: int, index: Any, value: Any, how: str) -> Tensor:
        """With `value` in slices along `dim`; of a number, those of a vector of one, as in PyTorch."""
        x: Any = self if self.ndim else self.reshape(1)
        k = shapes.normal_axis(dim, x.ndim)
        made = _changed(x, (slice(None),) * k + (_one_dimension(name, index),), value, how)
        return made if self.ndim else made.reshape(())


_parsed = public(subscripts.parse)


def _start(how: str, dtype: np.dtype[Any]) -> Any:
    """What a reduction of that kind begins with."""
    if how in ("add", "multiply"):
        return int(how == "multiply")
    if dtype.kind in "iu":
        return np.iinfo(dtype).min if how == "max" else np.iinfo(dtype).max
    return (-np.inf if how == "max" else np.inf) if dtype.kind != "b" else how == "min"


def _one_dimension(name: str, index: Any) -> Any:
    """Indices of slices; one may be a number."""
    found = subscripts.indices(index)
    if not found.ndim:
        return found.reshape(1)
    if found.ndim != 1:
        raise ValueError(f"{name}: expected indices in one dimension, not {found.ndim}")
    return found


def _no_longer(name: str, index: Any, shape: tuple[int, ...], axis: int = -1) -> None:
    """`index` fits into `shape`, but for `axis`."""
    fits = len(index.shape) == len(shape)
    if not fits or any(n > m for d, (n, m) in enumerate(zip(index.shape, shape, strict=True)) if d != axis):
        raise ValueError(f"{name}: an index of shape {index.shape} does not fit into {shape}")


def _taken(x: Node, index: Node, *, axis: int, mode: str, sure: bool) -> Node:
    n = x.shape[axis]
    if mode == "raise" or not n:
        return subscripts.gather(x, [subscripts.place(index, n, sure)], (axis,), axis)
    index = subscripts.place(index, n, True)
    size = ops.fill(ops.SCALAR(value=n, dtype=index.type.dtype), index.shape)
    if mode == "wrap":
        return subscripts.gather(x, [ops.MOD(index, size)], (axis,), axis)
    last = ops.SUB(size, ops.const(1, size))
    return subscripts.gather(x, [ops.MAX(ops.MIN(index, last), ops.const(0, index))], (axis,), axis)


def _taken_along(x: Node, index: Node, *, axis: int, sure: bool) -> Node:
    place = subscripts.place(index, x.shape[axis], sure)
    ones = [1 if d == axis else n for d, n in enumerate(x.shape)]
    others = [1 if d == axis else n for d, n in enumerate(index.shape)]
    shape = joint_shape("take_along_axis", tuple(ones), tuple(others))
    whole = tuple(x.shape[axis] if d == axis else n for d, n in enumerate(shape))
    wanted = tuple(index.shape[axis] if d == axis else n for d, n in enumerate(shape))
    return updates.take_along(ops.fill(x, whole), ops.fill(place, wanted), axis)


def _gathered(x: Node, index: Node, *, axis: int, sure: bool) -> Node:
    return updates.take_along(x, subscripts.place(index, x.shape[axis], sure), axis)


def _put_along(x: Node, src: Any, index: Node, *, axis: int, sure: bool, how: str) -> Node:
    place = subscripts.place(index, x.shape[axis], sure)
    value = cast(src, x.type.dtype)
    if value.type.ndim:
        value = shapes.index(value, tuple(slice(n) for n in index.shape))
    return updates.put_along(x, ops.fill(value, index.shape), place, axis, how)


# Public methods, and functions: `functional.py`.
METHODS = (
    "gather", "index_add", "index_copy", "index_fill", "index_select", "masked_select", "scatter",
    "scatter_add", "scatter_reduce", "take", "take_along_axis",
)  # fmt: skip
for _name in METHODS:
    setattr(Indexed, _name, public(getattr(Indexed, _name)))
