"""Scans and differences along an axis, as functions of nodes with NumPy's rules."""

from __future__ import annotations

import math
from collections.abc import Callable

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import DType, b1
from lucid.compiler.ops import Op

from . import elementwise as ew
from .composed import logaddexp
from .promote import Value, cast, float_dtype, result_dtype, weak
from .shapes import index, normal_axis, sum_, sum_dtype

# --- axes ----------------------------------------------------------------------------------------


def line(x: Node, axis: int | None) -> tuple[Node, int]:
    """x, and the axis to go along: all elements in one for None. What is 0-d has one of 1 element."""
    if axis is None or (x.type.ndim == 0 and axis in (0, -1)):
        return ops.reshape(x, (x.type.size,)), 0
    return x, normal_axis(axis, x.type.ndim)


def part(x: Node, axis: int, start: int | None, stop: int | None) -> Node:
    """x[start:stop] along one axis."""
    return index(x, (*[slice(None)] * axis, slice(start, stop)))


def joined(parts: list[Node], axis: int) -> Node:
    """One after the other along an axis."""
    size = sum(p.shape[axis] for p in parts)
    result: Node | None = None
    begin = 0
    for node in parts:
        lo, hi = [0] * node.type.ndim, [0] * node.type.ndim
        end = begin + node.shape[axis]
        lo[axis], hi[axis] = begin, size - end
        padded = ops.PAD(node, lo=tuple(lo), hi=tuple(hi))
        if result is not None:
            at = ops.IOTA(shape=padded.shape, axis=axis)
            padded = ops.WHERE(ops.LT(at, ops.fill(ops.SCALAR(value=begin, dtype=at.type.dtype), at.shape)),
                               result, padded)  # fmt: skip
        result, begin = padded, end
    assert result is not None
    return result


# --- scans ---------------------------------------------------------------------------------------


def _totals(op: Op) -> Callable[..., Node]:
    def build(x: Node, *, axis: int | None = None, dtype: DType | None = None) -> Node:
        result = dtype or sum_dtype(x.type.dtype)
        x, along = line(cast(x, result.computed), axis)
        return cast(op(x, axis=along), result)

    return build


cumsum, cumprod = _totals(ops.CUMSUM), _totals(ops.CUMPROD)


def _from_start(name: str, build: Callable[..., Node], start: int) -> Callable[..., Node]:
    def cumulative(
        x: Node, *, axis: int | None = None, dtype: DType | None = None, include_initial: bool = False
    ) -> Node:
        if x.type.ndim == 0:
            raise ValueError(f"{name}: expected at least one axis, got a 0-d tensor")
        if axis is None and x.type.ndim != 1:
            raise ValueError(f"{name}: {x.type.ndim} axes; say along which one by axis=")
        along = normal_axis(0 if axis is None else axis, x.type.ndim)
        made = build(x, axis=along, dtype=dtype)
        if not include_initial:
            return made
        first = part(made, along, 0, 1) if x.shape[along] else made
        shape = tuple(1 if k == along else n for k, n in enumerate(x.shape))
        return joined([ops.fill(ops.CONST(value=start, dtype=first.type.dtype), shape), made], along)

    return cumulative


cumulative_sum = _from_start("cumulative_sum", cumsum, 0)
cumulative_prod = _from_start("cumulative_prod", cumprod, 1)


def _extremes(op: Op) -> Callable[..., Node]:
    def build(x: Node, *, axis: int) -> Node:
        line_, along = line(x, axis)
        return ops.reshape(op(line_, axis=along), x.shape)

    return build


cummax, cummin = _extremes(ops.CUMMAX), _extremes(ops.CUMMIN)


def attained(x: Node, extreme: Node, *, axis: int) -> Node:
    """Where the running extreme of x was last attained."""
    line_, along = line(x, axis)
    return ops.reshape(ops.attained(line_, ops.reshape(extreme, line_.shape), along), x.shape)


def logcumsumexp(x: Node, *, axis: int) -> Node:
    """log(cumsum(exp(x))): sums of 1, 2, 4, ... elements, each with its greatest element taken out."""
    result = x.type.dtype if x.type.dtype.is_complex else float_dtype(x)
    y, along = line(cast(x, result.computed), axis)
    least = ops.const(-math.inf, ops.RE(y) if result.is_complex else y)
    if result.is_complex:
        least = ops.COMPLEX(least, ops.zeros_like(least))
    step = 1
    while step < y.shape[along]:
        lo = tuple(step if k == along else 0 for k in range(y.type.ndim))
        back = ops.PAD(part(y, along, 0, -step), lo=lo, hi=(0,) * y.type.ndim)
        at = ops.IOTA(shape=y.shape, axis=along)  # all steps are one kernel, called with another step
        there = ops.GE(at, ops.fill(ops.SCALAR(value=step, dtype=at.type.dtype), y.shape))
        y = logaddexp(y, ops.WHERE(there, back, least))
        step *= 2
    return ops.reshape(cast(y, result), x.shape)


# --- differences ---------------------------------------------------------------------------------


def diff(x: Node, prepend: Value | None, append: Value | None, *, n: int = 1, axis: int = -1) -> Node:
    """x[1:] - x[:-1] along an axis, n times; of bools whether they differ."""
    if n < 0:
        raise ValueError(f"diff: n must not be negative, got {n}")
    if x.type.ndim == 0:
        raise ValueError("diff: expected at least one axis, got a 0-d tensor")
    along = normal_axis(axis, x.type.ndim)
    if n == 0:
        return x
    ends = [
        v if isinstance(v, Node) or v is None else cast(v, result_dtype(weak(v))) for v in (prepend, append)
    ]
    parts = [p for p in (ends[0], x, ends[1]) if p is not None]
    if len(parts) > 1:
        dtype = result_dtype(*map(weak, parts))
        edge = tuple(1 if k == along else m for k, m in enumerate(x.shape))
        x = joined([cast(p if p.type.ndim else ops.fill(p, edge), dtype) for p in parts], along)
    less = ew.ne if x.type.dtype is b1 else ew.sub
    for _ in range(n):
        x = less(part(x, along, 1, None), part(x, along, None, -1))
    return x


