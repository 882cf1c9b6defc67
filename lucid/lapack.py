"""What LAPACK computes, through NumPy, with its derivatives written in graph nodes.

Matrices are the last two axes, of real or of complex numbers. The gradient of a complex operand is
dL/dre + i dL/dim, so where the formula of real ones has a transpose, that of complex ones has its conjugate.
The formulas are those of Giles, "Collected matrix derivative results" (2008), of Townsend, "Differentiating
the singular value decomposition" (2016), of Golub and Pereyra (1973) for the pseudo-inverse, and of
Walter and Lehmann (2010) for QR; of vectors of complex matrices, those of PyTorch. `ct` is the cotangent of a
result.

The derivatives of eigenvectors and singular vectors divide by differences of eigenvalues. Those that are
within the rounding of LAPACK count as equal, and what they divide as 0: that is the gradient of what depends
on the space that such vectors span alone; of other functions there is none, or another, and a warning says
so.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.data import replace
from lucid.compiler.ir.graph import Node
from lucid.compiler.ir.types import TensorType, c64, c128, f32, i64, tensor_type

from . import elementwise as ew
from . import shapes
from .complexes import conj
from .engine import Array, evaluate
from .errors import warn_user
from .hosted import Call, Hosted, called, constant
from .joins import diagonal
from .lanes import values_known

Options = Mapping[str, Any]
Parts = tuple[Node | None, ...]
Needs = tuple[bool, ...]

_at = shapes.matmul


def mt(x: Node) -> Node:
    """Rows and columns in each other's place."""
    ndim = x.type.ndim
    return ops.TRANSPOSE(x, perm=(*range(ndim - 2), ndim - 1, ndim - 2))


def mh(x: Node) -> Node:
    """Rows and columns in each other's place, and the conjugates."""
    return mt(conj(x))


def _column(x: Node) -> Node:
    return ops.reshape(x, (*x.shape, 1))


def _row(x: Node) -> Node:
    return ops.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))


def _scalars(x: Node) -> Node:
    return ops.reshape(x, (*x.shape, 1, 1))


def _constant(array: Any, like: Node) -> Node:
    return constant(np.asarray(array, like.type.dtype.np))


def _eye(n: int, like: Node) -> Node:
    return _constant(np.eye(n), like)


def _symmetric(x: Node) -> Node:
    return ew.mul(ew.add(x, mh(x)), 0.5)


def _apart(x: Node, y: Node, near: Node) -> Node:
    """1 / (x - y), and 0 where the two are `near`."""
    return ew.where(near, 0.0, ew.div(1.0, ew.where(near, 1.0, ew.sub(x, y))))


def _near(name: str, values: Node, count: int) -> Node:
    """Which pairs of these eigenvalues or singular values are equal within rounding; each with itself. Where
    values are known, with a warning."""
    gaps = ops.ABS(ew.sub(_row(values), _column(values)))
    if not values.shape[-1]:
        return ew.le(gaps, 0.0)
    scale = _scalars(shapes.amax(ops.ABS(values), axis=-1))
    near = ew.le(gaps, ew.mul(scale, float(np.finfo(values.type.dtype.numpy).eps) * count))
    if values_known() and np.asarray(evaluate([near])[0]).sum() > math.prod(values.shape):
        warn_user(
            f"{name}: some values are equal within rounding. The gradient through their vectors holds for "
            "what depends on the space that these span alone, and no second derivative does"
        )
    return near


# --- types of results ----------------------------------------------------------------------------

Types = tuple[TensorType, ...]


def _like(which: int) -> Callable[..., Types]:
    """One result, of the type of input `which`."""
    return lambda options, *types: (types[which],)


def _matrices(x: TensorType, *sides: tuple[int, int]) -> Types:
    """For each of a stack one of these sides."""
    return tuple([tensor_type(x.dtype, (*x.shape[:-2], *side)) for side in sides])


def _vectors(x: TensorType, *lengths: int) -> Types:
    """Of real numbers: singular values, and eigenvalues of what is symmetric."""
    return tuple([tensor_type(x.dtype.part, (*x.shape[:-2], n)) for n in lengths])


