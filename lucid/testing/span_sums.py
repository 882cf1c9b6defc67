"""Spans of a graph: of sums, and of what else reads many elements; node after node."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.rounding import convert
from lucid.compiler.ir.types import DType, f64

from .bounds import Array, evaluated, lifted
from .chains import steps
from .span_rules import ELEMENTWISE, Rule, anything, certain, function
from .spans import TINY, Exact, Rounded, Span, down, gamma, narrowed, span, up


def _last(x: Array, axes: tuple[int, ...]) -> Array:
    """With these axes as one, the last."""
    kept = [d for d in range(x.ndim) if d not in axes]
    return x.transpose(*kept, *axes).reshape(*(x.shape[d] for d in kept), -1)


def _tree(x: Array, axes: tuple[int, ...], towards: Callable[[Array], Array]) -> Array:
    """A sum over axes, rounded `towards` one side: by halves; what is rounded off is summed beside it."""
    x = _last(x, axes)
    if not x.shape[-1]:
        return np.zeros(x.shape[:-1])
    plain, off = x, np.zeros_like(x)
    while x.shape[-1] > 1:
        if x.shape[-1] % 2:
            x, off, plain = (np.concatenate([v, np.zeros((*v.shape[:-1], 1))], -1) for v in (x, off, plain))
        x, lost = two_sum(x[..., 0::2], x[..., 1::2])
        off = towards(towards(off[..., 0::2] + off[..., 1::2]) + lost)
        plain = towards(plain[..., 0::2] + plain[..., 1::2])
    found = towards(x[..., 0] + off[..., 0])
    return np.where(np.isfinite(found), found, plain[..., 0])  # where a sum overflows nothing is lost


def _running(x: Array, axis: int, towards: Callable[[Array], Array]) -> Array:
    """Sums up to each element, rounded `towards` one side; NaN from where one overflows."""
    total = off = np.zeros(())
    found = np.empty_like(x)
    for step in range(x.shape[axis]):
        at: tuple[Any, ...] = (*[slice(None)] * axis, step)
        total, lost = two_sum(total, x[at])
        off = towards(off + lost)
        found[at] = towards(total + off)
    return found


def _walked(x: Span, axes: tuple[int, ...], lanes: int, dtype: DType) -> Span:
    """The sum as kernels add it, by lanes: addition is monotone, so the sums of the bounds bound it."""
    ends = []
    for v in (_last(x.lo, axes), _last(x.hi, axes)):
        sums = np.zeros((*v.shape[:-1], lanes), dtype.np)
        for first in range(0, v.shape[-1], lanes):
            part = v[..., first : first + lanes]
            sums[..., : part.shape[-1]] += part.astype(dtype.np)
        ends.append(_halved(sums).astype(np.float64))
    return span(*ends)


def _halved(sums: Array) -> Array:
    while sums.shape[-1] > 1:
        half = sums.shape[-1] // 2
        sums = sums[..., :half] + sums[..., half:]
    return sums[..., 0]


def _fused(a: Span, b: Span, spec: str, lanes: int, dtype: DType) -> Span | None:
    """A sum of products as kernels add it, one fma a step, by lanes, over the last axis of what `spec` makes
    of the operands; None where products may leave the range in which they are taken apart exactly."""
    if not _apart(a.lo, a.hi, b.lo, b.hi):
        return None
    low = high = None
    for p, q in itertools.product((a.lo, a.hi), (b.lo, b.hi)):
        low = _smaller(low, two_product(p, q, spec))
        high = _larger(high, two_product(p, q, spec))
        if a.point.all() and b.point.all():
            break
    assert low is not None and high is not None
    ends = []
    for (value, rest), towards in ((low, down), (high, up)):
        depth = value.shape[-1]
        sums = np.zeros((*value.shape[:-1], lanes))
        for first in range(0, depth, lanes):
            here = slice(0, min(lanes, depth - first))
            s, lost = two_sum(sums[..., here], value[..., first : first + lanes])
            s = s + towards(lost + rest[..., first : first + lanes])
            sums[..., here] = s if dtype is f64 else convert(towards(s), dtype).astype(np.float64)
        ends.append(_halved(sums.astype(dtype.np)).astype(np.float64))
    return span(*ends)


# A number as the sum of two: the nearest one, and what is left.
Pair = tuple[Array, Array]


def _smaller(x: Pair | None, y: Pair) -> Pair:
    if x is None:
        return y
    less = (x[0] < y[0]) | ((x[0] == y[0]) & (x[1] < y[1]))
    return np.where(less, x[0], y[0]), np.where(less, x[1], y[1])


def _larger(x: Pair | None, y: Pair) -> Pair:
    if x is None:
        return y
    more = (x[0] > y[0]) | ((x[0] == y[0]) & (x[1] > y[1]))
    return np.where(more, x[0], y[0]), np.where(more, x[1], y[1])


def two_sum(a: Array, b: Array) -> Pair:
    """a + b, exactly (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _apart(*operands: Array) -> bool:
    """Whether products of these, and what is left of them, are far from the ends of the format."""
    return all(bool(((x == 0) | ((abs(x) > 2.0**-450) & (abs(x) < 2.0**450))).all()) for x in operands)


def two_product(a: Array, b: Array, spec: str) -> Pair:
    """The products that `np.einsum` makes of a and b by `spec`, exactly (Dekker, Veltkamp), away from the
    ends of the format."""

    def split(x: Array) -> Pair:
        big = 134217729.0 * x  # 2**27 + 1
        high = big - (big - x)
        return high, x - high

    def times(x: Array, y: Array) -> Array:
        return np.einsum(spec, x, y)  # type: ignore[no-any-return]

    (ah, al), (bh, bl) = split(a), split(b)
    p = times(a, b)
    return p, ((times(ah, bh) - p) + times(ah, bl) + times(al, bh)) + times(al, bl)


def _within(x: Span, y: Span) -> Span:
    """What is in both, of which each holds the value, or nothing is known by it."""
    return span(np.fmax(x.lo, y.lo), np.fmin(x.hi, y.hi))


def _sum(node: Node, args: list[Span], mode: Exact) -> Span:
    (x,), dtype, axes = args, node.type.dtype, node.attrs["axes"]
    if not dtype.is_float:
        if x.point.all():
            return certain(node, args)
        lo, hi = (_tree(v.astype(np.float64), axes, t) for v, t in ((x.lo, down), (x.hi, up)))
        info: Any = np.iinfo(dtype.np)
        full, inside = anything(node), (lo >= info.min) & (hi <= info.max) & (abs(lo) + abs(hi) < 2.0**53)
        lo, hi = (np.where(inside, v, 0).astype(dtype.np) for v in (lo, hi))
        return Span(np.where(inside, lo, full.lo), np.where(inside, hi, full.hi))
    size = np.maximum(abs(x.lo), abs(x.hi))
    count = math.prod(x.lo.shape[a] for a in axes)
    chain = mode.longest(node, count)
    weighted = None
    if chain.walk and isinstance(mode, Rounded):
        turns = steps(count, chain.walk).astype(np.float64).reshape([x.lo.shape[a] for a in sorted(axes)])
        weights = np.expand_dims(turns, [d for d in range(x.lo.ndim) if d not in axes])
        weighted = _tree(size * weights * (1 + f64.epsilon), axes, up)
    lo, hi, size = _tree(x.lo, axes, down), _tree(x.hi, axes, up), _tree(size, axes, up)
    found = mode.total(node, lo, hi, size, chain.longest, weighted)
    if weighted is None or not isinstance(mode, Rounded) or node in mode.unrounded:
        return found
    return _known(mode, node, found, _walked(x, tuple(sorted(axes)), chain.walk, dtype.computed))


def _known(mode: Exact, node: Node, found: Span, walked: Span) -> Span:
    """What is known of a sum whose order is: nothing still, where it may overflow."""
    stored = mode.stored(node.type.dtype, walked.lo, walked.hi)
    both = _within(found, stored)
    lost = np.isnan(found.lo)
    return span(np.where(lost, np.nan, both.lo), np.where(lost, np.nan, both.hi))


def _contract(node: Node, args: list[Span], mode: Exact) -> Span:
    if not node.type.dtype.is_float:
        return certain(node, args)
    a, b = args
    attrs = lifted(node.attrs)
    (left, right), out = attrs["spec"].partition("->")[0].split(","), attrs["spec"].partition("->")[2]
    sizes = {**dict(zip(left, a.lo.shape, strict=True)), **dict(zip(right, b.lo.shape, strict=True))}
    summed = [letter for letter in sizes if letter not in out]
    count = math.prod(sizes[letter] for letter in summed)

    def dot(x: Array, y: Array) -> Array:
        return np.asarray(np.einsum(attrs["spec"], x, y))

    (p, r), (q, s) = middle(a), middle(b)
    own = gamma(count + 2, f64.epsilon / 2)  # NumPy's sums of products, in whatever order
    size = up(dot(abs(p) + r, abs(q) + s) * (1 + own)) + count * TINY
    spread = up((dot(abs(p), s) + dot(r, abs(q)) + dot(r, s)) * (1 + 4 * own))
    if node.type.dtype is f64 and math.prod(sizes.values()) <= FEW:  # one by one
        every = f"{left},{right}->{out}{''.join(summed)}"
        last = tuple(range(len(out), len(out) + len(summed)))
        if p.dtype == q.dtype == np.float64 and _apart(p, q):
            terms = np.stack(two_product(p, q, every), -1)
            lo, hi = (_tree(terms, (*last, terms.ndim - 1), t) for t in (down, up))
        else:
            products = np.einsum(every, p, q)
            lo, hi = _tree(down(products) - TINY, last, down), _tree(up(products) + TINY, last, up)
    else:
        value = dot(p, q)
        lo, hi = value - up(own * size), value + up(own * size)
    zero = size == count * TINY
    lo, hi = (np.where(zero, 0.0, v) for v in (down(lo - spread), up(hi + spread)))
    chain = mode.longest(node, count)
    weighted = None
    if chain.walk and len(summed) == 1 and isinstance(mode, Rounded):  # the first product is rounded, too
        weights = (steps(count, chain.walk) + 1.0).reshape([-1 if x == summed[0] else 1 for x in left])
        weighted = up(dot((abs(p) + r) * weights, abs(q) + s) * (1 + 2 * own)) + count * TINY
    found = mode.total(node, lo, hi, size, chain.longest + 1, weighted)
    if weighted is None or not isinstance(mode, Rounded) or node in mode.unrounded:
        return found
    if math.prod(sizes.values()) > FEW:
        return found
    walked = _fused(a, b, f"{left},{right}->{out}{summed[0]}", chain.walk, node.type.dtype.computed)
    return found if walked is None else _known(mode, node, found, walked)


def middle(x: Span) -> tuple[Array, Array]:
    """A number within, and how far the ends are from it at most."""
    at = np.where(x.lo == x.hi, x.lo, x.lo + (x.hi - x.lo) / 2)
    return at, np.where(x.lo == x.hi, 0.0, up(np.maximum(x.hi - at, at - x.lo)))


def _scan_sum(node: Node, args: list[Span], mode: Exact) -> Span:
    (x,) = args
    if not node.type.dtype.is_float:
        return certain(node, args)
    axis = node.attrs["axis"]
    shape = [-1 if d == axis else 1 for d in range(x.lo.ndim)]
    k = np.arange(1, x.lo.shape[axis] + 1, dtype=np.float64).reshape(shape)

    def along(v: Array) -> Array:
        return np.cumsum(v, axis=axis)

    own = gamma(k, f64.epsilon / 2)
    size = up(along(np.maximum(abs(x.lo), abs(x.hi))) * (1 + 2 * own))
    found = mode.total(node, _running(x.lo, axis, down), _running(x.hi, axis, up), size, k)
    dtype = node.type.dtype
    if not isinstance(mode, Rounded) or node in mode.unrounded or dtype.wide is not None:
        return found
    ends = (np.add.accumulate(v.astype(dtype.np), axis).astype(np.float64) for v in (x.lo, x.hi))
    return _known(mode, node, found, span(*ends))


def _scatter_sum(node: Node, args: list[Span], mode: Exact) -> Span:
    x, *indices = args
    if not node.type.dtype.is_float:
        return certain(node, args)
    if not all(i.point.all() for i in indices):
        return anything(node)

    def put(v: Array) -> Array:
        return evaluated(node, lifted(node.attrs), [v, *(i.lo for i in indices)])

    k = put(np.ones(x.lo.shape))
    own = gamma(k, f64.epsilon / 2)
    size = up(put(np.maximum(abs(x.lo), abs(x.hi))) * (1 + 2 * own))
    return mode.total(node, down(put(x.lo) - own * size), up(put(x.hi) + own * size), size, k)


def _product(node: Node, args: list[Span], mode: Exact) -> Span:
    (x,), dtype = args, node.type.dtype
    if not dtype.is_float:
        return certain(node, args)
    at, away = middle(x)

    def multiplied(v: Array) -> Array:
        return evaluated(node, lifted(node.attrs), [v])

    count = x.lo.size if node.op.kind == "reduce" else max(x.lo.shape, default=1)
    own = gamma(count, f64.epsilon / 2)
    value, size, most = multiplied(at), multiplied(abs(at)), multiplied(abs(at) + away)
    factor = (
        own
        if not isinstance(mode, Rounded) or node in mode.unrounded
        else own + gamma(count, dtype.computed.epsilon / 2)
    )
    spread = up(up(most - size) + up(4 * (own + factor) * most))
    other = np.where(at == 0, 1.0, abs(at))  # what any order may come by
    low, high = multiplied(np.minimum(other, 1.0)), multiplied(np.maximum(other + away, 1.0))
    small = away > abs(at) / 2
    inside = (
        (low / 2.0**10 > dtype.computed.tiny)
        & (high < dtype.computed.most / 2)
        & ~multiplied(np.where(small, 0.0, 1.0)).__eq__(0)
    )
    lo, hi = np.where(inside, value - spread, np.nan), np.where(inside, value + spread, np.nan)
    return mode.stored(dtype, down(lo), up(hi))


def _extremes(node: Node, args: list[Span], mode: Exact) -> Span:
    """Rising in every element."""
    attrs = lifted(node.attrs)
    return span(evaluated(node, attrs, [args[0].lo]), evaluated(node, attrs, [args[0].hi]))


def _gather(node: Node, args: list[Span], mode: Exact) -> Span:
    x, *indices = args
    if not all(i.point.all() for i in indices):
        return anything(node)
    at = [i.lo for i in indices]
    return span(evaluated(node, node.attrs, [x.lo, *at]), evaluated(node, node.attrs, [x.hi, *at]))


# Products of a contraction that are looked at one by one.
FEW = 1 << 22
# What has a rule for bounds of longdouble; others take them as the nearest ones of float64 around.
LONG, LONG_KINDS = ("sum", "contract", "cumsum"), ("leaf", "view", "elementwise")
RULES: Mapping[str, Rule] = {
    **ELEMENTWISE,
    "sum": _sum, "prod": _product, "contract": _contract, "amax": _extremes, "amin": _extremes,
    "cumsum": _scan_sum, "cumprod": _product, "cummax": _extremes, "cummin": _extremes,
    "gather": _gather, "scatter_max": _gather, "scatter_min": _gather, "scatter_add": _scatter_sum,
}  # fmt: skip


def spans(graph: Graph, inputs: Sequence[Array], mode: Exact) -> dict[Node, Span]:
    """The span of every node."""
    found: dict[Node, Span] = {
        n: anything(n) if n.type.dtype.is_complex else mode.leaf(n, x)
        for n, x in zip(graph.inputs, inputs, strict=True)
    }
    with np.errstate(all="ignore"):
        for node in toposort(graph.outputs):
            if node not in found:
                found[node] = _node(node, [found[n] for n in node.inputs], mode)
    return found


def _node(node: Node, args: list[Span], mode: Exact) -> Span:
    op, dtype = node.op, node.type.dtype
    if dtype.is_complex or any(n.type.dtype.is_complex for n in node.inputs):
        return anything(node)  # beside libraries; else `pairs` has made real numbers of them
    if op.kind not in LONG_KINDS and op.name not in LONG:
        args = [narrowed(a) for a in args]
    if op.kind == "leaf":
        value = mode.literal(node)
        wide = value.astype(mode.wide) if dtype.is_float else value
        return span(wide, wide)
    if op.kind == "view" or op.name in ("stop_gradient", "sorted"):  # monotone
        attrs = lifted(node.attrs)
        return span(evaluated(node, attrs, [args[0].lo]), evaluated(node, attrs, [args[0].hi]))
    if op.name in RULES:
        found = RULES[op.name](node, args, mode)
    elif dtype.is_float and op.kind == "elementwise":
        found = function(node, args, mode)
    else:
        found = certain(node, args)
    shape = node.shape
    return (
        found if found.lo.shape == shape else Span(*(np.broadcast_to(x, shape) for x in (found.lo, found.hi)))
    )
