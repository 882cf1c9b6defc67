"""The machine and the day, for the record."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def describe(threads: int) -> dict[str, Any]:
    """CPU, memory, system, Python, date, and how busy it was."""
    cpu = _lines("/proc/cpuinfo")
    flags = cpu.get("flags", cpu.get("Features", "")).split()
    vectors = [name for name in ("avx512f", "avx2", "asimd", "sve") if name in flags]
    return {
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "family": cpu.get("cpu family"),
        "model": cpu.get("model"),
        "vectors": vectors[0] if vectors else None,
        "cpus": os.cpu_count(),
        "threads": threads,
        "caches": _caches(),
        "memory": _lines("/proc/meminfo").get("MemTotal"),
        "huge pages": _read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "hypervisor": "hypervisor" in flags,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _lines(path: str) -> dict[str, str]:
    """`name: value` lines; of several with one name, the first."""
    found: dict[str, str] = {}
    for line in (_read(path) or "").splitlines():
        name, _, value = line.partition(":")
        found.setdefault(name.strip(), value.strip())
    return found


def _caches() -> list[str]:
    found = []
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_read(str(folder / name)) for name in ("level", "type", "size"))
        found.append(f"L{level} {kind} {size}")
    return found
