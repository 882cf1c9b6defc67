"""Pieces of graphs that are found again: a loop differentiates once, and nobody can tell."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, engine, hooks, nn, optim, pieces, residence, reuse
from lucid import kept as kept_
from lucid.compiler.ir.graph import typed
from lucid.compiler.passes import autodiff
from lucid.kept import Kept
from lucid.nn import functional as F
from lucid.optim import optimizer

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((8, 6)).astype(np.float32), RNG.integers(0, 4, 8)


@pytest.fixture(autouse=True)
def no_device() -> Iterator[None]:
    """As in a process that has used none: with devices nothing is kept."""
    used, residence.USED[0] = residence.USED[0], False
    yield
    residence.USED[0] = used


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often something was differentiated, written out as a graph, and built for a step."""
    for name in ("_gradients", "_formulas", "_made"):
        monkeypatch.setattr(reuse, name, Kept())
    counts = {"gradients": 0, "plans": 0, "updates": 0}

    def count(what: str, f: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            counts[what] += 1
            return f(*args, **kwargs)

        return run

    monkeypatch.setattr(autodiff, "pullback", count("gradients", autodiff.pullback))
    monkeypatch.setattr(engine, "build", count("plans", engine.build))
    monkeypatch.setattr(optim.Optimizer, "_changes", count("updates", optim.Optimizer._changes))
    return counts


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is made anew, as in a trace."""
    for module in ("tensor", "optim.optimizer", "reuse"):
        monkeypatch.setattr(sys.modules[f"lucid.{module}"], "usable", lambda: False)


def network() -> nn.Module:
    rng = np.random.default_rng(1)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 5), nn.GELU(), nn.Linear(5, 4))
    for p in net.parameters():
        p.data = rng.standard_normal(p.shape).astype(np.float32)
    return net


def forget(*tensors: Tensor) -> None:
    for t in tensors:
        t.zero_grad()


def twice(monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]) -> None:
    """`run` gives the same bits where everything is made anew."""
    found = run()
    with monkeypatch.context() as patch:
        without(patch)
        plain = run()
    assert len(found) == len(plain)
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_a_loop_differentiates_and_plans_once(
    kind: str, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> list[Any]:
        net = network()
        opt = getattr(optim, kind)(net.parameters(), lr=0.01)
        for k in range(4):
            if k == 2:
                before = dict(counted)
            opt.zero_grad()
            loss = F.cross_entropy(net(X), Y)
            loss.backward()
            opt.step()
        if reuse.usable():
            assert counted == before
        return [loss, *net.parameters()]

    twice(monkeypatch, run)
    assert counted["gradients"] > 1  # those of `plain`


def test_a_loop_makes_few_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network()
    opt = optim.SGD(net.parameters(), lr=0.01)
    made: list[str] = []

    def step() -> None:
        opt.zero_grad()
        F.cross_entropy(net(X), Y).backward()
        opt.step()

    step()
    step()

    def noted(*args: Any) -> Any:
        made.append(args[0].name)
        return typed(*args)

    monkeypatch.setattr(pieces, "typed", noted)
    step()
    assert made == ["piece"] * (6 + 6 + 6)  # results of the forward pass, gradients, new values


def test_numbers_and_hyperparameters_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        found = []
        p = nn.Parameter(np.ones(3, np.float32))
        opt = optim.SGD([p], lr=0.5, momentum=0.5)
        for k, delta in enumerate([1.0, 0.25, 0.25, 1.0]):
            opt.zero_grad()
            (F.huber_loss(p * 2, np.zeros(3, np.float32), delta=delta) * (k + 1.0)).backward()
            if k == 2:
                opt.momentum = 0.0
            if k == 3:
                opt.lr = 0.125
            opt.step()
            found += [p.numpy().copy(), p.grad]
        return found

    twice(monkeypatch, run)


def test_hooks_run_each_time_and_are_part_of_no_piece(counted: dict[str, int]) -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    seen: list[float] = []

    def scaled(factor: float, g: Tensor) -> Tensor:
        seen.append(factor)
        return g * factor

    for factor in (1.0, 2.0, 3.0):
        w.zero_grad()
        h = w * w
        if factor > 1:
            h.register_hook(functools.partial(scaled, factor))
        F.relu(h).sum().backward()
        assert w.grad is not None
        np.testing.assert_array_equal(w.grad.numpy(), np.array([2.0, 4.0]) * factor)
    assert seen == [2.0, 3.0]
    w.zero_grad()
    F.relu(w * w).sum().backward()
    assert w.grad is not None and w.grad.tolist() == [2.0, 4.0]


def test_retained_gradients_inside_of_formulas() -> None:
    x = Tensor(X, requires_grad=True)
    for _ in range(2):
        x.zero_grad()
        h = F.softmax(x, axis=1)
        h.retain_grad()
        F.mse_loss(h, np.zeros_like(X)).backward()
        assert h.grad is not None and x.grad is not None
        np.testing.assert_allclose(h.grad.numpy(), 2 * h.numpy() / X.size, rtol=1e-6)


def test_hooks_of_gradients_that_are_differentiated_again() -> None:
    """One gradient is made of another: who hooks the second hears of both."""
    w = Tensor([3.0], requires_grad=True)
    b = Tensor([1.0], requires_grad=True)
    for hooked in (False, True, False):
        forget(w, b)
        ((w * w + b) ** 3).sum().backward()  # db = 3 (w² + b)², dw = 2 w db
        assert w.grad is not None and b.grad is not None
        dw, db = w.grad, b.grad
        forget(w, b)
        if hooked:
            db.register_hook(lambda g: g * 0)
        (dw + db).sum().backward()
        assert b.grad is not None
        assert b.grad.item() == (0.0 if hooked else 6 * 10 * (2 * 3 + 1))


def test_second_order(counted: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        x, net = Tensor(X, requires_grad=True), network()
        for k in range(3):
            before = counted["gradients"]
            x.zero_grad()
            net.zero_grad()
            net(x).sum().backward()
            assert x.grad is not None
            slope = x.grad
            x.zero_grad()
            net.zero_grad()
            (slope * slope).sum().backward()
            if k == 2 and reuse.usable():
                assert counted["gradients"] == before
        return [p.grad for p in net.parameters() if p.grad is not None]

    twice(monkeypatch, run)


def test_gradients_of_what_no_gradient_flows_to() -> None:
    """That of relu is a mask, which depends on its operand, but not smoothly."""
    for _ in range(2):
        x = Tensor([1.0, -1.0], requires_grad=True)
        F.relu(x).sum().backward()
        assert x.grad is not None
        with pytest.raises(RuntimeError, match="depends on no tensor"):
            x.grad.sum().backward()


def test_accumulated_shared_detached_and_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        w = nn.Parameter(np.eye(6, dtype=np.float32))
        b, unused = nn.Parameter(np.zeros(6, np.float32)), nn.Parameter(np.ones(2, np.float32))
        opt = optim.Adam([w, b, unused], lr=0.1)
        for k in range(4):
            opt.zero_grad()
            for part in (X[:4], X[4:]):
                h = F.linear(F.relu(F.linear(part, w, b)), w)  # w twice
                F.mse_loss(h, h.detach() * 0.5).backward()
            if k == 2:
                b.grad = None
            opt.step()
        assert unused.grad is None
        return [w, b, unused, *opt.state["steps"]]

    twice(monkeypatch, run)


def test_a_parameter_in_the_place_of_another_is_no_other_structure() -> None:
    """Which leaf is which counts: a * a is another graph than a * b."""
    a, b = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    for x, y, slopes in ((a, b, (3.0, 2.0)), (b, a, (3.0, 2.0)), (a, a, (4.0, None)), (a, b, (3.0, 2.0))):
        forget(a, b)
        F.linear(x, y.reshape(1, 1)).sum().backward()
        assert (a.grad and a.grad.item(), b.grad and b.grad.item()) == slopes


def test_other_shapes_dtypes_and_flags_from_step_to_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        net = network()
        opt = optim.SGD(net.parameters(), lr=0.01)
        weight = next(iter(net.parameters()))
        for k, rows in enumerate((8, 3, 8, 1, 3)):
            opt.zero_grad()
            weight.requires_grad = k != 2
            x = Tensor(X[:rows], requires_grad=k == 3)
            F.cross_entropy(net(x), Y[:rows], reduction="sum" if k == 4 else "mean").backward()
            assert (weight.grad is None) == (k == 2) and (x.grad is None) == (k != 3)
            opt.step()
        return [*net.parameters()]

    twice(monkeypatch, run)


def test_a_compiled_module_with_training_outside(
    counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it returns has its history as one node."""

    def run() -> list[Any]:
        net = network()
        compiled = lucid.compile(net)
        opt = optim.SGD(net.parameters(), lr=0.01)
        for k in range(4):
            if k == 2:
                before = dict(counted)
            h = compiled(X)
            F.cross_entropy(h, Y).backward()
            opt.step()
            opt.zero_grad()
        if reuse.usable():
            assert counted == before and h._node.op is pieces.PIECE
        return [h, *net.parameters()]

    twice(monkeypatch, run)


def test_hooks_on_results_of_compiled_functions() -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    f = lucid.compile(lambda: (w * w, w * 3.0))
    for factor in (1.0, 5.0):
        w.zero_grad()
        a, b = f()
        if factor > 1:
            a.register_hook(lambda g: g * 5.0)
            b.retain_grad()
        (a * b).sum().backward()
        assert w.grad is not None
        np.testing.assert_array_equal(w.grad.numpy(), [6.0 * factor + 3.0, 24.0 * factor + 12.0])
    assert b.grad is not None and b.grad.tolist() == [1.0, 4.0]


def test_an_index_out_of_range_names_its_own_line_and_changes_nothing() -> None:
    net = network()
    opt = optim.SGD(net.parameters(), lr=0.01)

    def step(y: Array) -> None:
        opt.zero_grad()
        F.cross_entropy(net(X), y).backward()
        opt.step()

    step(Y)
    step(Y)
    before = [p.numpy().copy() for p in net.parameters()]
    with pytest.raises(IndexError, match="index 9"):
        step(np.where(Y[0] == Y, 9, Y))
    lines = []
    for k in range(2):
        opt.zero_grad()
        wrong = np.full(8, 7)
        with pytest.raises(IndexError, match="index 7") as error:
            if k:
                F.cross_entropy(net(X), wrong).backward()
            else:
                F.cross_entropy(net(X), wrong).backward()
            opt.step()
        lines.append(str(error.value).split(":")[1])
    assert int(lines[0]) - int(lines[1]) == 2
    for p, old in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), old)
    step(Y)


