"""Pictures: how the weights of the domains moved, what a base model knows, and what trained models score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, PercentFormatter

from versatune_plugin.artifacts.record import WEIGHT_LINES
from versatune_plugin.errors import ArtifactError, printable
from versatune_plugin.evaluation.benchmarks import DOMAINS
from versatune_plugin.evaluation.scores import Run, Score, own_domains
from versatune_plugin.report.palette import PALETTE

LINES = ("-", "--", ":")
MARKERS = ("o", "s", "^", "D", "v")
# Letters of a name on a line: of a run's in the legend, and of a domain's below its dots.
LEGEND_LETTERS, TICK_LETTERS = 30, 12
AVERAGE = "average"
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
    figure, axes = new_canvas(f"Sampling weights under the mixture “{legend_name(start['mixture'])}”")
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
            label=f"{legend_name(name)}  {shares[0]:.1%} → {shares[-1]:.1%}",
        )
    axes.set_xlim(steps[0], last)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("weight (share of the rows drawn)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    draw_legend(axes, title="domain,  first → last")
    save_figure(figure, path)


def plot_knowledge(knowledge: Mapping[str, Any], path: Path, truth: Mapping[str, float] | None = None) -> None:
    """Draw the knowledge distribution as bars with their 95 % intervals, largest first.

    Args:
        knowledge: with the keys ``probabilities`` and ``interval95`` of ``knowledge.json``.
        path: the picture; its suffix (``.png``, ``.svg``, ``.pdf``) decides the format.
        truth: the shares that the model was pretrained on, where they are known: drawn as markers.
    """
    found, intervals = knowledge["probabilities"], knowledge["interval95"]
    names = sorted(found, key=lambda name: (-found[name], name))
    figure, axes = new_canvas("Knowledge distribution of the base model")
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
        list(places),
        [f"{legend_name(name)}\n{found[name]:.1%}" for name in names],
        rotation=30 if len(names) > 8 else 0,
    )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("domain")
    axes.set_ylabel("share of the texts")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    draw_legend(axes)
    save_figure(figure, path)


def legend_name(name: str) -> str:
    """A name that a legend shows: it leaves out a label that begins with _."""
    shown = printable(name)
    return f"\u200a{shown}" if shown.startswith("_") else shown


def check_plotted(runs: Sequence[Run]) -> None:
    """See that there is something to draw.

    Raises:
        ArtifactError: no run has a score of any domain; what each of them lacks is named.
    """
    if not any(_groups(runs).values()):
        lacking = "; ".join(f"{run.name} lacks {', '.join(run.missing)}" for run in runs)
        raise ArtifactError(
            f"--plot: no run has the score of a domain, which takes both of its benchmarks: {lacking}; "
            "run some of these, or leave --plot out"
        )


def plot_scores(runs: Sequence[Run], path: Path) -> None:
    """Draw a group of dots for each domain and one for the average: a dot for each run, with its standard error.

    Domains of the user's own stand behind the average.

    What a run has no score of is absent, and said in the legend.

    Args:
        runs: as `check_plotted` accepts them.
        path: the picture; its suffix (``.png``, ``.svg``, ``.pdf``) decides the format.
    """
    found = _groups(runs)
    groups = [name for name, scores in found.items() if scores]
    entries = []
    for run in runs:
        without = [name for name, scores in found.items() if run.name not in scores]
        lines = [run.name, *([f"(without {', '.join(without)})"] if without else [])]
        entries.append("\n".join(fill(line, LEGEND_LETTERS) for line in lines))
    height = max(4.8, 1 + 0.24 * sum(2 + entry.count("\n") for entry in entries))
    figure, axes = new_canvas("Scores of the domains ± standard error", width=5 + 0.17 * len(groups) * (len(runs) + 2))
    figure.set_figheight(height)
    looks = cycle([(colour, marker) for marker in MARKERS for colour in PALETTE])
    dots = []
    for number, (run, (colour, marker)) in enumerate(zip(runs, looks, strict=False)):
        beside = 0.8 * ((number + 0.5) / len(runs) - 0.5)
        shown = [
            (place + beside, found[name][run.name]) for place, name in enumerate(groups) if run.name in found[name]
        ]
        dots.append(
            axes.errorbar(
                [place for place, _ in shown],
                [100 * score.value for _, score in shown],
                # No bar where the error is not known.
                yerr=[math.nan if score.stderr is None else 100 * score.stderr for _, score in shown],
                fmt=marker,
                color=colour,
                markersize=5,
                elinewidth=1.2,
                capsize=2,
            )
        )
    axes.set_xticks(range(len(groups)), [fill(name, TICK_LETTERS) for name in groups])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    for border in range(1, len(groups)):
        axes.axvline(border - 0.5, color="#DDDDDD", linewidth=0.8)
    axes.set_ylabel("percent")
    legend = draw_legend(axes, dots, ["run"] * len(runs))
    # Set afterwards: a label that begins with `_` would be left out.
    for text, entry in zip(legend.get_texts(), entries, strict=True):
        text.set_text(entry)
    save_figure(figure, path)


def _groups(runs: Sequence[Run]) -> dict[str, dict[str, Score]]:
    """By domain, and for the average: the score by run, of those that have one."""
    found = {name: [run.domain(name) for run in runs] for name in DOMAINS}
    found[AVERAGE] = [run.average() for run in runs]
    found |= {name: [run.mean(tasks) for run in runs] for name, tasks in own_domains(runs).items()}
    return {
        group: {run.name: score for run, score in zip(runs, scores, strict=True) if score is not None}
        for group, scores in found.items()
    }


def new_canvas(title: str, width: float = 9) -> tuple[Figure, Axes]:
    """An empty picture with the looks of all of them.

    Args:
        title: of the picture.
        width: in inches.
    """
    # A figure of its own, not pyplot's: nothing global is set up, and no window system is looked for.
    figure = Figure(figsize=(width, 4.8), dpi=144, layout="constrained")
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


def draw_legend(axes: Axes, *entries: Any, title: str | None = None) -> Legend:
    """The legend, beside the picture.

    Args:
        axes: of the picture.
        *entries: handles and labels; by default all that have a label.
        title: above it.
    """
    return axes.legend(
        *entries, title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, alignment="left"
    )


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture in one rename, its names taken as text whatever they hold.

    Args:
        figure: the picture.
        path: its file; the suffix decides the format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Twice: laying the figure out may make further labels of an axis.
    for _ in range(2):
        for text in figure.findobj(Text):
            # Names are no formulas, whatever signs they hold.
            text.set_parse_math(False)
        figure.draw_without_rendering()
    unfinished = path.with_name(f".{path.name}.tmp{path.suffix}")
    figure.savefig(unfinished)
    unfinished.replace(path)
