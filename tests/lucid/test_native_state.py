"""Native calls that change state, what they hold, and threads: see test_native.py."""

from __future__ import annotations

import gc
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.runtime import call, memory

from .test_native import in_python, natively, numbers, warm

pytestmark = pytest.mark.skipif(not call.available(), reason="no native call path here")


# --- state ---------------------------------------------------------------------------------------


def training(kind: Any = optim.Adam) -> tuple[nn.Module, Any, Callable[..., Tensor]]:
    lucid.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = kind(model.parameters(), lr=1e-2)

    def step(x: Any, y: Any) -> Tensor:
        optimizer.zero_grad()
        loss = nn.HuberLoss()(model(x), y)
        loss.backward()
        optimizer.step()
        result: Tensor = loss.detach()
        return result

    return model, optimizer, step


@pytest.mark.parametrize("kind", [optim.Adam, optim.AdamW, optim.SGD])
def test_training(kind: Any) -> None:
    x, y = numbers(8, 5), numbers(8, 1)
    model, optimizer, step = training(kind)
    lazy = [step(x, y).item() for _ in range(6)]
    expected = [p.numpy().copy() for p in model.parameters()]
    model, optimizer, step = training(kind)
    f = lucid.compile(step)
    found = [f(x, y).item() for _ in range(2)]
    where = [p._node.data.ctypes.data for p in model.parameters()]
    found += [natively(f, x, y).item() for _ in range(4)]
    assert found == lazy
    for p, value in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
        assert p.grad is not None
        assert p.is_leaf
    assert [p._node.data.ctypes.data for p in model.parameters()] == where  # in place
    optimizer.lr = 0.0
    natively(f, x, y)
    for p, value in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
    lazily = step(x, y)
    assert lazily.item() == natively(f, x, y).item()


def test_values_that_others_hold_do_not_change() -> None:
    x, y = numbers(8, 5), numbers(8, 1)
    model, _, step = training()
    f = lucid.compile(step)
    warm(f, x, y)
    holds: list[Callable[[Tensor], Any]] = [
        lambda p: p.numpy(),
        lambda p: p.numpy()[1:].T,
        lambda p: p.detach(),
        lambda p: p * 1,  # not yet computed
    ]
    for hold in holds:
        expected = [np.array(hold(p)) for p in model.parameters()]
        held = [hold(p) for p in model.parameters()]
        in_python(f, x, y)
        for _ in range(3):
            f(x, y)
        for found, value in zip(held, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(found), value)
        del held, found
    natively(f, x, y)


def test_memory_of_others_is_left_alone() -> None:
    buffer = bytearray(np.zeros(4, np.float32).tobytes())
    w = lucid.from_numpy(np.frombuffer(buffer, np.float32))
    f = lucid.compile(lambda x: _add(w, x))
    x = np.ones(4, np.float32)
    for k in range(4):
        f(x)
        assert w.tolist() == [k + 1] * 4
        assert not any(buffer)


def _add(w: Tensor, x: Any) -> None:
    w._assign((w + x)._node)


def test_state_that_is_also_the_result() -> None:
    w = Tensor(np.zeros(3, np.float32))

    def step(x: Any) -> Tensor:
        _add(w, x)
        return w + 0

    f = lucid.compile(step)
    x = np.ones(3, np.float32)
    results = [f(x) for _ in range(5)]
    assert [r.tolist() for r in results] == [[k] * 3 for k in range(1, 6)]
    assert w.tolist() == [5, 5, 5]

    def other(x: Any) -> Tensor:
        _add(w, x)
        return w

    g = lucid.compile(other)
    results = [g(x) for _ in range(5)]
    assert all(r is w for r in results)
    assert w.tolist() == [10, 10, 10]


def test_gradients_come_and_go() -> None:
    w = Tensor(np.ones(3, np.float32), requires_grad=True)

    def accumulate(x: Any) -> None:
        (w * x).sum().backward()

    f = lucid.compile(accumulate)
    x = np.arange(3, dtype=np.float32)
    held = []
    for k in range(1, 6):
        f(x)
        assert w.grad is not None
        held.append(w.grad)
        assert w.grad.tolist() == [0, k, 2 * k]
    natively(f, x)
    assert [h.tolist() for h in held] == [[0, k, 2 * k] for k in range(1, 6)]
    w.zero_grad()
    f(x)
    assert w.grad is not None
    assert w.grad.tolist() == [0, 1, 2]

    def forget(x: Any) -> None:
        w.grad = None

    g = lucid.compile(forget)
    warm(g, x)
    f(x)
    natively(g, x)
    assert w.grad is None


def test_the_gradient_of_an_argument() -> None:
    def step(w: Tensor, x: Any) -> None:
        w.grad = None
        (w * x).sum().backward()

    f = lucid.compile(step)
    x = np.arange(3, dtype=np.float32)
    tensors = [Tensor(np.ones(3, np.float32), requires_grad=True) for _ in range(4)]
    for w in tensors[:2]:
        f(w, x)
    for w in tensors[2:]:
        natively(f, w, x)
    for w in tensors:
        assert w.grad is not None
        assert w.grad.tolist() == [0, 1, 2]


def test_state_that_somebody_replaces() -> None:
    x, y = numbers(8, 5), numbers(8, 1)
    model, _, step = training()
    f = lucid.compile(step)
    warm(f, x, y)
    state = {k: np.array(v.numpy()) for k, v in model.state_dict().items()}
    first = f(x, y).item()
    f(x, y)
    model.load_state_dict({k: Tensor(v) for k, v in state.items()})
    assert natively(f, x, y).item() == pytest.approx(first, rel=1e-5)


