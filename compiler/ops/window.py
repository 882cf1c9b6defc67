"""Windows that slide along axes, and what is made of them."""

from __future__ import annotations

from math import prod

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.data import data, replace
from ..ir.graph import Node
from ..ir.rounding import computed
from ..ir.types import TensorType, b1, tensor_type
from . import batch
from .complex import bilinear, linear
from .index import sums_at
from .joined import joined
from .record import Array, Attrs, Ix, Op, Sample, Subscript, Sum, Types, View, define, fail, operands
from .view import backwards, flip, narrow, pad_axis, reshape, spaced

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
    (x, w), given = types, [attrs[name] for name in ("strides", "dilations", "lo", "hi")]
    spatial = x.ndim - 3
    if spatial < 1 or w.ndim != x.ndim or any(len(values) != spatial for values in given):
        fail("convolve", "{} and {} with strides {}, dilations {}, lo {}, hi {}".format(x, w, *given))
    groups, channels = w.shape[0], w.shape[2]
    if x.dtype is not w.dtype or x.dtype.kind not in "iuf" or x.shape[1:3] != (groups, channels):
        fail("convolve", f"{x} and {w} must have one dtype, and as many groups and channels")
    found = []
    for n, k, step, dilation, lo, hi in zip(x.shape[3:], w.shape[3:], *given, strict=True):
        span, n = dilation * (k - 1) + 1, lo + n + hi
        if min(step, dilation) < 1 or min(lo, hi) < 0 or k < 1 or span > n:
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


def _padded(node: Node) -> Node:
    x, lo, hi = node.inputs[0], *((0, 0, 0, *node.attrs[name]) for name in ("lo", "hi"))
    return ops.PAD(x, lo=lo, hi=hi) if any((*lo, *hi)) else x


def _contraction(node: Node) -> Node:
    """A contraction of windows, which are a view: nothing is copied. Vectors run along windows side by side;
    or, of few windows of many elements, as those of the gradient of a window are, along these."""
    x, w = _padded(node), node.inputs[1]
    for place in _places(node.attrs, w.shape):
        x = WINDOW(x, **place)
    ndim = w.type.ndim
    out, inner = _letters(ndim - 3)
    if prod(node.shape[3:]) < prod(w.shape[3:]):
        if node.shape[0] == node.shape[2] == 1:  # all are read once for a result: no matrices
            return _sums(x, w, node.shape)
        return ops.CONTRACT(x, w, spec=f"ngc{out}{inner},goc{inner}->ngo{out}")
    x = ops.TRANSPOSE(x, perm=(0, 1, 2, *range(ndim, 2 * ndim - 3), *range(3, ndim)))
    if w.op is ops.TRANSPOSE and w.attrs["perm"][:3] == (0, 2, 1):
        w, x = _by_places(w, x)
        return ops.CONTRACT(w, x, spec=f"go{inner}c,ngc{inner}{out}->ngo{out}")
    return ops.CONTRACT(w, x, spec=f"goc{inner},ngc{inner}{out}->ngo{out}")


def _by_places(w: Node, windows: Node) -> tuple[Node, Node]:
    """A window whose channels are turned, with the places before those: so it is a matrix, turned, and what
    is cut of it afterwards. Places that go backwards do so in the windows, which are packed anyway."""
    (source,), cuts = w.inputs, list[Attrs]()
    order = (0, 2, *range(3, w.type.ndim), 1)
    while source.op is ops.SLICE:
        cuts.insert(0, {k: [v[axis] for axis in order] for k, v in source.attrs.items()})
        (source,) = source.inputs
    source = ops.TRANSPOSE(source, perm=order)
    for cut in cuts:
        for axis, (step, count) in enumerate(zip(cut["steps"], cut["counts"], strict=True)):
            if step < 0 and cut is cuts[-1] and 2 <= axis < len(order) - 1:
                cut["starts"][axis] += (count - 1) * step
                cut["steps"][axis] = -step
                windows = flip(windows, axis + 1)
        if (cut["starts"], cut["steps"], cut["counts"]) != (
            [0] * len(order),
            [1] * len(order),
            [*source.shape],
        ):
            source = ops.SLICE(source, **{k: tuple(v) for k, v in cut.items()})
    return source, windows


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
    x = np.pad(x, [(0, 0)] * 3 + [*zip(attrs["lo"], attrs["hi"], strict=True)])
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
    w, strides, dilations = node.inputs[1], node.attrs["strides"], node.attrs["dilations"]
    dx = _d_input(node, ct) if needs[0] else None
    if not needs[1]:
        return dx, None
    x = _padded(node)
    for place in _places(node.attrs, w.shape):  # what no window reads
        axis, span = place["axis"], place["dilation"] * (place["size"] - 1) + 1
        x = narrow(x, axis, 0, span + place["step"] * (node.shape[axis] - 1))
    none = (0,) * len(strides)
    turned = _turned(ct, 1, 2, 0)
    dw = CONVOLVE(_turned(x, 2, 1, 0), turned, strides=dilations, dilations=strides, lo=none, hi=none)
    return dx, _turned(dw, 1, 2, 0)


