"""Compiled functions as native calls: Python is not asked where nothing has changed, and is where
something has."""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn, optim
from lucid.runtime import call, pool

pytestmark = pytest.mark.skipif(not call.available(), reason="no native call path here")
Array = np.ndarray[Any, Any]


def numbers(*shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def served(f: Any) -> int:
    """How many calls Python has served without a trace."""
    return sum(sum(r.served.values()) for found in f._cache.values() for r in found)


def natively(f: Any, *args: Any, **kwargs: Any) -> Any:
    """The result of a call that no Python code serves."""
    before = served(f), f.traces
    result = f(*args, **kwargs)
    assert (served(f), f.traces) == before
    return result


def in_python(f: Any, *args: Any, **kwargs: Any) -> Any:
    """The result of a call that Python serves."""
    before = served(f), f.traces
    result = f(*args, **kwargs)
    assert (served(f), f.traces) != before
    return result


def warm(f: Any, *args: Any, **kwargs: Any) -> None:
    for _ in range(2):
        f(*args, **kwargs)


# --- arguments and results -----------------------------------------------------------------------


def test_arrays_and_tensors() -> None:
    f = lucid.compile(lambda x, y: x * 2 + y)
    x, y = numbers(10), Tensor(numbers(10))
    warm(f, x, y)
    result = natively(f, x, y)
    assert type(result) is Tensor
    assert not result.requires_grad
    assert result.grad is None
    np.testing.assert_array_equal(result.numpy(), x * 2 + y.numpy())
    np.testing.assert_array_equal(natively(f, x, result).numpy(), x * 2 + result.numpy())
    np.testing.assert_array_equal((result + 1).numpy(), result.numpy() + 1)
    in_python(f, x, y.numpy())  # another signature
    natively(f, x, y)


def test_equal_dtypes_that_are_other_objects() -> None:
    f = lucid.compile(lambda x: x * 2)
    x = numbers(10)
    warm(f, x)
    pickled = pickle.loads(pickle.dumps(x))
    assert pickled.dtype is not x.dtype
    np.testing.assert_array_equal(natively(f, pickled).numpy(), x * 2)
    out = pickle.loads(pickle.dumps(x))
    warm(f, x, out=x.copy())
    assert natively(f, pickled, out=out)._node.data is out
    np.testing.assert_array_equal(out, x * 2)
    np.testing.assert_array_equal(natively(f, x.astype(">f4")).numpy(), x * 2)
    np.testing.assert_array_equal(f(x.view("i4")).numpy(), x.view("i4") * 2)


def test_lazy_arguments_are_computed_first() -> None:
    f = lucid.compile(lambda x: x * 2)
    x = Tensor(numbers(10))
    warm(f, x)
    np.testing.assert_array_equal(in_python(f, x + 1).numpy(), (x.numpy() + 1) * 2)


def test_arguments_that_do_not_fit_are_explained() -> None:
    f = lucid.compile(lambda x, y: x @ y)
    x = numbers(4, 4)
    warm(f, x, x)
    with pytest.raises(ValueError, match=r"test_native\.py"):
        f(x, numbers(5, 4))
    with pytest.raises(TypeError, match="missing"):
        f(x)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected"):
        f(x, x, z=x)  # type: ignore[call-overload]
    natively(f, x, x)


def test_arguments_that_nothing_reads() -> None:
    f = lucid.compile(lambda x, unused: x * unused.shape[0])
    x = numbers(4)
    warm(f, x, numbers(2, 3))
    np.testing.assert_array_equal(natively(f, x, numbers(2, 3)).numpy(), x * 2)
    np.testing.assert_array_equal(f(x, numbers(5, 3)).numpy(), x * 5)


def test_plain_values() -> None:
    f = lucid.compile(lambda x, k, how: x * k if how == "times" else x + k)
    x = numbers(4)
    half = float("0.5")
    warm(f, x, half, "times")
    np.testing.assert_array_equal(natively(f, x, float("0.5"), "times").numpy(), x * 0.5)
    np.testing.assert_array_equal(f(x, 0.25, "times").numpy(), x * 0.25)
    np.testing.assert_array_equal(f(x, half, "plus").numpy(), x + 0.5)
    np.testing.assert_array_equal(f(x, 2, "times").numpy(), x * 2)
    for zero in (0.0, -0.0, 0.0, -0.0):
        for _ in range(3):
            assert np.signbit(f(np.ones(1, np.float32), zero, "times").item()) == np.signbit(zero)


def test_keywords() -> None:
    f = lucid.compile(lambda x, a=1.0, b=2.0: x * a - b)
    x = numbers(4)
    y = numbers(4)
    warm(f, x, b=y, a=3.0)
    np.testing.assert_array_equal(natively(f, x, b=y, a=3.0).numpy(), x * 3 - y)
    np.testing.assert_array_equal(f(x, a=y, b=3.0).numpy(), x * y - 3)
    np.testing.assert_array_equal(f(x, y, 3.0).numpy(), x * y - 3)
    np.testing.assert_array_equal(f(x=x, b=y, a=3.0).numpy(), x * 3 - y)
    natively(f, x, b=y, a=3.0)


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.parametrize(
    "structure",
    [
        lambda a, b: a,
        lambda a, b: (a,),
        lambda a, b: [a, b, a],
        lambda a, b: (a, [b, (a, 3, None)], {"x": b, 1: [a], "text": "ok"}),
        lambda a, b: ((), [], {}),
        lambda a, b: None,
    ],
)
def test_results(structure: Callable[[Any, Any], Any]) -> None:
    def plain(x: Any) -> Any:
        return structure(x + 1, x * 2)

    def numpy(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.tolist()
        if isinstance(value, list | tuple):
            return type(value)(map(numpy, value))
        return {k: numpy(v) for k, v in value.items()} if isinstance(value, dict) else value

    f = lucid.compile(plain)
    x = Tensor(numbers(3))
    warm(f, x)
    assert numpy(natively(f, x)) == numpy(plain(x))


def test_results_with_names() -> None:
    x = numbers(3)
    for inner in (lambda x: Pair(x + 1, x * 2), lambda x: {"a": [Pair(x + 1, (x * 2, Pair(x * 3, "text")))]}):
        named = lucid.compile(inner)
        warm(named, x)
        result, expected = natively(named, x), inner(x)
        assert type(result) is type(expected)
        result = result if isinstance(result, Pair) else result["a"][0]
        assert type(result) is Pair
        np.testing.assert_array_equal(result.first.numpy(), x + 1)
        if isinstance(result.second, tuple):
            assert type(result.second[1]) is Pair and result.second[1].second == "text"
            np.testing.assert_array_equal(result.second[1].first.numpy(), x * 3)
    for of in (lambda x: lucid.topk(x, 2), lambda x: lucid.linalg.slogdet(x * x[:, None] + np.eye(3))):
        f = lucid.compile(of)
        warm(f, x)
        for a, b in zip(f(x), of(x), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5)

    class Strict(NamedTuple("Strict", [("first", Any)])):
        def __new__(cls, first: Any) -> Any:
            if fails:
                raise RuntimeError("not made")
            return super().__new__(cls, first)

    fails: list[int] = []
    made = lucid.compile(lambda x: [x + 1, Strict(x * 2), x + 3])
    warm(made, x)
    natively(made, x)
    before = sys.getrefcount(x)
    fails.append(1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="not made"):
            made(x)
    assert sys.getrefcount(x) == before


def test_results_that_need_python() -> None:
    x, w = numbers(3), Tensor(numbers(3), requires_grad=True)
    rooted = lucid.compile(lambda x: (x * w).sum())
    warm(rooted, x)
    rooted(x).backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), x)
    given = lucid.compile(lambda x: (x, x.reshape(3)))
    warm(given, x)
    for part in given(x):
        np.testing.assert_array_equal(part.numpy(), x)
        assert not np.shares_memory(part.numpy(), x)


