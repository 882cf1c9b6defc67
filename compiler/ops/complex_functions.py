"""Elementary functions of complex numbers, in real ones: rules for the records of `elementwise.py` and
`functions.py`.

Each is right within some ulp of the length of its result, not of each part, unless a part of the way there
overflows. The formulas of division, the square root and tanh are Smith's (1962) and Kahan's ("Branch cuts for
complex elementary functions", 1987); branch cuts lie where C99 and NumPy have them. None asks for |x| where
its derivative would be another one, so that derivatives hold to any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.types import DType, b1, f32, f64
from .complex import COMPLEX, IM, RE, Inputs, Rule
from .record import Attrs, Op

Pair = tuple[Node, Node]


def _of_parts(formula: Callable[[Node, Node], Pair]) -> Rule:
    """The rule of a function of one number, by its parts."""

    def rule(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
        return COMPLEX(*formula(RE(inputs[0]), IM(inputs[0])))

    return rule


def _c(value: float, like: Node) -> Node:
    return ops.const(value, like)


def _times(x: Node, value: float) -> Node:
    return ops.MUL(x, _c(value, x))


def _is(x: Node, value: float) -> Node:
    return ops.EQ(x, _c(value, x))


# --- lengths -------------------------------------------------------------------------------------


class _Scale(NamedTuple):
    """Squares of numbers below 2**-edge may vanish, above 2**edge overflow: times 2**up and 2**-down they do
    not."""

    edge: int
    up: int
    down: int


_SCALES: dict[DType, _Scale] = {f32: _Scale(60, 90, 70), f64: _Scale(500, 600, 600)}


def hypot(x: Node, y: Node) -> Node:
    """sqrt(x² + y²) in float32 or float64, both times a power of two where a square would overflow or vanish;
    inf where one is."""
    scale, inf = _SCALES[x.type.dtype], _c(math.inf, x)

    def of_size(large: float, small: float) -> Node:
        other = ops.WHERE(ops.LT(top, _c(2.0**-scale.edge, x)), _c(small, x), _c(1.0, x))
        return ops.WHERE(ops.GT(top, _c(2.0**scale.edge, x)), _c(large, x), other)

    top = ops.STOP(ops.MAX(ops.ABS(x), ops.ABS(y)))
    factor = of_size(2.0**-scale.down, 2.0**scale.up)
    u, v = ops.MUL(x, factor), ops.MUL(y, factor)
    length = ops.SQRT(ops.ADD(ops.MUL(u, u), ops.MUL(v, v)))
    length = ops.MUL(of_size(2.0**scale.down, 2.0**-scale.up), length)
    endless = ops.OR(ops.EQ(ops.ABS(x), inf), ops.EQ(ops.ABS(y), inf))
    return ops.WHERE(endless, inf, length)


def absolute(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    return hypot(RE(inputs[0]), IM(inputs[0]))


def sign(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """z / |z|, and 0 at 0."""
    (z,) = inputs
    size = ops.ABS(z)
    none = _is(size, 0.0)
    safe = ops.WHERE(none, _c(1.0, size), size)
    return COMPLEX(*(ops.DIV(part(z), safe) for part in (RE, IM)))


# --- quotients -----------------------------------------------------------------------------------


def quotient(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """Smith's: by the greater part of the divisor, as NumPy's."""
    (a, b), (c, d) = ((RE(n), IM(n)) for n in inputs)
    first = ops.GE(ops.ABS(c), ops.ABS(d))
    large, small = ops.WHERE(first, c, d), ops.WHERE(first, d, c)
    p, q = ops.WHERE(first, a, b), ops.WHERE(first, b, a)
    none = _is(large, 0.0)
    ratio = ops.WHERE(none, large, ops.DIV(small, large))
    scale = ops.DIV(_c(1.0, c), ops.WHERE(none, ops.ABS(large), ops.ADD(large, ops.MUL(small, ratio))))
    part = ops.MUL(p, ratio)
    across = ops.WHERE(first, ops.SUB(q, part), ops.SUB(part, q))
    return COMPLEX(ops.MUL(ops.ADD(p, ops.MUL(q, ratio)), scale), ops.MUL(across, scale))


# --- roots, exponentials, logarithms -------------------------------------------------------------


def _sqrt(x: Node, y: Node) -> Pair:
    right = ops.GE(x, _c(0.0, x))
    size = ops.WHERE(right, x, ops.NEG(x))
    t = ops.SQRT(ops.ADD(_times(size, 0.5), _times(hypot(x, y), 0.5)))
    other = ops.DIV(y, _times(ops.WHERE(_is(t, 0.0), _c(1.0, t), t), 2.0))
    above = ops.COPYSIGN(_c(1.0, y), y)
    re, im = ops.WHERE(right, t, ops.MUL(other, above)), ops.WHERE(right, other, ops.MUL(t, above))
    endless = _is(ops.ABS(y), math.inf)
    return ops.WHERE(endless, _c(math.inf, re), re), ops.WHERE(endless, y, im)


def _scaled(size: Node, part: Node) -> Node:
    """size * part, and part where that is 0 and the size is not finite."""
    bare = ops.AND(_is(part, 0.0), _is(size, math.inf))
    return ops.MUL(ops.WHERE(bare, _c(1.0, size), size), part)


def _exp(x: Node, y: Node) -> Pair:
    size = ops.EXP(x)
    return ops.MUL(size, ops.COS(y)), _scaled(size, ops.SIN(y))


def _expm1(x: Node, y: Node) -> Pair:
    half = ops.SIN(_times(y, 0.5))
    less = _times(ops.MUL(half, half), 2.0)
    return ops.SUB(ops.MUL(ops.EXPM1(x), ops.COS(y)), less), _scaled(ops.EXP(x), ops.SIN(y))


def _log(x: Node, y: Node) -> Pair:
    """The logarithm of the length by log1p near 1."""
    size = hypot(x, y)
    first = ops.GE(ops.ABS(x), ops.ABS(y))
    large, small = ops.WHERE(first, x, y), ops.WHERE(first, y, x)
    one = _c(1.0, x)
    above = ops.ADD(ops.MUL(ops.SUB(large, one), ops.ADD(large, one)), ops.MUL(small, small))
    near = ops.AND(ops.GT(size, _c(0.5, x)), ops.LT(size, _c(2.0, x)))
    close = _times(ops.LOG1P(ops.WHERE(near, above, _c(0.0, x))), 0.5)
    return ops.WHERE(near, close, ops.LOG(size)), ops.ARCTAN2(y, x)


def _log1p(x: Node, y: Node) -> Pair:
    """log(1 + z): near 0 by log1p of |1 + z|² - 1."""
    one = _c(1.0, x)
    far, angle = _log(ops.ADD(x, one), y)
    near = ops.LT(ops.MAX(ops.ABS(x), ops.ABS(y)), _c(0.5, x))
    above = ops.ADD(ops.MUL(x, ops.ADD(x, _c(2.0, x))), ops.MUL(y, y))
    return ops.WHERE(near, _times(ops.LOG1P(ops.WHERE(near, above, _c(0.0, x))), 0.5), far), angle


def _to_base(base: float) -> Callable[[Node, Node], Pair]:
    def formula(x: Node, y: Node) -> Pair:
        re, im = _log(x, y)
        return _times(re, 1 / math.log(base)), _times(im, 1 / math.log(base))

    return formula


def _exp2(x: Node, y: Node) -> Pair:
    size, angle = ops.EXP2(x), _times(y, math.log(2))
    return ops.MUL(size, ops.COS(angle)), _scaled(size, ops.SIN(angle))


def power(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """exp(b log(a)); of 0 it is 0, and 1 where b is 0."""
    a, b = inputs
    none = ops.NOT(ops.CAST(a, dtype=b1))
    zero = ops.NOT(ops.CAST(b, dtype=b1))
    safe = ops.WHERE(none, ops.const(1, a), a)
    found = ops.EXP(ops.MUL(b, ops.LOG(safe)))
    at_none = ops.WHERE(zero, ops.const(1, a), ops.const(0, a))
    return ops.WHERE(none, at_none, found)


# --- angles and hyperbolic functions -------------------------------------------------------------


def _sin(x: Node, y: Node) -> Pair:
    return ops.MUL(ops.SIN(x), ops.COSH(y)), ops.MUL(ops.COS(x), ops.SINH(y))


def _cos(x: Node, y: Node) -> Pair:
    return ops.MUL(ops.COS(x), ops.COSH(y)), ops.NEG(ops.MUL(ops.SIN(x), ops.SINH(y)))


def _sinh(x: Node, y: Node) -> Pair:
    return ops.MUL(ops.SINH(x), ops.COS(y)), ops.MUL(ops.COSH(x), ops.SIN(y))


def _cosh(x: Node, y: Node) -> Pair:
    return ops.MUL(ops.COSH(x), ops.COS(y)), ops.MUL(ops.SINH(x), ops.SIN(y))


def _tanh(x: Node, y: Node) -> Pair:
    """Kahan's; for large x, where the real part is 1 or -1 in both dtypes, without what would overflow."""
    far = ops.GT(ops.ABS(x), _c(20.0, x))
    one, inside = _c(1.0, x), ops.WHERE(far, _c(0.0, x), x)
    slope = ops.TAN(y)
    beta, s = ops.ADD(one, ops.MUL(slope, slope)), ops.SINH(inside)
    divisor = ops.ADD(one, ops.MUL(beta, ops.MUL(s, s)))
    re = ops.DIV(ops.MUL(beta, ops.MUL(ops.COSH(inside), s)), divisor)
    tail = ops.EXP(_times(ops.ABS(x), -2.0))
    beyond = ops.MUL(_times(ops.MUL(ops.SIN(y), ops.COS(y)), 4.0), tail)
    return ops.WHERE(far, ops.COPYSIGN(one, x), re), ops.WHERE(far, beyond, ops.DIV(slope, divisor))


