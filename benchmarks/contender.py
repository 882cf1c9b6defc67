"""What is timed: one way of computing one problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """Inputs by name, float32 at 64-byte boundaries; `expected()` gives the right results by name, in
    float64, and `tolerance` how far each may be off, relative to the largest element expected."""

    inputs: Mapping[str, Array]
    expected: Callable[[], dict[str, Array]]
    tolerance: Mapping[str, float]
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    """`call(*args)` is what is timed; it ends when the results are there. `result` turns what it
    returned into arrays by name (it may call again: the timing comes later). Its time counts `scale`
    times."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    result: Callable[[Any], Mapping[str, Any]]
    scale: float = 1.0


# What a peer offers for one kind of problem: how each contender is made, by its label.
Offer = Mapping[str, Callable[[Problem], Contender]]


def errors(problem: Problem, found: Mapping[str, Any]) -> dict[str, float]:
    """The largest error of each result, relative to the largest element expected.

    ValueError if one is missing, has another shape, or is further off than the problem allows.
    """
    off = {}
    for name, right in problem.expected().items():
        if name not in found:
            raise ValueError(f"no {name}")
        value = np.asarray(found[name])
        if value.size != right.size:
            raise ValueError(f"{name} has shape {value.shape}, expected {right.shape}")
        off[name] = _error(value.reshape(-1), right.reshape(-1))
        if not off[name] <= problem.tolerance[name]:
            raise ValueError(f"{name} is off by {off[name]:.1e}, allowed are {problem.tolerance[name]:.0e}")
    return off


def _error(value: Array, right: Array) -> float:
    """In pieces: a case may fill a good part of the memory."""
    largest = off = 0.0
    for k in range(0, right.size, 1 << 20):
        part = right[k : k + (1 << 20)].astype(np.float64)
        largest = max(largest, float(np.abs(part).max()))
        # NaN must not be lost: max() of a NaN is one, and no comparison with it is true.
        error = float(np.abs(value[k : k + (1 << 20)].astype(np.float64) - part).max())
        off = error if error != error else max(off, error)
        if off != off:
            break
    return off / largest if largest else off
