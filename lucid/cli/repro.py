"""`lucid repro`: a program that `lucid fuzz` has written, examined again."""

from __future__ import annotations

import argparse

from ..testing import campaign
from ..testing.text import parse_draw
from .table import CommandError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="+", metavar="FILE", help="fault-*.txt or reached-*.txt")


def run(options: argparse.Namespace) -> int:
    wrong = 0
    for path in options.file:
        try:
            with open(path, encoding="utf-8") as file:
                draw = parse_draw(file.read(), path)
        except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError
            raise CommandError(str(error)) from None
        if len(options.file) == 1:
            print(draw.program.text())
        fault = campaign.replay(draw)
        print(f"{path}: {fault or 'nothing is wrong'}", flush=True)
        wrong += fault is not None
    return int(bool(wrong))
