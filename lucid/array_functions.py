"""Functions of arrays as wholes: reductions, pieces, arrangements and products, under NumPy's names and
PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from operator import matmul
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from . import contractions, joins, shapes, totals
from .creation import given as asarray
from .errors import public
from .named import as_function, name_all
from .promote import cast, joint_shape, whole
from .reductions import mask, maybe, one_of
from .shapes import Axes
from .tensor import Tensor, apply

__all__ = [
    # reductions
    "argmax", "argmin", "average", "count_nonzero", "logsumexp", "nanmax", "nanmean", "nanmin", "nanprod",
    "nanstd", "nansum", "nanvar", "prod", "ptp",
    # pieces
    "array_split", "cat", "chunk", "column_stack", "concat", "concatenate", "dsplit", "dstack",
    "hsplit", "hstack", "row_stack", "split", "split_with_sizes", "stack", "t", "tensor_split", "unbind",
    "unstack", "vsplit", "vstack",
    # arrangements
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_shapes", "broadcast_tensors",
    "diag", "diagflat", "diagonal", "expand_dims", "flip", "fliplr", "flipud", "meshgrid", "moveaxis",
    "movedim", "pad", "repeat", "repeat_interleave", "roll", "rot90", "sliding_window_view", "tile", "trace",
    "tril", "triu", "unflatten", "unfold",
    # comparisons
    "allclose", "isclose",
    # products
    "addbmm", "addmm", "addmv", "addr", "adjoint", "baddbmm", "bmm", "corrcoef", "cov", "cross", "einsum",
    "inner", "kron", "matvec", "mv", "tensordot", "vdot", "vecmat",
]  # fmt: skip

# --- reductions ----------------------------------------------------------------------------------

argmax = as_function(Tensor.argmax)
argmin = as_function(Tensor.argmin)
count_nonzero = as_function(Tensor.count_nonzero)
logsumexp = as_function(Tensor.logsumexp)
nanmean = as_function(Tensor.nanmean)
nansum = as_function(Tensor.nansum)
prod = as_function(Tensor.prod)
ptp = as_function(Tensor.ptp)


def _extreme(build: Callable[..., Node], doc: str) -> Callable[..., Tensor]:
    def function(
        x: Any, axis: Axes = None, out: None = None, keepdims: bool = False,
        initial: Any = None, where: Any = True, *, dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        return asarray(x)._reduced(build, axis, dim, keepdims or keepdim, out, mask(where), initial)

    function.__doc__ = doc
    return public(function)


def _spread(build: Callable[..., Node], doc: str) -> Callable[..., Tensor]:
    def function(
        x: Any, axis: Axes = None, dtype: Any = None, out: None = None, ddof: float = 0,
        keepdims: bool = False, *, where: Any = True, mean: Any = None, correction: float | None = None,
        dim: Axes = None, keepdim: bool = False,
    ) -> Tensor:  # fmt: skip
        more = {"dtype": maybe(dtype), "ddof": ddof if correction is None else correction}
        return asarray(x)._reduced(build, axis, dim, keepdims or keepdim, out, mask(where), mean, **more)

    function.__doc__ = doc
    return public(function)


nanmax = _extreme(totals.nanmax, "The greatest of what is not NaN; NaN where all is.")
nanmin = _extreme(totals.nanmin, "The least of what is not NaN; NaN where all is.")
nanstd = _spread(totals.nanstd, "The square root of `nanvar`.")
nanvar = _spread(totals.nanvar, "The variance of what is not NaN; the divisor is its count less `ddof`.")


@public
def nanprod(
    x: Any, axis: Axes = None, dtype: Any = None, out: None = None, keepdims: bool = False,
    initial: Any = None, where: Any = True, *, dim: Axes = None, keepdim: bool = False,
) -> Tensor:  # fmt: skip
    """The product of what is not NaN."""
    kept = keepdims or keepdim
    return asarray(x)._summed(totals.nanprod, axis, dim, dtype, kept, out, mask(where), initial)


@public
def average(
    x: Any, axis: Axes = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """sum(w x) / sum(w), with weights of the shape of x or of its `axis`; with `returned` the sum of weights,
    too. Where that is 0 the result is inf or NaN: NumPy raises."""
    x = asarray(x)
    weights = None if weights is None else asarray(weights)
    made = apply(totals.average, x, weights, axis=axis, keepdims=keepdims)
    if not returned:
        return made
    sums = apply(totals.sum_of_weights, x, weights, axis=axis, keepdims=keepdims)
    return made, sums.astype(made.dtype).broadcast_to(made.shape)


# --- pieces --------------------------------------------------------------------------------------


def _tensors(arrays: Any) -> list[Tensor]:
    """What functions of several arrays are given: a list of them, or one array of them. The dtypes of numbers
    and lists are NumPy's."""
    if isinstance(arrays, Tensor | np.ndarray):
        return list(asarray(arrays))
    return [asarray(x) for x in arrays]


