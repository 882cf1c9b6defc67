"""Distributions made of others: what is drawn changed, or one of several chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import random
from ..array_functions import logsumexp
from ..creation import arange
from ..creation import given as asarray
from ..errors import here
from ..functional import where
from ..nn import functional as F
from ..tensor import Tensor
from .continuous import Normal
from .discrete import Bernoulli, Categorical
from .distribution import POSITIVE, Distribution, parameters
from .independent import Independent
from .transforms import (
    ComposeTransform,
    ExpTransform,
    SigmoidTransform,
    StickBreakingTransform,
    Transform,
    summed,
)  # fmt: skip


class TransformedDistribution(Distribution):
    """Of t(x), x of `base_distribution`, t being `transforms`, one or several, the first one first."""

    def __init__(
        self, base_distribution: Distribution, transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for t in self.transforms:
            if not isinstance(t, Transform):
                raise TypeError(here(f"TransformedDistribution: expected transforms, not {type(t).__name__}"))
        base, whole = base_distribution, ComposeTransform(self.transforms)
        shape = base.batch_shape + base.event_shape
        if len(shape) < whole.domain_dim:
            raise ValueError(
                here(f"TransformedDistribution: of {whole.domain_dim} axes, more than those of {shape}")
            )
        found = whole.inverse_shape(whole.forward_shape(shape)) if whole.bijective else shape
        if found != shape:
            base = base.expand(found[: len(found) - len(base.event_shape)])
        more = whole.domain_dim - len(base.event_shape)
        self.base_dist = Independent(base, more) if more > 0 else base
        made = whole.forward_shape(self.base_dist.batch_shape + self.base_dist.event_shape)
        axes = whole.codomain_dim + max(len(self.base_dist.event_shape) - whole.domain_dim, 0)
        super().__init__(made[: len(made) - axes], made[len(made) - axes :])

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    def expand(self, batch_shape: Sequence[int]) -> TransformedDistribution:
        """The same for a greater batch."""
        whole = ComposeTransform(self.transforms)
        shape = whole.inverse_shape((*batch_shape, *self.event_shape))
        base = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return TransformedDistribution(base, self.transforms)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        drawn = shape[: len(shape) - len(self.batch_shape) - len(self.event_shape)]
        found = self.base_dist._draw(self.base_dist._extended(drawn))
        for t in self.transforms:
            found = t(found)
        return found

    def log_prob(self, value: Any) -> Tensor:
        y, axes, total = asarray(value), len(self.event_shape), 0.0
        for t in reversed(self.transforms):
            x = t.inv(y)
            axes += t.domain_dim - t.codomain_dim
            total = total - summed(t.log_abs_det_jacobian(x, y), axes - t.domain_dim)
            y = x
        found: Tensor = total + summed(self.base_dist.log_prob(y), axes - len(self.base_dist.event_shape))
        return found

    def cdf(self, value: Any) -> Tensor:
        for t in reversed(self.transforms):
            value = t.inv(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Tensor:
        found = self.base_dist.icdf(self._turned(asarray(value)))
        for t in self.transforms:
            found = t(found)
        return found

    def _turned(self, p: Tensor) -> Tensor:
        """1 - p where it falls."""
        sign = ComposeTransform(self.transforms).sign
        if isinstance(sign, int) and sign == 1:
            return p
        found: Tensor = where(sign > 0, p, 1 - p)
        return found


class LogisticNormal(TransformedDistribution):
    """Of shares, which add up to 1: `StickBreakingTransform` of normal numbers."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters("LogisticNormal", ("loc", loc, None), ("scale", scale, POSITIVE))
        super().__init__(Normal(self.loc, self.scale), StickBreakingTransform())


class _Relaxed(TransformedDistribution):
    @property
    def temperature(self) -> Tensor:
        found: Tensor = self.base_dist.temperature  # type: ignore[attr-defined]
        return found

    @property
    def probs(self) -> Tensor:
        found: Tensor = self.base_dist.probs  # type: ignore[attr-defined]
        return found

    @property
    def logits(self) -> Tensor:
        found: Tensor = self.base_dist.logits  # type: ignore[attr-defined]
        return found


class LogitRelaxedBernoulli(Distribution):
    """The logits of a `RelaxedBernoulli`."""

    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = Bernoulli(probs, logits)
        self.temperature, self.probs, self.logits = parameters(
            "RelaxedBernoulli",
            ("temperature", temperature, POSITIVE),
            ("probs", given.probs, None),
            ("logits", given.logits, None),
        )
        super().__init__(self.probs.shape)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        noise = random.logistic(0.0, 1.0, shape, dtype=self.probs.dtype)
        return (self.logits + noise) / self.temperature

    def log_prob(self, value: Any) -> Tensor:
        apart = self.logits - asarray(value) * self.temperature
        found: Tensor = self.temperature.log() + apart - 2 * F.softplus(apart)
        return found


