"""Elementwise functions of values, with NumPy's promotion: what the operators of Tensor build."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import cast as cast_type

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import b1, f32, f64, u64
from lucid.compiler.ops import Op

from .promote import (
    Value,
    cast,
    filled,
    fits,
    joint,
    loop_dtypes,
    result_dtype,
    spread,
    weak,
)
from .tape import is_traced

Unary = Callable[[Node], Node]
Binary = Callable[[Value, Value], Node]


def _unary(op: Op, ufunc: np.ufunc) -> Unary:
    def build(x: Node) -> Node:
        dtype = x.type.dtype
        return op(x if dtype.kind in op.kinds else cast(x, loop_dtypes(ufunc, dtype.name)[0]))

    return build


def _binary(op: Op, ufunc: np.ufunc, of_bools: Op | None = None) -> Binary:
    """`of_bools` stands in where NumPy's loop for two bools is another operation."""
    takes_floats = "f" in op.kinds

    def build(a: Value, b: Value) -> Node:
        if isinstance(a, Node) and isinstance(b, Node) and a.type == b.type:
            dtype = a.type.dtype
            if dtype.is_float or (dtype.kind in "iu" and dtype.kind in op.kinds):
                return op(a, b)
        # The same as below, without the search for a loop.
        elif takes_floats and isinstance(a, Node) and not isinstance(b, Node | bool | complex):
            if a.type.dtype.is_float:
                return op(a, filled(b, a.type))
        elif (
            takes_floats
            and isinstance(b, Node)
            and not isinstance(a, Node | bool | complex)
            and b.type.dtype.is_float
        ):
            return op(filled(a, b.type), b)
        dtype = loop_dtypes(ufunc, weak(a), weak(b))[0]
        return (of_bools if of_bools and dtype is b1 else op)(*joint(op.name, dtype, a, b))

    return build


add = _binary(ops.ADD, np.add, ops.OR)
sub = _binary(ops.SUB, np.subtract)
mul = _binary(ops.MUL, np.multiply, ops.AND)
div = _binary(ops.DIV, np.true_divide)
floordiv = _binary(ops.FLOORDIV, np.floor_divide)
mod = _binary(ops.MOD, np.remainder)
maximum = _binary(ops.MAX, np.maximum)
minimum = _binary(ops.MIN, np.minimum)
and_ = _binary(ops.AND, np.bitwise_and)
or_ = _binary(ops.OR, np.bitwise_or)
xor = _binary(ops.XOR, np.bitwise_xor)
shl = _binary(ops.SHL, np.left_shift)
shr = _binary(ops.SHR, np.right_shift)


def quotient(a: Value, b: Value, *, rounding_mode: str | None = None) -> Node:
    """a / b, rounded as PyTorch's `div`."""
    if rounding_mode is None:
        return div(a, b)
    if rounding_mode == "floor":
        return floordiv(a, b)
    if rounding_mode != "trunc":
        raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', not {rounding_mode!r}")
    dtype = loop_dtypes(np.floor_divide, weak(a), weak(b))[0]
    x, y = joint("div", dtype, a, b)
    if dtype.is_float:
        return ops.TRUNC(ops.DIV(x, y))
    return ops.FLOORDIV(ops.SUB(x, ops.FMOD(x, y)), y)


def named(op: Op) -> Callable[..., Node]:
    """What the names of its record stand for; kernels that compute it are named after it."""
    assert op.named is not None
    arity = len(op.samples[0].shapes)
    build = (_unary if arity == 1 else _binary)(op, op.named.like)
    build.__name__ = op.named.names[0]
    return build


def neg(x: Node) -> Node:
    if x.type.dtype is b1:
        raise TypeError("neg: not defined for bool; use ~x")
    return ops.NEG(x)


def invert(x: Node) -> Node:
    if x.type.dtype.is_inexact:
        raise TypeError(f"invert: not defined for {x.type.dtype.numpy}; cast with astype")
    return ops.NOT(x)


def absolute(x: Node) -> Node:
    return x if x.type.dtype is b1 else ops.ABS(x)


def _step(op: Op) -> Unary:
    """Integers stay as they are, as in NumPy."""
    return lambda x: x if x.type.dtype.kind in "biu" else op(x)


floor, ceil, trunc = _step(ops.FLOOR), _step(ops.CEIL), _step(ops.TRUNC)


def square(x: Node) -> Node:
    """x * x; bools become int8, as in NumPy."""
    x = cast(x, loop_dtypes(np.square, x.type.dtype.name)[0])
    return ops.MUL(x, x)


# --- comparisons ---------------------------------------------------------------------------------


