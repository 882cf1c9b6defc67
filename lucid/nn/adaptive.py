"""Softmax over many classes, the frequent ones first: Grave and others, "Efficient softmax approximation for
GPUs", arXiv:1609.04309."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..array_functions import concatenate
from ..creation import given as asarray
from ..elements import take_along_axis
from ..errors import bounds, here
from ..functional import where
from ..lanes import values_known
from ..tensor import Tensor
from . import functional as F
from .layers import Linear, ModuleList, Sequential
from .module import Module


class ASMoutput(NamedTuple):
    """The log-probabilities of the targets, and less their mean."""

    output: Tensor
    loss: Tensor


@bounds
class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of `n_classes`, sorted by how frequent they are: those below the first of `cutoffs`
    by one layer, `head`, which has an output more for each cluster between two cutoffs; and those of a
    cluster by two layers of `tail`, with in_features / div_value^k features between, for cluster k = 1, ....

    In a compiled function shapes do not depend on values: each cluster is computed for all rows.
    """

    def __init__(
        self, in_features: int, n_classes: int, cutoffs: Sequence[int], div_value: float = 4.0,
        head_bias: bool = False, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        ends = [int(c) for c in cutoffs]
        if not ends or ends != sorted(set(ends)) or ends[0] < 1 or ends[-1] > n_classes - 1:
            told = f"cutoffs rise from 1 to at most {n_classes - 1}, not {list(cutoffs)}"
            raise ValueError(here(f"AdaptiveLogSoftmaxWithLoss: {told}"))
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*ends, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size, self.n_clusters = ends[0], len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, device, dtype)
        self.tail = ModuleList()
        for k in range(self.n_clusters):
            width = int(in_features // div_value ** (k + 1))
            classes = self.cutoffs[k + 1] - self.cutoffs[k]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, False, device, dtype),
                    Linear(width, classes, False, device, dtype),
                )
            )

    def _clusters(self, x: Tensor) -> list[Tensor]:
        """Log-probabilities of the frequent classes, and of those of each cluster."""
        head = F.log_softmax(self.head(x), -1)
        found = [head[..., : self.shortlist_size]]
        for k, tail in enumerate(self.tail):
            of = head[..., self.shortlist_size + k : self.shortlist_size + k + 1]
            found.append(F.log_softmax(tail(x), -1) + of)
        return found

    def forward(self, input: Any, target: Any) -> ASMoutput:
        """Of rows (n, in_features) and classes (n), or one of each: `output` (n) and `loss`, a number."""
        x, y = asarray(input), asarray(target)
        if x.ndim not in (1, 2) or y.shape != x.shape[:-1] or x.shape[-1] != self.in_features:
            told = f"expected (n, {self.in_features}) and (n), not {x.shape} and {y.shape}"
            raise ValueError(here(f"AdaptiveLogSoftmaxWithLoss: {told}"))
        if y.size and values_known() and not 0 <= int(y.min()) <= int(y.max()) < self.n_classes:
            told = f"targets are 0 to {self.n_classes - 1}, not {int(y.min())} to {int(y.max())}"
            raise RuntimeError(here(f"AdaptiveLogSoftmaxWithLoss: {told}"))
        begin, found = 0, None
        for logs, end in zip(self._clusters(x), self.cutoffs, strict=True):
            own = (y - begin).clip(0, end - begin - 1).unsqueeze(-1)
            part = take_along_axis(logs, own, -1).squeeze(-1)
            found = part if found is None else where(y >= begin, part, found)
            begin = end
        assert found is not None
        return ASMoutput(found, -found.mean())

    def log_prob(self, input: Any) -> Tensor:
        """Log-probabilities of all classes: (n, n_classes)."""
        return concatenate(self._clusters(asarray(input)), -1)

    def predict(self, input: Any) -> Tensor:
        """The class of the greatest probability of each row."""
        return self.log_prob(input).argmax(-1)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.n_classes}, cutoffs={self.cutoffs[:-1]}"
