"""Modified Bessel functions of the first kind, I0 and I1, and these times exp(-|x|), in float64.

    up to 20    I_n(x) = (x / 2)**n times the sum of (x / 2)**2k / (k! (k + n)!)    (Abramowitz, 9.6.10)
    beyond      exp(-x) I_n(x) sqrt(2 pi x) = 1 - (m - 1) / (8 x) + ..., m = 4 n**2            (9.7.1)

All terms of the sum are above 0, those of its derivatives, too: nothing cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import f64

from .named import name_all, unary
from .promote import cast, loop_dtypes, weak

__all__ = ["i0", "i0e", "i1", "i1e"]

FAR = 20.0
_NEAR_TERMS, _FAR_TERMS = 46, 28


def _near(n: int) -> list[float]:
    """Coefficients in (x / 2)**2."""
    return [1 / (math.factorial(k) * math.factorial(k + n)) for k in range(_NEAR_TERMS)]


def _far(n: int) -> list[float]:
    """Coefficients in 1 / x."""
    found = [1.0]
    for k in range(1, _FAR_TERMS):
        found.append(found[-1] * ((2 * k - 1) ** 2 - 4 * n * n) / (8 * k))
    return found


def _series(x: Node, coefficients: list[float]) -> Node:
    total = ops.const(coefficients[-1], x)
    for c in reversed(coefficients[:-1]):
        total = ops.ADD(ops.MUL(total, x), ops.const(c, x))
    return total


def _bessel(n: int, scaled: bool) -> Callable[[Node], Node]:
    near, far = _near(n), _far(n)

    def build(x: Node) -> Node:
        dtype = loop_dtypes(np.tanh, weak(x))[0]
        x = cast(x, f64)
        size = ops.ABS(x)
        large = ops.GT(size, ops.const(FAR, x))
        half = ops.MUL(ops.const(0.5, x), ops.WHERE(large, ops.const(0, x), x))
        inner = _series(ops.MUL(half, half), near)
        inner = ops.MUL(half, inner) if n else inner
        beyond = ops.WHERE(large, size, ops.const(FAR, x))
        outer = _series(ops.DIV(ops.const(1, x), beyond), far)
        outer = ops.DIV(outer, ops.SQRT(ops.MUL(ops.const(2 * math.pi, x), beyond)))
        outer = ops.MUL(outer, ops.SIGN(x)) if n else outer
        if scaled:
            inner = ops.MUL(inner, ops.EXP(ops.NEG(ops.ABS(ops.MUL(ops.const(2, x), half)))))
        else:  # in two steps, as the exponential of large numbers is inf before the result is
            root = ops.EXP(ops.MUL(ops.const(0.5, x), beyond))
            outer = ops.MUL(ops.MUL(outer, root), root)
        return cast(ops.WHERE(large, outer, inner), dtype)

    return build


i0 = unary(
    _bessel(0, False), "The modified Bessel function of the first kind, of order 0; its derivative is `i1`."
)
i0e = unary(_bessel(0, True), "exp(-|x|) `i0`(x).")
i1 = unary(_bessel(1, False), "The modified Bessel function of the first kind, of order 1.")
i1e = unary(_bessel(1, True), "exp(-|x|) `i1`(x).")

name_all(globals(), __all__)
