"""Robust regression on real data: diamond prices, 5 % of them recorded with one zero too many.

A linear model and a small neural network learn the logarithm of the price in compiled training steps,
once with the squared error and once with the Huber loss. The squared error follows the wrong prices;
the Huber loss counts errors above `DELTA` linearly, and hardly notices them. Prints a table, and draws
`huber_fit.png`.

    python examples/huber_regression.py [--steps 3000] [--figure huber_fit.png]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import lucid
from diamonds import Diamonds, Scale, corrupted, load, split
from eager_numpy import EagerNet
from huber_figure import draw
from lucid import Tensor, nn

Array = np.ndarray[Any, Any]

DELTA = 0.1  # of the logarithm: about 10 % of the price
CORRUPT = 0.05
HIDDEN = 32
BATCH = 512
PHASES = (1.0, 0.3, 0.1)  # the learning rate falls in these steps
RATE = 1e-2


@dataclass(frozen=True, slots=True)
class Fit:
    """One trained model: price of each test diamond in dollars, and how long the training took."""

    predicted: Array
    first: float  # seconds until the first step is done: trace, compile, run
    seconds: float  # of the other steps
    rate: float  # of these, per second


def model_of(kind: str) -> nn.Module:
    lucid.manual_seed(7)
    if kind == "linear":
        return nn.Linear(9, 1)
    return nn.Sequential(
        nn.Linear(9, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
    )


def criterion_of(loss: str) -> nn.Module:
    return nn.HuberLoss(delta=DELTA) if loss == "Huber" else nn.MSELoss()


def batches(x: Array, y: Array, seed: int) -> Iterator[tuple[Array, Array]]:
    """Whole batches for ever, in another random order in each epoch."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(x))
        shuffled_x, shuffled_y = x[order], y[order]
        for k in range(0, len(x) - BATCH + 1, BATCH):
            yield shuffled_x[k : k + BATCH], shuffled_y[k : k + BATCH]


def training_step(
    model: nn.Module, criterion: nn.Module, opt: lucid.optim.Optimizer
) -> Callable[[Array, Array], Tensor]:
    """The whole step, compiled: forward, backward, and the update of parameters and optimiser."""

    @lucid.compile
    def step(x: Array, y: Array) -> Tensor:
        opt.zero_grad()
        loss: Tensor = criterion(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return step


def fit(
    kind: str, loss: str, x: Array, y: Array, test: Array, steps: int, tick: Callable[[], object]
) -> tuple[Fit, Array]:
    """Train on features `x` (n, 9) and targets `y` (n, 1). Returns also what the model gives for `test`."""
    model = model_of(kind)
    opt = lucid.optim.Adam(model.parameters(), lr=RATE)
    step = training_step(model, criterion_of(loss), opt)
    source = batches(x, y, seed=3)

    begin = time.perf_counter()
    step(*next(source)).item()
    first = time.perf_counter() - begin
    tick()
    begin = time.perf_counter()
    for k in range(1, steps):
        if k * len(PHASES) % steps < len(PHASES):
            opt.lr = RATE * PHASES[k * len(PHASES) // steps]
        step(*next(source))
        tick()
    seconds = time.perf_counter() - begin
    return ...
