"""What the results say, as a table in Markdown: one section for each case, from results/*.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .cases import CASES, LIMITS, shown

RESULTS = Path(__file__).parent / "results"

Result = dict[str, Any]

_MARK = {True: "yes", False: "**no**", None: "not measured"}


def save(result: Result, folder: Path = RESULTS) -> None:
    """Write the result of one case to `<case>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (folder / f"{result['case']}.json").write_text(text + "\n", encoding="utf-8")


def load(folder: Path = RESULTS) -> list[Result]:
    """The results there are, in the order of the cases."""
    paths = [folder / f"{name}.json" for name in CASES]
    return [json.loads(p.read_text(encoding="utf-8")) for p in paths if p.exists()]


def write(folder: Path = RESULTS) -> None:
    """Write README.md, and its charts, from the results in `folder`."""
    results = load(folder)
    try:
        from .chart import draw
    except ImportError:  # no matplotlib
        charts = {}
    else:
        charts = draw(results, folder)
    (folder / "README.md").write_text(markdown(results, charts), encoding="utf-8")


def markdown(results: Sequence[Result], charts: Mapping[str, str]) -> str:
    """The page. `charts` maps names of images to what they show."""
    lines = [
        "# Measurements",
        "",
        "Written by `make bench`. Each case ran lucid and its peers in turn, in another order each "
        "round, each in a process of its own; a figure is the median, with the quartiles in brackets. "
        "*Times lucid* is the median of the ratios within a round.",
        "",
        "Beside them stands what the machine can do, by plain native loops, of several the fastest: "
        + "; ".join(f"*{kind}*: {what}" for kind, what in LIMITS.items())
        + ".",
        "",
    ]
    for name, title in charts.items():
        lines += [f"![{title}]({name})", ""]
    lines += _goals(results)
    for result in results:
        lines += _section(result)
    return "\n".join(lines)


def _goals(results: Sequence[Result]) -> list[str]:
    rows = []
    for result in results:
        for variant in result["variants"]:
            for goal in variant["goals"]:
                figure = goal["figure"]
                value = "" if figure is None else shown(figure, goal["unit"])
                against = goal["against"]
                if figure is not None and goal["unit"] in ("times", "of the limit"):
                    value += f" ({against})"
                rows.append([result["case"], variant["name"], goal["goal"], value, _MARK[goal["reached"]]])
    if not rows:
        return []
    return ["## Goals", "", *_table(["case", "size", "goal", "measured", "reached"], rows), ""]


def _section(result: Result) -> list[str]:
    machine = result["machine"]
    where = f"{machine['cpu']}, {machine['threads']} threads, {machine['date'][:10]}"
    if result["quick"]:
        where += ", a quick run with few samples"
    lines = [f"## {result['title']}", "", f"`{result['case']}`: {where}.", ""]
    for variant in result["variants"]:
        lines += _variant(variant)
    missing = [f"{name}: {why}" for name, why in result["missing"].items()]
    if missing:
        lines += ["Left out: " + "; ".join(missing) + ".", ""]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return [*lines, f"With {versions}, Python {machine['python']}.", ""]


def _variant(variant: Mapping[str, Any]) -> list[str]:
    unit, moved = variant["unit"], variant["bytes"]
    rows = []
    contenders = sorted(variant["contenders"].items(), key=lambda item: item[1]["median"])
    for label, found in contenders:
        if label.startswith(tuple(LIMITS)) and label not in variant["limits"].values():
            continue
        spread = f"{shown(found['low'], unit)} – {shown(found['high'], unit)}"
        ratio = found.get("times lucid")
        row = [
            label,
            f"{shown(found['median'], unit)} ({spread})" if unit != "kernels" else f"{found['median']:g}",
            "" if ratio is None else shown(ratio, "times"),
        ]
        rows.append(row + ([f"{moved / found['median'] / 1e9:.1f} GB/s"] if moved else []))
    head = [variant["name"], unit if unit != "s" else "time", "times lucid"]
    lines = [*_table(head + (["bytes needed, by time"] if moved else []), rows), ""]
    for label, why in variant["left out"].items():
        lines += [f"{label} is left out: {why}.", ""]
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *["| " + " | ".join(row) + " |" for row in rows],
    ]
