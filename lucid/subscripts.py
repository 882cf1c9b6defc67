"""NumPy's indices as nodes: what stands in `x[...]`, and what it reads.

    x[1:, i, None, j]     slices, ints and None first: they are views. Then one gather at the axes of i and j,
                          whose joint shape comes first, or where they stood if nothing stands between them

An index whose value is known is looked at here, and so is how many elements a mask chooses. Of others a node
`place` keeps the size of the axis (`inside.py`).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import i64, u64
from lucid.runtime.stored import Stored

from . import shapes
from .context import MODE
from .errors import TraceError, here
from .inside import Array, checked
from .promote import as_array, cast, joint_shape

Key = tuple[Any, ...]


@data
class By:
    """Part of a key: operand `number` holds the indices along one axis; `sure`: all are inside, and none is
    negative. `flag`: it takes no axis (a bool), and is the only index of one of extent 1."""

    number: int
    sure: bool
    flag: bool = False


def is_advanced(key: Any) -> bool:
    """Whether arrays, lists or bools stand in `key`, or tensors."""
    parts = key if type(key) is tuple else (key,)
    return any(map(_advances, parts))


def _advances(part: Any) -> bool:
    if part is None or part is Ellipsis or type(part) in (int, slice):
        return False
    if isinstance(part, bool | np.bool_ | list | tuple):
        return True
    return not isinstance(part, np.generic) and hasattr(type(part), "__array__")


def parse(shape: tuple[int, ...], key: Any) -> tuple[Key, list[Any]]:
    """`key` with a `By` for each array in it, over an array of `shape`; and those arrays, or tensors. Several
    for a mask of several axes. IndexError for what NumPy does not take either."""
    parts = [_part(p) for p in (key if type(key) is tuple else (key,))]
    takes = [_axes_of(p) for p in parts]
    if sum(takes) > len(shape):
        raise IndexError(f"too many indices: {sum(takes)} for a tensor of {len(shape)} dimensions")
    if sum(p is Ellipsis for p in parts) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    found: list[Any] = []
    operands: list[Any] = []
    axis = 0
    for part, count in zip(parts, takes, strict=True):
        if part is Ellipsis:
            count = len(shape) - sum(takes)
        if not hasattr(type(part), "__array__"):
            found.append(part)
        elif part.dtype == bool:
            for n, index in enumerate(_nonzero(part, shape[axis : axis + count], axis)):
                found.append(By(len(operands), True, flag=not count))
                operands.append(index)
                assert n < max(count, 1)
        else:
            index, sure = _known(part, shape[axis], axis)
            found.append(By(len(operands), sure))
            operands.append(index)
        axis += count
    return tuple(found), operands


def _axes_of(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if hasattr(type(part), "__array__") and part.dtype == bool else 1


def _part(part: Any) -> Any:
    """An int, a slice, None, Ellipsis; or an array or a tensor of ints or bools."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, bool | np.bool_):
        return np.array(part)
    if isinstance(part, list | tuple):
        part = listed(part)
    elif not hasattr(type(part), "__array__") or isinstance(part, np.generic):
        try:
            return operator.index(part)
        except TypeError:
            raise IndexError(shapes.unfit_key(type(part).__name__)) from None
    elif not hasattr(type(part), "_node"):
        part = as_array(part)
    kind = part.dtype.kind
    if kind not in "iub":
        raise IndexError(shapes.unfit_key(f"an array of {part.dtype}"))
    return part


def listed(items: Any) -> Array:
    """A list as an array. An empty one has ints."""

    def plain(value: Any) -> Any:
        return [plain(v) for v in value] if isinstance(value, list | tuple) else np.asarray(value)

    array = np.asarray(plain(items))
    return array if array.size else array.astype(np.int64)


def known(value: Any) -> Array | None:
    """What a tensor or an array holds, if that is known for good: not in a compiled function, where an
    array is an input, but for one made here."""
    if MODE.get().trace is not None:
        return None
    node = getattr(value, "_node", None)
    found: Array | None = value if node is None else node.data
    return None if isinstance(found, Stored) else found  # nobody waits for it: a verdict is computed


def _known(part: Any, size: int, axis: int) -> tuple[Any, bool]:
    """An index that is known: looked at, from the front, and True."""
    array = known(part)
    if array is None:
        return part, False
    error = checked(array, size, axis=axis)
    if error is not None:
        raise error
    array = array.astype(np.int64)
    return np.where(array < 0, array + size, array), True


