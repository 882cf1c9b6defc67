"""Programs of layers and losses that few models have, see `like_torch.py`: images between their places, pools
that say where, losses over many classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import like_torch, names_like_torch
from .like_torch import Program, add, numbers, with_gradients

BEFORE = set(like_torch.PROGRAMS)
assert BEFORE > names_like_torch.NAMES

IMAGE, VOLUME = numbers(1, 2, 3, 7, 6), numbers(2, 1, 2, 3, 4, 5)
# What a function of `functional` and tensors gives; for compiled functions, too.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}


def twice(f: Callable[..., Any], *inputs: Any) -> Program:
    """What `f(module, *tensors)` gives, the gradients of a weighted sum of its squares, and those of the
    squares of these."""

    def program(t: Any) -> Any:
        tensors = [t.tensor(x, requires_grad=True) for x in inputs]
        found = f(t, *tensors)
        weights = t.tensor(np.cos(np.arange(found.numel())).reshape(tuple(found.shape)))
        first = t.autograd.grad((found * found * weights).sum(), tensors, create_graph=True)
        second = t.autograd.grad(sum((g * g).sum() for g in first), tensors)
        return [found, *first, *second]

    return program


def function(name: str, f: Callable[..., Any], *inputs: Any, how: Any = twice) -> None:
    FUNCTIONS[name] = f, inputs
    add(f"layers {name}", how(f, *inputs))


# --- images ----------------------------------------------------------------------------------------

SIZES: list[dict[str, Any]] = [
    {"size": (9, 4)}, {"scale_factor": (0.6, 2.0)}, {"size": (4, 11), "align_corners": True},
]  # fmt: skip
for number, given in enumerate(SIZES):
    for mode, smooth in (("bicubic", False), ("bicubic", True), ("bilinear", True)):
        options = {"mode": mode, "antialias": smooth, **given}
        function(
            f"interpolate {mode} {smooth} {number}",
            lambda t, x, options=options: t.nn.functional.interpolate(x, **options), IMAGE,
            how=with_gradients,
        )  # fmt: skip

GRID, GRID3 = (
    np.random.default_rng(3).uniform(-1.4, 1.4, shape) for shape in ((2, 3, 4, 2), (1, 3, 2, 2, 3))
)
for padding in ("zeros", "border", "reflection"):
    for corners in (True, False):
        name = f"{padding} {corners}"
        function(
            f"grid_sample bicubic {name}",
            lambda t, x, g, p=padding, c=corners: t.nn.functional.grid_sample(x, g, "bicubic", p, c),
            IMAGE, GRID, how=with_gradients,
        )  # fmt: skip
        function(
            f"grid_sample of volumes {name}",
            lambda t, x, g, p=padding, c=corners: t.nn.functional.grid_sample(x, g, "bilinear", p, c),
            VOLUME, GRID3, how=with_gradients,
        )  # fmt: skip
function(
    "grid_sample nearest of volumes",
    lambda t, x: t.nn.functional.grid_sample(x, t.tensor(GRID3), "nearest", align_corners=False), VOLUME,
)  # fmt: skip
function(
    "affine_grid of volumes",
    lambda t, x: t.nn.functional.affine_grid(x, (2, 1, 3, 4, 2), align_corners=False), numbers(5, 2, 3, 4),
    how=with_gradients,
)  # fmt: skip

# --- pools that say where -----------------------------------------------------------------------------

SAMPLES = np.random.default_rng(6).uniform(size=(2, 3, 2))
SAMPLES3 = np.random.default_rng(7).uniform(size=(1, 2, 3))


def places_too(f: Callable[..., Any], x: Any) -> Program:
    def program(t: Any) -> Any:
        values, places = f(t, t.tensor(x))
        return [values, places]

    return program


def pool(name: str, f: Callable[..., Any], x: Any) -> None:
    """Values with their gradients, and positions."""
    add(f"layers {name} places", places_too(f, x))
    function(name, lambda t, x: f(t, x)[0], x)


for out in (3, (3, 2), (None, 4)):
    pool(
        f"adaptive_max_pool2d {out}",
        lambda t, x, out=out: t.nn.functional.adaptive_max_pool2d(x, out, return_indices=True), IMAGE,
    )  # fmt: skip
pool("adaptive_max_pool1d", lambda t, x: t.nn.AdaptiveMaxPool1d(4, return_indices=True)(x), IMAGE[0])
pool("adaptive_max_pool3d", lambda t, x: t.nn.AdaptiveMaxPool3d((2, 3, 4), True)(x), VOLUME)
add(
    "layers adaptive_max_pool2d of equal elements",
    places_too(lambda t, x: t.nn.AdaptiveMaxPool2d(3, True)(x), np.round(IMAGE)),
)
pool(
    "fractional_max_pool2d",
    lambda t, x: t.nn.functional.fractional_max_pool2d(
        x, (2, 3), (4, 3), return_indices=True, _random_samples=t.tensor(SAMPLES)
    ),
    IMAGE,
)
pool(
    "fractional_max_pool3d",
    lambda t, x: t.nn.FractionalMaxPool3d(
        (1, 2, 2), output_ratio=0.7, return_indices=True, _random_samples=t.tensor(SAMPLES3)
    )(x),
    VOLUME,
)

# --- activations, losses, tables --------------------------------------------------------------------

function("rrelu", lambda t, x: t.nn.RReLU(0.1, 0.5).eval()(x), IMAGE)
function("softmax2d", lambda t, x: t.nn.Softmax2d()(x), IMAGE)
function("upsampling", lambda t, x: t.nn.UpsamplingBilinear2d(scale_factor=2)(x), IMAGE[:, :, :3])
CLASSES = np.array([[0, 3, -1, 2, 1], [4, 1, 2, -1, -1], [-1, 2, 3, 1, 0]])
for reduction in ("mean", "sum", "none"):
    function(
        f"multilabel_margin_loss {reduction}",
        lambda t, x, how=reduction: t.nn.MultiLabelMarginLoss(reduction=how)(x, t.tensor(CLASSES)),
        numbers(8, 3, 5),
        how=with_gradients,
    )


def many_classes(t: Any) -> Any:
    layer = t.nn.AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7], div_value=2.0, head_bias=True).to(t.float64)
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    layer.load_state_dict({name: t.tensor(numbers(k, *s)) for k, (name, s) in enumerate(shapes.items())})
    x = t.tensor(numbers(9, 5, 6), requires_grad=True)
    out, loss = layer(x, t.tensor([0, 3, 6, 7, 11]))
    loss.backward()
    found = [out, x.grad, layer.log_prob(x), layer.predict(x)]
    return [*found, *(p.grad for p in layer.parameters()), layer(x[0], t.tensor(8)).output]


add("layers AdaptiveLogSoftmaxWithLoss", many_classes)


def rows_of_a_norm(t: Any) -> Any:
    found: list[Any] = []
    for norm in (1.0, 2.0, float("inf")):
        table = t.tensor(numbers(10, 6, 4), requires_grad=True)
        index = t.tensor([[0, 2], [2, 3]])
        rows = t.nn.functional.embedding(index, table, max_norm=1.0, norm_type=norm)
        (rows * rows).sum().backward()
        found += [rows, table, table.grad]
    table = t.tensor(numbers(12, 6, 4), requires_grad=True)
    rows = t.nn.functional.embedding(t.tensor([[0, 2], [2, 3]]), table, 3, scale_grad_by_freq=True)
    (rows * rows).sum().backward()
    found += [rows, table.grad]
    layer = t.nn.EmbeddingBag(6, 4, max_norm=0.5, mode="sum", include_last_offset=True).to(t.float64)
    layer.load_state_dict({"weight": t.tensor(numbers(11, 6, 4))})
    return [*found, layer(t.tensor([0, 1, 5, 4]), t.tensor([0, 3, 4])), layer.weight]


add("layers embedding max_norm", rows_of_a_norm)


def in_place(t: Any) -> Any:
    of = t.nn.functional
    found = [t.tensor(numbers(k, 3, 4)) for k in range(7)]
    changed = [of.celu_(found[0], 0.5), of.elu_(found[1], 0.3), of.hardtanh_(found[2]), of.relu_(found[3])]
    changed += [of.leaky_relu_(found[4], 0.2), of.selu_(found[5]), of.threshold_(found[6], 0.1, 7.0)]
    return [*found, *changed]


add("layers activations in place", in_place)

NAMES = set(like_torch.PROGRAMS) - BEFORE

if __name__ == "__main__":
    like_torch.write()
