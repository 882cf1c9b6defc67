"""Norms, under the names of NumPy's `linalg`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import f16, f32, f64

from . import shapes
from .creation import asarray
from .errors import public
from .promote import cast, float_dtype
from .reductions import one_of
from .tensor import Tensor, apply

__all__ = ["norm"]


@public
def norm(
    x: Any, ord: float | str | None = None, axis: int | Sequence[int] | None = None, keepdims: bool = False,
    *, dim: int | Sequence[int] | None = None, keepdim: bool = False,
) -> Tensor:  # fmt: skip
    """The length of vectors along `axis` (all axes by default): sqrt(sum(x²)). Its gradient where all
    elements are 0 is 0, and so is the second one.

    `ord`: None, "fro" or, over one axis, 2 is that length; over one axis 1 is the sum, inf the greatest and
    -inf the least of the absolute values. Integers are computed in float64, float16 in float32. Lengths of
    float32 are computed in float64, so no square overflows or vanishes; squares of float64 do, beyond 1e154
    and below 1e-154, as NumPy's. ValueError for other norms.
    """
    return apply(_norm, asarray(x), ord=ord, axis=one_of(axis, dim), keepdims=keepdims or keepdim)


def _norm(x: Node, *, ord: float | str | None, axis: Any, keepdims: bool) -> Node:
    result = float_dtype(x)
    x = cast(x, f32 if result is f16 else result)
    axes = shapes.normal_axes(axis, x.type.ndim)
    if ord is None or (ord == "fro" and len(axes) == 2) or (ord == 2 and len(axes) == 1):
        if result is f32:
            x = cast(x, f64)
        length = ops.SQRT(shapes.sum_(ops.MUL(x, x), axis=axes, keepdims=keepdims))
    elif len(axes) == 1 and ord in (1, math.inf, -math.inf):
        reduce = shapes.sum_ if ord == 1 else shapes.amax if ord == math.inf else shapes.amin
        length = reduce(ops.ABS(x), axis=axes, keepdims=keepdims)
    else:
        raise ValueError(
            f"norm: ord={ord!r} over {len(axes)} axes; expected None, or over one axis 1, 2, inf, -inf"
        )
    return cast(length, result)
