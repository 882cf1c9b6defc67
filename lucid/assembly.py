"""Arrays put together of others, and without some of their parts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from .array_functions import concatenate, meshgrid, stack
from .creation import device_of, values_of, zeros
from .creation import given as asarray
from .errors import public
from .named import name_all
from .promote import number, whole
from .reductions import one_of
from .shapes import normal_axis
from .tensor import Tensor

__all__ = [
    "append", "block", "block_diag", "cartesian_prod", "combinations", "delete", "diag_embed",
    "diagonal_scatter", "insert", "ix_", "narrow", "resize", "rollaxis", "select_scatter", "slice_scatter",
    "swapdims", "trim_zeros",
]  # fmt: skip


# --- one after the other -----------------------------------------------------------------------------


@public
def append(x: Any, values: Any, axis: int | None = None) -> Tensor:
    """x, and `values` after it along `axis`; all elements of both in one row for None."""
    x, values = asarray(x), asarray(values)
    if axis is None:
        return concatenate([x.ravel(), values.ravel()])
    return concatenate([x, values], axis=axis)


@public
def insert(x: Any, obj: Any, values: Any, axis: int | None = None) -> Tensor:
    """x with `values` before the places `obj` of it along `axis`: an int, a slice, or ints in an array, which
    are known. IndexError for one that is outside."""
    x, values = asarray(x), asarray(values)
    if axis is None:
        x, axis = x.ravel(), 0
    axis = normal_axis(axis, x.ndim)
    n = x.shape[axis]
    places = _places("insert", obj, n, n + 1)
    values = values.astype(x.dtype)
    many = len(places)
    if many == 1:  # as many as there are values
        values = values.reshape((1,) * (x.ndim - values.ndim) + values.shape)
        values = values.moveaxis(0, axis) if np.ndim(obj) == 0 and not isinstance(obj, slice) else values
        many = values.shape[axis]
        places = places.repeat(many)
    values = values.broadcast_to((*x.shape[:axis], many, *x.shape[axis + 1 :]))
    order = np.argsort(np.concatenate([places * 2, np.arange(n) * 2 + 1]), kind="stable")
    taken = np.concatenate([n + np.arange(many), np.arange(n)])[order]
    return concatenate([x, values], axis=axis).take(taken, axis=axis)


@public
def delete(x: Any, obj: Any, axis: int | None = None) -> Tensor:
    """x without the places `obj` of it along `axis`: an int, a slice, ints or bools in an array, which are
    known. IndexError for one that is outside."""
    x = asarray(x)
    if axis is None:
        x, axis = x.ravel(), 0
    axis = normal_axis(axis, x.ndim)
    n = x.shape[axis]
    keep = np.ones(n, bool)
    if not isinstance(obj, slice | int | np.integer) and asarray(obj).dtype == bool:
        mask = _known("delete", obj)
        if mask.shape != (n,):
            raise ValueError(f"delete: a mask of shape {mask.shape} for an axis of {n} elements")
        keep = ~mask
    else:
        keep[_places("delete", obj, n, n)] = False
    return x.take(np.flatnonzero(keep), axis=axis)  # type: ignore[no-any-return]


def _known(name: str, obj: Any) -> Any:
    """An array of NumPy's."""
    return (
        values_of(name, obj, "give the places as ints of NumPy's")
        if isinstance(obj, Tensor)
        else np.asarray(obj)
    )


def _places(name: str, obj: Any, n: int, end: int) -> Any:
    """Places from the front, ints of NumPy's: below `end`, and from -n on."""
    if isinstance(obj, slice):
        return np.arange(n)[obj]
    found = _known(name, obj)
    if found.size == 0:
        found = found.astype(np.int64)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name}: places must be ints, not {found.dtype}")
    flat = np.atleast_1d(found).astype(np.int64)
    if flat.ndim > 1:
        raise ValueError(f"{name}: expected places in one dimension, not {flat.ndim}")
    for k in flat:
        if not -n <= k < end:
            raise IndexError(f"{name}: place {k} is outside of an axis of {n} elements")
    return np.where(flat < 0, flat + n, flat)


@public
def block(arrays: Any) -> Tensor:
    """An array of blocks in nested lists: the innermost lists side by side along the last axis, the next
    along the one before. ValueError for lists of different depths."""
    depth = _depth(arrays)
    ndim = max([depth, *(x.ndim for x in _blocks(arrays))])

    def joined(part: Any, level: int) -> Tensor:
        if not isinstance(part, list):
            x = asarray(part)
            return x.reshape((1,) * (ndim - x.ndim) + x.shape)
        return concatenate([joined(p, level - 1) for p in part], axis=-level)

    return joined(arrays, depth)


