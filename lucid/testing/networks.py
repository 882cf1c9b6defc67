"""Random modules: the model of a seed, and an input for it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from .. import nn
from ..tensor import Tensor

WIDTHS = (1, 2, 3, 5, 8, 16, 17, 33)
BATCHES = (1, 2, 5, 16, 17)


class Residual(nn.Module):
    """x + inner(x)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Any:
        return x + self.inner(x)


def random_model(seed: int, most: int = 6) -> tuple[nn.Module, Tensor]:
    """The model of a seed, of up to `most` layers, in eval mode or not, and an input."""
    rng, draw = random.Random(seed), np.random.default_rng(seed)
    batch, wanted = rng.choice(BATCHES), rng.randint(1, most)
    layers: list[nn.Module] = []
    width = rng.choice(WIDTHS)
    shape: tuple[int, ...] = (batch, width)
    if rng.random() < 0.4:  # images, or signals, first
        channels, size = rng.randint(1, 4), rng.randint(4, 9)
        shape = (batch, channels, size, size)[: rng.choice((3, 4))]
        layers, width = _images(shape, rng)
    while len(layers) < wanted:
        layer, width = _layer(width, rng)
        layers.append(layer)
    model = nn.Sequential(*layers)
    for parameter in model.parameters():
        array = (0.5 * draw.normal(size=parameter.shape)).astype(np.float32)
        parameter.data = Tensor(array)
    model.train(rng.random() < 0.5)
    return model, Tensor(draw.normal(size=shape).astype(np.float32))


def _images(shape: tuple[int, ...], rng: random.Random) -> tuple[list[nn.Module], int]:
    """Layers that make rows of (batch, channels, length) or of (batch, channels, height, width)."""
    flat, channels, out, size = len(shape) == 3, shape[1], rng.randint(1, 4), shape[2]
    layer: type[Any] = nn.Conv1d if flat else nn.Conv2d
    padding = rng.randint(0, 1)
    layers = [layer(channels, out, 3, padding=padding)]
    size = size + 2 * padding - 2
    pool: type[Any] = rng.choice((nn.MaxPool1d, nn.AvgPool1d) if flat else (nn.MaxPool2d, nn.AvgPool2d))
    if size >= 2 and rng.random() < 0.7:
        layers.append(pool(2))
        size //= 2
    return [*layers, nn.ReLU(), nn.Flatten()], out * size ** (len(shape) - 2)


def _layer(width: int, rng: random.Random) -> tuple[nn.Module, int]:
    """A layer over rows of that width, and the width of what it gives."""
    kind = rng.choice(("linear", "linear", "norm", "activation", "activation", "residual"))
    if kind == "linear":
        wide = rng.choice(WIDTHS)
        return nn.Linear(width, wide, bias=rng.random() < 0.8), wide
    if kind == "norm":
        return rng.choice((nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d))(width), width
    if kind == "residual":
        inner = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        return Residual(inner), width
    activation: type[Any] = rng.choice((nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU))
    return activation(), width
