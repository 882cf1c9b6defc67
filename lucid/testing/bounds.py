"""How far a compiled graph may be from the same graph in float64, element by element: a running error bound.

Of each node there are three arrays: `own`, its value as NumPy computes it op by op in the dtypes of the
graph; `exact`, the same in float64 from the same inputs; and `error`, within which each element of a
compiled result must lie around `exact`. Where every step on the way has NumPy's bits, nothing is left to
chance: `error` is |own - exact|, and the node is in `same`: its compiled value must be `own`.

Elsewhere an elementwise op is evaluated at the ends of what its operands may be (so that a rounded
comparison, a step or a pole counts for what it does), and adds the rounding of its own result; sums of n
terms add k u Σ|x|, where k is the longest chain of additions of the normative order (docs/architecture.md,
"Error bounds"). `error` is inf where nothing can be said: the range of a dtype is left, an index or an
order depends on rounded values.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lucid.compiler import order
from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Graph, Node, toposort
from lucid.compiler.ir.rounding import convert
from lucid.compiler.ir.types import DType, c128, f64

Array = np.ndarray[Any, Any]


@data
class Running:
    """What is known of one node."""

    own: Array
    exact: Array
    error: Array
    same: bool


def lifted(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a node, with float64 in place of other float dtypes."""
    return {k: _lifted(v) for k, v in attrs.items()}


def _lifted(value: Any) -> Any:
    if not isinstance(value, DType) or not value.is_inexact:
        return value
    return f64 if value.is_float else c128


def in_float64(graph: Graph, inputs: Sequence[Array]) -> dict[Node, Array]:
    """The value of every node by NumPy, with float64 in place of all float dtypes."""
    values: dict[Node, Array] = {}
    for node, array in zip(graph.inputs, inputs, strict=True):
        values[node] = widened(array, node.type.dtype)
    for node in toposort(graph.outputs):
        if node not in values:
            values[node] = evaluated(node, lifted(node.attrs), [values[n] for n in node.inputs])
    return values


def unsettled(graph: Graph, inputs: Sequence[Array], part: float) -> dict[Node, Array]:
    """How far each element goes, at most, if each float on the way is off by up to `part` of itself, as it
    might be where the same is computed by another formula: the largest of some random tries."""
    rng, exact = np.random.default_rng(0), in_float64(graph, inputs)

    def shaken(x: Array) -> Array:
        if x.dtype.kind not in "fc":
            return x
        with np.errstate(all="ignore"):
            return np.asarray(x * (1 + part * rng.uniform(-1, 1, x.shape)))

    found = {node: np.zeros(node.shape) for node in exact}
    for _ in range(TRIES):
        values = {n: shaken(widened(x, n.type.dtype)) for n, x in zip(graph.inputs, inputs, strict=True)}
        for node in toposort(graph.outputs):
            if node not in values:
                args = [values[n] for n in node.inputs]
                values[node] = shaken(evaluated(node, lifted(node.attrs), args))
        for node, most in found.items():
            found[node] = np.maximum(most, distance(values[node], exact[node]))
    return found


TRIES = 6


def widened(array: Array, dtype: DType) -> Array:
    return array.astype(_lifted(dtype).np, copy=False) if dtype.is_inexact else array