# --- their inverses --------------------------------------------------------------------------------


def _roots(x: Node, y: Node) -> tuple[Pair, Pair]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    one = _c(1.0, x)
    return _sqrt(ops.SUB(one, x), ops.NEG(y)), _sqrt(ops.ADD(one, x), y)


def _cross(a: Pair, b: Pair) -> Node:
    """The imaginary part of the conjugate of a times b."""
    return ops.SUB(ops.MUL(a[0], b[1]), ops.MUL(a[1], b[0]))


def _arcsin(x: Node, y: Node) -> Pair:
    a, b = _roots(x, y)
    below = ops.SUB(ops.MUL(a[0], b[0]), ops.MUL(a[1], b[1]))
    return ops.ARCTAN2(x, below), ops.ARCSINH(_cross(a, b))


def _arccos(x: Node, y: Node) -> Pair:
    a, b = _roots(x, y)
    return _times(ops.ARCTAN2(a[0], b[0]), 2.0), ops.ARCSINH(_cross(b, a))


def _arccosh(x: Node, y: Node) -> Pair:
    one = _c(1.0, x)
    a, b = _sqrt(ops.SUB(x, one), y), _sqrt(ops.ADD(x, one), y)
    along = ops.ADD(ops.MUL(a[0], b[0]), ops.MUL(a[1], b[1]))
    return ops.ARCSINH(along), _times(ops.ARCTAN2(a[1], b[0]), 2.0)


