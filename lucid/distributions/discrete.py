"""Distributions of whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import random
from ..creation import arange
from ..creation import given as asarray
from ..functional import where, xlogy
from ..nn import functional as F
from ..published import lgamma
from ..tensor import Tensor
from .distribution import NOT_NEGATIVE, PROBABILITY, Distribution, one_of, parameters


class Bernoulli(Distribution):
    """1 with the probability `probs`, or sigmoid(`logits`), else 0."""

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
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


class Categorical(Distribution):
    """The places along the last axis of `probs`, weights that need not add up to 1, or of `logits`: int64."""

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
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


class Poisson(Distribution):
    """How many events there are, of `rate` in the mean: rate ** k exp(-rate) / k!."""

    def __init__(self, rate: Any) -> None:
        (self.rate,) = parameters("Poisson", ("rate", rate, NOT_NEGATIVE))
        super().__init__(self.rate.shape)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        rate = self.rate.broadcast_to(shape)
        small = where(rate < 10, rate, 1.0)
        found: Tensor = where(rate < 10, _counted(small), _refused(where(rate < 10, 10.0, rate)))
        return found

    def log_prob(self, value: Any) -> Tensor:
        return _log_poisson(asarray(value), self.rate)


def _log_poisson(k: Tensor, rate: Tensor) -> Tensor:
    found: Tensor = xlogy(k, rate) - rate - lgamma(k + 1)
    return found


def _counted(rate: Tensor) -> Tensor:
    """Drawn by how many sums of probabilities lie below an even number; above 60 there is nothing of a rate
    below 10."""
    k = arange(60).reshape(-1, *[1] * rate.ndim).astype(rate.dtype)
    below = _log_poisson(k, rate).exp().cumsum(0)
    drawn = random.uniform(0.0, 1.0, rate.shape, dtype=rate.dtype)
    return (drawn >= below).sum(0).astype(rate.dtype)


def _refused(rate: Tensor) -> Tensor:
    """Drawn for rates of at least 10: the first of some proposals that is accepted (Hörmann, The transformed
    rejection method for generating Poisson random variables, 1993: PTRS)."""
    shape, kind = (16, *rate.shape), rate.dtype
    b = 0.931 + 2.53 * rate.sqrt()
    a = -0.059 + 0.02483 * b
    inverse, least = 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2)
    u = random.uniform(-0.5, 0.5, shape, dtype=kind)
    v = 1 - random.uniform(0.0, 1.0, shape, dtype=kind)
    us = (0.5 - u.abs()).maximum(1e-7)
    k = ((2 * a / us + b) * u + rate + 0.43).floor()
    held = k.maximum(0.0)
    at_once = (us >= 0.07) & (v <= least)
    in_the_end = v.log() + inverse.log() - (a / (us * us) + b).log() <= _log_poisson(held, rate)
    fits = (k >= 0) & (at_once | (((us >= 0.013) | (v <= us)) & in_the_end))
    return held.take_along_axis(fits.argmax(0, keepdims=True), 0)[0]
