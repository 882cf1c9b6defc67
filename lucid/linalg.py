"""Linear algebra, under the names of NumPy's `linalg` and PyTorch's.

Matrices are the last two axes; others are stacks. Integers are computed in float64; float16 raises
TypeError, but in `norm`. What is not made of products is LAPACK's, through NumPy: computed when it is
called; in a compiled function a step between kernels, at each call of that. LinAlgError for matrices that are
singular, not positive definite or not square, ValueError for shapes that do not fit. Gradients exist to any
order (`det` of a singular matrix: to the second), and treat a matrix that is taken as symmetric as one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import c128, f32, f64

from . import elementwise as ew
from . import lapack, shapes
from .array_functions import concatenate, cross, tensordot
from .complexes import squared_size
from .creation import device_of, eye, ones
from .creation import given as asarray
from .errors import public
from .hosted import results
from .lanes import values_known
from .matrices import (
    EighResult,
    EigResult,
    LinAlgError,
    LstsqResult,
    QRResult,
    SlogdetResult,
    SVDResult,
    floats,
    matrices,
    square,
)  # fmt: skip
from .named import name_all
from .promote import cast, float_dtype, joint_shape
from .reductions import one_of
from .tensor import Tensor, apply

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "logdet",
    "lstsq", "matmul", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose",
    "multi_dot", "norm", "outer", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals",
    "tensordot", "tensorinv", "tensorsolve", "trace", "vander", "vecdot", "vector_norm",
]  # fmt: skip

# --- inverses and systems ------------------------------------------------------------------------


@public
def inv(a: Any) -> Tensor:
    """The inverse of each matrix. To solve a system use `solve`, which is faster and more precise."""
    (x,) = floats("linalg.inv", a)
    square("linalg.inv", x)
    return results(lapack.INV, x)[0]


@public
def solve(a: Any, b: Any) -> Tensor:
    """x with a @ x = b. `b` is a vector if it has one axis, else made of columns, as in NumPy 2."""
    x, y = floats("linalg.solve", a, b)
    square("linalg.solve", x)
    vector = y.ndim == 1
    if vector:
        y = y.reshape((*y.shape, 1))
    if not y.ndim or y.shape[-2] != x.shape[-1]:
        raise ValueError(
            f"linalg.solve: matrices of shape {x.shape} do not fit right sides of {asarray(b).shape}"
        )
    stack = joint_shape("linalg.solve", x.shape[:-2], y.shape[:-2])
    x, y = (t.broadcast_to((*stack, *t.shape[-2:])) for t in (x, y))
    found = results(lapack.SOLVE, x, y)[0]
    return found.reshape(found.shape[:-1]) if vector else found


@public
def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """X with A X = B, or with `left=False` X A = B, of which the triangle of A is read: the upper or the
    lower one; `unitriangular`: its diagonal counts as 1. Its gradient is that triangle's. LinAlgError for a
    0 in the diagonal."""
    a, b = floats("linalg.solve_triangular", A, B)
    square("linalg.solve_triangular", a)
    matrices("linalg.solve_triangular", b)
    beside = int(unitriangular)
    a = a.triu(beside) if upper else a.tril(-beside)
    if unitriangular:
        a = a + eye(a.shape[-1], dtype=a.dtype, device=device_of(a))
    return solve(a, b) if left else solve(a.mT, b.mT).mT


@public
def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Tensor:
    """X with L Lᴴ X = B, for a lower triangle L as of `cholesky`; `upper`: with Lᴴ L X = B for an upper
    one."""
    (factor,) = floats("cholesky_solve", L)
    inner = solve_triangular(factor.mH if upper else factor, B, upper=False)
    return solve_triangular(factor if upper else factor.mH, inner, upper=True)


@public
def cholesky_inverse(L: Any, upper: bool = False) -> Tensor:
    """The inverse of L Lᴴ, for a lower triangle L as of `cholesky`; `upper`: that of Lᴴ L for an upper
    one."""
    (factor,) = floats("cholesky_inverse", L)
    square("cholesky_inverse", factor)
    one = eye(factor.shape[-1], dtype=factor.dtype, device=device_of(factor))
    return cholesky_solve(one.broadcast_to(factor.shape), factor, upper)


@public
def matrix_exp(a: Any) -> Tensor:
    """The sum of aⁿ / n! of each matrix: by a Padé approximant of degree 13, in float64, of a over a power
    of 2, squared (Higham, SIAM J. Matrix Anal. Appl. 26, 2005)."""
    (x,) = floats("linalg.matrix_exp", a)
    square("linalg.matrix_exp", x)
    return results(lapack.EXP, x)[0]


@public
def tensorsolve(
    a: Any, b: Any, axes: Sequence[int] | None = None, *, dims: Sequence[int] | None = None
) -> Tensor:
    """x with tensordot(a, x, x.ndim) = b."""
    axes = one_of(axes, dims)
    x, y = asarray(a), asarray(b)
    if axes is not None:
        moved = shapes.normal_axes(tuple(axes), x.ndim)
        x = x.transpose((*[k for k in range(x.ndim) if k not in moved], *moved))
    shape = x.shape[y.ndim :]
    if math.prod(shape) != y.size:
        raise LinAlgError(f"linalg.tensorsolve: shapes {x.shape} and {y.shape} make no square matrix")
    return solve(x.reshape((y.size, y.size)), y.reshape((y.size,))).reshape(shape)


@public
def tensorinv(a: Any, ind: int = 2) -> Tensor:
    """The inverse for `tensordot`, over the first `ind` axes."""
    x = asarray(a)
    if ind <= 0:
        raise ValueError(f"linalg.tensorinv: ind must be positive, not {ind}")
    rows, columns = x.shape[:ind], x.shape[ind:]
    return inv(x.reshape((math.prod(rows), math.prod(columns)))).reshape((*columns, *rows))


@public
def pinv(a: Any, rcond: float | None = None, hermitian: bool = False, *, rtol: float | None = None) -> Tensor:
    """The pseudo-inverse: singular values of at most `rcond` (or `rtol`) times the greatest count as 0; by
    default 1e-15, as in NumPy. Its gradient holds where the rank does not change."""
    if rcond is not None and rtol is not None:
        raise ValueError("linalg.pinv: rcond and rtol are one argument under two names; give one of them")
    (x,) = floats("linalg.pinv", a)
    matrices("linalg.pinv", x)
    cutoff = rcond if rtol is None else rtol
    return results(lapack.PINV, x, rcond=1e-15 if cutoff is None else cutoff, hermitian=hermitian)[0]


@public
def lstsq(a: Any, b: Any, rcond: float | None = None, *, driver: str | None = None) -> LstsqResult:
    """The x of least |a @ x - b|, and of least |x| among them; the sums of squares of what is left of each
    column (empty where the rank is not full, or no row is left; in a compiled function, where nobody knows
    the rank, there whatever it is); the rank; the singular values. `b` is a vector or matrix, and for a stack
    of matrices a stack of matrices. Whatever the `driver` of PyTorch, singular values are what it goes by."""
    x, y = floats("linalg.lstsq", a, b)
    matrices("linalg.lstsq", x)
    vector = y.ndim == 1
    if vector:
        y = y.reshape((*y.shape, 1))
    if x.shape[:-1] != y.shape[:-1]:
        raise LinAlgError(f"linalg.lstsq: shapes {x.shape} and {asarray(b).shape} differ in their rows")
    m, n = x.shape[-2:]
    found, rank, values = results(lapack.LSTSQ, x, y, rcond=rcond)
    traced = not values_known()
    if m > n and (traced or bool((rank == n).all())):
        off = y - x @ found
        residuals = (off * off.conj()).real.sum(-2)
    else:
        residuals = Tensor(np.empty(0, x._node.type.dtype.part.np), device=device_of(x))
    found = found.reshape(found.shape[:-1]) if vector else found
    return LstsqResult(found, residuals, rank if rank.ndim or traced else int(rank), values)


@public
def cond(x: Any, p: float | str | None = None) -> Tensor:
    """The norm of each matrix times that of its inverse; by default of the norm 2. inf for singular ones."""
    (a,) = floats("linalg.cond", x)
    if p in (None, 2, -2):
        s = svdvals(a)
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    square("linalg.cond", a)
    inverse = results(lapack.INV_OR_NAN, a)[0]
    found = matrix_norm(a, ord=p) * matrix_norm(inverse, ord=p)
    endless = found.isnan() & ~a.isnan().any((-2, -1))
    return apply(ew.where, endless, math.inf, found)


# --- determinants --------------------------------------------------------------------------------


@public
def det(a: Any) -> Tensor:
    """The determinant of each matrix; its gradient exists for singular ones, too."""
    (x,) = floats("linalg.det", a)
    square("linalg.det", x)
    return results(lapack.DET, x)[0]


@public
def slogdet(a: Any) -> SlogdetResult:
    """The sign of the determinant, whose gradient is 0 where it is real, and the logarithm of its absolute
    value."""
    (x,) = floats("linalg.slogdet", a)
    square("linalg.slogdet", x)
    is_complex = x._node.type.dtype.is_complex
    return SlogdetResult(*results(lapack.COMPLEX_SLOGDET if is_complex else lapack.SLOGDET, x))


@public
def logdet(a: Any) -> Tensor:
    """The logarithm of the determinant: NaN where that is negative; of complex matrices the main value."""
    sign, logabsdet = slogdet(a)
    if sign._node.type.dtype.is_complex:
        return sign.log() + logabsdet
    return apply(ew.where, sign < 0, math.nan, logabsdet)


# --- decompositions ------------------------------------------------------------------------------


@public
def cholesky(a: Any, *, upper: bool = False) -> Tensor:
    """The lower triangle l with a = l lᴴ, of which the lower triangle is read; or the upper ones, lᴴ of
    a's."""
    (x,) = floats("linalg.cholesky", a)
    square("linalg.cholesky", x)
    return results(lapack.CHOLESKY, x.mH)[0].mH if upper else results(lapack.CHOLESKY, x)[0]


