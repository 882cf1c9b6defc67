"""Elementwise functions made of others. None overflows inside where its result does not; float16 is computed
in float32 and rounded once; gradients are right to second order, where two ways of computing meet, too."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import b1, c128, f64

from . import complexes
from . import elementwise as ew
from .promote import Value, cast, float_dtype, joint, loop_dtypes, result_dtype, scalar, weak

Formula = Callable[..., Node]


def _of_floats(ufunc: np.ufunc, within: bool = True) -> Callable[[Formula], Formula]:
    """The formula gets its operands as nodes of one float dtype and one shape: that of `ufunc`, or, `within`,
    float32 in place of float16."""

    def decorate(formula: Formula) -> Formula:
        @functools.wraps(formula)
        def build(*operands: Value, **attrs: Any) -> Node:
            dtype = loop_dtypes(ufunc, *map(weak, operands))[0]
            wide = dtype.computed if within else dtype
            return cast(formula(*joint(formula.__name__, wide, *operands), **attrs), dtype)

        return build

    return decorate


def _times(x: Node, value: float) -> Node:
    return ops.MUL(ops.const(value, x), x)


def _either(test: Node, a: Node, b: Node) -> tuple[Node, Node]:
    """(a, b) where the test holds, else (b, a)."""
    return ops.WHERE(test, a, b), ops.WHERE(test, b, a)


# --- exponentials and logarithms -----------------------------------------------------------------


def _distance(a: Node, b: Node) -> tuple[Node, Node]:
    """The greater, and the lesser less it: 0 of two equal infinities."""
    high, low = _either(ops.GE(a, b), a, b)
    same = ops.AND(ops.EQ(low, high), ops.EQ(ops.ABS(high), ops.const(math.inf, a)))
    return high, ops.WHERE(same, ops.const(0, a), ops.SUB(low, high))


def any_complex(*operands: Value) -> bool:
    return any(k is complex or result_dtype(k).is_complex for k in map(weak, operands))


def _joint_complex(name: str, *operands: Value) -> list[Node]:
    kinds = [weak(v) for v in operands]
    return list(joint(name, result_dtype("c64", *[k for k in kinds if k is not complex]), *operands))


@_of_floats(np.logaddexp)
def _logaddexp(a: Node, b: Node) -> Node:
    high, away = _distance(a, b)
    return ops.ADD(high, ops.LOG1P(ops.EXP(away)))


def logaddexp(a: Value, b: Value) -> Node:
    """Of complex numbers the greater real part is taken out."""
    if not any_complex(a, b):
        return _logaddexp(a, b)
    x, y = map(complexes.taken_apart, _joint_complex("logaddexp", a, b))
    top = ops.STOP(ops.MAX(ops.RE(x), ops.RE(y)))
    top = ops.WHERE(ops.EQ(ops.ABS(top), ops.const(math.inf, top)), ops.zeros_like(top), top)
    out = ops.COMPLEX(top, ops.zeros_like(top))
    total = ops.ADD(ops.EXP(ops.SUB(x, out)), ops.EXP(ops.SUB(y, out)))
    return ops.ADD(ops.LOG(total), out)


@_of_floats(np.logaddexp2)
def logaddexp2(a: Node, b: Node) -> Node:
    high, away = _distance(a, b)
    return ops.ADD(high, _times(ops.LOG1P(ops.EXP2(away)), 1 / math.log(2)))


@_of_floats(np.tanh)
def softplus(x: Node, beta: float = 1.0) -> Node:
    """log(1 + exp(beta x)) / beta."""
    factor = ops.fill(scalar(beta, x.type.dtype), x.shape)
    y = ops.MUL(factor, x)
    high, away = _distance(y, ops.const(0, y))
    return ops.DIV(ops.ADD(high, ops.LOG1P(ops.EXP(away))), factor)


@_of_floats(np.tanh)
def logit(x: Node) -> Node:
    """log(x / (1 - x)): around 1/2, where logarithms cancel, 2 arctanh(2x - 1); else of the lesser one of x
    and 1 - x, log(m) - log(1 - m), the latter by that arctanh, too."""
    half, one = ops.const(0.5, x), ops.const(1, x)
    offset = ops.SUB(x, half)
    middle, low = ops.LT(ops.ABS(offset), ops.const(0.25, x)), ops.LT(x, half)
    m = ops.WHERE(middle, half, ops.WHERE(low, x, ops.SUB(one, x)))
    part = ops.DIV(m, ops.SUB(ops.const(2, x), m))
    near = _times(ops.ARCTANH(ops.WHERE(middle, _times(offset, 2), part)), 2)
    far = ops.ADD(ops.LOG(m), near)
    return ops.WHERE(middle, near, ops.WHERE(low, far, ops.NEG(far)))


@_of_floats(np.arctan2)
def xlogy(x: Node, y: Node) -> Node:
    """x log(y); 0 where x is 0, unless y is NaN."""
    none = ops.AND(ops.EQ(x, ops.const(0, x)), ops.EQ(y, y))
    return ops.WHERE(none, ops.const(0, x), ops.MUL(x, ops.LOG(ops.WHERE(none, ops.const(1, y), y))))


@_of_floats(np.sqrt)
def rsqrt(x: Node) -> Node:
    return ops.DIV(ops.const(1, x), ops.SQRT(x))


def float_power(a: Value, b: Value) -> Node:
    """In float64, as NumPy's, or complex128."""
    wide = c128 if any(k is complex or result_dtype(k).is_complex for k in map(weak, (a, b))) else f64
    return ew.power(cast(a, wide), cast(b, wide))


