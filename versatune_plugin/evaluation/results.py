"""Reads scores from lm-eval's results and from plain tables, and writes them as JSON and as a table of every figure."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from versatune_plugin.errors import ArtifactError
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS, PREFIXES
from versatune_plugin.evaluation.scores import (
    Gain,
    Run,
    Score,
    describe_differences,
    mean_gain,
    references,
)
from versatune_plugin.evaluation.settings import (
    Difference,
    Settings,
    Source,
    differences,
    grouped,
    read_model,
    read_settings,
    read_source,
)
from versatune_plugin.evaluation.unread import warnings
from versatune_plugin.schema.json_text import is_utf_16, parse_json
from versatune_plugin.schema.model import shown

COLUMNS = ("model", "figure", "over", "percent", "stderr", "unparsed", "partial", "settings", "differs", "rows")
# Those that a table of an earlier version has, too.
NEEDED = frozenset(COLUMNS[:7])


@dataclass(frozen=True)
class Measured:
    """A result file: which model it is of, and how each of our benchmarks of one variant in it was measured."""

    file: Path
    model: Settings
    settings: Mapping[str, Settings]


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs in directories of lm-eval's results, in single result files, or in tables (``.csv``).

    A directory is one run of one model, measured under the same settings: later files replace the benchmarks of
    earlier ones. The variant of the benchmarks for chat models is a run of its own, by the directory's name with
    ``-chat`` behind it. A table is one that `write_csv` wrote, or a plain one with a column ``model`` and one for each
    benchmark, in percent, which does not say how they were measured.

    Raises:
        VersaTuneError: nothing to read, something else, several models or different settings in a directory, or one
            name twice.
    """
    runs: list[Run] = []
    for path in paths:
        runs += _read_table(path) if path.suffix == ".csv" else _read_results(path)
    twice = sorted({run.name for run in runs if sum(other.name == run.name for other in runs) > 1})
    if twice:
        raise ArtifactError(f"several runs are named {', '.join(twice)}; rename their directories or rows")
    return runs


