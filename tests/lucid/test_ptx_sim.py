"""`device="ptx-sim"`: calls run the PTX of their kernels in the simulator, and give the bits of the CPU."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim

Array = np.ndarray[Any, Any]


def arrays(*shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def test_a_training_step_updates_in_place() -> None:
    """Loss, gradients and Adam, whose state and parameters are overwritten: a race would be reported."""
    x, y = arrays((20, 4), (20, 3))

    def steps(compile: Callable[..., Any]) -> tuple[list[float], list[Array]]:
        lucid.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
        adam = optim.Adam(model.parameters(), lr=0.1)

        @compile
        def step(x: Tensor, y: Tensor) -> Tensor:
            adam.zero_grad()
            loss = nn.functional.huber_loss(model(x), y)
            loss.backward()
            adam.step()
            return loss

        losses = [step(x, y).item() for _ in range(2)]
        return losses, [p.numpy() for p in model.parameters()]

    losses, parameters = steps(lucid.compile)
    others, found = steps(lucid.compile(device="ptx-sim"))
    assert losses == others and losses[1] < losses[0]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(parameters, found, strict=True))


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return lucid.softmax(q @ k.T / 4.0, axis=-1) @ v


def order(x: Tensor) -> tuple[Tensor, ...]:
    return lucid.sort(x, axis=1), lucid.cumsum(x, axis=0), x[:, ::2].T


def chosen(x: Tensor) -> Tensor:
    at = lucid.argmax(x, axis=1)
    return lucid.take_along_axis(x, at[:, None], axis=1) + x.at[0].add(x[1])


@pytest.mark.parametrize(
    "f, shapes", [(attention, [(9, 16), (40, 16), (40, 8)]), (order, [(5, 12)]), (chosen, [(9, 9)])]
)
def test_the_bits_of_the_cpu(f: Callable[..., Any], shapes: list[tuple[int, ...]]) -> None:
    given = arrays(*shapes)
    want, got = lucid.compile(f)(*given), lucid.compile(f, device="ptx-sim")(*given)
    pairs = zip(want, got, strict=True) if isinstance(want, tuple) else [(want, got)]
    assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in pairs)


def test_calls_are_those_of_the_cpu_otherwise() -> None:
    f = lucid.compile(lambda x, i: x[i] * 2.0, device="ptx-sim")
    x, i = arrays((6,))[0], np.array([5, -1])
    out = np.zeros(2, np.float32)
    assert f(x, i, out=out).numpy() is not None and (out == x[5] * 2).all()
    for bad in (6, -7):
        with pytest.raises(IndexError, match=f"{bad}"):
            f(x, np.array([0, bad]))
    assert f.traces == 1
    assert ".target sm_90" in f.ir("ptx") and ".target sm_75" in f.ir("ptx", arch="sm_75")
    assert "ptx_kernel" in f.ir("llvm") and ".visible .entry" in f.ir("asm")
    assert pickle.loads(pickle.dumps(lucid.compile(attention, device="ptx-sim"))).device == "ptx-sim"


def test_what_is_unknown() -> None:
    with pytest.raises(ValueError, match="unknown device 'tpu'; expected one of cpu, ptx-sim, cuda"):
        lucid.compile(attention, device="tpu")  # type: ignore[call-overload]
    f = lucid.compile(lambda x: x + 1)
    with pytest.raises(RuntimeError, match="has not been called"):
        f.ptx("sm_90")
    f(np.ones(3, np.float32))
    for look in (lambda: f.ptx("sm_1"), lambda: f.ir("ptx", "sm_1")):
        with pytest.raises(ValueError, match="unknown architecture 'sm_1'; expected one of sm_75"):
            look()


def test_how_a_launch_is_described() -> None:
    f = lucid.compile(lambda x: (x * 3).sum())
    f(np.ones(40_000, np.float32))
    found = f.ptx("sm_80")
    run, finish = found.launches
    assert (run.grid, run.entry.threads, finish.grid, finish.entry.threads) == (2, 128, 1, 32)
    assert [slot.name for slot in run.entry.slots][:3] == ["a0", "o0", "part.r0"]
    assert "  a0: .u64, input 0 f32[40000]" in str(found)
    assert found.modules[run.code.key].startswith("//")
