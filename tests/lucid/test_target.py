"""`script.py:name`, as commands find it: compiled functions of a script, with their arguments."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lucid.cli.table import CommandError
from lucid.cli.target import load

pytestmark = pytest.mark.report

SCRIPT = """\
import lucid
import numpy as np
from beside import SIZE

print("of the script")
x = np.ones(SIZE, "float32")

@lucid.compile
def called(x):
    return x * 2

@lucid.compile
def never(x):
    return x * 3

class Scaled:
    @lucid.compile
    def by(self, x, factor):
        return x * factor

called(x)
scaled = Scaled()
scaled.by(x, 2.0)

def alone():
    called(x + 1)
    return called

def pair():
    return never, (x,)

def method():
    return Scaled().by, (x, 3.0)

def three():
    return never, x, x

def listed():
    return never, [x]

def fails():
    return never, (SIZE / 0,)

def plain(x):
    return x

def exits():
    raise SystemExit(3)

def of_rows():
    return never, (np.ones((2, 3)) @ lucid.Tensor(np.ones(2)),)

assert __name__ != "__main__"
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["lucid"])
    for name in ("beside", "__lucid__"):  # gone afterwards
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("SIZE = 5\n")
    (tmp_path / "train.py").write_text(SCRIPT)
    return "train.py"


@pytest.mark.parametrize("name", ["called", "alone", "scaled.by"])
def test_what_the_script_has_called_has_the_arguments_of_its_latest_trace(script: str, name: str) -> None:
    found = load(f"{script}:{name}")
    assert found.compiled.kernels
    array = found.args[-2] if name == "scaled.by" else found.args[-1]
    np.testing.assert_array_equal(array, np.ones(5, "f"))


def test_a_pair_is_called_with_its_arguments(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = load(f"{script}:pair")
    assert (found.compiled.traces, found.compiled._name()) == (1, "never")
    np.testing.assert_array_equal(found.args[0], np.ones(5, "f"))
    assert capsys.readouterr() == ("", "of the script\n")


def test_a_compiled_method_is_given_its_object(script: str) -> None:
    found = load(f"{script}:method")
    assert len(found.args) == 3
    np.testing.assert_array_equal(found.compiled(*found.args).numpy(), np.full(5, 3, "f"))


@pytest.mark.parametrize(
    "name, says",
    [
        ("never", "train.py:never was not called, so nothing is compiled: call it in the script"),
        ("x", "train.py:x: expected a compiled function"),
        ("plain", "train.py:plain is not compiled and takes arguments"),
        ("three", "not tuple"),
        ("listed", "not list"),
        ("none", "train.py has no none; compiled there: called, never"),
        ("called.no", "train.py has no called.no"),
        ("fails", "train.py:42: ZeroDivisionError: division by zero"),
        ("exits", r"train.py exits \(3\)"),
        ("of_rows", r"train.py:\d+: matmul"),
        ("", "expected SCRIPT.py:NAME"),
    ],
)
def test_what_is_wrong_is_one_line(script: str, name: str, says: str) -> None:
    with pytest.raises(CommandError, match=says) as caught:
        load(f"{script}:{name}")
    assert "\n" not in str(caught.value)


def test_scripts_that_do_not_run(script: str) -> None:
    Path("broken.py").write_text("x = 1\ndef f(:\n")
    Path("fails.py").write_text("import lucid\nnothing\n")
    for file, says in (
        ("broken.py", "broken.py:2: invalid syntax"),
        ("fails.py", "fails.py:2: NameError: name 'nothing' is not defined"),
        ("gone.py", "gone.py: there is no such Python file"),
    ):
        with pytest.raises(CommandError, match=says):
            load(f"{file}:f")
