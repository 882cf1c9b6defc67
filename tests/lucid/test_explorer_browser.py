"""The explorer's page in a real browser: what it shows and lights up, search, keys, themes, time.

Skipped where there is no playwright or no chromium.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import lucid
from tests.lucid.explorer_steps import transformer
from tests.lucid.test_explorer import of

sync = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

TEXTS = ("source", "kernel", "loop", "llvm", "asm")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiled, args = transformer()
    compiled(*args)
    path = tmp_path_factory.mktemp("page") / "step.html"
    compiled.explorer(path, profile=compiled.profile(*args))
    return path


def opened(browser: Any, file: Path, scheme: str = "light") -> tuple[Any, list[str]]:
    """A page, and what went wrong or was asked of the network."""
    page = browser.new_page(viewport={"width": 1600, "height": 1000}, color_scheme=scheme)
    wrong: list[str] = []

    def note(request: Any) -> None:
        if request.url not in (file.as_uri(), "data:,"):
            wrong.append(request.url)

    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", note)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    return page, wrong


@pytest.fixture(scope="module")
def shown(browser: Any, file: Path) -> Iterator[tuple[Any, list[str], dict[str, Any]]]:
    page, wrong = opened(browser, file)
    page.keyboard.press("o")  # all kernels are opened
    yield page, wrong, of(file.read_text())
    page.close()


@pytest.fixture
def page(shown: tuple[Any, list[str], Any]) -> Iterator[Any]:
    """The page as it is at first, but for where it was scrolled to; without errors afterwards."""
    page, wrong, _ = shown
    yield page
    page.mouse.move(1, 1)
    page.keyboard.press("Escape")
    assert not wrong


@pytest.fixture
def data(shown: tuple[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    return shown[2]


def pane(name: str) -> str:
    return f'.pane[data-pane="{name}"]'


def lit(page: Any, name: str) -> list[int]:
    """Rows that are lit, and in sight or nearly."""
    rows = page.locator(f"{pane(name)} .row.strong").all()
    return sorted(int(row.get_attribute("data-row")) for row in rows)


def point(page: Any, name: str, row: int) -> None:
    """Brings a row in sight and points at it, until other panes have followed."""
    page.evaluate(f"document.querySelector('{pane(name)} .scroll').scrollTop = {18 * row - 60}")
    page.locator(f'{pane(name)} .row[data-row="{row}"] .code').hover(position={"x": 20, "y": 9})
    page.wait_for_timeout(450)


def test_panes_show_all_that_there_is(page: Any, data: dict[str, Any]) -> None:
    for name in TEXTS:
        assert page.locator(f"{pane(name)} .row").count() > 10, name
    assert page.locator(".graph .box").count() == len(data["kernels"])
    drawn = {int(n.get_attribute("data-node")) for n in page.locator(".graph .node[data-node]").all()}
    folded = ("view", "leaf")
    assert drawn >= {n["id"] for n in _numbered(data) if n["kind"] not in folded and n["op"] != "cast"}
    rows = page.locator(".costs .cost")
    assert rows.count() == len(data["kernels"])
    largest = max(data["kernels"], key=lambda kernel: kernel["bytes"])
    bar = rows.nth(data["kernels"].index(largest)).locator(".bar.bytes i")
    assert bar.get_attribute("style") == "width: 100%;"
    assert page.locator(".costs .bar.time").count() == len(data["kernels"])


def _numbered(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**node, "id": k} for k, node in enumerate(data["nodes"])]


def test_a_statement_lights_up_in_all_panes(page: Any, data: dict[str, Any]) -> None:
    """The last statement that comes from F.gelu, in the kernel of the forward pass."""
    (steps,) = (k for k, (name, _) in enumerate(data["files"]) if name.endswith("explorer_steps.py"))
    lines = data["files"][steps][1]
    line = next(k for k, text in enumerate(lines, 1) if "F.gelu" in text)
    panes = {p["id"]: p["blocks"] for p in data["panes"]}
    places = {
        k for k, (file, at, _, back, *_) in enumerate(data["places"]) if (file, at, back) == (steps, line, "")
    }
    row, kernel = _row(panes["kernel"], lambda one: bool(places & set(data["sets"][one])))
    point(page, "kernel", row)
    assert row in lit(page, "kernel")
    before = sum(len(text) + 1 for _, text in data["files"][:steps])  # a row above each file
    assert before + line in lit(page, "source")
    for name in ("loop", "llvm", "asm"):
        assert lit(page, name), name
        assert all(kernel in _kernels(panes[name], row) for row in lit(page, name))
    names = page.locator(".costs .cost.strong .name").all_text_contents()
    assert names == [data["kernels"][kernel]["name"]]
    drawn = page.locator(".graph .node.strong")
    assert drawn.count()
    assert {int(n.get_attribute("data-kernel")) for n in drawn.all()} == {kernel}
    assert f"explorer_steps.py:{line}" in page.locator(".status").inner_text()
    page.mouse.move(1, 1)
    page.wait_for_timeout(100)
    assert not any(lit(page, name) for name in TEXTS) and not page.locator(".graph .node.strong").count()


def _row(blocks: list[dict[str, Any]], wanted: Any) -> tuple[int, int]:
    """The first row with such a set, and its kernel."""
    row = 0
    for block in blocks:
        for one in block["sets"]:
            if one >= 0 and wanted(one):
                return row, block["kernels"][0]
            row += 1
    raise AssertionError("there is none")


def _kernels(blocks: list[dict[str, Any]], row: int) -> list[int]:
    """Of the block that a row is in."""
    for block in blocks:
        if row < len(block["sets"]):
            return [*block["kernels"]]
        row -= len(block["sets"])
    raise AssertionError("there is no such row")


def test_a_line_of_the_source_lights_up_in_all_panes(page: Any, data: dict[str, Any]) -> None:
    (steps,) = (k for k, (name, _) in enumerate(data["files"]) if name.endswith("explorer_steps.py"))
    lines = data["files"][steps][1]
    line = next(k for k, text in enumerate(lines, 1) if "softmax" in text)
    point(page, "source", sum(len(text) + 1 for _, text in data["files"][:steps]) + line)
    for name in TEXTS:
        assert lit(page, name), name
    forward_and_backward = page.locator(".costs .cost.strong .name").all_text_contents()
    assert any(name.endswith("_grad") for name in forward_and_backward)
    assert any("_grad" not in name for name in forward_and_backward)


def test_a_node_and_a_box_light_up(page: Any, data: dict[str, Any]) -> None:
    page.keyboard.press("0")
    node = next(k for k, n in enumerate(data["nodes"]) if n["op"] == "erf")
    group = page.locator(f'.graph .node[data-node="{node}"]').first
    drawing = "window.explorer.drawing"
    page.evaluate(f"{drawing}.reveal({drawing}.shown.find(({{ id }}) => id === {node}))")
    group.hover(force=True)
    page.wait_for_timeout(450)
    assert "strong" in group.get_attribute("class")
    assert all(lit(page, name) for name in TEXTS)
    assert "erf" in page.locator(".card").inner_text()
    page.locator(".costs .cost").nth(2).click()
    assert page.locator(".graph .box.strong").count() == 1
    assert all(lit(page, name) for name in ("kernel", "loop", "llvm", "asm"))


def test_search_finds_and_goes_from_one_to_the_next(page: Any, data: dict[str, Any]) -> None:
    texts = [block["text"] for p in data["panes"] for block in p["blocks"]]
    texts += ["\n".join(lines) for _, lines in data["files"]]
    every = sum("sqrt" in line.lower() for text in texts for line in text.split("\n"))
    hidden = [block["text"] for p in data["panes"][:2] for block in p["blocks"]]  # graphs, at first
    count = every - sum("sqrt" in line.lower() for text in hidden for line in text.split("\n"))
    drawn = page.locator(".graph .node text").all_text_contents()
    drawn = sum("sqrt" in text for text in drawn)
    told = sum("sqrt" in row.get_attribute("title").lower() for row in page.locator(".costs .cost").all())
    every, count = every + drawn + told, count + drawn + told
    assert 3 < count < every and drawn
    page.keyboard.press("/")
    page.keyboard.type("SQRT")
    page.wait_for_timeout(400)
    assert page.locator(".matches").inner_text() == f"{every:,} found"
    seen = []
    for number in (1, 2, 3):
        page.keyboard.press("Enter")
        assert page.locator(".matches").inner_text() == f"{number} of {count:,}"
        current = page.locator(".current")
        assert current.count() == 1 and "sqrt" in current.text_content()
        assert current.is_visible()
        seen.append(current.evaluate("(one) => [one.closest('.pane').dataset.pane, one.outerHTML]"))
    assert all(a != b for a, b in pairwise(seen))
    page.keyboard.press("Escape")
    assert page.locator(".matches").inner_text() == "" and not page.locator(".hit, .current").count()


def test_search_finds_kernels_in_the_graph_and_the_costs(browser: Any, file: Path) -> None:
    """Boxes are closed: the names of kernels, and of closed ones what is inside."""
    page, wrong = opened(browser, file)
    page.keyboard.press("/")
    page.keyboard.type("softmax")
    page.wait_for_timeout(400)
    names = page.locator(".costs .cost.hit .name").all_text_contents()
    assert names and all("softmax" in name for name in names)
    assert page.locator(".graph .box.hit > .name").all_text_contents() == names
    counts = {chip.inner_text(): chip.get_attribute("data-count") for chip in page.locator(".chip").all()}
    assert counts["Costs"] == counts["Graph"] == str(len(names)) and counts["Source"]
    for _ in range(20):
        page.keyboard.press("Enter")
        if page.locator(".costs .cost.current").count():
            break
    assert page.locator(".costs .cost.current.strong").is_visible()
    assert page.locator(".graph .box.strong > .name").text_content() == names[0]
    assert not wrong
    page.close()


@pytest.mark.parametrize(("width", "height"), [(700, 600), (1280, 800), (1920, 1080)])
def test_nothing_is_cut_off_and_all_can_be_read(browser: Any, file: Path, width: int, height: int) -> None:
    page, wrong = opened(browser, file)
    page.set_viewport_size({"width": width, "height": height})
    page.keyboard.press("0")
    for key in "]]jj45":
        page.keyboard.press(key)
    over = """[document.documentElement, document.body, ...document.querySelectorAll(
        "main, .panes, .pane, .pane > header, header.top, header.top .line, footer")]
        .filter((e) => e.scrollWidth > e.clientWidth + 1 || e.scrollLeft).map((e) => e.className)"""
    assert page.evaluate(over) == []
    # What a name is written in, on the screen; the map shows where that is of the whole.
    zoom = "document.querySelector('.graph .box .name').getCTM().a"
    assert page.evaluate(zoom) >= 0.75
    assert page.locator(".map .spot").count() == page.locator(".graph .box").count()
    page.locator(".map").click(position={"x": 12, "y": 12})
    assert not wrong
    page.close()


def test_keys(page: Any, data: dict[str, Any]) -> None:
    page.keyboard.press("]")
    page.keyboard.press("]")
    assert page.locator(".costs .cost.strong .name").all_text_contents() == [data["kernels"][1]["name"]]
    page.keyboard.press("[")
    assert page.locator(".costs .cost.strong .name").all_text_contents() == [data["kernels"][0]["name"]]
    page.keyboard.press("Escape")
    assert not page.locator(".cost.strong").count()
    page.keyboard.press("j")
    first = lit(page, "source")
    page.keyboard.press("j")
    assert first and lit(page, "source") and lit(page, "source") != first
    before = page.locator(f"{pane('asm')}.off").count()
    chips = page.locator(".chip").all_inner_texts()
    page.keyboard.press(str(chips.index("Assembly") + 1))
    assert page.locator(f"{pane('asm')}.off").count() == 1 - before
    page.keyboard.press(str(chips.index("Assembly") + 1))
    page.keyboard.press("o")
    assert not page.locator(".graph .node[data-node]").count()
    page.keyboard.press("o")
    assert page.locator(".graph .node[data-node]").count()
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")


def test_the_theme_is_that_of_the_system_until_one_chooses(browser: Any, file: Path) -> None:
    for scheme, other in (("light", "dark"), ("dark", "light")):
        page, wrong = opened(browser, file, scheme)
        theme = "document.documentElement.dataset.theme"
        color = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(theme) == scheme
        paper = page.evaluate(color)
        page.keyboard.press("t")
        assert page.evaluate(theme) == other and page.evaluate(color) != paper
        assert not wrong
        page.close()


def test_a_step_of_300_nodes_is_drawn_within_a_second(browser: Any, file: Path, data: dict[str, Any]) -> None:
    """Processor time of the page's thread, since other processes share this machine."""
    assert len(data["nodes"]) >= 300 and file.stat().st_size <= 2_000_000
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return next(float(one["value"]) for one in found if one["name"] == "TaskDuration")

    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.wait_for_timeout(200)
    assert not page.locator(".graph .node[data-node]").count()  # so many are closed at first
    page.keyboard.press("o")
    page.wait_for_timeout(100)
    assert page.locator(".graph .node[data-node]").count() > 200
    assert spent() <= 1.0
    begin = spent()
    for k in range(20):
        page.locator(".costs .cost").nth(k).hover()
        page.wait_for_timeout(30)
    assert (spent() - begin) / 20 <= 0.05  # fluid: a light takes no longer than three frames
    page.close()


def test_what_is_markup_in_the_source_is_text_on_the_page(browser: Any, tmp_path: Path) -> None:
    script = tmp_path / "evil.py"
    line = "    return x * 2  # </script><script>alert(1)</script><img src=x onerror=alert(2)>"
    script.write_text(f"def f(x):\n{line}\n")
    scope: dict[str, Any] = {}
    exec(compile(script.read_text(), str(script), "exec"), scope)
    scope["f"].__name__ = "<img src=x onerror=alert(3)>"
    f = lucid.compile(scope["f"])
    f(lucid.ones(3))
    f.explorer(tmp_path / "out.html")
    page, wrong = opened(browser, tmp_path / "out.html")
    assert page.locator("h1").inner_text() == "<img src=x onerror=alert(3)>"
    assert page.locator(f'{pane("source")} .row[data-row="2"] .code').text_content() == line
    assert not page.locator("img").count() and not wrong
    page.close()
