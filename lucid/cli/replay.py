"""`lucid replay`: a call that `lucid.testing.record` has written, run again here."""

from __future__ import annotations

import argparse

from lucid.runtime.host import host

from ..testing.capsule import CapsuleError, read
from ..testing.replaying import replayed
from .table import CommandError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="what lucid.testing.record wrote (docs/testing.md)")
    parser.add_argument("--threads", type=int, help="run on at most so many threads")


def run(options: argparse.Namespace) -> int:
    if options.threads is not None and options.threads < 1:
        raise CommandError("--threads: expected at least 1")
    try:
        found = replayed(read(options.file), options.file, host(), options.threads)
    except OSError as error:
        raise CommandError(f"{options.file}: {error.strerror or error}") from None
    except CapsuleError as error:
        raise CommandError(str(error)) from None
    print(found)
    return int(found.difference is not None)
