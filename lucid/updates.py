"""Arrays with other values at some of their elements, as nodes: what stands in `x.at[...].set(v)`.

set      the last of several values for one element wins, in the order of the values: a scatter of their
         numbers by `max` says which, and a gather brings them. No value is moved but those
add      x plus the sum of what comes to each element, in the order of the values
multiply x times the product of what comes to each element, in that order
max min  the extreme of x and of what comes
"""

from __future__ import annotations

import math
from collections.abc import Callable

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import b1, i64

from . import complexes, shapes
from . import elementwise as ew
from .promote import Value, cast
from .subscripts import Key, places_of, reading

_ELEMENTWISE: dict[str, Callable[[Node, Node], Node]] = {
    "set": lambda x, v: v, "add": ew.add, "max": ew.maximum, "min": ew.minimum, "multiply": ew.mul,
}  # fmt: skip


def update(x: Node, v: Value, *arrays: Node, key: Key, how: str) -> Node:
    """x with x[key] changed: `how` is one of set, add, max, min, multiply."""
    x = complexes.taken_apart(x)
    read = reading(key, x.type.ndim)
    part = shapes.index(x, read.basic)
    value = cast(v, x.type.dtype)
    if not read.by:
        new = cast(_ELEMENTWISE[how](part, fitted(value, part.shape)), x.type.dtype)
        return written(x, part, new)
    places = places_of(part, read, arrays)
    rest = [n for a, n in enumerate(part.shape) if a not in read.axes]
    shape = (*rest[: read.to], *places[0].shape, *rest[read.to :])
    many = places[0].type.ndim
    value = fitted(value, shape)  # the dimensions of the places come first
    order = (*range(read.to, read.to + many), *range(read.to), *range(read.to + many, len(shape)))
    value = shapes.transpose(value, order)
    return written(x, part, scattered(part, value, places, read.axes, how))


def fitted(value: Node, shape: tuple[int, ...]) -> Node:
    """`value` broadcast to what is assigned to; axes of extent 1 in front may go, as in NumPy."""
    while value.type.ndim > len(shape) and value.shape[0] == 1:
        value = ops.reshape(value, value.shape[1:])
    fits = zip(reversed(value.shape), reversed(shape), strict=False)
    if value.type.ndim > len(shape) or any(n not in (1, m) for n, m in fits):
        raise ValueError(f"a value of shape {value.shape} does not broadcast to {shape}, what is assigned to")
    return ops.fill(value, shape)


def written(x: Node, part: Node, new: Node) -> Node:
    """x with `new` in the place of `part`, a view of it. A complex x is taken apart."""
    if x.type.dtype.is_complex:
        return ops.COMPLEX(*(written(p(x), p(part), p(new)) for p in (ops.RE, ops.IM)))
    if not part.type.size:
        return x
    back, mask = new, ops.fill(ops.CONST(value=True, dtype=b1), part.shape)
    node, whole = part, True
    while node is not x:
        assert node.op.vjp is not None
        ((back,), (mask,)) = (node.op.vjp(node, n, (True,)) for n in (back, mask))  # type: ignore[assignment]
        whole = whole and node.op is not ops.SLICE
        (node,) = node.inputs
    return back if whole else ops.WHERE(mask, back, x)


def scattered(x: Node, v: Node, places: list[Node], axes: tuple[int, ...], how: str) -> Node:
    """x, changed at `places` along `axes` by the elements of v, whose first dimensions are those of the
    places, the others those of the rest of x."""
    if not v.type.size:
        return x
    if how == "set":
        return _last(x, v, places, axes)
    if x.type.dtype is b1:
        how = {"add": "max", "multiply": "min"}.get(how, how)
    if how == "add":
        wide = x.type.dtype.computed
        total = ops.SCATTER_ADD(cast(v, wide), *places, shape=x.shape, axes=axes)
        return cast(ops.ADD(cast(x, wide), total), x.type.dtype)
    if how == "multiply":
        wide = x.type.dtype.computed
        product = ops.SCATTER_PROD(cast(v, wide), *places, shape=x.shape, axes=axes)
        return cast(ops.MUL(cast(x, wide), product), x.type.dtype)
    op, join = (ops.SCATTER_MAX, ew.maximum) if how == "max" else (ops.SCATTER_MIN, ew.minimum)
    return join(x, op(v, *places, shape=x.shape, axes=axes))


def _last(x: Node, v: Node, places: list[Node], axes: tuple[int, ...]) -> Node:
    """The value whose number is greatest, of those that come to an element."""
    shape = places[0].shape
    count, many = math.prod(shape), len(axes)
    grid = tuple(x.shape[a] for a in axes)
    number = ops.reshape(ops.IOTA(shape=(count,), axis=0), shape)
    winner = ops.SCATTER_MAX(number, *places, shape=grid, axes=tuple(range(many)))
    rest = v.shape[len(shape) :]
    found = ops.GATHER(ops.reshape(v, (count, *rest)), winner, axes=(0,))
    come = ops.GE(winner, ops.const(0, winner))
    come = ops.fill(ops.reshape(come, (*grid, *(1 for _ in rest))), (*grid, *rest))
    others = iter(range(many, x.type.ndim))
    order = tuple(axes.index(a) if a in axes else next(others) for a in range(x.type.ndim))
    return ops.WHERE(shapes.transpose(come, order), shapes.transpose(found, order), x)


def masked(x: Node, mask: Node, v: Value, *, how: str) -> Node:
    """x, changed where `mask`, over its first axes, is true."""
    value = fitted(cast(v, x.type.dtype), x.shape[mask.type.ndim :])
    value = ops.fill(value, x.shape)
    mask = ops.reshape(mask, (*mask.shape, *(1 for _ in x.shape[mask.type.ndim :])))
    return ops.WHERE(ops.fill(mask, x.shape), cast(_ELEMENTWISE[how](x, value), x.type.dtype), x)


# --- along one axis, an index for each element ---------------------------------------------------


def along_axis(index: Node, axis: int) -> list[Node]:
    """The place of each element of `index`: where it is, but along `axis` what it says."""
    shape = index.shape
    return [index if d == axis else ops.IOTA(shape=shape, axis=d) for d in range(len(shape))]


def take_along(x: Node, index: Node, axis: int) -> Node:
    """x[i, index[i, j], ...]: `index`, of places, has as many dimensions as x."""
    every = tuple(range(x.type.ndim))
    return ops.GATHER(x, *along_axis(index, axis), axes=every)


def put_along(x: Node, v: Node, index: Node, axis: int, how: str) -> Node:
    """x, changed where `take_along` reads, by the elements of v."""
    return scattered(x, v, along_axis(index, axis), tuple(range(x.type.ndim)), how)


def one_hot(index: Node, *, classes: int) -> Node:
    """int64: 1 where the last axis is at `index`, a place."""
    shape = (*index.shape, classes)
    where = ops.fill(ops.reshape(index, (*index.shape, 1)), shape)
    return ops.CAST(ops.EQ(where, ops.IOTA(shape=shape, axis=len(shape) - 1)), dtype=i64)