@public
def qr(a: Any, mode: str = "reduced") -> Any:
    """a = Q R, Q of orthonormal columns, R an upper triangle. `mode`: "reduced", "complete" (Q square), or
    "r" (R alone). Where Q has more columns than a, there is no gradient: ValueError from `backward`."""
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"linalg.qr: mode must be 'reduced', 'complete' or 'r', not {mode!r}")
    (x,) = floats("linalg.qr", a)
    matrices("linalg.qr", x)
    q, r = results(lapack.QR, x, mode="complete" if mode == "complete" else "reduced")
    return r if mode == "r" else QRResult(q, r)


@public
def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """The eigenvalues of symmetric matrices, in order, and their eigenvectors as columns. The triangle `UPLO`
    ("L", "U") is read. Gradients of eigenvectors hold for what does not depend on their signs, and of equal
    eigenvalues on the space that they span alone."""
    (x,) = floats("linalg.eigh", a)
    square("linalg.eigh", x)
    return EighResult(*results(lapack.EIGH, x, uplo=_triangle("linalg.eigh", UPLO)))


@public
def eigvalsh(a: Any, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, in order. The triangle `UPLO` ("L", "U") is read."""
    (x,) = floats("linalg.eigvalsh", a)
    square("linalg.eigvalsh", x)
    return results(lapack.EIGVALSH, x, uplo=_triangle("linalg.eigvalsh", UPLO))[0]


def _triangle(name: str, uplo: str) -> str:
    if uplo not in ("L", "U", "l", "u"):
        raise ValueError(f"{name}: UPLO must be 'L' or 'U', not {uplo!r}")
    return uplo.upper()


@public
def eig(a: Any) -> EigResult:
    """The eigenvalues of any square matrices, in no order, and their eigenvectors of length 1 as columns:
    always complex numbers. Gradients hold for what does not depend on the phases of vectors."""
    (x,) = floats("linalg.eig", a)
    square("linalg.eig", x)
    return EigResult(*results(lapack.EIG, x))


@public
def eigvals(a: Any) -> Tensor:
    """The eigenvalues of any square matrices, in no order: always complex numbers."""
    (x,) = floats("linalg.eigvals", a)
    square("linalg.eigvals", x)
    return results(lapack.EIGVALS, x)[0]


@public
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """a = U diag(S) Vh, S in descending order. With `full_matrices` U and Vh are square: then the longer one
    has no gradient. Gradients of vectors hold for what does not depend on their signs. Without `compute_uv`:
    S.

    `hermitian`: a is symmetric, which changes nothing here."""
    if not compute_uv:
        return svdvals(a)
    (x,) = floats("linalg.svd", a)
    matrices("linalg.svd", x)
    return SVDResult(*results(lapack.SVD, x, full_matrices=bool(full_matrices)))


@public
def svdvals(x: Any) -> Tensor:
    """The singular values of each matrix, in descending order."""
    (a,) = floats("linalg.svdvals", x)
    matrices("linalg.svdvals", a)
    return results(lapack.SVDVALS, a)[0]


@public
def matrix_rank(
    A: Any, tol: float | None = None, hermitian: bool = False, *, rtol: float | None = None,
    atol: float | None = None,
) -> Tensor:  # fmt: skip
    """How many singular values are above `tol` (`atol`), or `rtol` times the greatest one; by default the
    dtype's epsilon times the longer side."""
    tol = atol if tol is None else tol
    (x,) = floats("linalg.matrix_rank", A)
    return results(lapack.RANK, x, tol=tol, hermitian=hermitian, rtol=rtol)[0]


# --- products ------------------------------------------------------------------------------------


@public
def matmul(x1: Any, x2: Any) -> Tensor:
    """x1 @ x2."""
    return apply(shapes.matmul, asarray(x1), asarray(x2))


@public
def matrix_power(a: Any, n: int) -> Tensor:
    """a times itself, n times; the identity for n = 0, powers of the inverse below."""
    x = asarray(a)
    square("linalg.matrix_power", x)
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"linalg.matrix_power: the exponent must be an int, not {type(n).__name__}")
    if n == 0:
        return eye(x.shape[-1], dtype=x.dtype, device=device_of(x)).broadcast_to(x.shape)
    if n < 0:
        x, n = inv(x), -n
    found: Tensor | None = None
    while True:
        if n & 1:
            found = x if found is None else found @ x
        n >>= 1
        if not n:
            assert found is not None
            return found
        x = x @ x


