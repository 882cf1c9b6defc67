"""The figure of `huber_regression.py`: for each model, the fit above and the residuals below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]

COLOURS = {"MSE": "#d1495b", "Huber": "#00798c"}
INK, GREY, WRONG = "#222222", "#9aa5b1", "#edae49"
SHOWN = 6000  # points of a scatter
RANGE = 60  # residuals are drawn to ± this many per cent


@dataclass(frozen=True, slots=True)
class Panel:
    """One model: predicted test prices, in dollars, by the name of the loss."""

    model: str
    predicted: Mapping[str, Array]


def draw(
    path: Path,
    panels: Sequence[Panel],
    carat: Array,
    price: Array,
    train_carat: Array,
    train_price: Array,
    wrong: Array,
) -> None:
    """Write the figure to `path`. `carat`, `price`: the test diamonds; `train_...`: those trained
    on, `wrong` marks the corrupted prices among them."""
    style: dict[Any, Any] = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
             "axes.edgecolor": "#666666", "text.color": INK, "axes.titlesize": 11}  # fmt: skip
    with plt.rc_context(style):
        figure, grid = plt.subplots(
            2, len(panels), figsize=(11, 8.2), sharey="row", squeeze=False, layout="constrained"
        )
        for column, panel in enumerate(panels):
            _fit(grid[0, column], panel, carat, price, train_carat, train_price, wrong)
            _residuals(grid[1, column], panel, price)
        grid[0, 0].set_ylabel("price in dollars")
        grid[1, 0].set_ylabel("share of the test diamonds")
        figure.suptitle(
            "Diamond prices, some typed with one zero too many: MSE follows them, Huber does not",
            fontsize=14,
        )
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _fit(
    axes: Axes, panel: Panel, carat: Array, price: Array,
    train_carat: Array, train_price: Array, wrong: Array,
) -> None:  # fmt: skip
    """Training prices over carat; medians of the test diamonds by carat, predicted and true."""
    shown = np.random.default_rng(0).permutation(len(train_carat))[:SHOWN]
    for mask, colour, label in (
        (~wrong[shown], GREY, "training prices"),
        (wrong[shown], WRONG, "with one zero too many"),
    ):
        axes.scatter(
            train_carat[shown][mask], train_price[shown][mask], s=5, alpha=0.5, color=colour,
            linewidths=0, label=label, rasterized=True,
        )  # fmt: skip
    edges = np.geomspace(0.25, 2.6, 22)
    centres = np.sqrt(edges[1:] * edges[:-1])

    def medians(values: Array) -> Array:
        bins = np.digitize(carat, edges)
        return np.array([np.median(values[bins == k]) for k in range(1, len(edges))])

    for loss, predicted in panel.predicted.items():
        label = f"{loss}, predicted"
        axes.plot(centres, medians(predicted), color=COLOURS[loss], lw=2, label=label)
    axes.plot(centres, medians(price), color=INK, lw=1.5, ls=(0, (1, 1)), label="true")
    axes.set(xscale="log", yscale="log", xlim=(0.2, 3.2), ylim=(250, 250_000), xlabel="carat")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks([0.2, 0.5, 1, 2, 3])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.set_title(f"{panel.model}: training data and fit")
    axes.legend(loc="upper left", frameon=False, markerscale=3, fontsize=9)


def _residuals(axes: Axes, panel: Panel, price: Array) -> None:
    """How far predictions are from the true test prices, in per cent of these."""
    bins = np.linspace(-RANGE, RANGE, 81).tolist()
    axes.axvline(0, color=INK, lw=1, ls=(0, (1, 1)))
    for loss, predicted in panel.predicted.items():
        off = 100 * (predicted / price - 1)
        share = np.full(len(off), 1 / len(off))
        colour = COLOURS[loss]
        axes.hist(off, bins, weights=share, color=colour, alpha=0.35)
        label = (
            f"{loss}: median error ${np.median(np.abs(predicted - price)):,.0f},\n"
            f"median shift {np.median(off):+.1f} %"
        )
        axes.hist(off, bins, weights=share, color=colour, lw=1.6, histtype="step", label=label)
    axes.set(xlim=(-RANGE, RANGE), xlabel="predicted price against the true one")
    axes.set_xticks(range(-40, 41, 20))
    axes.margins(y=0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:+.0f} %" if v else "exact"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.0f} %"))
    axes.set_title(f"{panel.model}: residuals on the test diamonds")
    handles = [Line2D([], [], color=COLOURS[loss], lw=3) for loss in panel.predicted]
    labels = axes.get_legend_handles_labels()[1]
    axes.legend(
        handles, labels, loc="upper right", frameon=False, fontsize=9,
        handlelength=1.2, labelspacing=0.8,
    )  # fmt: skip