def as_json(runs: Sequence[Run], gains: Sequence[Gain]) -> dict[str, Any]:
    """Everything as plain JSON: scores between 0 and 1."""
    return {
        "runs": {
            run.name: {
                "average": _plain(run.average()),
                "domains": {name: _plain(run.domain(name)) for name in DOMAINS},
                "benchmarks": {name: _plain(run.benchmarks.get(name)) for name in BENCHMARKS},
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
    """Write a table with one row for each figure of each model, in percent; `read_runs` reads its benchmarks again.

    Columns: ``model``; ``figure`` (a benchmark, ``domain:NAME``, ``average``, ``gain``, ``mean gain``); ``over``, the
    baseline of a gain; ``percent``; ``stderr`` and ``unparsed``, in percent, empty where they are not known;
    ``partial``, 1 where only a part of the test set was scored; ``settings``, a digest of how a benchmark was measured,
    empty where that is not known; ``differs``, what was set differently than in the first run that has the benchmark,
    or for a mean, the benchmarks of which this is so; ``rows``, where they came from, and a digest of them.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for run, unlike in zip(runs, references(runs), strict=True):
            for figure, score in _figures(run):
                shown = [_percent(score.value), _percent(score.stderr), _percent(score.unparsed), int(score.limited)]
                measured = [
                    run.settings[figure].digest if figure in run.settings else "",
                    _differs(run, unlike, figure),
                    " ".join(asdict(run.sources[figure]).values()) if figure in run.sources else "",
                ]
                writer.writerow([run.name, figure, "", *shown, *measured])
        for gain in gains:
            figures = [_percent(gain.value), _percent(gain.stderr), "", "", ""]
            unknown = f"the settings of {' and '.join(gain.unknown)} are not known" if gain.unknown else ""
            writer.writerow([gain.run, "gain", gain.baseline, *figures, unknown, ""])
        if gains:
            mean = mean_gain(gains)
            writer.writerow(["", "mean gain", "", _percent(mean.value), _percent(mean.stderr), "", "", "", "", ""])


def _differs(run: Run, unlike: Mapping[str, Run], figure: str) -> str:
    """What a table says of a figure's settings; `unlike` is of `references`."""
    if figure in unlike:
        reference = unlike[figure]
        return "; ".join(describe_differences({figure: run.unlike(reference)[figure]}, reference.name))
    members = DOMAINS.get(figure.removeprefix("domain:"), BENCHMARKS if figure == "average" else ())
    return ", ".join(name for name in members if name in unlike)


def _figures(run: Run) -> Iterator[tuple[str, Score]]:
    """Every score that there is of a run."""
    scores = {name: run.benchmarks.get(name) for name in BENCHMARKS}
    scores |= {f"domain:{name}": run.domain(name) for name in DOMAINS} | {"average": run.average()}
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


def _read_results(path: Path) -> list[Run]:
    files = sorted(path.rglob("results*.json"), key=lambda file: file.name) if path.is_dir() else [path]
    if not files or not path.exists():
        raise ArtifactError(f"{path}: no results of lm-eval; run it with `--output_path {path}`")
    name = path.name if path.is_dir() else path.stem
    runs = {prefix: Run(f"{name}{suffix}") for suffix, prefix in PREFIXES.items()}
    measured: dict[str, list[Measured]] = {prefix: [] for prefix in runs}
    models: dict[str, list[Path]] = {}
    for file in files:
        try:
            payload = parse_json(file.read_bytes())
            model = read_model(payload)
            for prefix, run in runs.items():
                settings = _read_variant(file, payload, prefix, run)
                if settings:
                    measured[prefix].append(Measured(file, model, settings))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{file}: not a result file of lm-eval ({type(error).__name__}: {error})") from error
        models.setdefault(str(payload.get("model_name") or "without a name"), []).append(file)
    if len(models) > 1:
        _refuse_several(path, models)
    for alike in measured.values():
        _refuse_different(path, alike)
    found = [run for run in runs.values() if run.benchmarks]
    if not found:
        raise ArtifactError(f"{path}: none of our benchmarks is in it; run lm_eval with `--tasks 'versatune_*'`")
    return found


def _read_variant(file: Path, payload: Mapping[str, Any], prefix: str, run: Run) -> dict[str, Settings]:
    """Put the benchmarks of one variant in a result file into its run.

    Args:
        file: that holds the payload.
        prefix: of the names of the variant's tasks.
        run: of the variant.

    Returns:
        How each of them was measured.
    """
    results, members = payload["results"], payload["group_subtasks"]
    limit = payload["config"]["limit"]
    measured = {}
    for name in (name for name in BENCHMARKS if prefix + name in results):
        task = prefix + name
        leaves = members.get(task) or []
        tasks = leaves or [task]
        measured[name] = read_settings(payload, task, tasks)
        parts = [] if BENCHMARKS[name].mean == "rows" else [results[leaf] for leaf in leaves]
        rows = _rows(payload.get("n-samples", {}), tasks)
        limited = limit is not None or (rows is not None and rows < BENCHMARKS[name].rows)
        run.benchmarks[name] = _score(results[task], parts, limited, file)
        run.sources.pop(name, None)
        if source := read_source(payload, tasks):
            run.sources[name] = source
    run.settings |= measured
    return measured


def _refuse_different(path: Path, measured: Sequence[Measured]) -> None:
    """Refuse files of one directory that were not measured alike.

    Args:
        path: the directory.
        measured: what each file says.

    Raises:
        VersaTuneError: two of them differ; the settings are named.
    """
    lines: list[str] = []
    for number, one in enumerate(measured):
        for earlier in measured[:number]:
            found: list[Difference] = differences(one.model, earlier.model)
            for name, settings in one.settings.items():
                same = name in earlier.settings
                other = earlier.settings[name] if same else next(iter(earlier.settings.values()))
                found += differences(settings, other, whole_run=not same)
            files = one.file.relative_to(path), earlier.file.relative_to(path)
            lines += [
                f"  {files[0]}: {difference.setting} is {difference.value}, but {difference.other} in {files[1]}{where}"
                for difference, where in grouped(found)
            ]
            if found:
                break
    if lines:
        raise ArtifactError(
            f"{path} holds results that were measured under different settings and are no one run:\n"
            + "\n".join(lines)
            + "\ngive each of them a directory of its own, or remove those that do not belong here and measure again"
        )


def _refuse_several(path: Path, models: Mapping[str, Sequence[Path]]) -> NoReturn:
    """Refuse a directory with results of several models.

    Args:
        path: the directory.
        models: the files by model.

    Raises:
        VersaTuneError: always; it names a directory for each model.
    """
    message = f"{path} holds results of several models ({', '.join(models)}); give one directory for each"
    homes = [Path(os.path.commonpath([file.parent for file in files])) for files in models.values()]
    if len({path, *homes}) > len(homes):
        message += f": `axolotl versatune scores {' '.join(map(str, homes))}`"
    raise ArtifactError(message)


def _rows(counts: Mapping[str, Mapping[str, int]], tasks: Sequence[str]) -> int | None:
    """How many rows of these tasks were scored; None where the results do not say."""
    if any(task not in counts for task in tasks):
        return None
    return sum(counts[task]["effective"] for task in tasks)


def _score(result: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], limited: bool, file: Path) -> Score:
    """The score of a benchmark with its standard error.

    Args:
        result: the benchmark's, of lm-eval.
        parts: results of the sub-tasks that it is the plain mean of, if any.
        limited: whether only a part of the rows was scored.
        file: where the result is from, for the error.

    Raises:
        VersaTuneError: there is no score.
    """
    try:
        value = float(result["vt_score,none"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{file}: {result.get('alias', 'a benchmark')} has no vt_score") from error
    stderr = _number(result, "vt_score_stderr,none")
    if parts:
        # lm-eval 0.4.11 writes the error of a mean over rows for that of a mean over sub-tasks.
        errors = [_number(part, "vt_score_stderr,none") for part in parts]
        known = [error for error in errors if error is not None]
        stderr = math.hypot(*known) / len(known) if len(known) == len(errors) else None
    return Score(value, stderr, _number(result, "vt_unparsed,none"), limited)


def _number(result: Mapping[str, Any], key: str) -> float | None:
    found = result.get(key)
    return float(found) if isinstance(found, int | float) else None


def _read_table(path: Path) -> list[Run]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); name another file") from error
    if is_utf_16(data):
        raise ArtifactError(f"{path}: is UTF-16; save it as UTF-8")
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), restkey=""))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ArtifactError(
            f"{path}, line {line}: is not UTF-8 (byte 0x{data[error.start]:02x}); save the table as UTF-8"
        ) from error
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
        if row["figure"] in BENCHMARKS:
            value, stderr, unparsed = (
                _share(row[column], f"{column} of {row['figure']}", path, number)
                for column in ("percent", "stderr", "unparsed")
            )
            if value is None:
                raise ArtifactError(f"{path}, line {number}: {row['figure']} has no percent")
            run = runs.setdefault(row["model"], Run(row["model"]))
            run.benchmarks[row["figure"]] = Score(value, stderr, unparsed, row["partial"] == "1")
            if digest := row.get("settings"):
                run.settings[row["figure"]] = Settings(PREFIXES[""] + row["figure"], digest)
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
