"""A picture of a judge's check: which domains it takes for which, and how far its probabilities are to be believed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from versatune_plugin.console.plots import legend_name, save_figure
from versatune_plugin.report.palette import PALETTE

# Of a cell's share, from here on its figure is written in white.
DARK = 0.6


def plot_check(figures: Mapping[str, Any], path: Path) -> None:
    """Draw the confusion, row by row as shares, and the reliability diagram beside it.

    Args:
        figures: see `versatune_plugin.knowledge.check.check_judge`.
        path: the picture; its suffix (``.png``, ``.svg``, ``.pdf``) decides the format.
    """
    figure = Figure(figsize=(13, 6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _confusion(left, figures["quality"]["confusion"])
    _reliability(right, figures["quality"])
    about = figures["about_judge"]
    figure.suptitle(f"The judge “{legend_name(about['name'])}” on labelled rows of the run's own domains")
    save_figure(figure, path)


def _confusion(axes: Axes, confusion: Mapping[str, Mapping[str, int]]) -> None:
    names = list(confusion)
    counts = np.array([[row[other] for other in names] for row in confusion.values()], dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        colour = "white" if shares[row, column] > DARK else "black"
        axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", color=colour)
    shown = [legend_name(name) for name in names]
    axes.set_xticks(range(len(names)), shown, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), shown)
    axes.set_xlabel("judged to be of")
    axes.set_ylabel("rows of")
    axes.set_title(f"accuracy {shares.diagonal().mean():.1%}")


def _reliability(axes: Axes, found: Mapping[str, Any]) -> None:
    bins = [one for one in found["reliability"] if one["count"]]
    most = max(one["count"] for one in bins)
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--", label="as sure as right")
    axes.bar(
        [(one["low"] + one["high"]) / 2 for one in bins],
        [one["accuracy"] for one in bins],
        width=[0.9 * (one["high"] - one["low"]) for one in bins],
        color=PALETTE[0],
        alpha=0.35,
        label="share judged right",
    )
    axes.scatter(
        [one["confidence"] for one in bins],
        [one["accuracy"] for one in bins],
        s=[20 + 180 * one["count"] / most for one in bins],
        color=PALETTE[0],
        edgecolor="black",
        zorder=3,
        label="mean confidence (area: rows)",
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("probability of the domain that it names")
    axes.set_ylabel("share judged right")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title(
        f"expected calibration error {found['calibration_error']:.3f}, temperature {found['temperature']:.3g}"
    )
    axes.legend(loc="upper left")
