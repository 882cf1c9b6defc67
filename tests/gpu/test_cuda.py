"""`device="cuda"` through a stand-in of the driver: the bits of the CPU, and nothing left behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.nn.functional import huber_loss
from lucid.runtime.cuda import device, driver

from .standin import StandIn

Array = np.ndarray[Any, Any]


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The driver of this process; afterwards nothing is open, and nobody has done wrong."""
    made = StandIn()
    monkeypatch.setattr(driver, "library", lambda: made)
    yield made
    device.shut()
    assert made.wrong == []
    assert made.kept() == []


def arrays(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def flat(x: Tensor) -> Tensor:
    return lucid.exp(x) * 2.0


def huber(x: Tensor, y: Tensor) -> Any:
    return lucid.value_and_grad(lambda x: huber_loss(x, y))(x)


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
]


@pytest.mark.parametrize("f, shapes", CASES)
def test_the_bits_of_the_cpu(f: Callable[..., Any], shapes: list[tuple[int, ...]], standin: StandIn) -> None:
    given = arrays(*shapes)
    want, run = lucid.compile(f)(*given), lucid.compile(f, device="cuda")
    for _ in range(2):
        got = run(*given)
        pairs = zip(want, got, strict=True) if isinstance(want, tuple) else [(want, got)]
        assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)
    assert standin.calls.count("cuGraphInstantiateWithFlags") == 1
    assert standin.calls.count("cuMemAllocAsync") == standin.calls.count("cuMemFreeAsync")


def test_steps_of_linear_regression(standin: StandIn) -> None:
    x, y = arrays((50, 4), (50, 1))

    def steps(compile: Callable[..., Any]) -> tuple[list[float], list[Array]]:
        lucid.manual_seed(0)
        model = nn.Linear(4, 1)
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

    (losses, parameters), (others, found) = steps(lucid.compile), steps(lucid.compile(device="cuda"))
    assert losses == others and losses[2] < losses[0]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(parameters, found, strict=True))


def test_what_a_function_made_goes_with_it(standin: StandIn) -> None:
    run: Any = lucid.compile(lambda x: x + 1.0, device="cuda")
    run(arrays((5,))[0])
    assert standin.kept() == ["graph", "graph exec", "module", "retained", "stream"]
    del run
    gc.collect()
    assert standin.kept() == ["module", "retained", "stream"]
