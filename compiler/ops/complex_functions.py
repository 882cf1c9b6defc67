"""Elementary functions of complex numbers, in real ones: rules for the records of `elementwise.py` and
`functions.py`.

Each is right within some ulp of the length of its result, not of each part; in the inverses a part of the way
may overflow. At 0, infinity and NaN all but the inverses give what C99 and NumPy have. The formulas of
division, the square root and tanh are Smith's (1962) and Kahan's ("Branch cuts for complex elementary
functions", 1987); branch cuts lie where C99 and NumPy have them. None asks for |x| where its derivative would
be another one, so that derivatives hold to any order.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .. import ops  # at call time: families refer to each other
from ..ir.data import data
from ..ir.graph import Node
from ..ir.types import DType, b1, f32, f64
from .complex import COMPLEX, IM, RE, Rule
from .record import Attrs, Inputs, Op

__all__ = ["hypot"]

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


@data
class _Scale:
    """Squares of numbers below 2**-edge may vanish, above 2**edge overflow: times 2**up and 2**-down they do
    not. Both are even, so that roots of them are powers of two."""

    edge: int
    up: int
    down: int


_SCALES: dict[DType, _Scale] = {f32: _Scale(60, 90, 70), f64: _Scale(500, 600, 600)}


@data
class _Scaled:
    """Both parts times a power of two by which no square overflows or vanishes; the sum of the squares."""

    u: Node
    v: Node
    square: Node
    large: Node  # where they were made smaller
    small: Node
    endless: Node  # where a part is infinite

    def back(self, large: float, small: float, same: float = 1.0) -> Node:
        """What undoes it in a function of them: a number for each case."""
        like = self.u
        return ops.WHERE(self.large, _c(large, like), ops.WHERE(self.small, _c(small, like), _c(same, like)))

    def length(self) -> Node:
        """Of both as they are scaled; inf where one is."""
        root = ops.SQRT(self.square)
        return ops.WHERE(self.endless, _c(math.inf, root), root)


def _scaled(x: Node, y: Node) -> _Scaled:
    scale, one = _SCALES[x.type.dtype], _c(1.0, x)
    top = ops.STOP(ops.MAX(ops.ABS(x), ops.ABS(y)))
    large, small = ops.GT(top, _c(2.0**scale.edge, x)), ops.LT(top, _c(2.0**-scale.edge, x))
    factor = ops.WHERE(small, _c(2.0**scale.up, x), one)
    factor = ops.WHERE(large, _c(2.0**-scale.down, x), factor)
    u, v = ops.MUL(x, factor), ops.MUL(y, factor)
    endless = ops.OR(_is(ops.ABS(x), math.inf), _is(ops.ABS(y), math.inf))
    return _Scaled(u, v, ops.ADD(ops.MUL(u, u), ops.MUL(v, v)), large, small, endless)


def hypot(x: Node, y: Node) -> Node:
    """sqrt(x² + y²) in float32 or float64; inf where one is."""
    scale, made = _SCALES[x.type.dtype], _scaled(x, y)
    return ops.MUL(made.back(2.0**scale.down, 2.0**-scale.up), made.length())


def absolute(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    return hypot(RE(inputs[0]), IM(inputs[0]))


def _sign(x: Node, y: Node) -> Pair:
    """z / |z|, and 0 at 0. On the way to infinity along an axis the other part is 0; along none, NaN."""
    made = _scaled(x, y)
    none = _is(made.square, 0.0)
    length = ops.WHERE(none, _c(1.0, x), ops.SQRT(made.square))
    both = ops.AND(_is(ops.ABS(x), math.inf), _is(ops.ABS(y), math.inf))
    end = ops.WHERE(both, _c(math.nan, x), _c(1.0, x))

    def part(p: Node, scaled: Node) -> Node:
        far = ops.COPYSIGN(ops.WHERE(_is(ops.ABS(p), math.inf), end, _c(0.0, p)), p)
        return ops.WHERE(none, _c(0.0, p), ops.WHERE(made.endless, far, ops.DIV(scaled, length)))

    return part(x, made.u), part(y, made.v)


# --- quotients -----------------------------------------------------------------------------------


def quotient(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """Smith's: by the greater part of the divisor, as NumPy's."""
    (a, b), (c, d) = ((RE(n), IM(n)) for n in inputs)
    first = ops.GE(ops.ABS(c), ops.ABS(d))
    large, small = ops.WHERE(first, c, d), ops.WHERE(first, d, c)
    p, q = ops.WHERE(first, a, b), ops.WHERE(first, b, a)
    none = ops.AND(_is(c, 0.0), _is(d, 0.0))
    ratio = ops.WHERE(none, large, ops.DIV(small, large))
    scale = ops.DIV(_c(1.0, c), ops.WHERE(none, ops.ABS(large), ops.ADD(large, ops.MUL(small, ratio))))
    part = ops.MUL(p, ratio)
    across = ops.WHERE(first, ops.SUB(q, part), ops.SUB(part, q))
    return COMPLEX(ops.MUL(ops.ADD(p, ops.MUL(q, ratio)), scale), ops.MUL(across, scale))


# --- roots, exponentials, logarithms -------------------------------------------------------------


def _sqrt(x: Node, y: Node) -> Pair:
    scale, made = _SCALES[x.type.dtype], _scaled(x, y)
    right = ops.GE(x, _c(0.0, x))
    size = ops.WHERE(right, made.u, ops.NEG(made.u))
    t = ops.SQRT(ops.ADD(_times(size, 0.5), _times(made.length(), 0.5)))
    t = ops.MUL(made.back(2.0 ** (scale.down // 2), 2.0 ** -(scale.up // 2)), t)
    other = ops.DIV(y, _times(ops.WHERE(_is(t, 0.0), _c(1.0, t), t), 2.0))
    above = ops.COPYSIGN(_c(1.0, y), y)
    re, im = ops.WHERE(right, t, ops.MUL(other, above)), ops.WHERE(right, other, ops.MUL(t, above))
    endless = _is(ops.ABS(y), math.inf)
    return ops.WHERE(endless, _c(math.inf, re), re), ops.WHERE(endless, y, im)


@data
class _Reach:
    """Where powers of a base overflow, by how much less is taken there (the difference is exact), and the
    power of that."""

    limit: float
    step: float
    grow: float


_NATURAL = {f32: _Reach(88, 64, math.exp(64)), f64: _Reach(709, 512, math.exp(512))}
_BINARY = {f32: _Reach(127, 64, 2.0**64), f64: _Reach(1023, 512, 2.0**512)}


def _within(x: Node, size: Node, reach: _Reach) -> tuple[Node, Node]:
    """x nearer to 0 where the power of size overflows, and what its power is to be multiplied by: last, since
    the factor from the angle may bring the product back into the range."""
    far, one = ops.GT(size, _c(reach.limit, x)), _c(1.0, x)
    nearer = ops.SUB(x, ops.COPYSIGN(_c(reach.step, x), x))
    return ops.WHERE(far, nearer, x), ops.WHERE(far, _c(reach.grow, x), one)


def _ends(x: Node) -> Node:
    return ops.NOT(ops.LT(ops.ABS(x), _c(math.inf, x)))  # NaN, too


def _mute(angle: Node, there: Node) -> Node:
    """Where an angle is infinite or NaN, and the size, one of `there`, says all: as if it were 0."""
    return ops.AND(there, _ends(angle))


def _cosine(angle: Node, mute: Node) -> Node:
    return ops.WHERE(mute, _c(1.0, angle), ops.COS(angle))


def _beside(p: Node, q: Node) -> Node:
    """A factor of q: where q is 0, so is the product, though p be infinite or NaN."""
    return ops.WHERE(ops.AND(_is(q, 0.0), _ends(p)), ops.COPYSIGN(_c(1.0, p), p), p)


def _product(a: Node, b: Node, grow: Node) -> Node:
    return ops.MUL(ops.MUL(_beside(a, b), _beside(b, a)), grow)


def _exponential(power: Op, reach: _Reach, x: Node, angle: Node) -> tuple[Node, Node, Node, Node]:
    """The power, as far as it is in the range; what it is to be multiplied by; and the cosine and sine."""
    inner, grow = _within(x, x, reach)
    cosine = _cosine(angle, _mute(angle, _is(ops.ABS(x), math.inf)))
    mute = _mute(angle, _is(x, -math.inf))
    return power(inner), grow, cosine, ops.WHERE(mute, ops.COPYSIGN(_c(0.0, x), angle), ops.SIN(angle))


def _exp_by(power: Op, reach: _Reach, x: Node, angle: Node) -> Pair:
    size, grow, cosine, sine = _exponential(power, reach, x, angle)
    return ops.MUL(ops.MUL(size, cosine), grow), ops.MUL(ops.MUL(_beside(size, sine), sine), grow)


def _exp(x: Node, y: Node) -> Pair:
    return _exp_by(ops.EXP, _NATURAL[x.type.dtype], x, y)


def _exp2(x: Node, y: Node) -> Pair:
    return _exp_by(ops.EXP2, _BINARY[x.type.dtype], x, _times(y, math.log(2)))


def _expm1(x: Node, y: Node) -> Pair:
    less, grow, cosine, _ = _exponential(ops.EXPM1, _NATURAL[x.type.dtype], x, y)
    half = ops.WHERE(_mute(y, _is(ops.ABS(x), math.inf)), _c(0.0, x), ops.SIN(_times(y, 0.5)))
    turn = _times(ops.MUL(half, half), 2.0)
    return ops.SUB(ops.MUL(ops.MUL(less, cosine), grow), turn), _exp(x, y)[1]


def _log(x: Node, y: Node) -> Pair:
    """The logarithm of the length by log1p near 1; else of its square, whose derivative at 0 is no number."""
    scale, made = _SCALES[x.type.dtype], _scaled(x, y)
    first = ops.GE(ops.ABS(x), ops.ABS(y))
    large, small = ops.WHERE(first, x, y), ops.WHERE(first, y, x)
    one, two = _c(1.0, x), math.log(2)
    above = ops.ADD(ops.MUL(ops.SUB(large, one), ops.ADD(large, one)), ops.MUL(small, small))
    near = ops.AND(ops.GT(ops.ABS(large), _c(0.5, x)), ops.LT(ops.ABS(large), _c(2.0, x)))
    close = _times(ops.LOG1P(ops.WHERE(near, above, _c(0.0, x))), 0.5)
    square = ops.WHERE(made.endless, _c(math.inf, x), made.square)
    far = ops.ADD(_times(ops.LOG(square), 0.5), made.back(scale.down * two, -scale.up * two, 0.0))
    return ops.WHERE(near, close, far), ops.ARCTAN2(y, x)


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


def power(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """exp(b log(a)); 1 where b is 0, of what is infinite or NaN, too; of 0 it is 0 where the real part of b
    is above 0, else NaN, as NumPy's."""
    a, b = inputs
    none = ops.NOT(ops.CAST(a, dtype=b1))
    zero = ops.NOT(ops.CAST(b, dtype=b1))
    safe = ops.WHERE(none, ops.const(1, a), a)
    found = ops.EXP(ops.MUL(b, ops.LOG(safe)))
    re = RE(b)
    nan = _c(math.nan, re)
    limit = ops.WHERE(ops.GT(re, _c(0.0, re)), _c(0.0, re), nan)
    at_none = ops.WHERE(zero, ops.const(1, a), COMPLEX(limit, limit))
    endless = ops.AND(zero, ops.NE(RE(found), RE(found)))  # elsewhere b has a derivative there
    return ops.WHERE(none, at_none, ops.WHERE(endless, ops.const(1, a), found))


