"""Paired statistics against brute force and SciPy, and what they promise however figures are."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_1samp

from versatune_plugin.comparing.statistics import (
    EXACT_SEEDS,
    RANDOM_PATTERNS,
    estimate,
    holm,
    max_t,
    pair_by_seed,
    sign_flip_p,
    smallest_p,
)

# Halves, quarters, ...: their sums are exact, so that ties are ties.
exact = st.integers(-64, 64).map(lambda number: number / 16)
samples = st.lists(exact, min_size=1, max_size=9).map(np.array)
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(np.array)


def brute_force(differences: list[str]) -> Fraction:
    """The definition, in exact arithmetic."""
    numbers = [Fraction(one) for one in differences]
    found = abs(sum(numbers))
    patterns = list(product((1, -1), repeat=len(numbers)))
    extreme = sum(abs(sum(s * d for s, d in zip(signs, numbers, strict=True))) >= found for signs in patterns)
    return Fraction(extreme, len(patterns))


@pytest.mark.parametrize(
    "differences",
    [
        ["1"],
        ["0", "0", "0"],
        ["0.1", "0.2", "-0.3"],
        ["0.1", "0.2", "0.3", "0.3"],
        ["-1", "2", "-3", "4", "-5", "6"],
        ["0.7", "0.7", "0.7", "-0.7", "0.7", "0.7", "0.7", "0.7"],
        ["1e-9", "3e-9", "2e-9", "-1e-9", "1e-9"],
    ],
)
def test_sign_flips_are_the_definition_ties_included(differences: list[str]) -> None:
    assert sign_flip_p(np.array(differences, dtype=np.float64)) == float(brute_force(differences))


@pytest.mark.parametrize("n", [2, 3, 6, 11])
def test_sign_flips_are_scipys(n: int) -> None:
    for seed in range(5):
        differences = np.random.default_rng([n, seed]).normal(0.5, 1, n)
        expected = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
        assert sign_flip_p(differences) == pytest.approx(expected.pvalue, abs=1e-12)


def test_many_seeds_are_flipped_at_random_and_always_the_same() -> None:
    differences = np.random.default_rng(3).integers(-8, 16, EXACT_SEEDS + 10)
    # The distribution of the sum under all patterns, a convolution for each whole number.
    ways = np.ones(1)
    for one in np.abs(differences):
        ways = np.convolve(ways, np.bincount([0, 2 * one], minlength=1) if one else [2])
    sums = np.arange(len(ways)) - np.abs(differences).sum()
    expected = ways[np.abs(sums) >= abs(differences.sum())].sum() / ways.sum()
    assert 0.001 < expected < 0.2
    assert sign_flip_p(differences) == pytest.approx(expected, abs=4 * math.sqrt(expected / RANDOM_PATTERNS))
    assert sign_flip_p(differences) == sign_flip_p(differences)
    assert sign_flip_p(np.arange(1, EXACT_SEEDS + 20)) == smallest_p(EXACT_SEEDS + 19) == 1 / RANDOM_PATTERNS


def test_exact_and_random_flips_agree_where_one_becomes_the_other() -> None:
    differences = np.random.default_rng(4).normal(0.4, 1, EXACT_SEEDS)
    # A difference of zero changes no sum, but the number of patterns.
    assert sign_flip_p(np.append(differences, 0)) == pytest.approx(sign_flip_p(differences), abs=0.004)


@pytest.mark.parametrize(("n", "smallest"), [(1, 1), (2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125), (10, 2 / 1024)])
def test_the_smallest_p(n: int, smallest: float) -> None:
    assert smallest_p(n) == smallest == sign_flip_p(np.arange(1, n + 1))


@given(samples, st.randoms())
def test_order_sign_and_scale_change_no_p(differences: np.ndarray, random: Random) -> None:
    shuffled = list(differences)
    random.shuffle(shuffled)
    found = sign_flip_p(differences)
    assert found == sign_flip_p(np.array(shuffled)) == sign_flip_p(-differences) == sign_flip_p(1024 * differences)
    assert found == float(brute_force([str(one) for one in differences]))
    assert smallest_p(len(differences)) <= found <= 1


figures = st.dictionaries(st.integers(0, 20), exact, max_size=9)


@given(figures, figures, exact)
def test_a_constant_added_to_both_changes_nothing(
    first: dict[int, float], second: dict[int, float], constant: float
) -> None:
    found = pair_by_seed(first, second)
    moved = pair_by_seed(
        {seed: one + constant for seed, one in first.items()}, {seed: one + constant for seed, one in second.items()}
    )
    assert found.seeds == moved.seeds
    assert found.differences.tolist() == moved.differences.tolist()


@given(figures, figures)
def test_pairs_lose_no_seed_and_turn_round(first: dict[int, float], second: dict[int, float]) -> None:
    found, turned = pair_by_seed(first, second), pair_by_seed(second, first)
    assert sorted([*found.seeds, *found.unpaired, *found.not_finite]) == sorted({*first, *second})
    assert (-found.differences).tolist() == turned.differences.tolist()
    one, other = estimate(found.differences), estimate(turned.differences)
    assert one.mean == pytest.approx(-other.mean, nan_ok=True)
    assert one.spread == pytest.approx(other.spread, nan_ok=True)


def test_figures_that_are_not_finite_are_named() -> None:
    found = pair_by_seed({1: 1.0, 2: math.nan, 3: 2.0, 4: 1.0}, {1: 0.5, 2: 1.0, 3: math.inf, 5: 1.0})
    assert (found.seeds, found.not_finite, found.unpaired) == ((1,), (2, 3), (4, 5))
    assert found.differences.tolist() == [0.5]


def test_the_interval_is_students() -> None:
    differences = np.random.default_rng(5).normal(1, 2, 7)
    found = estimate(differences)
    expected = ttest_1samp(differences, 0).confidence_interval(0.95)
    assert found.interval95 == pytest.approx((expected.low, expected.high))
    assert (found.seeds, found.mean, found.spread) == (7, differences.mean(), differences.std(ddof=1))


def test_of_none_or_one_there_is_no_interval() -> None:
    nothing, one, two = (estimate(np.array(values)) for values in ([], [0.5], [0.25, 0.75]))
    assert (nothing.seeds, nothing.interval95) == (0, None)
    assert math.isnan(nothing.mean)
    assert (one.mean, one.interval95) == (0.5, None)
    assert math.isnan(one.spread)
    assert two.interval95 == pytest.approx((0.5 - 12.7062 * 0.25, 0.5 + 12.7062 * 0.25), abs=1e-4)
    assert math.isnan(sign_flip_p(np.array([])))


def test_equal_differences_are_constant_but_for_rounding() -> None:
    assert estimate(np.array([3.1 - 3.0, 2.1 - 2.0, 7.1 - 7.0])).constant
    assert estimate(np.zeros(3)).constant
    assert not estimate(np.array([0.1, 0.1001])).constant
    assert not estimate(np.array([0.1])).constant


def test_holm_by_hand() -> None:
    # Holm 1979, and what R's p.adjust gives.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.9])).tolist() == [1, 1]


@given(probabilities, st.randoms())
def test_holm_never_lowers_keeps_the_order_and_forgets_places(p: np.ndarray, random: Random) -> None:
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    places = list(range(len(p)))
    random.shuffle(places)
    assert holm(p[places]) == pytest.approx(adjusted[places])


def test_a_comparison_that_could_not_be_made_counts_as_one() -> None:
    found = holm(np.array([0.01, math.nan]))
    assert found[0] == 0.02
    assert math.isnan(found[1])


def brute_force_max_t(differences: np.ndarray) -> np.ndarray:
    """Westfall & Young's algorithm 4.1 by its definition, with t itself."""
    n, m = differences.shape

    def t(of: np.ndarray) -> np.ndarray:
        return np.abs(of.mean(axis=0)) / (of.std(axis=0, ddof=1) / math.sqrt(n))

    found = t(differences)
    flipped = np.array([t(np.array(signs)[:, None] * differences) for signs in product((1, -1), repeat=n)])
    order = np.argsort(-found)
    adjusted = np.empty(m)
    for rank, place in enumerate(order):
        adjusted[place] = (flipped[:, order[rank:]].max(axis=1) >= found[place] * (1 - 1e-9)).mean()
    adjusted[order] = np.maximum.accumulate(adjusted[order])
    return adjusted


