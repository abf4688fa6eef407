"""Mixtures against a baseline, quantity by quantity, adjusted for how many comparisons are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from versatune_plugin.comparing.outcomes import Outcome
from versatune_plugin.comparing.statistics import Effect, Pairs, estimate, holm, max_t, pair_by_seed, sign_flip_p
from versatune_plugin.comparing.verdict import Verdict, judge

BySeed = Mapping[int, float]


@dataclass(frozen=True)
class Quantity:
    """A figure of a run that mixtures are compared by.

    Attributes:
        name: for tables and files.
        domain: whose loss or gain it is; None where it is of several domains.
        lower_is_better: True of losses.
        of: reads it.
    """

    name: str
    domain: str | None
    lower_is_better: bool
    of: Callable[[Outcome], float]


@dataclass(frozen=True)
class Contrast:
    """One mixture against the baseline in one quantity: mixture minus baseline.

    Attributes:
        mixture: its name.
        quantity: what is compared.
        pairs: by seed.
        effect: of the pairs.
        p: of the sign-flip test; NaN without pairs.
        holm_p: among ``comparisons``; NaN without pairs.
        max_t_p: the same by joint sign flips; NaN without pairs.
        comparisons: how many contrasts were adjusted together.
        verdict: what may be said.
    """

    mixture: str
    quantity: Quantity
    pairs: Pairs
    effect: Effect
    p: float
    holm_p: float
    max_t_p: float
    comparisons: int
    verdict: Verdict

    @property
    def better(self) -> bool | None:
        """Whether the mixture's mean is the better one; None where they are equal or not known."""
        if math.isnan(self.effect.mean) or self.effect.mean == 0:
            return None
        return (self.effect.mean < 0) == self.quantity.lower_is_better

    def not_shown(self, why: str) -> Contrast:
        """The same, but not called significant."""
        return replace(self, verdict=replace(self.verdict, significant=False, says=f"no difference shown; {why}"))


def quantities(domains: Sequence[str], weighted: bool, targets: Sequence[str]) -> tuple[Quantity, ...]:
    """What runs are compared by; the first is what the comparison is for.

    Args:
        domains: of the runs.
        weighted: whether the user gave importance: then the weighted mean is the first.
        targets: whether, and of what, there is an expansion.
    """
    mean = Quantity("mean loss", None, True, lambda one: one.mean)
    first = [Quantity("mean loss by importance", None, True, _weighted), mean] if weighted else [mean]
    return (
        *first,
        Quantity("worst domain", None, True, lambda one: one.worst),
        *(Quantity(f"loss of {name}", name, True, _loss_of(name)) for name in domains),
        *(_EXPANSION if targets else ()),
    )


def contrasts(
    figures: Mapping[str, Mapping[int, Outcome]],
    baseline: str,
    of: Sequence[Quantity],
    worth: float | None = None,
) -> tuple[Contrast, ...]:
    """Every other mixture against the baseline in each quantity, adjusted together.

    Args:
        figures: what runs came to, by mixture and seed.
        baseline: one of the mixtures.
        of: what is compared; a contrast for each mixture and quantity, by quantity.
        worth: the smallest difference that the user cares for, for the seeds needed.
    """
    planned = [(quantity, mixture) for quantity in of for mixture in figures if mixture != baseline]
    pairs = [
        pair_by_seed(values(figures[mixture], quantity), values(figures[baseline], quantity))
        for quantity, mixture in planned
    ]
    p = np.array([sign_flip_p(one.differences) for one in pairs])
    adjusted, joint = holm(p), max_t(_by_seed(pairs))
    made = []
    for place, (quantity, mixture) in enumerate(planned):
        effect = estimate(pairs[place].differences)
        made.append(
            Contrast(
                mixture=mixture,
                quantity=quantity,
                pairs=pairs[place],
                effect=effect,
                p=float(p[place]),
                holm_p=float(adjusted[place]),
                max_t_p=float(joint[place]),
                comparisons=len(planned),
                verdict=judge(effect, float(adjusted[place]), len(planned), pairs[place].not_finite, worth),
            )
        )
    return tuple(made)


def values(outcomes: Mapping[int, Outcome], quantity: Quantity) -> BySeed:
    """A quantity of one mixture's runs, by seed."""
    return {seed: quantity.of(one) for seed, one in outcomes.items()}


def _by_seed(pairs: Sequence[Pairs]) -> np.ndarray:
    """Differences with a row for each seed, shape (n, m); NaN where a comparison lacks it."""
    seeds = sorted({seed for one in pairs for seed in one.seeds})
    rows = {seed: row for row, seed in enumerate(seeds)}
    made = np.full((len(seeds), len(pairs)), np.nan)
    for column, one in enumerate(pairs):
        made[[rows[seed] for seed in one.seeds], column] = one.differences
    return made


def _loss_of(name: str) -> Callable[[Outcome], float]:
    return lambda one: one.losses[name]


def _weighted(one: Outcome) -> float:
    assert one.weighted is not None
    return one.weighted


def _target(one: Outcome) -> float:
    assert one.expansion is not None
    return one.expansion.target


def _others(one: Outcome) -> float:
    assert one.expansion is not None
    return one.expansion.others


def _forgetting(one: Outcome) -> float:
    assert one.expansion is not None
    return one.expansion.forgetting


_EXPANSION = (
    Quantity("gain of target", None, False, _target),
    Quantity("gain of others", None, False, _others),
    Quantity("forgetting of others", None, True, _forgetting),
)
