"""Distributions of positive numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import random
from ..creation import given as asarray
from ..functional import where
from ..incomplete import gammaincc
from ..laws import gammas
from ..published import digamma, lgamma
from ..tensor import Tensor
from .continuous import Gamma, Normal
from .distribution import LOG_2PI, POSITIVE, Distribution, parameters, within


class Chi2(Gamma):
    """Of the sum of squares of `df` standard normal numbers."""

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = parameters("Chi2", ("df", df, POSITIVE))
        super().__init__(self.df / 2, 0.5)


class FisherSnedecor(Distribution):
    """Fisher's F: of the quotient of two means of `df1` and `df2` squares of standard normal numbers."""

    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = parameters("FisherSnedecor", ("df1", df1, POSITIVE), ("df2", df2, POSITIVE))
        super().__init__(self.df1.shape)

    @property
    def mean(self) -> Tensor:
        """NaN where df2 is at most 2."""
        found: Tensor = where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)
        return found

    @property
    def variance(self) -> Tensor:
        """NaN where df2 is at most 4."""
        m, n = self.df1, self.df2
        finite = 2 * n.square() * (m + n - 2) / (m * (n - 2).square() * (n - 4))
        found: Tensor = where(n > 4, finite, math.nan)
        return found

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        above, below = (gammas(n / 2, shape) / n for n in (self.df1, self.df2))
        return above / below

    def log_prob(self, value: Any) -> Tensor:
        x, a, b, ratio = asarray(value), self.df1 / 2, self.df2 / 2, self.df1 / self.df2
        ways = lgamma(a + b) - lgamma(a) - lgamma(b)
        return ways + a * ratio.log() + (a - 1) * x.log() - (a + b) * (ratio * x).log1p()


class InverseGamma(Distribution):
    """Of rate / x, x of `Gamma(concentration, 1)`."""

    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = parameters(
            "InverseGamma", ("concentration", concentration, POSITIVE), ("rate", rate, POSITIVE)
        )
        super().__init__(self.rate.shape)

    @property
    def mean(self) -> Tensor:
        """inf where the concentration is at most 1."""
        a = self.concentration
        found: Tensor = where(a > 1, self.rate / (a - 1), math.inf)
        return found

    @property
    def variance(self) -> Tensor:
        """inf where the concentration is at most 2."""
        a = self.concentration
        found: Tensor = where(a > 2, (self.rate / (a - 1)).square() / (a - 2), math.inf)
        return found

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.rate / gammas(self.concentration, shape)

    def log_prob(self, value: Any) -> Tensor:
        x, a = asarray(value), self.concentration
        return a * self.rate.log() - (a + 1) * x.log() - self.rate / x - lgamma(a)

    def cdf(self, value: Any) -> Tensor:
        return gammaincc(self.concentration, self.rate / asarray(value))

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + self.rate.log() + lgamma(a) - (1 + a) * digamma(a)


class HalfNormal(Distribution):
    """Of |x|, x normal of mean 0 and standard deviation `scale`."""

    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = parameters("HalfNormal", ("scale", scale, POSITIVE))
        super().__init__(self.scale.shape)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (1 - 2 / math.pi)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.normal(0.0, self.scale, shape, dtype=self.scale.dtype).abs()

    def log_prob(self, value: Any) -> Tensor:
        x = asarray(value)
        z = x / self.scale
        return within(x >= 0, math.log(2) - 0.5 * z * z - self.scale.log() - 0.5 * LOG_2PI)

    def cdf(self, value: Any) -> Tensor:
        """The probability of what is at most `value`."""
        return (asarray(value) / (self.scale * math.sqrt(2))).erf()

    def icdf(self, value: Any) -> Tensor:
        return asarray(value).erfinv() * (self.scale * math.sqrt(2))

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * LOG_2PI - math.log(2) + self.scale.log()


