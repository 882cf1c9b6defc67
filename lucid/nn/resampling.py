"""Functions that change how many places a signal or an image has: transposed convolutions, pools to a size,
shuffles of channels and places, windows as columns; and norms and dropout of channels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..array_functions import stack, tile
from ..creation import arange, zeros_like
from ..creation import given as asarray
from ..elements import take_along_axis
from ..errors import here, public
from ..tensor import Tensor, apply
from ..views import replaced
from . import functional as F
from . import spatial
from .spatial import Sizes, follow, sizes

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "channel_shuffle", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "dropout1d", "dropout2d", "dropout3d", "fold",
    "instance_norm", "local_response_norm", "pixel_shuffle", "pixel_unshuffle",
    "unfold",
]  # fmt: skip

# --- transposed convolutions -----------------------------------------------------------------------


def _spread(x: Tensor, axis: int, step: int) -> Tensor:
    """With step - 1 zeros between each two elements of an axis."""
    if step == 1 or not x.shape[axis]:
        return x
    shape, n = list(x.shape), x.shape[axis]
    parts = [x.reshape(*shape[: axis + 1], 1, *shape[axis + 1 :])]
    parts += [zeros_like(parts[0])] * (step - 1)
    joined: Tensor = stack(parts, axis + 1).reshape(*shape[:axis], n * step, *shape[axis + 1 :])
    return joined[(*(slice(None) for _ in range(axis)), slice((n - 1) * step + 1))]


def _conv_transpose(
    name: str, axes: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    given, w = asarray(x), asarray(weight)
    given, batched = spatial.batched(name, given, axes)
    step, apart = sizes(name, "stride", stride, axes, 1), sizes(name, "dilation", dilation, axes, 1)
    around = sizes(name, "padding", padding, axes, 0)
    more = sizes(name, "output_padding", output_padding, axes, 0)
    (count,) = sizes(name, "groups", groups, 1, 1)
    if w.ndim != axes + 2 or w.shape[0] != given.shape[1] or w.shape[0] % count:
        told = (
            f"weight {w.shape} does not fit the {given.shape[1]} channels of {given.shape} in {count} groups"
        )
        raise ValueError(here(f"{name}: {told}; it is (channels, out / groups, ...)"))
    if any(m >= max(s, e) for m, s, e in zip(more, step, apart, strict=True)):
        told = f"output_padding {more} must be below stride {step} or dilation {apart}"
        raise ValueError(here(f"{name}: {told}"))
    for d, s in enumerate(step):
        given = _spread(given, 2 + d, s)
    widths: list[int] = []
    for k, e, p, m in zip(w.shape[2:], apart, around, more, strict=True):
        widths = [e * (k - 1) - p, e * (k - 1) - p + m, *widths]
    given = F.pad(given, widths)
    inner, outer, *window = w.shape
    kernel = w.reshape(count, inner // count, outer, *window).flip(tuple(range(3, 3 + axes)))
    kernel = kernel.swapaxes(1, 2).reshape(count * outer, inner // count, *window)
    made = (F.conv1d, F.conv2d, F.conv3d)[axes - 1](given, kernel, bias, 1, 0, apart, count)
    return made if batched else made[0]


@public
def conv_transpose1d(
    x: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
    groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """The gradient of `conv1d` by its input, as a layer: x (batch, channels, n), weight (channels, out /
    groups, k), to (n - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1 places."""
    return _conv_transpose(
        "conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public
def conv_transpose2d(
    x: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
    groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """As `conv_transpose1d`, over two axes."""
    return _conv_transpose(
        "conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


@public
def conv_transpose3d(
    x: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Sizes = 0, output_padding: Sizes = 0,
    groups: int = 1, dilation: Sizes = 1,
) -> Tensor:  # fmt: skip
    """As `conv_transpose1d`, over three axes."""
    return _conv_transpose(
        "conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


# --- pools to a size -------------------------------------------------------------------------------


def adaptive(name: str, axes: int, x: Any, output_size: Any, how: str, places: bool = False) -> Any:
    """Windows of each axis in turn, the last one first: of equal elements the first one is found. `places`:
    also where in its channel each is."""
    given, batched = spatial.batched(name, asarray(x), axes)
    wanted = output_size if isinstance(output_size, tuple | list) else (output_size,) * axes
    if len(wanted) != axes:
        raise ValueError(here(f"{name}: output_size has {axes} numbers or one, not {output_size!r}"))
    at = None
    if places:
        shape = given.shape[2:]
        at = arange(math.prod(shape)).reshape(shape).expand(given.shape)
    for d, out in reversed([*enumerate(wanted)]):
        if out is not None:
            (count,) = sizes(name, "output_size", out, 1, 1)
            given, at = _pooled(given, 2 + d, count, how, at)
    found = given if batched else given[0]
    return found if at is None else (found, at if batched else at[0])


def _pooled(x: Tensor, axis: int, count: int, how: str, at: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Windows from floor(k n / count) to ceil((k + 1) n / count)."""
    n = x.shape[axis]

    def reduced(x: Tensor, at: Tensor | None, axis: int) -> tuple[Tensor, Tensor | None]:
        found: Tensor = getattr(x, how)(axis)
        if at is None:
            return found, None
        first = x.detach().argmax(axis, keepdims=True)
        return found, take_along_axis(at, first, axis).squeeze(axis)

    if n % count == 0:
        shape = (*x.shape[:axis], count, n // count, *x.shape[axis + 1 :])
        return reduced(x.reshape(shape), None if at is None else at.reshape(shape), axis + 1)
    before = (slice(None),) * axis
    cuts = [(*before, slice(k * n // count, -(-(k + 1) * n // count))) for k in range(count)]
    parts = [reduced(x[cut], None if at is None else at[cut], axis) for cut in cuts]
    places = None if at is None else stack([p for _, p in parts if p is not None], axis)
    return stack([v for v, _ in parts], axis), places


@public
def adaptive_avg_pool1d(x: Any, output_size: Any) -> Tensor:
    """Means over windows such that so many are left; windows overlap where sizes do not divide."""
    found: Tensor = adaptive("adaptive_avg_pool1d", 1, x, output_size, "mean")
    return found


@public
def adaptive_avg_pool2d(x: Any, output_size: Any) -> Tensor:
    """As `adaptive_avg_pool1d`, over two axes; None keeps one as it is."""
    found: Tensor = adaptive("adaptive_avg_pool2d", 2, x, output_size, "mean")
    return found


@public
def adaptive_avg_pool3d(x: Any, output_size: Any) -> Tensor:
    """As `adaptive_avg_pool1d`, over three axes; None keeps one as it is."""
    found: Tensor = adaptive("adaptive_avg_pool3d", 3, x, output_size, "mean")
    return found


@public
def adaptive_max_pool1d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The greatest of windows such that so many are left; windows overlap where sizes do not divide. With
    `return_indices` also where each lies among all of its channel."""
    return adaptive("adaptive_max_pool1d", 1, x, output_size, "max", return_indices)


@public
def adaptive_max_pool2d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool1d`, over two axes; None keeps one as it is."""
    return adaptive("adaptive_max_pool2d", 2, x, output_size, "max", return_indices)


@public
def adaptive_max_pool3d(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """As `adaptive_max_pool1d`, over three axes; None keeps one as it is."""
    return adaptive("adaptive_max_pool3d", 3, x, output_size, "max", return_indices)


# --- channels and places ---------------------------------------------------------------------------


@public
def pixel_shuffle(x: Any, upscale_factor: int) -> Tensor:
    """(..., c r², h, w) as (..., c, h r, w r): Shi and others, arXiv:1609.05158."""
    given = asarray(x)
    (r,) = sizes("pixel_shuffle", "upscale_factor", upscale_factor, 1, 1)
    if given.ndim < 3 or given.shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: the channels of {given.shape} do not divide by {r}²")
    *batch, c, h, w = given.shape
    parts = given.reshape(math.prod(batch), c // (r * r), r, r, h, w).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(*batch, c // (r * r), h * r, w * r)


@public
def pixel_unshuffle(x: Any, downscale_factor: int) -> Tensor:
    """(..., c, h r, w r) as (..., c r², h, w), the inverse of `pixel_shuffle`."""
    given = asarray(x)
    (r,) = sizes("pixel_unshuffle", "downscale_factor", downscale_factor, 1, 1)
    if given.ndim < 3 or given.shape[-1] % r or given.shape[-2] % r:
        raise ValueError(f"pixel_unshuffle: the places of {given.shape} do not divide by {r}")
    *batch, c, h, w = given.shape
    parts = given.reshape(math.prod(batch), c, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(*batch, c * r * r, h // r, w // r)


@public
def channel_shuffle(x: Any, groups: int) -> Tensor:
    """Channels (axis 1) in groups, as one of each group in turn."""
    given = asarray(x)
    (count,) = sizes("channel_shuffle", "groups", groups, 1, 1)
    if given.ndim < 2 or given.shape[1] % count:
        raise ValueError(f"channel_shuffle: the channels of {given.shape} do not make {count} groups")
    batch, c, *rest = given.shape
    return given.reshape(batch, count, c // count, *rest).swapaxes(1, 2).reshape(given.shape)


@public
def unfold(x: Any, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Windows of an image (batch, channels, h, w) as columns: (batch, channels k², windows)."""
    given, batched = spatial.batched("unfold", asarray(x), 2)
    window, apart = (
        sizes("unfold", "kernel_size", kernel_size, 2, 1),
        sizes("unfold", "dilation", dilation, 2, 1),
    )
    around, step = sizes("unfold", "padding", padding, 2, 0), sizes("unfold", "stride", stride, 2, 1)
    for n, k, p, e in zip(given.shape[2:], window, around, apart, strict=True):
        if n + 2 * p <= e * (k - 1):
            raise ValueError(f"unfold: a window of {k} does not fit {n} elements with {p} around")
    given = F.pad(given, (around[1], around[1], around[0], around[0]))
    found: Tensor = apply(spatial.windows, given, size=window, step=step, dilation=apart)
    columns = found.transpose(0, 1, 4, 5, 2, 3).reshape(
        given.shape[0], given.shape[1] * math.prod(window), math.prod(found.shape[2:4])
    )
    return columns if batched else columns[0]


@public
def fold(
    x: Any, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Tensor:
    """Columns (batch, channels k², windows) added where `unfold` has taken them from: (batch, channels,
    *output_size)."""
    given = asarray(x)
    batched = given.ndim == 3
    given = given if batched else given.reshape(1, *given.shape)
    out, window = (
        sizes("fold", "output_size", output_size, 2, 1),
        sizes("fold", "kernel_size", kernel_size, 2, 1),
    )
    apart, around = sizes("fold", "dilation", dilation, 2, 1), sizes("fold", "padding", padding, 2, 0)
    step, area = sizes("fold", "stride", stride, 2, 1), math.prod(window)
    spans = [n + 2 * p - e * (k - 1) - 1 for n, p, e, k in zip(out, around, apart, window, strict=True)]
    counts = [span // s + 1 for span, s in zip(spans, step, strict=True)]
    if given.ndim != 3 or given.shape[1] % area or given.shape[2] != math.prod(counts):
        told = f"expected (batch, channels {area}, {math.prod(counts)}), not {given.shape}"
        raise ValueError(f"fold: {told}")
    channels = given.shape[1] // area
    weight = tile(np.eye(area).reshape(area, 1, *window), (channels, 1, 1, 1)).astype(given.dtype)
    rest = [span % s for span, s in zip(spans, step, strict=True)]
    columns = given.reshape(given.shape[0], given.shape[1], *counts)
    found = conv_transpose2d(columns, weight, None, step, 0, 0, channels, apart)
    wider = [w for p, r in zip(reversed(around), reversed(rest), strict=True) for w in (-p, r - p)]
    made = F.pad(found, wider)
    return made if batched else made[0]


# --- of channels -----------------------------------------------------------------------------------


@public
def local_response_norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha m)^beta, with m the mean of x² over `size` channels around each, zeros beyond them."""
    given = asarray(x)
    (count,) = sizes("local_response_norm", "size", size, 1, 1)
    channels = given.shape[1]
    around = (0, 0) * (given.ndim - 2)
    wide = F.pad(given * given, (*around, count // 2, (count - 1) // 2))
    total = wide[:, :channels]
    for begin in range(1, count):
        total = total + wide[:, begin : begin + channels]
    found: Tensor = given / (total * (alpha / count) + k) ** beta
    return found


def instance_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """What is kept of a batch: the means of those of its samples."""
    axes, count = tuple(range(2, x.ndim)), spatial.several("instance_norm", x, 1)
    return x.mean(axes).mean(0), x.var(axes).mean(0) * (count / max(1, count - 1))


@public
def instance_norm(
    x: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Each channel of each sample with mean 0 and variance 1, or, unless `use_input_stats`, by the running
    statistics; then times weight plus bias. With `use_input_stats` these, if they are tensors, go on by
    `momentum` to those of the batch, as in PyTorch."""
    given = asarray(x)
    if use_input_stats:
        spatial.several("instance_norm", given, 1)
        found: Tensor = F.group_norm(given, given.shape[1], weight, bias, eps)
        follow(running_mean, running_var, instance_statistics(given), momentum)
        return found
    return F.batch_norm(given, running_mean, running_var, weight, bias, False, momentum, eps)


def _channels_dropped(name: str, axes: int, x: Any, p: float, training: bool) -> Tensor:
    given, batched = spatial.batched(name, asarray(x), axes)
    found = F.dropped(name, given, (*given.shape[:2], *(1 for _ in range(axes))), p, training)
    return found if batched else found[0]


@public
def dropout1d(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each channel 0 with probability `p`, else divided by 1 - p; x itself unless `training`."""
    return replaced(x, _channels_dropped("dropout1d", 1, x, p, training), inplace)


@public
def dropout2d(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As `dropout1d`, of channels of two axes."""
    return replaced(x, _channels_dropped("dropout2d", 2, x, p, training), inplace)


@public
def dropout3d(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As `dropout1d`, of channels of three axes."""
    return replaced(x, _channels_dropped("dropout3d", 3, x, p, training), inplace)
