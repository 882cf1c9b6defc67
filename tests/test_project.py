"""The project itself: what is packaged, what the documents say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

import lucid

ROOT = Path(__file__).parent.parent
FOLDERS = ("lucid", "compiler", "runtime")


def sources(folder: str) -> set[str]:
    """Every source file under a folder, as paths below the package `lucid`."""
    prefix = "" if folder == "lucid" else f"{folder}/"
    return {prefix + path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*.py")}


def all_sources() -> set[str]:
    own = {p for p in sources("lucid") if not p.startswith(("compiler/", "runtime/"))}
    return own | sources("compiler") | sources("runtime")


def data_files() -> set[str]:
    """What is packaged besides code: for type checkers, and what pages of the explorer are made of."""
    assets = {f"lucid/explorer/assets/{path.name}" for path in (ROOT / "lucid/explorer/assets").iterdir()}
    assert "lucid/explorer/assets/dagre.LICENSE.txt" in assets
    return assets | {f"lucid/{path.name}" for path in (ROOT / "lucid").glob("*.pyi")} | {"lucid/py.typed"}


def test_compiler_and_runtime_are_relative_symlinks() -> None:
    for name in ("compiler", "runtime"):
        assert os.readlink(ROOT / "lucid" / name) == f"../{name}"


def test_every_folder_of_code_is_packaged() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(settings["tool"]["setuptools"]["packages"])
    folders = {"lucid/" + path for path in all_sources()}
    assert packages == {path.rpartition("/")[0].replace("/", ".") for path in folders}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project: building leaves files behind."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (*FOLDERS, "tests", "examples", "docs", "benchmarks"):
        shutil.copytree(
            ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(checkout: Path, kind: str) -> Path:
    """A wheel or a source archive, by the build backend itself."""
    code = f"from setuptools import build_meta as b; print(b.build_{kind}('dist'))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    return checkout / "dist" / run.stdout.splitlines()[-1]


def test_wheel_holds_each_file_once_and_imports(checkout: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build(checkout, "wheel")) as wheel:
        names = wheel.namelist()
        wheel.extractall(tmp_path)
    code = [n for n in names if ".dist-info/" not in n]
    expected = {f"lucid/{path}" for path in all_sources()} | data_files()
    assert sorted(code) == sorted(expected)
    check = (
        "import lucid, lucid.compiler.ops, lucid.runtime.load; print(lucid.runtime.load.__file__)\n"
        "print(lucid.Tensor([1.0, 2.0]).sum().item())"
    )
    run = subprocess.run(
        [sys.executable, "-c", check],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    where, value = run.stdout.splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert value == "3.0"


def test_source_archive_holds_files_not_links(checkout: Path) -> None:
    with tarfile.open(build(checkout, "sdist")) as archive:
        members = archive.getmembers()
    assert not any(m.issym() or m.islnk() for m in members)
    names = [m.name.partition("/")[2] for m in members if m.isfile()]
    assert len(names) == len(set(names))
    assert {f"lucid/{path}" for path in all_sources()} <= set(names)


def test_source_archive_ships_tests_without_what_they_need(checkout: Path, tmp_path: Path) -> None:
    """It holds the package and what builds it, no more; the wheel that it builds is the checkout's."""
    with tarfile.open(build(checkout, "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    shipped = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    code = {f"lucid/{path}" for path in all_sources()} | data_files()
    about = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    assert {path for path in shipped if ".egg-info/" not in path} == code | about
    wheels = [zipfile.ZipFile(build(folder, "wheel")) for folder in (root, checkout)]
    contents = [{n: w.read(n) for n in w.namelist() if not n.endswith("/RECORD")} for w in wheels]
    assert contents[0] == contents[1]


def test_version_stands_in_one_place() -> None:
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", lucid.__version__)


def test_public_names_exist() -> None:
    for module in (lucid, lucid.nn, lucid.optim):
        for name in module.__all__:
            assert hasattr(module, name), f"{module.__name__}.{name}"


def test_readme_opens_with_demo_and_test() -> None:
    text = (ROOT / "README.md").read_text()
    first = text.index("make demo")
    assert first < text.index("make test") < text.index("```python")
    assert first < 600


def readme_examples() -> list[tuple[str, str]]:
    """Code blocks that are followed by a block of output."""
    text = (ROOT / "README.md").read_text()
    return re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("code, output", readme_examples())
def test_readme_output_is_real(code: str, output: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(code)
    run = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.rstrip() == output.rstrip()


def test_readme_names_all_that_is_installed_with_lucid() -> None:
    readme = (ROOT / "README.md").read_text()
    depends = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[<>=!~ ]", d)[0].lower() for d in depends}
    (sentence,) = re.findall(r"needs ([^.]*) and nothing else", readme.replace("\n", " "))
    assert set(re.findall(r"\w+", sentence.lower())) - {"and"} == names


def test_readme_names_the_pythons_that_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "Python 3.11 to 3.14" in (ROOT / "README.md").read_text()
    assert project["requires-python"] == ">=3.11"
    declared = {c.rsplit(" ", 1)[1] for c in project["classifiers"] if "Python :: 3." in c}
    assert declared == {"3.11", "3.12", "3.13", "3.14"}


def test_stages_with_the_users_lines() -> None:
    f = lucid.compile(lambda x: (x * x).sum())
    f(np.ones(3, "f"))
    for text in (f.ir("graph"), f.ir("simplified"), f.ir("kernel"), f.ir("loop")):
        assert "test_project.py:" in text  # the README says which stages have them
    assert f.ir("llvm") and f.ir("asm")


def test_no_toolchain_is_asked_for() -> None:
    """A process without PATH, so without compilers and linkers, compiles."""
    program = "import lucid, numpy; assert lucid.compile(lambda x: x + 1)(numpy.ones(2)).numpy()[0] == 2"
    env = {k: v for k, v in os.environ.items() if k != "PATH"} | {"PATH": "", "LUCID_CACHE": "0"}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)


def test_readme_has_an_example() -> None:
    assert readme_examples()


@pytest.mark.parametrize("folder", ["compiler", "runtime"])
def test_architecture_names_every_file(folder: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    missing = {
        p for p in sources(folder) if Path(p).name != "__init__.py" and f"`{Path(p).name}`" not in text
    }
    assert not missing


def test_documents_name_only_files_that_exist() -> None:
    for document in ("README.md", "docs/architecture.md"):
        text = (ROOT / document).read_text()
        known = {p.name for f in (*FOLDERS, "tests", "examples") for p in (ROOT / f).rglob("*.py")}
        named = set(re.findall(r"`(?:\w+/)*(\w+\.py)`", text))
        assert named <= known, f"{document}: {named - known}"
