"""Convolutions, pools and norms of images and sequences: channels come behind the batch, as in PyTorch."""

from __future__ import annotations

import operator
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from lucid.compiler import ops
from lucid.compiler.ir.graph import Node

from ..context import no_grad
from ..creation import given as asarray
from ..errors import here, public
from ..promote import cast, dtype_of, result_dtype, weak
from ..tensor import Tensor, apply

Sizes = int | tuple[int, ...]


def sizes(name: str, what: str, given: Any, axes: int, least: int) -> tuple[int, ...]:
    """One whole number for each axis. TypeError for what is none, ValueError for another count or one below
    `least`."""
    values = tuple(given) if isinstance(given, tuple | list) else (given,) * axes
    try:
        found = tuple([operator.index(v) for v in values])
    except TypeError:
        raise TypeError(here(f"{name}: {what} is a whole number or a tuple of them, not {given!r}")) from None
    if len(found) != axes or min(found, default=least) < least:
        raise ValueError(here(f"{name}: {what} has {axes} numbers of at least {least}, not {given!r}"))
    return found


def batched(name: str, x: Tensor, axes: int) -> tuple[Tensor, bool]:
    """With a batch axis in front, and whether it had one."""
    if x.ndim not in (axes + 1, axes + 2):
        raise ValueError(here(f"{name}: expected {axes + 1} or {axes + 2} axes, not shape {x.shape}"))
    return (x, True) if x.ndim == axes + 2 else (x.reshape(1, *x.shape), False)


# --- convolutions ----------------------------------------------------------------------------------


