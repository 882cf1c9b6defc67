"""Compiled functions whose pages are tested: a training step of a transformer's block, and small ones."""

from __future__ import annotations

from typing import Any

import numpy as np

import lucid
from lucid import nn
from lucid.compiled import Compiled
from lucid.nn import functional as F

WIDTH, HEADS = 16, 2
Step = tuple[Compiled[..., Any], tuple[np.ndarray[Any, Any], ...]]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: lucid.Tensor) -> Any:
        batch, length, width = x.shape
        split = self.qkv(x).reshape((batch, length, 3, HEADS, width // HEADS))
        q, k, v = (split[:, :, n].swapaxes(1, 2) for n in range(3))
        weights = F.softmax(q @ k.swapaxes(2, 3) / 4.0, dim=-1)
        return self.out((weights @ v).swapaxes(1, 2).reshape((batch, length, width)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: lucid.Tensor) -> Any:
        x = x + self.attention(self.norm(x))
        return x + self.down(F.gelu(self.up(x)))


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: lucid.Tensor) -> Any:
        return self.down(F.gelu(self.up(self.norm(x))))


def perceptron() -> Step:
    """A short step of training, compiled, not yet called, and its arguments."""
    return _step(Perceptron(), lucid.optim.SGD)


def transformer() -> Step:
    """The same of a block of a transformer."""
    return _step(Block(), lucid.optim.Adam)


def _step(model: nn.Module, optimizer: Any) -> Step:
    opt = optimizer(model.parameters(), lr=1e-2)

    @lucid.compile
    def step(x: lucid.Tensor, y: lucid.Tensor) -> lucid.Tensor:
        opt.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        return loss

    x = np.ones((4, 8, WIDTH), "float32")
    return step, (x, x * 0.5)
