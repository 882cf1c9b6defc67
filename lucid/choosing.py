"""Arrays by choice among others, changes of elements in place as NumPy's functions make them, and indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import subscripts
from .arrangement import column_major
from .array_functions import broadcast_tensors, stack
from .assembly import resize
from .creation import arange, ones, values_of
from .creation import given as asarray
from .errors import public
from .functional import where
from .lanes import values_known
from .named import name_all
from .promote import joint_shape, whole
from .shapes import normal_axis
from .tensor import Tensor, apply

__all__ = [
    "choose", "compress", "copyto", "diag_indices", "diag_indices_from", "extract", "fill_diagonal",
    "fromfunction", "indices", "lexsort", "mask_indices", "masked_scatter", "nanargmax", "nanargmin",
    "nancumprod", "nancumsum", "piecewise", "place", "put", "putmask", "ravel_multi_index", "select",
    "sort_complex", "take_along_dim", "tril_indices_from", "triu_indices_from", "unravel_index",
]  # fmt: skip


# --- choices -------------------------------------------------------------------------------------------


@public
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Tensor:
    """The elements of `input` at `indices` along one axis, both of which broadcast along the others; None:
    of all elements in a row. IndexError for an index outside of the axis."""
    x, index = asarray(input), asarray(indices)
    if dim is None:
        return x.reshape(-1).take(index)
    axis = normal_axis(dim, x.ndim)
    if x.ndim != index.ndim:
        raise ValueError(f"take_along_dim: {x.ndim} axes, and indices of {index.ndim}")
    joint = joint_shape("take_along_dim", *(t.shape[:axis] + (1,) + t.shape[axis + 1 :] for t in (x, index)))
    x, index = (t.broadcast_to((*joint[:axis], t.shape[axis], *joint[axis + 1 :])) for t in (x, index))
    return x.take_along_axis(index, axis)


@public
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Tensor:
    """Elements of the first of `choicelist` whose condition holds, of `default` where none does; all
    broadcast. (PyTorch's `select` is the method.)"""
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"select: {len(condlist)} conditions for {len(choicelist)} choices; expected as many"
        )
    if not condlist:
        raise ValueError("select: expected at least one condition")
    for c in condlist:
        if asarray(c).dtype != bool:
            raise TypeError(f"select: conditions must be bools, not {asarray(c).dtype}")
    made = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        made = where(condition, choice, made)
    return asarray(made)


@public
def choose(x: Any, choices: Any, mode: str = "raise") -> Tensor:
    """At each place the element of that choice which x names, from 0 on; all broadcast. IndexError for one
    that is not there; with mode "wrap" they go round, with "clip" the nearest stands."""
    x = asarray(x)
    if x.dtype.kind not in "iub":
        raise TypeError(f"choose: expected ints, not {x.dtype}")
    index, *parts = broadcast_tensors(x, *choices)
    if not parts:
        raise ValueError("choose: expected at least one choice")
    return stack(parts).take_along_axis(_numbered(index, len(parts), mode).unsqueeze(0), 0)[0]


def _numbered(index: Tensor, n: int, mode: str) -> Tensor:
    """Ints from 0 to n - 1. IndexError on others in mode "raise"."""
    if mode == "wrap":
        return index % n
    if mode == "clip":
        return index.clip(0, n - 1)
    if mode != "raise":
        raise ValueError(f"mode must be 'raise', 'wrap' or 'clip', not {mode!r}")
    return apply(lambda k: subscripts.place(k, n, negative=False), index)


@public
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Tensor:
    """In the dtype of x: of the last condition that holds its function of x (and of `args` and `kw`), or its
    number; where none holds that of one function more, or 0. Functions are given all of x."""
    x = asarray(x)
    many = not isinstance(condlist, bool) and np.ndim(condlist[0])
    if not many and x.ndim:
        condlist = [condlist]
    conditions = [asarray(c).astype(bool) for c in condlist]
    if len(funclist) not in (len(conditions), len(conditions) + 1):
        raise ValueError(
            f"piecewise: {len(funclist)} functions for {len(conditions)} conditions; expected as many, or "
            "one more"
        )
    values = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    made = values[len(conditions)] if len(values) > len(conditions) else 0
    for condition, value in zip(conditions, values, strict=False):
        made = where(condition, value, made)
    return asarray(made).astype(x.dtype).broadcast_to(x.shape)


