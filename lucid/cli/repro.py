"""`lucid repro`: a call of a compiled function as a script; or a program that `lucid fuzz` has written,
examined again."""

from __future__ import annotations

import argparse
import os
import re

from . import target
from .run import FAULTS, first_line
from .table import CommandError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="+",
        metavar="SCRIPT.py:NAME | FILE",
        help="a compiled function that the script has called, to be written as a script of its own; or "
        "fault-*.txt or reached-*.txt of lucid fuzz, to be examined again",
    )
    parser.add_argument("--output", metavar="FILE.py", help="the script; default: repro_NAME.py")


def run(options: argparse.Namespace) -> int:
    if any(_names_function(file) for file in options.file):
        if len(options.file) > 1:
            raise CommandError("expected one SCRIPT.py:NAME, or files of lucid fuzz")
        return _written(options.file[0], options.output)
    if options.output is not None:
        raise CommandError("--output is for SCRIPT.py:NAME")
    return _examined(options.file)


def _names_function(text: str) -> bool:
    return re.search(r"\.py:[^/\\\\]*$", text) is not None and not os.path.exists(text)


def _written(text: str, output: str | None) -> int:
    """Writes the script of a call."""
    found = target.load(text)
    name = re.sub(r"\W+", "_", found.compiled._name()).strip("_") or "f"
    path = output or f"repro_{name}.py"
    try:
        written = found.compiled.repro(path, *found.args)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None
    except FAULTS as error:
        raise CommandError(first_line(error)) from None
    for file in written:
        print(f"{file}: {file.stat().st_size:,} bytes")
    return 0


def _examined(files: list[str]) -> int:
    """Programs of the fuzzer, once more."""
    from ..testing import campaign  # of fuzzing alone
    from ..testing.text import parse_draw

    wrong = 0
    for path in files:
        try:
            with open(path, encoding="utf-8") as file:
                draw = parse_draw(file.read(), path)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise CommandError(f"{path}: it is no text, as lucid fuzz writes it") from None
        except ValueError as error:
            raise CommandError(str(error)) from None
        if len(files) == 1:
            print(draw.program.text())
        fault = campaign.replay(draw)
        print(f"{path}: {fault or 'nothing is wrong'}", flush=True)
        wrong += fault is not None
    return int(bool(wrong))
