"""`lucid explore`: every stage of a compiled function as one page for a browser."""

from __future__ import annotations

import argparse
import os

from lucid.compiler.gpu.target import ARCH

from . import target
from .run import first_line
from .table import CommandError


def arguments(parser: argparse.ArgumentParser) -> None:
    target.argument(parser)
    parser.add_argument(
        "--output", metavar="FILE.html", help="where to write it (the function's name, in this folder)"
    )
    parser.add_argument("--profile", action="store_true", help="measure each kernel, and show its time")
    parser.add_argument(
        "--ptx",
        nargs="?",
        const=ARCH,
        metavar="ARCH",
        help=f"add PTX for an architecture of NVIDIA's ({ARCH})",
    )
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def run(options: argparse.Namespace) -> int:
    found = target.load(options.target)
    file = options.output or f"{found.compiled._name()}.html"
    profile = found.compiled.profile(*found.args) if options.profile else None
    try:
        found.compiled.explorer(file, profile=profile, arch=options.ptx)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise CommandError(first_line(error)) from None
    print(f"{file}: {os.path.getsize(file):,} bytes")
    if options.open:
        import webbrowser

        webbrowser.open(f"file://{os.path.abspath(file)}")
    return 0