def _depth(part: Any) -> int:
    if isinstance(part, tuple):
        raise TypeError("block: expected lists of arrays, not a tuple")
    if not isinstance(part, list):
        return 0
    if not part:
        raise ValueError("block: a list is empty")
    depths = {_depth(p) for p in part}
    if len(depths) > 1:
        raise ValueError(f"block: lists of different depths, {' and '.join(map(str, sorted(depths)))}")
    return 1 + depths.pop()


def _blocks(part: Any) -> list[Tensor]:
    return [x for p in part for x in _blocks(p)] if isinstance(part, list) else [asarray(part)]


@public
def block_diag(*tensors: Any) -> Tensor:
    """Matrices along the diagonal of one, zeros elsewhere; vectors are rows, numbers 1 by 1."""
    parts = [asarray(x) for x in tensors] or [zeros((1, 0))]
    for x in parts:
        if x.ndim > 2:
            raise ValueError(f"block_diag: expected at most 2 dimensions, got shape {x.shape}")
    parts = [x.reshape((1,) * (2 - x.ndim) + x.shape) for x in parts]
    columns = [x.shape[1] for x in parts]
    before = list(itertools.accumulate(columns, initial=0))
    rows = [
        x._apply(_widened, x, before=b, after=before[-1] - b - n)
        for x, b, n in zip(parts, before, columns, strict=False)
    ]
    return concatenate(rows)


def _widened(x: Node, *, before: int, after: int) -> Node:
    return ops.PAD(x, lo=(0, before), hi=(0, after))


@public
def cartesian_prod(*tensors: Any) -> Tensor:
    """All choices of one element of each vector, a row a choice; of one vector itself."""
    parts = [asarray(x) for x in tensors]
    for x in parts:
        if x.ndim != 1:
            raise ValueError(f"cartesian_prod: expected vectors, got shape {x.shape}")
    if len(parts) == 1:
        return parts[0]
    return stack([x.ravel() for x in meshgrid(*parts, indexing="ij")], axis=-1)


