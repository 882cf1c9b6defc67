"""Distributions of numbers between 0 and 1, and of angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import laws, random
from ..bessel import i0e, i1e
from ..creation import given as asarray
from ..functional import where
from ..nn import functional as F
from ..published import digamma, lgamma
from ..tensor import Tensor
from .discrete import Bernoulli
from .distribution import POSITIVE, Distribution, parameters


class Kumaraswamy(Distribution):
    """Of the distribution function 1 - (1 - x ** a) ** b, a and b the `concentration1` and
    `concentration0`."""

    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = parameters(
            "Kumaraswamy",
            ("concentration1", concentration1, POSITIVE),
            ("concentration0", concentration0, POSITIVE),
        )
        super().__init__(self.concentration1.shape)

    def _moment(self, n: int) -> Tensor:
        b, more = self.concentration0, 1 + n / self.concentration1
        found: Tensor = b * (lgamma(more) + lgamma(b) - lgamma(more + b)).exp()
        return found

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self._moment(1).square()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        kind = self.concentration1.dtype
        return self.icdf(random.uniform(float(np.finfo(kind).tiny), 1.0, shape, dtype=kind))

    def log_prob(self, value: Any) -> Tensor:
        x, a, b = asarray(value), self.concentration1, self.concentration0
        logs = x.log()
        return a.log() + b.log() + (a - 1) * logs + (b - 1) * (-(a * logs).expm1()).log()

    def cdf(self, value: Any) -> Tensor:
        logs = (-(self.concentration1 * asarray(value).log()).expm1()).log()
        return -(self.concentration0 * logs).expm1()

    def icdf(self, value: Any) -> Tensor:
        rest = (-asarray(value)).log1p() / self.concentration0
        return ((-rest.expm1()).log() / self.concentration1).exp()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = digamma(b + 1) + np.euler_gamma
        return (1 - 1 / b) + (1 - 1 / a) * harmonic - a.log() - b.log()


class ContinuousBernoulli(Distribution):
    """Of density C p ** x (1 - p) ** (1 - x), 0 <= x <= 1 (Loaiza-Ganem and Cunningham, The continuous
    Bernoulli, 2019), p being `probs` or sigmoid(`logits`). Between `lims` series in p - 1/2 stand in."""

    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        given = Bernoulli(probs, logits)
        least = float(np.finfo(given.probs.dtype).eps)
        self.probs, self.logits = given.probs.clip(least, 1 - least), given.logits
        middle = (self.probs > lims[0]) & (self.probs < lims[1])
        self._middle, self._apart = middle, where(middle, lims[0], self.probs)
        self._off = where(middle, self.probs - 0.5, 0.0)
        super().__init__(self.probs.shape)

    def _slope(self) -> Tensor:
        """The logit, where that is apart from 0."""
        return self._apart.log() - (-self._apart).log1p()

    def _either(self, near: Any, far: Any) -> Tensor:
        found: Tensor = where(self._middle, near, far)
        return found

    def _log_norm(self) -> Tensor:
        square = self._off.square()
        far = self._slope().abs().log() - (1 - 2 * self._apart).abs().log()
        return self._either(math.log(2) + (4 / 3 + 104 / 45 * square) * square, far)

    @property
    def mean(self) -> Tensor:
        p, off = self._apart, self._off
        return self._either(0.5 + (1 / 3 + 16 / 45 * off.square()) * off, p / (2 * p - 1) - 1 / self._slope())

    @property
    def variance(self) -> Tensor:
        p, square = self._apart, self._off.square()
        far = p * (p - 1) / (1 - 2 * p).square() + 1 / self._slope().square()
        return self._either(1 / 12 - (1 / 15 - 128 / 945 * square) * square, far)

    def _at_zero(self) -> Tensor:
        """The logarithm of the density at 0."""
        return self._log_norm() + (-self.probs).log1p()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.icdf(random.uniform(0.0, 1.0, shape, dtype=self.probs.dtype))

    def log_prob(self, value: Any) -> Tensor:
        found: Tensor = asarray(value) * self.logits - F.softplus(self.logits) + self._log_norm()
        return found

    def cdf(self, value: Any) -> Tensor:
        x, p = asarray(value), self._apart
        far = (p**x * (1 - p) ** (1 - x) + p - 1) / (2 * p - 1)
        return self._either(x, far).clip(0, 1)

    def icdf(self, value: Any) -> Tensor:
        x, p = asarray(value), self._apart
        far = ((-p + x * (2 * p - 1)).log1p() - (-p).log1p()) / self._slope()
        return self._either(x, far)

    def entropy(self) -> Tensor:
        logs = self.probs.log(), (-self.probs).log1p()
        return self.mean * (logs[1] - logs[0]) - self._log_norm() - logs[1]


class VonMises(Distribution):
    """Of angles from -pi to pi: of density exp(concentration cos(x - loc)), times a constant."""

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = parameters(
            "VonMises", ("loc", loc, None), ("concentration", concentration, POSITIVE)
        )
        super().__init__(self.loc.shape)

    @property
    def mean(self) -> Tensor:
        """The direction that angles are around."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """1 less the mean of cos(x - loc)."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return laws.vonmises(self.loc, self.concentration, shape)

    def log_prob(self, value: Any) -> Tensor:
        apart = (asarray(value) - self.loc).cos() - 1
        return self.concentration * apart - math.log(2 * math.pi) - i0e(self.concentration).log()

    def entropy(self) -> Tensor:
        k = self.concentration
        return k * self.variance + math.log(2 * math.pi) + i0e(k).log()
