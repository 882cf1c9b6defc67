"""docs/stories.md: three troubles, each found in at most three commands; outputs are what they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.report

DOC = Path(__file__).parents[2] / "docs" / "stories.md"
STORIES = re.split(r"^## ", DOC.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("story", STORIES, ids=[story.split("\n", 1)[0] for story in STORIES])
def test_a_story(
    story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```(python|text)\n(.*?)```", story, flags=re.DOTALL)
    programs = [text for kind, text in blocks if kind == "python"]
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("".join(programs))
    world: dict[str, object] = {"__name__": "__main__"}
    lines = outputs = 0
    printed = ""
    for kind, text in blocks:
        if kind == "text":
            assert printed == text
            outputs += 1
            continue
        exec(compile("\n" * lines + text, "train.py", "exec"), world)
        lines += text.count("\n")
        printed = capsys.readouterr().out
    assert outputs >= 2 and len(programs) <= 1 + 3  # the program, then commands


def test_there_are_three() -> None:
    assert [story.split("\n", 1)[0].split()[-1] for story in STORIES] == ["reshape", "step", "NaN"]
