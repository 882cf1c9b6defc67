"""Faults that are planted in lucid, one at a time: how long the fuzzer takes to find each.

    python -m benchmarks.faults [--only WORDS] [--jobs 2]

Each record of `planted.py` becomes a copy of the tree in which one text is another one. A process runs
programs of the fuzzer there, structures of one seed in order, until it finds a fault, dies, or the record's
budget of programs is used up. Few draws of each structure are taken: most of these faults are met by a
structure or not at all. Structures that cannot come to it (where it is one of gradients, and none
are asked for) are counted, and not run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from .planted import FAULTS, TESTED, Planted

ROOT = Path(__file__).resolve().parent.parent
DRAWS = 6
SECONDS = 3600.0  # of a process, at most


class Caught(NamedTuple):
    """By which comparison, after how many structures and programs, in how many seconds of the processor;
    `kind` is empty where nothing was found."""

    kind: str
    structures: int
    programs: int
    seconds: float
    said: str = ""


def planted(fault: Planted, folder: Path) -> Path:
    """A copy of what runs, with the fault. ValueError if its text does not stand there once."""
    tree = folder / "tree"
    for name in ("compiler", "runtime", "lucid", "benchmarks", *(("tests", "docs") if fault.by else ())):
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
    path = tree / fault.file
    path.write_text(changed(fault, path.read_text(encoding="utf-8")), encoding="utf-8")
    return tree


def changed(fault: Planted, source: str) -> str:
    """The source with the fault."""
    count = source.count(fault.old)
    if count != 1:
        raise ValueError(f"{fault.name}: `{fault.old}` stands {count} times in {fault.file}; expected once")
    return source.replace(fault.old, fault.new)


def caught(fault: Planted, seed: int = 0, draws: int = DRAWS) -> Caught:
    """What the fuzzer makes of a fault."""
    with tempfile.TemporaryDirectory() as name:
        tree = planted(fault, Path(name))
        env = {**os.environ, "PYTHONPATH": str(tree), "LUCID_CACHE": "0", "LUCID_VERIFY": "0"}
        command = [sys.executable, "-m", "benchmarks.faults", "--hunt", str(fault.programs)]
        command += ["--needs", fault.needs, "--seed", str(seed), "--draws", str(draws)]
        if fault.by:
            shutil.copy(ROOT / "pyproject.toml", tree)
            tests = ["-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", fault.by]
            clock = _children()
            run = subprocess.run(
                [sys.executable, *tests], cwd=tree, env=env, capture_output=True, text=True, check=False
            )
            return Caught(fault.by if run.returncode else "", 0, 0, _children() - clock, run.stdout[-300:])
        try:
            run = subprocess.run(
                command, cwd=tree, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
            )
            out, code, error = run.stdout, run.returncode, run.stderr
        except subprocess.TimeoutExpired as late:
            out, code, error = (late.stdout or b"").decode(), 0, ""
    told = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    last = told[-1] if told else {"structures": 0, "programs": 0, "seconds": 0.0}
    if code and "kind" not in last:
        kind = "import" if not told else "crash"
        last |= {"kind": kind, "said": (error.strip().splitlines() or [f"exit code {code}"])[-1]}
    return Caught(**{"kind": "", **last})


def _children() -> float:
    """Seconds of a processor of the processes that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def hunt(most: int, needs: str, seed: int, draws: int) -> Iterator[dict[str, Any]]:
    """Programs of a seed until a fault: before each structure how far it is, in the end what was found."""
    from lucid.runtime import pool
    from lucid.testing.campaign import draws_of, look, program_of
    from lucid.testing.draws import THREADS
    from lucid.testing.family import Family

    pool.set_num_threads(THREADS)
    programs = structures = 0
    while programs < most:
        program, smooth = program_of(seed, structures)
        if not re.search(needs, program.text() + " smooth" * smooth):
            structures, programs = structures + 1, programs + draws
            continue
        family = None
        for draw in draws_of(seed, structures, draws):
            programs += 1
            so_far = {"structures": structures + 1, "programs": programs, "seconds": time.process_time()}
            yield so_far
            family = family or Family(draw.program, draw.smooth)
            fault = look(draw, family).fault
            if fault is not None:
                yield {**so_far, "kind": fault.kind, "said": fault.text[:300]}
                return
        structures += 1


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", default="", help="those whose name or layer has these words")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=DRAWS, help="programs of one structure")
    parser.add_argument("--part", default="0/1", help="every so many of them, from one on: 1/3")
    parser.add_argument("--hunt", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--needs", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.hunt is not None:
        for told in hunt(given.hunt, given.needs, given.seed, given.draws):
            print(json.dumps(told), flush=True)
        return
    first, step = map(int, given.part.split("/"))
    wanted = [f for f in (*FAULTS, *TESTED) if given.only in f.name or given.only in f.layer][first::step]
    print("| planted | layer | found by | structures | programs | seconds |\n|---|---|---|---|---|---|")
    with ThreadPoolExecutor(given.jobs) as threads:
        asked = {threads.submit(caught, fault, given.seed, given.draws): fault for fault in wanted}
        missed = 0
        for done in as_completed(asked):
            fault, one = asked[done], done.result()
            missed += not one.kind
            who = one.kind or f"**nobody, of {one.programs}**"
            row = (fault.name, fault.layer, who, one.structures, one.programs, f"{one.seconds:.1f}")
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
            print(f"{fault.name}: {one.said}", file=sys.stderr, flush=True)
    print(f"\n{len(wanted) - missed} of {len(wanted)} found.")


if __name__ == "__main__":
    main()