def _compare(op: Op, ufunc: np.ufunc, python: Callable[[int, int], bool]) -> Binary:
    def build(a: Value, b: Value) -> Node:
        if isinstance(a, Node) and isinstance(b, Node) and a.type == b.type:
            return op(a, b)
        left, right = loop_dtypes(ufunc, weak(a), weak(b))
        if left is not right:
            return _mixed_signs(op, *spread(op.name, cast(a, left), cast(b, right)))
        # Where no element reaches a Python integer, all of them compare as 0 does.
        if isinstance(a, Node) and isinstance(b, int) and not fits(b, left):
            return ops.fill(ops.CONST(value=python(0, b), dtype=b1), a.shape)
        if isinstance(b, Node) and isinstance(a, int) and not fits(a, left):
            return ops.fill(ops.CONST(value=python(a, 0), dtype=b1), b.shape)
        return op(*joint(op.name, left, a, b))

    return build


_MIRROR = {"eq": ops.EQ, "ne": ops.NE, "lt": ops.GT, "le": ops.GE, "gt": ops.LT, "ge": ops.LE}


def _mixed_signs(op: Op, a: Node, b: Node) -> Node:
    """int64 with uint64, compared as the numbers they are: a negative one is less than all
    others."""
    if a.type.dtype is u64:
        a, b, op = b, a, _MIRROR[op.name]
    negative = ops.LT(a, ops.const(0, a))
    compared = op(ops.CAST(a, dtype=u64), b)
    if op.name in ("ne", "lt", "le"):
        return ops.OR(negative, compared)
    return ops.AND(ops.NOT(negative), compared)


eq = _compare(ops.EQ, np.equal, operator.eq)
ne = _compare(ops.NE, np.not_equal, operator.ne)
lt = _compare(ops.LT, np.less, operator.lt)
le = _compare(ops.LE, np.less_equal, operator.le)
gt = _compare(ops.GT, np.greater, operator.gt)
ge = _compare(ops.GE, np.greater_equal, operator.ge)

# --- questions -----------------------------------------------------------------------------------


def _asks(question: Callable[[Node], Node], of_integers: bool, of_parts: Op) -> Unary:
    """A question about floats, which has one answer for all integers. `of_parts` makes the answer about a
    complex number of those about its parts."""

    def build(x: Node) -> Node:
        if x.type.dtype.is_complex:
            return of_parts(question(ops.RE(x)), question(ops.IM(x)))
        if x.type.dtype.is_float:
            return question(x)
        return ops.fill(ops.CONST(value=of_integers, dtype=b1), x.shape)

    return build


isnan = _asks(lambda x: ops.NE(x, x), False, ops.OR)
isinf = _asks(lambda x: ops.EQ(ops.ABS(x), ops.const(math.inf, x)), False, ops.OR)
isfinite = _asks(lambda x: ops.LT(ops.ABS(x), ops.const(math.inf, x)), True, ops.AND)


def _logical(op: Op) -> Binary:
    return lambda a, b: op(*joint(op.name, b1, a, b))


logical_and, logical_or, logical_xor = _logical(ops.AND), _logical(ops.OR), _logical(ops.XOR)


def logical_not(x: Node) -> Node:
    return ops.NOT(cast(x, b1))


# --- powers --------------------------------------------------------------------------------------


def power(a: Value, b: Value) -> Node:
    """NumPy's `power`. Small whole exponents multiply, unless they change from call to call: then they are
    operands. A negative exponent of integers is a ValueError, as NumPy's: here if it is a number, else where
    the values are computed (inside.py)."""
    dtype = loop_dtypes(np.power, weak(a), weak(b))[0]
    whole = not dtype.is_inexact
    if isinstance(b, Node) and b.op is ops.SCALAR and whole:
        b = cast_type(int, b.attrs["value"])
    if isinstance(b, complex) and b.imag == 0:
        b = b.real
    if isinstance(a, Node) and not isinstance(b, Node | complex) and (whole or not is_traced(b)):
        base = cast(a, dtype)
        if dtype.is_complex and b == round(b) and abs(b) <= 100:  # NumPy multiplies, too
            size = _whole_power(base if b >= 0 else inverted(base), abs(int(b)))
            return size if b >= 0 else ops.DIV(ops.const(1, base), size)
        if whole:
            if b > 0 and not fits(b, dtype):
                raise OverflowError(f"pow: the exponent {b} is out of bounds for {dtype.numpy}")
            return _whole_power(base, int(b))
        if b == 0.5:
            return ops.SQRT(base)
        if b == -1:
            return ops.DIV(ops.const(1, base), base)
        if b in (0, 1, 2, 3, 4):
            wide = dtype.computed if b > 2 else dtype  # rounded once
            return cast(_whole_power(cast(base, wide), int(b)), dtype)
    if whole and isinstance(b, Node) and b.type.dtype is b1:  # where it is False: 1
        base, one = joint("pow", dtype, a, 1)
        return ops.WHERE(*spread("pow", b, base, one))
    if whole:
        assert isinstance(b, Node)
        base, exponent = joint("pow", dtype, a, b)
        return _natural_power(base, exponent, b.type.dtype.bits)
    return ops.POW(*joint("pow", dtype, a, b))