def ediff1d(x: Node, to_end: Value | None, to_begin: Value | None) -> Node:
    """The differences of all elements in order, between `to_begin` and `to_end`."""
    flat = ops.reshape(x, (x.type.size,))
    parts = [diff(flat, None, None)]
    for value, place in ((to_begin, 0), (to_end, len(parts) + 1)):
        if value is not None:
            node = cast(value, x.type.dtype)
            parts.insert(place, ops.reshape(node, (node.type.size,)))
    return joined(parts, 0)


def slope(x: Node, spacing: Value, *, axis: int, edge_order: int) -> Node:
    """`gradient` along one axis: differences to both sides, at the ends to one side. `spacing`: a number, or
    the coordinates along the axis."""
    name, n = "gradient", x.shape[axis]
    if n < edge_order + 1:
        raise ValueError(f"{name}: {n} elements along axis {axis}; {edge_order + 1} are needed")
    x = cast(x, float_dtype(x))
    lo, mid, hi = part(x, axis, None, -2), part(x, axis, 1, -1), part(x, axis, 2, None)
    ends = [part(x, axis, k, k + 1) for k in range(min(n, 3))]
    tail = [part(x, axis, n - 1 - k, n - k) for k in range(min(n, 3))]
    if not (isinstance(spacing, Node) and spacing.type.ndim):
        both = ew.mul(spacing, 2) if isinstance(spacing, Node) else 2 * spacing
        inner = ew.div(ew.sub(hi, lo), both)
        if edge_order == 1:
            first, last = (ew.div(ew.sub(a, b), spacing) for a, b in ((ends[1], ends[0]), (tail[0], tail[1])))
        else:
            first, last = (
                ew.div(_weighted((-1.5 * s, 2.0 * s, -0.5 * s), side), spacing)
                for s, side in ((1, ends), (-1, tail))
            )
        return joined([first, inner, last], axis)
    if spacing.shape != (n,):
        raise ValueError(f"{name}: coordinates of shape {spacing.shape} for {n} elements along axis {axis}")
    steps = diff(cast(spacing, x.type.dtype) if not spacing.type.dtype.is_float else spacing, None, None)
    shaped = ops.reshape(steps, tuple(n - 1 if k == axis else 1 for k in range(x.type.ndim)))
    left, right = part(shaped, axis, None, -1), part(shaped, axis, 1, None)
    both = ew.add(left, right)

    def right_end(k: int) -> Node:
        return part(shaped, axis, max(n - 2 - k, 0), n - 1 - k)

    inner = _weighted(
        (ew.div(ew.neg(right), ew.mul(left, both)), ew.div(ew.sub(right, left), ew.mul(left, right)),
         ew.div(left, ew.mul(right, both))), [lo, mid, hi],
    )  # fmt: skip
    near = [(part(shaped, axis, 0, 1), part(shaped, axis, 1, 2)), (right_end(0), right_end(1))]
    if edge_order == 1:
        first = ew.div(ew.sub(ends[1], ends[0]), near[0][0])
        last = ew.div(ew.sub(tail[0], tail[1]), near[1][0])
    else:
        first, last = (
            _edge(a, b, side, sign) for (a, b), side, sign in zip(near, (ends, tail), (1, -1), strict=True)
        )
    return joined([first, inner, last], axis)


def _weighted(weights: tuple[Value, ...], nodes: list[Node]) -> Node:
    total: Node | None = None
    for w, node in zip(weights, nodes, strict=True):
        term = ew.mul(w, node)
        total = term if total is None else ew.add(total, term)
    assert total is not None
    return total


def _edge(near: Node, far: Node, nodes: list[Node], sign: int) -> Node:
    """The slope at an end, of second order; `near` and `far`: the steps from it."""
    both = ew.add(near, far)
    a = ew.div(ew.neg(ew.add(ew.mul(near, 2.0), far)), ew.mul(near, both))
    b = ew.div(both, ew.mul(near, far))
    c = ew.div(ew.neg(near), ew.mul(far, both))
    found = _weighted((a, b, c), nodes)
    return found if sign > 0 else ew.neg(found)


def _strips(y: Node, x: Value | None, dx: Value, axis: int) -> Node:
    """The areas under a curve from each element to the next."""
    step = dx
    if isinstance(x, Node):
        step = diff(x, None, None, axis=-1 if x.type.ndim == 1 else axis)
        if x.type.ndim == 1:
            step = ops.reshape(step, tuple(step.shape[0] if k == axis else 1 for k in range(y.type.ndim)))
    both = ew.add(part(y, axis, 1, None), part(y, axis, None, -1))
    return ew.div(ew.mul(step, both), 2.0)


def trapezoid(y: Node, x: Value | None, dx: Value, *, axis: int = -1) -> Node:
    """The area under y, by trapezoids."""
    along = normal_axis(axis, y.type.ndim)
    return sum_(_strips(y, x, dx, along), axis=along)


def cumulative_trapezoid(y: Node, x: Value | None, dx: Value, *, axis: int = -1) -> Node:
    along = normal_axis(axis, y.type.ndim)
    return cumsum(_strips(y, x, dx, along), axis=along)
