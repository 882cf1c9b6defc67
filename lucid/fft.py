"""Discrete Fourier transforms, under NumPy's names.

`norm` says which direction is scaled: "backward" (the inverse one, by 1/n), "forward", or "ortho" (both by
1/sqrt(n)). `n` and `s` are lengths to which axes are cut, or filled up with zeros; `dim` is another name of
`axis` and `axes`. float32 and complex64 give complex64, other dtypes complex128 (float16: complex64).

pocketfft computes them, through NumPy, when they are called; in a compiled function as a step between
kernels, at each call of that. Gradients exist to any order. ValueError for a length below 1, an axis that is
not there, another `norm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from . import array_functions, pocketfft
from .complexes import conj
from .creation import given as asarray
from .defaults import float_or_default
from .errors import public
from .hosted import results
from .named import name_all
from .promote import cast, float_dtype, whole
from .reductions import one_of
from .shapes import normal_axis
from .tensor import Tensor, apply

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn",
    "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq",
    "rfftn",
]  # fmt: skip

Axes = int | Sequence[int] | None
Lengths = Sequence[int] | None


def _norm(norm: Any) -> str:
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(f"norm must be 'backward', 'ortho' or 'forward', not {norm!r}")
    return norm or "backward"


def _prepared(
    x: Node, *, axes: tuple[int, ...], lengths: tuple[int | None, ...], of_complex: bool, name: str
) -> Node:
    """In a dtype that is transformed, cut or filled up along axes."""
    dtype = float_dtype(x)
    x = cast(x, dtype.computed)
    if x.type.dtype.is_complex and not of_complex:
        raise TypeError(f"{name}: expected real numbers, not {dtype.numpy}; use fft")
    if of_complex and not x.type.dtype.is_complex:
        x = ops.COMPLEX(x, ops.zeros_like(x))
    for axis, wanted in zip(axes, lengths, strict=True):
        n = x.shape[axis] if wanted is None else whole("n", wanted)
        if n < 1:
            raise ValueError(f"{name}: {n} points along axis {axis}; expected at least one")
        x = ops.narrow(x, axis, 0, min(n, x.shape[axis]))
        x = ops.pad_axis(x, axis, 0, n - x.shape[axis])
    return x


def _along(name: str, x: Tensor, s: Lengths, axes: Axes) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
    """The axes, and the length of each, if it is given."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    axes = axes if isinstance(axes, Iterable) else (axes,)
    found = tuple(normal_axis(a, x.ndim) for a in axes)
    lengths = (None,) * len(found) if s is None else tuple(None if n == -1 else n for n in s)
    if len(lengths) != len(found):
        raise ValueError(f"{name}: {len(lengths)} lengths for {len(found)} axes")
    return found, lengths


def _transformed(name: str, a: Any, s: Lengths, axes: Axes, norm: Any, inverse: bool) -> Tensor:
    x = asarray(a)
    along, lengths = _along(name, x, s, axes)
    made = apply(_prepared, x, axes=along, lengths=lengths, of_complex=True, name=f"fft.{name}")
    for axes_once in _rounds(along):
        made = results(pocketfft.FFT, made, axes=axes_once, norm=_norm(norm), inverse=inverse)[0]
    return made


def _rounds(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """All at once; an axis that is given twice is transformed twice."""
    return [axes] if len(set(axes)) == len(axes) else [(a,) for a in reversed(axes)]


def _of_real(name: str, a: Any, s: Lengths, axes: Axes, norm: Any) -> Tensor:
    """The last axis first, then the others."""
    x = asarray(a)
    along, lengths = _along(name, x, s, axes)
    if not along:
        raise ValueError(f"fft.{name}: expected at least one axis")
    made = apply(_prepared, x, axes=along, lengths=lengths, of_complex=False, name=f"fft.{name}")
    made = results(pocketfft.RFFT, made, axis=along[-1], norm=_norm(norm))[0]
    for axes_once in _rounds(along[:-1]) if along[:-1] else ():
        made = results(pocketfft.FFT, made, axes=axes_once, norm=_norm(norm), inverse=False)[0]
    return made


def _to_real(name: str, a: Any, s: Lengths, axes: Axes, norm: Any) -> Tensor:
    x = asarray(a)
    along, lengths = _along(name, x, s, axes)
    if not along:
        raise ValueError(f"fft.{name}: expected at least one axis")
    n = 2 * (x.shape[along[-1]] - 1) if lengths[-1] is None else whole("n", lengths[-1])
    if n < 1:
        raise ValueError(f"fft.{name}: {n} points along axis {along[-1]}; expected at least one")
    halves = (*lengths[:-1], n // 2 + 1)
    made = apply(_prepared, x, axes=along, lengths=halves, of_complex=True, name=f"fft.{name}")
    for axes_once in _rounds(along[:-1]) if along[:-1] else ():
        made = results(pocketfft.FFT, made, axes=axes_once, norm=_norm(norm), inverse=True)[0]
    return results(pocketfft.IRFFT, made, n=n, axis=along[-1], norm=_norm(norm))[0]


# --- along one axis ------------------------------------------------------------------------------


def _one(n: int | None) -> Lengths:
    if n is not None and n < 1:
        raise ValueError(f"fft: {n} points; expected at least one")
    return None if n is None else (n,)


@public
def fft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, *, dim: Any = None) -> Tensor:
    """The sums over j of a[j] exp(-2 pi i j k / n), for k < n."""
    return _transformed("fft", a, _one(n), (one_of(axis, dim, -1),), norm, False)


@public
def ifft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, *, dim: Any = None) -> Tensor:
    """The inverse of `fft`."""
    return _transformed("ifft", a, _one(n), (one_of(axis, dim, -1),), norm, True)


