"""Objects of other libraries as operands, arguments and results; functions that travel."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn

Array = np.ndarray[Any, Any]
X = np.arange(6.0, dtype="f").reshape(2, 3)


class Table:
    """As a DataFrame: an array inside, some of it perhaps no numbers."""

    def __init__(self, values: Any) -> None:
        self.values = np.array(values)
        self.dtypes = [self.values.dtype]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(self.values, dtype=dtype)


# --- arguments -----------------------------------------------------------------------------------


def test_array_likes_are_arguments() -> None:
    f = lucid.compile(lambda x: (x * x).sum())
    table = Table(X)
    for _ in range(4):
        assert f(table).item() == (X * X).sum()
    table.values[0, 0] = 10.0  # in place
    assert f(table).item() == (X * X).sum() + 100  # X[0, 0] is 0
    assert f.traces == 1
    np.testing.assert_array_equal(lucid.grad(f)(table).numpy(), 2 * table.values)


def test_tables_of_more_than_numbers_and_masks_are_refused() -> None:
    mixed = Table(np.array([1.0, "x"], object))
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    for make in (Tensor, lucid.asarray, lucid.compile(lambda x: x + 1), lambda x: Tensor([1.0, 2.0]) + x):
        with pytest.raises(TypeError, match=r"test_interop.py:\d+: .*several dtypes.*numeric columns"):
            make(mixed)
        with pytest.raises(TypeError, match=r"test_interop.py:\d+: .*mask"):
            make(masked)


def test_gradients_of_structures() -> None:
    def f(p: Any) -> Any:
        return (p["w"] * p["w"]).sum() + (p["rest"][0] * 3).sum()

    p = {
        "w": np.ones(2, "f"),
        "rest": [
            Tensor([1.0, 2.0]),
        ],
    }
    for made in (lucid.grad(f)(p), lucid.compile(lucid.grad(f))(p)):
        assert list(made) == ["w", "rest"] and type(made["rest"]) is list
        np.testing.assert_array_equal(made["w"].numpy(), [2, 2])
        np.testing.assert_array_equal(made["rest"][0].numpy(), [3, 3])
    value, (a, b) = lucid.value_and_grad(lambda a, b: (a * b).sum(), argnums=(0, 1))([1.0, 2.0], [3.0, 4.0])
    assert value.item() == 11
    np.testing.assert_array_equal(a.numpy(), [3, 4])
    np.testing.assert_array_equal(b.numpy(), [1, 2])


def test_elements_of_a_value_are_chosen_by_arrays() -> None:
    x = Tensor(X)
    for key in ([1, 0], np.array([True, False]), (slice(None), [2, 0]), (np.array([0, 1]), np.array([1, 2]))):
        np.testing.assert_array_equal(x[key].numpy(), X[key])
    np.testing.assert_array_equal(x[Tensor([1, 0, 0])].numpy(), X[[1, 0, 0]])
    with pytest.raises(IndexError, match=r"test_interop.py:\d+: indexing by arrays"):
        Tensor(X, requires_grad=True)[[1, 0]]
    with pytest.raises(IndexError, match=r"test_interop.py:\d+: indexing by arrays"):
        lucid.compile(lambda x: x[[1, 0]])(X)
    with pytest.raises(IndexError):
        x[[5]]


def test_memory_of_a_value() -> None:
    x = Tensor(X)
    assert x.ctypes.data == x.numpy().ctypes.data


def test_torch_and_lucid() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is no dependency")
    for x in (Tensor(X), Tensor(2.0)):
        np.testing.assert_array_equal(torch.as_tensor(x).numpy(), x.numpy())
    f = lucid.compile(lambda x: x + 1)
    for _ in range(3):
        np.testing.assert_array_equal(f(torch.ones(2)).numpy(), [2, 2])


# --- lines ---------------------------------------------------------------------------------------


def test_errors_name_the_users_line_and_not_a_librarys(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    source = "def call(f, *args):\n    return f(*args)\n"
    library = types.ModuleType("library")
    exec(compile(source, str(folder / "library.py"), "exec"), vars(library))
    x = Tensor(X)
    with pytest.raises(ValueError, match=r"^\S*test_interop.py:\d+: ") as caught:
        library.call(lambda a, b: a.reshape(5), x, x)
    line = re.search(r"py:(\d+)", str(caught.value))
    assert line is not None
    with pytest.raises(ValueError, match=rf"test_interop.py:{int(line[1]) + 4}: "):
        library.call(x.reshape, 5)


# --- functions that travel -----------------------------------------------------------------------


def plain(x: Any) -> Any:
    return (x * x).sum()


@lucid.compile
def decorated(x: Any) -> Any:
    return (x * x).sum()


@lucid.grad
def slope(x: Any) -> Any:
    return (x * x).sum()


class Net(nn.Module):
    def __init__(self) -> None:
        self.linear = nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        return self.linear(x)


@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda: lucid.compile(plain, threads=1), lambda: decorated, lambda: slope, lambda: lucid.grad(plain),
        lambda: lucid.value_and_grad(plain), lambda: lucid.compile(lucid.grad(plain)),
        lambda: lucid.compile(Net()),
    ],
)  # fmt: skip
def test_functions_pickle_and_copy(make: Any, warm: int) -> None:
    f = make()
    for _ in range(warm):
        f(X)

    def value(found: Any) -> Any:
        return [np.asarray(t) for t in found] if isinstance(found, tuple) else [np.asarray(found)]

    expected = value(f(X))
    for g in (pickle.loads(pickle.dumps(f)), copy.copy(f), copy.deepcopy(f)):
        assert type(g) is type(f)
        for a, b in zip(value(g(X)), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    if f in (decorated, slope):
        assert pickle.loads(pickle.dumps(f)) is f


def call_in_child(f: Any) -> float:
    return float(np.asarray(f(X)).sum())


def test_functions_go_to_processes_that_are_spawned() -> None:
    f = lucid.compile(lucid.grad(plain))
    f(X)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(call_in_child, [f, slope]) == [float(2 * X.sum())] * 2


def test_cloudpickle() -> None:
    cloudpickle = pytest.importorskip("cloudpickle", reason="cloudpickle is no dependency")
    f = lucid.compile(lambda x: (x * 3).sum())
    f(X)
    assert pickle.loads(cloudpickle.dumps(f))(X).item() == 45
    assert sys.modules["pickle"] is pickle
