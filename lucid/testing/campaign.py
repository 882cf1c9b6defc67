"""`python -m lucid fuzz`: random programs, until time is up or one is not as it should be.

Program k of seed S is the same one at every run, on any number of jobs: job j of J takes j, j + J, j + 2 J,
... Each is examined by `oracle.py`; every 8th with LUCID_VERIFY and with what is printed of it, every 64th
with LUCID_CHECK, so that the interpreters of all levels are compared with each other, too. A fault is made
smaller and written as a program of its own.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any, TextIO

from lucid.compiler.ir.data import data
from lucid.runtime import pool

from .generate import random_program
from .layouts import UNPACK
from .oracle import Fault, Feature, Seen, examine
from .program import Program, listing, minimise, shortened

THREADS = 3
STRIDE = 1_000_003  # between the programs of two seeds


@data
class Found:
    """A fault, with the number of its program, and the program made small."""

    number: int
    fault: Fault
    program: Program
    smooth: bool
    script: str


@data
class Outcome:
    """What a run has come to."""

    programs: int
    seconds: float
    features: frozenset[Feature]
    found: tuple[Found, ...]
    files: tuple[str, ...]


def program_of(seed: int, k: int) -> tuple[Program, bool]:
    """Program k of a seed, and whether it is smooth."""
    smooth = k % 4 == 3
    return random_program(seed * STRIDE + k, smooth, 8 if smooth else 14, more=True), smooth


def look(program: Program, smooth: bool, k: int) -> Seen:
    """What `examine` finds, with the checks that fall to number k."""
    settings = {"LUCID_VERIFY": "1"} if k % 8 == 0 else {}
    settings |= {"LUCID_CHECK": "1"} if k % 64 == 0 else {}
    with environment(settings):
        return examine(program, smooth, k, texts=k % 8 == 0)


def small(program: Program, smooth: bool, k: int, fault: Fault, budget: int = 200) -> tuple[Program, Fault]:
    """The smallest program found that has a fault of the same kind, with that."""
    last = [fault]

    def fails(candidate: Program) -> bool:
        try:
            found = look(candidate, smooth, k).fault
        except Exception:  # what NumPy refuses
            return False
        if found is None or found.kind != fault.kind:
            return False
        last[0] = found
        return True

    cut = shortened(minimise(program, fails, budget), fails, budget)
    return minimise(cut, fails, budget // 2), last[0]


def script_of(program: Program, smooth: bool, k: int, fault: Fault) -> str:
    """A program that shows the fault alone."""
    said = "\n".join(f"# {line}" for line in str(fault).splitlines()[:12])
    made = listing(program)
    helper = f"\n\n{UNPACK}\n" if "unpack(" in made else ""
    return (
        f"{said}\n\nimport sys\n\nimport numpy as np\nfrom numpy import inf, nan\n\n"
        "from lucid.testing.campaign import look\nfrom lucid.testing.program import Program\n"
        f"{helper}\n{made}\nprint(program.text())\n"
        f"fault = look(program, {smooth}, {k}).fault\nprint(fault or 'nothing is wrong')\n"
        "sys.exit(fault is not None)\n"
    )


def work(
    seed: int,
    job: int,
    jobs: int,
    until: float,
    most: int,
    tell: Callable[[Any], None],
    over: Callable[[], bool],
) -> None:
    """The programs of one job: to `tell`, the features of each, and the fault of the last."""
    pool.set_num_threads(THREADS)
    known: set[Feature] = set()
    k = job
    while k < most and time.time() < until and not over():
        program, smooth = program_of(seed, k)
        seen = look(program, smooth, k)
        new = seen.features - known
        known |= new
        tell((k, new, program if new else None, smooth))
        if seen.fault is not None:
            least, fault = small(program, smooth, k, seen.fault)
            tell(Found(k, fault, least, smooth, script_of(least, smooth, k, fault)))
            return
        k += jobs


def run(
    seconds: float,
    seed: int,
    jobs: int = 1,
    corpus: str | None = None,
    most: int | None = None,
    out: TextIO = sys.stderr,
) -> Outcome:
    """Examine programs for so many seconds, or `most` of them. `corpus`: a folder for what has reached
    something new, and for faults, which else go to the working directory. Progress goes to `out`."""
    began = time.time()
    state = _State(seed, corpus, out, began)
    limit = sys.maxsize if most is None else most
    if jobs == 1:
        work(seed, 0, 1, began + seconds, limit, state.hear, lambda: bool(state.found))
        return state.outcome()
    context = multiprocessing.get_context("spawn")
    queue, stop = context.Queue(), context.Event()
    args = [(seed, j, jobs, began + seconds, limit, queue.put, stop.is_set) for j in range(jobs)]
    workers = [context.Process(target=work, args=a, daemon=True) for a in args]
    for worker in workers:
        worker.start()
    while any(w.is_alive() for w in workers) or not queue.empty():
        try:
            state.hear(queue.get(timeout=0.2))
        except Empty:
            continue
        if state.found:
            stop.set()
    if any(w.exitcode for w in workers):
        raise RuntimeError("a job of the fuzzer died: " + ", ".join(str(w.exitcode) for w in workers))
    return state.outcome()


class _State:
    """What all jobs have told so far."""

    def __init__(self, seed: int, corpus: str | None, out: TextIO, began: float) -> None:
        self.seed, self.corpus, self.out, self.began = seed, corpus, out, began
        self.programs, self.features = 0, set[Feature]()
        self.found: list[Found] = []
        self.files: list[str] = []
        self._said = 0.0

    def hear(self, told: Any) -> None:
        if isinstance(told, Found):
            self.found.append(told)
            self._write(f"fault-{self.seed}-{told.number}.py", told.script)
            return
        k, features, program, smooth = told
        self.programs += 1
        if program is not None and features - self.features and self.corpus is not None:
            reached = ", ".join(f"{a} {b}" for a, b in sorted(features - self.features))
            script = script_of(program, smooth, k, Fault("reached first", reached))
            self._write(f"reached-{hashlib.sha256(script.encode()).hexdigest()[:12]}.py", script)
        self.features |= features
        if time.time() - self._said > (0.5 if self.out.isatty() else 10):
            self._said = time.time()
            end = "\r" if self.out.isatty() else "\n"
            print(self.line(), end=end, file=self.out, flush=True)

    def line(self) -> str:
        spent = max(time.time() - self.began, 1e-9)
        modes = sum(kind == "mode" for kind, _ in self.features)
        return (
            f"{self.programs} programs, {self.programs / spent:.1f} a second, "
            f"{len(self.features) - modes} ops with dtypes, {modes} modes, {len(self.found)} faults"
        )

    def outcome(self) -> Outcome:
        spent = time.time() - self.began
        return Outcome(self.programs, spent, frozenset(self.features), tuple(self.found), tuple(self.files))

    def _write(self, name: str, text: str) -> None:
        folder = self.corpus or "."
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        if name.startswith("fault"):
            self.files.append(path)


@contextmanager
def environment(settings: dict[str, str]) -> Iterator[None]:
    """Variables of the environment, as long as it lasts."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def report(outcome: Outcome, seed: int) -> Iterator[str]:
    """The lines that the command prints in the end."""
    rate = outcome.programs / max(outcome.seconds, 1e-9)
    modes = sorted(name for kind, name in outcome.features if kind == "mode")
    pairs = [f for f in outcome.features if f[0] != "mode"]
    yield f"seed {seed}: {outcome.programs} programs in {outcome.seconds:.0f} s, {rate:.1f} a second"
    ops = len({op for op, _ in pairs})
    yield f"reached: {ops} ops, {len(pairs)} with dtypes; modes {', '.join(modes) or 'none'}"
    for found, path in zip(outcome.found, outcome.files, strict=True):
        yield f"program {found.number}: {found.fault}"
        yield f"  made smaller, in {path}:"
        yield from (f"    {line}" for line in found.program.text().splitlines())
    yield "no fault" if not outcome.found else f"{len(outcome.found)} faults"
