"""The paper's figures: a score per benchmark, domain and model, and relative gains, with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from versatune_plugin.errors import ArtifactError
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS
from versatune_plugin.evaluation.settings import Difference, Settings, Source, differences, grouped


@dataclass(frozen=True)
class Score:
    """A score between 0 and 1.

    Attributes:
        value: the score.
        stderr: its standard error; None where it is not known.
        unparsed: share of answers that could not be read; None where it is not known.
        limited: whether only a part of the rows was scored: ``--limit``, or fewer than `Benchmark.rows`. Of LegalBench
            only its train rows are recognised; ``--samples`` leaves no trace in the results of lm-eval 0.4.11.
    """

    value: float
    stderr: float | None = None
    unparsed: float | None = None
    limited: bool = False


@dataclass
class Run:
    """The scores of one model in one variant of the benchmarks.

    Attributes:
        name: of the run: its directory's, with ``-chat`` behind it for the variant for chat models, or its row's in a
            plain table.
        benchmarks: score by benchmark, and by task of the user's own; those that were not run are missing.
        settings: how each was measured; missing where nothing says so, as in a plain table.
        sources: which rows of each were scored; missing likewise.
        own: domain by task of the user's own. They enter neither a domain of the paper nor the average.
    """

    name: str
    benchmarks: dict[str, Score] = field(default_factory=dict)
    settings: dict[str, Settings] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    def domain(self, name: str) -> Score | None:
        """The mean of a domain's two benchmarks; None unless both are there."""
        return self.mean(DOMAINS[name])

    def mean(self, names: Sequence[str]) -> Score | None:
        """The mean of some benchmarks or tasks; None unless all are there."""
        return mean_score([self.benchmarks.get(name) for name in names])

    def average(self) -> Score | None:
        """The mean of the six domains; None unless all are there."""
        return mean_score([self.domain(name) for name in DOMAINS])

    @property
    def missing(self) -> list[str]:
        """The benchmarks that were not run."""
        return [name for name in BENCHMARKS if name not in self.benchmarks]

    @property
    def settings_known(self) -> bool:
        """Whether it is known of every score how it was measured."""
        return self.settings.keys() >= self.benchmarks.keys()

    def unlike(self, other: Run) -> dict[str, list[Difference]]:
        """By benchmark that both have: what was set differently. The same, and what is not known, is left out."""
        both = [name for name in (*BENCHMARKS, *self.own) if name in self.settings and name in other.settings]
        found = {name: differences(self.settings[name], other.settings[name]) for name in both}
        return {name: unlike for name, unlike in found.items() if unlike}


@dataclass(frozen=True)
class Gain:
    """How much better one run is than another, as a share of the other's score.

    Attributes:
        run: its name.
        baseline: name of the other.
        value: the gain.
        errors: name of a run, and the error of its average times the derivative of the gain by that average; None where
            one is not known.
        unknown: names of those of the two of which it is not known how they were measured.
    """

    run: str
    baseline: str
    value: float
    errors: Sequence[tuple[str, float]] | None
    unknown: Sequence[str] = ()

    @property
    def stderr(self) -> float | None:
        """The standard error: the averages of different runs are independent, that of one run counts as a whole."""
        if self.errors is None:
            return None
        by_run: dict[str, float] = {}
        for name, error in self.errors:
            by_run[name] = by_run.get(name, 0.0) + error
        return math.hypot(*by_run.values())


def own_domains(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    """The tasks of each domain of the user's own, in the order of their names; a run may lack some."""
    pairs = sorted({(domain, task) for run in runs for task, domain in run.own.items()})
    return {domain: tuple(task for other, task in pairs if other == domain) for domain, _ in pairs}


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
        VersaTuneError: an average is missing, the baseline's is zero, or the two were measured under different
            settings.
    """
    ours, theirs = run.average(), baseline.average()
    if ours is None or theirs is None:
        lacking = [f"{one.name} lacks {', '.join(one.missing)}" for one in (run, baseline) if one.missing]
        raise ArtifactError(
            f"no gain of {run.name} over {baseline.name}, which is over the average of all twelve benchmarks: "
            f"{'; '.join(lacking)}; run these, too"
        )
    unlike = {name: found for name, found in run.unlike(baseline).items() if name in BENCHMARKS}
    if lines := describe_differences(unlike, baseline.name):
        raise ArtifactError(
            f"no gain of {run.name} over {baseline.name}, which were measured under different settings:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nmeasure one of the two again, as the other was"
        )
    if theirs.value == 0:
        raise ArtifactError(f"the average of {baseline.name} is zero, so nothing is relative to it")
    errors = None
    if ours.stderr is not None and theirs.stderr is not None:
        errors = [
            (run.name, ours.stderr / theirs.value),
            (baseline.name, -ours.value * theirs.stderr / theirs.value**2),
        ]
    unknown = [one.name for one in (run, baseline) if not one.settings_known]
    return Gain(run.name, baseline.name, ours.value / theirs.value - 1.0, errors, unknown)


def relative_gains(pairs: Sequence[tuple[Run, Run]]) -> list[Gain]:
    """The gain of each run over its baseline.

    Raises:
        VersaTuneError: as of `relative_gain`, for all of them at once.
    """
    gains, problems = [], []
    for run, baseline in pairs:
        try:
            gains.append(relative_gain(run, baseline))
        except ArtifactError as error:
            problems.append(str(error))
    if problems:
        raise ArtifactError("\n".join(problems))
    return gains


def describe_differences(unlike: Mapping[str, Sequence[Difference]], other: str) -> list[str]:
    """A line for each setting that differs.

    Args:
        unlike: of `Run.unlike`.
        other: what has the other value, in words.
    """
    found = [one for benchmark in unlike.values() for one in benchmark]
    return [f"{one.setting} is {one.value}, but {one.other} in {other}{where}" for one, where in grouped(found)]


def references(runs: Sequence[Run]) -> list[dict[str, Run]]:
    """For each run, by benchmark: the first run of which it is known how the benchmark was measured, if it is another
    and measured it under different settings.
    """
    firsts: dict[str, Run] = {}
    found = []
    for run in runs:
        for name in run.settings:
            firsts.setdefault(name, run)
        found.append({name: firsts[name] for name in run.settings if name in run.unlike(firsts[name])})
    return found


def mean_gain(gains: Sequence[Gain]) -> Gain:
    """The mean over models of the relative gains, as the paper's 35.21 %."""
    known = [gain.errors for gain in gains if gain.errors is not None]
    errors = [(name, error / len(gains)) for terms in known for name, error in terms]
    value = sum(gain.value for gain in gains) / len(gains)
    return Gain("mean", "", value, errors if len(known) == len(gains) else None)
