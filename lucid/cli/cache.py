"""`lucid cache`: what lies in the disk cache."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lucid.runtime.cache import disk

from .table import CommandError

if TYPE_CHECKING:
    from lucid.runtime.entries import Entry

DAY = 86_400.0
NAMES = 3  # of the functions of one entry that the list shows
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="show the entries, the latest first (the default)")
    listing.add_argument("--all", action="store_true", help="show all, not only the latest 20")
    prune = actions.add_parser("prune", help="remove entries; they are made again when they are needed")
    which = prune.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--older", type=float, metavar="DAYS", help="remove what was written more than so many days ago"
    )
    which.add_argument(
        "--to", metavar="SIZE", help="remove the oldest, until at most SIZE (500, 64K, 10M, 1G) is left"
    )
    which.add_argument("--all", action="store_true", help="remove all")
    verify = actions.add_parser(
        "verify", help="read each entry and compare its checksum; exit code 1 if one is damaged"
    )
    verify.add_argument("--remove", action="store_true", help="remove the entries that are damaged")


def run(options: argparse.Namespace) -> int:
    from lucid.runtime.entries import entries

    store = disk()
    if store is None:
        raise CommandError("the disk cache is turned off (LUCID_CACHE=0), or there is no home directory")
    try:
        found = entries(store.folder)
        if options.action == "prune":
            return _prune(options, found)
        if options.action == "verify":
            return _verify(options, found)
    except OSError as error:
        raise CommandError(f"{store.folder}: {error.strerror or error}") from None
    return _list(found, store.folder, store.size, getattr(options, "all", False))


def _list(found: Sequence[Entry], folder: str, most: int, everything: bool) -> int:
    total = sum(entry.bytes for entry in found)
    print(f"{folder}: {len(found):,} entries, {total:,} of at most {most:,} bytes")
    shown = found if everything else found[:20]
    for entry in shown:
        written = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.written))
        print(f"{os.path.basename(entry.path)[:12]}  {written}  {entry.bytes:>9,}  {_what(entry)}")
    if len(shown) < len(found):
        print(f"and {len(found) - len(shown):,} older ones (lucid cache list --all)")
    return 0


def _what(entry: Entry) -> str:
    if entry.wrong is not None:
        return f"damaged: {entry.wrong}"
    names = [name for name in entry.names if not name.endswith(".finish")]
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return f"code of {', '.join(names[:NAMES])}{more}" if names else entry.kind


def _prune(options: argparse.Namespace, found: Sequence[Entry]) -> int:
    from lucid.runtime.entries import remove

    gone = list(found)
    if options.older is not None:
        if not options.older >= 0:
            raise CommandError(f"--older: expected days, at least 0, not {options.older}")
        edge = time.time() - options.older * DAY
        gone = [entry for entry in found if entry.written < edge]
    elif options.to is not None:
        left, kept = _size(options.to), 0
        while kept < len(found) and left >= found[kept].bytes:
            left -= found[kept].bytes
            kept += 1
        gone = gone[kept:]
    freed = remove(gone)
    print(f"removed {len(gone):,} of {len(found):,} entries, {freed:,} bytes")
    return 0


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in UNITS and text[-1:] else (text, "")
    if not (number.isascii() and number.isdigit()):
        raise CommandError(f"--to: expected bytes as 500, 64K, 10M or 1G, not {text!r}")
    return int(number) * UNITS[unit]


def _verify(options: argparse.Namespace, found: Sequence[Entry]) -> int:
    from lucid.runtime.entries import remove

    damaged = [entry for entry in found if entry.wrong is not None]
    for entry in damaged:
        print(f"{entry.path}: {entry.wrong}")
    then = ", removed" if options.remove and damaged else ""
    print(f"{len(found):,} entries, {len(damaged):,} damaged{then}")
    if options.remove:
        remove(damaged)
        return 0
    return int(bool(damaged))
