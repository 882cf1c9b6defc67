"""The mean of log(p / q) under p, of pairs for which there is a formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import linalg
from ..errors import here, public
from ..functional import where, xlogy
from ..published import digamma, lgamma
from ..tensor import Tensor
from .continuous import Beta, Cauchy, Exponential, Gamma, Gumbel, Laplace, Normal, Uniform
from .discrete import Bernoulli, Binomial, Categorical, Geometric, OneHotCategorical, Poisson
from .distribution import Distribution
from .independent import Independent
from .multivariate import Dirichlet, MultivariateNormal
from .positive import HalfNormal, LogNormal, Pareto


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


def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    """Chyzak, Nielsen, A closed-form formula for the Kullback-Leibler divergence between Cauchy
    distributions, 2019."""
    apart = (p.scale + q.scale).square() + (p.loc - q.loc).square()
    return (apart / (4 * p.scale * q.scale)).log()


def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, off = p.scale / q.scale, (q.loc - p.loc) / q.scale
    rest = (off + lgamma(1 + ratio)).exp() - (1 + np.euler_gamma)
    return ratio * np.euler_gamma - ratio.log() - off + rest


def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() * (1 / p.probs - 1) - q.probs.log()


def _binomial(p: Binomial, q: Binomial) -> Tensor:
    """inf where p counts more trials, ValueError where q does, for which there is no formula."""
    if p.total_count < q.total_count:
        raise NotImplementedError(
            here(f"kl_divergence: no formula for {p.total_count} trials and {q.total_count}")
        )
    found = p.total_count * _bernoulli(Bernoulli(p.probs), Bernoulli(q.probs))
    return found if p.total_count == q.total_count else found + math.inf


def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio - 1 - ratio.log())


def _pareto(p: Pareto, q: Pareto) -> Tensor:
    """inf where q does not cover p."""
    ratio, scales = q.alpha / p.alpha, p.scale / q.scale
    return _where(p.scale < q.scale, math.inf, q.alpha * scales.log() - ratio.log() + ratio - 1)


def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._place, q._place)


def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        counts = f"{p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims}"
        raise NotImplementedError(here(f"kl_divergence: no formula for events of {counts} axes of batches"))
    return p.summed(kl_divergence(p.base_dist, q.base_dist))


def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    return _gamma(Gamma(1.0, p.rate), q)


def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return _gamma(p, Gamma(1.0, q.rate))


def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    width = p.high - p.low
    squares = (width.square() / 12 + ((p.high + p.low) / 2 - q.loc).square()) / q.scale.square()
    return (math.sqrt(2 * math.pi) * q.scale / width).log() + 0.5 * squares


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
    (MultivariateNormal, MultivariateNormal): _multivariate, (Cauchy, Cauchy): _cauchy,
    (Gumbel, Gumbel): _gumbel, (Geometric, Geometric): _geometric, (Binomial, Binomial): _binomial,
    (HalfNormal, HalfNormal): _half_normal, (LogNormal, LogNormal): _normal, (Pareto, Pareto): _pareto,
    (OneHotCategorical, OneHotCategorical): _one_hot, (Independent, Independent): _independent,
    (Exponential, Gamma): _exponential_gamma, (Gamma, Exponential): _gamma_exponential,
    (Uniform, Normal): _uniform_normal,
}  # fmt: skip


@public
def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of log(p(x) / q(x)) over x of p, for each element of both batches. NotImplementedError for a
    pair without a formula here."""
    found = _FORMULAS.get((type(p), type(q)))
    if found is None:
        known = ", ".join(sorted({a.__name__ for a, _ in _FORMULAS}))
        pair = f"{type(p).__name__} and {type(q).__name__}"
        raise NotImplementedError(here(f"kl_divergence: no formula for {pair}; expected two of {known}"))
    return found(p, q)
