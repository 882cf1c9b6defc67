"""Views: what is computed stays as it is, its subscripts change."""

from __future__ import annotations

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.types import TensorType, b1, tensor_type
from . import batch
from .complex import linear
from .record import Array, Attrs, Guard, Ix, Op, Sample, Subscript, Types, View, define, fail, operands


def _infer_reshape(types: Types, attrs: Attrs) -> TensorType:
    operands("reshape", types, 1)
    result = tensor_type(types[0].dtype, tuple(attrs["shape"]))
    if result.size != types[0].size:
        fail("reshape", f"{types[0]} has {types[0].size} elements, {result} has {result.size}")
    return result


def _index_reshape(attrs: Attrs, shape: tuple[int, ...], index: tuple[Subscript, ...]) -> View | None:
    """Only extents of 1 come and go; anything else changes the order of a strided walk."""
    kept = [ix for ix, n in zip(index, attrs["shape"], strict=True) if n != 1]
    if [n for n in shape if n != 1] != [n for n in attrs["shape"] if n != 1]:
        return None
    rest = iter(kept)
    return tuple(Ix(None) if n == 1 else next(rest) for n in shape), ()


def _infer_transpose(types: Types, attrs: Attrs) -> TensorType:
    operands("transpose", types, 1)
    perm = attrs["perm"]
    if sorted(perm) != list(range(types[0].ndim)):
        fail("transpose", f"{perm} is not a permutation of the {types[0].ndim} axes")
    return tensor_type(types[0].dtype, tuple(types[0].shape[p] for p in perm))


def _index_transpose(attrs: Attrs, shape: tuple[int, ...], index: tuple[Subscript, ...]) -> View | None:
    source: list[Subscript] = [Ix(None)] * len(shape)
    for ix, p in zip(index, attrs["perm"], strict=True):
        source[p] = ix
    return tuple(source), ()


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(perm.index(k) for k in range(len(perm)))


def _infer_broadcast(types: Types, attrs: Attrs) -> TensorType:
    operands("broadcast", types, 1)
    shape = tuple(attrs["shape"])
    source = types[0].shape
    if not source:
        return tensor_type(types[0].dtype, shape)
    tail = shape[len(shape) - len(source) :]
    if len(source) > len(shape) or any(n not in (1, m) for n, m in zip(source, tail, strict=True)):
        fail("broadcast", f"shape {source} does not broadcast to {shape}")
    return tensor_type(types[0].dtype, shape)


def _index_broadcast(attrs: Attrs, shape: tuple[int, ...], index: tuple[Subscript, ...]) -> View | None:
    tail = index[len(index) - len(shape) :]
    return tuple(Ix(None) if n == 1 else ix for ix, n in zip(tail, shape, strict=True)), ()


