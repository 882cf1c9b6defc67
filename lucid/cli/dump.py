"""`lucid dump`: every stage of a compiled function as files, as LUCID_DUMP writes them; or one to stdout."""

from __future__ import annotations

import argparse
from typing import get_args

from ..dump import dump
from ..looked import Stage
from . import target
from .run import FAULTS, first_line
from .table import CommandError


def arguments(parser: argparse.ArgumentParser) -> None:
    target.argument(parser)
    parser.add_argument(
        "--output", metavar="DIR", default=".", help="where to make a folder for each graph (.)"
    )
    parser.add_argument("--stage", choices=get_args(Stage), help="print this stage, and write nothing")
    parser.add_argument("--kernel", metavar="NAME", help="with --stage: of this kernel alone")


def run(options: argparse.Namespace) -> int:
    if options.kernel and not options.stage:
        raise CommandError("--kernel goes with --stage")
    compiled = target.load(options.target).compiled
    try:
        if options.stage:
            print(compiled._last().executable.ir(options.stage, kernel=options.kernel), end="")
            return 0
        print(dump(compiled._last().executable, options.output, compiled._name()))
    except OSError as error:
        raise CommandError(f"{options.output}: {error.strerror or error}") from None
    except FAULTS as error:
        raise CommandError(first_line(error)) from None
    return 0
