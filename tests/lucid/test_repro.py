"""Calls of compiled functions as scripts. Programs of the fuzzer in files: what is written is read, what is
not of the format is refused with its line, and `lucid repro` finds the fault again."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid import nn, optim
from lucid.cli.main import main
from lucid.compiler.interpret.kernel import interpret_kernel
from lucid.testing import assert_same_bits, campaign
from lucid.testing.campaign import draws_of
from lucid.testing.text import parse_draw, print_draw

pytestmark = pytest.mark.report

GOOD = """lucid program 1
# any words
x0 = float32[2, 2] 1.0 -0.0 nan inf
x1 = bool[0]
x2 = x0
v0 = L.maximum(x0, x2 * 2)
return v0
exact x0 v0
layouts x0 columns x2 page-end
threads 2
guarded yes
"""


def test_what_is_written_is_read() -> None:
    for k in (1, 3):
        for draw in draws_of(9, k, 8):
            text = print_draw(draw, "one\ntwo")
            again = parse_draw(text)
            assert print_draw(again, "one\ntwo") == text
            assert again.program.text() == draw.program.text() and again.program.traits == draw.program.traits
            assert_same_bits(again.arrays(), draw.arrays())


def test_a_file_by_hand() -> None:
    draw = parse_draw(GOOD)
    assert draw.program.inputs["x2"] is draw.program.inputs["x0"] and draw.threads == 2 and draw.guarded
    assert str(draw.program.inputs["x0"].tolist()) == "[[1.0, -0.0], [nan, inf]]"
    assert campaign.replay(draw) is None


@pytest.mark.parametrize(
    "old, new, line, expected",
    [
        ("lucid program 1", "import os", 1, "expected `lucid program 1`"),
        ("1.0 -0.0", "1.0", 3, "expected 4 numbers"),
        ("float32[2, 2]", "object[2, 2]", 3, "expected an input such as"),
        ("1.0 -0.0 nan inf", "packed \\", 3, "cannot be unpacked"),
        ("float32[2, 2]", "float32[99999, 99999]", 3, "bytes; expected at most"),
        ("inf", "__import__('os')", 3, "could not convert"),
        ("L.maximum(x0, x2 * 2)", "L.load('x')", 6, "not of the grammar"),
        ("L.maximum(x0, x2 * 2)", "x9", 6, "`x9` is not known here"),
        ("v0 = L", "x0 = L", 6, "x0 is there already"),
        ("return v0", "return v7", 7, "`v7` is not known here"),
        ("return v0\n", "", 7, "expected `NAME = ...` or `return`"),
        ("threads 2", "threads 99", 0, "threads: expected a number of 1 to 3"),
        ("columns", "sideways", 0, "`sideways`: expected one of rows"),
        ("guarded yes", "exec 1", 11, "expected one of the options"),
    ],
)
def test_what_is_not_of_the_format_is_refused(old: str, new: str, line: int, expected: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_draw(GOOD.replace(old, new, 1), "some.txt")
    assert str(raised.value).startswith(f"some.txt:{line}:" if line else "some.txt: ")
    assert expected in str(raised.value)


def test_a_fault_is_found_again_until_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = parse_draw(GOOD.replace("L.maximum(x0, x2 * 2)", "L.square(x0)").replace("1.0", "3.0"))
    monkeypatch.setattr(campaign, "draws_of", lambda seed, k, draws, device: iter([draw]))
    with monkeypatch.context() as wrong:
        wrong.setattr(lucid, "square", lambda x: x)
        outcome = campaign.run(60, 1, corpus=str(tmp_path), out=io.StringIO(), most=1)
        assert outcome.programs == 1 and outcome.found[0].fault.kind == "NumPy"
        (text,) = tmp_path.glob("fault-1-0-0.txt")
        with pytest.raises(SystemExit) as left:
            main(["repro", str(text)])
        assert left.value.code == 1 and "NumPy: v0" in capsys.readouterr().out
    main(["repro", str(text)])
    assert capsys.readouterr().out.endswith("nothing is wrong\n")


def test_the_corpus_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    campaign.run(60, 3, corpus=str(tmp_path), out=io.StringIO(), most=4, draws=2)
    files = sorted(map(str, tmp_path.glob("reached-*.txt")))
    assert files
    main(["repro", *files])
    assert capsys.readouterr().out.count("nothing is wrong") == len(files)


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "some.txt"
    other.write_bytes(b"\xff\xfe")
    for path in (other, tmp_path / "missing"):
        with pytest.raises(SystemExit) as left:
            main(["repro", str(path)])
        assert left.value.code == 2
    said: Any = capsys.readouterr().err
    assert "it is no text" in said and "No such file" in said


# --- calls as scripts ------------------------------------------------------------------------------


def ran(script: Path) -> tuple[int, str]:
    """The exit code of a script, which runs in another process, and what it prints."""
    root = str(Path(lucid.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, cwd="/", check=False, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def training() -> Any:
    lucid.manual_seed(2)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    opt = optim.Adam(model.parameters(), lr=0.1)

    @lucid.compile
    def step(x: Any, scale: float) -> Any:
        opt.zero_grad()
        loss = (model(x) * scale).exp().mean()
        loss.backward()
        opt.step()
        return loss

    return model, step


def test_a_training_step_is_a_script_that_runs_without_it(tmp_path: Path) -> None:
    model, step = training()
    before = [p.numpy().copy() for p in model.parameters()]
    x = np.arange(12, dtype="f").reshape(4, 3)
    written = step.repro(tmp_path / "out.py", x, 2.0)
    assert written == [tmp_path / "out.py"] and list(tmp_path.iterdir()) == written
    for p, old in zip(model.parameters(), before, strict=True):  # nothing has run
        np.testing.assert_array_equal(p.numpy(), old)
    text = written[0].read_text()
    assert "graph step(%x: f32[4, 3], " in text and "kernel " in text and "pickle=True" not in text
    code, out = ran(written[0])
    assert code == 0 and out.endswith("nothing differs\n") and "test_repro.py:" in out
    assert "tanh(" in text  # of the kernels, not of the graph
    written[0].write_text(text.replace("tanh(", "sin("))
    code, out = ran(written[0])
    assert code == 1 and " differs in " in out and "only these kernels differ" in out


def test_large_inputs_lie_beside_it_and_numbers_are_exact(tmp_path: Path) -> None:
    small = np.array([np.nan, -np.inf, -0.0, 0.1], "f")
    z = np.array([complex(-0.0, 1), 2 - 0j])

    @lucid.compile
    def f(file: Any, y: Any, z: Any, n: int) -> Any:
        return file.sum() + y, (z * z).imag, y.astype("float16") * n

    script, beside = f.repro(tmp_path / "f.py", np.ones((40, 30)), small, z, 3)
    assert beside == tmp_path / "f.npz"
    with np.load(beside, allow_pickle=False) as held:
        assert [held[name].shape for name in held] == [(40, 30)]
    world: dict[str, Any] = {"__name__": "none", "__file__": str(script)}
    exec(script.read_text(), world)
    inputs = world["INPUTS"]
    assert_same_bits(inputs["y"], small)
    assert_same_bits(inputs["z"], z)
    assert ran(script)[0] == 0


def test_what_a_library_takes_part_in(tmp_path: Path) -> None:
    f = lucid.compile(lambda x: lucid.linalg.inv(x @ x.T).sum())
    (script,) = f.repro(tmp_path / "f.py", np.eye(3) * 2)
    assert ran(script)[0] == 0


def test_a_kernel_that_differs_from_the_interpreter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    f = lucid.compile(lambda x: (x.exp().sum(), (x @ x.T).max()))
    x = np.ones((3, 3), "f")
    (script,) = f.repro(tmp_path / "f.py", x)
    world: dict[str, Any] = {"__name__": "none", "__file__": str(script)}
    exec(script.read_text(), world)
    real = interpret_kernel

    def wrong(kernel: Any, *args: Any, **more: Any) -> Any:
        found = real(kernel, *args, **more)
        return {k: v + 1 for k, v in found.items()} if kernel.name.startswith("sum") else found

    monkeypatch.setattr("lucid.programs.interpret_kernel", wrong)
    assert world["reproduce"](world["GRAPH"], world["KERNELS"], world["INPUTS"]) == 1
    said = capsys.readouterr().out
    assert said.count("beside the interpreter: kernel ") == 1 and "kernel sum, " in said
    with pytest.raises(ValueError, match="expected the text of a graph first"):
        world["reproduce"](world["KERNELS"], world["GRAPH"], world["INPUTS"])


def test_noise_divided_by_noise_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        noise = (x - x.mean(axis=0)).sum(axis=0)  # 0, but for the order of sums
        return noise / (noise * noise + 1e-30).sqrt() + 3.0

    x = np.random.default_rng(0).normal(size=(777, 40)).astype("f")
    (script, _) = lucid.compile(f).repro(tmp_path / "f.py", x)
    assert ran(script)[0] == 0
    world: dict[str, Any] = {"__name__": "none", "__file__": str(script)}
    exec(script.read_text(), world)
    given = world["GRAPH"], world["KERNELS"], world["INPUTS"]
    real = interpret_kernel
    with monkeypatch.context() as patch:  # a fault that no order makes

        def wrong(*args: Any, **more: Any) -> Any:
            return {name: array + 99 for name, array in real(*args, **more).items()}

        patch.setattr("lucid.programs.interpret_kernel", wrong)
        assert world["reproduce"](*given) == 1
    monkeypatch.setattr("lucid.compiler.interpret.kernel.chain", lambda count: 0)
    assert world["reproduce"](*given) == 1  # nor is it allowed where orders change nothing


def test_the_command_writes_the_call_that_was_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["lucid"])
    Path("train.py").write_text(
        "import lucid, numpy as np\n@lucid.compile\ndef f(x): return x.exp().sum()\nf(np.ones(3))\n"
    )
    main(["repro", "train.py:f"])
    assert capsys.readouterr().out.startswith("repro_f.py: ")
    assert ran(Path("repro_f.py").resolve())[0] == 0
    main(["repro", "train.py:f", "--output", "other.py"])
    assert Path("other.py").exists()
    for wrong in (["train.py:f", "fault.txt"], ["train.py:g"], ["train.py:f", "--output", "no/out.py"]):
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(["repro", *wrong])
        assert left.value.code == 2 and capsys.readouterr().err.count("\n") == 1
