"""The mean of log(p / q) under p, of pairs for which there is a formula."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .. import linalg
from ..creation import full
from ..errors import here, public
from ..functional import where, xlogy
from ..published import digamma, lgamma
from ..tensor import Tensor
from .continuous import Beta, Cauchy, Exponential, Gamma, Gumbel, Laplace, Normal, Uniform
from .discrete import Bernoulli, Binomial, Categorical, Geometric, OneHotCategorical, Poisson
from .distribution import LOG_2PI, Distribution
from .independent import Independent
from .multivariate import Dirichlet, MultivariateNormal
from .positive import HalfNormal, LogNormal, Pareto
from .transformed import TransformedDistribution
from .transforms import Transform, summed
from .unit import ContinuousBernoulli

F = TypeVar("F", bound=Callable[..., Tensor])


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


def _to_normal(p: Distribution, q: Normal) -> Tensor:
    """By the mean and the variance of p, whatever it is."""
    squares = (p.variance + (p.mean - q.loc).square()) / q.scale.square()
    return 0.5 * (squares + LOG_2PI) + q.scale.log() - p.entropy()


def _mean_log(p: Distribution) -> Tensor:
    """The mean of log(x) under p, which is above 0."""
    if isinstance(p, Exponential):
        return -p.rate.log() - np.euler_gamma
    if isinstance(p, Gamma):
        return digamma(p.concentration) - p.rate.log()
    if isinstance(p, Beta):
        return digamma(p.concentration1) - digamma(p.concentration1 + p.concentration0)
    if isinstance(p, Pareto):
        return p.scale.log() + 1 / p.alpha
    assert isinstance(p, Uniform)
    return (xlogy(p.high, p.high) - xlogy(p.low, p.low)) / (p.high - p.low) - 1


def _to_exponential(p: Distribution, q: Exponential) -> Tensor:
    return _above_zero(p, q.rate * p.mean - q.rate.log() - p.entropy())


def _to_gamma(p: Distribution, q: Gamma) -> Tensor:
    a = q.concentration
    found = q.rate * p.mean - (a - 1) * _mean_log(p) + lgamma(a) - a * q.rate.log() - p.entropy()
    return _above_zero(p, found)


def _above_zero(p: Distribution, found: Tensor) -> Tensor:
    """inf where p is below 0, too."""
    return _where(p.low < 0, math.inf, found) if isinstance(p, Uniform) else found


def _uniform_beta(p: Uniform, q: Beta) -> Tensor:
    """inf where p is not between 0 and 1."""
    a, b = q.concentration1, q.concentration0
    other = Uniform(1 - p.high, 1 - p.low)
    found = q._log_norm() - (a - 1) * _mean_log(p) - (b - 1) * _mean_log(other) - p.entropy()
    return _where((p.high > 1) | (p.low < 0), math.inf, found)


def _uniform_pareto(p: Uniform, q: Pareto) -> Tensor:
    """inf where q does not cover p."""
    found = (q.alpha + 1) * _mean_log(p) - q.alpha.log() - q.alpha * q.scale.log() - p.entropy()
    return _where(p.low < q.scale, math.inf, found)


def _unit_uniform(p: Distribution, q: Uniform) -> Tensor:
    """inf where q does not cover p."""
    return _where((q.low > 0) | (q.high < 1), math.inf, (q.high - q.low).log() - p.entropy())


def _normal_laplace(p: Normal, q: Laplace) -> Tensor:
    off = p.loc - q.loc
    size = math.sqrt(2 / math.pi) * p.scale * (-0.5 * (off / p.scale).square()).exp()
    size = size + off * (off / (math.sqrt(2) * p.scale)).erf()
    return (2 * q.scale).log() + size / q.scale - p.entropy()


def _to_gumbel(p: Distribution, q: Gumbel) -> Tensor:
    """By the mean of exp(-x / scale)."""
    s = q.scale
    if isinstance(p, Normal):
        log = 0.5 * (p.scale / s).square() - p.loc / s
    elif isinstance(p, Exponential):
        log = -(1 / (p.rate * s)).log1p()
    elif isinstance(p, Gamma):
        log = -p.concentration * (1 / (p.rate * s)).log1p()
    else:
        assert isinstance(p, Uniform)
        width = (p.high - p.low) / s
        log = (-(-width).expm1() / width).log() - p.low / s
    return s.log() + (p.mean - q.loc) / s + (q.loc / s + log).exp() - p.entropy()


def _continuous_bernoulli(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    return p.mean * (p.logits - q.logits) + (p._at_zero() - q._at_zero())


def _to_continuous_bernoulli(p: Distribution, q: ContinuousBernoulli) -> Tensor:
    """inf where p is not between 0 and 1."""
    found = -p.entropy() - p.mean * q.logits - q._at_zero()
    return _where((p.high > 1) | (p.low < 0), math.inf, found) if isinstance(p, Uniform) else found


def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


def _never(p: Distribution, q: Distribution) -> Tensor:
    """q does not cover p."""
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    return full(shape, math.inf, dtype=p.mean.dtype)


def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    """Of the same transforms."""
    if [*map(_parts, p.transforms)] != [*map(_parts, q.transforms)] or p.event_shape != q.event_shape:
        raise NotImplementedError(here("kl_divergence: no formula for two different transforms"))
    found = kl_divergence(p.base_dist, q.base_dist)
    return summed(found, len(p.event_shape) - len(p.base_dist.event_shape))  # type: ignore[no-any-return]


def _parts(t: Transform) -> tuple[object, ...]:
    """What tells it from others: its class, and its parameters themselves."""
    return (type(t), *((k, v if isinstance(v, int | float | tuple) else id(v)) for k, v in vars(t).items()))


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
    (ContinuousBernoulli, ContinuousBernoulli): _continuous_bernoulli,
    (Bernoulli, Poisson): _bernoulli_poisson,
    (TransformedDistribution, TransformedDistribution): _transformed, (Uniform, Beta): _uniform_beta,
    (Uniform, Pareto): _uniform_pareto, (Normal, Laplace): _normal_laplace,
    (Beta, Uniform): _unit_uniform, (ContinuousBernoulli, Uniform): _unit_uniform,
    (Beta, ContinuousBernoulli): _to_continuous_bernoulli,
    (Uniform, ContinuousBernoulli): _to_continuous_bernoulli,
    (Poisson, Bernoulli): _never, (Poisson, Binomial): _never,
}  # fmt: skip


_FORMULAS |= {
    (p, Normal): _to_normal
    for p in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform)
}
_FORMULAS |= {(p, Exponential): _to_exponential for p in (Beta, ContinuousBernoulli, Gamma, Pareto, Uniform)}
_FORMULAS |= {(p, Gamma): _to_gamma for p in (Beta, Exponential, Pareto, Uniform)}
_FORMULAS |= {(p, Gumbel): _to_gumbel for p in (Normal, Exponential, Gamma, Uniform)}
_REAL, _POSITIVE, _UNIT = (Normal, Laplace, Gumbel), (Exponential, Gamma), (Beta, ContinuousBernoulli)
# What is drawn of the one may be outside of the other.
_NEVER: list[tuple[tuple[type, ...], tuple[type, ...]]] = [
    (_REAL, (*_UNIT, *_POSITIVE, Pareto, Uniform)),
    (_POSITIVE, (*_UNIT, Pareto, Uniform)),
]
_NEVER += [((Pareto,), (*_UNIT, Uniform)), (_UNIT, (Pareto,))]
_FORMULAS |= {(p, q): _never for wide, narrow in _NEVER for p in wide for q in narrow}


def register_kl(type_p: type, type_q: type) -> Callable[[F], F]:
    """A decorator: the function is `kl_divergence` of these two, and of classes made of them."""
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(here(f"register_kl: expected classes of distributions, not {kind!r}"))

    def decorate(function: F) -> F:
        _FORMULAS[type_p, type_q] = function
        return function

    return decorate


def _formula(p: type, q: type) -> Callable[[Any, Any], Tensor] | None:
    """Of the classes themselves, or of the nearest that they are made of."""
    pairs = ((a, b) for a in p.__mro__ for b in q.__mro__)
    return next((_FORMULAS[pair] for pair in pairs if pair in _FORMULAS), None)


@public
def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The mean of log(p(x) / q(x)) over x of p, for each element of both batches. NotImplementedError for a
    pair without a formula here."""
    found = _formula(type(p), type(q))
    if found is None:
        known = ", ".join(sorted({a.__name__ for a, _ in _FORMULAS}))
        pair = f"{type(p).__name__} and {type(q).__name__}"
        raise NotImplementedError(here(f"kl_divergence: no formula for {pair}; expected two of {known}"))
    return found(p, q)
