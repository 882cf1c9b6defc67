"""Layers for images and sequences: convolutions, pools, norms that know channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import random
from ..context import no_grad
from ..defaults import float_or_default
from ..errors import here
from ..tensor import Tensor
from . import spatial as S
from .module import Module, Parameter


class _Conv(Module):
    axes = 0

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: S.Sizes, stride: S.Sizes = 1,
        padding: S.Sizes | str = 0, dilation: S.Sizes = 1, groups: int = 1, bias: bool = True,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        (inner,) = S.sizes(name, "in_channels", in_channels, 1, 1)
        (out,) = S.sizes(name, "out_channels", out_channels, 1, 1)
        (self.groups,) = S.sizes(name, "groups", groups, 1, 1)
        if inner % self.groups or out % self.groups:
            raise ValueError(here(f"{name}: {self.groups} groups of {inner} channels to {out}"))
        self.in_channels, self.out_channels = inner, out
        self.kernel_size = S.sizes(name, "kernel_size", kernel_size, self.axes, 1)
        self.stride = S.sizes(name, "stride", stride, self.axes, 1)
        self.dilation = S.sizes(name, "dilation", dilation, self.axes, 1)
        around = padding if isinstance(padding, str) else S.sizes(name, "padding", padding, self.axes, 0)
        self.padding = around
        bound = 1 / math.sqrt(inner // self.groups * math.prod(self.kernel_size))
        kind = float_or_default(dtype).np
        shape = (out, inner // self.groups, *self.kernel_size)
        self.weight = Parameter(random.uniform(-bound, bound, shape, dtype=kind))
        self.bias = Parameter(random.uniform(-bound, bound, (out,), dtype=kind)) if bias else None
        self._lie_on(device)

    def forward(self, x: Any) -> Tensor:
        conv = (S.conv1d, S.conv2d, S.conv3d)[self.axes - 1]
        return conv(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        told = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        return f"{told}, padding={self.padding}, groups={self.groups}, bias={self.bias is not None}"


class Conv1d(_Conv):
    """`functional.conv1d` with weight (out, in / groups, k) and bias (out), drawn as in PyTorch."""

    axes = 1


class Conv2d(_Conv):
    """`functional.conv2d` with weight (out, in / groups, k, k) and bias (out), drawn as in PyTorch."""

    axes = 2


class Conv3d(_Conv):
    """`functional.conv3d` with weight (out, in / groups, k, k, k) and bias (out), drawn as in PyTorch."""

    axes = 3


class MaxPool1d(Module):
    """`functional.max_pool1d`."""

    function = "max_pool1d"

    def __init__(
        self, kernel_size: S.Sizes, stride: S.Sizes | None = None, padding: S.Sizes = 0,
        dilation: S.Sizes = 1, return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Any) -> Any:
        given = self.kernel_size, self.stride, self.padding, self.dilation
        return getattr(S, self.function)(x, *given, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(MaxPool1d):
    """`functional.max_pool2d`."""

    function = "max_pool2d"


class MaxPool3d(MaxPool1d):
    """`functional.max_pool3d`."""

    function = "max_pool3d"


class AvgPool1d(Module):
    """`functional.avg_pool1d`."""

    def __init__(
        self, kernel_size: S.Sizes, stride: S.Sizes | None = None, padding: S.Sizes = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Any) -> Tensor:
        return S.avg_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(AvgPool1d):
    """`functional.avg_pool2d`."""

    function = "avg_pool2d"

    def __init__(
        self, kernel_size: S.Sizes, stride: S.Sizes | None = None, padding: S.Sizes = 0,
        ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, x: Any) -> Tensor:
        given = self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        found: Tensor = getattr(S, self.function)(x, *given, self.divisor_override)
        return found


class AvgPool3d(AvgPool2d):
    """`functional.avg_pool3d`."""

    function = "avg_pool3d"


class BatchNorm1d(Module):
    """`functional.batch_norm` of (batch, channels) or (batch, channels, ...). While `training` the
    statistics of the batch go into `running_mean` and `running_var` (by `momentum`; None: the mean of all
    batches)."""

    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        (count,) = S.sizes(type(self).__name__, "num_features", num_features, 1, 1)
        kind = float_or_default(dtype).np
        self.num_features, self.eps, self.momentum = count, eps, momentum
        self.weight = Parameter(np.ones(count, kind)) if affine else None
        self.bias = Parameter(np.zeros(count, kind)) if affine else None
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.register_buffer("running_mean", np.zeros(count, kind))
            self.register_buffer("running_var", np.ones(count, kind))
            self.register_buffer("num_batches_tracked", np.zeros((), np.int64))
        self._lie_on(device)

    def _fitting(self, x: Any) -> Tensor:
        given: Tensor = x if isinstance(x, Tensor) else Tensor(x)
        if given.ndim < 2 or given.shape[1] != self.num_features:
            name = type(self).__name__
            raise ValueError(here(f"{name}: expected (batch, {self.num_features}, ...), not {given.shape}"))
        return given

    def forward(self, x: Any) -> Tensor:
        x = self._fitting(x)
        tracked = self.track_running_stats
        if self.training and tracked:
            self._track(x)
        training = self.training or not tracked
        mean, var = (None, None) if training else (self.running_mean, self.running_var)
        return S.batch_norm(x, mean, var, self.weight, self.bias, training, 0.0, self.eps)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept of a batch: means, and variances, unbiased as PyTorch keeps them."""
        return S.batch_statistics(x)

    @no_grad
    def _track(self, x: Tensor) -> None:
        mean, var = self._statistics(x)
        self.num_batches_tracked = self.num_batches_tracked + 1
        share = self.momentum
        rate = 1 / self.num_batches_tracked.astype(x.dtype) if share is None else share
        self.running_mean = self.running_mean * (1 - rate) + mean * rate
        self.running_var = self.running_var * (1 - rate) + var * rate

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm2d(BatchNorm1d):
    """The same, of (batch, channels, height, width)."""


class BatchNorm3d(BatchNorm1d):
    """The same, of (batch, channels, depth, height, width)."""


class SyncBatchNorm(BatchNorm1d):
    """The same, of any number of axes. There is one process, so there is nothing to agree with."""

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: object = None) -> Module:
        """The module itself."""
        return module


class GroupNorm(Module):
    """`functional.group_norm` with weight (ones at first) and bias (zeros) for each channel."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        (count,) = S.sizes("GroupNorm", "num_channels", num_channels, 1, 1)
        kind = float_or_default(dtype).np
        self.num_groups, self.num_channels, self.eps = num_groups, count, eps
        self.weight = Parameter(np.ones(count, kind)) if affine else None
        self.bias = Parameter(np.zeros(count, kind)) if affine else None
        self._lie_on(device)

    def forward(self, x: Any) -> Tensor:
        return S.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class RMSNorm(Module):
    """`functional.rms_norm` with a weight (ones at first)."""

    def __init__(
        self, normalized_shape: S.Sizes, eps: float | None = None, elementwise_affine: bool = True,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        whole = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        self.normalized_shape, self.eps = tuple(whole), eps
        kind = float_or_default(dtype).np
        self.weight = Parameter(np.ones(self.normalized_shape, kind)) if elementwise_affine else None
        self._lie_on(device)

    def forward(self, x: Any) -> Tensor:
        return S.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"
