"""Losses that ask for a margin: between classes, pairs, triplets; and those that take its edge off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..creation import arange
from ..creation import given as asarray
from ..elements import take_along_axis
from ..errors import bounds, here, public
from ..functional import where
from ..tensor import Tensor
from . import functional as F
from .functional import Reduction
from .likelihoods import reduced, same_shape
from .losses import Loss

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip


def _above(x: Tensor) -> Tensor:
    """max(x, 0); its gradient at 0 is 0."""
    return F.relu(x)


@public
def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: Reduction | None = "mean"
) -> Tensor:
    """x where y is 1, max(0, margin - x) where it is -1, for distances x; both terms where it is neither."""
    x, y = asarray(input), asarray(target)
    apart, close = where(y != 1, _above(margin - x), 0.0), where(y != -1, x, 0.0)
    return reduced("hinge_embedding_loss", apart + close, reduction)


@public
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: Reduction | None = "mean"
) -> Tensor:
    """1 - cos where y is 1, max(0, cos - margin) where it is -1, of the angle between rows."""
    a, b, y = asarray(input1), asarray(input2), asarray(target)
    eps = 1e-12
    lengths = ((a * a).sum(-1) + eps) * ((b * b).sum(-1) + eps)
    cosine = (a * b).sum(-1) / lengths.sqrt()
    alike, unlike = where(y == 1, 1 - cosine, 0.0), where(y == -1, _above(cosine - margin), 0.0)
    return reduced("cosine_embedding_loss", alike + unlike, reduction)


@public
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: Reduction | None = "mean"
) -> Tensor:
    """max(0, -y (x1 - x2) + margin): y is 1 where the first is to be greater, else -1."""
    a, b, y = asarray(input1), asarray(input2), asarray(target)
    return reduced("margin_ranking_loss", _above(-y * (a - b) + margin), reduction)


@public
def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6,
    swap: bool = False, reduction: Reduction | None = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), with `pairwise_distance`; `swap`: with
    d(positive, negative) where that is less than the second (Balntas and others, 2016)."""

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return F.pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


@public
def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: Reduction | None = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with a distance of the user's."""
    distance = F.pairwise_distance if distance_function is None else distance_function
    a, near, far = asarray(anchor), asarray(positive), asarray(negative)
    away = distance(a, far)
    if swap:
        away = away.minimum(distance(near, far))
    return reduced("triplet_margin_loss", _above(distance(a, near) - away + margin), reduction)


@public
def soft_margin_loss(input: Any, target: Any, reduction: Reduction | None = "mean") -> Tensor:
    """log(1 + exp(-y x)), with y 1 or -1."""
    x, y = asarray(input), asarray(target)
    same_shape("soft_margin_loss", x, y)
    return reduced("soft_margin_loss", F.softplus(-y * x, threshold=float("inf")), reduction)


@public
def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: Reduction | None = "mean"
) -> Tensor:
    """-(y log(sigmoid(x)) + (1 - y) log(sigmoid(-x))), the mean over classes (the last axis)."""
    x, y = asarray(input), asarray(target)
    same_shape("multilabel_soft_margin_loss", x, y)
    element = -(y * F.logsigmoid(x) + (1 - y) * F.logsigmoid(-x))
    if weight is not None:
        element = element * weight
    return reduced("multilabel_soft_margin_loss", element.mean(-1), reduction)


@public
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None,
    reduction: Reduction | None = "mean",
) -> Tensor:  # fmt: skip
    """The mean over classes of max(0, margin - x[y] + x[i])^p for all i but y, times weight[y]; x is (n,
    classes), y (n). ValueError for a `p` that is not 1 or 2."""
    x, y = asarray(input), asarray(target)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p must be 1 or 2, not {p!r}")
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"multi_margin_loss: expected (n, classes) and (n,), not {x.shape}, {y.shape}")
    places = y.reshape(-1, 1)
    over = _above(margin - take_along_axis(x, places, 1) + x)
    if p == 2:
        over = over * over
    if weight is not None:
        over = over * asarray(weight)[places]
    own = F.one_hot(y, x.shape[1]) == 1
    return reduced("multi_margin_loss", where(own, 0.0, over).sum(1) / x.shape[1], reduction)