def test_tensors_that_come_back() -> None:
    w = Tensor(numbers(3))
    f = lucid.compile(lambda x: (w, x, x + w))
    x = Tensor(numbers(3))
    warm(f, x)
    result = natively(f, x)
    assert result[0] is w
    assert result[1] is x


def test_a_view_of_an_output() -> None:
    f = lucid.compile(lambda x: (x + 1).reshape(2, 3))
    x = numbers(6)
    warm(f, x)
    np.testing.assert_array_equal(natively(f, x).numpy(), (x + 1).reshape(2, 3))
    both = lucid.compile(lambda x: ((x + 1).reshape(2, 3), x + 1))
    warm(both, x)
    a, b = both(x)
    assert (a.shape, b.shape) == ((2, 3), (6,))


def test_one_value_several_times() -> None:
    """They share an array, as where Python serves the call."""
    f = lucid.compile(lambda x: (x + 1, [x + 1, x * 2], x + 1))
    x = numbers(6)
    warm(f, x)
    a, (b, other), c = natively(f, x)
    for value in (a, b, c):
        np.testing.assert_array_equal(value.numpy(), x + 1)
    again, *_ = natively(f, x * 3)
    np.testing.assert_array_equal(again.numpy(), x * 3 + 1)
    np.testing.assert_array_equal(c.numpy(), x + 1)
    np.testing.assert_array_equal(other.numpy(), x * 2)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_parameters_whose_gradients_are_one_value(momentum: float) -> None:
    x, parameters = numbers(4), [nn.Parameter(np.full(4, k, np.float32)) for k in range(3)]
    optimizer = optim.SGD(parameters, lr=0.5, momentum=momentum)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = sum((p * x).sum() for p in parameters)
        loss.backward()
        optimizer.step()
        return loss.detach()

    f = lucid.compile(step)
    warm(f, x)
    gradients = [p.grad for p in parameters]
    for _ in range(3):
        natively(f, x)
    for gradient in gradients:
        assert gradient is not None
        np.testing.assert_array_equal(gradient.numpy(), x)
    velocity, moved = np.zeros(4, np.float32), np.zeros(4, np.float32)
    for _ in range(5):
        velocity = np.float32(momentum) * velocity + x
        moved = moved + np.float32(0.5) * velocity
    for k, p in enumerate(parameters):
        np.testing.assert_allclose(p.numpy(), k - moved, rtol=1e-5, atol=1e-6)
    natively(f, x)
    parameters[0].grad = None  # the others are what they were
    assert parameters[1].grad is not None
    np.testing.assert_array_equal(parameters[1].grad.numpy(), x)


