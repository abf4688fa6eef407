"""What may be said of a comparison: "significant", or "no difference shown" and what would show one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from versatune_plugin.comparing.power import (
    FEWEST_SEEDS,
    LEVEL,
    MOST_SEEDS,
    detectable_size,
    fewest_seeds,
    seeds_needed,
)
from versatune_plugin.comparing.statistics import Effect, smallest_p
from versatune_plugin.schema.wording import counted


@dataclass(frozen=True)
class Verdict:
    """What may be said of a comparison.

    Attributes:
        significant: Holm's p is below `LEVEL`, there are at least `FEWEST_SEEDS` pairs, and every run has a finite
            figure.
        says: the verdict as a sentence without its end.
        seeds_needed: how many seeds would find a true difference of ``looked_for`` with a probability of 80 %; None
            where that is not known or more than `MOST_SEEDS`.
        looked_for: the difference that the user named, else the size of the one that was found; None where neither is
            known.
        detectable: the smallest true difference that as many seeds find with a probability of 80 %; None where they
            can find none, or the spread is not known.
    """

    significant: bool
    says: str
    seeds_needed: int | None
    looked_for: float | None
    detectable: float | None


def judge(
    effect: Effect, adjusted_p: float, comparisons: int, not_finite: Sequence[int] = (), worth: float | None = None
) -> Verdict:
    """What may be said of a comparison.

    The seeds needed take the spread that was found as the true one; after few seeds that is a rough guess.

    Args:
        effect: of its pairs.
        adjusted_p: Holm's p; NaN without pairs.
        comparisons: m, adjusted together.
        not_finite: seeds whose pair has a figure that is NaN or infinite.
        worth: the smallest difference that the user cares for, in the unit of the figures.
    """
    found = None if math.isnan(effect.mean) else abs(effect.mean)
    looked_for = found if worth is None else worth
    needed, detectable = _power(effect, comparisons, looked_for)
    significant = effect.seeds >= FEWEST_SEEDS and adjusted_p < LEVEL and not not_finite
    if significant:
        return Verdict(True, "significant", needed, looked_for, detectable)
    if worth is None and needed is not None:
        # It was not found with these, so more are needed.
        needed = max(needed, effect.seeds + 1)
    why = _why(effect, comparisons, not_finite)
    hint = _hint(effect, needed, looked_for, named=worth is not None)
    says = "; ".join(part for part in ("no difference shown", why, hint) if part)
    return Verdict(False, says, needed, looked_for, detectable)


def _power(effect: Effect, comparisons: int, looked_for: float | None) -> tuple[int | None, float | None]:
    if math.isnan(effect.spread) or looked_for is None:
        return None, None
    if effect.constant:
        can = effect.seeds >= fewest_seeds(comparisons)
        return (fewest_seeds(comparisons) if looked_for > 0 else None), (0.0 if can else None)
    detectable = detectable_size(effect.seeds, comparisons) * effect.spread
    needed = seeds_needed(looked_for / effect.spread, comparisons)
    return needed, detectable if math.isfinite(detectable) else None


def _why(effect: Effect, comparisons: int, not_finite: Sequence[int]) -> str:
    """What stands in the way whatever the figures are; empty if nothing does."""
    if not_finite:
        seeds = f"seed{'s' if len(not_finite) > 1 else ''} {', '.join(map(str, not_finite))}"
        return (
            f"a figure of {seeds} is not finite, and a run that failed is a result, so the others alone decide nothing"
        )
    if effect.seeds == 0:
        return "no seed was run with both"
    if effect.seeds == 1:
        return "one pair of runs says nothing of chance"
    if effect.mean == 0 and effect.spread == 0:
        return "the figures of every pair are equal"
    fewest = fewest_seeds(comparisons)
    if effect.seeds < fewest:
        smallest = min(1.0, smallest_p(effect.seeds) * comparisons)
        among = "" if comparisons == 1 else f" among {comparisons} comparisons"
        return f"with {effect.seeds} seeds p{among} cannot be below {smallest:.2g}, it takes {fewest} seeds or more"
    return ""


def _hint(effect: Effect, needed: int | None, looked_for: float | None, *, named: bool) -> str:
    if math.isnan(effect.spread) or not looked_for:
        return ""
    size = f"{'the difference looked for' if named else 'a true difference of this size'} ({looked_for:.3g})"
    if needed is None:
        return f"{size} is too small for {counted(MOST_SEEDS, 'seed')} at a spread of {effect.spread:.3g}"
    return f"about {needed} seeds would find {size} in 4 of 5 comparisons"