@public
def concatenate(
    arrays: Any, axis: int | None = 0, out: None = None, *, dtype: Any = None, dim: int | None = None
) -> Tensor:
    """Arrays one after the other along an axis; for `axis=None` all their elements. Each operand is read once
    (twice where there are more than eight), by one kernel."""
    if out is not None:
        raise TypeError("out: tensors are immutable; use the result")
    axis = axis if dim is None else dim
    return apply(_concatenate, *_tensors(arrays), axis=axis, dtype=maybe(dtype))


cat = concat = concatenate


def _concatenate(*nodes: Node, axis: int | None, dtype: Any) -> Node:
    return joins.concatenate(nodes, axis=axis, dtype=dtype)


@public
def stack(
    arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None, dim: int | None = None
) -> Tensor:
    """Arrays of one shape along a new axis."""
    if out is not None:
        raise TypeError("out: tensors are immutable; use the result")
    return apply(_stack, *_tensors(arrays), axis=axis if dim is None else dim, dtype=maybe(dtype))


def _stack(*nodes: Node, axis: int, dtype: Any) -> Node:
    return joins.stack(nodes if dtype is None else [cast(n, dtype) for n in nodes], axis=axis)


def _at_least(ndim: int, axis: int | None, doc: str) -> Callable[..., Tensor]:
    def build(*nodes: Node, dtype: Any) -> Node:
        raised = [joins.at_least(n, ndim) for n in nodes]
        at = axis if axis is not None else (0 if raised and raised[0].type.ndim == 1 else 1)
        return joins.concatenate(raised, axis=at, dtype=dtype)

    def function(arrays: Any, *, dtype: Any = None) -> Tensor:
        return apply(build, *_tensors(arrays), dtype=maybe(dtype))

    function.__doc__ = doc
    return public(function)


hstack = _at_least(1, None, "Arrays side by side: along the second axis, vectors along the first.")
vstack = row_stack = _at_least(2, 0, "Arrays one below the other; vectors are rows.")
dstack = _at_least(3, 2, "Arrays one behind the other, along the third axis.")


@public
def column_stack(arrays: Any) -> Tensor:
    """Vectors as columns, and matrices, side by side."""
    return apply(_columns, *_tensors(arrays))


def _columns(*nodes: Node) -> Node:
    columns = [ops.reshape(n, (n.type.size, 1)) if n.type.ndim < 2 else n for n in nodes]
    return joins.concatenate(columns, axis=1)


@public
def split(x: Any, indices_or_sections: Any, axis: int = 0, *, dim: int | None = None) -> list[Tensor]:
    """NumPy's: so many equal parts, or parts between the places given. (`Tensor.split` is PyTorch's, by the
    size of parts.) ValueError if there is no such number of equal parts."""
    x = asarray(x)
    at: int = shapes.normal_axis(axis if dim is None else dim, x.ndim)
    parts: list[Tensor] = x._parts(joins.sections("split", x.shape[at], indices_or_sections, even=True), at)
    return parts


@public
def array_split(x: Any, indices_or_sections: Any, axis: int = 0, *, dim: int | None = None) -> list[Tensor]:
    """So many parts, the first ones one element longer, or parts between the places given."""
    return asarray(x).tensor_split(indices_or_sections, axis if dim is None else dim)


tensor_split = array_split


