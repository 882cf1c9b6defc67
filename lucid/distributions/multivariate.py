"""Distributions of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import linalg, random
from ..creation import given as asarray
from ..errors import here
from ..incomplete import multigammaln
from ..lanes import at_hand
from ..laws import gammas
from ..published import digamma, lgamma
from ..tensor import Tensor
from .distribution import LOG_2PI, POSITIVE, Distribution, checked, parameters


class Dirichlet(Distribution):
    """Of shares, which add up to 1: of density the product of x ** (a - 1), a the `concentration` along the
    last axis."""

    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
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


def _factor(kind: str, dtype: Any, covariance: Any, precision: Any, scale_tril: Any) -> Tensor:
    """The Cholesky factor of what is given."""
    given = [m for m in (covariance, precision, scale_tril) if m is not None]
    if len(given) != 1:
        raise ValueError(here(f"{kind}: expected one of covariance_matrix, precision_matrix, scale_tril"))
    matrix = asarray(given[0]).astype(dtype)
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(here(f"{kind}: expected square matrices, not shape {matrix.shape}"))
    if scale_tril is None:
        matrix = linalg.cholesky(matrix)
    if precision is not None:
        matrix = linalg.cholesky(linalg.cholesky_inverse(matrix))
    return matrix


class Factored(Distribution):
    """What has a matrix by its Cholesky factor `scale_tril`."""

    scale_tril: Tensor

    @property
    def covariance_matrix(self) -> Tensor:
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Tensor:
        return linalg.cholesky_inverse(self.scale_tril)


class MultivariateNormal(Factored):
    """The normal distribution of vectors: of mean `loc`, and one of `covariance_matrix`, its inverse
    `precision_matrix`, or its Cholesky factor `scale_tril`. LinAlgError for a matrix that is not positive
    definite."""

    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (mean,) = parameters("MultivariateNormal", ("loc", loc, None))
        matrix = _factor("MultivariateNormal", mean.dtype, covariance_matrix, precision_matrix, scale_tril)
        n = matrix.shape[-1]
        if not mean.ndim or mean.shape[-1] != n:
            raise ValueError(
                here(f"MultivariateNormal: loc {mean.shape} does not fit a matrix {matrix.shape}")
            )
        batch = (mean[..., 0] + matrix[..., 0, 0]).shape
        self.loc, self.scale_tril = mean.broadcast_to((*batch, n)), matrix.broadcast_to((*batch, n, n))
        super().__init__(batch, (n,))

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


class LowRankMultivariateNormal(MultivariateNormal):
    """The normal distribution of vectors of the covariance W Wᵀ + diag(d), W being `cov_factor` and d
    `cov_diag`."""

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        (diagonal,) = parameters("LowRankMultivariateNormal", ("cov_diag", cov_diag, POSITIVE))
        factor = asarray(cov_factor).astype(diagonal.dtype)
        super().__init__(loc, factor @ factor.mT + diagonal.diag_embed())
        self.cov_factor = factor.broadcast_to((*self.batch_shape, *factor.shape[-2:]))
        self.cov_diag = diagonal.broadcast_to((*self.batch_shape, *self.event_shape))


class Wishart(Factored):
    """Of the sum of x xᵀ over `df` normal vectors x of mean 0, and of one of `covariance_matrix`, its inverse
    `precision_matrix`, or its Cholesky factor `scale_tril`. ValueError for a df of at most n - 1."""

    has_rsample = True

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (number,) = parameters("Wishart", ("df", df, POSITIVE))
        given = next((m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None), 0.0)
        kind = asarray(given).dtype if number.ndim == 0 else number.dtype
        factor = _factor("Wishart", kind, covariance_matrix, precision_matrix, scale_tril)
        n = factor.shape[-1]
        if at_hand(number):
            checked("Wishart", "df", number, (lambda x: x > n - 1, f"above {n - 1}"))
        batch = (number + factor[..., 0, 0]).shape
        self.df, self.scale_tril = (
            number.astype(kind).broadcast_to(batch),
            factor.broadcast_to((*batch, n, n)),
        )
        super().__init__(batch, (n, n))

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        squares = v.diagonal(0, -2, -1)
        return self.df[..., None, None] * (v.square() + squares[..., :, None] * squares[..., None, :])

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        """Bartlett's: a triangle of normal numbers, and roots of chi-squared ones in its diagonal."""
        n = self.event_shape[0]
        lower = random.normal(0.0, 1.0, shape, dtype=self.df.dtype).tril(-1)
        halves = (self.df.unsqueeze(-1) - asarray(np.arange(n).astype(self.df.dtype))) / 2
        root = self.scale_tril @ (lower + (2 * gammas(halves, shape[:-1])).sqrt().diag_embed())
        return root @ root.mT

    def _half_log_det(self) -> Tensor:
        return self.scale_tril.diagonal(0, -2, -1).log().sum(-1)

    def log_prob(self, value: Any) -> Tensor:
        x, n = asarray(value), self.event_shape[0]
        half = self.df / 2
        norm = half * (n * math.log(2) + 2 * self._half_log_det()) + multigammaln(half, n)
        stretched = linalg.logdet(x) * (self.df - n - 1) / 2
        return stretched - 0.5 * linalg.cholesky_solve(x, self.scale_tril).diagonal(0, -2, -1).sum(-1) - norm

    def entropy(self) -> Tensor:
        n, half = self.event_shape[0], self.df / 2
        slopes: Any = sum(digamma(half - 0.5 * k) for k in range(n))
        first = (n + 1) * (self._half_log_det() + 0.5 * n * math.log(2)) + multigammaln(half, n)
        found: Tensor = first - 0.5 * (self.df - n - 1) * slopes + n * half
        return found
