"""Functions of samples in a row: convolution, interpolation, phases, windows; and distances between rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import linalg
from .array_functions import concatenate, pad, sliding_window_view, tensordot
from .creation import Device, constant, zeros
from .creation import given as asarray
from .defaults import float_or_default
from .errors import public
from .functional import where
from .named import name_all
from .promote import whole
from .reductions import one_of
from .sequences import searchsorted
from .shapes import Axes, normal_axis
from .tensor import Tensor

__all__ = [
    "bartlett", "bartlett_window", "blackman", "blackman_window", "cdist", "convolve", "correlate",
    "dist", "hamming", "hamming_window", "hann_window", "hanning", "interp", "kaiser", "kaiser_window",
    "norm", "renorm", "unwrap",
]  # fmt: skip


# --- sums of products ----------------------------------------------------------------------------------


@public
def convolve(a: Any, v: Any, mode: str = "full") -> Tensor:
    """sum over k of a[k] v[n - k], for all n ("full"), for as many as the longer one has ("same"), or where
    one lies within the other ("valid")."""
    a, v = _vector("convolve", a), _vector("convolve", v)
    return (
        _slid("convolve", a, v.flip(0), mode) if len(a) >= len(v) else _slid("convolve", v, a.flip(0), mode)
    )


@public
def correlate(a: Any, v: Any, mode: str = "valid") -> Tensor:
    """sum over k of a[n + k] conj(v[k]); the modes are those of `convolve`."""
    a, v = _vector("correlate", a), _vector("correlate", v)
    v = v.conj() if v.dtype.kind == "c" else v
    return _slid("correlate", a, v, mode) if len(a) >= len(v) else _slid("correlate", v, a, mode).flip(0)


def _vector(name: str, x: Any) -> Tensor:
    found = asarray(x)
    found = found.reshape(1) if found.ndim == 0 else found
    if found.ndim != 1 or not found.size:
        raise ValueError(f"{name}: expected vectors that are not empty, got shape {found.shape}")
    return found


def _slid(name: str, long: Tensor, short: Tensor, mode: str) -> Tensor:
    m = len(short)
    before = {"valid": 0, "same": m // 2, "full": m - 1}.get(mode)
    if before is None:
        raise ValueError(f"{name}: mode must be 'full', 'same' or 'valid', not {mode!r}")
    after = before if mode != "same" else m - 1 - before
    return tensordot(sliding_window_view(pad(long, (before, after)), m), short, 1)


# --- interpolation, and phases -------------------------------------------------------------------------


@public
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: float | None = None
) -> Tensor:
    """The values at x of the lines between the points (xp, fp), whose xp rise; before them `left` (fp[0]),
    behind them `right` (fp[-1]). With a `period` xp may lie in any order. Gradients flow to all three."""
    x, xp, fp = asarray(x), asarray(xp), asarray(fp)
    kind = np.result_type(x.dtype, xp.dtype, fp.dtype, np.float32 if fp.dtype == np.float32 else np.float64)
    x, xp = (
        t.astype(np.result_type(t.dtype, np.float32) if t.dtype.kind == "f" else np.float64) for t in (x, xp)
    )
    fp = fp.astype(kind)
    if xp.ndim != 1 or fp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ValueError(
            f"interp: expected as many xp as fp, in one dimension, got {xp.shape} and {fp.shape}"
        )
    if period is not None:
        if not period:
            raise ValueError("interp: the period must not be 0")
        period = abs(period)
        x, xp = x % period, xp % period
        order = xp.argsort(stable=True)
        xp, fp = xp.take(order), fp.take(order)
        xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = concatenate([fp[-1:], fp, fp[:1]])
    last = len(xp) - 1
    if not last:
        made = fp.broadcast_to((1,)).take(constant(zeros(x.shape, dtype=np.int64)))
    else:
        k = (searchsorted(xp, x, side="right") - 1).clip(0, last - 1)
        x0, x1, f0, f1 = xp.take(k), xp.take(k + 1), fp.take(k), fp.take(k + 1)
        made = f0 + (x - x0) * ((f1 - f0) / (x1 - x0))
        made = where(x == x1, f1, made)
    made = where(x < xp[0], fp[0] if left is None else left, made)
    made = where(x > xp[last], fp[last] if right is None else right, made)
    return where(x.isnan(), x, made)


@public
def unwrap(p: Any, discont: float | None = None, axis: int = -1, *, period: float = 2 * math.pi) -> Tensor:
    """Phases with whole periods added, so that no two neighbours are further apart than `discont` (half a
    period, which is also the least)."""
    p = asarray(p)
    axis = normal_axis(axis, p.ndim)
    if p.dtype.kind in "iub" and isinstance(period, float):
        p = p.astype(np.float64)
    steps = p.diff(axis=axis)
    half = period // 2 if p.dtype.kind in "iu" else period / 2
    low = -half
    mod = (steps - low) % period + low
    mod = where((mod == low) & (steps > 0), half, mod)
    correct = mod - steps
    correct = where(steps.abs() < (half if discont is None else discont), 0, correct).astype(p.dtype)
    first = p[(slice(None),) * axis + (slice(0, 1),)]
    rest = p[(slice(None),) * axis + (slice(1, None),)]
    return concatenate([first, rest + correct.cumsum(axis)], axis=axis)


# --- windows -------------------------------------------------------------------------------------------


def _window(name: str, doc: str) -> Callable[[int], Tensor]:
    theirs = getattr(np, name)

    def function(M: int) -> Tensor:
        return asarray(theirs(whole("M", M)))

    function.__doc__ = f"{doc}, of M float64 samples, symmetric."
    return public(function)


bartlett = _window("bartlett", "The triangular window that is 0 at both ends")
blackman = _window("blackman", "The window of two cosines, 0.42 - 0.5 cos + 0.08 cos")
hamming = _window("hamming", "The window of a cosine, 0.54 - 0.46 cos")
hanning = _window("hanning", "The window of a cosine, 0.5 - 0.5 cos")


@public
def kaiser(M: int, beta: float) -> Tensor:
    """The window of the Bessel function I0, of M float64 samples, symmetric."""
    return asarray(np.kaiser(whole("M", M), beta))


def _sampled(
    samples: Callable[[int], Any], length: int, periodic: bool, dtype: Any, device: Device
) -> Tensor:
    """So many samples of a window, which is symmetric; `periodic`: all but the last one of one more."""
    n = whole("window_length", length)
    if n < 0:
        raise ValueError(f"window_length must not be negative, got {n}")
    values = samples(n + 1)[:-1] if periodic and n > 1 else samples(n)
    return asarray(values, dtype=float_or_default(dtype).np, device=device)


def _periodic(theirs: Callable[[int], Any], doc: str) -> Callable[..., Tensor]:
    def function(
        window_length: int, periodic: bool = True, *, dtype: Any = None, device: Device = None
    ) -> Tensor:
        return _sampled(theirs, window_length, periodic, dtype, device)

    function.__doc__ = f"`{doc}` in float32: by default one period of a longer one, for spectra; PyTorch's."
    return public(function)


bartlett_window = _periodic(np.bartlett, "bartlett")
blackman_window = _periodic(np.blackman, "blackman")
hann_window = _periodic(np.hanning, "hanning")


@public
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46,
    *, dtype: Any = None, device: Device = None,
) -> Tensor:  # fmt: skip
    """alpha - beta cos in float32: by default one period, for spectra; PyTorch's."""

    def samples(n: int) -> Any:
        return alpha - beta * np.cos(2 * np.pi * np.arange(n) / (n - 1)) if n != 1 else np.ones(1)

    return _sampled(samples, window_length, periodic, dtype, device)


