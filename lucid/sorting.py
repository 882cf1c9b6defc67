"""Sorts, order statistics and searches, as functions of nodes with NumPy's rules. NaN comes last."""

from __future__ import annotations

import math

from lucid.compiler import ops
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import b1, f64, i64

from . import elementwise as ew
from .promote import Value, cast, float_dtype, result_dtype, spread, weak, whole
from .scans import line, part
from .shapes import Axes, normal_axes, normal_axis, sum_

# --- places --------------------------------------------------------------------------------------


def scalar(value: float, like: Node) -> Node:
    """A number that follows from sizes, at every element of `like`."""
    return ops.fill(ops.SCALAR(value=value, dtype=like.type.dtype), like.shape)


def along(x: Node, places: Node, axis: int) -> Node:
    """The elements of x at `places` along an axis; the other axes are alike. 0 outside."""
    steps = [places if k == axis else ops.IOTA(shape=places.shape, axis=k) for k in range(x.type.ndim)]
    return ops.GATHER(x, *steps, axes=tuple(range(x.type.ndim)))


def argsort(x: Node, *, axis: int | None = -1, descending: bool = False) -> Node:
    """Equal elements in their order, descending, too; NaN last, or first where descending."""
    shape = x.shape if axis is not None else (x.type.size,)
    x, axis = line(x, axis)
    if not descending:
        return ops.reshape(ops.ARGSORT(x, axis=axis), shape)
    order = ops.flip(ops.ARGSORT(ops.flip(x, axis), axis=axis), axis)
    return ops.reshape(ops.SUB(scalar(x.shape[axis] - 1, order), order), shape)


def sort(x: Node, *, axis: int | None = -1, descending: bool = False) -> Node:
    shape = x.shape if axis is not None else (x.type.size,)
    x, axis = line(x, axis)
    return ops.reshape(ops.SORT(x, axis=axis, falling=descending), shape)


def take(x: Node, places: Node, *, axis: int) -> Node:
    """The elements of x at places that are inside, along one axis."""
    if not x.type.ndim:
        return ops.fill(x, places.shape)
    return along(x, places, line(x, axis)[1])


def top(x: Node, *, k: int, axis: int, largest: bool) -> Node:
    """Where the k greatest elements are, or the least, the first of all first."""
    line_, axis = line(x, axis)
    k = whole("topk: k", k)
    if not 0 <= k <= line_.shape[axis]:
        raise ValueError(f"topk: k={k} of {line_.shape[axis]} elements along axis {axis}")
    some = max(k, 2)
    if k and 2 * some <= line_.shape[axis]:  # else all of them are sorted in as much time
        found = part(ops.ARGTOP(line_, axis=axis, count=(some,), falling=largest), axis, 0, k)
    else:
        found = part(argsort(line_, axis=axis, descending=largest), axis, 0, k)
    return found if x.type.ndim else ops.reshape(found, () if k else (0,))


def kth(x: Node, *, k: int, axis: int) -> Node:
    """Where the k-th least element is, counted from 1."""
    line_, axis = line(x, axis)
    k = whole("kthvalue: k", k)
    if not 1 <= k <= line_.shape[axis]:
        raise ValueError(f"kthvalue: k={k} of {line_.shape[axis]} elements along axis {axis}; counted from 1")
    return _like(part(argsort(line_, axis=axis), axis, k - 1, k), x)


def _like(found: Node, x: Node) -> Node:
    """Without the axis that x got to be a line, if it had none."""
    return found if x.type.ndim else ops.reshape(found, ())


def squeezed(x: Node, *, axis: int) -> Node:
    """Without an axis of one element."""
    if not x.type.ndim:
        return x
    axis = normal_axis(axis, x.type.ndim)
    return ops.reshape(x, x.shape[:axis] + x.shape[axis + 1 :])


def mode(x: Node, *, axis: int) -> Node:
    """Where the least of the commonest elements is last."""
    line_, axis = line(x, axis)
    if not line_.shape[axis]:
        raise ValueError("mode: no elements")
    order = argsort(line_, axis=axis)
    ascending = along(line_, order, axis)
    step = ops.IOTA(shape=order.shape, axis=axis)
    before = along(ascending, ops.SUB(step, ops.const(1, step)), axis)
    new = ops.OR(ops.NE(ascending, before), ops.EQ(step, ops.zeros_like(step)))
    length = ops.SUB(step, ops.CUMMAX(ops.WHERE(new, step, ops.zeros_like(step)), axis=axis))
    most = ops.AMAX(length, axes=(axis,))
    longest = ops.EQ(length, ops.fill(ops.reshape(most, ops.kept_dims(order.shape, (axis,))), order.shape))
    first = ops.AMIN(ops.WHERE(longest, step, scalar(order.shape[axis], step)), axes=(axis,))
    return _like(along(order, ops.reshape(first, ops.kept_dims(order.shape, (axis,))), axis), x)


