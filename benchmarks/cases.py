"""The cases: what is measured, in which sizes, and what must come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

MEMORY_ELEMENTS = 5 * 10**7


@dataclass(frozen=True, slots=True)
class Mix:
    """What the memory must do at least: arrays of `n` float32 that are read, and that are written;
    `in_place` if those written are among those read."""

    n: int
    reads: int
    writes: int
    in_place: bool = False

    @property
    def bytes(self) -> int:
        return 4 * self.n * (self.reads + self.writes)

    def params(self) -> dict[str, Any]:
        return {
            "n": self.n, "reads": self.reads, "writes": self.writes, "in_place": self.in_place,
        }  # fmt: skip

    def __str__(self) -> str:
        return f"{self.reads} reads : {self.writes} writes" + (", in place" if self.in_place else "")


class Figures(Protocol):
    """What a goal may look at: the samples of one variant."""

    def median(self, label: str) -> float | None:
        """Median of the samples; None if it was not measured."""

    def ratio(self, above: str, below: str) -> float | None:
        """How many times as long `above` takes as `below`, median over the rounds."""

    def fastest(self, start: str) -> str | None:
        """Of the labels that begin so, the one with the least median."""

    def labels(self) -> list[str]:
        """All that was measured."""


@dataclass(frozen=True, slots=True)
class Goal:
    """`measure` gives a figure, and whom it was measured against; it must be at least `least`, or at
    most `most`. `unit` is "times", "of the limit" or seconds ("s")."""

    text: str
    unit: str
    measure: Callable[[Figures], tuple[float, str] | None]
    least: float | None = None
    most: float | None = None

    def reached(self, figure: float) -> bool:
        if self.least is not None and figure < self.least:
            return False
        return self.most is None or figure <= self.most


# How labels of plain loops begin, and what they show (`peers/with_loops.py`).
LIMITS = {
    "limit": "the same reads and writes, of arrays of the same size",
    "copy": "a copy of large arrays, for as many bytes",
    "read": "one read of a large array, for as many bytes",
}


def of_limit(least: float, kind: str = "limit") -> Goal:
    """At least that share of the speed of the fastest plain loop of that kind."""

    def measure(figures: Figures) -> tuple[float, str] | None:
        limit = figures.fastest(kind)
        found = figures.ratio(limit, "lucid") if limit else None
        return (found, limit) if found is not None and limit else None

    text = f"at least {least:g} of the " + ("limit" if kind == "limit" else f"speed of a {kind}")
    return Goal(text, "of the limit", measure, least=least)


def ahead(least: float, *starts: str, label: str = "lucid", note: str = "") -> Goal:
    """At least so many times as fast as the fastest contender whose label begins with one of
    `starts`; without any, of all contenders that are not lucid."""

    def measure(figures: Figures) -> tuple[float, str] | None:
        found = []
        for other in figures.labels():
            if other.startswith(("lucid", *LIMITS)):
                continue
            ratio = figures.ratio(other, label)
            if ratio is not None and (not starts or other.startswith(starts)):
                found.append((ratio, other))
        return min(found, default=None)

    whom = note or " and ".join(starts) or "every peer"
    text = f"ahead of {whom}" if least == 1 else f"at least {least:g} times as fast as {whom}"
    return Goal(text, "times", measure, least=least)


def within(most: float, label: str = "lucid", unit: str = "s") -> Goal:
    """At most so much, in the unit of the samples."""

    def measure(figures: Figures) -> tuple[float, str] | None:
        found = figures.median(label)
        return None if found is None else (found, label)

    text = f"at most {shown(most, unit)}"
    if label != "lucid":
        text += f" ({label.removeprefix('lucid, ')})"
    return Goal(text, unit, measure, most=most)


def shown(value: float, unit: str) -> str:
    """A figure as people read it: three digits and a unit."""
    if unit == "s":
        for name, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
            if value >= 0.9995 * size:
                return f"{_digits(value / size)} {name}"
        return f"{_digits(value / 1e-9)} ns"
    if unit == "bytes":
        return f"{_digits(value / 1e6)} MB"
    if unit == "times":
        return f"{_digits(value)}×"
    return f"{value:.2f}" if unit == "of the limit" else f"{value:g} {unit}"


def _digits(value: float) -> str:
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{decimals}f}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of a case. `skip` names contenders that are left out, by the start of their label; `others`
    is how many processes of others keep the last of the CPUs busy meanwhile."""

    name: str
    kind: str
    params: Mapping[str, Any]
    mix: Mix | None = None
    goals: tuple[Goal, ...] = ()
    skip: tuple[str, ...] = ()
    others: int = 0

    def wants(self, label: str) -> bool:
        return not (self.skip and label.startswith(self.skip))


