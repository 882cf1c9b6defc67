"""Random numbers by keys: the same each time, in compiled functions and for each example; keys of keys are
apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import lax
from lucid import random as R

KEY = R.key(0)


def drawn(key: Any) -> Any:
    one, two = R.split(key)
    return R.keyed(one).gamma(2.0, size=4) + R.keyed(two).normal(size=4)


def test_what_is_drawn_by_a_key_is_the_same() -> None:
    compiled = lucid.compile(drawn)
    for key in (KEY, R.key(1), R.fold_in(KEY, 3)):
        want = drawn(key).numpy()
        for found in (drawn(key), compiled(key), compiled(key)):
            np.testing.assert_array_equal(found, want)
    assert compiled.traces == 1 and len(np.unique([drawn(k).numpy()[0] for k in (KEY, R.key(1))])) == 2
    g = R.keyed(KEY)
    first, second = g.normal(size=2).numpy(), g.normal(size=2).numpy()
    assert (first != second).all() and g.get_state().tolist() == [0, 2]
    np.testing.assert_array_equal(R.normal(size=2, generator=R.keyed(KEY)), first)


def test_each_example_draws_by_its_own_key() -> None:
    keys = R.split(KEY, 5)

    def f(key: Any) -> Any:
        return R.keyed(key).normal(size=3)

    want = [f(k).numpy() for k in keys]
    np.testing.assert_array_equal(lucid.vmap(f)(keys), want)
    np.testing.assert_array_equal(lucid.compile(lucid.vmap(f))(keys), want)


def test_keys_of_keys_are_apart() -> None:
    keys = [
        *R.split(KEY, 1000).numpy()[:, 0],
        *lucid.vmap(lambda k: R.fold_in(KEY, k))(np.arange(1000))[:, 0],
    ]
    assert len(set(keys)) == 2000
    x = lucid.vmap(lambda key: R.keyed(key).random())(R.split(KEY, 20000)).numpy()
    assert abs(x.mean() - 0.5) < 0.01 and abs(x.var() - 1 / 12) < 0.002
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.03


def test_a_key_is_carried_by_a_loop() -> None:
    def step(key: Any, k: Any) -> Any:
        return R.fold_in(key, k), R.keyed(key).normal()

    key, found = lucid.compile(lambda key: lax.scan(step, key, np.arange(4)))(KEY)
    now, want = KEY, []
    for k in range(4):
        want.append(R.keyed(now).normal().item())
        now = R.fold_in(now, k)
    assert found.tolist() == want and key.tolist() == now.tolist()


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("keyed: expected a key, int64\\[2\\]", lambda: R.keyed(3)),
        ("split: expected a key", lambda: R.split([1, 2, 3])),
        ("a key does not change", lambda: R.keyed(KEY).manual_seed(3)),
        ("fold_in: expected a whole number", lambda: R.fold_in(KEY, 1.5)),
        ("seed must be an int", lambda: R.key(1.5)),  # type: ignore[arg-type]
    ],
)
def test_errors(message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"test_keys.py:\d+: .*" + message):
        call()
