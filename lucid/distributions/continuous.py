"""Distributions of real numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import random
from ..creation import given as asarray
from ..functional import where
from ..incomplete import gammainc
from ..lanes import at_hand
from ..laws import beta, gammas
from ..published import digamma, lgamma
from ..tensor import Tensor
from .distribution import LOG_2PI, POSITIVE, Distribution, checked, parameters, within


class Normal(Distribution):
    """The normal distribution of mean `loc` and standard deviation `scale`."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
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

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * (2 * asarray(value) - 1).erfinv() * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * LOG_2PI + self.scale.log()


class Laplace(Distribution):
    """Of density exp(-|x - loc| / scale) / (2 scale)."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
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

    def cdf(self, value: Any) -> Tensor:
        off = (asarray(value) - self.loc) / self.scale
        return 0.5 - 0.5 * off.sign() * (-off.abs()).expm1()

    def icdf(self, value: Any) -> Tensor:
        off = asarray(value) - 0.5
        return self.loc - self.scale * off.sign() * (-2 * off.abs()).log1p()

    def entropy(self) -> Tensor:
        return 1 + (2 * self.scale).log()


class Uniform(Distribution):
    """Evenly from `low` to `high`, which is not drawn."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
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
        return within((x >= self.low) & (x < self.high), -(self.high - self.low).log())

    def cdf(self, value: Any) -> Tensor:
        return ((asarray(value) - self.low) / (self.high - self.low)).clip(0, 1)

    def icdf(self, value: Any) -> Tensor:
        return asarray(value) * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


class Exponential(Distribution):
    """Of density rate exp(-rate x), x >= 0."""

    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
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
        return within(x >= 0, self.rate.log() - self.rate * x)

    def cdf(self, value: Any) -> Tensor:
        return -(-self.rate * asarray(value)).expm1()

    def icdf(self, value: Any) -> Tensor:
        return -(-asarray(value)).log1p() / self.rate

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()


class Gamma(Distribution):
    """Of density rate ** a x ** (a - 1) exp(-rate x) / gamma(a), a the `concentration`."""

    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
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
        return gammas(self.concentration, shape) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        x, a, rate = asarray(value), self.concentration, self.rate
        return a * rate.log() + (a - 1) * x.log() - rate * x - lgamma(a)

    def cdf(self, value: Any) -> Tensor:
        return gammainc(self.concentration, self.rate * asarray(value))

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1 - a) * digamma(a)


class Beta(Distribution):
    """Of density x ** (a - 1) (1 - x) ** (b - 1) / B(a, b): a and b are `concentration1` and
    `concentration0`."""

    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
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
        return beta(self.concentration1, self.concentration0, shape)

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


class StudentT(Distribution):
    """Student's t around `loc`, of `df` degrees of freedom."""

    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = parameters(
            "StudentT", ("df", df, POSITIVE), ("loc", loc, None), ("scale", scale, POSITIVE)
        )
        super().__init__(self.df.shape)

    @property
    def mean(self) -> Tensor:
        """NaN where df is at most 1."""
        found: Tensor = where(self.df > 1, self.loc, math.nan)
        return found

    @property
    def variance(self) -> Tensor:
        """inf where df is at most 2, NaN at most 1."""
        finite = self.scale.square() * self.df / (self.df - 2)
        found: Tensor = where(self.df > 2, finite, where(self.df > 1, self.df + math.inf, math.nan))
        return found

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        squares = gammas(self.df / 2, shape) / (self.df / 2)
        normal = random.normal(0.0, 1.0, shape, dtype=self.df.dtype)
        return self.loc + self.scale * normal / squares.sqrt()

    def log_prob(self, value: Any) -> Tensor:
        z = (asarray(value) - self.loc) / self.scale
        return -0.5 * (self.df + 1) * (z * z / self.df).log1p() - self._log_norm()

    def _log_norm(self) -> Tensor:
        n = self.df
        return (
            self.scale.log() + 0.5 * (n.log() + math.log(math.pi)) + lgamma(0.5 * n) - lgamma(0.5 * (n + 1))
        )

    def entropy(self) -> Tensor:
        n = self.df
        return self._log_norm() + 0.5 * (n + 1) * (digamma(0.5 * (n + 1)) - digamma(0.5 * n))


class Cauchy(Distribution):
    """Cauchy's around `loc`, of which half is within `scale`: it has no mean."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters("Cauchy", ("loc", loc, None), ("scale", scale, POSITIVE))
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        return self.loc + math.nan

    @property
    def variance(self) -> Tensor:
        return self.loc + math.nan

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.cauchy(self.loc, self.scale, shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        z = (asarray(value) - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (z * z).log1p()

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return ((asarray(value) - self.loc) / self.scale).arctan() / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        return (math.pi * (asarray(value) - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(Distribution):
    """Of the distribution function exp(-exp((loc - x) / scale))."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters("Gumbel", ("loc", loc, None), ("scale", scale, POSITIVE))
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        return self.loc + np.euler_gamma * self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (math.pi**2 / 6)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.gumbel(self.loc, self.scale, shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        y = (self.loc - asarray(value)) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Any) -> Tensor:
        return (-((self.loc - asarray(value)) / self.scale).exp()).exp()

    def icdf(self, value: Any) -> Tensor:
        return self.loc - self.scale * (-asarray(value).log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + np.euler_gamma)
