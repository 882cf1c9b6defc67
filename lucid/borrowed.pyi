# Written by `python -m tests.stubs`.
# fmt: off
from typing import Any

from .tensor import Tensor

class Borrowed:
    def absolute(self) -> Tensor:
        """The absolute value of each element; its gradient is sign(x), 0 at 0."""

    def add(self, b: Any, *, alpha: Any = ...) -> Tensor:
        """a + alpha b."""

    def addbmm(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Tensor:
        """beta x + alpha (the sum of a[k] @ b[k]); nothing of x if beta is 0."""

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: Any = ...) -> Tensor:
        """x + value tensor1 / tensor2."""

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: Any = ...) -> Tensor:
        """x + value tensor1 tensor2."""

    def addmm(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Tensor:
        """beta x + alpha (a @ b); nothing of x if beta is 0."""

    def addmv(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Tensor:
        """beta x + alpha (a @ b); nothing of x if beta is 0."""

    def addr(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Tensor:
        """beta x + alpha (a[i] * b[j]); nothing of x if beta is 0."""

    def adjoint(self) -> Tensor:
        """The conjugate of each matrix, with its rows and columns in each other's place."""

    def allclose(self, b: Any, rtol: float = ..., atol: float = ..., equal_nan: bool = ...) -> bool:
        """Whether all elements are close, as `isclose` says; TraceError in a compiled function."""

    def amax(self, axis: Any = ..., out: None = ..., keepdims: bool = ..., initial: Any = ..., where: Any = ..., *, dim: Any = ..., keepdim: bool = ...) -> Tensor:
        """NaN wins. Equal greatest elements share the gradient. ValueError for none, without `initial`."""

    def amin(self, axis: Any = ..., out: None = ..., keepdims: bool = ..., initial: Any = ..., where: Any = ..., *, dim: Any = ..., keepdim: bool = ...) -> Tensor:
        """NaN wins. Equal least elements share the gradient. ValueError for none, without `initial`."""

    def aminmax(self, *, dim: int | None = ..., keepdim: bool = ...) -> Any:
        """The least and the greatest, of all elements or along an axis: `.min`, `.max`, by one kernel."""

    def argpartition(self, kth: Any, axis: int | None = ..., kind: str = ..., order: None = ...) -> Tensor:
        """`argsort`, which fulfils what is asked of a partition."""

    def argwhere(self) -> Tensor:
        """Where x is not 0: one row of indices for each element. Outside of compiled functions."""

    def baddbmm(self, a: Any, b: Any, *, beta: float = ..., alpha: float = ...) -> Tensor:
        """beta x + alpha (a @ b); nothing of x if beta is 0."""

    def bernoulli(self, size: Any = ..., *, generator: Any = ...) -> Tensor:
        """1 with probability `p` (in [0, 1]), else 0, in the dtype of `p`; NaN never is 1. ValueError for numbers
and arrays outside of that; a tensor is not looked at: it draws 0 below, and 1 above."""

    def bincount(self, weights: Any = ..., minlength: int = ...) -> Tensor:
        """How often 0, 1, 2, ... occur in x, or the sum of their `weights`, added in the order of x; gradients
flow to these. As long as x needs, but at least `minlength`; in a compiled function `minlength`, and a
value that is not below is an IndexError. ValueError for one that is negative and known."""

    def bitwise_and(self, b: Any) -> Tensor:
        """a & b."""

    def bitwise_left_shift(self, b: Any) -> Tensor:
        """a << b."""

    def bitwise_not(self) -> Tensor:
        """The other bits; `not` of bools."""

    def bitwise_or(self, b: Any) -> Tensor:
        """a | b."""

    def bitwise_right_shift(self, b: Any) -> Tensor:
        """a >> b."""

    def bitwise_xor(self, b: Any) -> Tensor:
        """a ^ b."""

    def bmm(self, b: Any) -> Tensor:
        """a @ b, of 3 and 3 axes."""

    def cholesky_inverse(self, upper: bool = ...) -> Tensor:
        """The inverse of L Lᴴ, for a lower triangle L as of `cholesky`; `upper`: that of Lᴴ L for an upper
one."""

    def cholesky_solve(self, L: Any, upper: bool = ...) -> Tensor:
        """X with L Lᴴ X = B, for a lower triangle L as of `cholesky`; `upper`: with Lᴴ L X = B for an upper
one."""

    def choose(self, choices: Any, mode: str = ...) -> Tensor:
        """At each place the element of that choice which x names, from 0 on; all broadcast. IndexError for one
that is not there; with mode "wrap" they go round, with "clip" the nearest stands."""

    def clamp_max(self, max: Any) -> Tensor:
        """Elements above `max` become `max`; NaN stays."""

    def clamp_min(self, min: Any) -> Tensor:
        """Elements below `min` become `min`; NaN stays."""

    def compress(self, x: Any, axis: int | None = ...) -> Tensor:
        """x at the places along `axis` (of all elements in a row, for None) where `condition`, a vector, holds.
Outside of compiled functions, or of a condition that is known."""

    def corrcoef(self, y: Any = ..., rowvar: bool = ..., *, dtype: Any = ...) -> Tensor:
        """Covariances over the products of standard deviations; in float64, as NumPy's."""

    def cov(self, y: Any = ..., rowvar: bool = ..., bias: bool = ..., ddof: int | None = ..., fweights: Any = ..., aweights: Any = ..., *, correction: int | None = ..., dtype: Any = ...) -> Tensor:
        """The covariances of the rows of m (of its columns, if not `rowvar`); in float64, as NumPy's. A column
counts `fweights` times (integers), and as much as `aweights` says."""

    def cross(self, b: Any, axisa: int = ..., axisb: int = ..., axisc: int = ..., axis: int | None = ..., *, dim: int | None = ...) -> Tensor:
        """The vector product of vectors of three elements, along these axes of a, of b and of the result, or
along the same `axis` of all."""

    def deg2rad(self) -> Tensor:
        """Degrees as radians."""

    def diag_embed(self, offset: int = ..., dim1: int = ..., dim2: int = ...) -> Tensor:
        """The last axis of x as diagonals of matrices, whose axes are `dim1` and `dim2` of the result."""

    def diagonal_scatter(self, src: Any, offset: int = ..., dim1: int = ..., dim2: int = ...) -> Tensor:
        """x with `src` in the place of its `diagonal`."""

    def dist(self, other: Any, p: float = ...) -> Tensor:
        """The p-norm of x - other, which broadcast; its gradient where they are equal is 0."""

    def div(self, b: Any, *, rounding_mode: str | None = ...) -> Tensor:
        """a / b; with `rounding_mode` "floor" a // b, with "trunc" the quotient without its fraction, which of
integers is an integer."""

    def divide(self, b: Any, *, rounding_mode: str | None = ...) -> Tensor:
        """a / b; with `rounding_mode` "floor" a // b, with "trunc" the quotient without its fraction, which of
integers is an integer."""

    def dsplit(self, indices_or_sections: Any) -> list[Tensor]:
        """`split` along the third axis."""

    def fix(self) -> Tensor:
        """Each element without its fraction."""

    def float_power(self, b: Any) -> Tensor:
        """a ** b in float64."""

    def fmax(self, b: Any) -> Tensor:
        """The greater of two, or the one that is not NaN."""

    def fmin(self, b: Any) -> Tensor:
        """The lesser of two, or the one that is not NaN."""

    def frac(self) -> Tensor:
        """x - trunc(x): the fraction, with the sign of x."""

    def frexp(self) -> tuple[Tensor, Tensor]:
        """(m, e), with x = m 2**e and 0.5 <= |m| < 1; e is int32. NumPy finds them, in a compiled function as a
step between kernels. Gradients flow to m."""

    def gcd(self, b: Any) -> Tensor:
        """The greatest common divisor of two integers, which is not negative; NumPy finds it, in a compiled
function as a step between kernels. TypeError for other dtypes."""

    def greater(self, b: Any) -> Tensor:
        """a > b."""

    def greater_equal(self, b: Any) -> Tensor:
        """a >= b."""

    def hardshrink(self, lambd: float = ...) -> Tensor:
        """x where |x| > lambd, else 0."""

    def heaviside(self, b: Any) -> Tensor:
        """0 where a < 0, b at 0, 1 above."""

    def histc(self, bins: int = ..., min: float = ..., max: float = ...) -> Tensor:
        """How many elements are in each of so many equal bins from `min` to `max`, both included, in the dtype of
x; if these are equal, from the least to
the greatest, and 1 around if they are equal, too. ValueError for
`min` above `max`, TypeError for what is no float."""

    def histogram(self, bins: Any = ..., range: Any = ..., density: bool | None = ..., weights: Any = ..., *, weight: Any = ...) -> tuple[Tensor, Tensor]:
        """How many elements are in each bin (or the sums of their weights; density: over their sum and the widths
of the bins), and the ends of the bins: of `bins` equal ones over `range`, or over what there is; or those
given. A bin has its lower end, the last one both. NaN and what is outside is left out. ValueError where
the range of what there is is not finite; in a trace, which does not know it, the ends are NaN."""

    def hsplit(self, indices_or_sections: Any) -> list[Tensor]:
        """`split` along the second axis; of vectors along the first."""

    def hypot(self, b: Any) -> Tensor:
        """sqrt(a² + b²), without overflow inside. Its gradient at 0 is 0."""

    def i0(self) -> Tensor:
        """The modified Bessel function of the first kind, of order 0; its derivative is `i1`."""

    def igamma(self, x: Any) -> Tensor:
        """The part of a gamma distribution of concentration a that is below x; NaN where one is below 0. Right to
1e-13 for a up to 1000, with gradients to both."""

    def igammac(self, x: Any) -> Tensor:
        """1 - `gammainc`(a, x); small ones keep their digits for a of at least 1."""

    def inner(self, b: Any) -> Tensor:
        """Sums of products over the last axes."""

    def is_nonzero(self) -> bool:
        """Whether the one element of x is not 0. RuntimeError for more or none; outside of compiled functions."""

    def isclose(self, b: Any, rtol: float = ..., atol: float = ..., equal_nan: bool = ...) -> Tensor:
        """Whether |a - b| <= atol + rtol |b|, for each element; infinities are close to themselves alone, NaN to
nothing, or to NaN with `equal_nan`. A number is one of the other's dtype."""

    def isneginf(self) -> Tensor:
        """Whether each element is -inf."""

    def isposinf(self) -> Tensor:
        """Whether each element is inf."""

    def isreal(self) -> Tensor:
        """Whether the imaginary part of each element is 0."""

    def istft(self, n_fft: int, hop_length: int | None = ..., win_length: int | None = ..., window: Any = ..., center: bool = ..., normalized: bool = ..., onesided: bool | None = ..., length: int | None = ..., return_complex: bool = ...) -> Tensor:
        """The signal of which these are the spectra, by `stft` with the same arguments: of several that fit best
in squares, where they overlap. `length`: that of the signal, which is cut or filled up with zeros.
RuntimeError for a window that is 0 where no other piece lies (it is not looked at in compiled
functions)."""

    def kron(self, b: Any) -> Tensor:
        """Each element of a times all of b."""

    def lcm(self, b: Any) -> Tensor:
        """The least common multiple of two integers; NumPy finds it, in a compiled function as a step between
kernels. TypeError for other dtypes."""

    def ldexp(self, n: Any) -> Tensor:
        """x 2**n. (Results of float64 that are below the normal range may be rounded twice.) Of an n that is no
integer, as PyTorch's, the product of x and 2**n."""

    def lerp(self, end: Any, weight: Any) -> Tensor:
        """start + weight (end - start)."""

    def less(self, b: Any) -> Tensor:
        """a < b."""

    def less_equal(self, b: Any) -> Tensor:
        """a <= b."""

    def log_softmax(self, axis: int | None = ..., *, dim: int | None = ..., dtype: Any = ...) -> Tensor:
        """log(softmax(x)), without the loss of precision."""

    def logaddexp(self, b: Any) -> Tensor:
        """log(exp(a) + exp(b)), without overflow."""

    def logaddexp2(self, b: Any) -> Tensor:
        """log2(2**a + 2**b), without overflow."""

    def logical_and(self, b: Any) -> Tensor:
        """Whether both are not 0."""

    def logical_not(self) -> Tensor:
        """Whether each element is 0."""

    def logical_or(self, b: Any) -> Tensor:
        """Whether one is not 0."""

    def logical_xor(self, b: Any) -> Tensor:
        """Whether exactly one is not 0."""

    def logit(self, eps: float | None = ...) -> Tensor:
        """log(x / (1 - x)), the inverse of sigmoid; with `eps` of x between eps and 1 - eps."""

    def lstsq(self, b: Any, rcond: float | None = ..., *, driver: str | None = ...) -> Any:
        """The x of least |a @ x - b|, and of least |x| among them; the sums of squares of what is left of each
column (empty where the rank is not full, or no row is left; in a compiled function, where nobody knows
the rank, there whatever it is); the rank; the singular values. `b` is a vector or matrix, and for a stack
of matrices a stack of matrices. Whatever the `driver` of PyTorch, singular values are what it goes by."""

    def masked_scatter(self, mask: Any, source: Any) -> Tensor:
        """x with the elements of `source`, row-major, one after the other where `mask` holds; both broadcast.
IndexError where there are too few; TypeError for a mask that is not of bools."""

    def matrix_exp(self) -> Tensor:
        """The sum of aⁿ / n! of each matrix: by a Padé approximant of degree 13, in float64, of a over a power
of 2, squared (Higham, SIAM J. Matrix Anal. Appl. 26, 2005)."""

    def matrix_rank(self, tol: float | None = ..., hermitian: bool = ..., *, rtol: float | None = ..., atol: float | None = ...) -> Tensor:
        """How many singular values are above `tol` (`atol`), or `rtol` times the greatest one; by default the
dtype's epsilon times the longer side."""

    def multinomial(self, num_samples: int, replacement: bool = ..., *, generator: Any = ...) -> Tensor:
        """Places along the last axis of `input`, a vector or rows of weights: each as likely as its weight says,
and, without `replacement`, no place twice. int64. ValueError for more than there are, and for weights
that are known to be negative or not finite, or too few above 0. (Without replacement the greatest of the
weights over exponential numbers: Efraimidis and Spirakis, Weighted random sampling with a
reservoir, 2006.)"""

    def multiply(self, b: Any) -> Tensor:
        """a * b."""

    def mv(self, b: Any) -> Tensor:
        """a @ b, of 2 and 1 axes."""

    def mvlgamma(self, p: int) -> Tensor:
        """The logarithm of the gamma function of p dimensions; NaN where a is at most (p - 1) / 2."""

    def nan_to_num(self, nan: float = ..., posinf: float | None = ..., neginf: float | None = ...) -> Tensor:
        """NaN and infinities as numbers; by default the greatest and the least of the dtype."""

    def narrow(self, dim: int, start: int, length: int) -> Tensor:
        """`length` elements from `start` on along an axis. IndexError where there are fewer."""

    def negative(self) -> Tensor:
        """-x."""

    def nextafter(self, b: Any) -> Tensor:
        """The number next to a on the way to b; its gradient is 0."""

    def nonzero(self, *, as_tuple: bool = ...) -> Any:
        """Where x is not 0: one tensor of indices for each axis, or (`as_tuple=False`) `argwhere`, which is
PyTorch's default. Outside of compiled functions."""

    def norm(self, p: float | str | None = ..., axis: Any = ..., keepdims: bool = ..., *, dim: Any = ..., keepdim: bool = ..., dtype: Any = ...) -> Tensor:
        """PyTorch's: the p-norm of all elements, or of those along axes, as one vector, a matrix's too; "fro" is
that of p = 2, "nuc" the sum of the singular values of matrices. (NumPy's, for which p = 2 of a matrix is
its greatest singular value, is `linalg.norm`.)"""

    def not_equal(self, b: Any) -> Tensor:
        """a != b, for each element."""

    def outer(self, b: Any) -> Tensor:
        """a[i] * b[j] for all elements."""

    def partition(self, kth: Any, axis: int | None = ..., kind: str = ..., order: None = ...) -> Tensor:
        """`sort`, which fulfils what is asked of a partition."""

    def positive(self) -> Tensor:
        """x itself."""

    def prelu(self, weight: Any) -> Tensor:
        """x where x > 0, else weight x; `weight` is one number, or one for each channel (axis 1)."""

    def qr(self, mode: str = ...) -> Any:
        """a = Q R, Q of orthonormal columns, R an upper triangle. `mode`: "reduced", "complete" (Q square), or
"r" (R alone). Where Q has more columns than a, there is no gradient: ValueError from `backward`."""

    def rad2deg(self) -> Tensor:
        """Radians as degrees."""

    def renorm(self, p: float, dim: int, maxnorm: float) -> Tensor:
        """x with each slice along `dim` whose p-norm is above `maxnorm` scaled down to that."""

    def select_scatter(self, src: Any, dim: int, index: int) -> Tensor:
        """x with `src` in the place of slice `index` along an axis."""

    def signbit(self) -> Tensor:
        """Whether each element has the sign -, of -0.0 too."""

    def sinc(self) -> Tensor:
        """sin(pi x) / (pi x); 1 at 0."""

    def slice_scatter(self, src: Any, dim: int = ..., start: int | None = ..., end: int | None = ..., step: int = ...) -> Tensor:
        """x with `src` in the place of the slice start:end:step along an axis."""

    def stft(self, n_fft: int, hop_length: int | None = ..., win_length: int | None = ..., window: Any = ..., center: bool = ..., pad_mode: str = ..., normalized: bool = ..., onesided: bool | None = ..., return_complex: bool | None = ...) -> Tensor:
        """The Fourier transforms of pieces of n_fft samples, `hop_length` (a quarter) apart, times `window`: a
signal (n) or (batch, n) to (..., frequencies, pieces).

`center`: pieces lie around their places, and the signal is continued at both ends by `pad_mode`.
`normalized`: over sqrt(n_fft). `onesided`: the first n_fft // 2 + 1 frequencies, by default of real
signals. `return_complex=False`: an axis of real and imaginary parts; of real signals one of both must be
said."""

    def sub(self, b: Any, *, alpha: Any = ...) -> Tensor:
        """a - alpha b."""

    def subtract(self, b: Any, *, alpha: Any = ...) -> Tensor:
        """a - alpha b."""

    def swapdims(self, dim0: int, dim1: int) -> Tensor:
        """`swapaxes`."""

    def take_along_dim(self, indices: Any, dim: int | None = ...) -> Tensor:
        """The elements of `input` at `indices` along one axis, both of which broadcast along the others; None:
of all elements in a row. IndexError for an index outside of the axis."""

    def true_divide(self, b: Any, *, rounding_mode: str | None = ...) -> Tensor:
        """a / b; with `rounding_mode` "floor" a // b, with "trunc" the quotient without its fraction, which of
integers is an integer."""

    def unique(self, return_index: bool = ..., return_inverse: bool = ..., return_counts: bool = ..., axis: int | None = ..., *, equal_nan: bool = ..., sorted: bool = ..., dim: int | None = ...) -> Any:
        """The different elements in ascending order, or the different parts along an axis; on request where each
is first, which of them each element is, and how often it is there. Gradients go to the first. TraceError
in a compiled function."""

    def unique_consecutive(self, return_inverse: bool = ..., return_counts: bool = ..., dim: int | None = ...) -> Any:
        """The first of each run of equal elements, or of equal parts along an axis; on request which run each is
in, and how long the runs are. Gradients go to the first. TraceError in a compiled function."""

    def vdot(self, b: Any) -> Tensor:
        """The sum of products of all elements."""

    def vsplit(self, indices_or_sections: Any) -> list[Tensor]:
        """`split` along the first axis."""

    def xlogy(self, b: Any) -> Tensor:
        """a log(b); 0 where a is 0."""