@public
def combinations(x: Any, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of `r` elements of a vector, in order, a row a choice."""
    x = asarray(x)
    if x.ndim != 1:
        raise ValueError(f"combinations: expected a vector, got shape {x.shape}")
    count = int(number("combinations", "r", r))
    if count < 0:
        raise ValueError(f"combinations: r must not be negative, got {count}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = np.array(list(choose(range(x.shape[0]), count)), np.int64).reshape(-1, count)
    return x[chosen]  # type: ignore[no-any-return]


# --- axes, and parts of them --------------------------------------------------------------------------


@public
def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last axis of x as diagonals of matrices, whose axes are `dim1` and `dim2` of the result."""
    x = asarray(x)
    first, second = normal_axis(dim1, x.ndim + 1), normal_axis(dim2, x.ndim + 1)
    if first == second:
        raise ValueError(f"diag_embed: dim1 and dim2 are the same axis, {first}")
    k = whole("offset", offset)
    size = x.shape[-1] + abs(k)
    side = np.arange(size)
    # Row i has element i, or i + k for a k below 0, of the vector, in the column that is k away.
    mask = side[:, None] + k == side
    at = np.clip(side + min(k, 0), 0, max(x.shape[-1] - 1, 0))
    if not x.shape[-1]:
        return zeros((*x.shape[:-1], size, size), dtype=x.dtype, device=device_of(x)).moveaxis(
            (-2, -1), (first, second)
        )
    rows = x.take(at, axis=-1).unsqueeze(-1)
    made = rows.broadcast_to((*rows.shape[:-1], size)).masked_fill(~mask, 0)
    return made.moveaxis((-2, -1), (first, second))  # type: ignore[no-any-return]


@public
def diagonal_scatter(x: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """x with `src` in the place of its `diagonal`."""
    x, src = asarray(x), asarray(src)
    wanted = x.diagonal(offset, dim1, dim2).shape
    if src.shape != wanted:
        raise ValueError(f"diagonal_scatter: expected src of shape {wanted}, got {src.shape}")
    first, second = normal_axis(dim1, x.ndim), normal_axis(dim2, x.ndim)
    k = whole("offset", offset)
    at = np.arange(wanted[-1])
    moved = x.moveaxis((first, second), (-2, -1))
    made = moved.at[..., at + max(-k, 0), at + max(k, 0)].set(src)
    return made.moveaxis((-2, -1), (first, second))  # type: ignore[no-any-return]


@public
def select_scatter(x: Any, src: Any, dim: int, index: int) -> Tensor:
    """x with `src` in the place of slice `index` along an axis."""
    x, src = asarray(x), asarray(src)
    axis = normal_axis(dim, x.ndim)
    wanted = x.shape[:axis] + x.shape[axis + 1 :]
    if src.shape != wanted:
        raise ValueError(f"select_scatter: expected src of shape {wanted}, got {src.shape}")
    return x.at[(slice(None),) * axis + (whole("index", index),)].set(src)  # type: ignore[no-any-return]


@public
def slice_scatter(
    x: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """x with `src` in the place of the slice start:end:step along an axis."""
    x, src = asarray(x), asarray(src)
    axis = normal_axis(dim, x.ndim)
    key = (slice(None),) * axis + (slice(start, end, step),)
    if src.shape != x[key].shape:
        raise ValueError(f"slice_scatter: expected src of shape {x[key].shape}, got {src.shape}")
    return x.at[key].set(src)  # type: ignore[no-any-return]


@public
def ix_(*args: Any) -> tuple[Tensor, ...]:
    """Vectors as an index of all their choices: each along an axis of its own. Bools choose their places."""
    found = []
    for k, arg in enumerate(args):
        x = asarray(arg)
        if x.ndim != 1:
            raise ValueError(f"ix_: expected vectors, got shape {x.shape}")
        if x.dtype == bool:
            x = asarray(np.flatnonzero(values_of("ix_", x, "give the places as ints")), device=device_of(x))
        elif not x.size:
            x = x.astype(np.int64)
        found.append(x.reshape((1,) * k + (x.size,) + (1,) * (len(args) - k - 1)))
    return tuple(found)


@public
def narrow(x: Any, dim: int, start: int, length: int) -> Tensor:
    """`length` elements from `start` on along an axis. IndexError where there are fewer."""
    x = asarray(x)
    axis = normal_axis(dim, x.ndim)
    n, first, many = x.shape[axis], whole("start", start), whole("length", length)
    if not -n <= first <= n:
        raise IndexError(f"narrow: start {first} is outside of an axis of {n} elements")
    first += n if first < 0 else 0
    if many < 0 or first + many > n:
        raise IndexError(f"narrow: {many} elements from {first} on, along an axis of {n}")
    return x[(slice(None),) * axis + (slice(first, first + many),)]  # type: ignore[no-any-return]


@public
def swapdims(x: Any, dim0: int, dim1: int) -> Tensor:
    """`swapaxes`."""
    return asarray(x).swapaxes(dim0, dim1)


@public
def rollaxis(x: Any, axis: int, start: int = 0) -> Tensor:
    """The axis `axis` before the one that stands at `start` now."""
    x = asarray(x)
    axis = normal_axis(axis, x.ndim)
    to = whole("start", start)
    to += x.ndim if to < 0 else 0
    if not 0 <= to <= x.ndim:
        raise IndexError(f"rollaxis: start {start} is outside of {x.ndim} axes")
    return x.moveaxis(axis, to - 1 if axis < to else to)  # type: ignore[no-any-return]


@public
def resize(x: Any, new_shape: Any) -> Tensor:
    """The elements of x, row-major, as often one after the other as `new_shape` needs."""
    x = asarray(x).ravel()
    shape = tuple(int(n) for n in np.atleast_1d(new_shape))
    if any(n < 0 for n in shape):
        raise ValueError(f"resize: extents must not be negative, got {shape}")
    size = int(np.prod(shape, dtype=object))
    if not size or not x.size:
        return zeros(shape, dtype=x.dtype, device=device_of(x))
    return x.tile(-(-size // x.size))[:size].reshape(shape)  # type: ignore[no-any-return]


@public
def trim_zeros(x: Any, trim: str = "fb", axis: int | None = None, *, dim: int | None = None) -> Tensor:
    """Without the zeros at the front and at the back (`trim`), of all axes or of one. Outside of compiled
    functions."""
    x = asarray(x)
    along = one_of(axis, dim)
    values = values_of("trim_zeros", x, "slice x by lengths that are known")
    kept = np.nonzero(values)
    key = [slice(None)] * x.ndim
    for a in range(x.ndim) if along is None else (normal_axis(along, x.ndim),):
        lo, hi = (int(kept[a].min()), int(kept[a].max()) + 1) if kept[a].size else (0, 0)
        first = lo if "f" in trim.lower() else 0
        key[a] = slice(first, hi if "b" in trim.lower() else x.shape[a])
        if not kept[a].size:
            key[a] = slice(0, 0)
    return x[tuple(key)]  # type: ignore[no-any-return]


name_all(globals(), __all__)
