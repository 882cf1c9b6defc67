"""Functions that tests run on a GPU, or on what stands for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lucid
from lucid import Tensor, nn, optim
from lucid.nn.functional import huber_loss

Array = np.ndarray[Any, Any]


def arrays(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def flat(x: Tensor) -> Tensor:
    return lucid.exp(x) * 2.0


def huber(x: Tensor, y: Tensor) -> Any:
    return lucid.value_and_grad(lambda x: huber_loss(x, y))(x)


def solved(x: Tensor) -> Tensor:
    """A library takes part."""
    return lucid.linalg.inverse(x @ x.T + 9.0 * lucid.eye(4)) * 2.0


def softmax(x: Tensor) -> Tensor:
    return lucid.softmax(x, axis=1)


def product(x: Tensor, y: Tensor) -> Tensor:
    return x @ y + 1.0


def several(x: Tensor) -> tuple[Tensor, ...]:
    return lucid.softmax(x, axis=0).sum(axis=1), lucid.cumsum(x, axis=1), x[:, ::2].T


CASES: list[tuple[Callable[..., Any], list[tuple[int, ...]]]] = [
    (flat, [(1000,)]),
    (huber, [(9000,), (9000,)]),
    (softmax, [(7, 300)]),
    (product, [(9, 40), (40, 70)]),
    (several, [(12, 33)]),
    (flat, [(0,)]),
    (solved, [(4, 4)]),
]


def steps(compile: Callable[..., Any], device: str = "cpu") -> tuple[list[float], list[Array]]:
    """Linear regression: the losses, and the parameters."""
    x, y = arrays((50, 4), (50, 1))
    lucid.manual_seed(0)
    model = nn.Linear(4, 1).to(device)
    adam = optim.Adam(model.parameters(), lr=0.1)

    @compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        adam.zero_grad()
        loss = huber_loss(model(x), y)
        loss.backward()
        adam.step()
        return loss

    losses = [step(x, y).item() for _ in range(3)]
    return losses, [p.numpy() for p in model.parameters()]
