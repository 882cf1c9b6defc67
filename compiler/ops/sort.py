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


def _argsort(attrs: Attrs, x: Array) -> Array:
    return np.argsort(x, axis=attrs["axis"], kind="stable")


# Positions along an axis in ascending order of what is there; equal ones in theirs, NaN last.
ARGSORT = register(
    Op(
        "argsort", "sort", _infer, _argsort, None, None, "biuf", attrs=("axis",), flops=0,
        samples=(
            Sample(((9,),), {"axis": 0}), Sample(((3, 5),), {"axis": 0}), Sample(((3, 5),), {"axis": 1}),
        ),
    )
)  # fmt: skip
