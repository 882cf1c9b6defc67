"""What `python -m lucid ulp` measures: the error of elementary functions at all float32, in units in the last
place against float64."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from lucid.compiler.ops import REGISTRY, Op

from .tensor import Tensor, apply

Array = np.ndarray[Any, Any]
CHUNK = 1 << 18  # what is made of them stays in the cache: 2**22 take six times as long


def functions() -> list[str]:
    """The functions of one number that are right within a bound."""
    return [name for name, op in REGISTRY.items() if op.ulp and len(op.samples[0].shapes) == 1]


def ulps(got: Array, want: Array) -> Array:
    """|got - want| in units in the last place of float32; `want` is float64. inf where one is NaN or inf and
    the other is not, or the signs differ."""
    limit = 2.0**128 - 2.0**103  # from here on, float32 is inf
    want = np.where(np.abs(want) >= limit, np.copysign(np.inf, want), want)
    exponent = np.maximum(want.view(np.int64) >> 52 & 0x7FF, 1023 - 126)
    with np.errstate(all="ignore"):
        away = np.abs(got - want) / ((exponent - 23) << 52).view(np.float64)
    if not np.isfinite(away).all():
        same = (got == want) | (np.isnan(got) & np.isnan(want))
        away = np.where(same, 0.0, np.where(np.isfinite(away), away, np.inf))
    return np.where((np.signbit(got) != np.signbit(want)) & ~np.isnan(want), np.inf, away)


def worst(op: Op, step: int) -> Iterator[tuple[float, float, float]]:
    """After each chunk of every `step`th float32: the part that is done, the largest error, and where."""
    largest, where = 0.0, 0.0
    for start in range(0, 1 << 32, CHUNK * step):
        bits = np.arange(start, min(start + CHUNK * step, 1 << 32), step, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        assert op.evaluate is not None
        with np.errstate(invalid="ignore"):  # NaN that signals
            wide = x.astype(np.float64)
        away = ulps(apply(op, Tensor(x)).numpy(), op.evaluate({}, wide))
        k = int(np.argmax(away))
        if away[k] > largest:
            largest, where = float(away[k]), float(x[k])
        yield min(1.0, (start + CHUNK * step) / 2**32), largest, where


def table(names: Iterable[str], step: int) -> Iterator[str]:
    """The rows of a Markdown table; on a terminal, how far it is stands on stderr."""
    yield "| function | largest error (ulp) | at |"
    yield "|---|---|---|"
    for name in names:
        began, largest, where = time.monotonic(), 0.0, 0.0
        for done, largest, where in worst(REGISTRY[name], step):  # noqa: B007 (the last ones are the result)
            if not sys.stderr.isatty():
                continue
            left = (time.monotonic() - began) * (1 - done) / done
            print(f"\r{name}: {done:4.0%}, {left:4.0f} s left, {largest:.3f} ", end="", file=sys.stderr)
        if sys.stderr.isatty():
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
        yield f"| `{name}` | {largest:.3f} | {where!r} |"