@dataclass(frozen=True, slots=True)
class Case:
    """`fresh`, if given, names a measurement by new processes instead of calls (see `fresh.py`), and
    `goals` are those of its parts."""

    name: str
    title: str
    variants: tuple[Variant, ...] = ()
    fresh: str = ""
    goals: Mapping[str, tuple[Goal, ...]] = field(default_factory=dict)


def _huber() -> Case:
    small = (ahead(1),)
    large = (
        of_limit(0.9),
        ahead(4, "torch.compile"),
        ahead(4, "JAX"),
        ahead(1, "Numba, output reused"),
    )
    variants = []
    for n in (10, 10**3, 10**4, 10**5, 10**6, 10**7, 5 * 10**7):
        big = n >= 10**7
        variants.append(
            Variant(
                f"{n:,}",
                "huber",
                {"n": n},
                Mix(n, 2, 1) if n >= 10**6 else None,
                large if big else small if n > 10 else (),
                # One thread is ahead of two only where a region costs more than the work.
                skip=("Numba, one thread",) if n > 10**5 else (),
            )
        )
    return Case("huber", "Huber loss, value and gradient", tuple(variants))


def _huber_call() -> Case:
    goals = within(1e-6), ahead(10, "JAX"), ahead(3, "Numba, parallel"), ahead(1)
    variant = Variant("10", "huber_call", {"n": 10}, None, goals)
    return Case("huber_call", "Huber loss, value and gradient of 10 elements, NumPy arrays in", (variant,))


def _linear() -> Case:
    goals = of_limit(0.9), ahead(1, "Numba")
    variants = [
        Variant(f"{n:,} × {d}", "linear", {"n": n, "d": d}, Mix(n * d, 1, 0), goals)
        for n, d in ((1_000_000, 16), (200_000, 128))
    ]
    return Case("linear", "Linear Huber regression, value and gradient to w and b", tuple(variants))


def _rows(op: str, title: str) -> Case:
    goals = of_limit(0.85, "copy"), ahead(1, "torch.compile"), ahead(1, "JAX")
    variants = []
    for m, n in ((4096, 1024), (65536, 64)):
        for backward in (False, True):
            params = {"op": op, "m": m, "n": n, "backward": backward}
            mix = Mix(m * n, 2, 2) if backward else Mix(m * n, 1, 1)
            name = f"{m:,} × {n:,}, " + ("forward and backward" if backward else "forward")
            variants.append(Variant(name, "rows", params, mix, goals))
    return Case(op, title, tuple(variants))


def _moves() -> Case:
    """Kernels that compute next to nothing: what is left is how they walk through memory."""
    m = n = 4096
    variants = [
        Variant(
            f"{name}, {m:,} × {n:,}",
            "moves",
            {"op": op, "m": m, "n": n},
            Mix(m * n, 1, writes),
            (of_limit(0.85), ahead(1)),
        )
        for name, op, writes in (
            ("sum of all", "all", 0),
            ("sums of rows", "rows", 0),
            ("sums of columns", "columns", 0),
            ("transpose", "transpose", 1),
        )
    ]
    return Case("moves", "Sums over all, rows and columns; a transpose", tuple(variants))


def _adam() -> Case:
    n = 10**7
    goals = of_limit(0.9), ahead(1, "PyTorch, fused")
    variants = [
        Variant(
            f"{n:,} in {tensors} tensor{'s' * (tensors > 1)}",
            "adam",
            {"n": n, "tensors": tensors},
            Mix(n, 4, 3, in_place=True),
            goals,
            # One expression for each tensor: it would measure the number of calls.
            skip=("numexpr",) if tensors > 1 else (),
        )
        for tensors in (1, 64)
    ]
    return Case("adam", "A step of Adam", tuple(variants))


