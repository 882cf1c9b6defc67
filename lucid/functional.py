"""Functions of tensors: operations that are operators or methods, under NumPy's names and PyTorch's.

Every argument that stands for a tensor may be an array, a list or a number. A function is one line of the
tables below, and a name in `__all__`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lucid.compiler.ir.graph import Node

from . import complexes, composed, shapes
from . import elementwise as ew
from .creation import asarray
from .errors import public
from .named import as_function, name_all
from .tensor import Tensor, apply

__all__ = [
    # of one tensor
    "abs", "absolute", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh",
    "asin", "asinh", "atan", "atanh", "bitwise_invert", "bitwise_not", "cbrt", "ceil", "conj", "conjugate",
    "cos", "cosh", "deg2rad", "degrees", "digamma", "erf", "erfc", "erfinv", "exp", "exp2", "expit", "expm1",
    "fix", "floor", "imag", "invert", "isfinite", "isinf", "isnan", "lgamma", "log", "log10", "log1p", "log2",
    "logical_not", "logit", "nan_to_num", "neg", "negative", "positive", "rad2deg", "radians", "real",
    "reciprocal", "rint", "round", "rsqrt", "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "softplus",
    "sqrt", "square", "tan", "tanh", "trunc",
    # of two
    "add", "arctan2", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "copysign", "div", "divide", "dot", "eq", "equal", "float_power", "floor_divide", "fmax",
    "fmin", "fmod", "ge", "greater", "greater_equal", "gt", "heaviside", "hypot", "le", "left_shift",
    "less", "less_equal", "logaddexp", "logaddexp2", "logical_and", "logical_or", "logical_xor", "lt",
    "matmul", "maximum", "minimum", "mm", "mod", "mul", "multiply", "ne", "nextafter", "not_equal", "outer",
    "pow", "power", "remainder", "right_shift", "sub", "subtract", "true_divide", "xlogy",
    # choices
    "clamp", "clip", "lerp", "where",
    # shapes
    "broadcast_to", "flatten", "permute", "permute_dims", "ravel", "reshape", "squeeze", "swapaxes",
    "transpose", "unsqueeze",
    # reductions
    "all", "amax", "amin", "any", "max", "mean", "min", "std", "sum", "var",
    # others
    "astype", "clone", "detach", "numel", "polygamma",
    # of complex numbers
    "angle", "complex", "conj_physical", "is_complex", "iscomplex", "isreal", "polar", "view_as_complex",
    "view_as_real",
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
arccos = acos = _unary(ew.arccos, "The inverse of cos, from 0 to pi; NaN beyond 1.")
arccosh = acosh = _unary(ew.arccosh, "The inverse of cosh; NaN below 1.")
arcsin = asin = _unary(ew.arcsin, "The inverse of sin, from -pi/2 to pi/2; NaN beyond 1.")
arcsinh = asinh = _unary(ew.arcsinh, "The inverse of sinh.")
arctan = atan = _unary(ew.arctan, "The inverse of tan, from -pi/2 to pi/2.")
arctanh = atanh = _unary(ew.arctanh, "The inverse of tanh; inf at 1, NaN beyond.")
angle = _unary(
    complexes.angle, "The angle of each number in the complex plane, from -pi to pi; at 0 it is 0."
)
cbrt = _unary(ew.cbrt, "The cube root of each element; its gradient at 0 is inf.")
ceil = _unary(ew.ceil, "The least integer that is not below each element.")
conj = conjugate = conj_physical = _unary(complexes.conj, "x.real - i x.imag; a real number itself.")
cos = _unary(ew.cos, "The cosine of each element, in radians; exact reduction of large ones.")
cosh = _unary(ew.cosh, "The hyperbolic cosine of each element.")
deg2rad = radians = _unary(composed.deg2rad, "Degrees as radians.")
digamma = _unary(
    ew.digamma,
    "The derivative of log|gamma(x)|; -inf at 0, inf at -0, NaN at whole numbers below (SciPy's `psi`).",
)
erf = _unary(ew.erf, "The error function: 2/sqrt(pi) times the integral of exp(-t²) from 0 to x.")
erfc = _unary(ew.erfc, "1 - erf(x), without cancellation.")
erfinv = _unary(ew.erfinv, "The inverse of erf; inf at 1, -inf at -1, NaN beyond.")
exp = _unary(ew.exp, "e to the power of each element.")
exp2 = _unary(ew.exp2, "2 to the power of each element.")
expm1 = _unary(ew.expm1, "exp(x) - 1, also where that is small.")
floor = _unary(ew.floor, "The greatest integer that is not above each element.")
imag = _unary(complexes.imag, "The imaginary part: 0 of real numbers.")
invert = bitwise_not = bitwise_invert = _unary(ew.invert, "The other bits; `not` of bools.")
iscomplex = _unary(complexes.iscomplex, "Whether the imaginary part of each element is not 0.")
isfinite = _unary(ew.isfinite, "Whether each element is neither inf nor NaN.")
isinf = _unary(ew.isinf, "Whether each element is inf or -inf.")
isnan = _unary(ew.isnan, "Whether each element is NaN.")
isreal = _unary(complexes.isreal, "Whether the imaginary part of each element is 0.")
lgamma = _unary(
    ew.lgamma, "log|gamma(x)|; inf at 0 and at whole numbers below, -inf at -inf (SciPy's `gammaln`)."
)
log = _unary(ew.log, "The natural logarithm of each element; -inf at 0, NaN below.")
log10 = _unary(ew.log10, "The logarithm of each element to base 10.")
log1p = _unary(ew.log1p, "log(1 + x), also where x is small.")
log2 = _unary(ew.log2, "The logarithm of each element to base 2.")
logical_not = _unary(ew.logical_not, "Whether each element is 0.")
logit = _unary(composed.logit, "log(x / (1 - x)), the inverse of sigmoid.")
negative = neg = _unary(ew.neg, "-x.")
positive = _unary(lambda x: x, "x itself.")
rad2deg = degrees = _unary(composed.rad2deg, "Radians as degrees.")
real = _unary(complexes.real, "The real part.")
reciprocal = _unary(composed.reciprocal, "1 / x; of integers towards 0, as NumPy's.")
rint = _unary(ew.rint, "The nearest whole number; halves to even. Integers become floats.")
rsqrt = _unary(composed.rsqrt, "1 / sqrt(x).")
sigmoid = expit = _unary(composed.sigmoid, "1 / (1 + exp(-x)), without overflow.")
sign = _unary(ew.sign, "-1, 0 or 1; NaN stays NaN. Its gradient is 0.")
signbit = _unary(composed.signbit, "Whether each element has the sign -, of -0.0 too.")
sin = _unary(ew.sin, "The sine of each element, in radians; exact reduction of large ones.")
sinc = _unary(composed.sinc, "sin(pi x) / (pi x); 1 at 0.")
sinh = _unary(ew.sinh, "The hyperbolic sine of each element.")
sqrt = _unary(ew.sqrt, "The square root of each element; NaN below 0.")
square = _unary(ew.square, "x * x.")
tan = _unary(ew.tan, "The tangent of each element, in radians.")
tanh = _unary(ew.tanh, "The hyperbolic tangent of each element.")
trunc = fix = _unary(ew.trunc, "Each element without its fraction.")

# --- of two --------------------------------------------------------------------------------------

add = _binary(ew.add, "a + b.")
arctan2 = atan2 = _binary(
    ew.arctan2, "The angle of the point (b, a), -pi to pi; its gradient at the origin is 0."
)
bitwise_and = _binary(ew.and_, "a & b.")
bitwise_or = _binary(ew.or_, "a | b.")
bitwise_xor = _binary(ew.xor, "a ^ b.")
copysign = _binary(ew.copysign, "The size of a with the sign of b.")
dot = _binary(shapes.dot, "The product of two vectors or matrices, as NumPy's; of numbers a * b.")
equal = eq = _binary(ew.eq, "a == b, for each element.")
float_power = _binary(composed.float_power, "a ** b in float64.")
floor_divide = _binary(ew.floordiv, "a // b.")
fmax = _binary(composed.fmax, "The greater of two, or the one that is not NaN.")
fmin = _binary(composed.fmin, "The lesser of two, or the one that is not NaN.")
fmod = _binary(ew.fmod, "What a / b towards 0 leaves, with the sign of a.")
greater = gt = _binary(ew.gt, "a > b.")
greater_equal = ge = _binary(ew.ge, "a >= b.")
heaviside = _binary(composed.heaviside, "0 where a < 0, b at 0, 1 above.")
hypot = _binary(ew.hypot, "sqrt(a² + b²), without overflow inside. Its gradient at 0 is 0.")
left_shift = bitwise_left_shift = _binary(ew.shl, "a << b.")
less = lt = _binary(ew.lt, "a < b.")
less_equal = le = _binary(ew.le, "a <= b.")
logaddexp = _binary(composed.logaddexp, "log(exp(a) + exp(b)), without overflow.")
logaddexp2 = _binary(composed.logaddexp2, "log2(2**a + 2**b), without overflow.")
logical_and = _binary(ew.logical_and, "Whether both are not 0.")
logical_or = _binary(ew.logical_or, "Whether one is not 0.")
logical_xor = _binary(ew.logical_xor, "Whether exactly one is not 0.")
matmul = mm = _binary(shapes.matmul, "a @ b, by NumPy's rules.")
maximum = _binary(ew.maximum, "The greater of two; NaN wins. At a tie each gets half of the gradient.")
minimum = _binary(ew.minimum, "The lesser of two; NaN wins. At a tie each gets half of the gradient.")
multiply = mul = _binary(ew.mul, "a * b.")
nextafter = _binary(composed.nextafter, "The number next to a on the way to b; its gradient is 0.")
not_equal = ne = _binary(ew.ne, "a != b, for each element.")
outer = _binary(shapes.outer, "a[i] * b[j] for all elements.")
power = pow = _binary(ew.power, "a ** b.")
remainder = mod = _binary(ew.mod, "a % b, with the sign of b.")
right_shift = bitwise_right_shift = _binary(ew.shr, "a >> b.")
subtract = sub = _binary(ew.sub, "a - b.")
true_divide = divide = div = _binary(ew.div, "a / b.")
polar = _binary(complexes.polar, "The complex numbers of these lengths and angles.")
xlogy = _binary(composed.xlogy, "a log(b); 0 where a is 0.")


@public
def complex(real: Any, imag: Any) -> Tensor:
    """real + i imag, of two tensors of real numbers, which broadcast; numbers are weak."""
    return apply(complexes.complex_, _operand(real), _operand(imag))


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


@public
def lerp(start: Any, end: Any, weight: Any) -> Tensor:
    """start + weight (end - start)."""
    return apply(composed.lerp, *map(_operand, (start, end, weight)))


@public
def round(x: Any, decimals: int = 0) -> Tensor:
    """To so many decimal places, halves to even, by NumPy's way; its gradient is 0."""
    return apply(composed.rounded, asarray(x), decimals=decimals)


@public
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities as numbers; by default the greatest and the least of the dtype."""
    return apply(composed.nan_to_num, asarray(x), nan=nan, posinf=posinf, neginf=neginf)


@public
def polygamma(n: int, x: Any) -> Tensor:
    """The nth derivative of digamma, of n 0 or 1; that of order 1 is inf at 0, at whole numbers
    below and at -inf. ValueError for other n."""
    build = {0: ew.digamma, 1: ew.trigamma}.get(n)
    if build is None:
        raise ValueError(f"polygamma: expected n to be 0 or 1, not {n!r}; `grad` finds more derivatives")
    return apply(build, asarray(x))


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
