"""The knowledge distribution and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge import estimation
from versatune_plugin.knowledge.estimation import estimate

UNPARSED = [np.nan, np.nan]


def test_is_the_mean_of_the_iterations_means() -> None:
    first = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], UNPARSED])
    second = np.array([[1.0, 0.0], [0.0, 1.0], UNPARSED, UNPARSED])
    found = estimate([first, second], seed=0)
    # (0.8 + 0.6 + 0.1) / 3 = 0.5 and (1 + 0) / 2 = 0.5: iterations weigh the same, unparsed texts nothing.
    np.testing.assert_allclose(found.iterations, [[0.5, 0.5], [0.5, 0.5]], atol=1e-15)
    np.testing.assert_allclose(found.probabilities, [0.5, 0.5], atol=1e-15)
    assert (found.texts, found.unparsed) == (8, 3)
    third = np.array([[0.9, 0.1]])
    found = estimate([first, second, third], seed=0)
    np.testing.assert_allclose(found.probabilities, [(0.5 + 0.5 + 0.9) / 3, (0.5 + 0.5 + 0.1) / 3])
    np.testing.assert_allclose(found.spread, [0.4, 0.4])


def test_ten_thousand_hard_labels_are_known_to_one_percentage_point() -> None:
    rows = np.zeros((2000, 2))
    rows[::2, 0] = rows[1::2, 1] = 1
    found = estimate([rows] * 5, seed=1)
    exact = 1.959964 * 0.5 / np.sqrt(10_000)
    np.testing.assert_allclose(found.half_widths, exact, rtol=0.05)
    assert found.half_widths.max() <= 0.0105


def test_interval_is_that_of_the_normal_approximation_for_many_texts() -> None:
    draw = np.random.default_rng(3)
    judged = [draw.dirichlet([0.5, 1.0, 3.0], size=size) for size in (1500, 900)]
    found = estimate(judged, seed=5)
    error = np.sqrt(sum(rows.var(axis=0) / len(rows) for rows in judged)) / 2
    np.testing.assert_allclose(found.half_widths, 1.96 * error, rtol=0.06)
    np.testing.assert_allclose(found.interval95.mean(axis=1), found.probabilities, atol=0.002)


def test_interval_covers_the_truth_in_about_95_of_100_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "RESAMPLES", 500)
    draw = np.random.default_rng(11)
    alpha = np.array([0.2, 0.6, 1.2])
    truth = alpha / alpha.sum()
    hits = []
    for seed in range(400):
        found = estimate([draw.dirichlet(alpha, size=80) for _ in range(2)], seed)
        hits.append((found.interval95[:, 0] <= truth) & (truth <= found.interval95[:, 1]))
    covered = np.mean(hits, axis=0)
    assert (covered > 0.91).all()
    assert (covered < 0.985).all()


def test_equal_seeds_give_equal_intervals() -> None:
    rows = np.random.default_rng(0).dirichlet([1, 1, 1], size=50)
    first = estimate([rows], seed=4).interval95
    np.testing.assert_array_equal(estimate([rows], seed=4).interval95, first)
    assert (estimate([rows], seed=5).interval95 != first).any()


def test_names_an_iteration_without_any_judgement() -> None:
    with pytest.raises(VersaTuneError, match="iteration 2: not one"):
        estimate([np.array([[0.5, 0.5]]), np.array([UNPARSED])], seed=0)


def _judged(weights: np.ndarray) -> np.ndarray:
    return (weights + 1e-3) / (weights + 1e-3).sum(axis=1, keepdims=True)


rows_of_three = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(3)), elements=st.floats(0, 1)).map(_judged)


@settings(max_examples=40, deadline=None)
@given(st.lists(rows_of_three, min_size=1, max_size=4), st.permutations(range(3)))
def test_is_a_distribution_within_what_was_judged(judged: list[np.ndarray], order: list[int]) -> None:
    found = estimate(judged, seed=0)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-12)
    everything = np.concatenate(judged)
    low, high = everything.min(axis=0), everything.max(axis=0)
    assert (found.probabilities >= low - 1e-12).all()
    assert (found.probabilities <= high + 1e-12).all()
    assert (found.interval95[:, 0] >= low - 1e-12).all()
    assert (found.interval95[:, 1] <= high + 1e-12).all()
    assert (found.interval95[:, 0] <= found.interval95[:, 1]).all()
    moved = estimate([rows[:, order] for rows in judged], seed=0)
    np.testing.assert_allclose(moved.interval95, found.interval95[order], atol=1e-12)
