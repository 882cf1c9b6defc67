"""Distributions of whole numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import random
from ..creation import arange, eye
from ..creation import given as asarray
from ..functional import xlogy
from ..laws import binomial, geometric, log_poisson, negative_binomial, poisson
from ..nn import functional as F
from ..published import lgamma
from ..tensor import Tensor
from .distribution import NOT_NEGATIVE, POSITIVE, PROBABILITY, Distribution, one_of, parameters


class Bernoulli(Distribution):
    """1 with the probability `probs`, or sigmoid(`logits`), else 0."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if one_of("Bernoulli", probs, logits):
            (self.probs,) = parameters("Bernoulli", ("probs", probs, PROBABILITY))
            least = float(np.finfo(self.probs.dtype).eps)
            held = self.probs.clip(least, 1 - least)
            self.logits: Tensor = held.log() - (-held).log1p()
        else:
            (self.logits,) = parameters("Bernoulli", ("logits", logits, None))
            self.probs = self.logits.sigmoid()
        super().__init__(self.probs.shape)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.bernoulli(self.probs, shape)

    def log_prob(self, value: Any) -> Tensor:
        x = asarray(value)
        found: Tensor = x * self.logits - F.softplus(self.logits)
        return found

    def entropy(self) -> Tensor:
        found: Tensor = F.softplus(self.logits) - self.probs * self.logits
        return found

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._listed(arange(2).astype(self.probs.dtype), expand)


class Categorical(Distribution):
    """The places along the last axis of `probs`, weights that need not add up to 1, or of `logits`: int64."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if one_of("Categorical", probs, logits):
            (given,) = parameters("Categorical", ("probs", probs, NOT_NEGATIVE))
            self.probs = given / given.sum(-1, keepdims=True)
            least = float(np.finfo(self.probs.dtype).eps)
            self.logits: Tensor = self.probs.clip(least, 1 - least).log()
        else:
            (given,) = parameters("Categorical", ("logits", logits, None))
            self.logits = F.log_softmax(given, -1)
            self.probs = self.logits.exp()
        super().__init__(self.probs.shape[:-1])

    @property
    def mean(self) -> Tensor:
        """NaN, as in PyTorch: places have no mean."""
        return self.probs[..., 0] * float("nan")

    @property
    def variance(self) -> Tensor:
        """NaN, as in PyTorch: places have no variance."""
        return self.mean

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        """The greatest of the logits with Gumbel's noise."""
        count = self.probs.shape[-1]
        noise = random.gumbel(0.0, 1.0, (*shape, count), dtype=self.probs.dtype)
        return (self.probs.log() + noise).argmax(-1)

    def log_prob(self, value: Any) -> Tensor:
        index = asarray(value).astype(np.int64)
        shape = np.broadcast_shapes(index.shape, self.batch_shape)
        logits = self.logits.broadcast_to((*shape, self.logits.shape[-1]))
        return logits.take_along_axis(index.broadcast_to(shape).unsqueeze(-1), -1)[..., 0]

    def entropy(self) -> Tensor:
        return -(self.probs * self.logits).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._listed(arange(self.probs.shape[-1]), expand)


class Poisson(Distribution):
    """How many events there are, of `rate` in the mean: rate ** k exp(-rate) / k!."""

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = parameters("Poisson", ("rate", rate, NOT_NEGATIVE))
        super().__init__(self.rate.shape)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return poisson(self.rate, shape)

    def log_prob(self, value: Any) -> Tensor:
        return log_poisson(asarray(value), self.rate)


