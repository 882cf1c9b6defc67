"""Layers and activations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Self, overload

import numpy as np

from .. import random
from ..errors import here, public
from ..names import on_cpu
from ..promote import dtype_of
from ..tensor import Tensor
from . import functional as F
from .module import Module, Parameter


class Linear(Module):
    """x @ weight.T + bias: (..., in_features) to (..., out_features).

    weight is (out_features, in_features), bias (out_features); both start uniform in ±1/sqrt(in).
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        on_cpu(device)
        in_features, out_features = F.as_shape((in_features, out_features))
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = _uniform((out_features, in_features), bound, dtype)
        self.bias = _uniform((out_features,), bound, dtype) if bias else None

    def forward(self, x: Any) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


@public
def _uniform(shape: tuple[int, ...], bound: float, dtype: object) -> Parameter:
    drawn = random.generator().uniform(-bound, bound, shape)
    return Parameter(drawn.astype(_kind(dtype)))


@public
def _kind(dtype: object) -> np.dtype[Any]:
    return dtype_of(np.float32 if dtype is None else dtype).np


class Sequential(Module):
    """One module after another, or a dict of them. They are attributes "0", "1", ..., or those named, and can
    be indexed."""

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        first = modules[0] if len(modules) == 1 else None
        named = first if isinstance(first, Mapping) else {str(k): m for k, m in enumerate(modules)}
        for name, module in named.items():
            if not isinstance(module, Module):
                raise TypeError(here(f"Sequential: {module!r} is no Module; use nn.ReLU() and the like"))
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x

    def append(self, module: Module) -> Self:
        """One more at the end."""
        self.add_module(str(len(self)), Sequential(module)[0])
        return self

    def __iter__(self) -> Iterator[Module]:
        return (m for m in vars(self).values() if isinstance(m, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    @public
    def __getitem__(self, index: int | slice) -> Module:
        found = list(self)[index]
        return Sequential(*found) if isinstance(found, list) else found


class ReLU(Module):
    """max(x, 0). `inplace` is PyTorch's, and changes nothing: what is given keeps its value."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Any) -> Tensor:
        return F.relu(x)


class Tanh(Module):
    def forward(self, x: Any) -> Tensor:
        return F.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Any) -> Tensor:
        return F.sigmoid(x)


class GELU(Module):
    """The Gaussian error linear unit: x/2 (1 + erf(x/sqrt(2))), or with "tanh" its approximation."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = F.checked_approximation("GELU", approximate)

    def forward(self, x: Any) -> Tensor:
        return F.gelu(x, self.approximate)


class Softmax(Module):
    """exp(x) / sum(exp(x)) over one axis, the last by default."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = F.checked_axis("Softmax", dim)

    def forward(self, x: Any) -> Tensor:
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then times weight (ones at first) plus bias
    (zeros)."""

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        on_cpu(device)
        self.normalized_shape = F.as_shape(normalized_shape)
        self.eps = F.checked_number("LayerNorm", "eps", eps, zero=True)
        kind = _kind(dtype)
        affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, kind)) if affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, kind)) if affine and bias else None

    def forward(self, x: Any) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
