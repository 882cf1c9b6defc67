"""What a compiled function reads outside of tensors is never stale: it is a fact, or the trace raises."""

from __future__ import annotations

import datetime
import importlib
import inspect
import itertools
import os
import random
import secrets
import time
import uuid
import weakref
from collections import ChainMap, UserDict, UserList
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid

X = np.ones(2, np.float32)
LARGE = 300_000  # elements of 8 bytes: beyond what is copied


class Column:
    """Stands for a Series: an array that no attribute leads to."""

    __slots__ = ("_read", "_write")

    def __init__(self, values: list[float]) -> None:
        data = np.array(values)
        self._read, self._write = data.__getitem__, data.__setitem__

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._read(slice(None)).astype(dtype or np.float64)

    def __getitem__(self, k: Any) -> float:
        return float(self._read(k))

    def __setitem__(self, k: Any, value: float) -> None:
        self._write(k, value)


Column.__module__ = "numpy"  # that of a library


class Place:
    value = 1.0


def _follows(f: Callable[[Any], Any], change: Callable[[], object]) -> None:
    compiled = lucid.compile(f)
    for _ in range(3):
        np.testing.assert_array_equal(compiled(X).numpy(), f(lucid.Tensor(X)).numpy())
    before = f(lucid.Tensor(X)).numpy()
    change()
    for _ in range(3):
        np.testing.assert_array_equal(compiled(X).numpy(), f(lucid.Tensor(X)).numpy())
    assert not np.array_equal(before, compiled(X).numpy())


def test_an_object_of_a_library_that_is_changed_in_place() -> None:
    column = Column([1.0, 2.0])
    _follows(lambda x: x + column[0], lambda: column.__setitem__(0, 5.0))


class Table(Column):
    """Columns of several dtypes, as of a DataFrame."""

    def __init__(self, *columns: list[Any]) -> None:
        data = np.array(columns, dtype=object)
        self._read, self._write = data.__getitem__, data.__setitem__
        self.dtypes = [type(column[0]) for column in columns]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._read(slice(None)).astype(dtype or object)


Table.__module__ = "numpy"


def test_a_table_of_several_dtypes_that_is_changed_in_place() -> None:
    """It is no array of numbers, but what it holds can be compared."""
    table = Table([1.0, 2.0], ["a", "b"])
    _follows(lambda x: x + table[0, 0], lambda: table.__setitem__((0, 0), 5.0))
    with pytest.raises(TypeError, match="several dtypes"):
        lucid.Tensor(table)


def test_a_series_that_is_changed_in_place() -> None:
    pd = pytest.importorskip("pandas")
    series = pd.Series([1.0, 2.0])
    _follows(lambda x: x + float(series[0]), lambda: series.__setitem__(0, 5.0))
    other = pd.Series([1.0, 2.0])
    _follows(lambda x: x + other.to_numpy(), lambda: other.__setitem__(0, 5.0))
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    _follows(lambda x: x + float(frame["a"][0]), lambda: frame.__setitem__("a", [7.0, 8.0]))
    _follows(lambda x: x + frame.shape[1], lambda: frame.__setitem__("c", [7.0, 8.0]))


def test_a_tensor_of_another_library() -> None:
    torch = pytest.importorskip("torch")
    t = torch.ones(2)
    _follows(lambda x: x + t.sum().item(), lambda: t.__setitem__(0, 5.0))
    w = torch.ones(2, requires_grad=True)
    _follows(lambda x: x + w.sum().item(), lambda: w.detach().__setitem__(0, 5.0))


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_TEST_NUMBER", "1")
    get, values = iter((3, 4, 5, 6)), os.environ

    def change() -> None:
        monkeypatch.setenv("LUCID_TEST_NUMBER", str(next(get)))

    getenv = os.getenv
    _follows(lambda x: x + float(os.environ["LUCID_TEST_NUMBER"]), change)
    _follows(lambda x: x + float(os.getenv("LUCID_TEST_NUMBER") or 0), change)
    _follows(lambda x: x + float(getenv("LUCID_TEST_NUMBER") or 0), change)
    _follows(lambda x: x + float(values.get("LUCID_TEST_NUMBER") or 0), change)


