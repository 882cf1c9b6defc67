# Written by `python -m tests.stubs`, of what the records of ops name.
from typing import Any

from .tensor import Tensor

class Methods:
    def arccos(self) -> Tensor:
        """The inverse of cos, from 0 to pi; NaN beyond 1."""

    acos = arccos
    def arccosh(self) -> Tensor:
        """The inverse of cosh; NaN below 1."""

    acosh = arccosh
    def arcsin(self) -> Tensor:
        """The inverse of sin, from -pi/2 to pi/2; NaN beyond 1."""

    asin = arcsin
    def arcsinh(self) -> Tensor:
        """The inverse of sinh."""

    asinh = arcsinh
    def arctan(self) -> Tensor:
        """The inverse of tan, from -pi/2 to pi/2."""

    atan = arctan
    def arctan2(self, other: Any) -> Tensor:
        """The angle of the point (b, a), -pi to pi; its gradient at the origin is 0."""

    atan2 = arctan2
    def arctanh(self) -> Tensor:
        """The inverse of tanh; inf at 1, NaN beyond."""

    atanh = arctanh
    def cbrt(self) -> Tensor:
        """The cube root of each element; its gradient at 0 is inf."""

    def copysign(self, other: Any) -> Tensor:
        """The size of a with the sign of b."""

    def cos(self) -> Tensor:
        """The cosine of each element, in radians; exact reduction of large ones."""

    def cosh(self) -> Tensor:
        """The hyperbolic cosine of each element."""

    def digamma(self) -> Tensor:
        """The derivative of log|gamma(x)|; -inf at 0, inf at -0, NaN at whole numbers below (SciPy's `psi`)."""

    def erf(self) -> Tensor:
        """The error function: 2/sqrt(pi) times the integral of exp(-t²) from 0 to x."""

    def erfc(self) -> Tensor:
        """1 - erf(x), without cancellation."""

    def erfinv(self) -> Tensor:
        """The inverse of erf; inf at 1, -inf at -1, NaN beyond."""

    def exp(self) -> Tensor:
        """e to the power of each element."""

    def exp2(self) -> Tensor:
        """2 to the power of each element."""

    def expm1(self) -> Tensor:
        """exp(x) - 1, also where that is small."""

    def fmod(self, other: Any) -> Tensor:
        """What a / b towards 0 leaves, with the sign of a."""

    def lgamma(self) -> Tensor:
        """log|gamma(x)|; inf at 0 and at whole numbers below, -inf at -inf (SciPy's `gammaln`)."""

    def log(self) -> Tensor:
        """The natural logarithm of each element; -inf at 0, NaN below."""

    def log10(self) -> Tensor:
        """The logarithm of each element to base 10."""

    def log1p(self) -> Tensor:
        """log(1 + x), also where x is small."""

    def log2(self) -> Tensor:
        """The logarithm of each element to base 2."""

    def rint(self) -> Tensor:
        """The nearest whole number; halves to even. Integers become floats."""

    def sigmoid(self) -> Tensor:
        """1 / (1 + exp(-x)), without overflow."""

    expit = sigmoid
    def sign(self) -> Tensor:
        """-1, 0 or 1; NaN stays NaN. Its gradient is 0."""

    def sin(self) -> Tensor:
        """The sine of each element, in radians; exact reduction of large ones."""

    def sinh(self) -> Tensor:
        """The hyperbolic sine of each element."""

    def sqrt(self) -> Tensor:
        """The square root of each element; NaN below 0."""

    def tan(self) -> Tensor:
        """The tangent of each element, in radians."""

    def tanh(self) -> Tensor:
        """The hyperbolic tangent of each element."""

    def trigamma(self) -> Tensor:
        """The derivative of digamma; inf at 0, at whole numbers below and at -inf."""
