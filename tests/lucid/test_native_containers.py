"""Compiled functions that take tuples, lists and dicts run natively, as long as these are built alike."""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import lucid
from lucid import Tensor, nn
from lucid.runtime import call

from .test_native import in_python, natively, numbers, warm

pytestmark = pytest.mark.skipif(not call.available(), reason="no native call path here")


class Layer(NamedTuple):
    weight: Any
    bias: Any


def loss(params: Any, x: Any) -> Any:
    for layer in params["layers"]:
        x = lucid.tanh(x @ layer.weight + layer.bias)
    return (x * params["scale"]).mean()


def test_a_tree_of_parameters() -> None:
    def tree(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        layers = [Layer(rng.normal(size=(4, 4)).astype("f4"), rng.normal(size=4).astype("f4")) for _ in "ab"]
        return {"layers": layers, "scale": Tensor(numbers(4))}

    f, x = lucid.compile(loss), numbers(3, 4)
    warm(f, tree(0), x)
    for seed in range(4):  # other containers of the same kind
        params = tree(seed)
        np.testing.assert_array_equal(natively(f, params, x).numpy(), loss(params, Tensor(x)).numpy())
    more = tree(5)
    more["layers"].append(more["layers"][0])
    assert in_python(f, more, x).item() == loss(more, Tensor(x)).item()
    step = lucid.compile(lucid.grad(loss))
    warm(step, tree(0), x)
    found, expected = natively(step, tree(1), x), lucid.grad(loss)(tree(1), x)
    np.testing.assert_array_equal(found["layers"][1].weight.numpy(), expected["layers"][1].weight.numpy())


def test_what_a_container_is_counts() -> None:
    def doubled(items: Any) -> Any:
        return sum(v * 2 for v in (items.values() if isinstance(items, dict) else items))

    f = lucid.compile(doubled)
    a, b = numbers(3), numbers(4)[:3].copy()
    forms: list[Any] = [(a, b), [a, b], {"a": a, "b": b}, {"b": a, "a": b}, Layer(a, b), {1: a, None: b}]
    for items in forms:
        warm(f, items)
        np.testing.assert_allclose(natively(f, items).numpy(), 2 * (a + b), rtol=1e-6)
    assert f.traces == len(forms)
    for items in forms:
        np.testing.assert_allclose(natively(f, items).numpy(), 2 * (a + b), rtol=1e-6)
    for items in ((a,), [a, b, a], {"a": a}, {"a": a, "c": b}, [a, numbers(3).astype("f8")]):
        np.testing.assert_allclose(f(items).numpy(), doubled(items), rtol=1e-6)


def test_keys_that_are_equal() -> None:
    f = lucid.compile(lambda d: d["".join(["k", "0"])] + d["k1"])
    x = numbers(3)

    def made() -> Any:
        return {"".join(["k", str(n)]): x for n in range(2)}

    warm(f, made())
    natively(f, made())
    shrunk = {"gone": x} | made()
    del shrunk["gone"]
    natively(f, shrunk)

    class Text(str):
        __slots__ = ()

    np.testing.assert_array_equal(f({Text("k0"): x, "k1": x}).numpy(), x + x)


def test_numbers_and_constants_inside() -> None:
    f = lucid.compile(lambda x, options: x * options["by"] + options["shift"][1] if options["on"] else x * 0)
    x = numbers(5)
    for by in (2.0, 3.0, 4.0):
        np.testing.assert_allclose(
            f(x, {"by": by, "shift": (0, 1), "on": True}).numpy(), x * by + 1, rtol=1e-6
        )
    np.testing.assert_allclose(
        natively(f, x, {"by": 5.0, "shift": (0, 1), "on": True}).numpy(), x * 5 + 1, rtol=1e-6
    )
    np.testing.assert_allclose(f(x, {"by": 5.0, "shift": (0, 2), "on": True}).numpy(), x * 5 + 2, rtol=1e-6)
    np.testing.assert_array_equal(f(x, {"by": 5.0, "shift": (0, 1), "on": False}).numpy(), x * 0)


def test_many_leaves_and_keywords() -> None:
    f = lucid.compile(lambda x, *, params: [p + x for p in params])
    params = [numbers(3) + k for k in range(3000)]  # more pointers than the stack gets
    x = numbers(3)
    warm(f, x, params=params)
    for got, p in zip(natively(f, x, params=params), params, strict=True):
        np.testing.assert_array_equal(got.numpy(), p + x)


def test_nothing_is_held_longer_than_the_call() -> None:
    f = lucid.compile(lambda d: (d["x"] * d["y"][0], d["y"][1] + 1))
    x, y, z = numbers(3), Tensor(numbers(3)), numbers(2)
    d = {"x": x, "y": [y, z]}
    warm(f, d)
    before = [sys.getrefcount(v) for v in (x, y, z, d, d["y"])]
    for _ in range(100):
        natively(f, d)
    f({"x": x, "y": [y, z, z]})
    f({"x": x, "y": (y, z)})
    for _ in range(100):
        f(OrderedDict(d)["y"] and d)
    after = [sys.getrefcount(v) for v in (x, y, z, d, d["y"])]
    assert after == before


def test_tensors_inside_are_updated() -> None:
    def step(params: list[Any], x: Any) -> Any:
        total = ((x @ params[0] + params[1]) ** 2).mean()
        total.backward()
        with lucid.no_grad():
            for p in params:
                p -= 0.1 * p.grad
                p.grad = None
        return total

    def tensors() -> list[Tensor]:
        return [Tensor(numbers(4, 2), requires_grad=True), Tensor(numbers(2), requires_grad=True)]

    x, f = numbers(8, 4), lucid.compile(step)
    ours, plain = tensors(), tensors()
    for _ in range(6):
        assert f(ours, x).item() == pytest.approx(step(plain, Tensor(x)).item(), rel=1e-5)
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5)


