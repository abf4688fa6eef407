"""Runs become tables: every mixture against a baseline, at equal training budget and at equal total budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from versatune_plugin.comparing.contrasts import Contrast, Quantity, contrasts, quantities, values
from versatune_plugin.comparing.outcomes import Outcome, Unit, check_targets, importance_weights, outcome
from versatune_plugin.comparing.runs import Budget, Run, TrainingUnit, domains_of
from versatune_plugin.comparing.statistics import Effect, estimate
from versatune_plugin.errors import ConfigurationError

# Totals that differ by no more count as equal, since wall clock is never the same twice.
EQUAL_TOTALS = 0.05
# Kernels of other devices may differ by this share.
EQUAL_STARTS = 1e-3
# Rows come in whole global batches.
EQUAL_TRAINING = 0.01
Runs = Mapping[str, Mapping[int, Run]]


@dataclass(frozen=True)
class Question:
    """What a comparison is to answer.

    Attributes:
        baseline: the mixture that every other one is compared with.
        unit: of the losses.
        training_unit: what the training budget was counted in.
        importance: of domains, for a weighted mean (``{"law": 2}``); None for the plain one.
        targets: domains whose gain is set against what the others lost.
        worth: the smallest difference of the first quantity that the user cares for; for the seeds needed.
    """

    baseline: str
    unit: Unit = "nats_per_token"
    training_unit: TrainingUnit = "rows"
    importance: Mapping[str, float] | None = None
    targets: tuple[str, ...] = ()
    worth: float | None = None


@dataclass(frozen=True)
class Level:
    """A quantity of all runs of one mixture, paired or not.

    Attributes:
        mixture: its name.
        quantity: what was measured.
        values: by seed.
        estimate: of those that are finite.
    """

    mixture: str
    quantity: Quantity
    values: Mapping[int, float]
    estimate: Effect


@dataclass(frozen=True)
class MixtureCost:
    """What the runs of one mixture took, means over them.

    Attributes:
        mixture: its name.
        runs: how many.
        training_seconds: as of `Cost`.
        total_seconds: with measuring, prior and reference losses.
        rows: of all domains.
        supervised_tokens: of all domains.
        most_passes: of the domain that was repeated most.
        extra: total seconds of its paired runs over those of the baseline's, minus 1: 0.3 for 30 % more; NaN without
            pairs.
    """

    mixture: str
    runs: int
    training_seconds: float
    total_seconds: float
    rows: float
    supervised_tokens: float
    most_passes: float
    extra: float


@dataclass(frozen=True)
class Table:
    """All contrasts at one budget.

    Attributes:
        budget: what is equal.
        answer: a contrast for each mixture in the quantity that the comparison is for; adjusted together.
        details: in all other quantities, by quantity and mixture; adjusted together, apart from the answer.
        levels: what each mixture came to, the baseline included, by quantity and mixture.
        costs: of each mixture.
        remarks: what a reader must know, a sentence each.
    """

    budget: Budget
    answer: tuple[Contrast, ...]
    details: tuple[Contrast, ...]
    levels: tuple[Level, ...]
    costs: tuple[MixtureCost, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs and the tables that they give.

    Attributes:
        question: what was asked.
        domains: of all runs, sorted.
        weights: of the domains in the weighted mean, summing to 1; None without importance.
        mixtures: the baseline first, the others as they first come.
        runs: as they were given.
        training: the table at equal training budget.
        total: the table at equal total budget.
    """

    question: Question
    domains: tuple[str, ...]
    weights: Mapping[str, float] | None
    mixtures: tuple[str, ...]
    runs: tuple[Run, ...]
    training: Table
    total: Table

    @property
    def made_for_total(self) -> bool:
        """Whether any run was made for the table at equal total budget."""
        return any(run.budget == "total" for run in self.runs)

    @property
    def equal_totals(self) -> bool:
        """Whether both tables say the same: they are of the same runs, and the totals of these are equal."""
        extra = [cost.extra for cost in self.total.costs]
        return not self.made_for_total and not any(abs(one) > EQUAL_TOTALS for one in extra)

    def outcome(self, run: Run) -> Outcome:
        """What one of the runs came to."""
        return outcome(run.start, run.end, self.question.unit, self.weights, self.question.targets)


def compare(runs: Sequence[Run], question: Question) -> Comparison:
    """Compare every mixture with the baseline.

    At equal total budget the runs made for it count (`Run.budget`), and of a mixture without any those at equal
    training budget. Where a mixture's total still differs by more than `EQUAL_TOTALS`, only what the difference in cost
    cannot explain is called significant: a costlier mixture that is worse, a cheaper one that is better. No loss is
    read from the middle of a run: before its learning rate has fallen it is worse than a run that was planned to end
    there (Hoffmann et al. 2022, arXiv 2203.15556, appendix B).

    Args:
        runs: of at least two mixtures; those of a seed with the same start, rows and order.
        question: what is asked of them.

    Raises:
        ArtifactError: the runs cannot be compared; all that is wrong is named.
        ConfigurationError: the question does not fit them.
    """
    domains = domains_of(runs)
    found = dict.fromkeys(run.mixture for run in runs)
    if question.baseline not in found or len(found) < 2:
        raise ConfigurationError(
            f"baseline: needs finished runs of {question.baseline!r} and of another mixture, but there are runs of "
            f"{', '.join(map(repr, found))} alone: name one of them, or finish the others"
        )
    if question.worth is not None and not (math.isfinite(question.worth) and question.worth > 0):
        raise ConfigurationError(f"worth: is {question.worth}, but should be a finite number above 0")
    weights = None if question.importance is None else importance_weights(question.importance, domains)
    check_targets(question.targets, domains)
    mixtures = (question.baseline, *(name for name in found if name != question.baseline))
    of = quantities(domains, weights is not None, question.targets)
    training = {mixture: _by_seed(runs, mixture, "training") for mixture in mixtures}
    total = {mixture: _by_seed(runs, mixture, "total") or training[mixture] for mixture in mixtures}
    return Comparison(
        question=question,
        domains=domains,
        weights=weights,
        mixtures=mixtures,
        runs=tuple(runs),
        training=_table("training", training, of, question, weights),
        total=_table("total", total, of, question, weights),
    )


def _by_seed(runs: Sequence[Run], mixture: str, budget: Budget) -> dict[int, Run]:
    return {run.seed: run for run in runs if run.mixture == mixture and run.budget == budget}


def _table(
    budget: Budget, runs: Runs, of: Sequence[Quantity], question: Question, weights: Mapping[str, float] | None
) -> Table:
    outcomes = {
        mixture: {
            seed: outcome(run.start, run.end, question.unit, weights, question.targets) for seed, run in its.items()
        }
        for mixture, its in runs.items()
    }
    costs = tuple(_cost(mixture, runs, question.baseline) for mixture in runs)
    answer = contrasts(outcomes, question.baseline, of[:1], question.worth)
    details = contrasts(outcomes, question.baseline, of[1:])
    if budget == "total":
        extra = {cost.mixture: cost.extra for cost in costs}
        answer, details = (
            tuple(_at_its_cost(one, extra[one.mixture]) for one in family) for family in (answer, details)
        )
    levels = tuple(
        _level(mixture, quantity, values(outcomes[mixture], quantity)) for quantity in of for mixture in runs
    )
    remarks = tuple(_remarks(budget, runs, (*answer, *details), costs, question))
    return Table(budget, answer, details, levels, costs, remarks)


def _level(mixture: str, quantity: Quantity, by_seed: Mapping[int, float]) -> Level:
    finite = np.array([value for value in by_seed.values() if math.isfinite(value)], dtype=np.float64)
    return Level(mixture, quantity, by_seed, estimate(finite))


def _cost(mixture: str, runs: Runs, baseline: str) -> MixtureCost:
    own, others = runs[mixture], runs[baseline]
    both = own.keys() & others.keys()
    extra = math.nan
    if both:
        extra = sum(own[seed].cost.total_seconds for seed in both) / sum(
            others[seed].cost.total_seconds for seed in both
        )
    costs = [run.cost for run in own.values()]

    def mean(figures: Iterator[float]) -> float:
        return math.fsum(figures) / len(costs) if costs else math.nan

    return MixtureCost(
        mixture=mixture,
        runs=len(costs),
        training_seconds=mean(cost.training_seconds for cost in costs),
        total_seconds=mean(cost.total_seconds for cost in costs),
        rows=mean(cost.trained("rows") for cost in costs),
        supervised_tokens=mean(cost.trained("supervised_tokens") for cost in costs),
        most_passes=max((max(cost.passes.values()) for cost in costs), default=math.nan),
        extra=extra - 1,
    )


def _at_its_cost(contrast: Contrast, extra: float) -> Contrast:
    """What may be said at equal total, although the mixture's total is another."""
    if not contrast.verdict.significant or abs(extra) <= EQUAL_TOTALS or contrast.better == (extra < 0):
        return contrast
    better = "better" if contrast.better else "worse"
    return contrast.not_shown(f"it is {better} with {_by_how_much(extra)}, which may be why")


def _by_how_much(extra: float) -> str:
    return f"{abs(extra):.0%} {'more' if extra > 0 else 'less'} total cost"


def _remarks(
    budget: Budget,
    runs: Runs,
    found: Sequence[Contrast],
    costs: Sequence[MixtureCost],
    question: Question,
) -> Iterator[str]:
    baseline = runs[question.baseline]
    for mixture, its in runs.items():
        if lacking := sorted(baseline.keys() - its.keys()):
            yield f"{mixture!r} has no run with {_seeds(lacking)}: what the baseline came to there is not compared"
        if alone := sorted(its.keys() - baseline.keys()):
            yield f"the baseline has no run with {_seeds(alone)}: what {mixture!r} came to there is not compared"
        for seed, run in its.items():
            losses = run.end.within(question.unit)
            if lost := [name for name, loss in losses.items() if not math.isfinite(loss)]:
                yield f"the run of {mixture!r} with seed {seed} has no finite loss of {', '.join(lost)}"
    for one in found:
        if one.effect.constant and one.effect.mean != 0:
            yield (
                f"{one.mixture!r}, {one.quantity.name}: all {one.effect.seeds} pairs differ by the same, as if the "
                "seeds did nothing: see that they change the run"
            )
    for mixture, its in runs.items():
        both = sorted(its.keys() & baseline.keys())
        if unlike := [seed for seed in both if not _same_start(its[seed], baseline[seed])]:
            yield f"{mixture!r} and the baseline do not start from the same losses with {_seeds(unlike)}: no real pairs"
    if budget == "training":
        yield from _unequal_training(runs, question)
    else:
        yield from (
            f"{cost.mixture!r} has {_by_how_much(cost.extra)} than the baseline, so its effect is not at equal cost: "
            f"run it with {'less' if cost.extra > 0 else 'more'} training"
            for cost in costs
            if abs(cost.extra) > EQUAL_TOTALS
        )


def _same_start(one: Run, other: Run) -> bool:
    first, second = one.start.nats_per_token, other.start.nats_per_token
    return all(
        math.isclose(first[name], second[name], rel_tol=EQUAL_STARTS) or math.isnan(first[name]) for name in first
    )


def _unequal_training(runs: Runs, question: Question) -> Iterator[str]:
    baseline, unit = runs[question.baseline], question.training_unit
    for mixture, its in runs.items():
        unequal = [
            seed
            for seed in sorted(its.keys() & baseline.keys())
            if abs(its[seed].cost.trained(unit) - baseline[seed].cost.trained(unit))
            > EQUAL_TRAINING * baseline[seed].cost.trained(unit)
        ]
        if unequal:
            yield (
                f"{mixture!r} and the baseline were not trained on equally many {unit.replace('_', ' ')} with "
                f"{_seeds(unequal)}, so the training budget is not equal"
            )


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
