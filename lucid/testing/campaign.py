"""`python -m lucid fuzz`: random programs, until time is up or one is not as it should be.

A *structure* is what statements a program has; a *program* is a structure with one draw of sizes, values,
layouts and threads. Compiling takes most of the time, and structures share what they compile among their
draws: each is drawn `DRAWS` times. The first draw is compared in every way there is (`oracle.py`), the others
in the ways that are cheap (`family.py`).

Draw d of structure s of a seed is the same one at every run, on any number of jobs: job j of J takes the
structures j, j + J, j + 2 J, ... A fault is made smaller and written as a program of its own.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, MutableSequence
from functools import partial
from multiprocessing.synchronize import Event
from queue import Empty
from typing import Any, TextIO

from lucid.compiler.ir.data import data, replace
from lucid.runtime import load, pool

from ..residence import Device
from . import abroad
from .abroad import Abroad
from .draws import (
    MOST_HUGE,
    THREADS,
    Draw,
    holds,
    huge_sizes,
    laid,
    number_like,
    other_sizes,
    redrawn,
    shapes_of,
)
from .family import Family, Fault
from .generate import random_program
from .layouts import UNPACK
from .oracle import Feature, Seen, examine
from .program import Program, listing, minimise, shortened
from .text import print_draw

STRIDE = 1_000_003  # between the structures of two seeds
DRAWS = 100
ABROAD = 6  # on another device, where running takes longer than compiling
FRESH = 12  # every so many draws, from the second on, have sizes that were not there before
FRESH_ABROAD = 2  # where all draws are compared in one way, on another device
LARGE = 8  # every so many structures have one draw of many elements
STRUCTURES = 200  # of a process; then another one takes over, as code stays for the life of a process


@data
class Found:
    """A fault, with the structure and the draw of its program, and the program made small."""

    structure: int
    number: int
    fault: Fault
    draw: Draw
    script: str


@data
class Told:
    """What became of the draws of a structure: how many, how many kernels went through LLVM, for how many
    seconds the processor was `busy`, what they reached. `first`: the first draw, if some of that was new."""

    structure: int
    programs: int
    kernels: int
    busy: float
    features: frozenset[Feature]
    first: Draw | None


@data
class Outcome:
    """What a run has come to."""

    programs: int
    structures: int
    kernels: int
    seconds: float
    busy: float
    features: frozenset[Feature]
    found: tuple[Found, ...]
    files: tuple[str, ...]


def program_of(seed: int, k: int) -> tuple[Program, bool]:
    """Structure k of a seed, over its first inputs, and whether it is smooth."""
    smooth = k % 4 == 3
    return random_program(seed * STRIDE + k, smooth, 8 if smooth else 14, more=True), smooth


def draws_of(seed: int, k: int, draws: int = DRAWS, device: Device = "cpu") -> Iterator[Draw]:
    """The draws of a structure. What does not hold for other sizes is left out, and for other devices what
    would take long: there may be fewer, or none."""
    program, smooth = program_of(seed, k)
    if device != "cpu":
        if not abroad.small(program):
            return
        smooth = smooth and holds(program)  # of nothing there is no gradient
    yield Draw(program, {}, smooth=smooth, thorough=True, number=k, device=device)
    rng = random.Random(f"{seed} {k}")
    orders = {name: rng.choice(("rows", "columns", "permuted")) for name in program.inputs}
    known = [(shapes_of(program), program.numbers)]
    for d in range(1, draws):
        if d == 1 and k % LARGE == 6 and device == "cpu":  # and once: it takes as long as a hundred others
            other = redrawn(program, huge_sizes(program, rng), rng, program.numbers, MOST_HUGE)
            if other is not None:
                yield Draw(other, {}, rng.randint(1, THREADS), smooth=smooth)
                continue
        form = rng.choice(known)
        if d % (FRESH if device == "cpu" else FRESH_ABROAD) == 1:
            form = other_sizes(program, rng), {n: number_like(k, rng) for n, k in program.numbers.items()}
        other = redrawn(program, form[0], rng, form[1])
        if other is not None:
            known += [form] if form not in known else []
            if device == "cpu":
                yield laid(other, orders, rng, smooth)
            elif abroad.small(other):
                yield Draw(other, {}, smooth=smooth, device=device)


def family_of(draw: Draw) -> Family:
    if draw.device == "cpu":
        return Family(draw.program, draw.smooth)
    return Abroad(draw.program, draw.smooth, draw.device)


def look(draw: Draw, family: Family | None = None) -> Seen:
    """What is found of a draw. `family`: of its structure, if it is not the first."""
    if draw.thorough and draw.device == "cpu":
        return examine(draw.program, draw.smooth, draw.number)
    family = family or family_of(draw)
    if isinstance(family, Abroad):
        return Seen(family.fault(draw), frozenset(family.features))
    return Seen(family.fault(draw), frozenset(("layout", x) for x in draw.layouts.values()))


def replay(draw: Draw) -> Fault | None:
    """What is found of a draw that was written down."""
    before = pool.get_num_threads()
    pool.set_num_threads(THREADS)
    try:
        return look(draw).fault
    finally:
        pool.set_num_threads(before)


def small(draw: Draw, fault: Fault, budget: int = 200, seconds: float = 60) -> tuple[Draw, Fault]:
    """The smallest program found, in so many steps or seconds, that has a fault of this kind, and that."""
    last, until = [fault], time.time() + seconds

    def fails(candidate: Program) -> bool:
        if time.time() > until:
            return False
        try:
            found = look(replace(draw, program=candidate)).fault
        except Exception:  # what NumPy refuses
            return False
        if found is None or found.kind != fault.kind:
            return False
        last[0] = found
        return True

    cut = shortened(minimise(draw.program, fails, budget), fails, budget)
    least = minimise(cut, fails, budget // 2)
    layouts = {name: layout for name, layout in draw.layouts.items() if name in least.inputs}
    return replace(draw, program=least, layouts=layouts), last[0]


def script_of(draw: Draw, fault: Fault) -> str:
    """A program that shows the fault alone."""
    said = "\n".join(f"# {line}" for line in str(fault).splitlines()[:12])
    made = listing(draw.program)
    helper = f"\n\n{UNPACK}\n" if "unpack(" in made else ""
    given = ", ".join(
        f"{n}={getattr(draw, n)!r}" for n in ("threads", "guarded", "smooth", "thorough", "number", "device")
    )
    return (
        f"{said}\n\nimport sys\n\nimport numpy as np\nfrom numpy import inf, nan\n\n"
        "from lucid.testing.campaign import THREADS, look, pool\nfrom lucid.testing.draws import Draw\n"
        "from lucid.testing.program import Program\n"
        f"{helper}\n{made}\nprint(program.text())\npool.set_num_threads(THREADS)\n"
        f"draw = Draw(program, {dict(draw.layouts)!r}, {given})\n"
        "fault = look(draw).fault\nprint(fault or 'nothing is wrong')\nsys.exit(fault is not None)\n"
    )


@data
class Task:
    """What a run is: of which seed, until when, at most how many programs a job, by how many jobs, how many
    draws of each structure; whether branches of passes are watched, too; on which device programs run."""

    seed: int
    until: float
    most: int
    jobs: int
    draws: int
    watched: bool
    device: Device


def work(
    task: Task,
    job: int,
    done: tuple[int, int],
    at: MutableSequence[int],
    tell: Callable[[Told | Found], None],
    over: Callable[[], bool],
) -> None:
    """Structures of one job, until it is over or they are STRUCTURES. `done`: how many structures and
    programs of the job there were before. To `tell`, what became of each. `at` holds the structure and the
    draw that is looked at."""
    pool.set_num_threads(THREADS)
    known: set[Feature] = set()
    begin, programs = done
    for turn in range(begin, begin + STRUCTURES):
        k = job + turn * task.jobs
        family, first, features, count = None, None, set[Feature](), 0
        before, clock = load.compiles(), time.process_time()
        for d, draw in enumerate(draws_of(task.seed, k, task.draws, task.device)):
            if programs >= task.most or time.time() >= task.until or over():
                break
            at[2 * job], at[2 * job + 1] = k, d
            family = family or family_of(draw)
            seen = look(draw, family)
            if task.watched and d == 0 and seen.fault is None:
                features |= family.branches(draw.program)
            features |= seen.features | cells(features, draw)
            programs, count = programs + 1, count + 1
            first = draw if d == 0 else first
            if seen.fault is not None:
                spent = load.compiles() - before, time.process_time() - clock
                tell(Told(k, count, *spent, frozenset(features), None))
                least, fault = small(draw, seen.fault)
                tell(Found(k, d, fault, least, script_of(least, fault)))
                return
        if not count and (programs >= task.most or time.time() >= task.until or over()):
            return
        new = features - known
        known |= new
        spent = load.compiles() - before, time.process_time() - clock
        tell(Told(k, count, *spent, frozenset(new), first if new else None))


def run(
    seconds: float,
    seed: int,
    jobs: int = 1,
    corpus: str | None = None,
    most: int | None = None,
    out: TextIO = sys.stderr,
    draws: int = DRAWS,
    device: Device = "cpu",
) -> Outcome:
    """Examine programs for so many seconds, or `most` of them. `corpus`: a folder for what has reached
    something new, and for faults, which else go to the working directory. Progress goes to `out`."""
    state = _State(seed, corpus, out)
    limit = sys.maxsize if most is None else most
    shares = [limit // jobs + (j < limit % jobs) for j in range(jobs)]
    until, watched = state.began + seconds, corpus is not None
    tasks = [Task(seed, until, share, jobs, draws, watched, device) for share in shares]
    if jobs == 1:
        before = -1
        while state.structures != before and not state.found:
            before = state.structures
            work(
                tasks[0], 0, (state.structures, state.programs), [0, 0], state.hear, lambda: bool(state.found)
            )
        return state.outcome()
    context = multiprocessing.get_context("spawn")
    stop, at = context.Event(), context.Array("q", 2 * jobs, lock=False)
    queue: Any = context.Queue()
    workers: dict[int, Any] = {}
    done = [(0, 0)] * jobs
    began = [-1] * jobs  # structures when a worker began: one that has done nothing is not followed
    while True:
        for j in range(jobs):
            worker = workers.get(j)
            if worker is None and began[j] != done[j][0] and not stop.is_set():
                began[j] = done[j][0]
                given = (tasks[j], j, done[j], at, queue.put, partial(ended, stop, queue))
                workers[j] = context.Process(target=work, args=given, daemon=True)
                workers[j].start()
        dead = [j for j, w in workers.items() if not w.is_alive()]
        told = _drain(queue, 0.0 if dead else 0.2)
        for one in told:
            state.hear(one)
            if isinstance(one, Told):
                j = one.structure % jobs
                done[j] = done[j][0] + 1, done[j][1] + one.programs
        for j in dead:
            worker = workers.pop(j)
            if worker.exitcode:
                state.hear(_crashed(seed, at[2 * j], at[2 * j + 1], worker.exitcode, draws, device))
        if state.found:
            stop.set()
        if not workers and all(began[j] == done[j][0] or stop.is_set() for j in range(jobs)):
            return state.outcome()


def ended(stop: Event, queue: Any) -> bool:
    """Whether a worker is to end: when it is told to, and when who asked for it is gone, who will not read
    what is still in the queue: a worker would wait for that for ever."""
    parent = multiprocessing.parent_process()
    gone = parent is not None and not parent.is_alive()
    if gone:
        queue.cancel_join_thread()
    return gone or stop.is_set()


def _drain(queue: Any, wait: float) -> list[Told | Found]:
    """What has been told since; the first of it is waited for."""
    found = []
    try:
        while True:
            found.append(queue.get(timeout=max(wait, 0.05)))
            wait = 0.0
    except Empty:
        return found


def _crashed(seed: int, k: int, d: int, code: int, draws: int, device: Device) -> Found:
    """The fault of a process that is gone: the program it was at."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    fault = Fault("crash", f"the process ended by {how}")
    draw = next(draw for n, draw in enumerate(draws_of(seed, k, draws, device)) if n == d)
    return Found(k, d, fault, draw, script_of(draw, fault))


