"""Activations, layers and losses as functions. Losses follow docs of the classes in `lucid.nn`. `inplace`
changes the tensor that is given, for all who hold it, as methods that end in `_` do."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lucid.compiler.ir.graph import Node

from .. import joins, published, subscripts, updates
from ..context import no_grad
from ..creation import as_shape, device_of, ones, zeros
from ..creation import given as asarray
from ..errors import bounded, here, public, warn_user
from ..functional import where
from ..named import of_home
from ..promote import whole
from ..tape import is_traced
from ..tensor import Tensor, apply
from ..views import replaced
from . import classes, formulas, spatial

if TYPE_CHECKING:
    from .activations import *  # noqa: F403
    from .alignments import *  # noqa: F403
    from .fractional import *  # noqa: F403
    from .interpolation import *  # noqa: F403
    from .likelihoods import *  # noqa: F403
    from .margins import *  # noqa: F403
    from .noise import *  # noqa: F403
    from .resampling import *  # noqa: F403
    from .unpooling import *  # noqa: F403

Reduction = Literal["mean", "sum", "none"]

# Functions of modules that are loaded when one is asked for.
_LATER = {
    "activations": (
        "bilinear", "celu", "celu_", "cosine_similarity", "elu_", "glu", "gumbel_softmax", "hardshrink",
        "hardsigmoid", "hardswish", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "logsigmoid",
        "normalize", "pairwise_distance", "pdist", "prelu", "relu6", "relu_", "selu", "selu_", "softmin",
        "softplus", "softshrink", "softsign", "tanhshrink", "threshold", "threshold_",
    ),
    "alignments": ("ctc_loss",),
    "fractional": (
        "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
        "fractional_max_pool3d_with_indices",
    ),
    "interpolation": ("interpolate", "upsample", "upsample_bilinear", "upsample_nearest"),
    "likelihoods": (
        "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "kl_div",
        "poisson_nll_loss",
    ),
    "margins": (
        "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
        "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss", "triplet_margin_loss",
        "triplet_margin_with_distance_loss",
    ),
    "noise": ("alpha_dropout", "feature_alpha_dropout", "rrelu", "rrelu_"),
    "resampling": (
        "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
        "adaptive_max_pool2d", "adaptive_max_pool3d", "channel_shuffle", "conv_transpose1d",
        "conv_transpose2d", "conv_transpose3d", "dropout1d", "dropout2d", "dropout3d", "fold",
        "instance_norm", "local_response_norm", "pixel_shuffle", "pixel_unshuffle",
        "unfold",
    ),
    "sampling": ("affine_grid", "grid_sample"),
    "unpooling": (
        "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    ),
}  # fmt: skip
_HOMES = {name: home for home, names in _LATER.items() for name in names}


@bounded
def __getattr__(name: str) -> Any:
    return of_home(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


# --- activations ---------------------------------------------------------------------------------


@public
def relu(x: Any, inplace: bool = False) -> Tensor:
    """max(x, 0); its gradient at 0 is 0."""
    return replaced(x, apply(formulas.relu, asarray(x)), inplace)


@public
def tanh(x: Any) -> Tensor:
    return asarray(x).tanh()


sigmoid = published.sigmoid


@public
def gelu(x: Any, approximate: str = "none") -> Tensor:
    """The Gaussian error linear unit: x/2 (1 + erf(x/sqrt(2))). With `approximate="tanh"` a formula by tanh,
    up to 5e-4 away. ValueError for another `approximate`."""
    how = checked_approximation("gelu", approximate)
    return apply(formulas.gelu if how == "none" else formulas.gelu_tanh, asarray(x))


@public
def silu(x: Any, inplace: bool = False) -> Tensor:
    """x sigmoid(x)."""
    return replaced(x, apply(formulas.silu, asarray(x)), inplace)


@public
def mish(x: Any, inplace: bool = False) -> Tensor:
    """x tanh(softplus(x))."""
    return replaced(x, apply(formulas.mish, asarray(x)), inplace)


@public
def elu(x: Any, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """alpha (exp(x) - 1) where x <= 0, else x."""
    found = apply(formulas.elu, asarray(x), alpha=checked_number("elu", "alpha", alpha, zero=True))
    return replaced(x, found, inplace)


def checked_approximation(name: str, approximate: str) -> str:
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ValueError(here(f"{name}: approximate must be 'none' or 'tanh', not {approximate!r}"))
    return approximate


@public
def dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element 0 with probability `p`, else divided by 1 - p; x itself unless `training`. In a compiled
    function each call draws anew. ValueError for a `p` outside of [0, 1]."""
    given: Tensor = asarray(x)
    return replaced(x, dropped("dropout", given, given.shape, p, training), inplace)


