"""One peer in a process of its own, driven by the parent over a pipe.

    {"do": "offers"}                                 {"versions", "kinds": {kind: [label, ...]}}
    {"do": "prepare", "kind", "params", "labels"}    {"made": {label: {...}}, "failed": {label: why}}
    {"do": "time", "label", "warm", "calls"}         {"seconds": of one call, on average, "scale"}
    {"do": "drop"}                                   {}

Or {"error": why}.
"""

from __future__ import annotations

import gc
import importlib
import os
import timeit
import traceback
from collections.abc import Mapping
from importlib import metadata
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from . import problems
from .contender import Contender, Problem, errors
from .peers import PEERS

Message = dict[str, Any]


def serve(peer: str, threads: int, pipe: Connection) -> None:
    """Answer until the parent closes the pipe or says {"do": "stop"}."""
    limit_cpus(threads)
    state = _Worker()
    try:
        state.module = importlib.import_module(f".peers.{PEERS[peer]}", __package__)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError)
        pipe.send({"missing": f"{error.name} is not installed" if absent else str(error)})
        return
    pipe.send({})
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        if message["do"] == "stop":
            return
        try:
            answer: Message = getattr(state, message.pop("do"))(**message)
        except Exception as error:
            answer = {"error": reason(error)}
        pipe.send(answer)


def limit_cpus(threads: int) -> None:
    """Run on the first `threads` CPUs that this process may use: some peers heed nothing else."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus(threads))


def cpus(threads: int) -> list[int]:
    """The first `threads` CPUs that this process may use."""
    known = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return sorted(known)[:threads]


def reason(error: BaseException) -> str:
    """One line that says what went wrong."""
    lines = str(error).strip().splitlines()
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(where.filename)}:{where.lineno}"
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''} ({place})"


class _Worker:
    """The contenders that are ready."""

    module: Any

    def __init__(self) -> None:
        self.contenders: dict[str, Contender] = {}

    def offers(self) -> Message:
        return {
            "versions": versions(self.module.PACKAGES),
            "kinds": {kind: list(offer) for kind, offer in self.module.OFFERS.items()},
        }

    def prepare(self, kind: str, params: dict[str, Any], labels: list[str]) -> Message:
        """Make the contenders, compare their results with NumPy's, and time one call of each."""
        self.drop()
        made, failed = {}, {}
        problem = problems.make(kind, params)
        expected = problem.expected()
        known = Problem(problem.inputs, lambda: expected, problem.tolerance, params)
        for label in labels:
            try:
                contender = self.module.OFFERS[kind][label](known)
                off = check(known, contender)
                start = perf_counter()
                contender.call(*contender.args)
                made[label] = {"errors": off, "seconds": perf_counter() - start}
                self.contenders[label] = contender
            except NotImplementedError:
                pass
            except Exception as error:
                failed[label] = reason(error)
        gc.collect()
        return {"made": made, "failed": failed}

    def time(self, label: str, warm: int, calls: int) -> Message:
        contender = self.contenders[label]
        timer = _timer(contender)
        if warm:
            timer.timeit(warm)
        return {"seconds": timer.timeit(calls) / calls, "scale": contender.scale}

    def drop(self) -> Message:
        self.contenders.clear()
        gc.collect()
        return {}


def check(problem: Problem, contender: Contender) -> Mapping[str, float]:
    """The errors of the result of one call; ValueError if one is too large."""
    return errors(problem, contender.result(contender.call(*contender.args)))


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of installed distributions; lucid's own if it is not one."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            if package == "lucid-compiler":
                found[package] = importlib.import_module("lucid").__version__
    return found


def _timer(contender: Contender) -> timeit.Timer:
    """A loop of plain calls, each of which replaces the result of the one before."""
    names = [f"a{k}" for k in range(len(contender.args))]
    setup = "; ".join(["f = call", *[f"{name} = args[{k}]" for k, name in enumerate(names)]])
    return timeit.Timer(
        f"out = f({', '.join(names)})",
        setup,
        globals={"call": contender.call, "args": contender.args},
    )