def evaluated(node: Node, attrs: Mapping[str, Any], args: Sequence[Array]) -> Array:
    """One op by NumPy, which says nothing of what overflows."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _evaluated(node, attrs, args)


def _evaluated(node: Node, attrs: Mapping[str, Any], args: Sequence[Array]) -> Array:
    """The same where that is seen to: setting it takes as long as a small array."""
    assert node.op.evaluate is not None, node
    return np.asarray(node.op.evaluate(attrs, *args))


def running(graph: Graph, inputs: Sequence[Array]) -> dict[Node, Running]:
    """Values and bounds of every node; complex numbers have no bound (`pairs` makes real ones of them)."""
    found: dict[Node, Running] = {}
    for node, array in zip(graph.inputs, inputs, strict=True):
        exact = widened(array, node.type.dtype)
        found[node] = Running(array, exact, np.zeros(node.shape), True)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for node in toposort(graph.outputs):
            if node not in found:
                found[node] = _node(node, [found[n] for n in node.inputs])
    return found


def _node(node: Node, args: list[Running]) -> Running:
    own = _evaluated(node, node.attrs, [a.own for a in args])
    attrs = lifted(node.attrs)
    # Integers and float64 are the same in float64.
    alike = attrs == node.attrs and all(a.exact is a.own for a in args)
    exact = own if alike else _evaluated(node, attrs, [a.exact for a in args])
    if node.op.name in ("amax", "amin") and _both_zeros(args[0].own):  # which of them, nobody promises
        error = np.where(exact == 0, float(np.finfo(np.float64).tiny), 0.0) + _distance(own, exact)
        return Running(own, exact, error + _extreme(node, args, exact), False)
    if node.op.name == "copysign" and (nan := np.isnan(args[1].own)).any():  # nor which sign NaN has
        error = np.where(nan, np.inf, _elementwise(node, args, exact) + _distance(own, exact))
        return Running(own, exact, error, False)
    if all(a.same for a in args) and _keeps_bits(node, args):
        return Running(own, exact, _distance(own, exact), True)
    if any(x.dtype.kind == "c" for x in (own, *(a.own for a in args))):
        return Running(own, exact, np.full(node.shape, np.inf), False)
    rule = _RULES.get(node.op.name) or _KINDS.get(node.op.kind)
    assert rule is not None, f"no error bound for ops of the kind {node.op.kind}: {node.op.name}"
    error = np.asarray(rule(node, args, exact), np.float64)
    error = np.where(np.isnan(error), np.inf, error)
    error = error + rounding(node, exact, error)
    return Running(own, exact, np.broadcast_to(error, node.shape), False)


def distance(a: Array, b: Array) -> Array:
    """|a - b| in float64; 0 where both are NaN or the same infinity, else inf where one is not finite."""
    with np.errstate(all="ignore"):
        return _distance(a, b)


def _distance(a: Array, b: Array) -> Array:
    if a is b:
        return np.zeros(a.shape)
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    a, b = a.astype(wide, copy=False), b.astype(wide, copy=False)
    away = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isfinite(away), away, np.inf))


def _both_zeros(x: Array) -> bool:
    zeros = np.signbit(x[x == 0]) if x.dtype.kind == "f" else np.zeros(0, bool)
    return bool(zeros.any() and not zeros.all())


def _keeps_bits(node: Node, args: list[Running]) -> bool:
    """Whether a compiled op has NumPy's bits for these operands."""
    if node.op.kind == "host":
        return False
    if node.op.name in ("sum", "contract", "scatter_add", "convolve", "prod"):
        return not node.type.dtype.is_float
    if node.op.name == "cast":
        return not _leaves_range(node, args[0].exact).any()
    return node.op.exact


def _leaves_range(node: Node, x: Array) -> Array:
    """Where a float is no number of the integers that it is cast to: anything may come of it."""
    if node.type.dtype.kind not in "iu" or x.dtype.kind != "f":
        return np.zeros(x.shape, bool)
    info = np.iinfo(node.type.dtype.numpy)
    return ~((x > float(info.min) - 1) & (x < float(info.max) + 1))


# --- rounding -------------------------------------------------------------------------------------


def unit(dtype: DType) -> float:
    """The unit roundoff: half of the distance from 1 to the next number."""
    return 0.5 * dtype.epsilon


def rounding(node: Node, exact: Array, error: Array) -> Array:
    """What the last rounding of a node adds to `error`: none if it gives integers; inf beyond the range."""
    dtype = node.type.dtype
    if not dtype.is_float or node.op.kind == "view" or node.op.name in _UNROUNDED:
        return np.zeros(exact.shape)
    info: Any = np.finfo(np.float32) if dtype.package else np.finfo(dtype.np)
    size = np.abs(exact) + error
    if dtype is f64:  # NumPy rounds, too; its elementary functions are within 4 units
        steps = 2.0 + (2 * node.op.ulp + 8 if node.op.ulp else 0)
    else:
        steps = 1.0 + 2 * node.op.ulp
    if node.op.name in ("lgamma", "digamma"):
        size = np.maximum(size, 1.0)
    grown = steps * (unit(dtype) * size + float(info.smallest_subnormal))
    whole = np.isfinite(exact) & (size * (1 + unit(dtype)) > float(info.max))
    return np.where(np.isfinite(exact), np.where(whole, np.inf, grown), 0.0)


