"""Losses of classes, and tables of rows, as graphs of nodes.

A class is a column of the input, axis 1 (the only axis of one sample). A target without a column is an
IndexError, and so is a negative one.
"""

from __future__ import annotations

import math

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import i64

from ..promote import cast, filled, float_dtype
from ..reuse import formula
from ..shapes import mean, sum_, transpose
from ..subscripts import gather, place
from .formulas import shifted


def _last(x: Node) -> Node:
    """The classes as the last axis, where a row lies in one piece."""
    ndim = x.type.ndim
    return x if ndim < 3 else transpose(x, (0, *range(2, ndim), 1))


def _checked(name: str, x: Node, target: Node, weight: Node | None) -> None:
    if not x.type.ndim:
        raise ValueError(f"{name}: expected an input of shape (classes,), (n, classes) or (n, classes, ...)")
    axis = min(1, x.type.ndim - 1)
    if target.type.dtype.kind in "iu" and target.shape != (*x.shape[:axis], *x.shape[axis + 1 :]):
        raise ValueError(f"{name}: classes of shape {target.shape} do not fit an input of shape {x.shape}")
    if target.type.dtype.kind not in "iu" and (target.shape != x.shape or not target.type.dtype.is_float):
        raise ValueError(
            f"{name}: expected target classes in ints, or floats of the input's shape {x.shape}, not "
            f"{target.type.dtype.numpy} {target.shape}"
        )
    if weight is not None and weight.shape != (x.shape[axis],):
        raise ValueError(
            f"{name}: weight has shape {weight.shape}; expected one for each of {x.shape[axis]} classes"
        )


def _wide(x: Node) -> Node:
    """Floats, float16 in float32."""
    dtype = float_dtype(x)
    return cast(x, dtype.computed)


@formula
def nll_loss(x: Node, target: Node, weight: Node | None, *, ignore: int, reduction: str) -> Node:
    """Less the input at the target, times the weight of that class; a mean is over these weights."""
    _checked("nll_loss", x, target, weight)
    if target.type.dtype.kind not in "iu":
        raise ValueError(f"nll_loss: expected target classes in ints, not {target.type.dtype.numpy}")
    loss = _of_classes(_last(_wide(x)), None, target, weight, ignore, reduction, 0.0)
    return cast(loss, float_dtype(x))


@formula
def cross_entropy(
    x: Node, target: Node, weight: Node | None, *, ignore: int, reduction: str, smoothing: float
) -> Node:
    """`nll` of `log_softmax`; of probabilities as targets the sum over all classes, a mean over samples."""
    _checked("cross_entropy", x, target, weight)
    result, x = float_dtype(x), _last(_wide(x))
    row = x.type.ndim - 1
    x = shifted(x, row)
    total = ops.LOG(sum_(ops.EXP_TERM(x), axis=row))
    if target.type.dtype.kind in "iu":
        return cast(_of_classes(x, total, target, weight, ignore, reduction, smoothing), result)
    y = _last(cast(target, x.type.dtype))
    if smoothing:
        y = _mixed(y, filled(1 / y.shape[-1], y.type), smoothing)
    logs = ops.SUB(x, _along(total, x.shape))
    loss = _weighted(ops.MUL(y, logs), None if weight is None else cast(weight, logs.type.dtype))
    if reduction == "mean":
        loss = mean(loss)
    return cast(loss if reduction != "sum" else sum_(loss), result)


def _of_classes(
    x: Node, total: Node | None, target: Node, weight: Node | None, ignore: int, reduction: str,
    smoothing: float,
) -> Node:  # fmt: skip
    """The loss by target classes of log-probabilities: x less `total` of the row. One pass over the rows,
    forward and backward: no sums at places, and what a mean divides by is known before."""
    dtype, row, count = x.type.dtype, x.type.ndim - 1, x.shape[-1]
    given = cast(target, i64)
    counts = ops.NE(given, ops.fill(ops.SCALAR(value=ignore, dtype=i64), given.shape))
    at = place(ops.WHERE(counts, given, ops.const(0, given)), count, negative=False)
    each = cast(counts, dtype)
    if weight is not None:
        weight = cast(weight, dtype)
        each = ops.MUL(each, gather(weight, [at], (0,), 0))
    here = ops.EQ(_along(at, x.shape), ops.IOTA(shape=x.shape, axis=row))
    loss = ops.NEG(sum_(ops.WHERE(here, x, ops.const(0, x)), axis=row))
    none, rate = ops.const(0, loss), ops.const(1, loss)
    divisor = sum_(each)
    if reduction == "mean":
        rate = ops.DIV(rate, ops.fill(divisor, rate.shape))
    if total is not None:
        loss = ops.ADD(loss, total)
    loss = ops.WHERE(counts, ops.MUL(ops.MUL(each, rate), loss), none)
    if smoothing:
        every = _weighted(x, weight)
        if total is not None:
            ones = filled(float(count), total.type) if weight is None else ops.fill(sum_(weight), total.shape)
            every = ops.ADD(every, ops.MUL(ones, total))
        every = ops.WHERE(counts, ops.MUL(rate, every), none)
        loss = _mixed(loss, ops.DIV(every, filled(float(count), every.type)), smoothing)
    if reduction == "mean":
        empty = ops.EQ(divisor, ops.const(0, divisor))
        return ops.WHERE(empty, ops.const(math.nan, divisor), sum_(loss))
    return loss if reduction == "none" else sum_(loss)


