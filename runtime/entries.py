"""What lies in a folder of the disk cache, for those who look after it: `lucid cache`."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from lucid.compiler.ir.data import data

from . import image
from .cache import HEADER, PRIVATE, ours, wrong
from .load import IMAGE, OBJECT, PLAN


@data
class Entry:
    """One file. `kind`: "code" for functions of this CPU, whose `names` it has; "plan" for what passes made
    of a graph; "other" for what is known of the machine or the compiler, and for code of a GPU; "damaged",
    where `wrong` says what is."""

    path: str
    bytes: int
    written: float  # seconds since 1970
    kind: str
    names: tuple[str, ...] = ()
    wrong: str | None = None


def entries(folder: str) -> list[Entry]:
    """All entries, the latest first; none where there is no such folder. OSError where it cannot be read."""
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as files:
        for file in files:
            if len(file.name) == 64 and not file.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                    found.append(_entry(file.path, file.stat(follow_symlinks=False)))
    return sorted(found, key=lambda entry: (-entry.written, entry.path))


def _entry(path: str, info: os.stat_result) -> Entry:
    kind, names, error = "damaged", tuple[str, ...](), ""
    if not stat.S_ISREG(info.st_mode):
        error = "no plain file"
    elif PRIVATE and not ours(info):
        error = "of another user, or others can write to it"
    else:
        with open(path, "rb") as file:
            content = file.read()
        error = wrong(content, os.path.basename(path))
        if not error:
            try:
                kind, names = _inside(content[HEADER:])
            except ValueError as no_image:
                error = str(no_image)
    return Entry(path, info.st_size, info.st_mtime, kind, names, error or None)


def _inside(payload: bytes) -> tuple[str, tuple[str, ...]]:
    """The kind of a payload, and the functions that it defines. ValueError for an image that is none."""
    if payload[:1] == IMAGE:
        return "code", tuple(image.unpack(payload[1:]).symbols)
    if payload[:1] == OBJECT and b"\0" in payload:
        return "code", tuple(payload[1:].partition(b"\0")[0].decode().split("\n"))
    return "plan" if payload[:1] == PLAN else "other", ()


def remove(found: Iterable[Entry]) -> int:
    """Removes these; how many bytes that freed."""
    freed = 0
    for entry in found:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry.path)
            freed += entry.bytes
    return freed
