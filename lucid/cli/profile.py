"""`lucid profile`: the time of each kernel of a function, beside what this machine could do at best."""

from __future__ import annotations

import argparse
import json

from ..report.profile import ROWS, SORTS
from . import target
from .explain import limit
from .run import FAULTS, first_line
from .table import CommandError


def arguments(parser: argparse.ArgumentParser) -> None:
    target.argument(parser)
    parser.add_argument("--sort-by", choices=[*SORTS], help="the order of kernels; default: time")
    parser.add_argument(
        "--row-limit", type=limit, default=argparse.SUPPRESS, metavar="N",
        help="so many kernels, or all; default: 20",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON, all of it")
    parser.add_argument(
        "--trace", metavar="FILE.json", help="write a trace, for Perfetto or chrome://tracing"
    )


def run(options: argparse.Namespace) -> int:
    found = target.load(options.target)
    try:
        profile = found.compiled.profile(*found.args)
    except FAULTS as error:
        raise CommandError(first_line(error)) from None
    if options.trace:
        try:
            profile.trace(options.trace)
        except OSError as error:
            raise CommandError(f"{options.trace}: {error.strerror or error}") from None
    if options.json:
        print(json.dumps(profile.as_dict(), indent=2))
    elif options.sort_by or "row_limit" in options:
        print(profile.table(options.sort_by or "time", getattr(options, "row_limit", ROWS)))
    else:
        profile.show()
    return 0