class Geometric(Distribution):
    """How many trials fail, of the probability `probs` or sigmoid(`logits`), before one succeeds."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = Bernoulli(probs, logits)
        self.probs, self.logits = given.probs, given.logits
        super().__init__(self.probs.shape)

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return geometric(self.probs, shape) - 1

    def log_prob(self, value: Any) -> Tensor:
        found: Tensor = xlogy(asarray(value), 1 - self.probs) + self.probs.log()
        return found

    def entropy(self) -> Tensor:
        return Bernoulli(self.probs).entropy() / self.probs


class Counts(Distribution):
    """How many of `total_count` trials are what has the probability `probs`."""

    total_count: int
    probs: Tensor

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)


class Binomial(Counts):
    """How many of `total_count` trials, a whole number for all, succeed, of the probability `probs` or
    sigmoid(`logits`)."""

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = Bernoulli(probs, logits)
        self.total_count, self.probs, self.logits = total_count, given.probs, given.logits
        super().__init__(self.probs.shape)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return binomial(self.total_count, self.probs, shape)

    def log_prob(self, value: Any) -> Tensor:
        k, n = asarray(value), asarray(float(self.total_count), self.probs.dtype)
        ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        found: Tensor = ways + xlogy(k, self.probs) + xlogy(n - k, 1 - self.probs)
        return found

    def entropy(self) -> Tensor:
        """A sum over all counts."""
        logs = self.log_prob(self.enumerate_support(expand=False))
        return -xlogy(logs.exp(), logs.exp()).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._listed(arange(self.total_count + 1).astype(self.probs.dtype), expand)


class Multinomial(Counts):
    """How many of `total_count` draws, a whole number for all, are which place along the last axis of `probs`
    or `logits`."""

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._place = Categorical(probs, logits)
        self.total_count, self.probs, self.logits = total_count, self._place.probs, self._place.logits
        super().__init__(self.probs.shape[:-1], self.probs.shape[-1:])

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        places = self._place._draw((self.total_count, *shape[:-1]))
        return (arange(shape[-1]) == places.unsqueeze(-1)).sum(0).astype(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        k = asarray(value)
        found: Tensor = lgamma(k.sum(-1) + 1) - lgamma(k + 1).sum(-1) + xlogy(k, self.probs).sum(-1)
        return found

    def entropy(self) -> Tensor:
        """A sum over all counts."""
        each = Binomial(self.total_count, self.probs)
        counts = each.enumerate_support(expand=False)
        apart = (each.log_prob(counts).exp() * lgamma(counts + 1)).sum((0, -1))
        found: Tensor = self.total_count * self._place.entropy() - math.lgamma(self.total_count + 1) + apart
        return found


class NegativeBinomial(Distribution):
    """How many trials succeed, of the probability `probs` or sigmoid(`logits`), before `total_count` fail."""

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = Bernoulli(probs, logits)
        self.total_count, self.probs = parameters(
            "NegativeBinomial", ("total_count", total_count, POSITIVE), ("probs", given.probs, None)
        )
        super().__init__(self.probs.shape)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs / (1 - self.probs)

    @property
    def variance(self) -> Tensor:
        return self.mean / (1 - self.probs)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return negative_binomial(self.total_count, 1 - self.probs, shape)

    def log_prob(self, value: Any) -> Tensor:
        k, n = asarray(value), self.total_count
        ways = lgamma(n + k) - lgamma(k + 1) - lgamma(n)
        found: Tensor = ways + xlogy(n, 1 - self.probs) + xlogy(k, self.probs)
        return found


class OneHotCategorical(Distribution):
    """A `Categorical` whose place is a 1 among zeros, along the last axis."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._place = Categorical(probs, logits)
        self.probs, self.logits = self._place.probs, self._place.logits
        super().__init__(self.probs.shape[:-1], self.probs.shape[-1:])

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        places = self._place._draw(shape[:-1])
        return (arange(shape[-1]) == places.unsqueeze(-1)).astype(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        return self._place.log_prob(asarray(value).argmax(-1))

    def entropy(self) -> Tensor:
        return self._place.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        n = self.event_shape[0]
        rows = eye(n, dtype=self.probs.dtype).reshape((n, *[1] * len(self.batch_shape), n))
        return rows.broadcast_to((n, *self.batch_shape, n)) if expand else rows


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """A `OneHotCategorical` whose samples have the gradient of `probs` (Bengio, Léonard, Courville,
    Estimating or propagating gradients through stochastic neurons, 2013)."""

    has_rsample = True

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return super()._draw(shape) + (self.probs - self.probs.detach())
