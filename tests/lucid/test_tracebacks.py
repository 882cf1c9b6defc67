"""Typical mistakes: what Python prints of each, whole, has at most ten lines and ends at the user's line."""

from __future__ import annotations

import linecache
import re
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn

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
    "numpy has it": "np.einsum_path('i', x)  # here",
    "in place": "w = nn.Parameter(a)\nw += 1  # here",
    "backward of many": "w = nn.Parameter(a)\n(w * w).backward()  # here",
    "backward of nothing": "x.sum().backward()  # here",
    "argument missing": "lucid.compile(lambda x, y: x)(a)  # here",
    "a class": "lucid.compile(nn.ReLU)  # here",
    "a key that is not there": "nn.Linear(2, 2).load_state_dict({})  # here",
    "kernels of what was not called": "lucid.compile(abs).kernels  # here",
    "a property": "x.mH  # here",
    "a name": "x.resahpe(3)  # here",
    "PyTorch's transpose": "lucid.ones(2, 3).transpose(0, 1)  # here",
    "if": COMPILED.format("if x.sum() > 0:  # here\n        return x\n    return -x"),
    "while": COMPILED.format("while x.max() < 8:  # here\n        x = x * 2\n    return x"),
    "item": COMPILED.format("return x * x.sum().item()  # here"),
    "print": COMPILED.format("print(f'{x}')  # here\n    return x"),
    "math": COMPILED.format("return x * math.exp(x[0])  # here"),
    "numpy()": COMPILED.format("return x + x.numpy()  # here"),
    "mask": COMPILED.format("return x[x > 1]  # here"),
    "random": COMPILED.format("return x * np.random.rand()  # here"),
    "result": COMPILED.format("return np.ones(3)") + "  # here",
    "a module's input": "model = nn.Sequential(nn.Linear(2, 4), nn.ReLU())\n"
    + COMPILED.format("return model(x)  # here"),
    "in a module": "class Net(nn.Module):\n    def forward(self, x):\n        return x.reshape(7)  # here\n"
    "net = Net()\nlucid.compile(net)(a)",
    "an index of a call": "@lucid.compile\ndef f(x, i):\n    return x[i]  # here\nf(a, np.array([3]))",
    "an exponent of a call": "@lucid.compile\ndef f(n, e):\n    return n ** e  # here\n"
    "f(np.array([2]), np.array([-1]))",
    "a label": "@lucid.compile\ndef f(x, t):\n    return nn.functional.cross_entropy(x, t)  # here\n"
    "f(np.ones((2, 3)), np.array([0, 5]))",
    "a label, read later": "x, t = lucid.ones(2, 3), lucid.tensor([0, 5])\n"
    "loss = nn.CrossEntropyLoss()(x, t)  # here\nloss.item()",
    "random in what it calls": "import random\ndef draw():\n    return random.random()  # here\n"
    + COMPILED.format("return x * draw()"),
    "a clock": "import time\n" + COMPILED.format("return x * time.time()  # here"),
    "range": COMPILED.format("for _ in range(x.sum()):  # here\n        x = x + 1\n    return x"),
    "a list of tensors": COMPILED.format("return x - lucid.tensor([x.sum(), x.max(), x.min()])  # here"),
    "contract": "lucid.compile(lambda x: x.cumsum().sort().sum(), max_kernels=1)(a)  # here",
    "itself": COMPILED.format("return f(x)  # here"),
    "itself, by another": "def g(x):\n    return h(x) * 2  # here\ndef h(x):\n    return g(x)\n"
    "lucid.compile(g)(a)",
    "no memory": COMPILED.format("return lucid.zeros((10**7, 10**8)) + x.sum()") + "  # here",
    "no memory, read later": "lucid.zeros((10**7, 10**8)).numpy()  # here",
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


@pytest.mark.parametrize("where", ["compile_graph", "Executable.__call__"])
def test_an_interrupt_wherever_lucid_is(where: str, monkeypatch: pytest.MonkeyPatch, afresh: None) -> None:
    def interrupted(*args: object, **options: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"lucid.engine.{where}", interrupted)
    x = lucid.ones(70000) * 3.0
    for work in lucid.compile(lambda x: x * 3.5), lambda x: nn.ReLU()(x).numpy(), lucid.Tensor.numpy, repr:
        with pytest.raises(KeyboardInterrupt) as caught:
            work(x)
        assert {frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)} == {__file__}


def test_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    shell.run_line_magic("colors", "NoColor")
    shell.run_cell(BEGIN)
    shell.run_cell(MISTAKES["if"])
    said = capsys.readouterr().out
    assert "TraceError: Cell " in said and "----> 3     if x.sum() > 0:" in said
    assert str(Path(lucid.__file__).parent) not in said


def test_in_the_kernel_of_a_notebook() -> None:
    """Cells have numbers in texts and errors; tracebacks end in them; what a cell ends in is shown."""
    pytest.importorskip("ipykernel")
    client, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat.v4")
    sources = [
        f"import sys\nsys.path.insert(0, {str(Path(lucid.__file__).parents[1])!r})\n{BEGIN}",
        "@lucid.compile\ndef f(x):\n    y = x * 2\n    return y.exp().sum()\nf(np.ones(4, 'f'))\n"
        "print(f.ir('kernel'))",
        "f",
        "f.explain()",
        "lucid.ones(3).resahpe",
        MISTAKES["if"],
    ]
    book = nbformat.new_notebook(cells=[nbformat.new_code_cell(source) for source in sources])
    client.NotebookClient(book, timeout=120, kernel_name="python3", allow_errors=True).execute()
    shown: list[Any] = [cell.outputs[-1] if cell.outputs else None for cell in book.cells]
    assert "# Cell 2:4; Cell 2:3" in shown[1].text
    said = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(shown[5].traceback))
    assert "TraceError: Cell 6:" in said and str(Path(lucid.__file__).parent) not in said
    assert "<table" in shown[2].data["text/html"] or "<details" in shown[2].data["text/html"]
    assert shown[3].data["text/plain"].startswith("f: 1 kernel\n")
    assert "Cell 5:1: a Tensor has no attribute 'resahpe'; did you mean 'reshape'?" in shown[4].evalue


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


def test_calls_that_led_to_a_line_are_shown() -> None:
    """What was wrong is known when the values are: the traceback goes on to the line, by the calls to it."""

    def chosen(x: lucid.Tensor, i: lucid.Tensor) -> lucid.Tensor:
        return x[i]

    @lucid.compile
    def f(x: lucid.Tensor, i: lucid.Tensor) -> lucid.Tensor:
        return chosen(x, i) * 2

    with pytest.raises(IndexError, match=r"index 7 is out of bounds") as caught:
        f(np.ones(3), np.array([7]))  # type: ignore[call-overload]
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [frame.name for frame in frames[1:]] == ["f", "chosen"]
    assert frames[-1].line == "return x[i]" and frames[-1].lineno == frames[-2].lineno - 4  # type: ignore[operator]


EXPECTED = {
    "range": "an int (for an index, a range, a shape) of a tensor of type f32[] in a compiled function: "
    "while it is traced, values are not known. Pass it as a Python int",
    "a list of tensors": "lucid.array([a, b]) makes one tensor of several",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_to_try(name: str) -> None:
    with pytest.raises(lucid.TraceError) as caught:
        exec(BEGIN + MISTAKES[name], {})
    assert EXPECTED[name] in str(caught.value)
    x = lucid.tensor([1.5, 2.5])
    with pytest.raises(TypeError, match=r"a range .* 0-d tensor of integers, not float32 of shape \(\); int"):
        range(x.sum())
