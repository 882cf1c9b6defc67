"""`python -m lucid COMMAND`: `fuzz`, random programs against NumPy; `ulp`, the largest errors of elementary
functions, as a table."""

from __future__ import annotations

import argparse
import sys

from .ulp import functions, table


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lucid", description="lucid looks at itself.")
    commands = parser.add_subparsers(dest="command", required=True)
    ulp = commands.add_parser("ulp", help="measure elementary functions at all float32, against float64")
    ulp.add_argument("function", nargs="*", metavar="function", help="by default all of them")
    ulp.add_argument("--step", type=int, default=1, help="every so many of the 2**32 numbers only")
    fuzz = commands.add_parser("fuzz", help="random programs against NumPy, float64 and themselves")
    fuzz.add_argument("--seconds", type=float, default=60, help="how long (60)")
    fuzz.add_argument("--seed", type=int, default=0, help="the same programs for the same seed (0)")
    fuzz.add_argument("--jobs", type=int, default=1, help="processes (1)")
    fuzz.add_argument("--programs", type=int, help="at most so many")
    fuzz.add_argument("--corpus", metavar="DIR", help="for programs that reach something new, and for faults")
    chosen = parser.parse_args(arguments)
    if chosen.command == "fuzz":
        from .testing import campaign

        outcome = campaign.run(chosen.seconds, chosen.seed, chosen.jobs, chosen.corpus, chosen.programs)
        for line in campaign.report(outcome, chosen.seed):
            print(line, flush=True)
        if outcome.found:
            sys.exit(1)
        return
    unknown = set(chosen.function) - set(functions())
    if unknown:
        parser.error(f"expected functions of {', '.join(functions())}; not {', '.join(sorted(unknown))}")
    for row in table(chosen.function or functions(), chosen.step):
        print(row, flush=True)


if __name__ == "__main__":
    main()
