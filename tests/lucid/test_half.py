"""Training of float16 parameters: weights and state in float32 behind them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim

pytestmark = pytest.mark.table

Array = np.ndarray[Any, Any]
HALF = np.float16
START = np.array([1.0, -0.5, 0.25, 2.0])

OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "SGD": lambda p, **more: optim.SGD(p, lr=1e-4, weight_decay=1e-3, **more),
    "momentum": lambda p, **more: optim.SGD(p, lr=1e-4, momentum=0.9, dampening=0.1, **more),
    "Adam": lambda p, **more: optim.Adam(p, lr=1e-4, **more),
    "AdamW": lambda p, **more: optim.AdamW(p, lr=1e-3, weight_decay=1e-2, **more),
}


def gradient(step: int) -> Array:
    return np.array([1e-3, 0.0, 0.5 * (step % 3), -2.0]).astype(HALF)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_small_steps_of_float16_parameters_vanish(name: str, compiled: bool) -> None:
    """As if all were float64, and the parameter rounded for whoever looks at it."""
    half, full = nn.Parameter(START.astype(HALF)), nn.Parameter(START)
    mine, exact = OPTIMIZERS[name]([half]), OPTIMIZERS[name]([full])

    def step(g: Any) -> None:
        half.grad = lucid.asarray(g)
        mine.step()

    run = lucid.compile(step) if compiled else step
    for k in range(60):
        run(gradient(k))
        full.grad = Tensor(gradient(k).astype(float))
        exact.step()
    assert half.dtype == HALF
    (master,) = mine.state["master"]
    assert {t.dtype for name, state in mine.state.items() if name != "steps" for t in state} == {
        np.dtype(np.float32)
    }
    np.testing.assert_allclose(master, full, rtol=1e-5)
    np.testing.assert_array_equal(half, master.numpy().astype(HALF))
    assert not np.array_equal(master, START)


def test_adam_divides_by_an_eps_of_float16() -> None:
    p = nn.Parameter(np.zeros(3, HALF))
    opt = optim.Adam([p])
    for _ in range(5):
        p.grad = Tensor(np.array([0.0, 1e-4, 1.0], HALF))
        opt.step()
    np.testing.assert_allclose(p, [0, -0.005, -0.005], rtol=1e-3)


def test_master_weights_can_be_left_out() -> None:
    p = nn.Parameter(np.ones(2, HALF))
    for make in (optim.SGD, optim.Adam, optim.AdamW):
        opt: Any = make([p], master_weights=False)
        assert "master" not in opt.state
        assert all(t.dtype == HALF for name, s in opt.state.items() if name != "steps" for t in s)
    other = nn.Parameter(np.ones(2, np.float32))
    assert "master" not in optim.Adam([other]).state
    assert len(optim.Adam([other, p]).state["master"]) == 1


def test_a_parameter_that_others_change_goes_on_from_there() -> None:
    p = nn.Parameter(np.ones(2, HALF))
    opt = optim.SGD([p], lr=1e-5)
    for more in (0.0, 2.0):
        with lucid.no_grad():
            p += np.array([more, 0.0], HALF)
        p.grad = Tensor(np.ones(2, HALF))
        opt.step()
    np.testing.assert_allclose(opt.state["master"][0], [3 - 1e-5, 1 - 2e-5], rtol=1e-6)


@pytest.mark.parametrize("way", ["state_dict", "pickle", "copy"])
def test_master_weights_travel(way: str) -> None:
    def steps(p: Any, opt: Any, count: int) -> None:
        for k in range(count):
            p.grad = Tensor(gradient(k))
            opt.step()

    p = nn.Parameter(START.astype(HALF))
    opt: Any = optim.AdamW([p], lr=1e-3)
    steps(p, opt, 7)
    if way == "state_dict":
        q = nn.Parameter(p.numpy())
        other: Any = optim.AdamW([q])
        other.load_state_dict(opt.state_dict())
    else:
        q, other = pickle.loads(pickle.dumps((p, opt))) if way == "pickle" else copy.deepcopy((p, opt))
        q = other.params[0]
    steps(p, opt, 7)
    steps(q, other, 7)
    np.testing.assert_array_equal(other.state["master"][0], opt.state["master"][0])
    np.testing.assert_array_equal(p, q)
    with pytest.raises(KeyError, match="master"):
        optim.AdamW([nn.Parameter(START)]).load_state_dict(opt.state_dict())


def test_a_network_of_float16_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8)).astype(HALF)
    y = (x.astype(float) @ np.linspace(-1, 1, 8)).astype(HALF)[:, None]
    lucid.manual_seed(0)
    net = nn.Linear(8, 1)
    w = nn.Parameter(net.weight.numpy().astype(HALF))
    b = nn.Parameter(np.zeros(1, HALF))
    opt = optim.Adam([w, b], lr=0.02)

    @lucid.compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        opt.zero_grad()
        loss = nn.functional.huber_loss(nn.functional.linear(x, w, b), y)
        loss.backward()
        opt.step()
        return loss

    tx, ty = Tensor(x), Tensor(y)
    losses = [step(tx, ty).item() for _ in range(300)]
    assert losses[-1] < 1e-4 < losses[0] and np.isfinite(losses).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_what_is_read_often_are_added_in_float32(dtype: str) -> None:
    """Of 3,000 reads of one element; each term rounded, the sum of ones would stay at 2,048, or at 256."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = lucid.Tensor([1.0, 2.0]).astype(dtype)
    index = np.zeros(3000, np.int64)

    def read(t: Any) -> Any:
        return t[index].sum()

    for run in (lucid.grad(read), lucid.compile(lucid.grad(read))):
        assert run(x).astype("float32").tolist() == [{"float16": 3000.0, "bfloat16": 3008.0}[dtype], 0.0]