@public
def compress(condition: Any, x: Any, axis: int | None = None) -> Tensor:
    """x at the places along `axis` (of all elements in a row, for None) where `condition`, a vector, holds.
    Outside of compiled functions, or of a condition that is known."""
    x = asarray(x)
    if axis is None:
        x, axis = x.ravel(), 0
    axis = normal_axis(axis, x.ndim)
    mask = values_of("compress", condition, "use lucid.where, or a mask of NumPy's")
    if mask.ndim != 1:
        raise ValueError(f"compress: the condition must have one dimension, not {mask.ndim}")
    return x.take(np.flatnonzero(mask), axis=axis)  # type: ignore[no-any-return]


@public
def extract(condition: Any, x: Any) -> Tensor:
    """The elements of x, row-major, where `condition` holds. Outside of compiled functions."""
    return compress(asarray(condition).ravel(), x)


# --- in place ------------------------------------------------------------------------------------------


def _own(name: str, x: Any) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a Tensor, which is changed in place, not {type(x).__name__}")
    return x


@public
def copyto(dst: Tensor, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Assign `src`, which broadcasts, where `where` holds: in place."""
    dst, src = _own("copyto", dst), asarray(src)
    if not np.can_cast(src.dtype, dst.dtype, casting):  # type: ignore[arg-type]
        raise TypeError(f"copyto: {src.dtype} does not become {dst.dtype} by casting {casting!r}")
    src = src.astype(dst.dtype).broadcast_to(dst.shape)
    dst._become(src if where is True else _where(where, src, dst))


_where = where


@public
def putmask(x: Tensor, mask: Any, values: Any) -> None:
    """Assign where `mask` holds, in place: to element k of x, row-major, element k of `values`, which begin
    again where they end."""
    x, mask = _own("putmask", x), asarray(mask).astype(bool)
    if mask.size != x.size:
        raise ValueError(f"putmask: a mask of shape {mask.shape} for a tensor of {x.shape}")
    if asarray(values).size:
        x._become(where(mask.reshape(x.shape), resize(values, x.shape).astype(x.dtype), x))


@public
def place(x: Tensor, mask: Any, vals: Any) -> None:
    """Assign where `mask` holds, in place: there, row-major, the elements of `vals` one after the other,
    which begin again where they end."""
    x, mask, values = _own("place", x), asarray(mask).astype(bool), asarray(vals).ravel()
    if mask.size != x.size:
        raise ValueError(f"place: a mask of shape {mask.shape} for a tensor of {x.shape}")
    if not values.size:
        if values_known() and bool(mask.any()):
            raise ValueError("place: no values to assign")
        return
    x._become(_in_order(x, mask.reshape(x.shape), values, wrap=True))


def _in_order(x: Tensor, mask: Tensor, values: Tensor, wrap: bool) -> Tensor:
    """x with the elements of `values` where the mask holds, one after the other."""
    flat = mask.ravel()
    number = flat.cumsum(0) - 1
    number = number % values.size if wrap else where(flat, number, 0)
    return where(mask, values.astype(x.dtype).take(number).reshape(x.shape), x)


@public
def masked_scatter(x: Any, mask: Any, source: Any) -> Tensor:
    """x with the elements of `source`, row-major, one after the other where `mask` holds; both broadcast.
    IndexError where there are too few; TypeError for a mask that is not of bools."""
    mask, source = asarray(mask), asarray(source)
    if mask.dtype != bool:
        raise TypeError(f"masked_scatter: the mask must be bool, not {mask.dtype}; compare, or cast it")
    x, mask = broadcast_tensors(x, mask)
    if not source.size:
        if values_known() and bool(mask.any()):
            raise IndexError("masked_scatter: no values to assign")
        return x  # type: ignore[no-any-return]
    return _in_order(x, mask, source.ravel(), wrap=False)


@public
def put(x: Tensor, ind: Any, v: Any, mode: str = "raise") -> None:
    """Assign to the elements `ind` of x, row-major, in place; values begin again where they end, and the last
    of several for one element wins. IndexError for one that is outside; with mode "wrap" they go round, with
    "clip" the nearest stands."""
    x, index = _own("put", x), asarray(ind)
    if index.dtype.kind not in "iub":
        raise TypeError(f"put: places must be ints, not {index.dtype}")
    index = index.astype(np.int64).ravel()
    if mode != "raise":
        index = _numbered(index, x.size, mode)
    if index.size and asarray(v).size:
        x._become(x.ravel().at[index].set(resize(v, index.shape)).reshape(x.shape))


@public
def fill_diagonal(x: Tensor, val: Any, wrap: bool = False) -> None:
    """Assign to the elements x[i, i, ..., i], in place; values begin again where they end. With `wrap` the
    diagonal of a tall matrix goes on below."""
    x = _own("fill_diagonal", x)
    if x.ndim < 2:
        raise ValueError(f"fill_diagonal: expected at least 2 dimensions, got shape {x.shape}")
    if x.ndim > 2 and len(set(x.shape)) > 1:
        raise ValueError(f"fill_diagonal: all extents must be equal, got shape {x.shape}")
    step = x.shape[1] + 1 if x.ndim == 2 else sum(x.shape[1] ** k for k in range(x.ndim))
    end = x.size if wrap or x.ndim > 2 else min(x.size, x.shape[1] * x.shape[1])
    put(x, np.arange(0, end, step), val)


@public
def sort_complex(x: Any) -> Tensor:
    """As complex numbers, in the order of their real, then of their imaginary parts, along the last axis; NaN
    comes last."""
    x = asarray(x)
    if not x.is_complex():
        x = x.astype(np.complex64 if x.dtype.kind in "iu" and x.dtype.itemsize < 4 else np.complex128)
    last = x.real.isnan() * 2 + x.imag.isnan()
    found: Tensor = x.take_along_axis(lexsort((x.imag, x.real, last)), -1)
    return found


# --- indices -------------------------------------------------------------------------------------------


@public
def indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    """Along a new first axis, the index of each element of a grid; with `sparse` a tuple of them, each of
    extent 1 along the others."""
    shape = tuple(whole("an extent", n) for n in dimensions)
    kind = np.dtype(dtype)
    ndim = len(shape)
    parts = [
        arange(n, dtype=kind).reshape(tuple(n if d == k else 1 for d in range(ndim)))
        for k, n in enumerate(shape)
    ]
    if sparse:
        return tuple(parts)
    if not parts:
        return asarray(np.zeros((0,), kind))
    return stack([p.broadcast_to(shape) for p in parts])


@public
def fromfunction(function: Callable[..., Any], shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """`function` of the `indices` of a grid, one argument an axis."""
    return function(*indices(shape, dtype=dtype), **kwargs)


@public
def mask_indices(n: int, mask_func: Callable[..., Any], k: Any = 0) -> tuple[Tensor, ...]:
    """The indices at which `mask_func(ones((n, n)), k)`, such as `triu`, is not 0. Outside of compiled
    functions, unless these values are known."""
    mask = values_of("mask_indices", mask_func(ones((n, n), dtype=np.int64), k), "use triu_indices")
    return tuple([asarray(part) for part in np.nonzero(mask)])


@public
def diag_indices(n: int, ndim: int = 2) -> tuple[Tensor, ...]:
    """The indices of the diagonal of an array of `ndim` axes of n elements."""
    return (arange(whole("n", n), dtype=np.int64),) * whole("ndim", ndim)


@public
def diag_indices_from(x: Any) -> tuple[Tensor, ...]:
    """The indices of the diagonal of x, whose extents are equal."""
    x = asarray(x)
    if x.ndim < 2 or len(set(x.shape)) > 1:
        raise ValueError(f"diag_indices_from: expected equal extents of two axes or more, got {x.shape}")
    return diag_indices(x.shape[0], x.ndim)


def _triangle(upper: bool, x: Any, k: int) -> tuple[Tensor, ...]:
    x = asarray(x)
    if x.ndim != 2:
        raise ValueError(f"tri{'u' if upper else 'l'}_indices_from: expected a matrix, got shape {x.shape}")
    mask = np.tri(x.shape[0], x.shape[1], k - 1 if upper else k, dtype=bool)
    return tuple(asarray(n) for n in np.nonzero(~mask if upper else mask))


@public
def tril_indices_from(x: Any, k: int = 0) -> tuple[Tensor, ...]:
    """The indices of the elements of a matrix up to diagonal k."""
    return _triangle(False, x, whole("k", k))


@public
def triu_indices_from(x: Any, k: int = 0) -> tuple[Tensor, ...]:
    """The indices of the elements of a matrix from diagonal k on."""
    return _triangle(True, x, whole("k", k))


@public
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Tensor, ...]:
    """The index along each axis of an array of `shape` of its elements `indices`, row-major (for order "F"
    column-major). IndexError for one that is outside."""
    if column_major(order):
        return unravel_index(indices, tuple(np.atleast_1d(shape))[::-1])[::-1]
    extents = tuple(whole("an extent", n) for n in np.atleast_1d(shape))
    rest = _numbered(_ints("unravel_index", indices), int(np.prod(extents, dtype=object)), "raise")
    found: list[Tensor] = []
    for n in reversed(extents):
        found.append(rest % n)
        rest = rest // n
    return tuple(reversed(found))


@public
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Tensor:
    """The numbers, row-major (for order "F" column-major), of the elements of an array of `dims` at these
    indices, one array an axis. IndexError for one that is outside; with mode "wrap" they go round, with
    "clip" the nearest stands."""
    if column_major(order):
        way = mode[::-1] if isinstance(mode, tuple) else mode
        return ravel_multi_index(tuple(multi_index)[::-1], tuple(np.atleast_1d(dims))[::-1], way)
    extents = tuple(whole("an extent", n) for n in np.atleast_1d(dims))
    parts = [_ints("ravel_multi_index", x) for x in multi_index]
    if len(parts) != len(extents):
        raise ValueError(f"ravel_multi_index: {len(parts)} indices for {len(extents)} axes")
    modes = mode if isinstance(mode, tuple) else (mode,) * len(extents)
    number: Any = 0
    for part, n, how in zip(parts, extents, modes, strict=True):
        number = number * n + _numbered(part, n, how)
    return asarray(number)


def _ints(name: str, x: Any) -> Tensor:
    found = asarray(x)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected ints, not {found.dtype}")
    return found.astype(np.int64)


@public
def lexsort(keys: Any, axis: int = -1) -> Tensor:
    """The order in which the last of `keys` is sorted, equal ones by the key before it, and so on."""
    parts = [asarray(k) for k in keys]
    if not parts:
        raise TypeError("lexsort: expected at least one key")
    parts = [k.unsqueeze(0) if k.ndim == 0 else k for k in parts]
    order = parts[0].argsort(axis, stable=True)
    for key in parts[1:]:
        inner = key.take_along_axis(order, axis).argsort(axis, stable=True)
        order = order.take_along_axis(inner, axis)
    return order


# --- past NaN ------------------------------------------------------------------------------------------


def _arg(name: str, fill: float, method: str) -> Callable[..., Tensor]:
    def function(x: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False) -> Tensor:
        x = asarray(x)
        if x.dtype.kind != "f":
            return getattr(x, method)(axis, keepdims=keepdims)  # type: ignore[no-any-return]
        if out is not None:
            raise TypeError("out: tensors are immutable; use the result")
        empty = x.isnan()
        if values_known() and bool(empty.all(axis).any()) and x.size:
            raise ValueError(f"{name}: all elements of a slice are NaN")
        return getattr(x.masked_fill(empty, fill), method)(axis, keepdims=keepdims)  # type: ignore[no-any-return]

    function.__doc__ = (
        f"`{method}` of what is not NaN. ValueError where all is; in a compiled function 0 there."
    )
    return public(function)


nanargmax = _arg("nanargmax", -np.inf, "argmax")
nanargmin = _arg("nanargmin", np.inf, "argmin")


@public
def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The sums up to each element; NaN counts as 0."""
    x = asarray(x)
    return (x.masked_fill(x.isnan(), 0) if x.dtype.kind in "fc" else x).cumsum(axis, dtype=dtype)  # type: ignore[no-any-return]


@public
def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
    """The products up to each element; NaN counts as 1."""
    x = asarray(x)
    return (x.masked_fill(x.isnan(), 1) if x.dtype.kind in "fc" else x).cumprod(axis, dtype=dtype)  # type: ignore[no-any-return]


name_all(globals(), __all__)
