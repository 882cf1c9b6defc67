"""Norms by running statistics, folded into the layer before them."""

from __future__ import annotations

import copy
from typing import Any

from ...context import no_grad
from ...creation import given as asarray
from ...creation import zeros
from ...errors import here, public
from ...tensor import Tensor
from ..module import Module, Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _folded(
    weight: Any, bias: Any, mean: Any, var: Any, eps: float, scale: Any, shift: Any, axis: int
) -> tuple[Parameter, Parameter]:
    w: Tensor = asarray(weight)
    mean, var = asarray(mean), asarray(var)
    with no_grad():
        rate = (var + eps) ** -0.5
        rate = rate if scale is None else rate * asarray(scale)
        start = zeros(mean.shape, dtype=mean.dtype) if bias is None else asarray(bias)
        moved = (start - mean) * rate
        moved = moved if shift is None else moved + asarray(shift)
        shape = [1] * w.ndim
        shape[axis] = -1
        made = w * rate.reshape(shape)
    flags = [getattr(x, "requires_grad", True) for x in (weight, bias if bias is not None else weight)]
    first, second = made.detach().astype(w.dtype), moved.detach().astype(w.dtype)
    return Parameter(first, requires_grad=flags[0]), Parameter(second, requires_grad=flags[1])


@public
def fuse_conv_bn_weights(
    conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a convolution, in which a batch norm by these running mean and variance, with this
    weight and bias, is folded. `transpose`: of a transposed convolution."""
    return _folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


@public
def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """`fuse_conv_bn_weights`, of a linear layer."""
    return _folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fused(name: str, layer: Module, bn: Module, axis: int) -> Any:
    if layer.training or bn.training:
        told = "both must be in eval mode: statistics of a batch are not known before"
        raise RuntimeError(here(f"{name}: {told}"))
    if getattr(bn, "running_mean", None) is None:
        raise ValueError(here(f"{name}: {type(bn).__name__} has no running statistics"))
    found: Any = copy.deepcopy(layer)
    of: Any = bn
    found.weight, found.bias = _folded(
        found.weight, found.bias, of.running_mean, of.running_var, of.eps, of.weight, of.bias, axis
    )
    return found


@public
def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Any:
    """A copy of the convolution that does what both do one after the other. RuntimeError unless both are in
    eval mode."""
    return _fused("fuse_conv_bn_eval", conv, bn, 1 if transpose else 0)


@public
def fuse_linear_bn_eval(linear: Module, bn: Module) -> Any:
    """`fuse_conv_bn_eval`, of a linear layer."""
    return _fused("fuse_linear_bn_eval", linear, bn, 0)