def _nonzero(mask: Any, shape: tuple[int, ...], axis: int) -> list[Array]:
    """Where a mask is true: one array for each of its axes, which may have no elements, too."""
    for k, (n, m) in enumerate(zip(mask.shape, shape, strict=True)):
        if n not in (m, 0):
            raise IndexError(
                f"a mask of shape {mask.shape} does not fit: axis {axis + k} has {m} elements, it has {n}"
            )
    if hasattr(type(mask), "_node"):
        if MODE.get().trace is not None:
            raise TraceError(
                here(
                    "a mask whose value is not known while a function is traced: nor is how many elements it "
                    "chooses; use lucid.where(mask, a, b)"
                )
            )
        mask = mask.numpy()
    return list(np.nonzero(np.atleast_1d(mask)))


@data
class Reading:
    """What a key reads: `basic`, a key of views; of what that gives the elements at the indices `by` along
    `axes`, whose dimensions begin at dimension `to` of the result."""

    basic: Key
    by: tuple[By, ...]
    axes: tuple[int, ...]
    to: int


def reading(key: Key, ndim: int) -> Reading:
    """`key`, made by `parse`, of an array of `ndim` dimensions."""
    keys: list[Any] = list(key)
    whole: list[Any] = [slice(None)] * (
        ndim - sum(k is not None and k is not Ellipsis and not _is_flag(k) for k in keys)
    )
    gap = next((n for n, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys[gap : gap + 1] = whole or [Ellipsis] * (gap < len(keys))
    basic = [None if _is_flag(k) else slice(None) if isinstance(k, By) else k for k in keys]
    axes, at, axis = [], [], 0
    for n, k in enumerate(keys):
        if isinstance(k, By | int):
            at.append((n, axis))
        if isinstance(k, By):
            axes.append(axis)
        axis += not isinstance(k, int) and k is not Ellipsis
    together = all(b - a == 1 for (a, _), (b, _) in pairwise(at))
    by = tuple(k for k in keys if isinstance(k, By))
    plain = tuple(k for k in basic if k is not Ellipsis)
    return Reading(plain, by, tuple(axes), at[0][1] if at and together else 0)


def index(x: Node, *arrays: Node, key: Key) -> Node:
    """x[key]; `arrays` are the operands that the parts `By` of `key` name."""
    read = reading(key, x.type.ndim)
    x = shapes.index(x, read.basic)
    return gather(x, places_of(x, read, arrays), read.axes, read.to) if read.by else x


def places_of(x: Node, read: Reading, arrays: tuple[Node, ...]) -> list[Node]:
    """The indices along the axes of `x`, in one shape."""
    table = zip(read.by, read.axes, strict=True)
    return joint_places(place(arrays[k.number], x.shape[a], k.sure) for k, a in table)


def _is_flag(key: Any) -> bool:
    return isinstance(key, By) and key.flag


def along(index: Any, size: int, axis: int) -> tuple[Any, bool]:
    """An operand of ints, and whether it is known, and then from the front: its elements are indices along
    `axis`, of `size` elements. IndexError for one that is known to be outside, TypeError for no ints."""
    return _known(indices(index), size, axis)


def indices(index: Any) -> Any:
    """An array or a tensor of ints. TypeError for anything else."""
    try:
        part = _part(index)
    except IndexError:
        part = None
    if isinstance(part, int):
        part = np.array(part)
    if not hasattr(type(part), "__array__") or part.dtype == bool:
        raise TypeError(f"indices must be ints, in an array or a tensor, not {type(index).__name__}")
    return part


def place(index: Node, size: int, sure: bool = False, negative: bool = True) -> Node:
    """An index of an axis of `size` elements, as one of int64 that is not negative. `negative`: it may be,
    and counts from the end then. (One without a sign is outside where its bits would be negative.)"""
    if sure:
        return cast(index, i64)
    dtype = i64 if negative and index.type.dtype is not u64 else u64
    index = cast(cast(index, i64), dtype)
    return cast(ops.PLACE(index, ops.fill(ops.SCALAR(value=size, dtype=dtype), index.shape)), i64)


def joint_places(places: Iterable[Node]) -> list[Node]:
    """Indices in one shape. IndexError if there is none."""
    found = list(places)
    try:
        shape = joint_shape("index", *(p.shape for p in found))
    except ValueError:
        listed = " ".join(str(p.shape) for p in found)
        raise IndexError(f"shape mismatch: indices of shapes {listed} do not broadcast") from None
    return [ops.fill(p, shape) for p in found]


def gather(x: Node, places: list[Node], axes: tuple[int, ...], to: int) -> Node:
    """x at `places`, of one shape, along `axes`; their dimensions begin at dimension `to` of the result."""
    found = ops.GATHER(x, *places, axes=axes)
    many = places[0].type.ndim
    front = range(many, many + to)
    return shapes.transpose(found, (*front, *range(many), *range(many + to, found.type.ndim)))