def test_containers_of_the_standard_library() -> None:
    below = {"a": 1.0}
    chain = ChainMap({}, below)
    _follows(lambda x: x + chain["a"], lambda: below.__setitem__("a", 5.0))
    own = UserDict(a=1.0)
    _follows(lambda x: x + own["a"], lambda: own.__setitem__("a", 5.0))
    items = UserList([1.0])
    _follows(lambda x: x + items[0], lambda: items.__setitem__(0, 5.0))


def test_weak_references() -> None:
    place = Place()
    reference: Any = weakref.ref(place)
    _follows(lambda x: x + reference().value, lambda: setattr(place, "value", 5.0))
    array = np.ones(3)
    to_array: Any = weakref.ref(array)
    _follows(lambda x: x + float(to_array()[0]), lambda: array.__setitem__(0, 5.0))


def test_buffers() -> None:
    data = bytearray(b"12")
    view = memoryview(data)
    _follows(lambda x: x + view[0], lambda: data.__setitem__(0, 5))


@pytest.mark.filterwarnings("ignore:.*compares its content")
@pytest.mark.parametrize("n", [2, LARGE])
def test_an_array_read_as_numbers(n: int) -> None:
    array = np.zeros(n)
    _follows(lambda x: x + float(array[-1]), lambda: array.__setitem__(-1, 5.0))
    _follows(lambda x: x + float(array[0]), lambda: array.__setitem__(slice(None), array[::-1].copy()))
    signs = np.zeros(n)
    _follows(lambda x: x + np.copysign(1.0, signs[1]), lambda: signs.__setitem__(1, -0.0))
    things = np.array([1.0, "a"], dtype=object)
    _follows(lambda x: x + things[0], lambda: things.__setitem__(0, 5.0))


def test_a_large_array_read_as_numbers_says_what_it_costs() -> None:
    array = np.zeros(LARGE)
    with pytest.warns(UserWarning, match="array of 2 MiB: each call compares its content"):
        lucid.compile(lambda x: x + float(array[0]))(X)


def _generator() -> Iterator[float]:
    while True:
        yield 1.0


ITEMS = iter([1.0, 2.0, 3.0])
PAIRS = zip(iter([1.0, 2.0]), iter([1.0, 2.0]), strict=True)
COUNT = itertools.count()
GENERATOR = _generator()
CLOCK = time.perf_counter
SYSTEM = random.SystemRandom()