class RelaxedBernoulli(_Relaxed):
    """Numbers between 0 and 1, the nearer to one of these the lower the temperature (Maddison, Mnih, Teh, The
    concrete distribution, 2017)."""

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(LogitRelaxedBernoulli(temperature, probs, logits), SigmoidTransform())


class ExpRelaxedCategorical(Distribution):
    """The logarithms of a `RelaxedOneHotCategorical`."""

    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = Categorical(probs, logits)
        (number,) = parameters("RelaxedOneHotCategorical", ("temperature", temperature, POSITIVE))
        self.probs, self.logits = given.probs, given.logits
        super().__init__(self.probs.shape[:-1], self.probs.shape[-1:])
        self.temperature = number.astype(self.probs.dtype).broadcast_to(self.batch_shape)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        noise = random.gumbel(0.0, 1.0, shape, dtype=self.probs.dtype)
        found: Tensor = F.log_softmax((self.logits + noise) / self.temperature.unsqueeze(-1), -1)
        return found

    def log_prob(self, value: Any) -> Tensor:
        count = self.event_shape[0]
        score = F.log_softmax(self.logits - asarray(value) * self.temperature.unsqueeze(-1), -1).sum(-1)
        found: Tensor = score + math.lgamma(count) + (count - 1) * self.temperature.log()
        return found


class RelaxedOneHotCategorical(_Relaxed):
    """Shares, which add up to 1, the nearer to a single one the lower the temperature (Maddison, Mnih, Teh,
    The concrete distribution, 2017)."""

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(ExpRelaxedCategorical(temperature, probs, logits), ExpTransform())


class MixtureSameFamily(Distribution):
    """One of `component_distribution`, along the last axis of its batch, by the `mixture_distribution`."""

    def __init__(
        self, mixture_distribution: Categorical, component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        mixture, component = mixture_distribution, component_distribution
        if not isinstance(mixture, Categorical):
            raise TypeError(here(f"MixtureSameFamily: expected a Categorical, not {type(mixture).__name__}"))
        count = mixture.probs.shape[-1]
        batch = component.batch_shape
        if not batch or batch[-1] != count or (mixture.batch_shape not in ((), batch[:-1])):
            raise ValueError(
                here(f"MixtureSameFamily: {mixture.batch_shape} of {count} do not fit components {batch}")
            )
        self.mixture_distribution, self.component_distribution = mixture, component
        super().__init__(batch[:-1], component.event_shape)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return False

    def expand(self, batch_shape: Sequence[int]) -> MixtureSameFamily:
        """The same for a greater batch."""
        component = self.component_distribution
        return MixtureSameFamily(
            self.mixture_distribution.expand(batch_shape),
            component.expand((*batch_shape, component.batch_shape[-1])),
        )

    def _weighted(self, x: Tensor) -> Tensor:
        """The mean of what components have along the axis before those of an event."""
        axes = len(self.event_shape)
        probs = self.mixture_distribution.probs
        probs = probs.reshape((*probs.shape, *[1] * axes))
        found: Tensor = (probs * x).sum(-1 - axes)
        return found

    @property
    def mean(self) -> Tensor:
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        mean = self.component_distribution.mean
        off = (mean - self.mean.unsqueeze(-1 - len(self.event_shape))).square()
        return self._weighted(self.component_distribution.variance) + self._weighted(off)

    def _beside(self, value: Any) -> Tensor:
        return asarray(value).unsqueeze(-1 - len(self.event_shape))

    def cdf(self, value: Any) -> Tensor:
        found = self.component_distribution.cdf(self._beside(value))
        return (found * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Any) -> Tensor:
        each = self.component_distribution.log_prob(self._beside(value))
        found: Tensor = logsumexp(each + F.log_softmax(self.mixture_distribution.logits, -1), -1)
        return found

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        axes = len(self.event_shape)
        drawn = shape[: len(shape) - axes - len(self.batch_shape)]
        place = self.mixture_distribution._draw((*drawn, *self.batch_shape))
        each = self.component_distribution._draw(self.component_distribution._extended(drawn))
        chosen = arange(each.shape[-1 - axes]) == place.unsqueeze(-1)
        chosen = chosen.reshape((*chosen.shape, *[1] * axes))
        found: Tensor = where(chosen, each, np.zeros((), each.dtype)).sum(-1 - axes)
        return found
