"""Windows that slide along axes, and what is made of them."""

from __future__ import annotations

from math import prod

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.rounding import computed
from ..ir.types import TensorType, b1, tensor_type
from . import batch
from .complex import bilinear, linear
from .index import sums_at
from .joined import joined
from .record import Array, Attrs, Ix, Op, Sample, Subscript, Sum, Types, View, define, fail, operands
from .view import flip, narrow, pad_axis, reshape, spaced

# A gradient adds up so many slices in one expression; of larger windows it adds at places.
SLICES = 16


def _infer_window(types: Types, attrs: Attrs) -> TensorType:
    operands("window", types, 1)
    axis, size, step, dilation = (attrs[k] for k in ("axis", "size", "step", "dilation"))
    if not 0 <= axis < types[0].ndim or min(size, step, dilation) < 1:
        fail("window", f"{types[0]} has no windows of {size} by steps of {step} along axis {axis}")
    span, extent = dilation * (size - 1) + 1, types[0].shape[axis]
    if span > extent:
        fail("window", f"a window of {span} is longer than axis {axis} of {types[0]}")
    shape = list(types[0].shape)
    shape[axis] = (extent - span) // step + 1
    return tensor_type(types[0].dtype, (*shape, size))


def _window(attrs: Attrs, x: Array) -> Array:
    axis, size, step, dilation = (attrs[k] for k in ("axis", "size", "step", "dilation"))
    whole = np.lib.stride_tricks.sliding_window_view(x, dilation * (size - 1) + 1, axis)
    return np.moveaxis(np.moveaxis(whole, axis, 0)[::step], 0, axis)[..., ::dilation]


def _index_window(attrs: Attrs, shape: tuple[int, ...], index: tuple[Subscript, ...]) -> View | None:
    *source, inner = index
    axis, step, dilation = attrs["axis"], attrs["step"], attrs["dilation"]
    outer = source[axis]
    terms: list[tuple[str, int]] = []
    for ix, scale in ((outer, step), (inner, dilation)):
        if not isinstance(ix, Ix):
            return None
        if ix.axis is not None:
            terms.append((ix.axis, ix.step * scale))
    offset = outer.offset * step + inner.offset * dilation
    if len(terms) < 2:
        source[axis] = Ix(*terms[0], offset) if terms else Ix(None, 1, offset)
    else:
        source[axis] = Sum(tuple(terms), 1, offset)
    return tuple(source), ()


