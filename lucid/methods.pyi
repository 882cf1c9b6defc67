# Written by `python -m tests.stubs`.
# fmt: off
from typing import Any, Self

from .tensor import Tensor

class Methods:
    def arccos(self) -> Tensor:
        """The inverse of cos, from 0 to pi; NaN beyond 1."""

    def arccos_(self) -> Self:
        """`arccos`, in place."""

    acos = arccos
    acos_ = arccos_
    def arccosh(self) -> Tensor:
        """The inverse of cosh; NaN below 1."""

    def arccosh_(self) -> Self:
        """`arccosh`, in place."""

    acosh = arccosh
    acosh_ = arccosh_
    def arcsin(self) -> Tensor:
        """The inverse of sin, from -pi/2 to pi/2; NaN beyond 1."""

    def arcsin_(self) -> Self:
        """`arcsin`, in place."""

    asin = arcsin
    asin_ = arcsin_
    def arcsinh(self) -> Tensor:
        """The inverse of sinh."""

    def arcsinh_(self) -> Self:
        """`arcsinh`, in place."""

    asinh = arcsinh
    asinh_ = arcsinh_
    def arctan(self) -> Tensor:
        """The inverse of tan, from -pi/2 to pi/2."""

    def arctan_(self) -> Self:
        """`arctan`, in place."""

    atan = arctan
    atan_ = arctan_
    def arctan2(self, other: Any) -> Tensor:
        """The angle of the point (b, a), -pi to pi; its gradient at the origin is 0."""

    def arctan2_(self, other: Any) -> Self:
        """`arctan2`, in place."""

    atan2 = arctan2
    atan2_ = arctan2_
    def arctanh(self) -> Tensor:
        """The inverse of tanh; inf at 1, NaN beyond."""

    def arctanh_(self) -> Self:
        """`arctanh`, in place."""

    atanh = arctanh
    atanh_ = arctanh_
    def cbrt(self) -> Tensor:
        """The cube root of each element; its gradient at 0 is inf."""

    def cbrt_(self) -> Self:
        """`cbrt`, in place."""

    def copysign(self, other: Any) -> Tensor:
        """The size of a with the sign of b."""

    def copysign_(self, other: Any) -> Self:
        """`copysign`, in place."""

    def cos(self) -> Tensor:
        """The cosine of each element, in radians; exact reduction of large ones."""

    def cos_(self) -> Self:
        """`cos`, in place."""

    def cosh(self) -> Tensor:
        """The hyperbolic cosine of each element."""

    def cosh_(self) -> Self:
        """`cosh`, in place."""

    def digamma(self) -> Tensor:
        """The derivative of log|gamma(x)|; -inf at 0, inf at -0, NaN at whole numbers below (SciPy's `psi`)."""

    def digamma_(self) -> Self:
        """`digamma`, in place."""

    def erf(self) -> Tensor:
        """The error function: 2/sqrt(pi) times the integral of exp(-t²) from 0 to x."""

    def erf_(self) -> Self:
        """`erf`, in place."""

    def erfc(self) -> Tensor:
        """1 - erf(x), without cancellation."""

    def erfc_(self) -> Self:
        """`erfc`, in place."""

    def erfinv(self) -> Tensor:
        """The inverse of erf; inf at 1, -inf at -1, NaN beyond."""

    def erfinv_(self) -> Self:
        """`erfinv`, in place."""

    def exp(self) -> Tensor:
        """e to the power of each element."""

    def exp_(self) -> Self:
        """`exp`, in place."""

    def exp2(self) -> Tensor:
        """2 to the power of each element."""

    def exp2_(self) -> Self:
        """`exp2`, in place."""

    def expm1(self) -> Tensor:
        """exp(x) - 1, also where that is small."""

    def expm1_(self) -> Self:
        """`expm1`, in place."""

    def fmod(self, other: Any) -> Tensor:
        """What a / b towards 0 leaves, with the sign of a."""

    def fmod_(self, other: Any) -> Self:
        """`fmod`, in place."""

    def lgamma(self) -> Tensor:
        """log|gamma(x)|; inf at 0 and at whole numbers below, -inf at -inf (SciPy's `gammaln`)."""

    def lgamma_(self) -> Self:
        """`lgamma`, in place."""

    def log(self) -> Tensor:
        """The natural logarithm of each element; -inf at 0, NaN below."""

    def log_(self) -> Self:
        """`log`, in place."""

    def log10(self) -> Tensor:
        """The logarithm of each element to base 10."""

    def log10_(self) -> Self:
        """`log10`, in place."""

    def log1p(self) -> Tensor:
        """log(1 + x), also where x is small."""

    def log1p_(self) -> Self:
        """`log1p`, in place."""

    def log2(self) -> Tensor:
        """The logarithm of each element to base 2."""

    def log2_(self) -> Self:
        """`log2`, in place."""

    def rint(self) -> Tensor:
        """The nearest whole number; halves to even. Integers become floats."""

    def rint_(self) -> Self:
        """`rint`, in place."""

    def sigmoid(self) -> Tensor:
        """1 / (1 + exp(-x)), without overflow."""

    def sigmoid_(self) -> Self:
        """`sigmoid`, in place."""

    expit = sigmoid
    expit_ = sigmoid_
    def sign(self) -> Tensor:
        """-1, 0 or 1; NaN stays NaN. Its gradient is 0."""

    def sign_(self) -> Self:
        """`sign`, in place."""

    sgn = sign
    sgn_ = sign_
    def sin(self) -> Tensor:
        """The sine of each element, in radians; exact reduction of large ones."""

    def sin_(self) -> Self:
        """`sin`, in place."""

    def sinh(self) -> Tensor:
        """The hyperbolic sine of each element."""

    def sinh_(self) -> Self:
        """`sinh`, in place."""

    def sqrt(self) -> Tensor:
        """The square root of each element; NaN below 0."""

    def sqrt_(self) -> Self:
        """`sqrt`, in place."""

    def tan(self) -> Tensor:
        """The tangent of each element, in radians."""

    def tan_(self) -> Self:
        """`tan`, in place."""

    def tanh(self) -> Tensor:
        """The hyperbolic tangent of each element."""

    def tanh_(self) -> Self:
        """`tanh`, in place."""

    def trigamma(self) -> Tensor:
        """The derivative of digamma; inf at 0, at whole numbers below and at -inf."""

    def trigamma_(self) -> Self:
        """`trigamma`, in place."""
