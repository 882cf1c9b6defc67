"""A batch of distributions as one of arrays."""

from __future__ import annotations

from typing import Any

from ..errors import here
from ..tensor import Tensor
from .distribution import Distribution


class Independent(Distribution):
    """`base_distribution`, whose last axes of the batch, so many, are axes of one event: densities are
    multiplied along them. ValueError for more than it has."""

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        base, count = base_distribution, reinterpreted_batch_ndims
        cut = len(base.batch_shape) - count
        if cut < 0 or count < 0:
            raise ValueError(here(f"Independent: {count} axes of a batch of {base.batch_shape}"))
        self.base_dist, self.reinterpreted_batch_ndims = base, count
        self._axes = tuple(range(-count, 0))
        super().__init__(base.batch_shape[:cut], base.batch_shape[cut:] + base.event_shape)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.base_dist._draw(shape)

    def log_prob(self, value: Any) -> Tensor:
        return self.summed(self.base_dist.log_prob(value))

    def entropy(self) -> Tensor:
        return self.summed(self.base_dist.entropy())

    def summed(self, x: Tensor) -> Tensor:
        """Over what is no batch any more."""
        return x.sum(self._axes) if self._axes else x
