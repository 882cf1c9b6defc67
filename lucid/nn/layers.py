"""Layers and activations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self, overload

import numpy as np

from .. import random
from ..creation import as_shape
from ..creation import given as asarray
from ..defaults import float_or_default
from ..errors import public
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
        in_features, out_features = as_shape((in_features, out_features))
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = uniform_parameter((out_features, in_features), bound, dtype)
        self.bias = uniform_parameter((out_features,), bound, dtype) if bias else None
        self._lie_on(device)

    def forward(self, x: Any) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


@public
def uniform_parameter(shape: tuple[int, ...], bound: float, dtype: object) -> Parameter:
    return Parameter(random.uniform(-bound, bound, shape, dtype=_kind(dtype)))


@public
def _kind(dtype: object) -> np.dtype[Any]:
    return float_or_default(dtype).np


class ModuleList(Module):
    """Modules in a list, whose parameters are those of who has it. They are attributes "0", "1", ..., and are
    numbered anew where one is put in between or taken out."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self.extend(modules)

    @public
    def append(self, module: Module) -> Self:
        """One more at the end."""
        self._add(str(len(self)), module)
        return self

    @public
    def extend(self, modules: Iterable[Module]) -> Self:
        """Some more at the end."""
        for module in modules:
            self._add(str(len(self)), module)
        return self

    @public
    def insert(self, index: int, module: Module) -> Self:
        """One more before number `index`."""
        modules = list(self)
        modules.insert(index, module)
        return self._become(modules)

    @public
    def pop(self, index: int = -1) -> Module:
        """Number `index`, taken out."""
        found = list(self)[index]
        del self[index]
        return found

    def _become(self, modules: list[Module]) -> Self:
        """These, under the numbers that they have now."""
        self._checked(*modules)
        for name in self._names():
            delattr(self, name)
        return self.extend(modules)

    def _names(self) -> list[str]:
        return [name for name, m in vars(self).items() if isinstance(m, Module)]

    def _add(self, name: str, module: Any) -> None:
        self._checked(module)
        self.add_module(name, module)

    def _checked(self, *modules: Any) -> None:
        for module in modules:
            if not isinstance(module, Module):
                kind = type(self).__name__
                raise TypeError(f"{kind}: {module!r} is no Module; expected nn.ReLU() and the like")

    def __iter__(self) -> Iterator[Module]:
        return (m for m in vars(self).values() if isinstance(m, Module))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    @public
    def __getitem__(self, index: int | slice) -> Module:
        found = list(self)[index]
        return self._of(found) if isinstance(found, list) else found

    @public
    def __setitem__(self, index: int, module: Module) -> None:
        self._add(self._names()[index], module)

    @public
    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index]
        self._become(modules)

    @public
    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    @public
    def __add__(self, modules: Iterable[Module]) -> Self:
        return self._of([*self, *modules])

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        return cls(modules)


class Sequential(ModuleList):
    """One module after another, or a dict of them. They are attributes "0", "1", ..., or those named, and can
    be indexed."""

    @public
    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        first = modules[0] if len(modules) == 1 else None
        named: Any = first if isinstance(first, Mapping) else {str(k): m for k, m in enumerate(modules)}
        for name, module in named.items():
            self._add(name, module)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        return cls(*modules)


class Identity(Module):
    """What it is given. Arguments of the constructor have no meaning."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class Drops(Module):
    """What drops with probability `p` while `training`, by `functional`'s `function`; `inplace` changes what
    is given."""

    function: ClassVar[str]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        F.dropout(0.0, p)  # ValueError for what is no probability
        self.p, self.inplace = p, inplace

    def forward(self, x: Any) -> Tensor:
        found: Tensor = getattr(F, self.function)(x, self.p, self.training, self.inplace)
        return found

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(Drops):
    """While `training`: each element 0 with probability `p`, else divided by 1 - p."""

    function = "dropout"


class Flatten(Module):
    """Axes `start_dim` to `end_dim` as one; by default all but the first."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Tensor:
        return asarray(x).flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class ReLU(Module):
    """max(x, 0); `inplace` changes what is given."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Any) -> Tensor:
        return F.relu(x, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


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
        self.normalized_shape = as_shape(normalized_shape)
        self.eps = F.checked_number("LayerNorm", "eps", eps, zero=True)
        kind = _kind(dtype)
        affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, kind)) if affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, kind)) if affine and bias else None
        self._lie_on(device)

    def forward(self, x: Any) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