def _mlp() -> Case:
    lazy = "lucid, not compiled"
    small = (
        within(40e-6),
        ahead(3, "JAX"),
        ahead(15, "PyTorch", note="PyTorch"),
        within(1e-3, lazy),
    )
    variants = [
        Variant(
            f"batch {batch}, {width} in, {hidden} hidden",
            "mlp",
            {"batch": batch, "width": width, "hidden": hidden},
            None,
            small if hidden == 32 else (ahead(1),),
        )
        for batch, width, hidden in ((32, 16, 32), (256, 64, 256), (1024, 256, 1024))
    ]
    return Case("mlp", "A training step of three linear layers: ReLU, Huber, Adam", tuple(variants))


def _region() -> Case:
    def cost(figures: Figures) -> tuple[float, str] | None:
        parallel, serial = figures.median("lucid"), figures.median("lucid, one thread")
        return None if parallel is None or serial is None else (parallel - serial, "lucid, one thread")

    goal = Goal("at most 5 µs more than on one thread", "s", cost, most=5e-6)
    variant = Variant("2 blocks that do nothing", "region", {}, None, (goal,))
    return Case("region", "A parallel region", (variant,))


def _busy() -> Case:
    def goal(most: float) -> Goal:
        def measure(figures: Figures) -> tuple[float, str] | None:
            found = figures.ratio("lucid", "lucid, one thread")
            return None if found is None else (found, "lucid, one thread")

        return Goal(f"at most {most:g} times as long as one thread", "times", measure, most=most)

    params = {"n": 1 << 18, "count": 250}
    names = "both CPUs free", "one CPU busy", "one CPU busy with four processes"
    variants = [
        Variant(name, "busy", params, None, (goal(1.3 if others else 1.0),), others=others)
        for name, others in zip(names, (0, 1, 4), strict=True)
    ]
    title = "x - x.mean(), 250 times over 262,144 elements, beside other processes"
    return Case("busy", title, tuple(variants))


CASES = {
    case.name: case
    for case in (
        _huber(),
        _huber_call(),
        _linear(),
        _rows("softmax", "Softmax over rows"),
        _rows("log_softmax", "Log-softmax over rows"),
        _rows("layer_norm", "Layer normalisation over rows"),
        _moves(),
        _adam(),
        _mlp(),
        _region(),
        _busy(),
        Case("import", "Import", fresh="imports", goals={"after NumPy": (within(0.1),)}),
        Case(
            "first_call",
            "First call of Huber value and gradient, after the import",
            fresh="first_calls",
            goals={"empty cache": (within(0.1),), "warm cache": (within(0.01),)},
        ),
        Case(
            "scale",
            "First call of programs that repeat what they do, with an empty and with a warm cache",
            fresh="scales",
            goals={
                "chain, 1,000": (within(3.0),),  # 3 ms a node
                "means, 200": (within(1.8),),
                "softmaxes, 30": (within(0.72),),
                "layers, 100": (within(0.6),),
                "steps, 100": (within(1.8),),
                "adam, 400": (within(12.0),),
                "chain, 1,000, warm cache": (within(0.3),),  # 0.3 ms a node
                "means, 200, warm cache": (within(0.3),),
                "softmaxes, 30, warm cache": (within(0.12),),
                "layers, 100, warm cache": (within(0.12),),
                "steps, 100, warm cache": (within(0.24),),
            },
        ),
        Case(
            "new_batch",
            "A new batch size of a compiled training step",
            fresh="new_batches",
            goals={
                "the first": (within(3e-3),),
                "another": (within(3e-3),),
                "kernels compiled for them": (within(0, unit="kernels"),),
            },
        ),
        Case(
            "memory",
            f"Memory beyond the inputs, Huber value and gradient of {MEMORY_ELEMENTS:,} elements",
            fresh="peaks",
            goals={"peak": (within(4 * MEMORY_ELEMENTS + (2 << 20), unit="bytes"),)},
        ),
    )
}
