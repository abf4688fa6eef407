"""Pictures of a run: how the weights of the domains moved, and what a base model knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from versatune_plugin.artifacts.record import WEIGHT_LINES
from versatune_plugin.console.palette import PALETTE
from versatune_plugin.errors import printable

LINES = ("-", "--", ":")
GREY = "#5F5F5F"


def plot_weights(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw each domain's weight against the optimizer step.

    The weights are a step function: those of an update hold from the batch after it until the next update.

    Args:
        records: the lines of ``versatune.jsonl``, as `versatune_plugin.artifacts.record.read_record` gives them.
        path: the picture; its suffix (``.png``, ``.svg``, ``.pdf``) decides the format.
    """
    start = records[0]
    changes = [
        (start.get("resumed_at", 0), start["weights"]),
        *((line["step"], line["weights"]) for line in records if line["kind"] in WEIGHT_LINES),
    ]
    last = max([start["total_steps"], *(step for step, _ in changes)])
    steps = [step for step, _ in changes] + [last]
    figure, axes = _canvas(f"Sampling weights under the mixture “{_plain(start['mixture'])}”")
    final = changes[-1][1]
    styles = _styles(start["weights"])
    for name in sorted(final, key=lambda name: (-final[name], name)):
        shares = [weights[name] for _, weights in changes]
        colour, line = styles[name]
        axes.step(
            steps,
            [*shares, shares[-1]],
            where="post",
            color=colour,
            linestyle=line,
            linewidth=2,
            label=f"{_plain(name)}  {shares[0]:.1%} → {shares[-1]:.1%}",
        )
    axes.set_xlim(steps[0], last)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("weight (share of the rows drawn)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(axes, title="domain,  first → last")
    _save(figure, path)


def plot_knowledge(knowledge: Mapping[str, Any], path: Path, truth: Mapping[str, float] | None = None) -> None:
    """Draw the knowledge distribution as bars with their 95 % intervals, largest first.

    Args:
        knowledge: with the keys ``probabilities`` and ``interval95`` of ``knowledge.json``.
        path: the picture; its suffix (``.png``, ``.svg``, ``.pdf``) decides the format.
        truth: the shares that the model was pretrained on, where they are known: drawn as markers.
    """
    found, intervals = knowledge["probabilities"], knowledge["interval95"]
    names = sorted(found, key=lambda name: (-found[name], name))
    figure, axes = _canvas("Knowledge distribution of the base model")
    low, high = ([abs(found[name] - intervals[name][end]) for name in names] for end in (0, 1))
    places = range(len(names))
    axes.bar(places, [found[name] for name in names], width=0.62, color=PALETTE[0], label="detected")
    axes.errorbar(
        places,
        [found[name] for name in names],
        yerr=[low, high],
        fmt="none",
        ecolor="black",
        elinewidth=1.4,
        capsize=5,
        label="95 % interval",
    )
    if truth is not None:
        axes.plot(
            places,
            [truth[name] for name in names],
            linestyle="none",
            marker="D",
            markersize=9,
            markerfacecolor=PALETTE[1],
            markeredgecolor="black",
            label="pretrained on",
            zorder=5,
        )
    axes.set_xticks(
        list(places), [f"{_plain(name)}\n{found[name]:.1%}" for name in names], rotation=30 if len(names) > 8 else 0
    )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("domain")
    axes.set_ylabel("share of the texts")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _legend(axes)
    _save(figure, path)


def _plain(name: str) -> str:
    """A name that Matplotlib shows as it is: it would set what stands between dollars, and hide what begins with _."""
    shown = printable(name).replace("$", r"\$")
    return f"\u200a{shown}" if shown.startswith("_") else shown


def _canvas(title: str) -> tuple[Figure, Axes]:
    # A figure of its own, not pyplot's: nothing global is set up, and no window system is looked for.
    figure = Figure(figsize=(9, 4.8), dpi=144, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=GREY)
    return figure, axes


def _styles(names: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Colour and line of each domain, by name order, so that a domain looks alike in every picture of a run."""
    looks = cycle([(colour, line) for line in LINES for colour in PALETTE])
    return dict(zip(sorted(names), looks, strict=False))


def _legend(axes: Axes, title: str | None = None) -> None:
    axes.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, alignment="left")


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp{path.suffix}")
    figure.savefig(unfinished)
    unfinished.replace(path)
