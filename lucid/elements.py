"""Functions that take or give indices, under NumPy's names and PyTorch's. Where the shape of a result depends
on values (`nonzero`, `unique`, `bincount` without a length) they are NumPy's, outside of traces."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import i64

from . import shapes, subscripts, updates
from .context import MODE
from .creation import asarray
from .errors import TraceError, here, public
from .named import as_function, name_all
from .promote import cast, joint_shape, number, result_dtype
from .tensor import Tensor, apply

__all__ = [
    "argwhere", "bincount", "flatnonzero", "gather", "index_add", "index_copy", "index_fill", "index_select",
    "masked_fill", "masked_select", "nonzero", "put_along_axis", "scatter", "scatter_add", "scatter_reduce",
    "searchsorted", "take", "take_along_axis", "unique",
]  # fmt: skip

gather = as_function(Tensor.gather)
index_add = as_function(Tensor.index_add)
index_copy = as_function(Tensor.index_copy)
index_fill = as_function(Tensor.index_fill)
index_select = as_function(Tensor.index_select)
masked_fill = as_function(Tensor.masked_fill)
masked_select = as_function(Tensor.masked_select)
scatter = as_function(Tensor.scatter)
scatter_add = as_function(Tensor.scatter_add)
scatter_reduce = as_function(Tensor.scatter_reduce)
take = as_function(Tensor.take)
take_along_axis = as_function(Tensor.take_along_axis)


@public
def put_along_axis(x: Tensor, indices: Any, values: Any, axis: int | None) -> None:
    """Assign `values`, which broadcast, where `take_along_axis` reads: in place, as NumPy does. TypeError
    if x is no Tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"put_along_axis: expected a Tensor, not {type(x).__name__}")
    if axis is None:
        x._become(x.reshape(-1).at[indices].set(values).reshape(x.shape))
        return
    k = shapes.normal_axis(axis, x.ndim)
    index, sure = x._element_index("put_along_axis", indices, k)
    x._become(apply(_put, x, values, index, axis=k, sure=sure))


def _put(x: Node, values: Any, index: Node, *, axis: int, sure: bool) -> Node:
    place = subscripts.place(index, x.shape[axis], sure)
    others = tuple(1 if d == axis else n for d, n in enumerate(x.shape))
    shape = joint_shape("put_along_axis", others, place.shape)
    value = updates.fitted(cast(values, x.type.dtype), shape)
    return updates.put_along(x, value, ops.fill(place, shape), axis, "set")


# --- what depends on values ----------------------------------------------------------------------


def _values(name: str, x: Any, remedy: str) -> np.ndarray[Any, Any]:
    """What x holds. TraceError in a compiled function."""
    if MODE.get().trace is not None:
        raise TraceError(
            here(f"{name}: the shape of the result depends on values, which a trace does not know; {remedy}")
        )
    return asarray(x).numpy()


@public
def nonzero(x: Any) -> tuple[Tensor, ...]:
    """Where x is not 0: one tensor of indices for each axis. Outside of compiled functions."""
    found = np.nonzero(_values("nonzero", x, "use lucid.where(mask, a, b)"))
    return tuple(Tensor(index) for index in found)


@public
def argwhere(x: Any) -> Tensor:
    """Where x is not 0: one row of indices for each element. Outside of compiled functions."""
    return Tensor(np.argwhere(_values("argwhere", x, "use lucid.where(mask, a, b)")))


@public
def flatnonzero(x: Any) -> Tensor:
    """Where the elements of x, in a row, are not 0. Outside of compiled functions."""
    return Tensor(np.flatnonzero(_values("flatnonzero", x, "use lucid.where(mask, a, b)")))


@public
def unique(
    x: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None,
) -> Any:  # fmt: skip
    """The different elements, sorted, as NumPy gives them. Outside of compiled functions."""
    array = _values("unique", x, "call it outside")
    numpys: Any = np.unique  # of many overloads
    found = numpys(array, return_index, return_inverse, return_counts, axis)
    return tuple(map(Tensor, found)) if isinstance(found, tuple) else Tensor(found)


@public
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often 0, 1, 2, ... occur in x, or the sum of their `weights`, added in the order of x; gradients
    flow to these. As long as x needs, but at least `minlength`; in a compiled function `minlength`, and a
    value that is not below is an IndexError. ValueError for one that is negative and known."""
    x = asarray(x)
    if x.ndim != 1 or x.dtype.kind not in "iub":
        raise ValueError(f"bincount: expected ints in one dimension, not {x.dtype} {x.shape}")
    length = int(number("bincount", "minlength", minlength))
    if MODE.get().trace is None:
        values = x.numpy()
        if values.size and values.min() < 0:
            raise ValueError("bincount: a negative value")
        length = max(length, int(values.max(initial=-1)) + 1)
    elif not length:
        _values("bincount", x, "give minlength, the length of the result")
    known = MODE.get().trace is None
    return apply(_bincount, x, *(() if weights is None else (weights,)), length=length, known=known)


def _bincount(x: Node, weights: Node | None = None, *, length: int, known: bool) -> Node:
    place = cast(x, i64)
    if not known:
        place = subscripts.place(place, length, negative=False)
    if weights is None:
        terms = ops.const(1, place)
    else:
        terms = cast(weights, result_dtype(weights.type.dtype.name, float))
        if terms.shape != x.shape:
            raise ValueError(f"bincount: weights of shape {terms.shape} for values of shape {x.shape}")
    if not terms.type.size:
        return ops.fill(ops.CONST(value=0, dtype=terms.type.dtype), (length,))
    return ops.SCATTER_ADD(terms, place, shape=(length,), axes=(0,))


@public
def searchsorted(a: Any, v: Any, side: str = "left", *, right: bool = False) -> Tensor:
    """Where to insert `v` into the sorted `a`, of one dimension, to keep it sorted; of equal elements before
    the first (`side` "left") or behind the last ("right"). NaN comes last, as NumPy sorts it."""
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', not {side!r}")
    a = asarray(a)
    if a.ndim != 1:
        raise ValueError(f"searchsorted: the sorted array has {a.ndim} dimensions, not one")
    return apply(_search, a, asarray(v), right=right or side == "right")


def _search(a: Node, v: Node, *, right: bool) -> Node:
    """By halving: `found` elements are known to stand before v."""
    dtype = result_dtype(a.type.dtype.name, v.type.dtype.name)
    a, v = cast(a, dtype), cast(v, dtype)
    n = a.shape[0]
    found = ops.fill(ops.CONST(value=0, dtype=i64), v.shape)
    if not n or not v.type.size:
        return found
    size = ops.fill(ops.SCALAR(value=n, dtype=i64), v.shape)
    for bit in reversed(range(n.bit_length())):
        more = ops.ADD(found, ops.const(1 << bit, found))
        x = ops.GATHER(a, ops.SUB(more, ops.const(1, found)), axes=(0,))
        before = ops.LE(x, v) if right else ops.LT(x, v)
        if dtype.is_float:
            last = ops.NE(v, v)
            before = ops.OR(before, last if right else ops.AND(last, ops.EQ(x, x)))
        found = ops.WHERE(ops.AND(ops.LE(more, size), before), more, found)
    return found


name_all(globals(), __all__)