# --- order statistics ----------------------------------------------------------------------------


@data
class Row:
    """Elements in order along one axis, the last one. `count`: how many elements count; `spoilt`: where a NaN
    makes the result NaN."""

    x: Node
    count: Node | int
    spoilt: Node | None
    shape: tuple[int, ...]  # of the result
    kept: tuple[int, ...]  # the same with the axes of extent 1

    def at(self, places: Node) -> Node:
        """The elements at these places of the order: the axes of the rows, and one of places."""
        return along(self.x, places, self.x.type.ndim - 1)


def _row(x: Node, axis: Axes, skip_nan: bool) -> Row:
    axes = normal_axes(axis, x.type.ndim)
    kept = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    moved = ops.TRANSPOSE(x, perm=(*(k for k in range(x.type.ndim) if k not in axes), *axes)) if axes else x
    flat = ops.reshape(moved, (*kept, math.prod(x.shape[a] for a in axes)))
    last = flat.type.ndim - 1
    count: Node | int = flat.shape[last]
    spoilt = None
    if x.type.dtype.is_float:
        nan = ops.NE(flat, flat)
        if skip_nan:
            count = sum_(ops.CAST(ops.NOT(nan), dtype=i64), axis=last, keepdims=True)
        elif flat.shape[last]:
            spoilt = ops.any_(nan, (last,))
    return Row(ops.SORT(flat, axis=last, falling=False), count, spoilt, kept, ops.kept_dims(x.shape, axes))


