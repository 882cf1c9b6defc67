"""Layers that learn the size of their input at the first call, and are the plain layers from then on."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar

from ..context import MODE
from ..creation import given as asarray
from ..errors import here
from ..tensor import Tensor
from . import images, resampling_layers
from .layers import Linear
from .module import Module

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d", "LazyConvTranspose3d", "LazyInstanceNorm1d",
    "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear",
]  # fmt: skip


class _Lazy(Module):
    """Takes the arguments of `becomes` but the first. Until the first call, which must not be one of a
    compiled function, it has no parameters: who asks for them gets a RuntimeError."""

    becomes: ClassVar[Any]
    axis: ClassVar[int] = -1  # whose size it is

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        try:
            inspect.signature(self.becomes).bind(1, *args, **kwargs)
        except TypeError as error:
            raise TypeError(here(f"{type(self).__name__}: {error}")) from None
        self._given = args, kwargs

    def _own(self) -> Iterable[tuple[str, Any]]:
        told = "has no parameters yet; call the model once with data of the right shape"
        raise RuntimeError(here(f"{type(self).__name__} {told}"))

    def forward(self, x: Any) -> Any:
        if MODE.get().trace is not None:
            told = "the first call makes parameters; call the model itself once, before the compiled one"
            raise RuntimeError(here(f"{type(self).__name__}: {told}"))
        given: Tensor = asarray(x)
        if not -given.ndim <= self.axis < given.ndim:
            raise ValueError(here(f"{type(self).__name__}: an input of shape {given.shape} has no channels"))
        args, kwargs = self._given
        made = self.becomes(given.shape[self.axis], *args, **kwargs)
        made._hooks, made.training = self._hooks, self.training
        vars(self).clear()
        vars(self).update(vars(made))
        self.__class__ = self.becomes
        return self.forward(x)


class LazyLinear(_Lazy):
    """`Linear` of the last axis."""

    becomes = Linear


class LazyConv1d(_Lazy):
    """`Conv1d` of the channels that come."""

    becomes, axis = images.Conv1d, -2


class LazyConv2d(_Lazy):
    """`Conv2d` of the channels that come."""

    becomes, axis = images.Conv2d, -3


class LazyConv3d(_Lazy):
    """`Conv3d` of the channels that come."""

    becomes, axis = images.Conv3d, -4


class LazyConvTranspose1d(_Lazy):
    """`ConvTranspose1d` of the channels that come."""

    becomes, axis = resampling_layers.ConvTranspose1d, -2


class LazyConvTranspose2d(_Lazy):
    """`ConvTranspose2d` of the channels that come."""

    becomes, axis = resampling_layers.ConvTranspose2d, -3


class LazyConvTranspose3d(_Lazy):
    """`ConvTranspose3d` of the channels that come."""

    becomes, axis = resampling_layers.ConvTranspose3d, -4


class LazyBatchNorm1d(_Lazy):
    """`BatchNorm1d` of the channels that come."""

    becomes, axis = images.BatchNorm1d, 1


class LazyBatchNorm2d(_Lazy):
    """`BatchNorm2d` of the channels that come."""

    becomes, axis = images.BatchNorm2d, 1


class LazyBatchNorm3d(_Lazy):
    """`BatchNorm3d` of the channels that come."""

    becomes, axis = images.BatchNorm3d, 1


class LazyInstanceNorm1d(_Lazy):
    """`InstanceNorm1d` of the channels that come."""

    becomes, axis = resampling_layers.InstanceNorm1d, -2


class LazyInstanceNorm2d(_Lazy):
    """`InstanceNorm2d` of the channels that come."""

    becomes, axis = resampling_layers.InstanceNorm2d, -3


class LazyInstanceNorm3d(_Lazy):
    """`InstanceNorm3d` of the channels that come."""

    becomes, axis = resampling_layers.InstanceNorm3d, -4
