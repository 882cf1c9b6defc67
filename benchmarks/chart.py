"""The charts: how many times as long as lucid each contender takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from .cases import LIMITS, shown

Points = list[tuple[float, float]]

# One colour for each peer, by the start of its labels.
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
MARKERS = ("o", "s", "^")  # of several contenders of one peer
LIMIT = "limit of the machine"


def draw(results: Sequence[dict[str, Any]], folder: Path) -> dict[str, str]:
    """Write huber.png and cases.png as far as there are results for them; names and titles."""
    drawn = {}
    for result in results:
        if result["case"] == "huber":
            _sizes(result, folder / "huber.png")
            drawn["huber.png"] = f"{result['title']}: time by size, relative to lucid"
    rows = [row for result in results if result["case"] != "huber" for row in _rows(result)]
    if rows:
        _cases(rows, folder / "cases.png")
        drawn["cases.png"] = "Time of each peer relative to lucid"
    return drawn


def _peer(label: str) -> str:
    return next((p for p in COLOURS if label.startswith(p)), label)


def _ratios(variant: dict[str, Any]) -> dict[str, float]:
    """Time relative to lucid by label; of the loops, only the limit of the case itself."""
    found = {}
    for label, contender in variant["contenders"].items():
        if label.startswith(tuple(LIMITS)) and label != variant["limits"].get("limit"):
            continue
        ratio = 1.0 if label == "lucid" else contender.get("times lucid")
        if ratio is not None:
            found[LIMIT if label.startswith("limit") else label] = ratio
    return found


def _sizes(result: dict[str, Any], path: Path) -> None:
    """One line for each contender over the number of elements."""
    series: dict[str, Points] = {}
    for variant in result["variants"]:
        n = float(variant["name"].replace(",", ""))
        for label, ratio in _ratios(variant).items():
            series.setdefault(label, []).append((n, ratio))
    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    # The legend goes from the slowest to the fastest at the largest size, like the lines.
    for label, points in sorted(series.items(), key=lambda item: -item[1][-1][1]):
        peer = _peer(label)
        own = sorted(name for name in series if _peer(name) == peer)
        axes.plot(
            *zip(*points, strict=True),
            ":" if label == LIMIT else "-",
            color=COLOURS.get(peer),
            marker=MARKERS[own.index(label) % len(MARKERS)],
            markersize=5,
            linewidth=2.5 if label == "lucid" else 1.4,
            label=label,
        )
    axes.set(xscale="log", yscale="log", xlabel="elements", ylabel="time relative to lucid")
    axes.set_title(f"{result['title']}, float32, {result['machine']['threads']} threads", loc="left")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.grid(True, which="major", color="#dddddd", linewidth=0.8)
    figure.legend(fontsize=9, frameon=False, loc="outside right upper")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _rows(result: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """For each size of a case that is a time: its name, and the ratio of each peer, at its fastest."""
    rows = []
    for variant in result["variants"]:
        own = variant["contenders"].get("lucid")
        if own is None or variant["unit"] != "s":
            continue
        best: dict[str, float] = {}
        for label, ratio in _ratios(variant).items():
            peer = LIMIT if label == LIMIT else _peer(label)
            best[peer] = min(ratio, best.get(peer, ratio))
        name = f"{result['case'].replace('_', ' ')}: {variant['name'].replace('and backward', '+ backward')}"
        rows.append((f"{name}   [{shown(own['median'], 's')}]", best))
    return rows


def _cases(rows: Sequence[tuple[str, dict[str, float]]], path: Path) -> None:
    """One row for each size of each case, one dot for each peer."""
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.28 * len(rows)), layout="constrained")
    heights = range(len(rows), 0, -1)
    peers = list(dict.fromkeys(peer for _, best in rows for peer in best))
    for peer in [LIMIT, *[p for p in COLOURS if p in peers and p != "lucid"]]:
        points = [(best[peer], h) for (_, best), h in zip(rows, heights, strict=True) if peer in best]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                "D" if peer == LIMIT else "o",
                color=COLOURS[_peer(peer)],
                markersize=6,
                label=peer,
            )
    axes.axvline(1, color=COLOURS["lucid"], linewidth=2, label="lucid")
    axes.set_yticks(list(heights), [name for name, _ in rows], fontsize=8)
    axes.set(xscale="log", xlabel="time relative to lucid, of each peer at its fastest   [lucid's own time]")
    axes.set_ylim(0.3, len(rows) + 0.7)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.grid(True, color="#dddddd", linewidth=0.8)
    figure.legend(fontsize=9, ncols=5, frameon=False, loc="outside upper center")
    figure.savefig(path, dpi=130)
    plt.close(figure)
