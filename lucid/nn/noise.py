"""Noise of training: dropout that keeps mean and variance, and slopes that are drawn."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.function import Function
from ..creation import device_of
from ..creation import given as asarray
from ..errors import bounds, here, public
from ..functional import where
from ..random import rand
from ..tensor import Tensor
from ..views import replaced
from . import functional as F
from .layers import Drops
from .module import Module

__all__ = ["alpha_dropout", "feature_alpha_dropout", "rrelu", "rrelu_"]

# What SELU tends to far below 0.
_LOW = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def _alpha(name: str, x: Any, p: float, training: bool, features: bool) -> Tensor:
    given: Tensor = asarray(x)
    F.dropout(0.0, p)  # ValueError for what is no probability
    if not training or p == 0:
        return given
    if p == 1:
        return given * 0
    if features and given.ndim < 2:
        raise ValueError(here(f"{name}: expected (batch, channels, ...), not {given.shape}"))
    shape = (*given.shape[:2], *[1] * (given.ndim - 2)) if features else given.shape
    scale = 1 / math.sqrt((_LOW * _LOW * p + 1) * (1 - p))
    out = rand(*shape, device=device_of(given)) < p
    found: Tensor = where(out, _LOW * scale * (p - 1), given * scale + _LOW * scale * p)
    return found


@public
def alpha_dropout(x: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """While `training` each element, with probability `p`, is what SELU tends to below, -1.758; then all are
    scaled and moved such that mean 0 and variance 1 stay so: Klambauer and others, arXiv:1706.02515."""
    return replaced(x, _alpha("alpha_dropout", x, p, training, False), inplace)


@public
def feature_alpha_dropout(x: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels (axis 1) of each sample."""
    return replaced(x, _alpha("feature_alpha_dropout", x, p, training, True), inplace)


@public
def rrelu(
    x: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where x >= 0, else a x, with `a` drawn between `lower` and `upper` for each element while `training`,
    else in the middle: Xu and others, arXiv:1505.00853."""
    given: Tensor = asarray(x)
    if not lower <= upper:
        raise ValueError(here(f"rrelu: lower must not be above upper, not {lower}, {upper}"))
    if not training:
        return replaced(x, F.leaky_relu(given, (lower + upper) / 2), inplace)
    kind = given.dtype if given.is_floating_point() else None
    slope = rand(*given.shape, dtype=kind, device=device_of(given)) * (upper - lower) + lower
    found: Tensor = where(given >= 0, given, given * slope)
    return replaced(x, found, inplace)


@public
def rrelu_(x: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu`, in place."""
    return rrelu(x, lower, upper, training, inplace=True)


class Scaled(Function):
    """x, whose gradient is multiplied by `factor`."""

    @staticmethod
    def forward(ctx: Any, x: Any, factor: Any) -> Any:
        ctx.save_for_backward(factor)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.saved_tensors[0], None


class AlphaDropout(Drops):
    """`functional.alpha_dropout`, while `training`."""

    function = "alpha_dropout"


class FeatureAlphaDropout(Drops):
    """`functional.feature_alpha_dropout`, while `training`."""

    function = "feature_alpha_dropout"


@bounds
class RReLU(Module):
    """`functional.rrelu`, with slopes that are drawn while `training`."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, x: Any) -> Tensor:
        return rrelu(x, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")
