"""Weights of a norm, a spectral norm of 1, or orthogonal: `torch.nn.utils.parametrizations`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import linalg
from ...array_functions import concatenate
from ...context import no_grad
from ...creation import eye, zeros
from ...errors import here, public
from ...random import normal
from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

# --- weight_norm -----------------------------------------------------------------------------------


def norm_but(v: Tensor, dim: int) -> Tensor:
    """The norms of all along axis `dim`, which keep the number of axes; of all elements for -1."""
    if dim == -1:
        whole: Tensor = (v * v).sum().sqrt()
        return whole
    axes = tuple([k for k in range(v.ndim) if k != dim])
    found: Tensor = (v * v).sum(axes, keepdims=True).sqrt() if axes else v.abs()
    return found


def axis_of(name: str, weight: Tensor, dim: int | None) -> int:
    """From the front; -1 for None, all axes."""
    if dim is None or dim == -1:
        return -1
    if not -weight.ndim <= dim < weight.ndim:
        raise ValueError(here(f"{name}: dim {dim} of a weight of shape {weight.shape}"))
    return dim % weight.ndim


class _WeightNorm(Module):
    """Lengths g times directions v."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, g: Any, v: Any) -> Tensor:
        found: Tensor = v * (g / norm_but(v, self.dim))
        return found

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_but(weight, self.dim), weight


@public
def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Any:
    """The parameter `name` as g v / |v|, with a length for each place along `dim` (None: one for all):
    Salimans and Kingma, arXiv:1602.07868. What is trained is `original0`, g, and `original1`, v."""
    weight = getattr(module, name)
    kept = _WeightNorm(axis_of("weight_norm", weight, dim))
    return register_parametrization(module, name, kept, unsafe=True)


# --- spectral_norm ---------------------------------------------------------------------------------


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """Axis `dim` by all others."""
    found: Tensor = weight.moveaxis(dim, 0) if dim else weight
    return found.reshape(found.shape[0], -1)


@no_grad
def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, count: int, eps: float) -> tuple[Tensor, Tensor]:
    """Nearer to the vectors of the greatest singular value (Miyato and others, arXiv:1802.05957)."""
    for _ in range(count):
        u = F.normalize(matrix @ v, dim=0, eps=eps)
        v = F.normalize(matrix.T @ u, dim=0, eps=eps)
    return u, v


