"""Functions of tensors: operations that are operators or methods, under NumPy's names and PyTorch's. (Those
that are one op each, and promote as NumPy's, are in `published.py`.)

Every argument that stands for a tensor may be an array, a list or a number. A function is one line of the
tables below, and a name in `__all__`.
"""

from __future__ import annotations

import math
from typing import Any, overload

from lucid.compiler import ops

from . import complexes, composed, shapes
from . import elementwise as ew
from .creation import full_like
from .creation import given as asarray
from .errors import public
from .named import as_function, binary, name_all, operand, unary
from .promote import whole
from .tensor import Tensor, apply

__all__ = [
    # of one tensor
    "abs", "absolute", "around", "bitwise_invert", "bitwise_not", "ceil", "conj", "conjugate", "deg2rad",
    "degrees", "fix", "floor", "imag", "invert", "isfinite", "isinf", "isnan", "logical_not", "logit",
    "nan_to_num", "neg", "negative", "positive", "rad2deg", "radians", "real", "reciprocal", "round",
    "rsqrt", "signbit", "sinc", "softplus", "square", "trunc",
    # of two
    "add", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "div",
    "divide", "dot", "eq", "equal", "fill", "float_power", "floor_divide", "fmax", "fmin", "ge", "ger",
    "greater", "greater_equal", "gt", "heaviside", "hypot", "le", "left_shift", "less", "less_equal",
    "logaddexp", "logaddexp2", "logical_and", "logical_or", "logical_xor", "lt", "matmul", "maximum",
    "minimum", "mm", "mod", "mul", "multiply", "ne", "nextafter", "not_equal", "outer", "pow", "power",
    "remainder", "right_shift", "rsub", "sub", "subtract", "true_divide", "xlogy",
    # choices
    "clamp", "clamp_max", "clamp_min", "clip", "lerp", "where",
    # shapes
    "broadcast_to", "flatten", "permute", "permute_dims", "ravel", "reshape", "squeeze", "swapaxes",
    "transpose", "unsqueeze",
    # reductions
    "all", "amax", "amin", "any", "max", "mean", "min", "std", "sum", "var",
    # others
    "astype", "clone", "copy", "detach", "numel", "polygamma",
    # of complex numbers
    "angle", "complex", "conj_physical", "is_complex", "iscomplex", "isreal", "polar", "view_as_complex",
    "view_as_real",
]  # fmt: skip

# --- of one tensor -------------------------------------------------------------------------------

abs = absolute = unary(ew.absolute, "The absolute value of each element; its gradient is sign(x), 0 at 0.")
ceil = unary(ew.ceil, "The least integer that is not below each element.")
conj = conjugate = conj_physical = unary(complexes.conj, "x.real - i x.imag; a real number itself.")
deg2rad = radians = unary(composed.deg2rad, "Degrees as radians.")
floor = unary(ew.floor, "The greatest integer that is not above each element.")
imag = unary(complexes.imag, "The imaginary part: 0 of real numbers.")
invert = bitwise_not = bitwise_invert = unary(ew.invert, "The other bits; `not` of bools.")
iscomplex = unary(complexes.iscomplex, "Whether the imaginary part of each element is not 0.")
isfinite = unary(ew.isfinite, "Whether each element is neither inf nor NaN.")
isinf = unary(ew.isinf, "Whether each element is inf or -inf.")
isnan = unary(ew.isnan, "Whether each element is NaN.")
isreal = unary(complexes.isreal, "Whether the imaginary part of each element is 0.")
logical_not = unary(ew.logical_not, "Whether each element is 0.")
negative = neg = unary(ew.neg, "-x.")
positive = unary(lambda x: x, "x itself.")
rad2deg = degrees = unary(composed.rad2deg, "Radians as degrees.")
real = unary(complexes.real, "The real part.")
reciprocal = unary(composed.reciprocal, "1 / x; of integers towards 0, as NumPy's.")
rsqrt = unary(composed.rsqrt, "1 / sqrt(x).")
signbit = unary(composed.signbit, "Whether each element has the sign -, of -0.0 too.")
sinc = unary(composed.sinc, "sin(pi x) / (pi x); 1 at 0.")
square = unary(ew.square, "x * x.")
trunc = fix = unary(ew.trunc, "Each element without its fraction.")

# --- of two --------------------------------------------------------------------------------------

