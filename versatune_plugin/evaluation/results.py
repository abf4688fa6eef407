"""Reads the scores of runs from lm-eval's results, and from tables (`versatune_plugin.evaluation.figures`)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from versatune_plugin.errors import ArtifactError
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, CHAT, PREFIXES
from versatune_plugin.evaluation.figures import read_table
from versatune_plugin.evaluation.own_tasks import own_score, own_tasks
from versatune_plugin.evaluation.scores import Run, Score
from versatune_plugin.evaluation.settings import (
    Difference,
    Settings,
    differences,
    grouped,
    read_model,
    read_settings,
    read_source,
)
from versatune_plugin.schema.json_text import parse_json


@dataclass(frozen=True)
class Measured:
    """A result file: which model it is of, and how what it holds of one run was measured."""

    file: Path
    model: Settings
    settings: Mapping[str, Settings]


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs in directories of lm-eval's results, in single result files, or in tables (``.csv``).

    A directory is one run of one model, measured under the same settings: later files replace the benchmarks of
    earlier ones. The variant of the benchmarks for chat models is a run of its own, by the directory's name with
    ``-chat`` behind it; a user's own tasks stand there if they were asked under a chat template. A table is one that
    `write_csv` wrote, or a plain one with a column ``model`` and one for each benchmark, in percent, which does not say
    how they were measured.

    Raises:
        VersaTuneError: nothing to read, something else, several models or different settings in a directory, or one
            name twice.
    """
    runs: list[Run] = []
    for path in paths:
        runs += read_table(path) if path.suffix == ".csv" else _read_results(path)
    twice = sorted({run.name for run in runs if sum(other.name == run.name for other in runs) > 1})
    if twice:
        raise ArtifactError(f"several runs are named {', '.join(twice)}; rename their directories or rows")
    return runs


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
                settings = _read_variant(file, payload, prefix, run) | _read_own(file, payload, prefix, run)
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
        raise ArtifactError(
            f"{path}: none of our benchmarks is in it, and no task with a `versatune_domain`; run lm_eval with "
            "`--tasks 'versatune_*'`"
        )
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


def _read_own(file: Path, payload: Mapping[str, Any], prefix: str, run: Run) -> dict[str, Settings]:
    """Put a user's own tasks in a result file into the run that they belong to: by whether there was a chat template.

    Args:
        file: that holds the payload.
        payload: as of `_read_variant`.
        prefix: of the run's variant.
        run: of the variant.

    Returns:
        How each of them was measured.
    """
    measured = {}
    for task, domain in own_tasks(payload, file).items():
        settings = read_settings(payload, task, [task])
        if bool(settings.templated) == (prefix == PREFIXES[CHAT]):
            measured[task] = settings
            run.own[task] = domain
            run.benchmarks[task] = own_score(payload, task, file)
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