def _d_window(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Element q step + r is the sum over a of what windows q - a have at their places a step + r: each such
    part of the windows is an array as long as x."""
    (x,), attrs = node.inputs, node.attrs
    axis, size, step, dilation = (attrs[k] for k in ("axis", "size", "step", "dilation"))
    last, count, extent = node.type.ndim - 1, node.shape[axis], x.shape[axis]
    if size > SLICES * step and ct.type.dtype is not b1:
        steps = [ops.IOTA(shape=(count, size), axis=k) for k in (0, 1)]
        place = ops.ADD(_times(steps[0], step), _times(steps[1], dilation))
        front = (axis, last, *(d for d in range(last) if d != axis))
        return (sums_at(ops.TRANSPOSE(ct, perm=front), place, shape=x.shape, axes=(axis,)),)
    total: Node | None = None
    dtype = ct.type.dtype  # not always that of x: masks come back, too
    if dtype.wide is not None:  # added in float32, and rounded once
        ct = ops.CAST(ct, dtype=dtype.wide)
    if step > 1:
        ct, dilation = spaced(ct, last, dilation), 1
    inner, cut = 0, x  # windows along other axes stand behind all others: memory shall not run along them
    while cut.op is WINDOW:
        inner, cut = inner + 1, cut.inputs[0]
    inner = inner if axis == last - 1 - inner else 0
    rest = range(last - inner, last)
    front = (*range(axis), *rest)
    ct = ops.TRANSPOSE(ct, perm=(*front, axis, last, *range(axis + 1, last - inner)))
    at, rows = axis + inner, -(-extent // step)
    for a in range(-(-ct.shape[at + 1] // step)):
        part = narrow(ct, at + 1, a * step, min(step, ct.shape[at + 1] - a * step))
        part = pad_axis(part, at, a * dilation, rows - a * dilation - count)
        part = pad_axis(part, at + 1, 0, step - part.shape[at + 1])
        total = part if total is None else (ops.OR if ct.type.dtype is b1 else ops.ADD)(total, part)
    assert total is not None
    total = reshape(total, (*total.shape[:at], rows * step, *total.shape[at + 2 :]))
    total = narrow(total, at, 0, extent)
    total = ops.TRANSPOSE(total, perm=(*range(axis), at, *range(axis, at), *range(at + 1, last)))
    return (total if dtype.wide is None else ops.CAST(total, dtype=dtype),)


def _times(node: Node, number: int) -> Node:
    return ops.MUL(node, ops.const(number, node))


# window(x, axis, size, step, dilation): x[..., step * i + dilation * k, ...], windows i along it, k last.
WINDOW: Op = define(
    "window", "view", _infer_window, _window, _d_window, _index_window, "biuf",
    attrs=("axis", "size", "step", "dilation"),
    samples=(
        Sample(((9,),), {"axis": 0, "size": 3, "step": 1, "dilation": 1}),
        Sample(((4, 11),), {"axis": 1, "size": 3, "step": 2, "dilation": 2}),
        Sample(((7, 3),), {"axis": 0, "size": 2, "step": 3, "dilation": 1}),
        Sample(((40, 2),), {"axis": 0, "size": 20, "step": 2, "dilation": 1}),
    ),
    of_complex=linear,
)  # fmt: skip


# --- convolutions ----------------------------------------------------------------------------------


def _infer_convolve(types: Types, attrs: Attrs) -> TensorType:
    operands("convolve", types, 2)
    (x, w), strides, dilations = types, attrs["strides"], attrs["dilations"]
    spatial = x.ndim - 3
    if spatial < 1 or w.ndim != x.ndim or not len(strides) == len(dilations) == spatial:
        fail("convolve", f"{x} and {w} with strides {strides} and dilations {dilations}")
    groups, channels = w.shape[0], w.shape[2]
    if x.dtype is not w.dtype or x.dtype.kind not in "iuf" or x.shape[1:3] != (groups, channels):
        fail("convolve", f"{x} and {w} must have one dtype, and as many groups and channels")
    found = []
    for n, k, step, dilation in zip(x.shape[3:], w.shape[3:], strides, dilations, strict=True):
        span = dilation * (k - 1) + 1
        if min(step, dilation) < 1 or k < 1 or span > n:
            fail("convolve", f"a window of {span} by steps of {step} does not fit {n} elements")
        found.append((n - span) // step + 1)
    return tensor_type(x.dtype, (x.shape[0], groups, w.shape[1], *found))


def _letters(count: int) -> tuple[str, str]:
    """Of the spatial axes of a result, and of a window."""
    return "defhij"[:count], "DEFHIJ"[:count]


def _places(attrs: Attrs, shape: tuple[int, ...]) -> list[Attrs]:
    """The windows along each spatial axis, for a window of `shape`."""
    every = zip(shape[3:], attrs["strides"], attrs["dilations"], strict=True)
    return [{"axis": 3 + d, "size": k, "step": s, "dilation": e} for d, (k, s, e) in enumerate(every)]


def _contraction(node: Node) -> Node:
    """A contraction of windows, which are a view: nothing is copied. Vectors run along windows side by side;
    or, of few windows of many elements, as those of the gradient of a window are, along these."""
    x, w = node.inputs
    for place in _places(node.attrs, w.shape):
        x = WINDOW(x, **place)
    ndim = w.type.ndim
    out, inner = _letters(ndim - 3)
    if prod(node.shape[3:]) < prod(w.shape[3:]):
        if node.shape[0] == node.shape[2] == 1:  # all are read once for a result: no matrices
            return _sums(x, w, node.shape)
        return ops.CONTRACT(x, w, spec=f"ngc{out}{inner},goc{inner}->ngo{out}")
    x = ops.TRANSPOSE(x, perm=(0, 1, 2, *range(ndim, 2 * ndim - 3), *range(3, ndim)))
    return ops.CONTRACT(w, x, spec=f"goc{inner},ngc{inner}{out}->ngo{out}")


def _sums(windows: Node, w: Node, shape: tuple[int, ...]) -> Node:
    """Of one row, by one window for each group."""
    ndim, dtype = w.type.ndim, w.type.dtype
    w = reshape(w, (1, w.shape[0], w.shape[2], *(1,) * (ndim - 3), *w.shape[3:]))
    sides = [windows, ops.fill(w, windows.shape)]
    if dtype.wide is not None:
        sides = [ops.CAST(n, dtype=dtype.wide) for n in sides]
    total = ops.SUM(ops.MUL(*sides), axes=(2, *range(ndim, 2 * ndim - 3)))
    return reshape(total if dtype.wide is None else ops.CAST(total, dtype=dtype), shape)


def _convolve(attrs: Attrs, x: Array, w: Array) -> Array:
    for place in _places(attrs, w.shape):
        x = _window(place, x)
    out, inner = _letters(w.ndim - 3)
    with np.errstate(all="ignore"):
        return computed(lambda x, w: np.einsum(f"ngc{out}{inner},goc{inner}->ngo{out}", x, w), x, w)


def _turned(node: Node, *first: int) -> Node:
    """The first three axes in another order."""
    return ops.TRANSPOSE(node, perm=(*first, *range(3, node.type.ndim)))


def _d_convolve(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """Both gradients are convolutions: of the cotangent with the turned window, see `_d_input`; and of the
    input with the cotangent as the window, strides and dilations exchanged."""
    x, w = node.inputs
    strides, dilations = node.attrs["strides"], node.attrs["dilations"]
    dx = _d_input(node, ct) if needs[0] else None
    if not needs[1]:
        return dx, None
    for place in _places(node.attrs, w.shape):  # what no window reads
        axis, span = place["axis"], place["dilation"] * (place["size"] - 1) + 1
        x = narrow(x, axis, 0, span + place["step"] * (node.shape[axis] - 1))
    dw = CONVOLVE(_turned(x, 2, 1, 0), _turned(ct, 1, 2, 0), strides=dilations, dilations=strides)
    return dx, _turned(dw, 1, 2, 0)


def _d_input(node: Node, ct: Node) -> Node:
    """Element q step + r of x meets places a step + r of windows q - a: so the places r of a step are
    channels of a convolution by steps of 1 over a, and what these give is put side by side."""
    (x, w), spatial = node.inputs, range(len(node.attrs["strides"]))
    steps, apart = list(node.attrs["strides"]), list(node.attrs["dilations"])
    if all(step == 1 for step in steps):
        for d in spatial:
            w, span = flip(w, 3 + d), (w.shape[3 + d] - 1) * apart[d]
            ct = pad_axis(ct, 3 + d, span, x.shape[3 + d] - ct.shape[3 + d])
        return CONVOLVE(ct, _turned(w, 0, 2, 1), strides=tuple(steps), dilations=tuple(apart))
    for d in spatial:
        axis, step = 3 + 2 * d, steps[d]  # an axis of w is two, a and r, once this is done
        w, apart[d] = (spaced(w, axis, apart[d]), 1) if step > 1 else (w, apart[d])
        size = w.shape[axis]
        kept, turns = min(size, step), -(-size // step)
        w = pad_axis(w, axis, 0, turns * kept - size)
        w = flip(reshape(w, (*w.shape[:axis], turns, kept, *w.shape[axis + 1 :])), axis)
        span, rows = (turns - 1) * apart[d], -(-x.shape[3 + d] // step)
        ct = pad_axis(ct, 3 + d, span, rows - ct.shape[3 + d])
    for d in spatial:
        ct = WINDOW(ct, axis=3 + d, size=w.shape[3 + 2 * d], step=1, dilation=apart[d])
    count = len(steps)
    ct = ops.TRANSPOSE(ct, perm=(0, 1, 2, *range(3 + count, 3 + 2 * count), *range(3, 3 + count)))
    (out, inner), rests = _letters(count), "rst"[:count]
    pairs = "".join(map("".join, zip(inner, rests, strict=True)))
    dx = ops.CONTRACT(w, ct, spec=f"goc{pairs},ngo{inner}{out}->ngc{rests}{out}")
    last = 2 + count  # the places along the last axis: columns of rows of a few elements
    order = [axis for d in spatial for axis in (2 + count + d, 3 + d)][:-1]
    columns = list[tuple[int, Node]]()
    for r in range(dx.shape[last]):
        part = reshape(narrow(dx, last, r, 1), (*dx.shape[:last], *dx.shape[last + 1 :]))
        part = ops.TRANSPOSE(part, perm=(0, 1, 2, *order))
        columns.append((r, reshape(part, (*part.shape, 1))))
    dx = joined(columns, 2 + 2 * count, steps[-1])
    for d, step in enumerate(steps[:-1]):
        dx = pad_axis(dx, 4 + 2 * d, 0, step - dx.shape[4 + 2 * d])
    dx = reshape(dx, (*dx.shape[:3], *(dx.shape[3 + 2 * d] * steps[d] for d in spatial)))
    for d in spatial:
        dx = narrow(dx, 3 + d, 0, x.shape[3 + d])
    return dx


# convolve(x, w, strides, dilations): for each group g the sum over channels c and window places k of
# x[n, g, c, strides * i + dilations * k] * w[g, o, c, k], without padding.
CONVOLVE: Op = define(
    "convolve", "composed", _infer_convolve, _convolve, _d_convolve, _contraction, "iuf",
    attrs=("strides", "dilations"), exact=False,
    samples=(
        Sample(((2, 1, 3, 9), (1, 4, 3, 3)), {"strides": (1,), "dilations": (1,)}),
        Sample(((2, 2, 2, 10), (2, 3, 2, 3)), {"strides": (2,), "dilations": (2,)}),
        Sample(((2, 1, 3, 6, 7), (1, 4, 3, 3, 2)), {"strides": (1, 2), "dilations": (1, 1)}),
    ),
    of_complex=bilinear, batch=batch.convolve,
)  # fmt: skip