def test_an_error_in_a_formula_is_that_of_its_call() -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=r"test_reuse.py:\d+: linear: input of shape \(8, 6\)"):
            F.linear(X, np.ones((3, 5), np.float32))
    assert F.linear(X, np.ones((3, 6), np.float32)).shape == (8, 3)


def test_a_loss_that_was_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> list[Any]:
        net = network()
        for _ in range(2):
            net.zero_grad()
            h = net(X)
            loss = F.cross_entropy(h, Y)
            loss.item(), h.numpy()
            loss.backward()
        return [loss, h, *(p.grad for p in net.parameters())]

    twice(monkeypatch, run)


def test_a_users_optimiser_is_asked_at_each_step() -> None:
    class Growing(optim.SGD):
        factor = 1.0

        def _update(self, k: int, p: Any, group: Any, value: Any, g: Any) -> Any:
            self.factor *= 2
            return super()._update(k, p, group, value, optimizer.times(self.factor, g))

    p = nn.Parameter(np.zeros(1, np.float32))
    opt = Growing([p], lr=1.0)
    for _ in range(3):
        opt.zero_grad()
        p.sum().backward()
        opt.step()
    assert p.item() == -(2 + 4 + 8)


def test_inside_of_vmap_and_of_a_trace() -> None:
    w = Tensor(np.ones((6, 6), np.float32), requires_grad=True)

    def loss(x: Any) -> Any:
        return F.softmax(F.linear(x, w), axis=-1).max()

    slopes = lucid.vmap(lucid.grad(loss))(Tensor(X))
    alone = [lucid.grad(loss)(Tensor(row)).numpy() for row in X]
    np.testing.assert_allclose(slopes.numpy(), np.stack(alone), atol=1e-7)
    np.testing.assert_array_equal(lucid.compile(loss)(X[0]).numpy(), loss(X[0]).numpy())


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_, "RESULTS", 3)
    kept: Kept[int] = Kept()
    for k in range(5):
        assert kept.keep(k, 10 * k, 1) == 10 * k
        kept.get(0)
    assert len(kept) == 3 and kept.get(0) == 0 and kept.get(1) is None and kept.get(4) == 40
    assert kept.keep(4, 7, 1) == 40  # what is there stays
    monkeypatch.setattr(kept_, "NODES", 10)
    kept.keep(9, 90, 100)
    assert len(kept) == 1 and kept.get(9) == 90


