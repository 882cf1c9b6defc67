"""`lucid explain`: why a function was traced, and why it is compiled to these kernels."""

from __future__ import annotations

import argparse
import json

from . import target


def arguments(parser: argparse.ArgumentParser) -> None:
    target.argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    report = target.load(options.target).compiled.explain()
    if options.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        report.show()
    return 0
