"""Training loops written by hand, without optimiser and without compile: a step costs the same however many
there were before."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest

import lucid
from lucid import Tensor, engine, gradients, nn, optim, reuse
from lucid.compiler.ir.graph import Node, toposort
from lucid.compiler.passes import autodiff
from lucid.kept import Kept
from lucid.residence import Device
from lucid.runtime import call, execute

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 4), dtype=np.float32)
Y = RNG.standard_normal(50, dtype=np.float32)
STEPS = 50


class Work:
    """What reads have cost so far: plans that were built, and the nodes of each evaluation."""

    def __init__(self) -> None:
        self.plans = 0
        self.nodes: list[int] = []


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    found = Work()
    build, planned = engine.build, engine._planned

    def counted_build(*args: Any, **more: Any) -> Any:
        found.plans += 1
        return build(*args, **more)

    def counted(wanted: list[Node], device: Device) -> object:
        found.nodes.append(_size(wanted))
        return planned(wanted, device)

    monkeypatch.setattr(engine, "build", counted_build)
    monkeypatch.setattr(engine, "_planned", counted)
    monkeypatch.setattr(engine, "_plans", type(engine._plans)())
    yield found


def _size(wanted: list[Node]) -> int:
    seen: set[Node] = set()
    stack = list(wanted)
    while stack:
        node = stack.pop()
        if node not in seen and node.data is None:
            seen.add(node)
            stack += node.inputs
    return len(seen)


def _regression(w: Tensor) -> Tensor:
    return ((Tensor(X) @ w - Tensor(Y)) ** 2).mean()


def _mlp(params: list[Tensor]) -> Tensor:
    w1, b1, w2, b2 = params
    return ((lucid.tanh(Tensor(X) @ w1 + b1) @ w2 + b2 - Tensor(Y[:, None])) ** 2).mean()


def _fresh() -> list[Tensor]:
    rng = np.random.default_rng(1)
    shapes = [(4, 8), (8,), (8, 1), (1,)]
    return [Tensor(rng.standard_normal(s, dtype=np.float32) * 0.5) for s in shapes]


def _alive() -> int:
    gc.collect()
    return sum(type(thing) is Node for thing in gc.get_objects())


def _by_function(params: list[Tensor], loss: Callable[[list[Tensor]], Tensor]) -> tuple[list[Tensor], float]:
    value, grads = lucid.value_and_grad(loss)(params)
    params = [p - 0.1 * g for p, g in zip(params, grads, strict=True)]
    return params, value.item()


def _read_first(params: list[Tensor], loss: Callable[[list[Tensor]], Tensor]) -> tuple[list[Tensor], float]:
    value = loss(params)
    number = value.item()
    grads = lucid.grad(loss)(params)
    return [p - 0.1 * g for p, g in zip(params, grads, strict=True)], number


def _backward(params: list[Tensor], loss: Callable[[list[Tensor]], Tensor]) -> tuple[list[Tensor], float]:
    for p in params:
        p.requires_grad = True
    value = loss(params)
    value.backward()
    with lucid.no_grad():
        params = [p - 0.1 * p.grad for p in params]  # type: ignore[operator]
    return params, value.item()


def _detached(params: list[Tensor], loss: Callable[[list[Tensor]], Tensor]) -> tuple[list[Tensor], float]:
    for p in params:
        p.requires_grad = True
    value = loss(params)
    number = value.item()
    value.backward()
    assert all(p.grad is not None for p in params)
    return [(p - 0.1 * p.grad).detach() for p in params], number  # type: ignore[operator]


def _copied(params: list[Tensor], loss: Callable[[list[Tensor]], Tensor]) -> tuple[list[Tensor], float]:
    params = [Tensor(p, requires_grad=True) for p in params]
    value = loss(params)
    value.backward()
    return [p.detach() - 0.1 * p.grad for p in params], value.item()  # type: ignore[operator]


LOOPS = [_by_function, _read_first, _backward, _detached, _copied]


@pytest.mark.parametrize("step", LOOPS)
@pytest.mark.parametrize(
    "start, loss",
    [(lambda: [Tensor(np.zeros(4, np.float32))], lambda p: _regression(p[0])), (_fresh, _mlp)],
    ids=["regression", "mlp"],
)
def test_a_step_of_a_loop_costs_the_same_however_many_there_were(
    step: Callable[..., tuple[list[Tensor], float]],
    start: Callable[[], list[Tensor]],
    loss: Callable[[list[Tensor]], Tensor],
    work: Work,
) -> None:
    params = start()
    losses = []
    for k in range(STEPS):
        params, value = step(params, loss)
        losses.append(value)
        if k == 20:
            alive, plans, most = _alive(), work.plans, max(work.nodes)
    assert work.plans == plans <= 8
    assert max(work.nodes) == most
    assert _alive() - alive < 60  # of a step, perhaps: the history does not stay in memory
    assert losses[-1] < 0.95 * losses[0]

    def whole(params: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        value, grads = lucid.value_and_grad(loss)(params)
        return [p - 0.1 * g for p, g in zip(params, grads, strict=True)], value

    compiled, params = lucid.compile(whole), start()
    for value in losses:
        params, expected = compiled(params)
        assert value == pytest.approx(expected.item(), rel=1e-4)


def test_a_chain_that_is_read_at_every_step(work: Work) -> None:
    x = Tensor(np.ones(5, np.float32))
    for _ in range(STEPS):
        x = x * 0.9 + 0.1
        x.sum().item()
    assert work.plans <= 4
    assert max(work.nodes) <= 20


def test_loss_and_what_is_made_of_it_are_one_evaluation(work: Work) -> None:
    w = Tensor(np.zeros(4, np.float32), requires_grad=True)
    loss = _regression(w)
    loss.backward()
    loss.item()
    assert w.grad is not None
    assert w.grad._node.data is not None
    assert len(work.nodes) == 1


def test_what_is_held_on_the_way_is_kept_when_it_is_needed_again(work: Work) -> None:
    """Not at once: most of what a formula names is read once."""
    d = Tensor(X) - 1.0
    (d * d).sum().item()
    assert d._node.data is None
    abs(d).sum().item()
    assert d._node.data is not None


def test_what_has_nothing_in_common_is_not_computed() -> None:
    x = Tensor(X)
    t = x.T
    a, b = (t * 2.0).sum(), (t + 1.0).sum()  # a view is no work
    a.item()
    assert b._node.data is None
    assert t._node.data is None


def test_gradients_that_a_step_has_used_are_not_computed_again() -> None:
    model = lucid.nn.Linear(4, 1)
    opt = lucid.optim.SGD(model.parameters(), lr=0.1)
    out = model(Tensor(X))
    ((out - Tensor(Y[:, None])) ** 2).mean().backward()
    opt.step()
    abs(out).max().item()
    assert all(p.grad is not None and p.grad._node.data is None for p in model.parameters())


def test_a_read_computes_no_more_along_than_a_multiple_of_itself() -> None:
    x = Tensor(X).exp()
    held = []
    for k in range(50):
        y = x
        for _ in range(20):
            y = y * (1.0 + k)
        held.append(y)
    x.sum().item()
    assert 0 < sum(y._node.data is not None for y in held) < 20


def test_a_read_without_the_memory_for_what_comes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Tensor(X).exp()
    y = x * 2.0
    compute = engine.compute

    def scarce(nodes: list[Node]) -> None:
        if len(nodes) > 1:
            raise MemoryError
        compute(nodes)

    monkeypatch.setitem(Tensor._read.__globals__, "compute", scarce)
    assert x.sum().item() == pytest.approx(np.exp(X).sum(), rel=1e-5)
    assert y._node.data is None


def test_a_value_read_within_a_derivative_of_a_derivative_keeps_its_history() -> None:
    def inner(x: Tensor) -> Tensor:
        assert x.item() > 0
        return x * x * x

    def outer(x: Tensor) -> Tensor:
        return lucid.grad(inner)(x * 2.0)  # type: ignore[no-any-return]

    assert lucid.grad(outer)(Tensor(1.5)).item() == pytest.approx(36.0)  # of 3 (2x)^2 = 12 x^2


class _Looked(WeakKeyDictionary[Node, Any]):
    """Leaves that count how often somebody asks for one."""

    count = 0

    def get(self, node: Any, default: Any = None) -> Any:
        type(self).count += 1
        return super().get(node, default)


def test_gradients_of_a_loop_that_reads_nothing_look_at_no_step_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every step's loss is made of all steps before, which cost it nothing."""
    of_tensors = sys.modules[Tensor.__module__]
    leaves = _Looked(vars(of_tensors)["LEAVES"])
    for module in (of_tensors, gradients):
        monkeypatch.setattr(module, "LEAVES", leaves)
    walked: list[int] = []

    def counted(*args: Any) -> list[Node]:
        order = toposort(*args)
        walked.append(len(order))
        return order

    monkeypatch.setattr(autodiff, "toposort", counted)

    def loss(w: Tensor, b: Tensor) -> Tensor:
        return ((Tensor(X) @ w + b - Tensor(Y)) ** 2).mean()

    w, b = Tensor(np.zeros(4, "f4")), Tensor(np.zeros((), "f4"))
    looked: list[int] = []
    for _ in range(40):
        before = _Looked.count
        dw, db = lucid.grad(loss, argnums=(0, 1))(w, b)
        w, b = w - 0.1 * dw, b - 0.1 * db
        looked.append(_Looked.count - before)
    assert len(set(walked)) == 1
    assert max(looked[2:]) <= looked[2]


