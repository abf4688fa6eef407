"""Knowledge files on the terminal: side by side, and two compared."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from itertools import cycle, takewhile
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

from versatune_plugin.artifacts.io import check_writable, write_json
from versatune_plugin.artifacts.knowledge import KnowledgeFile, inspect_knowledge
from versatune_plugin.console.tables import add_row, new_console, new_table, say
from versatune_plugin.errors import ConfigurationError, printable
from versatune_plugin.knowledge.comparison import FileComparison, compare_files
from versatune_plugin.report.palette import PALETTE
from versatune_plugin.schema.wording import counted

WARNED = "yellow"
# A domain each; the last one stands for all that come after.
SIGNS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+"
WIDEST_BAR = 100
Files = Mapping[Path, KnowledgeFile]


def show_knowledge_files(paths: Sequence[Path], plot: Path | None = None, json_file: Path | None = None) -> None:
    """Print what knowledge files hold: a table, stacked bars, and how each of them was made.

    Args:
        paths: the files; one that is named twice is shown once.
        plot: a picture of stacked bars, to be written.
        json_file: everything as JSON, to be written.

    Raises:
        ConfigurationError: an output is one of the files that are read.
        ArtifactError: a file cannot be read, or an output not be written.
    """
    _check_outputs(paths, plot, json_file)
    files = {path: inspect_knowledge(path) for path in dict.fromkeys(paths)}
    console = new_console()
    names = _names(files)
    numbers = [str(number) for number in range(1, len(files) + 1)] if len(files) > 1 else [""]
    for number, (path, file) in zip(numbers, files.items(), strict=True):
        say(console, f"{f'{number}: ' if number else ''}{path}: {_made(file)}")
        if file.source is not None:
            say(console, f"  source: {file.source}")
        if file.warning is not None:
            say(console, f"  warning: {file.warning}", WARNED)
    for table in _tables(console, files, names, numbers):
        console.print(table)
    _print_bars(console, files, names, numbers)
    if json_file is not None:
        shown = [{"file": str(path), **_as_json(file)} for path, file in files.items()]
        _write(json_file, "versatune.knowledge_files", {"files": shown})
    if plot is not None:
        from versatune_plugin.console.knowledge_plots import plot_distributions

        plot_distributions([(path.stem, file.probabilities) for path, file in files.items()], plot)


def show_knowledge_comparison(first: Path, second: Path, json_file: Path | None = None) -> None:
    """Print how far two knowledge files are apart, and whether chance explains it.

    Args:
        first: a file.
        second: one of the same domains.
        json_file: everything as JSON, to be written.

    Raises:
        ConfigurationError: the output is one of the files.
        ArtifactError: a file cannot be read, they are of different domains, or the output cannot be written.
    """
    _check_outputs((first, second), json_file)
    found = compare_files(first, second)
    console = new_console()
    say(console, f"A: {first}")
    say(console, f"B: {second}")
    console.print(_differences(found))
    say(console, _total_variation(found))
    say(console, _verdict(found))
    for remark in found.remarks:
        say(console, f"warning: {remark}", WARNED)
    for path in dict.fromkeys((first, second)):
        if (said := inspect_knowledge(path).warning) is not None:
            say(console, f"warning of {path}: {said}", WARNED)
    if json_file is not None:
        _write(json_file, "versatune.knowledge_comparison", _comparison_as_json(first, second, found))


def _names(files: Files) -> list[str]:
    """All domains, the largest share first."""
    largest: dict[str, float] = {}
    for file in files.values():
        for name, share in file.probabilities.items():
            largest[name] = max(share, largest.get(name, 0))
    return sorted(largest, key=lambda name: (-largest[name], name))


def _made(file: KnowledgeFile) -> str:
    """Base model, texts, judge, estimator, command: as far as a file says."""
    parts = [file.fact("base_model")]
    if file.texts is not None:
        without = "" if not file.unparsed else f" ({file.unparsed:,} without a usable judgement)"
        parts.append(f"{counted(file.texts, 'text')}{without}")
    parts += [f"{what} {fact}" for what in ("judge", "estimator") if (fact := file.fact(what)) is not None]
    command = file.fact("command")
    # Of its options, what counts stands before.
    words = takewhile(lambda word: word.replace("-", "").isalpha(), (command or "").split())
    parts.append("written by hand (it names no `command`)" if command is None else f"by `{' '.join(words)}`")
    return ", ".join(part for part in parts if part)


def _shares(files: Files, names: Sequence[str], numbers: Sequence[str]) -> Table:
    columns = ["domain"]
    for number, file in zip(numbers, files.values(), strict=True):
        columns += [f"{number} {column}".strip() for column in _columns(file)]
    shown = new_table(None, columns)
    for name in names:
        cells: list[str] = []
        for file in files.values():
            there = name in file.probabilities
            cells.append(f"{file.probabilities[name]:.2%}" if there else "-")
            if file.interval95 is not None:
                cells.append("{:.2%} - {:.2%}".format(*file.interval95[name]) if there else "-")
        add_row(shown, name, *cells)
    return shown


def _columns(file: KnowledgeFile) -> list[str]:
    return ["share"] if file.interval95 is None else ["share", "95 % interval"]


def _tables(console: Console, files: Files, names: Sequence[str], numbers: Sequence[str]) -> list[Table]:
    """As many files in each as the console has room for, so that no figure is cut."""
    tables: list[Table] = []
    first = 0
    for end in range(1, len(files) + 1):
        part = _shares(dict(list(files.items())[first:end]), names, numbers[first:end])
        if end - first > 1 and console.measure(part, options=_endless(console)).maximum > console.width:
            first = end - 1
            part = _shares(dict(list(files.items())[first:end]), names, numbers[first:end])
            tables.append(part)
        else:
            tables[-1:] = [part]
    return tables


def _endless(console: Console) -> ConsoleOptions:
    return console.options.update(max_width=100_000)


def _print_bars(console: Console, files: Files, names: Sequence[str], numbers: Sequence[str]) -> None:
    """A horizontal bar for each file; every cell of it has its domain's sign, so it can be read without colours."""
    colours = dict(zip(sorted(names), cycle(PALETTE), strict=False))
    styles = {name: f"#000000 on {colours[name]}" for name in names}
    signs = {name: SIGNS[min(place, len(SIGNS) - 1)] for place, name in enumerate(names)}
    margin = max(map(len, numbers)) + 2
    width = min(WIDEST_BAR, console.width - margin)
    for number, file in zip(numbers, files.values(), strict=True):
        bar = Text(number.ljust(margin))
        there = [name for name in names if name in file.probabilities]
        for name, cells in zip(there, _cells([file.probabilities[name] for name in there], width), strict=True):
            bar.append(signs[name] * cells, styles[name])
        console.print(bar, soft_wrap=True)
    legend = Text(" " * margin)
    for name in names:
        legend.append(signs[name], styles[name]).append(f" {printable(name)}   ")
    console.print(legend, soft_wrap=not console.is_terminal)


