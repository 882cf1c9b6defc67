"""Distributions: what is drawn, its density, entropy, moments and divergences. PyTorch's
`torch.distributions`.

policy = lucid.distributions.Categorical(logits=net(x))
action = policy.sample()
loss = -(policy.log_prob(action) * advantage).mean()
"""

from .continuous import Beta, Cauchy, Exponential, Gamma, Gumbel, Laplace, Normal, StudentT, Uniform
from .discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    NegativeBinomial,
    OneHotCategorical,
    Poisson,
)
from .distribution import Distribution
from .divergence import kl_divergence
from .independent import Independent
from .multivariate import Dirichlet, MultivariateNormal
from .positive import Chi2, HalfCauchy, HalfNormal, InverseGamma, LogNormal, Pareto, Weibull

__all__ = [
    "Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2", "Dirichlet", "Distribution",
    "Exponential", "Gamma", "Geometric", "Gumbel", "HalfCauchy", "HalfNormal", "Independent", "InverseGamma",
    "Laplace", "LogNormal", "MultivariateNormal", "NegativeBinomial", "Normal", "OneHotCategorical", "Pareto",
    "Poisson", "StudentT", "Uniform", "Weibull", "kl_divergence",
]  # fmt: skip