class _State:
    """What all jobs have told so far."""

    def __init__(self, seed: int, corpus: str | None, out: TextIO) -> None:
        self.seed, self.corpus, self.out, self.began = seed, corpus, out, time.time()
        self.programs = self.structures = self.kernels = 0
        self.busy = 0.0
        self.features = set[Feature]()
        self.found: list[Found] = []
        self.files: list[str] = []
        self._said = 0.0

    def hear(self, told: Told | Found) -> None:
        if isinstance(told, Found):
            self.found.append(told)
            name = f"fault-{self.seed}-{told.structure}-{told.number}"
            self._write(f"{name}.txt", print_draw(told.draw, str(told.fault)))
            self.files.append(self._write(f"{name}.py", told.script))
            return
        self.programs += told.programs
        self.structures += 1
        self.kernels += told.kernels
        self.busy += told.busy
        if told.first is not None and told.features - self.features and self.corpus is not None:
            new = [" ".join(f) for f in sorted(told.features - self.features)]
            text = print_draw(told.first, f"reached {len(new)} first: {', '.join(new[:20])}")
            self._write(f"reached-{hashlib.sha256(text.encode()).hexdigest()[:12]}.txt", text)
        self.features |= told.features
        if time.time() - self._said > (0.5 if self.out.isatty() else 10):
            self._said = time.time()
            end = "\r" if self.out.isatty() else "\n"
            print(self.line(), end=end, file=self.out, flush=True)

    def line(self) -> str:
        spent = max(time.time() - self.began, 1e-9)
        return (
            f"{self.programs} programs, {self.programs / spent:.1f} a second, {self.structures} structures, "
            f"{_reached(self.features)}, {len(self.found)} faults"
        )

    def outcome(self) -> Outcome:
        spent = time.time() - self.began
        return Outcome(
            self.programs, self.structures, self.kernels, spent, self.busy, frozenset(self.features),
            tuple(self.found), tuple(self.files),
        )  # fmt: skip

    def _write(self, name: str, text: str) -> str:
        folder = self.corpus or "."
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


