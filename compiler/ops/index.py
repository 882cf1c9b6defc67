"""Ops that know where an element is, or are told by data where to look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.types import TensorType, from_numpy, i64, tensor_type
from . import batch
from .complex import linear
from .folds import Fold, fold
from .record import Array, Attrs, Op, Sample, Types, Vjp, define, fail, operands


def _infer_iota(types: Types, attrs: Attrs) -> TensorType:
    operands("iota", types, 0)
    shape, axis = tuple(attrs["shape"]), attrs["axis"]
    if not 0 <= axis < len(shape):
        fail("iota", f"{len(shape)} axes have no axis {axis}")
    return tensor_type(i64, shape)


def _iota(attrs: Attrs) -> Array:
    shape, axis = attrs["shape"], attrs["axis"]
    steps = np.arange(shape[axis], dtype=np.int64)
    return np.broadcast_to(steps.reshape((-1,) + (1,) * (len(shape) - axis - 1)), shape)


# Where an element is along an axis: 0, 1, 2, ...
IOTA = define(
    "iota", "index", _infer_iota, _iota, None, None, "i",
    attrs=("shape", "axis"), sizes=("shape",), flops=0,
    samples=(Sample((), {"shape": (7,), "axis": 0}), Sample((), {"shape": (3, 5), "axis": 1})),
)  # fmt: skip


def _infer_gather(types: Types, attrs: Attrs) -> TensorType:
    axes, (source, *indices) = attrs["axes"], types
    _check("gather", indices, axes, source.ndim)
    shape = indices[0].shape if indices else ()
    return tensor_type(source.dtype, (*shape, *(n for d, n in enumerate(source.shape) if d not in axes)))


def _check(name: str, indices: list[TensorType], axes: tuple[int, ...], ndim: int) -> None:
    if len(indices) != len(axes) or not axes:
        fail(name, f"{len(axes)} axes need as many indices, got {len(indices)}")
    if len(set(axes)) != len(axes) or any(not 0 <= a < ndim for a in axes):
        fail(name, f"axes {axes} do not fit {ndim} dimensions")
    if any(t != indices[0] or t.dtype is not i64 for t in indices):
        fail(name, f"indices must be int64 of one shape, got {', '.join(map(str, indices))}")


def _inside(attrs: Attrs, shape: tuple[int, ...], indices: tuple[Array, ...]) -> tuple[Array, list[Array]]:
    """Where all indices lie inside; they, 0 where not."""
    sizes = [shape[a] for a in attrs["axes"]]
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(indices, sizes, strict=True)])
    return inside, [np.where(inside, i, 0) for i in indices]


def _gather(attrs: Attrs, x: Array, *indices: Array) -> Array:
    axes = attrs["axes"]
    inside, safe = _inside(attrs, x.shape, indices)
    front = np.moveaxis(x, axes, range(len(axes)))
    rest = front.shape[len(axes) :]
    if not inside.any():
        return np.zeros((*inside.shape, *rest), x.dtype)
    found = front[tuple(safe)]
    return np.where(inside.reshape(inside.shape + (1,) * len(rest)), found, np.zeros((), x.dtype))


def sums_at(x: Node, *indices: Node, shape: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    """A scatter-add for gradients: what has 16 bits is added in float32 and rounded once. (Else each term is
    rounded, and 2,049 of 1 are 2,048.)"""
    dtype = x.type.dtype
    if dtype.wide is None:
        return SCATTER_ADD(x, *indices, shape=shape, axes=axes)
    return ops.CAST(SCATTER_ADD(ops.CAST(x, dtype=dtype.wide), *indices, shape=shape, axes=axes), dtype=dtype)


def _d_gather(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    x, *indices = node.inputs
    back = sums_at(ct, *indices, shape=x.shape, axes=node.attrs["axes"])
    return back, *(None for _ in indices)


def _infer_scatter(name: str, kinds: str) -> Callable[..., TensorType]:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        axes, shape, (source, *indices) = attrs["axes"], tuple(attrs["shape"]), types
        _check(name, indices, axes, len(shape))
        expected = (*indices[0].shape, *(n for d, n in enumerate(shape) if d not in axes))
        if source.shape != expected or source.dtype.kind not in kinds:
            fail(name, f"{source} does not go to shape {shape} at {indices[0]} of axes {axes}")
        return tensor_type(source.dtype, shape)

    return infer


def _scatter(of: Fold) -> Callable[..., Array]:
    def run(attrs: Attrs, source: Array, *indices: Array) -> Array:
        """Term by term, in order: what has 16 bits is rounded each time, so callers add in float32."""
        axes, shape = attrs["axes"], attrs["shape"]
        inside, safe = _inside(attrs, shape, indices)
        total = np.full(shape, of.states[0].identity(from_numpy(source.dtype)), source.dtype)
        front = np.moveaxis(total, axes, range(len(axes)))  # a view
        with np.errstate(all="ignore"):
            of.evaluate.at(front, tuple(i[inside] for i in safe), source[inside])
        return total

    return run


def _d_extreme(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Equal shares to all elements that attain the extreme of their place, as for a reduction."""
    x, *indices = node.inputs
    axes, shape = node.attrs["axes"], node.shape

    def at(n: Node) -> Node:
        return GATHER(n, *indices, axes=axes)

    hit = ops.OR(ops.EQ(x, at(node)), ops.NE(x, x))
    count = SCATTER_ADD(ops.CAST(hit, dtype=ct.type.dtype.computed), *indices, shape=shape, axes=axes)
    share = ops.CAST(ops.DIV(ops.CAST(ct, dtype=count.type.dtype), count), dtype=ct.type.dtype)
    return ops.WHERE(hit, at(share), ops.zeros_like(x)), *(None for _ in indices)


