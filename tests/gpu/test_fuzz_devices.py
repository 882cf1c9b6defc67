"""`lucid fuzz --device ptx-sim` for some seconds; what is planted is found, made small, written, replayed."""

from __future__ import annotations

import io
import secrets
from pathlib import Path

import numpy as np
import pytest

from lucid import gpu
from lucid.cli.main import main
from lucid.runtime import load
from lucid.testing import campaign
from lucid.testing.draws import Draw
from lucid.testing.program import Program
from lucid.testing.text import parse_draw, print_draw

X = np.linspace(-2, 2, 70, dtype=np.float32)
PROGRAM = Program(
    {"x0": X, "x1": X + 3},
    (("v0", "x0 * 2"), ("v1", "v0 - x1"), ("v2", "v1.sum(axis=0)")),
    ("v1", "v2"),
    frozenset(("x0", "x1", "v0", "v1")),
)


@pytest.mark.early
def test_a_minute_of_a_fresh_seed(tmp_path: Path) -> None:
    seed = secrets.randbelow(1 << 31)
    outcome = campaign.run(60, seed, corpus=str(tmp_path), out=io.StringIO(), draws=2, device="ptx-sim")
    said = "\n".join(campaign.report(outcome, seed))
    print(said)
    assert not outcome.found, f"{said}\n\n{outcome.found[0].script}"


def test_draws_of_a_device_are_of_moderate_size() -> None:
    draws = list(campaign.draws_of(5, 0, 4, "ptx-sim"))
    assert {d.device for d in draws} == {"ptx-sim"} and draws[0].thorough and not draws[1].layouts
    assert draws[0].program.text() == next(campaign.draws_of(5, 0)).program.text()
    assert print_draw(parse_draw(print_draw(draws[1]))) == print_draw(draws[1])


def test_what_is_planted_in_kernels_for_a_gpu_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They add where they should subtract; those of the CPU do not."""
    draw = Draw(PROGRAM, {}, device="ptx-sim")
    assert campaign.look(draw).fault is None
    right = load.assembly
    monkeypatch.setattr(gpu, "assembly", lambda *given: right(*given).replace("sub.rn.f32", "add.rn.f32"))
    fault = campaign.look(draw).fault
    assert fault is not None and fault.kind == "ptx-sim" and "CPU and ptx-sim" in fault.text
    least, _ = campaign.small(draw, fault)
    assert len(least.program.statements) <= 2 and least.device == "ptx-sim"
    path = tmp_path / "fault.txt"
    path.write_text(print_draw(least, str(fault)))
    with pytest.raises(SystemExit, match="1"):
        main(["repro", str(path)])
    monkeypatch.setattr(gpu, "assembly", right)
    main(["repro", str(path)])
    assert "nothing is wrong" in capsys.readouterr().out


def test_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["fuzz", "--device", "ptx-sim", "--programs", "2", "--seed", "9"])
    assert capsys.readouterr().out.endswith("no fault\n")
