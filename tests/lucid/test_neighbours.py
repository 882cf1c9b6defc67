"""Random chains of steps over neighbours: shifts, paddings, joins, parts that are written, totals. Each
reads what earlier ones made at several places. Called, written over their own inputs, and eager, they have
NumPy's numbers. A chain is a short list of numbers: one that fails is told by its seed."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import lucid
from lucid import Tensor

pytestmark = pytest.mark.table

SIZES = (1, 2, 5, 8, 16, 17, 33, 64, 65, 100, 130)


class Step(NamedTuple):
    """`first` and `second` choose what is read; `shift` and `width` are along `axis`."""

    kind: str
    first: int
    second: int
    shift: int
    axis: int
    width: int


def part(ndim: int, axis: int, low: int | None, high: int | None, step: int = 1) -> tuple[slice, ...]:
    return tuple(slice(low, high, step) if d == axis else slice(None) for d in range(ndim))


def around(ndim: int, axis: int, low: int, high: int) -> list[tuple[int, int]]:
    return [(low, high) if d == axis else (0, 0) for d in range(ndim)]


def made(xp: ModuleType, step: Step, a: Any, b: Any) -> Any:
    """What a step makes of two arrays of one shape: another one of that shape. They are short of nothing if
    an axis is longer than a step is wide."""
    kind, n, width, axis = step.kind, a.shape[step.axis], step.width, step.axis
    if kind == "sum":
        return a + b
    if kind == "least":
        return xp.minimum(a, b)
    if kind == "roll":
        return xp.roll(a, step.shift, axis)
    if kind == "both sides":
        return a + xp.roll(b, step.width, axis) - xp.roll(b, -step.width, axis)
    if kind == "flip":
        return xp.flip(a, axis)
    if kind == "choice":
        return xp.where(a > b, a, xp.roll(b, step.shift, axis))
    if kind == "total":
        return a + b.sum(axis, keepdims=True)
    if kind == "greatest":
        return a - b.max(axis, keepdims=True)
    if n <= 2 * width:
        return a - b
    if kind == "padded":
        return xp.pad(a[part(a.ndim, axis, width, None)], around(a.ndim, axis, width, 0))
    if kind == "joined":
        ends = a[part(a.ndim, axis, width, None)], b[part(a.ndim, axis, None, width)]
        return xp.concatenate(ends, axis)
    if kind in ("edge", "reflect", "wrap"):
        wide = xp.pad(a, around(a.ndim, axis, width, width), mode=kind)
        begin = width + step.shift % (width + 1)
        return wide[part(a.ndim, axis, begin, begin + n)]
    c = xp.copy(a)
    if kind == "inner":
        sides = b[part(a.ndim, axis, 2 * width, None)] + a[part(a.ndim, axis, None, -2 * width)]
        c[part(a.ndim, axis, width, -width)] = sides
    else:
        assert kind == "every other"
        c[part(a.ndim, axis, step.first % 2, None, 2)] = b[part(a.ndim, axis, step.first % 2, None, 2)] + 1
    return c


KINDS = (
    "sum", "least", "roll", "both sides", "flip", "choice", "total", "greatest", "padded", "joined", "edge",
    "reflect", "wrap", "inner", "every other",
)  # fmt: skip


def drawn(rng: np.random.Generator, ndim: int) -> list[Step]:
    def one() -> Step:
        numbers = (int(rng.integers(*r)) for r in ((0, 99), (0, 99), (-3, 4), (0, ndim), (1, 4)))
        return Step(str(rng.choice(KINDS)), *numbers)

    return [one() for _ in range(rng.integers(3, 14))]


def run(xp: ModuleType, steps: Sequence[Step], x: Any, y: Any) -> tuple[Any, Any]:
    found = [x, y]
    for step in steps:
        a, b = (found[k % len(found)] for k in (step.first, step.second))
        found.append(xp.clip(made(xp, step, a, b), -1000, 1000))
    return found[-1], found[-2]


def same_as_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.choice(SIZES)) for _ in range(rng.integers(1, 3)))
    dtype = rng.choice(["float32", "float64", "int32", "float16"])
    steps = drawn(rng, len(shape))
    x, y = (rng.integers(-9, 10, shape).astype(dtype) for _ in range(2))
    want = run(np, steps, x, y)

    def program(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return run(lucid, steps, x, y)

    step = lucid.compile(program)
    for found in (step(Tensor(x), Tensor(y)), program(Tensor(x), Tensor(y))):
        for f, w in zip(found, want, strict=True):
            np.testing.assert_array_equal(f.numpy(), w, str(steps))
    if all(w.dtype == x.dtype for w in want):
        over = x.copy(), y.copy()
        step(*over, out=over)
        for array, w in zip(over, want, strict=True):
            np.testing.assert_array_equal(array, w, str(steps))


@pytest.mark.parametrize("seed", range(12))
def test_chains_of_steps(seed: int) -> None:
    same_as_numpy(seed)


@pytest.mark.sweep
def test_many_chains_of_steps() -> None:
    for seed in range(1000, 4000):
        same_as_numpy(seed)
