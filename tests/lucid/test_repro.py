"""Programs in files: what is written is read, what is not of the format is refused with its line, and
`lucid repro` finds the fault again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import lucid
from lucid.cli.main import main
from lucid.testing import assert_same_bits, campaign
from lucid.testing.campaign import draws_of
from lucid.testing.text import parse_draw, print_draw

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
    assert "utf-8" in said and "No such file" in said