@public
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, device: Device = None
) -> Tensor:
    """`kaiser` in float32: by default one period of a longer one, for spectra; PyTorch's."""
    return _sampled(lambda n: np.kaiser(n, beta), window_length, periodic, dtype, device)


# --- distances -----------------------------------------------------------------------------------------


@public
def renorm(x: Any, p: float, dim: int, maxnorm: float) -> Tensor:
    """x with each slice along `dim` whose p-norm is above `maxnorm` scaled down to that."""
    t = asarray(x)
    if t.ndim < 2:
        raise ValueError(f"renorm: expected at least two axes, got shape {t.shape}")
    if not p > 0 or maxnorm < 0:
        raise ValueError(f"renorm: expected p above 0 and maxnorm of at least 0, got {p} and {maxnorm}")
    axis = normal_axis(dim, t.ndim)
    sizes = linalg.vector_norm(t, p, tuple(k for k in range(t.ndim) if k != axis), True)
    return t * where(sizes > maxnorm, maxnorm / (sizes + 1e-7), 1.0).astype(t.dtype)


@public
def norm(
    x: Any, p: float | str | None = "fro", axis: Axes = None, keepdims: bool = False,
    *, dim: Axes = None, keepdim: bool = False, dtype: Any = None,
) -> Tensor:  # fmt: skip
    """PyTorch's: the p-norm of all elements, or of those along axes, as one vector, a matrix's too; "fro" is
    that of p = 2, "nuc" the sum of the singular values of matrices. (NumPy's, for which p = 2 of a matrix is
    its greatest singular value, is `linalg.norm`.)"""
    x = asarray(x) if dtype is None else asarray(x).astype(dtype)
    axes, keep = one_of(axis, dim), keepdims or keepdim
    if p == "nuc":
        return linalg.norm(x, p, axes, keep)
    return linalg.vector_norm(x, 2 if p is None or p == "fro" else p, axes, keep)  # type: ignore[arg-type]


@public
def dist(x: Any, other: Any, p: float = 2) -> Tensor:
    """The p-norm of x - other, which broadcast; its gradient where they are equal is 0."""
    return norm(asarray(x) - other, p)


@public
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The p-norms of the differences of each row of x1 (..., n, d) and each of x2 (..., m, d): (..., n, m).
    No array of differences is stored; the gradient where two are equal is 0. Whatever the `compute_mode` of
    PyTorch, nothing cancels."""
    x1, x2 = asarray(x1), asarray(x2)
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"cdist: expected rows of one length, got {x1.shape} and {x2.shape}")
    return linalg.vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, axis=-1)


name_all(globals(), __all__)