def sigmoid(op: Op, inputs: Inputs, attrs: Attrs) -> Node:
    """1 / (1 + exp(-z)), of the half where exp does not overflow."""
    (z,) = inputs
    right = ops.GE(RE(z), ops.zeros_like(RE(z)))
    end, one = ops.EXP(ops.WHERE(right, ops.NEG(z), z)), ops.const(1, z)
    return ops.DIV(ops.WHERE(right, one, end), ops.ADD(one, end))


# --- angles and hyperbolic functions -------------------------------------------------------------


def _hyperbolic(x: Node, y: Node) -> tuple[Node, Node, Node, Node, Node]:
    """sinh and cosh of x, what both are to be multiplied by, and the cosine and sine of y."""
    inner, grow = _within(x, ops.ABS(x), _NATURAL[x.type.dtype])
    cosine = _cosine(y, _mute(y, _is(ops.ABS(x), math.inf)))
    return ops.SINH(inner), ops.COSH(inner), grow, cosine, ops.SIN(y)


def _sinh(x: Node, y: Node) -> Pair:
    sinh, cosh, grow, cosine, sine = _hyperbolic(x, y)
    return _product(sinh, cosine, grow), _product(cosh, sine, grow)


def _cosh(x: Node, y: Node) -> Pair:
    sinh, cosh, grow, cosine, sine = _hyperbolic(x, y)
    return _product(cosh, cosine, grow), _product(sinh, sine, grow)


