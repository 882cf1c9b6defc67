"""Batches of examples, devices by PyTorch's names, and a training loop that has them all."""

from __future__ import annotations

import pickle
from collections import namedtuple
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)

X = np.arange(20, dtype="f").reshape(10, 2)
Y = np.arange(10)


class Squares(Dataset):
    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": np.float32(index) ** 2, "name": f"n{index}", "pair": (index, [float(index)])}

    def __len__(self) -> int:
        return 5


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[int]:
        return iter(range(7))

    def __len__(self) -> int:
        return 7


def rows(loader: Any) -> list[list[float]]:
    return [np.asarray(x).tolist() for x in loader]


def test_batches_and_the_smaller_last_one() -> None:
    loader = DataLoader(TensorDataset(lucid.tensor(X), lucid.tensor(Y)), batch_size=4)
    batches = list(loader)
    assert len(loader) == 3 and [x.shape for x, _ in batches] == [(4, 2), (4, 2), (2, 2)]
    np.testing.assert_array_equal(np.concatenate([y.numpy() for _, y in batches]), Y)
    assert isinstance(batches[0], list) and batches[0][0].dtype == np.float32
    assert len(DataLoader(loader.dataset, 4, drop_last=True)) == 2 == len([*DataLoader(Subset(Y, Y), 5)])
    assert [x.shape for x, _ in DataLoader(loader.dataset, None)] == [(2,)] * 10


def test_orders() -> None:
    loader = DataLoader(Y, batch_size=3, shuffle=True, generator=lucid.Generator().manual_seed(3))
    first, second = ([*chain(*rows(loader))] for _ in range(2))
    assert first != second and sorted(first) == sorted(second) == Y.tolist()
    again = DataLoader(Y, batch_size=3, shuffle=True, generator=lucid.Generator().manual_seed(3))
    assert [*chain(*rows(again))] == first
    parts = BatchSampler(SequentialSampler(Y), 4, drop_last=True)
    assert rows(DataLoader(Y, batch_sampler=parts)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert rows(DataLoader(Y, 2, sampler=[7, 1, 3])) == [[7, 1], [3]]
    drawn = WeightedRandomSampler([0.0, 1.0, 0.0], 5)
    assert rows(DataLoader(Y, 5, sampler=drawn)) == [[1] * 5]


def test_parts_of_data_sets() -> None:
    both = TensorDataset(X[:3]) + TensorDataset(X[3:])
    assert isinstance(both, ConcatDataset) and len(both) == 10
    np.testing.assert_array_equal(both[5][0], X[5])
    np.testing.assert_array_equal(both[-1][0], X[9])
    for lengths, sizes in (([7, 3], [7, 3]), ([0.5, 0.25, 0.25], [6, 2, 2])):
        found = random_split(Y, lengths)
        assert [len(p) for p in found] == sizes
        assert sorted(k for part in found for k in (part[j] for j in range(len(part)))) == Y.tolist()


def test_examples_of_all_kinds_are_put_together() -> None:
    (batch,) = DataLoader(Squares(), batch_size=5)
    assert batch["x"].tolist() == [0, 1, 4, 9, 16] and batch["x"].dtype == np.float32
    assert batch["name"] == ["n0", "n1", "n2", "n3", "n4"] and batch["pair"][0].dtype == np.int64
    assert batch["pair"][1][0].dtype == np.float64
    Pair = namedtuple("Pair", "a b")
    found = default_collate([Pair(1, lucid.ones(2)), Pair(2, lucid.zeros(2))])
    assert type(found) is Pair and found.b.tolist() == [[1, 1], [0, 0]]
    assert rows(DataLoader(Stream(), 3)) == [[0, 1, 2], [3, 4, 5], [6]] and len(DataLoader(Stream(), 3)) == 3
    assert [*DataLoader(Squares(), 2, collate_fn=len)] == [2, 2, 1]
    p = lucid.ones(2, requires_grad=True)
    default_collate([p, p * 2]).sum().backward()
    assert p.grad is not None and p.grad.tolist() == [3, 3]
    p = lucid.ones(3, requires_grad=True)
    ((x,),) = DataLoader(TensorDataset(p), batch_size=3)
    (x * x).sum().backward()
    assert p.grad is not None and p.grad.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: DataLoader(Y, 0), "batch_size is an int above 0"),
        (lambda: DataLoader(Y, 2, shuffle=True, sampler=[1]), "one of shuffle, sampler and batch_sampler"),
        (lambda: DataLoader(Stream(), 2, shuffle=True), "none of an IterableDataset's"),
        (lambda: TensorDataset(X, Y[:4]), r"as many examples, not \(10, 2\), \(4,\)"),
        (lambda: random_split(Y, [4, 4]), "do not add up to 10"),
        (lambda: default_collate([(1,), (1, 2)]), "give a collate_fn"),
        (lambda: default_collate([object()]), "default_collate: a object"),
        (lambda: Dataset()[0], "has no __getitem__"),
    ],
)
def test_errors(call: Callable[[], Any], text: str) -> None:
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=r"test_data.py:\d+: .*" + text):
        call()


def test_a_loop_as_pytorchs_users_write_it() -> None:
    device = lucid.device("cuda" if lucid.cuda.is_available() else "cpu")
    lucid.manual_seed(0)
    model = nn.Linear(2, 1).to(device)
    opt = lucid.optim.SGD(model.parameters(), lr=1e-3)
    target = X @ np.array([[1.0], [-1.0]], "f")
    loader = DataLoader(TensorDataset(X, target), batch_size=4, shuffle=True, num_workers=2, pin_memory=True)

    @lucid.compile
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = nn.functional.mse_loss(lucid.utils.checkpoint.checkpoint(model, x, use_reentrant=False), y)
        loss.backward()
        opt.step()
        return loss

    losses = []
    for _ in range(20):
        total = 0.0
        for x, y in loader:
            total += step(x.to(device), y.to(device)).item() * len(x)
        losses.append(total)
    assert losses[-1] < losses[0] * 0.5 and step.traces == 2


def test_devices_by_pytorchs_names() -> None:
    device = lucid.device("cpu")
    assert device == "cpu" and (device.type, device.index) == ("cpu", None) and device is lucid.device(device)
    assert lucid.device("cuda", 0) == lucid.device("cuda:0") and lucid.device("cuda:0").index == 0
    assert lucid.ones(2, device=device).device.type == "cpu" and isinstance(device, lucid.device)
    assert pickle.loads(pickle.dumps(device)) is device
    assert lucid.cuda.device_count() == int(lucid.cuda.is_available())
    f = lucid.compile(lambda x, d: x * (2 if d.type == "cpu" else 3))
    assert (
        f(lucid.ones(1), device).item() == f(lucid.ones(1), lucid.device("cpu")).item() == 2 and f.traces == 1
    )
    with pytest.raises(ValueError, match="expected one of cpu, ptx-sim, cuda, not 'mps'"):
        lucid.device("mps")
