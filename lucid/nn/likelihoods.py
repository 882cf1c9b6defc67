"""Losses that are negative logarithms of likelihoods: of events, distributions, counts, measurements."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from ..creation import given as asarray
from ..errors import bounds, here, public
from ..functional import where, xlogy
from ..tensor import Tensor
from . import functional as F
from .functional import Reduction
from .losses import Loss

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "kl_div",
    "poisson_nll_loss",
]  # fmt: skip

Divergence = Literal["mean", "sum", "none", "batchmean"]


def reduced(name: str, element: Tensor, reduction: Any) -> Tensor:
    how = F.checked_reduction(name, reduction)
    found: Tensor = element if how == "none" else element.mean() if how == "mean" else element.sum()
    return found


def same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ValueError(here(f"{name}: input has shape {input.shape} and target {target.shape}"))


@public
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: Reduction | None = "mean"
) -> Tensor:
    """-(y log(x) + (1 - y) log(1 - x)) of probabilities x, times weight. Logarithms count as at least -100,
    as in PyTorch; their gradients are 0 there. Of logits rather `binary_cross_entropy_with_logits`."""
    x, y = asarray(input), asarray(target)
    same_shape("binary_cross_entropy", x, y)
    event, other = x.log().maximum(-100.0), (-x).log1p().maximum(-100.0)
    element = -(y * event + (1 - y) * other)
    return reduced("binary_cross_entropy", element if weight is None else element * weight, reduction)


@public
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: Reduction | None = "mean", pos_weight: Any = None
) -> Tensor:
    """`binary_cross_entropy` of sigmoid(x), without overflow. `pos_weight` multiplies the term of y."""
    x, y = asarray(input), asarray(target)
    same_shape("binary_cross_entropy_with_logits", x, y)
    spread = F.softplus(-x, threshold=math.inf)  # -log(sigmoid(x))
    if pos_weight is not None:
        spread = spread * ((asarray(pos_weight) - 1) * y + 1)
    element = (1 - y) * x + spread
    name = "binary_cross_entropy_with_logits"
    return reduced(name, element if weight is None else element * weight, reduction)


@public
def kl_div(
    input: Any, target: Any, reduction: Divergence | None = "mean", log_target: bool = False
) -> Tensor:
    """y (log(y) - x) of logarithms x and probabilities y (their logarithms, if `log_target`). "batchmean" is
    the divergence: the sum over the first extent."""
    x, y = asarray(input), asarray(target)
    element = y.exp() * (y - x) if log_target else xlogy(y, y) - y * x
    if reduction == "batchmean":
        found: Tensor = element.sum() / max(1, x.shape[0] if x.ndim else 1)
        return found
    return reduced("kl_div", element, reduction)


@public
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8,
    reduction: Reduction | None = "mean",
) -> Tensor:  # fmt: skip
    """exp(x) - y x of counts y with expectation exp(x); without `log_input` x - y log(x + eps). `full`: with
    Stirling's approximation of log(y!) where y > 1."""
    x, y = asarray(input), asarray(target)
    element = x.exp() - y * x if log_input else x - y * (x + eps).log()
    if full:
        many = where(y > 1, y, 1.0)
        stirling = many * many.log() - many + 0.5 * (many * (2 * math.pi)).log()
        element = element + where(y > 1, stirling, 0.0)
    return reduced("poisson_nll_loss", element, reduction)


@public
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
    reduction: Reduction | None = "mean",
) -> Tensor:  # fmt: skip
    """(log(var) + (x - y)² / var) / 2, with a variance that counts as at least `eps`; `full`: plus
    log(2 pi) / 2."""
    x, y, v = asarray(input), asarray(target), asarray(var)
    if v.shape == x.shape[:-1] and v.ndim:
        v = v.reshape(*v.shape, 1)
    v = v + (v.maximum(eps) - v).detach()  # the gradient goes through, as PyTorch's
    element = 0.5 * (v.log() + (x - y) ** 2 / v)
    if full:
        element = element + 0.5 * math.log(2 * math.pi)
    return reduced("gaussian_nll_loss", element, reduction)


# --- as modules ------------------------------------------------------------------------------------


@bounds
class BCELoss(Loss):
    """`functional.binary_cross_entropy`."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: Reduction | None = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Any, target: Any) -> Tensor:
        return binary_cross_entropy(input, target, self.weight, self.reduction)


@bounds
class BCEWithLogitsLoss(Loss):
    """`functional.binary_cross_entropy_with_logits`."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self, weight: Any = None, reduction: Reduction | None = "mean", pos_weight: Any = None
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Tensor:
        return binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


@bounds
class KLDivLoss(Loss):
    """`functional.kl_div`."""

    def __init__(self, reduction: Divergence | None = "mean", log_target: bool = False) -> None:
        if not isinstance(reduction, str | None) or reduction not in (*get_args(Divergence), None):
            raise ValueError(
                here(f"KLDivLoss: reduction must be batchmean, mean, sum or none, not {reduction!r}")
            )
        super().__init__("sum" if reduction == "batchmean" else reduction)
        self.divergence, self.log_target = reduction, log_target

    def forward(self, input: Any, target: Any) -> Tensor:
        return kl_div(input, target, self.divergence, self.log_target)

    def extra_repr(self) -> str:
        return f"reduction={self.divergence!r}, log_target={self.log_target}"


@bounds
class PoissonNLLLoss(Loss):
    """`functional.poisson_nll_loss`."""

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8,
        reduction: Reduction | None = "mean",
    ) -> None:  # fmt: skip
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, input: Any, target: Any) -> Tensor:
        return poisson_nll_loss(input, target, self.log_input, self.full, self.eps, self.reduction)


@bounds
class GaussianNLLLoss(Loss):
    """`functional.gaussian_nll_loss`."""

    def __init__(
        self, *, full: bool = False, eps: float = 1e-6, reduction: Reduction | None = "mean"
    ) -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Any, target: Any, var: Any) -> Tensor:
        return gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