def dropped(name: str, x: Tensor, drawn: tuple[int, ...], p: float, training: bool) -> Tensor:
    """Dropout of what broadcasts to `x` from a drawn shape."""
    if not isinstance(p, int | float | np.floating) or not 0 <= p <= 1:
        raise ValueError(here(f"{name}: p must be a probability, not {p!r}"))
    if not training or p == 0:
        return x
    from ..random import rand  # as `searchsorted`, 1.5 ms that few functions need

    out = rand(*drawn, device=device_of(x)) < p
    kept: Tensor = where(out, 0.0, x * (1 / (1 - p) if p < 1 else 0.0))
    return kept


@public
def softmax(x: Any, axis: int | None = None, *, dim: int | None = None, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) over one axis (or `dim`, the last one if neither is given), of x in `dtype`."""
    return apply(formulas.softmax, asarray(x, dtype), axis=_axis(axis, dim))


@public
def log_softmax(x: Any, axis: int | None = None, *, dim: int | None = None, dtype: Any = None) -> Tensor:
    """log(softmax(x)), without the loss of precision."""
    return apply(formulas.log_softmax, asarray(x, dtype), axis=_axis(axis, dim))


def _axis(axis: int | None, dim: int | None) -> int:
    if axis is not None and dim is not None:
        raise TypeError(here("axis and dim are one argument under two names; give one of them"))
    return checked_axis("softmax", dim if axis is None else axis)


def checked_axis(name: str, axis: Any) -> int:
    """The last one for None."""
    if axis is None:
        return -1
    try:
        return operator.index(axis)
    except TypeError:
        raise TypeError(here(f"{name}: dim must be an int, not {type(axis).__name__}")) from None


# --- layers --------------------------------------------------------------------------------------


@public
def linear(x: Any, weight: Any, bias: Any = None) -> Tensor:
    """x (..., in) times weight (out, in), plus bias (out): (..., out)."""
    return apply(formulas.linear, asarray(x), asarray(weight), _optional(bias))


@public
def layer_norm(
    x: Any, normalized_shape: int | tuple[int, ...], weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Mean 0 and variance 1 over the last axes, `normalized_shape`, then times weight plus bias."""
    return apply(
        formulas.layer_norm, asarray(x), _optional(weight), _optional(bias),
        shape=as_shape(normalized_shape), eps=checked_number("layer_norm", "eps", eps, zero=True),
    )  # fmt: skip