def _split(least: int, axis: int, doc: str) -> Callable[[Any, Any], list[Tensor]]:
    def function(x: Any, indices_or_sections: Any) -> list[Tensor]:
        x = asarray(x)
        if x.ndim < least:
            raise ValueError(f"expected at least {least} axes, got shape {x.shape}")
        parts: list[Tensor] = split(x, indices_or_sections, min(axis, x.ndim - 1))
        return parts

    function.__doc__ = doc
    return public(function)


hsplit = _split(1, 1, "`split` along the second axis; of vectors along the first.")
vsplit = _split(2, 0, "`split` along the first axis.")
dsplit = _split(3, 2, "`split` along the third axis.")

chunk = as_function(Tensor.chunk)
split_with_sizes = as_function(Tensor.split_with_sizes)
t = as_function(Tensor.t)
unbind = as_function(Tensor.unbind)


@public
def unstack(x: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, without it."""
    return asarray(x).unbind(axis)


# --- arrangements --------------------------------------------------------------------------------

diag = as_function(Tensor.diag)
diagflat = as_function(Tensor.diagflat)
diagonal = as_function(Tensor.diagonal)
expand_dims = as_function(Tensor.expand_dims)
flip = as_function(Tensor.flip)
fliplr = as_function(Tensor.fliplr)
flipud = as_function(Tensor.flipud)
moveaxis = movedim = as_function(Tensor.moveaxis)
repeat = repeat_interleave = as_function(Tensor.repeat)
roll = as_function(Tensor.roll)
rot90 = as_function(Tensor.rot90)
tile = as_function(Tensor.tile)
trace = as_function(Tensor.trace)
tril = as_function(Tensor.tril)
triu = as_function(Tensor.triu)
unflatten = as_function(Tensor.unflatten)
unfold = as_function(Tensor.unfold)


def _raised(ndim: int) -> Callable[..., Any]:
    def function(*arrays: Any) -> Any:
        made = tuple(apply(joins.at_least, asarray(x), ndim=ndim) for x in arrays)
        return made[0] if len(made) == 1 else made

    function.__doc__ = f"With at least {ndim} axes; of several arrays a tuple."
    return public(function)


atleast_1d, atleast_2d, atleast_3d = _raised(1), _raised(2), _raised(3)


@public
def broadcast_arrays(*arrays: Any) -> tuple[Tensor, ...]:
    """All in the shape that they broadcast to."""
    made = [asarray(x) for x in arrays]
    shape = joint_shape("broadcast_arrays", *(x.shape for x in made)) if made else ()
    return tuple(x.broadcast_to(shape) for x in made)


broadcast_tensors = broadcast_arrays


@public
def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that all broadcast to; () of none. ValueError where there is no such shape."""
    listed = [(s,) if hasattr(s, "__index__") else s for s in shapes]
    given = [tuple([whole("broadcast_shapes: an extent", n) for n in s]) for s in listed]
    return joint_shape("broadcast_shapes", *given) if given else ()


@public
def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False) -> tuple[Tensor, ...]:
    """The coordinates of a grid, from those along its axes. As in NumPy the first two axes are exchanged,
    unless `indexing` is "ij"."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', not {indexing!r}")
    vectors = [asarray(x) for x in (xi[0] if len(xi) == 1 and isinstance(xi[0], list | tuple) else xi)]
    places = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        places[:2] = 1, 0
    thin = [v.reshape(tuple(-1 if k == at else 1 for k in range(len(vectors))))
            for v, at in zip(vectors, places, strict=True)]  # fmt: skip
    return tuple(thin) if sparse else broadcast_arrays(*thin)


@public
def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Tensor:
    """NumPy's: `pad_width` before and behind each axis, as one number, one pair or a pair for each axis.
    `mode`: "constant", "edge", "reflect", "symmetric" or "wrap". (`nn.functional.pad` is PyTorch's.)"""
    x = asarray(x)
    if isinstance(pad_width, dict):
        named = {shapes.normal_axis(k, x.ndim): v for k, v in pad_width.items()}
        pad_width = [np.broadcast_to(named.get(k, 0), 2) for k in range(x.ndim)]
    pairs = _pairs("pad_width", pad_width, x.ndim)
    if any(not isinstance(w, int) for pair in pairs for w in pair):
        raise TypeError("pad: widths must be integers")
    if any(w < 0 for pair in pairs for w in pair):
        raise ValueError(f"pad: widths must not be negative, got {pairs}")
    widths = [(lo, hi) for lo, hi in pairs]
    if isinstance(constant_values, list | tuple):  # axis by axis, so that corners have the last one's
        for at, ends in enumerate(_pairs("constant_values", constant_values, x.ndim)):
            for end, value in enumerate(ends):
                own = [
                    tuple(w if (k, e) == (at, end) else 0 for e, w in enumerate(widths[k]))
                    for k in range(x.ndim)
                ]
                x = apply(joins.padded, x, value, widths=own, mode=mode)
        return x  # type: ignore[no-any-return]
    return apply(joins.padded, x, constant_values, widths=widths, mode=mode)


def _pairs(what: str, given: Any, ndim: int) -> list[Any]:
    """One number, one pair (before, behind) or one for each axis, as a pair for each."""
    try:
        return np.broadcast_to(np.asarray(given), (ndim, 2)).tolist() if ndim else []
    except ValueError:
        raise ValueError(
            f"pad: {what} must be a number, a pair (before, behind), or a pair for each of {ndim} axes, "
            f"not {given!r}; nn.functional.pad takes PyTorch's list"
        ) from None


@public
def sliding_window_view(x: Any, window_shape: Any, axis: Any = None) -> Tensor:
    """All windows along the axes: their places take those, their elements new ones at the end."""
    x = asarray(x)
    sizes = list(window_shape) if isinstance(window_shape, list | tuple) else [window_shape]
    listed = list(range(x.ndim)) if axis is None else list(axis) if isinstance(axis, list | tuple) else [axis]
    if len(sizes) != len(listed):
        raise ValueError(f"sliding_window_view: {len(sizes)} sizes for {len(listed)} axes")
    axes = [shapes.normal_axis(k, x.ndim) for k in listed]
    return apply(joins.windows, x, axes=axes, sizes=sizes, steps=[1] * len(axes))


# --- comparisons ---------------------------------------------------------------------------------


@public
def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |a - b| <= atol + rtol |b|, for each element; infinities are close to themselves alone, NaN to
    nothing, or to NaN with `equal_nan`. A number is one of the other's dtype."""
    x, y = asarray(a), asarray(b)
    if isinstance(b, float) and x.is_floating_point():
        y = asarray(b, dtype=x.dtype)
    if isinstance(a, float) and y.is_floating_point():
        x = asarray(a, dtype=y.dtype)
    if not (y.is_floating_point() or y.is_complex()):
        y = y.astype("float64")  # no difference of integers wraps
    near = ((x - y).abs() <= atol + rtol * y.abs()) & y.isfinite() | (x == y)
    return near | (x.isnan() & y.isnan()) if equal_nan else near


@public
def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as `isclose` says; TraceError in a compiled function."""
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


# --- products ------------------------------------------------------------------------------------


def _pair(build: Callable[[Node, Node], Node], doc: str) -> Callable[[Any, Any], Tensor]:
    def function(a: Any, b: Any) -> Tensor:
        return apply(build, asarray(a), asarray(b))

    function.__doc__ = doc
    return public(function)


inner = _pair(contractions.inner, "Sums of products over the last axes.")
kron = _pair(contractions.kron, "Each element of a times all of b.")
vdot = _pair(contractions.vdot, "The sum of products of all elements.")


@public
def matvec(a: Any, b: Any) -> Tensor:
    """Matrices times vectors, along the last axes of both."""
    return (asarray(a) @ asarray(b).unsqueeze(-1))[..., 0]


@public
def vecmat(a: Any, b: Any) -> Tensor:
    """Vectors, conjugated, times matrices, along the last axes of both."""
    return (asarray(a).conj().unsqueeze(-2) @ asarray(b))[..., 0, :]


@public
def adjoint(x: Any) -> Tensor:
    """The conjugate of each matrix, with its rows and columns in each other's place."""
    return asarray(x).mT.conj()


@public
def einsum(formula: Any, *operands: Any, out: None = None, optimize: Any = True, dtype: Any = None) -> Tensor:
    """NumPy's: `einsum("bij,bjk->bik", a, b)` is the sum of products over the letters that the result lacks;
    or `einsum(a, [0, 1, 2], b, [0, 2, 3], [0, 1, 3])`. Any number of operands, two at a time, in an order of
    lucid's own, whatever `optimize` says; letters may repeat, `...` stands for axes that broadcast."""
    if out is not None:
        raise TypeError("out: tensors are immutable; use the result")
    if not isinstance(formula, str):
        formula, operands = contractions.lettered(formula, *operands)
    given = [asarray(x) if dtype is None else asarray(x).astype(dtype) for x in operands]
    return apply(contractions.einsum, *given, formula=formula)


@public
def tensordot(a: Any, b: Any, axes: Any = 2, *, dims: Any = None) -> Tensor:
    """Sums over the last axes of a with the first ones of b, or over pairs of axes."""
    return apply(contractions.tensordot, asarray(a), asarray(b), axes=axes if dims is None else dims)


@public
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None,
    *, dim: int | None = None,
) -> Tensor:  # fmt: skip
    """The vector product of vectors of three elements, along these axes of a, of b and of the result, or
    along the same `axis` of all."""
    first, second, result = (axisa, axisb, axisc) if one_of(axis, dim) is None else (one_of(axis, dim),) * 3
    made = apply(contractions.cross, asarray(a).moveaxis(first, -1), asarray(b).moveaxis(second, -1))
    return made.moveaxis(-1, result)


