"""x**y of float32 by the tables of logarithms and powers, as loop instructions: e**(w + rest), where w + rest
is y log(x) to 2**-32 of it.
"""

from __future__ import annotations

import math

from ..ir.loop import Builder, Operand
from .steps import F32, Pair, clamp, horner, settled
from .table_exp import Power, e_terms, looked_up, reduced, rounded_once, sum_of
from .table_log import lifted, ln_twice, rare

_ENDS = -104.0, 89.0  # outside, e**w is 0 or inf
_USUAL = 87.0  # from here on, it may be a denormal number, or overflow


def _times(b: Builder, y: Operand, x: Pair) -> tuple[Operand, Operand]:
    """y (x + rest), as a sum of two."""
    w = y * x[0]
    return w, b.op("fma", y, x[1], b.op("fma", y, x[0], -w))


def _e_to(b: Builder, w: Operand, rest: Operand) -> Power:
    shifted, k, r = reduced(b, w)
    scale, lack, steps = looked_up(b, shifted)
    r = r + b.op("fma", k, -F32.ln2_rest, rest)
    return Power(scale, b.op("fma", r, horner(b, r, e_terms(r)), lack), steps)


def usual(b: Builder, x: Operand, y: Operand) -> tuple[Operand, Operand]:
    """(x**y, whether that is not the usual case)."""
    w, rest = _times(b, settled(b, y), ln_twice(b, x))
    inside = abs(w) <= _USUAL  # NaN is not
    return sum_of(b, _e_to(b, w, rest)), rare(b, x) | ~inside


def magnitude(b: Builder, x: Operand, y: Operand) -> Operand:
    """x**y for x >= 0 and finite y."""
    log, log_rest = ln_twice(b, *lifted(b, x))
    w, rest = _times(b, y, (log, log_rest))
    inside = abs(w) < -2 * _ENDS[0]  # beyond, `rest` means nothing
    rest = b.op("select", inside, rest, 0.0)
    return rounded_once(b, _e_to(b, clamp(b, y * at_ends(b, x, log), *_ENDS), rest))


def at_ends(b: Builder, x: Operand, log: Operand) -> Operand:
    """The logarithm of any x >= 0, if `log` is that of the finite positive ones."""
    log = b.op("select", x < math.inf, log, x)
    return b.op("select", b.op("eq", x, 0.0), -math.inf, log)
