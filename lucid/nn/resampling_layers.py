"""Layers that change how many places a signal or an image has, and what else is done to channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import random
from ..defaults import float_or_default
from ..errors import bounds, here
from ..tensor import Tensor
from . import functional as F
from .images import BatchNorm1d
from .layers import Drops
from .module import Module, Parameter
from .resampling import instance_statistics
from .spatial import Sizes, sizes


@bounds
class _ConvTranspose(Module):
    axes = 0

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Sizes = 0,
        output_padding: Sizes = 0, groups: int = 1, bias: bool = True, dilation: Sizes = 1,
        device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        (inner,) = sizes(name, "in_channels", in_channels, 1, 1)
        (out,) = sizes(name, "out_channels", out_channels, 1, 1)
        (self.groups,) = sizes(name, "groups", groups, 1, 1)
        if inner % self.groups or out % self.groups:
            raise ValueError(here(f"{name}: {self.groups} groups of {inner} channels to {out}"))
        self.in_channels, self.out_channels = inner, out
        self.kernel_size = sizes(name, "kernel_size", kernel_size, self.axes, 1)
        self.stride, self.padding = stride, padding
        self.output_padding, self.dilation = output_padding, dilation
        kind = float_or_default(dtype).np
        shape = (inner, out // self.groups, *self.kernel_size)
        bound = 1 / math.sqrt(shape[1] * math.prod(self.kernel_size))
        self.weight = Parameter(random.uniform(-bound, bound, shape, dtype=kind))
        self.bias = Parameter(random.uniform(-bound, bound, (out,), dtype=kind)) if bias else None
        self._lie_on(device)

    def forward(self, x: Any) -> Tensor:
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.axes - 1]
        return function(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups,
            self.dilation,
        )  # fmt: skip

    def extra_repr(self) -> str:
        shown = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return f"{self.in_channels}, {self.out_channels}, {shown}"


class ConvTranspose1d(_ConvTranspose):
    """`functional.conv_transpose1d` with weight (in, out / groups, k) and bias (out), drawn as in PyTorch."""

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """`functional.conv_transpose2d` with weight (in, out / groups, k, k) and bias (out), drawn as in
    PyTorch."""

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """`functional.conv_transpose3d` with weight (in, out / groups, k, k, k) and bias (out), drawn as in
    PyTorch."""

    axes = 3


@bounds
class _Adaptive(Module):
    function = ""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        return getattr(F, self.function)(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """`functional.adaptive_avg_pool1d`."""

    function = "adaptive_avg_pool1d"


class AdaptiveAvgPool2d(_Adaptive):
    """`functional.adaptive_avg_pool2d`."""

    function = "adaptive_avg_pool2d"


class AdaptiveAvgPool3d(_Adaptive):
    """`functional.adaptive_avg_pool3d`."""

    function = "adaptive_avg_pool3d"


@bounds
class AdaptiveMaxPool1d(_Adaptive):
    """`functional.adaptive_max_pool1d`."""

    function = "adaptive_max_pool1d"

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, x: Any) -> Any:
        return getattr(F, self.function)(x, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(AdaptiveMaxPool1d):
    """`functional.adaptive_max_pool2d`."""

    function = "adaptive_max_pool2d"


class AdaptiveMaxPool3d(AdaptiveMaxPool1d):
    """`functional.adaptive_max_pool3d`."""

    function = "adaptive_max_pool3d"


@bounds
class Upsample(Module):
    """`functional.interpolate`."""

    def __init__(
        self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, x: Any) -> Tensor:
        return F.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        return f"size={self.size}, scale_factor={self.scale_factor}, mode={self.mode!r}"


@bounds
class UpsamplingNearest2d(Upsample):
    """`functional.interpolate` with mode "nearest"."""

    def __init__(
        self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """`functional.interpolate` with mode "bilinear" and `align_corners`."""

    def __init__(
        self, size: Sizes | None = None, scale_factor: float | Sequence[float] | None = None
    ) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


@bounds
class PixelShuffle(Module):
    """`functional.pixel_shuffle`."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, x: Any) -> Tensor:
        return F.pixel_shuffle(x, self.upscale_factor)


