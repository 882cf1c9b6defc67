"""Typical mistakes: what Python prints of each, whole, has at most ten lines and ends at the user's line."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

import pytest

import lucid

BEGIN = """\
import math
import numpy as np
import lucid
from lucid import nn
x = lucid.tensor([1.0, 2.0, 3.0])
a = np.ones(3, "float32")
"""
COMPILED = "@lucid.compile\ndef f(x):\n    {}\nf(a)"
MISTAKES = {
    "shapes": "y = x + lucid.ones(4)  # here",
    "product": "lucid.ones(2, 3) @ lucid.ones(2, 3)  # here",
    "reshape": "x.reshape(2, 2)  # here",
    "axis": "x.sum(axis=1)  # here",
    "index": "x[3]  # here",
    "dtype": "x.astype('float31')  # here",
    "text": "x + 'a'  # here",
    "bits of floats": "x & 1  # here",
    "numpy has it": "np.unwrap(x)  # here",
    "in place": "w = nn.Parameter(a)\nw += 1  # here",
    "backward of many": "w = nn.Parameter(a)\n(w * w).backward()  # here",
    "backward of nothing": "x.sum().backward()  # here",
    "argument missing": "lucid.compile(lambda x, y: x)(a)  # here",
    "a class": "lucid.compile(nn.ReLU)  # here",
    "a key that is not there": "nn.Linear(2, 2).load_state_dict({})  # here",
    "if": COMPILED.format("if x.sum() > 0:  # here\n        return x\n    return -x"),
    "while": COMPILED.format("while x.max() < 8:  # here\n        x = x * 2\n    return x"),
    "item": COMPILED.format("return x * x.sum().item()  # here"),
    "print": COMPILED.format("print(f'{x}')  # here\n    return x"),
    "math": COMPILED.format("return x * math.exp(x[0])  # here"),
    "numpy()": COMPILED.format("return x + x.numpy()  # here"),
    "mask": COMPILED.format("return x[x > 1]  # here"),
    "random": COMPILED.format("return x * np.random.rand()") + "  # here",
    "result": COMPILED.format("return np.ones(3)") + "  # here",
    "a module's input": "model = nn.Sequential(nn.Linear(2, 4), nn.ReLU())\n"
    + COMPILED.format("return model(x)  # here"),
    "in a module": "class Net(nn.Module):\n    def forward(self, x):\n        return x.reshape(7)  # here\n"
    "net = Net()\nlucid.compile(net)(a)",
    "an index of a call": "@lucid.compile\ndef f(x, i):\n    return x[i]\nf(a, np.array([3]))  # here",
    "an exponent of a call": "@lucid.compile\ndef f(n, e):\n    return n ** e\n"
    "f(np.array([2]), np.array([-1]))  # here",
    "contract": "lucid.compile(lambda x: x.cumsum().sort().sum(), max_kernels=1)(a)  # here",
    "the user's own": COMPILED.format("return {}['key']  # here"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake(name: str, tmp_path: Path) -> None:
    source = BEGIN + MISTAKES[name] + "\n"
    file = tmp_path / "mistake.py"
    file.write_text(source)
    linecache.clearcache()
    with pytest.raises(Exception) as caught:  # of each its own kind
        exec(compile(source, str(file), "exec"), {"__name__": "__main__"})
    error = caught.value
    assert error.__traceback__ is not None
    whole = traceback.TracebackException(type(error), error, error.__traceback__.tb_next)
    lines = "".join(whole.format()).rstrip().split("\n")
    assert len(lines) <= 10, "\n".join(lines)
    assert {frame.filename for frame in whole.stack} == {str(file)}
    here = next(k for k, line in enumerate(source.split("\n"), 1) if line.endswith("# here"))
    assert whole.stack[-1].lineno == here, "\n".join(lines)


def test_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    shell.run_line_magic("colors", "NoColor")
    shell.run_cell(BEGIN)
    shell.run_cell(MISTAKES["if"])
    said = capsys.readouterr().out
    assert "TraceError: Cell " in said and "----> 3     if x.sum() > 0:" in said
    assert str(Path(lucid.__file__).parent) not in said


def test_a_fault_of_lucid_keeps_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lucid.engine.compile_graph", None)
    with pytest.raises(TypeError, match="not callable") as caught:
        lucid.compile(lambda x: x * 3.0)(lucid.ones(7))
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files[-1].endswith("engine.py")


def test_all_frames_are_shown_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUCID_TRACEBACK", "full")
    with pytest.raises(ValueError, match="do not broadcast") as caught:
        lucid.ones(3) + lucid.ones(4)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename.endswith("tensor.py")
