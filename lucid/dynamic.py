"""Parts of arrays that begin where only a running program knows, scans of any associative function, and what
else JAX's users know from `jax.lax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arguments import rebuild
from .array_functions import concatenate, stack
from .creation import arange
from .creation import given as asarray
from .errors import public
from .functional import clip
from .named import name_all
from .promote import whole
from .shapes import normal_axis
from .tensor import Tensor

__all__ = [
    "associative_scan", "broadcasted_iota", "clamp", "dynamic_index_in_dim", "dynamic_slice",
    "dynamic_slice_in_dim", "dynamic_update_index_in_dim", "dynamic_update_slice",
    "dynamic_update_slice_in_dim", "index_in_dim", "iota", "rev", "slice_in_dim", "top_k",
]  # fmt: skip

# --- parts ---------------------------------------------------------------------------------------------


def _places(name: str, starts: Any, sizes: Sequence[int], shape: tuple[int, ...]) -> list[Tensor]:
    """Along each axis the indices, of which all are inside: a start below 0 counts from the end, and is
    brought to where as many elements follow."""
    if not len(starts) == len(sizes) == len(shape):
        raise ValueError(f"{name}: {len(starts)} starts and {len(sizes)} sizes for {len(shape)} axes")
    found = []
    for k, (start, size, n) in enumerate(zip(starts, sizes, shape, strict=True)):
        if not 0 <= size <= n:
            raise ValueError(f"{name}: {size} elements of {n} along axis {k}")
        first = asarray(start).astype(np.int64)
        first = (first + (first < 0) * n).clip(0, n - size)
        found.append(first + arange(size, dtype=np.int64))
    return found


@public
def dynamic_slice(operand: Any, start_indices: Any, slice_sizes: Sequence[int]) -> Tensor:
    """So many elements along each axis, from a start on, which may be a tensor; where less follow, the last
    ones."""
    x = asarray(operand)
    for axis, index in enumerate(_places("dynamic_slice", start_indices, slice_sizes, x.shape)):
        if len(index) < x.shape[axis]:
            x = x.take(index, axis)
    return x


@public
def dynamic_update_slice(operand: Any, update: Any, start_indices: Any) -> Tensor:
    """The same, with `update` from a start on, where `dynamic_slice` would read as much."""
    x, new = asarray(operand), asarray(update)
    places = _places("dynamic_update_slice", start_indices, new.shape, x.shape)
    grid = [p.reshape(tuple(-1 if d == k else 1 for d in range(x.ndim))) for k, p in enumerate(places)]
    found: Tensor = x.at[tuple(grid)].set(new.astype(x.dtype)) if grid else new.astype(x.dtype)
    return found


def _along(x: Tensor, axis: int, start: Any, size: int) -> tuple[list[Any], list[int]]:
    at = normal_axis(axis, x.ndim)
    starts: list[Any] = [0] * x.ndim
    sizes = list(x.shape)
    starts[at], sizes[at] = start, size
    return starts, sizes


@public
def dynamic_slice_in_dim(operand: Any, start_index: Any, slice_size: int, axis: int = 0) -> Tensor:
    """`dynamic_slice` along one axis."""
    x = asarray(operand)
    return dynamic_slice(x, *_along(x, axis, start_index, whole("slice_size", slice_size)))


@public
def dynamic_index_in_dim(operand: Any, index: Any, axis: int = 0, keepdims: bool = True) -> Tensor:
    """What stands at an index along an axis; an index outside is brought to the nearest end."""
    found = dynamic_slice_in_dim(operand, index, 1, axis)
    return found if keepdims else found.squeeze(axis)


@public
def dynamic_update_slice_in_dim(operand: Any, update: Any, start_index: Any, axis: int) -> Tensor:
    """`dynamic_update_slice` along one axis."""
    x = asarray(operand)
    return dynamic_update_slice(x, update, _along(x, axis, start_index, 1)[0])


@public
def dynamic_update_index_in_dim(operand: Any, update: Any, index: Any, axis: int) -> Tensor:
    """The same, with `update` at an index along an axis."""
    x, new = asarray(operand), asarray(update)
    return dynamic_update_slice_in_dim(x, new if new.ndim == x.ndim else new.expand_dims(axis), index, axis)


@public
def slice_in_dim(
    operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Tensor:
    """A slice along one axis."""
    x = asarray(operand)
    key = [slice(None)] * x.ndim
    key[normal_axis(axis, x.ndim)] = slice(start_index, limit_index, stride)
    return x[tuple(key)]


@public
def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Tensor:
    """What stands at an index along an axis. IndexError outside."""
    found = asarray(operand).take(np.array([whole("index", index)]), axis)
    return found if keepdims else found.squeeze(axis)


# --- scans ---------------------------------------------------------------------------------------------


@public
def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Along an axis `fn` of all elements up to each, fn(fn(a, b), c) being fn(a, fn(b, c)): in so many steps
    as twice the logarithm of the length. `elems` are arrays, or a structure of them, of which `fn` takes and
    gives parts; with `reverse` from the end on."""
    leaves: list[Any] = []
    rebuild(elems, leaves.append)
    columns = [asarray(x) for x in leaves]
    if not columns or len({x.shape[normal_axis(axis, x.ndim)] for x in columns}) > 1:
        raise ValueError(
            f"associative_scan: expected one length along axis {axis} of {[x.shape for x in columns]}"
        )

    def filled(values: list[Tensor]) -> Any:
        rest = iter(values)
        return rebuild(elems, lambda _: next(rest))

    def combine(a: list[Tensor], b: list[Tensor]) -> list[Tensor]:
        made: list[Any] = []
        rebuild(fn(*(filled([x.moveaxis(0, axis) for x in part]) for part in (a, b))), made.append)
        return [asarray(x).moveaxis(axis, 0) for x in made]

    rows = [x.moveaxis(axis, 0) for x in columns]
    rows = _scanned(combine, [x.flip(0) for x in rows] if reverse else rows)
    return filled([(x.flip(0) if reverse else x).moveaxis(0, axis) for x in rows])