bitwise_and = binary(ew.and_, "a & b.")
bitwise_or = binary(ew.or_, "a | b.")
bitwise_xor = binary(ew.xor, "a ^ b.")
dot = binary(shapes.dot, "The product of two vectors or matrices, as NumPy's; of numbers a * b.")
equal = eq = binary(ew.eq, "a == b, for each element.")
float_power = binary(composed.float_power, "a ** b in float64.")
floor_divide = binary(ew.floordiv, "a // b.")
fmax = binary(composed.fmax, "The greater of two, or the one that is not NaN.")
fmin = binary(composed.fmin, "The lesser of two, or the one that is not NaN.")
greater = gt = binary(ew.gt, "a > b.")
greater_equal = ge = binary(ew.ge, "a >= b.")
heaviside = binary(composed.heaviside, "0 where a < 0, b at 0, 1 above.")
hypot = binary(ew.hypot, "sqrt(a² + b²), without overflow inside. Its gradient at 0 is 0.")
left_shift = bitwise_left_shift = binary(ew.shl, "a << b.")
less = lt = binary(ew.lt, "a < b.")
less_equal = le = binary(ew.le, "a <= b.")
logaddexp = binary(composed.logaddexp, "log(exp(a) + exp(b)), without overflow.")
logaddexp2 = binary(composed.logaddexp2, "log2(2**a + 2**b), without overflow.")
logical_and = binary(ew.logical_and, "Whether both are not 0.")
logical_or = binary(ew.logical_or, "Whether one is not 0.")
logical_xor = binary(ew.logical_xor, "Whether exactly one is not 0.")
matmul = mm = binary(shapes.matmul, "a @ b, by NumPy's rules.")
maximum = binary(ew.maximum, "The greater of two; NaN wins. At a tie each gets half of the gradient.")
minimum = binary(ew.minimum, "The lesser of two; NaN wins. At a tie each gets half of the gradient.")
multiply = mul = binary(ew.mul, "a * b.")
nextafter = binary(composed.nextafter, "The number next to a on the way to b; its gradient is 0.")
not_equal = ne = binary(ew.ne, "a != b, for each element.")
outer = ger = binary(shapes.outer, "a[i] * b[j] for all elements.")
power = pow = binary(ew.power, "a ** b.")
remainder = mod = binary(ew.mod, "a % b, with the sign of b.")
right_shift = bitwise_right_shift = binary(ew.shr, "a >> b.")
polar = binary(complexes.polar, "The complex numbers of these lengths and angles.")
xlogy = binary(composed.xlogy, "a log(b); 0 where a is 0.")