@public
def multi_dot(arrays: Sequence[Any]) -> Tensor:
    """The product of several matrices, in the order of fewest multiplications. The first and the last may be
    vectors."""
    parts = [asarray(a) for a in arrays]
    if len(parts) < 2:
        raise ValueError(f"linalg.multi_dot: expected at least two arrays, not {len(parts)}")
    ends = parts[0].ndim == 1, parts[-1].ndim == 1
    if ends[0]:
        parts[0] = parts[0].reshape((1, -1))
    if ends[1]:
        parts[-1] = parts[-1].reshape((-1, 1))
    if any(p.ndim != 2 for p in parts):
        raise LinAlgError("linalg.multi_dot: expected matrices, and vectors at the ends alone")
    found = _chain(parts, _splits([p.shape for p in parts]), 0, len(parts) - 1)
    return found.reshape((*(() if ends[0] else found.shape[:1]), *(() if ends[1] else found.shape[1:])))


def _splits(sides: list[tuple[int, ...]]) -> dict[tuple[int, int], int]:
    """Where to cut parts i to j: dynamic programming over the cost of all chains, as in Cormen et al.,
    15.2."""
    cost = {(i, i): 0 for i in range(len(sides))}
    cut: dict[tuple[int, int], int] = {}
    for length in range(1, len(sides)):
        for i in range(len(sides) - length):
            j = i + length
            cost[i, j], cut[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sides[i][0] * sides[k][1] * sides[j][1], k)
                for k in range(i, j)
            )
    return cut