def _d_broadcast(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    source = node.inputs[0].shape
    lead = ct.type.ndim - len(source)
    stretched = tuple(d for d, n in enumerate(ct.shape) if d < lead or (source[d - lead] == 1 and n != 1))
    total = (ops.any_ if ct.type.dtype is b1 else ops.sum_)(ct, stretched)
    return (reshape(total, source),)


def _infer_slice(types: Types, attrs: Attrs) -> TensorType:
    operands("slice", types, 1)
    starts, steps, counts = attrs["starts"], attrs["steps"], attrs["counts"]
    if not len(starts) == len(steps) == len(counts) == types[0].ndim:
        fail("slice", f"{types[0]} needs {types[0].ndim} starts, steps and counts")
    for start, step, count, n in zip(starts, steps, counts, types[0].shape, strict=True):
        last = start + (count - 1) * step
        if count < 0 or step == 0 or (count and not (0 <= start < n and 0 <= last < n)):
            fail("slice", f"{start}:{step}:{count} (start:step:count) is outside of {n} elements")
    return tensor_type(types[0].dtype, tuple(counts))


def _index_slice(attrs: Attrs, shape: tuple[int, ...], index: tuple[Subscript, ...]) -> View | None:
    return tuple(
        ix._replace(step=ix.step * step, offset=ix.offset * step + start)
        for ix, start, step in zip(index, attrs["starts"], attrs["steps"], strict=True)
    ), ()


def _slice(attrs: Attrs, x: Array) -> Array:
    every = zip(attrs["starts"], attrs["steps"], attrs["counts"], strict=True)
    return np.asarray(x[np.ix_(*(start + step * np.arange(count) for start, step, count in every))])


def _d_slice(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """The cotangent, spread over zeros: axis by axis, flip, space out by the step, pad."""
    for axis, (start, step, count, n) in enumerate(
        zip(*(node.attrs[k] for k in ("starts", "steps", "counts")), node.inputs[0].shape, strict=True)
    ):
        if (start, step, count) == (0, 1, n):
            continue
        if step < 0:
            ct = flip(ct, axis)
            start, step = start + (count - 1) * step, -step
        ct = spaced(ct, axis, step)
        ct = pad_axis(ct, axis, start, n - start - ct.shape[axis])
    return (ct,)


def _infer_pad(types: Types, attrs: Attrs) -> TensorType:
    operands("pad", types, 1)
    lo, hi = attrs["lo"], attrs["hi"]
    if len(lo) != types[0].ndim or len(hi) != types[0].ndim or min((*lo, *hi), default=0) < 0:
        fail("pad", f"{types[0]} needs {types[0].ndim} non-negative widths, got {lo}, {hi}")
    shape = tuple(a + n + b for a, n, b in zip(lo, types[0].shape, hi, strict=True))
    return tensor_type(types[0].dtype, shape)


def _index_pad(attrs: Attrs, shape: tuple[int, ...], index: tuple[Subscript, ...]) -> View | None:
    source, guards = [], []
    for ix, lo, hi, n in zip(index, attrs["lo"], attrs["hi"], shape, strict=True):
        if lo == hi == 0:
            source.append(ix)
        elif not isinstance(ix, Ix) or ix.axis is None or ix.step != 1:
            return None
        else:
            source.append(Ix(ix.axis, 1, ix.offset - lo))
            guards.append(Guard(ix.axis, lo - ix.offset, lo - ix.offset + n))
    return tuple(source), tuple(guards)


RESHAPE: Op = define(
    "reshape", "view", _infer_reshape, lambda attrs, x: x.reshape(attrs["shape"]),
    lambda n, ct, _: (RESHAPE(ct, shape=n.inputs[0].shape),), _index_reshape, "biuf",
    attrs=("shape",), sizes=("shape",),
    samples=(
        Sample(((6,),), {"shape": (2, 3)}), Sample(((2, 3),), {"shape": (3, 2)}),
        Sample(((2, 3),), {"shape": (2, 1, 3)}), Sample(((1,),), {"shape": ()}),
    ),
    of_complex=linear,
)  # fmt: skip
TRANSPOSE: Op = define(
    "transpose", "view", _infer_transpose, lambda attrs, x: x.transpose(attrs["perm"]),
    lambda n, ct, _: (TRANSPOSE(ct, perm=_inverse(n.attrs["perm"])),), _index_transpose, "biuf",
    attrs=("perm",),
    samples=(Sample(((3, 5),), {"perm": (1, 0)}), Sample(((2, 3, 4),), {"perm": (2, 0, 1)})),
    of_complex=linear,
)  # fmt: skip
BROADCAST = define(
    "broadcast", "view", _infer_broadcast,
    lambda attrs, x: np.broadcast_to(x, attrs["shape"]), _d_broadcast, _index_broadcast, "biuf",
    attrs=("shape",), sizes=("shape",),
    samples=(
        Sample(((),), {"shape": (4,)}), Sample(((5,),), {"shape": (3, 5)}),
        Sample(((3, 1),), {"shape": (2, 3, 5)}),
    ),
    of_complex=linear, batch=batch.broadcast,
)  # fmt: skip
# Element start + k * step of each axis, for k < count; steps may be negative.
SLICE = define(
    "slice", "view", _infer_slice, _slice, _d_slice, _index_slice, "biuf",
    attrs=("starts", "steps", "counts"), sizes=("starts", "counts"),
    samples=(
        Sample(((9,),), {"starts": (2,), "steps": (1,), "counts": (5,)}),
        Sample(((9,),), {"starts": (8,), "steps": (-3,), "counts": (3,)}),
        Sample(((4, 9),), {"starts": (1, 0), "steps": (2, 4), "counts": (2, 3)}),
    ),
    of_complex=linear,
)  # fmt: skip
# Zeros around.
PAD = define(
    "pad", "view", _infer_pad,
    lambda attrs, x: np.pad(x, [*zip(attrs["lo"], attrs["hi"], strict=True)]) if x.ndim else x,
    lambda n, ct, _: (SLICE(ct, starts=n.attrs["lo"], steps=(1,) * ct.type.ndim, counts=n.inputs[0].shape),),
    _index_pad, "biuf", attrs=("lo", "hi"), sizes=("lo", "hi"),
    samples=(
        Sample(((5,),), {"lo": (2,), "hi": (1,)}),
        Sample(((3, 4),), {"lo": (0, 3), "hi": (2, 0)}),
    ),
    of_complex=linear,
)  # fmt: skip


def reshape(node: Node, shape: tuple[int, ...]) -> Node:
    return node if node.shape == shape else RESHAPE(node, shape=shape)


def narrow(node: Node, axis: int, start: int, count: int) -> Node:
    """`count` elements of one axis from `start`."""
    starts, counts = [0] * node.type.ndim, list(node.shape)
    if (start, count) == (0, counts[axis]):
        return node
    starts[axis], counts[axis] = start, count
    return SLICE(node, starts=tuple(starts), steps=(1,) * len(starts), counts=tuple(counts))


def backwards(node: Node, axis: int, step: int) -> Node:
    """Every `step`th element of one axis, from the last one on."""
    starts, steps, counts = [0] * node.type.ndim, [1] * node.type.ndim, list(node.shape)
    if counts[axis]:
        starts[axis], steps[axis], counts[axis] = counts[axis] - 1, -step, -(-counts[axis] // step)
    return SLICE(node, starts=tuple(starts), steps=tuple(steps), counts=tuple(counts))


def flip(node: Node, axis: int) -> Node:
    """One axis, reversed."""
    return backwards(node, axis, 1)


def spaced(node: Node, axis: int, step: int) -> Node:
    """The elements of one axis, `step` apart, zeros between them."""
    count = node.shape[axis]
    if step == 1 or not count:
        return node
    before, after = node.shape[:axis], node.shape[axis + 1 :]
    apart = pad_axis(reshape(node, (*before, count, 1, *after)), axis + 1, 0, step - 1)
    return narrow(reshape(apart, (*before, count * step, *after)), axis, 0, (count - 1) * step + 1)


def pad_axis(node: Node, axis: int, lo: int, hi: int) -> Node:
    if lo == hi == 0:
        return node
    los, his = [0] * node.type.ndim, [0] * node.type.ndim
    los[axis], his[axis] = lo, hi
    return PAD(node, lo=tuple(los), hi=tuple(his))
