# Written by `python -m tests.stubs`.
# fmt: off
from typing import Any

from .tensor import Tensor

__all__ = ["acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "copysign", "cos", "cosh", "digamma", "erf", "erfc", "erfinv", "exp", "exp2", "expit", "expm1", "fmod", "lgamma", "log", "log10", "log1p", "log2", "rint", "sgn", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trigamma"]  # fmt: skip

def arccos(x: Any) -> Tensor:
    """The inverse of cos, from 0 to pi; NaN beyond 1."""

acos = arccos

def arccosh(x: Any) -> Tensor:
    """The inverse of cosh; NaN below 1."""

acosh = arccosh

def arcsin(x: Any) -> Tensor:
    """The inverse of sin, from -pi/2 to pi/2; NaN beyond 1."""

asin = arcsin

def arcsinh(x: Any) -> Tensor:
    """The inverse of sinh."""

asinh = arcsinh

def arctan(x: Any) -> Tensor:
    """The inverse of tan, from -pi/2 to pi/2."""

atan = arctan

def arctan2(a: Any, b: Any) -> Tensor:
    """The angle of the point (b, a), -pi to pi; its gradient at the origin is 0."""

atan2 = arctan2

def arctanh(x: Any) -> Tensor:
    """The inverse of tanh; inf at 1, NaN beyond."""

atanh = arctanh

def cbrt(x: Any) -> Tensor:
    """The cube root of each element; its gradient at 0 is inf."""

def copysign(a: Any, b: Any) -> Tensor:
    """The size of a with the sign of b."""

def cos(x: Any) -> Tensor:
    """The cosine of each element, in radians; exact reduction of large ones."""

def cosh(x: Any) -> Tensor:
    """The hyperbolic cosine of each element."""

def digamma(x: Any) -> Tensor:
    """The derivative of log|gamma(x)|; -inf at 0, inf at -0, NaN at whole numbers below (SciPy's `psi`)."""

def erf(x: Any) -> Tensor:
    """The error function: 2/sqrt(pi) times the integral of exp(-t²) from 0 to x."""

def erfc(x: Any) -> Tensor:
    """1 - erf(x), without cancellation."""

def erfinv(x: Any) -> Tensor:
    """The inverse of erf; inf at 1, -inf at -1, NaN beyond."""

def exp(x: Any) -> Tensor:
    """e to the power of each element."""

def exp2(x: Any) -> Tensor:
    """2 to the power of each element."""

def expm1(x: Any) -> Tensor:
    """exp(x) - 1, also where that is small."""

def fmod(a: Any, b: Any) -> Tensor:
    """What a / b towards 0 leaves, with the sign of a."""

def lgamma(x: Any) -> Tensor:
    """log|gamma(x)|; inf at 0 and at whole numbers below, -inf at -inf (SciPy's `gammaln`)."""

def log(x: Any) -> Tensor:
    """The natural logarithm of each element; -inf at 0, NaN below."""

def log10(x: Any) -> Tensor:
    """The logarithm of each element to base 10."""

def log1p(x: Any) -> Tensor:
    """log(1 + x), also where x is small."""

def log2(x: Any) -> Tensor:
    """The logarithm of each element to base 2."""

def rint(x: Any) -> Tensor:
    """The nearest whole number; halves to even. Integers become floats."""

def sigmoid(x: Any) -> Tensor:
    """1 / (1 + exp(-x)), without overflow."""

expit = sigmoid

def sign(x: Any) -> Tensor:
    """-1, 0 or 1; NaN stays NaN. Its gradient is 0."""

sgn = sign

def sin(x: Any) -> Tensor:
    """The sine of each element, in radians; exact reduction of large ones."""

def sinh(x: Any) -> Tensor:
    """The hyperbolic sine of each element."""

def sqrt(x: Any) -> Tensor:
    """The square root of each element; NaN below 0."""

def tan(x: Any) -> Tensor:
    """The tangent of each element, in radians."""

def tanh(x: Any) -> Tensor:
    """The hyperbolic tangent of each element."""

def trigamma(x: Any) -> Tensor:
    """The derivative of digamma; inf at 0, at whole numbers below and at -inf."""
