"""Functions that take or give indices, under NumPy's names and PyTorch's. Where the shape of a result depends
on values (`nonzero`, `bincount` without a length) they are NumPy's, outside of traces."""

from __future__ import annotations

from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from . import shapes, sorting, subscripts, updates
from .creation import device_of, values_of
from .creation import given as asarray
from .errors import public
from .lanes import values_known
from .named import as_function, name_all
from .promote import cast, joint_shape, number
from .tensor import Tensor, apply

__all__ = [
    "argwhere", "bincount", "flatnonzero", "gather", "index_add", "index_copy", "index_fill", "index_put",
    "index_reduce", "index_select",
    "masked_fill", "masked_select", "nonzero", "put_along_axis", "scatter", "scatter_add", "scatter_reduce",
    "take", "take_along_axis",
]  # fmt: skip

gather = as_function(Tensor.gather)
index_add = as_function(Tensor.index_add)
index_copy = as_function(Tensor.index_copy)
index_fill = as_function(Tensor.index_fill)
index_put = as_function(Tensor.index_put)
index_reduce = as_function(Tensor.index_reduce)
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


@public
def nonzero(x: Any, *, as_tuple: bool = True) -> Any:
    """Where x is not 0: one tensor of indices for each axis, or (`as_tuple=False`) `argwhere`, which is
    PyTorch's default. Outside of compiled functions."""
    if not as_tuple:
        return argwhere(x)
    found = np.nonzero(values_of("nonzero", x, "use lucid.where(mask, a, b)"))
    return tuple(Tensor(index, device=device_of(x)) for index in found)


@public
def argwhere(x: Any) -> Tensor:
    """Where x is not 0: one row of indices for each element. Outside of compiled functions."""
    return Tensor(np.argwhere(values_of("argwhere", x, "use lucid.where(mask, a, b)")), device=device_of(x))


@public
def flatnonzero(x: Any) -> Tensor:
    """Where the elements of x, in a row, are not 0. Outside of compiled functions."""
    return Tensor(
        np.flatnonzero(values_of("flatnonzero", x, "use lucid.where(mask, a, b)")), device=device_of(x)
    )


@public
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often 0, 1, 2, ... occur in x, or the sum of their `weights`, added in the order of x; gradients
    flow to these. As long as x needs, but at least `minlength`; in a compiled function `minlength`, and a
    value that is not below is an IndexError. ValueError for one that is negative and known."""
    x = asarray(x)
    if x.ndim != 1 or x.dtype.kind not in "iub":
        raise ValueError(f"bincount: expected ints in one dimension, not {x.dtype} {x.shape}")
    length = int(number("bincount", "minlength", minlength))
    if length < 0:
        raise ValueError(f"bincount: minlength must not be negative, got {length}")
    known = values_known()
    if known:
        values = x.numpy()
        if values.size and values.min() < 0:
            raise ValueError("bincount: a negative value")
        length = max(length, int(values.max()) + 1 if values.size else 0)
    elif not length:
        values_of("bincount", x, "give minlength, the length of the result")
    return apply(_bincount, x, *(() if weights is None else (weights,)), length=length, known=known)


def _bincount(x: Node, weights: Node | None = None, *, length: int, known: bool) -> Node:
    place = x if known else subscripts.place(x, length, negative=False)
    return sorting.bincount(place, weights, length=length)


name_all(globals(), __all__)