def test_a_container_that_changes_during_a_call() -> None:
    """A collection of garbage, which making objects may set off, takes an item away, or puts in another."""
    seen = [numbers(100), numbers(100)]
    items = [*seen]
    f = lucid.compile(lambda items: [items[0] * k + items[1] for k in range(20)])
    warm(f, items)
    change: list[Any] = []

    def collected(phase: str, info: Any) -> None:
        if change and phase == "start":
            change.pop()()

    def put(value: Any) -> None:
        items[0] = value

    before = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(1, 1, 1)
    try:
        for k in range(20):
            items[:] = seen
            value = np.full(100, k, np.float32)
            change[:] = [items.clear if k % 3 == 2 else functools.partial(put, value)]
            try:
                got = f(items)[3].numpy()
            except IndexError:  # seen in Python: there is none any more
                assert k % 3 == 2
                continue
            before_it, after_it = (first * 3 + seen[1] for first in (seen[0], value))
            assert np.allclose(got, before_it) or (k % 3 != 2 and np.allclose(got, after_it))
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(collected)
    items[:] = seen
    np.testing.assert_allclose(f(items)[3].numpy(), seen[0] * 3 + seen[1], rtol=1e-5)


def test_other_threads_change_the_container() -> None:
    net = nn.Linear(64, 64)
    batch = {"x": numbers(256, 64), "w": Tensor(numbers(64, 64))}
    f = lucid.compile(lambda batch: net(batch["x"]) @ batch["w"])
    warm(f, batch)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            batch["x"] = numbers(256, 64)
            batch["w"] = Tensor(numbers(64, 64))

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        expected = (net(Tensor(numbers(256, 64))) @ numbers(64, 64)).detach().numpy()
        for _ in range(300):
            np.testing.assert_allclose(f(batch).detach().numpy(), expected, rtol=1e-4, atol=1e-4)
    finally:
        stop.set()
        thread.join()


class Sly(str):
    """A key that does something once when it is hashed: what another thread may do then."""

    action: Any = None
    __eq__ = str.__eq__

    def __hash__(self) -> int:
        action, self.action = self.action, None
        if action is not None:
            action()
        return str.__hash__(self)


