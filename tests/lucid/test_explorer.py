"""The explorer's page without a browser: its data, its size, what is escaped, and what loads it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lucid
from lucid.cli.main import main
from lucid.compiler.ir.graph import toposort
from lucid.compiler.text.kernel import kernel_lines
from lucid.explorer import page as pages
from tests.lucid.explorer_steps import perceptron

pytestmark = pytest.mark.report

Data = dict[str, Any]


def of(text: str) -> Data:
    """The data of a page."""
    (packed,) = re.findall(r'<script type="application/octet-stream" id="data">([^<]*)</script>', text)
    found = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert isinstance(found, dict)
    return found


def page_of(f: Any, folder: Path, **more: Any) -> str:
    f.explorer(folder / "out.html", **more)
    return (folder / "out.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def step() -> tuple[Any, tuple[Any, ...]]:
    compiled, args = perceptron()
    compiled(*args)
    return compiled, args


@pytest.fixture(scope="module")
def profile(step: tuple[Any, tuple[Any, ...]]) -> Any:
    return step[0].profile(*step[1])


@pytest.fixture(scope="module")
def text(step: tuple[Any, Any], profile: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(step[0], tmp_path_factory.mktemp("page"), profile=profile)


@pytest.fixture(scope="module")
def data(text: str) -> Data:
    return of(text)


def blocks(data: Data, *names: str) -> Iterator[Data]:
    for pane in data["panes"]:
        if not names or pane["id"] in names:
            yield from pane["blocks"]


def test_all_that_is_referred_to_is_there(data: Data) -> None:
    files, places, sets, nodes = (data[name] for name in ("files", "places", "sets", "nodes"))
    kernels = data["kernels"]
    for file, line, _, _, _, calls in places:
        for at, number, *_ in [[file, line], *calls]:
            assert 1 <= number <= len(files[at][1])
    assert all(0 <= place < len(places) for one in sets for place in one)
    for number, node in enumerate(nodes):
        assert all(0 <= n < number for n in node["in"])
        assert -1 <= node["set"] < len(sets)
    for kernel in (*kernels, *data["libraries"]):
        assert set(kernel["writes"]) <= set(kernel["nodes"])
        assert all(0 <= n < len(nodes) for n in (*kernel["nodes"], *kernel["reads"]))
    assert {k["unit"] for k in kernels} == set(range(len(data["times"])))
    for block in blocks(data):
        assert len(block["sets"]) == block["text"].count("\n") + 1
        assert all(-1 <= one < len(sets) for one in block["sets"])
        assert all(0 <= k < len(kernels) for k in block.get("kernels", ()))
        assert "nodes" not in block or len(block["nodes"]) == len(block["sets"])


def test_every_kernel_has_its_text_in_every_pane(step: tuple[Any, Any], data: Data) -> None:
    compiled = step[0]
    names = [kernel["name"] for kernel in data["kernels"]]
    assert names == [kernel.name for kernel in compiled.kernels]
    for stage in ("kernel", "loop", "llvm", "asm"):
        assert sorted(k for block in blocks(data, stage) for k in block["kernels"]) == [*range(len(names))]
    for block in blocks(data, "kernel"):
        text = compiled.ir("kernel", kernel=names[block["kernels"][0]])
        assert block["text"] == re.sub(r"  # .*", "", text).strip("\n")
    assert any(len(block["kernels"]) > 1 for block in blocks(data, "loop"))  # some share their code


def test_every_node_belongs_to_the_kernels_that_compute_it(data: Data) -> None:
    computed = {n for kernel in data["kernels"] for n in kernel["nodes"]}
    assert computed == {n for n, node in enumerate(data["nodes"]) if node["op"] != "input"}
    stored = {n for kernel in data["kernels"] for n in kernel["writes"]}
    inputs = {n for n, node in enumerate(data["nodes"]) if node["op"] == "input"}
    for kernel in data["kernels"]:
        inside = set(kernel["nodes"])
        for n in inside:
            assert set(data["nodes"][n]["in"]) <= inside | stored | inputs


def test_each_has_its_own_place_before_those_of_others(step: tuple[Any, Any], data: Data) -> None:
    (made,) = step[0]._last().executable.executables()
    nodes = toposort(made.compiled.stages.simplified.outputs)
    assert [node.op.name for node in nodes] == [told["op"] for told in data["nodes"]]
    found = [(node.loc, told["set"]) for node, told in zip(nodes, data["nodes"], strict=True)]
    for call, block in zip(made.compiled.named.calls, blocks(data, "kernel"), strict=True):
        lines = kernel_lines(call.kernel)
        found += [(loc, one) for (_, loc), one in zip(lines, block["sets"], strict=True)]
    for loc, one in found:
        if one >= 0:
            file, line, module, backward, *_ = data["places"][data["sets"][one][0]]
            assert loc is not None
            own = loc.file, loc.line, loc.module, loc.backward
            assert (data["files"][file][0], line, module, backward) == own
    assert any(one >= 0 and len(data["sets"][one]) > 1 for _, one in found)


def test_a_statement_has_the_lines_of_the_nodes_that_it_computes(data: Data) -> None:
    """What a kernel stores, its statements come from: by module and direction, not by the line alone."""
    for block in blocks(data, "kernel"):
        kernel = data["kernels"][block["kernels"][0]]
        told = {place for one in block["sets"] if one >= 0 for place in data["sets"][one]}
        for n in kernel["writes"]:
            assert data["sets"][data["nodes"][n]["set"]][0] in told
        assert {data["places"][p][2] for p in told if data["places"][p][2]} == set(kernel["modules"])


def test_loops_of_kernels_that_share_their_code_come_from_the_places_of_all(data: Data) -> None:
    of_kernel = {
        b["kernels"][0]: {p for s in b["sets"] if s >= 0 for p in data["sets"][s]}
        for b in blocks(data, "kernel")
    }
    for block in blocks(data, "loop", "llvm", "asm"):
        told = {place for one in block["sets"] if one >= 0 for place in data["sets"][one]}
        for kernel in block["kernels"]:
            assert told & of_kernel[kernel]


def test_the_source_is_that_of_the_files(data: Data) -> None:
    found = dict(data["files"])
    (name,) = (name for name in found if name.endswith("explorer_steps.py"))
    assert found[name] == (Path(__file__).parent / "explorer_steps.py").read_text().splitlines()
    lines = {
        data["places"][p][1]
        for one in data["sets"]
        for p in one
        if data["files"][data["places"][p][0]][0] == name
    }
    assert any("F.gelu" in found[name][line - 1] for line in lines)


class Tags(HTMLParser):
    """Fails unless each tag is closed in its turn."""

    VOID = ("meta", "link")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {"src", "onload", "onclick"} & {name for name, _ in attrs}
        assert tag != "link" or dict(attrs)["href"] == "data:,"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_well_formed_file_of_at_most_2_mb(text: str) -> None:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert not tags.open and tags.seen.count("script") == 3
    assert len(text.encode()) <= 2_000_000
    for word in ("eval(", "new Function", "innerHTML", "document.write"):
        assert word not in "".join(map(pages._asset, pages.OWN))
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", "".join(map(pages._asset, pages.OWN)))


def test_nothing_of_the_users_text_is_markup(tmp_path: Path) -> None:
    script = tmp_path / "evil.py"
    script.write_text(
        "import lucid\n"
        "def f(x):\n"
        '    """</script><script>alert(1)</script><!-- & ]]> \\u2028"""\n'
        "    return x * 2  # </script><img src=x onerror=alert(1)>\n"
        "f.__name__ = '</title><script>alert(2)</script>'\n"
    )
    scope: dict[str, Any] = {}
    exec(compile(script.read_text(), str(script), "exec"), scope)
    f = lucid.compile(scope["f"])
    f(np.ones(3, "f"))
    made = page_of(f, tmp_path)
    title = "&lt;/title&gt;&lt;script&gt;alert(2)&lt;/script&gt;"
    assert f"<title>{title} - lucid</title>" in made
    assert made.count("<script") == 3 and made.count("alert") == 1 and "<img" not in made
    assert of(made)["files"][0][1] == script.read_text().splitlines()
    short = f._repr_html_()
    assert "<script" not in short and "&lt;script&gt;" in short


def test_a_larger_page_leaves_out_the_code_of_the_smallest_kernels(
    text: str, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST", len(text.encode()) * 3 // 4)
    made = pages.page(data)
    assert len(made.encode()) <= pages.MOST
    less = of(made)
    assert [p["id"] for p in less["panes"]] == [p["id"] for p in data["panes"]]
    left = [b for b in blocks(less, *pages.SPARE) if "lines are left out" in b["text"]]
    kept = [b for b in blocks(less, *pages.SPARE) if "lines are left out" not in b["text"]]
    assert left and kept
    moved = [max(data["kernels"][k]["bytes"] for k in block["kernels"]) for block in (*left, *kept)]
    assert max(moved[: len(left)]) <= max(moved[len(left) :])
    assert [*blocks(less, "kernel")] == [*blocks(data, "kernel")]


def test_a_profile_of_other_kernels_is_refused(profile: Any, tmp_path: Path) -> None:
    f = lucid.compile(lambda x: x + 1)
    f(lucid.ones(3))
    with pytest.raises(ValueError, match=r"test_explorer.py:\d+: explorer: the profile is of other kernels"):
        f.explorer(tmp_path / "out.html", profile=profile)
    with pytest.raises(ValueError, match="sm_1"):
        f.explorer(tmp_path / "out.html", arch="sm_1")
    with pytest.raises(OSError):
        f.explorer(tmp_path / "none" / "out.html")


def test_ptx_where_it_is_asked_for(tmp_path: Path) -> None:
    @lucid.compile
    def f(x: lucid.Tensor) -> lucid.Tensor:
        return (x.exp() + 1.0).sum()

    f(lucid.ones(3000))
    assert [p["title"] for p in of(page_of(f, tmp_path))["panes"]][-1] == "Assembly"
    pane = of(page_of(f, tmp_path, arch="sm_90"))["panes"][-1]
    assert pane["title"] == "PTX sm_90"
    (block,) = pane["blocks"]
    assert ".target sm_90" in block["text"] and block["kernels"] == [0]


def test_libraries_stand_between_kernels(tmp_path: Path) -> None:
    @lucid.compile
    def f(a: lucid.Tensor, b: lucid.Tensor) -> lucid.Tensor:
        return (lucid.linalg.solve(a @ a + 1.0, b) * 2.0).sum()

    a, b = lucid.eye(4) * 3.0, lucid.ones(4)
    f(a, b)
    data = of(page_of(f, tmp_path, profile=f.profile(a, b)))
    (library,) = data["libraries"]
    assert library["name"] == "linalg.solve" and library["before"] == 1
    assert library["told"].startswith("library linalg.solve: numpy.linalg.solve(f32[4, 4], f32[4, 1]) gives")
    assert library["bytes"] == 4 * (16 + 4 + 4) and "test_explorer.py:" in library["lines"][0]
    assert data["times"][library["unit"]]["seconds"] > 0
    graph, simplified = (pane["blocks"] for pane in data["panes"][:2])
    assert "= library %" in graph[0]["text"] and len(graph) == 1
    (told,) = [k for k, x in enumerate(simplified) if x["text"].startswith("then library linalg.solve: ")]
    assert told == 1 and simplified[told]["nodes"] == library["nodes"] and simplified[told]["sets"][0] >= 0
    first, *later = data["kernels"]
    assert set(library["reads"]) & set(first["writes"])
    assert any(set(kernel["reads"]) & set(library["writes"]) for kernel in later)


def test_the_command_writes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["lucid"])
    Path("train.py").write_text(
        "import lucid, numpy as np\n"
        "@lucid.compile\ndef f(x): return x.exp().sum()\n"
        "def target(): return f, (np.ones(9),)\n"
    )
    main(["explore", "train.py:target", "--profile"])
    assert re.fullmatch(r"f.html: [\d,]+ bytes\n", capsys.readouterr().out)
    made = of(Path("f.html").read_text())
    assert made["files"][0][0] == "train.py" and len(made["times"]) == 1
    with pytest.raises(SystemExit):
        main(["explore", "train.py:target", "--output", "none/f.html"])
    assert capsys.readouterr().err == "lucid explore: none/f.html: No such file or directory\n"


def test_a_notebook_shows_the_kernels(step: tuple[Any, Any]) -> None:
    shown = step[0]._repr_html_()
    tags = Tags()
    tags.feed(shown)
    assert not tags.open and "script" not in tags.seen
    largest = max(step[0].kernels, key=lambda kernel: kernel.bytes)
    assert f"{largest.bytes:,} B" in shown and largest.name in shown
    assert len(shown) < 100_000
    fresh = lucid.compile(lambda x: x)
    assert fresh._repr_html_() == "<code>&lt;compiled &lt;lambda&gt;: 0 traces&gt;</code>"


def test_nothing_is_loaded_before_somebody_asks() -> None:
    code = (
        "import sys, lucid; lucid.compile(lambda x: x + 1)(lucid.ones(3)); "
        "print([m for m in sys.modules if 'explorer' in m])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