def _matrices(name: str, *ndims: int) -> Callable[[Any, Any], Tensor]:
    def function(a: Any, b: Any) -> Tensor:
        a, b = asarray(a), asarray(b)
        if (a.ndim, b.ndim) != ndims:
            raise ValueError(f"{name}: expected {ndims[0]} and {ndims[1]} axes, got {a.shape} and {b.shape}")
        return apply(shapes.matmul, a, b)

    function.__doc__ = f"a @ b, of {ndims[0]} and {ndims[1]} axes."
    return public(function)


bmm, mv = _matrices("bmm", 3, 3), _matrices("mv", 2, 1)


def _scaled_sum(
    name: str, ndims: tuple[int, int], product: Callable[[Tensor, Tensor], Tensor], words: str
) -> Callable[..., Tensor]:
    def function(x: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Tensor:
        x, a, b = map(asarray, (x, a, b))
        if (a.ndim, b.ndim) != ndims:
            raise ValueError(f"{name}: expected {ndims[0]} and {ndims[1]} axes, got {a.shape} and {b.shape}")
        return apply(contractions.scaled_sum, x, product(a, b), beta, alpha)

    function.__doc__ = f"beta x + alpha {words}; nothing of x if beta is 0."
    return public(function)


addmm = _scaled_sum("addmm", (2, 2), matmul, "(a @ b)")
addmv = _scaled_sum("addmv", (2, 1), matmul, "(a @ b)")
baddbmm = _scaled_sum("baddbmm", (3, 3), matmul, "(a @ b)")
addbmm = _scaled_sum("addbmm", (3, 3), lambda a, b: (a @ b).sum(0), "(the sum of a[k] @ b[k])")
addr = _scaled_sum("addr", (1, 1), lambda a, b: a[:, None] * b, "(a[i] * b[j])")


@public
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, *, correction: int | None = None, dtype: Any = None,
) -> Tensor:  # fmt: skip
    """The covariances of the rows of m (of its columns, if not `rowvar`); in float64, as NumPy's. A column
    counts `fweights` times (integers), and as much as `aweights` says."""
    divisor = ddof if correction is None else correction
    given = [None if x is None else asarray(x) for x in (y, fweights, aweights)]
    return apply(
        contractions.cov, asarray(m), *given, rowvar=rowvar, bias=bias, ddof=divisor, dtype=maybe(dtype)
    )


@public
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Tensor:
    """Covariances over the products of standard deviations; in float64, as NumPy's."""
    more = None if y is None else asarray(y)
    return apply(contractions.corrcoef, asarray(x), more, rowvar=rowvar, dtype=maybe(dtype))


name_all(globals(), __all__)