# --- references, memory, threads -----------------------------------------------------------------


def test_many_calls_use_no_memory() -> None:
    f = lucid.compile(lambda x, y: {"sum": x + y, "all": [(x * y).sum(), x]})
    x, y = Tensor(numbers(10)), numbers(10)
    model, _, step = training()
    g = lucid.compile(step)
    a, b = numbers(8, 5), numbers(8, 1)
    for _ in range(3):
        f(x, y)
        g(a, b)
    things = [x, y, x._node, x._node.data, Tensor, type(x._node), None, True, False, f, g, a, b, model]
    things += [p._node for p in model.parameters()]

    def many(n: int) -> None:
        for _ in range(n):
            f(x, y)
        for _ in range(n // 10):
            g(a, b)

    many(1000)
    gc.collect()
    counts = [sys.getrefcount(t) for t in things]
    used = memory.statistics().used
    tracemalloc.start()
    try:
        many(1000)
        before = tracemalloc.get_traced_memory()[0]
        many(20_000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    many(180_000)
    gc.collect()
    assert grown < 20_000
    assert memory.statistics().used == used
    after = [sys.getrefcount(t) for t in things]
    assert all(abs(p - q) < 20 for p, q in zip(counts, after, strict=True)), (counts, after)


def test_an_exception_leaves_nothing_behind() -> None:
    w = Tensor(np.zeros(3, np.float32))

    def step(x: Any) -> Tensor:
        _add(w, x)
        return w + 1

    f = lucid.compile(step)
    x = np.ones(3, np.float32)
    warm(f, x)
    references = sys.getrefcount(x), sys.getrefcount(w), sys.getrefcount(w._node)
    for wrong in (np.ones(4, np.float32), np.ones((2, 2, 2), np.float32), object(), "x", None):
        with pytest.raises((ValueError, TypeError)):
            f(wrong)
    gc.collect()
    assert (sys.getrefcount(x), sys.getrefcount(w), sys.getrefcount(w._node)) == references
    natively(f, x)
    assert w.tolist() == [3, 3, 3]


def test_results_live_as_long_as_somebody_looks() -> None:
    f = lucid.compile(lambda x: (x * 2, x + 1))
    xs = [numbers(10) + k for k in range(6)]
    warm(f, xs[0])
    results = [natively(f, x) for x in xs]
    views = [a.numpy() for a, _ in results]
    kept = weakref.ref(results[0][0])
    results = [b for _, b in results]
    assert kept() is None
    for _ in range(5):
        natively(f, numbers(10) * 7)
    for x, view, b in zip(xs, views, results, strict=True):
        np.testing.assert_array_equal(view, x * 2)
        np.testing.assert_array_equal(b.numpy(), x + 1)


def test_a_result_that_becomes_state() -> None:
    f = lucid.compile(lambda x: x * 2)
    x = numbers(3)
    warm(f, x)
    w = natively(f, x)
    step = lucid.compile(lambda x: _add(w, x))
    want = x * 2
    for _ in range(4):
        step(x)
        want = want + x
        np.testing.assert_array_equal(w.numpy(), want)
        np.testing.assert_array_equal(natively(f, x).numpy(), x * 2)
    natively(step, x)


def test_a_function_can_be_collected() -> None:
    def made() -> tuple[Any, Any]:
        w = Tensor(numbers(3))
        f = lucid.compile(lambda x: x * w)
        warm(f, numbers(3))
        return weakref.ref(f), weakref.ref(w)

    found = made()
    gc.collect()
    assert [r() for r in found] == [None, None]


def test_eight_threads() -> None:
    scale = Tensor(numbers(10))
    f = lucid.compile(lambda x: (x * scale, x.sum()))
    wrong: list[object] = []

    def work(k: int) -> None:
        x = numbers(10) + k
        expected = x * scale.numpy()
        try:
            for _ in range(2000):
                product, _ = f(x)
                if not np.array_equal(product.numpy(), expected):
                    wrong.append(k)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert f.traces <= 8


def test_threads_that_train_and_read() -> None:
    x, y = numbers(8, 5), numbers(8, 1)
    model, _, step = training()
    f = lucid.compile(step)
    warm(f, x, y)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            values = [p.numpy() for p in model.parameters()]
            copies = [v.copy() for v in values]
            for value, old in zip(values, copies, strict=True):
                if not np.array_equal(value, old):
                    wrong.append(value)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(300):
        f(x, y)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong


def test_large_arrays() -> None:
    w = Tensor(np.zeros(200_000, np.float32))

    def step(x: Any) -> Any:
        _add(w, x)
        return x * 2

    f = lucid.compile(step)
    x = numbers(200_000)
    warm(f, x)
    natively(f, x)  # its result is kept, to come again
    used = memory.statistics().used
    for _ in range(5):
        np.testing.assert_array_equal(natively(f, x).numpy(), x * 2)
    assert memory.statistics().used == used
    total = np.zeros_like(x)
    for _ in range(8):
        total += x
    np.testing.assert_array_equal(w.numpy(), total)


def test_empty_cache_gives_kept_results_back() -> None:
    """Results that a later call would answer with again are memory that nobody uses."""
    f = lucid.compile(lambda x: x + 1)
    x = lucid.tensor(np.zeros(100_000, np.float32))
    for _ in range(5):
        out = f(x)
    del out
    lucid.empty_cache()
    before = memory.statistics().used
    for _ in range(5):
        f(x)
    assert memory.statistics().used > before  # one is kept
    lucid.empty_cache()
    assert memory.statistics().used == before
    np.testing.assert_array_equal(f(x).numpy(), x.numpy() + 1)
