"""What lies in a folder of the disk cache, for those who look after it: `lucid cache`."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from lucid.compiler.ir.data import data

from . import image
from .cache import HEADER, MAGIC, PRIVATE, ours
from .digest import sha256
from .load import IMAGE, OBJECT


@data
class Entry:
    """One file. `kind`: "code" for functions of this CPU, whose `names` it has; "other" for what is known of
    the machine or of the compiler, and for code of a GPU; "damaged", where `wrong` says what is."""

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
    wrong, payload = _payload(path, info)
    kind, names = "damaged", tuple[str, ...]()
    if wrong is None:
        try:
            kind, names = _inside(payload)
        except ValueError as error:
            wrong = str(error)
    return Entry(path, info.st_size, info.st_mtime, kind, names, wrong)


def _payload(path: str, info: os.stat_result) -> tuple[str | None, bytes]:
    """What is wrong with a file, or its payload."""
    if not stat.S_ISREG(info.st_mode):
        return "no plain file", b""
    if PRIVATE and not ours(info):
        return "of another user, or others can write to it", b""
    with open(path, "rb") as file:
        content = file.read()
    payload = content[HEADER:]
    if len(content) < HEADER or not content.startswith(MAGIC):
        return "it does not begin as an entry does", b""
    if content[len(MAGIC) : len(MAGIC) + 32].hex() != os.path.basename(path):
        return "it lies under another name than its key's", b""
    if sha256(payload).digest() != content[HEADER - 32 : HEADER]:
        return "its content does not have its checksum", b""
    return None, payload


def _inside(payload: bytes) -> tuple[str, tuple[str, ...]]:
    """The kind of a payload, and the functions that it defines. ValueError for an image that is none."""
    if payload[:1] == IMAGE:
        return "code", tuple(image.unpack(payload[1:]).symbols)
    if payload[:1] == OBJECT and b"\0" in payload:
        return "code", tuple(payload[1:].partition(b"\0")[0].decode().split("\n"))
    return "other", ()


def remove(found: Iterable[Entry]) -> int:
    """Removes these; how many bytes that freed."""
    freed = 0
    for entry in found:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(entry.path)
            freed += entry.bytes
    return freed