def test_one_thread_needs_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(pool, "_POOL", pool.Pool())
        pool._publish()
        one = lucid.compile(lambda x: (x * 2).sum(), threads=1)
        x = np.ones(100_000, np.float32)
        warm(one, x)
        assert natively(one, x).item() == 200_000
        assert pool._POOL.workers == 0
        if lucid.get_num_threads() > 1:
            all_threads = lucid.compile(lambda x: (x * 3).sum())
            warm(all_threads, x)
            assert natively(all_threads, x).item() == 300_000
            assert pool._POOL.workers == lucid.get_num_threads() - 1
    pool._publish()


def test_many_signatures() -> None:
    f = lucid.compile(lambda x: x * 2)
    for n in [*range(1, 40), *range(1, 40)]:
        for _ in range(3):
            np.testing.assert_array_equal(f(numbers(n)).numpy(), numbers(n) * 2)
    assert f.traces == 39
    assert f._native is not None
    assert len(f._native.specs) == 16


def test_the_latest_call_is_the_one_that_is_shown() -> None:
    f = lucid.compile(lambda x: x * 2)
    for _ in range(3):
        f(numbers(3))
        f(numbers(4, 5))
    for x in (numbers(3), numbers(4, 5), numbers(3)):
        natively(f, x)
        assert str(list(x.shape)) in f.ir("graph")


