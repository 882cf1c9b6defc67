"""A child of a fork computes, whatever the threads of its parent were doing."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]
X = np.ones((40, 30), "f")


def busy(stop: threading.Event, f: Any, step: Any) -> None:
    """Traces, compiles, runs, steps."""
    k = 0
    while not stop.is_set():
        k += 1
        f(X)
        lucid.compile(lambda x, k=k: (x * k).sum())(X[: 1 + k % 30])
        step(X)
        f.explain()


def child(f: Any, step: Any, generations: int) -> int:
    """0 if all is well in here, and in its own child."""
    ok = float(f(X).item()) == X.size
    step(X)
    ok &= float(lucid.compile(lambda x: (x + 1.0).sum())(X[:7]).item()) == 2 * X[:7].size
    ok &= bool(f.ir("kernel"))
    if generations:
        pid = os.fork()
        if pid == 0:
            os._exit(child(f, step, generations - 1))
        ok &= wait(pid)
    return 0 if ok else 1


def wait(pid: int) -> bool:
    """Whether the child ended well within a minute."""
    for _ in range(6000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


def forks(count: int) -> list[int]:
    model = nn.Linear(30, 2)
    opt = optim.Adam(model.parameters())
    f = lucid.compile(lambda x: (x * x).sum())

    @lucid.compile
    def step(x: Any) -> Any:
        opt.zero_grad()
        loss = model(x).sum()
        loss.backward()
        opt.step()
        return loss

    stop = threading.Event()
    threads = [threading.Thread(target=busy, args=(stop, f, step)) for _ in range(4)]
    for t in threads:
        t.start()
    failed = []
    try:
        for k in range(count):
            pid = os.fork()
            if pid == 0:
                code = 2
                try:
                    code = child(f, step, 1)
                finally:
                    os._exit(code)
            if not wait(pid):
                failed.append(k)
    finally:
        stop.set()
        for t in threads:
            t.join()
    return failed


def test_children_of_busy_threads() -> None:
    assert not forks(12)


@pytest.mark.sweep
def test_five_hundred_children_of_busy_threads() -> None:
    assert not forks(500)


def test_a_child_of_a_thread_that_holds_a_lock() -> None:
    f = lucid.compile(lambda x: (x * x).sum())
    f(X)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with f._lock():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if f(X[:3]).item() == X[:3].size and f._names_out is False else 1)
    found = wait(pid)
    done.set()
    thread.join()
    assert found


def test_first_calls_that_race_trace_once() -> None:
    @lucid.compile
    def f(x: Any) -> Any:
        time.sleep(0.02)
        return x * 2

    threads = [threading.Thread(target=f, args=(X,)) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert f.traces == 1
