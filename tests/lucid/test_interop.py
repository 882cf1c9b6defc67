"""Objects of other libraries as operands, arguments and results; functions that travel."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import re
import subprocess
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


# What a script defines lives in `__main__`, which other processes cannot import.
SCRIPT = """
import copy, multiprocessing, pickle, sys
import numpy as np
import lucid

@lucid.compile
def loss(w, x, y):
    return ((x @ w - y) ** 2).mean()

@lucid.compile
@lucid.value_and_grad
def both(w, x, y):
    return loss(w, x, y)

slope = lucid.compile(lucid.grad(loss))

Base = object
if sys.argv[1:] == ["sklearn"]:
    from sklearn.base import BaseEstimator as Base

class Model(Base):
    def __init__(self, lr=0.1):
        self.lr = lr

    def fit(self, x, y):
        self.w = np.zeros(x.shape[1])
        for _ in range(50):
            _, g = both(self.w, x, y)
            assert np.array_equal(g.numpy(), slope(self.w, x, y).numpy())
            self.w = self.step(self.w, g)
        return self

    @lucid.compile
    def step(self, w, g):
        return w - self.lr * g

    def score(self, x, y):
        return -loss(self.w, x, y).item()

def work(model):
    return model.fit(x, y).score(x, y)

rng = np.random.default_rng(0)
x = rng.normal(size=(60, 3))
y = x @ [1.0, 2.0, 3.0]
for function in (loss, both):  # those of this process are found by name
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        assert pickle.loads(pickle.dumps(function, protocol)) is function
    assert copy.deepcopy(function) is function
if __name__ == "__main__":
    assert work(Model()) > -1e-3
    assert both.__wrapped__.__qualname__ == "both"
    %s
    print("all is well")
"""
WAYS = {
    "multiprocessing": """with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(work, [Model()]) == [work(Model())]""",
    "cloudpickle": """import cloudpickle, subprocess
    parts = cloudpickle.dumps((work, Model(), Model.step, loss, both, slope))
    child = "import sys, pickle; work, model, *_ = pickle.load(sys.stdin.buffer); print(work(model))"
    run = subprocess.run([sys.executable, "-c", child], input=parts, stdout=subprocess.PIPE, check=True)
    assert float(run.stdout) == work(Model())
    again, more = pickle.loads(parts)[3:5]  # a Dask worker may be a thread of this process
    assert again is not loss and again.__qualname__ == "loss"
    np.testing.assert_array_equal(more(x[0], x, y)[1].numpy(), both(x[0], x, y)[1].numpy())""",
    "joblib": """from joblib import Parallel, delayed
    assert Parallel(n_jobs=2)(delayed(work)(Model()) for _ in range(2)) == [work(Model())] * 2""",
    "sklearn": """from sklearn.model_selection import GridSearchCV
    search = GridSearchCV(Model(), {"lr": [1e-3, 1e-1]}, n_jobs=2, cv=2, error_score="raise").fit(x, y)
    assert search.best_params_ == {"lr": 0.1}""",
}


@pytest.mark.parametrize("way", WAYS)
def test_decorated_functions_of_a_script_go_to_other_processes(way: str, tmp_path: Path) -> None:
    pytest.importorskip(way, reason=f"{way} is no dependency")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT % WAYS[way])
    run = subprocess.run([sys.executable, str(script), way], capture_output=True, text=True, timeout=300)
    assert run.stdout.splitlines()[-1:] == ["all is well"], run.stderr