@bounds
class PixelUnshuffle(Module):
    """`functional.pixel_unshuffle`."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, x: Any) -> Tensor:
        return F.pixel_unshuffle(x, self.downscale_factor)


@bounds
class ChannelShuffle(Module):
    """`functional.channel_shuffle`."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Any) -> Tensor:
        return F.channel_shuffle(x, self.groups)


@bounds
class Unfold(Module):
    """`functional.unfold`."""

    def __init__(
        self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Any) -> Tensor:
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)


@bounds
class Fold(Unfold):
    """`functional.fold`."""

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0,
        stride: Sizes = 1,
    ) -> None:  # fmt: skip
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = output_size

    def forward(self, x: Any) -> Tensor:
        return F.fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)


# --- of channels -----------------------------------------------------------------------------------


@bounds
class InstanceNorm1d(BatchNorm1d):
    """Each channel of each sample with mean 0 and variance 1; with `track_running_stats` by their running
    means when not in training."""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: object = None, dtype: object = None,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, x: Any) -> Tensor:
        given = self._fitting(x)
        own = self.training or not self.track_running_stats
        if self.training and self.track_running_stats:
            self._track(given)
        mean, var = (None, None) if own else (self.running_mean, self.running_var)
        return F.instance_norm(given, mean, var, self.weight, self.bias, own, 0.0, self.eps)

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return instance_statistics(x)


class InstanceNorm2d(InstanceNorm1d):
    """The same, of (batch, channels, height, width)."""


class InstanceNorm3d(InstanceNorm1d):
    """The same, of (batch, channels, depth, height, width)."""


@bounds
class LocalResponseNorm(Module):
    """`functional.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


class Dropout1d(Drops):
    """While `training`: each channel 0 with probability `p`, else divided by 1 - p."""

    function = "dropout1d"


class Dropout2d(Drops):
    """The same, of channels of two axes."""

    function = "dropout2d"


class Dropout3d(Drops):
    """The same, of channels of three axes."""

    function = "dropout3d"


# --- borders ---------------------------------------------------------------------------------------


@bounds
class _Pad(Module):
    """`functional.pad` of the last axes: `padding` is one width, or before and behind the last axis, then the
    last but one."""

    axes, mode = 1, "constant"

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        widths = padding if isinstance(padding, tuple | list) else (padding,) * (2 * self.axes)
        if len(widths) != 2 * self.axes:
            name = type(self).__name__
            raise ValueError(here(f"{name}: padding is one width or {2 * self.axes}, not {padding!r}"))
        self.padding, self.value = tuple(widths), 0.0

    def forward(self, x: Any) -> Tensor:
        return F.pad(x, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


@bounds
class ConstantPad1d(_Pad):
    """`value` on both sides of the last axis."""

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value


class ConstantPad2d(ConstantPad1d):
    """`value` around the last two axes."""

    axes = 2


class ConstantPad3d(ConstantPad1d):
    """`value` around the last three axes."""

    axes = 3


class ZeroPad1d(_Pad):
    """Zeros on both sides of the last axis."""


class ZeroPad2d(_Pad):
    """Zeros around the last two axes."""

    axes = 2


class ZeroPad3d(_Pad):
    """Zeros around the last three axes."""

    axes = 3


class ReflectionPad1d(_Pad):
    """Mirror images on both sides of the last axis, without the border itself."""

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """The same around the last two axes."""

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """The same around the last three axes."""

    axes = 3


class ReplicationPad1d(_Pad):
    """The border again on both sides of the last axis."""

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """The same around the last two axes."""

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """The same around the last three axes."""

    axes = 3


class CircularPad1d(_Pad):
    """On both sides of the last axis what is at its other end."""

    mode = "circular"


class CircularPad2d(CircularPad1d):
    """The same around the last two axes."""

    axes = 2


class CircularPad3d(CircularPad1d):
    """The same around the last three axes."""

    axes = 3