def cells(features: set[Feature], draw: Draw) -> set[Feature]:
    """What a draw covers of op x dtype x mode of schedule x layout. `features`: of its structure; the modes
    are those of its first draw."""
    layouts = {draw.layouts.get(name, "rows") for name in draw.program.inputs}
    return {(*f, layout) for f in features if len(f) == 3 for layout in layouts}


KINDS = ("mode", "layout", "branch")


def _reached(features: Collection[Feature]) -> str:
    """How much there is of each kind."""
    modes, layouts, branches = (sum(f[0] == kind for f in features) for kind in KINDS)
    pairs = sum(len(f) == 2 and f[0] not in KINDS for f in features)
    crossed = sum(len(f) == 4 for f in features)
    said = f"{pairs} ops with dtypes, {layouts} layouts, {modes} modes, {crossed} of all these crossed"
    return said + (f", {branches} branches of passes" if branches else "")


def report(outcome: Outcome, seed: int) -> Iterator[str]:
    """The lines that the command prints in the end."""
    rate = outcome.programs / max(outcome.seconds, 1e-9)
    modes = sorted(f[1] for f in outcome.features if f[0] == "mode")
    ops = {f[0] for f in outcome.features if len(f) == 2} - set(KINDS)
    yield f"seed {seed}: {outcome.programs} programs in {outcome.seconds:.0f} s, {rate:.1f} a second"
    each = 1e3 * outcome.busy / max(outcome.programs, 1)
    yield (
        f"{outcome.structures} structures; {outcome.kernels} kernels went through LLVM; "
        f"{outcome.busy:.0f} s of a processor, {each:.1f} ms a program"
    )
    yield f"reached: {len(ops)} ops, {_reached(outcome.features)}; modes {', '.join(modes) or 'none'}"
    for found, path in zip(outcome.found, outcome.files, strict=True):
        yield f"draw {found.number} of structure {found.structure}: {found.fault}"
        yield f"  made smaller, in {path}:"
        yield from (f"    {line}" for line in found.draw.program.text().splitlines())
    yield "no fault" if not outcome.found else f"{len(outcome.found)} faults"
