"""`LUCID_LOG`, and the loggers of lucid."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lucid
from lucid.logs import CATEGORIES

pytestmark = pytest.mark.report

ROOT = Path(__file__).parents[2]
X = np.ones((4, 3), "f")


def program(categories: str, code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LUCID_LOG": categories, "LUCID_CACHE": "0"}  # passes run
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment
    )


def test_the_environment_chooses_what_is_told() -> None:
    code = """
import lucid, numpy as np
f = lucid.compile(lambda x: x / x.sum())
f(np.ones(4, "f")); f(np.ones((2, 2), "f")); f(np.ones(4, "f"))
"""
    said = program("retrace, passes", code).stderr.splitlines()
    assert said[0].startswith("lucid.passes: <lambda>: 2 kernels: simplify ")
    assert said[1] == "lucid.retrace: <lambda>: trace 1: the first call"
    assert "trace 2: argument x changed from an array of float32 (4,)" in said[3] and len(said) == 4


def test_an_unknown_category_is_warned_of() -> None:
    run = program("memory,fuse", "import lucid\n(lucid.ones(3) + 1).numpy()")
    said = run.stderr.splitlines()
    want = "LUCID_LOG: expected some of passes, fusion, cache, memory, retrace, not 'memory,fuse'"
    assert run.returncode == 0 and said[0] == f"<string>:1: UserWarning: {want}"
    assert said[-1].startswith("lucid.memory: ")  # the others are heard


def test_programs_listen_by_themselves(caplog: pytest.LogCaptureFixture, afresh: None) -> None:
    caplog.set_level(logging.INFO, "lucid")
    lucid.compile(lambda x: (x * 2).exp().T.reshape((2, 6)).sum(axis=1))(X)
    told: dict[str, list[str]] = {category: [] for category in CATEGORIES}
    for record in caplog.records:
        told[record.name.removeprefix("lucid.")].append(record.getMessage())
    assert told["passes"][0].startswith("<lambda>: 2 kernels: ") and "LLVM" in told["passes"][0]
    assert any("not fused: " in line for line in told["fusion"])
    assert any("starts a kernel" in line for line in told["fusion"])
    assert all("code from LLVM" in line for line in told["cache"]) and len(told["cache"]) == 2
    assert "bytes of working memory" in told["memory"][0]
    assert told["retrace"] == ["<lambda>: trace 1: the first call"]


def test_nobody_listens_unless_asked(caplog: pytest.LogCaptureFixture) -> None:
    lucid.compile(lambda x: x * 11)(X)
    assert caplog.records == []
