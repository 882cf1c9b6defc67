"""What is read while a step runs, in another thread, is the value before it or the value after it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim

N = 1 << 20


def model() -> Any:
    class Scale(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(np.zeros(N, "f"))
            self.v = nn.Parameter(np.zeros(N, "f"))

    return Scale()


def add_one(net: Any, x: Any) -> None:
    with lucid.no_grad():
        net.w += x
        net.v += x


@pytest.mark.parametrize("optimiser", [False, True])
def test_readers_never_see_a_half_written_parameter(optimiser: bool) -> None:
    net = model()
    opt = optim.SGD(net.parameters(), lr=1.0)

    @lucid.compile
    def step(x: Any) -> Any:
        if not optimiser:
            add_one(net, x)
            return None
        opt.zero_grad()
        loss = -(net.w * x).sum() - (net.v * x).sum()
        loss.backward()
        opt.step()
        return None

    x = Tensor(np.ones(N, "f"))
    stop, torn = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            w = net.w.numpy()
            first = w[:: N // 64].copy()
            again = w[:: N // 64].copy()
            if (first != first[0]).any() or (again != first).any():
                torn.append((first, again))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for t in readers:
        t.start()
    for _ in range(120):
        step(x)
    stop.set()
    for t in readers:
        t.join()
    assert not torn
    np.testing.assert_array_equal(net.w.numpy(), 120)


def test_steps_of_one_model_in_threads_are_all_there() -> None:
    net = model()
    step = lucid.compile(lambda x: add_one(net, x))
    x = Tensor(np.ones(N, "f"))

    def run() -> None:
        for _ in range(20):
            step(x)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    np.testing.assert_array_equal(net.w.numpy(), 80)
    np.testing.assert_array_equal(net.v.numpy(), 80)


@pytest.mark.parametrize("size", [10, N // 8])
def test_gradients_accumulated_in_threads_are_all_there(size: int) -> None:
    """In Python, where each step is traced first, and natively, beside each other."""
    w = nn.Parameter(np.zeros(size, "f"))
    w.grad = Tensor(np.zeros(size, "f"))
    x = Tensor(np.ones(size, "f"))

    def accumulate(x: Any) -> None:
        (w * x).sum().backward()

    native = lucid.compile(accumulate)
    for _ in range(3):
        native(x)

    def natively() -> None:
        for _ in range(2_000):
            native(x)

    def in_python() -> None:
        for _ in range(40):
            fresh = lucid.compile(accumulate)
            for _ in range(2):
                fresh(x)

    threads = [threading.Thread(target=f) for f in (natively, in_python, in_python)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert w.grad is not None
    assert np.unique(w.grad.numpy()).tolist() == [3 + 2_000 + 2 * 2 * 40]