@public
def rfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, *, dim: Any = None) -> Tensor:
    """The first n // 2 + 1 elements of the `fft` of real numbers: the others are their conjugates."""
    return _of_real("rfft", a, _one(n), (one_of(axis, dim, -1),), norm)


@public
def irfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, *, dim: Any = None
) -> Tensor:
    """The inverse of `rfft`: n real numbers, by default twice as many as there are, less 2."""
    return _to_real("irfft", a, _one(n), (one_of(axis, dim, -1),), norm)


@public
def hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, *, dim: Any = None) -> Tensor:
    """The `fft`, which is real, of n numbers of which the second half are the conjugates of the first."""
    back = pocketfft.ADJOINT[_norm(norm)]
    return _to_real("hfft", apply(conj, asarray(a)), _one(n), (one_of(axis, dim, -1),), back)


@public
def ihfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, *, dim: Any = None
) -> Tensor:
    """The inverse of `hfft`."""
    back = pocketfft.ADJOINT[_norm(norm)]
    return apply(conj, _of_real("ihfft", a, _one(n), (one_of(axis, dim, -1),), back))


# --- along several axes --------------------------------------------------------------------------

Transform = Callable[[str, Any, Lengths, Axes, Any], Tensor]


def _several(name: str, run: Transform, default: tuple[int, int] | None, doc: str) -> Callable[..., Tensor]:
    def function(
        a: Any, s: Lengths = None, axes: Axes = default, norm: str | None = None, *, dim: Axes = None
    ) -> Tensor:
        return run(name, a, s, one_of(axes, dim, default), norm)

    function.__doc__ = doc
    return public(function)


def _forward(name: str, a: Any, s: Lengths, axes: Axes, norm: Any) -> Tensor:
    return _transformed(name, a, s, axes, norm, False)


def _backward(name: str, a: Any, s: Lengths, axes: Axes, norm: Any) -> Tensor:
    return _transformed(name, a, s, axes, norm, True)


_TWO = (-2, -1)
fftn = _several("fftn", _forward, None, "`fft` along several axes, all by default.")
ifftn = _several("ifftn", _backward, None, "The inverse of `fftn`.")
rfftn = _several(
    "rfftn", _of_real, None, "`rfft` along the last of several axes, then `fft` along the others."
)
irfftn = _several("irfftn", _to_real, None, "The inverse of `rfftn`.")
fft2 = _several("fft2", _forward, _TWO, "`fft` along two axes, the last ones by default.")
ifft2 = _several("ifft2", _backward, _TWO, "The inverse of `fft2`.")
rfft2 = _several("rfft2", _of_real, _TWO, "`rfft` along the last of two axes, then `fft` along the other.")
irfft2 = _several("irfft2", _to_real, _TWO, "The inverse of `rfft2`.")


def _hermitian(name: str, a: Any, s: Lengths, axes: Axes, norm: Any) -> Tensor:
    return _to_real(name, apply(conj, asarray(a)), s, axes, pocketfft.ADJOINT[_norm(norm)])


def _to_hermitian(name: str, a: Any, s: Lengths, axes: Axes, norm: Any) -> Tensor:
    return apply(conj, _of_real(name, a, s, axes, pocketfft.ADJOINT[_norm(norm)]))


hfftn = _several("hfftn", _hermitian, None, "`fft` along several axes, `hfft` along the last of them.")
ihfftn = _several("ihfftn", _to_hermitian, None, "The inverse of `hfftn`.")
hfft2 = _several("hfft2", _hermitian, _TWO, "`fft` along the first of two axes, `hfft` along the last.")
ihfft2 = _several("ihfft2", _to_hermitian, _TWO, "The inverse of `hfft2`.")

# --- frequencies ---------------------------------------------------------------------------------


@public
def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of the elements of an `fft` of n points at distances d; float32 by default."""
    return asarray(np.fft.fftfreq(n, d), dtype=float_or_default(dtype).np, device=device)


@public
def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The frequencies of the elements of an `rfft`; float32 by default."""
    return asarray(np.fft.rfftfreq(n, d), dtype=float_or_default(dtype).np, device=device)


def _shifted(x: Any, axes: Any, back: bool) -> Tensor:
    x = asarray(x)
    listed = range(x.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
    along = [normal_axis(a, x.ndim) for a in listed]
    return array_functions.roll(x, [-(x.shape[a] // 2) if back else x.shape[a] // 2 for a in along], along)


@public
def fftshift(x: Any, axes: Any = None, *, dim: Any = None) -> Tensor:
    """With the frequency 0 in the middle, along all axes by default."""
    return _shifted(x, one_of(axes, dim), False)


@public
def ifftshift(x: Any, axes: Any = None, *, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted(x, one_of(axes, dim), True)


name_all(globals(), __all__)