@public
def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Row i of `weight` for each index i in `input`; row `padding_idx` gets no gradient. With `max_norm` rows
    that are read and have a greater norm, of order `norm_type`, are scaled to it first, in `weight` itself.
    `scale_grad_by_freq`: the gradient of a row is divided by how often it is read. `sparse` is PyTorch's, and
    changes nothing. IndexError for an index without a row, and for a negative one."""
    index, table = asarray(input), asarray(weight)
    padding = checked_padding(padding_idx, table.shape[0] if table.ndim else 0)
    if max_norm is not None:
        table = _bounded_rows("embedding", index, table, max_norm, norm_type)
    rows = apply(classes.embedding, index, table, padding=padding)
    if not scale_grad_by_freq:
        return rows
    from .noise import Scaled  # few ask for it

    flat = index.reshape(-1)
    often = zeros(table.shape[:1], dtype=table.dtype).index_add(0, flat, ones(flat.shape, dtype=table.dtype))
    found: Tensor = Scaled.apply(rows, 1 / often.take(index).unsqueeze(-1))
    return found


@no_grad
def _bounded_rows(name: str, index: Tensor, table: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """The table, in which rows that `index` names are scaled to at most that norm."""
    most = checked_number(name, "max_norm", max_norm, zero=False)
    power = checked_number(name, "norm_type", norm_type, zero=False)
    size = table.abs()
    norm = size.max(1) if math.isinf(power) else (size**power).sum(1) ** (1 / power)
    read = zeros(table.shape[:1], dtype=np.bool_).index_fill(0, index.reshape(-1), True)
    factor = where(read & (norm > most), most / (norm + 1e-7), 1.0)
    table.data = table * factor.unsqueeze(1).astype(table.dtype)
    return table


@public
def checked_padding(padding_idx: int | None, rows: int) -> int | None:
    """From the front. ValueError if there is no such row."""
    if padding_idx is None:
        return None
    k = whole("padding_idx", padding_idx)
    if not -rows <= k < rows:
        raise ValueError(f"embedding: padding_idx {k} is out of range for {rows} rows")
    return k % rows


@public
def checked_mode(mode: str) -> str:
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode must be 'sum', 'mean' or 'max', not {mode!r}")
    return mode


@public
def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, mode: str = "mean", per_sample_weights: Any = None,
    padding_idx: int | None = None, *, max_norm: float | None = None, norm_type: float = 2.0,
    sparse: bool = False, include_last_offset: bool = False,
) -> Tensor:  # fmt: skip
    """Sum, mean or maximum of the rows of `weight` that a bag names: a row of a 2-D `input`, or what lies
    between two of the `offsets` in a 1-D one. `per_sample_weights` are factors of a sum. An empty bag
    gives 0. `max_norm`, `norm_type` and `sparse`: see `embedding`. `include_last_offset`: the last of the
    offsets is where the last bag ends."""
    index, table = asarray(input), asarray(weight)
    if max_norm is not None:
        table = _bounded_rows("embedding_bag", index, table, max_norm, norm_type)
    if include_last_offset and offsets is not None:
        offsets = asarray(offsets)[:-1]
    padding = checked_padding(padding_idx, table.shape[0] if table.ndim else 0)
    if per_sample_weights is not None and checked_mode(mode) != "sum":
        raise ValueError("embedding_bag: per_sample_weights need mode='sum'")
    if index.ndim not in (1, 2) or (offsets is None) != (index.ndim == 2):
        raise ValueError("embedding_bag: expected a 2-D input, or a 1-D one with offsets")
    bag, count = None, index.shape[0]
    if offsets is not None:
        from ..sequences import searchsorted

        starts = asarray(offsets)
        bag = searchsorted(starts, np.arange(index.shape[0]), "right") - 1
        count = starts.shape[0]
    factors = _optional(per_sample_weights)
    if factors is not None and factors.shape != index.shape:
        raise ValueError(f"embedding_bag: per_sample_weights {factors.shape} do not fit input {index.shape}")
    return apply(
        classes.bags, index, table, factors, bag, count=count, mode=checked_mode(mode), padding=padding
    )


@public
def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """int64: one more axis, of `num_classes`, 1 at each index and 0 elsewhere. -1: as many as the values
    need, outside of compiled functions. IndexError for an index that is negative or not below."""
    index, n = asarray(tensor), whole("one_hot: num_classes", num_classes)
    if index.dtype.kind not in "iu":
        raise TypeError(f"one_hot: indices must be ints, not {index.dtype}")
    if n < 0:
        n = int(index.numpy().max()) + 1 if index.size else 0
    return apply(_one_hot, index, classes=n)


def _one_hot(index: Node, *, classes: int) -> Node:
    return updates.one_hot(subscripts.place(index, classes, negative=False), classes=classes)


def _optional(x: Any) -> Tensor | None:
    return None if x is None else asarray(x)


# --- images and sequences -------------------------------------------------------------------------

conv1d, conv2d, conv3d = spatial.conv1d, spatial.conv2d, spatial.conv3d
max_pool1d, max_pool2d, max_pool3d = spatial.max_pool1d, spatial.max_pool2d, spatial.max_pool3d
avg_pool1d, avg_pool2d, avg_pool3d = spatial.avg_pool1d, spatial.avg_pool2d, spatial.avg_pool3d
batch_norm, group_norm, rms_norm = spatial.batch_norm, spatial.group_norm, spatial.rms_norm
scaled_dot_product_attention = spatial.scaled_dot_product_attention

# --- losses --------------------------------------------------------------------------------------


@public
def huber_loss(
    input: Any,
    target: Any,
    delta: float = 1.0,
    reduction: Reduction | None = "mean",
    *,
    weight: Any = None,
) -> Tensor:
    """Huber's loss: d²/2 where |d| <= delta, else delta (|d| - delta/2), with d = input - target.

    `reduction`: "mean", "sum" or "none" (also None). `weight`, of the input's size, multiplies each
    element; the mean stays that over all elements. Shapes broadcast, with a warning. Integers are
    computed in float64. Raises ValueError unless delta > 0, TypeError if it is no real number.
    """
    delta = checked_number("huber_loss", "delta", delta, zero=False)
    how = checked_reduction("huber_loss", reduction)
    x, y, w = _operands("huber_loss", input, target, weight)
    return apply(formulas.huber_loss, x, y, w, delta=delta, reduction=how)


@public
def smooth_l1_loss(
    input: Any, target: Any, beta: float = 1.0, reduction: Reduction | None = "mean"
) -> Tensor:
    """d²/(2 beta) where |d| < beta, else |d| - beta/2: `huber_loss` with delta = beta, over beta.
    With beta = 0 it is the L1 loss. Raises ValueError if beta < 0 or NaN; else as `huber_loss`."""
    beta = checked_number("smooth_l1_loss", "beta", beta, zero=True)
    how = checked_reduction("smooth_l1_loss", reduction)
    x, y, _ = _operands("smooth_l1_loss", input, target, None)
    return apply(formulas.smooth_l1_loss, x, y, beta=beta, reduction=how)


@public
def l1_loss(input: Any, target: Any, reduction: Reduction | None = "mean", *, weight: Any = None) -> Tensor:
    """|input - target|; the gradient at 0 is 0. A weighted mean is sum(w l) / sum(w)."""
    how = checked_reduction("l1_loss", reduction)
    return apply(formulas.l1_loss, *_operands("l1_loss", input, target, weight), reduction=how)


@public
def mse_loss(input: Any, target: Any, reduction: Reduction | None = "mean", *, weight: Any = None) -> Tensor:
    """(input - target)². A weighted mean is sum(w l) / sum(w)."""
    how = checked_reduction("mse_loss", reduction)
    return apply(formulas.mse_loss, *_operands("mse_loss", input, target, weight), reduction=how)


@public
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: Reduction | None = "mean",
) -> Tensor:
    """Less the input, log-probabilities of shape (n, classes, ...), at the target classes, (n, ...).
    `weight`, one for each class, multiplies; a mean is the sum over that of the weights. Targets
    `ignore_index` do not count. IndexError for others without a class."""
    how = checked_reduction("nll_loss", reduction)
    x, y, w = asarray(input), asarray(target), _optional(weight)
    return apply(classes.nll_loss, x, y, w, ignore=whole("ignore_index", ignore_index), reduction=how)


@public
def cross_entropy(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: Reduction | None = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """`nll_loss` of `log_softmax` of the input, (n, classes, ...), by classes, (n, ...), or by probabilities
    of the input's shape. `label_smoothing`, 0 to 1: that part of each target goes to all classes alike."""
    how = checked_reduction("cross_entropy", reduction)
    smoothing = checked_number("cross_entropy", "label_smoothing", label_smoothing, zero=True)
    if smoothing > 1:
        raise ValueError(f"cross_entropy: label_smoothing must be at most 1, not {smoothing}")
    x, y, w = asarray(input), asarray(target), _optional(weight)
    return apply(
        classes.cross_entropy, x, y, w, ignore=whole("ignore_index", ignore_index), reduction=how,
        smoothing=smoothing,
    )  # fmt: skip