@data
class _Phase:
    """Places of a step, from `place` on, that meet as many elements of the window: from `element` on, a step
    further for each place, `taps` of them a step apart; the first with the window `further` on."""

    place: int
    count: int
    element: int
    taps: int
    further: int


def _phases(size: int, step: int, lo: int) -> list[_Phase]:
    found = list[_Phase]()
    for r in range(step):
        element, further = (lo + r) % step, (lo + r) // step
        one = _Phase(r, 1, element, -(-(size - element) // step), further)
        last = found[-1] if found else one
        if last is not one and (last.taps, last.further) == (one.taps, one.further):
            found[-1] = replace(last, count=last.count + 1)
        else:
            found.append(one)
    return [phase for phase in found if phase.taps > 0]


def _around(node: Node, axis: int, start: int, count: int) -> Node:
    """So many elements of an axis from `start` on, zeros where there are none."""
    extent, front = node.shape[axis], max(-start, 0)
    begin = min(max(start, 0), extent)
    inside = min(start + count, extent) - begin if start + count > begin else 0
    return pad_axis(narrow(node, axis, begin, inside), axis, front, count - front - inside)


def _d_input(node: Node, ct: Node) -> Node:
    """Element q step + r of x meets elements of the window that are a step apart, and one window after the
    other: for each r a convolution by steps of 1 with these. Places that meet as many are channels of one;
    what all give is put side by side."""
    (x, w), attrs = node.inputs, node.attrs
    count = len(attrs["strides"])
    steps, apart = attrs["strides"], list(attrs["dilations"])
    for d, step in enumerate(steps):
        if step > 1:
            w, apart[d] = spaced(w, 3 + d, apart[d]), 1
    rows = [-(-x.shape[3 + d] // step) for d, step in enumerate(steps)]
    none, ones = (0,) * count, (1,) * count
    order = [axis for d in range(count) for axis in (3 + count + d, 3 + d)]

    def made(phases: tuple[_Phase, ...]) -> Node:
        """(..., q, r) for each axis."""
        own, met = w, ct
        for d, (phase, step) in enumerate(zip(phases, steps, strict=True)):
            axis, span = 3 + d, apart[d] * (phase.taps - 1)
            own = narrow(own, axis, phase.element, (phase.taps - 1) * step + phase.count)
            if phase.count > 1:
                own = WINDOW(own, axis=axis, size=phase.count, step=step, dilation=1)
            own = flip(own, axis) if phase.count > 1 else backwards(own, axis, step)
            met = _around(met, axis, phase.further - span, rows[d] + span)
        places = range(3 + count, own.type.ndim)
        own = ops.TRANSPOSE(own, perm=(0, 2, *places, 1, *range(3, 3 + count)))
        if places:
            channels = prod(own.shape[1 : 2 + len(places)])
            own = reshape(own, (own.shape[0], channels, *own.shape[2 + len(places) :]))
        found = CONVOLVE(met, own, strides=ones, dilations=tuple(apart), lo=none, hi=none)
        found = reshape(found, (*found.shape[:2], w.shape[2], *(p.count for p in phases), *rows))
        return ops.TRANSPOSE(found, perm=(0, 1, 2, *order))

    def put_together(*phases: _Phase) -> Node:
        d = len(phases)
        if d == count:
            return made(phases)
        axis, parts = 4 + 2 * d, list[tuple[int, Node]]()
        for phase in _phases(w.shape[3 + d], steps[d], attrs["lo"][d]):
            part = put_together(*phases, phase)
            size = phase.count if d < count - 1 else 1  # of the last axis one after the other: columns
            parts += [(phase.place + r, narrow(part, axis, r, size)) for r in range(0, phase.count, size)]
        return joined(parts, axis, steps[d])

    dx = put_together()
    dx = reshape(dx, (*dx.shape[:3], *(n * step for n, step in zip(rows, steps, strict=True))))
    for d in range(count):
        dx = narrow(dx, 3 + d, 0, x.shape[3 + d])
    return dx


# convolve(x, w, strides, dilations, lo, hi): for each group g the sum over channels c and window places k of
# x[n, g, c, strides * i + dilations * k - lo] * w[g, o, c, k]; around x there are zeros, lo and hi of them.
def _sample(x: tuple[int, ...], w: tuple[int, ...], *attrs: tuple[int, ...]) -> Sample:
    return Sample((x, w), dict(zip(("strides", "dilations", "lo", "hi"), attrs, strict=True)))


CONVOLVE: Op = define(
    "convolve", "composed", _infer_convolve, _convolve, _d_convolve, _contraction, "iuf",
    attrs=("strides", "dilations", "lo", "hi"), sizes=("lo", "hi"), exact=False,
    samples=(
        _sample((2, 1, 3, 9), (1, 4, 3, 3), (1,), (1,), (0,), (0,)),
        _sample((2, 2, 2, 10), (2, 3, 2, 3), (2,), (2,), (1,), (3,)),
        _sample((2, 1, 3, 6, 7), (1, 4, 3, 3, 2), (1, 2), (1, 1), (1, 0), (0, 2)),
        _sample((1, 1, 2, 6, 9), (1, 2, 2, 3, 4), (2, 3), (1, 1), (4, 1), (1, 1)),
    ),
    of_complex=bilinear, batch=batch.convolve,
)  # fmt: skip
