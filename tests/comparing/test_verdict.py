"""What is said of a comparison, and when the word significant is used."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.comparing.statistics import estimate, holm, pair_by_seed, sign_flip_p
from versatune_plugin.comparing.verdict import Verdict, judge


def said(differences: list[float], comparisons: int = 1, worth: float | None = None) -> Verdict:
    """Of a comparison beside others that show nothing."""
    values = np.array(differences)
    adjusted = holm(np.array([sign_flip_p(values), *[1.0] * (comparisons - 1)]))
    return judge(estimate(values), float(adjusted[0]), comparisons, worth=worth)


CLEAR = [0.11, 0.09, 0.1, 0.12, 0.08, 0.1, 0.105, 0.095]


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 5])
def test_below_six_seeds_nothing_is_significant(seeds: int) -> None:
    found = said(CLEAR[:seeds])
    assert not found.significant
    assert found.says.startswith("no difference shown")
    # Not even by a p that came from elsewhere.
    assert not judge(estimate(np.array(CLEAR[:seeds])), 0.0001, 1).significant


def test_from_six_seeds_on_a_clear_difference_is() -> None:
    found = said(CLEAR[:6])
    assert (found.significant, found.says, found.seeds_needed) == (True, "significant", 6)
    assert found.looked_for == pytest.approx(0.1)


def test_six_seeds_do_not_do_for_two_comparisons() -> None:
    found = said(CLEAR[:6], 2)
    assert not found.significant
    assert "with 6 seeds p among 2 comparisons cannot be below 0.062, it takes 7 seeds or more" in found.says
    assert found.seeds_needed == 7
    assert said(CLEAR[:7], 2).significant


def test_three_seeds_are_told_that_they_cannot() -> None:
    found = said([0.1, -0.2, 0.3])
    assert "with 3 seeds p cannot be below 0.25, it takes 6 seeds or more" in found.says
    assert f"about {found.seeds_needed} seeds would find a true difference of this size (0.0667)" in found.says
    assert found.detectable is None


def test_what_is_not_shown_names_the_seeds_that_would() -> None:
    found = said([0.3, -0.1, 0.2, -0.2, 0.1, 0.0, 0.25, -0.15])
    assert not found.significant
    assert found.seeds_needed is not None
    assert found.says == (
        f"no difference shown; about {found.seeds_needed} seeds would find a true difference of this size (0.05) in 4 "
        "of 5 comparisons"
    )
    assert found.detectable is not None
    assert found.detectable > 0.05


def test_the_difference_that_the_user_cares_for() -> None:
    noisy = [0.3, -0.1, 0.2, -0.2, 0.1, 0.0, 0.25, -0.15]
    large, small = said(noisy, worth=1), said(noisy, worth=0.01)
    assert (large.looked_for, small.looked_for) == (1, 0.01)
    # Had there been one, these seeds would have found it.
    assert large.seeds_needed == 6
    assert "about 6 seeds would find the difference looked for (1)" in large.says
    assert small.seeds_needed is not None
    assert small.seeds_needed > 1000
    assert said(noisy, worth=1e-6).says.endswith(
        "the difference looked for (1e-06) is too small for 10,000 seeds at a spread of 0.191"
    )


@pytest.mark.parametrize(
    ("differences", "says", "needed"),
    [
        ([], "no difference shown; no seed was run with both", None),
        ([0.1], "no difference shown; one pair of runs says nothing of chance", None),
        ([0.0, 0.0, 0.0], "no difference shown; the figures of every pair are equal", None),
        ([0.0] * 8, "no difference shown; the figures of every pair are equal", None),
        ([0.25, 0.25], "with 2 seeds p cannot be below 0.5", 6),
        ([0.25, -0.25], "with 2 seeds p cannot be below 0.5", None),
    ],
)
def test_the_ends(differences: list[float], says: str, needed: int | None) -> None:
    found = said(differences)
    assert not found.significant
    assert says in found.says
    assert found.seeds_needed == needed


def test_no_spread_and_six_seeds() -> None:
    found = said([0.25] * 6)
    assert (found.significant, found.seeds_needed, found.detectable) == (True, 6, 0.0)


def test_a_run_that_failed_leaves_no_word_significant() -> None:
    first = {seed: 1.0 + one for seed, one in enumerate(CLEAR)} | {20: math.nan}
    second = dict.fromkeys([*range(len(CLEAR)), 20], 0.5)
    pairs = pair_by_seed(first, second)
    effect = estimate(pairs.differences)
    assert judge(effect, 0.01, 1).significant
    found = judge(effect, 0.01, 1, pairs.not_finite)
    assert not found.significant
    assert "a figure of seed 20 is not finite" in found.says


numbers = st.integers(-64, 64).map(lambda number: number / 16)


@given(st.lists(numbers, max_size=9), st.integers(1, 6), st.none() | st.floats(0.01, 2))
def test_a_verdict_is_one_or_the_other_whatever_the_figures(
    differences: list[float], comparisons: int, worth: float | None
) -> None:
    found, turned = said(differences, comparisons, worth), said([-one for one in differences], comparisons, worth)
    assert found == turned
    assert found.says == "significant" or found.says.startswith("no difference shown")
    assert (found.says == "significant") == found.significant
    if found.significant:
        assert len(differences) >= 6
    elif worth is None and found.seeds_needed is not None:
        assert found.seeds_needed > len(differences)