@pytest.mark.parametrize(
    ("f", "what"),
    [
        (lambda x: x + next(ITEMS), "takes an item of ITEMS"),
        (lambda x: x + next(PAIRS)[0], "takes an item of PAIRS"),
        (lambda x: x + next(COUNT), "takes an item of COUNT"),
        (lambda x: x + next(GENERATOR), "takes an item of an iterator"),
        (lambda x: x + time.time(), "reads a clock"),
        (lambda x: x + CLOCK(), "reads a clock"),
        (lambda x: x + datetime.datetime.now().second, "reads a clock"),
        (lambda x: x + secrets.randbelow(5), "draws random numbers"),
        (lambda x: x + os.urandom(1)[0], "draws random numbers"),
        (lambda x: x + uuid.uuid4().int % 3, "draws random numbers"),
        (lambda x: x + SYSTEM.random(), "draws random numbers"),
        (lambda x: x + len(Path(__file__).read_text()), "reads a file"),
        (lambda x: x + len(open(__file__).read()), "reads a file"),  # noqa: SIM115
        (lambda x: x + np.fromfile(__file__, np.uint8, 2), "reads a file"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_another_thing_at_each_call_raises(f: Callable[[Any], Any], what: str) -> None:
    line = inspect.getsourcelines(f)[1]
    for _ in range(2):
        with pytest.raises(lucid.TraceError, match=rf"(?s)test_stale.py:{line}: .*{what}"):
            lucid.compile(f)(X)


def test_an_open_file(tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("1\n2\n3\n")
    with (tmp_path / "numbers").open() as lines:
        with pytest.raises(lucid.TraceError, match="reads a file"):
            lucid.compile(lambda x: x + float(lines.readline()))(X)
        with pytest.raises(lucid.TraceError, match="takes an item of lines"):
            lucid.compile(lambda x: [x + float(line) for line in lines][0])(X)  # noqa: RUF015


def test_clocks_and_files_that_are_not_read_are_no_matter(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("w")
    started, unused = time.time, iter([1.0])

    def f(x: Any, timed: bool = False) -> Any:
        print("traced", file=log)
        with (tmp_path / "other").open("w") as other:
            other.write("traced")
        if timed:
            return x + started() + next(unused)
        return x * 2

    np.testing.assert_array_equal(lucid.compile(f)(X).numpy(), 2)
    log.close()
    assert "traced" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("n", [2, LARGE])
def test_an_array_that_is_an_input_and_changed_in_place_raises(n: int) -> None:
    state, x = np.zeros(n), np.ones(n)

    def after(x: Any) -> Any:
        r = x + state
        state[:] = state + 1
        return r

    def before(x: Any) -> Any:
        state[-1] += 1
        return x + state

    def by_a_view(x: Any) -> Any:
        r = x + state[:]
        state.sort()
        state[0] -= 1
        return r

    for f in (after, before, by_a_view):
        with pytest.raises(lucid.TraceError, match="changes the array state while it is traced"):
            lucid.compile(f)(x)


def test_what_changes_in_plain_containers_is_traced_again() -> None:
    items, table, count = [0.0], {"n": 0.0}, np.zeros(2)

    @lucid.compile
    def f(x: Any) -> Any:
        r = x + (items[0] + table["n"] + float(count[0]))
        items[0] += 1
        table["n"] += 10
        count[0] += 100
        return r

    for k in range(4):
        np.testing.assert_array_equal(f(X).numpy(), 1 + 111 * k)
    assert (items[0], table["n"], count[0]) == (4, 40, 400)


def test_an_object_of_a_library_that_keeps_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its methods read them, and user code does not name them: a fitted model, a sparse matrix."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "fitting.py").write_text(
        "import numpy as np\n"
        "class Model:\n"
        "    def fit(self, k):\n"
        "        self.coef_ = np.array([k])\n"
        "        self.parts = {'bias': np.array([0.0])}\n"
        "        return self\n"
        "    def predict(self, x):\n"
        "        return x * self.coef_[0] + self.parts['bias'][0]\n"
    )
    monkeypatch.syspath_prepend(folder)
    fitting = importlib.import_module("fitting")
    model = fitting.Model().fit(2.0)
    f = lucid.compile(lambda x: x * float(model.predict(1.0)))
    x = np.ones(2, "f")
    for _ in range(4):
        assert f(x).tolist() == [2, 2]
    model.fit(5.0)
    assert f(x).tolist() == [5, 5]
    model.coef_[0] = 7.0
    assert f(x).tolist() == [7, 7]
    model.parts["bias"][0] = 1.0
    assert f(x).tolist() == [8, 8]


class _Keys(dict[str, float]):
    """The attribute dictionary that many programs have: a name that is not there is a KeyError."""

    __getattr__ = dict.__getitem__


class _Refuses:
    k = 2.0

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("held", [_Keys(k=2.0), _Refuses()], ids=["KeyError", "RuntimeError"])
def test_a_getattr_that_raises_what_it_will_is_not_asked_for_names_of_our_own(held: Any) -> None:
    read, given = lucid.compile(lambda x: x * held.k), lucid.compile(lambda x, o: x * o.k)
    x = lucid.ones(2)
    assert [read(x).tolist(), read(x).tolist(), given(x, held).tolist()] == [[2.0, 2.0]] * 3
    if isinstance(held, dict):
        held["k"] = 3.0
    else:
        held.k = 3.0
    assert read(x).tolist() == given(x, held).tolist() == [3.0, 3.0]


def test_pointers_of_ctypes_that_a_function_reaches() -> None:
    """Their buffers have a format that NumPy does not know."""
    import ctypes

    held = {"callback": ctypes.CFUNCTYPE(None)(lambda: None), "number": ctypes.c_int(3), "scale": 2.0}
    step = lucid.compile(lambda x: x * held["scale"] + len(held))
    x = np.ones(2, np.float32)
    assert step(x).tolist() == step(x).tolist() == [5, 5]
    held["scale"] = 3.0
    assert step(x).tolist() == [6, 6]


def test_masked_arrays_that_a_function_reaches() -> None:
    """Their constant has methods that fail; a mask that changes is a change."""
    part = np.ma.array([1.0, 2.0], mask=[False, True])
    held: dict[str, Any] = {"none": np.ma.masked, "part": part, "scale": 2.0}
    step = lucid.compile(lambda x: x * held["scale"] + float(held["part"].sum()))
    x = np.ones(2, np.float32)
    assert step(x).tolist() == step(x).tolist() == [3, 3]
    part.mask = [False, False]
    assert step(x).tolist() == [5, 5]
