"""Elementary functions: elementwise ops of floats, right within the `ulp` of their record."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.graph import Node
from . import complex_functions as rules
from .elementwise import ABS, ADD, DIV, EQ, LT, MAX, MUL, NEG, RINT, SQRT, SUB, WHERE, element
from .leaves import const, zeros_like
from .record import Named, Op, Vjp, dec, later

Cotangents = tuple[Node | None, ...]


def _slope(of: Callable[[Node, Node], Node]) -> Vjp:
    """The cotangent times `of(x, f(x))`."""
    return lambda node, ct, needs: (MUL(ct, of(node.inputs[0], node)),)


def _inverse(of: Callable[[Node, Node], Node]) -> Vjp:
    """The cotangent divided by `of(x, f(x))`."""
    return lambda node, ct, needs: (DIV(ct, of(node.inputs[0], node)),)


def _function(name: str, doc: str, vjp: Vjp, flops: int, also: tuple[str, ...] = (), **more: Any) -> Op:
    """The record of a function. By its name are found its evaluation, its lowering in decompose.py, and what
    stands for it where a complex number is an operand, if it has a meaning there."""
    evaluate = getattr(np, name, None) or later("references", name)
    like = evaluate if isinstance(evaluate, np.ufunc) else np.tanh
    return element(
        name, more.pop("arity", 1), evaluate, vjp, getattr(dec, name), exact=False, ulp=1, flops=flops,
        named=Named((name, *also), doc, like), of_complex=getattr(rules, name, None), **more,
    )  # fmt: skip


def _plus(x: Node, value: float) -> Node:
    return ADD(x, const(value, x))


def _times(x: Node, value: float) -> Node:
    return MUL(const(value, x), x)


def _length(x: Node, y: Node) -> tuple[Node, Node, Node]:
    """x/m, y/m, and ((x/m)**2 + (y/m)**2), m the greater in size: none overflows. And m, which is no variable
    of a derivative, as what these make together does not depend on it."""
    from . import STOP

    top = STOP(MAX(ABS(x), ABS(y)))
    u, v = DIV(x, top), DIV(y, top)
    return u, v, MUL(top, ADD(MUL(u, u), MUL(v, v)))


# Operands of tests for what is defined above 0, or between -1 and 1.
_POSITIVE: dict[str, Any] = {"domain": (0.5, 4.0), "slope": "any"}
_UNIT: dict[str, Any] = {"domain": (-0.8, 0.8), "slope": "any"}

# --- exponentials and logarithms -----------------------------------------------------------------

EXP = _function("exp", "e to the power of each element.", _slope(lambda x, y: y), 15, slope="any")
# The terms of softmax, logsumexp and the like, whose sum has an error of its own: users do not name it.
EXP_TERM = element(
    "exp_term", 1, np.exp, _slope(lambda x, y: y), dec.exp_term, exact=False, ulp=1, flops=15, slope="any",
)  # fmt: skip
EXP2 = _function(
    "exp2", "2 to the power of each element.", _slope(lambda x, y: _times(y, math.log(2))), 15, slope="any"
)
EXPM1 = _function(
    "expm1", "exp(x) - 1, also where that is small.", _slope(lambda x, y: _plus(y, 1)), 25, slope="any"
)


def _slope_of_sigmoid(node: Node, ct: Node, needs: tuple[bool, ...]) -> Cotangents:
    """e / (1 + e)**2, e = exp(-|x|): 1 less the result, where that is near 1, has lost its digits."""
    (x,) = node.inputs
    below = LT(x, zeros_like(x))
    e = EXP(WHERE(below, x, NEG(x)))
    larger = WHERE(below, SUB(const(1, x), node), node)
    return (MUL(ct, MUL(e, MUL(larger, larger))),)


SIGMOID = _function("sigmoid", "1 / (1 + exp(-x)), without overflow.", _slope_of_sigmoid, 35, also=("expit",))
LOG = _function(
    "log", "The natural logarithm of each element; -inf at 0, NaN below.",
    _inverse(lambda x, y: x), 20, **_POSITIVE,
)  # fmt: skip
LOG2 = _function(
    "log2", "The logarithm of each element to base 2.",
    _inverse(lambda x, y: _times(x, math.log(2))), 25, **_POSITIVE,
)  # fmt: skip
LOG10 = _function(
    "log10", "The logarithm of each element to base 10.",
    _inverse(lambda x, y: _times(x, math.log(10))), 25, **_POSITIVE,
)  # fmt: skip
LOG1P = _function(
    "log1p", "log(1 + x), also where x is small.",
    _inverse(lambda x, y: _plus(x, 1)), 30, domain=(-0.5, 3.0), slope="any",
)  # fmt: skip

CBRT = _function(
    "cbrt", "The cube root of each element; its gradient at 0 is inf.",
    _inverse(lambda x, y: _times(MUL(y, y), 3)), 45, **_POSITIVE,
)  # fmt: skip

# --- angles --------------------------------------------------------------------------------------

SIN: Op = _function(
    "sin", "The sine of each element, in radians; exact reduction of large ones.",
    _slope(lambda x, y: COS(x)), 30,
)  # fmt: skip
COS: Op = _function(
    "cos", "The cosine of each element, in radians; exact reduction of large ones.",
    _slope(lambda x, y: NEG(SIN(x))), 30,
)  # fmt: skip
TAN = _function(
    "tan", "The tangent of each element, in radians.",
    _slope(lambda x, y: _plus(MUL(y, y), 1)), 40, domain=(-1.2, 1.2),
)  # fmt: skip


def _leg(x: Node) -> Node:
    """sqrt(1 - x**2)."""
    return SQRT(MUL(SUB(const(1, x), x), _plus(x, 1)))


def _d_arctan2(node: Node, ct: Node, needs: tuple[bool, ...]) -> Cotangents:
    """At the origin 0."""
    y, x = node.inputs
    v, u, length = _length(y, x)
    origin = EQ(MAX(ABS(x), ABS(y)), const(0, x))

    def slope(side: Node) -> Node:
        return MUL(ct, WHERE(origin, zeros_like(side), DIV(side, length)))

    return slope(u) if needs[0] else None, slope(NEG(v)) if needs[1] else None


ARCSIN = _function(
    "arcsin", "The inverse of sin, from -pi/2 to pi/2; NaN beyond 1.",
    _inverse(lambda x, y: _leg(x)), 30, also=("asin",), **_UNIT,
)  # fmt: skip
ARCCOS = _function(
    "arccos", "The inverse of cos, from 0 to pi; NaN beyond 1.",
    _inverse(lambda x, y: NEG(_leg(x))), 30, also=("acos",), **_UNIT,
)  # fmt: skip
ARCTAN = _function(
    "arctan", "The inverse of tan, from -pi/2 to pi/2.",
    _inverse(lambda x, y: _plus(MUL(x, x), 1)), 35, also=("atan",),
)  # fmt: skip
ARCTAN2 = _function(
    "arctan2", "The angle of the point (b, a), -pi to pi; its gradient at the origin is 0.",
    _d_arctan2, 50, arity=2, also=("atan2",), **_POSITIVE,
)  # fmt: skip

# --- hyperbolic functions ------------------------------------------------------------------------


def _root(x: Node) -> Node:
    """sqrt(1 + x**2)."""
    one = const(1, x)
    large = MAX(ABS(x), one)
    inverse = DIV(one, large)
    small = MUL(x, inverse)
    return MUL(large, SQRT(ADD(MUL(inverse, inverse), MUL(small, small))))


SINH: Op = _function(
    "sinh", "The hyperbolic sine of each element.", _slope(lambda x, y: COSH(x)), 35, slope="any"
)
COSH: Op = _function(
    "cosh", "The hyperbolic cosine of each element.", _slope(lambda x, y: SINH(x)), 35, slope="any"
)
TANH = _function(
    "tanh", "The hyperbolic tangent of each element.", _slope(lambda x, y: SUB(const(1, y), MUL(y, y))), 35
)
ARCSINH = _function("arcsinh", "The inverse of sinh.", _inverse(lambda x, y: _root(x)), 55, also=("asinh",))
ARCCOSH = _function(
    "arccosh", "The inverse of cosh; NaN below 1.",
    _inverse(lambda x, y: MUL(SQRT(SUB(x, const(1, x))), SQRT(_plus(x, 1)))), 55,
    domain=(1.2, 4.0), slope="any", also=("acosh",),
)  # fmt: skip
ARCTANH = _function(
    "arctanh", "The inverse of tanh; inf at 1, NaN beyond.",
    _inverse(lambda x, y: MUL(SUB(const(1, x), x), _plus(x, 1))), 45, also=("atanh",), **_UNIT,
)  # fmt: skip

# --- error functions -----------------------------------------------------------------------------


def _bell(scale: float) -> Vjp:
    """2/sqrt(pi) e**(-x**2), times `scale`."""
    factor = 2 / math.sqrt(math.pi) * scale
    return lambda node, ct, needs: (
        MUL(ct, MUL(const(factor, ct), EXP(NEG(MUL(node.inputs[0], node.inputs[0]))))),
    )


ERF = _function(
    "erf", "The error function: 2/sqrt(pi) times the integral of exp(-t²) from 0 to x.", _bell(1.0), 30
)
ERFC = _function("erfc", "1 - erf(x), without cancellation.", _bell(-1.0), 80)
ERFINV = _function(
    "erfinv", "The inverse of erf; inf at 1, -inf at -1, NaN beyond.",
    _slope(lambda x, y: _times(EXP(MUL(y, y)), math.sqrt(math.pi) / 2)), 80, **_UNIT,
)  # fmt: skip

# --- gamma functions -----------------------------------------------------------------------------

# B(2), B(4), ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_STEPS = 12


def _tetragamma(x: Node) -> Node:
    """The derivative of trigamma, of which the next ones follow: -2 / y**3 for each step to y = x + 12, and
    from there Stirling's series; below 0 by reflection (Abramowitz, 6.4.6, 6.4.7 and 6.4.11)."""
    zero, one = const(0, x), const(1, x)
    negative = LT(x, zero)
    y = WHERE(negative, SUB(one, x), x)
    total = zeros_like(x)
    for _ in range(_STEPS):
        total = ADD(total, DIV(const(2, x), MUL(MUL(y, y), y)))
        y = ADD(y, one)
    inverse = DIV(one, y)
    square = MUL(inverse, inverse)
    series = const(0, x)
    for k, bernoulli in reversed([*enumerate(_BERNOULLI, 1)]):
        series = MUL(square, ADD(const(bernoulli * (2 * k + 1), x), series))
    total = ADD(total, MUL(square, ADD(ADD(one, inverse), series)))
    angle = _times(SUB(x, RINT(x)), math.pi)
    sine = SIN(angle)
    reflected = DIV(_times(COS(angle), 2 * math.pi**3), MUL(MUL(sine, sine), sine))
    return NEG(ADD(total, WHERE(negative, reflected, zero)))


LGAMMA = _function(
    "lgamma", "log|gamma(x)|; inf at 0 and at whole numbers below, -inf at -inf (SciPy's `gammaln`).",
    _slope(lambda x, y: DIGAMMA(x)), 150, **_POSITIVE,
)  # fmt: skip
DIGAMMA: Op = _function(
    "digamma",
    "The derivative of log|gamma(x)|; -inf at 0, inf at -0, NaN at whole numbers below (SciPy's `psi`).",
    _slope(lambda x, y: TRIGAMMA(x)), 150, **_POSITIVE,
)  # fmt: skip
TRIGAMMA: Op = _function(
    "trigamma", "The derivative of digamma; inf at 0, at whole numbers below and at -inf.",
    _slope(lambda x, y: _tetragamma(x)), 130, **_POSITIVE,
)  # fmt: skip
