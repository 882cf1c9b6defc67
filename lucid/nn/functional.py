"""Activations, layers and losses as functions. Losses follow docs of the classes in `lucid.nn`."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from ..creation import asarray
from ..errors import here, warn_user
from ..tensor import Tensor, apply
from . import formulas

REDUCTIONS = ("mean", "sum", "none")

# --- activations ---------------------------------------------------------------------------------


def relu(x: Any) -> Tensor:
    """max(x, 0); its gradient at 0 is 0."""
    return apply(formulas.relu, asarray(x))


def tanh(x: Any) -> Tensor:
    return asarray(x).tanh()


def sigmoid(x: Any) -> Tensor:
    """1 / (1 + exp(-x)), without overflow."""
    return apply(formulas.sigmoid, asarray(x))


def gelu(x: Any, approximate: str = "tanh") -> Tensor:
    """The Gaussian error linear unit, in its tanh form, which is the only one there is here."""
    if approximate != "tanh":
        raise ValueError(here(f"gelu: approximate must be 'tanh', not {approximate!r}"))
    return apply(formulas.gelu_tanh, asarray(x))


def softmax(x: Any, axis: int | None = None, *, dim: int | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) over one axis (or `dim`, the last one if neither is given)."""
    return apply(formulas.softmax, asarray(x), axis=_axis(axis, dim))


def log_softmax(x: Any, axis: int | None = None, *, dim: int | None = None) -> Tensor:
    """log(softmax(x)), without the loss of precision."""
    return apply(formulas.log_softmax, asarray(x), axis=_axis(axis, dim))


def _axis(axis: int | None, dim: int | None) -> int:
    if axis is not None and dim is not None:
        raise TypeError(here("axis and dim are one argument under two names; give one of them"))
    return dim if dim is not None else -1 if axis is None else axis


# --- layers --------------------------------------------------------------------------------------


def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """x (..., in) times weight (out, in), plus bias (out): (..., out)."""
    return apply(formulas.linear, asarray(x), asarray(weight), _optional(bias))


def layer_norm(
    x: Any, normalized_shape: int | tuple[int, ...], weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Mean 0 and variance 1 over the last axes, `normalized_shape`, then times weight plus bias."""
    return apply(
        formulas.layer_norm, asarray(x), _optional(weight), _optional(bias),
        shape=as_shape(normalized_shape), eps=eps,
    )  # fmt: skip


def as_shape(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (int(shape),) if hasattr(shape, "__index__") else tuple(shape)  # type: ignore[arg-type]


def _optional(x: Any) -> Tensor | None:
    return None if x is None else asarray(x)


# --- losses --------------------------------------------------------------------------------------


def huber_loss(
    input: Any, target: Any, reduction: str | None = "mean", delta: float = 1.0, weight: Any = None
) -> Tensor:
    raise NotImplementedError


