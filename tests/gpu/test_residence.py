"""Tensors that lie on a device: the bits of the CPU, no copies on the way, one device at a time.

"cuda" is the stand-in of the driver; "ptx-sim" the simulator by itself.
"""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.errors import TraceError
from lucid.runtime.stored import Stored
from lucid.testing import assert_same_bits

from .standin import StandIn

X = np.linspace(-2, 3, 12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(params=["ptx-sim", "cuda"])
def at(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "cuda":
        request.getfixturevalue("standin")
    yield request.param


FUNCTIONS: list[Callable[[Tensor], Any]] = [
    lambda x: lucid.softmax(x, axis=1) @ x.T,
    lambda x: x[x > 0],
    lambda x: x[[0, 2]] + np.ones(4, np.float32),
    lambda x: lucid.concatenate([x, lucid.zeros_like(x)]).sum(axis=0),
    lambda x: lucid.linalg.inv(x[:, :3] + 9.0 * lucid.eye(3, device=x.device)) * 2.0,
    lambda x: lucid.fft.rfft(x),
    lambda x: x.at[1].set(7.0).astype("float64"),
    lambda x: np.exp(x),
    lambda x: lucid.sort(x.flatten()),
    lambda x: lucid.argwhere(x > 0),
    lambda x: lucid.nonzero(x > 0)[1],
    lambda x: lucid.unique(x, return_counts=True)[1],
    lambda x: lucid.union1d(x, x + 1.0),
    lambda x: lucid.interp(x, x[0], x[1]) + lucid.interp(x, x[0, :1], x[1, :1]),
    lambda x: nn.functional.interpolate(x[None], size=5, mode="linear"),
    lambda x: lucid.vander(lucid.polyder(x[0]), 1),
    lambda x: (lucid.manual_seed(1), lucid.multinomial(lucid.abs(x), 2))[1],
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_eager_work_is_done_where_tensors_lie(f: Callable[[Tensor], Any], at: str) -> None:
    made = f(Tensor(X, device=at))
    assert made.device == at and isinstance(made._value("a test"), Stored)
    assert_same_bits(made, f(Tensor(X)))


def test_constructors(at: str) -> None:
    lucid.manual_seed(0)
    made: list[Tensor] = [
        lucid.zeros(3, device=at), lucid.full(3, 2.0, device=at), lucid.arange(3, device=at),
        lucid.linspace(0, 1, 3, device=at), lucid.tensor([1.0], device=at), lucid.rand(3, device=at),
        lucid.randint(0, 9, 3, device=at), lucid.asarray(X, device=at), Tensor([1.0], device=at),
        lucid.ones_like(lucid.zeros(2, device=at)), lucid.rand_like(lucid.zeros(2, device=at)),
        lucid.eye(2, device=at, requires_grad=True), lucid.random.permutation(lucid.arange(4, device=at)),
    ]  # fmt: skip
    assert {x.device for x in made} == {at}
    lucid.manual_seed(0)
    assert_same_bits(made[5], lucid.rand(3))
    assert made[11].is_leaf and made[11].requires_grad
    assert lucid.zeros(3).device == "cpu" == made[0].cpu().device
    assert made[0].to(at)._node is made[0]._node and made[0].to(Tensor(1)).device == "cpu"


def test_gradients_flow_between_devices(at: str) -> None:
    w = Tensor(X, requires_grad=True)
    there = (w * 2).to(at)
    ((there * there).cpu() + w).sum().backward()
    assert w.grad is not None and w.grad.device == "cpu"
    assert_same_bits(w.grad, 8 * X + 1)
    p = Tensor(X, requires_grad=True, device=at)
    (p * p).sum().backward()
    assert p.grad is not None and p.grad.device == at
    assert_same_bits(p.grad, 2 * X)


@pytest.mark.parametrize("name", ["svd", "eigh", "qr", "cholesky"])
def test_gradients_of_what_a_library_computes(name: str) -> None:
    slopes, given = [], X[:, :3] @ X[:, :3].T + 9.0 * np.eye(3, dtype=np.float32)
    for where in ("cpu", "ptx-sim"):
        x = Tensor(given, requires_grad=True, device=where)
        found = getattr(lucid.linalg, name)(x)
        parts = found if isinstance(found, tuple) else [found]
        total: Any = sum((part * part * part).sum() for part in parts)
        total.backward()
        assert x.grad is not None and x.grad.device == where
        slopes.append(x.grad.cpu())
    assert_same_bits(*slopes)


def test_devices_do_not_mix(at: str) -> None:
    x, y = Tensor(X, device=at), Tensor(X)
    message = (
        rf"test_residence.py:\d+: .*operand 0.* lies on {at} and operand 1.* lies on cpu.*x.to\('{at}'\)"
    )
    both: list[Callable[[], Any]] = [
        lambda: x + y, lambda: lucid.concatenate([x, y]), lambda: lucid.where(x > 0, y, 0.0),
        lambda: lucid.compile(lambda a, b: a * b)(x, y), lambda: lucid.compile(lambda a: a * y)(x),
    ]  # fmt: skip
    for f in both:
        with pytest.raises(ValueError, match=message):
            f()
    with pytest.raises(ValueError, match=rf"test_residence.py:\d+: .*argument 0 lies on cpu.*'{at}'"):
        lucid.compile(lambda a: a * 2, device=at)(y)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"test_residence.py:\d+: .*one of them"):
        x += y
    with pytest.raises(TraceError, match=rf"test_residence.py:\d+: to: a tensor on {at} cannot move to cpu"):
        lucid.compile(lambda a: a.cpu())(x)
    assert_same_bits(x + Tensor(1.0), X + 1)  # numbers are brought


GIVEN: list[Callable[[Any, Any], Any]] = [
    lambda x, y: lucid.append(x, y),
    lambda x, y: lucid.kron(x, y),
    lambda x, y: lucid.correlate(x[0], y[0]),
    lambda x, y: lucid.nanquantile(x, y[1] / y[1].sum(), axis=0),
    lambda x, y: lucid.masked_fill(x, y > 1, 5.0),
    lambda x, y: lucid.isclose(x, y),
    lambda x, y: nn.functional.mse_loss(x, y),
    lambda x, y: lucid.polyval(y[0], lucid.polyadd(y[0, :2], lucid.polyint(x[0]))),
    lambda x, y: lucid.linalg.solve(x[:, :3] + 9.0 * lucid.eye(3, device=x.device), y),
    lambda x, y: lucid.linalg.lstsq(x, y).solution,
]


@pytest.mark.parametrize("f", GIVEN)
def test_arrays_that_functions_are_given_are_brought(f: Callable[[Any, Any], Any], at: str) -> None:
    y = np.arange(12, dtype=np.float32).reshape(3, 4)
    made = f(Tensor(X, device=at), y)
    assert made.device == at
    assert_same_bits(made, f(Tensor(X), y))
    with pytest.raises(ValueError, match="expected one device"):
        f(Tensor(X, device=at), Tensor(y)).numpy()


def test_compiled_functions_run_where_tensors_lie(at: str) -> None:
    f = lucid.compile(lambda x: lucid.exp(x) * 2)
    first, here, again = f(Tensor(X, device=at)), f(Tensor(X)), f(Tensor(X, device=at))
    assert (first.device, here.device, again.device, f.traces) == (at, "cpu", at, 2)
    assert_same_bits(first, here)
    assert_same_bits(again, here)
    assert f(X).device == "cpu" and lucid.compile(f.__wrapped__, device=at)(X).device == at  # type: ignore[call-overload]
    out = np.zeros_like(X)
    assert f(Tensor(X, device=at), out=out).device == "cpu"
    assert_same_bits(out, here)


def test_indices_are_looked_at(at: str) -> None:
    x, wrong = Tensor(X, device=at), Tensor([7], device=at)

    def chosen(x: Tensor, i: Tensor) -> Tensor:
        return x[i]

    for f in (chosen, lucid.compile(chosen)):
        with pytest.raises(IndexError, match=r"test_residence.py:\d+: index 7 is out of bounds.*size 3"):
            f(x, wrong).numpy()


def trained(device: str, wrap: Callable[[Any], Any]) -> tuple[list[Any], nn.Module]:
    lucid.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).to(device)
    sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    @wrap
    def step(x: Tensor) -> Tensor:
        sgd.zero_grad()
        loss: Tensor = (model(x) ** 2).mean()
        loss.backward()
        sgd.step()
        return loss

    x = Tensor(X, device=device)
    losses = [step(x) for _ in range(2)]
    assert {t.device for t in (*losses, *model.parameters(), *model.buffers())} == {device}
    assert {t.device for kind in sgd.state.values() for t in kind if t.ndim} == {device}
    return [*losses, *model.parameters(), *model.buffers()], model


def test_random_numbers_of_compiled_functions(standin: StandIn) -> None:
    def noisy(x: Tensor) -> Tensor:
        return x * nn.functional.dropout(x, 0.5)

    found = []
    for device in ("cuda", "cpu"):
        lucid.manual_seed(3)
        f = lucid.compile(noisy)
        found.append([f(Tensor(X, device=device)) for _ in range(2)])
    assert_same_bits(*found)
    first, second = (x.numpy() for x in found[0])
    assert not np.array_equal(first, second)
    lucid.rand(1)  # the state has come back


def test_training(standin: StandIn) -> None:
    """Running means, momentum: the bits of the CPU."""
    at = "cuda"
    made, model = trained(at, lucid.compile)
    assert_same_bits(made, trained("cpu", lucid.compile)[0])
    other = copy.deepcopy(model)
    x = Tensor(X, device=at)
    assert_same_bits(other.eval()(x), model.eval()(x))
    state = model.state_dict()
    model.load_state_dict({name: t.cpu() for name, t in state.items()})
    assert {t.device for t in model.parameters()} == {at}
    assert pickle.loads(pickle.dumps(x)).device == "cpu"
    assert model.cpu() is model and {t.device for t in model.parameters()} == {"cpu"}
    assert model(Tensor(X)).device == "cpu"


@pytest.mark.sweep
def test_training_without_compile(at: str) -> None:
    made, wanted = (trained(device, lambda f: f)[0] for device in (at, "cpu"))
    assert all(np.allclose(a.numpy(), b.numpy(), rtol=1e-5) for a, b in zip(made, wanted, strict=True))


def test_a_function_follows_what_it_reads(at: str) -> None:
    model = nn.Linear(4, 2)
    f = lucid.compile(lambda x: model(x))
    want = f(X)
    model.to(at)
    assert_same_bits(f(X), want)  # an array goes where the parameters are
    assert f(X).device == at and f.traces == 2 and f"from cpu to {at}" in str(f.explain())


def copies(standin: StandIn) -> list[str]:
    found = [name for name in standin.calls if name.startswith("cuMemcpy") or "Synchronize" in name]
    standin.calls.clear()
    return found


def test_nothing_is_copied_between_calls(standin: StandIn) -> None:
    step = lucid.compile(lambda x: lucid.tanh(x * 1.5))
    x = Tensor(X, device="cuda")
    step(x)
    copies(standin)
    for _ in range(3):
        x = step(x)
    y = (x + 1).sum(axis=0)
    assert y.shape == (4,) and copies(standin) == []
    y.numpy()
    assert copies(standin) == ["cuMemcpyDtoHAsync_v2", "cuStreamSynchronize"]


def test_parameters_are_overwritten_where_nobody_else_has_them(
    standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "_current_frames", dict)  # workers of pytest-xdist have another thread
    holder: Any = nn.Module()
    holder.w = nn.Parameter(X)
    holder.to("cuda")

    @lucid.compile
    def step() -> None:
        holder.w.data = holder.w.data * 0.5

    step()
    step()
    places = []
    for turn in range(4):
        kept = holder.w.detach() if turn == 2 else None
        before = holder.w._node.data.block.address
        step()
        places.append(holder.w._node.data.block.address == before)
        del kept
    assert places[:2] == [True, True] and not places[2]
    assert_same_bits(holder.w.detach(), X * 0.5**6)


def test_memory_goes_back_in_the_order_of_the_stream(standin: StandIn) -> None:
    x = Tensor(X, device="cuda")
    y = (x * 2).numpy()
    standin.calls.clear()
    del x
    gc.collect()
    assert standin.calls.count("cuMemFreeAsync") == 1 and "memory" not in standin.kept()
    assert_same_bits(y, X * 2)
    f = lucid.compile(lambda x: lucid.cumsum(x * 2, axis=1).sum(axis=0) + 1)
    x = Tensor(X, device="cuda")
    f(x), f(x)
    assert standin.kept().count("memory") == 1  # what calls needed and gave has gone
    assert "cuStreamSynchronize" not in standin.calls[-8:]


def test_explain_tells_how_kernels_are_launched(at: str) -> None:
    f = lucid.compile(lambda x: lucid.softmax(x, axis=1).sum(axis=0))
    f(Tensor(np.ones((1000, 300), np.float32), device=at))
    said = str(f.explain())
    used = ", 40 registers" if at == "cuda" else ""
    for launch in f.ptx("sm_90").launches:
        grid = f"grid {launch.grid}, {launch.entry.threads} threads"
        shared = f"{launch.entry.shared + launch.shared:,} bytes shared"
        assert f"  launch {launch.entry.name}: {grid}, {shared}{used}\n" in said, said


def test_small_arrays_may_change_after_a_call(standin: StandIn) -> None:
    f = lucid.compile(lambda x: x + 1, device="cuda")
    given = np.zeros(4, np.float32)
    result = f(given)
    given[:] = 9
    assert_same_bits(result, np.ones(4, np.float32))
