"""Graphs whose kernels take every mode there is on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Graph, Node
from tests.native import build

Array = np.ndarray[Any, Any]
Outputs = tuple[Node, ...]


def _rows(x: Node, of: Node) -> Node:
    return ops.BROADCAST(ops.reshape(of, (*of.shape, 1)), shape=x.shape)


def huber(x: Node, y: Node) -> Outputs:
    d = ops.SUB(x, y)
    a, half, one = ops.ABS(d), ops.const(0.5, d), ops.const(1.0, d)
    inside = ops.LE(a, one)
    terms = ops.WHERE(inside, ops.MUL(ops.MUL(half, d), d), ops.SUB(a, half))
    return ops.SUM(terms, axes=(0,)), ops.WHERE(inside, d, ops.SIGN(d))


def softmax(x: Node) -> Outputs:
    e = ops.EXP(ops.SUB(x, _rows(x, ops.AMAX(x, axes=(1,)))))
    return (ops.DIV(e, _rows(x, ops.SUM(e, axes=(1,)))),)


def norm(x: Node, ct: Node) -> Outputs:
    """Rows, with totals for each column and for all."""
    scale = ops.DIV(ops.const(1.0, x), ops.SQRT(_rows(x, ops.SUM(ops.MUL(x, x), axes=(1,)))))
    y = ops.MUL(x, scale)
    back = ops.MUL(scale, ops.SUB(ct, ops.MUL(y, _rows(x, ops.SUM(ops.MUL(ct, y), axes=(1,))))))
    return y, back, ops.SUM(ops.MUL(ct, y), axes=(0,)), ops.SUM(ct, axes=(0, 1))


def linear(x: Node, w: Node, y: Node) -> Outputs:
    """A loss with its gradient: rows of a few features in one walk."""
    d = ops.SUB(ops.CONTRACT(x, w, spec="ij,j->i"), y)
    return ops.SUM(ops.ABS(d), axes=(0,)), ops.CONTRACT(ops.TANH(d), x, spec="i,ij->j")


def product(x: Node, y: Node) -> Outputs:
    return (ops.TANH(ops.CONTRACT(x, y, spec="ij,kj->ik")),)


def vector(x: Node, y: Node) -> Outputs:
    return (ops.CONTRACT(x, y, spec="ij,jk->ik"),)


def transpose(x: Node, y: Node) -> Outputs:
    return (ops.ADD(ops.TRANSPOSE(x, perm=(1, 0)), y),)


def short(x: Node, y: Node) -> Outputs:
    """Two columns side by side, times three."""
    pair = [ops.PAD(ops.reshape(n, (*n.shape, 1)), lo=(0, k), hi=(0, 1 - k)) for k, n in enumerate((x, y))]
    first = ops.EQ(at := ops.IOTA(shape=pair[0].shape, axis=1), ops.const(0, at))
    both = ops.WHERE(first, *pair)
    return (ops.MUL(both, ops.const(3.0, both)),)


def rows_of_three(x: Node, y: Node) -> Outputs:
    return (ops.ADD(x, _rows(x, y)),)


def long(x: Node, w: Node) -> Outputs:
    return ops.AMAX(x, axes=(1,)), ops.CONTRACT(x, w, spec="ij,j->i")


def columns(x: Node) -> Outputs:
    return (ops.SUM(x, axes=(0,)),)


def scan(x: Node) -> Outputs:
    return (ops.CUMSUM(x, axis=1),)


def scan_across(x: Node) -> Outputs:
    return (ops.CUMSUM(x, axis=0),)


def sorted_(x: Node) -> Outputs:
    return (ops.SORT(x, axis=1, falling=False),)


def sort(x: Node) -> Outputs:
    return (ops.ARGSORT(x, axis=1),)


def top(x: Node) -> Outputs:
    return (ops.ARGTOP(x, axis=1, count=(5,), falling=True),)


def gather(x: Node, at: Node) -> Outputs:
    return (ops.GATHER(x, at, axes=(0,)),)


def scatter(x: Node, at: Node) -> Outputs:
    return (ops.SCATTER_ADD(x, at, shape=(12, *x.shape[1:]), axes=(0,)),)


def moved(x: Node, y: Node) -> Outputs:
    """A map that moves 16 bytes a thread at once."""
    return ops.MUL(ops.SQRT(ops.ABS(x)), y), ops.LE(x, y)


def moved_within(x: Node, y: Node) -> Outputs:
    """The same of what begins between multiples of 16 bytes."""
    inside = [ops.SLICE(a, starts=(1,), steps=(1,), counts=(a.shape[0] - 1,)) for a in (x, y)]
    return moved(*inside)


def moved_rows(x: Node, y: Node) -> Outputs:
    return (ops.ADD(x, ops.BROADCAST(ops.reshape(y, (1, *y.shape)), shape=x.shape)),)


def quotients(x: Node, y: Node) -> Outputs:
    return ops.FLOORDIV(x, y), ops.MOD(x, y)


# Name: the function, shapes of its arrays, the mode of its last kernel; indices come last.
CASES: dict[str, tuple[Callable[..., Outputs], tuple[tuple[int, ...], ...], str]] = {
    "huber": (huber, ((9000,), (9000,)), "flat"),
    "softmax": (softmax, ((7, 150),), "rows"),
    "norm": (norm, ((37, 100), (37, 100)), "rows"),
    "softmax_team": (softmax, ((5, 700),), "rows"),  # rows that several warps share
    "norm_team": (norm, ((40, 333), (40, 333)), "rows"),
    "linear": (linear, ((300, 5), (5,), (300,)), "groups"),
    "product": (product, ((19, 300), (45, 300)), "product"),
    "vector": (vector, ((1, 270), (270, 40)), "vector"),
    "transpose": (transpose, ((70, 45), (45, 70)), "tiles"),
    "short": (short, ((300,), (300,)), "short"),
    "rows_of_three": (rows_of_three, ((300, 3), (300,)), "short"),
    "long": (long, ((3, 9001), (9001,)), "long"),
    "columns": (columns, ((5, 9001),), "columns"),
    "scan": (scan, ((9, 40),), "scan"),
    "scan_across": (scan_across, ((9, 40),), "scan"),
    "sort": (sort, ((2, 40),), "sort"),
    "sorted": (sorted_, ((2, 40),), "sort"),
    "top": (top, ((2, 140),), "sort"),
    "gather": (gather, ((12, 7), (30,)), "rows"),
    "scatter": (scatter, ((30, 7), (30,)), "scatter"),
    "scatter_single": (scatter, ((50,), (50,)), "scatter"),
    "moved": (moved, ((2620,), (2620,)), "flat"),
    "moved_within": (moved_within, ((2620,), (2620,)), "flat"),
    "moved_rows": (moved_rows, ((9, 300), (300,)), "rows"),
    "quotients": (quotients, ((200,), (200,)), "flat"),
}


def case(name: str, dtype: str = "float32") -> tuple[Graph, list[Array]]:
    """The graph, and arrays for it: small whole numbers and others, negative ones and zeros, too."""
    function, shapes, _ = CASES[name]
    rng = np.random.default_rng(len(name))
    arrays: list[Array] = [(rng.integers(-300, 300, shape) / 64).astype(dtype) for shape in shapes]
    if name.startswith(("gather", "scatter")):
        arrays[-1] = rng.integers(-1, 13, shapes[-1])  # some outside
    return build(function, arrays), arrays
