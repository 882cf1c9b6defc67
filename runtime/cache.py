"""The disk cache: machine code by key, which can only ever cost time.

One file per key in the user's cache directory (`LUCID_CACHE_DIR` overrides it, `LUCID_CACHE=0`
turns the cache off, `LUCID_CACHE_SIZE` caps its bytes). A file is written under a temporary name
and renamed, so a reader sees all of it or none. It starts with

    magic (8 bytes), SHA-256 of the key, SHA-256 of the payload

and is not believed unless all three are right and the file, like the directory, belongs to this
user and nobody else can write to it. Whatever goes wrong, the kernel is compiled again.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import stat
import sys
import time
import warnings

from .digest import sha256
from .limits import whole_number

# Part of every key; raise it when the meaning of a payload changes.
FORMAT = "1"
MAGIC = b"\x89lucid\r\n"
DEFAULT_SIZE = 256 << 20
# A writer that was killed leaves its temporary file; after this long nobody is writing to it.
STALE_SECONDS = 3600
# The directory is measured at the first write of a process and again after so many, or after an eighth of
# what was there: to look at all of it takes longer than to write some.
WRITES_PER_SWEEP = 32
# Nanoseconds after which a change has a time of its own on any file system.
SETTLED = 3 * 10**9

# Folders of sources that decide no code for this CPU (code of GPUs is known by the text that it is made of).
_APART = ("__pycache__", "gpu", "cuda", "interpret", "verify")

HEADER = len(MAGIC) + 64
PRIVATE = os.name == "posix"  # owners and modes mean something
_LINUX = platform.system() == "Linux"


def _there(path: str) -> bool:
    """Whether it exists; OSError where that cannot be: `os.path.exists` says no to too long a name."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


class DiskCache:
    """Payloads by key in one directory. No method raises; every one is safe in any thread and in
    any number of processes at once."""

    def __init__(self, folder: str | os.PathLike[str], size: int = DEFAULT_SIZE, asked: bool = False) -> None:
        """`asked`: the user wants it there, and is told where that cannot be."""
        self.folder, self.asked = os.fspath(folder), asked
        self.size = size
        self._usable: bool | None = None  # not tried yet
        self._writes_left = 0

    def get(self, key: str) -> bytes | None:
        """The payload of `key`, or None if there is none that can be trusted."""
        digest = sha256(key.encode()).digest()
        data = self._read(os.path.join(self.folder, digest.hex()))
        return None if data is None or wrong(data, digest.hex()) else data[HEADER:]

    def put(self, key: str, payload: bytes) -> None:
        """Keep the payload of `key`, if the directory lets us."""
        if not self._ready():
            return
        digest = sha256(key.encode()).digest()
        data = MAGIC + digest + sha256(payload).digest() + payload
        name = digest.hex()
        draft = os.path.join(self.folder, f".{name}.{os.getpid()}.{os.urandom(8).hex()}")
        try:
            try:
                _write(draft, data)
                os.replace(draft, os.path.join(self.folder, name))
            except OSError:
                os.unlink(draft)
        except OSError:  # read-only, full, or gone
            return
        self._writes_left -= 1
        if self._writes_left < 0:
            self.sweep()

    def sweep(self) -> None:
        """Remove what killed writers left, then the oldest entries beyond the size cap."""
        self._writes_left = WRITES_PER_SWEEP - 1
        now = time.time()
        entries = []
        try:
            with os.scandir(self.folder) as files:
                for file in files:
                    info = file.stat(follow_symlinks=False)
                    if not stat.S_ISREG(info.st_mode):
                        continue
                    if file.name.startswith("."):
                        if now - info.st_mtime > STALE_SECONDS:
                            os.unlink(file.path)
                    elif len(file.name) == 64:
                        entries.append((info.st_mtime, info.st_size, file.path))
        except OSError:
            return
        self._writes_left = max(self._writes_left, len(entries) // 8)
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.size:
                break
            with contextlib.suppress(OSError):  # another process was faster
                os.unlink(path)
            total -= size

    def _ready(self) -> bool:
        """Make the directory; whether it is ours alone. Decided once per process."""
        if self._usable is None:
            self._usable = False  # so it stays if the warning is made an error
            self._usable = self._make()
        return self._usable

    def _make(self) -> bool:
        try:
            missing = [os.path.abspath(self.folder)]  # one by one: os.makedirs calls itself for each parent
            while not _there(parent := os.path.dirname(missing[-1])):
                missing.append(parent)
            for folder in reversed(missing):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, mode=0o700)
            info = os.stat(self.folder)
            if not stat.S_ISDIR(info.st_mode):
                raise NotADirectoryError(0, "it is no folder")
        except OSError as error:
            if self.asked:
                _warn(f"LUCID_CACHE_DIR={self.folder}: {error.strerror}; going on without a disk cache")
            return False
        if PRIVATE and not ours(info):
            what = "belongs to another user or can be written by others"
            _warn(f"the cache directory {self.folder} {what}; going on without a disk cache")
            return False
        if self.asked and not os.access(self.folder, os.W_OK):
            _warn(f"LUCID_CACHE_DIR={self.folder} cannot be written to; what lies there is read")
        return True

    def _read(self, path: str) -> bytes | None:
        """The content of a file of ours; None if it is not there or not ours alone."""
        if not self._ready():
            return None
        try:
            # Not through a link, and without waiting if somebody put a pipe there.
            flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            handle = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        except OSError:
            return None
        try:
            with os.fdopen(handle, "rb") as file:
                info = os.fstat(handle)
                if not stat.S_ISREG(info.st_mode) or (PRIVATE and not ours(info)):
                    return None
                return file.read()
        except (OSError, MemoryError):
            return None