_UNROUNDED = {
    "sorted",
    "max",
    "min",
    "where",
    "neg",
    "abs",
    "amax",
    "amin",
    "gather",
    "stop_gradient",
    "sign",
    "cummax",
    "cummin",
}


def _summing(node: Node, chain: int | Array, size: Array) -> Array:
    """The rounding of a sum of terms whose absolute values sum to `size`, in `chain` additions at most, one
    after the other."""
    dtype = node.type.dtype
    if not dtype.is_float:
        return np.zeros(np.shape(size))
    sides = 2 if dtype is f64 else 1  # NumPy rounds, too
    info: Any = np.finfo(dtype.computed.np)
    size = np.where(size > float(info.max), np.inf, size)  # on the way to the sum
    each = unit(dtype.computed) * size + float(info.smallest_subnormal)
    return np.asarray(sides * chain * each)


# --- rules: (node, operands, value in float64) -> error before the last rounding --------------------


def _elementwise(node: Node, args: list[Running], exact: Array) -> Array:
    """The farthest that the op goes where each operand is at one end of what it may be."""
    moving = [k for k, a in enumerate(args) if np.any(a.error)]
    error = np.zeros(exact.shape)
    if node.op.name == "cast":
        error = np.where(_leaves_range(node, args[0].exact), np.inf, error)
    attrs = lifted(node.attrs)
    for signs in itertools.product((-1, 1), repeat=len(moving)):
        moved = [a.exact for a in args]
        for k, sign in zip(moving, signs, strict=True):
            moved[k] = shifted(args[k], sign)
        error = np.maximum(error, _distance(_evaluated(node, attrs, moved), exact))
    for k in moving:
        error = np.where(np.isinf(args[k].error) & ~_ignored(node, args, k), np.inf, error)
    if node.op.name in _DIVISIONS:  # the pole may lie between the ends
        error = np.where((args[1].error > 0) & (np.abs(args[1].exact) <= args[1].error), np.inf, error)
    return error


def _ignored(node: Node, args: list[Running], k: int) -> Array | bool:
    """Where `where` does not choose operand k, whatever it is."""
    if node.op.name != "where" or k == 0:
        return False
    certain = args[0].error == 0
    return np.asarray(certain & (args[0].exact if k == 2 else ~args[0].exact))


def shifted(a: Running, sign: int) -> Array:
    """One end of what the value may be."""
    kind = a.exact.dtype.kind
    if kind == "b":
        return a.exact ^ (a.error > 0) if sign > 0 else a.exact
    if kind in "iu":
        step = np.where(np.isfinite(a.error), a.error, 0.0)
        return np.asarray(a.exact + sign * step).astype(a.exact.dtype)
    return np.asarray(np.where(np.isfinite(a.exact), a.exact + sign * a.error, a.exact))


def _moved(node: Node, args: list[Running], exact: Array) -> Array:
    """What only moves elements, from an array of numbers: so do their errors."""
    return _evaluated(node, node.attrs, [a.error for a in args])


def _indexed(node: Node, args: list[Running], exact: Array) -> Array:
    x, *indices = args
    if any(np.any(i.error) for i in indices):
        return np.full(exact.shape, np.inf)
    if node.op.name != "scatter_add":
        return _evaluated(node, node.attrs, [x.error, *(i.exact for i in indices)])
    at = [i.exact for i in indices]
    grown = _evaluated(node, node.attrs, [x.error, *at])
    size = _evaluated(node, node.attrs, [np.abs(x.exact) + x.error, *at])
    return grown + _summing(node, _evaluated(node, node.attrs, [np.ones(x.exact.shape), *at]), size)


def _sum(node: Node, args: list[Running], exact: Array) -> Array:
    (x,) = args
    count = x.exact.size // max(1, exact.size)
    grown = _evaluated(node, lifted(node.attrs), [np.asarray(x.error, np.float64)])
    size = _evaluated(node, lifted(node.attrs), [np.abs(x.exact).astype(np.float64) + x.error])
    return grown + _summing(node, order.chain(count), size)