def test_methods_and_modules() -> None:
    class Model(nn.Module):
        def __init__(self, scale: float) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.scale = scale

        def forward(self, x: Tensor) -> Tensor:
            with lucid.no_grad():
                result: Tensor = self.linear(x) * self.scale
                return result

        @lucid.compile
        def method(self, x: Tensor) -> Tensor:
            return self.forward(x)

    x = Tensor(numbers(4, 3))
    models = [Model(2.0), Model(3.0)]
    for model in models:
        compiled = lucid.compile(model)
        warm(compiled, x)
        warm(model.method, x)
        np.testing.assert_array_equal(natively(compiled, x).numpy(), model(x).numpy())
        model.scale = 5.0
        np.testing.assert_array_equal(in_python(compiled, x).numpy(), model(x).numpy())
    for model in models:
        np.testing.assert_array_equal(model.method(x).numpy(), model(x).numpy())


# --- modes ---------------------------------------------------------------------------------------


def test_the_mode_counts() -> None:
    w = Tensor(numbers(3), requires_grad=True)
    f = lucid.compile(lambda x: x * w)
    x = numbers(3)
    with lucid.no_grad():
        warm(f, x)
        assert not natively(f, x).requires_grad
    assert f(x).requires_grad
    with lucid.no_grad():
        assert not natively(f, x).requires_grad


def test_inside_of_another() -> None:
    inner = lucid.compile(lambda x: x * 2)
    x = numbers(3)
    warm(inner, x)
    outer = lucid.compile(lambda x: inner(x) + 1)
    warm(outer, x)
    np.testing.assert_array_equal(natively(outer, x).numpy(), x * 2 + 1)
    graded = lucid.grad(lambda x: inner(x).sum())
    np.testing.assert_array_equal(graded(x).numpy(), np.full(3, 2, np.float32))


def test_requires_grad_of_an_argument() -> None:
    f = lucid.compile(lambda x: (x * x).sum())
    x = Tensor(numbers(3))
    warm(f, x)
    natively(f, x)
    x.requires_grad = True
    loss = f(x)
    loss.backward()
    assert x.grad is not None


# --- facts ---------------------------------------------------------------------------------------

FACTOR = 3.0
TABLE = {"a": 1.0, "b": 2.0}
ITEMS = [1.0, 2.0]
SAMPLES = np.ones(3)
QUEUE = deque([1.0, 2.0])
ORDERED = OrderedDict(a=1.0)


class Settings:
    scale = 2.0

    def __init__(self) -> None:
        self.offset = 1.0

    def apply(self, x: Any) -> Any:
        return x * self.scale + self.offset


class Slotted:
    __slots__ = ("scale",)
    scale: float


def check(f: Any, plain: Callable[[Any], Any], change: Callable[[], None]) -> None:
    """Native before the change; right, then native after it."""
    x = numbers(3)
    warm(f, x)
    np.testing.assert_array_equal(natively(f, x).numpy(), np.asarray(plain(x), np.float32))
    change()
    np.testing.assert_array_equal(in_python(f, x).numpy(), np.asarray(plain(x), np.float32))
    f(x)
    np.testing.assert_array_equal(natively(f, x).numpy(), np.asarray(plain(x), np.float32))


