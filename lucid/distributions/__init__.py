"""Distributions: what is drawn, its density, entropy, moments and divergences. PyTorch's
`torch.distributions`.

policy = lucid.distributions.Categorical(logits=net(x))
action = policy.sample()
loss = -(policy.log_prob(action) * advantage).mean()
"""

from . import transforms
from .continuous import Beta, Cauchy, Exponential, Gamma, Gumbel, Laplace, Normal, StudentT, Uniform
from .discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    NegativeBinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)
from .distribution import Distribution
from .divergence import kl_divergence, register_kl
from .independent import Independent
from .multivariate import Dirichlet, LowRankMultivariateNormal, MultivariateNormal, Wishart
from .positive import (
    Chi2,
    FisherSnedecor,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    LogNormal,
    Pareto,
    Weibull,
)
from .transformed import (
    LogisticNormal,
    MixtureSameFamily,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
    TransformedDistribution,
)
from .transforms import *  # noqa: F403
from .unit import ContinuousBernoulli, Kumaraswamy, VonMises

__all__ = [
    "Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2", "ContinuousBernoulli", "Dirichlet",
    "Distribution", "Exponential", "FisherSnedecor", "Gamma", "Geometric", "Gumbel", "HalfCauchy",
    "HalfNormal", "Independent", "InverseGamma", "Kumaraswamy", "Laplace", "LogNormal", "LogisticNormal",
    "LowRankMultivariateNormal", "MixtureSameFamily", "Multinomial", "MultivariateNormal",
    "NegativeBinomial", "Normal", "OneHotCategorical", "OneHotCategoricalStraightThrough", "Pareto",
    "Poisson", "RelaxedBernoulli", "RelaxedOneHotCategorical", "StudentT", "TransformedDistribution",
    "Uniform", "VonMises", "Weibull", "Wishart", "kl_divergence", "register_kl",
]  # fmt: skip
__all__ += transforms.__all__
