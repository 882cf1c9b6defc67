"""Random numbers that a compiled function would freeze are found while it is traced."""

# ruff: noqa: NPY002  # the old functions are what is tested

from __future__ import annotations

import inspect
import random
import subprocess
import sys
from collections.abc import Callable
from random import gauss as bell
from random import random as uniform
from typing import Any

import numpy as np
import pytest

import lucid

GENERATOR = np.random.default_rng(0)
LEGACY = np.random.RandomState(0)
OWN = random.Random(0)
DRAW = GENERATOR.normal


class Noise:
    def __init__(self) -> None:
        self.source = np.random.default_rng(1)

    def add(self, x: Any) -> Any:
        return x + self.source.normal()


def inner(x: Any) -> Any:
    return x + np.random.rand()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x + np.random.rand(),
        lambda x: x * np.random.standard_normal(3).astype(np.float32),
        lambda x: x + random.random(),
        lambda x: x + uniform(),
        lambda x: x + bell(0, 1),
        lambda x: x + GENERATOR.normal(),
        lambda x: x + LEGACY.rand(),
        lambda x: x + OWN.random(),
        lambda x: x + DRAW(),
    ],
)
def test_draws_raise_and_name_the_line(f: Callable[..., Any]) -> None:
    line = inspect.getsourcelines(f)[1]
    compiled = lucid.compile(f)
    x = np.ones(3, np.float32)
    for _ in range(2):
        with pytest.raises(lucid.TraceError, match=rf"(?s)test_chance.py:{line}: .*draws random numbers"):
            compiled(x)
    assert compiled.traces == 0


def test_draws_further_down() -> None:
    x = np.ones(3, np.float32)
    with pytest.raises(lucid.TraceError, match=f":{inspect.getsourcelines(inner)[1] + 1}: "):
        lucid.compile(lambda x: inner(x) * 2)(x)
    with pytest.raises(lucid.TraceError, match=f":{inspect.getsourcelines(Noise.add)[1] + 1}: "):
        lucid.compile(Noise().add)(x)
    with pytest.raises(lucid.TraceError, match="draws random numbers"):
        lucid.compile(lambda x, rng: x + rng.normal())(x, np.random.default_rng(2))
    with pytest.raises(lucid.TraceError, match="draws random numbers"):
        lucid.compile(lambda x, rng=GENERATOR: x + rng.uniform())(x)


def test_draws_by_others_warn() -> None:
    hidden = {"np.random": np.random.rand}  # stands for a library

    class Opaque:
        _opaque = True

        def __init__(self) -> None:
            self.draw = hidden["np.random"]

    opaque = Opaque()
    f = lucid.compile(lambda x: x + opaque.draw())
    with pytest.warns(UserWarning, match="draws random numbers"):
        f(np.ones(3, np.float32))


def test_what_draws_nothing_is_left_alone() -> None:
    f = lucid.compile(lambda x: x * (2 if GENERATOR is not None and np.random is not None else 3))
    np.testing.assert_array_equal(f(np.ones(3, np.float32)).numpy(), [2, 2, 2])
    np.random.rand()
    f(np.ones(3, np.float32))
    assert f.traces == 1


@pytest.mark.parametrize(
    ("module", "draw"),
    [("random", "random"), ("numpy.random", "random"), ("numpy", "random.default_rng().random")],
)
def test_a_generator_that_is_made_meanwhile(module: str, draw: str) -> None:
    program = f"""
import numpy as np, lucid
def f(x):
    import {module} as m
    return x + m.{draw}()
def g(x):
    import {module} as m
    return x * 2
x = np.ones(3, np.float32)
print(lucid.compile(g)(x).tolist())
try:
    lucid.compile(f)(x)
except lucid.TraceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "[2.0, 2.0, 2.0]"
    assert "f draws random numbers" in lines[1]