def test_globals(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(x: Any) -> Any:
        return x * FACTOR

    check(lucid.compile(plain), plain, lambda: monkeypatch.setattr(sys.modules[__name__], "FACTOR", 4.0))


def test_dicts_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(x: Any) -> Any:
        return x * TABLE["a"] + ITEMS[1] + len(ITEMS) + len(TABLE) + sum(QUEUE) + ORDERED["a"]

    f = lucid.compile(plain)
    check(f, plain, lambda: monkeypatch.setitem(TABLE, "a", 5.0))
    check(f, plain, lambda: monkeypatch.setitem(TABLE, "c", 5.0))
    check(f, plain, lambda: monkeypatch.setitem(ORDERED, "a", 3.0))
    try:
        check(f, plain, lambda: ITEMS.__setitem__(1, 7.0))
        check(f, plain, lambda: ITEMS.append(8.0))
        check(f, plain, lambda: QUEUE.append(3.0))
    finally:
        ITEMS[:] = [1.0, 2.0]
        QUEUE.pop()


def test_closures_and_defaults() -> None:
    factor = 2.0

    def plain(x: Any, shift: float = 1.0) -> Any:
        return x * factor + shift

    def change() -> None:
        nonlocal factor
        factor = 3.0

    def replace_defaults() -> None:
        plain.__defaults__ = (4.0,)

    def replace_code() -> None:
        def other(x: Any, shift: float = 1.0) -> Any:
            return x - factor - shift

        plain.__code__ = other.__code__

    f = lucid.compile(plain)
    check(f, plain, change)
    check(f, plain, replace_defaults)
    check(f, plain, replace_code)


def test_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings()
    f = lucid.compile(settings.apply)
    check(f, settings.apply, lambda: setattr(settings, "offset", 2.0))
    check(f, settings.apply, lambda: monkeypatch.setattr(Settings, "scale", 5.0))
    check(f, settings.apply, lambda: setattr(settings, "scale", 7.0))
    slotted = Slotted()
    slotted.scale = 2.0

    def plain(x: Any) -> Any:
        return x * slotted.scale

    check(lucid.compile(plain), plain, lambda: setattr(slotted, "scale", 3.0))


def test_arrays_as_facts() -> None:
    def plain(x: Any) -> Any:
        return x * float(SAMPLES.sum())

    f = lucid.compile(plain)
    try:
        check(f, plain, lambda: SAMPLES.__setitem__(1, 7))
    finally:
        SAMPLES[:] = 1


def test_arrays_as_inputs() -> None:
    table = numbers(3)
    f = lucid.compile(lambda x: x + table)
    x = numbers(3)
    warm(f, x)
    table[1] = 9
    np.testing.assert_array_equal(natively(f, x).numpy(), x + table)


def test_equal_but_other_objects() -> None:
    state = {"scale": float("1.5")}
    f = lucid.compile(lambda x: x * state["scale"])
    x = numbers(3)
    warm(f, x)
    natively(f, x)
    state["scale"] = float("1.5")
    in_python(f, x)  # another object, though equal: Python looks closer, and learns it
    natively(f, x)
    assert f.traces == 1


def test_an_argument_that_is_also_reached_elsewhere() -> None:
    w = Tensor(numbers(3))
    f = lucid.compile(lambda x: x * w)
    x = Tensor(numbers(3) + 1)
    warm(f, x)
    natively(f, x)
    np.testing.assert_array_equal(in_python(f, w).numpy(), w.numpy() * w.numpy())
    warm(f, w)
    np.testing.assert_array_equal(natively(f, w).numpy(), w.numpy() * w.numpy())
    np.testing.assert_array_equal(natively(f, x).numpy(), x.numpy() * w.numpy())


def test_one_tensor_twice() -> None:
    f = lucid.compile(lambda x, y: x * 2 + y)
    x, y = Tensor(numbers(3)), Tensor(numbers(3) + 1)
    warm(f, x, y)
    natively(f, x, y)
    np.testing.assert_array_equal(f(x, x).numpy(), x.numpy() * 2 + x.numpy())
    array = numbers(3)
    warm(f, array, array)
    np.testing.assert_array_equal(natively(f, array, array[:]).numpy(), array * 2 + array)