@public
def add(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """a + alpha b."""
    return apply(ew.add, operand(a), _times(operand(b), alpha))


@public
def subtract(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """a - alpha b."""
    return apply(ew.sub, operand(a), _times(operand(b), alpha))


sub = subtract


@public
def rsub(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    """b - alpha a."""
    return subtract(b, a, alpha=alpha)


@public
def fill(x: Any, value: Any) -> Tensor:
    """`value`, a number or a tensor of one, everywhere, in the shape and dtype of x."""
    return full_like(x, value)


def _times(b: Any, alpha: Any) -> Any:
    """Two numbers stay weak. A tensor without axes stands for a number, as a rate does in a compiled step."""
    if isinstance(alpha, Tensor):
        number = alpha.ndim == 0 and isinstance(b, Tensor) and b.is_floating_point()
        return apply(ew.mul, b, alpha.astype(b.dtype) if number else alpha)
    if alpha == 1:
        return b
    if isinstance(b, int | float) and isinstance(alpha, int | float):
        return b * alpha
    return apply(ew.mul, b, alpha)


@public
def true_divide(a: Any, b: Any, *, rounding_mode: str | None = None) -> Tensor:
    """a / b; with `rounding_mode` "floor" a // b, with "trunc" the quotient without its fraction, which of
    integers is an integer."""
    return apply(ew.quotient, operand(a), operand(b), rounding_mode=rounding_mode)


divide = div = true_divide


@public
def angle(x: Any, deg: bool = False) -> Tensor:
    """The angle of each number in the complex plane, from -pi to pi, or with `deg` from -180 to 180; at 0 it
    is 0."""
    made = apply(complexes.angle, asarray(x))
    return made * (180 / math.pi) if deg else made


@public
def complex(real: Any, imag: Any) -> Tensor:
    """real + i imag, of two tensors of real numbers, which broadcast; numbers are weak."""
    return apply(complexes.complex_, operand(real), operand(imag))


# --- choices -------------------------------------------------------------------------------------


@overload
def where(condition: Any, a: Any, b: Any) -> Tensor: ...


@overload
def where(condition: Any) -> tuple[Tensor, ...]: ...


@public
def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    """Elements of `a` where `condition` holds, else of `b`; all broadcast. What is not chosen has
    no influence, on values or on gradients, be it NaN or inf. Of a condition alone the places where it
    holds, as of `nonzero`."""
    if a is None and b is None:
        return asarray(condition).nonzero()
    if a is None or b is None:
        raise TypeError("where: expected a condition and two choices, or a condition alone")
    return apply(ew.where, *map(operand, (condition, a, b)))


@public
def clip(x: Any, min: Any = None, max: Any = None, *, a_min: Any = None, a_max: Any = None) -> Tensor:
    """Elements below `min` become `min`, those above `max` become `max`; NaN stays. `a_min` and `a_max` are
    older names of these."""
    if not ((min is None and max is None) or (a_min is None and a_max is None)):
        raise TypeError(
            "clip: min and a_min (max and a_max) are one argument under two names; give one of them"
        )
    return apply(ew.clip, asarray(x), min if a_min is None else a_min, max if a_max is None else a_max)


clamp = clip


@public
def clamp_min(x: Any, min: Any) -> Tensor:
    """Elements below `min` become `min`; NaN stays."""
    return apply(ew.clip, asarray(x), min, None)


@public
def clamp_max(x: Any, max: Any) -> Tensor:
    """Elements above `max` become `max`; NaN stays."""
    return apply(ew.clip, asarray(x), None, max)


@public
def lerp(start: Any, end: Any, weight: Any) -> Tensor:
    """start + weight (end - start)."""
    return apply(composed.lerp, *map(operand, (start, end, weight)))


@public
def round(x: Any, decimals: int = 0) -> Tensor:
    """To so many decimal places, halves to even, by NumPy's way; its gradient is 0."""
    return apply(composed.rounded, asarray(x), decimals=decimals)


around = round


@public
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities as numbers; by default the greatest and the least of the dtype."""
    if isinstance(nan, bool):
        raise TypeError(
            "nan_to_num: nan must be a number, not a bool; NumPy has `copy` there: name the others"
        )
    return apply(composed.nan_to_num, asarray(x), nan=nan, posinf=posinf, neginf=neginf)


@public
def polygamma(n: int, x: Any) -> Tensor:
    """The nth derivative of digamma; that of order 1 is inf at 0, at whole numbers below and at -inf.
    ValueError unless n is from 0 to 100."""
    order = whole("n", n)
    if not 0 <= order <= 100:
        raise ValueError(f"polygamma: expected n from 0 to 100, not {n!r}")
    op = {0: ops.DIGAMMA, 1: ops.TRIGAMMA}.get(order)
    if op is None:
        return apply(composed.polygamma, asarray(x), n=order)
    return apply(ew.named(op), asarray(x))


@public
def logit(x: Any, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), the inverse of sigmoid; with `eps` of x between eps and 1 - eps."""
    x = asarray(x)
    return apply(composed.logit, x if eps is None else x.clip(eps, 1 - eps))


@public
def softplus(x: Any, beta: float = 1.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, without overflow."""
    return apply(composed.softplus, asarray(x), beta=beta)


# --- methods as functions ------------------------------------------------------------------------


astype = as_function(Tensor.astype)
is_complex = as_function(Tensor.is_complex)
view_as_complex = as_function(Tensor.view_as_complex)
view_as_real = as_function(Tensor.view_as_real)
broadcast_to = as_function(Tensor.broadcast_to)
clone = copy = as_function(Tensor.clone)
detach = as_function(Tensor.detach)
flatten = as_function(Tensor.flatten)
ravel = as_function(Tensor.ravel)
reshape = as_function(Tensor.reshape)
squeeze = as_function(Tensor.squeeze)
swapaxes = as_function(Tensor.swapaxes)
permute = permute_dims = as_function(Tensor.permute)
transpose = as_function(Tensor.transpose)
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