def _product(node: Node, args: list[Running], exact: Array) -> Array:
    """Of products in any order: (|x| + e) (1 + u) multiplied, less the product of |x|; and what is lost
    where some of them are denormal, multiplied by the others. inf where some may leave the range."""
    (x,) = args
    count = x.exact.size // max(1, exact.size) if node.op.kind == "reduce" else max(x.exact.shape, default=1)
    attrs, size = lifted(node.attrs), np.abs(x.exact).astype(np.float64)
    most = _evaluated(node, attrs, [size + x.error])
    least = _evaluated(node, attrs, [size])
    dtype = node.type.dtype
    if not dtype.is_float:
        return most - least
    info: Any = np.finfo(dtype.computed.np)
    large = _evaluated(node, attrs, [np.maximum(size + x.error, 1.0)])  # the most that any of them may be
    lost = 2 * count * (unit(dtype.computed) * most + float(info.smallest_subnormal) * large)
    return np.where(large > float(info.max), np.inf, most - least + lost)


def _contract(node: Node, args: list[Running], exact: Array) -> Array:
    a, b = args
    attrs = lifted(node.attrs)
    big, large = (np.abs(x.exact).astype(np.float64) for x in args)
    grown = _evaluated(node, attrs, [np.asarray(a.error), large + b.error])
    grown = grown + _evaluated(node, attrs, [big, np.asarray(b.error)])
    count = max(a.exact.size, b.exact.size)  # of the terms of one sum, at most
    if spec := node.attrs.get("spec"):
        (left, right), kept = spec.partition("->")[0].split(","), spec.partition("->")[2]
        sizes = {
            **dict(zip(left, a.exact.shape, strict=True)),
            **dict(zip(right, b.exact.shape, strict=True)),
        }
        count = math.prod(n for axis, n in sizes.items() if axis not in kept)
    return grown + _summing(node, order.chain(count), _evaluated(node, attrs, [big, large]))


def _extreme(node: Node, args: list[Running], exact: Array) -> Array:
    (x,) = args
    ends = [_evaluated(node, lifted(node.attrs), [shifted(x, sign)]) for sign in (-1, 1)]
    away = np.maximum(*(_distance(end, exact) for end in ends))
    if not np.isinf(x.error).any():
        return away
    return np.full(exact.shape, np.inf)


def _scan(node: Node, args: list[Running], exact: Array) -> Array:
    if node.op.name in ("cummax", "cummin"):
        return _extreme(node, args, exact)
    if node.op.name == "cumprod":
        return _product(node, args, exact)
    (x,) = args
    grown = _evaluated(node, lifted(node.attrs), [np.asarray(x.error, np.float64)])
    size = _evaluated(node, lifted(node.attrs), [np.abs(x.exact).astype(np.float64) + x.error])
    if not node.type.dtype.is_float:
        return grown
    longest = max(x.exact.shape, default=1)
    return np.asarray(grown + 2 * longest * unit(node.type.dtype.computed) * size)


def _decided(node: Node, args: list[Running], exact: Array) -> Array:
    """Places and orders: certain where the operands are."""
    return np.full(exact.shape, np.inf if any(np.any(a.error) for a in args) else 0.0)


def _sorted(node: Node, args: list[Running], exact: Array) -> Array:
    """No element goes farther than the one that has changed most."""
    most = np.max(args[0].error, axis=node.attrs["axis"], keepdims=True, initial=0)
    return np.broadcast_to(most, exact.shape)


def _constant(node: Node, args: list[Running], exact: Array) -> Array:
    return _distance(convert(exact, node.type.dtype), exact)


def _library(node: Node, args: list[Running], exact: Array) -> Array:
    """What a library computes (LAPACK, pocketfft) has no bound here."""
    return np.full(exact.shape, np.inf)


_DIVISIONS = ("div", "floordiv", "mod", "fmod")

_Rule = Callable[[Node, list[Running], Array], Array]
_KINDS: dict[str, _Rule] = {
    "leaf": _constant, "elementwise": _elementwise, "view": _moved, "index": _indexed, "contract": _contract,
    "composed": _contract, "scan": _scan, "sort": _decided, "host": _library,
}  # fmt: skip
_RULES: dict[str, _Rule] = {
    "sum": _sum, "prod": _product, "amax": _extreme, "amin": _extreme, "argmax": _decided, "argmin": _decided,
    "sorted": _sorted,
}  # fmt: skip
