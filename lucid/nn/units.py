"""Activations as modules: each is a function of `functional`, with its options as attributes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import as_shape
from ..creation import given as asarray
from ..defaults import float_or_default
from ..errors import bounds, here
from ..tensor import Tensor
from . import functional as F
from .layers import uniform_parameter
from .module import Module, Parameter


@bounds
class Activation(Module):
    """A function, with its options as attributes."""

    def __init__(self, function: Callable[..., Tensor], **options: Any) -> None:
        super().__init__()
        function(np.zeros((2, 2), np.float32), **options)  # raises for what is no option
        self._names = tuple(options)
        self._function = function
        for name, value in options.items():
            setattr(self, name, value)

    def forward(self, x: Any) -> Tensor:
        return self._function(x, **{name: getattr(self, name) for name in self._names})

    def extra_repr(self) -> str:
        shown = ((name, getattr(self, name)) for name in self._names)
        return ", ".join(f"{name}={value}" for name, value in shown if name != "inplace" or value)


class LeakyReLU(Activation):
    """x where x > 0, else negative_slope x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(F.leaky_relu, negative_slope=negative_slope, inplace=inplace)


class ReLU6(Activation):
    """x between 0 and 6, else the nearer of these."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(F.relu6, inplace=inplace)


class ELU(Activation):
    """alpha (exp(x) - 1) where x <= 0, else x."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(F.elu, alpha=alpha, inplace=inplace)


class CELU(Activation):
    """alpha (exp(x / alpha) - 1) where x <= 0, else x."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(F.celu, alpha=alpha, inplace=inplace)


class SELU(Activation):
    """`functional.selu`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(F.selu, inplace=inplace)


class SiLU(Activation):
    """x sigmoid(x)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(F.silu, inplace=inplace)


class Mish(Activation):
    """x tanh(softplus(x))."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(F.mish, inplace=inplace)


class Softplus(Activation):
    """log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(F.softplus, beta=beta, threshold=threshold)


class LogSigmoid(Activation):
    """log(sigmoid(x)), without overflow."""

    def __init__(self) -> None:
        super().__init__(F.logsigmoid)


class Softsign(Activation):
    """x / (1 + |x|)."""

    def __init__(self) -> None:
        super().__init__(F.softsign)


class Tanhshrink(Activation):
    """x - tanh(x)."""

    def __init__(self) -> None:
        super().__init__(F.tanhshrink)


class Hardtanh(Activation):
    """x between `min_val` and `max_val`, else the nearer of these."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(F.hardtanh, min_val=min_val, max_val=max_val, inplace=inplace)


class Hardsigmoid(Activation):
    """0 up to -3, 1 from 3 on, (x + 3) / 6 between."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(F.hardsigmoid, inplace=inplace)


class Hardswish(Activation):
    """x hardsigmoid(x)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(F.hardswish, inplace=inplace)


class Softshrink(Activation):
    """x nearer to 0 by `lambd`, 0 where that is more than |x|."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(F.softshrink, lambd=lambd)


class Hardshrink(Activation):
    """x where |x| > lambd, else 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(F.hardshrink, lambd=lambd)


class Threshold(Activation):
    """x where x > threshold, else `value`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(F.threshold, threshold=threshold, value=value, inplace=inplace)


class GLU(Activation):
    """One half of an axis times the sigmoid of the other one."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__(F.glu, dim=dim)


class LogSoftmax(Activation):
    """log(softmax(x)) along one axis, the last by default."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__(F.log_softmax, dim=dim)


class Softmax2d(Module):
    """softmax over the channels of (batch, channels, h, w) or (channels, h, w)."""

    def forward(self, x: Any) -> Tensor:
        given: Tensor = asarray(x)
        if given.ndim not in (3, 4):
            raise ValueError(here(f"Softmax2d: expected (batch, channels, h, w), not {given.shape}"))
        return F.softmax(given, -3)


class Softmin(Activation):
    """softmax(-x) along one axis, the last by default."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__(F.softmin, dim=dim)


@bounds
class PReLU(Module):
    """x where x > 0, else weight x; `weight` is learned, one number or one for each channel (axis 1)."""

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: object = None, dtype: object = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        kind: Any = float_or_default(dtype).np
        self.weight = Parameter(np.full(num_parameters, init), dtype=kind)
        self._lie_on(device)

    def forward(self, x: Any) -> Tensor:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


@bounds
class CosineSimilarity(Module):
    """`functional.cosine_similarity`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Any, x2: Any) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


@bounds
class PairwiseDistance(Module):
    """`functional.pairwise_distance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.p, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Any, x2: Any) -> Tensor:
        return F.pairwise_distance(x1, x2, self.p, self.eps, self.keepdim)


class Bilinear(Module):
    """`functional.bilinear` with weight (out, in1, in2) and bias (out), both uniform in ±1/sqrt(in1)."""

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        sides = as_shape((out_features, in1_features, in2_features))
        self.out_features, self.in1_features, self.in2_features = sides
        bound = 1 / math.sqrt(in1_features) if in1_features else 0.0
        self.weight = uniform_parameter(sides, bound, dtype)
        self.bias = uniform_parameter(sides[:1], bound, dtype) if bias else None
        self._lie_on(device)

    def forward(self, x1: Any, x2: Any) -> Tensor:
        return F.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sides = f"{self.in1_features}, {self.in2_features}, {self.out_features}"
        return f"{sides}, bias={self.bias is not None}"
