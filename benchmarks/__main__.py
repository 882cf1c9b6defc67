"""`python -m benchmarks`: run cases, write results/."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from . import driver, fresh, machine, report
from .cases import CASES, LIMITS, Case, shown
from .driver import FULL, QUICK, Effort, Peer
from .peers import PEERS
from .samples import Measured, record


def main() -> None:
    options = _options()
    driver.set_threads(options.threads)
    if options.report:
        report.write(options.output)
        return
    effort = QUICK if options.quick else FULL
    names = ["lucid", *[p for p in PEERS if p in options.peers and p != "lucid"]]
    begin = time.perf_counter()
    _say("starting " + ", ".join(names))
    peers = [Peer(name, options.threads) for name in names]
    try:
        if peers[0].missing is not None:
            sys.exit(f"lucid does not run: {peers[0].missing}")
        for peer in peers:
            if peer.missing is not None:
                _say(f"  without {peer.name}: {peer.missing}")
        for name in options.case or CASES:
            result = _run(CASES[name], peers, effort, options.threads)
            result["quick"] = options.quick
            report.save(result, options.output)
    finally:
        for peer in peers:
            peer.stop()
    report.write(options.output)
    _say(f"{options.output / 'README.md'}, after {time.perf_counter() - begin:.0f} s")


def _run(case: Case, peers: list[Peer], effort: Effort, threads: int) -> dict[str, Any]:
    """The result of one case, as plain data."""
    described = machine.describe(threads)
    variants = []
    _say(f"{case.name}: {case.title}")
    if case.fresh:
        there = {p.name: p.name for p in peers if p.missing is None}
        parts = getattr(fresh, case.fresh)(there, threads, effort)
        for name, found in parts.items():
            variants.append(record(name, found, case.goals.get(name, ()), 0))
            _show(name, found, variants[-1])
    for variant in case.variants:
        found = driver.measure(peers, variant, effort)
        moved = variant.mix.bytes if variant.mix else 0
        variants.append(record(variant.name, found, variant.goals, moved))
        _show(variant.name, found, variants[-1])
    return {
        "case": case.name,
        "title": case.title,
        "machine": described,
        "versions": {k: v for p in peers for k, v in p.versions.items()},
        "missing": dict.fromkeys(PEERS.keys() - {p.name for p in peers}, "not asked for")
        | {p.name: p.missing for p in peers if p.missing is not None},
        "variants": variants,
    }


def _show(name: str, found: Measured, variant: dict[str, Any]) -> None:
    times = sorted((found.median(label) or 0.0, label) for label in found.labels())
    line = ", ".join(
        f"{label} {shown(value, found.unit)}"
        for value, label in times
        if not label.startswith(tuple(LIMITS)) or label in variant["limits"].values()
    )
    _say(f"  {name}: {line}")
    for label, why in found.failed.items():
        _say(f"    {label} is left out: {why}")
    for goal in variant["goals"]:
        if not goal["reached"]:
            figure = goal["figure"]
            value = "not measured" if figure is None else shown(figure, goal["unit"])
            _say(f"    not reached: {goal['goal']}: {value} {goal['against']}".rstrip())


def _say(text: str) -> None:
    print(text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="lucid beside its peers: writes results/."
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(CASES)}")
    parser.add_argument("--case", action="append", default=[], choices=CASES, help="the same")
    parser.add_argument("--quick", action="store_true", help="few samples, for a first look")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--peers", default=",".join(PEERS), help="a comma-separated list; lucid always runs")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="where results go")
    parser.add_argument("--report", action="store_true", help="only write the tables and charts again")
    options = parser.parse_args()
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are {', '.join(CASES)}")
    options.case += options.cases
    options.peers = options.peers.split(",")
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown:
        parser.error(f"no peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    if options.threads < 1:
        parser.error("--threads must be at least 1")
    return options


if __name__ == "__main__":
    main()
