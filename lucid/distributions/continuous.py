"""Distributions of real numbers."""

from __future__ import annotations

import math
from typing import Any

from .. import random
from ..creation import given as asarray
from ..functional import where
from ..lanes import at_hand
from ..published import digamma, lgamma
from ..tensor import Tensor
from .distribution import LOG_2PI, POSITIVE, Distribution, checked, parameters


class Normal(Distribution):
    """The normal distribution of mean `loc` and standard deviation `scale`."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any) -> None:
        self.loc, self.scale = parameters("Normal", ("loc", loc, None), ("scale", scale, POSITIVE))
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.normal(self.loc, self.scale, shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        z = (asarray(value) - self.loc) / self.scale
        return -0.5 * z * z - self.scale.log() - 0.5 * LOG_2PI

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return 0.5 * (1 + ((asarray(value) - self.loc) / (self.scale * math.sqrt(2))).erf())

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * LOG_2PI + self.scale.log()


class Laplace(Distribution):
    """Of density exp(-|x - loc| / scale) / (2 scale)."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any) -> None:
        self.loc, self.scale = parameters("Laplace", ("loc", loc, None), ("scale", scale, POSITIVE))
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale.square()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.laplace(self.loc, self.scale, shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        return -(asarray(value) - self.loc).abs() / self.scale - (2 * self.scale).log()

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()


class Uniform(Distribution):
    """Evenly from `low` to `high`, which is not drawn."""

    has_rsample = True

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = parameters("Uniform", ("low", low, None), ("high", high, None))
        if at_hand(*(x for x in (low, high) if isinstance(x, Tensor))):
            checked("Uniform", "high - low", self.high - self.low, POSITIVE)
        super().__init__(self.low.shape)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low).square() / 12

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.uniform(self.low, self.high, shape, dtype=self.low.dtype)

    def log_prob(self, value: Any) -> Tensor:
        """-inf outside."""
        x = asarray(value)
        found: Tensor = where((x >= self.low) & (x < self.high), -(self.high - self.low).log(), -math.inf)
        return found

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


class Exponential(Distribution):
    """Of density rate exp(-rate x), x >= 0."""

    has_rsample = True

    def __init__(self, rate: Any) -> None:
        (self.rate,) = parameters("Exponential", ("rate", rate, POSITIVE))
        super().__init__(self.rate.shape)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / self.rate.square()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.exponential(1.0, shape, dtype=self.rate.dtype) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        """-inf below 0."""
        x = asarray(value)
        found: Tensor = where(x >= 0, self.rate.log() - self.rate * x, -math.inf)
        return found

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()


# Proposals at once: all of them are refused once in 1e15.
_PROPOSALS = 12


def standard_gamma(concentration: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Drawn of density x ** (a - 1) exp(-x) / gamma(a): the first of some proposals that is accepted
    (Marsaglia and Tsang, A simple method for generating gamma variables, 2000)."""
    kind = concentration.dtype
    raised = where(concentration < 1, concentration + 1, concentration)
    d = raised - 1 / 3
    x = random.normal(0.0, 1.0, (_PROPOSALS, *shape), dtype=kind)
    v = (1 + x / (9 * d).sqrt()) ** 3
    u = random.uniform(0.0, 1.0, (_PROPOSALS, *shape), dtype=kind)
    fits = v > 0
    known = where(fits, v, 1.0)
    accepted = fits & ((1 - u).log() < 0.5 * x * x + d * (1 - known + known.log()))
    chosen = known.take_along_axis(accepted.argmax(0, keepdims=True), 0)[0] * d
    less = (1 - random.uniform(0.0, 1.0, shape, dtype=kind)) ** (1 / concentration)
    found: Tensor = where(concentration < 1, chosen * less, chosen)
    return found


class Gamma(Distribution):
    """Of density rate ** a x ** (a - 1) exp(-rate x) / gamma(a), a the `concentration`."""

    def __init__(self, concentration: Any, rate: Any) -> None:
        self.concentration, self.rate = parameters(
            "Gamma", ("concentration", concentration, POSITIVE), ("rate", rate, POSITIVE)
        )
        super().__init__(self.rate.shape)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return standard_gamma(self.concentration, shape) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        x, a, rate = asarray(value), self.concentration, self.rate
        return a * rate.log() + (a - 1) * x.log() - rate * x - lgamma(a)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1 - a) * digamma(a)


class Beta(Distribution):
    """Of density x ** (a - 1) (1 - x) ** (b - 1) / B(a, b): a and b are `concentration1` and
    `concentration0`."""

    def __init__(self, concentration1: Any, concentration0: Any) -> None:
        self.concentration1, self.concentration0 = parameters(
            "Beta", ("concentration1", concentration1, POSITIVE), ("concentration0", concentration0, POSITIVE)
        )
        super().__init__(self.concentration1.shape)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        x, y = (standard_gamma(c, shape) for c in (self.concentration1, self.concentration0))
        return x / (x + y)

    def _log_norm(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        found: Tensor = lgamma(a) + lgamma(b) - lgamma(a + b)
        return found

    def log_prob(self, value: Any) -> Tensor:
        x = asarray(value)
        return (
            (self.concentration1 - 1) * x.log() + (self.concentration0 - 1) * (-x).log1p() - self._log_norm()
        )

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        inner = (a - 1) * digamma(a) + (b - 1) * digamma(b) - (a + b - 2) * digamma(a + b)
        return self._log_norm() - inner
