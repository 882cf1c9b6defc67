"""What a type checker says of programs: what is wrong is refused, what is right has its type."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
FILE = Path(__file__).parent / "typed.py"
ROOT = FILE.parents[2]


def test_calls_that_every_checker_lets_pass() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    expected = {
        (k, m[1]) for k, line in enumerate(lines, 1) if (m := re.search(r"# error: ([a-z-]+)$", line))
    }
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--show-error-codes", str(FILE)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = {(int(k), code) for k, code in re.findall(r"typed\.py:(\d+): error: .*\[([a-z-]+)\]", run.stdout)}
    assert found == expected, run.stdout + run.stderr
    assert len(expected) > 10
