"""Scores as a table on the terminal and as a radar plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from versatune_plugin.evaluation.scores import DOMAINS, Gain, Run, Score, mean_gain

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7F7F7F")


def show_scores(runs: Sequence[Run], gains: Sequence[Gain]) -> None:
    """Print a row for each benchmark, domain and the average, a column for each run; percent with standard errors."""
    console = Console(width=max(100, 30 + 26 * len(runs)), highlight=False)
    shown = Table(title="Scores in percent ± standard error (unparsed answers)", title_justify="left")
    shown.add_column("")
    for run in runs:
        shown.add_column(run.name, justify="right")
    for domain, benchmarks in DOMAINS.items():
        shown.add_row(f"[bold]{domain}[/]", *(_cell(run.domain(domain)) for run in runs))
        for benchmark in benchmarks:
            shown.add_row(f"  {benchmark}", *(_cell(run.benchmarks.get(benchmark)) for run in runs))
        shown.add_section()
    shown.add_row("[bold]average[/]", *(_cell(run.average()) for run in runs))
    console.print(shown)
    if any(score.limited for run in runs for score in run.benchmarks.values()):
        console.print("  *: limited, or fewer rows than the test set; not comparable", style="yellow")
    if missing := [run.name for run in runs if run.average() is None]:
        console.print(f"  -: not run; no average of {', '.join(missing)} without all twelve")
    for gain in [*gains, mean_gain(gains)] if gains else []:
        told = f"{gain.run} over {gain.baseline}" if gain.baseline else f"mean of {len(gains)} model(s)"
        error = "" if gain.stderr is None else f" ± {100 * gain.stderr:.2f}"
        console.print(f"  relative gain, {told}: {100 * gain.value:+.2f}{error} %")


def plot_radar(runs: Sequence[Run], path: Path) -> None:
    """Draw the six domain scores of each run that has all of them; the suffix of ``path`` decides the format."""
    from matplotlib.figure import Figure

    angles = [2 * math.pi * number / len(DOMAINS) for number in range(len(DOMAINS))]
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.add_subplot(projection="polar")
    for number, run in enumerate(runs):
        scores = [run.domain(name) for name in DOMAINS]
        if any(score is None for score in scores):
            continue
        values = [100 * score.value for score in scores if score is not None]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot([*angles, angles[0]], [*values, values[0]], color=colour, linewidth=2, label=run.name)
        axes.fill(angles, values, color=colour, alpha=0.08)
    axes.set_xticks(angles, list(DOMAINS))
    axes.set_ylim(bottom=0)
    axes.set_title("Domain scores, percent")
    if axes.lines:
        axes.legend(loc="upper right", bbox_to_anchor=(1.25, 1.1))
    figure.savefig(path, dpi=150)


def _cell(score: Score | None) -> str:
    if score is None:
        return "-"
    error = "" if score.stderr is None else f" ± {100 * score.stderr:.2f}"
    unparsed = "" if score.unparsed is None else f" ({100 * score.unparsed:.1f})"
    return f"{100 * score.value:.2f}{error}{unparsed}{'*' if score.limited else ''}"