class HalfCauchy(Distribution):
    """Of |x|, x of `Cauchy(0, scale)`: it has no mean."""

    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = parameters("HalfCauchy", ("scale", scale, POSITIVE))
        super().__init__(self.scale.shape)

    @property
    def mean(self) -> Tensor:
        return self.scale + math.inf

    @property
    def variance(self) -> Tensor:
        return self.scale + math.inf

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.cauchy(0.0, self.scale, shape, dtype=self.scale.dtype).abs()

    def log_prob(self, value: Any) -> Tensor:
        x = asarray(value)
        z = x / self.scale
        return within(x >= 0, math.log(2 / math.pi) - self.scale.log() - (z * z).log1p())

    def cdf(self, value: Any) -> Tensor:
        return (asarray(value) / self.scale).arctan() * (2 / math.pi)

    def icdf(self, value: Any) -> Tensor:
        return (asarray(value) * (math.pi / 2)).tan() * self.scale

    def entropy(self) -> Tensor:
        return math.log(2 * math.pi) + self.scale.log()


class LogNormal(Distribution):
    """Of exp(x), x normal of mean `loc` and standard deviation `scale`."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters("LogNormal", ("loc", loc, None), ("scale", scale, POSITIVE))
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale.square()
        return square.expm1() * (2 * self.loc + square).exp()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.lognormal(self.loc, self.scale, shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        logs = asarray(value).log()
        z = (logs - self.loc) / self.scale
        return -0.5 * z * z - self.scale.log() - 0.5 * LOG_2PI - logs

    def cdf(self, value: Any) -> Tensor:
        return Normal(self.loc, self.scale).cdf(asarray(value).log())

    def icdf(self, value: Any) -> Tensor:
        return Normal(self.loc, self.scale).icdf(value).exp()

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * LOG_2PI + self.scale.log() + self.loc


class Pareto(Distribution):
    """Of density alpha scale ** alpha / x ** (alpha + 1), x >= scale."""

    has_rsample = True

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = parameters("Pareto", ("scale", scale, POSITIVE), ("alpha", alpha, POSITIVE))
        super().__init__(self.scale.shape)

    @property
    def mean(self) -> Tensor:
        """inf where alpha is at most 1."""
        found: Tensor = where(self.alpha > 1, self.alpha * self.scale / (self.alpha - 1), math.inf)
        return found

    @property
    def variance(self) -> Tensor:
        """inf where alpha is at most 2."""
        a = self.alpha
        found: Tensor = where(a > 2, (self.scale / (a - 1)).square() * a / (a - 2), math.inf)
        return found

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return (random.pareto(self.alpha, shape, dtype=self.alpha.dtype) + 1) * self.scale

    def log_prob(self, value: Any) -> Tensor:
        x, a = asarray(value), self.alpha
        return within(x >= self.scale, a.log() + a * self.scale.log() - (a + 1) * x.log())

    def cdf(self, value: Any) -> Tensor:
        return 1 - (self.scale / asarray(value)) ** self.alpha

    def icdf(self, value: Any) -> Tensor:
        return self.scale * (1 - asarray(value)) ** (-1 / self.alpha)

    def entropy(self) -> Tensor:
        return (self.scale / self.alpha).log() + 1 + 1 / self.alpha


class Weibull(Distribution):
    """Of the distribution function 1 - exp(-(x / scale) ** concentration)."""

    has_rsample = True

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = parameters(
            "Weibull", ("scale", scale, POSITIVE), ("concentration", concentration, POSITIVE)
        )
        super().__init__(self.scale.shape)

    @property
    def mean(self) -> Tensor:
        return self.scale * lgamma(1 + 1 / self.concentration).exp()

    @property
    def variance(self) -> Tensor:
        first, second = (lgamma(1 + k / self.concentration) for k in (1, 2))
        return self.scale.square() * (second.exp() - (2 * first).exp())

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return random.weibull(self.concentration, shape, dtype=self.scale.dtype) * self.scale

    def log_prob(self, value: Any) -> Tensor:
        x, k = asarray(value), self.concentration
        logs = (x / self.scale).log()
        return (k / self.scale).log() + (k - 1) * logs - (k * logs).exp()

    def cdf(self, value: Any) -> Tensor:
        return -(-((asarray(value) / self.scale) ** self.concentration)).expm1()

    def icdf(self, value: Any) -> Tensor:
        return self.scale * (-(-asarray(value)).log1p()) ** (1 / self.concentration)

    def entropy(self) -> Tensor:
        k = self.concentration
        return np.euler_gamma * (1 - 1 / k) + (self.scale / k).log() + 1
