"""Robust regression on real data: diamond prices, 5 % of them typed with one zero too many.

A linear model and a small neural network learn the logarithm of the price in compiled training
steps, once with the squared error (MSE) and once with the Huber loss. The squared error follows the
wrong prices; the Huber loss counts errors above DELTA linearly and hardly notices them. Prints a
table and draws a figure.

    python examples/huber_regression.py [--steps 4000] [--figure huber_fit.png]
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
from huber_figure import Panel, draw
from lucid import Tensor, nn

Array = np.ndarray[Any, Any]

CORRUPT = 0.05  # share of the training prices
DELTA = 0.1  # of the logarithm of the price: about 10 %
BATCH = 512
HIDDEN = 32
RATES = (0.01, 0.003, 0.001)  # learning rates, for a third of the steps each
ROUNDS, ROUND = 5, 100  # NumPy's rate is the best of so many rounds of so many steps

MODELS = ("linear", "MLP")
LOSSES = ("MSE", "Huber")


@dataclass(frozen=True, slots=True)
class Task:
    """Scaled features (n, 9), logarithms of prices over `unit` (n, 1); features to predict."""

    x: Array
    y: Array
    unit: float  # dollars
    test_x: Array


@dataclass(frozen=True, slots=True)
class Fit:
    """Predicted test prices in dollars, and what the training cost."""

    predicted: Array
    first: float  # seconds of the first step: trace, compile, run
    rest: float  # seconds of all others
    steps: int

    @property
    def rate(self) -> float:
        """Steps per second, without the first."""
        return (self.steps - 1) / self.rest if self.steps > 1 else float("nan")


def make_task(train: Diamonds, price: Array, test: Diamonds) -> Task:
    scale = Scale.of(train.features)
    unit = float(np.median(price))
    y = np.log(price / unit).astype(np.float32)[:, None]
    return Task(scale(train.features), y, unit, scale(test.features))


def make_model(kind: str) -> nn.Sequential:
    lucid.manual_seed(7)
    if kind == "linear":
        return nn.Sequential(nn.Linear(9, 1))
    return nn.Sequential(
        nn.Linear(9, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
    )


def make_step(model: nn.Module, loss: str, opt: lucid.optim.Optimizer) -> Callable[[Array, Array], Tensor]:
    """The whole training step, compiled: forward, backward, the optimiser's update."""
    criterion = nn.HuberLoss(delta=DELTA) if loss == "Huber" else nn.MSELoss()

    @lucid.compile
    def step(x: Array, y: Array) -> Tensor:
        opt.zero_grad()
        loss: Tensor = criterion(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return step


def batches(task: Task) -> Iterator[tuple[Array, Array]]:
    """Whole mini-batches without end, in a new random order each epoch."""
    rng = np.random.default_rng(3)
    while True:
        order = rng.permutation(len(task.x))
        x, y = task.x[order], task.y[order]
        for k in range(0, len(x) - BATCH + 1, BATCH):
            yield x[k : k + BATCH], y[k : k + BATCH]


def fit(kind: str, loss: str, task: Task, steps: int, done: Callable[[], object]) -> Fit:
    model = make_model(kind)
    opt = lucid.optim.Adam(model.parameters(), lr=RATES[0])
    step = make_step(model, loss, opt)
    source = batches(task)

    begin = time.perf_counter()
    step(*next(source)).item()
    first = time.perf_counter() - begin
    done()

    begin = time.perf_counter()
    for k in range(1, steps):
        rate = RATES[k * len(RATES) // steps]
        if rate != opt.lr:
            opt.lr = rate
        step(*next(source))
        done()
    rest = time.perf_counter() - begin

    with lucid.no_grad():
        predicted = task.unit * np.exp(model(task.test_x).numpy()[:, 0])
    return Fit(predicted, first, rest, steps)


def numpy_rate(kind: str, loss: str, task: Task, steps: int) -> float:
    """Steps per second of the same training in NumPy, without a compiler: the best round."""
    params = [p.numpy() for p in make_model(kind).parameters()]
    net = EagerNet(params, DELTA if loss == "Huber" else None, RATES[0])
    source = batches(task)
    seconds: list[float] = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(steps):
            net.step(*next(source))
        seconds.append(time.perf_counter() - begin)
    return steps / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description="MSE and Huber loss on corrupted diamond prices.")
    parser.add_argument("--steps", type=int, default=4000, help="training steps of each model")
    parser.add_argument("--figure", type=Path, default=Path("huber_fit.png"), help="where to draw")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps must be at least 1")

    rng = np.random.default_rng(2024)
    train, test = split(load(), rng)
    price, wrong = corrupted(train.price, CORRUPT, rng)
    clean_task, task = make_task(train, train.price, test), make_task(train, price, test)
    print(
        f"{len(train):,} diamonds to train on, {wrong.sum():,} with one zero too many in the "
        f"price, {len(test):,} to test on;\n{options.steps:,} steps of {BATCH} for each model."
    )

    clean: dict[tuple[str, str], Fit] = {}
    fits: dict[tuple[str, str], Fit] = {}
    cases = [(kind, loss) for kind in MODELS for loss in LOSSES]
    with tqdm(total=2 * len(cases) * options.steps, unit=" steps", smoothing=0) as bar:
        for kind, loss in cases:
            bar.set_description(f"{kind} {loss}")
            clean[kind, loss] = fit(kind, loss, clean_task, options.steps, bar.update)
            fits[kind, loss] = fit(kind, loss, task, options.steps, bar.update)

    def error(found: Fit) -> float:
        return float(np.median(np.abs(found.predicted - test.price)))

    print("\nMedian absolute error on the test diamonds, in dollars; steps per second")
    print(
        f"{'':15}{'clean':>8}{'5 % wrong':>11}{'first step':>13}{'training':>11}{'steps/s':>10}{'NumPy':>10}"
    )
    for kind, loss in cases:
        found = fits[kind, loss]
        eager = numpy_rate(kind, loss, task, min(options.steps, ROUND))
        print(
            f"{f'{kind}, {loss}':15}{error(clean[kind, loss]):8.0f}{error(found):11.0f}"
            f"{found.first:11.2f} s{found.rest:9.2f} s{found.rate:10,.0f}{eager:10,.0f}"
        )

    panels = [Panel(kind, {loss: fits[kind, loss].predicted for loss in LOSSES}) for kind in MODELS]
    draw(options.figure, panels, test.carat, test.price, train.carat, price, wrong)
    print(f"\nFit and residuals: {options.figure}")


if __name__ == "__main__":
    main()
