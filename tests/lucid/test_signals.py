"""An exception from a signal handler, at any instruction, leaves the process usable."""

from __future__ import annotations

import gc
import random
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.context import MODE, GradMode
from lucid.runtime import memory

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")


class Stop(Exception):
    """What the handler raises."""


@pytest.fixture
def handler() -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise Stop

    old = signal.signal(signal.SIGALRM, stop)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)


def work() -> None:
    """Traces, draws, lazy values, gradients, steps, large arrays that come and go."""
    x = np.ones((300, 50), "f")
    model = nn.Linear(50, 3)
    opt = optim.SGD(model.parameters(), lr=0.01)

    @lucid.compile
    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = (model(x + lucid.rand(300, 50)) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    for _ in range(3):
        step(x)
    (Tensor(x) * 2 + lucid.randn(300, 50)).numpy()
    lucid.grad(lambda x: (x * x).sum())(x).numpy()
    opt.zero_grad()
    model(Tensor(x)).sum().backward()
    opt.step()
    lucid.no_grad(lambda: (model(Tensor(x)) * 2).numpy())()


def interrupted(seconds: float) -> int:
    rng = random.Random(3)
    work()
    gc.collect()
    mode, used = MODE.get(), memory.statistics().used
    end, stopped = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 0.02))
            work()
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Stop:
            stopped += 1
        assert MODE.get() == mode
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
    assert MODE.get() == mode
    assert (Tensor([1.0]) + 1).item() == 2
    lucid.empty_cache()
    assert abs(memory.statistics().used - used) < 4 << 20
    done = threading.Event()

    def again() -> None:
        work()
        done.set()

    threading.Thread(target=again, daemon=True).start()
    assert done.wait(60), "another thread waits for a lock that is nobody's"
    return stopped


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_handlers_that_raise(handler: None) -> None:
    assert interrupted(3) > 20


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_handlers_that_raise_for_long(handler: None) -> None:
    assert interrupted(20) > 100


def test_no_block_of_lucids_own_can_be_left_without_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the end of a `with` block and `__exit__` a handler may raise: draws left gradients off then."""

    def enter(mode: GradMode) -> None:
        raise AssertionError("a block")

    monkeypatch.setattr(GradMode, "__enter__", enter)
    lucid.manual_seed(0)
    assert lucid.rand(3).shape == lucid.compile(lambda: lucid.randn(3))().shape == (3,)
    nn.BatchNorm1d(3)(np.ones((4, 3), np.float32)).numpy()
    w = Tensor([1.0], requires_grad=True)
    w.data = Tensor([2.0])
    assert w.item() == 2 and MODE.get().grad


def test_the_death_of_an_array_runs_no_code_of_ours() -> None:
    array = memory.array((100_000,), np.dtype("f4"))
    assert not hasattr(type(array.base), "__del__")
