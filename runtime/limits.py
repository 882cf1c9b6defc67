"""How many threads to use: what the user, the scheduler and the container allow."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping


def thread_limit(environ: Mapping[str, str] = os.environ, root: str | os.PathLike[str] = "/") -> int:
    """The least of `LUCID_NUM_THREADS`, `OMP_NUM_THREADS`, the CPUs of the affinity mask and the
    CPU quota of the cgroup; at least 1. A variable that is not a positive number is ignored."""
    limits = [_affinity(), *_variables(environ), *_quotas(os.fspath(root))]
    return max(1, min(limits))


def whole_number(text: str, otherwise: int) -> int:
    """What a variable of the environment says in decimal digits, or `otherwise`."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else otherwise


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _variables(environ: Mapping[str, str]) -> list[int]:
    found = []
    for name in ("LUCID_NUM_THREADS", "OMP_NUM_THREADS"):
        # OpenMP allows a list, one number per level of nesting.
        value = whole_number(environ.get(name, "").split(",")[0], 0)
        if value > 0:
            found.append(value)
    return found


def _quotas(root: str) -> list[int]:
    """CPUs that each cgroup from this process' own up to the top one may use, rounded up."""
    found = []
    for line in read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            tops = [os.path.join(root, "sys/fs/cgroup")]
        elif "cpu" in controllers.split(","):
            tops = [os.path.join(root, "sys/fs/cgroup", name) for name in ("cpu", controllers)]
        else:
            continue
        parts = [p for p in path.split("/") if p not in ("", "..")]
        for top in tops:
            for depth in range(len(parts) + 1):
                found += _quota(os.path.join(top, *parts[:depth]))
    return found


def _quota(folder: str) -> list[int]:
    words = read(os.path.join(folder, "cpu.max")).split()
    if not words:
        words = " ".join(read(os.path.join(folder, f"cpu.cfs_{x}_us")) for x in ("quota", "period")).split()
    try:
        quota, period = (int(w) for w in words)
    except ValueError:  # "max", or no such file
        return []
    return [math.ceil(quota / period)] if quota > 0 and period > 0 else []


def read(path: str) -> str:
    """The text of a small file of the system's; nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
