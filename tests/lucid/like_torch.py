"""Programs that are the same in PyTorch and in lucid: what PyTorch 2.13 found is in `like_torch.json`.

A program is given the module, `torch` or `lucid`, and returns tensors or numbers. `python -m
tests.lucid.like_torch` writes the file again, if PyTorch is there.
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


def flat(found: Any) -> list[float]:
    """All numbers of tensors, lists and numbers, in order."""
    if isinstance(found, list | tuple):
        return [number for part in found for number in flat(part)]
    if hasattr(found, "detach"):
        found = found.detach().numpy()
    return [float(number) for number in np.asarray(found, np.float64).ravel()]


def write() -> None:
    import torch

    rows = {name: [float(f"{v:.9g}") for v in flat(program(torch))] for name, program in PROGRAMS.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in rows.items()]
    VALUES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    write()
