"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..ir.graph import Node
from ..ir.types import TensorType, b1, tensor_type
from .elementwise import CAST, DIV, EQ, NE, OR, WHERE
from .leaves import CONST, fill, zeros_like
from .record import Array, Attrs, Op, Sample, Types, fail, operands, register
from .view import BROADCAST, PAD, reshape


def kept_dims(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with 1 at `axes`: a reduction's result, made broadcastable to its operand again."""
    return tuple(1 if d in axes else n for d, n in enumerate(shape))


def _reduction(name: str, kinds: str) -> Callable[..., TensorType]:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        operands(name, types, 1)
        axes = attrs["axes"]
        if len(set(axes)) != len(axes) or any(not 0 <= a < types[0].ndim for a in axes):
            fail(name, f"axes {axes} do not fit {types[0]}")
        if types[0].dtype.kind not in kinds:
            fail(name, f"not defined for {types[0].dtype.numpy}")
        shape = tuple(n for d, n in enumerate(types[0].shape) if d not in axes)
        if name != "sum" and any(types[0].shape[a] == 0 for a in axes):
            raise ValueError(f"{name} of zero elements has no value (operand {types[0]})")
        return tensor_type(types[0].dtype, shape)

    return infer


def _sum(attrs: Attrs, x: Array) -> Array:
    """float16 accumulates in float32, as the kernels do."""
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    with np.errstate(all="ignore"):
        return np.asarray(np.sum(x, axis=attrs["axes"], dtype=wide)).astype(x.dtype)


def _d_sum(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    shape = node.inputs[0].shape
    kept = reshape(ct, kept_dims(shape, node.attrs["axes"]))
    return (kept if kept.shape == shape else BROADCAST(kept, shape=shape),)


def _d_extreme(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Equal shares to all elements that attain the extreme: where that is NaN, those that are NaN."""
    x, axes = node.inputs[0], node.attrs["axes"]

    def spread(n: Node) -> Node:
        kept = reshape(n, kept_dims(x.shape, axes))
        return kept if kept.shape == x.shape else BROADCAST(kept, shape=x.shape)

    hit = OR(EQ(x, spread(node)), NE(x, x))  # one NaN among the elements makes the extreme NaN
    share = DIV(ct, SUM(CAST(hit, dtype=ct.type.dtype), axes=axes))
    return (WHERE(hit, spread(share), zeros_like(x)),)


_REDUCE_SAMPLES = (
    Sample(((7,),), {"axes": (0,)}), Sample(((3, 5),), {"axes": (1,)}),
    Sample(((3, 5),), {"axes": (0,)}), Sample(((3, 5),), {"axes": (0, 1)}),
    Sample(((2, 3, 4),), {"axes": (0, 2)}),
)  # fmt: skip
SUM = register(
    Op(
        "sum", "reduce", _reduction("sum", "iuf"), _sum, _d_sum, "sum", "iuf",
        attrs=("axes",), samples=_REDUCE_SAMPLES, exact=False,
    )
)  # fmt: skip
AMAX = register(
    Op(
        "amax", "reduce", _reduction("amax", "biuf"),
        lambda attrs, x: np.asarray(np.max(x, axis=attrs["axes"])), _d_extreme, "max", "biuf",
        attrs=("axes",), samples=_REDUCE_SAMPLES,
    )
)  # fmt: skip
AMIN = register(
    Op(
        "amin", "reduce", _reduction("amin", "biuf"),
        lambda attrs, x: np.asarray(np.min(x, axis=attrs["axes"])), _d_extreme, "min", "biuf",
        attrs=("axes",), samples=_REDUCE_SAMPLES,
    )
)  # fmt: skip


def sum_(node: Node, axes: tuple[int, ...]) -> Node:
    return SUM(node, axes=axes) if axes else node


def any_(mask: Node, axes: tuple[int, ...]) -> Node:
    """Whether any of the elements along `axes` is true; without a reduction where all of them are alike."""
    if not axes:
        return mask
    shape = tuple([n for d, n in enumerate(mask.shape) if d not in axes])
    source = mask.inputs[0] if mask.inputs else mask
    if mask.op is BROADCAST:
        lead = mask.type.ndim - source.type.ndim
        return fill(any_(source, tuple([a - lead for a in axes if a >= lead])), shape)
    if mask.op is PAD:
        lo, hi = ([n for d, n in enumerate(mask.attrs[k]) if d not in axes] for k in ("lo", "hi"))
        return PAD(any_(source, axes), lo=tuple(lo), hi=tuple(hi))
    if any(mask.shape[a] == 0 for a in axes):
        return fill(CONST(value=False, dtype=b1), shape)
    return AMAX(mask, axes=axes)