def _arctanh(x: Node, y: Node) -> Pair:
    """By the size of x, as log1p loses what is near -1."""
    one, right = _c(1.0, x), ops.COPYSIGN(_c(1.0, x), x)
    size = ops.MUL(x, right)
    off, square = ops.SUB(one, size), ops.MUL(y, y)
    ratio = ops.DIV(_times(size, 4.0), ops.ADD(ops.MUL(off, off), square))
    below = ops.SUB(ops.MUL(ops.SUB(one, x), ops.ADD(one, x)), square)
    angle = ops.ARCTAN2(_times(y, 2.0), below)
    return ops.MUL(_times(ops.LOG1P(ratio), 0.25), right), _times(angle, 0.5)


def _turned(formula: Callable[[Node, Node], Pair]) -> Callable[[Node, Node], Pair]:
    """f(iz) / i."""

    def of(x: Node, y: Node) -> Pair:
        re, im = formula(ops.NEG(y), x)
        return im, ops.NEG(re)

    return of


exp, expm1, exp2, sqrt = (_of_parts(f) for f in (_exp, _expm1, _exp2, _sqrt))
log, log1p, log2, log10 = (_of_parts(f) for f in (_log, _log1p, _to_base(2.0), _to_base(10.0)))
sin, cos, tan = (_of_parts(f) for f in (_sin, _cos, _turned(_tanh)))
arcsin, arccos, arctan = (_of_parts(f) for f in (_arcsin, _arccos, _turned(_arctanh)))
sinh, cosh, tanh = (_of_parts(f) for f in (_sinh, _cosh, _tanh))
arcsinh, arccosh, arctanh = (_of_parts(f) for f in (_turned(_arcsin), _arccosh, _arctanh))
