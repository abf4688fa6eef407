"""Every figure of runs as JSON and as a table, and reading such tables again, or plain ones."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from versatune_plugin.errors import ArtifactError
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS, PREFIXES
from versatune_plugin.evaluation.own_tasks import own_domain
from versatune_plugin.evaluation.scores import (
    Gain,
    Run,
    Score,
    describe_differences,
    mean_gain,
    own_domains,
    references,
)
from versatune_plugin.evaluation.settings import Settings, Source
from versatune_plugin.evaluation.unread import warnings
from versatune_plugin.schema.model import shown
from versatune_plugin.schema.plain_text import TextError, decoded

# fmt: off
COLUMNS = (
    "model", "figure", "over", "percent", "stderr", "unparsed", "partial", "settings", "differs", "rows", "domain",
)
# fmt: on
# Those that a table of an earlier version has, too.
NEEDED = frozenset(COLUMNS[:7])


def as_json(runs: Sequence[Run], gains: Sequence[Gain]) -> dict[str, Any]:
    """Everything as plain JSON: scores between 0 and 1."""
    return {
        "runs": {
            run.name: {
                "average": _plain(run.average()),
                "domains": {name: _plain(run.domain(name)) for name in DOMAINS},
                "benchmarks": {name: _plain(run.benchmarks.get(name)) for name in BENCHMARKS},
                "own_domains": {
                    name: {
                        "mean": _plain(run.mean(tasks)),
                        "tasks": {task: _plain(run.benchmarks.get(task)) for task in tasks},
                    }
                    for name, tasks in own_domains(runs).items()
                },
                "settings": {
                    name: run.settings[name].digest if name in run.settings else None for name in run.benchmarks
                },
                "rows": {name: asdict(run.sources[name]) for name in run.benchmarks if name in run.sources},
                "warnings": warnings(run),
            }
            for run in runs
        },
        "different_settings": [
            {"run": run.name, "reference": reference.name, "benchmark": name, **asdict(one)}
            for run, unlike in zip(runs, references(runs), strict=True)
            for name, reference in unlike.items()
            for one in run.unlike(reference)[name]
        ],
        "relative_gains": [
            {
                "run": gain.run,
                "baseline": gain.baseline,
                "gain": gain.value,
                "stderr": gain.stderr,
                "settings_not_known": list(gain.unknown),
            }
            for gain in gains
        ],
        "mean_relative_gain": _gain(mean_gain(gains)) if gains else None,
    }


def write_csv(runs: Sequence[Run], gains: Sequence[Gain], path: Path) -> None:
    """Write a table with one row for each figure of each model, in percent; `read_table` reads its benchmarks again.

    Columns: ``model``; ``figure`` (a benchmark, a user's own task, ``domain:NAME``, ``average``, ``gain``,
    ``mean gain``); ``over``, the baseline of a gain; ``percent``; ``stderr`` and ``unparsed``, in percent, empty where
    they are not known; ``partial``, 1 where only a part of the test set was scored; ``settings``, a digest of how a
    benchmark was measured, empty where that is not known; ``differs``, what was set differently than in the first run
    that has the benchmark, or for a mean, the benchmarks of which this is so; ``rows``, where they came from, and a
    digest of them; ``domain``, of a benchmark or task.
    """
    own = own_domains(runs)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for run, unlike in zip(runs, references(runs), strict=True):
            for figure, score in _figures(run, own):
                shown = [_percent(score.value), _percent(score.stderr), _percent(score.unparsed), int(score.limited)]
                measured = [
                    run.settings[figure].digest if figure in run.settings else "",
                    _differs(run, unlike, figure, own),
                    " ".join(asdict(run.sources[figure]).values()) if figure in run.sources else "",
                    BENCHMARKS[figure].domain if figure in BENCHMARKS else run.own.get(figure, ""),
                ]
                writer.writerow([run.name, figure, "", *shown, *measured])
        for gain in gains:
            figures = [_percent(gain.value), _percent(gain.stderr), "", "", ""]
            unknown = f"the settings of {' and '.join(gain.unknown)} are not known" if gain.unknown else ""
            writer.writerow([gain.run, "gain", gain.baseline, *figures, unknown, "", ""])
        if gains:
            mean = mean_gain(gains)
            writer.writerow(["", "mean gain", "", _percent(mean.value), _percent(mean.stderr), *[""] * 6])


def _differs(run: Run, unlike: Mapping[str, Run], figure: str, own: Mapping[str, Sequence[str]]) -> str:
    """What a table says of a figure's settings; `unlike` is of `references`, `own` of `own_domains`."""
    if figure in unlike:
        reference = unlike[figure]
        return "; ".join(describe_differences({figure: run.unlike(reference)[figure]}, reference.name))
    means = {f"domain:{name}": members for name, members in (*DOMAINS.items(), *own.items())}
    members = means.get(figure, BENCHMARKS if figure == "average" else ())
    return ", ".join(name for name in members if name in unlike)