def _cells(shares: Sequence[float], width: int) -> list[int]:
    """Whole cells for each share, ``width`` together (the largest remainders are rounded up)."""
    exact = [share * width for share in shares]
    cells = [int(one) for one in exact]
    first = sorted(range(len(exact)), key=lambda place: cells[place] - exact[place])
    for place in first[: max(width - sum(cells), 0)]:
        cells[place] += 1
    return cells


def _differences(found: FileComparison) -> Table:
    intervals = found.comparison.intervals95
    columns = ["domain", "A", "B", "B - A in points", *(["95 % interval"] if intervals is not None else [])]
    shown = new_table(None, columns)
    for place in sorted(range(len(found.names)), key=lambda place: -abs(found.comparison.differences[place])):
        cells = [f"{share:.2%}" for share in found.shares[:, place]]
        cells.append(f"{100 * found.comparison.differences[place]:+.2f}")
        if intervals is not None:
            low, high = 100 * intervals[place]
            cells.append(f"{low:+.2f} to {high:+.2f}")
        add_row(shown, found.names[place], *cells)
    return shown


def _total_variation(found: FileComparison) -> str:
    of = found.comparison
    interval = ""
    if of.total_variation95 is not None:
        low, high = of.total_variation95
        interval = f", 95 % interval {low:.4f} to {high:.4f}"
    return f"total variation: {of.total_variation:.4f}{interval} (0 same, 1 disjoint)"


def _verdict(found: FileComparison) -> str:
    of = found.comparison
    if of.chance is None:
        return "whether chance explains the difference is not known"
    often = "fewer than 0.1%" if of.chance < 0.001 else f"{of.chance:.1%}"
    verdict = "they differ by more than chance explains" if of.differ else "chance may explain the difference"
    return f"{verdict}: {often} of pairs of samples of one and the same distribution are as far apart, or farther"


def _as_json(file: KnowledgeFile) -> dict[str, Any]:
    facts = {name: file.fact(name) for name in ("base_model", "judge", "estimator", "command")}
    own = {
        name: getattr(file, name)
        for name in ("probabilities", "interval95", "texts", "unparsed", "covariance", "source", "warning")
    }
    return {name: value for name, value in {**own, **facts}.items() if value is not None}


def _comparison_as_json(first: Path, second: Path, found: FileComparison) -> dict[str, Any]:
    of = found.comparison
    return {
        "files": [str(first), str(second)],
        "probabilities": [dict(zip(found.names, shares, strict=True)) for shares in found.shares.tolist()],
        "differences": dict(zip(found.names, of.differences.tolist(), strict=True)),
        "differences95": None
        if of.intervals95 is None
        else dict(zip(found.names, of.intervals95.tolist(), strict=True)),
        "total_variation": of.total_variation,
        "total_variation95": None if of.total_variation95 is None else of.total_variation95.tolist(),
        "chance": of.chance,
        "differ": of.differ,
        "remarks": list(found.remarks),
    }


def _check_outputs(inputs: Sequence[Path], *outputs: Path | None) -> None:
    read = {path.resolve() for path in inputs}
    for output in filter(None, outputs):
        if output.resolve() in read:
            raise ConfigurationError(f"{output} is one of the files that are read: write to another one")
        check_writable(output)


def _write(path: Path, kind: str, payload: Mapping[str, Any]) -> None:
    write_json(path, {"kind": kind, "schema": 1, **payload})
