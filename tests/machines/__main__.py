"""Tables of docs/testing.md: the same bits on every machine, with every number of threads, in every batch.

    python -m tests.machines [--groups fused batches ...]

Machines whose compiler, emulator or instructions are not here are named, and left out."""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lucid.compiler.ir.types import DTYPES
from lucid.compiler.pipeline import compile_graph
from lucid.runtime.execute import Executable
from lucid.runtime.host import host
from lucid.testing.bits import same_bits
from tests.native import run

from .cases import GROUPS, Case
from .cross import MACHINES, THREADS, Batch
from .rows import BATCHES, every

Array = np.ndarray[Any, Any]
# Programs of one executable.
MOST = 800
ROWS = (0, 1, 2, 16, 255)


class Tally:
    """Of one group: programs, kernels and elements; differing elements by machine."""

    def __init__(self) -> None:
        self.programs = self.kernels = self.elements = 0
        self.unlike: Counter[str] = Counter()
        self.modes: set[str] = set()

    def row(self, group: str, machines: list[str]) -> str:
        counts = [f"{n:,}" for n in (self.programs, self.kernels, self.elements)]
        cells = [group, *counts, *(f"{self.unlike[m]:,}" for m in machines)]
        return "| " + " | ".join(cells) + " |"


def unlike(one: Array, other: Array) -> int:
    """How many elements differ; NaN is NaN."""
    return int((~same_bits(one, other.reshape(one.shape))).sum())


def examine(cases: list[Case], machines: list[str], tallies: dict[str, Tally]) -> Iterator[str]:
    """What differs from this process, in words; counted in `tallies`."""
    for first in range(0, len(cases), MOST):
        some = cases[first : first + MOST]
        want = []
        for case in some:
            made = compile_graph(case.graph, host())
            want.append(Executable(made.plan)(list(case.inputs)))
            tally = tallies.setdefault(case.group, Tally())
            tally.programs += 1
            tally.kernels += len(made.plan.launches)
            tally.elements += sum(a.size for a in want[-1])
            tally.modes.update(s.mode for s in made.stages.schedules)
        for machine in machines:
            batch = Batch(MACHINES[machine])
            for case in some:
                batch.add(case.graph, case.inputs)
            with tempfile.TemporaryDirectory() as folder:
                found = batch.run(Path(folder))
            for case, got, right in zip(some, found, want, strict=True):
                for threads in THREADS:
                    pairs = zip(right, got[threads], strict=True)
                    if count := sum(unlike(a, b) for a, b in pairs):
                        tallies[case.group].unlike[machine] += count
                        yield f"{case.group}: {case.name} on {machine}, {threads} threads: {count} elements"


def alone(dtypes: list[str]) -> Iterator[str]:
    """The table of ops row by row."""
    yield "| dtype | ops | functions | rows compared | elements | differ |"
    yield "|---|---|---|---|---|---|"
    for name in dtypes:
        functions, rows, elements, differ = every([DTYPES[name]]), 0, 0, 0
        for f in functions:
            whole = {}
            for batch in BATCHES:
                given = f.some(0, batch)
                (whole[batch],) = run(f.graph(given), given)
            for k in ROWS:
                given = f.some(k, k + 1)
                (one,) = run(f.graph(given), given)
                for batch in BATCHES:
                    if k < batch:
                        rows, elements = rows + 1, elements + one.size
                        differ += unlike(one, whole[batch].take([k], f.out))
        ops = len({f.name for f in functions})
        yield f"| {name} | {ops} | {len(functions)} | {rows:,} | {elements:,} | {differ} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.machines", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--groups", nargs="*", choices=[*GROUPS, "rows"], default=[*GROUPS, "rows"])
    chosen = parser.parse_args().groups
    machines = []
    for name, machine in MACHINES.items():
        if lacks := machine.missing():
            print(f"{name} is left out: {lacks}\n")
        else:
            machines.append(name)
    tallies: dict[str, Tally] = {}
    wrong: list[str] = []
    for group in chosen:
        if group in GROUPS:
            wrong += examine(list(GROUPS[group]()), machines, tallies)
    if tallies:
        print("| of | programs | launches | elements | " + " | ".join(machines) + " |")
        print("|" + "---|" * (4 + len(machines)))
    for group, tally in tallies.items():
        print(tally.row(group, machines))
    if tallies:
        print("\nmodes: " + ", ".join(sorted(set().union(*(t.modes for t in tallies.values())))))
    print("\n".join(["", *wrong, ""]))
    if "rows" in chosen:
        print(
            "\n".join(
                alone(
                    [d for d in DTYPES if d in ("f16", "bf16", "f32", "f64", "i8", "i32", "i64", "u8", "b1")]
                )
            )
        )


if __name__ == "__main__":
    main()