def _tanh(x: Node, y: Node) -> Pair:
    """Kahan's; for large x, where the real part is 1 or -1 in both dtypes, without what would overflow."""
    far = ops.GT(ops.ABS(x), _c(20.0, x))
    y = ops.WHERE(_mute(y, _is(ops.ABS(x), math.inf)), ops.COPYSIGN(_c(0.0, y), y), y)
    one, inside = _c(1.0, x), ops.WHERE(far, _c(0.0, x), x)
    slope = ops.TAN(y)
    s = ops.SINH(inside)
    beta = _beside(ops.ADD(one, ops.MUL(slope, slope)), s)
    divisor = ops.ADD(one, ops.MUL(beta, ops.MUL(s, s)))
    re = ops.DIV(ops.MUL(beta, ops.MUL(ops.COSH(inside), s)), divisor)
    tail = ops.EXP(_times(ops.ABS(x), -2.0))
    beyond = ops.MUL(_times(ops.MUL(ops.SIN(y), ops.COS(y)), 4.0), tail)
    end = ops.WHERE(_ends(y), _c(math.nan, x), ops.COPYSIGN(one, x))
    return ops.WHERE(far, end, re), ops.WHERE(far, beyond, ops.DIV(slope, _beside(divisor, slope)))


# --- their inverses --------------------------------------------------------------------------------


