"""What functions of matrices share: their results by name, and what they ask of arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .creation import given as asarray
from .promote import result_dtype
from .tensor import Tensor

LinAlgError = np.linalg.LinAlgError


class EigResult(NamedTuple):
    eigenvalues: Tensor
    eigenvectors: Tensor


class EighResult(NamedTuple):
    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    U: Tensor
    S: Tensor
    Vh: Tensor


class LstsqResult(NamedTuple):
    solution: Tensor
    residuals: Tensor
    rank: Any  # an int; a tensor for stacks
    singular_values: Tensor


def floats(name: str, *values: Any) -> list[Tensor]:
    """All in the dtype, float or complex, that LAPACK computes them in."""
    tensors = [asarray(v) for v in values]
    dtype = result_dtype(*[t._node.type.dtype.name for t in tensors])
    if dtype.wide is not None:
        raise TypeError(f"{name}: LAPACK has no {dtype.numpy}; convert by astype(lucid.float32)")
    kind = dtype.np if dtype.is_inexact else np.dtype(np.float64)
    return [t if t.dtype == kind else t.astype(kind) for t in tensors]


def square(name: str, x: Tensor) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise LinAlgError(f"{name}: expected square matrices, not shape {x.shape}")


def matrices(name: str, x: Tensor) -> None:
    if x.ndim < 2:
        raise LinAlgError(f"{name}: expected matrices, not shape {x.shape}")