@public
def multilabel_margin_loss(input: Any, target: Any, reduction: Reduction | None = "mean") -> Tensor:
    """The sum of max(0, 1 - x[y] + x[i]) over the classes y that `target` lists and all i that it does not,
    over the number of classes. x is (n, classes) or (classes), and so is `target`: classes up to the first
    that is negative."""
    x, y = asarray(input), asarray(target)
    same_shape("multilabel_margin_loss", x, y)
    if not x.ndim:
        x, y = x.reshape(1), y.reshape(1)
    if x.ndim not in (1, 2) or y.dtype.kind not in "iu":
        told = f"(n, classes) or (classes), and whole numbers, not {x.shape} and {y.dtype}"
        raise ValueError(here(f"multilabel_margin_loss: expected {told}"))
    listed = (y < 0).long().cumsum(-1) == 0
    own = where(listed, y, 0)
    over = _above(1 - take_along_axis(x, own, -1).unsqueeze(-1) + x.unsqueeze(-2))
    each = listed.unsqueeze(-1)
    wanted = (each & (own.unsqueeze(-1) == arange(x.shape[-1]))).any(-2, keepdims=True)
    total = where(each & ~wanted, over, 0.0).sum((-2, -1)) / x.shape[-1]
    return reduced("multilabel_margin_loss", total, reduction)


# --- as modules ------------------------------------------------------------------------------------


@bounds
class _MarginLoss(Loss):
    def __init__(self, margin: float, reduction: Reduction | None) -> None:
        super().__init__(reduction)
        if isinstance(margin, bool) or not isinstance(margin, int | float):
            raise TypeError(here(f"{type(self).__name__}: margin must be a number, not {margin!r}"))
        self.margin = margin

    def extra_repr(self) -> str:
        return f"margin={self.margin}, reduction={self.reduction!r}"


class HingeEmbeddingLoss(_MarginLoss):
    """`functional.hinge_embedding_loss`."""

    def __init__(self, margin: float = 1.0, reduction: Reduction | None = "mean") -> None:
        super().__init__(margin, reduction)

    def forward(self, input: Any, target: Any) -> Tensor:
        return hinge_embedding_loss(input, target, self.margin, self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """`functional.cosine_embedding_loss`."""

    def __init__(self, margin: float = 0.0, reduction: Reduction | None = "mean") -> None:
        super().__init__(margin, reduction)

    def forward(self, input1: Any, input2: Any, target: Any) -> Tensor:
        return cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class MarginRankingLoss(_MarginLoss):
    """`functional.margin_ranking_loss`."""

    def __init__(self, margin: float = 0.0, reduction: Reduction | None = "mean") -> None:
        super().__init__(margin, reduction)

    def forward(self, input1: Any, input2: Any, target: Any) -> Tensor:
        return margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(_MarginLoss):
    """`functional.triplet_margin_loss`."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        reduction: Reduction | None = "mean",
    ) -> None:  # fmt: skip
        super().__init__(margin, reduction)
        self.p, self.eps, self.swap = p, eps, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        return triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class TripletMarginWithDistanceLoss(_MarginLoss):
    """`functional.triplet_margin_with_distance_loss`."""

    def __init__(
        self, *, distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: Reduction | None = "mean",
    ) -> None:  # fmt: skip
        super().__init__(margin, reduction)
        self.distance_function, self.swap = distance_function, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        return triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin,
            swap=self.swap, reduction=self.reduction,
        )  # fmt: skip


class SoftMarginLoss(Loss):
    """`functional.soft_margin_loss`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return soft_margin_loss(input, target, self.reduction)


class MultiLabelMarginLoss(Loss):
    """`functional.multilabel_margin_loss`."""

    def forward(self, input: Any, target: Any) -> Tensor:
        return multilabel_margin_loss(input, target, self.reduction)


@bounds
class MultiLabelSoftMarginLoss(Loss):
    """`functional.multilabel_soft_margin_loss`."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: Reduction | None = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Any, target: Any) -> Tensor:
        return multilabel_soft_margin_loss(input, target, self.weight, self.reduction)


@bounds
class MultiMarginLoss(_MarginLoss):
    """`functional.multi_margin_loss`."""

    weight: Tensor | None

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: Reduction | None = "mean"
    ) -> None:
        super().__init__(margin, reduction)
        self.register_buffer("weight", weight)
        self.p = p

    def forward(self, input: Any, target: Any) -> Tensor:
        return multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)
