"""Named results of several tensors that few programs meet: a class of each takes a quarter of a ms."""

from __future__ import annotations

from typing import NamedTuple

from .tensor import Tensor


class UniqueAll(NamedTuple):
    """Different elements, where each is first, which of them each element is, how often each is there."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Different elements, and how often each is there."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Different elements, and which of them each element is."""

    values: Tensor
    inverse_indices: Tensor


class MinMax(NamedTuple):
    """The least and the greatest."""

    min: Tensor
    max: Tensor


class StdMean(NamedTuple):
    """A standard deviation and a mean."""

    std: Tensor
    mean: Tensor


class VarMean(NamedTuple):
    """A variance and a mean."""

    var: Tensor
    mean: Tensor
