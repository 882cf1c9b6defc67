"""`python -m lucid`: each command answers, with exit codes and errors of one line."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from lucid.cli import cache as cache_command
from lucid.cli.main import main
from lucid.cli.table import COMMANDS
from lucid.runtime.cache import DiskCache
from lucid.runtime.load import OBJECT, PLAN

pytestmark = pytest.mark.report

ROOT = Path(__file__).parents[2]


def code_of(*arguments: str) -> int:
    """The exit code of a command."""
    try:
        main(arguments)
    except SystemExit as left:
        assert isinstance(left.code, int)
        return left.code
    return 0


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskCache:
    """A disk cache of three entries, a second apart, the last of them damaged."""
    made = DiskCache(tmp_path / "cache")
    made.put("a", OBJECT + b"mul_sum\nmul_sum.finish\0" + bytes(100))
    made.put("b", b"sm_90 and so on")
    made.put("c", b"to be damaged")
    for k, path in enumerate(map(path_of, [made] * 3, "abc")):
        os.utime(path, (time.time() - 10 + k,) * 2)
    damage(path_of(made, "c"))
    monkeypatch.setattr(cache_command, "disk", lambda: made)
    return made


def path_of(store: DiskCache, key: str) -> Path:
    return Path(store.folder) / hashlib.sha256(key.encode()).hexdigest()


def damage(path: Path) -> None:
    content = path.read_bytes()
    before = path.stat().st_mtime
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, (before, before))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(import_module(f"lucid.cli.{name}").run)
    assert code_of(name, "--help") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: lucid {name}") and COMMANDS[name][1:40] in printed.replace("\n", " ")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("--help") == 0
    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name} " not in printed] == []
    assert code_of("nothing") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "invalid choice: 'nothing'" in last and "cache" in last


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "lucid: error: the following arguments are required: COMMAND (see lucid --help)"),
        (["run"], "lucid run: error: the following arguments are required: file (see lucid run --help)"),
        (["info", "--jso", "-x"], "lucid info: error: unrecognized arguments: -x (see lucid info --help)"),
        (["cache", "prune"], "lucid cache prune: error: one of the arguments --older --to --all is required "
         "(see lucid cache prune --help)"),
        (["ulp", "--step", "x"], "lucid ulp: error: argument --step: invalid int value: 'x' "
         "(see lucid ulp --help)"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(*given) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"{said}\n")


def test_the_script_is_the_module() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module, _, name = settings["project"]["scripts"]["lucid"].partition(":")
    assert getattr(import_module(module), name) is main


def test_info_as_json_and_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    from lucid.runtime.host import host

    assert code_of("info", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["numpy"] == np.__version__ and facts["vectors"] == f"{host().vector_bytes} bytes"
    assert "llvmlite" in facts["packages"] and facts["environment"]["LUCID_CACHE_DIR"]
    assert code_of("info") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == list(facts)


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "lucid", "info"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert run.stdout is not None and run.stderr is not None
    run.stdout.close()
    assert run.stderr.read() == b"" and run.wait() == 0
    run.stderr.close()


def test_the_cache_is_listed(store: DiskCache, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("cache") == code_of("cache", "list", "--all") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8 and lines[:4] == lines[4:]
    assert lines[0].startswith(f"{store.folder}: 3 entries, ")
    assert "damaged: its content does not have its checksum" in lines[1]
    assert lines[2].endswith("  other") and lines[3].endswith("  code of mul_sum")
    store.put("d", PLAN + b"[]\n[]\n[]")
    assert code_of("cache") == 0 and capsys.readouterr().out.splitlines()[1].endswith("  plan")


def test_damaged_entries_are_found_and_removed(store: DiskCache, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("cache", "verify") == 1
    assert f"{path_of(store, 'c')}: its content" in capsys.readouterr().out
    path_of(store, "a").rename(path_of(store, "d"))
    assert code_of("cache", "verify", "--remove") == 0
    assert "under another name than its key's" in (printed := capsys.readouterr().out)
    assert printed.splitlines()[-1] == "3 entries, 2 damaged, removed"
    assert code_of("cache", "verify") == 0 and store.get("b") == b"sm_90 and so on"


def test_what_others_may_write_is_damaged(store: DiskCache, capsys: pytest.CaptureFixture[str]) -> None:
    path_of(store, "b").chmod(0o666)
    assert code_of("cache", "verify") == 1
    assert "others can write to it" in capsys.readouterr().out


def test_pruning_by_size_by_age_and_of_all(store: DiskCache, capsys: pytest.CaptureFixture[str]) -> None:
    size = path_of(store, "b").stat().st_size + path_of(store, "c").stat().st_size
    assert code_of("cache", "prune", "--older", "1") == 0
    assert capsys.readouterr().out.startswith("removed 0 of 3 entries, 0 bytes")
    assert code_of("cache", "prune", "--to", str(size)) == 0
    assert capsys.readouterr().out.startswith("removed 1 of 3 entries, ") and not path_of(store, "a").exists()
    assert code_of("cache", "prune", "--to", "1K") == 0 and path_of(store, "b").exists()
    assert code_of("cache", "prune", "--all") == 0 and not list(Path(store.folder).iterdir())


@pytest.mark.parametrize("given", [["--to", "5x"], ["--to", ""], ["--older", "-1"]])
def test_wrong_amounts_are_one_line(
    given: list[str], store: DiskCache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of("cache", "prune", *given) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("lucid cache: --") and "expected" in said[0]
    assert path_of(store, "a").exists()


def test_no_cache_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cache_command, "disk", lambda: None)
    assert code_of("cache") == 2
    assert capsys.readouterr().err.startswith("lucid cache: the disk cache is turned off")