def _figures(run: Run, own: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Score]]:
    """Every score that there is of a run; `own` is of `own_domains`."""
    scores = {name: run.benchmarks.get(name) for name in (*BENCHMARKS, *run.own)}
    scores |= {f"domain:{name}": run.domain(name) for name in DOMAINS} | {"average": run.average()}
    scores |= {f"domain:{name}": run.mean(tasks) for name, tasks in own.items()}
    for figure, score in scores.items():
        if score is not None:
            yield figure, score


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.6f}"


def _plain(score: Score | None) -> dict[str, Any] | None:
    if score is None:
        return None
    return {
        "value": score.value,
        "stderr": score.stderr,
        "unparsed": score.unparsed,
        "limited": score.limited,
    }


def _gain(gain: Gain) -> dict[str, Any]:
    return {"gain": gain.value, "stderr": gain.stderr}


def read_table(path: Path) -> list[Run]:
    """The runs in a table of `write_csv`, or in a plain one with a column ``model`` and one for each benchmark.

    Raises:
        VersaTuneError: it cannot be read, or is something else; the line is named.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(decoded(path.read_bytes()), newline=""), restkey=""))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); name another file") from error
    except TextError as error:
        raise ArtifactError(f"{path}: {error}") from error
    except csv.Error as error:
        raise ArtifactError(f"{path}: no table ({error}); write cells with commas between them") from error
    if longer := [number for number, row in enumerate(rows, start=2) if "" in row]:
        raise ArtifactError(f"{path}, line {longer[0]}: more cells than columns")
    if not rows or "model" not in rows[0]:
        raise ArtifactError(f"{path}: a table needs a column `model` and one for each benchmark, in percent")
    for number, row in enumerate(rows, start=2):
        # A mean gain is of no model.
        if not (row["model"] or "").strip() and row.get("figure") != "mean gain":
            raise ArtifactError(f"{path}, line {number}: has no `model`; name it")
        if not (row["model"] or "").isprintable():
            raise ArtifactError(
                f"{path}, line {number}: model {shown(row['model'])} has characters that cannot be seen"
            )
    if rows[0].keys() >= NEEDED:
        return _read_figures(path, rows)
    unknown = [name for name in rows[0] if name not in ("model", "average", *BENCHMARKS)]
    if unknown:
        raise ArtifactError(f"{path}: unknown columns {', '.join(unknown)}; the benchmarks are {', '.join(BENCHMARKS)}")
    runs = []
    for number, row in enumerate(rows, start=2):
        run = Run(row["model"])
        for name in BENCHMARKS:
            value = _share(row.get(name), name, path, number)
            if value is not None:
                run.benchmarks[name] = Score(value)
        runs.append(run)
    return runs


def _read_figures(path: Path, rows: Sequence[Mapping[str, str]]) -> list[Run]:
    """The benchmarks in a table of `write_csv`; what follows from them is computed again."""
    runs: dict[str, Run] = {}
    for number, row in enumerate(rows, start=2):
        # Means have no domain of their own in the table.
        if row["figure"] in BENCHMARKS or row.get("domain"):
            value, stderr, unparsed = (
                _share(row[column], f"{column} of {row['figure']}", path, number)
                for column in ("percent", "stderr", "unparsed")
            )
            if value is None:
                raise ArtifactError(f"{path}, line {number}: {row['figure']} has no percent")
            run = runs.setdefault(row["model"], Run(row["model"]))
            run.benchmarks[row["figure"]] = Score(value, stderr, unparsed, row["partial"] == "1")
            if row["figure"] not in BENCHMARKS:
                run.own[row["figure"]] = own_domain(row["figure"], row["domain"], f"{path}, line {number}")
            if digest := row.get("settings"):
                task = row["figure"] if row["figure"] in run.own else PREFIXES[""] + row["figure"]
                run.settings[row["figure"]] = Settings(task, digest)
            if source := row.get("rows"):
                where, _, rows_digest = source.rpartition(" ")
                run.sources[row["figure"]] = Source(where, rows_digest)
    return list(runs.values())


def _share(percent: str | None, name: str, path: Path, line: int) -> float | None:
    """What a cell says, between 0 and 1; None where it is empty."""
    if not percent:
        return None
    try:
        value = float(percent)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise ArtifactError(f"{path}, line {line}: {name} is {percent!r}; write percent, 0 to 100")
    return value / 100
