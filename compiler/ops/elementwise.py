"""Elementwise ops: operands of one shape and one dtype, an element of the result from one of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops  # at call time: families refer to each other
from ..ir.graph import Node
from ..ir.rounding import computed, convert
from ..ir.types import DTYPES, DType, TensorType, b1, tensor_type
from . import complex_functions as rules
from .complex import bilinear, cast, compared, kept, linear
from .leaves import const, zeros_like
from .record import Array, Attrs, Named, Op, Sample, Types, Vjp, dec, define, fail, later, operands


def _same(name: str, arity: int, kinds: str, result: DType | None) -> Callable[..., TensorType]:
    def infer(types: Types, attrs: Attrs) -> TensorType:
        if len(types) != arity:
            operands(name, types, arity)
        first = types[0]
        if arity == 2 and types[1] is not first and types[1] != first:
            fail(name, f"operands differ in type: {', '.join(map(str, types))}")
        if first.dtype.kind not in kinds:
            fail(name, f"not defined for {first.dtype.numpy}")
        return first if result is None else tensor_type(result, first.shape)

    return infer


def element(
    name: str,
    arity: int,
    evaluate: Callable[..., Array],
    vjp: Vjp | None,
    lower: Any = None,
    kinds: str = "f",
    result: DType | None = None,
    stored: bool = False,
    **more: Any,
) -> Op:
    """An elementwise op; by default it lowers to the loop instruction of its name. `stored`: it takes
    values of formats for memory alone as they are."""

    def run(attrs: Attrs, *args: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(evaluate(*args) if stored else computed(evaluate, *args))

    infer = _same(name, arity, kinds, result)
    code = lower or dec.instruction(name)
    code = code if stored else dec.in_wide(code)
    samples = tuple(Sample((shape,) * arity) for shape in ((), (7,), (3, 5)))
    return define(name, "elementwise", infer, run, vjp, code, kinds, samples=samples, **more)


def _d_mul(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    a, b = node.inputs
    if a is b:
        return MUL(MUL(const(2, ct), ct), a), None  # 2 ct is often the same for all elements
    return MUL(ct, b) if needs[0] else None, MUL(ct, a) if needs[1] else None


def _d_div(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    b = node.inputs[1]
    da = DIV(ct, b)
    return da, NEG(MUL(da, node)) if needs[1] else None


def _d_pow(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    a, b = node.inputs
    da = db = None
    if needs[0]:  # at b = 0 the derivative is 0, also where a**-1 is not finite
        slope = MUL(ct, MUL(b, POW(a, SUB(b, const(1, b)))))
        da = WHERE(EQ(b, const(0, b)), const(0, b), slope)
    if needs[1]:  # a**b * log(a), its limit 0 at a = 0
        safe = WHERE(EQ(a, const(0, a)), const(1, a), a)
        db = MUL(ct, MUL(node, ops.LOG(safe)))
    return da, db


def _d_sqrt(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """A norm, the root of a sum of squares, has the subgradient 0 at 0."""
    slope = DIV(ct, MUL(const(2, node), node))
    squares = ops.squares_in(node.inputs[0])
    return (slope if squares is None else WHERE(EQ(squares, const(0, ct)), const(0, ct), slope),)


def _d_rest(whole: Callable[[Node, Node], Node]) -> Vjp:
    """Of what a division leaves whose quotient is the whole number of `whole`."""
    return lambda n, ct, needs: (ct, NEG(MUL(ct, whole(*n.inputs))) if needs[1] else None)


def _d_select(better: str) -> Vjp:
    def vjp(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
        """The loser gets nothing; a tie halves the cotangent, so that x and its twin are alike. NaN and its
        partner both get all of it."""
        a, b = node.inputs
        half = WHERE(EQ(a, b), MUL(const(0.5, ct), ct), ct)
        wins, zero = getattr(ops, better), zeros_like(ct)
        return WHERE(wins(b, a), zero, half), WHERE(wins(a, b), zero, half)

    return vjp


def _d_where(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    mask, zero = node.inputs[0], zeros_like(ct)
    return None, WHERE(mask, ct, zero) if needs[1] else None, WHERE(mask, zero, ct) if needs[2] else None


ADD = element("add", 2, np.add, lambda n, ct, _: (ct, ct), kinds="iuf", slope="constant", of_complex=linear)
SUB = element(
    "sub", 2, np.subtract, lambda n, ct, needs: (ct, NEG(ct) if needs[1] else None), kinds="iuf",
    slope="constant", of_complex=linear,
)  # fmt: skip
MUL = element("mul", 2, np.multiply, _d_mul, kinds="iuf", of_complex=bilinear)
DIV = element(
    "div", 2, np.true_divide, _d_div, domain=(0.5, 4.0), slow=True, slope="any", of_complex=rules.quotient,
)  # fmt: skip
FLOORDIV = element(
    "floordiv", 2, np.floor_divide, None, dec.floordiv, "iuf", domain=(0.5, 4.0), flops=8, slow=True,
)  # fmt: skip
MOD = element(
    "mod", 2, np.remainder, _d_rest(FLOORDIV), dec.mod, "iuf", domain=(0.5, 4.0), flops=8, slow=True,
    slope="any",
)  # fmt: skip
POW = element(
    "pow", 2, np.power, _d_pow, dec.power, domain=(0.5, 3.0), exact=False, ulp=1, flops=40, slope="any",
    of_complex=rules.power,
)  # fmt: skip
MAX = element("max", 2, np.maximum, _d_select("GT"), dec.maximum, "biuf", slope="constant", stored=True)
MIN = element("min", 2, np.minimum, _d_select("LT"), dec.minimum, "biuf", slope="constant", stored=True)
NEG: Op = element(
    "neg", 1, np.negative, lambda n, ct, _: (NEG(ct),), kinds="iuf", slope="constant", of_complex=linear
)
ABS = element(
    "abs", 1, np.abs, lambda n, ct, _: (MUL(ct, SIGN(n.inputs[0])),), dec.absolute, "iuf",
    of_complex=rules.absolute,
)  # fmt: skip
SIGN: Op = element(
    "sign", 1, np.sign, None, dec.sign, "iuf", of_complex=rules.sign,
    named=Named(("sign", "sgn"), "-1, 0 or 1; NaN stays NaN. Its gradient is 0.", np.sign),
)  # fmt: skip
SQRT = element(
    "sqrt", 1, np.sqrt, _d_sqrt, domain=(0.5, 4.0), flops=4, slow=True, slope="any", of_complex=rules.sqrt,
    named=Named(("sqrt",), "The square root of each element; NaN below 0.", np.sqrt),
)  # fmt: skip
FLOOR = element("floor", 1, np.floor, None)
CEIL = element("ceil", 1, np.ceil, None)
TRUNC: Op = element("trunc", 1, np.trunc, None)
RINT = element(
    "rint", 1, np.rint, None, of_complex=linear,
    named=Named(("rint",), "The nearest whole number; halves to even. Integers become floats.", np.rint),
)  # fmt: skip


def _d_copysign(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    """0 where the magnitude is 0."""
    x, y = node.inputs
    return MUL(ct, MUL(SIGN(x), COPYSIGN(const(1, y), y))), None


FMOD = element(
    "fmod", 2, np.fmod, _d_rest(lambda x, y: TRUNC(DIV(x, y))), dec.fmod, "iuf", domain=(0.5, 4.0), flops=8,
    slow=True, slope="any",
    named=Named(("fmod",), "What a / b towards 0 leaves, with the sign of a.", np.fmod),
)  # fmt: skip
COPYSIGN: Op = element(
    "copysign", 2, np.copysign, _d_copysign, dec.copysign,
    named=Named(("copysign",), "The size of a with the sign of b.", np.copysign),
)  # fmt: skip

AND = element("and", 2, np.bitwise_and, None, kinds="biu")
OR = element("or", 2, np.bitwise_or, None, kinds="biu")
XOR = element("xor", 2, np.bitwise_xor, None, kinds="biu")
NOT = element("not", 1, np.invert, None, kinds="biu")
SHL = element("shl", 2, np.left_shift, None, dec.shift_left, "iu")
SHR = element("shr", 2, np.right_shift, None, dec.shift_right, "iu")

# place(i, n): the index i of an axis of n elements, from the end where it is negative. natural(i): i, which
# must not be negative. What has one in its graph wants to know whether all are as they must be: the front end
# asks (lucid/inside.py).
PLACE = element("place", 2, lambda i, n: np.where(i < 0, i + n, i), None, dec.place, "iu", flops=2)
NATURAL = element("natural", 1, lambda i: np.maximum(i, 0), None, dec.natural, "iu")

EQ = element("eq", 2, np.equal, None, kinds="biuf", result=b1, of_complex=compared(lambda: AND))
NE = element("ne", 2, np.not_equal, None, kinds="biuf", result=b1, of_complex=compared(lambda: OR))
LT = element("lt", 2, np.less, None, kinds="biuf", result=b1)
LE = element("le", 2, np.less_equal, None, kinds="biuf", result=b1)
GT = element("gt", 2, np.greater, None, kinds="biuf", result=b1)
GE = element("ge", 2, np.greater_equal, None, kinds="biuf", result=b1)


def _infer_where(types: Types, attrs: Attrs) -> TensorType:
    operands("where", types, 3)
    cond, a, b = types
    if cond.dtype is not b1 or cond.shape != a.shape or a != b:
        fail("where", f"expected bool, t, t of one shape, got {', '.join(map(str, types))}")
    return a


def _infer_cast(types: Types, attrs: Attrs) -> TensorType:
    operands("cast", types, 1)
    return tensor_type(attrs["dtype"], types[0].shape)


def _d_cast(node: Node, ct: Node, needs: tuple[bool, ...]) -> tuple[Node | None, ...]:
    source = node.inputs[0].type.dtype
    flows = source.is_inexact and node.type.dtype.is_inexact
    return (CAST(ct, dtype=source) if flows else None,)


WHERE = define(
    "where", "elementwise", _infer_where,
    lambda attrs, *args: np.asarray(np.where(*args)), _d_where, dec.instruction("select"), "biuf",
    samples=(Sample(((7,), (7,), (7,))), Sample(((3, 5),) * 3)), slope="constant", of_complex=linear,
)  # fmt: skip
CAST = define(
    "cast", "elementwise", _infer_cast, lambda attrs, x: convert(x, attrs["dtype"]), _d_cast,
    lambda b, args, dtype: later("decompose", "cast")(b, *args, dtype), "biuf", attrs=("dtype",),
    samples=tuple(Sample(((7,),), {"dtype": d}) for d in DTYPES.values()), flops=0, slope="constant",
    of_complex=cast,
)  # fmt: skip
# The identity, through which no gradient flows.
STOP = define(
    "stop_gradient", "elementwise", _same("stop_gradient", 1, "biufc", None),
    lambda attrs, x: x, None, lambda b, args, dtype: args[0], "biuf",
    samples=(Sample(((7,),)),), flops=0, of_complex=kept,
)  # fmt: skip