def reciprocal(x: Node) -> Node:
    """1 / x; of integers, as NumPy's, towards 0."""
    one = ops.const(1, x := cast(x, loop_dtypes(np.reciprocal, x.type.dtype.name)[0]))
    if x.type.dtype.is_inexact:
        return ops.DIV(one, ew.inverted(x))
    return ops.WHERE(ops.EQ(ops.ABS(x), one), x, ops.const(0, x))


# --- angles --------------------------------------------------------------------------------------


@_of_floats(np.sin)
def sinc(x: Node) -> Node:
    """sin(pi x) / (pi x), 1 at 0."""
    y = _times(x, math.pi)
    none = ops.EQ(x, ops.const(0, x))
    safe = ops.WHERE(none, ops.const(1, x), y)
    series = ops.SUB(ops.const(1, x), _times(ops.MUL(y, y), 1 / 6))  # for the derivatives
    return ops.WHERE(none, series, ops.DIV(ops.SIN(safe), safe))


@_of_floats(np.deg2rad)
def deg2rad(x: Node) -> Node:
    return _times(x, math.pi / 180)


@_of_floats(np.rad2deg)
def rad2deg(x: Node) -> Node:
    return _times(x, 180 / math.pi)


# --- steps and choices ---------------------------------------------------------------------------


def rounded(x: Node, *, decimals: int = 0) -> Node:
    """To `decimals` places, halves to even, by NumPy's way: times a power of ten, and divided by it."""
    dtype = x.type.dtype
    if dtype.is_complex:
        return complexes.by_parts(rounded, x, decimals=decimals)
    if not dtype.is_float:
        return x if decimals >= 0 else cast(rounded(cast(x, f64), decimals=decimals), dtype)
    if not decimals:
        return ops.RINT(x)
    power = ops.const(10.0 ** abs(decimals), x)
    before, after = (ops.MUL, ops.DIV) if decimals > 0 else (ops.DIV, ops.MUL)
    return after(ops.RINT(before(x, power)), power)


def _of_the_other(choose: ew.Binary) -> Callable[[Value, Value], Node]:
    """The greater or lesser of two; NaN loses."""

    def build(a: Value, b: Value) -> Node:
        x, y = joint("fmax", loop_dtypes(np.fmax, weak(a), weak(b))[0], a, b)
        if not x.type.dtype.is_float:
            return choose(x, y)
        return choose(ops.WHERE(ops.NE(x, x), y, x), ops.WHERE(ops.NE(y, y), x, y))

    return build


fmax = _of_the_other(ew.maximum)
fmin = _of_the_other(ew.minimum)


@_of_floats(np.heaviside, within=False)
def heaviside(x: Node, at_zero: Node) -> Node:
    zero, one = ops.const(0, x), ops.const(1, x)
    step = ops.WHERE(ops.LT(x, zero), zero, ops.WHERE(ops.EQ(x, zero), at_zero, one))
    return ops.WHERE(ops.NE(x, x), ops.STOP(x), step)


def signbit(x: Node) -> Node:
    """Whether the sign is -: of -0.0, too."""
    if x.type.dtype.is_float:
        x = ops.COPYSIGN(ops.const(1, x), x)
    return ew.lt(x, 0) if x.type.dtype is not b1 else ops.fill(ops.CONST(value=False, dtype=b1), x.shape)


@_of_floats(np.nextafter, within=False)
def nextafter(x: Node, y: Node) -> Node:
    """The number next to x on the way to y; y if they are equal.

    Next to a normal number, by one sum that is rounded once: |x| times a bit more than half of the relative
    distance, plus the least number there is (Rump, Zimmermann, Boldo, Melquiond: Computing predecessor and
    successor in rounding to nearest, BIT 49, 2009). Where that product is too small to be exact enough, x is
    taken times a power of two; among numbers below it the distance is the least number.
    """
    x, y = ops.STOP(x), ops.STOP(y)
    kind = x.type.dtype
    least, normal, digits = kind.tiny * kind.epsilon, kind.tiny, kind.fraction + 1
    half = 2.0**-digits
    scale = ops.const(2.0**digits, x)
    size, zero = ops.ABS(x), ops.const(0, x)
    up = ops.GT(y, x)

    def beside(t: Node) -> Node:
        step = ops.ADD(_times(ops.ABS(t), half * (1 + 4 * half)), ops.const(least, x))
        return ops.ADD(t, ops.WHERE(up, step, ops.NEG(step)))

    tiny = ops.ADD(x, ops.WHERE(up, ops.const(least, x), ops.const(-least, x)))
    small = ops.DIV(beside(ops.MUL(x, scale)), scale)
    made = ops.WHERE(ops.LT(size, ops.const(1, x)), small, beside(x))
    made = ops.WHERE(ops.LT(size, ops.const(2 * normal, x)), tiny, made)
    made = ops.WHERE(ops.EQ(made, zero), ops.COPYSIGN(zero, x), made)
    inward = ops.WHERE(up, ops.const(-kind.most, x), ops.const(kind.most, x))
    made = ops.WHERE(ops.EQ(size, ops.const(math.inf, x)), inward, made)
    made = ops.WHERE(ops.EQ(x, y), y, made)
    return ops.WHERE(ops.OR(ops.NE(x, x), ops.NE(y, y)), ops.ADD(x, y), made)