def _reals(x: TensorType) -> Types:
    return (tensor_type(x.dtype.part, x.shape[:-2]),)


def _numbers(x: TensorType) -> TensorType:
    return tensor_type(x.dtype, x.shape[:-2])


# --- inverses and systems ------------------------------------------------------------------------


def _d_inv(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    across = mh(call.out(0))
    return (ew.neg(_at(_at(across, ct), across)),)


INV = Hosted("linalg.inv", lambda options, a: (np.linalg.inv(a),), _like(0), _d_inv)


def _inv_or_nan(options: Options, a: Array) -> tuple[Array, ...]:
    found = np.full_like(a, np.nan)
    for k in np.ndindex(a.shape[:-2]):
        with contextlib.suppress(np.linalg.LinAlgError):
            found[k] = np.linalg.inv(a[k])
    return (found,)


# NaN in place of the inverse of a singular matrix.
INV_OR_NAN = replace(
    INV, name="linalg.inv, or NaN", compute=_inv_or_nan, calls="numpy.linalg.inv, matrix by matrix"
)


def inv(a: Node) -> Node:
    return called(INV, a).out(0)


def _d_solve(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    part = solve(mh(call.inputs[0]), ct)
    return ew.neg(_at(part, mh(call.out(0)))) if needs[0] else None, part


# Both are stacks of matrices, of one shape but for their columns.
SOLVE = Hosted("linalg.solve", lambda options, a, b: (np.linalg.solve(a, b),), _like(1), _d_solve)


def solve(a: Node, b: Node) -> Node:
    return called(SOLVE, a, b).out(0)


def _pinv(options: Options, a: Array) -> tuple[Array, ...]:
    return (np.linalg.pinv(a, options["rcond"], options["hermitian"]),)


def _d_pinv(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    return (_through_pinv(call.inputs[0], call.out(0), ct),)


def _through_pinv(a: Node, p: Node, ct: Node) -> Node:
    """The cotangent of a, for that of its pseudo-inverse p."""
    pt, ctt = mh(p), mh(ct)
    m, n = a.shape[-2:]
    left = ew.sub(_eye(m, a), _at(a, p))
    right = ew.sub(_eye(n, a), _at(p, a))
    inner = ew.neg(_at(_at(pt, ct), pt))
    return ew.add(ew.add(inner, _at(_at(left, ctt), _at(p, pt))), _at(_at(_at(pt, p), ctt), right))


_PADE = [
    math.factorial(26 - k)
    * math.factorial(13)
    / (math.factorial(26) * math.factorial(k) * math.factorial(13 - k))
    for k in range(14)
]


def _exp(options: Options, a: Array) -> tuple[Array, ...]:
    x = a.astype(np.result_type(a.dtype, np.float64))
    size = np.abs(x).sum(-2, keepdims=True).max(-1, keepdims=True, initial=0.0)
    halved = np.where(np.isfinite(size), np.ceil(np.log2(np.maximum(size / 5.371920351148152, 1.0))), 0.0)
    x = x / 2.0**halved
    square, one = x @ x, np.eye(x.shape[-1])
    even, odd = np.zeros_like(x), np.zeros_like(x)
    for k in range(6, -1, -1):  # by Horner's rule
        even, odd = even @ square + _PADE[2 * k] * one, odd @ square + _PADE[2 * k + 1] * one
    odd = x @ odd
    known = np.isfinite(size) & np.ones(x.shape, bool)
    found = np.linalg.solve(np.where(known, even - odd, one), even + odd)
    for k in range(int(halved.max(initial=0.0))):
        found = np.where(k < halved, found @ found, found)
    return (np.where(known, found, np.nan).astype(a.dtype),)


def _d_exp(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    """What is beside the diagonal of the exponential of [[aᴴ, ct], [0, aᴴ]]."""
    across = mh(call.inputs[0])
    n, last = across.shape[-1], across.type.ndim - 1
    stacked = ops.joined([(0, across), (n, ct)], last, 2 * n)
    below = ops.joined([(n, across)], last, 2 * n)
    both = called(EXP, ops.joined([(0, stacked), (n, below)], last - 1, 2 * n)).out(0)
    return (ops.narrow(ops.narrow(both, last - 1, 0, n), last, n, n),)


EXP = Hosted("linalg.matrix_exp", _exp, _like(0), _d_exp, calls="numpy.matmul and numpy.linalg.solve")

PINV = Hosted("linalg.pinv", _pinv, lambda options, a: _matrices(a, a.shape[:-3:-1]), _d_pinv)


def _lstsq(options: Options, a: Array, b: Array) -> tuple[Array, ...]:
    """The solution, the rank, the singular values."""
    stack, (m, n) = a.shape[:-2], a.shape[-2:]
    found = [np.linalg.lstsq(a[k], b[k], options["rcond"]) for k in np.ndindex(stack)]
    x = np.array([f[0] for f in found], a.dtype).reshape(*stack, n, b.shape[-1])
    rank = np.array([f[2] for f in found], np.int64).reshape(stack)
    return x, rank, np.array([f[3] for f in found], a.real.dtype).reshape(*stack, min(m, n))


def _d_lstsq(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    a, b = call.inputs
    if k == 2:
        return *_d_svdvals(call, 0, ct, needs), None
    p = called(PINV, a, rcond=call.options["rcond"], hermitian=False).out(0)
    part = _through_pinv(a, p, _at(ct, mh(b))) if needs[0] else None
    return part, _at(mh(p), ct) if needs[1] else None


def _lstsq_types(options: Options, a: TensorType, b: TensorType) -> Types:
    rank = tensor_type(i64, a.shape[:-2])
    return *_matrices(a, (a.shape[-1], b.shape[-1])), rank, *_vectors(a, min(a.shape[-2:]))


LSTSQ = Hosted("linalg.lstsq", _lstsq, _lstsq_types, _d_lstsq, flat=(1,))

# --- determinants --------------------------------------------------------------------------------


def _d_det(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    return (ew.mul(_scalars(ct), conj(cofactors(call.inputs[0], call.out(0)))),)


DET = Hosted("linalg.det", lambda options, a: (np.linalg.det(a),), lambda options, a: (_numbers(a),), _d_det)


def cofactors(a: Node, det: Node) -> Node:
    """The derivative of the determinant. That of a singular matrix exists, too, but not by its inverse; and
    nobody knows, while a function is traced, whether it is singular."""
    if not values_known():
        return ew.mul(_scalars(det), mt(inv(a))) if a.type.dtype.is_complex else called(COFACTORS, a).out(0)
    try:
        inverse = inv(a)
    except np.linalg.LinAlgError:
        return called(COFACTORS, a).out(0)
    size = [np.abs(x.data).sum(axis=-1).max(axis=-1, initial=0.0) for x in (a, inverse)]
    with np.errstate(all="ignore"):
        far = size[0] * size[1] * max(a.shape[-1], 1) * float(np.finfo(a.type.dtype.numpy).eps) < 1
    if not np.all(far):
        return called(COFACTORS, a).out(0)
    return ew.mul(_scalars(det), mt(inverse))


_ROTATED = "numpy.linalg.svd, numpy.linalg.det"


def _rotations(a: Array) -> tuple[Array, Array, Array, Array]:
    """u, s, vh and the determinant of u vh."""
    u, s, vh = np.linalg.svd(a)
    return u, s, vh, (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]


def _cofactors(options: Options, a: Array) -> tuple[Array, ...]:
    u, s, vh, sign = _rotations(a)
    others = np.where(np.eye(a.shape[-1], dtype=bool), a.dtype.type(1), s[..., None, :]).prod(axis=-1)
    return (sign * ((u * others[..., None, :]) @ vh).conj(),)


def _d_cofactors(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    if ct.type.dtype.is_complex:
        raise ValueError("the second derivative of the determinant of a singular complex matrix is not there")
    return (called(MINORS, call.inputs[0], ct).out(0),)


COFACTORS = Hosted("linalg.det, derivative", _cofactors, _like(0), _d_cofactors, calls=_ROTATED)


def _minors(options: Options, a: Array, ct: Array) -> tuple[Array, ...]:
    """The second derivative of the determinant, along `ct`; symmetric, so that it is its own transpose.

    Where a = u diag(s) vh, with e = uᵀ ct vhᵀ and p[i, j] the product of s without i and j, it is u m vh,
    m[i, i] the sum of p[i, j] e[j, j] over the other j, and m[i, j] = -p[i, j] e[j, i].
    """
    u, s, vh, sign = _rotations(a)
    n = a.shape[-1]
    pairs = np.zeros(a.shape, a.dtype)
    for i in range(n):
        rest = np.where(np.arange(n) == i, a.dtype.type(1), s)
        without = np.where(np.eye(n, dtype=bool), a.dtype.type(1), rest[..., None, :]).prod(axis=-1)
        pairs[..., i, :] = np.where(np.arange(n) == i, 0, without)
    e = np.swapaxes(u, -1, -2) @ ct @ np.swapaxes(vh, -1, -2)
    main = (pairs * np.diagonal(e, axis1=-2, axis2=-1)[..., None, :]).sum(axis=-1)
    m = np.eye(n, dtype=a.dtype) * main[..., None, :] - pairs * np.swapaxes(e, -1, -2)
    return (sign * (u @ m @ vh),)


def _d_minors(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    a = call.inputs[0]
    if needs[0] and a.shape[-1] > 2:  # of 2 × 2 matrices it is constant
        raise ValueError("the third derivative of the determinant of a singular matrix is not implemented")
    return None, called(MINORS, a, ct).out(0)


MINORS = Hosted("linalg.det, second derivative", _minors, _like(0), _d_minors, calls=_ROTATED)


def _d_slogdet(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    if k == 0:  # of a complex sign, which turns by the imaginary part of the trace of a⁻¹ da
        turn = ops.IM(ew.mul(conj(ct), call.out(0)))
        ct = ops.COMPLEX(ops.zeros_like(turn), ew.neg(turn))
    return (ew.mul(_scalars(ct), mh(called(OF_SLOGDET, call.inputs[0]).out(0))),)


OF_SLOGDET = replace(INV, name="linalg.slogdet, derivative", calls="numpy.linalg.inv")


def _slogdet(of: str, flat: tuple[int, ...]) -> Hosted:
    return Hosted(
        f"linalg.slogdet{of}", lambda options, a: tuple(np.linalg.slogdet(a)),
        lambda options, a: (_numbers(a), *_reals(a)), _d_slogdet, flat, "numpy.linalg.slogdet",
    )  # fmt: skip


SLOGDET, COMPLEX_SLOGDET = _slogdet("", (0,)), _slogdet(" of complex matrices", ())

# --- triangles -----------------------------------------------------------------------------------


def _half(x: Node) -> Node:
    """The lower triangle, with half of the diagonal."""
    n = x.shape[-1]
    return ew.where(constant(np.tri(n, dtype=bool)), ew.mul(x, _constant(1 - 0.5 * np.eye(n), x)), 0.0)


def _d_cholesky(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    """That of a symmetric matrix: both triangles count alike."""
    across = mh(call.out(0))
    part = _half(_at(across, ct))
    return (_symmetric(mh(solve(across, mh(solve(across, part))))),)


# The lower triangle is read.
CHOLESKY = Hosted("linalg.cholesky", lambda options, a: (np.linalg.cholesky(a),), _like(0), _d_cholesky)


def _qr(options: Options, a: Array) -> tuple[Array, ...]:
    q, r = np.linalg.qr(a, options["mode"])
    return q, r


def _d_qr(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    (a,) = call.inputs
    m, n = a.shape[-2:]
    q, r = call.out(0), call.out(1)
    if q.shape[-1] > n:
        raise ValueError("linalg.qr: mode='complete' has no gradient where there are more rows than columns")
    if m >= n:
        return (_through_qr(q, r, ct if k == 0 else None, ct if k == 1 else None),)
    # a = [x y], x = q u, and r = [u v] with v = qᵀ y
    y, u = ops.narrow(a, a.type.ndim - 1, m, n - m), ops.narrow(r, a.type.ndim - 1, 0, m)
    if k == 0:
        first, rest = _through_qr(q, u, ct, None), ops.zeros_like(y)
    else:
        to_u, to_v = (ops.narrow(ct, a.type.ndim - 1, *part) for part in ((0, m), (m, n - m)))
        first, rest = _through_qr(q, u, _at(y, mh(to_v)), to_u), _at(q, to_v)
    none = (0,) * (a.type.ndim - 1)
    left = ops.PAD(first, lo=(*none, 0), hi=(*none, n - m))
    return (ew.add(left, ops.PAD(rest, lo=(*none, m), hi=(*none, 0))),)


def _through_qr(q: Node, r: Node, to_q: Node | None, to_r: Node | None) -> Node:
    """The cotangent of q r, for those of q and r, with r square."""
    inner = ew.neg(_at(mh(to_q), q)) if to_q is not None else None
    if to_r is not None:
        product = _at(r, mh(to_r))
        inner = product if inner is None else ew.add(inner, product)
    assert inner is not None
    low = _half(inner)
    total = _at(q, ew.add(low, mh(low)))
    return mh(solve(r, mh(total if to_q is None else ew.add(total, to_q))))


def _qr_types(options: Options, a: TensorType) -> Types:
    m, n = a.shape[-2:]
    inner = m if options["mode"] == "complete" else min(m, n)
    return _matrices(a, (m, inner), (inner, n))


QR = Hosted("linalg.qr", _qr, _qr_types, _d_qr)

# --- eigenvalues and singular values -------------------------------------------------------------


def _eigh(options: Options, a: Array) -> tuple[Array, ...]:
    w, v = np.linalg.eigh(a, options["uplo"])
    return w, v


def _d_eigh(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    """That of a symmetric matrix: both triangles count alike."""
    w, v = call.out(0), call.out(1)
    if k == 0:
        return (_at(ew.mul(v, _row(ct)), mh(v)),)
    gaps = _apart(_row(w), _column(w), _near("linalg.eigh", w, w.shape[-1]))
    return (_symmetric(_at(_at(v, ew.mul(gaps, _at(mh(v), ct))), mh(v))),)


EIGH = Hosted("linalg.eigh", _eigh, lambda options, a: (*_vectors(a, a.shape[-1]), a), _d_eigh)


def _d_eigvalsh(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    return _d_eigh(called(EIGH, *call.inputs, **call.options), 0, ct, needs)


EIGVALSH = Hosted(
    "linalg.eigvalsh", lambda options, a: (np.linalg.eigvalsh(a, options["uplo"]),),
    lambda options, a: _vectors(a, a.shape[-1]), _d_eigvalsh,
)  # fmt: skip


def _complex(x: Array) -> Array:
    return x.astype(np.result_type(x.dtype, np.complex64))


def _complex_type(x: TensorType, *shape: int) -> TensorType:
    return tensor_type(c64 if x.dtype in (f32, c64) else c128, (*x.shape[:-2], *shape))


def _eig(options: Options, a: Array) -> tuple[Array, ...]:
    w, v = np.linalg.eig(a)
    return _complex(w), _complex(v)


def _d_eig(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    """The vectors are of length 1; their phases are nobody's business."""
    (a,), w, v = call.inputs, call.out(0), call.out(1)
    vh = mh(v)
    if k == 0:
        inner = ew.mul(_column(ct), vh)
    else:
        turn = _at(vh, ct)
        along = ops.RE(diagonal(turn, offset=0, axis1=-2, axis2=-1))
        gaps = _apart(_row(w), _column(w), _near("linalg.eig", w, w.shape[-1]))
        inner = _at(ew.mul(ew.sub(turn, ew.mul(_at(vh, v), _row(along))), conj(gaps)), vh)
    found = solve(vh, inner)
    return (found if a.type.dtype.is_complex else ops.RE(found),)


def _eig_types(options: Options, a: TensorType) -> Types:
    return _complex_type(a, a.shape[-1]), _complex_type(a, *a.shape[-2:])


EIG = Hosted("linalg.eig", _eig, _eig_types, _d_eig)


def _d_eigvals(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    return _d_eig(called(EIG, *call.inputs), 0, ct, needs)


EIGVALS = Hosted(
    "linalg.eigvals", lambda options, a: (_complex(np.linalg.eigvals(a)),),
    lambda options, a: (_complex_type(a, a.shape[-1]),), _d_eigvals,
)  # fmt: skip


def _svd(options: Options, a: Array) -> tuple[Array, ...]:
    u, s, vh = np.linalg.svd(a, options["full_matrices"])
    return u, s, vh


def _d_svd(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    (a,) = call.inputs
    m, n = a.shape[-2:]
    least = min(m, n)
    if call.options["full_matrices"] and ((k == 0 and m > n) or (k == 2 and n > m)):
        raise ValueError(
            "linalg.svd: the vectors beyond the singular values have no gradient; use full_matrices=False"
        )
    whole = call.options["full_matrices"] and m != n
    u, s, vh = map((called(SVD, a, full_matrices=False) if whole else call).out, range(3))
    if k == 1:
        return (_at(ew.mul(u, _row(ct)), vh),)
    squares = ew.mul(s, s)
    gaps = _apart(_row(squares), _column(squares), _near("linalg.svd", s, max(m, n)))
    if k == 0:
        turn = _at(mh(u), ct)
        skew = ew.sub(turn, mh(turn))
        inner = ew.mul(ew.mul(gaps, skew), _row(s))
        if a.type.dtype.is_complex:  # the phases of pairs of vectors
            phase = ew.mul(_eye(least, a), ew.div(ew.mul(skew, 0.5), _row(s)))
            inner = ew.add(inner, phase)
        part = _at(u, inner)
        if m > least:
            off = ew.sub(ct, _at(u, turn))
            part = ew.add(part, ew.div(off, _row(s)))
        return (_at(part, vh),)
    turn = _at(vh, mh(ct))
    inner = ew.mul(_column(s), ew.mul(gaps, ew.sub(turn, mh(turn))))
    part = _at(inner, vh)
    if n > least:
        off = ew.sub(ct, _at(mh(turn), vh))
        part = ew.add(part, ew.div(off, _column(s)))
    return (_at(u, part),)


def _svd_types(options: Options, a: TensorType) -> Types:
    m, n = a.shape[-2:]
    rows, columns = (m, n) if options["full_matrices"] else (min(m, n), min(m, n))
    u, vh = _matrices(a, (m, rows), (columns, n))
    return u, *_vectors(a, min(m, n)), vh


SVD = Hosted("linalg.svd", _svd, _svd_types, _d_svd)


def _d_svdvals(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    return _d_svd(called(SVD, call.inputs[0], full_matrices=False), 1, ct, needs)


SVDVALS = Hosted(
    "linalg.svdvals", lambda options, a: (np.linalg.svd(a, compute_uv=False),),
    lambda options, a: _vectors(a, min(a.shape[-2:])), _d_svdvals, calls="numpy.linalg.svd",
)  # fmt: skip


def _rank(options: Options, a: Array) -> tuple[Array, ...]:
    tol, hermitian, rtol = options["tol"], options["hermitian"], options["rtol"]
    return (np.asarray(np.linalg.matrix_rank(a, tol, hermitian, rtol=rtol), np.int64),)


def _d_rank(call: Call, k: int, ct: Node, needs: Needs) -> Parts:
    return (None,)


RANK = Hosted(
    "linalg.matrix_rank", _rank, lambda options, a: (tensor_type(i64, a.shape[:-2]),), _d_rank, flat=(0,)
)
