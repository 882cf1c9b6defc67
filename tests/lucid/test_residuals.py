"""Compiled functions that are differentiated from outside: nothing of the way there is computed twice."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np
import pytest

import lucid
from lucid import Tensor, engine, nn, residence
from lucid.compiler.ir.graph import toposort
from lucid.compiler.ops import CONTRACT
from lucid.kept import Kept
from lucid.nn import functional as F

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(3)
X = RNG.standard_normal((12, 6)).astype(np.float32)
Y = RNG.integers(0, 4, 12)


@pytest.fixture(autouse=True)
def no_device() -> Iterator[None]:
    """As in a process that has used none: with devices nothing is kept."""
    used, residence.USED[0] = residence.USED[0], False
    yield
    residence.USED[0] = used


def network() -> nn.Module:
    net = nn.Sequential(
        nn.Linear(6, 9), nn.GELU(), nn.LayerNorm(9), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 4)
    )
    rng = np.random.default_rng(4)
    for p in net.parameters():
        p.data = rng.standard_normal(p.shape).astype(np.float32)
    return net


def step(net: nn.Module, f: Callable[..., Tensor]) -> list[bytes]:
    net.zero_grad()
    loss = F.cross_entropy(f(Tensor(X)), Tensor(Y))
    loss.backward()
    engine.evaluate([loss._node, *[p.grad._node for p in net.parameters() if p.grad is not None]])
    return [loss.numpy().tobytes(), *[np.asarray(p.grad).tobytes() for p in net.parameters()]]


def saved(f: Any) -> Any:
    """What the latest calls keep."""
    return f._latest.saved


def test_the_way_to_a_result_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    expected = step(net, net)
    compiled = lucid.compile(net)
    assert step(net, compiled) == expected  # gradients are asked for
    graphs: list[int] = []
    build = engine.build

    def counted(graph: Any, *args: Any, **more: Any) -> Any:
        graphs.append(sum(n.op is CONTRACT for n in toposort(graph.outputs)))
        return build(graph, *args, **more)

    monkeypatch.setattr(engine, "build", counted)
    monkeypatch.setattr(engine, "_plans", Kept())
    for _ in range(3):
        assert step(net, compiled) == expected
    assert graphs == [5]  # products of all backward passes: none of the way there
    assert "gradients were asked for, so each call keeps what they need: 4 arrays" in compiled.explain()
    assert compiled.traces == 1


def test_what_nobody_differentiates_keeps_nothing() -> None:
    net = network()
    compiled = lucid.compile(net)
    for _ in range(3):
        compiled(X)
    assert saved(compiled) is None
    with lucid.no_grad():
        compiled(X)
    assert "gradients were asked for" not in compiled.explain()


def test_what_is_kept_goes_with_the_result() -> None:
    net = network()
    compiled = lucid.compile(net)
    step(net, compiled)
    out = compiled(Tensor(X))
    kept = [ref(n) for n in out._node.attrs.inputs if n.data is not None and n.type.shape[:1] == (12,)]
    assert len(kept) >= 3
    out.sum().backward()
    del out
    net.zero_grad()
    gc.collect()
    assert sum(k() is not None for k in kept) <= 1  # x is the caller's


def test_derivatives_of_derivatives_and_a_second_backward() -> None:
    w = Tensor(RNG.standard_normal((6, 5)).astype(np.float32), requires_grad=True)
    v = Tensor(RNG.standard_normal((5, 3)).astype(np.float32), requires_grad=True)

    def f(x: Tensor) -> Tensor:
        return (lucid.tanh(lucid.tanh(x @ w) @ v) ** 2).sum()

    def both(f: Callable[..., Tensor]) -> list[Array]:
        found: list[Array] = []
        for _ in range(3):
            w.zero_grad()
            v.zero_grad()
            value = f(Tensor(X))
            value.backward()
            value.backward()
            assert w.grad is not None and v.grad is not None
            first = w.grad
            w.zero_grad()
            (first * first).sum().backward()
            found += [np.asarray(t) for t in (first, w.grad, v.grad)]
        return found

    for got, expected in zip(both(lucid.compile(f)), both(f), strict=True):
        assert np.allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_scores_of_attention_are_made_again() -> None:
    q = Tensor(RNG.standard_normal((2, 70, 8)).astype(np.float32), requires_grad=True)

    def attend(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x * q, q, q + x)

    f = lucid.compile(attend)
    x = Tensor(RNG.standard_normal((2, 70, 8)).astype(np.float32))
    grads = []
    for g in (attend, f, f):
        q.grad = None
        g(x).sum().backward()
        grads.append(np.asarray(q.grad))
    assert np.allclose(grads[0], grads[2], rtol=1e-5, atol=1e-5)
    assert all(n.type.nbytes <= x.nbytes for n in saved(f).values.outputs)


def test_indices_libraries_limits_and_out() -> None:
    table = Tensor(RNG.standard_normal((7, 6)).astype(np.float32), requires_grad=True)
    spd = np.eye(6, dtype=np.float32) * 3

    def f(k: Tensor) -> Tensor:
        return lucid.linalg.solve(Tensor(spd) + table.T @ table, table[k].T @ table[k]).sum()

    def slope(g: Callable[..., Tensor], k: Array) -> Array:
        table.grad = None
        g(Tensor(k)).backward()
        return np.asarray(table.grad)

    k, compiled = np.array([1, 2, 2, 6]), lucid.compile(f)
    expected = slope(f, k)
    for _ in range(3):
        assert np.allclose(slope(compiled, k), expected, rtol=1e-5)
    with pytest.raises(IndexError, match=r"index 7, number .* is out of bounds"):
        slope(compiled, np.array([1, 2, 2, 7]))
    net = network()
    limited = lucid.compile(net, max_kernels=20)
    bare = lucid.compile(net)
    assert step(net, limited) == step(net, limited) == step(net, bare) == step(net, bare)
    assert saved(limited).values.outputs == () != saved(bare).values.outputs
    out = np.empty((12, 4), np.float32)
    bare(X, out=out).sum().backward()
    assert out.tobytes() == net(X).numpy().tobytes()


def test_threads_that_begin_to_differentiate() -> None:
    net = network()
    expected = step(net, net)
    compiled, wrong = lucid.compile(net), list[int]()

    def run() -> None:
        for k in range(20):
            loss = F.cross_entropy(compiled(X), Tensor(Y))
            parts = [np.asarray(g).tobytes() for g in lucid.autograd.grad(loss, [*net.parameters()])]
            if [loss.numpy().tobytes(), *parts] != expected:
                wrong.append(k)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