def _roots(x: Node, y: Node) -> tuple[Pair, Pair]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    one = _c(1.0, x)
    return _sqrt(ops.SUB(one, x), ops.NEG(y)), _sqrt(ops.ADD(one, x), y)


def _cross(a: Pair, b: Pair) -> Node:
    """The imaginary part of the conjugate of a times b."""
    return ops.SUB(ops.MUL(a[0], b[1]), ops.MUL(a[1], b[0]))


def _box(v: Node) -> Node:
    """1 or -1 in place of infinity, else a zero of the same sign; NaN stays."""
    return ops.WHERE(_is(ops.ABS(v), math.inf), ops.COPYSIGN(_c(1.0, v), v), _times(v, 0.0))


def _ended(x: Node, y: Node, found: Pair, end: Pair, at_zero: float | None) -> Pair:
    """`found`, but `end` where a part is infinite; and `at_zero` (None: x itself) for the real part where x
    is 0 and y NaN."""
    endless = ops.OR(_is(ops.ABS(x), math.inf), _is(ops.ABS(y), math.inf))
    unknown = ops.AND(_is(x, 0.0), ops.NE(y, y))
    re = ops.WHERE(unknown, x if at_zero is None else _c(at_zero, x), found[0])
    return ops.WHERE(endless, end[0], re), ops.WHERE(endless, end[1], found[1])