def _warn(message: str) -> None:
    """A warning, of the line outside of lucid that led here."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(root):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"lucid: {message}", RuntimeWarning, stacklevel=level)


def wrong(content: bytes, name: str) -> str:
    """What is wrong with an entry of this name; nothing if it can be believed."""
    if len(content) < HEADER or not content.startswith(MAGIC):
        return "it does not begin as an entry does"
    if content[len(MAGIC) : len(MAGIC) + 32].hex() != name:
        return "it lies under another name than its key's"
    if sha256(content[HEADER:]).digest() != content[HEADER - 32 : HEADER]:
        return "its content does not have its checksum"
    return ""


def ours(info: os.stat_result) -> bool:
    """Whether a file or directory belongs to this user, and only this user may write to it."""
    return info.st_uid == os.geteuid() and not info.st_mode & 0o022


def _write(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)


def default_folder() -> str:
    """Where the cache is unless the user says otherwise."""
    override = os.environ.get("LUCID_CACHE_DIR")
    if override:
        return os.path.expanduser(override)
    if _LINUX:  # what platformdirs says too, without the 10 ms of its import
        home = os.environ.get("XDG_CACHE_HOME", "").strip()
        return os.path.join(home if os.path.isabs(home) else os.path.expanduser("~/.cache"), "lucid")
    import platformdirs

    return platformdirs.user_cache_dir("lucid", appauthor=False)


@functools.cache
def disk() -> DiskCache | None:
    """The cache of this process, as the environment asks for it; None if it is turned off."""
    if os.environ.get("LUCID_CACHE", "").strip() == "0":
        return None
    try:
        size = whole_number(os.environ.get("LUCID_CACHE_SIZE", ""), DEFAULT_SIZE)
        return DiskCache(default_folder(), size, bool(os.environ.get("LUCID_CACHE_DIR")))
    except (OSError, RuntimeError, ValueError):  # no home directory
        return None


@functools.cache
def stamp() -> str | None:
    """What every key begins with: the version of lucid, of LLVM, and of the format of a payload.

    Of lucid, the content of every source file that decides the code: an edited compiler never meets code of
    the old one, whatever sizes and times say. None where there are no files to ask (then nothing is cached).
    """
    import llvmlite  # only its version; LLVM itself is in llvmlite.binding

    here = os.path.dirname(os.path.realpath(__file__))
    files: list[tuple[str, os.stat_result]] = []
    try:
        folders = [here, os.path.join(os.path.dirname(here), "compiler")]
        for folder in folders:  # grows
            with os.scandir(folder) as found:
                inside = sorted(found, key=_name)
            folders += [f.path for f in inside if f.is_dir() and f.name not in _APART]
            files += [(f.path, f.stat()) for f in inside if f.name.endswith(".py")]
        return f"{FORMAT}\n{llvmlite.__version__}\n{_contents(here, files)}" if files else None
    except OSError:
        return None


def _name(file: os.DirEntry[str]) -> str:
    return file.name


def _contents(here: str, files: list[tuple[str, os.stat_result]]) -> str:
    """SHA-256 of the files. To read them takes 2 ms, so the disk cache remembers it under what the system
    says of them: the time of the last change of a file, which nobody can set, and its inode. Not so soon
    after a change that another one could have that time; nor where the whole file system was made elsewhere.
    """
    newest = max(info.st_ctime_ns for _, info in files)
    told = [f"{path} {x.st_dev} {x.st_ino} {x.st_size} {x.st_mtime_ns} {x.st_ctime_ns}" for path, x in files]
    state = "sources\n" + "\n".join(told)
    settled = PRIVATE and time.time_ns() - newest > SETTLED and not os.statvfs(here).f_flag & os.ST_RDONLY
    store = disk() if settled else None
    known = store.get(state) if store is not None else None
    if known is not None:
        return known.decode()
    import hashlib  # OpenSSL is the faster one for a megabyte

    content, root = hashlib.sha256(), len(os.path.dirname(here))
    for path, _ in files:
        with open(path, "rb") as file:
            data = file.read()
        content.update(f"{path[root:]} {len(data)}\n".encode() + data)
    if store is not None:
        store.put(state, content.hexdigest().encode())
    return content.hexdigest()
