"""SHA-256 by the interpreter itself: to import hashlib loads OpenSSL, 2 ms of a process of perhaps 50."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

sha256: Callable[[bytes], Any]
for _name in ("_sha2", "_sha256", "hashlib"):  # from Python 3.12 on, before, and where neither is
    try:
        sha256 = import_module(_name).sha256
        break
    except ImportError:
        continue