def test_no_array_is_kept(counted: dict[str, int]) -> None:
    net = network()
    F.cross_entropy(net(X), Y).backward()
    known = [g.piece for g, *_ in reuse._gradients._made.values()]
    known += [p for p, *_ in reuse._formulas._made.values()]
    assert len(known) == 1 + 6
    for piece in known:
        assert all(n.data is None for n in (*piece.inputs, *piece.order))


def test_eight_threads_train_apart() -> None:
    found: list[list[Array]] = [[] for _ in range(8)]

    def train(k: int) -> None:
        net = network()
        opt = optim.Adam(net.parameters(), lr=0.01)
        for _ in range(5):
            opt.zero_grad()
            F.cross_entropy(net(X), Y).backward()
            opt.step()
        found[k] = [p.numpy() for p in net.parameters()]

    threads = [threading.Thread(target=train, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_nobody_hooks_a_tensor_for_all(counted: dict[str, int]) -> None:
    """Hooks elsewhere change nothing."""
    other = Tensor([1.0], requires_grad=True)
    other.register_hook(lambda g: g)
    assert hooks.TAPS
    for _ in range(3):
        w = Tensor([1.0], requires_grad=True)
        (w * w).sum().backward()
    assert counted["gradients"] == 1


def test_what_a_library_computes_in_a_compiled_function_is_differentiated_outside() -> None:
    """The result of such a function is a piece, in which a step is the library's."""
    a = Tensor(np.diag([1.0, 2.0, 4.0]) + 0.1, requires_grad=True)

    def f(a: Any) -> Any:
        return (lucid.linalg.solve(a, np.ones(3)) ** 2).sum()

    run = lucid.compile(f)
    (wanted,) = lucid.autograd.grad(f(a) * 2, a)
    assert wanted is not None
    for _ in range(3):
        (found,) = lucid.autograd.grad(run(a) * 2, a)
        assert found is not None
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12)
