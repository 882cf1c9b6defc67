"""Intervals: between which two numbers a value lies, whatever is rounded on the way.

`Exact` propagates the values of exact real arithmetic through a graph, in float64 (of a graph of float64 in
NumPy's longdouble, where that has more digits) with every bound rounded outward; `Rounded` those that
kernels may compute, where an operation of IEEE's is monotone (its bounds are the rounded results of the
bounds), an elementary function is within its declared units in the last place, and a sum of n terms is
within g times the sum of |x|, g = k u / (1 - k u), k the longest chain of additions.

A span of floats has bounds of these, one of bools False <= True, one of integers bounds in their own dtype.
NaN in both bounds: nothing is known, not even that it is a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler.ir.data import data
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.rounding import convert
from lucid.compiler.ir.types import DType, f64

from .bounds import Array, evaluated, lifted
from .chains import Chain

TINY = 5e-324
# Units in the last place of float64 within which NumPy's elementary functions are; and those that it has not.
LIBRARY, OWN = 4, 16
# Units of longdouble, which are those of the C library: its manual states up to 7.
LONG = 16


def widest() -> Any:
    """The dtype of the bounds of exact values of float64: 64 bits or more, or float64 itself."""
    return np.longdouble if np.finfo(np.longdouble).nmant in (63, 112) else np.float64


@data
class Span:
    lo: Array
    hi: Array

    @property
    def point(self) -> Array:
        """Where it is one number."""
        return np.asarray(self.lo == self.hi)


def down(x: Array) -> Array:
    """Below every number that rounds to x; 0 stays, as sums and what is multiplied by 0 are exactly that."""
    return np.where(x == 0, x, np.nextafter(x, -np.inf))


def up(x: Array) -> Array:
    return np.where(x == 0, x, np.nextafter(x, np.inf))


def gamma(k: Any, u: float) -> Any:
    """The factor of the sum of |x| within which a sum is, rounded up."""
    return up(np.asarray(k * u / (1 - k * u) * (1 + 8 * f64.epsilon)))


# How a node adds so many terms.
Chains = Callable[[Node, int], Chain]


class Exact:
    """Spans of exact values. `longest(node, count)`: how a sum of so many terms is made. `wide`: the dtype of
    bounds."""

    def __init__(self, longest: Chains, wide: Any = np.float64) -> None:
        self.longest = longest
        self.wide = wide

    def leaf(self, node: Node, array: Array) -> Span:
        """An input, as it was given."""
        wide = array.astype(self.wide) if node.type.dtype.is_float else array
        return span(wide, wide)

    def literal(self, node: Node) -> Array:
        return evaluated(node, lifted(node.attrs), [])

    def ends(self, node: Node, x: Span) -> Span:
        """Between which points an elementary function is computed, in the dtype in which its value is."""
        return x if of_numpy(node) is not None else narrowed(x)

    def basic(self, node: Node, lo: Array, hi: Array) -> Span:
        """The bounds of an operation of IEEE's, computed in the dtype of bounds."""
        return span(down(lo), up(hi))

    def stored(self, dtype: DType, lo: Array, hi: Array) -> Span:
        return span(lo, hi)

    def function(self, node: Node, lo: Array, hi: Array) -> Span:
        """The bounds of an elementary function, as NumPy computes them of longdouble or of float64."""
        size = np.maximum(abs(lo), abs(hi))
        if node.op.name in ("lgamma", "digamma"):
            size = np.maximum(size, 1.0)
        if of_numpy(node) is None:
            unit = OWN * f64.epsilon
        elif size.dtype == np.float64:
            unit = LIBRARY * f64.epsilon
        else:
            unit = LONG * float(np.finfo(size.dtype).eps)
        away = up(unit * size) + TINY
        return span(down(lo - away), up(hi + away))

    def total(
        self, node: Node, lo: Array, hi: Array, size: Array, k: Any, weighted: Array | None = None
    ) -> Span:
        """A sum of terms whose bounds add up to lo and hi (rounded outward), absolute values to `size`; these
        times the additions that each takes part in, k at most, to `weighted`, if that is known."""
        return span(lo, hi)


