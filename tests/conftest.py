"""For all tests: every pass is verified, and texts are compared with files under tests/golden/."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in each run, so that a change is what makes a test fail; LUCID_TEST_RANDOM=1 draws others.
settings.register_profile("same", derandomize=True)
if os.environ.get("LUCID_TEST_RANDOM", "0") == "0":
    settings.load_profile("same")

os.environ.setdefault("LUCID_VERIFY", "1")
if "LUCID_CACHE_DIR" not in os.environ:  # tests leave no trace in the user's cache, and see none
    _folder = tempfile.mkdtemp(prefix="lucid-tests-")
    os.environ["LUCID_CACHE_DIR"] = _folder
    # Only the process that made it: a forked child runs this handler too, when it exits normally.
    _owner = os.getpid()

    @atexit.register
    def _clean() -> None:
        if os.getpid() == _owner:
            shutil.rmtree(_folder, ignore_errors=True)


GOLDEN = Path(__file__).parent / "golden"
Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the texts that the tests produce to tests/golden/, instead of comparing them",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lasts long whatever the machine goes first, so that no worker ends alone with it."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_collection_finish() -> None:
    """Collections that nobody asks for are rare: as often as is usual, they take a seventh of the time of
    tests that compile."""
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def apart() -> None:
    """What other files have left, twenty thousand tests among it, is not walked again by each collection that
    a test asks for (0.2 s at first, some seconds after thousands of compiles)."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """golden(name, text): `text` is that of tests/golden/`name`."""
    update = bool(request.config.getoption("--update-golden"))

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        hint = f"compare, then run pytest --update-golden to accept ({path})"
        assert path.exists(), f"no such golden text: {hint}"
        assert text == path.read_text(encoding="utf-8"), hint

    return check


@pytest.fixture
def afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that has met no kernel, and of which nobody will meet any."""
    from lucid import engine
    from lucid.compiler import pipeline
    from lucid.kept import Kept
    from lucid.runtime import load

    monkeypatch.setattr(load, "disk", lambda: None)
    monkeypatch.setattr(load, "_LOADED", {})
    monkeypatch.setattr(pipeline, "_KERNELS", {})
    monkeypatch.setattr(pipeline, "_TEMPLATES", OrderedDict())
    monkeypatch.setattr(engine, "_plans", Kept())