def nan_to_num(
    x: Node, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Node:
    """NaN and infinities as numbers; by default the greatest of the dtype. No gradient flows to them."""
    dtype = x.type.dtype
    if dtype.is_complex:
        return complexes.by_parts(nan_to_num, x, nan=nan, posinf=posinf, neginf=neginf)
    if not dtype.is_float:
        return x
    inf = ops.const(math.inf, x)
    values = (
        (ops.NE(x, x), nan),
        (ops.EQ(x, inf), dtype.most if posinf is None else posinf),
        (ops.EQ(x, ops.NEG(inf)), -dtype.most if neginf is None else neginf),
    )
    result = x
    for test, value in values:
        result = ops.WHERE(test, ops.fill(scalar(value, dtype), x.shape), result)
    return result


def lerp(start: Value, end: Value, weight: Value) -> Node:
    """start + weight (end - start), from the nearer of the two."""
    if any_complex(start, end, weight):
        a, b, w = _joint_complex("lerp", start, end, weight)
        dtype, size = a.type.dtype, ops.ABS(w)
    else:
        dtype = float_dtype(start, end, weight)
        a, b, w = joint("lerp", dtype.computed, start, end, weight)
        size = w
    way = ops.SUB(b, a)
    near = ops.LT(size, ops.const(0.5, size))
    back = ops.SUB(b, ops.MUL(way, ops.SUB(ops.const(1, w), w)))
    return cast(ops.WHERE(near, ops.ADD(a, ops.MUL(w, way)), back), dtype)


# --- derivatives of digamma ------------------------------------------------------------------------

# B(2), B(4), ... over 2!, 4!, ...
_BERNOULLI = [
    b / math.factorial(2 * k)
    for k, b in enumerate((1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510), 1)
]


def polygamma(x: Node, *, n: int) -> Node:
    """The nth derivative of digamma, n >= 2: (-1)**(n + 1) n! times the sum of (x + k)**-(n + 1), of which
    the first terms are added and the others are Euler's and Maclaurin's (Abramowitz, 6.4.10); below 0 by
    reflection (6.4.7), as polynomials of a cotangent. In float64."""
    dtype = loop_dtypes(np.tanh, weak(x))[0]
    x = cast(x, f64)
    below = ops.LT(x, ops.zeros_like(x))
    y = ops.WHERE(below, ops.SUB(ops.const(1, x), x), x)
    total, order = ops.zeros_like(x), ops.const(-(n + 1), x)
    for _ in range(12 + n):
        total = ops.ADD(total, ops.POW(y, order))
        y = ops.ADD(y, ops.const(1, x))
    rest, square = ops.const(0, x), ops.DIV(ops.const(1, x), ops.MUL(y, y))
    for k, b in reversed([*enumerate(_BERNOULLI, 1)]):
        rising = math.prod(range(n + 1, n + 2 * k))
        rest = ops.MUL(square, ops.ADD(ops.const(b * rising, x), rest))
    inside = ops.ADD(ops.ADD(_times(y, 1 / n), ops.const(0.5, x)), ops.MUL(rest, y))
    total = ops.ADD(total, ops.MUL(ops.POW(y, order), inside))
    sign = (-1.0) ** (n + 1) * math.factorial(n)
    angle = _times(ops.SUB(x, ops.RINT(x)), math.pi)
    cotangent = ops.DIV(ops.COS(angle), ops.SIN(angle))
    turned = ops.const(0, x)
    for c in reversed(_of_cotangent(n)):
        turned = ops.ADD(ops.MUL(turned, cotangent), ops.const(c * math.pi ** (n + 1), x))
    above = _times(total, sign)
    found = ops.WHERE(below, ops.SUB(_times(above, (-1.0) ** n), turned), above)
    return cast(found, dtype)


def _of_cotangent(n: int) -> list[int]:
    """Coefficients, from the constant on, of the nth derivative of a cotangent c: c' = -(1 + c**2)."""
    found = [0, 1]
    for _ in range(n):
        slope = [k * v for k, v in enumerate(found)][1:]
        found = [0] * (len(slope) + 2)
        for k, v in enumerate(slope):
            found[k] -= v
            found[k + 2] -= v
    return found