def _convolution(
    x: Node, w: Node, bias: Node | None, *, stride: tuple[int, ...], padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...], groups: int,
) -> Node:  # fmt: skip
    dtype = result_dtype(*(weak(n) for n in (x, w)))
    x, w = cast(x, dtype), cast(w, dtype)
    lo, hi = zip(*padding, strict=True)
    batch, channels, *extents = x.shape
    out, inner, *window = w.shape
    grouped = ops.reshape(x, (batch, groups, channels // groups, *extents))
    kernel = ops.reshape(w, (groups, out // groups, inner, *window))
    found = ops.CONVOLVE(grouped, kernel, strides=stride, dilations=dilation, lo=lo, hi=hi)
    found = ops.reshape(found, (batch, out, *found.shape[3:]))
    if bias is not None:
        shape = (1, out, *(1 for _ in window))
        found = ops.ADD(found, ops.BROADCAST(ops.reshape(cast(bias, dtype), shape), shape=found.shape))
    return found


def _conv(
    name: str,
    axes: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    x, w = asarray(x), asarray(weight)
    x, full = batched(name, x, axes)
    step, apart = sizes(name, "stride", stride, axes, 1), sizes(name, "dilation", dilation, axes, 1)
    (count,) = sizes(name, "groups", groups, 1, 1)
    if w.ndim != axes + 2 or w.shape[0] % count or x.shape[1] != w.shape[1] * count:
        told = f"weight {w.shape} does not fit the {x.shape[1]} channels of {x.shape} in {count} groups"
        raise ValueError(here(f"{name}: {told}; it is (out, channels / groups, ...)"))
    spans = [e * (k - 1) for k, e in zip(w.shape[2:], apart, strict=True)]
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and max(step) > 1):
            told = "is a number, 'valid', or for strides of 1 'same'"
            raise ValueError(here(f"{name}: padding {told}, not {padding!r}"))
        around = [(s // 2, s - s // 2) if padding == "same" else (0, 0) for s in spans]
    else:
        around = [(p, p) for p in sizes(name, "padding", padding, axes, 0)]
    for n, (lo, hi), span in zip(x.shape[2:], around, spans, strict=True):
        if n + lo + hi <= span:
            raise ValueError(here(f"{name}: a window of {span + 1} does not fit {n} + {lo + hi} elements"))
    found = apply(
        _convolution, x, w, None if bias is None else asarray(bias),
        stride=step, padding=tuple(around), dilation=apart, groups=count,
    )  # fmt: skip
    return found if full else found.reshape(found.shape[1:])


@public
def conv1d(
    x: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """x (batch, channels, n), or without a batch, with windows `weight` (out, channels / groups, k):
    (batch, out, ...), the cross-correlation. ValueError for shapes that do not fit."""
    return _conv("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


@public
def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """As `conv1d`, over two axes."""
    return _conv("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


@public
def conv3d(
    x: Any, weight: Any, bias: Any = None, stride: Sizes = 1, padding: Sizes | str = 0, dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """As `conv1d`, over three axes."""
    return _conv("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


# --- pools -----------------------------------------------------------------------------------------


def windows(x: Node, size: tuple[int, ...], step: tuple[int, ...], dilation: tuple[int, ...]) -> Node:
    for d, (k, s, e) in enumerate(zip(size, step, dilation, strict=True)):
        x = ops.WINDOW(x, axis=2 + d, size=k, step=s, dilation=e)
    return x


def _padded(x: Node, lo: tuple[int, ...], hi: tuple[int, ...], value: float) -> Node:
    if not any(lo + hi):
        return x
    lo, hi = (0, 0, *lo), (0, 0, *hi)
    padded = ops.PAD(x, lo=lo, hi=hi)
    if value == 0:
        return padded
    ones = ops.fill(ops.CONST(value=True, dtype=ops.EQ(x, x).type.dtype), x.shape)
    return ops.WHERE(ops.PAD(ones, lo=lo, hi=hi), padded, ops.const(value, padded))


def max_windows(x: Node, *, size: Any, step: Any, lo: Any, hi: Any, dilation: Any) -> Node:
    """The windows of a pool of greatest elements: (batch, channels, ..., *size)."""
    least: float = -np.inf if x.type.dtype.is_float else int(np.iinfo(x.type.dtype.numpy).min)
    return windows(_padded(x, lo, hi, least), size, step, dilation)


def _max_pool(x: Node, **given: Any) -> Node:
    cut = max_windows(x, **given)
    return ops.AMAX(cut, axes=tuple(range(x.type.ndim, cut.type.ndim)))


def _avg_pool(
    x: Node, *, size: Any, step: Any, lo: Any, hi: Any, include: bool, divisor: int | None
) -> Node:  # fmt: skip
    """`lo` zeros are around each axis, which count if `include`; what `hi` has more does not."""
    dtype = x.type.dtype
    wide = dtype.computed
    once = (1,) * len(size)

    def total(n: Node, lo: Any, hi: Any) -> Node:
        cut = windows(_padded(n, lo, hi, 0), size, step, once)
        return ops.SUM(cut, axes=tuple(range(n.type.ndim, cut.type.ndim)))

    found = total(cast(x, wide), lo, hi)
    if divisor is not None or (lo == hi and (include or not any(lo))):
        count = ops.const(prod(size) if divisor is None else divisor, found)
    else:
        around = lo if include else (0,) * len(lo)
        places = tuple(n + 2 * p for n, p in zip(x.shape[2:], around, strict=True))
        one = ops.fill(ops.CONST(value=1.0, dtype=wide), x.shape[:2] + places)
        count = total(one, *(tuple(w - p for w, p in zip(side, around, strict=True)) for side in (lo, hi)))
    return cast(ops.DIV(found, count), dtype)


def window_of(
    name: str, axes: int, size: Any, stride: Any, padding: Any
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The window of a pool, its step (by default windows lie side by side), and what is around."""
    window = sizes(name, "kernel_size", size, axes, 1)
    step = window if stride is None else sizes(name, "stride", stride, axes, 1)
    return window, step, sizes(name, "padding", padding, axes, 0)


def pool(
    name: str,
    axes: int,
    build: Callable[..., Node],
    x: Any,
    size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    **more: Any,
) -> Tensor:
    given, full = batched(name, asarray(x), axes)
    window, step, around = window_of(name, axes, size, stride, padding)
    if not isinstance(ceil_mode, bool | np.bool_):
        raise TypeError(f"{name}: ceil_mode must be True or False, not {ceil_mode!r}")
    if more.get("divisor") == 0:
        raise ValueError(here(f"{name}: divisor_override must not be 0"))
    dilation = more.get("dilation", (1,) * axes)
    beyond = []
    for n, k, p, s, e in zip(given.shape[2:], window, around, step, dilation, strict=True):
        rest = n + 2 * p - e * (k - 1) - 1
        last = (-(-rest // s) if ceil_mode else rest // s) * s  # where the last window begins
        if ceil_mode and last >= n + p:  # it would see nothing
            last -= s
        if 2 * p > k or last < 0:
            told = f"a window of {k} does not fit {n} elements with {p} around (at most half a window)"
            raise ValueError(here(f"{name}: {told}"))
        beyond.append(p + max(last - rest, 0))
    found = apply(build, given, size=window, step=step, lo=around, hi=tuple(beyond), **more)
    return found if full else found.reshape(found.shape[1:])


def _greatest(
    name: str, axes: int, x: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool,
) -> Any:  # fmt: skip
    apart = sizes(name, "dilation", dilation, axes, 1)
    found = pool(name, axes, _max_pool, x, size, stride, padding, ceil_mode, dilation=apart)
    if not return_indices:
        return found
    from .unpooling import positions  # few ask for them

    return found, positions(name, axes, x, size, stride, padding, ceil_mode, apart)


@public
def max_pool1d(
    x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The greatest of each window of the last axis; by default windows lie side by side. With `ceil_mode`
    the last one may end beyond what there is.
    With `return_indices` also where each lies among all of its channel, for `max_unpool`."""
    given = kernel_size, stride, padding, dilation
    return _greatest("max_pool1d", 1, x, *given, ceil_mode, return_indices)


@public
def avg_pool1d(
    x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last axis; zeros around count, unless `count_include_pad` is
    false. With `ceil_mode` the last window may end beyond these, of which nothing counts."""
    more = {"include": bool(count_include_pad), "divisor": None}
    return pool("avg_pool1d", 1, _avg_pool, x, kernel_size, stride, padding, ceil_mode, **more)


@public
def max_pool2d(
    x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The greatest of each window of the last two axes; by default windows lie side by side. With `ceil_mode`
    the last one may end beyond what there is.
    With `return_indices` also where each lies among all of its channel, for `max_unpool`."""
    given = kernel_size, stride, padding, dilation
    return _greatest("max_pool2d", 2, x, *given, ceil_mode, return_indices)


@public
def avg_pool2d(
    x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last two axes; zeros around count, unless `count_include_pad` is
    false. With `ceil_mode` the last window may end beyond these, of which nothing counts. The sum is divided
    by `divisor_override`, if there is one."""
    more = {"include": bool(count_include_pad), "divisor": divisor_override}
    return pool("avg_pool2d", 2, _avg_pool, x, kernel_size, stride, padding, ceil_mode, **more)


@public
def max_pool3d(
    x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The greatest of each window of the last three axes; by default windows lie side by side. With
    `ceil_mode` the last one may end beyond what there is.
    With `return_indices` also where each lies among all of its channel, for `max_unpool`."""
    given = kernel_size, stride, padding, dilation
    return _greatest("max_pool3d", 3, x, *given, ceil_mode, return_indices)


@public
def avg_pool3d(
    x: Any, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean of each window of the last three axes; zeros around count, unless `count_include_pad` is
    false. With `ceil_mode` the last window may end beyond these, of which nothing counts. The sum is divided
    by `divisor_override`, if there is one."""
    more = {"include": bool(count_include_pad), "divisor": divisor_override}
    return pool("avg_pool3d", 3, _avg_pool, x, kernel_size, stride, padding, ceil_mode, **more)


# --- norms and attention -----------------------------------------------------------------------------


def several(name: str, x: Tensor, first: int) -> int:
    """How many values have one mean and variance, along axis `first` and those from 2 on. ValueError for a
    single one, of which nothing is left without its mean."""
    count = prod(x.shape[2:]) * prod(x.shape[first:1])
    if count == 1:
        raise ValueError(
            here(f"{name}: {x.shape} has one value of each channel, and its variance is 0; expected several "
                 "while training, or eval()")
        )  # fmt: skip
    return count


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """What is kept of a batch: means of channels, and variances, unbiased as PyTorch keeps them."""
    axes, count = (0, *range(2, x.ndim)), several("batch_norm", x, 0)
    return x.mean(axes), x.var(axes) * (count / max(1, count - 1))


@no_grad
def follow(mean: Any, var: Any, batch: tuple[Tensor, Tensor], momentum: float) -> None:
    """Running statistics go on to those of a batch."""
    for running, new in zip((mean, var), batch, strict=True):
        if isinstance(running, Tensor):
            running.copy_(running * (1 - momentum) + new * momentum)


@public
def batch_norm(
    x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Each channel (axis 1) with mean 0 and variance 1, then times weight plus bias: of this batch while
    `training`, else by the running statistics. While `training` these, if they are tensors, go on by
    `momentum` to those of the batch, as in PyTorch."""
    x = asarray(x)
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    axes = (0, *range(2, x.ndim))
    if training or running_mean is None:
        several("batch_norm", x, 0)
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    else:
        mean, var = asarray(running_mean).reshape(shape), asarray(running_var).reshape(shape)
    found: Tensor = (x - mean) / (var + eps).sqrt()
    if weight is not None:
        found = found * asarray(weight).reshape(shape)
    if bias is not None:
        found = found + asarray(bias).reshape(shape)
    if training:
        follow(running_mean, running_var, batch_statistics(x), momentum)
    return found


@public
def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Each group of channels of each sample with mean 0 and variance 1, then times weight plus bias."""
    x = asarray(x)
    (groups,) = sizes("group_norm", "num_groups", num_groups, 1, 1)
    if x.ndim < 2 or x.shape[1] % groups:
        raise ValueError(here(f"group_norm: the channels of {x.shape} do not make {groups} groups"))
    rows, axes = x.reshape(x.shape[0], groups, x.shape[1] // groups, prod(x.shape[2:])), (2, 3)
    found: Tensor = (rows - rows.mean(axes, keepdims=True)) / (rows.var(axes, keepdims=True) + eps).sqrt()
    if weight is not None:
        found = found * asarray(weight).reshape(1, groups, -1, 1)
    if bias is not None:
        found = found + asarray(bias).reshape(1, groups, -1, 1)
    whole: Tensor = found.reshape(x.shape)
    return whole


@public
def rms_norm(x: Any, normalized_shape: Sizes, weight: Any = None, eps: float | None = None) -> Tensor:
    """The last axes divided by the root of their mean square, then times weight. `eps`: by default that of
    the dtype."""
    x = asarray(x)
    count = len(normalized_shape) if isinstance(normalized_shape, tuple | list) else 1
    axes = tuple(range(-count, 0))
    small = dtype_of(x.dtype).part.epsilon if eps is None else eps
    found: Tensor = x / ((x * x).mean(axes, keepdims=True) + small).sqrt()
    return found if weight is None else found * weight


@public
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query keyᵀ scale + mask) value, over the last two axes (positions, features). `attn_mask`:
    bools, true where a key may be seen, or numbers that are added; a query that sees no key gets zeros.
    `dropout_p`: the share of weights that are dropped, whatever the mode of a module. `scale`: by default
    1 / sqrt(features). `enable_gqa`: each head (axis -3) of key and value serves several of the query's."""
    from .functional import dropped, softmax

    if isinstance(dropout_p, bool):
        raise TypeError(here("scaled_dot_product_attention: dropout_p is a number; write is_causal=..."))
    q, k, v = asarray(query), asarray(key), asarray(value)
    if enable_gqa:
        k, v = _for_heads(q, k), _for_heads(q, v)
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    scores = (q @ k.swapaxes(-1, -2)) * factor
    if is_causal:
        rows, columns = (
            apply(lambda x, axis=axis: ops.IOTA(shape=x.shape[-2:], axis=axis), scores) for axis in (0, 1)
        )
        scores = _seen(scores, rows >= columns)
    sees = None
    if attn_mask is not None:
        mask = asarray(attn_mask)
        scores = _seen(scores, mask) if mask.dtype == np.bool_ else scores + mask
        sees = (scores != -np.inf).any(-1, keepdims=True)
        scores = _seen(scores, sees, 0.0)
    weights = dropped("scaled_dot_product_attention", softmax(scores, -1), scores.shape, dropout_p, True)
    return weights @ v if sees is None else _seen(weights @ v, sees, 0.0)


def _for_heads(q: Tensor, x: Tensor) -> Tensor:
    """As many heads as the query has."""
    if min(q.ndim, x.ndim) < 3 or x.shape[-3] == 0 or q.shape[-3] % x.shape[-3]:
        what = f"heads of the query, of shape {q.shape}, are a multiple of those of {x.shape}"
        raise ValueError(here(f"scaled_dot_product_attention: with enable_gqa {what}"))
    return x.repeat_interleave(q.shape[-3] // x.shape[-3], -3)


def _seen(x: Tensor, mask: Tensor, otherwise: float = -np.inf) -> Tensor:
    from ..functional import where

    return where(mask, x, otherwise)