def checked_reduction(name: str, reduction: Reduction | None) -> Reduction:
    how: Reduction = "none" if reduction is None else reduction
    if not isinstance(how, str) or how not in get_args(Reduction):
        raise ValueError(here(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}"))
    return how


def checked_number(name: str, what: str, value: Any, *, zero: bool) -> float:
    """`value` as a Python number, which keeps the dtype of the operands."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        shown = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else repr(value)
        raise TypeError(here(f"{name}: {what} must be an int or a float, not {shown}"))
    number: Any = value if is_traced(value) else float(value)
    if number != number or number < 0 or (number == 0 and not zero):
        bound = "at least 0" if zero else "greater than 0"
        raise ValueError(here(f"{name}: {what} must be {bound}, not {value}"))
    return number  # type: ignore[no-any-return]


def _operands(name: str, input: Any, target: Any, weight: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    x, y = asarray(input), asarray(target)
    if x.shape != y.shape:
        warn_user(
            f"{name}: input has shape {x.shape} and target {y.shape}; they broadcast, which is often a "
            "mistake ((N,) against (N, 1) makes N×N). Reshape one of them if it is"
        )
    if weight is None:
        return x, y, None
    w = asarray(weight)
    if w.shape != x.shape:
        raise ValueError(here(f"{name}: weight has shape {w.shape}; expected that of the input, {x.shape}"))
    return x, y, w


@public
def pad(x: Any, pad: Iterable[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """PyTorch's: `pad` is before and behind the last axis, then the last but one, and so on. Negative widths
    take away. `mode`: "constant" (with `value`), "reflect", "replicate" or "circular". (`lucid.pad` is
    NumPy's.)"""
    x = asarray(x)
    flat = [whole("pad: a width", w) for w in pad]
    if len(flat) % 2 or len(flat) > 2 * x.ndim:
        raise ValueError(f"pad: expected pairs of widths for at most {x.ndim} axes, got {flat}")
    pairs = list(zip(flat[::2], flat[1::2], strict=True))[::-1]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    if mode not in joins.TORCH_MODES:
        raise ValueError(f"pad: mode must be constant, reflect, replicate or circular, not {mode!r}")
    if any(w < 0 for pair in widths for w in pair):
        sides = zip(x.shape, widths, strict=True)
        x = x[tuple(slice(max(-lo, 0), max(n - max(-hi, 0), 0)) for n, (lo, hi) in sides)]
    wider = [(max(lo, 0), max(hi, 0)) for lo, hi in widths]
    return apply(joins.padded, x, 0 if value is None else value, widths=wider, mode=joins.TORCH_MODES[mode])
