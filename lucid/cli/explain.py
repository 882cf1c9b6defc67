"""`lucid explain`: why a function was traced, and why it is compiled to these kernels."""

from __future__ import annotations

import argparse
import json

from ..report.groups import SORTS
from . import target


def arguments(parser: argparse.ArgumentParser) -> None:
    target.argument(parser)
    parser.add_argument(
        "--sort-by", choices=[*SORTS], default="bytes", help="the order of kernels; default: bytes"
    )
    parser.add_argument(
        "--row-limit", type=limit, default=20, metavar="N",
        help="so many kernels, arrays and steps at most, or all; default: 20",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON, all of it")


def limit(text: str) -> int | None:
    """A number of rows; None for all."""
    if text != "all" and not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, or all, not {text!r}")
    return None if text == "all" else int(text)


def run(options: argparse.Namespace) -> int:
    compiled = target.load(options.target).compiled
    report = compiled.explain(sort_by=options.sort_by, row_limit=options.row_limit)
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        report.show()
    return 0