def _arcsin(x: Node, y: Node) -> Pair:
    a, b = _roots(x, y)
    below = ops.SUB(ops.MUL(a[0], b[0]), ops.MUL(a[1], b[1]))
    found = ops.ARCTAN2(x, below), ops.ARCSINH(_cross(a, b))
    end = ops.ARCTAN2(_box(x), ops.ABS(_box(y))), ops.COPYSIGN(_c(math.inf, y), y)
    return _ended(x, y, found, end, None)


def _arccos(x: Node, y: Node) -> Pair:
    a, b = _roots(x, y)
    found = _times(ops.ARCTAN2(a[0], b[0]), 2.0), ops.ARCSINH(_cross(b, a))
    end = ops.ARCTAN2(ops.ABS(_box(y)), _box(x)), ops.COPYSIGN(_c(math.inf, y), ops.NEG(y))
    return _ended(x, y, found, end, math.pi / 2)


def _arccosh(x: Node, y: Node) -> Pair:
    one = _c(1.0, x)
    a, b = _sqrt(ops.SUB(x, one), y), _sqrt(ops.ADD(x, one), y)
    along = ops.ADD(ops.MUL(a[0], b[0]), ops.MUL(a[1], b[1]))
    angle = ops.COPYSIGN(ops.ARCTAN2(ops.ABS(_box(y)), _box(x)), y)
    found = _times(ops.ARCTAN2(a[1], b[0]), 2.0), ops.ARCSINH(along)
    im, re = _ended(x, y, found, (angle, _c(math.inf, x)), math.pi / 2)
    return re, im


def _arctanh(x: Node, y: Node) -> Pair:
    """By the size of x, as log1p loses what is near -1."""
    one, right = _c(1.0, x), ops.COPYSIGN(_c(1.0, x), x)
    size = ops.MUL(x, right)
    off, square = ops.SUB(one, size), ops.MUL(y, y)
    ratio = ops.DIV(_times(size, 4.0), ops.ADD(ops.MUL(off, off), square))
    below = ops.SUB(ops.MUL(ops.SUB(one, x), ops.ADD(one, x)), square)
    angle = ops.ARCTAN2(_times(y, 2.0), below)
    found = ops.MUL(_times(ops.LOG1P(ratio), 0.25), right), _times(angle, 0.5)
    quarter = ops.WHERE(ops.NE(y, y), y, ops.COPYSIGN(_c(math.pi / 2, y), y))
    return _ended(x, y, found, (ops.COPYSIGN(_c(0.0, x), x), quarter), None)


def _turned(formula: Callable[[Node, Node], Pair]) -> Callable[[Node, Node], Pair]:
    """f(iz) / i."""

    def of(x: Node, y: Node) -> Pair:
        re, im = formula(ops.NEG(y), x)
        return im, ops.NEG(re)

    return of


sign, exp, expm1, exp2, sqrt = (_of_parts(f) for f in (_sign, _exp, _expm1, _exp2, _sqrt))
log, log1p, log2, log10 = (_of_parts(f) for f in (_log, _log1p, _to_base(2.0), _to_base(10.0)))
sin, tan = (_of_parts(_turned(f)) for f in (_sinh, _tanh))
cos = _of_parts(lambda x, y: _cosh(ops.NEG(y), x))  # of iz
arcsin, arccos, arctan = (_of_parts(f) for f in (_arcsin, _arccos, _turned(_arctanh)))
sinh, cosh, tanh = (_of_parts(f) for f in (_sinh, _cosh, _tanh))
arcsinh, arccosh, arctanh = (_of_parts(f) for f in (_turned(_arcsin), _arccosh, _arctanh))
