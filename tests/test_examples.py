"""The programs in examples/ run, and show what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lucid.compiler.ir.types import TensorType
from lucid.compiler.text.graph import parse_graph, print_graph
from lucid.compiler.text.kernel import print_kernel
from lucid.compiler.text.kernel_parse import parse_kernel
from lucid.compiler.text.loop import parse_func, print_func
from lucid.compiler.text.program import parse_whole, print_whole
from lucid.testing.program import coarsest, difference
from lucid.texts import apply

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_huber_resists_what_mse_follows(tmp_path: Path) -> None:
    figure = tmp_path / "fit.png"
    output = run("huber_regression.py", "--steps", "300", "--figure", str(figure), folder=tmp_path)
    rows = re.findall(r"^(\w+, \w+) +(\d+) +(\d+)", output, flags=re.MULTILINE)
    error = {name: (int(clean), int(wrong)) for name, clean, wrong in rows}
    assert list(error) == ["linear, MSE", "linear, Huber", "MLP, MSE", "MLP, Huber"]
    for kind in ("linear", "MLP"):
        assert error[f"{kind}, Huber"][1] < 1.15 * error[f"{kind}, Huber"][0]
        assert error[f"{kind}, Huber"][1] < 0.85 * error[f"{kind}, MSE"][1]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_one_step_is_enough_to_draw(tmp_path: Path) -> None:
    run("huber_regression.py", "--steps", "1", "--figure", "one.png", folder=tmp_path)
    assert (tmp_path / "one.png").exists()


@pytest.mark.parametrize("kind", ["linear", "MLP"])
@pytest.mark.parametrize("loss", ["MSE", "Huber"])
def test_numpy_twin_trains_the_same(kind: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is fair: after 50 steps the parameters agree within 1e-4."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    demo = __import__("huber_regression")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4096, 9)).astype(np.float32)
    y = (x @ rng.standard_normal((9, 1)) + rng.standard_t(2, (4096, 1))).astype(np.float32)
    task = demo.Task(x, y, 1.0, x)
    model = demo.make_model(kind)
    params = [p.numpy() for p in model.parameters()]
    twin = demo.EagerNet(params, demo.DELTA if loss == "Huber" else None, demo.RATES[0])
    opt = demo.lucid.optim.Adam(model.parameters(), lr=demo.RATES[0])
    step = demo.make_step(model, loss, opt)
    source = demo.batches(task)
    for _ in range(50):
        batch = next(source)
        assert step(*batch).item() == pytest.approx(twin.step(*batch), rel=1e-4)
    for ours, theirs in zip(model.parameters(), twin.params, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-4)


def test_inspect_ir_prints_every_stage(tmp_path: Path) -> None:
    output = run("inspect_ir.py", folder=tmp_path)
    stages = re.findall(r"^=+ (\w+):", output, flags=re.MULTILINE)
    assert stages == ["graph", "gradient", "simplified", "kernel", "loop", "llvm", "asm"]
    assert len(re.findall(r"^kernel ", output, flags=re.MULTILINE)) == 1
    assert "<16 x float>" in output or "<8 x float>" in output or "<4 x float>" in output


def test_inspect_ir_takes_stages_and_refuses_others(tmp_path: Path) -> None:
    output = run("inspect_ir.py", "kernel", folder=tmp_path)
    assert re.findall(r"^=+ (\w+):", output, flags=re.MULTILINE) == ["kernel"]
    command = [sys.executable, str(EXAMPLES / "inspect_ir.py"), "soup"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "unknown stage soup" in done.stderr


def random_input(kind: TensorType) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    values = rng.random(kind.shape) if kind.dtype.is_float else rng.integers(0, 2, kind.shape)
    return np.asarray(values, kind.dtype.np)


HUBER = pytest.param(
    "huber_regression.py --steps 1 --figure one.png", marks=pytest.mark.sweep
)  # all diamonds


@pytest.mark.parametrize("command", [HUBER, "inspect_ir.py"])
def test_texts_of_examples_are_programs(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each graph, kernel and loop that an example compiles is read back from its text; the programs run,
    natively and by the interpreter, which agree within what the order of a sum makes."""
    monkeypatch.setenv("LUCID_DUMP", str(tmp_path / "dump"))
    run(*command.split(), folder=tmp_path)
    folders = sorted((tmp_path / "dump").iterdir())
    assert folders
    for folder in folders:
        graph = (folder / "graph.txt").read_text()
        assert print_graph(parse_graph(graph)) == print_graph(parse_graph(print_graph(parse_graph(graph))))
        for path in folder.glob("*.kernel.txt"):
            kernel = parse_kernel(path.read_text())
            assert parse_kernel(print_kernel(kernel)) == kernel
        for path in folder.glob("*.loop.txt"):
            for text in path.read_text().split("\n\n"):
                func = parse_func(text)
                assert parse_func(print_func(func)) == func
        program = (folder / "program.txt").read_text()
        whole = parse_whole(program)
        assert (
            print_whole(parse_whole(print_whole(whole))) == print_whole(whole) and whole.binding is not None
        )
        given = {i.name: random_input(i.type) for i in whole.binding.inputs}
        natively = apply(program, "program", given)
        by_numpy = apply(program, "program", given, interpret=True)
        for name, array in natively.items():
            assert difference(name, by_numpy[name], array, False, coarsest(natively)) is None