@pytest.mark.parametrize(("n", "m"), [(3, 2), (6, 4), (8, 3)])
def test_joint_flips_are_the_definition(n: int, m: int) -> None:
    draw = np.random.default_rng([n, m])
    differences = draw.normal(0.5, 1, (n, m)) * 10.0 ** draw.integers(-3, 3, m) + draw.normal(0, 1, (n, 1))
    assert max_t(differences) == pytest.approx(brute_force_max_t(differences))


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 1000))
def test_joint_flips_never_lower_a_p(n: int, m: int, seed: int) -> None:
    differences = np.random.default_rng([n, m, seed]).normal(0.3, 1, (n, m))
    single = np.array([sign_flip_p(column) for column in differences.T])
    joint = max_t(differences)
    assert (joint >= single - 1e-12).all()
    assert max_t(differences[:, :1])[0] == single[0]


def test_joint_flips_with_seeds_missing() -> None:
    draw = np.random.default_rng(8)
    differences = draw.normal(0.5, 1, (7, 3))
    differences[:, 2] = np.nan
    differences[5:, 1] = np.nan
    found = max_t(differences)
    assert math.isnan(found[2])
    assert max_t(differences[:, 1:2])[0] == sign_flip_p(differences[:5, 1])
    assert (found[:2] >= [sign_flip_p(differences[:, 0]), sign_flip_p(differences[:5, 1])]).all()
