"""Programs that are the same in PyTorch and in lucid: what PyTorch 2.13 found is in `like_torch.json`.

A program is given the module, `torch` or `lucid`, and returns tensors or numbers. `python -m
tests.lucid.more_like_torch`, which has more of them, writes the file again, if PyTorch is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

VALUES = Path(__file__).with_suffix(".json")
Program = Callable[[Any], Any]
PROGRAMS: dict[str, Program] = {}


def add(name: str, program: Program) -> None:
    assert name not in PROGRAMS, name
    PROGRAMS[name] = program


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def with_gradients(f: Callable[..., Any], *inputs: Any) -> Program:
    """What `f(module, *tensors)` gives, and the gradients of a weighted sum of it."""

    def program(t: Any) -> Any:
        tensors = [t.tensor(x, requires_grad=True) for x in inputs]
        found = f(t, *tensors)
        weights = np.cos(np.arange(found.numel())).reshape(tuple(found.shape))
        (found * t.tensor(weights)).sum().backward()
        return [found, *(x.grad for x in tensors)]

    return program


# --- optimisers and schedules ----------------------------------------------------------------------


def optimised(name: str, **options: Any) -> Program:
    def program(t: Any) -> Any:
        w, b = (t.nn.Parameter(t.tensor(numbers(k, 3))) for k in (1, 2))
        opt = getattr(t.optim, name)([w, b], **options)
        for k in range(8):
            opt.zero_grad()
            ((w - 1) ** 4).sum().backward()
            if k % 3:
                (b * b + w * b).sum().backward()
            opt.step()
        return [w.detach(), b.detach()]

    return program


OPTIMISED: dict[str, list[dict[str, Any]]] = {
    "RMSprop": [{}, {"momentum": 0.9}, {"centered": True, "weight_decay": 0.1}, {"alpha": 0.5, "lr": 0.1}],
    "Adagrad": [{}, {"lr_decay": 0.1, "initial_accumulator_value": 0.5}, {"weight_decay": 0.1, "eps": 1e-3}],
    "Adadelta": [{}, {"rho": 0.5, "weight_decay": 0.1, "lr": 0.3}],
    "Adamax": [{}, {"betas": (0.5, 0.6), "weight_decay": 0.1}],
    "NAdam": [{}, {"momentum_decay": 0.1, "weight_decay": 0.1, "lr": 0.1}],
    "RAdam": [{"lr": 0.1}, {"betas": (0.5, 0.6), "weight_decay": 0.1}],
    "Adam": [{"lr": 0.1}],
    "AdamW": [{"lr": 0.1}],
    "SGD": [{"lr": 0.01, "momentum": 0.9, "nesterov": True}],
}
for name, options in OPTIMISED.items():
    for number, chosen in enumerate(options):
        add(f"optim {name} {number}", optimised(name, **chosen))


def in_groups(t: Any) -> Any:
    w, b = (t.nn.Parameter(t.tensor(numbers(k, 3))) for k in (1, 2))
    groups = [{"params": [w], "weight_decay": 0.5}, {"params": b, "lr": 0.3}]
    opt = t.optim.AdamW(groups, lr=0.1, weight_decay=0.0)
    schedule = t.optim.lr_scheduler.ExponentialLR(opt, 0.5)
    for _ in range(3):
        opt.zero_grad()
        ((w - 1) ** 4 + b * b).sum().backward()
        opt.step()
        schedule.step()
        opt.param_groups[0]["weight_decay"] /= 2
    return [w.detach(), b.detach(), [g["lr"] for g in opt.param_groups]]


add("optim groups", in_groups)


def scheduled(make: Callable[[Any, Any], Any], given: Iterable[float] = ()) -> Program:
    def program(t: Any) -> Any:
        w, b = t.nn.Parameter(t.tensor(numbers(1, 3))), t.nn.Parameter(t.tensor(numbers(2, 3)))
        opt = t.optim.SGD([{"params": [w]}, {"params": [b], "lr": 2.0}], lr=0.5)
        schedule = make(t.optim.lr_scheduler, opt)
        found = [[g["lr"] for g in opt.param_groups]]
        losses = list(given)
        for k in range(len(losses) or 14):
            opt.zero_grad()
            (w + b).sum().backward()
            opt.step()
            schedule.step(*losses[k : k + 1])
            found.append([g["lr"] for g in opt.param_groups])
        return found

    return program


LOSSES = [3.0, 2.0, 2.0, 2.5, 2.0, 1.9999, 1.0, 1.0, 1.1, 1.0, 1.0, 1.0, 0.5]
for name, make, given in (
    ("LambdaLR", lambda s, o: s.LambdaLR(o, lambda k: 0.9**k), ()),
    ("LambdaLR of each", lambda s, o: s.LambdaLR(o, [lambda k: 0.9**k, lambda k: 1 / (1 + k)]), ()),
    ("MultiplicativeLR", lambda s, o: s.MultiplicativeLR(o, lambda k: 1 - k / 100), ()),
    ("StepLR", lambda s, o: s.StepLR(o, 3, gamma=0.5), ()),
    ("MultiStepLR", lambda s, o: s.MultiStepLR(o, [7, 3, 3], gamma=0.5), ()),
    ("ConstantLR", lambda s, o: s.ConstantLR(o, factor=0.5, total_iters=4), ()),
    ("LinearLR", lambda s, o: s.LinearLR(o, start_factor=0.25, total_iters=6), ()),
    ("ExponentialLR", lambda s, o: s.ExponentialLR(o, 0.8), ()),
    ("PolynomialLR", lambda s, o: s.PolynomialLR(o, total_iters=9, power=2.0), ()),
    ("CosineAnnealingLR", lambda s, o: s.CosineAnnealingLR(o, 5, eta_min=0.1), ()),
    ("warm restarts", lambda s, o: s.CosineAnnealingWarmRestarts(o, 2, T_mult=2, eta_min=0.1), ()),
    ("OneCycleLR", lambda s, o: s.OneCycleLR(o, 1.0, total_steps=15, cycle_momentum=False), ()),
    (
        "OneCycleLR of three phases",
        lambda s, o: s.OneCycleLR(
            o, [1.0, 3.0], epochs=5, steps_per_epoch=3, three_phase=True, cycle_momentum=False,
            anneal_strategy="linear", pct_start=0.4,
        ),
        (),
    ),
    ("CyclicLR", lambda s, o: s.CyclicLR(o, 0.1, 1.0, 3, 2, cycle_momentum=False), ()),
    (
        "CyclicLR halved",
        lambda s, o: s.CyclicLR(o, 0.1, 1.0, 2, mode="triangular2", cycle_momentum=False),
        (),
    ),
    (
        "CyclicLR of a range",
        lambda s, o: s.CyclicLR(o, 0.1, 1.0, 2, mode="exp_range", gamma=0.9, cycle_momentum=False),
        (),
    ),
    (
        "SequentialLR",
        lambda s, o: s.SequentialLR(
            o, [s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9), s.StepLR(o, 2)], milestones=[3, 8]
        ),
        (),
    ),
    (
        "ChainedScheduler",
        lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 2), s.ExponentialLR(o, 0.9)]),
        (),
    ),
    ("ReduceLROnPlateau", lambda s, o: s.ReduceLROnPlateau(o, patience=1, factor=0.5), LOSSES),
    (
        "ReduceLROnPlateau upwards",
        lambda s, o: s.ReduceLROnPlateau(
            o, "max", patience=0, cooldown=1, min_lr=[0.1, 0.5], threshold=0.3, threshold_mode="abs"
        ),
        LOSSES,
    ),
):  # fmt: skip
    add(f"schedule {name}", scheduled(make, given))

# --- activations -----------------------------------------------------------------------------------

SPECIAL = np.array([-30.0, -6.5, -3.0, -1.7, -0.5, -0.2, 0.0, 0.2, 0.5, 1.3, 3.0, 5.9, 6.0, 25.0])
for name, chosen in (
    ("relu6", {}), ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.3}), ("selu", {}),
    ("celu", {"alpha": 1.5}), ("elu", {"alpha": 0.5}), ("silu", {}), ("mish", {}), ("hardtanh", {}),
    ("hardtanh", {"min_val": -2.0, "max_val": 0.5}), ("hardsigmoid", {}), ("hardswish", {}), ("softsign", {}),
    ("softshrink", {}), ("hardshrink", {"lambd": 1.0}), ("tanhshrink", {}), ("logsigmoid", {}),
    ("softplus", {"beta": 2.0, "threshold": 5.0}), ("softplus", {}),
    ("threshold", {"threshold": 0.2, "value": -7.0}),
):  # fmt: skip

    def activation(t: Any, x: Any, name: str = name, chosen: dict[str, Any] = chosen) -> Any:
        return getattr(t.nn.functional, name)(x, **chosen)

    add(f"functional {name} {chosen or ''}".strip(), with_gradients(activation, SPECIAL))

ROWS = numbers(3, 3, 4, 6)
for name, of_rows in {
    "glu": lambda t, x: t.nn.functional.glu(x, dim=1),
    "softmin": lambda t, x: t.nn.functional.softmin(x, dim=-1),
    "normalize": lambda t, x: t.nn.functional.normalize(x),
    "normalize, p = 3": lambda t, x: t.nn.functional.normalize(x, p=3.0, dim=-1),
    "normalize, p = inf": lambda t, x: t.nn.functional.normalize(x, p=float("inf"), dim=0),
    "prelu": lambda t, x: t.nn.functional.prelu(x, t.tensor([0.1, -0.2, 0.3, 2.0], dtype=t.float64)),
    "PReLU": lambda t, x: t.nn.PReLU(dtype=t.float64)(x),
    "LogSoftmax": lambda t, x: t.nn.LogSoftmax(dim=1)(x),
    "Sequential": lambda t, x: t.nn.Sequential(
        t.nn.SiLU(), t.nn.LeakyReLU(0.2), t.nn.ELU(), t.nn.Softplus(), t.nn.Hardswish(), t.nn.GLU()
    )(x),
    "pixel_unshuffle": lambda t, x: t.nn.functional.pixel_unshuffle(x, 2),
    "pixel_shuffle": lambda t, x: t.nn.functional.pixel_shuffle(x.reshape(1, 4, 3, 6), 2),
    "channel_shuffle": lambda t, x: t.nn.functional.channel_shuffle(x, 2),
    "local_response_norm": lambda t, x: t.nn.functional.local_response_norm(x, 3, alpha=0.5),
    "instance_norm": lambda t, x: t.nn.functional.instance_norm(x),
    "InstanceNorm1d": lambda t, x: t.nn.InstanceNorm1d(4, affine=True, dtype=t.float64)(x),
    "adaptive_avg_pool1d": lambda t, x: t.nn.functional.adaptive_avg_pool1d(x, 4),
    "adaptive_avg_pool2d": lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, (3, 3)),
    "AdaptiveAvgPool2d": lambda t, x: t.nn.AdaptiveAvgPool2d((None, 4))(x),
    "adaptive_max_pool1d": lambda t, x: t.nn.functional.adaptive_max_pool1d(x, 4),
    "AdaptiveMaxPool2d": lambda t, x: t.nn.AdaptiveMaxPool2d((2, 5))(x),
    "interpolate nearest": lambda t, x: t.nn.functional.interpolate(x, size=11),
    "interpolate nearest-exact": lambda t, x: t.nn.functional.interpolate(x, size=4, mode="nearest-exact"),
    "interpolate by a factor": lambda t, x: t.nn.functional.interpolate(x, scale_factor=1.4),
    "interpolate linear": lambda t, x: t.nn.functional.interpolate(x, size=9, mode="linear"),
    "interpolate linear, a factor": lambda t, x: t.nn.functional.interpolate(
        x, scale_factor=1.7, mode="linear"
    ),
    "interpolate bilinear": lambda t, x: t.nn.functional.interpolate(
        x[None], size=(3, 10), mode="bilinear", align_corners=True
    ),
    "interpolate area": lambda t, x: t.nn.functional.interpolate(x[None], size=(3, 4), mode="area"),
    "Upsample": lambda t, x: t.nn.Upsample(scale_factor=2, mode="bilinear")(x[None]),
    "unfold": lambda t, x: t.nn.functional.unfold(x[None], (2, 3), dilation=(2, 1), padding=1, stride=(1, 2)),
    "fold": lambda t, x: t.nn.functional.fold(
        x.reshape(1, 4, 18), (4, 7), kernel_size=2, stride=1, padding=0
    ),
    "fold of strides": lambda t, x: t.nn.functional.fold(
        x.reshape(1, 12, 6), (5, 4), kernel_size=(2, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 1)
    ),
    "max_pool3d": lambda t, x: t.nn.functional.max_pool3d(x[None], 2, stride=1),
    "AvgPool3d": lambda t, x: t.nn.AvgPool3d((3, 2, 2), padding=(1, 0, 1))(x[None]),
    "ReflectionPad1d": lambda t, x: t.nn.ReflectionPad1d((2, 1))(x),
    "ReplicationPad2d": lambda t, x: t.nn.ReplicationPad2d((1, 2, 3, 0))(x),
    "CircularPad1d": lambda t, x: t.nn.CircularPad1d(2)(x),
    "ConstantPad2d": lambda t, x: t.nn.ConstantPad2d((1, 0, 2, 1), 3.5)(x),
    "ZeroPad2d": lambda t, x: t.nn.ZeroPad2d(1)(x),
    "Unflatten": lambda t, x: t.nn.Unflatten(1, (2, 2))(x),
    "Dropout2d, not in training": lambda t, x: t.nn.Dropout2d().eval()(x[None]),
}.items():
    add(f"nn {name}", with_gradients(of_rows, ROWS))

TRANSPOSED: list[tuple[int, tuple[int, ...], dict[str, Any]]] = [
    (1, (3,), {"stride": 2, "padding": 1, "output_padding": 1}),
    (1, (4,), {"dilation": 2, "groups": 2}),
    (2, (3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    (2, (1, 2), {"padding": (0, 1), "stride": 3, "output_padding": 2}),
    (3, (2, 1, 2), {"stride": 2}),
]
for number, (axes, window, details) in enumerate(TRANSPOSED):
    groups = details.get("groups", 1)

    def transposed(
        t: Any, x: Any, w: Any, b: Any, axes: int = axes, options: dict[str, Any] = details
    ) -> Any:
        return getattr(t.nn.functional, f"conv_transpose{axes}d")(x, w, b, **options)

    places = (5, 4, 3)[:axes]
    add(
        f"nn conv_transpose {number}",
        with_gradients(
            transposed, numbers(1, 2, 4, *places), numbers(2, 4, 3, *window), numbers(4, 3 * groups)
        ),
    )

# --- losses ----------------------------------------------------------------------------------------

X, Y = numbers(5, 6, 4), numbers(6, 6, 4)
PROBABILITIES, CHANCES = 1 / (1 + np.exp(-X)), 1 / (1 + np.exp(-Y))
SIGNS = np.where(Y > 0, 1.0, -1.0)
CLASSES = np.array([0, 3, 2, 1, 1, 0])
for name, inputs, loss in (
    ("binary_cross_entropy", (PROBABILITIES,), lambda F, t, x: F.binary_cross_entropy(x, t.tensor(CHANCES))),
    (
        "binary_cross_entropy, weighted",
        (PROBABILITIES,),
        lambda F, t, x: F.binary_cross_entropy(
            x, t.tensor(CHANCES), weight=t.tensor(CHANCES), reduction="none"
        ),
    ),
    (
        "binary_cross_entropy_with_logits",
        (30 * X, CHANCES),
        lambda F, t, x, y: F.binary_cross_entropy_with_logits(x, y, reduction="sum"),
    ),
    (
        "binary_cross_entropy_with_logits, weighted",
        (X,),
        lambda F, t, x: F.binary_cross_entropy_with_logits(
            x, t.tensor(CHANCES), t.tensor(CHANCES), pos_weight=t.tensor(CHANCES[0])
        ),
    ),
    ("kl_div", (X, CHANCES), lambda F, t, x, y: F.kl_div(x, y, reduction="batchmean")),
    ("kl_div, log_target", (X, Y), lambda F, t, x, y: F.kl_div(x, y, reduction="sum", log_target=True)),
    ("poisson_nll_loss", (X,), lambda F, t, x: F.poisson_nll_loss(x, t.tensor(3 * CHANCES), full=True)),
    (
        "poisson_nll_loss of means",
        (PROBABILITIES,),
        lambda F, t, x: F.poisson_nll_loss(x, t.tensor(CHANCES), log_input=False, reduction="none"),
    ),
    ("gaussian_nll_loss", (X, Y, CHANCES - 0.3), lambda F, t, x, y, v: F.gaussian_nll_loss(x, y, abs(v))),
    (
        "gaussian_nll_loss, full",
        (X, Y, CHANCES[:, :1]),
        lambda F, t, x, y, v: F.gaussian_nll_loss(x, y, v, full=True, reduction="sum", eps=0.4),
    ),
    ("hinge_embedding_loss", (X,), lambda F, t, x: F.hinge_embedding_loss(x, t.tensor(SIGNS), margin=0.5)),
    (
        "cosine_embedding_loss",
        (X, Y),
        lambda F, t, x, y: F.cosine_embedding_loss(x, y, t.tensor(SIGNS[:, 0]), 0.1, reduction="none"),
    ),
    (
        "margin_ranking_loss",
        (X, Y),
        lambda F, t, x, y: F.margin_ranking_loss(x, y, t.tensor(SIGNS), 0.25, reduction="sum"),
    ),
    ("triplet_margin_loss", (X, Y, CHANCES), lambda F, t, *x: F.triplet_margin_loss(*x, reduction="none")),
    (
        "triplet_margin_loss, swapped",
        (X, Y, CHANCES),
        lambda F, t, *x: F.triplet_margin_loss(*x, p=1.0, swap=True, margin=2.0, reduction="none"),
    ),
    ("soft_margin_loss", (20 * X,), lambda F, t, x: F.soft_margin_loss(x, t.tensor(SIGNS))),
    (
        "multilabel_soft_margin_loss",
        (X,),
        lambda F, t, x: F.multilabel_soft_margin_loss(
            x, t.tensor(CHANCES), t.tensor(CHANCES[1]), reduction="none"
        ),
    ),
    ("multi_margin_loss", (X,), lambda F, t, x: F.multi_margin_loss(x, t.tensor(CLASSES), reduction="none")),
    (
        "multi_margin_loss, squares",
        (X,),
        lambda F, t, x: F.multi_margin_loss(x, t.tensor(CLASSES), 2, 0.5, t.tensor(CHANCES[2])),
    ),
    ("cosine_similarity", (X, Y), lambda F, t, x, y: F.cosine_similarity(x, y, dim=0)),
    ("pairwise_distance", (X, Y), lambda F, t, x, y: F.pairwise_distance(x, y, p=3.0, keepdim=True)),
):

    def of_losses(t: Any, *tensors: Any, loss: Callable[..., Any] = loss) -> Any:
        return loss(t.nn.functional, t, *tensors)

    add(f"loss {name}", with_gradients(of_losses, *inputs))


def as_modules(t: Any) -> Any:
    """The classes of losses, with options."""
    x, y, target, classes = t.tensor(X), t.tensor(Y), t.tensor(CHANCES), t.tensor(CLASSES)
    signs = t.tensor(SIGNS)
    nn = t.nn
    return [
        nn.BCELoss(weight=target)(t.tensor(PROBABILITIES), target),
        nn.BCEWithLogitsLoss(reduction="sum", pos_weight=target[0])(x, target),
        nn.KLDivLoss(reduction="batchmean")(x, target),
        nn.PoissonNLLLoss(full=True)(x, target),
        nn.GaussianNLLLoss(full=True)(x, y, target),
        nn.HingeEmbeddingLoss(0.3)(x, signs),
        nn.CosineEmbeddingLoss(0.2)(x, y, signs[:, 0]),
        nn.MarginRankingLoss(0.2, reduction="sum")(x, y, signs),
        nn.TripletMarginLoss(0.5, p=1, swap=True)(x, y, target),
        nn.TripletMarginWithDistanceLoss(margin=0.7)(x, y, target),
        nn.SoftMarginLoss()(x, signs),
        nn.MultiLabelSoftMarginLoss(weight=target[0])(x, target),
        nn.MultiMarginLoss(p=2, margin=0.7)(x, classes),
        nn.CosineSimilarity(dim=0)(x, y),
        nn.PairwiseDistance(p=1)(x, y),
    ]


add("loss modules", as_modules)

# --- layers with parameters ------------------------------------------------------------------------


def filled(t: Any, module: Any) -> Any:
    """The module with parameters that do not depend on anything random."""
    for k, (_, p) in enumerate(module.named_parameters()):
        p.data = t.tensor(numbers(100 + k, *p.shape) * 0.4)
    return module


def layer(make: Callable[[Any], Any], *inputs: Any, **options: Any) -> Program:
    """All results, and the gradients of their squares by inputs and parameters."""

    def program(t: Any) -> Any:
        module = filled(t, make(t))
        tensors = [t.tensor(x, requires_grad=True) for x in inputs]
        found = module(*tensors, **{name: t.tensor(value) for name, value in options.items()})
        parts = [p for p in leaves(found) if p is not None]
        sum((p * p).sum() for p in parts).backward()
        grads = [x.grad for x in (*tensors, *module.parameters())]
        return [*parts, *(g for g in grads if g is not None)]

    return program


def leaves(found: Any) -> list[Any]:
    if isinstance(found, tuple | list):
        return [leaf for part in found for leaf in leaves(part)]
    return [found]


STEPS = numbers(7, 4, 2, 3)
HIDDEN, CELL = numbers(8, 2, 2, 5), numbers(9, 2, 2, 5)
for name, recurrent, fed in (
    ("RNNCell", lambda t: t.nn.RNNCell(3, 5, nonlinearity="relu", dtype=t.float64), (STEPS[0], HIDDEN[0])),
    ("GRUCell", lambda t: t.nn.GRUCell(3, 5, dtype=t.float64), (STEPS[0],)),
    ("LSTMCell", lambda t: t.nn.LSTMCell(3, 5, bias=False, dtype=t.float64), (STEPS[0],)),
    ("RNN", lambda t: t.nn.RNN(3, 5, dtype=t.float64), (STEPS,)),
    ("RNN of two layers", lambda t: t.nn.RNN(3, 5, 2, nonlinearity="relu", dtype=t.float64), (STEPS, HIDDEN)),
    ("GRU both ways", lambda t: t.nn.GRU(3, 5, bidirectional=True, dtype=t.float64), (STEPS, HIDDEN)),
    ("LSTM", lambda t: t.nn.LSTM(3, 5, 2, batch_first=True, dtype=t.float64), (STEPS,)),
    ("LSTM both ways", lambda t: t.nn.LSTM(3, 5, 2, bidirectional=True, dtype=t.float64), (STEPS,)),
    ("LSTM without a batch", lambda t: t.nn.LSTM(3, 5, bias=False, dtype=t.float64), (STEPS[:, 0],)),
):
    add(f"layer {name}", layer(recurrent, *fed))


def with_a_state(t: Any) -> Any:
    module = filled(t, t.nn.LSTM(3, 5, 2, dtype=t.float64))
    found, (h, c) = module(t.tensor(STEPS), (t.tensor(HIDDEN), t.tensor(CELL)))
    return [found, h, c, sorted(module.state_dict()).index("weight_hh_l1")]


add("layer LSTM with a state", with_a_state)

QUERY, KEY = numbers(10, 3, 2, 8), numbers(11, 4, 2, 8)
UNSEEN = np.array([[False, True, False, False], [False, False, False, True]])
UPPER = np.triu(np.ones((3, 3), bool), 1)
for name, attentive, shown, more in (
    ("MultiheadAttention", lambda t: t.nn.MultiheadAttention(8, 2, dtype=t.float64), (QUERY, KEY, KEY), {}),
    (
        "MultiheadAttention, masked",
        lambda t: t.nn.MultiheadAttention(8, 2, bias=False, dtype=t.float64),
        (QUERY, KEY, KEY),
        {"key_padding_mask": UNSEEN, "attn_mask": numbers(12, 3, 4) > 0.8},
    ),
    (
        "MultiheadAttention of other sizes",
        lambda t: t.nn.MultiheadAttention(8, 4, kdim=5, vdim=6, batch_first=True, dtype=t.float64),
        (QUERY, numbers(13, 3, 4, 5), numbers(14, 3, 4, 6)),
        {"attn_mask": numbers(12, 2, 4)},
    ),
    (
        "MultiheadAttention without a batch",
        lambda t: t.nn.MultiheadAttention(8, 2, dtype=t.float64),
        (QUERY[:, 0], KEY[:, 0], KEY[:, 0]),
        {},
    ),
    (
        "TransformerEncoderLayer",
        lambda t: t.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, dtype=t.float64),
        (QUERY,),
        {"src_mask": UPPER},
    ),
    (
        "TransformerEncoderLayer, norm_first",
        lambda t: t.nn.TransformerEncoderLayer(
            8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True, dtype=t.float64
        ),
        (QUERY,),
        {},
    ),
    (
        "TransformerDecoderLayer",
        lambda t: t.nn.TransformerDecoderLayer(8, 2, 16, 0.0, dtype=t.float64),
        (QUERY, KEY),
        {"tgt_mask": UPPER, "memory_key_padding_mask": UNSEEN},
    ),
    (
        "Transformer",
        lambda t: t.nn.Transformer(8, 2, 2, 1, 8, 0.0, dtype=t.float64),
        (KEY, QUERY),
        {"tgt_mask": UPPER},
    ),
):
    add(f"layer {name}", layer(attentive, *shown, **more))


# --- what surrounds them ---------------------------------------------------------------------------


def clipped(how: Callable[[Any, Any], Any]) -> Program:
    def program(t: Any) -> Any:
        w, b, free = (t.nn.Parameter(t.tensor(numbers(k, 3))) for k in (1, 2, 3))
        (w * w * 3 + w * b).sum().backward()
        found = how(t.nn.utils, [w, b, free])
        return [[] if found is None else found, w.grad, b.grad]

    return program


for name, how in {
    "clip_grad_norm_": lambda u, p: u.clip_grad_norm_(p, 0.5),
    "clip_grad_norm_, not needed": lambda u, p: u.clip_grad_norm_(p, 50),
    "clip_grad_norm_, p = 1": lambda u, p: u.clip_grad_norm_(p, 0.5, norm_type=1),
    "clip_grad_norm_, p = inf": lambda u, p: u.clip_grad_norm_(p, 0.5, float("inf")),
    "clip_grad_value_": lambda u, p: u.clip_grad_value_(p, 0.7),
}.items():
    add(f"utils {name}", clipped(how))


def as_a_vector(t: Any) -> Any:
    module = filled(t, t.nn.Linear(2, 3, dtype=t.float64))
    vector = t.nn.utils.parameters_to_vector(module.parameters())
    t.nn.utils.vector_to_parameters(vector.detach() * 2, module.parameters())
    return [vector, *module.parameters()]


add("utils vectors", as_a_vector)


def initial(t: Any) -> Any:
    init = t.nn.init
    empty = [t.nn.Parameter(t.tensor(np.zeros(shape))) for shape in ((3, 4), (4, 2, 3), (3, 3, 3, 3))]
    gains = [("relu", None), ("leaky_relu", 0.3), ("tanh", None), ("selu", None), ("conv2d", None)]
    found = [init.calculate_gain(*gain) for gain in gains]
    return [
        found,
        init.eye_(empty[0]),
        init.dirac_(empty[1], 2),
        init.dirac_(empty[2]),
        init.constant_(empty[0], 2.5),
        init.ones_(empty[1]),
    ]


add("init values", initial)


# --- functions and methods -------------------------------------------------------------------------

_A, _B = numbers(5, 3, 4), numbers(6, 3, 4)
for name, f in {
    "addcdiv": lambda t, a, b: t.addcdiv(a, b, b * b + 1, value=0.5),
    "addcmul": lambda t, a, b: a.addcmul(a, b, value=-2),
    "lerp": lambda t, a, b: a.lerp(b, 0.25),
    "cdist": lambda t, a, b: t.cdist(a, b),
    "cdist of 1": lambda t, a, b: t.cdist(a, b, p=1.0),
    "dist": lambda t, a, b: t.dist(a, b, 3),
    "diag_embed": lambda t, a, b: t.diag_embed(a * b, 1),
    "block_diag": lambda t, a, b: t.block_diag(a, b[0]),
    "cartesian_prod": lambda t, a, b: t.cartesian_prod(a[0], b[0]),
    "combinations": lambda t, a, b: t.combinations(a[0], 3) * b.sum(),
    "narrow, select": lambda t, a, b: a.narrow(1, 1, 2).sum(1) * b.select(1, -1),
    "masked_scatter": lambda t, a, b: a.masked_scatter(b > 0, a * b),
    "index_put": lambda t, a, b: a.index_put((t.tensor([0, 0, 2]), t.tensor([1, 1, 3])), b[0, :3], True),
    "std_mean": lambda t, a, b: t.stack([*t.std_mean(a, 1), *t.var_mean(b, 1, correction=0)]),
    "aminmax": lambda t, a, b: t.aminmax(a, dim=1).max - t.aminmax(b, dim=1).min,
    "where, clamp": lambda t, a, b: a.where(a > 0, b.clamp_min(-0.5)).clamp_max(1.0),
    "frac": lambda t, a, b: (a * 7).frac() * b,
    "sum_to_size": lambda t, a, b: (a * b).sum_to_size(3, 1),
    "norm": lambda t, a, b: t.norm(a, dim=1) * t.norm(b),
}.items():
    add(f"function {name}", with_gradients(f, _A, _B))


def changed_in_place(t: Any) -> Any:
    x, g = t.tensor(_A), t.tensor(_B)
    x.mul_(0.9).add_(g, alpha=-0.1).addcmul_(g, g, value=0.5).clamp_(-1, 1)
    y = x.clone().exp_().sub_(1).div_(g.abs() + 1)
    z = t.zeros(3, 4, dtype=t.float64).copy_(y[0]).masked_fill_(g > 0, 7.0)
    runs = t.unique_consecutive(t.tensor([1, 1, 2, 3, 3, 1]), return_counts=True)
    d = {"dtype": t.float64}
    windows = [t.hann_window(5, **d), t.hamming_window(4, periodic=False, **d), t.blackman_window(6, **d)]
    more = [t.kaiser_window(5, **d), t.bartlett_window(5, **d)]
    return [x, y, z, x.fill_(2.0), y.zero_(), *runs, *windows, *more]


add("methods in place", changed_in_place)


def flat(found: Any) -> list[float]:
    """All numbers of tensors, lists and numbers, in order."""
    if isinstance(found, list | tuple):
        return [number for part in found for number in flat(part)]
    if hasattr(found, "detach"):
        found = found.detach().numpy()
    return [float(number) for number in np.asarray(found, np.float64).ravel()]


def digest(found: Any) -> list[float]:
    """How many numbers there are; all of them, if few, or else six sums of them with weights of -1 to 1."""
    values = np.array(flat(found))
    if len(values) <= 6:
        return [float(len(values)), *values]
    places = np.arange(1.0, len(values) + 1)
    sums = [np.cos(k * places + places * places / 7) @ values for k in range(1, 7)]
    return [float(len(values)), *map(float, sums)]


def write() -> None:
    import torch

    rows = {name: [float(f"{v:.9g}") for v in digest(program(torch))] for name, program in PROGRAMS.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in rows.items()]
    VALUES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
