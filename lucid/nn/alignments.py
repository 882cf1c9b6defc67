"""Connectionist temporal classification: the loss over all ways to align a text with what a network says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..alignment import CTC
from ..array_functions import concatenate, stack
from ..creation import arange, full
from ..creation import given as asarray
from ..errors import bounds, here, public
from ..functional import where
from ..hosted import results
from ..lanes import values_known
from ..promote import float_dtype, whole
from ..tensor import Tensor
from . import functional as F
from .functional import Reduction
from .losses import Loss

__all__ = ["ctc_loss"]


def _lengths(name: str, given: Any, batch: int, most: int | None) -> Tensor:
    """One for each example, (batch). ValueError for those that are known and do not fit."""
    found: Tensor = asarray(given).detach()
    if found.dtype.kind not in "iu" or found.size != batch:
        told = f"{batch} whole numbers, not {found.dtype} of shape {found.shape}"
        raise ValueError(here(f"ctc_loss: {name}: expected {told}"))
    found = found.reshape(batch)
    if values_known() and batch:
        least, greatest = int(found.min()), int(found.max())
        if least < 0 or (most is not None and greatest > most):
            raise ValueError(here(f"ctc_loss: {name}: {least} to {greatest}; expected 0 to {most}"))
    return found


def _padded(targets: Tensor, lengths: Tensor) -> Tensor:
    """Targets one after the other, as rows of the longest one's length."""
    if not values_known():
        raise ValueError(
            here("ctc_loss: in a compiled function it is not known where targets in a row end; pad rows")
        )
    ends = lengths.cumsum(0)
    if int(ends[-1]) != targets.size:
        raise ValueError(
            here(f"ctc_loss: {targets.size} targets, but target_lengths add up to {int(ends[-1])}")
        )
    places = (ends - lengths).unsqueeze(1) + arange(int(lengths.max()))
    if not targets.size:
        return targets.reshape(lengths.shape[0], 0)
    return targets.take(places.clip(0, targets.size - 1))


@public
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: Reduction | None = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """-log of the probability of `targets`, over all alignments (Graves and others, ICML 2006). `log_probs`:
    (time, batch, classes) or (time, classes), logarithms as of `log_softmax`. `targets`: (batch, longest),
    or one after the other in one axis; none is `blank`. The lengths: one for each example. "mean" divides
    each loss by the length of its target, and then by the batch.

    A target that is too long for its input has the loss inf, `zero_infinity`: 0, without a gradient in both
    cases. NumPy computes it and its derivatives, the first and the second, in a compiled function as steps
    between kernels.
    """
    logs: Tensor = asarray(log_probs)
    if logs.ndim not in (2, 3) or not logs.is_floating_point():
        raise ValueError(
            here(f"ctc_loss: expected (time, batch, classes) of floats, not {logs.dtype} {logs.shape}")
        )
    alone = logs.ndim == 2
    logs = logs.unsqueeze(1) if alone else logs
    time, batch, classes = logs.shape
    empty = whole("blank", blank)
    if not 0 <= empty < classes:
        raise ValueError(here(f"ctc_loss: blank {blank} is none of {classes} classes"))
    if not time:
        raise ValueError(here("ctc_loss: no step of time"))
    labels: Tensor = asarray(targets).detach()
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2):
        raise ValueError(
            here(f"ctc_loss: targets are whole numbers in one or two axes, not {labels.dtype} {labels.shape}")
        )
    steps = _lengths("input_lengths", input_lengths, batch, time)
    long = labels.shape[1] if labels.ndim == 2 else None
    sizes = _lengths("target_lengths", target_lengths, batch, long)
    if labels.ndim == 1:
        labels = labels.reshape(1, -1) if alone else _padded(labels, sizes)
    if labels.shape[0] != batch:
        raise ValueError(here(f"ctc_loss: {labels.shape[0]} targets for a batch of {batch}"))
    losses = _losses(logs, labels, steps, sizes, empty)
    if zero_infinity:
        losses = where(losses == math.inf, 0.0, losses)
    how = F.checked_reduction("ctc_loss", reduction)
    if how == "mean":
        return (losses / sizes.maximum(1).astype(losses.dtype)).mean()
    return losses.sum() if how == "sum" else losses[0] if alone else losses


def _losses(logs: Tensor, labels: Tensor, steps: Tensor, sizes: Tensor, blank: int) -> Tensor:
    """One for each example. States are blanks and labels in turn."""
    batch, longest = labels.shape
    labels = where(arange(longest) < sizes.unsqueeze(1), labels, blank)  # whatever rows are filled up with
    between = stack([full(labels.shape, blank, dtype=labels.dtype), labels], 2).reshape(batch, 2 * longest)
    states = concatenate([between, full((batch, 1), blank, dtype=labels.dtype)], 1)
    # an index that is no class raises here
    states = arange(logs.shape[2]).take(states)
    wide = float_dtype(logs._node).computed.np
    found: Tensor = -results(CTC, logs.astype(wide), states, *(t.astype(np.int64) for t in (steps, sizes)))[0]
    return found.astype(logs.dtype)


@bounds
class CTCLoss(Loss):
    """`functional.ctc_loss`."""

    def __init__(
        self, blank: int = 0, reduction: Reduction | None = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        return ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
