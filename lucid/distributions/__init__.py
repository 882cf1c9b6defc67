"""Distributions: what is drawn, its density, entropy, moments and divergences. PyTorch's
`torch.distributions`.

policy = lucid.distributions.Categorical(logits=net(x))
action = policy.sample()
loss = -(policy.log_prob(action) * advantage).mean()
"""

from .continuous import Beta, Exponential, Gamma, Laplace, Normal, Uniform
from .discrete import Bernoulli, Categorical, Poisson
from .distribution import Distribution
from .divergence import kl_divergence
from .multivariate import Dirichlet, MultivariateNormal

__all__ = [
    "Bernoulli", "Beta", "Categorical", "Dirichlet", "Distribution", "Exponential", "Gamma", "Laplace",
    "MultivariateNormal", "Normal", "Poisson", "Uniform", "kl_divergence",
]  # fmt: skip
