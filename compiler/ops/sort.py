"""Sorting: which elements stand where. Sorted values are gathered by it."""

from __future__ import annotations

import numpy as np

from ..ir.types import TensorType, i64, tensor_type
from .record import Array, Attrs, Op, Sample, Types, fail, operands, register


def _infer(types: Types, attrs: Attrs) -> TensorType:
    operands("argsort", types, 1)
    if not 0 <= attrs["axis"] < types[0].ndim:
        fail("argsort", f"{types[0]} has no axis {attrs['axis']}")
    return tensor_type(i64, types[0].shape)


def order(x: Array, axis: int, falling: bool) -> Array:
    """Positions in ascending order, NaN last; in descending order, NaN first. Equal ones as they stand."""
    if not falling:
        return np.argsort(x, axis=axis, kind="stable")
    turned = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(turned, axis))


def _argsort(attrs: Attrs, x: Array) -> Array:
    return order(x, attrs["axis"], False)


def _infer_first(types: Types, attrs: Attrs) -> TensorType:
    operands("argtop", types, 1)
    axis, (count,) = attrs["axis"], attrs["count"]
    if not 0 <= axis < types[0].ndim:
        fail("argtop", f"{types[0]} has no axis {axis}")
    shape = types[0].shape
    if not 1 < count <= shape[axis]:
        fail("argtop", f"{count} of {shape[axis]} elements")
    return tensor_type(i64, (*shape[:axis], count, *shape[axis + 1 :]))


def _argtop(attrs: Attrs, x: Array) -> Array:
    found = order(x, attrs["axis"], attrs["falling"])
    return np.take(found, np.arange(attrs["count"][0]), axis=attrs["axis"])


# Positions along an axis in ascending order of what is there; equal ones in theirs, NaN last.
ARGSORT = register(
    Op(
        "argsort", "sort", _infer, _argsort, None, None, "biuf", attrs=("axis",), flops=0,
        samples=(
            Sample(((9,),), {"axis": 0}), Sample(((3, 5),), {"axis": 0}), Sample(((3, 5),), {"axis": 1}),
        ),
    )
)  # fmt: skip
# The first `count` of them, at least 2, `falling` in descending order.
ARGTOP = register(
    Op(
        "argtop", "sort", _infer_first, _argtop, None, None, "biuf", attrs=("axis", "count", "falling"),
        sizes=("count",), flops=0,
        samples=(
            Sample(((9,),), {"axis": 0, "count": (4,), "falling": True}),
            Sample(((3, 5),), {"axis": 0, "count": (2,), "falling": True}),
            Sample(((3, 5),), {"axis": 1, "count": (3,), "falling": False}),
        ),
    )
)  # fmt: skip
