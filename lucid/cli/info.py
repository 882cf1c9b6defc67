"""`lucid info`: what one pastes into a bug report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from typing import Any

import numpy as np

import lucid
from lucid.runtime import call
from lucid.runtime.cache import disk
from lucid.runtime.entries import entries
from lucid.runtime.host import host
from lucid.runtime.pool import get_num_threads

from ..cuda import found as gpu

OPTIONAL = ("ml_dtypes", "torch", "scipy", "pandas")
FEATURES = (
    *("sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl"),  # x86
    *("neon", "sve"),  # Arm
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    found = facts()
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    width = max(map(len, found))
    for name, value in found.items():
        several = isinstance(value, dict)
        print(f"{name:<{width}}  {', '.join(f'{k} {v}' for k, v in value.items()) if several else value}")
    return 0


def facts() -> dict[str, Any]:
    """What decides how lucid behaves on this machine, as JSON has it."""
    target = host()
    packages = {name: version for name in ("llvmlite", *OPTIONAL) if (version := _version(name))}
    return {
        "lucid": lucid.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()} ({sys.platform})",
        "numpy": np.__version__,
        "packages": packages,
        "system": platform.platform(),
        "cpu": f"{_model() or target.cpu} ({os.cpu_count()} CPUs)",
        "target": f"{target.triple}, {target.cpu}",
        "features": " ".join(name for name in FEATURES if target.has(name)),
        "vectors": f"{target.vector_bytes} bytes",
        "caches": f"{target.l1_bytes >> 10} KiB, {target.l2_bytes >> 10} KiB",
        "threads": get_num_threads(),
        "disk cache": _cache(),
        "native calls": call.missing() or "yes",
        "gpu": gpu(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(("LUCID_", "OMP_NUM"))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _model() -> str | None:
    """The CPU in the words of Linux."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if line.startswith("model name")]
    except OSError:
        return None
    return lines[0].partition(":")[2].strip() if lines else None


def _cache() -> str:
    store = disk()
    if store is None:
        return "off"
    try:
        found = entries(store.folder)
    except OSError as error:
        return f"{store.folder}: {error.strerror or error}"
    return f"{store.folder}, {len(found):,} entries, {sum(entry.bytes for entry in found):,} bytes"
