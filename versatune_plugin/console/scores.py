"""Scores as a table on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape

from versatune_plugin.console.tables import new_console, new_table, say
from versatune_plugin.errors import printable
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS
from versatune_plugin.evaluation.scores import (
    Gain,
    Run,
    Score,
    describe_differences,
    mean_gain,
    own_domains,
    references,
)
from versatune_plugin.evaluation.unread import warnings
from versatune_plugin.schema.wording import counted

NOTE = "yellow"


def show_scores(runs: Sequence[Run]) -> None:
    """Print a row for each benchmark, domain and the average, a column for each run; percent with standard errors."""
    console = Console(width=max(100, 30 + 26 * len(runs)), highlight=False)
    shown = new_table("Scores in percent ± standard error (unparsed answers)", ["", *(run.name for run in runs)])
    unlike = references(runs)

    def cells(scores: Iterable[Score | None], benchmarks: Iterable[str]) -> list[str]:
        marked = (any(name in found for name in benchmarks) for found in unlike)
        return [_cell(score, mark) for score, mark in zip(scores, marked, strict=True)]

    for domain, benchmarks in DOMAINS.items():
        shown.add_row(f"[bold]{domain}[/]", *cells((run.domain(domain) for run in runs), benchmarks))
        for benchmark in benchmarks:
            shown.add_row(f"  {benchmark}", *cells((run.benchmarks.get(benchmark) for run in runs), [benchmark]))
        shown.add_section()
    shown.add_row("[bold]average[/]", *cells((run.average() for run in runs), BENCHMARKS))
    own = own_domains(runs)
    for domain, tasks in own.items():
        shown.add_section()
        shown.add_row(f"[bold]{escape(domain)}[/]", *cells((run.mean(tasks) for run in runs), tasks))
        for task in tasks:
            shown.add_row(f"  {escape(printable(task))}", *cells((run.benchmarks.get(task) for run in runs), [task]))
    console.print(shown)
    if own:
        say(console, f"  not in the average, which is of the twelve benchmarks: {', '.join(own)}")
    if any(score.limited for run in runs for score in run.benchmarks.values()):
        say(console, "  *: limited, or fewer rows than the test set; not comparable", NOTE)
    for run, found in zip(runs, unlike, strict=True):
        for reference in {other.name: other for other in found.values()}.values():
            lines = {name: run.unlike(reference)[name] for name, other in found.items() if other is reference}
            say(console, f"  †: {run.name} was measured under other settings than {reference.name}", NOTE)
            for line in describe_differences(lines, reference.name):
                say(console, f"     {line}", NOTE)
    for warning in (warning for run in runs for warning in warnings(run)):
        say(console, f"  {warning}", NOTE)
    for line in _rows(runs):
        say(console, f"  {line}")
    if unknown := [run.name for run in runs if not run.settings_known]:
        say(console, f"  it is not known how {', '.join(unknown)} was measured: a plain table does not say", NOTE)
    if missing := [run.name for run in runs if run.average() is None]:
        say(console, f"  -: not run; no average of {', '.join(missing)} without all twelve")


def show_gains(gains: Sequence[Gain]) -> None:
    """Print a line for each relative gain, and their mean."""
    console = new_console()
    for gain in [*gains, mean_gain(gains)] if gains else []:
        over = f"{gain.run} over {gain.baseline}" if gain.baseline else f"mean of {counted(len(gains), 'model')}"
        error = "" if gain.stderr is None else f" ± {100 * gain.stderr:.2f}"
        doubt = f" (settings of {' and '.join(gain.unknown)} not known)" if gain.unknown else ""
        say(console, f"  relative gain, {over}: {100 * gain.value:+.2f}{error} %{doubt}")


def _rows(runs: Sequence[Run]) -> list[str]:
    """Where the rows of each run came from, and which they were; runs with the same ones share a line."""
    lines: dict[str, list[str]] = {}
    for run in runs:
        by_place: dict[str, list[str]] = {}
        for name in (name for name in (*BENCHMARKS, *run.own) if name in run.sources):
            source = run.sources[name]
            by_place.setdefault(source.where, []).append(f"{name} {source.rows[:8]}")
        for where, benchmarks in by_place.items():
            lines.setdefault(f"{where} ({', '.join(benchmarks)})", []).append(run.name)
    return [f"rows of {', '.join(names)}: {line}" for line, names in lines.items()]


def _cell(score: Score | None, marked: bool) -> str:
    if score is None:
        return "-"
    error = "" if score.stderr is None else f" ± {100 * score.stderr:.2f}"
    unparsed = "" if score.unparsed is None else f" ({100 * score.unparsed:.1f})"
    return f"{100 * score.value:.2f}{error}{unparsed}{'*' if score.limited else ''}{'†' if marked else ''}"
