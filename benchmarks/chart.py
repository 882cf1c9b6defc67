"""The chart: how many times as long as lucid each contender takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from .cases import LIMITS, shown

# One colour for each peer; a variation of it has another line or marker.
COLOURS = {
    "lucid": "#000000",
    "limit": "#999999",
    "Numba": "#1b9e77",
    "torch.compile": "#d95f02",
    "PyTorch": "#e6ab02",
    "JAX": "#7570b3",
    "NumPy": "#377eb8",
    "numexpr": "#a65628",
    "scikit-learn": "#e7298a",
}
MARKERS = ("o", "s", "^")


def draw(results: Sequence[dict[str, Any]], path: Path) -> bool:
    """Draw what there is; False if that is nothing."""
    sizes = [r for r in results if r["case"] == "huber"]
    others = [r for r in results if r["case"] != "huber" and _rows(r)]
    count = sum(len(_rows(r)) for r in others)
    if not sizes and not others:
        return False
    panels = bool(sizes) + bool(others)
    figure, axes = plt.subplots(
        panels, 1, squeeze=False, figsize=(9, 5.5 * bool(sizes) + 1.4 + 0.32 * count),
        height_ratios=[5.5] * bool(sizes) + [max(1.4 + 0.32 * count, 2)] * bool(others),
        layout="constrained",
    )  # fmt: skip
    panel = iter(axes[:, 0])
    if sizes:
        _lines(next(panel), sizes[0])
    if others:
        _dots(next(panel), others)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return True


def _peer(label: str) -> str:
    return next((p for p in COLOURS if label.startswith(p)), "NumPy")


def _style(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker by label."""
    found: dict[str, tuple[str, str]] = {}
    for peer, colour in COLOURS.items():
        own = [label for label in labels if _peer(label) == peer]
        found |= {label: (colour, MARKERS[k % len(MARKERS)]) for k, label in enumerate(sorted(own))}
    return found


def _lines(axes: Axes, result: dict[str, Any]) -> None:
    """Time against size for one case, relative to lucid."""
    series: dict[str, list[tuple[float, float]]] = {}
    for variant in result["variants"]:
        n = float(variant["name"].replace(",", ""))
        for label, found in variant["contenders"].items():
            if label.startswith(tuple(LIMITS)):
                if label != variant["limits"].get("limit"):
                    continue
                label = "limit of the machine"
            ratio = 1.0 if label == "lucid" else found.get("times lucid")
            if ratio is not None:
                series.setdefault(label, []).append((n, ratio))
    style = _style(list(series))
    for label, points in series.items():
        colour, marker = style[label]
        dashed = ":" if label.startswith("limit") else "-"
        axes.plot(
            *zip(*points, strict=True), dashed, color=colour, marker=marker, markersize=5,
            linewidth=2.5 if label == "lucid" else 1.4, label=label,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="elements", ylabel="time, lucid = 1")
    axes.set_title(f"{result['title']}, {result['machine']['threads']} threads", loc="left")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, which="major", color="#dddddd", linewidth=0.8)
    axes.legend(fontsize=8, ncols=2, frameon=False, loc="upper right")


def _rows(result: dict[str, Any]) -> list[tuple[str, dict[str, float], float]]:
    """Name of each variant, ratios to lucid by label, and lucid's own time."""
    rows = []
    for variant in result["variants"]:
        own = variant["contenders"].get("lucid")
        if own is None or variant["unit"] != "s":
            continue
        ratios = {}
        for label, found in variant["contenders"].items():
            if label.startswith(tuple(LIMITS)) and label != variant["limits"].get("limit"):
                continue
            name = "limit of the machine" if label.startswith("limit") else label
            if "times lucid" in found:
                ratios[name] = found["times lucid"]
        rows.append((f"{result['case']}, {variant['name']}", ratios, own["median"]))
    return rows


def _dots(axes: Axes, results: Sequence[dict[str, Any]]) -> None:
    """One row for each variant, one dot for each contender."""
    rows = [row for result in results for row in _rows(result)]
    labels = list(dict.fromkeys(label for _, ratios, _ in rows for label in ratios))
    style = _style(labels)
    heights = range(len(rows), 0, -1)
    for label in labels:
        points = [(r[label], h) for (_, r, _), h in zip(rows, heights, strict=True) if label in r]
        colour, marker = style[label]
        axes.plot(
            *zip(*points, strict=True), marker, color=colour, markersize=6, label=label,
            linestyle="none",
        )  # fmt: skip
    axes.axvline(1, color="black", linewidth=2, label="lucid")
    names = [f"{name}  ({shown(seconds, 's')})" for name, _, seconds in rows]
    axes.set_yticks(list(heights), names, fontsize=8)
    axes.set(xscale="log", xlabel="time, lucid = 1 (its own time is in brackets)")
    axes.set_ylim(0.3, len(rows) + 0.7)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(True, color="#dddddd", linewidth=0.8)
    axes.legend(fontsize=8, ncols=4, frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0))
