"""Ops that know where an element is, or are told by data where to look."""

from __future__ import annotations

import numpy as np

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
        "iota", "index", _infer_iota, _iota, None, None, "",
        attrs=("shape", "axis"), sizes=("shape",), flops=0,
        samples=(Sample((), {"shape": (7,), "axis": 0}), Sample((), {"shape": (3, 5), "axis": 1})),
    )
)  # fmt: skip
