"""lucid.compile: same results as without, never stale, errors that leave no trace."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import sys
import threading
import tracemalloc
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, TraceError, nn, optim
from lucid.compiled import OBJECTS, _slower
from lucid.nn import functional as F
from lucid.runtime import call
from lucid.story import REASONS

from .programs import made

Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).normal(size=(8, 3)).astype("f")
Y = np.random.default_rng(1).normal(size=(8, 1)).astype("f")


def close(a: Any, b: Any, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=rtol)


# --- calling -------------------------------------------------------------------------------------


def test_function() -> None:
    def f(x: Any, y: Any, scale: float = 2.0, *, shift: float = 0.0) -> Any:
        return lucid.asarray(x) * scale + y + shift

    g = lucid.compile(f)
    assert g.__name__ == "f"
    assert inspect.signature(g) == inspect.signature(f)
    for args, options in (
        ((X, Y), {}), ((X, Y, 3.0), {}), ((X,), {"y": Y}), ((X, Y), {"shift": 1.0}),
        ((Tensor(X), Tensor(Y)), {}), ((1.5, Y), {}), ((X, np.float32(2)), {}),
    ):  # fmt: skip
        close(g(*args, **options), f(*args, **options))
        close(g(*args, **options), f(*args, **options))
    assert g.traces == 6  # one is written two ways
    assert repr(g) == "<compiled f: 6 traces>"


def test_decorator() -> None:
    @lucid.compile
    def f(x: Tensor) -> Tensor:
        return x * 2

    @lucid.compile(threads=1)
    def g(x: Tensor) -> Tensor:
        return x * 3

    close(f(X), 2 * X)  # type: ignore[call-overload]
    close(g(X), 3 * X)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="int is not callable"):
        lucid.compile(3)  # type: ignore[call-overload]


def test_module() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    compiled = lucid.compile(net)
    close(compiled(X), net(X))
    assert list(compiled.parameters()) == list(net.parameters())
    assert compiled.training


def test_method() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @lucid.compile
        def run(self, x: Tensor, k: int = 1) -> Tensor:
            return x * self.scale * k

    a, b = Model(2.0), Model(5.0)
    close(a.run(X), 2 * X)
    close(b.run(X, k=2), 10 * X)
    a.scale = 3.0
    close(a.run(X), 3 * X)
    close(b.run(X, k=2), 10 * X)
    bound = lucid.compile(a.run)
    close(bound(X), 3 * X)


Pair = namedtuple("Pair", ["left", "right"])


def test_containers() -> None:
    @lucid.compile
    def f(batch: Any, options: Any) -> Any:
        x, (y, z) = batch["x"], batch["rest"]
        total = x * options["scale"] + y
        return {"sum": total, "pair": Pair(total * z, None), "list": [x, 3, "text"], "raw": (2.5, True)}

    one = np.ones(2, "f")
    for scale in (2.0, 3.0):
        out = f({"x": one, "rest": [Tensor([1.0, 2.0]), one * 4]}, {"scale": scale})
        close(out["sum"], [scale + 1, scale + 2])
        assert isinstance(out["pair"], Pair)
        close(out["pair"].left, [4 * scale + 4, 4 * scale + 8])
        assert out["pair"].right is None
        close(out["list"][0], one)
        assert out["list"][1:] == [3, "text"] and out["raw"] == (2.5, True)


def test_results_that_are_inputs() -> None:
    p = nn.Parameter([1.0])

    @lucid.compile
    def f(x: Any, y: Any) -> Any:
        return x, y, p, x

    t, a = Tensor([1.0, 2.0]), np.ones(2, "f")
    for _ in range(2):
        x, y, q, again = f(t, a)
        assert x is t and again is t and q is p
        close(y, a)
        a[:] = 5
        close(y, [1, 1])
        a[:] = 1


def test_no_tensors() -> None:
    @lucid.compile
    def f(n: int) -> int:
        return n + 1

    assert [f(1), f(2), f(1)] == [2, 3, 2]
    assert lucid.compile(lambda: None)() is None
    assert lucid.compile(lambda: lucid.ones(2))().tolist() == [1, 1]


def test_compiled_in_compiled() -> None:
    inner = lucid.compile(lambda x: x * 2)
    outer = lucid.compile(lambda x: inner(x) + 1)
    close(outer(X), 2 * X + 1)
    assert inner.traces == 0


def test_strided_and_foreign_arrays() -> None:
    f = lucid.compile(lambda x: x * 2)
    close(f(X.T), 2 * X.T)
    close(f(X[::-2, ::2]), 2 * X[::-2, ::2])
    close(f(X.astype(">f4")), 2 * X)
    with pytest.raises(TypeError, match="unsupported dtype"):
        f(np.array(["a"]))


def test_one_compile_for_a_hundred_batch_sizes() -> None:
    f = lucid.compile(lucid.value_and_grad(lambda x, y: F.huber_loss(x, y)))
    f(np.ones(7, "f"), np.zeros(7, "f"))
    codes = {c.key for c in made(f).codes}
    for n in range(1, 101):
        x = np.linspace(-2, 2, n, dtype="f")
        value, gradient = f(x, np.zeros(n, "f"))
        close(value, np.where(abs(x) <= 1, 0.5 * x * x, abs(x) - 0.5).mean())
        close(gradient, np.clip(x, -1, 1) / n)
        if n > 1:
            assert {c.key for c in made(f).codes} == codes


def test_the_passes_run_once_for_all_batch_sizes(monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    """A training step, first with a batch as large as the layers are wide."""
    from lucid.compiler import pipeline

    runs: list[str] = []
    generalise = pipeline._generalise

    def counted(graph: Any, *rest: Any) -> Any:
        runs.append(graph.name)
        return generalise(graph, *rest)

    def training() -> tuple[Any, Any]:
        lucid.manual_seed(0)
        model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
        opt = lucid.optim.Adam(model.parameters(), lr=1e-2)

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = F.huber_loss(model(x), y)
            loss.backward()
            opt.step()
            return loss

        return step, model

    rng = np.random.default_rng(0)
    (step, model), (lazy, other) = training(), training()
    step = lucid.compile(step)
    monkeypatch.setattr(pipeline, "_generalise", counted)
    for n in (32, 33, 7, 64, 100, 2, 32, 500):
        x, y = rng.standard_normal((n, 16)).astype("f"), rng.standard_normal((n, 1)).astype("f")
        loss = step(x, y)
        assert np.allclose(loss.numpy(), lazy(lucid.tensor(x), lucid.tensor(y)).numpy(), rtol=1e-4)
    assert runs.count("step") == 1 and step.traces == 7
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert np.allclose(p.numpy(), q.numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*was traced")
def test_signatures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from lucid import compiled

    monkeypatch.setattr(compiled, "SIGNATURES", 4)
    f = lucid.compile(lambda x, k: x * len(range(k)))
    for k in range(10):
        close(f(X, k), X * k)
    assert len(f._cache) == 4


def test_inspection() -> None:
    f = lucid.compile(lucid.value_and_grad(lambda x, y: F.huber_loss(x, y)))
    with pytest.raises(RuntimeError, match="nothing is compiled"):
        f.ir("kernel")
    n = 1000
    f(np.ones(n, "f"), np.zeros(n, "f"))
    for stage in ("graph", "gradient", "simplified", "kernel", "loop", "llvm", "asm"):
        assert f.ir(stage)
    assert sum(line.startswith("kernel") for line in f.ir("kernel").splitlines()) == 1
    (kernel,) = f.kernels
    assert kernel.bytes == 3 * 4 * n + 4
    assert "test_compile.py" in f.ir("graph")
    assert "trace 1: the first call" in f.explain()
    with pytest.raises(ValueError, match="unknown stage"):
        f.ir("nonsense")  # type: ignore[arg-type]


def test_compiled_equals_lazy_bit_for_bit() -> None:
    lucid.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 1))
    f = lucid.compile(lambda x, y: F.huber_loss(net(x), y))
    np.testing.assert_array_equal(f(X, Y), F.huber_loss(net(X), Tensor(Y)))


def test_threads_give_the_same_bits() -> None:
    def loss(x: Any, y: Any) -> Any:
        return F.huber_loss(x, y)

    x = np.random.default_rng(3).normal(size=300_000).astype("f")
    results = []
    for threads in (1, 2, 2, 1):
        f = lucid.compile(lucid.value_and_grad(loss), threads=threads)
        value, gradient = f(x, x[::-1].copy())
        results.append((value.numpy().tobytes(), gradient.numpy().tobytes()))
    assert len(set(results)) == 1


# --- training steps ------------------------------------------------------------------------------


class Reference:
    """The MLP below, its Huber loss and SGD with momentum, in NumPy."""

    def __init__(self, net: nn.Module, lr: float, momentum: float) -> None:
        self.p = [np.array(p, np.float64) for p in net.parameters()]
        self.v = [np.zeros_like(p) for p in self.p]
        self.lr, self.momentum = lr, momentum

    def step(self, x: Array, y: Array) -> float:
        w1, b1, w2, b2 = self.p
        h = np.tanh(x @ w1.T + b1)
        d = h @ w2.T + b2 - y
        g = np.clip(d, -1, 1) / d.size
        gh = g @ w2 * (1 - h * h)
        grads = [gh.T @ x, gh.sum(0), g.T @ h, g.sum(0)]
        self.v = [self.momentum * v + q for v, q in zip(self.v, grads, strict=True)]
        self.p = [p - self.lr * v for p, v in zip(self.p, self.v, strict=True)]
        return float(np.where(abs(d) <= 1, 0.5 * d * d, abs(d) - 0.5).mean())


def test_200_steps() -> None:
    """float32 steps stay within 1e-4 of float64 ones."""
    lucid.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    criterion = nn.HuberLoss()
    opt = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    reference = Reference(net, 0.05, 0.9)
    tensors = [*net.parameters(), *opt.state["velocity"]]

    @lucid.compile
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        opt.step()
        return loss

    rng = np.random.default_rng(2)
    for _ in range(200):
        x = rng.normal(size=(32, 3)).astype("f")
        y = (np.sin(x[:, :1]) + (rng.random((32, 1)) < 0.1) * 30).astype("f")
        close(step(x, y), reference.step(x, y), 1e-4)
    assert step.traces == 1
    for p, q in zip(net.parameters(), reference.p, strict=True):
        close(p, q, 1e-4)
        assert p.is_leaf and p.grad is not None
    assert [id(t) for t in tensors] == [id(t) for t in (*net.parameters(), *opt.state["velocity"])]


def test_compiled_steps_equal_lazy_steps() -> None:
    def train(wrap: Callable[[Any], Any]) -> list[Array]:
        lucid.manual_seed(4)
        net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
        opt = optim.AdamW(net.parameters(), lr=0.01)

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = F.huber_loss(net(x), y)
            loss.backward()
            opt.step()
            return loss

        run = wrap(step)
        losses = [run(X, Y).item() for _ in range(20)]
        return [*map(np.array, net.parameters()), np.array(losses)]

    runs = [train(lucid.compile), train(lucid.compile), train(lambda f: f)]
    for first, again, lazy in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, again)
        close(first, lazy, 1e-5)


def test_updates_are_in_place_only_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    # the way through Python overwrites where there is one thread; pytest's own may have more
    monkeypatch.setattr(sys, "_current_frames", lambda: {0: None})
    p = nn.Parameter(np.zeros(1000, np.float32))
    opt = optim.SGD([p], lr=1.0)

    @lucid.compile
    def step() -> None:
        opt.zero_grad()
        p.sum().backward()
        opt.step()

    for _ in range(2):
        step()
    address = p.numpy().ctypes.data
    step()
    if call.available() or len(sys._current_frames()) == 1:  # else a thread may come between
        assert p.numpy().ctypes.data == address
    view = p.numpy()
    step()
    assert view[0] == -3 and p.numpy()[0] == -4
    snapshot = p.detach()
    step()
    assert snapshot.numpy()[0] == -4 and p.numpy()[0] == -5
    lazy = p * 2
    step()
    assert lazy.numpy()[0] == -10 and p.numpy()[0] == -6
    array = np.asarray(p)[10:20]
    step()
    assert array[0] == -6 and p.numpy()[0] == -7


def test_gradients_stay_readable() -> None:
    p = nn.Parameter([1.0, 2.0])

    @lucid.compile
    def accumulate(x: Any) -> Any:
        loss = (p * x).sum()
        loss.backward()
        return loss

    x = np.ones(2, "f")
    for k in range(1, 5):
        accumulate(x)
        assert p.grad is not None
        assert p.grad.tolist() == [k, k]
    assert accumulate.traces == 2  # without, and with a gradient from before
    p.zero_grad()
    accumulate(x)
    assert p.grad is not None
    assert p.grad.tolist() == [1, 1]
    assert accumulate.traces == 2


def test_two_steps_in_one_call() -> None:
    p = nn.Parameter([1.0])
    opt = optim.SGD([p], lr=0.1)

    @lucid.compile
    def twice() -> None:
        for _ in range(2):
            opt.zero_grad()
            (p * p).sum().backward()
            opt.step()

    twice()
    close(p, [0.64])
    twice()
    close(p, [0.64**2])


def test_buffers() -> None:
    class Counter(nn.Module):
        mean: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", Tensor([0.0]))

        def forward(self, x: Any) -> Any:
            if self.training:
                self.mean = 0.5 * self.mean + 0.5 * lucid.asarray(x).mean()
            return x - self.mean

    net = Counter()
    buffer = net.mean
    f = lucid.compile(net)
    for k in (1, 2, 3):
        f(np.ones(4, "f"))
        close(buffer, [1 - 0.5**k])
    assert net.mean is buffer
    net.eval()
    close(f(np.ones(4, "f")), 0.5**3)
    close(buffer, [1 - 0.5**3])


def test_swapped_tensors() -> None:
    a, b = nn.Parameter([1.0]), nn.Parameter([2.0])

    @lucid.compile
    def swap() -> None:
        with lucid.no_grad():
            a_node, b_node = (a * 1)._node, (b * 1)._node
        a._assign(b_node)
        b._assign(a_node)

    swap()
    assert (a.item(), b.item()) == (2, 1)
    swap()
    assert (a.item(), b.item()) == (1, 2)
    (a * 3 + b * 5).sum().backward()
    assert a.grad is not None and b.grad is not None
    assert (a.grad.item(), b.grad.item()) == (3, 5)


# --- gradients through compiled functions --------------------------------------------------------


def test_backward_of_a_result() -> None:
    net = nn.Linear(3, 1)
    f = lucid.compile(lambda x, y: F.huber_loss(net(x), y))
    x = Tensor(X, requires_grad=True)
    grads = []
    for g in (f, f.__wrapped__):
        x.zero_grad()
        net.zero_grad()
        loss = g(x, Y)
        assert loss.requires_grad
        loss.backward()
        assert x.grad is not None and net.weight.grad is not None
        grads.append((np.array(x.grad), np.array(net.weight.grad)))
    for a, b in zip(*grads, strict=True):
        close(a, b)
    with lucid.no_grad():
        assert not f(x, Y).requires_grad


def test_backward_sees_the_values_of_the_call() -> None:
    x = np.array([1.0, 2.0], "f")
    p = nn.Parameter([3.0, 4.0])
    f = lucid.compile(lambda v: (p * p * v).sum())
    loss = f(x)
    x[:] = 100
    p._assign((p.detach() * 10)._node)
    loss.backward()
    assert p.grad is not None
    close(p.grad, [6, 16])


def test_compiled_inside_grad_and_grad_inside_compiled() -> None:
    f = lucid.compile(lambda x: (x**3).sum())
    close(lucid.grad(f)(np.array([1.0, 2.0])), [3, 12])
    close(lucid.compile(lucid.grad(lambda x: (x**3).sum()))(np.array([1.0, 2.0])), [3, 12])
    second = lucid.compile(lucid.grad(lambda x: lucid.grad(f.__wrapped__)(x).sum()))
    close(second(np.array([1.0, 2.0])), [6, 12])


def test_the_gradient_of_an_argument() -> None:
    @lucid.compile
    def f(x: Tensor) -> Tensor:
        loss = (x * x).sum()
        loss.backward()
        return loss

    a, b = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    for t in (a, b):
        assert not f(t).requires_grad
        assert t.grad is not None
        assert t.grad.tolist() == [2, 4]
    f(a)
    assert a.grad is not None and b.grad is not None
    assert a.grad.tolist() == [4, 8]
    assert b.grad.tolist() == [2, 4]


def test_a_parameter_as_an_argument() -> None:
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    opt = optim.SGD([p], lr=0.5)

    @lucid.compile
    def step(w: Tensor) -> None:
        opt.zero_grad()
        w.sum().backward()
        opt.step()

    step(p)
    assert p.item() == 0.5
    step(q)  # no gradient for p
    assert (p.item(), q.item()) == (0.5, 1)
    assert q.grad is not None
    step(p)
    assert p.item() == 0


def test_one_tensor_twice() -> None:
    @lucid.compile
    def f(a: Tensor, b: Tensor) -> Tensor:
        (a * b).sum().backward()
        return a + b

    x, y = Tensor([3.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    f(x, x)
    assert x.grad is not None
    assert x.grad.tolist() == [6]
    x.zero_grad()
    f(x, y)
    assert x.grad.tolist() == [5]


def test_history_from_outside() -> None:
    x = Tensor([2.0], requires_grad=True)
    h = x * 3
    f = lucid.compile(lambda v: (v * v).sum())
    f(h).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [36]

    @lucid.compile
    def inside(v: Tensor) -> None:
        (v * v).sum().backward()

    with pytest.raises(TraceError, match="computed outside"):
        inside(h)


# --- never stale ---------------------------------------------------------------------------------


def test_python_scalars() -> None:
    f = lucid.compile(lambda x, k: x * k)
    for k in (2, 3, 2.0, True, 2, -0.0, 0.0):
        np.testing.assert_array_equal(f(X, k), Tensor(X) * k)
        assert f(X, k).dtype == (Tensor(X) * k).dtype
    n = lucid.compile(lambda x, k: x * k)
    for k in (float("nan"), float("nan"), 1.0):
        np.testing.assert_array_equal(n(X, k), Tensor(X) * k)
    assert n.traces == 2


def test_a_new_number_needs_no_new_code() -> None:
    f = lucid.compile(lambda x, k: (x * k - k).tanh())
    f(X, 2.0)
    close(f(X, 3.0), np.tanh(X * 3 - 3))  # an input of the graph from here on
    key = made(f).codes[0].key
    for k in range(20):
        close(f(X, k / 4), np.tanh(X * (k / 4) - k / 4))
    assert made(f).codes[0].key == key
    assert f.traces == 2


def test_closures() -> None:
    scale = 2.0
    f = lucid.compile(lambda x: x * scale)
    close(f(X), 2 * X)
    scale = 3.0
    close(f(X), 3 * X)
    assert f.traces == 2
    close(f(X), 3 * X)
    assert f.traces == 2


GLOBAL = 2.0
TABLE = {"scale": 2.0, "rest": [1.0, {"deep": 5.0}]}
ARRAY = np.ones(3, "f")


def helper(x: Any) -> Any:
    return x * GLOBAL


def test_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    f = lucid.compile(lambda x: helper(x))
    close(f(X), 2 * X)
    monkeypatch.setitem(globals(), "GLOBAL", 4.0)
    close(f(X), 4 * X)
    monkeypatch.setitem(globals(), "helper", lambda x: x * 10)
    close(f(X), 10 * X)


def test_containers_of_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    f = lucid.compile(lambda x: x * TABLE["scale"] + TABLE["rest"][1]["deep"])  # type: ignore[index]
    close(f(X), 2 * X + 5)
    monkeypatch.setitem(TABLE, "scale", 3.0)
    close(f(X), 3 * X + 5)
    monkeypatch.setitem(TABLE["rest"][1], "deep", 7.0)  # type: ignore[index]
    close(f(X), 3 * X + 7)
    assert f.traces == 3
    close(f(X), 3 * X + 7)
    assert f.traces == 3


def test_lists() -> None:
    weights = [1.0, 2.0]
    f = lucid.compile(lambda x: sum((x * w for w in weights), lucid.zeros(3)))
    close(f(X), 3 * X)
    weights.append(4.0)
    close(f(X), 7 * X)
    weights[0] = 0.0
    close(f(X), 6 * X)


class Config:
    power = 1

    def __init__(self) -> None:
        self.delta = 1.0
        self.unused = 0

    @property
    def twice(self) -> float:
        return self.delta * 2


def test_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config()
    f = lucid.compile(lambda x: x * cfg.delta + cfg.power)
    close(f(X), X + 1)
    cfg.delta = 3.0
    close(f(X), 3 * X + 1)
    cfg.power = 5  # shadows the class attribute
    close(f(X), 3 * X + 5)
    del cfg.power
    monkeypatch.setattr(Config, "power", 9)
    close(f(X), 3 * X + 9)
    traces = f.traces
    cfg.unused += 1
    close(f(X), 3 * X + 9)
    assert f.traces == traces
    g = lucid.compile(lambda x: x * cfg.twice)
    close(g(X), 6 * X)
    cfg.delta = 1.0
    close(g(X), 2 * X)
    h = lucid.compile(lambda x: x * getattr(cfg, "del" + "ta"))
    close(h(X), X)
    cfg.delta = 8.0
    close(h(X), 8 * X)
    space = SimpleNamespace(k=2.0)
    s = lucid.compile(lambda x: x * space.k)
    close(s(X), 2 * X)
    space.k = 3.0
    close(s(X), 3 * X)


def test_defaults_and_function_attributes() -> None:
    def f(x: Any, k: float = 2.0, *, m: float = 1.0) -> Any:
        return x * k * m * f.extra  # type: ignore[attr-defined]

    f.extra = 1.0  # type: ignore[attr-defined]
    g = lucid.compile(f)
    close(g(X), 2 * X)
    f.__defaults__ = (3.0,)
    close(g(X), 3 * X)
    f.__kwdefaults__ = {"m": 2.0}
    close(g(X), 6 * X)
    f.extra = 2.0  # type: ignore[attr-defined]
    close(g(X), 12 * X)


class Dropout(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 0.5 if self.training else x


def test_train_and_eval() -> None:
    net = nn.Sequential(Dropout())
    f = lucid.compile(net)
    for _ in range(3):
        close(f(X), X / 2)
        net.eval()
        close(f(X), X)
        net.train()
    assert f.traces == 2


def test_changed_parameters() -> None:
    net = nn.Linear(3, 1)
    f = lucid.compile(net)
    close(f(X), net(X))
    state = {"weight": np.full((1, 3), 2.0, "f"), "bias": np.zeros(1, "f")}
    net.load_state_dict(state)
    close(f(X), 2 * X.sum(1, keepdims=True))
    net.weight._assign(Tensor(np.full((1, 3), 3.0, "f"))._node)
    close(f(X), 3 * X.sum(1, keepdims=True))
    assert f.traces == 1
    net.weight = nn.Parameter(np.full((1, 3), 4.0, "f"))
    close(f(X), 4 * X.sum(1, keepdims=True))
    net.weight.requires_grad = False
    net.bias.requires_grad = False  # type: ignore[union-attr]
    assert not f(X).requires_grad
    net.bias = None
    close(f(X), 4 * X.sum(1, keepdims=True))


def test_replaced_submodule() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    f = lucid.compile(net)
    close(f(X), net(X))
    setattr(net, "1", nn.Tanh())
    close(f(X), net(X))
    net.add_module("2", nn.Linear(3, 2))
    close(f(X), net(X))
    assert f(X).shape == (8, 2)


def test_slices() -> None:
    rows = 4
    f = lucid.compile(lambda x, k: x[k : k + 2])
    g = lucid.compile(lambda x: x[:rows])
    for k in (0, 3, 1):
        close(f(X, k), X[k : k + 2])
    close(g(X), X[:4])
    rows = 2
    close(g(X), X[:2])
    h = lucid.compile(lambda x, s: x[s])
    for s in (slice(1, 3), slice(2, 6), slice(1, 3), slice(1, 3, 2)):
        close(h(X, s), X[s])


def test_arrays_from_outside_are_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    local = np.array([1.0, 2.0, 3.0], "f")
    f = lucid.compile(lambda x: x * local + ARRAY)
    close(f(X), X * local + 1)
    local[:] = 7
    close(f(X), X * 7 + 1)
    assert f.traces == 1
    monkeypatch.setitem(globals(), "ARRAY", np.full(3, 5, "f"))
    close(f(X), X * 7 + 5)
    t = Tensor([1.0, 1.0, 1.0])
    g = lucid.compile(lambda x: x + t + Tensor(local))
    close(g(X), X + 8)
    local[:] = 1
    close(g(X), X + 2)
    t = Tensor([5.0, 5.0, 5.0])
    close(g(X), X + 6)


def test_arrays_used_by_numpy_code() -> None:
    local = np.array([1.0, 2.0, 3.0], "f")
    f = lucid.compile(lambda x: x * float(local.sum()))
    close(f(X), X * 6)
    local[0] = 5
    close(f(X), X * 10)
    assert f.traces == 2


def test_learning_rate_and_hyperparameters() -> None:
    p = nn.Parameter([0.0])
    opt = optim.SGD([p], lr=1.0)

    @lucid.compile
    def step() -> None:
        opt.zero_grad()
        p.sum().backward()
        opt.step()

    step()
    opt.lr = 10.0
    step()
    assert p.item() == -11
    assert step.traces == 1
    opt.weight_decay = 0.5
    step()
    assert p.item() == -11 - 10 * (1 - 5.5)


def test_grad_mode() -> None:
    p = nn.Parameter([1.0])
    f = lucid.compile(lambda: p * 2)
    assert f().requires_grad
    with lucid.no_grad():
        assert not f().requires_grad
    assert f().requires_grad


def test_objects_as_arguments() -> None:
    f = lucid.compile(lambda cfg, net, x: net(x) * cfg.delta)
    cfg, net = Config(), nn.Linear(3, 1)
    close(f(cfg, net, X), net(X))
    cfg.delta = 2.0
    close(f(cfg, net, X), net(X) * 2)
    close(f(Config(), net, X), net(X))
    other = nn.Linear(3, 1)
    close(f(cfg, other, X), other(X) * 2)


def test_objects_that_come_and_go() -> None:
    """A new object may get the address of an old one."""
    f = lucid.compile(lambda cfg, x: x * cfg.k)
    for k in range(20):
        close(f(SimpleNamespace(k=float(k)), X), X * k)


# --- errors --------------------------------------------------------------------------------------


def test_wrong_arguments() -> None:
    @lucid.compile
    def f(x: Any, y: Any, *, scale: float = 1.0) -> Any:
        return x + y

    calls: list[tuple[Callable[[], Any], str]] = [
        (lambda: f(X), r"test_compile.py:\d+: f\(\): missing a required argument: 'y'"),  # type: ignore[call-overload]
        (lambda: f(X, Y, Y), r"f\(\): too many positional arguments"),  # type: ignore[call-overload]
        (lambda: f(X, Y, shift=1), r"f\(\): got an unexpected keyword argument 'shift'"),  # type: ignore[call-overload]
        (lambda: f(X, x=X), r"f\(\): multiple values for argument 'x'"),  # type: ignore[call-overload]
    ]
    for run, message in calls:
        with pytest.raises(TypeError, match=message):
            run()
    assert f.traces == 0


READS: list[Callable[[Tensor], Any]] = [
    lambda x: 1 if x.sum() > 0 else 2,
    lambda x: float(x.sum()),
    lambda x: int(x.sum()),
    lambda x: x.sum().item(),
    lambda x: x.numpy(),
    lambda x: x.tolist(),
    lambda x: np.asarray(x),
    lambda x: f"{x.sum():.2f}",
    lambda x: range(10)[x.astype("int64").sum()],
    lambda x: np.exp(x, out=np.zeros(3, "f")),
]


@pytest.mark.parametrize("read", READS)
def test_reading_a_value(read: Callable[[Tensor], Any]) -> None:
    line = inspect.getsourcelines(read)[1]
    with pytest.raises(TraceError, match=rf"test_compile.py:{line}: .* values are not known\. "):
        lucid.compile(read)(X[0])
    outer = Tensor(X[0])
    with pytest.raises(TraceError, match="values are not known"):
        lucid.compile(lambda: read(outer))()


def test_a_dtype_is_a_result() -> None:
    f = lucid.compile(lambda x: (x.dtype, x.shape, x * 2))
    for _ in range(3):
        dtype, shape, _ = f(X)
        assert (dtype, shape) == (X.dtype, X.shape)


def test_printing_is_symbolic() -> None:
    seen = []
    f = lucid.compile(lambda x: seen.extend([f"{x * 2!r}", str(x * 2)]))
    f(X)
    assert seen == ["Tensor(<f32[8, 3], traced>)"] * 2


def test_tensors_that_leak() -> None:
    kept: list[Iterator[Tensor]] = []  # not in a container, nor in an attribute
    lucid.compile(lambda x: kept.append(iter((x * 2,))))(X)
    (leaked,) = kept[0]
    uses: list[Callable[[Tensor], Any]] = [
        lambda t: t.numpy(),
        lambda t: t + 1,
        lambda t: lucid.compile(lambda: t * 1)(),
    ]
    for use in uses:
        with pytest.raises(TraceError, match="outlived the call"):
            use(leaked)
    assert "traced" in repr(leaked)


def test_results_that_cannot_be() -> None:
    with pytest.raises(TypeError, match="returns a NumPy array"):
        lucid.compile(lambda x: np.ones(3))(X)
    with pytest.raises(TypeError, match="returns a set"):
        lucid.compile(lambda x: {1})(X)


def test_an_exception_leaves_everything_as_it_was() -> None:
    net = nn.Linear(3, 1)
    opt = optim.Adam(net.parameters(), lr=0.1)
    fail = True

    @lucid.compile
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.huber_loss(net(x), y)
        loss.backward()
        opt.step()
        if fail:
            raise KeyError("stop")
        return loss

    F.mse_loss(net(X), Y).backward()
    tensors = [*net.parameters(), *opt.state["mean"], *opt.state["steps"]]
    grads = [p.grad for p in net.parameters()]
    nodes = [t._node for t in tensors]
    for _ in range(2):
        with pytest.raises(KeyError, match="stop"):
            step(X, Y)
        assert [t._node for t in tensors] == nodes
        assert all(a is b for a, b in zip(grads, (p.grad for p in net.parameters()), strict=True))
        assert lucid.is_grad_enabled()
    with pytest.raises(ValueError, match="linear"):
        step(X[:, :2], Y)
    assert [t._node for t in tensors] == nodes
    fail = False
    step(X, Y)
    assert all(t._node is not n for t, n in zip(net.parameters(), nodes, strict=False))
    assert opt.state["steps"][0].item() == 1


def test_shape_errors_name_the_line() -> None:
    def f(x: Any) -> Any:
        return x + np.ones(5, "f")

    line = inspect.getsourcelines(f)[1] + 1
    with pytest.raises(ValueError, match=rf"test_compile.py:{line}: add: shapes"):
        lucid.compile(f)(X)


def test_many_callers() -> None:
    net = nn.Linear(3, 1)
    f = lucid.compile(net)
    expected = net(X).numpy()
    failures: list[object] = []

    def run(rows: int) -> None:
        try:
            for _ in range(20):
                np.testing.assert_array_equal(f(X[:rows]), expected[:rows])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(1 + k % 3,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_calls_through_python_where_there_is_no_native_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "missing", lambda: "objects are laid out otherwise")
    _slower.cache_clear()
    f = lucid.compile(lambda x: (x * x).sum())
    f(X)
    with pytest.warns(UserWarning, match="checked by Python.*laid out otherwise"):
        f(X)
    for _ in range(5):  # said once
        assert f(X).item() == pytest.approx((X * X).sum(), rel=1e-5)
    assert "laid out otherwise" in f.explain()
    assert f.traces == 1


# --- what is left of functions and objects that are gone -----------------------------------------


def test_objects_of_compiled_methods_die_with_their_arrays() -> None:
    class Model:
        def __init__(self, k: int) -> None:
            self.w, self.me, self.k = Tensor(np.full(4, k, "f")), self, k

        @lucid.compile
        def run(self, x: Tensor) -> Tensor:
            return x * self.w + self.k

    gone: list[weakref.ref[Any]] = []
    for k in range(20):
        model = Model(k)
        for _ in range(4):  # traced, by Python, natively
            close(model.run(np.ones(4, "f")), np.full(4, 2 * k))
        gone += [weakref.ref(model), weakref.ref(model.w)]
    assert Model.run.traces == 20
    assert model.run.kernels[0].text == Model.run.kernels[0].text
    assert Model.run.explain().count("trace ") >= 20
    again = copy.deepcopy(model)
    again.k = 100
    close(again.run(np.ones(4, "f")), np.full(4, 119))
    assert not pickle.loads(pickle.dumps(vars(model)["__compiled__"])).methods
    del model, again
    gc.collect()
    assert [r for r in gone if r() is not None] == []


def test_objects_that_were_arguments_are_let_go() -> None:
    class Model:
        def __init__(self, k: int) -> None:
            self.w = Tensor(np.full(4, k, "f"))

    f = lucid.compile(lambda model, x: x * model.w)
    gone: list[weakref.ref[Any]] = []
    for k in range(3 * OBJECTS):
        model = Model(k)
        for _ in range(4):  # traced, by Python, natively
            close(f(model, np.ones(4, "f")), np.full(4, k))
        gone += [weakref.ref(model), weakref.ref(model.w)]
    del model
    gc.collect()
    assert sum(r() is not None for r in gone) == 2 * OBJECTS
    for k in range(40):  # others do not push them out
        f(gone[-2](), np.ones(4 + k, "f")[:4])
    assert f.traces == 3 * OBJECTS


def test_the_reasons_of_traces_are_bounded() -> None:
    f = lucid.compile(lambda x, name: x * 2)
    for k in range(REASONS + 20):
        f(X[0], str(k))
    for rows, told in ((None, REASONS), (5, 5)):
        lines = f.explain(row_limit=rows).splitlines()
        first = lines.index(f"{REASONS + 20 - told} traces before these")
        assert lines[first + told].startswith(f"trace {REASONS + 20}: ")


def test_compiled_functions_that_went_native_leave_nothing() -> None:
    def one() -> None:
        f = lucid.compile(lambda x: x + 1.0)
        for _ in range(3):
            f(X)

    tracemalloc.start()
    try:
        sizes = []
        for _ in range(5):  # the first ones fill caches and free lists
            for _ in range(50):
                one()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert min(b - a for a, b in pairwise(sizes)) < 50 * 100