def test_what_depended_on_no_leaf_depends_on_one_that_begins_to_collect() -> None:
    """Also where it is known to depend on none, since a derivative has passed it."""
    x = Tensor(X)
    y = x * 2.0
    assert not lucid.grad(lambda z: (z * y).sum())(Tensor(X)).requires_grad
    x.requires_grad = True
    (y * y).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 8 * X, rtol=1e-6)


# --- numbers that change at every step -----------------------------------------------------------

_W = Tensor(np.linspace(-1, 1, 12).reshape(4, 3).astype(np.float32))
_A = Tensor(np.linspace(-2, 2, 20).reshape(5, 4).astype(np.float32))


def _step_of(rate: float) -> list[np.ndarray[Any, Any]]:
    w = _W.detach().requires_grad_()
    loss = lucid.sqrt((((_A @ w) * rate) ** 2).sum()) + nn.functional.huber_loss(_A @ w, _A @ _W, delta=rate)
    loss.backward()
    assert w.grad is not None
    return [(w - rate * w.grad).numpy(), loss.numpy()]


def test_a_rate_that_changes_at_every_step(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = [0.5 + 0.01 * k for k in range(100)]
    found = [_step_of(rate) for rate in rates]
    assert work.plans <= 2 * (reuse.MANY + 1), work.plans  # two reads each; huber_loss takes a number
    for module, name in ((engine, "_plans"), (reuse, "_gradients"), (reuse, "_formulas")):
        monkeypatch.setattr(module, name, Kept())
    for rate, results in list(zip(rates, found, strict=True))[::33]:
        for got, expected in zip(results, _step_of(rate), strict=True):
            assert got.tobytes() == expected.tobytes()


def test_numbers_of_every_kind_are_operands(work: Work) -> None:
    x = np.array([1.5, -2, 0, np.inf], np.float32)
    t, h, k = Tensor(x), Tensor(x.astype(np.float16)), Tensor(np.array([3, -4], np.int16))
    for n in (1.5, -0.0, 0.0, np.nan, np.inf, -3.25, 1e-45, 3e38, 1e39, 65519.0):
        with np.errstate(all="ignore"):
            for a in (t, h):
                for got, expected in ((a * n, a.numpy() * n), (n - a, n - a.numpy()), (a > n, a.numpy() > n)):
                    assert got.numpy().tobytes() == expected.tobytes(), (a.dtype, n)
    plans = work.plans
    for m in (0, 1, -1, 7, 32767, -32768):
        assert (k + m).numpy().tobytes() == (k.numpy() + np.int16(m)).tobytes()
        assert (k * float(m)).numpy().tobytes() == (k.numpy() * float(m)).tobytes()
    assert plans == 6 and work.plans == 8


def test_a_derivative_that_asks_for_a_number_is_the_one_for_its_answer(work: Work) -> None:
    """A sum of squares, or of what is at least 0 in place of one, is 0 only where all are: its root has a
    gradient there."""
    mask = Tensor([True, True])

    def slope(n: float) -> Any:
        w = Tensor([0.0, 0.0], requires_grad=True)
        lucid.sqrt(lucid.where(mask, w * w, n).sum()).backward()
        return np.asarray(w.grad)

    for n in (1.0, 2.0, -1.0, 3.0, -5.0, 0.0, np.nan, -0.0):
        assert np.isnan(slope(n)).all() == (not n >= 0), n
    assert work.plans == 2


def test_a_schedule_of_what_a_step_has_as_numbers(work: Work) -> None:
    p = Tensor(np.ones(4, np.float32), requires_grad=True)
    opt = lucid.optim.Adam([p], lr=0.1)
    for k in range(40):
        for group in opt.param_groups:
            group["betas"] = (0.8 + k / 1000, 0.99)
        p.grad = Tensor(np.full(4, 0.5, np.float32))
        opt.step()
    assert work.plans <= reuse.MANY + 2, work.plans


def test_threads_with_numbers_of_their_own() -> None:
    x, wrong = Tensor(np.ones(64, np.float32)), list[float]()

    def run(first: int) -> None:
        for k in range(200):
            n = first + k / 256
            if (x * n).numpy()[0] != np.float32(n):
                wrong.append(n)

    threads = [threading.Thread(target=run, args=(k,)) for k in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def functions_called(run: Callable[[], object]) -> int:
    """How many functions of Python a call runs that was there before, but for what a collection of garbage
    calls; later versions have no frames for comprehensions."""
    for _ in range(6):
        run()
    found = list[str]()
    gc.collect()
    gc.disable()

    def event(frame: FrameType, what: str, _: object) -> None:
        if what == "call" and not frame.f_code.co_name.startswith("<"):
            found.append(frame.f_code.co_qualname)

    sys.setprofile(event)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return len(found)


def test_what_python_does_for_an_operation_and_for_a_read() -> None:
    """Eager use of small arrays takes the time of these calls, some 0.2 us each. (Some more are of results
    that other tests have not read.)"""
    x, w = lucid.ones(128), lucid.ones(128, requires_grad=True)
    net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    rows = lucid.ones((4, 16))
    opt = optim.Adam(net.parameters())

    @lucid.no_grad
    def infer() -> Any:
        return net(rows)

    def step() -> Any:
        opt.zero_grad()
        loss = net(rows).square().mean()
        loss.backward()
        opt.step()
        return loss.item()

    assert functions_called(lambda: lucid.tanh(x)) <= 10
    assert functions_called(lambda: x * 2.0) <= 14
    assert functions_called(lambda: x * w) <= 11
    assert functions_called(infer) <= 56
    if call.available():
        assert functions_called(lambda: lucid.tanh(x).numpy()) <= 40
        assert functions_called(lambda: infer().numpy()) <= 85
        assert functions_called(step) <= 480


def test_numbers_of_several_threads_stay_apart() -> None:
    """One plan, whose program each call writes its number into; large enough that others run meanwhile."""
    x = lucid.ones((400, 700))
    wrong = list[float]()

    def run(own: float) -> None:
        for k in range(60):
            n = own + k
            if not (((x * n + 1).numpy() == n + 1).all()):
                wrong.append(n)

    threads = [threading.Thread(target=run, args=(1000.0 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_evaluation_that_comes_again_is_one_native_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third on, whatever the numbers are; what native code does not take goes the way through
    Python."""
    monkeypatch.setattr(engine, "_plans", Kept())
    given, python = list[Any](), list[Any]()
    run = execute.Executable.__call__

    def counted(self: Any, *args: Any) -> Any:
        python.append(self)
        return run(self, *args)

    monkeypatch.setattr(execute.Executable, "__call__", counted)
    for k, n in enumerate([2.0] * 6 + [3.0, 2.0, 4.0]):
        x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6) + np.float32(k)
        t = lucid.from_numpy(x[::-1] if k == 5 else x)
        given.append((t * n - 1).numpy())
        assert given[-1].tobytes() == (t.numpy() * np.float32(n) - 1).tobytes()
    assert len({a.ctypes.data for a in given}) == len(given)  # each has memory of its own
    # Three, and the one with an array that runs backwards.
    assert len(python) == (4 if call.available() else 9)