@pytest.mark.parametrize("calls", [0, 1])
def test_a_container_that_changes_between_looks(calls: int) -> None:
    """Before the trace, or before native code is made: never is one array taken for another."""
    f = lucid.compile(lambda d, more: d["a"] - d["b"])
    key = Sly("key")
    d, more = {"a": numbers(3), "b": np.zeros(3, np.float32)}, {key: 1}
    expected = numbers(3)

    def turn() -> None:
        d["a"] = d.pop("a")

    for _ in range(calls):
        np.testing.assert_array_equal(f(d, more).numpy(), expected)
    key.action = turn
    np.testing.assert_array_equal(f(d, more).numpy(), expected)
    assert list(d) == ["b", "a"]
    for _ in range(6):
        turn()
        np.testing.assert_array_equal(f(d, more).numpy(), expected)
        turned = {"a": d["a"], "b": d["b"]}
        np.testing.assert_array_equal(f(turned, more).numpy(), expected)
    key.action = lambda: d.update(c=expected)  # one more
    np.testing.assert_array_equal(f(d, more).numpy(), expected)


def test_equal_keys_of_other_types_are_others() -> None:
    f = lucid.compile(lambda d: {key: v * 2 for key, v in d.items()})
    for key in (1, True, 1.0) * 3:
        (found,) = f({key: numbers(3)})
        assert type(found) is type(key)


def test_a_named_tuple_that_iterates_in_another_way() -> None:
    class Turned(NamedTuple("Turned", [("a", Any), ("b", Any)])):
        def __iter__(self) -> Any:
            return iter((self[1], self[0]))

    f = lucid.compile(lambda pair: pair[0] - pair[1])
    for k in range(6):
        np.testing.assert_array_equal(f(Turned(np.ones(3), np.full(3, k))).numpy(), np.full(3, 1 - k))


def test_each_of_many_tensors_is_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of them would be millions of checks: 6 seconds and 600 MB for 2,000 tensors."""
    found: list[int] = []
    add = call.NativeCall.add

    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        found.append(len(kwargs["checks"]))
        add(self, *args, **kwargs)

    monkeypatch.setattr(call.NativeCall, "add", counted)
    elsewhere, values = Tensor(numbers(1)), [Tensor(numbers(1)) for _ in range(800)]
    f = lucid.compile(lambda values: values[0] + values[-1] + elsewhere)
    warm(f, values)
    assert found[-1] < 4 * len(values)
    for k in (1, 400, 798):
        for other in (values[0], values[799], elsewhere):
            changed = [*values]
            changed[k] = other
            in_python(f, changed)
        natively(f, values)
        natively(f, values[::-1])


SCALE = [2.0]


class Doubled(NamedTuple("Doubled", [("value", Any), ("twice", Any)])):
    """A class with a constructor of its own, which takes tensors only, and runs once a trace."""

    def __new__(cls, value: Any) -> Any:
        assert isinstance(value, Tensor)
        return super().__new__(cls, value, value * SCALE[0])


def test_constructors_of_named_tuples_run_while_tracing() -> None:
    f = lucid.compile(lambda given, x: [Doubled(given.value + x)])
    given, x = Doubled(Tensor(numbers(3))), numbers(3)
    given.twice.numpy()  # computed: nobody else reads it
    try:
        warm(f, given, x)
        (found,) = natively(f, given, x)
        assert type(found) is Doubled
        np.testing.assert_array_equal(found.twice.numpy(), found.value.numpy() * 2)
        SCALE[0] = 4.0  # what a constructor reads counts
        (found,) = f(given, x)
        np.testing.assert_array_equal(found.twice.numpy(), found.value.numpy() * 4)
    finally:
        SCALE[0] = 2.0


class Scaled:
    x: Any

    def __new__(cls, x: Any) -> Any:
        self = super().__new__(cls)
        self.x = x * SCALE[0]
        return self


def test_what_new_reads_is_a_fact() -> None:
    f = lucid.compile(lambda x: Scaled(x).x)
    try:
        for SCALE[0] in (2.0, 3.0, 4.0, 3.0):
            for _ in range(2):
                np.testing.assert_array_equal(f(numbers(3)).numpy(), numbers(3) * np.float32(SCALE[0]))
    finally:
        SCALE[0] = 2.0
