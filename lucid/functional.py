"""Functions of tensors: operations that are operators or methods, under NumPy's names and PyTorch's.

Every argument that stands for a tensor may be an array, a list or a number. A function is one line of the
tables below, and a name in `__all__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lucid.compiler.ir.graph import Node

from . import elementwise as ew
from . import shapes
from .creation import asarray
from .errors import public
from .named import as_function, name_all
from .tensor import Tensor, apply

__all__ = [
    # of one tensor
    "abs", "absolute", "bitwise_not", "erf", "exp", "floor", "invert", "isfinite", "isinf", "isnan", "log",
    "logical_not", "neg", "negative", "sign", "sqrt", "square", "tanh",
    # of two
    "add", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "div",
    "divide", "dot", "eq", "equal", "floor_divide", "ge", "greater", "greater_equal", "gt", "hypot", "le",
    "left_shift", "less", "less_equal", "logical_and", "logical_or", "logical_xor", "lt", "matmul", "maximum",
    "minimum", "mm", "mod", "mul", "multiply", "ne", "not_equal", "outer", "pow", "power", "remainder",
    "right_shift", "sub", "subtract", "true_divide",
    # choices
    "clamp", "clip", "where",
    # shapes
    "broadcast_to", "flatten", "permute", "permute_dims", "ravel", "reshape", "squeeze", "swapaxes",
    "transpose", "unsqueeze",
    # reductions
    "all", "amax", "amin", "any", "max", "mean", "min", "std", "sum", "var",
    # others
    "astype", "clone", "detach", "numel",
]  # fmt: skip

Unary = Callable[[Any], Tensor]
Binary = Callable[[Any, Any], Tensor]


def _unary(build: Callable[[Node], Node], doc: str) -> Unary:
    def function(x: Any) -> Tensor:
        return apply(build, x if isinstance(x, Tensor) else asarray(x))

    function.__doc__ = doc
    return public(function)


def _binary(build: Callable[..., Node], doc: str) -> Binary:
    def function(a: Any, b: Any) -> Tensor:
        return apply(build, _operand(a), _operand(b))

    function.__doc__ = doc
    return public(function)


def _operand(x: Any) -> Any:
    """Numbers stay weak (NEP 50). TypeError for None, which would be left out."""
    if x is None:
        raise TypeError("expected a tensor, an array or a number, not None")
    return x


# --- of one tensor -------------------------------------------------------------------------------

abs = absolute = _unary(ew.absolute, "The absolute value of each element; its gradient is sign(x), 0 at 0.")
erf = _unary(ew.erf, "The error function: 2/sqrt(pi) times the integral of exp(-t²) from 0 to x.")
exp = _unary(ew.exp, "e to the power of each element.")
floor = _unary(ew.floor, "The greatest integer that is not above each element.")
invert = bitwise_not = _unary(ew.invert, "The other bits; `not` of bools.")
isfinite = _unary(ew.isfinite, "Whether each element is neither inf nor NaN.")
isinf = _unary(ew.isinf, "Whether each element is inf or -inf.")
isnan = _unary(ew.isnan, "Whether each element is NaN.")
log = _unary(ew.log, "The natural logarithm of each element; -inf at 0, NaN below.")
logical_not = _unary(ew.logical_not, "Whether each element is 0.")
negative = neg = _unary(ew.neg, "-x.")
sign = _unary(ew.sign, "-1, 0 or 1; NaN stays NaN. Its gradient is 0.")
sqrt = _unary(ew.sqrt, "The square root of each element; NaN below 0.")
square = _unary(ew.square, "x * x.")
tanh = _unary(ew.tanh, "The hyperbolic tangent of each element.")

# --- of two --------------------------------------------------------------------------------------

add = _binary(ew.add, "a + b.")
bitwise_and = _binary(ew.and_, "a & b.")
bitwise_or = _binary(ew.or_, "a | b.")
bitwise_xor = _binary(ew.xor, "a ^ b.")
dot = _binary(shapes.dot, "The product of two vectors or matrices, as NumPy's; of numbers a * b.")
equal = eq = _binary(ew.eq, "a == b, for each element.")
floor_divide = _binary(ew.floordiv, "a // b.")
greater = gt = _binary(ew.gt, "a > b.")
greater_equal = ge = _binary(ew.ge, "a >= b.")
hypot = _binary(ew.hypot, "sqrt(a² + b²), without overflow inside. Its gradient at 0 is 0.")
left_shift = bitwise_left_shift = _binary(ew.shl, "a << b.")
less = lt = _binary(ew.lt, "a < b.")
less_equal = le = _binary(ew.le, "a <= b.")
logical_and = _binary(ew.logical_and, "Whether both are not 0.")
logical_or = _binary(ew.logical_or, "Whether one is not 0.")
logical_xor = _binary(ew.logical_xor, "Whether exactly one is not 0.")
matmul = mm = _binary(shapes.matmul, "a @ b, by NumPy's rules.")
maximum = _binary(ew.maximum, "The greater of two; NaN wins. At a tie each gets half of the gradient.")
minimum = _binary(ew.minimum, "The lesser of two; NaN wins. At a tie each gets half of the gradient.")
multiply = mul = _binary(ew.mul, "a * b.")
not_equal = ne = _binary(ew.ne, "a != b, for each element.")
outer = _binary(shapes.outer, "a[i] * b[j] for all elements.")
power = pow = _binary(ew.power, "a ** b.")
remainder = mod = _binary(ew.mod, "a % b, with the sign of b.")
right_shift = bitwise_right_shift = _binary(ew.shr, "a >> b.")
subtract = sub = _binary(ew.sub, "a - b.")
true_divide = divide = div = _binary(ew.div, "a / b.")

# --- choices -------------------------------------------------------------------------------------


@public
def where(condition: Any, a: Any, b: Any) -> Tensor:
    """Elements of `a` where `condition` holds, else of `b`; all broadcast. What is not chosen has
    no influence, on values or on gradients, be it NaN or inf."""
    return apply(ew.where, *map(_operand, (condition, a, b)))


@public
def clip(x: Any, min: Any = None, max: Any = None) -> Tensor:
    """Elements below `min` become `min`, those above `max` become `max`; NaN stays."""
    return apply(ew.clip, asarray(x), min, max)


clamp = clip


# --- methods as functions ------------------------------------------------------------------------


astype = as_function(Tensor.astype)
broadcast_to = as_function(Tensor.broadcast_to)
clone = as_function(Tensor.clone)
detach = as_function(Tensor.detach)
flatten = as_function(Tensor.flatten)
ravel = as_function(Tensor.ravel)
reshape = as_function(Tensor.reshape)
squeeze = as_function(Tensor.squeeze)
swapaxes = as_function(Tensor.swapaxes)
transpose = permute = permute_dims = as_function(Tensor.transpose)
unsqueeze = as_function(Tensor.unsqueeze)

all = as_function(Tensor.all)
any = as_function(Tensor.any)
max = amax = as_function(Tensor.max)
mean = as_function(Tensor.mean)
min = amin = as_function(Tensor.min)
std = as_function(Tensor.std)
sum = as_function(Tensor.sum)
var = as_function(Tensor.var)


@public
def numel(x: Any) -> int:
    """Number of elements."""
    return asarray(x).numel()


name_all(globals(), __all__)
