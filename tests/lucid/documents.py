"""Programs of the documentation, and what they print."""

from __future__ import annotations

import logging
import runpy
from pathlib import Path

import pytest


def printed(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What the program prints, as `example.py` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(code)
    loggers = [logging.getLogger(name) for name in ("", "lucid.retrace")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:  # what an example listens to ends with it
        monkeypatch.setattr(logger, "handlers", [])
    try:
        runpy.run_path("example.py", run_name="__main__")
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)  # which also forgets who was found to listen
    return capsys.readouterr().out.rstrip()
