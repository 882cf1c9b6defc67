"""From the arguments of a process to a command and its exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from .table import COMMANDS, CommandError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; SystemExit with its exit code, unless that is 0."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen, rest = _parser(given).parse_known_args(given)
    if rest:  # argparse would point at the help of all commands
        Parser(prog=f"lucid {chosen.command}").error(f"unrecognized arguments: {' '.join(rest)}")
    code = 0
    module = import_module(f".{chosen.command}", __package__)
    try:
        code = module.run(chosen)
        sys.stdout.flush()
    except CommandError as error:
        print(f"lucid {chosen.command}: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:  # `lucid ... | head` has seen enough; nothing is to be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if code:
        sys.exit(code)


class Parser(argparse.ArgumentParser):
    """What it refuses is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser(given: list[str]) -> argparse.ArgumentParser:
    import lucid

    parser = Parser(
        prog="lucid",
        description="Look inside what lucid compiles, and test it.",
        epilog="lucid COMMAND --help says what a command takes; docs/inspect.md shows what it prints.",
    )
    parser.add_argument("--version", action="version", version=f"lucid {lucid.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        one = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name in given[:1]:  # the others are not imported
            import_module(f".{name}", __package__).arguments(one)
    return parser
