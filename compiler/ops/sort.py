"""Sorting: which elements stand where, and the elements in their order."""

from __future__ import annotations

import numpy as np

from ..ir.graph import Node
from ..ir.types import TensorType, from_numpy, i64, tensor_type
from .index import IOTA, sums_at
from .record import Array, Attrs, Sample, Types, define, fail, operands


def _operand(name: str, types: Types, attrs: Attrs) -> TensorType:
    operands(name, types, 1)
    if not 0 <= attrs["axis"] < types[0].ndim:
        fail(name, f"{types[0]} has no axis {attrs['axis']}")
    return types[0]


def order(x: Array, axis: int, falling: bool) -> Array:
    """Positions in ascending order, NaN last; in descending order, NaN first. Equal ones as they stand."""
    if not falling:
        return np.argsort(x, axis=axis, kind="stable")
    turned = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(turned, axis))


def ordered(x: Array, axis: int, falling: bool) -> Array:
    """The elements in that order, but -0 before 0."""
    found = np.sort(x, axis, kind="stable")  # by AVX-512, NumPy 2.4's other sort of float16 loses elements
    if from_numpy(x.dtype).is_float:
        zero = found == 0
        minus = np.count_nonzero((x == 0) & np.signbit(x), axis=axis, keepdims=True)
        sign = np.where(np.cumsum(zero, axis) <= minus, -1, 1)
        found = np.where(zero, np.copysign(np.zeros_like(x), sign.astype(x.dtype)), found)
    return np.flip(found, axis) if falling else found


def _infer_first(types: Types, attrs: Attrs) -> TensorType:
    axis, (count,) = attrs["axis"], attrs["count"]
    shape = _operand("argtop", types, attrs).shape
    if not 1 < count <= shape[axis]:
        fail("argtop", f"{count} of {shape[axis]} elements")
    return tensor_type(i64, (*shape[:axis], count, *shape[axis + 1 :]))


def _argtop(attrs: Attrs, x: Array) -> Array:
    found = order(x, attrs["axis"], attrs["falling"])
    return np.take(found, np.arange(attrs["count"][0]), axis=attrs["axis"])


# Positions along an axis in ascending order of what is there; equal ones in theirs, NaN last.
ARGSORT = define(
    "argsort", "sort", lambda types, attrs: tensor_type(i64, _operand("argsort", types, attrs).shape),
    lambda attrs, x: order(x, attrs["axis"], False), None, None, "biuf", attrs=("axis",), flops=0,
    samples=(
        Sample(((9,),), {"axis": 0}), Sample(((3, 5),), {"axis": 0}), Sample(((3, 5),), {"axis": 1}),
    ),
)  # fmt: skip
# The first `count` of them, at least 2, `falling` in descending order.
ARGTOP = define(
    "argtop", "sort", _infer_first, _argtop, None, None, "biuf", attrs=("axis", "count", "falling"),
    sizes=("count",), flops=0,
    samples=(
        Sample(((9,),), {"axis": 0, "count": (4,), "falling": True}),
        Sample(((3, 5),), {"axis": 0, "count": (2,), "falling": True}),
        Sample(((3, 5),), {"axis": 1, "count": (3,), "falling": False}),
    ),
)  # fmt: skip


def sorted_from(node: Node) -> tuple[Node, ...]:
    """Where the elements of a sort stood, along each axis: equal ones in a stable order."""
    (x,), axis = node.inputs, node.attrs["axis"]
    count = (x.shape[axis],)
    falling = node.attrs["falling"] and count > (1,)
    places = ARGTOP(x, axis=axis, count=count, falling=True) if falling else ARGSORT(x, axis=axis)
    return tuple([places if k == axis else IOTA(shape=x.shape, axis=k) for k in range(x.type.ndim)])


def _d_sort(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    return (sums_at(ct, *sorted_from(node), shape=node.shape, axes=tuple(range(node.type.ndim))),)


# The elements along an axis in ascending order, NaN last, or `falling`, NaN first; -0 before 0.
SORT = define(
    "sorted", "sort", lambda types, attrs: _operand("sorted", types, attrs),
    lambda attrs, x: ordered(x, attrs["axis"], attrs["falling"]), _d_sort, None, "biuf",
    attrs=("axis", "falling"), flops=0,
    samples=(
        Sample(((9,),), {"axis": 0, "falling": False}), Sample(((3, 5),), {"axis": 0, "falling": True}),
        Sample(((3, 5),), {"axis": 1, "falling": False}),
    ),
)  # fmt: skip