@no_grad
def singular_start(matrix: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Vectors to begin with."""
    u, v = (F.normalize(normal(0.0, 1.0, (n,), dtype=matrix.dtype), dim=0, eps=eps) for n in matrix.shape)
    return u, v


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, count: int, eps: float, dim: int) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(here(f"spectral_norm: n_power_iterations must be at least 1, not {count}"))
        self.dim, self.n_power_iterations, self.eps = dim % max(weight.ndim, 1), count, eps
        if weight.ndim > 1:
            matrix = as_matrix(weight.detach(), self.dim)
            u, v = power_iteration(matrix, *singular_start(matrix, eps), 15, eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)

    def forward(self, weight: Any) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        u, v = self._u, self._v  # type: ignore[has-type]
        if self.training:
            u, v = power_iteration(matrix.detach(), u, v, self.n_power_iterations, self.eps)
            self._u, self._v = u, v
        found: Tensor = weight / (u.detach() @ (matrix @ v.detach()))
        return found

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def rows_of(module: Module) -> int:
    """The axis of a weight that counts the outputs."""
    from ..resampling_layers import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

    return 1 if isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d) else 0


@public
def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The parameter `name`, as a matrix of axis `dim` by all others, over its greatest singular value: Miyato
    and others, arXiv:1802.05957. That is found by power iterations from where the last ones ended, of which
    `n_power_iterations` are done whenever the weight is read while `training`."""
    weight = getattr(module, name)
    kept = _SpectralNorm(weight, n_power_iterations, eps, rows_of(module) if dim is None else dim)
    return register_parametrization(module, name, kept)


# --- orthogonal ------------------------------------------------------------------------------------

_MAPS = ("matrix_exp", "cayley", "householder")


def _reflected(vectors: Tensor) -> Tensor:
    """The first columns of the product of the reflections by v = e_k + vectors[:, k], which begin below their
    diagonal: I - V T Vᵀ, with 1/T = the strict upper triangle of VᵀV and |v|²/2 on the diagonal (Joffrain and
    others, "Accumulating Householder transformations, revisited", 2006)."""
    n, k = vectors.shape[-2:]
    whole = vectors + eye(n, k, dtype=vectors.dtype)
    products = whole.swapaxes(-1, -2) @ whole
    inverse = products.triu(1) + products * (0.5 * eye(k, dtype=vectors.dtype))
    top = whole[..., :k, :].swapaxes(-1, -2)
    found: Tensor = eye(n, k, dtype=vectors.dtype) - whole @ linalg.solve_triangular(inverse, top, upper=True)
    return found


def _nearest(q: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Orthogonal, and `q` itself if it is already."""
    found, r = np.linalg.qr(q)
    signs = np.sign(np.diagonal(r, axis1=-2, axis2=-1))
    made: np.ndarray[Any, Any] = found * np.where(signs == 0, 1, signs)[..., None, :]
    return made


class _Orthogonal(Module):
    def __init__(self, weight: Tensor, how: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape, self.orthogonal_map = weight.shape, how
        self.use_trivialization = use_trivialization
        if use_trivialization:
            n = max(weight.shape[-2:])
            self.register_buffer("base", zeros((*weight.shape[:-2], n, n), dtype=weight.dtype))

    def forward(self, x: Any) -> Tensor:
        n, k = x.shape[-2:]
        wide = n < k
        if wide:
            x, n, k = x.swapaxes(-1, -2), k, n
        if self.orthogonal_map == "householder":
            signs = (x * eye(n, k, dtype=x.dtype)).sum(-2, keepdims=True).detach().sign()
            found = _reflected(x.tril(-1)) * signs
        else:
            a = x.tril()
            if n != k:
                a = concatenate([a, zeros((*a.shape[:-1], n - k), dtype=a.dtype)], -1)
            a = a - a.swapaxes(-1, -2)
            if self.orthogonal_map == "matrix_exp":
                found = linalg.matrix_exp(a)
            else:
                one = eye(n, dtype=a.dtype)
                found = linalg.solve(one - 0.5 * a, one + 0.5 * a)
            found = found[..., :k]
        if self.use_trivialization:
            found = self.base @ found
        made: Tensor = found.swapaxes(-1, -2) if wide else found
        return made

    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(here(f"orthogonal: expected shape {self.shape}, not {q.shape}"))
        n, k = q.shape[-2:]
        array = np.asarray(q.numpy())
        array = array.swapaxes(-1, -2) if n < k else array
        if self.use_trivialization:
            rows, columns = array.shape[-2:]
            if rows != columns:
                more = normal(0.0, 1.0, (*array.shape[:-1], rows - columns), dtype=q.dtype).numpy()
                array = np.concatenate([array, more], -1)
            self.base = Tensor(_nearest(array))
            return -eye(n, k, dtype=q.dtype) + zeros(q.shape, dtype=q.dtype)
        if self.orthogonal_map != "householder":
            told = f"{self.orthogonal_map} has no inverse here; use_trivialization=True allows to assign"
            raise NotImplementedError(here(f"orthogonal: {told}"))
        found, scale = np.linalg.qr(array, mode="raw")  # the vectors of reflections, and 2 / |v|²
        made = found.swapaxes(-1, -2).astype(array.dtype)
        places = np.arange(made.shape[-1])
        signs = np.sign(made[..., places, places])
        made[..., places, places] = np.where(scale == 0, -signs, signs)  # 0: no reflection, which e_k is
        result = Tensor(made)
        return result.swapaxes(-1, -2) if n < k else result


@public
def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
    use_trivialization: bool = True,
) -> Any:  # fmt: skip
    """The matrix `name` with orthogonal rows or columns, those that there are fewer of. `orthogonal_map`, by
    which it is made: "matrix_exp" (of square ones by default), "cayley", or "householder". With
    `use_trivialization` it is a fixed matrix times that, and any orthogonal one can be assigned (Lezcano
    Casado, arXiv:1909.09501)."""
    weight = getattr(module, name)
    if not isinstance(weight, Tensor) or weight.ndim < 2 or not weight.is_floating_point():
        raise ValueError(here(f"orthogonal: expected a matrix of floats, not {name!r}"))
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(here(f"orthogonal: orthogonal_map is one of {_MAPS}, not {orthogonal_map!r}"))
    kept = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, kept, unsafe=True)
