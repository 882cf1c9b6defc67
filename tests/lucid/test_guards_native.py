"""Every kind of guard is checked by the native call, too."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.guards import Guards

X = np.ones(3, "f")
VARIABLE: ContextVar[float] = ContextVar("VARIABLE", default=2.0)
NUMBER = 2.0


class Config:
    scale = 2.0


def by_cell() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    n = 2.0

    def change() -> None:
        nonlocal n
        n = 5.0

    return lambda x: x * n, change


def by_item() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    scope = {"N": 2.0, "__builtins__": __builtins__}
    exec(compile("def f(x): return x * N", __file__, "exec"), scope)
    return scope["f"], lambda: scope.update(N=5.0)  # type: ignore[return-value]


def by_dict() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    d = {"n": 2.0}
    return lambda x: x * d["n"], lambda: d.update(n=5.0)


def by_ordered_dict() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    d = OrderedDict(n=2.0)
    return lambda x: x * d["n"], lambda: d.update(n=5.0)


def by_list() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    items = [2.0]
    return lambda x: x * items[0], lambda: items.__setitem__(0, 5.0)


def by_class() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    class Own(Config):
        scale = 2.0

    return lambda x: x * Own.scale, lambda: setattr(Own, "scale", 5.0)


def by_instance() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    held = SimpleNamespace(n=2.0)
    return lambda x: x * held.n, lambda: setattr(held, "n", 5.0)


def by_array() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    a = np.array([2.0])
    return lambda x: x * float(a[0]), lambda: a.__setitem__(0, 5.0)


def by_variable() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    VARIABLE.set(2.0)

    def change() -> None:
        VARIABLE.set(5.0)

    return lambda x: x * VARIABLE.get(), change


def by_variable_without_a_value() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    empty: ContextVar[float] = ContextVar("empty")
    return lambda x: x * empty.get(2.0), lambda: (empty.set(5.0), None)[1]


def by_code() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    def f(x: Any) -> Any:
        return x * 2.0

    def g(x: Any) -> Any:
        return x * 5.0

    return f, lambda: setattr(f, "__code__", g.__code__)


def by_generator() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    """A generator is no fact: the trace raises if it draws, and goes on if it does not."""
    rng = np.random.default_rng(0)
    n = [2.0]
    return lambda x: (rng, x * n[0])[1], lambda: n.__setitem__(0, 5.0)


def by_tensor() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    """A tensor is an input: its content is no fact."""
    t = lucid.Tensor([2.0])

    def change() -> None:
        nonlocal t
        t += 3.0

    return lambda x: x * t, change


def by_buffer() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    data = bytearray([2])
    view = memoryview(data)
    return lambda x: x * view[0], lambda: data.__setitem__(0, 5)


def by_clock() -> tuple[Callable[[Any], Any], Callable[[], None]]:
    """A clock is no fact: the trace raises if it is read, and goes on if it is not."""
    n = [2.0]
    return lambda x: (time.time, x * n[0])[1], lambda: n.__setitem__(0, 5.0)


KINDS: dict[str, list[Callable[[], tuple[Callable[[Any], Any], Callable[[], None]]]]] = {
    "cells": [by_cell],
    "items": [by_item],
    "dicts": [by_dict, by_ordered_dict],
    "lists": [by_list],
    "slots": [by_class, by_instance, by_code],
    "arrays": [by_array],
    "variables": [by_variable, by_variable_without_a_value],
    "tensors": [by_tensor],
    "generators": [by_generator],
    "contents": [by_buffer],
    "varying": [by_clock],
}


@pytest.mark.parametrize(
    "case", [case for cases in KINDS.values() for case in cases], ids=lambda case: case.__name__
)
def test_a_change_after_native_calls_is_seen(case: Any) -> None:
    f, change = case()
    compiled = lucid.compile(f)
    for _ in range(4):
        np.testing.assert_array_equal(compiled(X).numpy(), 2)
    change()
    np.testing.assert_array_equal(compiled(X).numpy(), 5)


def test_every_field_of_guards_has_a_case() -> None:
    names = [f.name for f in fields(Guards)] if is_dataclass(Guards) else list(Guards.__match_args__)
    notes = {"scopes", "twice"}  # where to look for what a trace left behind, and which tensors stay facts
    assert names and set(names) - notes <= set(KINDS), (
        "a new kind of guard: add a case here, and a check to native.py"
    )
