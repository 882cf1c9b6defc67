"""Commands that look at a compiled function of a script: explain, profile, dump, bench."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .test_cli import code_of

pytestmark = pytest.mark.report

SCRIPT = """\
import numpy as np
import lucid

@lucid.compile
def loss(x, y):
    return ((x - y) ** 2).mean()

def target():
    return loss, (np.ones(64, "f"), np.zeros(64, "f"))

@lucid.compile
def distance(x):
    return np.sqrt((x * x).sum())

def of_arrays():
    return distance, (np.ones(64),)
"""
COMMANDS = ["explain", "profile", "dump", "bench"]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # texts, not tables
    Path("train.py").write_text(SCRIPT)
    return "train.py:target"


def test_explain(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("explain", script) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("loss: 1 kernel\n") and "kernel mean: " in printed and "train.py:6" in printed
    assert code_of("explain", script, "--sort-by", "flops", "--row-limit", "all") == 0
    assert "\nkernel mean: " in capsys.readouterr().out
    assert code_of("explain", script, "--row-limit", "0") == 2
    assert "--row-limit: expected a number of at least 1, or all, not '0'" in capsys.readouterr().err
    assert code_of("explain", script, "--json") == 0
    assert json.loads(capsys.readouterr().out)["plans"][0]["kernels"][0]["lines"] == ["train.py:6"]


def test_profile(script: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lucid.runtime.timing.SECONDS", 0.01)
    assert code_of("profile", script, "--trace", "loss.json") == 0
    assert capsys.readouterr().out.startswith("loss: ") and json.loads(Path("loss.json").read_text())
    assert code_of("profile", script, "--json") == 0
    assert json.loads(capsys.readouterr().out)["kernels"][0]["name"] == "mean"
    assert code_of("profile", script, "--trace", "nowhere/loss.json") == 2
    assert capsys.readouterr().err == "lucid profile: nowhere/loss.json: No such file or directory\n"


def test_dump(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("dump", script, "--output", "out") == 0
    folder = Path(capsys.readouterr().out.strip())
    assert folder.parent == Path("out") and "train.py:6" in (folder / "00-mean.kernel.txt").read_text()
    assert code_of("dump", script, "--stage", "kernel", "--kernel", "mean") == 0
    assert capsys.readouterr().out.startswith("kernel mean(")
    assert code_of("dump", script, "--stage", "asm", "--kernel", "other") == 2
    assert capsys.readouterr().err.startswith(
        "lucid dump: there is no kernel 'other' here; expected one of: mean"
    )
    assert code_of("dump", script, "--kernel", "mean") == 2
    Path("file").write_text("")
    assert code_of("dump", script, "--output", "file") == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_bench(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    for against, name in (("eager", script), ("again", script), ("numpy", "train.py:of_arrays")):
        assert code_of("bench", name, "--against", against, "--seconds", "0.02", "--json") == 0
        told = json.loads(capsys.readouterr().out)
        seconds = told["seconds"]
        assert list(seconds) == ["compiled", against] and told["samples"] >= 5
        assert all(row["low"] <= row["median"] <= row["high"] for row in seconds.values())
        assert told["ratio"] == pytest.approx(seconds[against]["median"] / seconds["compiled"]["median"])
    assert code_of("bench", script, "--seconds", "0.02") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["loss:", "compiled", "eager", "ratio"]
    assert code_of("bench", script, "--seconds", "0") == 2
    Path("lazy.py").write_text("import lucid\nf = lucid.compile(lucid.exp)\ndef g(): return f, ([1.0],)\n")
    assert code_of("bench", "lazy.py:g", "--against", "numpy") == 2
    assert "computes with tensors; take --against eager" in capsys.readouterr().err
    Path("method.py").write_text(
        "import lucid\nf = lucid.compile(lambda x: x.relu())\n"
        "import numpy as np\ndef g(): return f, (np.ones(3),)\n"
    )
    assert code_of("bench", "method.py:g", "--against", "numpy") == 2
    said = capsys.readouterr().err
    assert said.startswith("lucid bench: numpy: method.py:2: AttributeError: 'numpy.ndarray'")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_wrong_is_one_line(command: str, script: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train.py:nothing", "nowhere.py:f", "train.py", "train.py:loss"):
        assert code_of(command, name) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"lucid {command}: ") and said.count("\n") == 1, said
