"""Losses as modules. `reduction` is "mean", "sum" or "none" (also None); bad arguments raise at
once."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .functional import Reduction
from .module import Module


class Loss(Module):
    def __init__(self, reduction: Reduction | None = "mean") -> None:
        super().__init__()
        self.reduction = F.checked_reduction(type(self).__name__, reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class HuberLoss(Loss):
    """d²/2 where |d| <= delta, else delta (|d| - delta/2). ValueError unless delta > 0."""

    def __init__(self, reduction: Reduction | None = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = F.checked_number("HuberLoss", "delta", delta, zero=False)

    def forward(self, input: Any, target: Any) -> Tensor:
        return F.huber_loss(input, target, delta=self.delta, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, delta={self.delta}"


class SmoothL1Loss(Loss):
    """d²/(2 beta) where |d| < beta, else |d| - beta/2. ValueError if beta < 0 or NaN."""

    def __init__(self, reduction: Reduction | None = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = F.checked_number("SmoothL1Loss", "beta", beta, zero=True)

    def forward(self, input: Any, target: Any) -> Tensor:
        return F.smooth_l1_loss(input, target, beta=self.beta, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}, beta={self.beta}"


class L1Loss(Loss):
    """|d|."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(Loss):
    """d²."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class _ClassLoss(Loss):
    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: Reduction | None = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index


class NLLLoss(_ClassLoss):
    """Less the input, log-probabilities, at the target classes."""

    weight: Tensor | None

    def forward(self, input: Any, target: Any) -> Tensor:
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(_ClassLoss):
    """Less the log-softmax of the input at the target classes, or times target probabilities."""

    weight: Tensor | None

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: Reduction | None = "mean",
        label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = F.checked_number(
            "CrossEntropyLoss", "label_smoothing", label_smoothing, zero=True
        )

    def forward(self, input: Any, target: Any) -> Tensor:
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )
