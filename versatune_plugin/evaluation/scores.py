"""From lm-eval's results to the paper's table: a score per benchmark, domain and model, and relative gains."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from versatune_plugin.errors import VersaTuneError

# VersaTune, section 4.1: two benchmarks a domain.
DOMAINS: dict[str, tuple[str, str]] = {
    "law": ("legalbench", "lawbench"),
    "medicine": ("medqa", "medmcqa"),
    "finance": ("fineval", "financeiq"),
    "science": ("scieval", "mmlu_sci"),
    "code": ("humaneval", "mbpp"),
    "general": ("agieval", "hellaswag"),
}
BENCHMARKS = tuple(name for pair in DOMAINS.values() for name in pair)
# Rows of the whole test set, as far as labels are public and we score it: eval_tasks/*/README.md. They do not give the
# size of LegalBench's test split, only that 710 rows are scored without it.
TEST_ROWS = {
    "legalbench": 711,
    "lawbench": 9492,
    "medqa": 1273,
    "medmcqa": 4183,
    "fineval": 1151,
    "financeiq": 7123,
    "scieval": 13011,
    "mmlu_sci": 2606,
    "humaneval": 164,
    "mbpp": 974,
    "agieval": 8062,
    "hellaswag": 10042,
}
PREFIX = "versatune_"
# Means over rows; other benchmarks with sub-tasks are means over these.
BY_ROWS = ("fineval", "mmlu_sci")


@dataclass(frozen=True)
class Score:
    """A score between 0 and 1.

    Attributes:
        value: the score.
        stderr: its standard error; None where it is not known.
        unparsed: share of answers that could not be read; None where it is not known.
        limited: whether only a part of the rows was scored: ``--limit``, or fewer than `TEST_ROWS`. Of LegalBench
            only its train rows are recognised; ``--samples`` leaves no trace in the results of lm-eval 0.4.11.
    """

    value: float
    stderr: float | None = None
    unparsed: float | None = None
    limited: bool = False


@dataclass
class Run:
    """The scores of one model.

    Attributes:
        name: of the run: its directory's, or its row's in a plain table.
        benchmarks: score by benchmark; those that were not run are missing.
    """

    name: str
    benchmarks: dict[str, Score] = field(default_factory=dict)

    def domain(self, name: str) -> Score | None:
        """The mean of a domain's two benchmarks; None unless both are there."""
        return mean_score([self.benchmarks.get(benchmark) for benchmark in DOMAINS[name]])

    def average(self) -> Score | None:
        """The mean of the six domains; None unless all are there."""
        return mean_score([self.domain(name) for name in DOMAINS])


@dataclass(frozen=True)
class Gain:
    """How much better one run is than another, as a share of the other's score.

    Attributes:
        run: its name.
        baseline: name of the other.
        value: the gain.
        errors: name of a run, and the error of its average times the derivative of the gain by that average; None where
            one is not known.
    """

    run: str
    baseline: str
    value: float
    errors: Sequence[tuple[str, float]] | None

    @property
    def stderr(self) -> float | None:
        """The standard error: the averages of different runs are independent, that of one run counts as a whole."""
        if self.errors is None:
            return None
        by_run: dict[str, float] = {}
        for name, error in self.errors:
            by_run[name] = by_run.get(name, 0.0) + error
        return math.hypot(*by_run.values())


def mean_score(scores: Sequence[Score | None]) -> Score | None:
    """The mean of independent scores, with its standard error; None if one is missing."""
    known = [score for score in scores if score is not None]
    if len(known) < len(scores) or not known:
        return None
    n = len(known)
    errors = [score.stderr for score in known if score.stderr is not None]
    unparsed = [score.unparsed for score in known if score.unparsed is not None]
    return Score(
        sum(score.value for score in known) / n,
        math.hypot(*errors) / n if len(errors) == n else None,
        sum(unparsed) / n if len(unparsed) == n else None,
        any(score.limited for score in known),
    )


def relative_gain(run: Run, baseline: Run) -> Gain:
    """(average of the run - average of the baseline) / average of the baseline, by the delta method.

    Raises:
        VersaTuneError: an average is missing, or the baseline's is zero.
    """
    ours, theirs = run.average(), baseline.average()
    if ours is None or theirs is None:
        missing = [one.name for one, score in ((run, ours), (baseline, theirs)) if score is None]
        raise VersaTuneError(
            f"no average of {' and '.join(missing)}: a relative gain needs all of {', '.join(BENCHMARKS)}"
        )
    if theirs.value == 0:
        raise VersaTuneError(f"the average of {baseline.name} is zero, so nothing is relative to it")
    errors = None
    if ours.stderr is not None and theirs.stderr is not None:
        errors = [
            (run.name, ours.stderr / theirs.value),
            (baseline.name, -ours.value * theirs.stderr / theirs.value**2),
        ]
    return Gain(run.name, baseline.name, ours.value / theirs.value - 1.0, errors)


