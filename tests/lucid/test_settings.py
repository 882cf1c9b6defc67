"""Variables of the environment: what means nothing is warned of, and docs/settings.md is the table.

pytest tests/lucid/test_settings.py --update-golden      writes the page anew
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from lucid import settings
from lucid.debugging import READERS
from lucid.logs import CATEGORIES
from lucid.runtime.cache import DiskCache

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
HEAD = """\
# Variables of the environment

All that lucid reads. A value that means nothing, and a variable `LUCID_...` that is none of these,
are warned of once, at the line that imports lucid or compiles first. This page is made of the table in
`lucid/settings.py`, by `pytest tests/lucid/test_settings.py --update-golden`.

| variable | values | where it is not set | what it does |
|---|---|---|---|
"""


def test_the_page_is_the_table(request: pytest.FixtureRequest) -> None:
    rows = [f"| `{s.name}` | {s.expected} | {s.otherwise} | {s.does} |\n" for s in settings.SETTINGS]
    page = HEAD + "".join(rows)
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page, encoding="utf-8")
    assert page == PAGE.read_text(encoding="utf-8")


def test_the_table_has_what_the_sources_read() -> None:
    read = re.compile(r"""["'](LUCID_[A-Z_]+[A-Z])["']""")
    folders = (ROOT / "lucid", ROOT / "compiler", ROOT / "runtime")
    found = {
        name
        for folder in folders
        for file in folder.rglob("*.py")
        if file.name != "settings.py"
        for name in read.findall(file.read_text(encoding="utf-8"))
    }
    assert found == {s.name for s in settings.SETTINGS}
    told = {s.name: s.expected for s in settings.SETTINGS}
    assert told["LUCID_DEBUG"] == f"some of {', '.join(READERS)}"
    assert told["LUCID_LOG"] == f"some of {', '.join(CATEGORIES)}"


WRONG = [
    ("LUCID_PATHS", "long", "LUCID_PATHS: expected short or full, not 'long'"),
    ("LUCID_TRACEBACK", "yes", "LUCID_TRACEBACK: expected short or full, not 'yes'"),
    ("LUCID_CACHE", "off", "LUCID_CACHE: expected 0 or 1, not 'off'"),
    ("LUCID_CACHE_SIZE", "1G", "LUCID_CACHE_SIZE: expected a number of bytes, not '1G'"),
    ("LUCID_NUM_THREADS", "0", "LUCID_NUM_THREADS: expected a number of threads, at least 1, not '0'"),
    ("LUCID_DUMB", "x", "LUCID_DUMB: lucid knows no such variable; did you mean LUCID_DUMP?"),
    ("LUCID_THREADS", "x", "LUCID_THREADS: lucid knows no such variable; did you mean LUCID_NUM_THREADS?"),
    ("LUCID_QQQQ", "1", "LUCID_QQQQ: lucid knows no such variable; expected one of LUCID_CACHE, "),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG, ids=[name for name, *_ in WRONG])
def test_nonsense_is_warned_of_once(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(settings, "_looked", set())
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        settings.look()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings.look()


def test_what_is_meant_is_not_warned_of() -> None:
    good = {"LUCID_PATHS": "full", "LUCID_CHECK": "1", "LUCID_CACHE_SIZE": " 64 ", "LUCID_NUM_THREADS": "4,2"}
    for name, value in (good | dict.fromkeys(good, "") | {"LUCID_TEST_X": "1"}).items():
        assert settings.wrong(name, value) is None
    assert all(settings.wrong(s.name, "") is None for s in settings.SETTINGS)


def _printed(**variables: str) -> list[str]:
    """What `import lucid` and a compile in a script say."""
    code = "import lucid\nlucid.ones(3).sum().item()\n"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LUCID_")} | variables
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environ)
    return run.stderr.splitlines()


def test_what_a_script_says() -> None:
    said = _printed(LUCID_LOG="bogus", LUCID_PATH="full")
    unknown = "LUCID_PATH: lucid knows no such variable; did you mean LUCID_PATHS?"
    assert f"<string>:1: UserWarning: {unknown}" in said
    assert any("UserWarning: LUCID_LOG: expected some of passes," in line for line in said)
    assert sum("Warning: " in line for line in said) == 2, said  # newer Pythons show the line of code, too
    said = _printed(LUCID_CACHE_DIR="/proc/lucid")
    assert sum("Warning: " in line for line in said) == 1
    assert said[0].startswith("<string>:2: RuntimeWarning: lucid: LUCID_CACHE_DIR=/proc/lucid: ")


def test_a_folder_that_was_not_asked_for_is_not_spoken_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    DiskCache(tmp_path / "file").put("key", b"")
    with pytest.warns(RuntimeWarning, match="it is no folder; going on without") as caught:
        DiskCache(tmp_path / "file", asked=True).put("key", b"")
    assert caught[0].filename == __file__
