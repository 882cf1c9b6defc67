"""Distributions of vectors."""

from __future__ import annotations

from typing import Any

from .. import linalg, random
from ..creation import given as asarray
from ..errors import here
from ..laws import gammas
from ..published import digamma, lgamma
from ..tensor import Tensor
from .distribution import LOG_2PI, POSITIVE, Distribution, parameters


class Dirichlet(Distribution):
    """Of shares, which add up to 1: of density the product of x ** (a - 1), a the `concentration` along the
    last axis."""

    has_rsample = True

    def __init__(self, concentration: Any) -> None:
        (self.concentration,) = parameters("Dirichlet", ("concentration", concentration, POSITIVE))
        if not self.concentration.ndim:
            raise ValueError(here("Dirichlet: concentration has an axis of shares; it is one number"))
        super().__init__(self.concentration.shape[:-1], self.concentration.shape[-1:])

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdims=True)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdims=True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        drawn = gammas(self.concentration, shape)
        return drawn / drawn.sum(-1, keepdims=True)

    def _log_norm(self) -> Tensor:
        a = self.concentration
        found: Tensor = lgamma(a).sum(-1) - lgamma(a.sum(-1))
        return found

    def log_prob(self, value: Any) -> Tensor:
        return ((self.concentration - 1) * asarray(value).log()).sum(-1) - self._log_norm()

    def entropy(self) -> Tensor:
        a = self.concentration
        total = a.sum(-1)
        inner = (total - a.shape[-1]) * digamma(total) - ((a - 1) * digamma(a)).sum(-1)
        return self._log_norm() + inner


class MultivariateNormal(Distribution):
    """The normal distribution of vectors: of mean `loc`, and one of `covariance_matrix`, its inverse
    `precision_matrix`, or its Cholesky factor `scale_tril`. LinAlgError for a matrix that is not positive
    definite."""

    has_rsample = True

    def __init__(
        self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None
    ) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            told = "expected one of covariance_matrix, precision_matrix, scale_tril"
            raise ValueError(here(f"MultivariateNormal: {told}"))
        (mean,) = parameters("MultivariateNormal", ("loc", loc, None))
        matrix = asarray(given[0]).astype(mean.dtype)
        n = matrix.shape[-1] if matrix.ndim > 1 else -1
        if not mean.ndim or mean.shape[-1] != n or matrix.shape[-2] != n:
            raise ValueError(
                here(f"MultivariateNormal: loc {mean.shape} does not fit a matrix {matrix.shape}")
            )
        if scale_tril is None:
            matrix = linalg.cholesky(matrix)
        if precision_matrix is not None:
            matrix = linalg.cholesky(linalg.cholesky_inverse(matrix))
        batch = (mean[..., 0] + matrix[..., 0, 0]).shape
        self.loc, self.scale_tril = mean.broadcast_to((*batch, n)), matrix.broadcast_to((*batch, n, n))
        super().__init__(batch, (n,))

    @property
    def covariance_matrix(self) -> Tensor:
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Tensor:
        return linalg.cholesky_inverse(self.scale_tril)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale_tril.square().sum(-1)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        drawn = random.normal(0.0, 1.0, shape, dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ drawn.unsqueeze(-1))[..., 0]

    def _half_log_det(self) -> Tensor:
        return self.scale_tril.diagonal(0, -2, -1).log().sum(-1)

    def log_prob(self, value: Any) -> Tensor:
        off = (asarray(value) - self.loc).unsqueeze(-1)
        z = linalg.solve_triangular(self.scale_tril, off, upper=False)[..., 0]
        return -0.5 * (self.event_shape[0] * LOG_2PI + z.square().sum(-1)) - self._half_log_det()

    def entropy(self) -> Tensor:
        return 0.5 * self.event_shape[0] * (1 + LOG_2PI) + self._half_log_det()
