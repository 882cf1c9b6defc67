"""Ops that know where an element is, or are told by data where to look."""

from __future__ import annotations

import numpy as np

from ..ir.graph import Node
from ..ir.types import TensorType, i64, tensor_type
from .record import Array, Attrs, Op, Sample, Types, fail, operands, register


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
IOTA = register(
    Op(
        "iota", "index", _infer_iota, _iota, None, None, "i",
        attrs=("shape", "axis"), sizes=("shape",), flops=0,
        samples=(Sample((), {"shape": (7,), "axis": 0}), Sample((), {"shape": (3, 5), "axis": 1})),
    )
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


def _d_gather(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    x, *indices = node.inputs
    back = SCATTER_ADD(ct, *indices, shape=x.shape, axes=node.attrs["axes"])
    return back, *(None for _ in indices)


def _infer_scatter(types: Types, attrs: Attrs) -> TensorType:
    axes, shape, (source, *indices) = attrs["axes"], tuple(attrs["shape"]), types
    _check("scatter_add", indices, axes, len(shape))
    expected = (*indices[0].shape, *(n for d, n in enumerate(shape) if d not in axes))
    if source.shape != expected or source.dtype.kind not in "iuf":
        fail("scatter_add", f"{source} cannot be added to shape {shape} at {indices[0]} of axes {axes}")
    return tensor_type(source.dtype, shape)


def _scatter(attrs: Attrs, source: Array, *indices: Array) -> Array:
    """Term by term, in order: float16 is rounded each time, so callers add in float32."""
    axes, shape = attrs["axes"], attrs["shape"]
    inside, safe = _inside(attrs, shape, indices)
    total = np.zeros(shape, source.dtype)
    front = np.moveaxis(total, axes, range(len(axes)))  # a view
    with np.errstate(all="ignore"):
        np.add.at(front, tuple(i[inside] for i in safe), source[inside])
    return total


def _d_scatter(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    indices = node.inputs[1:]
    return GATHER(ct, *indices, axes=node.attrs["axes"]), *(None for _ in indices)


# gather(x, i, j, ..., axes): x[..., i, ..., j, ...], the indices at `axes`, the dimensions of the (equal)
# shape of the indices first; 0 where an index is outside of its axis. Who must not read there asks, too.
GATHER: Op = register(
    Op(
        "gather", "index", _infer_gather, _gather, _d_gather, None, "biuf", attrs=("axes",), flops=4,
        samples=(
            Sample(((9,), (5,)), {"axes": (0,)}, indices=(9,)),
            Sample(((4, 6), (3, 2)), {"axes": (1,)}, indices=(6,)),
            Sample(((6, 3), (4,)), {"axes": (0,)}, indices=(6,)),
            Sample(((4, 2, 5), (7,), (7,)), {"axes": (2, 0)}, indices=(5, 4)),
        ),
    )
)  # fmt: skip
# scatter_add(s, i, j, ..., shape, axes): zeros of `shape`, to which s is added at the indices, as gather
# reads there: term after term in row-major order of s. What is outside is left out.
SCATTER_ADD: Op = register(
    Op(
        "scatter_add", "index", _infer_scatter, _scatter, _d_scatter, None, "iuf",
        attrs=("shape", "axes"), sizes=("shape",), flops=4, exact=False,
        samples=(
            Sample(((20,), (20,)), {"shape": (6,), "axes": (0,)}, indices=(6,)),
            Sample(((5, 3), (5,)), {"shape": (4, 3), "axes": (0,)}, indices=(4,)),
            Sample(((5, 3), (5,)), {"shape": (3, 4), "axes": (1,)}, indices=(4,)),
            Sample(((3, 2), (3, 2), (3, 2)), {"shape": (4, 5), "axes": (0, 1)}, indices=(4, 5)),
        ),
    )
)  # fmt: skip
