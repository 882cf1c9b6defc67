"""`lucid bench`: a compiled function beside the same function as it is written.

Both are called in turn, so that what else the machine does meets both; what is told are the medians, the
quarters of all samples that are below and above them, and the ratio. How the other one is called:

    numpy   on arrays, where it makes no tensors
    eager   on tensors: lazy, and computed after each call
    again   the compiled function once more: as far as that ratio differs from 1, it is noise

Both change what the function changes (parameters of a training step).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arguments import rebuild
from ..tensor import Tensor, settle
from . import target
from .table import CommandError

LEAST = 5  # calls of each
SECONDS = 2.0  # after which no further ones begin
BATCH = 1e-3  # seconds that a sample takes at least: shorter calls are timed several at once


def arguments(parser: argparse.ArgumentParser) -> None:
    target.argument(parser)
    parser.add_argument(
        "--against",
        choices=("eager", "numpy", "again"),
        default="eager",
        help="the function on tensors, or on arrays; or the compiled one again: the noise (eager)",
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"how long to measure, in all ({SECONDS:g})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    if not options.seconds > 0:
        raise CommandError(f"--seconds must be more than 0, not {options.seconds:g}")
    found = target.load(options.target)
    args, plain = found.args, found.compiled.__wrapped__
    other = found.compiled if options.against == "again" else plain
    tensors = options.against == "eager"
    given = rebuild(args, lambda x: Tensor(x) if isinstance(x, np.ndarray) and tensors else x)
    try:
        first = target.told(options.against, lambda: other(*given))
    except CommandError as error:
        raise CommandError(f"{options.against}: {error}") from None
    if options.against == "numpy" and _holds_tensors((given, first)):
        raise CommandError(f"numpy: {found.compiled._name()} computes with tensors; take --against eager")
    times = target.told(
        options.against,
        lambda: compare(lambda: _done(found.compiled(*args)), lambda: _done(other(*given)), options.seconds),
    )
    told = {
        name: dict(zip(("low", "median", "high"), quarters(each), strict=True))
        for name, each in zip(("compiled", options.against), times, strict=True)
    }
    ratio = told[options.against]["median"] / told["compiled"]["median"]
    if options.json:
        print(json.dumps({"samples": len(times[0]), "ratio": ratio, "seconds": told}, indent=2))
        return 0
    print(f"{found.compiled._name()}: medians of {len(times[0])} samples of each, in turn")
    for name, row in told.items():
        low, median, high = (f"{1e6 * row[k]:,.1f}" for k in ("low", "median", "high"))
        print(f"{name:<8}  {median:>12} us   (half of them {low} to {high})")
    print(f"ratio     {ratio:>12.2f}      ({options.against} / compiled)")
    return 0


def compare(
    first: Callable[[], object], second: Callable[[], object], seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds of a call of each, sample by sample, in turn; the first calls are not counted."""
    counts = [_count(call) for call in (first, second)]
    found: tuple[list[float], list[float]] = ([], [])
    end = time.perf_counter() + seconds
    while len(found[0]) < LEAST or time.perf_counter() < end:
        for call, count, times in zip((first, second), counts, found, strict=True):
            begin = time.perf_counter()
            for _ in range(count):
                call()
            times.append((time.perf_counter() - begin) / count)
    return found


def _count(call: Callable[[], object]) -> int:
    """How many calls take BATCH. The first ones compile."""
    for _ in range(3):
        call()
    count = 1
    while True:
        begin = time.perf_counter()
        for _ in range(count):
            call()
        took = time.perf_counter() - begin
        if took >= BATCH:
            return count
        count = max(count + 1, min(10 * count, int(1.2 * count * BATCH / max(took, 1e-9))))


def quarters(times: list[float]) -> tuple[float, float, float]:
    """A quarter is below the first, half below the second, a quarter above the third."""
    ordered = sorted(times)
    k = len(ordered) // 4
    return ordered[k], statistics.median(ordered), ordered[-1 - k]


def _holds_tensors(value: Any) -> bool:
    found: list[bool] = []
    rebuild(value, lambda leaf: found.append(isinstance(leaf, Tensor)))
    return any(found)


def _done(result: Any) -> None:
    """A result, computed."""
    pending: list[Tensor] = []

    def look(value: Any) -> Any:
        if isinstance(value, Tensor) and value._node.data is None:
            pending.append(value)
        return value

    rebuild(result, look)
    if pending:
        settle(pending)
