"""Counters of the processor, by Linux's perf_event_open: of all threads of this process, in its own code.

Source: the manual page perf_event_open(2), and include/uapi/linux/perf_event.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Mapping, Sequence

from .limits import read

HARDWARE, SOFTWARE = 0, 1
# What is counted, by name: type and number.
EVENTS: Mapping[str, tuple[int, int]] = {
    "cycles": (HARDWARE, 0),
    "instructions": (HARDWARE, 1),
    "cache misses": (HARDWARE, 3),
}
_CALLS = {"x86_64": 298, "aarch64": 241}
_SIZE = 64  # bytes of the first version of perf_event_attr
_TIMES = 3  # PERF_FORMAT_TOTAL_TIME_ENABLED | _RUNNING
_EXCLUDE_KERNEL, _EXCLUDE_HV = 1 << 5, 1 << 6
_CLOEXEC = 8
PARANOID = "/proc/sys/kernel/perf_event_paranoid"


class Unavailable(Exception):
    """Why nothing is counted."""


class Counters:
    """Of the threads that there are now. Unavailable where the system counts nothing for this process."""

    def __init__(self) -> None:
        number = _CALLS.get(os.uname().machine) if sys.platform == "linux" else None
        if number is None:
            raise Unavailable("they are read on Linux alone, on x86-64 and AArch64")
        self.names = tuple(EVENTS)
        self._files: list[list[int]] = []
        try:
            for event in EVENTS.values():
                self._files.append([])
                for thread in os.listdir("/proc/self/task"):
                    self._files[-1].append(_opened(number, event, int(thread)))
        except BaseException:
            self.close()
            raise

    def read(self) -> list[float]:
        """What was counted so far, in the order of `names`, all threads together. Where a processor counts
        one after the other, for want of counters, it is what the part of the time comes to."""
        return [sum(map(_value, files)) for files in self._files]

    def close(self) -> None:
        for files in self._files:
            for file in files:
                os.close(file)
        self._files = []


def _opened(number: int, event: tuple[int, int], thread: int) -> int:
    kind, config = event
    flags = _EXCLUDE_KERNEL | _EXCLUDE_HV
    attributes = struct.pack("<IIQQQQQIIQ", kind, _SIZE, config, 0, 0, _TIMES, flags, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    arguments: Sequence[int] = (thread, -1, -1, _CLOEXEC)
    file = libc.syscall(ctypes.c_long(number), attributes, *(ctypes.c_long(a) for a in arguments))
    if file >= 0:
        return int(file)
    code = ctypes.get_errno()
    if code in (errno.EACCES, errno.EPERM):
        raise Unavailable(
            f"this process may not read them ({PARANOID} is {read(PARANOID).strip() or 'not to be read'})"
        )
    if code in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
        raise Unavailable("this machine has none for its programs (a virtual one may lack them)")
    raise Unavailable(f"perf_event_open: {os.strerror(code)}")


def _value(file: int) -> float:
    count, enabled, running = struct.unpack("<QQQ", os.read(file, 24))
    return count * (enabled / running) if running else 0.0
