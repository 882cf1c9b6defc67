"""What a reduction may do: one record a fold. Who meets a name that is not here gets an error.

r = fold(x0, x1, ...)  =>  acc = identity;  acc = step(acc, x0);  acc = step(acc, x1);  ...
and lanes, blocks and threads, each with an `acc` of its own, are joined by `merge`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .data import data
from .types import DType, f16, f32

Number = float | int | bool


@data
class Fold:
    """`merge`: the elementwise op that joins two values. A step joins the accumulator and one argument; of
    two arguments their product, in one rounding. `kinds` of dtypes that it takes; `identity`: where an
    accumulator starts; `neutral`: what changes nothing, not even the sign of a zero; `wide`: float16 is
    accumulated in float32; `total`: how a reduction over the outer axes is written."""

    name: str
    merge: str
    arguments: int
    kinds: str
    wide: bool
    identity: Callable[[DType], Number]
    neutral: Callable[[DType], Number]
    evaluate: np.ufunc
    total: str

    @property
    def takes(self) -> str:
        return "one argument" if self.arguments == 1 else "two arguments"

    def accumulator(self, dtype: DType) -> DType:
        """The dtype in which values of `dtype` are accumulated."""
        return f32 if self.wide and dtype is f16 else dtype


def _nothing(dtype: DType) -> Number:
    return 0


def _nothing_signed(dtype: DType) -> Number:
    return -0.0 if dtype.is_float else 0


def _one(dtype: DType) -> Number:
    return 1


def _limit(side: int) -> Callable[[DType], Number]:
    """The least value of a dtype (side 0), or the greatest (1)."""

    def limit(dtype: DType) -> Number:
        if dtype.kind == "b":
            return bool(side)
        if dtype.kind == "f":
            return (-float("inf"), float("inf"))[side]
        low = 0 if dtype.kind == "u" else -(1 << (dtype.bits - 1))
        return (low, low + (1 << dtype.bits) - 1)[side]

    return limit


_LEAST, _MOST = _limit(0), _limit(1)
_RECORDS = (
    Fold("sum", "add", 1, "iuf", True, _nothing, _nothing_signed, np.add, "+="),
    Fold("dot", "add", 2, "iuf", True, _nothing, _nothing_signed, np.add, "+= dot"),
    Fold("prod", "mul", 1, "iuf", True, _one, _one, np.multiply, "prod="),
    Fold("max", "max", 1, "biuf", False, _LEAST, _LEAST, np.maximum, "max="),
    Fold("min", "min", 1, "biuf", False, _MOST, _MOST, np.minimum, "min="),
)
FOLDS = {fold.name: fold for fold in _RECORDS}


def fold(name: str) -> Fold:
    """The record of that name. ValueError if there is none."""
    if name not in FOLDS:
        raise ValueError(f"`{name}` is not a reduction ({', '.join(FOLDS)})")
    return FOLDS[name]