def _along(row: Node, shape: tuple[int, ...]) -> Node:
    """A value of each row at all of its elements."""
    return ops.BROADCAST(ops.reshape(row, (*row.shape, 1)), shape=shape)


def _weighted(x: Node, weight: Node | None) -> Node:
    """Less the sum over the classes, times their weights."""
    if weight is not None:
        x = ops.MUL(x, ops.BROADCAST(weight, shape=x.shape))
    return ops.NEG(sum_(x, axis=x.type.ndim - 1))


def _mixed(a: Node, b: Node, part: float) -> Node:
    return ops.ADD(ops.MUL(filled(1 - part, a.type), a), ops.MUL(filled(part, b.type), b))


# --- tables of rows ------------------------------------------------------------------------------


def embedding(index: Node, table: Node, *, padding: int | None) -> Node:
    """Rows of `table`; that number `padding` gets no gradient."""
    if table.type.ndim != 2 or index.type.dtype.kind not in "iu":
        raise ValueError(
            f"embedding: expected ints and a table of two dimensions, not {index.type} and {table.type}"
        )
    at = place(index, table.shape[0], negative=False)
    rows = gather(table, [at], (0,), 0)
    if padding is None:
        return rows
    pads = ops.EQ(at, ops.fill(ops.SCALAR(value=padding, dtype=i64), at.shape))
    pads = _along(pads, rows.shape)
    return ops.WHERE(pads, ops.STOP(rows), rows)


def bags(
    index: Node,
    table: Node,
    factors: Node | None,
    bag: Node | None,
    *,
    count: int,
    mode: str,
    padding: int | None,
) -> Node:
    """Of the rows that `index` names sum, mean or maximum: of each row of `index`, or of those whose `bag` is
    the same. Rows number `padding` do not count; a bag of none is 0."""
    rows = embedding(index, table, padding=None)
    result = rows.type.dtype
    rows = cast(rows, result.computed)
    if padding is not None:
        real = ops.NE(cast(index, i64), ops.fill(ops.SCALAR(value=padding, dtype=i64), index.shape))
    else:
        real = ops.EQ(index, index)
    wide = _along(real, rows.shape)
    width = rows.shape[-1]

    def total(n: Node) -> Node:
        if bag is None:
            return sum_(n, axis=1)
        return ops.SCATTER_ADD(n, bag, shape=(count, *n.shape[1:]), axes=(0,))

    if mode == "max":
        least = ops.const(float("-inf"), rows)
        of = ops.WHERE(wide, rows, least)
        if not index.type.size:
            return ops.fill(ops.CONST(value=0, dtype=result), (count, width))
        top = (
            ops.AMAX(of, axes=(1,))
            if bag is None
            else ops.SCATTER_MAX(of, bag, shape=(count, width), axes=(0,))
        )
        some = ops.NE(total(cast(real, i64)), ops.const(0, total(cast(real, i64))))
        some = ops.BROADCAST(ops.reshape(some, (count, 1)), shape=top.shape)
        return cast(ops.WHERE(some, top, ops.const(0, top)), result)
    if factors is not None:
        factors = cast(factors, rows.type.dtype)
        rows = ops.MUL(rows, _along(factors, rows.shape))
    found = total(ops.WHERE(wide, rows, ops.const(0, rows)))
    if mode == "mean":
        many = total(cast(real, rows.type.dtype))
        many = ops.MAX(many, ops.const(1, many))
        found = ops.DIV(found, ops.BROADCAST(ops.reshape(many, (count, 1)), shape=found.shape))
    return cast(found, result)
