"""`python -m tests.opdb [names]`: ops of PyTorch's own database, with lucid's beside them. Prints what
differs, and counts; fails where something differs that is not in `known.py`, or does not differ any more."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

if importlib.util.find_spec("torch") is None or importlib.util.find_spec("expecttest") is None:
    sys.exit("skipped: the op database needs PyTorch and expecttest")

from .known import DECIDED, LACKING, LEFT_OUT
from .run import trials
from .trial import Outcome

Run = tuple[str, bool, list[Outcome]]


def told(runs: Iterable[Run], whole: bool) -> int:
    """Print what came of the runs. How many things are wrong."""
    done = {name: (there, outcomes) for name, there, outcomes in runs}
    left_out = {name for names in LEFT_OUT.values() for name in names.split()}
    missing = sorted({name.split(" (")[0] for name, (there, _) in done.items() if not there})
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    wrong = []
    for _, outcomes in done.values():
        for o in outcomes:
            if o.kind == "agrees":
                kinds["agree"] += 1
                continue
            known = next((k for k in (*DECIDED, *LACKING) if k.holds(o)), None)
            if known is None:
                kinds["are wrong"] += 1
                wrong.append(f"{o.op}: {o.form} {o.dtype} {o.kind} | {o.sample} | {o.detail}")
            else:
                kinds["differ by decision" if known in DECIDED else "lack"] += 1
                reasons[known.reason] += 1
    there = [name for name, (found, _) in done.items() if found]
    print(f"| ops of the database | {len(done)} |\n|---|---|")
    print(f"| that lucid has | {len(there)} |")
    omitted = sum(name.split(" (")[0] in left_out for name in done if name not in there)
    print(f"| that are left out on purpose | {omitted} |")
    for kind, count in kinds.most_common():
        print(f"| calls that {kind} | {count:,} |")
    for title, listed in (("by decision", DECIDED), ("lacking", LACKING)):
        print(f"\n| {title} | ops | calls |\n|---|---|---|")
        for k in listed:
            ops = "all" if k.ops == "*" else ", ".join(k.ops.replace("nn.functional.", "").split())
            print(f"| {k.reason} | {ops} | {reasons[k.reason]} |")
    print("\nmissing:", " ".join(n for n in missing if n not in left_out))
    for why, names in LEFT_OUT.items():
        print(f"left out, {why}:", " ".join(names.split()))
    if whole:
        wrong += [f"not so any more: {k.reason}" for k in (*DECIDED, *LACKING) if not reasons[k.reason]]
        wrong += [f"left out, but there: {name}" for name in sorted(left_out & set(there))]
    print("\n".join(wrong), file=sys.stderr)
    return len(wrong)


def noted(runs: Iterable[Run], path: Path) -> Iterator[Run]:
    """The runs, and each as a line of JSON."""
    with path.open("w") as lines:
        for name, there, outcomes in runs:
            record = {"op": name, "there": there, "outcomes": [asdict(o) for o in outcomes]}
            print(json.dumps(record), file=lines, flush=True)
            yield name, there, outcomes


def read(path: Path) -> Iterator[Run]:
    """What `noted` has written; of an op that is there twice the last counts."""
    for line in path.read_text().splitlines():
        record: dict[str, Any] = json.loads(line)
        yield record["op"], record["there"], [Outcome(**o) for o in record["outcomes"]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.opdb", description=__doc__)
    parser.add_argument("names", nargs="*", help="ops of the database; by default all")
    parser.add_argument("--most", type=int, default=5, help="samples of a dtype, evenly chosen")
    parser.add_argument("--seconds", type=int, default=120, help="of an op, at most")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="a file for all outcomes, as lines of JSON")
    parser.add_argument("--read", type=Path, help="a file that --json has written, in place of a run")
    given = parser.parse_args()
    runs = read(given.read) if given.read else trials(given.names, given.most, given.seconds, given.jobs)
    sys.exit(min(told(noted(runs, given.json) if given.json else runs, not given.names), 1))


if __name__ == "__main__":
    main()