def _chain(parts: list[Tensor], cut: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return parts[i]
    k = cut[i, j]
    return matmul(_chain(parts, cut, i, k), _chain(parts, cut, k + 1, j))


@public
def outer(x1: Any, x2: Any) -> Tensor:
    """x1[i] * x2[j] of two vectors."""
    a, b = asarray(x1), asarray(x2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"linalg.outer: expected vectors, not shapes {a.shape} and {b.shape}")
    return apply(shapes.outer, a, b)


@public
def vecdot(x1: Any, x2: Any, *, axis: int = -1, dim: int | None = None) -> Tensor:
    """The sums of products along one axis, those of x1 conjugated."""
    at = axis if dim is None else dim
    a, b = asarray(x1), asarray(x2)
    if a.shape[at] != b.shape[at]:
        raise ValueError(f"linalg.vecdot: shapes {a.shape} and {b.shape} differ along axis {at}")
    return (a.conj() * b).sum(at, dtype=np.result_type(a.dtype, b.dtype))


@public
def matrix_transpose(x: Any) -> Tensor:
    """Rows and columns in each other's place."""
    a = asarray(x)
    if a.ndim < 2:
        raise ValueError(f"matrix_transpose: expected matrices, not shape {a.shape}")
    return a.mT


@public
def diagonal(x: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The elements x[..., i, i + offset] of each matrix."""
    return asarray(x).diagonal(offset, dim1, dim2)


@public
def trace(x: Any, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of the diagonal of each matrix, `offset` columns to the right."""
    a = asarray(x)
    matrices("linalg.trace", a)
    return a.diagonal(offset, -2, -1).sum(-1, dtype=dtype)


# --- norms ---------------------------------------------------------------------------------------

Axes = int | Sequence[int] | None


@public
def norm(
    x: Any, ord: float | str | None = None, axis: Axes = None, keepdims: bool = False,
    *, dim: Axes = None, keepdim: bool = False,
) -> Tensor:  # fmt: skip
    """The length of vectors along `axis` (all axes by default): sqrt(sum(x²)). Its gradient where all
    elements are 0 is 0, and so is the second one.

    `ord`, over one axis: 2 is that length, 0 the number of elements other than 0, inf the greatest and -inf
    the least absolute value, any other p sum(|x|ᵖ) to the power of 1/p. Over two: None or "fro" is that
    length, 1 and -1 (inf and -inf) are the greatest and the least sum of absolute values of columns (rows),
    2 and -2 the greatest and the least singular value, "nuc" their sum.

    Integers are computed in float64, float16 in float32. Lengths of float32 are computed in float64, so no
    square overflows or vanishes; squares of float64 do, beyond 1e154 and below 1e-154, as NumPy's.
    ValueError for other norms.
    """
    a, given, keep = asarray(x), one_of(axis, dim), keepdims or keepdim
    axes = tuple(range(a.ndim)) if given is None else _pair(given, a.ndim)
    if ord is None:
        return apply(_length, a, axes=axes, keepdims=keep)
    if len(axes) == 1:
        return apply(_vector_norm, a, ord=ord, axes=axes, keepdims=keep)
    if len(axes) == 2:
        return _matrix_norm(a, ord, axes, keep)
    raise ValueError(f"norm: ord={ord!r} over {len(axes)} axes; a norm of vectors has one, of matrices two")


@public
def vector_norm(
    x: Any,
    ord: float = 2,
    axis: Axes = None,
    keepdims: bool = False,
    *,
    dim: Axes = None,
    keepdim: bool = False,
) -> Tensor:
    """The norm of all elements along `axis` as one vector; see `norm`."""
    a, given = asarray(x), one_of(axis, dim)
    axes = tuple(range(a.ndim)) if given is None else _pair(given, a.ndim)
    return apply(_vector_norm, a, ord=ord, axes=axes, keepdims=keepdims or keepdim)


@public
def matrix_norm(
    x: Any, ord: float | str | None = "fro", axis: Axes = (-2, -1), keepdims: bool = False,
    *, dim: Axes = None, keepdim: bool = False,
) -> Tensor:  # fmt: skip
    """The norm of each matrix; see `norm`."""
    a = asarray(x)
    matrices("linalg.matrix_norm", a)
    axes = _pair(axis if dim is None else dim, a.ndim)
    if len(axes) != 2:
        raise ValueError(f"matrix_norm: expected two axes, not {axis if dim is None else dim}")
    return _matrix_norm(a, "fro" if ord is None else ord, axes, keepdims or keepdim)


def _pair(axis: Axes, ndim: int) -> tuple[int, ...]:
    """Axes from the front, in the order in which they are given: rows, then columns."""
    shapes.normal_axes(axis, ndim)  # what is no axis, or given twice
    listed = (axis,) if not isinstance(axis, Sequence) else axis
    return tuple(shapes.normal_axis(a, ndim) if ndim else 0 for a in listed)  # type: ignore[arg-type]


def _wide(x: Node) -> Node:
    """As it is computed with."""
    result = float_dtype(x)
    return cast(x, result.computed)


def _length(x: Node, *, axes: tuple[int, ...], keepdims: bool) -> Node:
    result, x = float_dtype(x).part, _wide(x)
    if result is f32:
        x = cast(x, c128 if x.type.dtype.is_complex else f64)
    return cast(ops.SQRT(shapes.sum_(squared_size(x), axis=axes, keepdims=keepdims)), result)


def _vector_norm(x: Node, *, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Node:
    if isinstance(ord, str) or not isinstance(ord, int | float | np.number):
        raise ValueError(f"norm: ord={ord!r} over {len(axes)} axes is no norm of vectors; expected a number")
    if ord == 2:
        return _length(x, axes=axes, keepdims=keepdims)
    result, x = float_dtype(x).part, ops.ABS(_wide(x))
    if math.isinf(ord):
        reduce = shapes.amax if ord > 0 else shapes.amin
        return cast(reduce(x, axis=axes, keepdims=keepdims), result)
    if ord == 0:
        x = cast(ew.ne(x, 0.0), x.type.dtype)
    if ord in (0, 1):
        return cast(shapes.sum_(x, axis=axes, keepdims=keepdims), result)
    total = shapes.sum_(ew.power(x, float(ord)), axis=axes, keepdims=keepdims)
    if ord > 0:  # no gradient where all are 0: 0
        none = ew.eq(total, 0.0)
        return cast(ew.where(none, 0.0, ew.power(ew.where(none, 1.0, total), 1 / float(ord))), result)
    return cast(ew.power(total, 1 / float(ord)), result)


def _matrix_norm(x: Tensor, ord: float | str, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    if ord in ("fro", "f"):
        return apply(_length, x, axes=axes, keepdims=keepdims)
    if ord in (1, -1, math.inf, -math.inf):
        return apply(_greatest_sum, x, ord=ord, axes=axes, keepdims=keepdims)
    if ord not in (2, -2, "nuc"):
        raise ValueError(
            f"norm: ord={ord!r} over 2 axes; expected None, 'fro', 'nuc', 1, -1, 2, -2, inf, -inf"
        )
    rest = [k for k in range(x.ndim) if k not in axes]
    s = svdvals(x.transpose((*rest, *axes)))
    found = s.sum(-1) if ord == "nuc" else s.max(-1) if ord == 2 else s.min(-1)
    return found.reshape(ops.kept_dims(x.shape, axes)) if keepdims else found


def _greatest_sum(x: Node, *, ord: float, axes: tuple[int, ...], keepdims: bool) -> Node:
    result, (over, along) = float_dtype(x).part, axes if abs(ord) == 1 else axes[::-1]
    totals = shapes.sum_(ops.ABS(_wide(x)), axis=over, keepdims=True)
    reduce = shapes.amax if ord > 0 else shapes.amin
    found = cast(reduce(totals, axis=along, keepdims=True), result)
    return (
        found if keepdims else shapes.reshape(found, tuple(n for k, n in enumerate(x.shape) if k not in axes))
    )


name_all(globals(), __all__)


@public
def vander(x: Any, N: int | None = None) -> Tensor:
    """PyTorch's: the powers 0, 1, ..., N - 1 of each element, along a new axis; as many as there are along
    the last one by default. (NumPy's `vander` begins with the highest.)"""
    t = asarray(x)
    t = t if t.ndim else t.reshape(1)
    count = t.shape[-1] if N is None else N
    if N is not None and N < 2:
        raise ValueError(f"linalg.vander: expected N of at least 2, not {N}")
    kind = np.promote_types(t.dtype, np.int64) if t.dtype.kind in "iub" else t.dtype
    base = t.astype(kind).unsqueeze(-1).broadcast_to((*t.shape, count - 1))
    first = ones((*t.shape, 1), dtype=kind, device=device_of(t))
    return concatenate([first, base.cumprod(-1)], -1)


inverse, pinverse = inv, pinv  # lucid's own, and PyTorch's, names
