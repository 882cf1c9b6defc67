"""The mean of log(p / q) under p, of pairs for which there is a formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import linalg
from ..errors import here, public
from ..functional import where, xlogy
from ..published import digamma, lgamma
from ..tensor import Tensor
from .continuous import Beta, Exponential, Gamma, Laplace, Normal, Uniform
from .discrete import Bernoulli, Categorical, Poisson
from .distribution import Distribution
from .multivariate import Dirichlet, MultivariateNormal


def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


def _laplace(p: Laplace, q: Laplace) -> Tensor:
    off, ratio = (p.loc - q.loc).abs(), p.scale / q.scale
    return -ratio.log() + off / q.scale + ratio * (-off / p.scale).exp() - 1


def _uniform(p: Uniform, q: Uniform) -> Tensor:
    """inf where q does not cover p."""
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return _where((q.low > p.low) | (q.high < p.high), math.inf, found)


def _where(condition: Tensor, a: Any, b: Any) -> Tensor:
    found: Tensor = where(condition, a, b)
    return found


def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    first = b * (p.rate / q.rate).log() + lgamma(b) - lgamma(a)
    return first + (a - b) * digamma(a) + (q.rate - p.rate) * (a / p.rate)


def _beta(p: Beta, q: Beta) -> Tensor:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    first = q._log_norm() - p._log_norm()
    return first + (a - c) * digamma(a) + (b - d) * digamma(b) - (a + b - c - d) * digamma(a + b)


def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    inner = (a - b) * (digamma(a) - digamma(a.sum(-1, keepdims=True)))
    return q._log_norm() - p._log_norm() + inner.sum(-1)


def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    def part(a: Tensor, b: Tensor) -> Tensor:
        found: Tensor = xlogy(a, a) - xlogy(a, b)
        return found

    return part(p.probs, q.probs) + part(1 - p.probs, 1 - q.probs)


def _categorical(p: Categorical, q: Categorical) -> Tensor:
    element = _where(p.probs == 0, 0.0, _where(q.probs == 0, math.inf, p.probs * (p.logits - q.logits)))
    return element.sum(-1)


def _poisson(p: Poisson, q: Poisson) -> Tensor:
    found: Tensor = xlogy(p.rate, p.rate) - xlogy(p.rate, q.rate) - (p.rate - q.rate)
    return found


def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    z = linalg.solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    off = linalg.solve_triangular(q.scale_tril, (p.loc - q.loc).unsqueeze(-1), upper=False)
    total = z.square().sum((-2, -1)) + off.square().sum((-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (total - p.event_shape[0])


_FORMULAS: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {
    (Normal, Normal): _normal, (Laplace, Laplace): _laplace, (Uniform, Uniform): _uniform,
    (Exponential, Exponential): _exponential, (Gamma, Gamma): _gamma, (Beta, Beta): _beta,
    (Dirichlet, Dirichlet): _dirichlet, (Bernoulli, Bernoulli): _bernoulli,
    (Categorical, Categorical): _categorical, (Poisson, Poisson): _poisson,
    (MultivariateNormal, MultivariateNormal): _multivariate,
}  # fmt: skip


@public
def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of log(p(x) / q(x)) over x of p, for each element of both batches. NotImplementedError for a
    pair without a formula here."""
    found = _FORMULAS.get((type(p), type(q)))
    if found is None:
        known = ", ".join(sorted({a.__name__ for a, _ in _FORMULAS}))
        pair = f"{type(p).__name__} and {type(q).__name__}"
        raise NotImplementedError(here(f"kl_divergence: no formula for {pair}; expected two {known}"))
    return found(p, q)
