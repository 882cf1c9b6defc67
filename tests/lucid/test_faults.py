"""Faults that are planted in the compiler, one at a time: how many programs of a seed find each.

`pytest -m sweep -s tests/lucid/test_faults.py` prints the table of docs/testing.md."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lucid import engine
from lucid.compiler import ops, pipeline
from lucid.runtime import execute, load
from lucid.testing import campaign
from lucid.testing.oracle import examine

MOST = 120  # programs until a fault counts as missed


def scaled(right: Any) -> Callable[..., Any]:
    def lower(b: Any, args: Any, *rest: Any) -> Any:
        value = right(b, args, *rest)
        return b.op("mul", value, b.imm(1.0001, value)) if value.dtype.is_float else value

    return lower


def swapped(right: Any) -> Callable[..., Any]:
    return lambda b, args, *rest: right(b, (args[1], args[0], *args[2:]), *rest)


def branches(right: Any) -> Callable[..., Any]:
    return lambda b, args, *rest: right(b, (args[0], args[2], args[1]), *rest)


def doubled(right: Any) -> Callable[..., Any]:
    def vjp(*given: Any) -> Any:
        return tuple(None if part is None else ops.ADD(part, part) for part in right(*given))

    return vjp


def dropped(right: Any) -> Callable[..., Any]:
    """The term of the operand before the last is lost."""

    def vjp(*given: Any) -> Any:
        parts = right(*given)
        return (*parts[:-2], None, parts[-1])

    return vjp


FAULTS: dict[str, tuple[str, str, Callable[[Any], Callable[..., Any]]]] = {
    "a product is off by 1e-4": ("mul", "lower", scaled),
    "`exp` is off by 1e-4": ("exp", "lower", scaled),
    "a difference is taken the other way round": ("sub", "lower", swapped),
    "`maximum(a, b)` is `max(b, a)`: another zero": ("max", "lower", swapped),
    "`where` has its branches swapped": ("where", "lower", branches),
    "`<` is `>`": ("lt", "lower", swapped),
    "the gradient of `*` lacks a term": ("mul", "vjp", dropped),
    "the gradient of `where` lacks a term": ("where", "vjp", dropped),
    "the gradient of `tanh` is doubled": ("tanh", "vjp", doubled),
    "the gradient of a sum is doubled": ("sum", "vjp", doubled),
    "the gradient of `min` over axes is doubled": ("amin", "vjp", doubled),
    "the gradient of a slice is doubled": ("slice", "vjp", doubled),
}


@pytest.fixture
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A compiler that has met no kernel, and of which nobody will meet any."""
    monkeypatch.setattr(load, "disk", lambda: None)
    monkeypatch.setattr(load, "_LOADED", {})
    monkeypatch.setattr(pipeline, "_KERNELS", {})
    monkeypatch.setattr(pipeline, "_TEMPLATES", OrderedDict())
    monkeypatch.setattr(engine, "_plans", OrderedDict())
    yield


def first_fault() -> tuple[int, str] | None:
    """The number of the first program of seed 0 that has a fault, and its kind."""
    for k in range(MOST):
        program, smooth = campaign.program_of(0, k)
        fault = examine(program, smooth, k, texts=False).fault
        if fault is not None:
            return k, fault.kind
    return None


@pytest.mark.sweep
@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_of_an_op_is_found(name: str) -> None:
    which, field, make = FAULTS[name]
    op = ops.REGISTRY[which]
    slot, right = getattr(type(op), field), getattr(op, field)
    slot.__set__(op, make(right))
    try:
        found = first_fault()
    finally:
        slot.__set__(op, right)
    assert found is not None, f"{name}: missed by {MOST} programs"
    print(f"\n| {name} | {found[0] + 1} | {found[1]} |")


@pytest.mark.sweep
@pytest.mark.usefixtures("afresh")
def test_a_result_that_is_written_in_the_wrong_place_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = execute.Executable.__call__

    def shifted(self: Any, inputs: Any, out: Any = None, threads: int | None = None) -> Any:
        results = right(self, inputs, out, threads)
        if threads is not None and threads > 1:  # a race, as it were
            for array in results:
                if array.size > 100 and array.dtype.kind == "f":
                    array.reshape(-1)[-1] = 0
        return results

    monkeypatch.setattr(execute.Executable, "__call__", shifted)
    found = first_fault()
    assert found is not None and found[1] == "threads"
    print(f"\n| more than one thread loses the last element | {found[0] + 1} | {found[1]} |")