def _d_product(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """The product of what else comes to the place: of all but 0, over x, where no other one is 0."""
    x, *indices = node.inputs
    axes, shape = node.attrs["axes"], node.shape
    zero = ops.EQ(x, ops.zeros_like(x))
    one = ops.const(1, x)
    rest = SCATTER_PROD(ops.WHERE(zero, one, x), *indices, shape=shape, axes=axes)
    zeros = SCATTER_ADD(ops.CAST(zero, dtype=x.type.dtype.computed), *indices, shape=shape, axes=axes)
    own = ops.CAST(zero, dtype=zeros.type.dtype)
    alone = ops.EQ(GATHER(zeros, *indices, axes=axes), own)
    part = ops.DIV(GATHER(ops.MUL(ct, rest), *indices, axes=axes), ops.WHERE(zero, one, x))
    return ops.WHERE(alone, part, ops.zeros_like(x)), *(None for _ in indices)


def _d_scatter(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    indices = node.inputs[1:]
    return GATHER(ct, *indices, axes=node.attrs["axes"]), *(None for _ in indices)


# gather(x, i, j, ..., axes): x[..., i, ..., j, ...], the indices at `axes`, the dimensions of the (equal)
# shape of the indices first; 0 where an index is outside of its axis. Who must not read there asks, too.
GATHER: Op = define(
    "gather", "index", _infer_gather, _gather, _d_gather, None, "biuf", attrs=("axes",), flops=4,
    samples=(
        Sample(((9,), (5,)), {"axes": (0,)}, indices=(9,)),
        Sample(((4, 6), (3, 2)), {"axes": (1,)}, indices=(6,)),
        Sample(((6, 3), (4,)), {"axes": (0,)}, indices=(6,)),
        Sample(((4, 2, 5), (7,), (7,)), {"axes": (2, 0)}, indices=(5, 4)),
    ),
    of_complex=linear, batch=batch.gather,
)  # fmt: skip


def _scattered(name: str, of: Fold, vjp: Vjp, rows: int, **more: Any) -> Op:
    """`rows` of the samples go to some five places."""
    kinds = of.states[0].kinds
    return define(
        name, "index", _infer_scatter(name, kinds), _scatter(of), vjp, of.name, kinds,
        attrs=("shape", "axes"), sizes=("shape",), flops=4,
        samples=(
            Sample(((20,), (20,)), {"shape": (6,), "axes": (0,)}, indices=(6,)),
            Sample(((rows, 3), (rows,)), {"shape": (4, 3), "axes": (0,)}, indices=(4,)),
            Sample(((rows, 3), (rows,)), {"shape": (3, 4), "axes": (1,)}, indices=(4,)),
            Sample(((rows, 2),) * 3, {"shape": (3, 4), "axes": (0, 1)}, indices=(3, 4)),
        ),
        batch=batch.scatter, **more,
    )  # fmt: skip


# scatter_add(s, i, j, ..., shape, axes): zeros of `shape`, to which s is added at the indices, as gather
# reads there: term after term in row-major order of s. What is outside is left out. scatter_max, scatter_min:
# the extreme of what comes to a place; the least, or greatest, value where nothing does. scatter_prod: the
# product, in this order; 1 where nothing comes.
SCATTER_ADD: Op = _scattered("scatter_add", fold("sum"), _d_scatter, 5, exact=False, of_complex=linear)
SCATTER_MAX: Op = _scattered("scatter_max", fold("max"), _d_extreme, 30)
SCATTER_MIN: Op = _scattered("scatter_min", fold("min"), _d_extreme, 30)
SCATTER_PROD: Op = _scattered("scatter_prod", fold("prod"), _d_product, 5, exact=False)
SCATTERS = (SCATTER_ADD, SCATTER_MAX, SCATTER_MIN, SCATTER_PROD)
