"""What a call costs, and contracts about it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import lucid

pytestmark = pytest.mark.report

N = 1000
X = np.linspace(-1, 1, N, dtype="float32")
M = np.ones((30, 40), "float32")


def loss(x: Any, y: Any) -> Any:
    return lucid.nn.functional.huber_loss(x, y)


def two_passes(x: Any) -> Any:
    return (x / x.sum()).sum()


def test_a_loss_with_its_gradient() -> None:
    f = lucid.compile(lucid.value_and_grad(loss))
    cost = f.cost(X, X + 1)
    assert (cost.kernels, cost.bytes, cost.temp_bytes) == (1, 3 * 4 * N + 4, 64)
    assert 5 * N < cost.flops < 20 * N
    assert str(cost).startswith("1 kernels, 12,004 bytes moved, ")


def test_cost_compiles_and_runs_nothing() -> None:
    w = lucid.nn.Parameter(lucid.ones(3))
    opt = lucid.optim.SGD([w], lr=0.5)

    @lucid.compile
    def step(x: Any) -> Any:
        opt.zero_grad()
        value = (w * x).sum()
        value.backward()
        opt.step()
        return value

    x = np.ones(3, "float32")
    first = step.cost(x)
    assert step.traces == 1 and w.numpy().tolist() == [1, 1, 1]
    assert step(x).item() == 3 and w.numpy().tolist() == [0.5] * 3
    assert step.cost(x) == first and w.numpy().tolist() == [0.5] * 3
    with pytest.raises(TypeError, match="missing"):
        step.cost()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "f, args, flops",
    [
        (lambda x, y: x + y, (X, X), N),
        (lambda x: x.sum(), (X,), N),
        (lambda x, y: x @ y.T, (M, M), 2 * 30 * 30 * 40),
        (lambda x: x.T[::-1], (M,), 0),
        (lambda x: lucid.where(x > 0, -x, abs(x)), (X,), 0),
        (lambda x: x.cumsum(axis=0), (M,), 1200),
        (lambda x, k: x[k], (X, np.array([1, 2])), 0),
        (lambda k: k * k, (np.arange(5),), 0),
        (lambda x: lucid.linalg.solve(x, x * 2), (np.eye(4, dtype="float32"),), 16),
        (lambda x: lucid.nn.functional.conv2d(x, x[:, :, :3, :3]), (np.ones((1, 1, 5, 5), "f"),), 2 * 9 * 9),
    ],
)  # fmt: skip
def test_flops(f: Any, args: tuple[Any, ...], flops: int) -> None:
    assert lucid.compile(f).cost(*args).flops == flops


def test_contracts_that_hold() -> None:
    f = lucid.compile(lucid.value_and_grad(loss), max_kernels=1, max_bytes=12 * N + 4, max_temp_bytes=64)
    assert f(X, X)[0].item() == 0
    again = pickle.loads(pickle.dumps(lucid.compile(loss, max_kernels=1)))
    assert again.limits.max_kernels == 1 and again(X, X).item() == 0


def test_a_broken_contract_says_why() -> None:
    f = lucid.compile(two_passes, max_kernels=1)
    with pytest.raises(
        lucid.ContractError, match=r"two_passes: 2 kernels, and max_kernels=1 was asked"
    ) as error:
        f(X)
    lines = str(error.value).splitlines()
    assert sum(line.startswith("  kernel ") for line in lines) == 2
    assert "    needs what kernel 0 writes, once all of its blocks are done" in lines
    with pytest.raises(
        lucid.ContractError, match=r"kernel 1, .*\n    has no array in common with those before"
    ):
        lucid.compile(lambda x, y: (x * 2, y.sum(axis=0)), max_kernels=1)(X, M)
    with pytest.raises(lucid.ContractError, match="max_bytes=100 "):
        lucid.compile(max_bytes=100)(loss)(X, X)
    with pytest.raises(lucid.ContractError, match="max_temp_bytes=0 "):
        lucid.compile(lambda x: lucid.sort(x * 2).cumsum(axis=0) @ x, max_temp_bytes=0)(X)
    with pytest.raises(lucid.ContractError):  # each time, and for other sizes
        f(X[:10])


def test_a_broken_contract_changes_nothing() -> None:
    w = lucid.nn.Parameter(lucid.ones(N))
    opt = lucid.optim.SGD([w], lr=0.5)

    @lucid.compile(max_bytes=1)
    def step(x: Any) -> Any:
        opt.zero_grad()
        value = (w * x).sum()
        value.backward()
        opt.step()
        return value

    with pytest.raises(lucid.ContractError):
        step(X)
    assert w.grad is None and np.all(w.numpy() == 1)


def test_methods_have_the_contract_of_their_class() -> None:
    class Model:
        @lucid.compile(max_kernels=1)
        def total(self, x: Any) -> Any:
            return two_passes(x)

    with pytest.raises(lucid.ContractError):
        Model().total(X)


@pytest.mark.parametrize("value, kind", [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_what_is_no_count(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="compile: max_kernels must be"):
        lucid.compile(loss, max_kernels=value)


def test_bytes_are_those_of_the_arrays() -> None:
    """Of a map each input is read once, and the output written once."""
    f = lucid.compile(lambda x, y: x * 2 + y)
    assert f.cost(M, M).bytes == 3 * M.nbytes


def test_bytes_that_two_views_share_are_counted_once() -> None:
    x = np.zeros((17, 8), "float32")
    views: tuple[tuple[Any, int], ...] = (
        (lambda x: x[1:] - x[:-1], 17 * 8),
        (lambda x: x[2:5] * x[4:7], 5 * 8),
        (lambda x: x[:, ::2] + x[:, 1:5], 17 * 6),
        (lambda x: x[::-1] * x, 17 * 8),
        (lambda x: x + x[3, 5], 17 * 8),
    )
    for f, read in views:
        assert lucid.compile(f).cost(x).bytes == 4 * (read + f(x).size)
