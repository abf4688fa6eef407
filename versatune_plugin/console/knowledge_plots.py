"""Pictures of several knowledge distributions side by side (Matplotlib)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill

from matplotlib.ticker import PercentFormatter

from versatune_plugin.console.plots import draw_legend, legend_name, new_canvas, save_figure
from versatune_plugin.errors import printable
from versatune_plugin.report.palette import PALETTE

# With more domains than colours, a hatch tells those of one colour apart.
HATCHES = ("", "//", "..", "xx")
# A smaller segment has no room for its figure.
LEAST_WRITTEN = 0.03
LABEL_LETTERS = 14


def plot_distributions(distributions: Sequence[tuple[str, Mapping[str, float]]], path: Path) -> None:
    """Draw a stacked bar for each distribution, side by side; a domain has one place and one colour in all of them.

    Args:
        distributions: label and shares by domain of each; domains may differ.
        path: the picture; its suffix (``.png``, ``.svg``, ``.pdf``) decides the format.
    """
    largest: dict[str, float] = {}
    for _, shares in distributions:
        for name, share in shares.items():
            largest[name] = max(share, largest.get(name, 0))
    names = sorted(largest, key=lambda name: (-largest[name], name))
    looks = dict(zip(sorted(names), cycle([(c, hatch) for hatch in HATCHES for c in PALETTE]), strict=False))
    figure, axes = new_canvas("Knowledge distributions", width=4 + 1.1 * len(distributions))
    figure.set_figheight(max(4.8, 1 + 0.22 * len(names)))
    places = range(len(distributions))
    bottoms = [0.0] * len(distributions)
    handles = []
    for name in names:
        heights = [shares.get(name, 0.0) for _, shares in distributions]
        colour, hatch = looks[name]
        handles.append(
            axes.bar(places, heights, 0.7, bottoms, color=colour, hatch=hatch, edgecolor="white", linewidth=0.8)
        )
        for place, height in zip(places, heights, strict=True):
            if height >= LEAST_WRITTEN:
                axes.text(place, bottoms[place] + height / 2, f"{height:.1%}", ha="center", va="center", fontsize=8)
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    axes.set_xticks(list(places), [fill(printable(label), LABEL_LETTERS) for label, _ in distributions])
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of the texts")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    # From top to bottom, as in the bars.
    draw_legend(axes, handles[::-1], [legend_name(name) for name in reversed(names)], title="domain")
    save_figure(figure, path)
