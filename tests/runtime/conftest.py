"""Tests of the runtime: the user's disk cache is not touched."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

if "LUCID_CACHE_DIR" not in os.environ:
    _folder = tempfile.mkdtemp(prefix="lucid-tests-")
    os.environ["LUCID_CACHE_DIR"] = _folder
    # Only the process that made it: a forked child runs this handler too, when it exits normally.
    _owner = os.getpid()

    @atexit.register
    def _clean() -> None:
        if os.getpid() == _owner:
            shutil.rmtree(_folder, ignore_errors=True)
