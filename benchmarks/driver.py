"""The parent's side: a process for each peer, and samples of all contenders in turn."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .cases import Variant
from .samples import Measured, Series
from .worker import Message, cpus, serve

# Longest wait for an answer: torch.compile takes 20 s for a function on a busy machine.
TIMEOUT = 300.0
# Threads of a peer may spin for a while after its last call: those of OpenBLAS for 2^26 ticks, 26 ms.
PAUSE = 0.03


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: seconds of one sample, seconds for one contender of one variant, rounds."""

    sample: float
    share: float
    rounds: int


FULL = Effort(0.02, 1.2, 21)
QUICK = Effort(0.005, 0.3, 7)
LEAST = 3  # samples of even the slowest contender


class Gone(Exception):
    """A worker ended, or did not answer in time."""


class Peer:
    """The process of one peer. `missing` says why there is none."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self.missing: str | None = None
        self.versions: dict[str, str] = {}
        self.kinds: dict[str, list[str]] = {}
        self._start()

    def _start(self) -> None:
        # A new interpreter: nothing that the parent or another peer has loaded is in it.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(self.name, self.threads, theirs), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.missing = self._receive().get("missing")
            if self.missing is None:
                offers = self.ask(do="offers")
                self.versions, self.kinds = offers["versions"], offers["kinds"]
        except Gone as error:
            self.missing = str(error)

    def ask(self, **message: Any) -> Message:
        """The answer. Gone if there will be none."""
        self.tell(**message)
        return self._receive()

    def tell(self, **message: Any) -> None:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise Gone(f"its process ended ({error})") from None

    def _receive(self) -> Message:
        try:
            if self._pipe.poll(TIMEOUT):
                answer: Message = self._pipe.recv()
                return answer
        except (EOFError, OSError):
            raise Gone("its process ended") from None
        raise Gone(f"no answer in {TIMEOUT:.0f} s")

    answer = _receive

    def restart(self) -> None:
        """A new process in the place of one that does not answer."""
        self.stop()
        self._start()

    def stop(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._pipe.close()


def set_threads(threads: int) -> None:
    """What the workers inherit."""
    for name in (
        "OMP_NUM_THREADS", "LUCID_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS",
        "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    ):  # fmt: skip
        os.environ[name] = str(threads)


_SPIN = """
import os, sys
cpu, parent = map(int, sys.argv[1:])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {cpu})
print(flush=True)
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


@contextmanager
def busy(processes: int, threads: int) -> Iterator[list[int]]:
    """So many processes, in sessions of their own, that keep the last CPU of the peers busy; their ids."""
    cpu = cpus(threads)[-1]
    command = [sys.executable, "-c", _SPIN, str(cpu), str(os.getpid())]
    spinning = []
    try:
        for _ in range(processes):
            spinning.append(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True))
        for process in spinning:
            assert process.stdout is not None
            process.stdout.readline()
        yield [process.pid for process in spinning]
    finally:
        for process in spinning:
            with process:
                process.kill()


def measure(peers: Sequence[Peer], variant: Variant, effort: Effort) -> Measured:
    """Samples of every contender of `variant`, in turn."""
    found = Measured()
    asked: list[tuple[Peer, list[str]]] = []
    for peer in peers:
        kind, params = variant.kind, variant.params
        if peer.name == "limit":
            if variant.mix is None:
                continue
            kind, params = "mix", variant.mix.params()
        labels = [k for k in peer.kinds.get(kind, []) if variant.wants(k)]
        if peer.missing is None and labels:
            try:
                # All prepare at once: compiling is not what is timed here.
                peer.tell(do="prepare", kind=kind, params=params, labels=labels)
                asked.append((peer, labels))
            except Gone as error:
                found.failed |= dict.fromkeys(labels, str(error))
                peer.restart()
    seconds: dict[str, float] = {}
    owners: dict[str, Peer] = {}
    for peer, labels in asked:
        try:
            answer = peer.answer()
        except Gone as error:
            answer = {"error": str(error)}
            peer.restart()
        if "error" in answer:
            why: str = answer["error"]
            found.failed |= dict.fromkeys(labels, why)
            continue
        found.failed |= answer["failed"]
        for label, made in answer["made"].items():
            seconds[label], owners[label] = made["seconds"], peer
            found.series[label] = Series(1, made["errors"])
    with busy(variant.others, peers[0].threads):
        _sample(owners, found, seconds, effort)
    for peer in dict.fromkeys(owners.values()):
        try:
            peer.ask(do="drop")
        except Gone:
            peer.restart()
    return found


def _sample(owners: dict[str, Peer], found: Measured, seconds: dict[str, float], effort: Effort) -> None:
    plans = {}
    for label, once in seconds.items():
        # The second call of a process is often slow still: look again, until it stays as it is. (Who compiles
        # then, for longer than a sample takes, would be sampled by single calls.)
        earlier = 2 * once
        while once < min(0.5, 0.6 * earlier):
            calls = max(1, int(effort.sample / 4 / once))
            earlier, once = once, _ask(owners[label], label, 1, calls).get("seconds", once)
        plans[label] = _Plan.of(once, effort)
        found.series[label].calls = plans[label].calls
    for turn in range(effort.rounds):
        for label in _shuffled(list(plans), turn):
            plan = plans[label]
            if label in found.failed or not plan.joins(turn, effort.rounds):
                continue
            time.sleep(PAUSE)
            answer = _ask(owners[label], label, plan.warm, plan.calls)
            if "seconds" in answer:
                found.series[label].samples[turn] = answer["scale"] * answer["seconds"]
            else:
                found.failed[label] = answer["error"]
                found.series[label].samples.clear()


def _ask(peer: Peer, label: str, warm: int, calls: int) -> Message:
    try:
        return peer.ask(do="time", label=label, warm=warm, calls=calls)
    except Gone as error:
        peer.restart()
        return {"error": str(error)}


@dataclass(frozen=True, slots=True)
class _Plan:
    """A sample is `warm` calls that nobody times, then `calls`; there are `samples` of them."""

    warm: int
    calls: int
    samples: int

    @staticmethod
    def of(once: float, effort: Effort) -> _Plan:
        calls = max(1, min(int(effort.sample / once), 200_000))
        # Another peer had the caches before, and the CPU may have slept: as long as the sample.
        warm = 0 if once > 0.5 else calls
        cost = once * (warm + calls)
        return _Plan(warm, calls, max(LEAST, min(effort.rounds, int(effort.share / cost))))

    def joins(self, turn: int, rounds: int) -> bool:
        """Whether it has a sample in this round: they are spread evenly."""
        return (turn + 1) * self.samples // rounds > turn * self.samples // rounds


def _shuffled(labels: list[str], turn: int) -> list[str]:
    """Another order each round, the same in every run: whoever leaves the machine busy disturbs all alike."""
    return random.Random(turn).sample(labels, len(labels))
