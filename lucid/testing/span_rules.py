"""Spans of elementwise ops: one rule an op, for exact and for rounded values alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.rounding import convert
from lucid.compiler.ir.types import f64

from .bounds import Array, evaluated, lifted
from .spans import TINY, Exact, Rounded, Span, down, of_numpy, span, up

# Of (node, operands, mode).
Rule = Callable[[Node, list[Span], Exact], Span]


def anything(node: Node) -> Span:
    """Nothing is known."""
    dtype = node.type.dtype
    if dtype.is_inexact:
        nan = np.full(node.shape, np.nan)
        return Span(nan, nan)
    low, high = (False, True) if dtype.kind == "b" else (np.iinfo(dtype.np).min, np.iinfo(dtype.np).max)  # type: ignore[type-var]
    return Span(np.full(node.shape, low, dtype.np), np.full(node.shape, high, dtype.np))


def certain(node: Node, args: list[Span]) -> Span:
    """What is computed exactly of what is known exactly: elementwise each for itself, else all or nothing."""
    nothing = anything(node)
    if (
        node.type.dtype.is_complex
        or node.op.kind == "host"
        or (not node.op.exact and node.type.dtype.is_float)
    ):
        return nothing
    known = [a.point for a in args]
    if node.op.kind != "elementwise" and not all(p.all() for p in known):
        return nothing
    values = [
        convert(a.lo, n.type.dtype) if n.type.dtype.is_float else a.lo
        for a, n in zip(args, node.inputs, strict=True)
    ]
    value = evaluated(node, node.attrs, values)
    value = value.astype(np.float64) if node.type.dtype.is_float else value
    if node.op.kind != "elementwise" or not known:
        return span(value, value)
    sure = np.logical_and.reduce(known) & np.logical_not(_by_sign_of_zero(node, args))
    return span(np.where(sure, value, nothing.lo), np.where(sure, value, nothing.hi))


def _by_sign_of_zero(node: Node, args: list[Span]) -> Array | bool:
    """Where the sign of a zero decides, which numbers have not: -0 and 0 are one."""
    first, last = args[0], args[-1]
    zero = (first.lo <= 0) & (first.hi >= 0)
    if node.op.name == "arctan2":
        return np.asarray(zero & (last.lo <= 0))
    return np.asarray(zero & (last.lo < 0)) if node.op.name == "pow" else False


# --- elementwise ------------------------------------------------------------------------------------


def floats(rule: Rule) -> Rule:
    """A rule for floats; integers are exact where their operands are."""

    def either(node: Node, args: list[Span], mode: Exact) -> Span:
        return rule(node, args, mode) if node.type.dtype.is_float else certain(node, args)

    return either


def _add(node: Node, args: list[Span], mode: Exact) -> Span:
    a, b = args
    return mode.basic(node, a.lo + b.lo, a.hi + b.hi)


def _sub(node: Node, args: list[Span], mode: Exact) -> Span:
    a, b = args
    if node.inputs[0] is node.inputs[1]:
        zero = np.where(np.isfinite(a.lo) & np.isfinite(a.hi), 0.0, np.nan)
        return span(zero, zero)
    return mode.basic(node, a.lo - b.hi, a.hi - b.lo)


def _corners(node: Node, sides: list[tuple[Array, Array, Array]], mode: Exact) -> Span:
    """The extremes of values at corners, each with two numbers of which none is 0 where 0 is an underflow."""
    lows, highs = [], []
    for value, a, b in sides:
        lost = (value == 0) & (a != 0) & (b != 0) & np.isfinite(a) & np.isfinite(b)
        negative = np.signbit(a) != np.signbit(b)
        whole = value + 0.0
        lows.append(np.where(lost & negative, -TINY, whole))
        highs.append(np.where(lost & ~negative, TINY, whole))
    if isinstance(mode, Rounded) and node.type.dtype is f64 and node not in mode.unrounded:
        lows = highs = [value + 0.0 for value, _, _ in sides]
    lo, hi = lows[0], highs[0]
    for x, y in zip(lows[1:], highs[1:], strict=True):
        lo, hi = np.minimum(lo, x), np.maximum(hi, y)
    return mode.basic(node, lo, hi)


def _mul(node: Node, args: list[Span], mode: Exact) -> Span:
    a, b = args
    if node.inputs[0] is node.inputs[1]:
        a = magnitude(a)
        return _corners(node, [(x * x, x, x) for x in (a.lo, a.hi)], mode)
    return _corners(node, [(x * y, x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)], mode)


def _div(node: Node, args: list[Span], mode: Exact) -> Span:
    a, b = args
    away = (b.lo > 0) | (b.hi < 0)
    lo, hi = np.where(away, b.lo, np.nan), np.where(away, b.hi, np.nan)
    return _corners(
        node, [(x / y, x, np.where(np.isinf(y), 0, y)) for x in (a.lo, a.hi) for y in (lo, hi)], mode
    )


def magnitude(x: Span) -> Span:
    """The span of |x|."""
    lo, hi = np.abs(x.lo), np.abs(x.hi)
    across = (x.lo < 0) & (x.hi > 0)
    return span(np.where(across, 0.0, np.minimum(lo, hi)), np.maximum(lo, hi))


def _monotone(f: Callable[[Array], Array]) -> Rule:
    """Exact, and rising."""
    return lambda node, args, mode: span(f(args[0].lo), f(args[0].hi))


def _copysign(node: Node, args: list[Span], mode: Exact) -> Span:
    """Of either sign where that of a zero, which numbers have not, decides."""
    size, by = magnitude(args[0]), args[1]
    return span(np.where(by.lo > 0, size.lo, -size.hi), np.where(by.hi < 0, -size.lo, size.hi))


def _sqrt(node: Node, args: list[Span], mode: Exact) -> Span:
    return mode.basic(node, np.sqrt(args[0].lo), np.sqrt(args[0].hi))


def _larger(f: Any) -> Rule:
    return lambda node, args, mode: span(f(args[0].lo, args[1].lo), f(args[0].hi, args[1].hi))


def _where(node: Node, args: list[Span], mode: Exact) -> Span:
    c, a, b = args
    lo, hi = np.minimum(a.lo, b.lo), np.maximum(a.hi, b.hi)
    return span(
        np.where(c.lo, a.lo, np.where(c.hi, lo, b.lo)), np.where(c.lo, a.hi, np.where(c.hi, hi, b.hi))
    )


def _cast(node: Node, args: list[Span], mode: Exact) -> Span:
    (x,), dtype = args, node.type.dtype
    source = node.inputs[0].type.dtype
    if dtype.is_float:
        lo, hi = (v if source.is_float else v.astype(mode.wide) for v in (x.lo, x.hi))
        if source.kind in "iu" and source.size == 8:  # beyond 2**53 some are rounded
            lo, hi = (np.where(abs(v) < 2.0**53, v, w) for v, w in ((lo, down(lo)), (hi, up(hi))))
        return mode.stored(dtype, lo, hi) if node not in getattr(mode, "unrounded", ()) else span(lo, hi)
    if source.is_float and dtype.kind != "b":
        info: Any = np.iinfo(dtype.np)
        inside = (np.trunc(x.lo) >= info.min) & (np.trunc(x.hi) <= min(float(info.max), 2.0**62))
        full = anything(node)
        lo, hi = (np.where(inside, v, 0).astype(dtype.np) for v in (x.lo, x.hi))
        return span(np.where(inside, lo, full.lo), np.where(inside, hi, full.hi))
    if dtype.kind == "b":
        a = magnitude(x) if source.is_float else x
        some = ~((x.lo <= 0) & (x.hi >= 0)) & ~np.isnan(a.lo if source.is_float else np.zeros(()))
        return span(some, ~((x.lo == 0) & (x.hi == 0)))
    return certain(node, args)


def _compare(name: str) -> Rule:
    def rule(node: Node, args: list[Span], mode: Exact) -> Span:
        a, b = args
        if name in ("gt", "ge"):
            a, b = b, a
        if name in ("lt", "gt"):
            return Span(a.hi < b.lo, ~(a.lo >= b.hi))
        if name in ("le", "ge"):
            return Span(a.hi <= b.lo, ~(a.lo > b.hi))
        equal = a.point & b.point & (a.lo == b.lo)
        apart = (a.hi < b.lo) | (a.lo > b.hi)
        if node.inputs[0] is node.inputs[1]:  # whether it is a number
            equal, apart = (
                ~np.isnan(a.lo) if a.lo.dtype.kind == "f" else np.full(a.lo.shape, True),
                ~a.point & False,
            )
        return Span(equal, ~apart) if name == "eq" else Span(apart, ~equal)

    return rule


def _logic(f: Any) -> Rule:
    """Of bools, rising; of integers, where they are known."""

    def rule(node: Node, args: list[Span], mode: Exact) -> Span:
        if node.type.dtype.kind != "b":
            return certain(node, args)
        return Span(f(args[0].lo, args[1].lo), f(args[0].hi, args[1].hi))

    return rule


def _not(node: Node, args: list[Span], mode: Exact) -> Span:
    return Span(~args[0].hi, ~args[0].lo) if node.type.dtype.kind == "b" else certain(node, args)


def _neg(node: Node, args: list[Span], mode: Exact) -> Span:
    return span(-args[0].hi, -args[0].lo)


def function(node: Node, args: list[Span], mode: Exact) -> Span:
    """An elementary function: its values at the ends, where it is monotone between them."""
    name, attrs = node.op.name, lifted(node.attrs)

    args = [mode.ends(node, a) for a in args]

    def at(*xs: Array) -> Array:
        if any(x.dtype == np.longdouble for x in xs):
            return np.asarray(of_numpy(node)(*xs))
        return np.asarray(evaluated(node, attrs, [np.asarray(x) for x in xs]), np.float64)

    if len(args) == 2:
        a, b = args
        values = [at(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
        lo, hi = np.minimum.reduce(values), np.maximum.reduce(values)
        known = _PLAIN[name](a, b) if name in _PLAIN else np.zeros(lo.shape, bool)
        known = (known | (a.point & b.point)) & np.logical_not(_by_sign_of_zero(node, args))
        if name == "pow":
            zero = (a.lo < 0) & (a.hi > 0)
            lo, hi = np.where(zero, np.minimum(lo, 0), lo), np.where(zero, np.maximum(hi, 0), hi)
    else:
        (x,) = args
        if name in ("sin", "cos"):
            middle = x.lo + (x.hi - x.lo) / 2
            half = up(up(np.maximum(x.hi - middle, middle - x.lo)))
            lo, hi = np.maximum(at(middle) - half, -1), np.minimum(at(middle) + half, 1)
            known = half < 4
        else:
            x = magnitude(x) if name == "cosh" else x
            ends = at(x.lo), at(x.hi)
            lo, hi = np.minimum(*ends), np.maximum(*ends)
            known = _known(name, x) | x.point
            if name == "lgamma":
                lo = np.where((x.lo < 1.47) & (x.hi > 1.46), np.minimum(lo, -0.12148629053584961), lo)
    if not node.op.ulp:  # a remainder
        return certain(node, args) if isinstance(mode, Rounded) else _where_known(node, known, lo, hi, mode)
    found = mode.function(node, lo, hi)
    low = 0.0 if name in _POSITIVE else -np.inf
    found = span(np.maximum(found.lo, low), found.hi)
    if len(args) == 1 and not isinstance(mode, Rounded):  # 0 where it is 0 for 0
        low_end, high_end = (args[0].lo == 0) & (lo == 0), (args[0].hi == 0) & (hi == 0)
        found = span(np.where(low_end, 0.0, found.lo), np.where(high_end, 0.0, found.hi))
    return _where_known(node, known, found.lo, found.hi)


def _where_known(node: Node, known: Array, lo: Array, hi: Array, mode: Exact | None = None) -> Span:
    found = span(lo, hi) if mode is None else mode.basic(node, lo, hi)
    return span(np.where(known, found.lo, np.nan), np.where(known, found.hi, np.nan))


# A result has the sign of the exact value (`lucid ulp` counts another one as infinitely far away).
_POSITIVE = {"exp", "exp_term", "exp2", "erfc", "cosh", "trigamma", "arccosh", "arccos", "sigmoid"}
_RISING = {
    "exp", "exp_term", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "arcsin",
    "arccos", "arctan", "sinh",
    "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "erf", "erfc", "erfinv", "floor", "ceil", "trunc",
    "rint", "sign", "sigmoid",
}  # fmt: skip


def _known(name: str, x: Span) -> Array:
    """Where a function is monotone between the ends (of `lgamma`, but for the one minimum)."""
    if name in _RISING:
        return np.ones(x.lo.shape, bool)
    if name in ("lgamma", "digamma", "trigamma"):
        return np.asarray(x.lo > 0)
    if name == "tan":
        turns = [np.floor((v + math.pi / 2 + side) / math.pi) for v, side in ((x.lo, -1e-9), (x.hi, 1e-9))]
        return np.asarray((turns[0] == turns[1]) & (abs(x.lo) < 1e6) & (abs(x.hi) < 1e6))
    return np.zeros(x.lo.shape, bool)


def _power(a: Span, b: Span) -> Array:
    whole = b.point & (b.lo == np.floor(b.lo))
    apart = (a.lo > 0) | (whole & (a.hi < 0))
    return np.asarray(apart | (whole & (b.lo > 0)) | ((a.lo >= 0) & (b.lo > 0)))


def _angle(y: Span, x: Span) -> Array:
    return np.asarray((x.lo > 0) | (y.lo > 0) | (y.hi < 0))


_PLAIN: Mapping[str, Callable[[Span, Span], Array]] = {"pow": _power, "arctan2": _angle}


ELEMENTWISE: Mapping[str, Rule] = {
    "add": floats(_add), "sub": floats(_sub), "mul": floats(_mul), "div": _div, "sqrt": _sqrt,
    "neg": floats(_neg), "abs": floats(lambda node, args, mode: magnitude(args[0])),
    "floor": _monotone(np.floor), "ceil": _monotone(np.ceil), "trunc": _monotone(np.trunc),
    "rint": _monotone(np.rint), "sign": floats(_monotone(np.sign)),
    "max": floats(_larger(np.maximum)), "min": floats(_larger(np.minimum)), "where": _where, "cast": _cast,
    **{name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    "and": _logic(np.logical_and), "or": _logic(np.logical_or),
    "not": _not, "copysign": _copysign,
}  # fmt: skip