class Rounded(Exact):
    """Spans of computed values. `unrounded`: nodes that are taken to be exact, to see what they cost."""

    def __init__(self, longest: Chains, unrounded: frozenset[Node] = frozenset()) -> None:
        super().__init__(longest)
        self.unrounded = unrounded

    def ends(self, node: Node, x: Span) -> Span:
        if node.type.dtype is not f64 or of_numpy(node) is None:
            return x
        return Span(x.lo.astype(widest()), x.hi.astype(widest()))

    def literal(self, node: Node) -> Array:
        return evaluated(node, node.attrs, [])

    def basic(self, node: Node, lo: Array, hi: Array) -> Span:
        dtype = node.type.dtype
        if node in self.unrounded:
            return super().basic(node, lo, hi)
        if dtype is f64:
            return span(lo, hi)
        return self.stored(dtype, _to(down(lo), dtype.computed), _to(up(hi), dtype.computed))

    def stored(self, dtype: DType, lo: Array, hi: Array) -> Span:
        return span(lo, hi) if dtype is f64 else span(_to(lo, dtype), _to(hi, dtype))

    def function(self, node: Node, lo: Array, hi: Array) -> Span:
        found = super().function(node, lo, hi)
        if node in self.unrounded:
            return found
        dtype = node.type.dtype
        size = np.maximum(abs(found.lo), abs(found.hi))
        if node.op.name in ("lgamma", "digamma"):
            size = np.maximum(size, 1.0)
        away = node.op.ulp * spacing(size, dtype.computed)
        low, high = down(found.lo - away), up(found.hi + away)
        if dtype.wide is not None:
            low, high = _to(low, dtype), _to(high, dtype)
        return span(above(low), -above(-high))  # no computed number lies between

    def total(
        self, node: Node, lo: Array, hi: Array, size: Array, k: Any, weighted: Array | None = None
    ) -> Span:
        dtype = node.type.dtype
        if node in self.unrounded:
            return span(lo, hi)
        wide = dtype.computed
        away = up(gamma(k, wide.epsilon / 2) * size) + k * least(wide)
        if weighted is not None:  # gamma grows faster than k
            away = up(up(gamma(k, wide.epsilon / 2) / max(k, 1)) * weighted) + k * least(wide)
        away = np.where(size > wide.most * (1 - wide.epsilon), np.nan, away)  # inf, and NaN of it, on the way
        low, high = down(lo - away), up(hi + away)
        low, high = np.where(lo >= 0, np.maximum(low, 0), low), np.where(hi <= 0, np.minimum(high, 0), high)
        return self.stored(dtype, low, high)


def of_numpy(node: Node) -> Any:
    """NumPy's function for an elementary one; None if it has none."""
    return {"pow": np.power, "exp_term": np.exp}.get(node.op.name) or getattr(np, node.op.name, None)


def above(x: Array) -> Array:
    """The least number of float64 that is not below x."""
    near = x.astype(np.float64)
    return np.where(near < x, np.nextafter(near, np.inf), near)


def narrowed(x: Span) -> Span:
    """Bounds of longdouble as those of float64 around them."""
    return Span(-above(-x.lo), above(x.hi)) if np.longdouble in (x.lo.dtype, x.hi.dtype) else x


def least(dtype: DType) -> float:
    """The least positive number of a float type."""
    return dtype.tiny * dtype.epsilon


def spacing(size: Array, dtype: DType) -> Array:
    """The unit in the last place at `size`; of what is beyond the range, inf."""
    exponent = np.frexp(np.maximum(size, dtype.tiny))[1] - 1
    return np.where(size <= dtype.most, np.ldexp(1.0, exponent - dtype.fraction), np.inf)


def _to(x: Array, dtype: DType) -> Array:
    return convert(x, dtype).astype(np.float64)


def span(lo: Array, hi: Array) -> Span:
    """NaN on one side is NaN on both."""
    lo, hi = np.asarray(lo), np.asarray(hi)
    if lo.dtype.kind == "f":
        bad = np.isnan(lo) | np.isnan(hi)
        if bad.any():
            lo, hi = np.where(bad, np.nan, lo), np.where(bad, np.nan, hi)
    return Span(lo, hi)
