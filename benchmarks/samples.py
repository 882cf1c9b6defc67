"""Samples and what is made of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .cases import LIMITS, Goal


@dataclass(slots=True)
class Series:
    """The samples of one contender by round (seconds of one call, or bytes); `calls` is how many one
    sample is the mean of, `errors` how far off its results were."""

    calls: int = 1
    errors: Mapping[str, float] = field(default_factory=dict)
    samples: dict[int, float] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        found = sorted(self.samples.values())
        if len(found) > 1:
            low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
        else:
            low = middle = high = found[0]
        return {
            "median": middle, "low": low, "high": high, "least": found[0], "most": found[-1],
            "samples": len(found), "calls": self.calls, "errors": dict(self.errors),
        }  # fmt: skip


@dataclass(slots=True)
class Measured:
    """One variant: the contenders by label, and why others are not among them. In `unit`."""

    unit: str = "s"
    series: dict[str, Series] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def median(self, label: str) -> float | None:
        found = self.series.get(label)
        return statistics.median(found.samples.values()) if found and found.samples else None

    def ratio(self, above: str, below: str) -> float | None:
        """The median over the rounds that both took part in: what disturbs the machine for longer
        than a round disturbs both."""
        a, b = self.series.get(above), self.series.get(below)
        if a is None or b is None:
            return None
        shared = a.samples.keys() & b.samples.keys()
        common = [a.samples[k] / b.samples[k] for k in shared if b.samples[k]]  # no ratio to nothing
        return statistics.median(common) if common else None

    def fastest(self, start: str) -> str | None:
        found = [label for label in self.labels() if label.startswith(start)]
        return min(found, key=lambda label: self.median(label) or 0.0, default=None)

    def labels(self) -> list[str]:
        return [label for label, found in self.series.items() if found.samples]


def record(name: str, measured: Measured, goals: tuple[Goal, ...], moved: int) -> dict[str, Any]:
    """The variant as plain data. `moved` is how many bytes a call must move; 0 if that is not what
    takes the time."""
    contenders = {}
    for label in measured.labels():
        contenders[label] = measured.series[label].summary()
        ratio = measured.ratio(label, "lucid")
        if ratio is not None and label != "lucid":
            contenders[label]["times lucid"] = ratio
    return {
        "name": name,
        "unit": measured.unit,
        "bytes": moved,
        # Of the loops that show what the machine can do, the fastest of each kind.
        "limits": {kind: measured.fastest(kind) for kind in LIMITS if measured.fastest(kind)},
        "contenders": contenders,
        "left out": measured.failed,
        "goals": [_judged(goal, measured) for goal in goals],
    }


def _judged(goal: Goal, measured: Measured) -> dict[str, Any]:
    found = goal.measure(measured)
    figure, against = found if found is not None else (None, "")
    return {
        "goal": goal.text,
        "unit": goal.unit,
        "figure": figure,
        "against": against,
        "reached": None if figure is None else goal.reached(figure),
    }
