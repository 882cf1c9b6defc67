"""`lucid ulp`: errors of elementary functions."""

from __future__ import annotations

import argparse

from ..ulp import functions, table
from .table import CommandError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "function", nargs="*", metavar="function", help="their names; all of them, if there is none"
    )
    parser.add_argument(
        "--step",
        type=int,
        default=1,
        help="only every STEP-th of the 2**32 numbers (1: minutes a function, lgamma hours; 1000: seconds)",
    )


def run(options: argparse.Namespace) -> int:
    if unknown := set(options.function) - set(functions()):
        raise CommandError(
            f"expected functions of {', '.join(functions())}; not {', '.join(sorted(unknown))}"
        )
    if options.step < 1:
        raise CommandError(f"--step must be at least 1, not {options.step}")
    for row in table(options.function or functions(), options.step):
        print(row, flush=True)
    return 0