def _scanned(combine: Callable[..., list[Tensor]], rows: list[Tensor]) -> list[Tensor]:
    n = len(rows[0])
    if n < 2:
        return rows
    odd = _scanned(combine, combine([x[: n - 1 : 2] for x in rows], [x[1::2] for x in rows]))
    before = odd if n % 2 else [x[:-1] for x in odd]
    even = [x[:1] for x in rows]
    if len(before[0]):
        later = combine(before, [x[2::2] for x in rows])
        even = [concatenate([first, rest]) for first, rest in zip(even, later, strict=True)]
    return [_interleaved(a, b) for a, b in zip(even, odd, strict=True)]


def _interleaved(even: Tensor, odd: Tensor) -> Tensor:
    n = len(odd)
    pairs = stack([even[:n], odd], axis=1).reshape((2 * n, *odd.shape[1:]))
    return pairs if len(even) == n else concatenate([pairs, even[n:]])


# --- others --------------------------------------------------------------------------------------------


@public
def top_k(operand: Any, k: int) -> tuple[Tensor, Tensor]:
    """The k greatest along the last axis, the greatest first, and where they are."""
    values, places = asarray(operand).topk(k)
    return values, places


@public
def clamp(min: Any, x: Any, max: Any) -> Tensor:
    """`clip(x, min, max)`."""
    return clip(x, min, max)


@public
def iota(dtype: Any, size: int) -> Tensor:
    """The whole numbers from 0 to below `size`."""
    return arange(whole("size", size), dtype=dtype)


@public
def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Tensor:
    """Of each element its index along an axis."""
    at = normal_axis(dimension, len(shape))
    row = iota(dtype, shape[at]).reshape(tuple(-1 if d == at else 1 for d in range(len(shape))))
    return row.broadcast_to(tuple(shape))


@public
def rev(operand: Any, dimensions: Sequence[int]) -> Tensor:
    """In the other order along these axes."""
    return asarray(operand).flip(tuple(dimensions))


name_all(globals(), __all__)