def mean_gain(gains: Sequence[Gain]) -> Gain:
    """The mean over models of the relative gains, as the paper's 35.21 %."""
    known = [gain.errors for gain in gains if gain.errors is not None]
    errors = [(name, error / len(gains)) for terms in known for name, error in terms]
    value = sum(gain.value for gain in gains) / len(gains)
    return Gain("mean", "", value, errors if len(known) == len(gains) else None)


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """The runs in directories of lm-eval's results, in single result files, or in plain tables.

    A directory is one run of one model: later files replace the benchmarks of earlier ones. A plain table (``.csv``)
    has a column ``model`` and one for each benchmark, in percent.

    Raises:
        VersaTuneError: nothing to read, something else, several models in a directory, or one name twice.
    """
    runs: list[Run] = []
    for path in paths:
        runs += _read_table(path) if path.suffix == ".csv" else [_read_results(path)]
    twice = sorted({run.name for run in runs if sum(other.name == run.name for other in runs) > 1})
    if twice:
        raise VersaTuneError(f"several runs are named {', '.join(twice)}; rename their directories or rows")
    return runs


def as_json(runs: Sequence[Run], gains: Sequence[Gain]) -> dict[str, Any]:
    """Everything as plain JSON: scores between 0 and 1."""
    return {
        "runs": {
            run.name: {
                "average": _plain(run.average()),
                "domains": {name: _plain(run.domain(name)) for name in DOMAINS},
                "benchmarks": {name: _plain(run.benchmarks.get(name)) for name in BENCHMARKS},
            }
            for run in runs
        },
        "relative_gains": [
            {"run": gain.run, "baseline": gain.baseline, "gain": gain.value, "stderr": gain.stderr} for gain in gains
        ],
        "mean_relative_gain": _gain(mean_gain(gains)) if gains else None,
    }


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """Write a plain table that `read_runs` reads again: percent, one row a run."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", *BENCHMARKS, *(f"domain:{name}" for name in DOMAINS), "average"])
        for run in runs:
            scores = [*(run.benchmarks.get(name) for name in BENCHMARKS), *(run.domain(name) for name in DOMAINS)]
            writer.writerow([run.name, *(_percent(score) for score in [*scores, run.average()])])


def _percent(score: Score | None) -> str:
    return "" if score is None else f"{100 * score.value:.4f}"


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


def _read_results(path: Path) -> Run:
    files = sorted(path.rglob("results*.json"), key=lambda file: file.name) if path.is_dir() else [path]
    if not files or not path.exists():
        raise VersaTuneError(f"{path}: no results of lm-eval; run it with `--output_path {path}`")
    run = Run(path.name if path.is_dir() else path.stem)
    models: dict[str, list[Path]] = {}
    for file in files:
        try:
            payload = json.loads(file.read_text(encoding="utf-8"))
            results, members = payload["results"], payload["group_subtasks"]
            limit = payload["config"]["limit"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VersaTuneError(f"{file}: not a result file of lm-eval ({type(error).__name__}: {error})") from error
        models.setdefault(str(payload.get("model_name") or "without a name"), []).append(file)
        for name in BENCHMARKS:
            if PREFIX + name in results:
                leaves = members.get(PREFIX + name) or []
                parts = [] if name in BY_ROWS else [results[leaf] for leaf in leaves]
                rows = _rows(payload.get("n-samples", {}), leaves or [PREFIX + name])
                limited = limit is not None or (rows is not None and rows < TEST_ROWS[name])
                run.benchmarks[name] = _score(results[PREFIX + name], parts, limited, file)
    if len(models) > 1:
        _refuse_several(path, models)
    if not run.benchmarks:
        raise VersaTuneError(f"{path}: none of our benchmarks is in it; run lm_eval with `--tasks 'versatune_*'`")
    return run


def _refuse_several(path: Path, models: Mapping[str, Sequence[Path]]) -> NoReturn:
    """Args: the directory, and the files by model."""
    told = f"{path} holds results of several models ({', '.join(models)}); give one directory for each"
    homes = [Path(os.path.commonpath([file.parent for file in files])) for files in models.values()]
    if len({path, *homes}) > len(homes):
        told += f": `axolotl versatune scores {' '.join(map(str, homes))}`"
    raise VersaTuneError(told)


def _rows(counts: Mapping[str, Mapping[str, int]], tasks: Sequence[str]) -> int | None:
    """How many rows of these tasks were scored; None where the results do not say."""
    if any(task not in counts for task in tasks):
        return None
    return sum(counts[task]["effective"] for task in tasks)


def _score(result: Mapping[str, Any], parts: Sequence[Mapping[str, Any]], limited: bool, file: Path) -> Score:
    """Args: the benchmark's result, and those of the sub-tasks that it is the plain mean of, if any."""
    try:
        value = float(result["vt_score,none"])
    except (KeyError, TypeError, ValueError) as error:
        raise VersaTuneError(f"{file}: {result.get('alias', 'a benchmark')} has no vt_score") from error
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
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise VersaTuneError(f"{path}: {error.strerror}") from error
    if not rows or "model" not in rows[0]:
        raise VersaTuneError(f"{path}: a table needs a column `model` and one for each benchmark, in percent")
    unknown = [name for name in rows[0] if name not in ("model", "average", *BENCHMARKS) and "domain:" not in str(name)]
    if unknown:
        raise VersaTuneError(
            f"{path}: unknown columns {', '.join(unknown)}; the benchmarks are {', '.join(BENCHMARKS)}"
        )
    runs = []
    for number, row in enumerate(rows, start=2):
        run = Run(row["model"])
        for name in BENCHMARKS:
            if row.get(name):
                try:
                    value = float(row[name])
                except ValueError:
                    value = math.nan
                if not 0 <= value <= 100:
                    raise VersaTuneError(f"{path}, line {number}: {name} is {row[name]!r}; write percent, 0 to 100")
                run.benchmarks[name] = Score(value / 100)
        runs.append(run)
    return runs