def median(x: Node, *, axis: Axes = None, keepdims: bool = False, skip_nan: bool = False) -> Node:
    """The middle element, or the mean of the two: of integers in float64. NaN of nothing, and where one is
    NaN unless these are left out."""
    row = _row(x, axis, skip_nan)
    result = float_dtype(x)
    inner = result.computed
    if not row.x.shape[-1]:
        made = ops.fill(ops.CONST(value=math.nan, dtype=result), row.shape)
    else:
        one = (*row.shape, 1)
        if isinstance(row.count, int):
            zero = ops.fill(ops.SCALAR(value=0, dtype=i64), one)
            low, high = (scalar(n // 2, zero) for n in (row.count - 1, row.count))
            several = row.count % 2 == 0
        else:
            two = ops.const(2, row.count)
            low = ops.FLOORDIV(ops.MAX(ops.SUB(row.count, ops.const(1, two)), ops.zeros_like(two)), two)
            high, several = ops.FLOORDIV(row.count, two), True
        value = cast(row.at(low), inner)
        if several:
            other = cast(row.at(high), inner)
            same = ops.EQ(low, high)
            both = ops.DIV(ops.ADD(value, ops.WHERE(same, ops.zeros_like(other), other)), ops.const(2, value))
            value = ops.WHERE(same, value, both)
        made = cast(ops.reshape(value, row.shape), result)
        made = _spoilt(made, row, 0)
    return ops.reshape(made, row.kept) if keepdims else made


def _spoilt(x: Node, row: Row, lead: int) -> Node:
    """NaN where a row has one, or nothing else; `lead` axes stand before those of the rows."""
    if not isinstance(row.count, int):
        bad = ops.EQ(row.count, ops.zeros_like(row.count))
    elif row.spoilt is None:
        return x
    else:
        bad = row.spoilt
    bad = ops.fill(ops.reshape(bad, row.shape), x.shape)
    return ops.WHERE(bad, ops.const(math.nan, x), x)


METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(
    x: Node, q: Node, *, axis: Axes = None, method: str = "linear", keepdims: bool = False,
    skip_nan: bool = False, weak_q: bool = False, name: str = "quantile",
) -> Node:  # fmt: skip
    """What a part q of the elements is below. The axes of q come first. `weak_q`: q is a number, which leaves
    the dtype to x."""
    if method not in METHODS:
        raise ValueError(f"{name}: method {method!r} is none of {', '.join(METHODS)}")
    row = _row(x, axis, skip_nan)
    n = row.x.shape[-1]
    if not n:
        raise ValueError(f"{name} of zero elements: shape {x.shape}")
    takes = method in ("lower", "higher", "nearest") or (method == "linear" and not q.type.dtype.is_float)
    if not q.type.dtype.is_float:
        q = cast(q, f64)
    flat_q = ops.fill(ops.reshape(q, (q.type.size,)), (*row.shape, q.type.size))
    last: Node = scalar(n - 1, flat_q)
    if not isinstance(row.count, int):
        known = ops.MAX(ops.SUB(row.count, ops.const(1, row.count)), ops.zeros_like(row.count))
        last = ops.fill(cast(known, q.type.dtype), flat_q.shape)
    virtual = ops.MUL(last, flat_q)
    below, above = ops.FLOOR(virtual), ops.NEG(ops.FLOOR(ops.NEG(virtual)))

    def at(place: Node) -> Node:
        inside = ops.MAX(ops.zeros_like(place), ops.MIN(place, last))
        return row.at(cast(inside, i64))

    if takes:
        made = at({"lower": below, "higher": above, "linear": below}.get(method) or _even(virtual))
    else:
        floor = below
        if method == "midpoint":
            half = ops.const(0.5, virtual)
            virtual = ops.MUL(half, ops.ADD(below, above))
            gamma = ops.WHERE(ops.EQ(below, above), ops.zeros_like(half), half)
        else:
            gamma = ops.SUB(virtual, floor)
        made = _lerp(at(floor), at(ops.ADD(floor, ops.const(1, floor))), gamma, weak_q)
    shape = (*q.shape, *row.shape)
    lead = range(made.type.ndim - 1)
    made = ops.TRANSPOSE(made, perm=(made.type.ndim - 1, *lead)) if row.shape else made
    made = _spoilt(ops.reshape(made, shape), row, q.type.ndim)
    return ops.reshape(made, (*q.shape, *row.kept)) if keepdims else made


def _even(x: Node) -> Node:
    """x rounded to a whole number, halves to an even one."""
    half, two = ops.const(0.5, x), ops.const(2, x)
    found = ops.FLOOR(ops.ADD(x, half))
    odd = ops.NE(ops.FLOOR(ops.DIV(found, two)), ops.DIV(found, two))
    tie = ops.EQ(ops.SUB(found, x), half)
    return ops.WHERE(ops.AND(tie, odd), ops.SUB(found, ops.const(1, x)), found)


def _lerp(a: Node, b: Node, t: Node, weak_t: bool) -> Node:
    """NumPy's: from the nearer side."""
    step = ew.sub(b, a)
    dtype = float_dtype(a) if weak_t else result_dtype(weak(step), weak(t))
    near = ops.GE(t, ops.const(0.5, t))
    rest = ops.SUB(ops.const(1, t), t)
    a, b, step, t, rest = (cast(v, dtype) for v in (a, b, step, t, rest))
    return ops.WHERE(near, ops.SUB(b, ops.MUL(step, rest)), ops.ADD(a, ops.MUL(step, t)))


# --- searches ------------------------------------------------------------------------------------


def _before(a: Node, b: Node) -> Node:
    """Whether a stands before b in an order."""
    less = ops.LT(a, b)
    if not a.type.dtype.is_float:
        return less
    return ops.OR(less, ops.AND(ops.NE(b, b), ops.EQ(a, a)))


def searchsorted(
    a: Node, v: Value, sorter: Node | None = None, *, right: bool = False, name: str = "searchsorted"
) -> Node:
    """How many elements of `a`, which ascends along its last axis, stand before each of v (right: or are
    equal). Rows of several axes are searched for the values of the same row."""
    dtype = result_dtype(weak(a), weak(v))
    a, v = cast(a, dtype), cast(v, dtype)
    if a.type.ndim == 0 or (a.type.ndim > 1 and a.shape[:-1] != v.shape[:-1]):
        raise ValueError(
            f"{name}: shapes {a.shape} and {v.shape}; expected a vector, or rows for rows of values"
        )
    if sorter is not None:
        if sorter.shape != a.shape or sorter.type.dtype.kind not in "iu":
            raise ValueError(f"{name}: sorter must be places for each of {a.shape}, not {sorter.type}")
        a = along(a, cast(sorter, i64), a.type.ndim - 1)
    n = a.shape[-1]
    lead = [ops.IOTA(shape=v.shape, axis=k) for k in range(a.type.ndim - 1)]
    place = ops.fill(ops.CONST(value=0, dtype=i64), v.shape)
    size, one = scalar(n, place), ops.const(1, place)
    step = 1 << n.bit_length()
    while step := step >> 1:
        further = ops.ADD(place, ops.const(step, place))
        there = ops.GATHER(a, *lead, ops.SUB(further, one), axes=tuple(range(a.type.ndim)))
        passes = ops.NOT(_before(v, there)) if right else _before(there, v)
        place = ops.WHERE(ops.AND(ops.LE(further, size), passes), further, place)
    return place


def digitize(x: Node, bins: Node, *, right: bool = False) -> Node:
    """Which bin each element is in, of bins that ascend or descend."""
    if bins.type.ndim != 1:
        raise ValueError(f"digitize: bins must be a vector, not of shape {bins.shape}")
    up = searchsorted(bins, x, right=not right, name="digitize")
    if bins.shape[0] < 2:
        return up
    falls = ops.LT(part(bins, 0, -1, None), part(bins, 0, 0, 1))
    down = ops.SUB(
        scalar(bins.shape[0], up), searchsorted(ops.flip(bins, 0), x, right=not right, name="digitize")
    )
    return ops.WHERE(*spread("digitize", ops.reshape(falls, ()), down, up))


def isin(x: Node, values: Node, *, invert: bool = False) -> Node:
    """Whether each element is one of `values`."""
    dtype = result_dtype(weak(x), weak(values))
    x, flat = cast(x, dtype), cast(ops.reshape(values, (values.type.size,)), dtype)
    if not flat.type.size:
        return ops.fill(ops.CONST(value=invert, dtype=b1), x.shape)
    ascending = sort(flat)
    place = searchsorted(ascending, x, name="isin")
    found = ops.AND(
        ops.LT(place, scalar(flat.type.size, place)), ops.EQ(ops.GATHER(ascending, place, axes=(0,)), x)
    )
    return ops.NOT(found) if invert else found


# --- counts --------------------------------------------------------------------------------------


def bincount(x: Node, weights: Node | None, *, length: int) -> Node:
    """How often 0, 1, ... stand in the vector x, or the sums of the weights there, in float64. What is
    outside is left out."""
    place = cast(x, i64)
    terms = ops.const(1, place) if weights is None else cast(weights, f64)
    if terms.shape != x.shape:
        raise ValueError(f"bincount: weights of shape {terms.shape} for values of shape {x.shape}")
    return ops.SCATTER_ADD(terms, place, shape=(length,), axes=(0,))


def edges(x: Node, *, bins: int) -> Node:
    """The ends of `bins` equal bins over what is in x."""
    dtype = float_dtype(x)
    flat = ops.reshape(x, (x.type.size,))
    low, high = (cast(op(flat, axes=(0,)), dtype) for op in (ops.AMIN, ops.AMAX))
    half = ops.WHERE(ops.EQ(low, high), ops.const(0.5, low), ops.zeros_like(low))
    low, high = ops.SUB(low, half), ops.ADD(high, half)
    at = cast(ops.IOTA(shape=(bins + 1,), axis=0), dtype)
    step = ops.DIV(ops.SUB(high, low), scalar(bins, low))
    inner = ops.ADD(ops.MUL(at, ops.fill(step, at.shape)), ops.fill(low, at.shape))
    return ops.WHERE(ops.EQ(at, scalar(bins, at)), ops.fill(high, at.shape), inner)


def histogram(x: Node, ends: Node, weights: Node | None) -> Node:
    """How many elements are in each bin, or the sums of the weights there: the last one has both ends."""
    n = ends.shape[0] - 1
    flat = ops.reshape(x, (x.type.size,))
    place = searchsorted(ends, flat, right=True, name="histogram")
    place = ops.SUB(place, ops.const(1, place))
    kind = result_dtype(weak(flat), weak(ends))
    last = ops.reshape(cast(part(ends, 0, n, None), kind), ())
    final = ops.EQ(*spread("histogram", cast(flat, kind), last))
    place = ops.WHERE(final, scalar(n - 1, place), place)
    if weights is None:
        return bincount(place, None, length=n)
    if weights.shape != x.shape:
        raise ValueError(f"histogram: weights of shape {weights.shape} for shape {x.shape}")
    return cast(bincount(place, ops.reshape(weights, place.shape), length=n), weights.type.dtype)