def pow_(a: Value, b: Value) -> Node:
    """NumPy's `**`, which for the square of bools takes another way than its `power`."""
    if isinstance(a, Node) and a.type.dtype is b1 and isinstance(b, int) and b == 2:
        return square(a)
    return power(a, b)


def inverted(x: Node) -> Node:
    """What NumPy's reciprocals and negative powers divide by: x, and NaN in place of a complex 0."""
    if not x.type.dtype.is_complex:
        return x
    none, re = ops.NOT(ops.CAST(x, dtype=b1)), ops.RE(x)
    factor = ops.WHERE(none, ops.const(math.nan, re), ops.const(1, re))
    return ops.COMPLEX(ops.MUL(re, factor), ops.MUL(ops.IM(x), factor))


def _whole_power(base: Node, exponent: int) -> Node:
    """By repeated squaring; integers wrap, as NumPy's do."""
    if exponent < 0:
        raise ValueError("pow: integers to negative integer powers are not allowed; cast to float")
    result: Node | None = None
    while exponent:
        if exponent & 1:
            result = base if result is None else ops.MUL(result, base)
        exponent >>= 1
        if exponent:
            base = ops.MUL(base, base)
    return ops.const(1, base) if result is None else result


def _natural_power(base: Node, exponent: Node, bits: int) -> Node:
    """By the lowest `bits` of the exponents, all that may be set; integers wrap, as NumPy's do."""
    dtype = exponent.type.dtype
    zero, one = ops.const(0, base), ops.const(1, base)
    if dtype.kind == "i":
        exponent, bits = ops.NATURAL(exponent), min(bits, dtype.bits - 1)
    result = one
    for k in range(bits):
        if k:
            base = ops.MUL(base, base)
        bit = ops.NE(ops.AND(exponent, ops.const(1 << k, exponent)), zero)
        result = ops.MUL(result, ops.WHERE(bit, base, one))
    return result


def hypot(a: Value, b: Value) -> Node:
    """sqrt(a² + b²), both times a power of two where a square would overflow or vanish; inf where one is."""
    dtype = loop_dtypes(np.hypot, weak(a), weak(b))[0]
    x, y = joint("hypot", dtype.computed, a, b)
    return cast(ops.hypot(x, y), dtype)


# --- choices -------------------------------------------------------------------------------------


def where(condition: Value, a: Value, b: Value) -> Node:
    """Elements of `a` where `condition` is true (not 0), else of `b`."""
    dtype = result_dtype(weak(a), weak(b))
    return ops.WHERE(*spread("where", cast(condition, b1), cast(a, dtype), cast(b, dtype)))


def masked_fill(x: Node, mask: Value, value: Value) -> Node:
    if isinstance(mask, Node) and mask.type.dtype is not b1:
        raise TypeError(
            f"masked_fill: the mask must be bool, not {mask.type.dtype.numpy}; compare, or cast it"
        )
    return ops.WHERE(*spread("masked_fill", cast(mask, b1), cast(value, x.type.dtype), x))


def clip(x: Node, low: Value | None, high: Value | None) -> Node:
    """x, or the bound that it passes; NaN stays. At a bound the gradient is that of x.
    A NaN bound gives NaN. A Python integer that no element of an integer dtype can pass is no bound.
    Of zeros that are equal x stays, or, as in NumPy, the bound if it is the only one; in float16 x."""
    only = (low is None) is not (high is None)
    for bound, inside, passed in ((low, ops.GE, operator.lt), (high, ops.LE, operator.gt)):
        if bound is not None:
            if isinstance(bound, int) and not fits(bound, x.type.dtype) and passed(bound, 0):
                continue
            dtype = loop_dtypes(np.minimum, x.type.dtype.name, weak(bound))[0]
            value, limit = joint("clip", dtype, x, bound)
            keep = inside(value, limit)
            if dtype.is_float:
                keep = ops.OR(keep, ops.NE(value, value))
            if only and dtype in (f32, f64):
                value = _signed_zeros(value, limit, bound)
            x = ops.WHERE(keep, value, limit)
    return x


def _signed_zeros(x: Node, limit: Node, bound: Value) -> Node:
    """x, its zeros with the sign of the zeros of a bound where they meet; the gradient is that of x."""
    zero = ops.const(0, x)
    plus, minus = ops.ADD(x, zero), ops.NEG(ops.ADD(ops.NEG(x), zero))
    if not isinstance(bound, Node):
        if bound != 0 or math.copysign(1, bound.real) > 0:
            return x if bound != 0 else plus
    else:
        below = ops.LT(ops.DIV(ops.const(1, limit), limit), zero)
        minus = ops.WHERE(below, minus, plus)
    return ops.WHERE(ops.EQ(x, limit), minus, x)
